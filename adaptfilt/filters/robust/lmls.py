"""Least mean logarithmic square (LMLS): least mean fourth for small errors, LMS for large ones.

A stochastic gradient step on J = (|e|^2 - ln(1 + a |e|^2) / a) / 2:

    e = d - w^T u,    w <- (1 - mu leak) w + mu a |e|^2 e conj(u) / (1 + a |e|^2)

Stable in the mean square for 0 < mu < 2 / (3 tr R), wherever it starts, which `LMF` is not. Cost: 2 M multiply-adds and
one division a sample. For noise with lighter tails than a Gaussian; not for outliers, which it treats as LMS does.

Source: M. O. Sayin, N. D. Vanli and S. S. Kozat, "A novel family of adaptive filtering algorithms based on the
logarithmic cost", IEEE Trans. Signal Processing, 2014.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import abs2, add, div, mul


def lmls_gain(e: Any, energy: Any, mu: Any, scale: Any) -> Any:
    """Return the gain of LMLS."""
    weight = scale * abs2(e)
    return mul(mu * div(weight, add(1.0, weight)), e)


class LMLS(LinearFilter):
    """Least mean logarithmic square filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of x)^2; below 2 / (3 M power) for white input. A tensor broadcasts over `batch`.
    scale : float > 0 or Tensor
        a, in 1 / (units of d)^2: errors beyond 1 / sqrt(a) count as in LMS.
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
    >>> f = af.LMLS(taps=2, mu=0.05, scale=1.0)
    >>> y, e, w = f(x, lfilter([0.5, -0.5], 1, x))
    >>> w.round(1)
    array([ 0.5, -0.5], dtype=float32)
    """

    algorithm = Algorithm(gain=lmls_gain)
    ranges = {"mu": {}, "scale": {"above": True}, "leak": {}}
    _shown = ("mu", "scale", "leak")

    def __init__(self, taps: int, mu: Any, *, scale: Any, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "scale": scale, "leak": leak}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.05, scale=1.0, **common)
