"""Generalised normalised gradient descent (GNGD): NLMS whose regularisation takes a gradient step too.

NLMS with an eps of its own at every sample, which descends on |e|^2 and is renewed before it is used. Where two errors
agree it falls, and the step grows; where they disagree it rises. With u', e', s' = eps' + u'^H u' of the sample before,

    e = d - w^T u,    eps <- max(eps_min, eps - rho mu Re(conj(e) e' u^T conj(u')) / s'^2),    s = eps + u^H u
    w <- (1 - mu leak) w + mu e conj(u) / s

Stable for 0 < mu < 2 on every input, as NLMS with eps_min is; without that floor, which is not in the paper, s may
become 0. Cost: 2 M + 6 multiply-adds and one division a sample. For inputs whose level and predictability vary, so that
no one eps suits NLMS with a large step. An outlier may leave an eps that is large, and takes its time to fall.

Source: D. P. Mandic, "A generalized normalized gradient descent algorithm", IEEE Signal Processing Letters, 2004.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import conj, div, maximum, real, scale


def gngd_gain(
    e: Any,
    energy: Any,
    lag: Any,
    mu: Any,
    rho: Any,
    eps_min: Any,
    regularisation: Any,
    inverse: Any,
    g_before: Any,
) -> Any:
    """Return the gain, the regularisation renewed, 1 / s and the gain for the next sample."""
    slope = g_before * scale(rho * inverse, lag)
    regularisation = maximum(eps_min, regularisation - real(conj(e) * slope))
    inverse = div(1.0, regularisation + energy)
    g = scale(inverse, scale(mu, e))
    return g, regularisation, inverse, g


class GNGD(LinearFilter):
    """NLMS filter whose regularisation descends on the squared error.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, without unit; a warning outside (0, 2). A tensor broadcasts over `batch`, as all parameters do.
    rho : float >= 0 or Tensor
        Step size of the regularisation, in (units of x)^4 / (units of d)^2.
    eps : float >= 0 or Tensor
        Regularisation at the start and after `reset`, in (units of x)^2.
    eps_min : float > 0 or Tensor
        The least regularisation.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a sample.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    regularisation : Tensor [shape=batch]
        That of the last sample.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(500)
    >>> f = af.GNGD(taps=3, mu=0.5, rho=0.15, eps=1.0)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(gain=gngd_gain, state={"regularisation": "real", "inverse": "real", "g_before": "signal"})
    ranges = {"mu": {"stable": 2.0}, "rho": {}, "eps": {}, "eps_min": {"above": True}, "leak": {}}
    _shown = ("mu", "rho", "eps", "eps_min", "leak")
    eps: Any

    def __init__(
        self, taps: int, mu: Any, *, rho: Any, eps: Any, eps_min: Any = 1e-6, leak: Any = 0.0, **common: Any
    ) -> None:
        super().__init__(taps, {"mu": mu, "rho": rho, "eps": eps, "eps_min": eps_min, "leak": leak}, **common)

    def start(self) -> dict[str, Any]:
        """Return the regularisation to begin with."""
        return {"regularisation": self.eps}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.5, rho=0.15, eps=1.0, **common)
