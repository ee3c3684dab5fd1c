"""Least mean squares (LMS).

The weights take a step along the gradient of the squared error of every sample:

    e = d - w^T u,    w <- (1 - mu leak) w + mu e conj(u)

Were the regressors independent of each other, it would be stable in the mean for 0 < mu < 2 / lambda_max of the
input's correlation matrix R, and, if they are Gaussian too, in the mean square for 0 < mu < 2 / (3 tr R). In a delay
line they are not: on coloured input the error bursts well below these bounds, so start from a tenth of the second one
(`theory.max_step_mean_square` says more). Cost: 2 M multiply-adds a sample. The cheapest filter, with a speed that
depends on the input's power and colour: take NLMS where the level varies.

Source: B. Widrow and M. E. Hoff, "Adaptive switching circuits", IRE WESCON Convention Record, 1960; S. Haykin,
*Adaptive Filter Theory*, 4th ed., 2002, ch. 5, the update and its leaky form.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm


def lms_gain(e: Any, energy: Any, mu: Any) -> Any:
    """Return the gain of LMS."""
    return mu * e


class LMS(LinearFilter):
    """Least mean squares filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of x)^2; below 2 / (3 M power) for white input. A tensor broadcasts over `batch`.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a sample.
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
    >>> f = af.LMS(taps=3, mu=0.05)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(gain=lms_gain, linear=True)
    ranges = {"mu": {}, "leak": {}}
    _shown = ("mu", "leak")

    def __init__(self, taps: int, mu: Any, *, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "leak": leak}, **common)

    def _largest_step(self, power: float) -> float | None:
        return 2 / (3 * self._weights * power) if power else None

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.05, **common)
