"""Generalised maximum correntropy criterion (GMCC): large errors count for nothing.

A stochastic gradient step on J = 1 - exp(-lambda |e|^alpha), which no error, however large, takes beyond 1:

    e = d - w^T u,    w <- (1 - mu leak) w + mu alpha lambda exp(-lambda |e|^alpha) |e|^(alpha - 2) e conj(u)

alpha = 2 with lambda = 1 / (2 s^2) is the maximum correntropy criterion (MCC) of width s; no step is then beyond that
of LMS with 2 lambda mu in the place of mu: stable in the mean square for 0 < 2 lambda mu < 2 / (3 tr R). Where errors
are far beyond lambda^(-1 / alpha), as at a start far away, it stands still: take lambda small, or start with another
filter. Cost: 2 M multiply-adds, a logarithm and two exponentials a sample. For outliers that should leave no trace.

Source: B. Chen, L. Xing, H. Zhao, N. Zheng and J. C. Principe, "Generalized correntropy for robust adaptive filtering",
IEEE Trans. Signal Processing, 2016; MCC: A. Singh and J. C. Principe, "Using correntropy as a cost function in linear
adaptive filters", IJCNN, 2009.
"""

from typing import Any, Self

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import add, exp, log, magnitude, maximum, mul, sign

TINY = 1e-30  # a magnitude that stands for 0


def gmcc_gain(e: Any, energy: Any, mu: Any, shape: Any, scale: Any) -> Any:
    """Return the gain of GMCC."""
    size = log(maximum(TINY, magnitude(e)))
    slope = exp(add(shape, -1.0) * size - scale * exp(shape * size))
    return mul(mu * shape * scale * slope, sign(e))


class GMCC(LinearFilter):
    """Filter by the generalised maximum correntropy criterion.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in (units of d / units of x)^2. A tensor broadcasts over `batch`, as all parameters do.
    shape : float > 0 or Tensor
        Exponent, alpha; 2 for MCC. Less than 1 lets no error be 0: the steps grow as it falls.
    scale : float > 0 or Tensor
        lambda, in 1 / (units of d)^shape.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a sample.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> rng = np.random.default_rng(0)
    >>> x, v = rng.standard_normal((2, 10000))
    >>> d = np.convolve(x, [0.5, -0.5])[:10000] + 100 * v * (rng.random(10000) < 0.01)  # outliers
    >>> af.GMCC(taps=2, mu=0.05, shape=2.0, scale=0.5)(x, d).w.round(1)
    array([ 0.5, -0.5], dtype=float32)
    """

    algorithm = Algorithm(gain=gmcc_gain)
    ranges = {"mu": {}, "shape": {"above": True}, "scale": {"above": True}, "leak": {}}
    _shown = ("mu", "shape", "scale", "leak")

    def __init__(self, taps: int, mu: Any, *, shape: Any, scale: Any, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "shape": shape, "scale": scale, "leak": leak}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.05, shape=2.0, scale=0.5, **common)
