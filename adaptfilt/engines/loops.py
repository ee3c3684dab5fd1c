"""The sample loops of the compiled engine, as text completed with the names of an algorithm's arguments.

`native` compiles them. They change the state they are given in place and return 0, or the reason to discard it:
1 where x is not finite, 2 where d is not, 3 where the weights or the state are no longer finite.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from adaptfilt.engines import lookahead, vocabulary
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.native import native

_REAL = {"complex64": "float32", "complex128": "float64"}
Flags = tuple[bool, bool] | None  # leaky and skip
Ndims = tuple[tuple[int, ...], tuple[int, ...]]  # of the state and scratch arrays of one filter

_HELPERS = """
def sample_real(re, im):
    return TYPE(re)

def sample_complex(re, im):
    return TYPE(complex(re, im))
"""

# A part of a block, N samples; u is a slice of the stream held newest first, or a row of ready regressors.
_LOOP = """
            if rows:
                stream = x
            else:
                for n in range(N):
                    stream[N - 1 - n] = x[n]
                for k in range(M - 1):
                    stream[N + k] = line[M - 1 - k]
            for n in range(N):
                start = n * M if rows else N - 1 - n
                u = stream[start : start + M]
                y = dot(w, u)
                d = desired[n]
                e = d - y
                if e == e:
                    mu = MU[at_mu + n * mu_step]
                    UPDATE
                Y[at_y + n] = y
                E[at_y + n] = e
                if every > 0 and (n + 1) % every == 0:
                    assign(RECORD[at_record + (n // every) * M : at_record + (n // every + 1) * M], w)
            if not rows:
                for k in range(M):
                    line[M - 1 - k] = stream[k]
"""

_LOOKAHEAD = """
            assign(stream[: M - 1], line[1:])
            assign(stream[M - 1 : M - 1 + N], x)
            start = 0
            while start < N:
                stop = min(N, start + every) if every > 0 else N
                mu = MU[at_mu + start : at_mu + stop] if mu_step else MU[at_mu : at_mu + 1]
                lookahead(stream[start : stop + M - 1], desired[start:stop], mu, p[-1], (OTHER_PARAMS,), w,
                          Y[at_y + start : at_y + stop], E[at_y + start : at_y + stop])
                if every > 0 and stop - start == every:
                    assign(RECORD[at_record + (start // every) * M : at_record + (start // every + 1) * M], w)
                start = stop
            assign(line, stream[N - 1 : N - 1 + M])
"""

# Filters first to last - 1 over T samples, in parts of `length`, which bounds the copy of the stream;
# framed: of one filter, whose state goes back where the block fails.
_BLOCK = """
def block(a_):
    A = carray(a_, (N_PLACES,))
    UNPACK
    W, LINE, P = carray(w_, (channels, M)), carray(line_, (channels, M)), carray(p_, (channels, N_PARAMS))
    X = carray(x_, ((channels - 1) * x_row + T * (M if rows else 1),))
    D = carray(d_, ((channels - 1) * d_row + T,))
    Y, E = carray(y_, ((channels - 1) * y_row + T,)), carray(e_, ((channels - 1) * y_row + T,))
    MU = carray(mu_, ((channels - 1) * mu_row + (T - 1) * mu_step + 1,))
    RECORD = carray(record_, ((channels - 1) * kept + (T // every * M if every > 0 else 0),))
    saved_w, saved_line, after = carray(saved_w_, (M,)), carray(saved_line_, (M,)), carray(after_, (M,))
    stream, dims = carray(stream_, (length + M - 1,)), carray(dims_, (N_DIMS,))
    ARRAYS
    c, status = 0, 0
    w, line = W[c], LINE[c]
    ROWS
    if framed:
        assign(saved_w, w)
        assign(saved_line, line)
        SAVE
    for c in range(first, last):
        w, line, p = W[c], LINE[c], P[c]
        ROWS
        for begin in range(0, T, length):
            N, at_y, at_mu = min(length, T - begin), c * y_row + begin, c * mu_row + begin * mu_step
            at_record, width = c * kept + begin // max(every, 1) * M, M if rows else 1
            x = X[c * x_row + begin * width : c * x_row + (begin + N) * width]
            desired = D[c * d_row + begin : c * d_row + begin + N]
            if poison(x) != 0:
                status = 1
            elif not skip and poison(desired) != 0:
                status = 2
            if status:
                break
            BODY
            if FINITE:
                status = 3
                break
        if status:
            break
    if framed and status:
        assign(w, saved_w)
        assign(line, saved_line)
        RESTORE
    if framed:
        assign(after, w)
    return status
"""

# One sample; mode 1: take x in and predict; 2: adapt, d being the error; 3: both, d being the desired sample.
_STEP = """
def step(a_):
    A = carray(a_, (N_PLACES,))
    UNPACK
    w, line, p = carray(w_, (M,)), carray(line_, (M,)), carray(p_, (N_PARAMS,))
    u, io, saved = carray(u_, (M,)), carray(io_, (10,)), carray(saved_w_, (M,))
    dims, channels, c = carray(dims_, (N_DIMS,)), 1, 0
    ARRAYS
    ROWS
    x_n, d, mode = SAMPLE(io[0], io[1]), SAMPLE(io[2], io[3]), int(io[8])
    bad = x_n.real * ZERO + x_n.imag * ZERO != 0
    if mode == 2 and io[9] != 0:
        return 0
    if mode & 1:
        if bad and not skip:
            return 1
        if mode & 2 and not skip and d.real * ZERO + d.imag * ZERO != 0:
            return 2
        oldest = line[0]
        for k in range(M - 1):
            line[k] = line[k + 1]
        line[M - 1] = SAMPLE(0.0, 0.0) if bad else x_n
        io[9] = 1.0 if bad else 0.0
    for k in range(M):
        u[k] = line[M - 1 - k]
    y = dot(w, u)
    e = d if mode == 2 else d - y
    if bad or (skip and e.real * ZERO + e.imag * ZERO != 0):
        e = SAMPLE(np.nan, np.nan)
    io[4], io[5], io[6], io[7] = y.real, y.imag, e.real, e.imag
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

NUMBERS = ["M", "T", "length", "skip", "rows", "framed", "first", "last", "channels"]
NUMBERS += ["x_row", "d_row", "y_row", "mu_row", "mu_step", "every", "kept"]


@cache
def places(algorithm: Algorithm) -> dict[str, int]:
    """Return where in the one array that compiled code gets each number and each address stands."""
    return {name.partition(":")[0]: i for i, name in enumerate([*NUMBERS, *_pointers(algorithm)])}


def _pointers(algorithm: Algorithm) -> list[str]:
    """Return the names of all addresses, with the type they point to where it is not the filter's."""
    own = [
        "line",
        "w",
        "p:real",
        "mu:real",
        "dims:int64",
        "io:float64",
        "stream",
        "u",
        "after",
        "saved_w",
        "saved_line",
    ]
    saved = [f"saved_{s}" for s in algorithm.state]
    return [*own, *algorithm.state, *saved, *algorithm.scratch, "x", "d", "y", "e", "record"]


@cache
def block_function(algorithm: Algorithm, dtype: str, ndims: Ndims, flags: Flags) -> Callable[..., int]:
    """Return the block loop of an algorithm: with lookahead where its flags are given, leaky and skip.

    Its one argument is the address of an array of int64, filled as `places` says.
    """
    text = _BLOCK.replace("BODY", (_LOOP if flags is None else _LOOKAHEAD).strip())
    return _build("block", text, algorithm, dtype, ndims, flags)


@cache
def step_function(algorithm: Algorithm, dtype: str, ndims: Ndims) -> Callable[..., int]:
    """Return the one-sample function of an algorithm; its one argument is as for `block_function`."""
    return _build("step", _STEP, algorithm, dtype, ndims, None)


def _build(name: str, text: str, algorithm: Algorithm, dtype: str, ndims: Ndims, flags: Flags) -> Callable[..., int]:
    """Put the algorithm's arguments into a loop's text and compile it."""
    real = _REAL.get(dtype, dtype)
    like = {"": "TYPE(0)", "real": "ZERO", "int64": "0", "float64": "0.0"}
    given = [a.partition(":") for a in _pointers(algorithm)]
    unpack = [f"{n} = A[{i}]" for i, n in enumerate(NUMBERS)]
    unpack += [f"{a}_ = pointer(A[{i}], {like[kind]})" for i, (a, _, kind) in enumerate(given, len(NUMBERS))]
    pieces = {
        "UNPACK": unpack,
        "N_PLACES": [str(len(NUMBERS) + len(given))],
        "N_DIMS": [str(sum(ndims[0] + ndims[1]))],
        "N_PARAMS": [str(len(algorithm.params) + bool(algorithm.gain))],
        "OTHER_PARAMS": [", ".join(f"p[{i}]" for i in range(1, len(algorithm.params))) or "p[-1]"],
        "MU_INDEX": [str(algorithm.params.index("mu") if "mu" in algorithm.params else 0)],
        "SAVE": [f"assign(saved_{s}, of_{s})" for s in algorithm.state],
        "RESTORE": [f"assign(of_{s}, saved_{s})" for s in algorithm.state],
        "FINITE": [" or ".join(["poison(w) != 0", *(f"poison(of_{s}) != 0" for s in algorithm.state)])],
        "SAMPLE": ["sample_complex" if real != dtype else "sample_real"],
        "UPDATE": _update_lines(algorithm),
        **_array_lines(algorithm, ndims),
    }
    for key, lines in pieces.items():
        text = _fill(text, key, lines)
    inject: dict[str, Any] = {"np": np, **{k: getattr(vocabulary, k) for k in ("dot", "energy", "axpyc")}}
    inject |= {"ZERO": getattr(np, real)(0), "ONE": getattr(np, real)(1), "TYPE": getattr(np, dtype)}
    inject |= {"function": algorithm.function}
    if flags is not None:
        rest = ", ".join(["mu", *(f"p[{i}]" for i in range(len(algorithm.params) - 1))])
        text += f"\ndef gain(e, energy, mu, p):\n    return TYPE(function(e, energy, {rest}))\n"
        text = inspect.getsource(lookahead) + f"\nLEAKY, SKIP = {flags}\n" + text
    return native(name, text + _HELPERS, ("int64*",), inject)


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


def _array_lines(algorithm: Algorithm, ndims: Ndims) -> dict[str, list[str]]:
    """Return the lines that make arrays of addresses, and those that pick the ones of filter c."""
    arrays, rows, at = [], [], 0
    for name, ndim in zip((*algorithm.state, *algorithm.scratch), ndims[0] + ndims[1], strict=True):
        shape = "".join(f"dims[{i}], " for i in range(at, at + ndim))
        at += ndim
        carried = name in algorithm.state
        arrays.append(f"ALL_{name} = carray({name}_, ({'channels, ' if carried else ''}{shape}))")
        rows.append(f"of_{name} = ALL_{name}[c]" if carried else f"of_{name} = ALL_{name}")
        if carried:
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
