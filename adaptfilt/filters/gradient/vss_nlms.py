"""NLMS with the variable step size of Shin, Sayed and Song (VSS-NLMS).

The step follows the length of the mean update: while there is much to learn, successive updates point to the plant and
add up; once there is nothing but noise, they cancel. With the mean p, renewed before it is used,

    e = d - w^T u,    n = e conj(u) / (eps + u^H u),    p <- alpha p + (1 - alpha) n
    w <- w + mu n,    mu = mu_max |p|^2 / (|p|^2 + c)

Stable for 0 < mu_max < 2 on every input. Settled, |p|^2 is about (1 - alpha) / (1 + alpha) noise / u^H u, so that
c = noise / u^H u, the power of one update that is all noise, leaves of the step as much as that fraction. Cost: 5 M
multiply-adds and two divisions a sample. For abrupt changes in noise of steady power that is known only roughly.

Source: H.-C. Shin, A. H. Sayed and W.-J. Song, "Variable step-size NLMS and affine projection algorithms", IEEE Signal
Processing Letters, 2004.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import add, axpyc, div, energy, scale


def vss_nlms_update(w: Any, p: Any, u: Any, e: Any, mu_max: Any, alpha: Any, c: Any, eps: Any) -> Any:
    """Return the weights and the mean update after one sample."""
    g = scale(div(1.0, eps + energy(u)), e)
    p = axpyc(scale(add(1.0, -alpha), g), u, p, alpha)
    power = energy(p)
    return axpyc(scale(mu_max * power / (power + c), g), u, w), p


class VSSNLMS(LinearFilter):
    """NLMS filter whose step size follows the length of the mean update.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu_max : float >= 0 or Tensor
        The largest step size, without unit; a warning outside (0, 2). A tensor broadcasts over `batch`, as all
        parameters do. In a call, ``mu=`` takes 0 and 1: to adapt or not.
    alpha : 0 <= float < 1 or Tensor, optional
        What of the mean update a sample leaves; None: 1 - 1 / (4 taps).
    c : float > 0 or Tensor
        Power of the mean update, in (units of w)^2, that halves the step.
    eps : float > 0 or Tensor
        Regularisation, in (units of x)^2, added to the regressor's energy.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    p : Tensor [shape=(*batch, M)]
        The mean update.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(2000)
    >>> f = af.VSSNLMS(taps=3, c=1e-6)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(update=vss_nlms_update, state={"p": ("taps",)})
    ranges = {
        "mu_max": {"stable": 2.0},
        "alpha": {"high": 1.0},
        "c": {"above": True},
        "eps": {"above": True},
    }
    _shown = ("mu_max", "alpha", "c", "eps")

    def __init__(
        self, taps: int, mu_max: Any = 1.0, *, alpha: Any = None, c: Any = 1e-4, eps: Any = 1e-6, **common: Any
    ) -> None:
        alpha = 1 - 1 / (4 * positive_int("taps", taps)) if alpha is None else alpha
        super().__init__(taps, {"mu_max": mu_max, "alpha": alpha, "c": c, "eps": eps}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.5, c=1e-4, **common)
