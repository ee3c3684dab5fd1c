"""Vectors of eight numbers, the words the lookahead kernel is written in; `numba_vectors` says the same for Numba.

Here a pointer is an array and a vector a small array: slow, but what the compiled words do is what these do.
A debug build compiles these words, which check their bounds.
Vectors of one type are added and multiplied entry by entry with + and *.
"""

from typing import Any

import numpy as np


def data(array: Any) -> Any:
    """Return a pointer to the array's first entry: no bounds, no negative indices; ``p[i]`` is one entry."""
    return array


def allocate(p: Any, count: int) -> Any:
    """Return a pointer to `count` new entries, uninitialised, of the type p points to, on a line of 64 bytes."""
    return np.full(count, np.nan, p.dtype)


def release(p: Any) -> None:
    """Give back what `allocate` returned."""


def after(p: Any, i: int) -> Any:
    """Return the pointer to entry i."""
    return p[i:]


def load(p: Any, i: int) -> Any:
    """Return entries i to i + 7 as a vector."""
    v = zeros(p)
    for k in range(8):
        v[k] = p[i + k]
    return v


def store(p: Any, i: int, v: Any) -> None:
    """Write a vector to entries i to i + 7."""
    for k in range(8):
        p[i + k] = v[k]


def zeros(p: Any) -> Any:
    """Return a vector of zeros of the type p points to."""
    return np.zeros(8, p.dtype)


def splat(s: Any) -> Any:
    """Return a vector that holds the number s eight times."""
    return np.full(8, s)


def lane(v: Any, i: int) -> Any:
    """Return entry i of a vector."""
    return v[i]


def with_first(v: Any, s: Any) -> Any:
    """Return a vector with s for its first entry."""
    v = v.copy()
    v[0] = s
    return v


def times_real(v: Any, w: Any) -> Any:
    """Return v times the real part of w."""
    return v * w.real


def plus_product(a: Any, v: Any, w: Any) -> Any:
    """Return a + v w."""
    return a + v * w


def plus_conj_products(v: Any, f: Any, p: Any, i: int) -> Any:
    """Return v plus the sum of f[k] times the conjugate of entries i + k to i + k + 7, for k = 0 to 7."""
    for k in range(8):
        v = v + f[k] * np.conj(load(p, i + k))
    return v


def sums(vectors: Any) -> Any:
    """Return the sums of the entries of eight vectors, as a vector."""
    return np.array([v.sum() for v in vectors])


def flush_subnormals() -> int:
    """Make this thread take numbers below the smallest normal one for zero, which is faster; return the old mode."""
    return 0


def restore_mode(mode: int) -> None:
    """Put back the mode that `flush_subnormals` returned."""
