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

from adaptfilt.engines.cpu.memory import (
    all_finite,
    array,
    as_number,
    as_real,
    assign,
    assign_all,
    convolve,
    finite,
    number,
)
from adaptfilt.engines.cpu.vectors import data
from adaptfilt.engines.words import axpyc, dot, energy

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
    d: int
    d_row: int
    d_run: int  # the distance from one error's to the next one's
    y: int
    e: int
    y_row: int
    e_row: int
    run: int  # the distance from one output, or error, of a filter to the next
    errors: int  # that a filter has, L: what microphones hear of its outputs
    mu: int
    mu_row: int
    mu_count: int  # 1, or one an output
    record: int
    record_row: int


class Filter(NamedTuple):
    """The arrays of one filter, and the rooms that a call has for it; `adapters` knows which signals and rooms."""

    w: Any  # (F,)
    line: Any  # (C, M), the newest samples, oldest first
    signals: Any  # tuple of what else moves with the stream, see SIGNALS
    state: Any  # tuple of what the algorithm carries besides
    p: Any  # its parameters; a leakage is last
    vectors: Any  # tuple of the arrays that all samples share
    scratch: Any  # tuple of the algorithm's scratch arrays
    stream: Any  # (rows, PART + M) for [past, part], newest first or, for lookahead, oldest first
    u: Any  # (F,), a regressor that is no slice
    rooms: Any  # tuple, see ROOMS


SIGNALS = {
    "direction": 2,  # (C, M), the newest samples of what updates are made of, oldest first
    "reference": 2,  # (C, S), the newest samples of x, of which the direction is made
    "fed": 1,  # (K + 1,), what was fed back, oldest first
    "before": 1,  # (F,), the regressor of the last sample
    "lag": 1,  # (1,), of the last sample
    "played": 1,  # (S,), past outputs that a path hears, oldest first
}  # and their dimensions, as those of
ROOMS = {
    "stream_v": 2,  # as stream, of the direction
    "u_v": 1,  # (F,)
    "phases": 1,  # weights, phase after phase
    "secondary": 1,  # (S,), the responses by which x is filtered, oldest weight first
    "unfiltered": 1,  # (S - 1 + PART,)
    "filtered": 1,  # (PART,)
    "path": 1,  # (S,)
    "out": 1,  # (S + PART,), outputs that a path hears
    "lags": 1,  # of a part, 16 an output, where outputs share them
}


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
    """An algorithm's functions, and those of its structure."""

    error: Any  # (y, d, n, own) -> z, e
    step: Any  # (w, u, v, d, y, e, mu, own), makes the update
    valid: Any  # d -> whether the sample counts
    moves: Any  # mu -> whether the filter adapts
    begin: Any  # (own, part, call, like), takes the streams in
    regressor: Any  # (own, start) -> u
    direction: Any  # (own, start, u) -> v
    correlate: Any  # (own, u), notes the lag
    feed: Any  # (own, y, d), pushes what is fed back
    hear: Any  # (own, x), filters a single sample for the direction
    along: Any  # (own, u) -> v of a single sample
    recall: Any  # (own, back), writes u as it was some samples back
    end: Any  # (own, part, call), keeps what a path hears


class Together(NamedTuple):
    """The functions of a filter of several outputs whose errors hear them all."""

    gain: Any  # (e, energy, mu, own) -> g
    power: Any  # (own, start), the energy of all directions where the gain asks for it
    fade: Any  # (w, mu, own), lets the weights leak
    rooms: Any  # own -> directions, path, outputs, and those before the part
    valid: Any
    moves: Any
    begin: Any  # (own, part, call, like), takes the streams in


class Recursion(NamedTuple):
    """The functions of a recursion."""

    step: Any  # (own, x, d, mu) -> y, e
    weigh: Any  # (own, w), writes the weights to w
    valid: Any


