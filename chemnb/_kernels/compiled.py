"""How the kernels are compiled: cached on disk, rounding as NumPy, without Python's lock.

Where Numba is absent, they stay plain Python: the same numbers, bit for bit, hundreds of times
slower. Loops over many lanes have a form in NumPy that takes their place.
"""

import functools
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

try:
    from numba import njit
except ImportError:
    njit = None

HAS_NUMBA = njit is not None
_OPTIONS = dict(cache=True, error_model="numpy", nogil=True)
_STAMP = "chemnb-kernels"


def allocating(in_numpy: Callable | None = None):
    """Compile what may make arrays: the outermost function of a kernel.

    Parameters
    ----------
    in_numpy : callable, optional
        Does the same without Numba, faster than plain Python.
    """
    if not HAS_NUMBA:
        return lambda function: _quiet(in_numpy or function)
    return lambda function: _fresh(njit(**_OPTIONS)(function))


def compiled(**options):
    """Compile what works in the arrays that it is given.

    Arrays are then not counted at every use (``_nrt``): counting took longer than simulating.
    """
    if not HAS_NUMBA:
        return lambda function: function
    return lambda function: _fresh(njit(**_OPTIONS, _nrt=False, **options)(function))


def inlined():
    """Compile what becomes a part of its callers."""
    return compiled(forceinline=True)


def _quiet(function: Callable) -> Callable:
    """Let a function divide by zero and overflow without a word, as compiled code does."""

    @functools.wraps(function)
    def run(*arguments):
        with np.errstate(all="ignore"):
            return function(*arguments)

    return run


def _fresh(dispatcher):
    _forget_stale(dispatcher.stats.cache_path)
    return dispatcher


@cache
def _forget_stale(folder: str) -> None:
    """Delete the cached kernels if any source has changed since.

    Numba looks at the file of a function alone, not at those of the functions that it calls.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
    stamp = Path(folder, _STAMP)
    try:
        if stamp.exists() and stamp.read_text() == digest:
            return
        for path in [*Path(folder).glob("*.nbi"), *Path(folder).glob("*.nbc")]:
            path.unlink(missing_ok=True)
        Path(folder).mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest)
    except OSError:  # a cache that cannot be written is not used either
        return
