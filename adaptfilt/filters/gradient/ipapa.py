"""Improved proportionate affine projection (IPAPA): IPNLMS over the last K regressors at once.

With these as the rows of U (K x M), newest first, their desired samples D, and the gains k of IPNLMS on a diagonal K,

    k = (1 - alpha) / (2 M) + (1 + alpha) |w| / (2 |w|_1),    entry by entry
    E = D - U w,    w <- w + mu K U^H (U K U^H + eps (1 - alpha) / (2 M) I)^(-1) E

Order 1 is IPNLMS, alpha = -1 is affine projection. Stable for 0 < mu < 2. Cost: about (K^2 / 2 + 3 K) M + K^3 / 6
multiply-adds a sample, and K^2 M moves. For sparse responses and coloured input, such as speech through the echo path
of a network.

Source: O. Hoshuyama, R. A. Goubran and A. Sugiyama, "A generalized proportionate variable step-size algorithm for fast
changing acoustic environments", Proc. ICASSP, 2004.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import (
    add,
    add_rows,
    argmax,
    at,
    axpy,
    magnitude,
    matvec,
    mul,
    norm_1,
    outer,
    push,
    solve,
    sqrt,
)

TINY = 1e-30  # what stands for weights that are all 0, and for no regularisation


def ipapa_update(  # noqa: PLR0913 (its scratch)
    w: Any, U: Any, D: Any, V: Any, u: Any, d: Any, mu: Any, alpha: Any, eps: Any, taps: Any,
    G: Any = None, s: Any = None, a: Any = None, r: Any = None,
) -> Any:  # fmt: skip
    """Return the weights, regressors, desired samples and scaled regressors after one sample of IPAPA."""
    U, D = push(U, u), push(D, d)
    constant = (1 - alpha) / (2 * taps)
    share = (1 + alpha) / (2 * norm_1(w) + TINY)
    r = sqrt(add(constant, mul(share, magnitude(w, out=r), out=r), out=r), out=r)
    order, first = D.shape[-1], 0 * argmax(r)
    for k in range(order):
        V = push(V, mul(r, at(U, first + (order - 1 - k)), out=a))
    s = solve(outer(V, out=G), axpy(-1.0, D, matvec(U, w, out=s)), constant * eps + TINY)
    a = add_rows(-mu, s, V, mul(0.0, w, out=a))
    return axpy(1.0, mul(r, a, out=a), w), U, D, V


class IPAPA(LinearFilter):
    """Improved proportionate affine projection filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, without unit; a warning outside (0, 2). A tensor broadcasts over `batch`.
    order : int >= 1
        Number of regressors projected on, K.
    alpha : -1 <= float <= 1 or Tensor
        From steps that are alike, -1, to steps that are proportionate alone, 1, where weights of 0 stay 0.
    eps : float > 0 or Tensor
        Regularisation, in (units of x)^2, that of affine projection.
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
    >>> f = af.IPAPA(taps=5, mu=0.5, order=2)
    >>> y, e, w = f(x, lfilter([0, 0, 0.5, 0, 0], 1, x))
    >>> w.round(3) + 0
    array([0. , 0. , 0.5, 0. , 0. ], dtype=float32)
    """

    algorithm = Algorithm(
        update=ipapa_update,
        state={"U": ("order", "taps"), "D": ("order",), "V": ("order", "taps")},
        scratch={"G": ("order", "order"), "s": ("order",), "a": ("taps",), "r": ("real", "taps")},
    )
    ranges = {
        "mu": {"stable": 2.0},
        "alpha": {"low": -1.0, "high": 1.0},
        "eps": {"above": True},
    }
    _shown = ("mu", "order", "alpha", "eps")
    order: int

    def __init__(
        self, taps: int, mu: Any = 0.5, order: int = 4, *, alpha: Any = 0.0, eps: Any = 1e-3, **common: Any
    ) -> None:
        order = positive_int("order", order)
        super().__init__(taps, {"mu": mu, "order": order, "alpha": alpha, "eps": eps}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.5, order=2, **common)
