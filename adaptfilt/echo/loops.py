"""The loops of `EchoCanceller` in machine code: what its Python does, hop by hop in place, for frames at speed.

The equations are those of `suppressor`, `two_path` and `canceller`, whose functions are called here; the filters are
called as they were compiled. State is that of the modules, in their buffers.
"""

from typing import Any, NamedTuple

import numpy as np

from adaptfilt.echo.suppressor import AROUND, TAIL, TINY, followed, gain_of, leakage, weight_of
from adaptfilt.echo.two_path import judged
from adaptfilt.engines.cpu.bins_loops import BAD, DIVERGED, GOOD, Call, copy, shift
from adaptfilt.engines.cpu.fft import backward, forward
from adaptfilt.engines.cpu.memory import array, assign, call, finite

GROUP = 4  # hops between decisions: 32 ms
ONSET = 0.01  # power of a frame's older half, beside that of its newer one, under which a far end begins
SURE, ALIKE = 0.9, 0.8  # of y^2, the means of y d that bear a path out, and that say that it has changed
LOUD = 0.1  # of the mean of d^2: quieter echoes tell nothing
SAMPLES = Call._fields.index("samples")  # of a filter's arguments
WHOLE = np.int64(0)


class Numbers(NamedTuple):
    """What a canceller is made of."""

    b0: float  # of the notch, as in `sections.Section`
    b1: float
    r: float
    emphasis: float  # b1 of the pre-emphasis
    deemphasis: float  # r of the de-emphasis
    kept: float  # of the means of y d, y^2 and d^2, from group to group
    least: float  # hops that have to bear a path out
    floor: float
    rate: float  # hops a second
    patience: float


class Block(NamedTuple):
    """Numbers of one call."""

    samples: int
    hop: int
    suppressed: int
    paths: int  # 1: two paths
    learns: int  # 1: filter and canceller adapt
    watches: int  # 1: the canceller looks back on groups


class Echo(NamedTuple):
    """What is carried, in the canceller's buffers, and rooms."""

    x: Any  # (T,)
    d: Any
    out: Any
    notch: Any  # (2,), what the sections remember
    emphasis: Any
    deemphasis: Any  # (1,)
    late: Any
    pending: Any  # (2, hop)
    ready: Any  # (hop,)
    heard: Any  # (3, (GROUP + 4) hop)
    n: Any  # (1,)
    place: Any
    trusted: Any
    seen: Any  # (3,)
    unsure: Any  # (P, F)
    start: Any  # P as a filter begins
    means: Any  # (3,), of two paths
    variances: Any
    errors: Any  # (2, GROUP hop)
    counted: Any  # (1,)
    copies: Any
    resets: Any
    P: Any  # (P, F), of the background
    far: Any  # of the suppressor
    left: Any
    echo: Any
    overlap: Any
    powers: Any
    averages: Any
    products: Any
    held: Any
    passed: Any
    window: Any
    codes: Any  # (2, 4): addresses of a filter's code, its result, spare bytes, its arguments; background first
    carried: Any  # (3, k), as of a `bins_loops.Stream`, of background and foreground
    signals: Any  # (4, 1, 1, GROUP hop): x, d, y, e of a part
    spoken: Any  # (1, 1, GROUP hop), the foreground's output
    hops: Any  # (2 GROUP,), powers
    long: Any  # (1, 2 block)
    frames: Any  # (2, block)
    X: Any  # (1, block + 1)
    spectra: Any  # (2, half)
    bins: Any  # (4, half): |E|^2, |Y|^2, the unknown echo's power, |X|^2


def cancel(own: Any, numbers: Any, part: Any) -> int:
    """Cancel the echo of a block and say how it went; without suppression at once, with it hop by hop."""
    if not (finite(own.x) and finite(own.d)):
        return BAD
    group = GROUP * part.hop
    size, t = part.hop if part.suppressed else group, 0
    while t < part.samples:
        at = own.n[0] if part.suppressed else own.place[0]
        k = min(size - at, part.samples - t)
        take(own, numbers, t, k)
        if part.suppressed:
            give(own, numbers, t, own.ready, at, k)
            wait(own, at, k)
            own.n[0] = (at + k) % size
        if at + k == size or not part.suppressed:
            if not hear(own, part, size if part.suppressed else k):
                return DIVERGED
            if part.suppressed:
                suppress(own, numbers, part)
            else:
                give(own, numbers, t, own.signals[3, 0, 0], 0, k)
        if part.paths and own.counted[0] == group:
            decide(own, numbers.patience)
        if own.place[0] == group:
            settle(own, numbers, part)
        t += k
    return GOOD