class Ahead(NamedTuple):
    """What lookahead is made of."""

    kernel: Any  # (x, v, d, mu, own, lag, w, y, e, made), is `lookahead`
    begin: Any  # (own, part, call, like), takes the streams in
    lag: Any  # (own, n) -> the lag of sample n
    weights: Any  # (own, call) -> w in the order of the streams
    outputs: Any  # (own, part, start, stop) -> y
    directions: Any  # (own, start, stop) -> v
    join: Any  # (own, call), writes the weights back
    end: Any  # (own, part, call)


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
        if part.leads and not finite_input(part, own.line, call, like):
            return BAD_X
        for i in range(0 if call.marked != 0 else call.errors):
            if not finite(desired(c, i, call, like)):
                return BAD_D
        run(rule, own, part, call, like)
        if c % call.shared == call.shared - 1 and call.rows == 0:
            for q in range(len(own.line)):
                move(own.line[q], input_of(part.b, q, call, like))
        if not (finite(own.w) and all_finite(own.state)):
            return DIVERGED
    return OK


def keep(own: Filter, kept: Filter) -> None:
    """Copy the state to the arrays to go back to, or back from them."""
    assign(kept.w, own.w)
    assign(kept.line, own.line)
    assign_all(kept.signals, own.signals)
    assign_all(kept.state, own.state)


def part_of(c: int, call: Call, F: int, like: Any) -> Part:
    """Return the signals of filter c."""
    N, b, signal = call.outputs, c // call.shared, like[0]
    given = N * F if call.rows != 0 else 0
    kept = N // call.every * F if call.every > 0 else 0
    return Part(
        array(call.x + b * call.x_row, (given,), signal),
        desired(c, 0, call, like),
        array(call.y + c * call.y_row, (N,), signal),
        array(call.e + c * call.e_row, (N,), signal),
        array(call.mu + c * call.mu_row, (call.mu_count,), like[1]),
        array(call.record + c * call.record_row, (kept,), signal),
        b,
        c % call.shared == 0,
    )


def desired(c: int, i: int, call: Call, like: Any) -> Any:
    """Return what error i of filter c is of, (N,)."""
    return array(call.d + c * call.d_row + i * call.d_run, (call.outputs,), like[0])


def input_of(b: int, q: int, call: Call, like: Any) -> Any:
    """Return one input of a stream, (T,)."""
    return array(call.x + b * call.x_row + q * call.x_input, (call.samples,), like[0])


