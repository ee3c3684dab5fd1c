"""The sample loops of the compiled engine, as text completed with the names of an algorithm's arguments.

`native` compiles them. They change the state they are given in place and return 0, or the reason to discard it:
1 where x is not finite, 2 where d is not, 3 where the weights or the state are no longer finite.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from adaptfilt.engines import vocabulary
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.native import native

Ndims = tuple[tuple[int, ...], tuple[int, ...]]  # of the state and scratch arrays of one filter

_HELPERS = """
def poison(values):
    total = ZERO
    for v in values.flat:
        total += v.real * ZERO + v.imag * ZERO
    return total

def sample_real(re, im):
    return TYPE(re)

def sample_complex(re, im):
    return TYPE(complex(re, im))
"""

# u is a slice of the stream held newest first, or a row of ready regressors.
_LOOP = """
        if rows:
            stream = X[c * x_row : c * x_row + T * M]
        else:
            for n in range(T):
                stream[T - 1 - n] = x[n]
            for k in range(M - 1):
                stream[T + k] = line[M - 1 - k]
        for n in range(T):
            start = n * M if rows else T - 1 - n
            u = stream[start : start + M]
            y = dot(w, u)
            d = desired[n]
            e = d - y
            if e == e:
                mu = MU[c * mu_row + n * mu_step]
                UPDATE
            Y[c * y_row + n] = y
            E[c * y_row + n] = e
            if every > 0 and (n + 1) % every == 0:
                assign(RECORD[c * kept + (n // every) * M : c * kept + (n // every + 1) * M], w)
        if not rows:
            for k in range(M):
                line[M - 1 - k] = stream[k]
"""

_LOOKAHEAD = """
        assign(stream[: M - 1], line[1:])
        assign(stream[M - 1 :], x)
        start = 0
        while start < T:
            stop = min(T, start + every) if every > 0 else T
            mu = MU[c * mu_row + start : c * mu_row + stop] if mu_step else MU[c * mu_row : c * mu_row + 1]
            lookahead(stream[start : stop + M - 1], desired[start:stop], mu, p[-1], p, w,
                      Y[c * y_row + start : c * y_row + stop], E[c * y_row + start : c * y_row + stop])
            if every > 0 and stop - start == every:
                assign(RECORD[c * kept + (start // every) * M : c * kept + (start // every + 1) * M], w)
            start = stop
        assign(line, stream[T - 1 :])
"""

_BLOCK = """
def block(POINTERS, first, last, channels, T, M, x_row, d_row, y_row, mu_row, mu_step, every, kept, rows, skip):
    W, LINE, P = carray(w_, (channels, M)), carray(line_, (channels, M)), carray(p_, (channels, N_PARAMS))
    X, D = carray(x_, (channels * x_row,)), carray(d_, (channels * d_row,))
    Y, E = carray(y_, (channels * y_row,)), carray(e_, (channels * y_row,))
    MU, RECORD = carray(mu_, (max(channels * mu_row, T),)), carray(record_, (max(channels * kept, M),))
    stream, dims = carray(stream_, (T + M - 1,)), carray(dims_, (16,))
    ARRAYS
    for c in range(first, last):
        w, line, p = W[c], LINE[c], P[c]
        ROWS
        x, desired = X[c * x_row : c * x_row + T * (M if rows else 1)], D[c * d_row : c * d_row + T]
        if poison(x) != 0:
            return 1
        if not skip and poison(desired) != 0:
            return 2
        BODY
        if FINITE:
            return 3
    return 0
"""

# mode 1: take x in and predict; 2: adapt, d being the error; 3: both, d being the desired sample.
_STEP = """
def step(POINTERS, mode, M, skip, xr, xi, dr, di):
    w, line, p = carray(w_, (M,)), carray(line_, (M,)), carray(p_, (N_PARAMS,))
    u, out, saved = carray(u_, (M,)), carray(out_, (4,)), carray(saved_, (M,))
    dims, channels = carray(dims_, (16,)), 1
    ARRAYS
    c, x_n, d = 0, SAMPLE(xr, xi), SAMPLE(dr, di)
    ROWS
    bad = x_n.real * ZERO + x_n.imag * ZERO != 0
    if mode & 1:
        if bad and not skip:
            return 1
        if mode & 2 and not skip and d.real * ZERO + d.imag * ZERO != 0:
            return 2
        oldest = line[0]
        for k in range(M - 1):
            line[k] = line[k + 1]
        line[M - 1] = SAMPLE(0.0, 0.0) if bad else x_n
    for k in range(M):
        u[k] = line[M - 1 - k]
    y = dot(w, u)
    e = d if mode == 2 else d - y
    if bad or (skip and e.real * ZERO + e.imag * ZERO != 0):
        e = SAMPLE(np.nan, np.nan)
    out[0], out[1], out[2], out[3] = y.real, y.imag, e.real, e.imag
    if mode == 1 or (skip and e.real * ZERO + e.imag * ZERO != 0):
        return 0
    if mode == 2 and e.real * ZERO + e.imag * ZERO != 0:
        return 2
    d = e + y if mode == 2 else d
    mu = p[MU_INDEX]
    assign(saved, w)
    SAVE
    UPDATE
    if FINITE:
        assign(w, saved)
        RESTORE
        if mode & 1:
            for k in range(M - 1, 0, -1):
                line[k] = line[k - 1]
            line[0] = oldest
        return 3
    return 0
"""


@cache
def block_function(algorithm: Algorithm, dtype: str, ndims: Ndims, flags: tuple[bool, bool] | None) -> Callable[..., int]:
    """Return the block loop of an algorithm: with lookahead where its flags are given, leaky and skip."""
    pointers = ["x", "d", "y", "e", "record", "mu:real", "line", "w", "p:real", "dims:int64"]
    text = _BLOCK.replace("BODY", (_LOOP if flags is None else _LOOKAHEAD).strip())
    return _build("block", text, pointers, ["stream"], ["int64"] * 14, algorithm, dtype, ndims, flags)


@cache
def step_function(algorithm: Algorithm, dtype: str, ndims: Ndims) -> Callable[..., int]:
    """Return the one-sample function of an algorithm.

    Its arguments are the addresses of line, w, p, u (M entries), out (y and e, real and imaginary part), the sizes,
    a copy of w, the state, a copy of the state, and the scratch arrays; then mode, M, skip, x and d (real, imaginary).
    """
    pointers = ["line", "w", "p:real", "u", "out:float64", "dims:int64", "saved"]
    return _build("step", _STEP, pointers, [], ["int64"] * 3 + ["float64"] * 4, algorithm, dtype, ndims, None)


def _build(
    name: str,
    text: str,
    pointers: list[str],
    own: list[str],
    sizes: list[str],
    algorithm: Algorithm,
    dtype: str,
    ndims: Ndims,
    flags: tuple[bool, bool] | None,
) -> Callable[..., int]:
    """Complete a loop's text with the algorithm's arguments and compile it."""
    real = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
    saved = [f"saved_{s}" for s in algorithm.state] if name == "step" else []
    pointers = [*pointers, *algorithm.state, *saved, *own, *algorithm.scratch]
    kinds = tuple({"real": real, "": dtype}.get(t := p.partition(":")[2], t) + "*" for p in pointers)
    pieces = {
        "POINTERS": [", ".join(p.partition(":")[0] + "_" for p in pointers)],
        "N_PARAMS": [str(len(algorithm.params) + bool(algorithm.gain))],
        "MU_INDEX": [str(algorithm.params.index("mu") if "mu" in algorithm.params else 0)],
        "SAVE": [f"assign(saved_{s}, of_{s})" for s in algorithm.state],
        "RESTORE": [f"assign(of_{s}, saved_{s})" for s in algorithm.state],
        "FINITE": [" or ".join(["poison(w) != 0", *(f"poison(of_{s}) != 0" for s in algorithm.state)])],
        "SAMPLE": ["sample_complex" if real != dtype else "sample_real"],
        "UPDATE": _update_lines(algorithm),
        **_array_lines(algorithm, ndims, bool(saved)),
    }
    for key, lines in pieces.items():
        text = _fill(text, key, lines)
    inject: dict[str, Any] = {"np": np, **{k: getattr(vocabulary, k) for k in ("dot", "energy", "axpyc")}}
    inject |= {"ZERO": getattr(np, real)(0), "ONE": getattr(np, real)(1), "TYPE": getattr(np, dtype)}
    inject |= {"function": algorithm.function}
    if flags is not None:
        inject |= {"LEAKY": flags[0], "SKIP": flags[1]}
        rest = ", ".join(["mu", *(f"p[{i}]" for i in range(1, len(algorithm.params)))])
        text += f"\ndef gain(e, energy, mu, p):\n    return TYPE(function(e, energy, {rest}))\n"
        from adaptfilt.engines import lookahead

        text = inspect.getsource(lookahead) + text
    return native(name, text + _HELPERS, (*kinds, *sizes), inject)


def _update_lines(algorithm: Algorithm) -> list[str]:
    """Return the lines that adapt the weights at one sample."""
    values = {k: f"p[{i}]" for i, k in enumerate(algorithm.params)} | {"mu": "mu"}
    if algorithm.gain:
        rest = ", ".join(values[k] for k in algorithm.params)
        return [f"axpyc(TYPE(function(e, energy(u), {rest})), u, w, ONE - mu * p[-1])"]
    values |= {k: f"of_{k}" for k in algorithm.state}
    given = [values.get(k, k) for k in algorithm.arguments] + [f"{k}=of_{k}" for k in algorithm.scratch]
    targets = ["w", *(f"of_{k}" for k in algorithm.state)]
    call_line = f"{', '.join('new_' + t for t in targets)} = function({', '.join(given)})"
    return [call_line, *(f"assign({t}, new_{t})" for t in targets)]


def _array_lines(algorithm: Algorithm, ndims: Ndims, saved: bool) -> dict[str, list[str]]:
    """Return the lines that make arrays of addresses, and those that pick the ones of filter c."""
    arrays, rows, at = [], [], 0
    for name, ndim in zip((*algorithm.state, *algorithm.scratch), ndims[0] + ndims[1], strict=True):
        shape = "".join(f"dims[{i}], " for i in range(at, at + ndim))
        at += ndim
        carried = name in algorithm.state
        arrays.append(f"ALL_{name} = carray({name}_, ({'channels, ' if carried else ''}{shape}))")
        rows.append(f"of_{name} = ALL_{name}[c]" if carried else f"of_{name} = ALL_{name}")
        if saved and carried:
            arrays.append(f"saved_{name} = carray(saved_{name}_, ({shape}))")
    return {"ARRAYS": arrays, "ROWS": rows}


def _fill(text: str, key: str, lines: list[str]) -> str:
    """Replace key by the lines, all with the indentation of the line that holds it."""
    done = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()))
        first, *others = lines or ["pass"]
        done += [line.replace(key, first), *(indent + other for other in others)] if key in line else [line]
    return "\n".join(done)
