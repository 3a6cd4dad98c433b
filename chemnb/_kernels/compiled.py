"""How the kernels are compiled: cached on disk, rounding as NumPy, without Python's lock."""

from functools import partial

from numba import njit

# may make arrays: the outermost function of a kernel
allocating = partial(njit, cache=True, error_model="numpy", nogil=True)
# works in the arrays that it is given, so that none of them is counted at every use (`_nrt`):
# counting took longer than simulating
compiled = partial(allocating, _nrt=False)
inlined = partial(compiled, forceinline=True)
