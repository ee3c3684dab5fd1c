"""The sample loops of the compiled engine. They run on arrays once compiled, and on tensors uncompiled, step by step.

Memory comes as addresses in one array of integers, since compiled code is called without Numba. Its first entries are
a `Call`; the adapter `memory(a, c, kept)` makes the arrays of filter c of the others, or those to go back to. A loop
changes the state in place and returns OK, or why the state must go back. What it takes as `rule` are an algorithm's
functions, as `adapters` writes them.

Streams are counted by b, filters by c: outputs that share a stream follow each other.
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
    """Numbers and addresses of one call; a row is the distance from one stream's data to the next one's, in bytes."""

    begin: int  # 0: the first thing is to copy the one filter's state; KEPT: there is a copy to go back to
    samples: int  # of x in the part, T
    outputs: int  # of y in the part, N
    first: int  # the filters first to last - 1 are run
    last: int
    shared: int  # filters that share a stream
    sps: int  # samples an output
    offset: int  # sample with which the first output is made
    rows: int  # 1 where x holds ready regressors, one after the other
    marked: int  # 1 where d may hold marks: nothing adapts there
    every: int  # keep the weights after every so many outputs; 0: never
    x: int
    x_row: int
    x_input: int  # the distance from one input to the next
    v: int  # the direction
    v_row: int
    v_input: int
    d: int
    d_row: int
    y: int
    e: int
    out_row: int
    mu: int
    mu_row: int
    mu_count: int  # 1, or one an output
    record: int
    record_row: int


class Filter(NamedTuple):
    """The arrays of one filter, and the rooms that a call has for it; what is not there has a length of 0."""

    w: Any  # (F,)
    line: Any  # (C, M), the newest samples, oldest first
    direction: Any  # (C, M), the same of what updates are made of
    fed: Any  # (K + 1,), what was fed back, oldest first
    before: Any  # (F,), the regressor of the last sample
    lag: Any  # (1,), of the last sample
    played: Any  # (S,), past outputs, oldest first
    state: Any  # tuple of what the algorithm carries besides
    p: Any  # its parameters; a leakage is last
    vectors: Any  # tuple of the arrays that all samples share
    path: Any  # (S,)
    scratch: Any  # tuple of the algorithm's scratch arrays
    stream: Any  # (rows, PART + M) for [past, part], newest first or, for lookahead, oldest first
    stream_v: Any  # the same of the direction
    u: Any  # (F,), a regressor that is no slice
    u_v: Any
    phases: Any  # weights, phase after phase
    out: Any  # (S + PART,), outputs that a path hears


class Part(NamedTuple):
    """The signals of one filter over one part of a block."""

    x: Any  # ready regressors, one after the other
    d: Any  # (N,)
    y: Any
    e: Any
    mu: Any  # (1,) or (N,)
    record: Any  # (N // every F,)
    b: int  # the stream
    leads: bool  # the first filter of its stream


class Rule(NamedTuple):
    """An algorithm's functions."""

    error: Any  # (y, d, n, own) -> z, e
    step: Any  # (w, u, v, d, y, e, mu, own), makes the update
    feed: Any  # (own, y, d), pushes what is fed back
    correlate: Any  # (own, u), notes the lag
    valid: Any  # d -> whether the sample counts
    moves: Any  # mu -> whether the filter adapts


class Recursion(NamedTuple):
    """The functions of a recursion."""

    step: Any  # (own, x, d) -> y, e
    weigh: Any  # (own, w), writes the weights to w
    valid: Any


class Ahead(NamedTuple):
    """What lookahead is made of."""

    kernel: Any  # (x, v, d, mu, own, lag, w, y, e) -> lag, is `lookahead`
    write: Any  # `write_input`, or `write_phases` where there are several samples an output
    part: Any  # (w, phases, C, M, sps): `to_phases`, or nothing
    join: Any  # `from_phases`, or nothing


Memory = Callable[..., Filter]
Run = Callable[..., None]


