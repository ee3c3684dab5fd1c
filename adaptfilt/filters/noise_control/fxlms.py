"""Filtered-x least mean squares (FxLMS).

LMS for a filter whose output is heard through a secondary path s, as that of a loudspeaker at a microphone:

    y = w^T u,    e = d - s * y,    v = s^ * x,    w <- (1 - mu leak) w + mu e conj(v)

with v the regressor of the input filtered by the model s^ of the path. With a small step it converges where the phase
of the model is right within 90 degrees at every excited frequency. A path that delays by D samples lowers the largest
step: for white input it lies between 2 / (power (M + 2 D)) and 2 / (power (M + D)). Cost: 2 M + S multiply-adds a
sample, with S taps of the path. For active noise control; take the normalised form where the level varies.

Source: D. R. Morgan, "An analysis of multiple correlation cancellation loops with a filter in the auxiliary path", IEEE
Trans. Acoustics, Speech, and Signal Processing, 1980; J. C. Burgess, "Active adaptive sound control in a duct: a
computer simulation", J. Acoustical Society of America, 1981.
"""

from typing import Any, Self

import numpy as np

from adaptfilt.base.filtered import FilteredFilter
from adaptfilt.checks import Block
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.filters.gradient.lms import lms_gain


class FxLMS(FilteredFilter):
    """Filtered-x least mean squares filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of x)^2 for a path of unit gain. A tensor broadcasts over `batch`.
    secondary : array or Tensor [shape=(S,) or (L, Q, S)]
        Model of the secondary path's response; `f.secondary` may be assigned between calls. With (L, Q, S), of the
        paths from Q loudspeakers to L microphones: y is (*batch, Q, T), and d and e are (*batch, L, T).
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a sample, which limits the drive of the loudspeaker.
    path_taps, inputs, w0, batch, dtype, device, nonfinite, engine
        As for `adaptfilt.FilteredFilter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    The microphone hears the noise through one path and the loudspeaker through another:

    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(5000)
    >>> f = af.FxLMS(taps=8, mu=0.02, secondary=np.array([0.0, 1.0, 0.5]))
    >>> y, e, w = f(x, lfilter([0.0, 0.0, 0.8, 0.4], 1, x))
    >>> bool(np.mean(e[-500:] ** 2) < 1e-6)
    True
    """

    algorithm = Algorithm(gain=lms_gain, linear=True)
    ranges = {"mu": {}, "leak": {}}
    _shown = ("mu", "leak")

    def __init__(self, taps: int, mu: Any, secondary: Block, *, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "leak": leak}, secondary, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.02, np.array([1.0, 0.3]), **common)
