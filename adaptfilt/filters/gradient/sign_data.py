"""Sign-data LMS.

LMS whose regressor is clipped to its signs, so that the update needs no multiplication by data:

    e = d - w^T u,    w <- w + mu e sign(conj(u)),    sign(v) = v / |v|, 0 at 0

Stable in the mean for 0 < mu < 2 / (M E|u|) or so with white Gaussian input; unlike LMS it can diverge on some
inputs for every step size, as its mean direction is not the gradient's. Cost: 2 M multiply-adds a sample.

Source: J. L. Moschner, *Adaptive filter with clipped input data*, PhD thesis, Stanford University, 1970;
W. A. Sethares, I. M. Y. Mareels, B. D. O. Anderson, C. R. Johnson and R. R. Bitmead, "Excitation conditions for
signed regressor least mean squares adaptation", IEEE Trans. Circuits and Systems, 1988.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpyc, sign


def sign_data_update(w: Any, u: Any, e: Any, mu: Any, s: Any = None) -> Any:
    """Return the weights after one sample of sign-data LMS."""
    return axpyc(mu * e, sign(u, out=s), w)


class SignData(LinearFilter):
    """Sign-data LMS filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of x). A tensor broadcasts over `batch`.
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
    >>> x = np.random.default_rng(0).standard_normal(2000)
    >>> f = af.SignData(taps=3, mu=0.05)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(update=sign_data_update)
    ranges = {"mu": {}}
    _shown = ("mu",)

    def __init__(self, taps: int, mu: Any, **common: Any) -> None:
        super().__init__(taps, {"mu": mu}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.05, **common)
