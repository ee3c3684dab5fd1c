"""Passive-aggressive regression (PA-I, PA-II): leaves small errors be, and follows large ones as far as it is told to.

Each sample asks for the smallest change of w that brings |e| down to the bound, at a price C for what is left of it:

    e = d - w^T u,    l = max(0, |e| - bound),    w <- w + t sign(e) conj(u)
    PA-I:  t = min(C, l / u^H u)        PA-II, squared=True:  t = l / (u^H u + 1 / (2 C))

Stable on every input; C without end is `SetMembershipNLMS` of eps = 0. Cost: M multiply-adds a sample, M more where it
adapts. PA-I bounds what one sample can do, as `SignError` does: for outliers in d. PA-II shortens every step.

Source: K. Crammer, O. Dekel, J. Keshet, S. Shalev-Shwartz and Y. Singer, "Online passive-aggressive algorithms",
Journal of Machine Learning Research, 2006, the algorithms for regression.
"""

from typing import Any, ClassVar, Self

from adaptfilt.engines.algorithm import Algorithm, Variants
from adaptfilt.engines.words import div, magnitude, maximum, minimum, scale, sign
from adaptfilt.filters.set_membership.selective import SelectiveFilter, counted

TINY = 1e-30  # an energy that stands for silence


def pa_1_gain(e: Any, energy: Any, bound: Any, aggressiveness: Any, updates: Any, samples: Any) -> Any:
    """Return the gain of PA-I, and the counts of updates and samples."""
    size = magnitude(e)
    beyond = maximum(0.0, size - bound)
    t = minimum(aggressiveness, div(1.0, maximum(TINY, energy)) * beyond)
    return scale(t, sign(e)), *counted(size, bound, updates, samples)


def pa_2_gain(e: Any, energy: Any, bound: Any, aggressiveness: Any, updates: Any, samples: Any) -> Any:
    """Return the gain of PA-II, and the counts of updates and samples."""
    size = magnitude(e)
    beyond = maximum(0.0, size - bound)
    t = div(1.0, energy + div(0.5, aggressiveness)) * beyond
    return scale(t, sign(e)), *counted(size, bound, updates, samples)


class PassiveAggressive(SelectiveFilter):
    """Filter that adapts only where its error is beyond a bound, at a price for what it leaves of it.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    bound : float >= 0 or Tensor
        Magnitude of the error that is let be, in the units of d. A tensor broadcasts over `batch`, as all parameters
        do. In a call, ``mu=`` takes 0 and 1: to adapt or not.
    aggressiveness : float > 0 or Tensor
        C, the price: of PA-I the largest gain, in units of d / units of x; of PA-II in 1 / (units of x)^2.
    squared : bool
        PA-II, where the price is on the square; else PA-I.
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
    >>> f = af.PassiveAggressive(taps=2, bound=0.1, aggressiveness=0.1)
    >>> y, e, w = f(x, np.convolve(x, [0.5, -0.5])[:5000] + 0.1 * np.sin(v))
    >>> w.round(2), bool(f.share < 0.02)
    (array([ 0.5, -0.5], dtype=float32), True)
    """

    algorithm: ClassVar[Any] = Variants(
        first=Algorithm(gain=pa_1_gain, state={"updates": "real", "samples": "real"}),
        second=Algorithm(gain=pa_2_gain, state={"updates": "real", "samples": "real"}),
    )
    ranges = {"bound": {}, "aggressiveness": {"above": True}}
    _shown = ("bound", "aggressiveness", "squared")

    def __init__(
        self, taps: int, bound: Any, *, aggressiveness: Any = 1.0, squared: bool = False, **common: Any
    ) -> None:
        self.variant, self.squared = "second" if squared else "first", bool(squared)
        super().__init__(taps, {"bound": bound, "aggressiveness": aggressiveness}, **common)
        self._fixed = (*self._fixed, "squared")

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.01, **common)
