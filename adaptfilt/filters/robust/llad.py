"""Least logarithmic absolute difference (LLAD): LMS for small errors, sign-error LMS for large ones.

A stochastic gradient step on J = |e| - ln(1 + a |e|) / a:

    e = d - w^T u,    w <- (1 - mu leak) w + mu a e conj(u) / (1 + a |e|)

Stable in the mean square for 0 < a mu < 2 / (3 tr R), and bounded for any mu, as sign-error LMS is. Outliers in d
hardly matter; a burst in x moves the weights in proportion to its size, and bounded steps walk back slowly: from 10^6
times the level for some million samples. Cost: 2 M multiply-adds and one division a sample. For noise with outliers;
where sign-error LMS is too restless about the plant.

Source: M. O. Sayin, N. D. Vanli and S. S. Kozat, "A novel family of adaptive filtering algorithms based on the
logarithmic cost", IEEE Trans. Signal Processing, 2014.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import add, div, magnitude, mul


def llad_gain(e: Any, energy: Any, mu: Any, scale: Any) -> Any:
    """Return the gain of LLAD."""
    return div(mul(mu * scale, e), add(1.0, scale * magnitude(e)))


class LLAD(LinearFilter):
    """Least logarithmic absolute difference filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in (units of d) / (units of x)^2. A tensor broadcasts over `batch`, as all parameters do.
    scale : float > 0 or Tensor
        a, in 1 / (units of d): errors beyond 1 / a count by their sign.
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
    >>> rng = np.random.default_rng(0)
    >>> x, v = rng.standard_normal((2, 10000))
    >>> d = np.convolve(x, [0.5, -0.5])[:10000] + 100 * v * (rng.random(10000) < 0.01)  # outliers
    >>> af.LLAD(taps=2, mu=0.005, scale=10.0)(x, d).w.round(1)
    array([ 0.5, -0.5], dtype=float32)
    """

    algorithm = Algorithm(gain=llad_gain)
    ranges = {"mu": {}, "scale": {"above": True}, "leak": {}}
    _shown = ("mu", "scale", "leak")

    def __init__(self, taps: int, mu: Any, *, scale: Any, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "scale": scale, "leak": leak}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.01, scale=3.0, **common)
