"""Sign-sign constant-modulus algorithm: CMA for hardware without multipliers.

Of the error of `CMA` the step takes only signs:

    e = (R - |y|^2) y,    w <- (1 - mu leak) w + mu (sgn(Re e) + j sgn(Im e)) conj(u)

Every step is mu times the line with other signs, whatever the size of e, and noise in proportion to mu is left. A burst
in x moves the weights in proportion to its size, and steps of that kind walk back slowly: from 10^6 times the level for
some million symbols. Cost: M multiply-adds a symbol, and M sums.

Source: D. R. Brown, P. B. Schniter and C. R. Johnson, "Computationally efficient blind equalization", Allerton Conf.,
1997.
"""

from typing import Any, ClassVar, Self

from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import scale, sign_parts
from adaptfilt.filters.equalisers.cma import cma_error
from adaptfilt.filters.equalisers.constrained import ConstrainedStart


def sign_gain(e: Any, mu: Any) -> Any:
    """Return the gain of sign CMA."""
    return scale(mu, sign_parts(e))


class SignCMA(ConstrainedStart):
    """Blind equaliser by the signs of CMA's error: ``y, e, w = f(x)``.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients an input and output, M.
    mu : float >= 0 or Tensor
        Step size. A tensor broadcasts over `batch`, as all parameters do.
    dispersion : float > 0 or Tensor
        R.
    sps, inputs, outputs, start, leak
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
    >>> a = af.signals.symbols(af.Constellation.psk(4), 20000, rng=0)
    >>> x = np.convolve(a, [1, 0.3j, -0.1])[:20000]
    >>> y, e, w = af.SignCMA(taps=9, mu=2e-4, dtype=torch.complex64)(x)
    >>> bool(np.abs(np.abs(y[-1000:]) - 1).max() < 0.05)
    True
    """

    algorithm: ClassVar[Any] = Algorithm(gain=sign_gain, error=cma_error)
    ranges = {"mu": {}, "dispersion": {"above": True}, "leak": {}}
    _shown = ("mu", "dispersion", "sps", "leak")

    def __init__(
        self, taps: int, mu: Any, dispersion: Any = 1.0, *, start: str = "spike", leak: Any = 0.0, **common: Any
    ) -> None:
        super().__init__(taps, {"mu": mu, "dispersion": dispersion, "leak": leak}, start, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that opens the eye of unit-power symbols."""
        return cls(5, 0.005, **common)
