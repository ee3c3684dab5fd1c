"""The sample loops of the compiled engine. They run on arrays once compiled, and on tensors uncompiled, step by step.

Memory comes as addresses in one array of integers, since compiled code is called without Numba. Its first entries are
a `Call`; the adapter `memory(a, c, kept)` makes the arrays of filter c of the others, or those to go back to. A loop
changes the state in place and returns OK, or why the state must go back. `adapters` says what step and memory are.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from adaptfilt.engines.cpu.memory import all_finite, array, assign, assign_all, finite, number
from adaptfilt.engines.words import dot

OK, BAD_X, BAD_D, DIVERGED = 0, 1, 2, 3  # what a loop returns
PREDICT, ADAPT, STEP = 1, 2, 3  # what `sample` does; STEP is both
BEGIN, KEPT = 0, 2  # where a call's `begin` stands, and what it is from the copy on
X, D, Y, E, MODE, PASSED_OVER, IO = 0, 2, 4, 6, 8, 9, 10  # a sample's numbers, real and imaginary part; their count


class Call(NamedTuple):
    """Numbers and addresses of one call; a row is the distance from one filter's data to the next one's, in bytes."""

    begin: int  # 0: the first thing is to copy the one filter's state; KEPT: there is a copy to go back to
    samples: int  # of the part, T
    first: int  # the filters first to last - 1 are run
    last: int
    rows: int  # 1 where x holds ready regressors, one after the other
    skip: int  # 1 where d may be NaN: nothing adapts there
    every: int  # keep the weights after every so many samples; 0: never
    x: int
    x_row: int
    d: int
    d_row: int
    y: int
    e: int
    out_row: int
    mu: int
    mu_row: int
    mu_count: int  # 1, or one a sample
    record: int
    record_row: int


class Filter(NamedTuple):
    """The arrays of one filter."""

    w: Any  # (M,)
    line: Any  # the newest samples, oldest first
    own: Any  # tuple of what the algorithm carries besides
    p: Any  # its parameters; the leakage of a rank-one filter is last
    scratch: Any  # tuple of the update function's scratch arrays
    stream: Any  # (T + M - 1,), room for [history, part]


class Part(NamedTuple):
    """The signals of one filter over one part of a block."""

    x: Any  # (T,) or, with rows, (T M,)
    d: Any
    y: Any
    e: Any
    mu: Any  # (1,) or (T,)
    record: Any  # (T // every M,)


Step = Callable[..., Any]
Memory = Callable[..., Filter]
Run = Callable[..., None]


def block(run: Run, step: Step, memory: Memory, a: Any, call: Call, like: Any) -> int:
    """Adapt over one part of a block; run is `one_by_one` or `look_ahead`, like a signal and a real number."""
    if call.begin != KEPT:
        keep(memory(a, 0, 0), memory(a, 0, 1))
        a[BEGIN] = KEPT
    for c in range(call.first, call.last):
        own = memory(a, c, 0)
        part = part_of(c, call, len(own.w), like)
        if not finite(part.x):
            return BAD_X
        if call.skip == 0 and not finite(part.d):
            return BAD_D
        run(step, own, part, call)
        if not (finite(own.w) and all_finite(own.own)):
            return DIVERGED
    return OK


def keep(own: Filter, kept: Filter) -> None:
    """Copy the state to the arrays to go back to, or back from them."""
    assign(kept.w, own.w)
    assign(kept.line, own.line)
    assign_all(kept.own, own.own)


def part_of(c: int, call: Call, M: int, like: Any) -> Part:
    """Return the signals of filter c."""
    T, signal, real = call.samples, like[0], like[1]
    width = M if call.rows != 0 else 1
    kept = T // call.every * M if call.every > 0 else 0
    return Part(
        array(call.x + c * call.x_row, (T * width,), signal),
        array(call.d + c * call.d_row, (T,), signal),
        array(call.y + c * call.out_row, (T,), signal),
        array(call.e + c * call.out_row, (T,), signal),
        array(call.mu + c * call.mu_row, (call.mu_count,), real),
        array(call.record + c * call.record_row, (kept,), signal),
    )


def one_by_one(step: Step, own: Filter, part: Part, call: Call) -> None:
    """Run any algorithm sample by sample: u is a slice of the stream held newest first, or a row of regressors."""
    w, M, T, every = own.w, len(own.w), call.samples, call.every
    moving = min(call.mu_count - 1, 1)
    stream = part.x if call.rows != 0 else newest_first(own, part.x)
    for n in range(T):
        start = n * M if call.rows != 0 else T - 1 - n
        u = stream[start : start + M]
        y = dot(w, u)
        d = part.d[n]
        e = d - y
        if e == e:
            step(w, u, d, y, e, part.mu[n * moving], own)
        part.y[n] = y
        part.e[n] = e
        if every > 0 and (n + 1) % every == 0:
            assign(part.record[n // every * M : (n // every + 1) * M], w)
    if call.rows == 0:
        for k in range(len(own.line)):
            own.line[M - 1 - k] = stream[k]


def newest_first(own: Filter, x: Any) -> Any:
    """Return [history, part] read backwards."""
    T, M, stream = len(x), len(own.w), own.stream
    for n in range(T):
        stream[T - 1 - n] = x[n]
    for k in range(M - 1):
        stream[T + k] = own.line[M - 1 - k]
    return stream


def look_ahead(step: Step, own: Filter, part: Part, call: Call) -> None:
    """Run a rank-one filter several samples a pass: step(stream, d, mu, own, w, y, e) is `lookahead` with the gain."""
    M, T, every, stream = len(own.w), call.samples, call.every, own.stream
    assign(stream[: M - 1], own.line[1:])
    assign(stream[M - 1 : M - 1 + T], part.x)
    start = 0
    while start < T:
        stop = min(T, start + every) if every > 0 else T
        mu = part.mu[start:stop] if call.mu_count > 1 else part.mu
        step(stream[start : stop + M - 1], part.d[start:stop], mu, own, part.y[start:stop], part.e[start:stop])
        if every > 0 and stop - start == every:
            assign(part.record[start // every * M : (start // every + 1) * M], own.w)
        start = stop
    assign(own.line, stream[T - 1 : T - 1 + M])


def sample(step: Step, memory: Memory, a: Any, io: Any, u: Any, skip: int, mu_at: int, like: Any) -> int:
    """Take one sample of one filter: x and d come in and y and e go out in io; to ADAPT, d is the error itself."""
    own, kept, mode = memory(a, 0, 0), memory(a, 0, 1), int(io[MODE])
    w, line, M = own.w, own.line, len(own.w)
    x, d = number(io[X], io[X + 1], like[0]), number(io[D], io[D + 1], like[0])
    if mode == ADAPT:
        if io[PASSED_OVER] != 0:
            return OK
    else:
        bad = not finite(x)
        if bad and skip == 0:
            return BAD_X
        if mode == STEP and skip == 0 and not finite(d):
            return BAD_D
        io[PASSED_OVER] = 1.0 if bad else 0.0
    keep(own, kept)
    if mode != ADAPT:
        for k in range(M - 1):
            line[k] = line[k + 1]
        line[M - 1] = number(0.0, 0.0, like[0]) if io[PASSED_OVER] != 0 else x
    for k in range(M):
        u[k] = line[M - 1 - k]
    y = dot(w, u)
    e = d if mode == ADAPT else d - y
    known = io[PASSED_OVER] == 0 and finite(e)
    io[Y], io[Y + 1] = y.real, y.imag
    io[E], io[E + 1] = (e.real, e.imag) if known else (np.nan, np.nan)
    if mode == PREDICT or not known:
        return OK if mode == PREDICT or skip != 0 else BAD_D
    step(w, u, e + y if mode == ADAPT else d, y, e, own.p[mu_at], own)
    if finite(w) and all_finite(own.own):
        return OK
    keep(kept, own)
    return DIVERGED
