"""RLS by a stabilised fast transversal filter (SFTF): the weights of RLS for 9 M multiply-adds a sample.

The gain a, by which w <- w + gamma e a, follows from sample to sample by prediction: forwards, wf and its energy F,
and backwards, wb and B. The backward error is had in two ways, b1 and b2, and what they differ by, which is rounding,
is fed back. With u' and gamma of the sample before, nu the last entry of a+, which is longer by one,

    f = x - wf^T u',    a+ = [0; a] + f* / (lam F) [1; -wf],    1 / gamma+ = 1 / gamma + |f|^2 / (lam F)
    F <- lam F + gamma |f|^2,    wf <- wf + gamma f a
    b1 = lam B nu*,    b2 = x[n - M] - wb^T u,    b(K) = K b2 + (1 - K) b1
    a <- a+[:M] + nu wb,    1 / g = 1 / gamma+ - Re(nu b(1)),    B <- lam B + g |b(2.5)|^2,    wb <- wb + g b(1.5) a
    gamma = 1 / (1 + a^T u),    e = d - w^T u,    w <- w + gamma e a

With the starts F = delta lam^-2 and B = delta lam^-(M + 2) it is RLS with P0 = diag(lam^(2 + k)) / delta from the first
sample on. Rounding shows where b1 and b2, or gamma and g, which are the same, part by 10^-3: then prediction starts
again, as if nothing had come before, with |u|^2 / 100 added to delta, and w stays (rescue). So it does in silence,
where F has decayed below 10^-12 of delta.

Where it may be used: (1 - lam) M at most 0.35, with lam < 1; a shorter memory rescues itself over and over. Double
precision is the default, and is RLS to 13 digits; single precision differs by some 10^-5, and rescues itself under
tones. Wind-up is not bounded as in `RLS`: after a long tone the first rich samples can have errors of some ten times d.
Prediction goes on where the filter is frozen. Cost: 9 M multiply-adds and 5 divisions a sample. The fastest
exact RLS; `LatticeRLS` costs twice that and bears any memory.

Source: D. T. M. Slock and T. Kailath, "Numerically stable fast transversal filters for recursive least squares adaptive
filtering", IEEE Trans. Signal Processing, 1991; the exact start: A. H. Sayed, *Fundamentals of Adaptive Filtering*,
2003.
"""

from typing import Any, Self

import torch
from torch import Tensor

from adaptfilt.base.recursive import RecursiveFilter, copied, push_front
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import dot

SILENT = 1e-12  # of its start, what F may decay to
APART = 1e-3  # by which what is had in two ways may differ


def fast_rls_recursion(  # noqa: PLR0913 (its states)
    c: Any, wf: Any, wb: Any, a: Any, energies: Any, regressor: Any, stream: Any, x: Any, d: Any, lam: Any, delta: Any,
    longer: Any = None,
) -> Any:  # fmt: skip
    """Return output and error of one sample; where d is NaN prediction goes on, and the weights stay."""
    push_front(regressor, x)
    gamma, sound = _predicted(wf, wb, a, energies, stream, x, lam, longer)
    if not (sound and energies[0] > SILENT * delta):
        gamma = _rescued(wf, wb, a, energies, regressor, stream, lam, delta)
    energies[2] = gamma
    y = dot(c, regressor)
    if d == d:
        step = gamma * (d - y)
        for k in range(len(c)):
            c[k] += step * a[k]
    return y, d - y


def _predicted(wf: Any, wb: Any, a: Any, energies: Any, stream: Any, x: Any, lam: Any, longer: Any) -> Any:
    """Take a sample in, renew gain, predictors and energies, and return gamma, and whether both ways agree."""
    M = len(a)
    F, B, gamma = energies[0], energies[1], energies[2]
    f = x - dot(wf, stream[:M])
    first, f2 = f.conjugate() / (lam * F), (f * f.conjugate()).real
    step, shifted = gamma * f, longer[1:]
    longer[0] = first
    for k in range(M):
        shifted[k] = a[k] - first * wf[k]
        wf[k] += step * a[k]
    push_front(stream, x)
    inverse = 1 / gamma + f2 / (lam * F)
    energies[0] = lam * F + gamma * f2
    nu = longer[M]
    b1, b2 = lam * B * nu.conjugate(), stream[M] - dot(wb, stream[:M])
    g = 1 / (inverse - (nu * b2).real)
    step, b_B = g * (1.5 * b2 - 0.5 * b1), 2.5 * b2 - 1.5 * b1
    for k in range(M):
        a[k] = longer[k] + nu * wb[k]
        wb[k] += step * a[k]
    energies[1] = lam * B + g * (b_B * b_B.conjugate()).real
    gamma = 1 / (1 + dot(a, stream[:M]).real)
    apart = b2 - b1
    near = abs(gamma - g) < APART * g and (apart * apart.conjugate()).real < APART * APART * lam * B
    return gamma, near and 0 < gamma < 1 + APART


def _rescued(wf: Any, wb: Any, a: Any, energies: Any, regressor: Any, stream: Any, lam: Any, delta: Any) -> Any:
    """Start prediction again, as if nothing had come before, and return gamma."""
    M, power = len(a), delta
    for k in range(M):
        power += 0.01 * (regressor[k] * regressor[k].conjugate()).real
        wf[k] = wb[k] = a[k] = stream[k] = 0
    stream[M] = 0
    energies[0], energies[1] = power / lam**2, power / lam ** (M + 2)
    return lam - lam + 1


class FastRLS(RecursiveFilter):
    """Recursive least squares filter in fast transversal form, stabilised.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    lam : 0 < float <= 1 or Tensor
        Forgetting factor, at least 1 - 0.35 / M; None: 1 - 0.2 / M. A tensor broadcasts over `batch`.
    delta : float > 0 or Tensor
        Regularisation of the start, in (units of x)^2.
    dtype : torch.dtype
        float64 by default.
    batch, device, nonfinite, engine
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
    >>> f = af.FastRLS(taps=3, lam=0.95)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3])
    """

    algorithm = Algorithm(
        recursion=fast_rls_recursion,
        weights=copied,
        state={
            "c": ("taps",), "wf": ("taps",), "wb": ("taps",), "a": ("taps",), "energies": ("real", 3),
            "regressor": ("taps",), "stream": ("columns",),
        },
        scratch={"longer": ("columns",)},
    )  # fmt: skip
    ranges = {"lam": {"above": True, "high": 1.0}, "delta": {"above": True}}
    _shown = ("lam", "delta")
    lam: Any
    delta: Any

    def __init__(
        self, taps: int, lam: Any = None, *, delta: Any = 0.01, dtype: Any = torch.float64, **common: Any
    ) -> None:
        lam = 1 - 0.2 / positive_int("taps", taps) if lam is None else lam
        super().__init__(taps, {"lam": lam, "delta": delta}, dtype=dtype, **common)

    @property
    def columns(self) -> int:
        """Number of samples that prediction looks at."""
        return self.taps + 1

    def start(self) -> dict[str, Tensor]:
        """Return the energies F and B of the exact start, and a gamma of 1."""
        lam, delta = (torch.as_tensor(v, dtype=torch.float64) for v in (self.lam, self.delta))
        parts = torch.broadcast_tensors(delta * lam**-2, delta * lam ** -(self.taps + 2), torch.ones_like(lam * delta))
        return {"energies": torch.stack(parts, -1)}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.95, **common)
