"""Normalised filtered-x least mean squares (FxNLMS).

FxLMS with a step divided by the energy of the filtered input, so that its speed depends neither on the level of the
input nor on the gain of the secondary path:

    y = w^T u,    e = d - s * y,    v = s^ * x,    w <- (1 - mu leak) w + mu e conj(v) / (eps + v^H v)

The delay of the path lowers the largest step as it does that of `FxLMS`: for white input and a path that delays by D
samples it lies near 2 M / (M + D), so mu = 0.1 is safe up to D = 5 M. Cost: 2 M + S multiply-adds and one division a
sample, with S taps of the path. The first to try for active noise control.

Source: D. R. Morgan, "An analysis of multiple correlation cancellation loops with a filter in the auxiliary path", IEEE
Trans. Acoustics, Speech, and Signal Processing, 1980; S. M. Kuo and D. R. Morgan, *Active Noise Control Systems*, 1996,
section 3.3.
"""

from typing import Any, Self

import numpy as np

from adaptfilt.base.filtered import FilteredFilter
from adaptfilt.checks import Block
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.filters.gradient.nlms import nlms_gain


class FxNLMS(FilteredFilter):
    """Normalised filtered-x least mean squares filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, without unit. A tensor broadcasts over `batch`.
    secondary : array or Tensor [shape=(S,)]
        Model of the secondary path's response; `f.secondary` may be assigned between calls.
    eps : float >= 0 or Tensor
        Regularisation, in (units of the filtered input)^2, added to its energy.
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
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = 100 * np.random.default_rng(0).standard_normal(3000)  # any level
    >>> f = af.FxNLMS(taps=8, mu=0.3, secondary=np.array([0.0, 0.1, 0.05]))
    >>> y, e, w = f(x, lfilter([0.0, 0.0, 0.08, 0.04], 1, x))
    >>> w.round(3)[:4] + 0
    array([0. , 0.8, 0. , 0. ], dtype=float32)
    """

    algorithm = Algorithm(gain=nlms_gain, linear=True)
    ranges = {"mu": {}, "eps": {}, "leak": {}}
    _shown = ("mu", "eps", "leak")

    def __init__(
        self, taps: int, mu: Any, secondary: Block, *, eps: Any = 1e-6, leak: Any = 0.0, **common: Any
    ) -> None:
        super().__init__(taps, {"mu": mu, "eps": eps, "leak": leak}, secondary, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.1, np.array([1.0, 0.3]), **common)