def section(b0: float, b1: float, r: float, past: Any, c: int, v: float) -> float:
    """Return the next sample of a first-order section, and renew what it remembers."""
    y = b0 * v + past[c]
    past[c] = b1 * v + r * y
    return y


def take(own: Any, numbers: Any, t: int, k: int) -> None:
    """Write k samples of both signals to the rooms, through the sections and the bulk delay."""
    for c in range(2):
        given, room = own.d if c else own.x, own.signals[c, 0, 0]
        for i in range(k):
            room[i] = section(numbers.b0, numbers.b1, numbers.r, own.notch, c, given[t + i])
        for i in range(k):
            room[i] = section(1.0, numbers.emphasis, 0.0, own.emphasis, c, room[i])
    x, new, late, D = own.signals[0, 0, 0], own.signals[3, 0, 0], own.late, len(own.late)
    if D:
        for i in range(k):
            new[i] = x[i]
        for i in range(k):
            x[i] = late[i] if i < D else new[i - D]
        for i in range(D):
            late[i] = late[i + k] if i + k < D else new[i + k - D]


def give(own: Any, numbers: Any, t: int, source: Any, at: int, k: int) -> None:
    """Write k samples of the output, through the de-emphasis."""
    for i in range(k):
        own.out[t + i] = section(1.0, 0.0, numbers.deemphasis, own.deemphasis, 0, source[at + i])


def wait(own: Any, at: int, k: int) -> None:
    """Add k samples to the hop that is not complete; the rooms then hold it from its start."""
    for c in range(2):
        room, kept = own.signals[c, 0, 0], own.pending[c]
        for i in range(k):
            kept[at + i] = room[i]
        for i in range(at + k):
            room[i] = kept[i]


def hear(own: Any, part: Any, k: int) -> bool:
    """Run the filters over k samples in the rooms; False where the only one diverged."""
    x, d, y, e = own.signals[0, 0, 0], own.signals[1, 0, 0], own.signals[2, 0, 0], own.signals[3, 0, 0]
    good = ran(own.codes[0], k)
    if not good and not part.paths:
        return False
    if part.paths:
        if good:
            for i in range(k):
                own.errors[1, own.counted[0] + i] = known(d[i] - y[i])
        ran(own.codes[1], k)
        spoken = own.spoken[0, 0]
        for i in range(k):
            y[i] = spoken[i]
            e[i] = d[i] - y[i]
            own.errors[0, own.counted[0] + i] = known(e[i])
        if not good:
            copy(own.carried, 1, 0)
            own.resets[0] += 1
            for i in range(k):
                own.errors[1, own.counted[0] + i] = own.errors[0, own.counted[0] + i]
        own.counted[0] += k
    first = GROUP * part.hop + own.place[0]
    for i in range(k):
        own.heard[0, first + i], own.heard[1, first + i], own.heard[2, first + i] = x[i], d[i], y[i]
    own.place[0] += k
    return True


def ran(codes: Any, k: int) -> bool:
    """Run a filter over k samples in its rooms; False where it diverged, and is as before."""
    array(codes[3], (SAMPLES + 1,), WHOLE)[SAMPLES] = k
    raised = call(codes[0], codes[1], codes[2], codes[3])
    return raised == 0 and array(codes[1], (1,), WHOLE)[0] == GOOD


def known(e: float) -> float:
    """Return an error, 0 where it is none."""
    return e if finite(e) else 0.0


def decide(own: Any, patience: float) -> None:
    """Let the foreground take over the background after a group, where that is clearly the better one."""
    spoken, other, between = 0.0, 0.0, 0.0
    for i in range(len(own.errors[0])):
        a, b = own.errors[0, i], own.errors[1, i]
        spoken += a * a
        other += b * b
        between += (a - b) * (a - b)
        own.errors[0, i], own.errors[1, i] = 0.0, 0.0
    if judged(own.means, own.variances, spoken, other, between, patience) > 0:
        copy(own.carried, 0, 1)
        own.copies[0] += 1
    own.counted[0] = 0


def settle(own: Any, numbers: Any, part: Any) -> None:
    """Look back on a group of hops: was the filter sure too soon, or is the path another one?"""
    hop, P = part.hop, own.P
    if part.watches:
        for i in range(2 * GROUP):
            power = 0.0
            for j in range(i * hop, (i + 1) * hop):
                power += own.heard[0, j] * own.heard[0, j]
            own.hops[i] = power
        if begins(own.hops):
            assign(P, own.unsure)
        y, d, first = own.heard[2], own.heard[1], GROUP * hop
        y_d, y2, d2 = 0.0, 0.0, 0.0
        for i in range(first, 2 * first):
            y_d += y[i] * d[i]
            y2 += y[i] * y[i]
            d2 += d[i] * d[i]
        if doubted(own.seen, own.trusted, y_d, y2, d2, numbers.kept, numbers.least):
            assign(P, own.start)
        assign(own.unsure, P)
    for c in range(3):
        shift(own.heard[c], GROUP * hop)
    own.place[0] = 0


