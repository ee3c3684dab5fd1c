"""RLS by dichotomous coordinate descent (DCD-RLS): least squares with no division and no inverse.

The normal equations R w = beta are not solved but followed: r = beta - R w is what is left of them, and each sample
makes a few moves of one weight each, by a power of two:

    R <- lam R + u* u^T,    e = d - w^T u,    r <- lam r + e u*,    and `updates` times, where |r_p| is largest:
    halve h until |r_p| > h R_pp / 2,    w_p <- w_p + h s,    r <- r - h s R[:, p],    s the sign of r_p

Real and imaginary parts of r are looked at apart. Only the first column of R is new, R_n[k + 1, l + 1] = R_(n-1)[k, l]:
it is written where the oldest was, in a ring of rows and columns, and nothing is moved. That equality makes the start
R = delta diag(lam^-(k + 2)): the RLS followed has P0 = diag(lam^(k + 2)) / delta.

For 0 < lam <= 1, and with no step to choose: a weight moves only where w^H R w / 2 - Re(w^H beta) falls by it. Follows
RLS the closer the more updates; 4 are as good in noise. h starts from 4 at every sample and ends at 2^-22, so that
weights beyond 4 take several moves. Cost: (5 + 2 updates) M multiply-adds a sample, and memory for M^2 numbers. R goes
on where the filter is frozen, as if e were 0 there; in silence nothing moves. For `RLS` with hundreds of taps, and
hardware without division; there is no P that could lose its sign, so single precision does.

Source: Y. V. Zakharov, G. P. White and J. Liu, "Low-complexity RLS algorithms using dichotomous coordinate descent
iterations", IEEE Trans. Signal Processing, 2008.
"""

from typing import Any, Self

import torch
from torch import Tensor

from adaptfilt.base.recursive import RecursiveFilter, copied, push_front
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import dot

LARGEST, SMALLEST = 4.0, 2.0**-22  # a move


def dcd_recursion(
    R: Any, c: Any, r: Any, regressor: Any, ring: Any, x: Any, d: Any, lam: Any, updates: Any, units: Any
) -> Any:
    """Return output and error of one sample; where d is NaN the signal and R move, and the weights stay."""
    M = len(c)
    push_front(regressor, x)
    y = dot(c, regressor)
    ring[1] = ring[1] + 1 if x == 0 and ring[1] < M else ring[1] if x == 0 else 0
    if ring[1] < M:  # else all is silent
        place = _correlate(R, regressor, int(ring[0]), lam)
        ring[0] = place
        e = d - y if d == d else y - y
        for k in range(M):
            r[k] = lam * r[k] + e * regressor[k].conjugate()
        if d == d:
            h = LARGEST
            for _ in range(int(updates)):
                h = _descend(R, c, r, place, h, units)
    return y, d - y


def _correlate(R: Any, u: Any, last: int, lam: Any) -> int:
    """Write the first row and column of R over the oldest, and return their place; tap k is at (place + k) mod M."""
    M = len(u)
    place = last - 1 if last > 0 else M - 1
    new, old, u_0 = R[place], R[last], u[0].conjugate()
    before, after, turned = old[place + 1 : M], new[place:M], u[M - place :]
    for k in range(len(before)):
        after[k] = lam * before[k] + u_0 * u[k]
    after[M - 1 - place] = lam * old[0] + u_0 * u[M - 1 - place]
    for k in range(place):
        new[k] = lam * old[k + 1] + u_0 * turned[k]
    for i in range(M):
        R[i, place] = new[i].conjugate()
    return place


def _descend(R: Any, c: Any, r: Any, place: int, h: Any, units: Any) -> Any:
    """Move one weight by a power of two, h at most, and return that."""
    M = len(c)
    p, part, largest = _leader(r)
    at = place + p if place + p < M else place + p - M
    row, power = R[at], R[at, at].real
    while largest <= 0.5 * h * power and h > SMALLEST:
        h = 0.5 * h
    if largest > 0.5 * h * power:
        negative = (r[p].imag if part else r[p].real) < 0
        move = (r[p] - r[p]) + units[part] * (-h if negative else h)
        c[p] += move
        _subtract(r[: M - place], move, row[place:M])
        _subtract(r[M - place :], move, row[:place])
    return h


def _leader(r: Any) -> Any:
    """Return where the largest real or imaginary part is, which of the two, and its magnitude; block by block."""
    M, first, largest = len(r), 0, abs(r[0].real)
    for i in range((M + 15) // 16):
        most = r[16 * i].real * 0
        for k in range(16 * i, min(M, 16 * i + 16)):
            most = max(most, abs(r[k].real), abs(r[k].imag))
        if most > largest:
            first, largest = 16 * i, most
    while first < M - 1 and abs(r[first].real) != largest and abs(r[first].imag) != largest:
        first += 1
    return first, 0 if abs(r[first].real) == largest else 1, largest


def _subtract(r: Any, move: Any, row: Any) -> None:
    """Subtract a column of R, conjugated from its row."""
    for k in range(len(r)):
        r[k] -= move * row[k].conjugate()


class DCDRLS(RecursiveFilter):
    """Recursive least squares filter by dichotomous coordinate descent.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    lam : 0 < float <= 1 or Tensor
        Forgetting factor: a memory of about 1 / (1 - lam) samples. A tensor broadcasts over `batch`.
    delta : float > 0 or Tensor
        Regularisation of the start, in (units of x)^2.
    updates : int >= 1
        Moves a sample.
    batch, dtype, device, nonfinite, engine
        As for `adaptfilt.RecursiveFilter`.

    Attributes
    ----------
    w : Tensor [shape=(*batch, M)]
        Impulse response; read-only.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or is none of a recursion's.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(1000)
    >>> f = af.DCDRLS(taps=3, lam=0.99)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(
        recursion=dcd_recursion,
        weights=copied,
        state={"R": ("taps", "stride"), "c": ("taps",), "r": ("taps",), "regressor": ("taps",), "ring": ("real", 2)},
        vectors={"units": "signal"},
    )
    ranges = {"lam": {"above": True, "high": 1.0}, "delta": {"above": True}}
    _shown = ("lam", "delta", "updates")
    lam: Any
    delta: Any
    updates: int
    units: Tensor

    def __init__(
        self,
        taps: int,
        lam: Any = 0.999,
        *,
        delta: Any = 0.01,
        updates: int = 4,
        dtype: Any = torch.float32,
        **common: Any,
    ) -> None:
        units = [1.0, 1j] if torch.empty(0, dtype=dtype).is_complex() else [1.0, 0.0]
        params = {"lam": lam, "delta": delta, "updates": positive_int("updates", updates), "units": units}
        super().__init__(taps, params, dtype=dtype, **common)

    @property
    def stride(self) -> int:
        """Distance of the rows of R: what stands in a column must not all fall on one place of a cache."""
        return self.taps + 16

    def start(self) -> dict[str, Tensor]:
        """Return the correlation of the start."""
        lam, delta = (torch.as_tensor(v, dtype=torch.float64)[..., None] for v in (self.lam, self.delta))
        R = torch.diag_embed(delta * lam ** -(torch.arange(self.taps, dtype=torch.float64) + 2))
        return {"R": torch.nn.functional.pad(R, (0, 16))}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.99, **common)
