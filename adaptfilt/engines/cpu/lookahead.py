"""The lookahead kernel: the recursion of every rank-one filter, exactly, eight samples a pass over the taps.

For the samples n of a block, with regressors u_n, directions v_n (u_n but for filtered-x), a rule that gives the gain,
and a_n = 1 - mu_n leak, the recursion is ::

    y_n = w^T u_n,    e_n = error(y_n, d_n),    g_n, s = rule(e_n, |v_n|^2, ..., s),    w <- a_n w + g_n conj(v_n)

Sample by sample, a dot product, the gain and an update wait for each other. But what the update at n changes in the
output j samples later is one number, g_n r_j(n), and the lags r_j(n) = v_n^H u_{n+j} depend on the input alone. So
eight outputs are computed with old weights in one pass over the taps (`sweep`), then corrected one after the other by
means of the lags (`recurse`), and the eight updates are made in one pass. A sweep makes the updates of the last group
of eight and computes the outputs of the next; those of the group in between are corrected for both groups, so that
neither waits for the other: 16 lags are needed, eight for the group itself and eight for the next. Multiplied out this
is the recursion itself; only the roundings differ.

A regressor is one window of M samples, or several side by side: of several inputs, or of the phases of an input that
has more samples than outputs. Lags and outputs are then sums over the rows of the input. Rows may differ by one in
length; the shorter ones have a weight of zero at their oldest sample.

The lags are sums over M products. They are put together from sums over eight products, and these from a suffix of older
and a prefix of newer ones, by additions alone: what has left the window leaves no trace, and nothing drifts. The
products of one row are computed when they enter the window and again when they leave it; those of several rows, summed
over the rows, are kept in a ring in between.

Where the error hears the outputs through a path, e_n = d_n - sum_k path_k y_{n-k}, what earlier groups add to it is
computed eight samples at a time (`echo`), and within a group as the outputs fall.

Sources: J. Benesty and P. Duhamel, "A fast exact least mean square adaptive algorithm", IEEE Trans. Signal Processing,
1992, for the outputs of several samples at once; M. van Herk, "A fast algorithm for local minimum and maximum filters
on rectangular and octagonal kernels", Pattern Recognition Letters, 1992, for suffix and prefix.

It is written in the words of `vectors`, for Numba; uncompiled it runs on NumPy arrays, slowly. An argument that is
None, and the length of a tuple, are known when it is compiled. Fast arithmetic must not go beyond contraction:
reassociation would draw a gain's division into the chain from one error to the next. All functions but `lookahead` are
to be inlined by force.
"""

from typing import Any, NamedTuple

import numpy as np

from adaptfilt.engines.cpu.memory import chosen
from adaptfilt.engines.cpu.vectors import (
    after,
    allocate,
    data,
    flush_subnormals,
    lane,
    load,
    plus_conj_products,
    plus_product,
    release,
    restore_mode,
    splat,
    store,
    sums,
    times_real,
    with_first,
    zeros,
)


