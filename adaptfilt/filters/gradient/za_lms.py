"""Zero-attracting LMS (ZA-LMS): LMS on the squared error plus the sum of the weights' magnitudes.

    e = d - w^T u,    w <- w + mu e conj(u) - rho sgn(w),    sgn(w) = w / |w|, entry by entry

A weight that is 0 in the plant settles nearer to 0, all others are biased towards it by about rho / (mu power). Stable
as LMS is, for 0 < mu < 2 / (3 tr R). Where the whole regressor is silent nothing is learned, and nothing attracted.
Cost: 3 M multiply-adds a sample. For plants most of whose weights are 0; `RZALMS` biases the others less.

Source: Y. Chen, Y. Gu and A. O. Hero, "Sparse LMS for system identification", Proc. ICASSP, 2009.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpy, axpyc, sign, where


def za_lms_update(w: Any, u: Any, e: Any, energy: Any, mu: Any, rho: Any, s: Any = None) -> Any:
    """Return the weights after one sample of ZA-LMS."""
    s = sign(w, out=s)
    w = axpyc(mu * e, u, w)
    return axpy(where(energy > 0, -rho, 0 * rho), s, w)


class ZALMS(LinearFilter):
    """LMS filter that draws its weights towards 0, all alike.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of x)^2; below 2 / (3 M power) for white input. A tensor broadcasts over `batch`.
    rho : float >= 0 or Tensor
        What the attraction takes off a weight a sample, in units of w.
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
    >>> x = np.random.default_rng(0).standard_normal(3000)
    >>> f = af.ZALMS(taps=4, mu=0.02, rho=1e-5)
    >>> y, e, w = f(x, lfilter([0, 0.5, 0, 0], 1, x))
    >>> w.round(2) + 0
    array([0. , 0.5, 0. , 0. ], dtype=float32)
    """

    algorithm = Algorithm(update=za_lms_update)
    ranges = {"mu": {}, "rho": {}}
    _shown = ("mu", "rho")

    def __init__(self, taps: int, mu: Any, *, rho: Any = 1e-5, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "rho": rho}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.05, **common)
