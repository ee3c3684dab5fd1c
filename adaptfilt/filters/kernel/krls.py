"""Kernel recursive least squares (KRLS): least squares on Gaussian kernels around regressors that are news.

With k the kernels of u and the centres, K those of the centres among each other, P for RLS on what centres explain,

    y = k^T c,    e = d - y,    b = K^(-1) k,    news = 1 - k^T b
    news > novelty:  u becomes a centre, c <- [c - b e / news; e / news],    K^(-1) and P grow by a row and a column
    else:            q = P b / (1 + b^T P b),    P <- P - q b^T P,    c <- c + K^(-1) q e

where K^(-1) <- [news K^(-1) + b b^T, -b; -b^T, 1] / news and P <- [P, 0; 0, 1]. `news` is what a linear combination of
the centres leaves of u, in the kernel's space, in [0, 1]. Where `budget` centres are there, no regressor is news. While
silence lasts, nothing adapts, and nothing is ever forgotten. For 0 < novelty < 1, and with no step to choose: as in RLS
with lam = 1, samples that add no centre only make P smaller. Cost: 3 m^2 + m M multiply-adds and m exponentials a
sample, m centres. K^(-1) grows with 1 / novelty: double precision by default. For plants that are not linear, of few
samples, and stand still.

Source: Y. Engel, S. Mannor and R. Meir, "The kernel recursive least-squares algorithm", IEEE Trans. Signal Processing,
2004.
"""

from typing import Any, Self

import torch

from adaptfilt.base.recursive import copied
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.filters.kernel.kernels import KernelFilter, add_centre, gaussian, take_in


def krls_recursion(  # noqa: PLR0913 (its states)
    inverse: Any, P: Any, centres: Any, c: Any, counts: Any, regressor: Any, x: Any, d: Any, width: Any, novelty: Any,
    k: Any = None, b: Any = None, q: Any = None,
) -> Any:  # fmt: skip
    """Return output and error of one sample; where d is NaN the signal moves, and nothing adapts."""
    changed, y, m = take_in(regressor, counts, x), x - x, int(counts[0])
    for j in range(m):
        k[j] = gaussian(centres[j], regressor, width)
        y += c[j] * k[j]
    if d == d and changed:
        news = _explained(inverse, k, b, m)
        if m == 0 or (news > novelty and m < len(c)):
            _grow(inverse, P, c, b, m, news, d - y)
            add_centre(centres, counts, regressor)
        else:
            _adapt(inverse, P, c, b, q, m, d - y)
    return y, d - y


def _explained(inverse: Any, k: Any, b: Any, m: int) -> Any:
    """Write what the centres explain of a regressor to b, and return what they leave of it."""
    news = inverse[0, 0] * 0 + 1
    for i in range(m):
        b[i] = 0
        for j in range(m):
            b[i] += inverse[i, j] * k[j]
        news -= k[i] * b[i]
    return news


def _grow(inverse: Any, P: Any, c: Any, b: Any, m: int, news: Any, e: Any) -> None:
    """Add a centre."""
    for i in range(m):
        for j in range(m):
            inverse[i, j] += b[i] * b[j] / news
        inverse[i, m] = inverse[m, i] = -b[i] / news
        P[i, m] = P[m, i] = 0
        c[i] -= b[i] * e / news
    inverse[m, m], P[m, m] = 1 / news, 1
    c[m] = e / news


def _adapt(inverse: Any, P: Any, c: Any, b: Any, q: Any, m: int, e: Any) -> None:
    """Adapt the coefficients of the centres there are."""
    power = b[0] * 0 + 1
    for i in range(m):
        q[i] = 0
        for j in range(m):
            q[i] += P[i, j] * b[j]
        power += b[i] * q[i]
    for i in range(m):
        for j in range(m):
            P[i, j] -= q[i] * q[j] / power
            c[i] += inverse[i, j] * q[j] / power * e


class KRLS(KernelFilter):
    """Kernel recursive least squares filter.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M.
    width : float > 0 or Tensor
        Distance of regressors over which they resemble each other, in units of x: exp(-1 / 2) at it. A tensor
        broadcasts over `batch`.
    novelty : 0 < float < 1 or Tensor
        What the centres must leave of a regressor for it to become one (ALD threshold).
    budget : int >= 1
        Largest number of centres.
    dtype : torch.dtype
        float64 by default.
    batch, device, nonfinite, engine
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
    >>> x = np.random.default_rng(0).standard_normal(500)
    >>> f = af.KRLS(taps=1, width=1.0, novelty=1e-3, budget=50)
    >>> y, e, w = f(x, np.sin(2 * x))
    >>> bool(np.abs(e[-100:]).max() < 0.03), int(f.centres_used)
    (True, 13)
    """

    algorithm = Algorithm(
        recursion=krls_recursion,
        weights=copied,
        state={
            "inverse": ("real", "budget", "budget"), "P": ("real", "budget", "budget"),
            "centres": ("budget", "samples"), "c": ("budget",), "counts": ("real", 2), "regressor": ("samples",),
        },
        scratch={"k": ("real", "budget"), "b": ("real", "budget"), "q": ("real", "budget")},
    )  # fmt: skip
    ranges = {"width": {"above": True}, "novelty": {"above": True, "high": 1.0}}
    _shown = ("width", "novelty", "budget")

    def __init__(
        self,
        taps: int,
        *,
        width: Any = 1.0,
        novelty: Any = 1e-3,
        budget: int = 200,
        dtype: Any = torch.float64,
        **common: Any,
    ) -> None:
        params = {"width": width, "novelty": novelty, "budget": positive_int("budget", budget)}
        super().__init__(taps, params, dtype=dtype, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, width=3.0, novelty=0.3, budget=40, **common)
