"""The loops of the compiled engine of frequency-domain filters: real functions, which `bins` compiles.

They do what `tensors.bins` does, in place. Letters are those of `engines.bins.Frames`.
"""

from typing import Any, NamedTuple

import numpy as np

from adaptfilt.engines.cpu.fft import backward, forward
from adaptfilt.engines.cpu.memory import all_finite, array, as_real, finite
from adaptfilt.engines.words import dot, energy, norm_1

GOOD, BAD, DIVERGED = 0, 1, 2
NEVER, MOVED, ALWAYS = 0, 1, 2
FOUR_BYTES = np.int32(0)


class Call(NamedTuple):
    """Numbers of one call, and the clock before it."""

    streams: int  # B
    outputs: int  # Q
    inputs: int  # C
    partitions: int  # P
    bins: int  # F
    slots: int
    block: int
    hop: int
    taps: int
    samples: int  # T
    every: int  # keep the weights after every so many samples; 0: never
    gated: int  # 1 where there are weights of the errors
    settle: int
    constraint: int  # 0: full, 1: alternate, 2: none
    respond: int  # when the response of the weights is to be written: NEVER, where they MOVED, or ALWAYS
    n: int
    place: int
    turn: int


class Rules(NamedTuple):
    """An algorithm's functions, each of one bin; `adapters` find their arguments."""

    spread: Any  # (x2, states, p, k) -> real
    level: Any  # (total, x2, e2, states, p, k) -> level; renews the bin states
    step: Any  # (level, x2, w2, states, p, k) -> m; renews the partition states
    of_bin: Any  # (own, b, q) -> the rows of the bin states
    of_partition: Any  # (own, b, q, c, i) -> the rows of the partition states


class Stream(NamedTuple):
    """All arrays: signals, what is carried, and rooms."""

    x: Any  # (B, C, T)
    d: Any  # (B, Q, T)
    gate: Any  # (B, Q, T)
    y: Any
    e: Any
    record: Any  # (R, B, Q, C, M)
    W: Any  # (B, Q, C, P, F)
    spectra: Any  # (B, C, slots, F)
    frame: Any  # (B, C, N)
    wanted: Any  # (B, Q, block)
    gates: Any
    tail: Any  # (B, Q, hop)
    states: Any  # tuple of (B, Q, F) or (B, Q, C, P, F)
    p: Any  # (B, Q, parameters), the mean of what shrinks the weights last
    sums: Any  # (1, F), complex
    output: Any  # (Q, N), of the newest frame
    errors: Any  # (1, N)
    E: Any  # (1, F), complex
    rows: Any  # (P, N)
    level: Any  # (2, F), real
    head: Any  # (Q, C, block), backwards
    w: Any  # (B, Q, C, M), the response after the block
    plan: Any  # of transforms
    clock: Any  # (3,): n, place and turn
    carried: Any  # (3, k): addresses of all that is carried and of rooms for it, and how many times four bytes


def run(rules: Any, own: Any, call: Any) -> int:
    """Adapt over a block, stream by stream, and say how it went; where weights may move, the state before is kept."""
    if not (finite(own.x) and finite(own.d)):
        return BAD
    if call.n + call.samples >= call.hop:
        copy(own.carried, 0, 1)
    n, place, turn = call.n, call.place, call.turn
    for b in range(call.streams):
        n, place, turn = stream(rules, own, call, b)
        if call.respond == ALWAYS or (call.respond == MOVED and turn != call.turn):
            write_response(own, call, b, own.w[b])
    own.clock[0], own.clock[1], own.clock[2] = n, place, turn
    if turn != call.turn and not (finite(own.W) and all_finite(own.states)):
        copy(own.carried, 1, 0)
        return DIVERGED
    return GOOD


def copy(carried: Any, source: int, target: int) -> None:
    """Copy all that is carried to its rooms, or back."""
    for i in range(carried.shape[1]):
        shape = (carried[2, i],)
        values, to = array(carried[source, i], shape, FOUR_BYTES), array(carried[target, i], shape, FOUR_BYTES)
        for k in range(len(values)):
            to[k] = values[k]


