"""Quantised kernel LMS (QKLMS): LMS on Gaussian kernels, with a centre where there is none nearby.

    y = sum_j c_j exp(-|z_j - u|^2 / (2 width^2)),    e = d - y
    c_j <- c_j + mu e    for the centre z_j nearest to u, if within `threshold`;    else a new centre u, c = mu e

A threshold of 0 is kernel LMS, in which every sample becomes a centre. Where `budget` centres are there, the nearest
one takes the step times its kernel: from what resembles no centre, nothing is learned. The a posteriori error of a new
centre is (1 - mu) e, so that 0 < mu < 2 bears it; start from 0.3. While silence lasts, nothing adapts. Cost: M + 1
multiply-adds and an exponential a centre and sample. For plants that are not linear, of few samples; slower and
smaller than `KRLS`.

Source: B. Chen, S. Zhao, P. Zhu and J. C. Principe, "Quantized kernel least mean square algorithm", IEEE Trans. Neural
Networks and Learning Systems, 2012; W. Liu, P. P. Pokharel and J. C. Principe, "The kernel least-mean-square
algorithm", IEEE Trans. Signal Processing, 2008.
"""

from typing import Any, Self

import numpy as np

from adaptfilt.base.recursive import copied
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.filters.kernel.kernels import KernelFilter, add_centre, distance2, take_in


def qklms_recursion(
    centres: Any, c: Any, counts: Any, regressor: Any, x: Any, d: Any, mu: Any, width: Any, threshold: Any
) -> Any:
    """Return output and error of one sample; where d is NaN the signal moves, and nothing adapts."""
    changed, y, count = take_in(regressor, counts, x), x - x, int(counts[0])
    nearest, least = 0, threshold * threshold - threshold * threshold - 1
    for j in range(count):
        apart = distance2(centres[j], regressor)
        y += c[j] * np.exp(-0.5 * apart / (width * width))
        if least < 0 or apart < least:
            nearest, least = j, apart
    if d == d and changed:
        if count > 0 and least <= threshold * threshold:
            c[nearest] += mu * (d - y)
        elif count < len(c):
            add_centre(centres, counts, regressor)
            c[count] += mu * (d - y)
        else:
            c[nearest] += mu * (d - y) * np.exp(-0.5 * least / (width * width))
    return y, d - y


class QKLMS(KernelFilter):
    """Kernel LMS filter with quantised centres.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M.
    mu : float >= 0 or Tensor
        Step size, without unit. A tensor broadcasts over `batch`.
    width : float > 0 or Tensor
        Distance of regressors over which they resemble each other, in units of x: exp(-1 / 2) at it.
    threshold : float >= 0 or Tensor
        Distance up to which a regressor is taken for a centre, in units of x.
    budget : int >= 1
        Largest number of centres.
    batch, dtype, device, nonfinite, engine
        As for `adaptfilt.RecursiveFilter`.

    Attributes
    ----------
    w : Tensor [shape=(*batch, budget)]
        Coefficients of the centres, 0 where there is none yet; read-only.
    centres : Tensor [shape=(*batch, budget, M)]
        The centres, newest sample first.
    centres_used : Tensor [shape=batch]
        Number of centres so far.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or is none of a recursion's.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> x = np.random.default_rng(0).standard_normal(3000)
    >>> f = af.QKLMS(taps=1, mu=0.3, width=0.5, threshold=0.1, budget=100)
    >>> y, e, w = f(x, np.sin(2 * x))
    >>> bool(np.abs(e[-1000:]).mean() < 0.05), int(f.centres_used) < 70
    (True, True)
    """

    algorithm = Algorithm(
        recursion=qklms_recursion,
        weights=copied,
        state={"centres": ("budget", "samples"), "c": ("budget",), "counts": ("real", 2), "regressor": ("samples",)},
    )
    ranges = {"mu": {}, "width": {"above": True}, "threshold": {}}
    _shown = ("mu", "width", "threshold", "budget")

    def __init__(
        self, taps: int, mu: Any, *, width: Any = 1.0, threshold: Any = 0.1, budget: int = 200, **common: Any
    ) -> None:
        params = {"mu": mu, "width": width, "threshold": threshold, "budget": positive_int("budget", budget)}
        super().__init__(taps, params, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.3, width=3.0, threshold=1.0, budget=60, **common)
