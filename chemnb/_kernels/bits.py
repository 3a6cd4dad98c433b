"""Floats as their 64 bits and back, and products of 128 bits; compiled or not."""

import numpy as np

from .compiled import HAS_NUMBA

if HAS_NUMBA:
    import llvmlite.ir
    from numba import types
    from numba.extending import intrinsic

    from .packs import bits_of, float_of

    @intrinsic
    def wide_product(typing_context, x, y):
        """Return the upper and the lower half of the product of two whole numbers of 64 bits."""

        def build(context, builder, signature, arguments):
            wide = llvmlite.ir.IntType(128)
            x, y = (builder.zext(value, wide) for value in arguments)
            product = builder.mul(x, y)
            upper = builder.lshr(product, llvmlite.ir.Constant(wide, 64))
            halves = [builder.trunc(half, llvmlite.ir.IntType(64)) for half in (upper, product)]
            return context.make_tuple(builder, signature.return_type, halves)

        return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), build

else:

    def bits_of(x):
        """Return the bits of a float as a whole number."""
        return np.float64(x).view(np.uint64)

    def float_of(x):
        """Return the float that has these bits."""
        return np.uint64(x).view(np.float64)

    def wide_product(x, y):
        """Return the upper and the lower half of the product of two whole numbers of 64 bits."""
        product = int(x) * int(y)
        return np.uint64(product >> 64), np.uint64(product & (2**64 - 1))


__all__ = ["bits_of", "float_of", "wide_product"]
