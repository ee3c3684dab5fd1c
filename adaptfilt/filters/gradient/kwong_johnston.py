"""LMS with the variable step size of Kwong and Johnston.

The step follows the error's power: large while there is much to learn, small once there is not. With a step of its own
in the place of mu, and the old one used before it is renewed,

    e = d - w^T u,    w <- w + step e conj(u),    step <- min(mu_max, max(mu_min, alpha step + gamma |e|^2))

Stable in the mean square for 0 < mu_max < 2 / (3 tr R); settled, the step is gamma E|e|^2 / (1 - alpha), so gamma is in
1 / ((units of x)^2 (units of d)^2). Cost: 2 M + 4 multiply-adds a sample. For plants that change at times, when the
noise is steady; noise that rises raises the step too.

Source: R. H. Kwong and E. W. Johnston, "A variable step size LMS algorithm", IEEE Trans. Signal Processing, 1992.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import check_order
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import abs2, maximum, minimum, scale


def kwong_johnston_gain(e: Any, step_size: Any, alpha: Any, gamma: Any, mu_min: Any, mu_max: Any) -> Any:
    """Return the gain with the step as it was, and the step renewed."""
    renewed = alpha * step_size + gamma * abs2(e)
    return scale(step_size, e), minimum(mu_max, maximum(mu_min, renewed))


class KwongJohnston(LinearFilter):
    """LMS filter whose step size follows the power of its error.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size at the start and after `reset`, in 1 / (units of x)^2. A tensor broadcasts over `batch`, as all
        parameters do. In a call, ``mu=`` takes 0 and 1: to adapt or not.
    alpha : 0 <= float <= 1 or Tensor
        What of the step a sample leaves.
    gamma : float >= 0 or Tensor
        What the squared error adds to it.
    mu_min, mu_max : float >= 0 or Tensor
        Bounds of the step; mu_max None: mu.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    step_size : Tensor [shape=batch]
        The step for the next sample.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or mu_min above mu_max.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(3000)
    >>> f = af.KwongJohnston(taps=2, mu=0.1, mu_min=0.01)
    >>> y, e, w = f(x, lfilter([0.5, -0.5], 1, x))
    >>> w.round(3), f.step_size
    (array([ 0.5, -0.5], dtype=float32), tensor(0.0100))
    """

    algorithm = Algorithm(gain=kwong_johnston_gain, state={"step_size": "real"})
    ranges = {"mu": {}, "alpha": {"high": 1.0}, "gamma": {}, "mu_min": {}, "mu_max": {}}
    _shown = ("mu", "alpha", "gamma", "mu_min", "mu_max")
    mu: Any
    mu_min: Any
    mu_max: Any

    def __init__(
        self,
        taps: int,
        mu: Any = 0.01,
        *,
        alpha: Any = 0.97,
        gamma: Any = 4.8e-4,
        mu_min: Any = 1e-5,
        mu_max: Any = None,
        **common: Any,
    ) -> None:
        largest = mu if mu_max is None else mu_max
        params = {"mu": mu, "alpha": alpha, "gamma": gamma, "mu_min": mu_min, "mu_max": largest}
        super().__init__(taps, params, **common)
        check_order("mu_min", "mu_max", self.mu_min, self.mu_max)

    def start(self) -> dict[str, Any]:
        """Return the step to begin with."""
        return {"step_size": self.mu}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.05, mu_min=0.01, **common)