def lookahead(
    gain: Any, error: Any, valid: Any, moves: Any, x: Any, v: Any, longer: Any, shorter: Any, d: Any, mu: Any,
    several: Any, leak: Any, p: Any, s: Any, lag: Any, w: Any, y: Any, e: Any, path: Any, shared: Any = None,
    made: bool = False,
) -> Any:  # fmt: skip
    """Adapt one filter over one block.

    Parameters
    ----------
    gain : callable
        ``gain(e, energy, y, d, lag, mu, p, s) -> g, s``
    error : callable or None
        ``error(y, d, p, s) -> z, e``; z is what y receives. None: ``y, d - y``.
    valid, moves : callable or None
        ``valid(d)`` says whether a sample counts, and ``moves(mu)`` whether the filter adapts there; else weights and
        s stay. None: every sample adapts.
    x, v : array, (rows, T + M - 1)
        The last M - 1 samples and the block, oldest first; float32, float64, complex64 or complex128, as d, w, y, e.
        v, what the updates are made of, is None where it is x.
    longer, shorter : tuple
        As many entries as there are rows of M samples, and of M - 1; the latter stand last, and their first sample is
        not read. `shorter` is None if there are none.
    d : array, (T,)
        Desired signal, T >= 1.
    mu : array, (T,) or (1,)
        Step sizes, real in the same precision, as `leak` and `p`.
    several : True or None
        None if there is one row.
    leak : float or None
        Leakage; None if nothing leaks.
    p, s : tuple
        The gain's parameters, and its states, which it returns; tuples stay in registers.
    lag : number
        ``u_0^T conj(u_{-1})``, for a gain that takes the lag.
    w : array, (rows M,)
        Weights, newest sample first; changed in place. Of a shorter row the last one is 0.
    y : array, (S + T,)
        After S earlier outputs, oldest first, receives the outputs.
    e : array, (T,)
        Receives the errors.
    path : array, (S,) or None
        The response through which the errors hear the outputs.
    shared : array, (16 T + 128,) or None
        Where the lags are kept for other filters on the same input, one after the other.
    made : bool
        Another filter has written them.

    Returns
    -------
    s : tuple

    Notes
    -----
    A sample costs 2 M multiply-adds a row in the passes and about 100 for lags and corrections. One row takes
    2 T + 5 M + 750 numbers of memory while it runs.

    Examples
    --------
    >>> x, w, y, e = np.array([[0.0, 1.0, 2.0, -1.0]]), np.zeros(2), np.zeros(3), np.zeros(3)
    >>> def nlms(e, energy, y, d, lag, mu, p, s):
    ...     return mu / (p[0] + energy) * e, s
    >>> d, mu = np.array([1.0, 3.0, 3.0]), np.array([1.0])
    >>> _ = lookahead(
    ...     nlms, None, None, None, x, None, (None,), None, d, mu, None, None, (0.0,), (), 0.0, w, y, e, None
    ... )
    >>> y.round(3), w.round(3)
    (array([ 0.,  2., -1.]), array([0.6, 1.8]))
    """
    mode = flush_subnormals()
    rows = len(longer) if shorter is None else len(longer) + len(shorter)
    T, M, S = len(d), len(w) // rows, 0 if path is None else len(path)
    K = M if shorter is None else M - 1  # length of the window all rows have
    zero, one = w.dtype.type(0), w.dtype.type(1)
    size, lines, turns = (M + 15) // 16 * 16, (T + M) // 8 * 16 + 160, 0 if rows == 1 else power_of_two(M + 16)
    streams = rows if v is None else 2 * rows
    r = allocate(data(w), 560 + 2 * size + rows * size + streams * lines + 16 * turns + S + 24)
    c = after(r, 512)  # of a group: 8 gains, 8 factors by which weights fade; then 16 factors, 0 where w is padded
    blocks = after(c, 48)  # sums over eight products, 16 lags each; 16 bytes beyond a line are lost
    weights = after(blocks, 2 * size)  # oldest sample first, padded, row after row
    h = after(weights, rows * size)  # the input
    g = h if v is None else after(h, rows * lines)
    ring = after(h, streams * lines)  # what is kept of several rows
    taps = after(ring, 16 * turns)  # of the path, between zeros
    for q in range(rows):
        write_lines(after(h, q * lines), lines, x[q])
        if v is not None:
            write_lines(after(g, q * lines), lines, v[q])
        for k in range(size):
            weights[q * size + k] = w[q * M + M - 1 - k] if k < M else zero
    for k in range(8):
        c[k], c[k + 16], c[k + 24] = zero, one if k < M % 8 else zero, zero if k == 0 else one
    for k in range(S + 24):
        taps[k] = path[k - 8] if path is not None and 8 <= k < S + 8 else zero
    shape = Shape(rows, M, K, lines, size, turns)

    slot: Any = np.int64(0)
    head = zeros(h), zeros(h)
    if not made:
        slot, head = fill(blocks, h, g, v, kept(ring, several), shape)
    desired, steps, outputs, errors, step = data(d), data(mu), after(data(y), S), data(e), min(len(mu) - 1, 1)
    base, high, keep = zeros(h), zeros(h), one
    groups = (T + 7) // 8
    for group in range(-2, groups + 1):
        n = 8 * group
        low = fade(leak, splat(keep), base) + high
        if group > -2:
            base = sweep(weights, longer, shorter, c, leak, keep, h, g, n, shape)
        if 0 <= group < groups:
            now = place_of_lags(r, shared, group)
            tail = zeros(h) if path is None else echo(taps, S, data(y), n)
            high, keep, s, lag = recurse(
                gain, error, valid, moves, low, tail, min(T - n, 8), n, now, desired, steps, step, leak, p, s, lag,
                c, one, outputs, errors, None if path is None else taps,
            )  # fmt: skip
        if group < groups - 2 and not made:
            later = place_of_lags(r, shared, group + 2)
            slot, head = lags(later, h, g, v, n + 16, blocks, kept(ring, several), slot, head, shape)
            if shorter is not None:
                add_oldest(later, h, g, v, n + 16, len(longer), lines)

    for q in range(rows):
        for k in range(M):
            w[q * M + M - 1 - k] = weights[q * size + k]
    if error is None:  # noqa: SIM102 -- Numba leaves out a branch that hangs on one None alone
        if path is None:
            for k in range(T):
                e[k] = d[k] - y[k]
    release(r)
    restore_mode(mode)
    return s


