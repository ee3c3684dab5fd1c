"""The words of `vectors` for Numba: LLVM's own vectors, so that code written in them needs no luck to be vectorised.

LLVM fits vectors of eight to whatever the machine has. Complex numbers lie in pairs, real part first.
"""

import operator
import platform
from collections.abc import Callable
from functools import reduce
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import alloca_once_value, unpack_tuple
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import models, register_model

from adaptfilt.engines.cpu import vectors

LANES = 8
ALIGNMENT = 64  # bytes
FLUSH = 0x8040  # bits of the x86 control register: subnormal results and operands are zero
INT32, INT64 = ir.IntType(32), ir.IntType(64)


class Pointer(types.Type):
    """Type of a pointer to numbers."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Pointer({dtype})")


class Vector(types.Type):
    """Type of a vector of eight numbers, of `parts` (real and imaginary) floats each."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.parts = dtype, 2 if isinstance(dtype, types.Complex) else 1
        self.bytes = dtype.bitwidth // 8 // self.parts
        part = ir.FloatType() if self.bytes == 4 else ir.DoubleType()
        self.llvm = ir.VectorType(part, LANES * self.parts)
        super().__init__(name=f"Vector({dtype})")


@register_model(Pointer)
class _PointerModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, manager.lookup(kind.dtype).get_data_type().as_pointer())


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.llvm)


def _word(function: Any, typing: Callable[..., Any], *kinds: Any) -> Callable[[Any], Any]:
    """Return the decorator of a word's code; `typing` maps types of arguments to a signature, or None."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            return typing(*args)

    infer_global(function)(Template)
    return lower_builtin(function, *kinds)


def _shuffle(b: Any, v: Any, w: Any, lanes: list[int]) -> Any:
    return b.shuffle_vector(v, w, ir.Constant(ir.VectorType(INT32, len(lanes)), lanes))


def _at(b: Any, kind: Any, p: Any, i: Any) -> Any:
    return b.bitcast(b.gep(p, [i]), Vector(kind.dtype).llvm.as_pointer())


def _on_pointer(result: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return the typing of a word on a pointer, an index, and perhaps a value."""

    def typing(p: Any, *rest: Any) -> Any:
        if isinstance(p, Pointer):
            value = () if len(rest) < 2 else (rest[1] if isinstance(rest[1], Vector) else p.dtype,)
            return signature(result(p), p, *[types.intp][: len(rest)], *value)
        return None

    return typing


@_word(vectors.data, lambda a: signature(Pointer(a.dtype), a), types.Array)
def _data(context: Any, b: Any, sig: Any, args: Any) -> Any:
    return context.make_array(sig.args[0])(context, b, args[0]).data


@_word(vectors.allocate, _on_pointer(lambda p: p), Pointer, types.Integer)
def _allocate(context: Any, b: Any, sig: Any, args: Any) -> Any:
    # The line begins after room for malloc's own address, kept in the eight bytes before the line.
    kind = context.get_value_type(sig.return_type)
    size = context.get_abi_sizeof(kind.pointee)
    malloc = b.module.globals.get("malloc") or ir.Function(b.module, ir.FunctionType(INT64, [INT64]), "malloc")
    start = b.call(malloc, [b.add(b.mul(args[1], INT64(size)), INT64(ALIGNMENT + 8))])
    line = b.and_(b.add(start, INT64(ALIGNMENT + 7)), INT64(-ALIGNMENT))
    b.store(start, b.inttoptr(b.sub(line, INT64(8)), INT64.as_pointer()))
    return b.inttoptr(line, kind)


@_word(vectors.release, _on_pointer(lambda p: types.none), Pointer)
def _release(context: Any, b: Any, sig: Any, args: Any) -> Any:
    free = b.module.globals.get("free") or ir.Function(b.module, ir.FunctionType(ir.VoidType(), [INT64]), "free")
    line = b.ptrtoint(args[0], INT64)
    b.call(free, [b.load(b.inttoptr(b.sub(line, INT64(8)), INT64.as_pointer()))])
    return context.get_dummy_value()


@_word(vectors.after, _on_pointer(lambda p: p), Pointer, types.Integer)
def _after(context: Any, b: Any, sig: Any, args: Any) -> Any:
    return b.gep(args[0], [args[1]])


@_word(operator.getitem, _on_pointer(lambda p: p.dtype), Pointer, types.Integer)
def _get(context: Any, b: Any, sig: Any, args: Any) -> Any:
    return b.load(b.gep(*args[:1], [args[1]]))


