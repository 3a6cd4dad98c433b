"""Floats as their 64 bits and back, compiled or not."""

import numpy as np

from .compiled import HAS_NUMBA

if HAS_NUMBA:
    import llvmlite.ir
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def bits_of(typing_context, x):
        """Return the bits of a float as a whole number."""

        def build(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], llvmlite.ir.IntType(64))

        return types.uint64(types.float64), build

    @intrinsic
    def float_of(typing_context, x):
        """Return the float that has these bits."""

        def build(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], llvmlite.ir.DoubleType())

        return types.float64(types.uint64), build

else:

    def bits_of(x):
        """Return the bits of a float as a whole number."""
        return np.float64(x).view(np.uint64)

    def float_of(x):
        """Return the float that has these bits."""
        return np.uint64(x).view(np.float64)