def block(run: Run, rule: Any, memory: Memory, a: Any, call: Call, like: Any) -> int:
    """Adapt over one part of a block; like holds a signal and a real number."""
    zero = np.int64(0)  # a literal would be a type of its own, and a function more to compile
    if call.begin != KEPT:
        keep(memory(a, zero, zero), memory(a, zero, np.int64(1)))
        a[BEGIN] = KEPT
    for c in range(call.first, call.last):
        own = memory(a, c, zero)
        part = part_of(c, call, len(own.w), like)
        if part.leads and not finite_input(part, own, call, like):
            return BAD_X
        if call.marked == 0 and not finite(part.d):
            return BAD_D
        run(rule, own, part, call, like)
        if c % call.shared == call.shared - 1 and call.rows == 0:
            for q in range(len(own.line)):
                move(own.line[q], input_of(part.b, q, call, like))
            for q in range(len(own.direction)):
                move(own.direction[q], direction_of(part.b, q, call, like))
        if not (finite(own.w) and all_finite(own.state)):
            return DIVERGED
    return OK


def keep(own: Filter, kept: Filter) -> None:
    """Copy the state to the arrays to go back to, or back from them."""
    assign(kept.w, own.w)
    assign(kept.line, own.line)
    assign(kept.direction, own.direction)
    assign(kept.fed, own.fed)
    assign(kept.before, own.before)
    assign(kept.lag, own.lag)
    assign(kept.played, own.played)
    assign_all(kept.state, own.state)


def part_of(c: int, call: Call, F: int, like: Any) -> Part:
    """Return the signals of filter c."""
    N, b, signal = call.outputs, c // call.shared, like[0]
    given = N * F if call.rows != 0 else 0
    kept = N // call.every * F if call.every > 0 else 0
    return Part(
        array(call.x + b * call.x_row, (given,), signal),
        array(call.d + c * call.d_row, (N,), signal),
        array(call.y + c * call.out_row, (N,), signal),
        array(call.e + c * call.out_row, (N,), signal),
        array(call.mu + c * call.mu_row, (call.mu_count,), like[1]),
        array(call.record + c * call.record_row, (kept,), signal),
        b,
        c % call.shared == 0,
    )


def input_of(b: int, q: int, call: Call, like: Any) -> Any:
    """Return one input of a stream, (T,)."""
    return array(call.x + b * call.x_row + q * call.x_input, (call.samples,), like[0])


def direction_of(b: int, q: int, call: Call, like: Any) -> Any:
    """Return one input of what updates are made of, (T,)."""
    return array(call.v + b * call.v_row + q * call.v_input, (call.samples,), like[0])


def finite_input(part: Part, own: Filter, call: Call, like: Any) -> bool:
    """Say whether all of x is finite."""
    good = finite(part.x)
    if call.rows == 0:
        for q in range(len(own.line)):
            good = good and finite(input_of(part.b, q, call, like))
    return good


def move(line: Any, x: Any) -> None:
    """Take new samples into a line, oldest first."""
    M, T = len(line), len(x)
    for k in range(M - T):
        line[k] = line[k + T]
    for k in range(max(M - T, 0), M):
        line[k] = x[T - M + k]


# Sample by sample


