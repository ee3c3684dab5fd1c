"""Constant-modulus algorithm (CMA): blind equalisation of signals whose symbols have one modulus, or nearly so.

A stochastic gradient step on J = E(|y|^p - R)^2 / (2 p), which asks for no symbols and does not see the carrier's
phase; with p = 2, CMA 2-2, and with p = 1, CMA 1-2,

    e = (R - |y|^2) y,    e = (R / |y| - 1) y,    in general  e = |y|^(p-2) (R - |y|^p) y
    w <- (1 - mu leak) w + mu e conj(u)

R is the constellation's constant E|a|^2p / E|a|^p. With ``normalized=True`` it aims at the modulus itself, in steps
that the input's level does not change, and cannot run away:

    e = (R^(1/p) / |y| - 1) y,    w <- (1 - mu leak) w + mu e conj(u) / (eps + u^H u)

Where symbols have several moduli, that is E|a|^2 / E|a|: ``CMA(taps, mu, constellation.godard(1), power=1,
normalized=True)``. With p = 2 and 16-QAM outputs would come 9 % too large.

Stable, with p = 2, while mu (|y|^2 - R) u^H u < 2 at every sample, which no mu ensures; normalised for 0 < mu < 2.
Cost: 2 M multiply-adds a symbol. To open an eye without training: bring the input to unit power, then switch to
decisions.

Source: D. N. Godard, "Self-recovering equalization and carrier tracking in two-dimensional data communication
systems", IEEE Trans. Communications, 1980; D. L. Jones, "A normalized constant-modulus algorithm", Asilomar Conf.,
1995.
"""

from typing import Any, ClassVar, Self

from adaptfilt.checks import check_number
from adaptfilt.engines.algorithm import Algorithm, Variants
from adaptfilt.engines.words import abs2, add, div, exp, log, magnitude, maximum, mul, scale, sign
from adaptfilt.filters.equalisers.blind import PhaseBlindFilter, normalized_gain, plain_gain

TINY = 1e-30  # a modulus that stands for silence


def cma_error(y: Any, dispersion: Any) -> Any:
    """Return the error of CMA 2-2."""
    return scale(dispersion - abs2(y), y)


def modulus_error(y: Any, modulus: Any) -> Any:
    """Return the error of CMA 1-2 and of normalised CMA, 0 in silence."""
    return scale(add(div(modulus, maximum(TINY, magnitude(y))), -1.0), y)


def godard_error(y: Any, dispersion: Any, power: Any) -> Any:
    """Return Godard's error of any power."""
    level = log(maximum(TINY, magnitude(y)))
    return scale(mul(exp(mul(add(power, -1.0), level)), dispersion - exp(mul(power, level))), sign(y))


class CMA(PhaseBlindFilter):
    """Blind equaliser by the constant-modulus algorithm: ``y, e, w = f(x)``.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients an input and output, M.
    mu : float >= 0 or Tensor
        Step size; normalised without unit. A tensor broadcasts over `batch`, as all parameters do.
    dispersion : float > 0 or Tensor
        R; that of `Constellation.dispersion`, or of `Constellation.godard` for another p, at unit power.
    sps : int >= 1
        Samples a symbol.
    inputs, outputs : int >= 1, optional
        Axes of x, and of y, e and w.
    power : float >= 1
        Godard's p.
    normalized : bool
        Aim at the modulus, with normalised steps; best with power 1.
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
        plain=Algorithm(gain=plain_gain, error=cma_error),
        modulus=Algorithm(gain=plain_gain, error=modulus_error),
        godard=Algorithm(gain=plain_gain, error=godard_error),
        normalized=Algorithm(gain=normalized_gain, error=modulus_error),
    )
    ranges = {"mu": {}, "dispersion": {"above": True}, "eps": {}, "leak": {}}
    _shown = ("mu", "dispersion", "power", "sps", "leak")
    dispersion: Any

    def __init__(
        self,
        taps: int,
        mu: Any,
        dispersion: Any = 1.0,
        *,
        power: float = 2.0,
        normalized: bool = False,
        **common: Any,
    ) -> None:
        self.power = float(check_number("power", power, (), low=1.0))
        self.variant = "normalized" if normalized else {2.0: "plain", 1.0: "modulus"}.get(self.power, "godard")
        super().__init__(taps, mu, {"dispersion": dispersion}, **common)
        self._fixed = (*self._fixed, "power")

    @property
    def modulus(self) -> Any:
        """The modulus that is aimed at, R^(1/p)."""
        return self.dispersion ** (1 / self.power)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that opens the eye of unit-power symbols."""
        return cls(5, 0.01, **common)
