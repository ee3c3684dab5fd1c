"""Set-membership NLMS: adapts only where the error is beyond a bound, and then down to the bound.

    e = d - w^T u,    w <- w + mu e conj(u) / (eps + u^H u),    mu = max(0, 1 - bound / |e|)

With eps = 0 and noise that never exceeds the bound, no update takes the weights further from the plant's, on any input,
and the updates come to an end. Else take sqrt(5) standard deviations of the noise. Cost: M multiply-adds a sample, M
more where it adapts. For noise whose bound is known, and where few updates save power: NLMS of full step at first, ever
smaller steps later.

Source: S. Gollamudi, S. Nagaraj, S. Kapoor and Y.-F. Huang, "Set-membership filtering and a set-membership normalized
LMS algorithm with an adaptive step size", IEEE Signal Processing Letters, 1998.
"""

from typing import Any, Self

from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import div, magnitude, maximum, scale, sign
from adaptfilt.filters.set_membership.selective import SelectiveFilter, counted


def set_membership_gain(e: Any, energy: Any, bound: Any, eps: Any, updates: Any, samples: Any) -> Any:
    """Return the gain, and the counts of updates and samples."""
    size = magnitude(e)
    beyond = maximum(0.0, size - bound)
    g = scale(div(1.0, eps + energy) * beyond, sign(e))
    return g, *counted(size, bound, updates, samples)


class SetMembershipNLMS(SelectiveFilter):
    """NLMS filter that adapts only where its error is beyond a bound.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    bound : float >= 0 or Tensor
        Magnitude of the error that is let be, in the units of d; 0 is NLMS of full step. A tensor broadcasts over
        `batch`, as all parameters do. In a call, ``mu=`` takes 0 and 1: to adapt or not.
    eps : float > 0 or Tensor
        Regularisation, in (units of x)^2, added to the regressor's energy.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    share : Tensor [shape=batch]
        Share of the samples at which the filter adapted, |e| being beyond 1.001 bound; `updates` and `samples` are what
        it is made of.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> x, v = np.random.default_rng(0).standard_normal((2, 5000))
    >>> f = af.SetMembershipNLMS(taps=2, bound=0.1)
    >>> y, e, w = f(x, np.convolve(x, [0.5, -0.5])[:5000] + 0.1 * np.sin(v))
    >>> w.round(2), bool(f.share < 0.02)
    (array([ 0.5, -0.5], dtype=float32), True)
    """

    algorithm = Algorithm(gain=set_membership_gain, state={"updates": "real", "samples": "real"})
    ranges = {"bound": {}, "eps": {"above": True}}
    _shown = ("bound", "eps")

    def __init__(self, taps: int, bound: Any, *, eps: Any = 1e-6, **common: Any) -> None:
        super().__init__(taps, {"bound": bound, "eps": eps}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.01, **common)
