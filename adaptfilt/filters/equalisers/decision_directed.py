"""Decision-directed equaliser: LMS, or NLMS, towards the symbols known, or else decided.

With a the known symbol where d is not NaN, and otherwise the point nearest to the output,

    e = a - y,    w <- (1 - mu leak) w + mu e conj(u)    [mu / (eps + u^H u) normalised]

With a carrier loop, z = y exp(-j theta) is decided and returned, and with a second-order loop of angle theta, rate nu,

    e = a exp(j theta) - y,    phi = Im(z conj(a)) / |a|^2
    nu <- nu + beta phi,    theta <- theta + alpha phi + nu

Stable, while decisions are right, as LMS and NLMS: 0 < mu < 2 / (3 tr R), or 2. Cost: 2 M multiply-adds a symbol and a
decision; the loop a sine and a cosine. To track once the eye is open, after training or a blind start; in the same call
where d begins with training symbols. With the loop where carriers differ.

Source: R. W. Lucky, "Techniques for adaptive equalization of digital communication systems", Bell System Technical
Journal, 1966; D. D. Falconer, "Jointly adaptive equalization and carrier recovery in two-dimensional digital
communication systems", Bell System Technical Journal, 1976; loop gains from noise bandwidth and damping: M. Rice,
*Digital Communications: A Discrete-Time Approach*, 2009, app. C.
"""

from collections.abc import Callable
from math import pi
from typing import Any, ClassVar, Self

import torch

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import check_number, positive_int
from adaptfilt.constellation import Constellation
from adaptfilt.engines.algorithm import Algorithm, Variants
from adaptfilt.engines.words import abs2, add, conj, div, expj, floor, imag, isnan, maximum, mul, scale, where
from adaptfilt.filters.equalisers.decisions import DECIDE, VECTORS, Decide, choose, erring


def directed_gain(e: Any, energy: Any, mu: Any, eps: Any, normalized: Any) -> Any:
    """Return the gain of LMS or NLMS."""
    return scale(div(mu, where(normalized > 0, add(eps, energy), 1.0)), e)


def derotated(decide: Decide) -> Callable[..., Any]:
    """Return the function of output and error in a carrier loop."""

    def carrier_error(y: Any, d: Any, theta: Any, points: Any, half_distance: Any, columns: Any, rows: Any) -> Any:
        turn = expj(theta)
        z = y * conj(turn)
        a = where(isnan(d), decide(z, points, half_distance, columns, rows), d)
        return z, a * turn - y

    return carrier_error


def carrier_gain(
    e: Any, energy: Any, y: Any, mu: Any, eps: Any, normalized: Any, theta: Any, nu: Any, alpha: Any, beta: Any
) -> Any:
    """Return the gain, and the loop's angle within a turn and its rate."""
    a = y + e  # turned by theta
    phi = div(imag(y * conj(a)), maximum(1e-30, abs2(a)))
    nu = nu + beta * phi
    theta = theta + alpha * phi + nu
    turns = floor(add(mul(0.5 / pi, theta), 0.5))
    return directed_gain(e, energy, mu, eps, normalized), add(theta, mul(-2 * pi, turns)), nu


def loop_gains(carrier: Any, dtype: torch.dtype) -> dict[str, float]:
    """Return the gains of a second-order loop from its noise bandwidth, in cycles a symbol, and damping."""
    if not (isinstance(carrier, tuple | list) and len(carrier) == 2):
        raise TypeError(f"carrier must be a pair (bandwidth, damping), got {carrier!r}")
    if not dtype.is_complex:
        raise TypeError("carrier needs a complex filter: make it with dtype=torch.complex64 or complex128")
    names = ("carrier bandwidth", "carrier damping")
    bandwidth, damping = (float(check_number(k, v, (), above=True)) for k, v in zip(names, carrier, strict=True))
    t = bandwidth / (damping + 0.25 / damping)
    total = 1 + 2 * damping * t + t * t
    return {"alpha": 4 * damping * t / total, "beta": 4 * t * t / total}


class DecisionDirected(LinearFilter):
    """Equaliser that learns from known symbols and its own decisions: ``y, e, w = f(x, d)``.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size; normalised without unit. A tensor broadcasts over `batch`, as all parameters do.
    constellation : Constellation
        The points; real ones for a real filter.
    sps : int >= 1
        Samples a symbol.
    delay : int >= 0, optional
        y[n] estimates symbol n - delay; None: (M // 2) // sps. The weights start as a spike at delay * sps.
    normalized : bool
        Steps as those of NLMS.
    carrier : tuple of float > 0, optional
        Noise bandwidth, in cycles a symbol, and damping of the carrier loop, which goes on where weights are frozen.
    eps : float >= 0 or Tensor
        Regularisation of normalised steps, in (units of x)^2.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a symbol.
    w0, batch, dtype, device, nonfinite, engine, inputs, outputs
        As for `adaptfilt.LinearFilter`. d may end early, or be left out: NaN stands for what is not known.

    Attributes
    ----------
    theta, nu : Tensor [shape=batch]
        Angle and rate of the carrier loop, in radians and radians a symbol.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, torch, adaptfilt as af
    >>> qam = af.Constellation.qam(16)
    >>> a = af.signals.symbols(qam, 5000, rng=0)
    >>> x = np.convolve(a, [1, 0.3j, -0.1])[:5000]
    >>> f = af.DecisionDirected(taps=9, mu=0.02, constellation=qam, dtype=torch.complex64)
    >>> y, e, w = f(x, a[:1000])
    >>> bool(af.metrics.evm_db(y[-1000:], a[-1000 - f.delay : -f.delay]) < -30)
    True
    """

    algorithm: ClassVar[Any] = Variants(
        **{k: Algorithm(gain=directed_gain, error=erring(f), vectors=VECTORS, unknown=True) for k, f in DECIDE.items()},
        **{
            f"{k}_carrier": Algorithm(
                gain=carrier_gain, error=derotated(f), vectors=VECTORS, unknown=True, running=True,
                state={"theta": "real", "nu": "real"},
            )
            for k, f in DECIDE.items()
        },
    )  # fmt: skip
    ranges = {"mu": {}, "eps": {}, "leak": {}}
    _shown = ("mu", "sps", "delay", "leak")
    half_distance: float
    columns: float
    rows: float
    alpha: float
    beta: float

    def __init__(
        self,
        taps: int,
        mu: Any,
        constellation: Any,
        *,
        sps: int = 1,
        delay: int | None = None,
        normalized: bool = False,
        carrier: tuple[float, float] | None = None,
        eps: Any = 1e-6,
        leak: Any = 0.0,
        **common: Any,
    ) -> None:
        self.variant, points = choose(constellation, common.get("dtype", torch.float32))
        params = {"mu": mu, "eps": eps, "leak": leak, "normalized": float(normalized), **points}
        if carrier is not None:
            self.variant += "_carrier"
            params |= loop_gains(carrier, common.get("dtype", torch.float32))
        self.constellation, self.carrier = constellation, carrier
        delay = (positive_int("taps", taps) // 2) // positive_int("sps", sps) if delay is None else delay
        super().__init__(taps, params, sps=sps, delay=delay, **common)
        self._fixed = (*self._fixed, "constellation", "carrier")

    def _first_weights(self, w0: Any) -> Any:
        return self._spike(self.delay * self.sps) if w0 is None else w0

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that tracks binary symbols of unit power."""
        return cls(5, 0.02, Constellation.psk(2), **common)