def finite_input(part: Part, line: Any, call: Call, like: Any) -> bool:
    """Say whether all of x is finite."""
    good = finite(part.x)
    if call.rows == 0:
        for q in range(len(line)):
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
    w, F, every, moving = own.w, len(own.w), call.every, min(call.mu_count - 1, 1)
    rule.begin(own, part, call, like)
    for n in range(call.outputs):
        start = call.samples - 1 - call.offset - n * call.sps
        u = part.x[n * F : (n + 1) * F] if call.rows != 0 else rule.regressor(own, start)
        v = rule.direction(own, start, u)
        d, mu, y = part.d[n], part.mu[n * moving], dot(w, u)
        rule.correlate(own, u)
        z, e = rule.error(y, d, n, own)
        if not rule.valid(d):
            d = e = number(np.nan, np.nan, like[0])
        elif rule.moves(mu):
            rule.step(w, u, v, d, y, e, mu, own)
        rule.feed(own, z, d)
        part.y[n] = z
        part.e[n] = e
        if every > 0 and (n + 1) % every == 0:
            assign(part.record[n // every * F : (n // every + 1) * F], w)
    rule.end(own, part, call)


def take_in(own: Filter, part: Part, call: Call, like: Any) -> None:
    """Write [past, part] of every input, newest first."""
    if part.leads and call.rows == 0:
        for q in range(len(own.line)):
            newest_first(own.stream[q], own.line[q], input_of(part.b, q, call, like))


def take_in_direction(direction: Any, stream: Any, q: int, v: Any) -> None:
    """Write [past, part] of one input of what updates are made of, newest first, and keep the newest samples of it."""
    newest_first(stream[q], direction[q], v)
    move(direction[q], v)


def filtered(write: Any, own: Filter, part: Part, call: Call, like: Any, signals: Any, rooms: Any) -> None:
    """Write every input filtered by every response, the inputs of a response one after the other."""
    (direction, reference), (secondary, stream, room, v) = signals, rooms
    C, S = reference.shape
    for q in range(C if part.leads else 0):
        x = input_of(part.b, q, call, like)
        for i in range(len(secondary) // S):
            write(direction, stream, i * C + q, through(secondary[i * S : (i + 1) * S], reference[q], x, room, v))
        move(reference[q], x)


def through(response: Any, line: Any, x: Any, room: Any, v: Any) -> Any:
    """Filter x by a response, oldest weight first, into v, and return that; line are the samples before x."""
    S, T = len(response), len(x)
    assign(room[: S - 1], line[1:])
    assign(room[S - 1 : S - 1 + T], x)
    convolve(response, room, v[:T])
    return v[:T]


def newest_first(stream: Any, line: Any, x: Any) -> None:
    """Write [line, x] read backwards."""
    T, M = len(x), len(line)
    for n in range(T):
        stream[T - 1 - n] = x[n]
    for k in range(M):
        stream[T + k] = line[M - 1 - k]


def assembled(stream: Any, line: Any, start: int, u: Any) -> Any:
    """Write the windows of all inputs whose newest samples stand at start to u, and return it."""
    C, M = line.shape
    for q in range(C):
        for k in range(M):
            u[q * M + k] = stream[q, start + k]
    return u


def with_fed(u: Any, fed: Any, back: int) -> Any:
    """Write what was fed back to the end of u, newest first, as it was some samples back, and return u."""
    K = len(fed) - 1
    for k in range(K):
        u[len(u) - K + k] = fed[K - k - back]
    return u


def recalled(line: Any, u: Any) -> Any:
    """Write the newest regressor to u, and return it."""
    M = line.shape[1]
    for q in range(len(line)):
        for k in range(M):
            u[q * M + k] = line[q, M - 1 - k]
    return u


def heard(y: Any, d: Any, n: int, path: Any, out: Any, played: Any) -> Any:
    """Take output n in and return it, and the error in which it is heard through a path; -1: not of a block."""
    S, total = len(path), path[0] * y
    if n < 0:
        push_sample(played, y)
        for k in range(1, S):
            total += path[k] * played[S - 1 - k]
    else:
        out[S + n] = y
        for k in range(1, S):
            total += path[k] * out[S + n - k]
    return y, d - total


def push_filtered(response: Any, reference: Any, direction: Any, x: Any) -> None:
    """Take one sample, and what a response makes of it, into their lines."""
    push_sample(reference, x)
    push_sample(direction, dot(response, reference))


def together(rule: Together, own: Filter, part: Part, call: Call, like: Any) -> None:
    """Run a rank-one filter of several outputs that all its errors hear, sample by sample.

    All that the path hears of an output stands newest first, so that it is a slice.
    """
    direction, path, out, played = rule.rooms(own)
    w, (C, M), N, L = own.w, own.line.shape, call.outputs, call.errors
    Q, every, moving = len(direction) // (C * L), call.every, min(call.mu_count - 1, 1)
    P, F = len(path) // (L * Q), Q * C
    row = N + P
    rule.begin(own, part, call, like)
    for q in range(Q):
        for k in range(P):
            out[q * row + N + k] = played[(q + 1) * P - 1 - k]
    for n in range(N):
        start, mu, counts = call.samples - 1 - n, part.mu[n * moving], True
        for q in range(Q):
            y = like[0]
            for i in range(q * C, (q + 1) * C):
                y += dot(w[i * M : (i + 1) * M], own.stream[i - q * C, start : start + M])
            out[q * row + N - 1 - n] = y
            array(call.y + part.b * call.y_row + q * call.run, (N,), like[0])[n] = y
        for i in range(L):
            d = desired(part.b, i, call, like)[n]
            for q in range(Q):
                first = q * row + N - 1 - n
                d -= dot(path[(i * Q + q) * P : (i * Q + q + 1) * P], out[first : first + P])
            valid = rule.valid(d)
            counts = counts and valid
            error_of(part.b, i, call, like)[n] = d if valid else number(np.nan, np.nan, like[0])
        if counts and rule.moves(mu):
            power = rule.power(own, start)
            rule.fade(w, mu, own)
            for i in range(L):
                g = rule.gain(error_of(part.b, i, call, like)[n], power, mu, own)
                for k in range(F):
                    axpyc(g, direction[i * F + k, start : start + M], w[k * M : (k + 1) * M])
        if every > 0 and (n + 1) % every == 0:
            assign(part.record[n // every * len(w) : (n // every + 1) * len(w)], w)
    for q in range(Q):
        for k in range(P):
            played[(q + 1) * P - 1 - k] = out[q * row + k]


def error_of(c: int, i: int, call: Call, like: Any) -> Any:
    """Return error i of filter c, (N,)."""
    return array(call.e + c * call.e_row + i * call.run, (call.outputs,), like[0])


def power_of(stream: Any, start: int, M: int) -> Any:
    """Return the energy of the regressors of all rows."""
    total = as_real(stream, 0)
    for q in range(len(stream)):
        total += energy(stream[q, start : start + M])
    return total


def shrunk(w: Any, factor: Any) -> None:
    """Multiply weights by a real number."""
    for k in range(len(w)):
        w[k] *= factor


def recursive(rule: Recursion, own: Filter, part: Part, call: Call, like: Any) -> None:
    """Run a recursion sample by sample; without a valid d, or where mu is 0, it only filters."""
    F, every, unknown = len(own.w), call.every, number(np.nan, np.nan, like[0])
    moving = min(call.mu_count - 1, 1)
    x = input_of(part.b, 0, call, like)
    for n in range(call.outputs):
        d, mu = part.d[n], part.mu[n * moving]
        adapts = rule.valid(d) and mu != 0
        y, e = rule.step(own, x[n], d if adapts else unknown, mu)
        part.y[n] = y
        part.e[n] = e if adapts else d - y
        if every > 0 and (n + 1) % every == 0:
            rule.weigh(own, part.record[n // every * F : (n // every + 1) * F])
    rule.weigh(own, own.w)


# Several samples a pass


def look_ahead(rule: Ahead, own: Filter, part: Part, call: Call, like: Any) -> None:
    """Run a rank-one filter several samples a pass."""
    N, F, every, M = call.outputs, len(own.w), call.every, own.line.shape[1]
    past = (M + call.sps - 1) // call.sps - 1
    rule.begin(own, part, call, like)
    start = 0
    while start < N:
        stop = min(N, start + every) if every > 0 else N
        mu = part.mu[start:stop] if call.mu_count > 1 else part.mu
        x, v = own.stream[:, start : stop + past], rule.directions(own, start, stop + past)
        w, y = rule.weights(own, call), rule.outputs(own, part, start, stop)
        made = every == 0 and not part.leads
        rule.kernel(x, v, part.d[start:stop], mu, own, rule.lag(own, start), w, y, part.e[start:stop], made)
        rule.join(own, call)
        if every > 0 and stop - start == every:
            assign(part.record[start // every * F : (start // every + 1) * F], own.w)
        start = stop
    rule.end(own, part, call)


def write_inputs(own: Filter, part: Part, call: Call, like: Any) -> None:
    """Write [past, part] of every input, oldest first."""
    if part.leads:
        for q in range(len(own.line)):
            write_input(own.stream[q], own.line[q], input_of(part.b, q, call, like))


def write_direction(direction: Any, stream: Any, q: int, v: Any) -> None:
    """Write [past, part] of one input of what updates are made of, oldest first, and keep the newest samples of it."""
    write_input(stream[q], direction[q], v)
    move(direction[q], v)


def write_input(row: Any, line: Any, x: Any) -> None:
    """Write [past, part] of one input, oldest first."""
    past = len(line) - 1
    assign(row[:past], line[1:])
    assign(row[past : past + len(x)], x)


def write_phases(own: Filter, part: Part, call: Call, like: Any) -> None:
    """Write the phases of every input, oldest first: row p C + q holds samples p before those outputs are made of."""
    C, M = own.line.shape
    past = (M + call.sps - 1) // call.sps - 1
    for q in range(C if part.leads else 0):
        x, line = data(input_of(part.b, q, call, like)), own.line[q]
        for p in range(call.sps):
            row, first = data(own.stream[p * C + q]), call.offset - past * call.sps - p  # the sample at 0
            known = min((call.sps - 1 - first) // call.sps, call.outputs + past)  # of samples before the part
            for j in range(known):
                row[j] = line[max(M + first + j * call.sps, 0)]
            for j in range(known, call.outputs + past):
                row[j] = x[first + j * call.sps]


def to_phases(w: Any, phases: Any, M: int, sps: int) -> Any:
    """Write weights phase after phase, and return them; shorter phases end with 0."""
    C, L = len(w) // M, (M + sps - 1) // sps
    for r in range(C * sps):
        for j in range(L):
            k = r // C + sps * j
            phases[r * L + j] = w[r % C * M + k] if k < M else 0
    return phases


def from_phases(w: Any, phases: Any, M: int, sps: int) -> None:
    """Write weights in the order of time."""
    C, L = len(w) // M, (M + sps - 1) // sps
    for q in range(C):
        for k in range(M):
            w[q * M + k] = phases[(k % sps * C + q) * L + k // sps]


def lag_of(stream: Any, before: Any, n: int, M: int) -> Any:
    """Return u_n^T conj(u_(n-1)); before is the regressor before the block."""
    total = as_number(stream, 0)  # times 0, an integer, it would be a double from there on
    for k in range(len(before)):
        q, i = k // M, n + M - 1 - k % M
        total += stream[q, i] * np.conj(stream[q, i - 1] if n > 0 else before[k])
    return total


def note_last(own: Filter, lag: Any, before: Any, N: int) -> None:
    """Keep the lag of the last sample, and its regressor."""
    M = own.line.shape[1]
    lag[0] = lag_of(own.stream, before, N - 1, M)
    for k in range(len(before)):
        before[k] = own.stream[k // M, N + M - 2 - k % M]


def note_outputs(y: Any, out: Any, played: Any) -> None:
    """Write the outputs from where a path heard them, and keep the last ones."""
    N, S = len(y), len(played)
    assign(y, out[S : S + N])
    assign(played, out[N : N + S])


# Single samples


def sample(rule: Rule, memory: Memory, a: Any, io: Any, skip: int, mu_at: int, like: Any) -> int:
    """Take one sample of one filter: x and d come in and y and e go out in io; to ADAPT, d is the error itself."""
    zero, mode = np.int64(0), int(io[MODE])
    own, kept = memory(a, zero, zero), memory(a, zero, np.int64(1))
    w, u, nan = own.w, own.u, number(np.nan, np.nan, like[0])
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
        if mode == STEP and not rule.valid(d) and (skip == 0 or rule.valid(nan)):
            return BAD_D  # where NaN says that d is not known, infinity is never passed over
        io[PASSED_OVER] = 1.0 if bad else 0.0
    keep(own, kept)
    if mode != ADAPT:
        x = number(0.0, 0.0, like[0]) if io[PASSED_OVER] != 0 else x
        push_sample(own.line[0], x)
        rule.hear(own, x)
    recalled(own.line, u)
    rule.recall(own, 1 if mode == ADAPT else 0)
    y = dot(w, u)
    if mode == PREDICT:
        d = nan
    z, e, counts = y, d, mode == ADAPT or (io[PASSED_OVER] == 0 and rule.valid(d))
    if mode != ADAPT:
        rule.correlate(own, u)
        z, e = rule.error(y, d, -1, own)
        if not counts:
            d = e = nan  # which is what is fed back, too
    mu = own.p[mu_at] if mu_at >= 0 else like[2]
    if mode != PREDICT and counts and rule.moves(mu):
        rule.step(w, u, rule.along(own, u), y + e if mode == ADAPT else d, y, e, mu, own)
    if mode != ADAPT:
        rule.feed(own, z, d)
    io[Y], io[Y + 1], io[E], io[E + 1] = z.real, z.imag, e.real, e.imag
    if finite(w) and all_finite(own.state):
        return OK
    keep(kept, own)
    return DIVERGED


def push_fed(line: Any, value: Any) -> None:
    """Take what is fed back into its line; what is not known enters as zero."""
    push_sample(line, value if value == value else line[0] * 0)


def push_sample(line: Any, x: Any) -> None:
    """Take one sample into a line, oldest first."""
    for k in range(len(line) - 1):
        line[k] = line[k + 1]
    line[len(line) - 1] = x


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
    mu = own.p[mu_at] if mu_at >= 0 else like[2]
    adapts = mode == STEP and rule.valid(d) and not bad and mu != 0
    x = number(0.0, 0.0, like[0]) if bad else x
    y, e = rule.step(own, x, d if adapts else number(np.nan, np.nan, like[0]), mu)
    push_sample(own.line[0], x)
    if not adapts:
        e = d - y if mode == STEP and rule.valid(d) and not bad else number(np.nan, np.nan, like[0])
    io[Y], io[Y + 1], io[E], io[E + 1] = y.real, y.imag, e.real, e.imag
    if all_finite(own.state):
        return OK
    keep(kept, own)
    return DIVERGED
