"""Least mean fourth (LMF).

A stochastic gradient step on the fourth power of the error, with a gain that grows with the error:

    e = d - w^T u,    w <- (1 - mu leak) w + mu |e|^2 e conj(u)

Stable only while the error is small: about 0 < mu < 2 / (3 tr R E|e|^2) at any time, so start near the solution or
with a small step. Cost: 2 M multiply-adds a sample. Beats LMS where the noise has lighter tails than a Gaussian.

Source: E. Walach and B. Widrow, "The least mean fourth (LMF) adaptive algorithm and its family", IEEE Trans.
Information Theory, 1984, the update for the fourth power.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import abs2


def lmf_gain(e: Any, energy: Any, mu: Any) -> Any:
    """Return the gain of LMF."""
    return mu * abs2(e) * e


class LMF(LinearFilter):
    """Least mean fourth filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / ((units of x)^2 (units of d)^2). A tensor broadcasts over `batch`.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a sample.
    w0, batch, dtype, device, nonfinite, engine, features
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
    >>> f = af.LMF(taps=2, mu=0.05)
    >>> y, e, w = f(x, lfilter([0.5, -0.5], 1, x))
    >>> w.round(1)
    array([ 0.5, -0.5], dtype=float32)
    """

    algorithm = Algorithm(gain=lmf_gain)
    ranges = {"mu": {}, "leak": {}}
    _shown = ("mu", "leak")

    def __init__(self, taps: int, mu: Any, *, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "leak": leak}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.01, **common)
