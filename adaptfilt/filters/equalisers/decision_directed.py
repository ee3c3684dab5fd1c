"""Decision-directed equaliser: LMS, or NLMS, towards the symbols known, or else decided.

With a the known symbol where d is not NaN, and otherwise the point nearest to the output,

    e = a - y,    w <- (1 - mu leak) w + mu e conj(u)    [mu / (eps + u^H u) normalised]

With a carrier loop, z = y exp(-j theta) is decided and returned, and with a second-order loop of angle theta, rate nu,

    e = a exp(j theta) - y,    phi = Im(z conj(a)) / |a|^2
    nu <- nu + beta phi,    theta <- theta + alpha phi + nu

Stable, while decisions are right, as LMS and NLMS: 0 < mu < 2 / (3 tr R), or 2. Cost: 2 M multiply-adds a symbol and
a decision; the loop a sine and a cosine. To track once the eye is open, after training or a blind start; in the same
call where d begins with training symbols. With the loop where carriers differ.

Source: R. W. Lucky, "Techniques for adaptive equalization of digital communication systems", Bell System Technical
Journal, 1966; D. D. Falconer, "Jointly adaptive equalization and carrier recovery in two-dimensional digital
communication systems", Bell System Technical Journal, 1976; loop gains from noise bandwidth and damping: M. Rice,
*Digital Communications: A Discrete-Time Approach*, 2009, app. C.
"""

from typing import Any, ClassVar, Self

import torch

from adaptfilt.checks import positive_int
from adaptfilt.constellation import Constellation
from adaptfilt.engines.algorithm import Algorithm, Variants
from adaptfilt.filters.equalisers import targets
from adaptfilt.filters.equalisers.blind import OfPoints
from adaptfilt.filters.equalisers.carrier import carrier_gain, derotated, directed_gain, loop_gains
from adaptfilt.filters.equalisers.decisions import DECIDE, VECTORS, choose, erring


class DecisionDirected(OfPoints):
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
    decisions : {"hard", "stop-and-go"} or tuple of str and float
        Towards what it adapts where d is not known: the nearest point; the same, in each part only where its error has
        the sign of Sato's; ("soft", noise), the mean of the points in noise of that power, about that of the output;
        ("blind", handover), MMA, or with a carrier loop CMA, until the smoothed |a - y|^2 is below `handover` times the
        square of half the least distance of points, and again above. In a closed eye it is about 2 / 3 for QAM and 0.4
        for binary symbols: 0.4 suits the former and 0.2 the latter.
    eps : float >= 0 or Tensor
        Regularisation of normalised steps, in (units of x)^2.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a symbol.
    w0, batch, dtype, device, nonfinite, engine, inputs, outputs
        As for `adaptfilt.LinearFilter`. d may end early, or be left out: NaN stands for what is not known.
        A warning says, once, where what is known is none of the points; it is learnt all the same.

    Attributes
    ----------
    theta, nu : Tensor [shape=batch]
        Angle and rate of the carrier loop, in radians and radians a symbol.
    spread : Tensor [shape=batch]
        With ("blind", handover), the smoothed |a - y|^2.

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
        **targets.algorithms(),
    )  # fmt: skip
    ranges = {"mu": {}, "eps": {}, "leak": {}}
    _shown = ("mu", "sps", "delay", "leak")
    half_distance: float
    columns: float
    rows: float
    alpha: float
    beta: float
    c1: float
    c2: float
    dispersion: float
    closed: float

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
        decisions: Any = "hard",
        eps: Any = 1e-6,
        leak: Any = 0.0,
        **common: Any,
    ) -> None:
        dtype = common.get("dtype", torch.float32)
        self.variant, points = choose(constellation, dtype)
        self.variant, constants = targets.choose_target(decisions, self.variant, constellation, dtype.is_complex)
        params = {"mu": mu, "eps": eps, "leak": leak, "normalized": float(normalized), **points, **constants}
        if carrier is not None:
            self.variant += "_carrier"
            params |= loop_gains(carrier, dtype)
        self.constellation, self.carrier, self.decisions = constellation, carrier, decisions
        delay = (positive_int("taps", taps) // 2) // positive_int("sps", sps) if delay is None else delay
        super().__init__(taps, params, sps=sps, delay=delay, **common)
        self._fixed = (*self._fixed, "constellation", "carrier", "decisions")

    def _first_weights(self, w0: Any) -> Any:
        return self._spike(self.delay * self.sps) if w0 is None else w0

    def start(self) -> dict[str, Any]:
        """Return the distance from decisions to start from, that of a closed eye."""
        return {"spread": 1.0} if "spread" in self.algorithm.states else {}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that tracks binary symbols of unit power."""
        return cls(5, 0.02, Constellation.psk(2), **common)
