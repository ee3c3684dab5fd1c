"""Affine projection (AP).

NLMS over the last K regressors at once, the rows of U (K x M), newest first, with their desired samples D:

    E = D - U w,    w <- w + mu U^H (U U^H + eps I)^(-1) E

K = 1 is NLMS; each further order takes the colour of one more pole off the input. Stable for 0 < mu < 2. Cost: about
(K^2 / 2 + 2 K) M + K^3 / 6 multiply-adds a sample. The step between NLMS and RLS for speech and other coloured input.

Source: K. Ozeki and T. Umeda, "An adaptive filtering algorithm using an orthogonal projection to an affine subspace
and its properties", Electronics and Communications in Japan, 1984; S. Haykin, *Adaptive Filter Theory*, 4th ed., 2002,
ch. 6.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import add_rows, axpy, matvec, outer, push, solve


def affine_projection_update(
    w: Any, U: Any, D: Any, u: Any, d: Any, mu: Any, eps: Any, G: Any = None, s: Any = None
) -> Any:
    """Return the weights, regressors and desired samples after one sample of affine projection."""
    U, D = push(U, u), push(D, d)
    s = axpy(-1.0, D, matvec(U, w, out=s))  # -E
    s = solve(outer(U, out=G), s, eps)
    return add_rows(-mu, s, U, w), U, D


class AffineProjection(LinearFilter):
    """Affine projection filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, without unit; a warning outside (0, 2). A tensor broadcasts over `batch`.
    order : int >= 1
        Number of regressors projected on, K.
    eps : float > 0 or Tensor
        Regularisation, in (units of x)^2, added to the diagonal of the K x K correlations; where it is less, 16
        roundings of their trace in its place, so that a constant, a tone or K > M does no harm at any level.
    w0, batch, dtype, device, nonfinite, engine, features
        As for `adaptfilt.LinearFilter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = lfilter([1.0], [1.0, -0.9], np.random.default_rng(0).standard_normal(500))
    >>> f = af.AffineProjection(taps=3, mu=0.5, order=2)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(
        update=affine_projection_update,
        state={"U": ("order", "taps"), "D": ("order",)},
        scratch={"G": ("order", "order"), "s": ("order",)},
    )
    ranges = {"mu": {"stable": 2.0}, "eps": {"above": True}}
    _shown = ("mu", "order", "eps")
    order: int

    def __init__(self, taps: int, mu: Any = 0.5, order: int = 4, eps: Any = 1e-3, **common: Any) -> None:
        order = positive_int("order", order)
        super().__init__(taps, {"mu": mu, "order": order, "eps": eps}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.5, order=2, **common)