@_word(operator.setitem, _on_pointer(lambda p: types.none), Pointer, types.Integer, types.Any)
def _set(context: Any, b: Any, sig: Any, args: Any) -> Any:
    b.store(args[2], b.gep(args[0], [args[1]]))
    return context.get_dummy_value()


@_word(vectors.load, _on_pointer(lambda p: Vector(p.dtype)), Pointer, types.Integer)
def _load(context: Any, b: Any, sig: Any, args: Any) -> Any:
    v = b.load(_at(b, sig.args[0], *args))
    v.align = sig.return_type.bytes
    return v


@_word(vectors.store, _on_pointer(lambda p: types.none), Pointer, types.Integer, Vector)
def _store(context: Any, b: Any, sig: Any, args: Any) -> Any:
    b.store(args[2], _at(b, sig.args[0], *args[:2]), align=sig.args[2].bytes)
    return context.get_dummy_value()


@_word(vectors.zeros, _on_pointer(lambda p: Vector(p.dtype)), Pointer)
def _zeros(context: Any, b: Any, sig: Any, args: Any) -> Any:
    llvm = sig.return_type.llvm
    return ir.Constant(llvm, [0.0] * llvm.count)


@_word(vectors.splat, lambda s: signature(Vector(s), s), types.Number)
def _splat(context: Any, b: Any, sig: Any, args: Any) -> Any:
    kind = sig.return_type
    v = ir.Constant(kind.llvm, ir.Undefined)
    if kind.parts == 1:
        return _shuffle(b, b.insert_element(v, args[0], INT32(0)), v, [0] * LANES)
    z = context.make_complex(b, sig.args[0], args[0])
    pair = b.insert_element(b.insert_element(v, z.real, INT32(0)), z.imag, INT32(1))
    return _shuffle(b, pair, v, [0, 1] * LANES)


@_word(vectors.lane, lambda v, i: signature(v.dtype, v, types.intp), Vector, types.Integer)
def _lane(context: Any, b: Any, sig: Any, args: Any) -> Any:
    kind, i = sig.args[0], b.trunc(args[1], INT32)
    if kind.parts == 1:
        return b.extract_element(args[0], i)
    z = context.make_complex(b, kind.dtype)
    z.real = b.extract_element(args[0], b.mul(i, INT32(2)))
    z.imag = b.extract_element(args[0], b.add(b.mul(i, INT32(2)), INT32(1)))
    return z._getvalue()


@_word(vectors.with_first, lambda v, s: signature(v, v, v.dtype), Vector, types.Number)
def _with_first(context: Any, b: Any, sig: Any, args: Any) -> Any:
    v, s = args
    if sig.return_type.parts == 1:
        return b.insert_element(v, s, INT32(0))
    z = context.make_complex(b, sig.args[1], s)
    return b.insert_element(b.insert_element(v, z.real, INT32(0)), z.imag, INT32(1))


def _both(v: Any, w: Any) -> Any:
    return signature(v, v, w) if isinstance(v, Vector) and v == w else None


@_word(operator.add, _both, Vector, Vector)
def _add(context: Any, b: Any, sig: Any, args: Any) -> Any:
    return b.fadd(*args)


@_word(operator.sub, _both, Vector, Vector)
def _sub(context: Any, b: Any, sig: Any, args: Any) -> Any:
    return b.fsub(*args)


@_word(operator.neg, lambda v: signature(v, v) if isinstance(v, Vector) else None, Vector)
def _neg(context: Any, b: Any, sig: Any, args: Any) -> Any:
    return b.fneg(args[0])


def _products(b: Any, kind: Any, v: Any, w: Any) -> list[Any]:
    """Return the vectors whose sum is v w."""
    if kind.parts == 1:
        return [b.fmul(v, w)]
    imag = b.fmul(_imaginary(b, v), ir.Constant(kind.llvm, [-1.0, 1.0] * LANES))
    return [b.fmul(_real(b, v), w), b.fmul(imag, _swapped(b, w))]


@_word(operator.mul, _both, Vector, Vector)
def _mul(context: Any, b: Any, sig: Any, args: Any) -> Any:
    return reduce(b.fadd, _products(b, sig.return_type, *args))


def _real(b: Any, v: Any) -> Any:
    """Return the real parts, each twice."""
    return _shuffle(b, v, v, [i & ~1 for i in range(v.type.count)])


def _imaginary(b: Any, v: Any) -> Any:
    """Return the imaginary parts, each twice."""
    return _shuffle(b, v, v, [i | 1 for i in range(v.type.count)])


def _swapped(b: Any, v: Any) -> Any:
    """Return the imaginary parts before the real ones."""
    return _shuffle(b, v, v, [i ^ 1 for i in range(v.type.count)])