def place_of_lags(r: Any, shared: Any, group: int) -> Any:
    """Return where the lags of a group stand: four groups take turns, or all are kept."""
    if shared is None:
        return after(r, 128 * (group & 3))
    return after(data(shared), 128 * group)


class Shape(NamedTuple):
    """Sizes that stay the same over a block."""

    rows: int
    taps: int  # of a longer row, M
    window: int  # samples that all rows have in common: M, or M - 1 beside shorter rows
    lines: int  # numbers of one row's lines
    size: int  # numbers of one row's weights
    turns: int  # samples in the ring


def kept(ring: Any, several: Any) -> Any:
    """Return the ring, or None where there is one row."""
    if several is None:
        return None
    return ring


def power_of_two(n: int) -> int:
    """Return the smallest power of two not under n."""
    size = 1
    while size < n:
        size *= 2
    return size


def write_lines(h: Any, count: int, x: Any) -> None:
    """Write x in lines of 16, each with eight new samples and the eight before: a vector never straddles two lines.

    Samples t to t + 7 are at `at(t)`; there are zeros before and after x.
    """
    size = len(x)
    full, p = size // 8 * 8, data(x)
    for i in range(0, 32, 8):
        store(h, i, zeros(h))
    for t in range(0, full, 8):
        store(h, 2 * t + 24, load(p, t))
        store(h, 2 * t + 32, load(p, t))
    for i in range(2 * full + 24, count, 8):
        store(h, i, zeros(h))
    for t in range(full, size):
        h[at(t)] = h[at(t) - 8] = p[t]


def at(t: int) -> int:
    """Return the place of sample t >= -16 in the lines."""
    return 2 * t - (t & 7) + 32


def add_products(a: Any, h: Any, g: Any, v: Any, i: int) -> Any:
    """Return a + conj(v[t]) x[t+j], lags j = 0 to 7 and 8 to 15 as a pair of vectors; lag 0 is |v[t]|^2. i is at(t)."""
    c = splat(np.conj(g[i]))
    return plus_product(a[0], c, beginning(load(h, i), g[i], v)), plus_product(a[1], c, load(h, i + 16))


def beginning(x: Any, first: Any, v: Any) -> Any:
    """Return x, with another first entry where updates are made of v."""
    if v is None:
        return x
    return with_first(x, first)


def add_rows(a: Any, h: Any, g: Any, v: Any, t: int, rows: int, lines: int) -> Any:
    """Return a + the products of some rows."""
    for q in range(rows):
        a = add_products(a, h, g, v, q * lines + at(t))
    return a


def add_new(a: Any, h: Any, g: Any, v: Any, t: int, ring: Any, shape: Shape) -> Any:
    """Return a + the products of a sample that enters the window, and keep them if they are of several rows."""
    if ring is None:
        return add_products(a, h, g, v, at(t))
    b = add_rows((zeros(h), zeros(h)), h, g, v, t, shape.rows, shape.lines)
    store_pair(ring, 16 * (t & shape.turns - 1), b)
    return a[0] + b[0], a[1] + b[1]


def add_old(a: Any, h: Any, g: Any, v: Any, t: int, ring: Any, shape: Shape) -> Any:
    """Return a + the products of a sample in the window."""
    if ring is None:
        return add_products(a, h, g, v, at(t))
    return add_pair(ring, 16 * (t & shape.turns - 1), a)


def store_pair(p: Any, i: int, a: Any) -> None:
    """Write a pair of vectors."""
    store(p, i, a[0])
    store(p, i + 8, a[1])


def add_pair(p: Any, i: int, a: Any) -> Any:
    """Return a pair of vectors in memory plus a pair."""
    return load(p, i) + a[0], load(p, i + 8) + a[1]


