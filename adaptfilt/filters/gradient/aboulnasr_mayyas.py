"""LMS with the variable step size of Aboulnasr and Mayyas: Kwong and Johnston's, deaf to white noise.

The step follows the correlation of successive errors and not their power. While there is much to learn, errors are
correlated where the input is coloured or the impulse response smooth; white noise never is. The old step is used before
it is renewed; e' is the error of the sample before:

    e = d - w^T u,    w <- w + step e conj(u)
    p <- beta p + (1 - beta) e conj(e'),    step <- min(mu_max, max(mu_min, alpha step + gamma |p|^2))

Stable in the mean square for 0 < mu_max < 2 / (3 tr R). Settled in white noise the step is mu_min, or
gamma noise^2 (1 - beta) / ((1 + beta) (1 - alpha)) where that is more; gamma is in
1 / ((units of x)^2 (units of d)^4). Cost: 2 M + 7 multiply-adds a sample. Where `KwongJohnston` would do, but the noise
rises and falls, and is white.

Source: T. Aboulnasr and K. Mayyas, "A robust variable step-size LMS-type algorithm: analysis and simulations", IEEE
Trans. Signal Processing, 1997.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import check_order
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import abs2, add, conj, maximum, minimum, scale


def aboulnasr_mayyas_gain(
    e: Any, alpha: Any, beta: Any, gamma: Any, mu_min: Any, mu_max: Any, step_size: Any, p: Any, e_before: Any
) -> Any:
    """Return the gain with the step as it was, the step and the correlation renewed, and the error."""
    p = scale(beta, p) + scale(add(1.0, -beta), e * conj(e_before))
    renewed = alpha * step_size + gamma * abs2(p)
    return scale(step_size, e), minimum(mu_max, maximum(mu_min, renewed)), p, e


class AboulnasrMayyas(LinearFilter):
    """LMS filter whose step size follows the correlation of successive errors.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size at the start and after `reset`, in 1 / (units of x)^2. A tensor broadcasts over `batch`, as all
        parameters do. In a call, ``mu=`` takes 0 and 1: to adapt or not.
    alpha : 0 <= float <= 1 or Tensor
        What of the step a sample leaves.
    beta : 0 <= float <= 1 or Tensor
        What of the correlation a sample leaves.
    gamma : float >= 0 or Tensor
        What the squared correlation adds to the step.
    mu_min, mu_max : float >= 0 or Tensor
        Bounds of the step; mu_max None: mu.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    step_size : Tensor [shape=batch]
        The step for the next sample.
    p : Tensor [shape=batch]
        The correlation of successive errors.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or mu_min above mu_max.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(3000)
    >>> f = af.AboulnasrMayyas(taps=2, mu=0.1, mu_min=0.01)
    >>> y, e, w = f(x, lfilter([0.5, -0.5], 1, x))
    >>> w.round(3), f.step_size
    (array([ 0.5, -0.5], dtype=float32), tensor(0.0100))
    """

    algorithm = Algorithm(gain=aboulnasr_mayyas_gain, state={"step_size": "real", "p": "signal", "e_before": "signal"})
    ranges = {"mu": {}, "alpha": {"high": 1.0}, "beta": {"high": 1.0}, "gamma": {}, "mu_min": {}, "mu_max": {}}
    _shown = ("mu", "alpha", "beta", "gamma", "mu_min", "mu_max")
    mu: Any
    mu_min: Any
    mu_max: Any

    def __init__(
        self,
        taps: int,
        mu: Any = 0.01,
        *,
        alpha: Any = 0.97,
        beta: Any = 0.99,
        gamma: Any = 1e-3,
        mu_min: Any = 1e-5,
        mu_max: Any = None,
        **common: Any,
    ) -> None:
        largest = mu if mu_max is None else mu_max
        params = {"mu": mu, "alpha": alpha, "beta": beta, "gamma": gamma, "mu_min": mu_min, "mu_max": largest}
        super().__init__(taps, params, **common)
        check_order("mu_min", "mu_max", self.mu_min, self.mu_max)

    def start(self) -> dict[str, Any]:
        """Return the step to begin with."""
        return {"step_size": self.mu}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.05, mu_min=0.01, **common)
