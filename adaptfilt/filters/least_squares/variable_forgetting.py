"""RLS with a variable forgetting factor (VFF-RLS): as long a memory as leaves of the error nothing but the noise.

RLS as in `RLS`, with a forgetting factor lam_n by which the a posteriori error has the power of the noise. With q = u^T
P u* and running means of powers, s <- a s + (1 - a) |.|^2, of e and q over 6 M samples, and over 18 M of the noise v,

    lam_n = min(lam, q_rms v_rms / |e_rms - v_rms|)    where e_rms > 1.5 v_rms,    else lam

The slow mean takes e for the noise, which it is except after a change: then the fast one rises first, the memory
shortens, and P grows. lam_n is kept above 0.1, and the bound of `RLS` on P holds here, too.

Converges as RLS. Cost: 4 M^2 multiply-adds a sample. For plants that stand still for long and then change at once,
where one fixed factor is either noisy or slow.

Source: C. Paleologu, J. Benesty and S. Ciochina, "A robust variable forgetting factor recursive least-squares algorithm
for system identification", IEEE Signal Processing Letters, 2008; 0.1 is ours.
"""

from typing import Any, Self

from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import abs2, energy, magnitude, maximum, minimum, sqrt, vecmat, where
from adaptfilt.filters.least_squares.rls import RLS, renewed

TINY = 1e-30  # what stands for a difference of 0
LEAST = 0.1  # forgetting factor after which a sample leaves nothing worth keeping


def _mean(power: Any, new: Any, samples: Any) -> Any:
    """Return a running mean renewed."""
    return power + (new - power) / samples


def variable_forgetting_update(  # noqa: PLR0913 (its states)
    w: Any, S: Any, power_e: Any, power_q: Any, power_v: Any, forgetting: Any, u: Any, e: Any, lam: Any, bound: Any,
    taps: Any, g: Any = None, k: Any = None,
) -> Any:  # fmt: skip
    """Return the weights, the factor of P, the powers and the forgetting factor after one sample."""
    g = vecmat(u, S, out=g)
    q = energy(g)
    power_e, power_q = _mean(power_e, abs2(e), 6 * taps), _mean(power_q, q * q, 6 * taps)
    power_v = _mean(power_v, abs2(e), 18 * taps)
    e_rms, v_rms = sqrt(power_e), sqrt(power_v)
    shorter = minimum(lam, sqrt(power_q) * v_rms / (TINY + magnitude(e_rms - v_rms)))
    forgetting = where(e_rms > 1.5 * v_rms, maximum(LEAST, shorter), lam)
    w, S = renewed(w, S, u, e, forgetting, bound, g, k)
    return w, S, power_e, power_q, power_v, forgetting


class VariableForgettingRLS(RLS):
    """Recursive least squares filter whose memory follows the ratio of noise to error.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    lam : 0 < float <= 1 or Tensor
        Largest forgetting factor, that of a plant at rest. A tensor broadcasts over `batch`.
    delta : float > 0 or Tensor
        Regularisation of the start, in (units of x)^2, as for `RLS`.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    forgetting : Tensor [shape=batch]
        The forgetting factor of the last sample.
    P : Tensor [shape=(*batch, M, M)]
        Inverse of the weighted correlation matrix, Hermitian and positive semidefinite.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(100)
    >>> f = af.VariableForgettingRLS(taps=3)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm = Algorithm(
        update=variable_forgetting_update,
        state={"S": ("taps", "taps"), **dict.fromkeys(("power_e", "power_q", "power_v", "forgetting"), "real")},
    )

    def __init__(self, taps: int, lam: Any = 0.9999, *, delta: Any = 0.01, **common: Any) -> None:
        super().__init__(taps, lam, delta=delta, **common)

    def start(self) -> dict[str, Any]:
        """Return the factor of P0 = I / delta, and the largest forgetting factor."""
        return {**super().start(), "forgetting": self.lam}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.999, **common)