def stream(rules: Any, own: Any, call: Any, b: int) -> Any:
    """Adapt one stream over a block and return n, place and turn."""
    n, place, turn, t, row = call.n, call.place, call.turn, 0, 0
    if n == call.hop:  # complete since the last block
        turn = settled(rules, own, call, b, place, turn, False)
        n = 0
    while t < call.samples:
        k = min(call.hop - n, call.samples - t)
        whole = k == call.hop
        if not whole:
            if n == 0:
                write_tail(own, call, b, place)
            write_head(own, call, b)
        push(own, call, b, t, k)
        n += k
        if n == call.hop:
            place = (place - 1) % call.slots
            for c in range(call.inputs):
                forward(own.frame[b, c : c + 1], own.spectra[b, c, place : place + 1], own.plan)
        for q in range(call.outputs):
            if whole:
                write_output(own, call, b, q, place)
                for i in range(k):
                    own.y[b, q, t + i] = own.output[q, 2 * call.block - k + i]
            else:
                write_part(own, call, b, q, t, k, n - k)
            for i in range(k):
                own.e[b, q, t + i] = own.d[b, q, t + i] - own.y[b, q, t + i]
        t += k
        while call.every and (row + 1) * call.every < t:
            write_response(own, call, b, own.record[row, b])
            row += 1
        if n == call.hop and (t < call.samples or call.settle):
            turn = settled(rules, own, call, b, place, turn, whole)
            n = 0
        if call.every and (row + 1) * call.every == t:
            write_response(own, call, b, own.record[row, b])
            row += 1
    return n, place, turn


def push(own: Any, call: Any, b: int, t: int, k: int) -> None:
    """Take k samples of all signals in."""
    for c in range(call.inputs):
        shift(own.frame[b, c], k)
        for i in range(k):
            own.frame[b, c, 2 * call.block - k + i] = own.x[b, c, t + i]
    for q in range(call.outputs):
        shift(own.wanted[b, q], k)
        shift(own.gates[b, q], k)
        for i in range(k):
            own.wanted[b, q, call.block - k + i] = own.d[b, q, t + i]
            own.gates[b, q, call.block - k + i] = own.gate[b, q, t + i] if call.gated else 1.0


def shift(line: Any, k: int) -> None:
    """Make room for k samples at the end of a line."""
    for i in range(len(line) - k):
        line[i] = line[i + k]


def write_sums(own: Any, call: Any, b: int, q: int, place: int, first: int) -> None:
    """Write the sum over inputs, and partitions from the first on, of weights times spectra.

    From partition 1 on they are those of the hop that begins: its partitions see the frames of a hop later.
    """
    S = own.sums[0]
    S[:] = 0
    stride = call.block // call.hop
    for c in range(call.inputs):
        for i in range(first, call.partitions):
            W, X = own.W[b, q, c, i], own.spectra[b, c, (place + i * stride - first) % call.slots]
            for k in range(call.bins):
                S[k] += W[k] * X[k]


def write_output(own: Any, call: Any, b: int, q: int, place: int) -> None:
    """Write the outputs of the newest frame by the weights as they are; those of its second half count."""
    write_sums(own, call, b, q, place, 0)
    backward(own.sums, own.output[q : q + 1], own.plan)


def write_tail(own: Any, call: Any, b: int, place: int) -> None:
    """Write what all partitions but the first add to the outputs of the hop that begins."""
    for q in range(call.outputs):
        write_sums(own, call, b, q, place, 1)
        backward(own.sums, own.rows[:1], own.plan)
        for i in range(call.hop):
            own.tail[b, q, i] = own.rows[0, 2 * call.block - call.hop + i]


def write_head(own: Any, call: Any, b: int) -> None:
    """Write the responses of the first partitions, backwards."""
    for q in range(call.outputs):
        for c in range(call.inputs):
            backward(own.W[b, q, c, :1], own.rows[:1], own.plan)
            for i in range(call.block):
                own.head[q, c, i] = own.rows[0, call.block - 1 - i]


def write_part(own: Any, call: Any, b: int, q: int, t: int, k: int, n: int) -> None:
    """Write the outputs of k samples, the first of which is the n-th of a hop."""
    for i in range(k):
        own.y[b, q, t + i] = own.tail[b, q, n + i]
    for c in range(call.inputs):
        head, past = own.head[q, c], own.frame[b, c]
        for i in range(k):
            start = call.block - k + i + 1
            own.y[b, q, t + i] += dot(head, past[start : start + call.block])


