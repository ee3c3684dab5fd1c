"""Radius-directed equaliser (RDE): the constant-modulus algorithm with a decision on which modulus it is.

The output's modulus is compared with the nearest of the constellation's radii, so that with open eyes nothing is left
of the noise that `CMA` makes on symbols of several radii:

    R = the radius nearest to |y|,    e = (R^2 - |y|^2) y,    w <- (1 - mu leak) w + mu e conj(u)

Decisions change half-way between two radii. Stable for small mu at unit input power, as `CMA`, which has to open the
eye first where there are more than two or three radii. Normalised steps do not depend on the input's level, but e still
grows with |y|^3: a burst in which mu |y|^2 is far beyond 2 ends in DivergenceError. Cost: 2 M multiply-adds a symbol
and a comparison with each radius. To go on after `CMA` where the carrier turns.

Source: M. J. Ready and R. P. Gooch, "Blind equalization based on radius directed adaptation", IEEE ICASSP, 1990;
I. Fatadin, D. Ives and S. J. Savory, "Blind equalization and carrier phase recovery in a 16-QAM optical coherent
system", J. Lightwave Technology, 2009.
"""

from typing import Any, ClassVar, Self

import numpy as np
import torch

from adaptfilt.engines.algorithm import Variants
from adaptfilt.engines.words import abs2, magnitude, nearest, scale
from adaptfilt.filters.equalisers.blind import PhaseBlindFilter, stepping


def rde_error(y: Any, radii: Any) -> Any:
    """Return the error of RDE."""
    radius = nearest(magnitude(y), radii)
    return scale(radius * radius - abs2(y), y)


class RDE(PhaseBlindFilter):
    """Blind equaliser directed by radii: ``y, e, w = f(x)``.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients an input and output, M.
    mu : float >= 0 or Tensor
        Step size; normalised without unit. A tensor broadcasts over `batch`, as all parameters do.
    radii : array_like [shape=(any number,)]
        The different moduli of the points: `Constellation.radii`.
    normalized : bool
        Steps as those of NLMS.
    sps, inputs, outputs, start, eps, leak
        As for `CMA`.
    w0, batch, dtype, device, nonfinite, engine
        As for `adaptfilt.LinearFilter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, torch, adaptfilt as af
    >>> qam = af.Constellation.qam(16)
    >>> a = af.signals.symbols(qam, 20000, rng=0)
    >>> x = np.convolve(a, [1, 0.3j, -0.1])[:20000]
    >>> y, e, w = af.RDE(taps=9, mu=0.002, radii=qam.radii, dtype=torch.complex64)(x)
    >>> found = af.metrics.align_symbols(y[-1000:], a[-1000:])
    >>> bool(af.metrics.evm_db(found.y, found.symbols) < -40)
    True
    """

    algorithm: ClassVar[Any] = Variants(**stepping("plain", rde_error, vectors={"radii": "real"}))
    ranges = {"mu": {}, "eps": {}, "leak": {}}
    _shown = ("mu", "sps", "leak")
    radii: torch.Tensor

    def __init__(self, taps: int, mu: Any, radii: Any, **common: Any) -> None:
        values = np.array(radii.numpy(force=True) if isinstance(radii, torch.Tensor) else radii, float)
        if values.ndim != 1 or not values.size or not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"radii must be finite numbers >= 0, of shape (R,), got {radii!r:.80}")
        self.variant = "plain"
        super().__init__(taps, mu, {"radii": values}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that opens the eye of unit-power symbols."""
        return cls(5, 0.01, [0.5, 1.25], **common)  # exact in both precisions
