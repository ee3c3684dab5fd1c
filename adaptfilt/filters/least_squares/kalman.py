"""Kalman filter for weights that walk at random: the optimal step, of known noise and known change.

The plant is w' = w + (steps of variance q a weight and sample), d = w'^T u + (noise of variance r). With P the
covariance of what is not known of the weights, P0 = p0 I,

    P <- P + q I,    k = P u* / (r + u^T P u*),    e = d - w^T u,    w <- w + k e,    P <- P - k u^T P

The last step subtracts h^H h, h = u^T P / sqrt(r + u^T P u*), so that P stays Hermitian. It stays positive in any
precision since r is never taken below 16 roundings of u^H u |P|: beyond that, what a sample says is itself rounding.

Converges in about M samples on every input; q = 0 is RLS without forgetting, with delta = r / p0. Cost: 3 M^2
multiply-adds a sample. Where the noise's power and the speed of the plant are known, or can be guessed, in place of a
forgetting factor: then no linear estimator has a smaller error. In silence P grows by q a sample, not exponentially.

Source: R. E. Kalman, "A new approach to linear filtering and prediction problems", J. Basic Engineering, 1960; S.
Haykin, *Adaptive Filter Theory*, 4th ed., 2002, ch. 10, the random-walk model.
"""

from typing import Any, Self

import torch
from torch import Tensor

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import (
    add_diagonal,
    axpy,
    conj,
    dot,
    frobenius,
    maximum,
    rank_one,
    real,
    scale,
    sqrt,
    vecmat,
)


def kalman_update(
    w: Any, P: Any, u: Any, e: Any, energy: Any, q: Any, r: Any, rounding: Any, h: Any = None, k: Any = None
) -> Any:
    """Return the weights and their covariance after one sample."""
    P = add_diagonal(P, q)
    h = vecmat(u, P, out=h)
    k = conj(h, out=k)  # P u*
    noise = maximum(r, rounding * energy * sqrt(frobenius(P)))
    a = 1 / sqrt(noise + maximum(0.0, real(dot(u, k))))
    h = scale(a, h, out=h)
    k = conj(h, out=k)
    return axpy(a * e, k, w), rank_one(a * 0 + 1, P, a * 0 - 1, k, h)


class Kalman(LinearFilter):
    """Kalman filter of a plant whose weights walk at random.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    q : float >= 0 or Tensor
        Variance of a weight's change a sample, in (units of w)^2. A tensor broadcasts over `batch`.
    r : float > 0 or Tensor
        Variance of the noise in d, in (units of d)^2.
    p0 : float > 0 or Tensor
        Variance of the weights at the start, in (units of w)^2.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    P : Tensor [shape=(*batch, M, M)]
        Covariance of what is not known of the weights, Hermitian.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(100)
    >>> f = af.Kalman(taps=3, q=1e-6, r=1e-4)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(update=kalman_update, state={"P": ("taps", "taps")})
    ranges = {"q": {}, "r": {"above": True}, "p0": {"above": True}}
    _shown = ("q", "r", "p0")
    p0: Any

    def __init__(self, taps: int, *, q: Any = 1e-6, r: Any = 0.01, p0: Any = 1.0, **common: Any) -> None:
        super().__init__(taps, {"q": q, "r": r, "p0": p0}, **common)

    @property
    def rounding(self) -> float:
        """What of the numbers that make P may be rounding."""
        return 16 * torch.finfo(self.dtype).eps

    def start(self) -> dict[str, Tensor]:
        """Return the covariance p0 I."""
        p0 = torch.as_tensor(self.p0, dtype=torch.float64, device=self.device).detach()
        eye = torch.eye(self._weights, dtype=torch.float64, device=self.device)
        return {"P": p0.expand(self._filters)[..., None, None] * eye}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, q=1e-6, r=1e-3, **common)