def begins(powers: Any) -> bool:
    """Say whether a far end begins in a group of hops: whether the newer half of a frame drowns the older one."""
    found = False
    for i in range(1, GROUP + 1):
        found = found or powers[i] + powers[i + 1] < ONSET * (powers[i + 2] + powers[i + 3])
    return found


def doubted(seen: Any, trusted: Any, y_d: float, y2: float, d2: float, kept: float, least: float) -> bool:
    """Renew the means of y d, y^2 and d^2 by their sums over a group; say whether the path has changed."""
    seen[0], seen[1], seen[2] = kept * seen[0] + y_d, kept * seen[1] + y2, kept * seen[2] + d2
    if seen[1] < LOUD * seen[2]:
        return False
    if seen[0] > SURE * seen[1]:
        trusted[0] += GROUP
    if seen[0] < ALIKE * seen[1] and trusted[0] > least:
        trusted[0] = 0
        return True
    return False


def suppress(own: Any, numbers: Any, part: Any) -> None:
    """Take in the hop in the rooms, and make ready the one before, suppressed."""
    hop, half, far, long = part.hop, part.hop + 1, len(own.far), own.long[0]
    assign(long[:far], own.far)
    for i in range(hop):
        long[far + i] = own.signals[0, 0, 0, i]
    assign(own.far, long[hop:])
    forward(own.long, own.X)
    for row, past, new in ((0, own.left, own.signals[3, 0, 0]), (1, own.echo, own.signals[2, 0, 0])):
        for i in range(hop):
            own.frames[row, i], own.frames[row, hop + i] = own.window[i] * past[i], own.window[hop + i] * new[i]
            past[i] = new[i]
    forward(own.frames, own.spectra)
    expect(own, half)
    follow(own, numbers, half)
    for k in range(half):
        E, e2 = own.spectra[0, k], own.bins[0, k]
        both, alone = 0.0, 0.0
        for j in range(max(k - AROUND // 2, 0), min(k + AROUND // 2 + 1, half)):
            both += own.products[0, j]
            alone += own.products[1, j]
        R = max(own.bins[2, k], leakage(both, alone) * own.bins[1, k], TAIL * own.held[k])
        gain = gain_of(e2, R, own.passed[k], numbers.floor)
        own.held[k], own.passed[k] = R, gain * gain * e2
        own.spectra[0, k] = gain * E
    backward(own.spectra[:1], own.frames[:1])
    for i in range(hop):
        own.ready[i] = own.overlap[i] + own.window[i] * own.frames[0, i]
        own.overlap[i] = own.window[hop + i] * own.frames[0, hop + i]


def expect(own: Any, half: int) -> None:
    """Write the powers of this frame of errors and estimates, and of the echo that the filter does not know yet."""
    rows = len(own.powers)
    for k in range(half):
        X, E, Y = own.X[0, 2 * k], own.spectra[0, k], own.spectra[1, k]
        own.bins[0, k] = E.real * E.real + E.imag * E.imag
        own.bins[1, k] = Y.real * Y.real + Y.imag * Y.imag
        own.bins[3, k] = X.real * X.real + X.imag * X.imag
        own.bins[2, k] = own.unsure[0, 2 * k] / 4 * own.bins[3, k]
    for p in range(1, len(own.unsure)):
        for k in range(half):
            own.bins[2, k] += own.unsure[p, 2 * k] / 4 * own.powers[rows - 2 * p, k]
    for row in range(rows - 1):
        assign(own.powers[row], own.powers[row + 1])
    if rows:
        assign(own.powers[rows - 1], own.bins[3])


def follow(own: Any, numbers: Any, half: int) -> None:
    """Renew how far the errors' powers follow those of the estimate."""
    total_e, total_y = TINY, 0.0
    for k in range(half):
        total_e += own.bins[0, k]
        total_y += own.bins[1, k]
    share, weight = min(1.0, 16 / numbers.rate), weight_of(total_e, total_y, numbers.rate)
    averages, products = own.averages, own.products
    for k in range(half):
        averages[0, k], averages[1, k], products[0, k], products[1, k] = followed(
            own.bins[0, k], own.bins[1, k], averages[0, k], averages[1, k], products[0, k], products[1, k],
            share, weight,
        )  # fmt: skip
