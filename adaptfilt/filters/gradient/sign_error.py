"""Sign-error LMS.

A stochastic gradient step on the magnitude of the error, whose size no outlier can blow up:

    e = d - w^T u,    w <- (1 - mu leak) w + mu sign(e) conj(u),    sign(e) = e / |e|, 0 at 0

Without leakage, for every mu > 0 and on every input, the mean of |e| comes down to that of the noise's magnitude plus
at most mu / 2 times the mean of u^H u. Cost: 2 M multiply-adds a sample, M of them additions where mu is a power of
two. The one to take under impulsive noise.

Source: A. Gersho, "Adaptive filtering with binary reinforcement", IEEE Trans. Information Theory, 1984.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import sign


def sign_error_gain(e: Any, energy: Any, mu: Any) -> Any:
    """Return the gain of sign-error LMS."""
    return mu * sign(e)


class SignError(LinearFilter):
    """Sign-error LMS filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in (units of d) / (units of x)^2. A tensor broadcasts over `batch`.
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
    >>> f = af.SignError(taps=3, mu=0.001)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(2)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(gain=sign_error_gain)
    ranges = {"mu": {}, "leak": {}}
    _shown = ("mu", "leak")

    def __init__(self, taps: int, mu: Any, *, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "leak": leak}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.005, **common)
