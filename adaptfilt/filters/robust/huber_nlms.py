"""Robust NLMS (Huber): NLMS with the error clipped, so that outliers in d count no more than the largest errors do.

A stochastic gradient step on Huber's cost, |e|^2 / 2 up to a bound and a straight line beyond, normalised:

    e = d - w^T u,    w <- (1 - mu leak) w + mu min(|e|, clip) sign(e) conj(u) / (eps + u^H u)

With clip=None the bound follows the errors by a robust mean of their magnitudes, renewed after it is used and where e
is not 0:

    limit <- lam limit + (1 - lam) 1.88 min(|e|, limit)

it settles where the clipped magnitudes have the mean limit / 1.88: at 1.345 standard deviations of Gaussian errors, at
which clipping costs 5 % of the efficiency, and at 1.63 of complex ones. Outliers of any size in a quarter of the
samples less than double it.

Stable for 0 < mu < 2 on every input. Cost: 2 M multiply-adds and one division a sample. The first to try where NLMS
would do but for clicks, double-talk or other outliers in d.

Source: P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics, 1964, and *Robust
Statistics*, 1981, ch. 5, M-estimates of scale; Y. Zou, S.-C. Chan and T.-S. Ng, "Least mean M-estimate algorithms for
robust adaptive filtering in impulse noise", IEEE Trans. Circuits and Systems II, 2000.
"""

from typing import Any, ClassVar, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm, Variants
from adaptfilt.engines.words import add, magnitude, minimum, mul, sign, where

RATIO = 1.8806  # k / E min(|z|, k) of a standard Gaussian z, at Huber's k = 1.345


def huber_nlms_gain(e: Any, energy: Any, mu: Any, eps: Any, clip: Any) -> Any:
    """Return the gain for errors clipped at a bound."""
    return mul(mu / (eps + energy) * minimum(magnitude(e), clip), sign(e))


def following_gain(e: Any, energy: Any, mu: Any, eps: Any, lam: Any, limit: Any) -> Any:
    """Return the gain for errors clipped at the bound as it was, and the bound renewed; one of 0 takes the error's."""
    size = magnitude(e)
    mean = mul(RATIO, minimum(size, limit))
    renewed = where(limit > 0, lam * limit + add(1.0, -lam) * mean, mul(RATIO, size))
    return huber_nlms_gain(e, energy, mu, eps, limit), where(size > 0, renewed, limit)


class HuberNLMS(LinearFilter):
    """NLMS filter that outliers in the desired signal cannot upset.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, without unit; a warning outside (0, 2). A tensor broadcasts over `batch`, as all parameters do.
    clip : float > 0 or Tensor, or None
        Magnitude at which the error is clipped, in the units of d; None: it follows the errors, for good.
    eps : float >= 0 or Tensor
        Regularisation, in (units of x)^2, added to the regressor's energy; 0 divides by zero in silence.
    lam : 0 < float < 1 or Tensor, optional
        Forgetting factor of the bound that follows; None: 1 - 1 / (16 + taps).
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a sample.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    limit : Tensor [shape=batch]
        With clip=None, the bound for the next sample.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> rng = np.random.default_rng(0)
    >>> x, v = rng.standard_normal((2, 5000))
    >>> d = np.convolve(x, [0.5, -0.5])[:5000] + 100 * v * (rng.random(5000) < 0.01)  # outliers
    >>> af.HuberNLMS(taps=2, mu=0.5, clip=None)(x, d).w.round(2)
    array([ 0.5, -0.5], dtype=float32)
    """

    algorithm: ClassVar[Any] = Variants(
        given=Algorithm(gain=huber_nlms_gain),
        following=Algorithm(gain=following_gain, state={"limit": "real"}),
    )
    ranges = {
        "mu": {"stable": 2.0},
        "clip": {"above": True},
        "eps": {},
        "lam": {"above": True, "high": 1.0},
        "leak": {},
    }
    _shown = ("mu", "clip", "eps", "leak")
    clip: Any = None

    def __init__(
        self, taps: int, mu: Any, *, clip: Any, eps: Any = 1e-6, lam: Any = None, leak: Any = 0.0, **common: Any
    ) -> None:
        self.variant = "following" if clip is None else "given"
        params = {"mu": mu, "eps": eps, "lam": 1 - 1 / (16 + positive_int("taps", taps)) if lam is None else lam}
        super().__init__(taps, {**params, "leak": leak, **({} if clip is None else {"clip": clip})}, **common)
        if clip is None:
            self._fixed = (*self._fixed, "clip")

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.5, clip=0.5, **common)
