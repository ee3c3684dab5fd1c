"""Transforms of one real row whose length N is a power of two from 128 on, in vectors of eight.

A row is read as R = N / 8 vectors: lane l holds every eighth sample from the l-th on. With w_N = e^(-2 pi i / N),

    X[k + R m] = sum_l w_8^(l m) w_N^(l k) A_l[k],    A_l[k] = sum_r x[8 r + l] w_R^(r k)

The transforms A of all lanes are made side by side, each of a complex one of h = R / 2, of x[16 s + l] + i x[16 s + 8 +
l]. Eight of their bins at a time, turned so that a bin is a lane, give eight times eight bins of x; those beyond N / 2
are the conjugates of others. Backwards the same goes the other way round, with real and imaginary parts exchanged. One
row takes a fifth of rocket-fft's time, which is as fast where it has 16 rows to work on side by side.

Source: J. W. Cooley and J. W. Tukey, "An algorithm for the machine calculation of complex Fourier series", Mathematics
of Computation 19(90), 1965; stages that leave the bins in order: T. G. Stockham, "High-speed convolution and
correlation", AFIPS Spring Joint Computer Conference, 1966.
"""

from typing import Any

import numpy as np

from adaptfilt.engines.cpu.fft import backwards, paired, parted, transposed
from adaptfilt.engines.cpu.vectors import after, lane, load, splat, store, sums

LEAST = 128  # samples
_ROOT, _LANES = 8, 72  # where in a plan the eighths of a turn begin, and the turns of lanes


def size(N: int) -> int:
    """Return how many numbers the plan of rows of N samples has: constants first, then room."""
    return 9 * N // 2 + 288


def fits(N: int) -> bool:
    """Say whether rows of N samples are transformed here."""
    return N >= LEAST and not N & (N - 1)


