"""Sign-sign LMS.

Only the signs of error and data enter: every weight moves by mu a sample, up or down:

    e = d - w^T u,    w <- w + mu sign(e) sign(conj(u)),    sign(v) = v / |v|, 0 at 0

No step size makes it stable on every input; with small mu and well-excited data it settles within about mu M of the
solution. Cost: M multiply-adds and M additions a sample: made for hardware (it is in the ITU's G.726 speech coder).

Source: R. W. Lucky, "Techniques for adaptive equalization of digital communication systems", Bell System Technical
Journal, 1966; S. Dasgupta, C. R. Johnson and A. M. Baksho, "Sign-sign LMS convergence with independent stochastic
inputs", IEEE Trans. Information Theory, 1990.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpyc, sign


def sign_sign_update(w: Any, u: Any, e: Any, mu: Any, s: Any = None) -> Any:
    """Return the weights after one sample of sign-sign LMS."""
    return axpyc(mu * sign(e), sign(u, out=s), w)


class SignSign(LinearFilter):
    """Sign-sign LMS filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in (units of d) / (units of x): what a weight moves by a sample. A tensor broadcasts over `batch`.
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
    >>> f = af.SignSign(taps=3, mu=0.0005)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(2)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(update=sign_sign_update)
    ranges = {"mu": {}}
    _shown = ("mu",)

    def __init__(self, taps: int, mu: Any, **common: Any) -> None:
        super().__init__(taps, {"mu": mu}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.005, **common)
