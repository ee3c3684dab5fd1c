"""Numbers of many filters side by side, for Numba: a vector in the place of a scalar, so that loops compile unchanged.

An array of lanes holds the first number of every filter, then the second of every filter, and so on; complex numbers
lie as the vector of real parts, then that of imaginary ones. A comparison gives a mask, which has no truth of its own:
code that branches on a lane does not compile.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.imputils import lower_builtin, lower_cast, lower_constant, lower_getattr
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import intrinsic, models, register_model, typeof_impl

from adaptfilt.engines.cpu.memory import Splat

INT32, INT64 = ir.IntType(32), ir.IntType(64)
_FLOATS = {32: ir.FloatType(), 64: ir.DoubleType()}


class AnyLanes(types.Type):
    """Type of numbers side by side: `count` of type `dtype`, whose parts are floats of type `real`."""

    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype, self.count = dtype, count
        self.real = getattr(dtype, "underlying_float", dtype)
        super().__init__(name=f"{type(self).__name__}({dtype}, {count})")

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """Say that a plain number may stand in every lane, and a real number for a complex one."""
        if isinstance(other, Lanes) and isinstance(self, ComplexLanes):
            return Conversion.promote
        return Conversion.unsafe if isinstance(other, types.Number) else None


class Lanes(AnyLanes):
    """Real numbers."""


class ComplexLanes(AnyLanes):
    """Complex numbers."""


class Mask(types.Type):
    """Type of truths side by side."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Mask({count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(_FLOATS[kind.dtype.bitwidth], kind.count))


@register_model(ComplexLanes)
class _ComplexModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        part = Lanes(kind.real, kind.count)
        super().__init__(manager, kind, [("real", part), ("imag", part)])


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.IntType(1), kind.count))


# A number that stands in all lanes, as a constant of compiled code


@typeof_impl.register(Splat)
def _typeof(value: Splat, context: Any) -> Any:
    dtype = getattr(types, np.dtype(type(value.number)).name)
    return (ComplexLanes if isinstance(dtype, types.Complex) else Lanes)(dtype, value.lanes)


@lower_constant(AnyLanes)
def _constant(context: Any, builder: Any, kind: Any, value: Splat) -> Any:
    part = ir.VectorType(_FLOATS[kind.real.bitwidth], kind.count)
    vectors = [ir.Constant(part, [float(v)] * kind.count) for v in (value.number.real, value.number.imag)]
    return ir.Constant.literal_struct(vectors) if isinstance(kind, ComplexLanes) else vectors[0]


# Values as lists of one or two vectors


def _splat(b: Any, number: Any, count: int) -> Any:
    vector = ir.Constant(ir.VectorType(number.type, count), ir.Undefined)
    one = b.insert_element(vector, number, INT32(0))
    return b.shuffle_vector(one, vector, ir.Constant(ir.VectorType(INT32, count), [0] * count))


def _parts(context: Any, b: Any, kind: Any, value: Any, like: Any) -> list[Any]:
    """Return the real part of a value, and the imaginary one if it has one; a plain number stands in all lanes."""
    if isinstance(kind, AnyLanes):
        parts = [b.extract_value(value, i) for i in (0, 1)] if isinstance(kind, ComplexLanes) else [value]
        wanted = ir.VectorType(_FLOATS[like.real.bitwidth], kind.count)
        if kind.real == like.real:
            return parts
        return [(b.fptrunc if like.real == types.float32 else b.fpext)(part, wanted) for part in parts]
    if isinstance(kind, types.Complex):
        pair = context.make_complex(b, kind, value)
        numbers, kind = [pair.real, pair.imag], kind.underlying_float
    else:
        numbers = [value]
    return [_splat(b, context.cast(b, number, kind, like.real), like.count) for number in numbers]


def _joined(context: Any, b: Any, kind: Any, parts: list[Any]) -> Any:
    """Return the value of one or two vectors."""
    if not isinstance(kind, ComplexLanes):
        return parts[0]
    imag = parts[1] if len(parts) > 1 else ir.Constant(parts[0].type, [0.0] * kind.count)
    both = b.insert_value(ir.Constant(context.get_value_type(kind), ir.Undefined), parts[0], 0)
    return b.insert_value(both, imag, 1)