def fill(blocks: Any, h: Any, g: Any, v: Any, ring: Any, shape: Shape) -> Any:
    """Write the sums over eight products of the first window; return the first slot and head of `lags`."""
    K, none = shape.window, (zeros(h), zeros(h))
    start = shape.taps - K
    for t in range(start, start + (K % 8 + 8 if K >= 8 else K)):
        if ring is not None:
            add_new(none, h, g, v, t, ring, shape)
    for k in range(K // 8 - 1):
        a = none
        for t in range(start + K % 8 + 8 * k + 8, start + K % 8 + 8 * k + 16):
            a = add_new(a, h, g, v, t, ring, shape)
        store_pair(blocks, 16 * k, a)
    return np.int64(0), none


def lags(
    r: Any, h: Any, g: Any, v: Any, n: int, blocks: Any, ring: Any, slot: int, head: Any, shape: Shape
) -> Any:  # fmt: skip
    """Write the lags of the samples n to n + 7 to r; return the next slot and the next head.

    The blocks of the window that end with sample n + M - 1 are, from `slot` on, sums to the last slot (suffix), and
    before it newer ones, whose sum (prefix) is `head`. A block that enters takes the slot of the one that leaves.
    """
    none, K = (zeros(h), zeros(h)), shape.window
    start = n + shape.taps - K
    if K < 8:
        if ring is not None:
            for i in range(8):
                add_new(none, h, g, v, start + K + i, ring, shape)
        for i in range(8):
            a = none
            for t in range(start + i, start + i + K):
                a = add_old(a, h, g, v, t, ring, shape)
            store_pair(r, 16 * i, a)
    else:
        a, slots = none, 16 * (K // 8 - 1)
        if slots > 0:
            if slot == 0:
                head = none
                for i in range(slots - 16, -1, -16):
                    a = add_pair(blocks, i, a)
                    store_pair(blocks, i, a)
            a = add_pair(blocks, slot, head)
        for t in range(start + 7 + K % 8, start + 7, -1):
            a = add_old(a, h, g, v, t, ring, shape)
        b = none
        for i in range(8):
            store_pair(r, 16 * i, b)
            b = add_new(b, h, g, v, start + K + i, ring, shape)
        for i in range(7, -1, -1):
            a = add_old(a, h, g, v, start + i, ring, shape)
            store_pair(r, 16 * i, add_pair(r, 16 * i, a))
        if slots > 0:
            head = head[0] + b[0], head[1] + b[1]
            store_pair(blocks, slot, b)
            slot = slot + 16 if slot + 16 < slots else 0
    return slot, head


def add_oldest(r: Any, h: Any, g: Any, v: Any, n: int, longer: int, lines: int) -> None:
    """Add to the lags of the samples n to n + 7 the products at the oldest sample, which shorter rows lack."""
    for i in range(8):
        a = load(r, 16 * i), load(r, 16 * i + 8)
        store_pair(r, 16 * i, add_rows(a, h, g, v, n + i, longer, lines))


def fade(leak: Any, a: Any, v: Any) -> Any:
    """Return a v, or v where nothing leaks."""
    if leak is None:
        return v
    return a * v


def sweep(
    weights: Any, longer: Any, shorter: Any, c: Any, leak: Any, keep: Any, h: Any, g: Any, n: int, shape: Shape
) -> Any:
    """Make the updates of the samples n - 8 to n - 1, of gains c, and return the outputs n + 8 to n + 15 after them."""
    z = zeros(h)
    a = z, z, z, z, z, z, z, z
    f = splat(c[0]), splat(c[1]), splat(c[2]), splat(c[3]), splat(c[4]), splat(c[5]), splat(c[6]), splat(c[7])
    for q in range(len(longer)):
        w, i = after(weights, q * shape.size), q * shape.lines
        a = sweep_row(a, w, None, c, f, leak, keep, after(h, i), after(g, i), n, shape.taps)
    if shorter is not None:
        for q in range(len(longer), shape.rows):
            w, i = after(weights, q * shape.size), q * shape.lines
            a = sweep_row(a, w, True, c, f, leak, keep, after(h, i), after(g, i), n, shape.taps)
    return sums(a)


def sweep_row(
    a: Any, w: Any, short: Any, c: Any, f: Any, leak: Any, keep: Any, h: Any, g: Any, n: int, M: int
) -> Any:  # fmt: skip
    """Make the updates of one row and return a + its part of the outputs; if it is short, the oldest weight stays 0."""
    keep = splat(keep)
    first = 0
    if short is not None and M >= 8:
        first = 8
        v = times_real(plus_conj_products(fade(leak, keep, load(w, 0)), f, g, at(n - 8)), load(c, 24))
        store(w, 0, v)
        a = dots(a, v, h, at(n + 8))
    for k in range(first, M - 7, 8):
        v = plus_conj_products(fade(leak, keep, load(w, k)), f, g, at(n - 8 + k))
        store(w, k, v)
        a = dots(a, v, h, at(n + 8 + k))
    if M % 8:
        k = M // 8 * 8
        v = times_real(plus_conj_products(fade(leak, keep, load(w, k)), f, g, at(n - 8 + k)), load(c, 16))
        if short is not None and M < 8:
            v = times_real(v, load(c, 24))
        store(w, k, v)
        a = dots(a, v, h, at(n + 8 + k))
    return a


def dots(a: Any, v: Any, h: Any, i: int) -> Any:
    """Return the eight sums a plus v times eight shifts of the input."""
    return (
        plus_product(a[0], v, load(h, i)),
        plus_product(a[1], v, load(h, i + 1)),
        plus_product(a[2], v, load(h, i + 2)),
        plus_product(a[3], v, load(h, i + 3)),
        plus_product(a[4], v, load(h, i + 4)),
        plus_product(a[5], v, load(h, i + 5)),
        plus_product(a[6], v, load(h, i + 6)),
        plus_product(a[7], v, load(h, i + 7)),
    )


def echo(taps: Any, S: int, y: Any, n: int) -> Any:
    """Return what a path of S taps adds to the errors n to n + 7, of outputs before them; y[S] is output 0."""
    a = b = c = d = zeros(taps)
    last = S + n
    for k in range(1, S - 3, 4):
        a = plus_product(a, splat(y[last - k]), load(taps, 8 + k))
        b = plus_product(b, splat(y[last - k - 1]), load(taps, 9 + k))
        c = plus_product(c, splat(y[last - k - 2]), load(taps, 10 + k))
        d = plus_product(d, splat(y[last - k - 3]), load(taps, 11 + k))
    for k in range(max(S - 1, 0) // 4 * 4 + 1, S):
        a = plus_product(a, splat(y[last - k]), load(taps, 8 + k))
    return (a + b) + (c + d)


def recurse(
    gain: Any, error: Any, valid: Any, moves: Any, low: Any, tail: Any, count: int, n: int, r: Any, d: Any, mu: Any,
    step: int, leak: Any, p: Any, s: Any, before: Any, c: Any, one: Any, y: Any, e: Any, taps: Any,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """Run the recursion over up to eight samples from n on.

    `low` holds the outputs as they would be without this group's updates, and `before` the lag of sample n. All terms
    of an output but the last are in `ready` early: from one error to the next there is only a gain and a multiply-add
    to wait for. Returns what the group adds to the next eight outputs, by how much weights faded, s, and the next lag.
    """
    high, ready, a, keep = zeros(c), lane(low, 0), one, one
    g = zero = lane(high, 0)
    lag, rest, last = before, lane(tail, 0), zero
    for i in range(8):
        if i < count:
            d_n, mu_n = d[n + i], mu[(n + i) * step]
            if error is None:
                y[n + i] = lane(low, i)
                if taps is None:  # one addition less to wait for than d_n - y_n
                    e_n = d_n - fade(leak, a, ready)
                    if i > 0:
                        e_n = plus_product(e_n, -g, lag)
                    y_n = d_n - e_n
                else:  # the newest output is heard apart from what came before, as it comes last
                    y_n = fade(leak, a, ready)
                    e_n = d_n - (rest + taps[9] * last) - taps[8] * y_n
                    if i > 0:
                        y_n = plus_product(y_n, g, lag)
                        e_n = plus_product(e_n, -g, taps[8] * lag)
                    rest, last = lane(tail, (i + 1) & 7), y_n
                    tail = plus_product(tail, splat(y_n), load(taps, 8 - i))
                    e[n + i] = e_n
            else:
                y_n = fade(leak, a, ready)
                if i > 0:
                    y_n = plus_product(y_n, g, lag)
                y[n + i], e_n = error(y_n, d_n, p, s)
                e[n + i] = e_n
            ready = lane(low, (i + 1) & 7)
            if leak is not None:
                a = one - mu_n * leak
            g, new = gain(e_n, r[16 * i].real, y_n, d_n, lag, mu_n, p, s)
            if valid is not None:
                adapts = moves(mu_n) and valid(d_n)
                if not adapts:
                    a, g = one, zero
                if not valid(d_n):
                    e[n + i] = np.nan
                new = chosen(adapts, new, s)
            s = new
            c[i], lag = g, r[16 * i + 1]
            low = plus_product(fade(leak, splat(a), low), splat(g), load(r, 15 * i))
            high = plus_product(fade(leak, splat(a), high), splat(g), load(r, 15 * i + 8))
            c[8 + i] = a
        else:
            c[i], c[8 + i] = zero, one
    if leak is not None:
        for i in range(7, -1, -1):
            c[i] *= keep
            keep *= c[8 + i]
    return high, keep, s, lag
