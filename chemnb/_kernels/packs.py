"""The numbers of many lanes as one value: vector registers without trust in a compiler's guess.

A loop over lanes becomes vector code only where the compiler finds out that it may, and ceases to
without a word. A pack is vector code always: `WIDTH` floats or 64-bit words with the operators of
numbers, so that `random.draw` and its like serve one lane or a pack as they stand.
"""

import operator

import llvmlite.binding
import llvmlite.ir as ir
from numba import config, types
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

ALIGNMENT = 64  # bytes: a load that crosses a line of the cache counts twice


def _width() -> int:
    """Return how many lanes a pack has: as measured, by how many registers there are."""
    features = config.CPU_FEATURES  # what a user set instead of this processor's
    if features is None:
        features = llvmlite.binding.get_host_cpu_features().flatten()
    # 32 registers of eight floats, or 16 of four (or fewer): a wider pack would not stay in them
    return 64 if "+avx512f" in features.split(",") else 16


WIDTH = _width()
EVERY_LANE = (1 << WIDTH) - 1

_WORD, _DOUBLE, _INDEX = ir.IntType(64), ir.DoubleType(), ir.IntType(32)


class Pack(types.Type):
    """The type of a pack: floats or words, one a lane."""

    def __init__(self, scalar):
        self.scalar = scalar
        super().__init__(name=f"Pack({scalar}, {WIDTH})")


_FLOATS, _WORDS = Pack(types.float64), Pack(types.uint64)


def _vector(pack: Pack) -> ir.VectorType:
    return ir.VectorType(_DOUBLE if pack == _FLOATS else _WORD, WIDTH)


@register_model(Pack)
class _PackModel(models.PrimitiveModel):
    def __init__(self, manager, pack):
        super().__init__(manager, pack, _vector(pack))


def _repeated(builder, pack: Pack, value):
    single = builder.insert_element(ir.Constant(_vector(pack), ir.Undefined), value, _INDEX(0))
    zeros = ir.Constant(ir.VectorType(_INDEX, WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(single, single, zeros)


# --- operators ---------------------------------------------------------------------------------


def _teach(symbol, of_floats: str | None, of_words: str | None) -> None:
    """Teach the compiler an operator of two packs, or of a pack and a number."""

    def instruction(pack):
        return of_floats if pack == _FLOATS else of_words

    @infer_global(symbol)
    class Typing(AbstractTemplate):
        def generic(self, args, keywords):
            packs = {arg for arg in args if isinstance(arg, Pack)}
            numbers = [arg for arg in args if isinstance(arg, types.Number)]
            if len(args) != 2 or len(packs) != 1 or len(numbers) > 1:
                return None
            pack = packs.pop()
            if instruction(pack) is None or not all(arg == pack or arg in numbers for arg in args):
                return None
            return pack(*(pack if arg == pack else pack.scalar for arg in args))

    def lower(context, builder, signature, args):
        pack = signature.return_type
        values = (
            arg if kind == pack else _repeated(builder, pack, arg)
            for kind, arg in zip(signature.args, args, strict=True)
        )  # fmt: skip
        return getattr(builder, instruction(pack))(*values)

    for kinds in ((Pack, Pack), (Pack, types.Number), (types.Number, Pack)):
        lower_builtin(symbol, *kinds)(lower)


_teach(operator.add, "fadd", "add")
_teach(operator.sub, "fsub", "sub")
_teach(operator.mul, "fmul", "mul")
_teach(operator.truediv, "fdiv", None)
_teach(operator.xor, None, "xor")
_teach(operator.or_, None, "or_")
_teach(operator.lshift, None, "shl")
_teach(operator.rshift, None, "lshr")


@infer_global(operator.neg)
class _Negation(AbstractTemplate):
    def generic(self, args, keywords):
        return _FLOATS(_FLOATS) if args == (_FLOATS,) else None


@lower_builtin(operator.neg, Pack)
def _negated(context, builder, signature, args):
    return builder.fneg(args[0])


# --- in and out of memory ----------------------------------------------------------------------


def _place(context, builder, kind, args, pack: Pack):
    """Return the address of array[i, j] as that of a pack."""
    array = context.make_array(kind)(context, builder, args[0])
    rows = builder.extract_value(array.shape, 1)
    row = builder.add(builder.mul(args[1], rows), args[2])
    first = builder.gep(array.data, [builder.mul(row, _WORD(WIDTH))])
    return builder.bitcast(first, _vector(pack).as_pointer())


@intrinsic
def load(typing_context, array, i, j):
    """Return the pack in array[i, j], a row of an array that `aligned` made."""
    pack = Pack(array.dtype)

    def build(context, builder, signature, args):
        return builder.load(_place(context, builder, array, args, pack), align=ALIGNMENT)

    return pack(array, types.intp, types.intp), build


@intrinsic
def store(typing_context, array, i, j, values):
    """Write a pack to array[i, j]."""
    pack = Pack(array.dtype)

    def build(context, builder, signature, args):
        builder.store(args[3], _place(context, builder, array, args, pack), align=ALIGNMENT)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, pack), build


# --- functions ---------------------------------------------------------------------------------


@intrinsic
def all_lanes(typing_context, value):
    """Return the pack whose lanes all have this value."""

    def build(context, builder, signature, args):
        return _repeated(builder, _FLOATS, args[0])

    return _FLOATS(types.float64), build


@intrinsic
def add_where_above(typing_context, x, amount, y, limit):
    """Return x + amount in the lanes where y > limit, x in the others."""

    def build(context, builder, signature, args):
        x, amount, y, limit = args
        more = builder.fadd(x, _repeated(builder, _FLOATS, amount))
        return builder.select(builder.fcmp_ordered(">", y, limit), more, x)

    return _FLOATS(_FLOATS, types.float64, _FLOATS, _FLOATS), build


@intrinsic
def lanes_beyond(typing_context, x, limit):
    """Return a word whose bit i tells that in lane i x is above its limit, or no number."""

    def build(context, builder, signature, args):
        flags = builder.bitcast(builder.fcmp_unordered(">", *args), ir.IntType(WIDTH))
        return flags if WIDTH == 64 else builder.zext(flags, _WORD)

    return types.uint64(_FLOATS, _FLOATS), build


@intrinsic
def lowest_bit(typing_context, word):
    """Return the place of the lowest bit that is set; some must be."""

    def build(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.intp(types.uint64), build


@intrinsic
def bits_of(typing_context, x):
    """Return the bits of a float, or of those of a pack, as whole numbers."""
    result = _WORDS if x == _FLOATS else types.uint64

    def build(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(result))

    return result(x), build


@intrinsic
def float_of(typing_context, x):
    """Return the float, or the pack of floats, that has these bits."""
    result = _FLOATS if x == _WORDS else types.float64

    def build(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(result))

    return result(x), build