def _common(*kinds: Any) -> Any:
    """Return the type of what comes of values of these types, or None where none of them lies in lanes."""
    lanes = [kind for kind in kinds if isinstance(kind, AnyLanes)]
    if not lanes or not all(isinstance(kind, AnyLanes | types.Number) for kind in kinds):
        return None
    like = min(lanes, key=lambda kind: kind.real.bitwidth)
    if any(isinstance(kind, ComplexLanes | types.Complex) for kind in kinds):
        return ComplexLanes(types.complex64 if like.real == types.float32 else types.complex128, like.count)
    return Lanes(like.real, like.count)


def _cast(context: Any, b: Any, given: Any, wanted: Any, value: Any) -> Any:
    return _joined(context, b, wanted, _parts(context, b, given, value, wanted))


for _kind in (types.Integer, types.Float, types.Complex, Lanes):
    lower_cast(_kind, AnyLanes)(_cast)


# Arithmetic and comparisons


def _operator(functions: list[Any], result: Any, code: Any) -> None:
    """Teach Numba operators of two values; `code` maps their parts to those of the result."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            common = _common(*args) if len(args) == 2 else None
            return None if common is None else signature(result(common), *args)

    def lowered(context: Any, b: Any, sig: Any, args: Any) -> Any:
        like = _common(*sig.args)
        v, w = (_parts(context, b, kind, value, like) for kind, value in zip(sig.args, args, strict=True))
        return _joined(context, b, sig.return_type, code(b, v, w))

    for function in functions:
        infer_global(function)(Template)
        for kinds in ((AnyLanes, AnyLanes), (AnyLanes, types.Number), (types.Number, AnyLanes)):
            lower_builtin(function, *kinds)(lowered)


def _entries(name: str) -> Any:
    """Return the code of a sum or difference."""

    def code(b: Any, v: Any, w: Any) -> list[Any]:
        both = [getattr(b, name)(*pair) for pair in zip(v, w, strict=False)]
        if len(v) == len(w):
            return both
        return [both[0], v[1] if len(v) > 1 else (w[1] if name == "fadd" else b.fneg(w[1]))]

    return code


def _product(b: Any, v: Any, w: Any) -> list[Any]:
    if len(v) == len(w) == 2:
        real = b.fsub(b.fmul(v[0], w[0]), b.fmul(v[1], w[1]))
        return [real, b.fadd(b.fmul(v[0], w[1]), b.fmul(v[1], w[0]))]
    return [b.fmul(p, q) for p in v for q in w]


def _quotient(b: Any, v: Any, w: Any) -> list[Any]:
    if len(w) == 2:  # by its conjugate
        size = b.fadd(b.fmul(w[0], w[0]), b.fmul(w[1], w[1]))
        v, w = _product(b, v, [w[0], b.fneg(w[1])]), [size]
    return [b.fdiv(p, w[0]) for p in v]


def _comparison(sign: str) -> Any:
    compare = "fcmp_unordered" if sign == "!=" else "fcmp_ordered"

    def code(b: Any, v: Any, w: Any) -> list[Any]:
        masks = [getattr(b, compare)(sign, p, q) for p, q in zip(v, w, strict=True)]
        return masks if len(masks) == 1 else [(b.or_ if sign == "!=" else b.and_)(*masks)]

    return code


_operator([operator.add, operator.iadd], lambda common: common, _entries("fadd"))
_operator([operator.sub, operator.isub], lambda common: common, _entries("fsub"))
_operator([operator.mul, operator.imul], lambda common: common, _product)
_operator([operator.truediv, operator.itruediv], lambda common: common, _quotient)
for _sign in ("lt", "le", "gt", "ge", "eq", "ne"):
    _text = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}[_sign]
    _operator([getattr(operator, _sign)], lambda common: Mask(common.count), _comparison(_text))


def _logic(function: Any, name: str) -> None:
    """Teach Numba an operator of two masks."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            fits = len(args) == 2 and isinstance(args[0], Mask) and args[0] == args[1]
            return signature(args[0], *args) if fits else None

    infer_global(function)(Template)
    lower_builtin(function, Mask, Mask)(lambda context, b, sig, args: getattr(b, name)(*args))