@_word(vectors.times_real, _both, Vector, Vector)
def _times_real(context: Any, b: Any, sig: Any, args: Any) -> Any:
    return b.fmul(args[0], args[1] if sig.return_type.parts == 1 else _real(b, args[1]))


def _three(a: Any, v: Any, w: Any) -> Any:
    return signature(a, a, v, w) if isinstance(a, Vector) and a == v == w else None


@_word(vectors.plus_product, _three, Vector, Vector, Vector)
def _plus_product(context: Any, b: Any, sig: Any, args: Any) -> Any:
    a, *factors = args
    return reduce(b.fadd, _products(b, sig.return_type, *factors), a)  # multiply-adds


@_word(vectors.plus_product, lambda a, v, w: signature(a, a, a, a), types.Number, types.Number, types.Number)
def _plus_product_of_numbers(context: Any, b: Any, sig: Any, args: Any) -> Any:
    a, v, w = args
    if not isinstance(sig.return_type, types.Complex):
        return b.fadd(a, b.fmul(v, w))
    a, v, w = (context.make_complex(b, sig.return_type, value) for value in args)
    a.real = b.fsub(b.fadd(a.real, b.fmul(v.real, w.real)), b.fmul(v.imag, w.imag))
    a.imag = b.fadd(b.fadd(a.imag, b.fmul(v.real, w.imag)), b.fmul(v.imag, w.real))
    return a._getvalue()


@_word(
    vectors.plus_conj_products, lambda v, f, p, i: signature(v, v, f, p, types.intp), Vector, types.UniTuple, Pointer,
    types.Integer,
)  # fmt: skip
def _plus_conj_products(context: Any, b: Any, sig: Any, args: Any) -> Any:
    v, kind = args[0], sig.return_type
    factors = unpack_tuple(b, args[1])
    shifts = [b.load(_at(b, kind, args[2], b.add(args[3], INT64(k))), align=kind.bytes) for k in range(8)]

    def total(factors: Any, shifts: Any) -> Any:
        """Return the sum of products; two sums halve the wait."""
        one, two = [b.fmul(factors[k], shifts[k]) for k in (0, 4)]
        for k in (1, 2, 3):
            one = b.fadd(one, b.fmul(factors[k], shifts[k]))
            two = b.fadd(two, b.fmul(factors[4 + k], shifts[4 + k]))
        return b.fadd(one, two)

    if kind.parts == 1:
        return b.fadd(v, total(factors, shifts))
    # What real and imaginary parts of the factors make is summed apart, and turned once.
    real, imag = (total([part(b, f) for f in factors], shifts) for part in (_real, _imaginary))
    turned = b.fmul(real, ir.Constant(kind.llvm, [1.0, -1.0] * LANES))
    return b.fadd(b.fadd(v, turned), _swapped(b, imag))


# Three rounds add halves of two vectors into one; a lane of 8 and more is of the second vector.
_FOLDS = (
    ([0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]),
    ([0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]),
    ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]),
)


@_word(vectors.sums, lambda vs: signature(vs.dtype, vs), types.UniTuple)
def _sums(context: Any, b: Any, sig: Any, args: Any) -> Any:
    parts, vs = sig.return_type.parts, unpack_tuple(b, args[0])
    for folds in _FOLDS:
        one, two = ([parts * i + j for i in lanes for j in range(parts)] for lanes in folds)
        pairs = zip(vs[::2], vs[1::2], strict=True)
        vs = [b.fadd(_shuffle(b, v, w, one), _shuffle(b, v, w, two)) for v, w in pairs]
    return vs[0]


def _control(b: Any, instruction: str, place: Any) -> None:
    """Store the control register to a place in memory, or load it from there; other machines keep their mode."""
    if platform.machine() in ("x86_64", "AMD64"):
        name, pointer = f"llvm.x86.sse.{instruction}", ir.IntType(8).as_pointer()
        function = b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(ir.VoidType(), [pointer]), name)
        b.call(function, [b.bitcast(place, pointer)])


@_word(vectors.flush_subnormals, lambda: signature(types.int32))
def _flush_subnormals(context: Any, b: Any, sig: Any, args: Any) -> Any:
    place = alloca_once_value(b, INT32(0))
    _control(b, "stmxcsr", place)
    mode = b.load(place)
    b.store(b.or_(mode, INT32(FLUSH)), place)
    _control(b, "ldmxcsr", place)
    return mode


@_word(vectors.restore_mode, lambda mode: signature(types.none, types.int32), types.Integer)
def _restore_mode(context: Any, b: Any, sig: Any, args: Any) -> Any:
    _control(b, "ldmxcsr", alloca_once_value(b, args[0]))
    return context.get_dummy_value()
