"""Improved proportionate NLMS (IPNLMS): each weight steps in proportion to a constant and to its own size.

    k = (1 - alpha) / (2 M) + (1 + alpha) |w| / (2 |w|_1),    entry by entry
    e = d - w^T u,    w <- w + mu e (k . u*) / (sum_l k_l |u_l|^2 + eps (1 - alpha) / (2 M))

alpha = -1 is NLMS; near 1 the step is all proportionate. Stable for 0 < mu < 2 on every input, as NLMS, whose settled
error it has too. Cost: 6 M multiply-adds a sample. For responses of which few weights carry most of the energy, such
as the echo paths of a telephone network; alpha = 0 or -0.5 does no harm on others.

Source: J. Benesty and S. L. Gay, "An improved PNLMS algorithm", Proc. ICASSP, 2002.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpyc, conj, dot, magnitude, mul, norm_1, real

TINY = 1e-30  # what stands for weights that are all 0


def ipnlms_update(  # noqa: PLR0913 (its scratch)
    w: Any, u: Any, e: Any, energy: Any, mu: Any, alpha: Any, eps: Any, taps: Any, a: Any = None, s: Any = None,
    v: Any = None,
) -> Any:  # fmt: skip
    """Return the weights after one sample of IPNLMS."""
    constant = (1 - alpha) / (2 * taps)
    share = (1 + alpha) / (2 * norm_1(w) + TINY)
    s = mul(magnitude(w, out=a), u, out=s)
    g = mu / (constant * (eps + energy) + share * real(dot(s, conj(u, out=v)))) * e
    return axpyc(constant * g, u, axpyc(share * g, s, w))


class IPNLMS(LinearFilter):
    """Improved proportionate NLMS filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, without unit; a warning outside (0, 2). A tensor broadcasts over `batch`.
    alpha : -1 <= float <= 1 or Tensor
        From steps that are alike, -1, to steps that are proportionate alone, 1.
    eps : float >= 0 or Tensor
        Regularisation, in (units of x)^2, that of NLMS; 0 divides by zero in silence.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(500)
    >>> f = af.IPNLMS(taps=5, mu=0.5)
    >>> y, e, w = f(x, lfilter([0, 0, 0.5, 0, 0], 1, x))
    >>> w.round(3) + 0
    array([0. , 0. , 0.5, 0. , 0. ], dtype=float32)
    """

    algorithm = Algorithm(update=ipnlms_update, scratch={"a": ("real", "taps")})
    ranges = {"mu": {"stable": 2.0}, "alpha": {"low": -1.0, "high": 1.0}, "eps": {}}
    _shown = ("mu", "alpha", "eps")

    def __init__(self, taps: int, mu: Any = 0.5, *, alpha: Any = 0.0, eps: Any = 1e-6, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "alpha": alpha, "eps": eps}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.5, **common)
