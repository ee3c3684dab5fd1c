"""Recursive least squares (RLS), in square-root form.

Minimises at every sample the exponentially weighted squares sum_i lam^(n-i) |d_i - w^T u_i|^2 + lam^(n+1) delta |w|^2.
With the inverse correlation P = S S^H, and P0 = I / delta:

    g = u^T S,    q = |g|^2 = u^T P u*,    k = S g^H = P u*
    e = d - w^T u,    w <- w + k e / (lam + q),    P <- (P - k k^H / (lam + q)) / lam

The last step is carried out on the factor, which keeps P Hermitian and positive whatever the rounding:

    S <- b S + c k g,    a = (lam + q)^(-1/2),    b = lam^(-1/2),    c = (a - b) / q = -1 / (lam (lam + q) (a + b))

What data do not excite would grow by 1 / lam a sample for ever: in silence, or under a tone. Where the trace of P
passes 10^4 times its start, only the excited direction still forgets (b = 1), and not beyond that bound.

Converges in about 2 M samples whatever the input's colour, for 0 < lam <= 1. Cost: 4 M^2 multiply-adds a sample.

Source: S. Haykin, *Adaptive Filter Theory*, 4th ed., 2002, table 9.1; J. E. Potter's square root, in G. J. Bierman,
*Factorization Methods for Discrete Sequential Estimation*, 1977, ch. II; directional forgetting after R. Kulhavy,
"Restricted exponential forgetting in real-time identification", Automatica, 1987.
"""

import math
from typing import Any, Self

import torch
from torch import Tensor

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import check_number
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpy, energy, frobenius, matvecc, rank_one, sqrt, vecmat, where

WIND_UP = 1e4  # how far the trace of P may grow beyond its start
NO_BOUND = 1e30  # a larger one stands for none
CONDITION = 1e9  # and how large it may be against the regressor's energy: float32 resolves no more


def rls_update(w: Any, S: Any, u: Any, e: Any, lam: Any, bound: Any, g: Any = None, k: Any = None) -> Any:
    """Return the weights and the factor of P after one sample of RLS."""
    return renewed(w, S, u, e, lam, bound, vecmat(u, S, out=g), k)


def renewed(w: Any, S: Any, u: Any, e: Any, lam: Any, bound: Any, g: Any, k: Any) -> Any:
    """Return the weights and the factor of P after one sample, where g = u^T S."""
    k = matvecc(S, g, out=k)
    q, power = energy(g), energy(u)
    w = axpy(e / (lam + q), k, w)
    a2 = 1 / (lam + q)
    trace = frobenius(S)
    free = ((trace < bound) & (trace * power < CONDITION)) | (bound > NO_BOUND)
    held = where((a2 > 1) & (q >= bound * power), a2 * 0 + 1, a2)  # bounded, the excited direction grows no more either
    a2 = where(free, a2, held)
    b2 = where(free, 1 / lam, lam * 0 + 1)
    a, b = sqrt(a2), sqrt(b2)
    c = where(free, -1 / (lam * (lam + q) * (a + b)), (a2 - b2) / ((a + b) * where(q > 0, q, q + 1)))
    return w, rank_one(b, S, c, k, g)


class RLS(LinearFilter):
    """Recursive least squares filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    lam : 0 < float <= 1 or Tensor
        Forgetting factor: a memory of about 1 / (1 - lam) samples. A tensor broadcasts over `batch`.
    delta : float > 0 or Tensor
        Regularisation of the start, in (units of x)^2: the inverse correlation starts as P0 = I / delta. About
        0.01 times the input's power suits a good signal-to-noise ratio.
    wind_up : float > 0 or None
        How far the trace of P may grow beyond its start where nothing excites it; None: the textbook's recursion, in
        which silence and tones let P grow without bound, until the weights are lost.
    w0, batch, dtype, device, nonfinite, engine, features
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    P : Tensor [shape=(*batch, M, M)]
        Inverse of the weighted correlation matrix, Hermitian and positive semidefinite.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(100)
    >>> f = af.RLS(taps=3, lam=0.99)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(update=rls_update, state={"S": ("taps", "taps")})
    ranges = {"lam": {"above": True, "high": 1.0}, "delta": {"above": True}}
    _shown = ("lam", "delta")
    S: Tensor
    lam: Any
    delta: Any
    _wind_up: Any = WIND_UP

    def __init__(
        self, taps: int, lam: Any = 0.999, *, delta: Any = 0.01, wind_up: float | None = WIND_UP, **common: Any
    ) -> None:
        limit = math.inf if wind_up is None else check_number("wind_up", wind_up, (), above=True)
        self.__dict__["_wind_up"] = limit
        super().__init__(taps, {"lam": lam, "delta": delta}, **common)

    @property
    def wind_up(self) -> float | None:
        """How far the trace of P may grow beyond its start; None: without bound."""
        return None if self._wind_up == math.inf else self._wind_up

    @property
    def P(self) -> Tensor:
        """Inverse of the weighted correlation matrix."""
        with torch.autocast(self.device.type, enabled=False):
            return self.S @ self.S.mH

    @property
    def bound(self) -> Any:
        """Trace of P from which on only the excited direction forgets."""
        return self._wind_up * self._weights / self.delta

    def start(self) -> dict[str, Tensor]:
        """Return the factor of P0 = I / delta."""
        M = self._weights
        scale = torch.as_tensor(self.delta, dtype=torch.float64, device=self.device).detach().rsqrt()
        eye = torch.eye(M, dtype=torch.float64, device=self.device)
        return {"S": scale.expand(self._filters)[..., None, None] * eye}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.99, **common)