def one_by_one(rule: Rule, own: Filter, part: Part, call: Call, like: Any) -> None:
    """Run any algorithm sample by sample: a stream is held newest first, so that a regressor is a slice of it."""
    w, F, every, S = own.w, len(own.w), call.every, len(own.path)
    moving = min(call.mu_count - 1, 1)
    if part.leads and call.rows == 0:
        for q in range(len(own.line)):
            newest_first(own.stream[q], own.line[q], input_of(part.b, q, call, like))
        for q in range(len(own.direction)):
            newest_first(own.stream_v[q], own.direction[q], direction_of(part.b, q, call, like))
    assign(own.out[:S], own.played)
    for n in range(call.outputs):
        start = call.samples - 1 - call.offset - n * call.sps
        u = part.x[n * F : (n + 1) * F] if call.rows != 0 else regressor(own, own.stream, start, own.u)
        v = u if len(own.direction) == 0 else regressor(own, own.stream_v, start, own.u_v)
        d, mu, y = part.d[n], part.mu[n * moving], dot(w, u)
        rule.correlate(own, u)
        if S > 0:
            own.out[S + n] = y
        z, e = rule.error(y, d, n, own)
        if not rule.valid(d):
            e = number(np.nan, np.nan, like[0])
        elif rule.moves(mu) and e == e:
            rule.step(w, u, v, d, y, e, mu, own)
        rule.feed(own, z, d)
        part.y[n] = z
        part.e[n] = e
        if every > 0 and (n + 1) % every == 0:
            assign(part.record[n // every * F : (n // every + 1) * F], w)
    assign(own.played, own.out[call.outputs : call.outputs + S])


def newest_first(stream: Any, line: Any, x: Any) -> None:
    """Write [line, x] read backwards."""
    T, M = len(x), len(line)
    for n in range(T):
        stream[T - 1 - n] = x[n]
    for k in range(M):
        stream[T + k] = line[M - 1 - k]


def regressor(own: Filter, stream: Any, start: int, u: Any) -> Any:
    """Return the regressor whose newest samples stand at start: a slice where it is one, else written to u."""
    C, M = own.line.shape
    if len(own.w) == M:
        return stream[0, start : start + M]
    for q in range(C):
        assign(u[q * M : (q + 1) * M], stream[q, start : start + M])
    write_fed(own.fed, u[C * M :], 0)
    return u


def write_fed(fed: Any, u: Any, back: int) -> None:
    """Write what was fed back, newest first, as it was some samples back."""
    K = len(u)
    for k in range(K):
        u[k] = fed[K - k - back]


def echo(path: Any, out: Any, n: int) -> Any:
    """Return what is heard of outputs 0 to n through a path."""
    S = len(path)
    total = path[0] * out[S + n]
    for k in range(1, S):
        total += path[k] * out[S + n - k]
    return total


def recursive(rule: Recursion, own: Filter, part: Part, call: Call, like: Any) -> None:
    """Run a recursion sample by sample; without a valid d, or where mu is 0, it only filters."""
    F, every, unknown = len(own.w), call.every, number(np.nan, np.nan, like[0])
    moving = min(call.mu_count - 1, 1)
    x = input_of(part.b, 0, call, like)
    for n in range(call.outputs):
        d = part.d[n]
        adapts = rule.valid(d) and part.mu[n * moving] != 0
        y, e = rule.step(own, x[n], d if adapts else unknown)
        part.y[n] = y
        part.e[n] = e if adapts else d - y
        if every > 0 and (n + 1) % every == 0:
            rule.weigh(own, part.record[n // every * F : (n // every + 1) * F])
    rule.weigh(own, own.w)


# Several samples a pass


def look_ahead(rule: Ahead, own: Filter, part: Part, call: Call, like: Any) -> None:
    """Run a rank-one filter several samples a pass."""
    C, M = own.line.shape
    N, F, every, S, sps = call.outputs, len(own.w), call.every, len(own.path), call.sps
    L = (M + sps - 1) // sps  # weights of the longest phase
    if part.leads:
        for q in range(C):
            rule.write(own.stream, own.line[q], input_of(part.b, q, call, like), q, C, call)
        for q in range(len(own.direction)):
            rule.write(own.stream_v, own.direction[q], direction_of(part.b, q, call, like), q, C, call)
    w = own.w if sps == 1 else own.phases
    lag = lag_of(own.stream, own.before, M)
    assign(own.out[:S], own.played)
    start = 0
    while start < N:
        stop = min(N, start + every) if every > 0 else N
        mu = part.mu[start:stop] if call.mu_count > 1 else part.mu
        x, v = own.stream[:, start : stop + L - 1], own.stream_v[:, start : stop + L - 1]
        y = part.y[start:stop] if S == 0 else own.out[start : S + stop]
        rule.part(own.w, w, C, M, sps)
        lag = rule.kernel(x, v, part.d[start:stop], mu, own, lag, w, y, part.e[start:stop])
        rule.join(own.w, w, C, M, sps)
        if every > 0 and stop - start == every:
            assign(part.record[start // every * F : (start // every + 1) * F], own.w)
        start = stop
    for k in range(len(own.lag)):
        own.lag[k] = lag
    for k in range(len(own.before)):
        own.before[k] = own.stream[k // M, N + M - 2 - k % M]
    if S > 0:
        assign(part.y, own.out[S : S + N])
        assign(own.played, own.out[N : N + S])


def write_input(stream: Any, line: Any, x: Any, q: int, C: int, call: Call) -> None:
    """Write [past, part] of input q, oldest first."""
    row, M, T = stream[q], len(line), len(x)
    for k in range(M - 1):
        row[k] = line[k + 1]
    for n in range(T):
        row[M - 1 + n] = x[n]


def write_phases(stream: Any, line: Any, x: Any, q: int, C: int, call: Call) -> None:
    """Write the phases of input q, oldest first: row p C + q holds samples p before those that outputs are made of."""
    M, sps = len(line), call.sps
    past = (M + sps - 1) // sps - 1
    for p in range(sps):
        row = stream[p * C + q]
        for j in range(call.outputs + past):
            i = call.offset + (j - past) * sps - p
            row[j] = x[i] if i >= 0 else line[max(M + i, 0)]


def to_phases(w: Any, phases: Any, C: int, M: int, sps: int) -> None:
    """Write weights phase after phase; shorter phases end with 0."""
    L = (M + sps - 1) // sps
    for r in range(C * sps):
        for j in range(L):
            k = r // C + sps * j
            phases[r * L + j] = w[r % C * M + k] if k < M else 0


def from_phases(w: Any, phases: Any, C: int, M: int, sps: int) -> None:
    """Write weights in the order of time."""
    L = (M + sps - 1) // sps
    for q in range(C):
        for k in range(M):
            w[q * M + k] = phases[(k % sps * C + q) * L + k // sps]


def lag_of(stream: Any, before: Any, M: int) -> Any:
    """Return u^T conj(before) of the first regressor; 0 where before is not kept."""
    total = stream[0, 0] * 0
    for k in range(len(before)):
        total += stream[k // M, M - 1 - k % M] * np.conj(before[k])
    return total


# Single samples


def sample(rule: Rule, memory: Memory, a: Any, io: Any, skip: int, mu_at: int, like: Any) -> int:
    """Take one sample of one filter: x and d come in and y and e go out in io; to ADAPT, d is the error itself."""
    zero, mode = np.int64(0), int(io[MODE])
    own, kept = memory(a, zero, zero), memory(a, zero, np.int64(1))
    w, u, M, nan = own.w, own.u, own.line.shape[1], number(np.nan, np.nan, like[0])
    x, d = number(io[X], io[X + 1], like[0]), number(io[D], io[D + 1], like[0])
    if mode == ADAPT:
        if io[PASSED_OVER] != 0:
            return OK
        if not finite(d):
            return OK if skip != 0 else BAD_D
    else:
        bad = not finite(x)
        if bad and skip == 0:
            return BAD_X
        if mode == STEP and skip == 0 and not rule.valid(d):
            return BAD_D
        io[PASSED_OVER] = 1.0 if bad else 0.0
    keep(own, kept)
    if mode != ADAPT:
        line = own.line[0]
        for k in range(M - 1):
            line[k] = line[k + 1]
        line[M - 1] = number(0.0, 0.0, like[0]) if io[PASSED_OVER] != 0 else x
    for k in range(M):
        u[k] = own.line[0, M - 1 - k]
    write_fed(own.fed, u[M:], 1 if mode == ADAPT else 0)
    y = dot(w, u)
    if mode == PREDICT:
        d = nan
    z, e = y, d
    if mode != ADAPT:
        rule.correlate(own, u)
        z, e = rule.error(y, d, 0, own)
        if io[PASSED_OVER] != 0 or not rule.valid(d):
            e = nan
    mu = own.p[mu_at] if mu_at >= 0 else like[2]
    if mode != PREDICT and e == e and rule.moves(mu):
        rule.step(w, u, u, y + e if mode == ADAPT else d, y, e, mu, own)
    if mode != ADAPT:
        rule.feed(own, z, d)
    io[Y], io[Y + 1], io[E], io[E + 1] = z.real, z.imag, e.real, e.imag
    if finite(w) and all_finite(own.state):
        return OK
    keep(kept, own)
    return DIVERGED


def recursive_sample(rule: Recursion, memory: Memory, a: Any, io: Any, skip: int, mu_at: int, like: Any) -> int:
    """Take one sample of one recursion; to PREDICT, d is not known."""
    zero, mode = np.int64(0), int(io[MODE])
    own, kept = memory(a, zero, zero), memory(a, zero, np.int64(1))
    x, d = number(io[X], io[X + 1], like[0]), number(io[D], io[D + 1], like[0])
    bad = not finite(x)
    if bad and skip == 0:
        return BAD_X
    if mode == STEP and skip == 0 and not rule.valid(d):
        return BAD_D
    io[PASSED_OVER] = 1.0 if bad else 0.0
    keep(own, kept)
    adapts = mode == STEP and rule.valid(d) and not bad
    x = number(0.0, 0.0, like[0]) if bad else x
    y, e = rule.step(own, x, d if adapts else number(np.nan, np.nan, like[0]))
    line = own.line[0]
    for k in range(len(line) - 1):
        line[k] = line[k + 1]
    line[len(line) - 1] = x
    if not adapts:
        e = number(np.nan, np.nan, like[0])
    io[Y], io[Y + 1], io[E], io[E + 1] = y.real, y.imag, e.real, e.imag
    if all_finite(own.state):
        return OK
    keep(kept, own)
    return DIVERGED
