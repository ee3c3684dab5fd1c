"""Sato's algorithm: blind equalisation by decisions between two levels, whatever the constellation.

The sign of each part of the output is taken as if it were the symbol, at a level g at which the error vanishes in the
mean once the eye is open:

    e = g sgn(Re y) - Re(y) + j (g' sgn(Im y) - Im(y)),    w <- (1 - mu leak) w + mu e conj(u)

g = E[Re(a)^2] / E|Re(a)| of the constellation, and g' of its imaginary parts. With binary symbols it is
decision-directed LMS. Stable as `LMS`, since its error grows no faster than y: 0 < mu < 2 / (3 tr R), or 2
normalised. Cost: 2 M multiply-adds a symbol. The first blind rule, and the one that cannot run away; of many levels
it leaves much noise: then switch to decisions.

Source: Y. Sato, "A method of self-recovering equalization for multilevel amplitude-modulation systems", IEEE Trans.
Communications, 1975; A. Benveniste and M. Goursat, "Blind equalizers", IEEE Trans. Communications, 1984, in two
dimensions.
"""

from typing import Any, ClassVar, Self

import torch

from adaptfilt.constellation import Constellation
from adaptfilt.engines.algorithm import Variants
from adaptfilt.engines.words import complex, imag, real, sign, sign_parts
from adaptfilt.filters.equalisers.blind import BlindFilter, OfPoints, check_constellation, stepping


def sato_error(y: Any, level_real: Any, level_imag: Any) -> Any:
    """Return the error of Sato's algorithm."""
    signs = sign_parts(y)
    return complex(level_real * real(signs), level_imag * imag(signs)) - y


def sato_real_error(y: Any, level_real: Any) -> Any:
    """Return the error of Sato's algorithm in a real filter."""
    return level_real * sign(y) - y


class Sato(OfPoints, BlindFilter):
    """Blind equaliser by Sato's algorithm: ``y, e, w = f(x)``.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients an input and output, M.
    mu : float >= 0 or Tensor
        Step size; normalised without unit. A tensor broadcasts over `batch`, as all parameters do.
    constellation : Constellation
        The points, which give the two levels; real ones for a real filter.
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
    >>> y, e, w = af.Sato(taps=9, mu=0.001, constellation=qam, dtype=torch.complex64)(x)
    >>> bool(af.metrics.ser(y[-1000:], a[-1004:-4], qam) == 0)
    True
    """

    algorithm: ClassVar[Any] = Variants(**stepping("complex", sato_error), **stepping("real", sato_real_error))
    ranges = {"mu": {}, "eps": {}, "leak": {}}
    _shown = ("mu", "sps", "leak")
    level_real: float
    level_imag: float

    def __init__(self, taps: int, mu: Any, constellation: Any, **common: Any) -> None:
        dtype = common.get("dtype", torch.float32)
        self.constellation = check_constellation(constellation, dtype)
        self.variant = "complex" if dtype.is_complex else "real"
        self.level_real, self.level_imag = self.constellation.sato_parts
        super().__init__(taps, mu, {}, **common)
        self._fixed = (*self._fixed, "constellation")

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that opens the eye of unit-power symbols."""
        return cls(7, 0.01, Constellation.psk(4 if common.get("dtype", torch.float32).is_complex else 2), **common)
