"""Set-membership affine projection (SM-AP): as little of a step as brings the error down to a bound, and else none.

With the last K regressors as the rows of U, newest first,

    e = d - w^T u,    w <- w + U^H (U U^H + eps I)^(-1) [1, 0, ..., 0]^T (1 - bound / |e|) e    where |e| > bound

so that the newest error becomes `bound` in magnitude, and those of the K - 1 samples before stay what they are. Order
1 is SM-NLMS. There is no step size: of noise below the bound no error grows, and in noise of power v a bound of
sqrt(5 v) leaves most samples without an update. Cost: (K^2 / 2 + 2 K) M + K^3 / 6 multiply-adds a sample. For
coloured input in noise whose size is known.

Source: S. Werner and P. S. R. Diniz, "Set-membership affine projection algorithm", IEEE Signal Processing Letters,
2001, the simplified choice of the constraints; S. Gollamudi, S. Nagaraj, S. Kapoor and Y.-F. Huang, "Set-membership
filtering and a set-membership normalized LMS algorithm with an adaptive step size", same letters, 1998.
"""

from typing import Any, Self

from torch import Tensor

from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import add_rows, magnitude, maximum, mul, outer, push, solve
from adaptfilt.filters.set_membership.selective import SelectiveFilter, counted

TINY = 1e-30  # an error that stands for 0


def set_membership_ap_update(  # noqa: PLR0913 (its scratch)
    w: Any, U: Any, updates: Any, samples: Any, u: Any, e: Any, bound: Any, eps: Any, newest: Any,
    G: Any = None, s: Any = None,
) -> Any:  # fmt: skip
    """Return the weights, the regressors, and the counts of updates and samples after one sample of SM-AP."""
    U, size = push(U, u), magnitude(e)
    step = maximum(0.0, 1 - bound / maximum(TINY, size))
    s = solve(outer(U, out=G), mul(step * e, newest, out=s), eps)
    return add_rows(1.0, s, U, w), U, *counted(size, bound, updates, samples)


class SetMembershipAP(SelectiveFilter):
    """Affine projection filter that adapts where its error is larger than a bound.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    bound : float >= 0 or Tensor
        Magnitude of the error up to which nothing adapts, in units of d. A tensor broadcasts over `batch`.
    order : int >= 1
        Number of regressors, K.
    eps : float > 0 or Tensor
        Regularisation, in (units of x)^2, as for `AffineProjection`.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    share : Tensor [shape=batch]
        Share of the samples at which the filter adapted, |e| being beyond 1.001 bound; `updates` and `samples` are what
        it is made of.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = lfilter([1.0], [1.0, -0.9], np.random.default_rng(0).standard_normal(500))
    >>> f = af.SetMembershipAP(taps=3, bound=0.001, order=2)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(2)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(
        update=set_membership_ap_update,
        state={"U": ("order", "taps"), "updates": "real", "samples": "real"},
        scratch={"G": ("order", "order"), "s": ("order",)},
        vectors={"newest": "signal"},
    )
    ranges = {"bound": {}, "eps": {"above": True}}
    _shown = ("bound", "order", "eps")
    order: int
    newest: Tensor

    def __init__(self, taps: int, bound: Any, order: int = 2, *, eps: Any = 1e-3, **common: Any) -> None:
        order = positive_int("order", order)
        newest = [1.0] + [0.0] * (order - 1)
        super().__init__(taps, {"bound": bound, "order": order, "eps": eps, "newest": newest}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.002, **common)
