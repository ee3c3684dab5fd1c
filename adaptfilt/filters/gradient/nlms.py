"""Normalised least mean squares (NLMS).

LMS with a step divided by the regressor's energy, so that its speed does not depend on the input's level:

    e = d - w^T u,    w <- (1 - mu leak) w + mu e conj(u) / (eps + u^H u)

Stable for 0 < mu < 2 on every input: without noise, no sample takes the weights further from the plant's. Fastest near
mu = 1. Cost: 2 M multiply-adds and one division a sample. The first filter to try on speech and other signals whose
level varies.

Source: J. Nagumo and A. Noda, "A learning method for system identification", IEEE Trans. Automatic Control, 1967;
S. Haykin, *Adaptive Filter Theory*, 4th ed., 2002, table 6.1.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm


def nlms_gain(e: Any, energy: Any, mu: Any, eps: Any) -> Any:
    """Return the gain of NLMS."""
    return mu / (eps + energy) * e


class NLMS(LinearFilter):
    """Normalised least mean squares filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, without unit; a warning outside (0, 2). A tensor broadcasts over `batch`.
    eps : float >= 0 or Tensor
        Regularisation, in (units of x)^2, added to the regressor's energy; 0 divides by zero in silence.
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
    >>> x = np.random.default_rng(0).standard_normal(500)
    >>> f = af.NLMS(taps=3, mu=0.5)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(gain=nlms_gain, linear=True)
    ranges = {"mu": {"stable": 2.0}, "eps": {}, "leak": {}}
    _shown = ("mu", "eps", "leak")

    def __init__(self, taps: int, mu: Any = 0.5, *, eps: Any = 1e-6, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "eps": eps, "leak": leak}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.5, **common)