def settled(rules: Any, own: Any, call: Any, b: int, place: int, turn: int, known: bool) -> int:
    """Adapt on the newest frame, whose outputs may be known, and return the turn."""
    for q in range(call.outputs):
        weight = norm_1(own.gates[b, q, call.block - call.hop :])
        if weight > 0 and own.p[b, q, own.p.shape[2] - 2] != 0:  # mu
            if not known:
                write_output(own, call, b, q, place)
            adapt(rules, own, call, b, q, place, turn, weight / call.hop)
    return turn + 1


def adapt(rules: Any, own: Any, call: Any, b: int, q: int, place: int, turn: int, weight: float) -> None:
    """Take a step along the errors of the newest frame of one output."""
    B, F, p = call.block, call.bins, own.p[b, q]
    errors, gates = own.errors[0], own.gates[b, q]
    for i in range(B):
        errors[B + i] = (own.wanted[b, q, i] - own.output[q, B + i]) * gates[i]
    forward(own.errors, own.E, own.plan)
    share, E, stride = B / energy(gates), own.E[0], call.block // call.hop
    level, x2_sum = own.level[0], own.level[1]
    level[:] = 0
    x2_sum[:] = 0
    for c in range(call.inputs):
        for i in range(call.partitions):
            X, states = own.spectra[b, c, (place + i * stride) % call.slots], rules.of_partition(own, b, q, c, i)
            for k in range(F):
                x2 = X[k].real * X[k].real + X[k].imag * X[k].imag
                x2_sum[k] += x2
                level[k] += rules.spread(x2, states, p, k)
    heard = norm_1(level)
    states = rules.of_bin(own, b, q)
    for k in range(F):
        e2 = (E[k].real * E[k].real + E[k].imag * E[k].imag) * share
        level[k] = rules.level(level[k], x2_sum[k], e2, states, p, k)
    lost = p[len(p) - 2] * p[len(p) - 1] * weight if heard > 0 else 0.0  # silence leaves the weights alone
    shrink = as_real(level, 1 - lost)  # in their precision
    for c in range(call.inputs):
        for i in range(call.partitions):
            X, states = own.spectra[b, c, (place + i * stride) % call.slots], rules.of_partition(own, b, q, c, i)
            W = own.W[b, q, c, i]
            for k in range(F):
                x2 = X[k].real * X[k].real + X[k].imag * X[k].imag
                w2 = W[k].real * W[k].real + W[k].imag * W[k].imag
                m = rules.step(level[k], x2, w2, states, p, k)
                W[k] = shrink * W[k] + m * (X[k].conjugate() * E[k])
        if heard > 0:
            constrain(own, call, own.W[b, q, c], turn)


def constrain(own: Any, call: Any, W: Any, turn: int) -> None:
    """Make partitions responses of their length again; the first always."""
    P = call.partitions
    if call.constraint == 0:
        backward(W, own.rows, own.plan)
        for i in range(P):
            own.rows[i, length(call, i) :] = 0
        forward(own.rows, W, own.plan)
        return
    constrain_one(own, call, W, 0)
    if call.constraint == 1 and P > 1:
        constrain_one(own, call, W, 1 + turn % (P - 1))


def constrain_one(own: Any, call: Any, W: Any, i: int) -> None:
    """Make one partition a response of its length."""
    backward(W[i : i + 1], own.rows[:1], own.plan)
    own.rows[0, length(call, i) :] = 0
    forward(own.rows[:1], W[i : i + 1], own.plan)


def length(call: Any, i: int) -> int:
    """Return how many taps a partition has."""
    return min(call.block, call.taps - i * call.block)


def write_response(own: Any, call: Any, b: int, out: Any) -> None:
    """Write the weights as responses, (Q, C, M)."""
    for q in range(call.outputs):
        for c in range(call.inputs):
            backward(own.W[b, q, c], own.rows, own.plan)
            for i in range(call.taps):
                out[q, c, i] = own.rows[i // call.block, i % call.block]
