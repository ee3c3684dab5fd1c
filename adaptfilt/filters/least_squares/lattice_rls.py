"""Recursive least squares in a lattice, with a priori errors fed back (LSL).

M stages predict every sample from those before it, forwards (f) and backwards (b), and the joint process e is taken off
stage by stage. With gamma the conversion factor, and b', gamma', B' of the sample before,

    f_0 = b_0 = x,    e_0 = d,    gamma_0 = 1,    and for m = 0, ..., M - 1
    F <- lam F + gamma' |f|^2,    B <- lam B + gamma |b|^2
    f+ = f - kf b',    b+ = b' - kb f,    e+ = e - k b
    kf <- kf + gamma' b'* f+ / B',    kb <- kb + gamma' f* b+ / F,    k <- k + gamma b* e+ / B
    gamma+ = gamma - (gamma |b|)^2 / B = gamma lam B' / B

and y = d - e_M. With the starts F = delta lam^-2 and B_m = delta lam^-(m+2) it is RLS with P0 = diag(lam^(2+m)) / delta
from the first sample on: y and e are those of `RLS`. w is another matter: the response of the lattice as it stands,
which `filter` and `eval` run. RLS's weights hold what kf and kb were over the last M samples, and the two differ while
these move: 8 taps, a first-order autoregression of .9, noise at -60 dB, lam = .98 | .999 | 1: a misalignment of
-26 | -54 | -75 dB against -64 | -71 | -79 dB. Errors of rounding are not bounded on input that excites less than M
directions, such as a tone for long: see `RLS`. Converges in about 2 M samples whatever the input's colour, for
0 < lam <= 1. Cost: 16 M multiply-adds and 3 M divisions a sample. Where RLS is wanted for many taps; its state is
7 M numbers, not M^2.

Source: S. Haykin, *Adaptive Filter Theory*, 4th ed., 2002, ch. 12 (recursive LSL algorithm with error feedback); the
exact start: A. H. Sayed, *Fundamentals of Adaptive Filtering*, 2003, ch. 12.
"""

from typing import Any, Self

import torch
from torch import Tensor

from adaptfilt.base.recursive import RecursiveFilter
from adaptfilt.engines.algorithm import Algorithm


def lattice_recursion(F: Any, B: Any, b: Any, gamma: Any, kf: Any, kb: Any, k: Any, x: Any, d: Any, lam: Any) -> Any:
    """Return output and error of one sample; where d is NaN the backward errors move, and nothing adapts."""
    adapts = d == d
    f, b_m, e, g = x, x, d - d if adapts else x - x, lam - lam + 1
    for m in range(len(k)):
        b_old, g_old, B_old = b[m], gamma[m], B[m]
        f_next, b_next = f - kf[m] * b_old, b_old - kb[m] * f
        e = e + k[m] * b_m
        if adapts:
            F[m] = lam * F[m] + g_old * (f * f.conjugate()).real
            kf[m] += g_old * b_old.conjugate() * f_next / B_old
            kb[m] += g_old * f.conjugate() * b_next / F[m]
            B[m] = lam * B_old + g * (b_m * b_m.conjugate()).real
            k[m] += g * b_m.conjugate() * (d - e) / B[m]
            gamma[m] = g
            g = g * (lam * B_old / B[m])
        b[m] = b_m
        f, b_m = f_next, b_next
    return e, d - e


def lattice_weights(kf: Any, kb: Any, k: Any, past: Any = None, out: Any = None) -> Any:
    """Return the impulse response: backward errors of an impulse, weighted by k; past are those a sample before."""
    for n in range(len(k)):
        f = b = k[0] * 0 + (1 if n == 0 else 0)
        total = b * 0
        for m in range(len(k)):
            old = past[m] if n > 0 else total * 0
            total += k[m] * b
            past[m] = b
            f, b = f - kf[m] * old, old - kb[m] * f
        out[n] = total
    return out


class LatticeRLS(RecursiveFilter):
    """Recursive least squares lattice filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients and stages, M.
    lam : 0 < float <= 1 or Tensor
        Forgetting factor: a memory of about 1 / (1 - lam) samples. A tensor broadcasts over `batch`.
    delta : float > 0 or Tensor
        Regularisation of the start, in (units of x)^2.
    batch, dtype, device, nonfinite, engine
        As for `adaptfilt.RecursiveFilter`.

    Attributes
    ----------
    w : Tensor [shape=(*batch, M)]
        Impulse response of the lattice as it stands, not RLS's weights; read-only.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or is none of a recursion's.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(1000)
    >>> f = af.LatticeRLS(taps=3, lam=0.99)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(
        recursion=lattice_recursion,
        weights=lattice_weights,
        state={
            "F": ("real", "taps"), "B": ("real", "taps"), "b": ("taps",), "gamma": ("real", "taps"),
            "kf": ("taps",), "kb": ("taps",), "k": ("taps",),
        },
    )  # fmt: skip
    ranges = {"lam": {"above": True, "high": 1.0}, "delta": {"above": True}}
    _shown = ("lam", "delta")
    lam: Any
    delta: Any

    def __init__(self, taps: int, lam: Any = 0.999, *, delta: Any = 0.01, **common: Any) -> None:
        super().__init__(taps, {"lam": lam, "delta": delta}, **common)

    def start(self) -> dict[str, Tensor]:
        """Return the energies of the exact start, and conversion factors of 1."""
        lam, delta = (torch.as_tensor(v, dtype=torch.float64)[..., None] for v in (self.lam, self.delta))
        m = torch.arange(self.taps, dtype=torch.float64)
        return {"F": delta * lam**-2 + 0 * m, "B": delta * lam ** -(m + 2), "gamma": torch.ones(self.taps)}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.99, **common)
