"""Least mean mixed norm (LMMN): between LMS and least mean fourth.

A stochastic gradient step on J = mix |e|^2 / 2 + (1 - mix) |e|^4 / 4:

    e = d - w^T u,    w <- (1 - mu leak) w + mu (mix + (1 - mix) |e|^2) e conj(u)

mix = 1 is LMS, mix = 0 LMF. Stable only while the error is small: about 0 < mu (mix + (1 - mix) E|e|^2) < 2 / (3 tr R)
at any time. Cost: 2 M multiply-adds a sample. For noise with lighter tails than a Gaussian, or mixed of several kinds.

Source: J. A. Chambers, O. Tanrikulu and A. G. Constantinides, "Least mean mixed-norm adaptive filtering", Electronics
Letters, 1994.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import abs2, add, mul


def lmmn_gain(e: Any, energy: Any, mu: Any, mix: Any) -> Any:
    """Return the gain of LMMN."""
    return mul(mu * (mix + add(1.0, -mix) * abs2(e)), e)


class LMMN(LinearFilter):
    """Least mean mixed norm filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of x)^2. A tensor broadcasts over `batch`, as all parameters do.
    mix : 0 <= float <= 1 or Tensor
        What the square weighs; the fourth power, in (units of d)^-2, weighs the rest.
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
    >>> x = np.random.default_rng(0).standard_normal(2000)
    >>> f = af.LMMN(taps=2, mu=0.05, mix=0.5)
    >>> y, e, w = f(x, lfilter([0.5, -0.5], 1, x))
    >>> w.round(3)
    array([ 0.5, -0.5], dtype=float32)
    """

    algorithm = Algorithm(gain=lmmn_gain)
    ranges = {"mu": {}, "mix": {"high": 1.0}, "leak": {}}
    _shown = ("mu", "mix", "leak")

    def __init__(self, taps: int, mu: Any, *, mix: Any, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "mix": mix, "leak": leak}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.02, mix=0.5, **common)
