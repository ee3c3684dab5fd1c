"""Constant-modulus algorithm (CMA 2-2): blind equalisation of signals whose symbols have one modulus, or nearly so.

A stochastic gradient step on J = E(|y|^2 - R)^2 / 4, which asks for no symbols and does not see the carrier's phase:

    e = (R - |y|^2) y,    w <- (1 - mu leak) w + mu e conj(u)

R is the constellation's dispersion E|a|^4 / E|a|^2. With ``normalized=True`` it aims at the modulus itself, in steps
that the input's level does not change, and cannot run away:

    e = (sqrt(R) / |y| - 1) y,    w <- (1 - mu leak) w + mu e conj(u) / (eps + u^H u)

Stable while mu (|y|^2 - R) u^H u < 2 at every sample, which no mu ensures; normalised for 0 < mu < 2. Cost: 2 M
multiply-adds a symbol. To open an eye without training: bring the input to unit power, then switch to decisions.

Source: D. N. Godard, "Self-recovering equalization and carrier tracking in two-dimensional data communication systems",
IEEE Trans. Communications, 1980; D. L. Jones, "A normalized constant-modulus algorithm", Asilomar Conf., 1995.
"""

from typing import Any, ClassVar, Self

from adaptfilt.engines.algorithm import Algorithm, Variants
from adaptfilt.engines.words import abs2, add, div, magnitude, maximum, scale, sqrt
from adaptfilt.filters.equalisers.constrained import ConstrainedStart

TINY = 1e-30  # a modulus that stands for silence


def cma_error(y: Any, dispersion: Any) -> Any:
    """Return the error of CMA."""
    return scale(dispersion - abs2(y), y)


def modulus_error(y: Any, dispersion: Any) -> Any:
    """Return the error of normalised CMA, 0 in silence."""
    return scale(add(div(sqrt(dispersion), maximum(TINY, magnitude(y))), -1.0), y)


def cma_gain(e: Any, mu: Any) -> Any:
    """Return the gain of CMA."""
    return scale(mu, e)


def normalized_gain(e: Any, energy: Any, mu: Any, eps: Any) -> Any:
    """Return the gain of normalised CMA."""
    return scale(mu / (eps + energy), e)


class CMA(ConstrainedStart):
    """Blind equaliser by the constant-modulus algorithm: ``y, e, w = f(x)``.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients an input and output, M.
    mu : float >= 0 or Tensor
        Step size; normalised without unit. A tensor broadcasts over `batch`, as all parameters do.
    dispersion : float > 0 or Tensor
        R; that of `Constellation.dispersion` at unit power.
    sps : int >= 1
        Samples a symbol.
    inputs, outputs : int >= 1, optional
        Axes of x, and of y, e and w.
    normalized : bool
        Aim at the modulus, with normalised steps.
    start : {"spike", "constrained"}
        Where w0 is not given, 1 at tap M // 2 of every output's own input. "constrained", for 2 inputs and 2 outputs:
        output 1 adapts alone for 10 / mu symbols, then output 2 begins as its orthogonal counterpart, so that both
        cannot find the same signal. A reset of a part of a batch starts from the spikes alone.
    eps : float >= 0 or Tensor
        Regularisation of normalised steps, in (units of x)^2.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a symbol.
    w0, batch, dtype, device, nonfinite, engine
        As for `adaptfilt.LinearFilter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or `start` does not fit.

    Examples
    --------
    >>> import numpy as np, torch, adaptfilt as af
    >>> a = af.signals.symbols(af.Constellation.psk(4), 5000, rng=0)
    >>> x = np.convolve(a, [1, 0.3j, -0.1])[:5000]
    >>> f = af.CMA(taps=9, mu=0.01, dtype=torch.complex64)
    >>> y, e, w = f(x)
    >>> bool(np.abs(np.abs(y[-1000:]) - 1).max() < 0.01)
    True
    """

    algorithm: ClassVar[Any] = Variants(
        plain=Algorithm(gain=cma_gain, error=cma_error),
        normalized=Algorithm(gain=normalized_gain, error=modulus_error),
    )
    ranges = {"mu": {}, "dispersion": {"above": True}, "eps": {}, "leak": {}}
    _shown = ("mu", "dispersion", "sps", "leak")

    def __init__(
        self,
        taps: int,
        mu: Any,
        dispersion: Any = 1.0,
        *,
        normalized: bool = False,
        start: str = "spike",
        eps: Any = 1e-6,
        leak: Any = 0.0,
        **common: Any,
    ) -> None:
        self.variant = "normalized" if normalized else "plain"
        params = {"mu": mu, "dispersion": dispersion, "eps": eps, "leak": leak}
        super().__init__(taps, params, start, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that opens the eye of unit-power symbols."""
        return cls(5, 0.01, **common)