_logic(operator.and_, "and_")
_logic(operator.or_, "or_")


def _function(function: Any, typing: Any, code: Any) -> None:
    """Teach Numba a function of one value in lanes; `code` maps its parts to those of the result."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            fits = len(args) == 1 and isinstance(args[0], AnyLanes)
            return signature(typing(args[0]), *args) if fits else None

    def lowered(context: Any, b: Any, sig: Any, args: Any) -> Any:
        parts = _parts(context, b, sig.args[0], args[0], sig.args[0])
        return _joined(context, b, sig.return_type, code(b, parts))

    infer_global(function)(Template)
    lower_builtin(function, AnyLanes)(lowered)


def _llvm(name: str) -> Any:
    """Return the code of one of LLVM's own functions, of a real number."""

    def code(b: Any, v: Any) -> list[Any]:
        kind = v[0].type
        full = f"llvm.{name}.v{kind.count}f{32 if kind.element == ir.FloatType() else 64}"
        function = b.module.globals.get(full) or ir.Function(b.module, ir.FunctionType(kind, [kind]), full)
        return [b.call(function, v[:1])]

    return code


def _size(b: Any, v: Any) -> list[Any]:
    if len(v) == 1:
        return _llvm("fabs")(b, v)
    return _llvm("sqrt")(b, [b.fadd(b.fmul(v[0], v[0]), b.fmul(v[1], v[1]))])


def _real(kind: Any) -> Any:
    return Lanes(kind.real, kind.count)


_function(operator.neg, lambda kind: kind, lambda b, v: [b.fneg(p) for p in v])
_function(abs, _real, _size)
_function(np.sqrt, _real, _llvm("sqrt"))
_function(np.floor, _real, _llvm("floor"))
_function(np.conj, lambda kind: kind, lambda b, v: [v[0], *map(b.fneg, v[1:])])
_function(np.isnan, lambda kind: Mask(kind.count), lambda b, v: [b.fcmp_unordered("uno", v[0], v[-1])])


def _largest(sign: str) -> Any:
    """Return the code of the larger, or smaller, of two real numbers; NaN if one is."""

    def code(b: Any, v: Any, w: Any) -> list[Any]:
        first = b.or_(b.fcmp_ordered(sign, v[0], w[0]), b.fcmp_unordered("uno", v[0], v[0]))
        return [b.select(first, v[0], w[0])]

    return code


def _sign_of(b: Any, v: Any) -> list[Any]:
    zero, one, less = (ir.Constant(v[0].type, [x] * v[0].type.count) for x in (0.0, 1.0, -1.0))
    negative = b.select(b.fcmp_ordered("<", v[0], zero), less, v[0])
    return [b.select(b.fcmp_ordered(">", v[0], zero), one, negative)]


_operator([np.maximum], lambda common: common, _largest(">"))
_operator([np.minimum], lambda common: common, _largest("<"))
_function(np.sign, _real, _sign_of)


@infer_getattr
class _Attributes(AttributeTemplate):
    key = AnyLanes

    def resolve_real(self, kind: Any) -> Any:
        return _real(kind)

    resolve_imag = resolve_real


@lower_getattr(AnyLanes, "real")
def _real_part(context: Any, b: Any, kind: Any, value: Any) -> Any:
    return _parts(context, b, kind, value, kind)[0]


@lower_getattr(AnyLanes, "imag")
def _imaginary_part(context: Any, b: Any, kind: Any, value: Any) -> Any:
    parts = _parts(context, b, kind, value, kind)
    return parts[1] if len(parts) > 1 else ir.Constant(parts[0].type, [0.0] * kind.count)


# What the words of `memory` are made of


@intrinsic
def choose(typing: Any, condition: Any, a: Any, b: Any) -> Any:
    """Return a in the lanes where the condition, or all that is given, holds, elsewhere b."""
    like = _common(a, b, *([Lanes(_real_dtype(a, b), condition.count)] if isinstance(condition, Mask) else []))

    def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        pairs = zip(sig.args[1:], values[1:], strict=True)
        v, w = (_parts(context, builder, like, _cast(context, builder, k, like, value), like) for k, value in pairs)
        return _joined(context, builder, like, [builder.select(values[0], p, q) for p, q in zip(v, w, strict=True)])

    return like(condition, a, b), code


