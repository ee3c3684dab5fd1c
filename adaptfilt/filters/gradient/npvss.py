"""Non-parametric variable step-size NLMS (NPVSS): as large a step as leaves of the error nothing but the noise.

NLMS with a step mu_n in [0, 1] after which the a posteriori error has the power of the noise. With running means of
powers, p_s <- lam p_s + (1 - lam) |s|^2, renewed before they are used,

    e = d - w^T u,    w <- w + mu_n e conj(u) / (eps + u^H u)

    noise known:      mu_n = max(0, 1 - sqrt(noise / p_e))
    noise estimated:  mu_n = min(1, |1 - sqrt((1 - t) |p_d - p_y| / p_e)|),    t <- lam t, from 1

Once the filter has converged, y and the rest of d are uncorrelated, and p_d - p_y is the power of that rest: of the
noise and of what M taps cannot model. Before, it says nothing: while the means fill, t lets the step be that of NLMS,
and then p_d - p_y > p_e keeps it up.

Stable on every input. Cost: 2 M multiply-adds, one root and two divisions a sample. For steady noise of known power, or
room responses longer than the filter; `lam` None: 1 - 1 / (2 M), nearer to 1 for speech (up to 1 - 1 / (6 M)).

Source: J. Benesty, H. Rey, L. Rey Vega and S. Tressens, "A nonparametric VSS NLMS algorithm", IEEE Signal Processing
Letters, 2006; C. Paleologu, S. Ciochina and J. Benesty, "Variable step-size NLMS algorithm for under-modeling acoustic
echo cancellation", IEEE Signal Processing Letters, 2008. Theirs are the steps but for t and min(1, .).
"""

from typing import Any, ClassVar, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm, Variants
from adaptfilt.engines.words import abs2, add, div, magnitude, maximum, minimum, mul, scale, sqrt

TINY = 1e-30  # a power that stands for silence


def _mean(power: Any, new: Any, lam: Any) -> Any:
    """Return a running mean renewed."""
    return lam * power + add(1.0, -lam) * abs2(new)


def npvss_gain(e: Any, energy: Any, power_e: Any, noise: Any, lam: Any, eps: Any) -> Any:
    """Return the gain for noise of known power, and the power of the error."""
    power_e = _mean(power_e, e, lam)
    mu = maximum(0.0, add(1.0, -sqrt(div(noise, maximum(TINY, power_e)))))
    return scale(mul(div(1.0, eps + energy), mu), e), power_e


def estimating_gain(
    e: Any, energy: Any, y: Any, d: Any, power_e: Any, power_y: Any, power_d: Any, filling: Any, lam: Any, eps: Any
) -> Any:
    """Return the gain for noise of unknown power, the powers, and how far their means are from full."""
    power_e, power_y, power_d, filling = (
        _mean(power_e, e, lam),
        _mean(power_y, y, lam),
        _mean(power_d, d, lam),
        lam * filling,
    )
    noise = add(1.0, -filling) * magnitude(power_d - power_y)
    mu = minimum(1.0, magnitude(add(1.0, -sqrt(div(noise, maximum(TINY, power_e))))))
    return scale(mul(div(1.0, eps + energy), mu), e), power_e, power_y, power_d, filling


class NPVSS(LinearFilter):
    """NLMS filter whose step size follows the ratio of noise to error.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    noise : float >= 0 or Tensor, optional
        Power of the noise in d, in (units of d)^2; None: estimated, for good. A tensor broadcasts over `batch`.
    eps : float >= 0 or Tensor
        Regularisation, in (units of x)^2, added to the regressor's energy.
    lam : 0 < float < 1 or Tensor, optional
        Forgetting factor of the powers; None: 1 - 1 / (2 taps).
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> rng = np.random.default_rng(0)
    >>> x, v = rng.standard_normal((2, 5000))
    >>> d = np.convolve(x, [0.5, -0.5])[:5000] + 0.1 * v
    >>> af.NPVSS(taps=2, noise=0.01)(x, d).w.round(2)
    array([ 0.5, -0.5], dtype=float32)
    """

    algorithm: ClassVar[Any] = Variants(
        known=Algorithm(gain=npvss_gain, state={"power_e": "real"}),
        estimated=Algorithm(
            gain=estimating_gain, state={"power_e": "real", "power_y": "real", "power_d": "real", "filling": "real"}
        ),
    )
    ranges = {"noise": {}, "eps": {}, "lam": {"above": True, "high": 1.0}}
    _shown = ("noise", "eps", "lam")
    noise: Any = None

    def __init__(self, taps: int, *, noise: Any = None, eps: Any = 1e-6, lam: Any = None, **common: Any) -> None:
        self.variant = "estimated" if noise is None else "known"
        params = {"eps": eps, "lam": 1 - 0.5 / positive_int("taps", taps) if lam is None else lam}
        super().__init__(taps, params if noise is None else {"noise": noise, **params}, **common)
        if noise is None:
            self._fixed = (*self._fixed, "noise")

    def start(self) -> dict[str, Any]:
        """Return powers of 0 that know nothing yet."""
        return {} if self.variant == "known" else {"filling": 1.0}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, noise=1e-4, **common)
