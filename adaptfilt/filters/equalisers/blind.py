"""What blind rules share: steps, a start from spikes, and a phase that can be pinned.

A blind rule is an error e = b(y) with which the weights take the steps of LMS or NLMS:

    w <- (1 - mu leak) w + mu e conj(u)    [mu / (eps + u^H u) normalised]

Source: S. Bellini, "Bussgang techniques for blind equalization", IEEE GLOBECOM, 1986, on rules of this form.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import cast, finite_samples
from adaptfilt.constellation import Constellation
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import scale
from adaptfilt.filters.equalisers.constrained import ConstrainedStart

LOOKED_AT = 64  # symbols at the start of a call: whether those known are points


def plain_gain(e: Any, mu: Any) -> Any:
    """Return the gain of LMS."""
    return scale(mu, e)


def normalized_gain(e: Any, energy: Any, mu: Any, eps: Any) -> Any:
    """Return the gain of NLMS."""
    return scale(mu / (eps + energy), e)


def stepping(name: str, error: Callable[..., Any], **said: Any) -> dict[str, Algorithm]:
    """Return the algorithms of an error with the steps of LMS and with those of NLMS, by name."""
    return {
        name: Algorithm(gain=plain_gain, error=error, **said),
        f"{name}_normalized": Algorithm(gain=normalized_gain, error=error, **said),
    }


class BlindFilter(ConstrainedStart):
    """A blind rule with its constants: ``y, e, w = f(x)``.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients an input and output, M.
    mu : float >= 0 or Tensor
        Step size.
    constants : dict
        What else the rule's error names.
    normalized : bool
        Steps as those of NLMS.
    start, eps, leak, **common
        As for `CMA`.
    """

    def __init__(
        self,
        taps: int,
        mu: Any,
        constants: dict[str, Any],
        *,
        normalized: bool = False,
        start: str = "spike",
        eps: Any = 1e-6,
        leak: Any = 0.0,
        **common: Any,
    ) -> None:
        self.variant += "_normalized" * normalized
        super().__init__(taps, {"mu": mu, **constants, "eps": eps, "leak": leak}, start, **common)


class PhaseBlind(LinearFilter):
    """A filter whose rule is of the modulus alone, which leaves the outputs' phase to chance."""

    def pin_phase(self) -> None:
        """Turn the weights so that the largest of each output is real and positive; no output's modulus changes.

        The rule goes on as it would have, turned. In noise its phase wanders; pinned before every block it stays within
        what the channel turns, so that a carrier loop behind it has nothing else to follow.
        """
        with self._lock, torch.no_grad():
            w = self.w.reshape(*self._filters, -1)
            largest = w.gather(-1, w.abs().argmax(-1, keepdim=True))
            self.w = (w * torch.sgn(largest).conj()).reshape(self.w.shape)


class PhaseBlindFilter(PhaseBlind, BlindFilter):
    """A blind rule of the modulus alone, as a gain."""


class OfPoints(LinearFilter):
    """A filter with a constellation, which looks at signals for what cannot come of its points."""

    constellation: Constellation

    def _check_signals(self, x: Any, d: Any, rows: bool) -> int:
        length = super()._check_signals(x, d, rows)
        if self.inputs is None and self.sps == 1 and not rows:  # else real numbers may be both parts of a symbol
            check_iq(x, self.constellation)
        return length

    def _doubt(self, d: Any) -> str | None:
        known = cast(d[..., :LOOKED_AT], self.dtype)
        wrong = stray(known[finite_samples(known) & (known != 0)], self.constellation)  # zeros are silence
        return None if wrong is None else f"d holds {wrong}, no point of the constellation, which has unit mean power"


def check_iq(x: Any, constellation: Constellation) -> None:
    """Refuse a real signal for complex points."""
    if not (constellation.is_real or is_complex(x)):
        raise TypeError("x is real, the points are complex: an I/Q signal is needed")


def stray(known: Any, constellation: Constellation) -> str | None:
    """Return which of some symbols is the farthest from all points of a constellation, if it is none of them."""
    known = known.detach() if isinstance(known, Tensor) else known
    off = abs(known - constellation.slice(known))
    if not len(known) or float(off.max()) <= 1e-3 * constellation.min_distance:
        return None
    return f"{known[off.argmax()].item():.4g}"


def is_complex(value: Any) -> bool:
    """Say whether a signal is complex."""
    return value.is_complex() if isinstance(value, Tensor) else np.iscomplexobj(value)


def check_constellation(constellation: Any, dtype: torch.dtype) -> Constellation:
    """Return a constellation that fits a filter.

    Raises
    ------
    TypeError
        If it is no constellation, or complex and the filter real.
    """
    if not isinstance(constellation, Constellation):
        raise TypeError(f"constellation must be an adaptfilt.Constellation, got {type(constellation).__name__}")
    if not (constellation.is_real or dtype.is_complex):
        raise TypeError("constellation must have real points for a real filter: make the filter with dtype=complex64")
    return constellation