def _real_dtype(*kinds: Any) -> Any:
    """Return the type of the parts of the first value that lies in lanes, or else is a number."""
    lanes = [kind.real for kind in kinds if isinstance(kind, AnyLanes)]
    return lanes[0] if lanes else getattr(kinds[0], "underlying_float", kinds[0])


@intrinsic
def everywhere(typing: Any, mask: Any) -> Any:
    """Say whether a mask holds in all lanes."""

    def code(context: Any, b: Any, sig: Any, values: Any) -> Any:
        bits = ir.IntType(mask.count)
        return b.icmp_unsigned("==", b.bitcast(values[0], bits), ir.Constant(bits, (1 << mask.count) - 1))

    return types.boolean(mask), code


def _into(real: bool) -> Any:
    """Return the function that brings a value into the type of like, an array or a number, or into its precision."""

    @intrinsic
    def into(typing: Any, like: Any, value: Any) -> Any:
        kind = like.dtype if isinstance(like, types.Array) else like
        kind = _real(kind) if real else kind

        def code(context: Any, b: Any, sig: Any, values: Any) -> Any:
            return _cast(context, b, value, kind, values[1])

        return kind(like, value), code

    return into


in_lanes, in_real_lanes = _into(False), _into(True)


@intrinsic
def unaligned(typing: Any, array: Any) -> Any:
    """Return an array of lanes that may lie anywhere."""
    kind = types.Array(array.dtype, array.ndim, array.layout, aligned=False)
    return kind(array), lambda context, b, sig, values: values[0]


@intrinsic
def pair(typing: Any, re: Any, im: Any) -> Any:
    """Return the complex numbers of these parts."""
    like = _common(re, im, types.complex64)

    def code(context: Any, b: Any, sig: Any, values: Any) -> Any:
        parts = [_parts(context, b, k, v, like)[0] for k, v in zip(sig.args, values, strict=True)]
        return _joined(context, b, like, parts)

    return like(re, im), code


# Rows to lanes and back: squares of 64 bytes' width are turned in registers


def _turned(b: Any, vectors: list[Any]) -> list[Any]:
    """Return the columns of a square as vectors: halves of ever nearer rows change places."""
    n, half = len(vectors), len(vectors) // 2
    kind = ir.VectorType(INT32, n)
    while half:
        low = [i if not i & half else i - half + n for i in range(n)]
        high = [i + half if not i & half else i + n for i in range(n)]
        new: list[Any] = list(vectors)
        for i in range(n):
            if not i & half:
                v, w = vectors[i], vectors[i + half]
                new[i] = b.shuffle_vector(v, w, ir.Constant(kind, low))
                new[i + half] = b.shuffle_vector(v, w, ir.Constant(kind, high))
        vectors, half = new, half // 2
    return vectors


def _square(read_rows: bool) -> Any:
    """Return the function that turns a square of real numbers."""

    @intrinsic
    def turn(typing: Any, rows: Any, first: Any, offset: Any, place: Any, stride: Any, like: Any) -> Any:
        """Read n rows, or vectors `stride` bytes apart, and write them turned; the other side is rows' addresses."""

        def code(context: Any, b: Any, sig: Any, values: Any) -> Any:
            rows, first, offset, place, stride, _ = values
            size = like.bitwidth // 8
            kind, data = ir.VectorType(_FLOATS[like.bitwidth], 64 // size), context.make_array(sig.args[0])
            addresses = data(context, b, rows).data
            at = [b.add(b.load(b.gep(addresses, [b.add(first, INT64(i))])), offset) for i in range(64 // size)]
            vectors = [b.add(place, b.mul(stride, INT64(i))) for i in range(64 // size)]
            source, target = (at, vectors) if read_rows else (vectors, at)
            read = [b.load(b.inttoptr(address, kind.as_pointer())) for address in source]
            for instruction in read:
                instruction.align = size
            for address, value in zip(target, _turned(b, read), strict=True):
                b.store(value, b.inttoptr(address, kind.as_pointer()), align=size)
            return context.get_dummy_value()

        kinds = [rows, *[types.int64] * 4, like]
        return types.none(*kinds), code

    return turn


turn_rows, turn_vectors = _square(True), _square(False)
