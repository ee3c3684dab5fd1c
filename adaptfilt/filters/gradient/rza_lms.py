"""Reweighted zero-attracting LMS (RZA-LMS): large weights are attracted to 0 less than small ones.

    e = d - w^T u,    w <- w + mu e conj(u) - rho sgn(w) / (1 + sharpness |w|),    entry by entry

What lies above 1 / sharpness is hardly biased, what lies below settles nearer to 0 than in LMS. Stable as LMS is, for
0 < mu < 2 / (3 tr R). Where the whole regressor is silent nothing is learned, and nothing attracted. Cost: 4 M
multiply-adds and M divisions a sample. For plants most of whose weights are 0.

Source: Y. Chen, Y. Gu and A. O. Hero, "Sparse LMS for system identification", Proc. ICASSP, 2009.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import add, axpy, axpyc, div, magnitude, mul, scale, sign, where


def rza_lms_update(  # noqa: PLR0913 (its scratch)
    w: Any, u: Any, e: Any, energy: Any, mu: Any, rho: Any, sharpness: Any, a: Any = None, b: Any = None, s: Any = None,
    v: Any = None,
) -> Any:  # fmt: skip
    """Return the weights after one sample of RZA-LMS."""
    b = add(1.0, scale(sharpness, magnitude(w, out=b), out=a), out=b)
    v = mul(div(1.0, b, out=a), sign(w, out=s), out=v)
    w = axpyc(mu * e, u, w)
    return axpy(where(energy > 0, -rho, 0 * rho), v, w)


class RZALMS(LinearFilter):
    """LMS filter that draws its small weights towards 0.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of x)^2; below 2 / (3 M power) for white input. A tensor broadcasts over `batch`.
    rho : float >= 0 or Tensor
        What the attraction takes off a small weight a sample, in units of w.
    sharpness : float >= 0 or Tensor
        One over the size from which on a weight counts as large, in 1 / (units of w); 0 is `ZALMS`.
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
    >>> f = af.RZALMS(taps=4, mu=0.02, rho=1e-5)
    >>> y, e, w = f(x, lfilter([0, 0.5, 0, 0], 1, x))
    >>> w.round(3) + 0
    array([0. , 0.5, 0. , 0. ], dtype=float32)
    """

    algorithm = Algorithm(update=rza_lms_update, scratch={"a": ("real", "taps"), "b": ("real", "taps")})
    ranges = {"mu": {}, "rho": {}, "sharpness": {}}
    _shown = ("mu", "rho", "sharpness")

    def __init__(self, taps: int, mu: Any, *, rho: Any = 1e-4, sharpness: Any = 10.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "rho": rho, "sharpness": sharpness}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.05, **common)
