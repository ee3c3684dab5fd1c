"""Shalvi-Weinstein algorithm: blind equalisation at the speed of RLS.

The recursion of `RLS` with the error of `CMA`, scaled so that its mean is a step of the super-exponential method:

    e = y (R - |y|^2) / (Z - R),    w <- w + k e / (lam + u^T k),    k = P conj(u)

R is the constellation's dispersion E|a|^4 / E|a|^2 at unit power, and Z that of a Gaussian signal, 2, or 3 where
signals are real. P is the inverse correlation, as in `RLS`, from its mean at unit input power on, P0 = (1 - lam) I.
It converges within a few times 1 / (1 - lam) symbols whatever the input's colour, where (1 - lam) M |y|^2 / (Z - R)
stays well below 1. Beyond, as after silence or a tone, e is shortened so that no step moves its own output by more
than |y|, and the trace of P is bound to 30 times its start: one that nothing excites cannot grow, and no weights are
lost. Cost: 4 M^2 multiply-adds a symbol. Where CMA is too slow, at unit input power and R well below Z.

Source: O. Shalvi and E. Weinstein, "Super-exponential methods for blind deconvolution", IEEE Trans. Information
Theory, 1993; M. T. M. Silva and M. D. Miranda, "Tracking issues of some blind equalization algorithms", IEEE Signal
Processing Letters, 2004, as RLS with another error.
"""

from typing import Any, ClassVar, Self

import torch

from adaptfilt.checks import check_number
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import abs2, energy, magnitude, maximum, minimum, scale, vecmat
from adaptfilt.filters.equalisers.blind import PhaseBlind
from adaptfilt.filters.least_squares.rls import RLS, renewed

WIND_UP = 30.0  # how far the trace of P may grow: RLS bears more, whose error is linear in the weights
TINY = 1e-30  # an error that stands for 0


def shalvi_weinstein_error(y: Any, dispersion: Any, gaussian: Any) -> Any:
    """Return the error of the Shalvi-Weinstein algorithm."""
    return scale((dispersion - abs2(y)) / (gaussian - dispersion), y)


def shalvi_weinstein_update(
    w: Any, S: Any, u: Any, e: Any, y: Any, lam: Any, bound: Any, g: Any = None, k: Any = None
) -> Any:
    """Return the weights and the factor of P after one sample of RLS, whose step moves y by |y| at most."""
    g = vecmat(u, S, out=g)
    q = energy(g)
    most = (lam + q) * magnitude(y) / maximum(TINY, q * magnitude(e))
    return renewed(w, S, u, scale(minimum(1.0, most), e), lam, bound, g, k)


class ShalviWeinstein(PhaseBlind, RLS):
    """Blind equaliser by the Shalvi-Weinstein algorithm: ``y, e, w = f(x)``.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients an input and output, M.
    lam : 0 < float < 1 or Tensor
        Forgetting factor: a memory of about 1 / (1 - lam) symbols. A tensor broadcasts over `batch`.
    dispersion : float > 0
        R; that of `Constellation.dispersion` at unit power, below 2, or 3 in a real filter.
    sps : int >= 1
        Samples a symbol.
    inputs, outputs : int >= 1, optional
        Axes of x, and of y, e and w; every output starts as a spike in its own input.
    w0, batch, dtype, device, nonfinite, engine
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    P : Tensor [shape=(*batch, M, M)]
        Inverse of the weighted correlation matrix.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, torch, adaptfilt as af
    >>> a = af.signals.symbols(af.Constellation.psk(4), 3000, rng=0)
    >>> x = np.convolve(a, [0.8, 0.5j, -0.3])[:3000]
    >>> y, e, w = af.ShalviWeinstein(taps=15, lam=0.995, dtype=torch.complex64)(x)
    >>> bool(np.abs(np.abs(y[-500:]) - 1).max() < 0.1)
    True
    """

    algorithm: ClassVar[Any] = Algorithm(
        update=shalvi_weinstein_update, error=shalvi_weinstein_error, state={"S": ("taps", "taps")}
    )
    ranges = {"lam": {"above": True, "high": 1.0 - 1e-9}}
    _shown = ("lam", "dispersion")
    dispersion: float
    gaussian: float
    _wind_up: Any = WIND_UP

    def __init__(self, taps: int, lam: Any = 0.998, dispersion: Any = 1.0, **common: Any) -> None:
        self.gaussian = 2.0 if common.get("dtype", torch.float32).is_complex else 3.0
        self.dispersion = float(check_number("dispersion", dispersion, (), above=True))
        if self.dispersion >= self.gaussian:
            raise ValueError(f"dispersion must be below {self.gaussian:g}, that of Gaussian symbols, got {dispersion}")
        super(RLS, self).__init__(taps, {"lam": lam}, **common)
        self._fixed = (*self._fixed, "dispersion")

    @property
    def delta(self) -> Any:
        """Regularisation of the start, 1 / (1 - lam)."""
        return 1 / (1 - self.lam)

    def _first_weights(self, w0: Any) -> Any:
        return self._spike(self.taps // 2) if w0 is None else w0

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that opens the eye of unit-power symbols."""
        return cls(4, 0.99, **common)
