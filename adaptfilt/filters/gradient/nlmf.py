"""Normalised least mean fourth (NLMF): LMF with a step divided by the regressor's energy.

    e = d - w^T u,    w <- (1 - mu leak) w + mu |e|^2 e conj(u) / (eps + u^H u)

Does not depend on the input's level, but on the error's: stable only while mu |e|^2 < 2, so start near the solution or
with a small step; a burst far beyond ends in DivergenceError. Cost: 2 M multiply-adds and one division a sample. Beats
`NLMS` where the noise has lighter tails than a Gaussian, such as a uniform one.

Source: E. Walach and B. Widrow, "The least mean fourth (LMF) adaptive algorithm and its family", IEEE Trans.
Information Theory, 1984; normalised as LMS is; E. Eweda and N. J. Bershad, "Stochastic analysis of a stable normalized
least mean fourth algorithm for adaptive noise canceling with a white Gaussian reference", IEEE Trans. Signal
Processing, 2012, on its stability.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import abs2, mul


def nlmf_gain(e: Any, energy: Any, mu: Any, eps: Any) -> Any:
    """Return the gain of NLMF."""
    return mul(mu / (eps + energy) * abs2(e), e)


class NLMF(LinearFilter):
    """Normalised least mean fourth filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of d)^2. A tensor broadcasts over `batch`, as all parameters do.
    eps : float >= 0 or Tensor
        Regularisation, in (units of x)^2, added to the regressor's energy; 0 divides by zero in silence.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a sample.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(5000)
    >>> f = af.NLMF(taps=2, mu=0.5)
    >>> y, e, w = f(x, lfilter([0.5, -0.5], 1, x))
    >>> w.round(1)
    array([ 0.5, -0.5], dtype=float32)
    """

    algorithm = Algorithm(gain=nlmf_gain)
    ranges = {"mu": {}, "eps": {}, "leak": {}}
    _shown = ("mu", "eps", "leak")

    def __init__(self, taps: int, mu: Any, *, eps: Any = 1e-6, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "eps": eps, "leak": leak}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.1, **common)
