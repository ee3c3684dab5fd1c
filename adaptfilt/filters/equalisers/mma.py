"""Multimodulus algorithm (MMA): the constant-modulus algorithm on real and imaginary part, each by itself.

A stochastic gradient step on J = E(Re(y)^2 - R)^2 / 4 + E(Im(y)^2 - R')^2 / 4, which needs no symbols and turns the
output upright, up to the rotations that leave the constellation as it is:

    e = (R - Re(y)^2) Re(y) + j (R' - Im(y)^2) Im(y),    w <- (1 - mu leak) w + mu e conj(u)

R = E[Re(a)^4] / E[Re(a)^2] of the constellation, and R' of its imaginary parts. Stable for small mu at unit input
power, as `CMA`. Normalised steps do not depend on the input's level, but e still grows with |y|^3: a burst in which mu
|y|^2 is far beyond 2 ends in DivergenceError. Cost: 2 M multiply-adds a symbol. For QAM without training: it leaves
less noise than `CMA`, and no phase to be found before decisions are made. Where the carrier turns, take `CMA`, which
does not see it.

Source: K. N. Oh and Y. O. Chin, "Modified constant modulus algorithm: blind equalization and carrier phase recovery
algorithm", IEEE ICC, 1995; J. Yang, J.-J. Werner and G. A. Dumont, "The multimodulus blind equalization and its
generalized algorithms", IEEE J. Selected Areas in Communications, 2002.
"""

from typing import Any, ClassVar, Self

import torch

from adaptfilt.constellation import Constellation
from adaptfilt.engines.algorithm import Variants
from adaptfilt.engines.words import complex, imag, real
from adaptfilt.filters.equalisers.blind import BlindFilter, OfPoints, check_constellation, stepping


def mma_error(y: Any, R_real: Any, R_imag: Any) -> Any:
    """Return the error of MMA."""
    r, i = real(y), imag(y)
    return complex((R_real - r * r) * r, (R_imag - i * i) * i)


def mma_real_error(y: Any, R_real: Any) -> Any:
    """Return the error of MMA in a real filter."""
    return (R_real - y * y) * y


class MMA(OfPoints, BlindFilter):
    """Blind equaliser by the multimodulus algorithm: ``y, e, w = f(x)``.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients an input and output, M.
    mu : float >= 0 or Tensor
        Step size; normalised without unit. A tensor broadcasts over `batch`, as all parameters do.
    constellation : Constellation
        The points, which give R and R'; real ones for a real filter.
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
    >>> y, e, w = af.MMA(taps=9, mu=0.001, constellation=qam, dtype=torch.complex64)(x)
    >>> bool(af.metrics.ser(y[-1000:], a[-1004:-4], qam) == 0)
    True
    """

    algorithm: ClassVar[Any] = Variants(**stepping("complex", mma_error), **stepping("real", mma_real_error))
    ranges = {"mu": {}, "eps": {}, "leak": {}}
    _shown = ("mu", "sps", "leak")
    R_real: float
    R_imag: float

    def __init__(self, taps: int, mu: Any, constellation: Any, **common: Any) -> None:
        dtype = common.get("dtype", torch.float32)
        self.constellation = check_constellation(constellation, dtype)
        self.variant = "complex" if dtype.is_complex else "real"
        self.R_real, self.R_imag = self.constellation.dispersion_parts
        super().__init__(taps, mu, {}, **common)
        self._fixed = (*self._fixed, "constellation")

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that opens the eye of unit-power symbols."""
        return cls(5, 0.01, Constellation.psk(4 if common.get("dtype", torch.float32).is_complex else 2), **common)
