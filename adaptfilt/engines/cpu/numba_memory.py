"""The words of `memory` for Numba."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from adaptfilt.engines import words
from adaptfilt.engines.cpu import memory, numba_lanes, vectors
from adaptfilt.engines.cpu.numba_lanes import (
    AnyLanes,
    Mask,
    choose,
    in_lanes,
    in_real_lanes,
    pair,
    turn_rows,
    turn_vectors,
    unaligned,
)
from adaptfilt.engines.cpu.numba_words import _entry, _is_array, _is_complex, _word


@intrinsic
def _pointer(typing: Any, address: Any, like: Any) -> Any:
    """Return an integer address as a pointer to values like the second argument."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(address, like), code


@_word(memory.array)
def _array(address: Any, shape: Any, like: Any) -> Any:
    if isinstance(like, AnyLanes):
        return lambda address, shape, like: unaligned(carray(_pointer(address, like), shape))  # type: ignore[call-arg]
    return lambda address, shape, like: carray(_pointer(address, like), shape)  # type: ignore[call-arg]


@_word(memory.number)
def _number(real: Any, imag: Any, like: Any) -> Any:
    as_number = memory.as_number
    if _is_complex(like):
        return lambda real, imag, like: as_number(like, complex(real, imag))
    return lambda real, imag, like: as_number(like, real)


@_word(memory.assign)
def _assign(target: Any, value: Any) -> Any:  # loops, as slices bring checks that need Python
    if not _is_array(value):

        def assign(target: Any, value: Any) -> None:
            target[0] = value
    elif target.ndim == 1:

        def assign(target: Any, value: Any) -> None:
            if target.ctypes.data != value.ctypes.data:
                for i in range(max(len(target), len(value))):  # equal; a debug build finds where not
                    target[i] = value[i]
    else:
        word = memory.assign

        def assign(target: Any, value: Any) -> None:
            if target.ctypes.data != value.ctypes.data:
                for i in range(target.shape[0]):
                    word(target[i], value[i])

    return assign


@_word(memory.assign_all)
def _assign_all(targets: Any, values: Any) -> Any:
    assign, assign_all = memory.assign, memory.assign_all
    if len(targets) == 0:
        return lambda targets, values: None

    def word(targets: Any, values: Any) -> None:
        assign(targets[0], values[0])
        assign_all(targets[1:], values[1:])

    return word


@_word(memory.finite)
def _finite(values: Any) -> Any:
    as_real, everywhere = memory.as_real, memory.everywhere
    if not _is_array(values):

        def finite(values: Any) -> bool:
            zero = values.real * 0
            return everywhere(zero + values.imag * 0 == 0)
    elif values.ndim == 1:
        energy = words.energy

        def finite(values: Any) -> bool:
            zero = as_real(values, 0)
            if everywhere(energy(values) * zero == 0):  # as is all but always so, and eight times as fast
                return True
            total = zero
            for v in values:
                total += v.real * zero + v.imag * zero
            return everywhere(total == 0)
    else:
        word = memory.finite

        def finite(values: Any) -> bool:
            ok = True
            for row in values:
                ok = ok and word(row)
            return ok

    return finite


@_word(memory.all_finite)
def _all_finite(arrays: Any) -> Any:
    finite, all_finite = memory.finite, memory.all_finite
    if len(arrays) == 0:
        return lambda arrays: True

    return lambda arrays: finite(arrays[0]) and all_finite(arrays[1:])