def plan(N: int) -> np.ndarray[Any, Any]:
    """Return constants for rows of N samples, and room; zeros where they are not transformed here."""
    out = np.zeros(size(N))
    if not fits(N):
        return out
    h = N // 16
    k, lanes, turns, m = np.arange(h + 1), np.arange(8), [], h
    while m >= 4 and m != 8:
        angles = np.outer(np.arange(m // 4), [1, 2, 3]) / m
        turns.append(np.stack([np.cos(2 * np.pi * angles), -np.sin(2 * np.pi * angles)], -1).ravel())
        m //= 4
    eighths, own = np.outer(np.arange(4), lanes) / 8, np.outer(k, lanes) / N
    parts = [np.array([0.5, np.sqrt(0.5), 1 / N, 0, 0, 0, 0, 0])]
    parts += [np.stack([np.cos(2 * np.pi * a), -np.sin(2 * np.pi * a)], 1).ravel() for a in (eighths, own)]
    parts += [np.stack([np.cos(np.pi * k / h), -np.sin(np.pi * k / h)], -1).ravel(), *turns]
    constants = np.concatenate(parts)
    out[: constants.size] = constants
    return out


def rooms(plan: Any, N: int) -> Any:
    """Return pointers to the six rooms of a plan, which follow its constants."""
    width, p = N // 2 + 24, after(plan, 3 * N // 2 + 128)
    return p, after(p, width), after(p, 2 * width), after(p, 3 * width), after(p, 4 * width), after(p, 5 * width)


# Complex transforms of h vectors


def transform(ar: Any, ai: Any, br: Any, bi: Any, turns: Any, h: int, root: Any) -> bool:
    """Transform h vectors in a; say whether the result stands in b. Both are written to."""
    m, s, moved = h, 1, False
    while m >= 4 and m != 8:
        if moved:
            fours(br, bi, ar, ai, turns, m // 4, s)
        else:
            fours(ar, ai, br, bi, turns, m // 4, s)
        turns, moved, m, s = after(turns, 6 * (m // 4)), not moved, m // 4, 4 * s
    if m == 8:
        if moved:
            eights(br, bi, ar, ai, s, root)
        else:
            eights(ar, ai, br, bi, s, root)
        moved = not moved
    return moved


def fours(ar: Any, ai: Any, br: Any, bi: Any, turns: Any, q: int, s: int) -> None:
    """Take a stage of transforms of four."""
    for p in range(q):
        t = after(turns, 6 * p)
        c1, s1, c2, s2, c3, s3 = splat(t[0]), splat(t[1]), splat(t[2]), splat(t[3]), splat(t[4]), splat(t[5])
        for k in range(s):
            i, d, o, e = 8 * (k + s * p), 8 * s * q, 8 * (k + 4 * s * p), 8 * s
            r0, r1, r2, r3 = load(ar, i), load(ar, i + d), load(ar, i + 2 * d), load(ar, i + 3 * d)
            i0, i1, i2, i3 = load(ai, i), load(ai, i + d), load(ai, i + 2 * d), load(ai, i + 3 * d)
            gr, gi, hr, hi = r0 + r2, i0 + i2, r1 + r3, i1 + i3
            ur, ui, vr, vi = r0 - r2, i0 - i2, r1 - r3, i1 - i3
            store(br, o, gr + hr)
            store(bi, o, gi + hi)
            put_turned(br, bi, o + e, ur + vi, ui - vr, c1, s1)
            put_turned(br, bi, o + 2 * e, gr - hr, gi - hi, c2, s2)
            put_turned(br, bi, o + 3 * e, ur - vi, ui + vr, c3, s3)


def put_turned(br: Any, bi: Any, o: int, re: Any, im: Any, c: Any, s: Any) -> None:
    """Write a vector times c + i s."""
    store(br, o, re * c - im * s)
    store(bi, o, re * s + im * c)


def eights(ar: Any, ai: Any, br: Any, bi: Any, s: int, root: Any) -> None:
    """Take the last stage, of transforms of eight."""
    for k in range(s):
        re, im = of_eight(load_eight(ar, 8 * k, 8 * s), load_eight(ai, 8 * k, 8 * s), root)
        store_eight(br, 8 * k, 8 * s, re)
        store_eight(bi, 8 * k, 8 * s, im)


def load_eight(p: Any, i: int, d: int) -> Any:
    """Return eight vectors, d numbers apart."""
    return (load(p, i), load(p, i + d), load(p, i + 2 * d), load(p, i + 3 * d), load(p, i + 4 * d), load(p, i + 5 * d),
            load(p, i + 6 * d), load(p, i + 7 * d))  # fmt: skip


def store_eight(p: Any, i: int, d: int, vs: Any) -> None:
    """Write eight vectors, d numbers apart."""
    store(p, i, vs[0])
    store(p, i + d, vs[1])
    store(p, i + 2 * d, vs[2])
    store(p, i + 3 * d, vs[3])
    store(p, i + 4 * d, vs[4])
    store(p, i + 5 * d, vs[5])
    store(p, i + 6 * d, vs[6])
    store(p, i + 7 * d, vs[7])


def of_eight(x: Any, y: Any, root: Any) -> Any:
    """Return the transform of x + i y, eight vectors each, over the vectors; root is that of a half."""
    a0, a1, a2, a3 = x[0] + x[4], x[1] + x[5], x[2] + x[6], x[3] + x[7]
    b0, b1, b2, b3 = x[0] - x[4], x[1] - x[5], x[2] - x[6], x[3] - x[7]
    c0, c1, c2, c3 = y[0] + y[4], y[1] + y[5], y[2] + y[6], y[3] + y[7]
    d0, d1, d2, d3 = y[0] - y[4], y[1] - y[5], y[2] - y[6], y[3] - y[7]
    er, ei, fr, fi = a0 + a2, c0 + c2, a1 + a3, c1 + c3
    gr, gi, hr, hi = a0 - a2, c0 - c2, a1 - a3, c1 - c3
    pr, pi, qr, qi = b0 + d2, d0 - b2, b0 - d2, d0 + b2
    ur, ui, vr, vi = root * (b1 + d1), root * (d1 - b1), root * (d3 - b3), -(root * (d3 + b3))
    sr, si, tr, ti = ur + vr, ui + vi, ur - vr, ui - vi
    re = (er + fr, pr + sr, gr + hi, qr + ti, er - fr, pr - sr, gr - hi, qr - ti)
    im = (ei + fi, pi + si, gi - hr, qi - tr, ei - fi, pi - si, gi + hr, qi + tr)
    return re, im


# A real row


def forward_row(x: Any, V: Any, plan: Any, N: int) -> None:
    """Write the spectrum of x, N / 2 + 1 pairs of real and imaginary parts, to V."""
    R, h, lanes = N // 8, N // 16, after(plan, _LANES)
    ar, ai, br, bi, dr, di = rooms(plan, N)
    half, root, turns = splat(plan[0]), splat(plan[1]), after(lanes, 16 * (h + 1))
    for s in range(h):
        store(ar, 8 * s, load(x, 16 * s))
        store(ai, 8 * s, load(x, 16 * s + 8))
    if transform(ar, ai, br, bi, after(turns, 2 * (h + 1)), h, root):
        ar, ai = br, bi
    r0, i0 = load(ar, 0), load(ai, 0)
    store(dr, 0, r0 + i0)
    store(di, 0, r0 - r0)
    last = r0 - i0
    store(dr, 8 * h, last * load(lanes, 16 * h))
    store(di, 8 * h, last * load(lanes, 16 * h + 8))
    for k in range(1, h // 2 + 1):
        i, j = 8 * k, 8 * (h - k)
        ur, ui, vr, vi = load(ar, i), load(ai, i), load(ar, j), load(ai, j)
        er, ei, fr, fi = half * (ur + vr), half * (ui - vi), half * (ui + vi), half * (vr - ur)
        c, s = splat(turns[2 * k]), splat(turns[2 * k + 1])
        pr, pi = fr * c - fi * s, fr * s + fi * c
        put_turned(dr, di, i, er + pr, ei + pi, load(lanes, 2 * i), load(lanes, 2 * i + 8))
        put_turned(dr, di, j, er - pr, pi - ei, load(lanes, 2 * j), load(lanes, 2 * j + 8))
    for k in range(0, h, 8):
        re, im = of_eight(transposed(load_eight(dr, 8 * k, 8)), transposed(load_eight(di, 8 * k, 8)), root)
        put(V, k, re[0], im[0])
        put(V, k + R, re[1], im[1])
        put(V, k + 2 * R, re[2], im[2])
        put(V, k + 3 * R, re[3], im[3])
        put_mirrored(V, 4 * R - k, re[4], im[4])
        put_mirrored(V, 3 * R - k, re[5], im[5])
        put_mirrored(V, 2 * R - k, re[6], im[6])
        put_mirrored(V, R - k, re[7], im[7])
    z, v, t = load(dr, 8 * h), load(di, 8 * h), after(plan, _ROOT)
    found = sums((turned_re(z, v, t, 0), turned_re(z, v, t, 16), turned_re(z, v, t, 32), turned_re(z, v, t, 48),
                  turned_im(z, v, t, 0), turned_im(z, v, t, 16), turned_im(z, v, t, 32), turned_im(z, v, t, 48)
    ))  # fmt: skip
    for m in range(4):
        V[2 * (h + R * m)] = lane(found, m)
        V[2 * (h + R * m) + 1] = lane(found, m + 4)


def turned_re(re: Any, im: Any, t: Any, i: int) -> Any:
    """Return the real part of a vector times that at t[i]."""
    return re * load(t, i) - im * load(t, i + 8)


def turned_im(re: Any, im: Any, t: Any, i: int) -> Any:
    """Return the imaginary part of a vector times that at t[i]."""
    return re * load(t, i + 8) + im * load(t, i)


def put(V: Any, k: int, re: Any, im: Any) -> None:
    """Write eight bins from the k-th on."""
    first, second = paired(re, im)
    store(V, 2 * k, first)
    store(V, 2 * k + 8, second)


def put_mirrored(V: Any, k: int, re: Any, im: Any) -> None:
    """Write the conjugates of eight bins from the k-th down."""
    put(V, k - 7, backwards(re), -backwards(im))


def get(V: Any, k: int) -> Any:
    """Return eight bins from the k-th on."""
    return parted(load(V, 2 * k), load(V, 2 * k + 8))


def get_mirrored(V: Any, k: int) -> Any:
    """Return the conjugates of eight bins from the k-th down."""
    re, im = get(V, k - 7)
    return backwards(re), -backwards(im)


def backward_row(V: Any, x: Any, plan: Any, N: int) -> None:
    """Write the N samples of which V is the spectrum to x."""
    R, h, lanes = N // 8, N // 16, after(plan, _LANES)
    ar, ai, br, bi, dr, di = rooms(plan, N)
    root, scale, turns = splat(plan[1]), splat(plan[2]), after(lanes, 16 * (h + 1))
    for k in range(0, h, 8):
        (r0, i0), (r1, i1), (r2, i2), (r3, i3) = get(V, k), get(V, k + R), get(V, k + 2 * R), get(V, k + 3 * R)
        (r4, i4), (r5, i5) = get_mirrored(V, 4 * R - k), get_mirrored(V, 3 * R - k)
        (r6, i6), (r7, i7) = get_mirrored(V, 2 * R - k), get_mirrored(V, R - k)
        im, re = of_eight((i0, i1, i2, i3, i4, i5, i6, i7), (r0, r1, r2, r3, r4, r5, r6, r7), root)
        store_eight(dr, 8 * k, 8, transposed(re))
        store_eight(di, 8 * k, 8, transposed(im))
    last = scale - scale
    c, s = load(lanes, 16 * h), load(lanes, 16 * h + 8)
    for m in range(4):
        re, im = splat(V[2 * (h + R * m)]), splat(V[2 * (h + R * m) + 1])
        er, ei = load(plan, _ROOT + 16 * m), load(plan, _ROOT + 16 * m + 8)
        last = last + ((re * er + im * ei) * c + (im * er - re * ei) * s)
    last, r0 = last + last, load(dr, 0)
    store(ar, 0, scale * (r0 + last))
    store(ai, 0, scale * (r0 - last))
    for k in range(1, h // 2 + 1):
        i, j = 8 * k, 8 * (h - k)
        ur, ui = unturned(dr, di, i, lanes)
        vr, vi = unturned(dr, di, j, lanes)
        er, ei, gr, gi = ur + vr, ui - vi, ur - vr, ui + vi
        c, s = splat(turns[2 * k]), splat(turns[2 * k + 1])
        fr, fi = gr * c + gi * s, gi * c - gr * s
        store(ar, i, scale * (er - fi))
        store(ai, i, scale * (ei + fr))
        store(ar, j, scale * (er + fi))
        store(ai, j, scale * (fr - ei))
    if transform(ai, ar, bi, br, after(turns, 2 * (h + 1)), h, root):
        ar, ai = br, bi
    for s in range(h):
        store(x, 16 * s, load(ar, 8 * s))
        store(x, 16 * s + 8, load(ai, 8 * s))


def unturned(dr: Any, di: Any, i: int, lanes: Any) -> Any:
    """Return a vector with its lanes turned back."""
    re, im, c, s = load(dr, i), load(di, i), load(lanes, 2 * i), load(lanes, 2 * i + 8)
    return re * c + im * s, im * c - re * s
