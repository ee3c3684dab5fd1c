"""Least lncosh (Llncosh): LMS for small errors, sign-error LMS for large ones, with a smooth passage.

A stochastic gradient step on J = ln(cosh(lambda |e|)) / lambda:

    e = d - w^T u,    w <- (1 - mu leak) w + mu tanh(lambda |e|) sign(e) conj(u),    sign(e) = e / |e|, 0 at 0

lambda -> 0 is LMS of step lambda mu, lambda -> infinity sign-error LMS. Stable in the mean square for 0 < lambda mu < 2
/ (3 tr R), and bounded for any mu, as sign-error LMS is. Outliers in d hardly matter; a burst in x moves the weights in
proportion to its size, and bounded steps walk back slowly: from 10^6 times the level for some million samples. Cost: 2
M multiply-adds and a hyperbolic tangent a sample. For noise with outliers, where sign-error LMS is too restless about
the plant.

Source: C. Liu and M. Jiang, "Robust adaptive filter with lncosh cost", Signal Processing, 2020.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import magnitude, mul, sign, tanh


def llncosh_gain(e: Any, energy: Any, mu: Any, scale: Any) -> Any:
    """Return the gain of Llncosh."""
    return mul(mu * tanh(scale * magnitude(e)), sign(e))


class Llncosh(LinearFilter):
    """Least lncosh filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in (units of d) / (units of x)^2. A tensor broadcasts over `batch`, as all parameters do.
    scale : float > 0 or Tensor
        lambda, in 1 / (units of d): errors beyond 1 / lambda count by their sign.
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
    >>> af.Llncosh(taps=2, mu=0.005, scale=10.0)(x, d).w.round(1)
    array([ 0.5, -0.5], dtype=float32)
    """

    algorithm = Algorithm(gain=llncosh_gain)
    ranges = {"mu": {}, "scale": {"above": True}, "leak": {}}
    _shown = ("mu", "scale", "leak")

    def __init__(self, taps: int, mu: Any, *, scale: Any, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "scale": scale, "leak": leak}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.01, scale=3.0, **common)