@intrinsic
def _called(typing: Any, function: Any, status: Any, spare: Any, arguments: Any) -> Any:
    """Return what a C function of three pointers returns, by its address."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.IntType(32), [pointer] * 3)
        given = [builder.inttoptr(value, pointer) for value in values[1:]]
        return builder.sext(builder.call(builder.inttoptr(values[0], kind.as_pointer()), given), ir.IntType(64))

    return types.int64(*[types.int64] * 4), code


@_word(memory.call)
def _call(function: Any, status: Any, spare: Any, arguments: Any) -> Any:
    return lambda function, status, spare, arguments: _called(function, status, spare, arguments)  # type: ignore[call-arg]


@_word(memory.output_and_error)
def _output_and_error(found: Any, y: Any, like: Any) -> Any:
    as_number = memory.as_number
    if isinstance(found, types.BaseTuple):
        return lambda found, y, like: (as_number(like, found[0]), as_number(like, found[1]))
    return lambda found, y, like: (y, as_number(like, found))


@_word(memory.as_number)
def _as_number(like: Any, value: Any) -> Any:
    if isinstance(_entry(like), AnyLanes):
        return lambda like, value: in_lanes(like, value)
    kind = as_dtype(_entry(like)).type
    return lambda like, value: kind(value)


@_word(memory.as_real)
def _as_real(like: Any, value: Any) -> Any:
    if isinstance(_entry(like), AnyLanes):
        return lambda like, value: in_real_lanes(like, value)
    kind = as_dtype(_entry(like)).type(0).real.dtype.type
    return lambda like, value: kind(value)


@_word(memory.cartesian)
def _cartesian(re: Any, im: Any) -> Any:
    if isinstance(re, AnyLanes) or isinstance(im, AnyLanes):
        return lambda re, im: pair(re, im)  # type: ignore[call-arg]
    return lambda re, im: complex(re, im)


@_word(memory.select)
def _select(condition: Any, a: Any, b: Any) -> Any:
    if any(isinstance(kind, Mask | AnyLanes) for kind in (condition, a, b)):
        return lambda condition, a, b: choose(condition, a, b)  # type: ignore[call-arg]
    return lambda condition, a, b: a if condition else b


@_word(memory.everywhere)
def _everywhere(condition: Any) -> Any:
    if isinstance(condition, Mask):
        return lambda condition: numba_lanes.everywhere(condition)  # type: ignore[call-arg]
    return lambda condition: condition


@_word(memory.chosen)
def _chosen(condition: Any, a: Any, b: Any) -> Any:
    chosen = memory.chosen
    if len(a) == 0:
        return lambda condition, a, b: a
    return lambda condition, a, b: (a[0] if condition else b[0], *chosen(condition, a[1:], b[1:]))


@_word(memory.correlation)
def _correlation(lag: Any, u: Any, before: Any) -> Any:
    as_number = memory.as_number

    def correlation(lag: Any, u: Any, before: Any) -> None:
        total = as_number(u, 0)
        for k in range(len(u)):
            total += u[k] * np.conj(before[k])
            before[k] = u[k]
        lag[0] = total

    return correlation


@_word(memory.convolve)
def _convolve(response: Any, x: Any, out: Any) -> Any:
    dot, data, load, zeros, splat = words.dot, vectors.data, vectors.load, vectors.zeros, vectors.splat
    store, plus_product = vectors.store, vectors.plus_product

    def convolve(response: Any, x: Any, out: Any) -> None:
        T, S, h, p, y = len(out), len(response), data(response), data(x), data(out)
        for n in range(T if T < 32 else 0):
            y[n] = dot(response, x[n : n + S])
        for first in range(0, T if T >= 32 else 0, 32):
            n = min(first, T - 32)
            a = b = c = d = zeros(p)
            for k in range(S):
                f, i = splat(h[k]), n + k
                a, b = plus_product(a, f, load(p, i)), plus_product(b, f, load(p, i + 8))
                c, d = plus_product(c, f, load(p, i + 16)), plus_product(d, f, load(p, i + 24))
            store(y, n, a)
            store(y, n + 8, b)
            store(y, n + 16, c)
            store(y, n + 24, d)

    return convolve


def _turning(word: Any, turn: Any, read: bool) -> None:
    """Teach Numba to write rows as vectors, or vectors as rows: by squares, and entry by entry at the end."""

    @_word(word)
    def overloaded(rows: Any, place: Any, size: Any, like: Any) -> Any:
        one = as_dtype(like.real).type(0)
        n, width, count = 64 // one.itemsize, one.itemsize, like.count
        array = memory.array

        def both(rows: Any, place: Any, size: Any, like: Any) -> None:
            whole = size // n * n
            for first in range(0, count, n):
                for k in range(0, whole, n):
                    turn(rows, first, k * width, place + (k * count + first) * width, count * width, one)
            flat = array(place, (size * count,), one)
            for i in range(count):
                row = array(rows[i], (size,), one)
                for k in range(whole, size):
                    if read:
                        flat[k * count + i] = row[k]
                    else:
                        row[k] = flat[k * count + i]

        return both


_turning(memory.write_rows, turn_rows, True)
_turning(memory.read_rows, turn_vectors, False)
