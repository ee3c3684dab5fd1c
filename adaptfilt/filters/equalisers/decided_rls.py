"""Decision-directed RLS: the recursion of RLS towards the symbols known, or else decided, with feedback if asked for.

    e = a - y,    w <- w + k e / (lam + u^T k),    k = P conj(u)

a is the known symbol, or the point nearest to y; u holds the samples, then the past symbols. It converges in about
twice as many symbols as there are weights, whatever the channel, for 4 (M + K)^2 multiply-adds a symbol.

Source: J. G. Proakis, *Digital Communications*, 4th ed., 2001, section 11.4, on equalisers adapted by RLS.
"""

from typing import Any, ClassVar, Self

import torch

from adaptfilt.checks import positive_int
from adaptfilt.constellation import Constellation
from adaptfilt.engines.algorithm import Algorithm, Variants
from adaptfilt.filters.equalisers.decisions import DECIDE, VECTORS, choose, deciding, erring
from adaptfilt.filters.least_squares.rls import RLS, rls_update


class DecidedRLS(RLS):
    """Equaliser that learns from known symbols and its own decisions by RLS: ``y, e, w = f(x, d)``.

    Parameters
    ----------
    forward, feedback, constellation, sps, delay
        As for `DFE`.
    lam, delta
        As for `RLS`.
    w0, dtype, device, nonfinite, engine, inputs, outputs, batch
        As for `adaptfilt.LinearFilter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from adaptfilt.filters.equalisers.decided_rls import DecidedRLS
    >>> a = af.signals.symbols(af.Constellation.pam(2), 1000, rng=0)
    >>> x = np.convolve(a, [0.4, 1, 0.4])[:1000]
    >>> y, e, w = DecidedRLS(8, 2, 0.999, constellation=af.Constellation.pam(2))(x, a[:100])
    >>> bool(np.abs(e[-100:]).max() < 0.1)
    True
    """

    algorithm: ClassVar[Any] = Variants(
        **{
            k: Algorithm(
                update=rls_update, error=erring(f), feed=deciding(f), vectors=VECTORS, unknown=True,
                state={"S": ("taps", "taps")},
            )
            for k, f in DECIDE.items()
        }
    )  # fmt: skip
    ranges = RLS.ranges
    half_distance: float
    columns: float
    rows: float

    def __init__(
        self,
        forward: int,
        feedback: int,
        lam: Any,
        constellation: Constellation,
        *,
        sps: int = 1,
        delay: int | None = None,
        delta: Any = 0.01,
        **common: Any,
    ) -> None:
        self.variant, points = choose(constellation, common.get("dtype", torch.float32))
        delay = (positive_int("forward", forward) - 1) // positive_int("sps", sps) if delay is None else delay
        params = {"lam": lam, "delta": delta, **points}
        super(RLS, self).__init__(forward, params, feedback=feedback, sps=sps, delay=delay, **common)

    def _first_weights(self, w0: Any) -> Any:
        return self._spike(self.delay * self.sps) if w0 is None else w0

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that tracks binary symbols of unit power."""
        return cls(3, 1, 0.99, Constellation.psk(2), **common)
