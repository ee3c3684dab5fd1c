"""Simplified Kalman filter: NLMS whose step follows from how much the plant moves and how loud the noise is.

The Kalman filter of a plant that walks at random, each weight by steps of power q, heard in noise of power r, with one
number p for the mean squared error of a weight in the place of the covariance matrix p I, from p = p0 + q on:

    e = d - w^T u,    w <- w + s e conj(u),    s = p / (p u^H u + r),    p <- p (1 - s u^H u / M) + q

With q unknown it is taken to be what the sample moved the weights by, |s e|^2 u^H u / M.

This is NLMS with mu = 1 and eps = r / p, stable on every input: while p is large it learns as fast as NLMS can, and
then settles where noise and movement balance. For one tap it is the Kalman filter itself. Cost: 2 M multiply-adds and
two divisions a sample. The first to try where noise and movement have known powers: no step size to choose.

Source: C. Paleologu, J. Benesty and S. Ciochina, "Study of the general Kalman filter for echo cancellation", IEEE
Trans. Audio, Speech, and Language Processing, 2013, section on the simplified filter.
"""

from typing import Any, ClassVar, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm, Variants
from adaptfilt.engines.words import abs2, scale


def learned(energy: Any, taps: Any, r: Any, p: Any) -> Any:
    """Return the step, and the mean squared error of a weight after it: positive, whatever the rounding."""
    step = p / (p * energy + r)
    return step, step * (p * (energy - energy / taps) + r)


def simplified_kalman_gain(e: Any, energy: Any, taps: Any, q: Any, r: Any, p: Any) -> Any:
    """Return the gain, and the mean squared error of a weight at the next sample."""
    step, p = learned(energy, taps, r, p)
    return scale(step, e), p + q


def estimating_gain(e: Any, energy: Any, taps: Any, r: Any, p: Any) -> Any:
    """Return the gain, and the mean squared error, the plant taken to move as the weights just did."""
    step, p = learned(energy, taps, r, p)
    g = scale(step, e)
    return g, p + abs2(g) * (energy / taps)


class SimplifiedKalman(LinearFilter):
    """NLMS filter whose step size follows from the powers of the plant's movement and of the noise.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    q : float >= 0 or Tensor, or None
        Power of what moves a weight of the plant in a sample, in (units of d / units of x)^2; 0: it stands still;
        None: estimated, for good. A tensor broadcasts over `batch`, as all parameters do.
    r : float > 0 or Tensor
        Power of the noise in d, in (units of d)^2.
    p0 : float >= 0 or Tensor
        Mean squared error of a weight at the start and after `reset`, in the units of q.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    p : Tensor [shape=batch]
        What the filter takes the mean squared error of a weight to be at the next sample: M p is the misalignment's
        power.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> x, v = np.random.default_rng(0).standard_normal((2, 2000))
    >>> d = np.convolve(x, [0.5, -0.5])[:2000] + 0.1 * v
    >>> af.SimplifiedKalman(taps=2, q=0.0, r=0.01)(x, d).w.round(2)
    array([ 0.5, -0.5], dtype=float32)
    """

    algorithm: ClassVar[Any] = Variants(
        known=Algorithm(gain=simplified_kalman_gain, state={"p": "real"}),
        estimated=Algorithm(gain=estimating_gain, state={"p": "real"}),
    )
    ranges = {"q": {}, "r": {"above": True}, "p0": {}}
    _shown = ("q", "r", "p0")
    q: Any = None
    p0: Any

    def __init__(self, taps: int, *, q: Any, r: Any, p0: Any = 1.0, **common: Any) -> None:
        self.variant = "estimated" if q is None else "known"
        params = {"r": r, "p0": p0}
        super().__init__(taps, params if q is None else {"q": q, **params}, **common)
        if q is None:
            self._fixed = (*self._fixed, "q")

    def start(self) -> dict[str, Any]:
        """Return the error of the weights to begin with."""
        return {"p": self.p0 if self.q is None else self.p0 + self.q}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, q=1e-6, r=1e-4, **common)
