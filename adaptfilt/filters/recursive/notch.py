"""Adaptive notch: finds sinusoids of unknown frequency, and takes them off, each by a lattice section of two poles.

Section by section, s going in and out coming out, with the old k and g' and g'' the last two g,

    g = s - k (1 + radius) g' - radius g'',    out = (g + 2 k g' + g'') (1 + radius) / 2
    C <- lam C + Re g'* (g + g''),    D <- lam D + 2 |g'|^2,    k <- -C / D,    |k| <= 1

k = -cos(frequency) minimises the weighted power of g + 2 k g' + g'', so there is no step size. The output y is what the
sections have taken off, x less what the last one leaves; e = d - y, where d is x unless another signal is given from
which the sinusoids are to be taken. w holds the frequencies, in radians a sample.

For 0 <= radius < 1 and 0 < lam <= 1: with |k| <= 1 no pole is outside the unit circle, whatever comes in, and none on
it but at the frequencies 0 and pi. The bandwidth is about 1 - radius in radians, the memory 1 / (1 - lam) samples; a
start further off than some bandwidths takes a smaller radius. Complex signals are notched at the frequency and at its
negative. Samples of x that are 0 adapt nothing. Cost: 9 multiply-adds and a division a section and sample. For hum,
whistles and howling.

Source: N. I. Cho, C.-H. Choi and S. U. Lee, "Adaptive line enhancement by using an IIR lattice notch filter", IEEE
Trans. Acoustics, Speech and Signal Processing, 1989; the scaling by (1 + radius) / 2, by which the notch passes all
else, is ours.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.recursive import RecursiveFilter
from adaptfilt.engines.algorithm import Algorithm, Job


def notch_recursion(C: Any, D: Any, k: Any, g: Any, x: Any, d: Any, radius: Any, lam: Any) -> Any:
    """Return output and error of one sample; where d is NaN the sections filter, and the frequencies stay."""
    s, adapts = x, d == d and x != 0
    for m in range(len(k)):
        g_1, g_2 = g[m, 0], g[m, 1]
        new = s - k[m] * (1 + radius) * g_1 - radius * g_2
        s = (new + 2 * k[m] * g_1 + g_2) * (1 + radius) / 2
        g[m, 0], g[m, 1] = new, g_1
        if adapts:
            C[m] = lam * C[m] + (g_1.conjugate() * (new + g_2)).real
            D[m] = lam * D[m] + 2 * (g_1.conjugate() * g_1).real
            k[m] = min(1.0, max(-1.0, -C[m] / D[m]))
    return x - s, d - (x - s)


def notch_frequencies(k: Any, out: Any = None) -> Any:
    """Return the frequencies."""
    for m in range(len(k)):
        out[m] = np.arccos(-k[m])
    return out


class Notch(RecursiveFilter):
    """Adaptive notch filter, or cascade of them: ``y, e, w = f(x)``, where y are the sinusoids and e the rest.

    Parameters
    ----------
    frequency : float or sequence of float, 0 < frequency < pi
        Where to start, in radians a sample; each of several has a section of its own.
    radius : 0 <= float < 1 or Tensor
        Radius of the poles: the nearer to 1, the narrower the notch. A tensor broadcasts over `batch`.
    lam : 0 < float <= 1 or Tensor
        Forgetting factor: a memory of about 1 / (1 - lam) samples.
    delta : float > 0 or Tensor
        Weight of the start, in (units of x)^2.
    batch, dtype, device, nonfinite, engine
        As for `adaptfilt.RecursiveFilter`.

    Attributes
    ----------
    w : Tensor [shape=(*batch, K)]
        The K frequencies, in radians a sample; read-only.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or is none of a recursion's.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> n = np.arange(5000)
    >>> x = np.sin(0.3 * n) + 0.1 * np.random.default_rng(0).standard_normal(5000)
    >>> f = af.Notch(frequency=0.5)
    >>> y, e, w = f(x)
    >>> w.round(2), (e[-1000:] ** 2).mean().round(2)
    (array([0.3], dtype=float32), np.float32(0.01))
    """

    algorithm = Algorithm(
        recursion=notch_recursion,
        weights=notch_frequencies,
        state={"C": ("real", "taps"), "D": ("real", "taps"), "k": ("real", "taps"), "g": ("taps", 2)},
    )
    ranges = {"radius": {"high": 0.99999}, "lam": {"above": True, "high": 1.0}, "delta": {"above": True}}
    responds = False
    _shown = ("frequency", "radius", "lam")
    frequency: tuple[float, ...]
    delta: Any

    def __init__(
        self,
        frequency: float | Sequence[float],
        *,
        radius: Any = 0.9,
        lam: Any = 0.995,
        delta: Any = 1.0,
        **common: Any,
    ) -> None:
        found = tuple(float(v) for v in np.atleast_1d(np.asarray(frequency, dtype=float)))
        if not found or not all(0 < v < np.pi for v in found):
            raise ValueError(f"frequency must be above 0 and below pi, in radians a sample, got {frequency!r}")
        params = {"frequency": found, "radius": radius, "lam": lam, "delta": delta}
        super().__init__(len(found), params, **common)

    def _check(self, x: Any, d: Any, *more: Any) -> Job:
        return super()._check(x, x if d is None else d, *more)

    def start(self) -> dict[str, Tensor]:
        """Return the frequencies to start from, and their weight."""
        k = -torch.cos(torch.tensor(self.frequency, dtype=torch.float64))
        D = torch.as_tensor(self.delta, dtype=torch.float64)[..., None] + 0 * k
        return {"C": -k * D, "D": D, "k": k}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(1.2, **common)
