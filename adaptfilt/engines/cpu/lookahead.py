"""The lookahead kernel: the recursion of every rank-one filter, exactly, eight samples a pass over the taps.

For the samples n of a block, with u_n[k] = x[n-k], a gain function and a_n = 1 - mu_n leak, the recursion is ::

    y_n = w^T u_n,    e_n = d_n - y_n,    g_n = gain(e_n, |u_n|^2, mu_n, p),    w <- a_n w + g_n conj(u_n)

Sample by sample, a dot product, the gain and an update wait for each other. But what the update at n changes in the
output j samples later is one number, g_n r_j(n), and the lags r_j(n) = u_n^H u_{n+j} depend on the input alone. So
eight outputs are computed with old weights in one pass over the taps (`sweep`), then corrected one after the other by
means of the lags (`recurse`), and the eight updates are made in one pass. A sweep makes the updates of the last group
of eight and computes the outputs of the next; those of the group in between are corrected for both groups, so that
neither waits for the other and 16 lags do. Multiplied out this is the recursion itself; only the roundings differ.

The lags are sums over M products. They are put together from sums over eight products, and these from a suffix of older
and a prefix of newer ones, by additions alone: what has left the window leaves no trace, and nothing drifts.

Sources: J. Benesty and P. Duhamel, "A fast exact least mean square adaptive algorithm", IEEE Trans. Signal Processing,
1992, for the outputs of several samples at once; M. van Herk, "A fast algorithm for local minimum and maximum filters
on rectangular and octagonal kernels", Pattern Recognition Letters, 1992, for suffix and prefix.

It is written in the words of `vectors`, for Numba; uncompiled it runs on NumPy arrays, slowly. Fast arithmetic must not
go beyond contraction: reassociation would draw a gain's division into the chain from one error to the next. All
functions but `lookahead` are to be inlined by force.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from adaptfilt.engines.cpu.vectors import (
    after,
    allocate,
    conj,
    data,
    flush_subnormals,
    lane,
    load,
    release,
    restore_mode,
    splat,
    store,
    sums,
    zeros,
)

Gain = Callable[..., Any]


def lookahead(gain: Gain, x: Any, d: Any, mu: Any, leak: Any, skip: Any, p: Any, w: Any, y: Any, e: Any) -> None:
    """Adapt one filter over one block.

    Parameters
    ----------
    gain : callable
        ``gain(e, energy, mu, p)``
    x : array, (T + M - 1,)
        The last M - 1 samples and the block, oldest first; float32, float64, complex64 or complex128, as d, w, y, e.
    d : array, (T,)
        Desired signal, T >= 1.
    mu : array, (T,) or (1,)
        Step sizes, real in the same precision, as `leak` and `p`.
    leak : float or None
        Leakage; None, known when this is compiled, if nothing leaks.
    skip : True or None
        True: d may hold NaN, and at such a sample the weights stay as they are.
    p : tuple
        The gain's parameters; a tuple stays in registers.
    w : array, (M,)
        Weights, newest sample first; changed in place.
    y, e : array, (T,)
        Receive the outputs and the errors, ``e = d - y``.

    Notes
    -----
    The arrays are contiguous. Takes 2 T + 5 M + 750 numbers of memory while it runs. A sample costs 2 M multiply-adds
    in the passes and about 100 for lags and corrections.

    Examples
    --------
    >>> x, w, y, e = np.array([0.0, 1.0, 2.0, -1.0]), np.zeros(2), np.zeros(3), np.zeros(3)
    >>> nlms = lambda e, energy, mu, p: mu / (p[0] + energy) * e
    >>> lookahead(nlms, x, np.array([1.0, 3.0, 3.0]), np.array([1.0]), None, None, (0.0,), w, y, e)
    >>> y.round(3), w.round(3)
    (array([ 0.,  2., -1.]), array([0.6, 1.8]))
    """
    mode = flush_subnormals()
    T, M = len(d), len(w)
    zero, one = w.dtype.type(0), w.dtype.type(1)
    size, lines = (M + 15) // 16 * 16, (T + M) // 8 * 16 + 160
    r = allocate(data(w), 544 + 3 * size + lines)  # lags, 16 a sample, of four groups
    c = after(r, 512)  # of a group: 8 gains, 8 factors by which weights fade; then 8 factors, 0 where w is padded
    v = after(c, 32)  # weights, oldest sample first, padded
    blocks = after(v, size)  # sums over eight products, 16 lags each
    h = after(blocks, 2 * size)  # the input
    write_lines(h, lines, data(x), len(x))
    for k in range(size):
        v[k] = w[M - 1 - k] if k < M else zero
    for k in range(8):
        c[k], c[k + 16] = zero, one if k < M % 8 else zero
    for k in range(M // 8 - 1):
        a = zeros(h), zeros(h)
        for t in range(M % 8 + 8 * k + 8, M % 8 + 8 * k + 16):
            a = add_products(a, h, t)
        store_pair(blocks, 16 * k, a)

    desired, steps, outputs, step = data(d), data(mu), data(y), min(len(mu) - 1, 1)
    base, high, keep, slot, head = zeros(h), zeros(h), one, 0, (zeros(h), zeros(h))
    groups = (T + 7) // 8
    for group in range(-2, groups + 1):
        n = 8 * group
        low = fade(leak, splat(keep), base) + high
        if group > -2:
            base = sweep(v, M, c, leak, keep, h, n)
        if 0 <= group < groups:
            now = after(r, 128 * (group & 3))
            high, keep = recurse(gain, low, min(T - n, 8), n, now, desired, steps, step, leak, skip, p, c, one, outputs)
        if group < groups - 2:
            slot, head = lags(after(r, 128 * (group + 2 & 3)), h, n + 16, M, blocks, slot, head)

    for k in range(M):
        w[M - 1 - k] = v[k]
    for k in range(T):
        e[k] = d[k] - y[k]
    release(r)
    restore_mode(mode)


def write_lines(h: Any, count: int, x: Any, size: int) -> None:
    """Write x in lines of 16, each with eight new samples and the eight before: a vector never straddles two lines.

    Samples t to t + 7 are at `at(t)`; there are zeros before and after x.
    """
    full = size // 8 * 8
    for i in range(0, 32, 8):
        store(h, i, zeros(h))
    for t in range(0, full, 8):
        store(h, 2 * t + 24, load(x, t))
        store(h, 2 * t + 32, load(x, t))
    for i in range(2 * full + 24, count, 8):
        store(h, i, zeros(h))
    for t in range(full, size):
        h[at(t)] = h[at(t) - 8] = x[t]


def at(t: int) -> int:
    """Return the place of sample t >= -16 in the lines."""
    return 2 * t - (t & 7) + 32


def add_products(a: Any, h: Any, t: int) -> Any:
    """Return a + conj(x[t]) x[t+j], lags j = 0 to 7 and 8 to 15 as a pair of vectors."""
    i = at(t)
    c = splat(np.conj(h[i]))
    return a[0] + c * load(h, i), a[1] + c * load(h, i + 16)


def store_pair(p: Any, i: int, a: Any) -> None:
    """Write a pair of vectors."""
    store(p, i, a[0])
    store(p, i + 8, a[1])


def add_pair(p: Any, i: int, a: Any) -> Any:
    """Return a pair of vectors in memory plus a pair."""
    return load(p, i) + a[0], load(p, i + 8) + a[1]


def lags(r: Any, h: Any, n: int, M: int, blocks: Any, slot: int, head: Any) -> Any:
    """Write the lags of the samples n to n + 7 to r; return the next slot and the next head.

    The blocks of the window that end with sample n + M - 1 are, from `slot` on, sums to the last slot (suffix), and
    before it newer ones, whose sum (prefix) is `head`. A block that enters takes the slot of the one that leaves.
    """
    none = zeros(h), zeros(h)
    if M < 8:
        for i in range(8):
            a = none
            for t in range(n + i, n + i + M):
                a = add_products(a, h, t)
            store_pair(r, 16 * i, a)
        return slot, head
    a, slots = none, 16 * (M // 8 - 1)
    if slots > 0:
        if slot == 0:
            head = none
            for i in range(slots - 16, -1, -16):
                a = add_pair(blocks, i, a)
                store_pair(blocks, i, a)
        a = add_pair(blocks, slot, head)
    for t in range(n + 7 + M % 8, n + 7, -1):
        a = add_products(a, h, t)
    b = none
    for i in range(8):
        store_pair(r, 16 * i, b)
        b = add_products(b, h, n + M + i)
    for i in range(7, -1, -1):
        a = add_products(a, h, n + i)
        store_pair(r, 16 * i, add_pair(r, 16 * i, a))
    if slots > 0:
        head = head[0] + b[0], head[1] + b[1]
        store_pair(blocks, slot, b)
        slot = slot + 16 if slot + 16 < slots else 0
    return slot, head


def fade(leak: Any, a: Any, v: Any) -> Any:
    """Return a v, or v where nothing leaks."""
    if leak is None:
        return v
    return a * v


def sweep(w: Any, M: int, c: Any, leak: Any, keep: Any, h: Any, n: int) -> Any:
    """Make the updates of the samples n - 8 to n - 1, of gains c, and return the outputs n + 8 to n + 15 after them."""
    keep = splat(keep)
    f = splat(c[0]), splat(c[1]), splat(c[2]), splat(c[3]), splat(c[4]), splat(c[5]), splat(c[6]), splat(c[7])
    z = zeros(h)
    a = z, z, z, z, z, z, z, z
    for k in range(0, M - 7, 8):
        v = update(fade(leak, keep, load(w, k)), f, h, at(n - 8 + k))
        store(w, k, v)
        a = dots(a, v, h, at(n + 8 + k))
    if M % 8:
        k = M // 8 * 8
        v = load(c, 16) * update(fade(leak, keep, load(w, k)), f, h, at(n - 8 + k))
        store(w, k, v)
        a = dots(a, v, h, at(n + 8 + k))
    return sums(a)


def update(v: Any, f: Any, h: Any, i: int) -> Any:
    """Return v plus eight conjugated shifts of the input, each times its gain; two sums halve the wait."""
    v = v + f[0] * conj(load(h, i)) + f[1] * conj(load(h, i + 1))
    v = v + f[2] * conj(load(h, i + 2)) + f[3] * conj(load(h, i + 3))
    u = f[4] * conj(load(h, i + 4)) + f[5] * conj(load(h, i + 5))
    return v + (u + f[6] * conj(load(h, i + 6)) + f[7] * conj(load(h, i + 7)))


def dots(a: Any, v: Any, h: Any, i: int) -> Any:
    """Return the eight sums a plus v times eight shifts of the input."""
    return (
        a[0] + v * load(h, i),
        a[1] + v * load(h, i + 1),
        a[2] + v * load(h, i + 2),
        a[3] + v * load(h, i + 3),
        a[4] + v * load(h, i + 4),
        a[5] + v * load(h, i + 5),
        a[6] + v * load(h, i + 6),
        a[7] + v * load(h, i + 7),
    )


def recurse(
    gain: Gain, low: Any, count: int, n: int, r: Any, d: Any, mu: Any, step: int, leak: Any, skip: Any, p: Any,
    c: Any, one: Any, y: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Run the recursion over up to eight samples from n on; return what they add to the next eight outputs, and fade.

    `low` holds the outputs as they would be without this group's updates. All terms of an output but the last are in
    `ready` early: from one error to the next there is only a gain and a multiply-add to wait for.
    """
    high, ready, a, keep = zeros(c), lane(low, 0), one, one
    g = lag = zero = lane(high, 0)
    for i in range(8):
        if i < count:
            y[n + i] = lane(low, i)
            e = d[n + i] - fade(leak, a, ready)
            if i > 0:
                e -= g * lag
            ready = lane(low, (i + 1) & 7)
            mu_n = mu[(n + i) * step]
            if leak is not None:
                a = one - mu_n * leak
            c[i] = gain(e, r[16 * i].real, mu_n, p)
            if skip is not None and d[n + i] != d[n + i]:
                a, c[i] = one, zero
            g, lag = c[i], r[16 * i + 1]
            low = fade(leak, splat(a), low) + splat(g) * load(r, 15 * i)
            high = fade(leak, splat(a), high) + splat(g) * load(r, 15 * i + 8)
            c[8 + i] = a
        else:
            c[i], c[8 + i] = zero, one
    if leak is not None:
        for i in range(7, -1, -1):
            c[i] *= keep
            keep *= c[8 + i]
    return high, keep
