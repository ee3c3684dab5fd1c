"""LMS with an attraction to 0 that approximates the number of weights which are not (l0-LMS).

    e = d - w^T u,    w <- w + mu e conj(u) - kappa f(w)
    f(w) = 2 beta sgn(w) max(0, 1 - beta |w|),    entry by entry

f is the slope of sum (1 - exp(-beta |w|)), to first order: what lies above 1 / beta is not attracted at all. Stable as
LMS is, for 0 < mu < 2 / (3 tr R), and 2 beta^2 kappa < 1. Where the whole regressor is silent nothing is learned, and
nothing attracted. Cost: 5 M multiply-adds a sample. For plants most of whose weights are 0, and the others well apart
from it.

Source: Y. Gu, J. Jin and S. Mei, "l0 norm constraint LMS algorithm for sparse system identification", IEEE Signal
Processing Letters, 2009.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import add, axpy, axpyc, magnitude, maximum, mul, scale, sign, where


def l0_lms_update(  # noqa: PLR0913 (its scratch)
    w: Any, u: Any, e: Any, energy: Any, mu: Any, kappa: Any, beta: Any, a: Any = None, b: Any = None, s: Any = None,
    v: Any = None,
) -> Any:  # fmt: skip
    """Return the weights after one sample of l0-LMS."""
    b = add(1.0, scale(-beta, magnitude(w, out=b), out=a), out=b)
    v = mul(maximum(0.0, b, out=a), sign(w, out=s), out=v)
    w = axpyc(mu * e, u, w)
    return axpy(where(energy > 0, -2 * beta * kappa, 0 * kappa), v, w)


class L0LMS(LinearFilter):
    """LMS filter that draws its smallest weights towards 0, and leaves all others alone.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of x)^2; below 2 / (3 M power) for white input. A tensor broadcasts over `batch`.
    kappa : float >= 0 or Tensor
        Strength of the attraction, in (units of w)^2.
    beta : float >= 0 or Tensor
        One over the size from which on a weight is not attracted, in 1 / (units of w).
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
    >>> f = af.L0LMS(taps=4, mu=0.02, kappa=1e-5)
    >>> y, e, w = f(x, lfilter([0, 0.5, 0, 0], 1, x))
    >>> w.round(3) + 0
    array([0. , 0.5, 0. , 0. ], dtype=float32)
    """

    algorithm = Algorithm(update=l0_lms_update, scratch={"a": ("real", "taps"), "b": ("real", "taps")})
    ranges = {"mu": {}, "kappa": {}, "beta": {}}
    _shown = ("mu", "kappa", "beta")

    def __init__(self, taps: int, mu: Any, *, kappa: Any = 1e-5, beta: Any = 5.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "kappa": kappa, "beta": beta}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.05, **common)
