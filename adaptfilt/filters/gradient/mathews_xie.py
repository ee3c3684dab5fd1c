"""LMS with the variable step size of Mathews and Xie: the step takes a gradient step too.

Two errors that agree say that the step between them was too short, two that disagree that it was too long. The step,
renewed before it is used, descends on |e|^2; u', e' are those of the sample before:

    e = d - w^T u,    step <- min(mu_max, max(mu_min, step + rho Re(conj(e) e' u^T conj(u'))))
    w <- w + step e conj(u)

Stable in the mean square for 0 < mu_max < 2 / (3 tr R); without a mu_max nothing ensures it. White input of power P,
through a plant h, raises the step by about rho P^2 |h - w|^2 a sample. Cost: 2 M + 6 multiply-adds a sample. For plants
that change at times, where the right step is not known; on inputs of steady level.

Source: V. J. Mathews and Z. Xie, "A stochastic gradient adaptive filter with gradient adaptive step size", IEEE Trans.
Signal Processing, 1993.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import check_order
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import conj, maximum, minimum, real, scale

UNBOUNDED = 1e30  # a step that no filter reaches


def mathews_xie_gain(e: Any, lag: Any, rho: Any, mu_min: Any, mu_max: Any, step_size: Any, e_before: Any) -> Any:
    """Return the gain, the step renewed, and the error for the next sample."""
    slope = scale(rho, e_before * lag)
    step_size = minimum(mu_max, maximum(mu_min, step_size + real(conj(e) * slope)))
    return scale(step_size, e), step_size, e


class MathewsXie(LinearFilter):
    """LMS filter whose step size descends on the squared error.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size at the start and after `reset`, in 1 / (units of x)^2. A tensor broadcasts over `batch`, as all
        parameters do. In a call, ``mu=`` takes 0 and 1: to adapt or not.
    rho : float >= 0 or Tensor
        Step size of the step size, in 1 / ((units of x)^4 (units of d)^2).
    mu_min, mu_max : float >= 0 or Tensor
        Bounds of the step; mu_max None: there is none.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    step_size : Tensor [shape=batch]
        The step of the last sample.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or mu_min above mu_max.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(3000)
    >>> f = af.MathewsXie(taps=2, mu=0.01, rho=1e-3, mu_max=0.1)
    >>> y, e, w = f(x, lfilter([0.5, -0.5], 1, x))
    >>> w.round(3), bool(f.step_size > 0.01)
    (array([ 0.5, -0.5], dtype=float32), True)
    """

    algorithm = Algorithm(gain=mathews_xie_gain, state={"step_size": "real", "e_before": "signal"})
    ranges = {"mu": {}, "rho": {}, "mu_min": {}, "mu_max": {}}
    _shown = ("mu", "rho", "mu_min", "mu_max")
    mu: Any
    mu_min: Any
    mu_max: Any

    def __init__(
        self, taps: int, mu: Any = 0.01, *, rho: Any, mu_min: Any = 0.0, mu_max: Any = None, **common: Any
    ) -> None:
        params = {"mu": mu, "rho": rho, "mu_min": mu_min, "mu_max": UNBOUNDED if mu_max is None else mu_max}
        super().__init__(taps, params, **common)
        check_order("mu_min", "mu_max", self.mu_min, self.mu_max)

    def start(self) -> dict[str, Any]:
        """Return the step to begin with."""
        return {"step_size": self.mu}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.02, rho=1e-3, mu_min=0.005, mu_max=0.1, **common)
