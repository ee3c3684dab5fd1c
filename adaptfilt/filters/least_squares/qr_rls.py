"""Recursive least squares by Givens rotations (QR-RLS): the form that loses the fewest digits.

The weighted regressors are kept as the triangle R of their QR decomposition, R^H R = sum_i lam^(n-i) u_i^* u_i^T +
lam^(n+1) delta I; P = (R^H R)^(-1) is never formed. At every sample the row of what is new is rotated in, and the
triangle says by how much the weights move:

    e = d - w^T u,    Q [sqrt(lam) R | 0; u^T | e] = [R | z; 0 | .],    w <- w + R^(-1) z

R holds square roots, so that nearly twice the digits are left of an ill-conditioned input than in a form with P. Rows
whose diagonal is below sqrt(delta) / 100 do not forget, nor does anything in silence: what data do not excite stays
bounded. That leaves every solution as it is.

Converges in about 2 M samples whatever the input's colour, for 0 < lam <= 1. Cost: 2.5 M^2 multiply-adds, M roots and
3 M divisions a sample. For inputs so coloured, or parameters so many orders apart, that `RLS` has too few digits.

Source: S. Haykin, *Adaptive Filter Theory*, 4th ed., 2002, ch. 11 (QR-decomposition-based RLS); W. M. Gentleman and H.
T. Kung, "Matrix triangularization by systolic arrays", Proc. SPIE, 1981.
"""

from typing import Any, Self

import torch
from torch import Tensor

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpy, back_substitute, rotate_in, sqrt, where

WIND_UP = 1e4  # how far the squared diagonal of R may fall below its start


def qr_rls_update(w: Any, triangle: Any, u: Any, e: Any, energy: Any, lam: Any, floor: Any, s: Any = None) -> Any:
    """Return the weights and the triangle [R | z] after one sample of QR-RLS."""
    b = where(energy > 0, sqrt(lam), 0 * lam + 1)
    triangle = rotate_in(b, triangle, u, e, floor, out=s)
    return axpy(1.0, back_substitute(triangle, out=s), w), triangle


class QRRLS(LinearFilter):
    """Recursive least squares filter by Givens rotations.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    lam : 0 < float <= 1 or Tensor
        Forgetting factor: a memory of about 1 / (1 - lam) samples. A tensor broadcasts over `batch`.
    delta : float > 0 or Tensor
        Regularisation of the start, in (units of x)^2: R starts as sqrt(delta) I.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    triangle : Tensor [shape=(*batch, M, M + 1)]
        R, upper triangular, and in the last column z of the last sample.
    P : Tensor [shape=(*batch, M, M)]
        Inverse of the weighted correlation matrix.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(100)
    >>> f = af.QRRLS(taps=3, lam=0.99, delta=1e-6)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(4)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(update=qr_rls_update, state={"triangle": ("taps", "columns")})
    ranges = {"lam": {"above": True, "high": 1.0}, "delta": {"above": True}}
    _shown = ("lam", "delta")
    triangle: Tensor
    lam: Any
    delta: Any

    def __init__(self, taps: int, lam: Any = 0.999, *, delta: Any = 0.01, **common: Any) -> None:
        super().__init__(taps, {"lam": lam, "delta": delta}, **common)

    @property
    def columns(self) -> int:
        """Number of columns of the triangle."""
        return self._weights + 1

    @property
    def floor(self) -> Any:
        """Square of a diagonal up to which its row does not forget."""
        return self.delta / WIND_UP

    @property
    def P(self) -> Tensor:
        """Inverse of the weighted correlation matrix."""
        eye = torch.eye(self._weights, dtype=self.dtype, device=self.device)
        S = torch.linalg.solve_triangular(self.triangle[..., :-1], eye, upper=True)
        with torch.autocast(self.device.type, enabled=False):
            return S @ S.mH

    def start(self) -> dict[str, Tensor]:
        """Return the triangle sqrt(delta) [I | 0]."""
        root = torch.as_tensor(self.delta, dtype=torch.float64, device=self.device).detach().sqrt()
        eye = torch.eye(self._weights, self.columns, dtype=torch.float64, device=self.device)
        return {"triangle": root.expand(self._filters)[..., None, None] * eye}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.99, **common)
