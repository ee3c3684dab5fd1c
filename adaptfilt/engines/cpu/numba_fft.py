"""The words of `fft` for Numba, on rocket-fft, or by a plan on `transforms`; and the words of `transforms`."""

from typing import Any

import numpy as np
from numba import types
from numba.core.cgutils import unpack_tuple
from numba.core.typing.templates import signature
from rocket_fft import c2c, c2r, r2c

from adaptfilt.engines.cpu import fft, transforms, vectors
from adaptfilt.engines.cpu.compile import DEBUG, part
from adaptfilt.engines.cpu.numba_vectors import LANES, Pointer, Vector, _shuffle
from adaptfilt.engines.cpu.numba_vectors import _word as _vector_word
from adaptfilt.engines.cpu.numba_words import _word

_ROWS = np.array([1])  # the axis of a transform


def _planned(plan: Any, v: Any) -> bool:
    return isinstance(plan, types.Array) and isinstance(v.dtype, types.Float) and not DEBUG


@_word(fft.forward)
def _forward(v: Any, V: Any, plan: Any = None) -> Any:
    if isinstance(v.dtype, types.Complex):
        return lambda v, V, plan=None: c2c(v, V, _ROWS, True, 1.0, 1)
    if not _planned(plan, v):
        return lambda v, V, plan=None: r2c(v, V, _ROWS, True, 1.0, 1)
    row = part(transforms.forward_row)
    data, after, parts = vectors.data, vectors.after, fft.parts

    def forward(v: Any, V: Any, plan: Any = None) -> None:
        rows, N = v.shape
        if plan[0] > 0:
            x, X, p = data(v), parts(data(V)), data(plan)
            for i in range(rows):
                row(after(x, i * N), after(X, i * (N + 2)), p, N)
        else:
            r2c(v, V, _ROWS, True, 1.0, 1)

    return forward


@_word(fft.backward)
def _backward(V: Any, v: Any, plan: Any = None) -> Any:
    if isinstance(v.dtype, types.Complex):
        return lambda V, v, plan=None: c2c(V, v, _ROWS, False, 1.0 / v.shape[1], 1)
    if not _planned(plan, v):
        return lambda V, v, plan=None: c2r(V, v, _ROWS, False, 1.0 / v.shape[1], 1)
    row = part(transforms.backward_row)
    data, after, parts = vectors.data, vectors.after, fft.parts

    def backward(V: Any, v: Any, plan: Any = None) -> None:
        rows, N = v.shape
        if plan[0] > 0:
            x, X, p = data(v), parts(data(V)), data(plan)
            for i in range(rows):
                row(after(X, i * (N + 2)), after(x, i * N), p, N)
        else:
            c2r(V, v, _ROWS, False, 1.0 / N, 1)

    return backward


@_vector_word(fft.transposed, lambda vs: signature(vs, vs), types.UniTuple)
def _transposed(context: Any, b: Any, sig: Any, args: Any) -> Any:
    # Three rounds exchange blocks of four, two and one lanes between vectors as far apart.
    vs = unpack_tuple(b, args[0])
    for step in (4, 2, 1):
        one = [i + (LANES - step) * bool(i & step) for i in range(LANES)]
        two = [i + (step if not i & step else LANES) for i in range(LANES)]
        for i in (i for i in range(LANES) if not i & step):
            v, w = vs[i], vs[i | step]
            vs[i], vs[i | step] = _shuffle(b, v, w, one), _shuffle(b, v, w, two)
    return context.make_tuple(b, sig.return_type, vs)


@_vector_word(fft.paired, lambda re, im: signature(types.UniTuple(re, 2), re, im), Vector, Vector)
def _paired(context: Any, b: Any, sig: Any, args: Any) -> Any:
    turns = [i // 2 + LANES * (i % 2) for i in range(2 * LANES)]
    re, im = args
    vs = [_shuffle(b, re, im, turns[:LANES]), _shuffle(b, re, im, turns[LANES:])]
    return context.make_tuple(b, sig.return_type, vs)


@_vector_word(fft.parted, lambda v, w: signature(types.UniTuple(v, 2), v, w), Vector, Vector)
def _parted(context: Any, b: Any, sig: Any, args: Any) -> Any:
    v, w = args
    vs = [_shuffle(b, v, w, list(range(first, 2 * LANES, 2))) for first in (0, 1)]
    return context.make_tuple(b, sig.return_type, vs)


@_vector_word(fft.backwards, lambda v: signature(v, v), Vector)
def _backwards(context: Any, b: Any, sig: Any, args: Any) -> Any:
    return _shuffle(b, args[0], args[0], list(range(LANES))[::-1])


@_vector_word(fft.parts, lambda p: signature(Pointer(p.dtype.underlying_float), p), Pointer)
def _parts(context: Any, b: Any, sig: Any, args: Any) -> Any:
    return b.bitcast(args[0], context.get_value_type(sig.return_type))
