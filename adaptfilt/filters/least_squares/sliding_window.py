"""RLS over a sliding window: least squares over the last L samples, all alike, and nothing before them.

Minimises at every sample sum_(n-L < i <= n) |d_i - w^T u_i|^2 + delta |w|^2. What is new is added, sign 1, and what has
left the window taken away, sign -1, each by the same step, with P = S S^H as in `RLS`:

    g = u^T S,    q = |g|^2,    k = S g^H,    a^2 = 1 / (1 + sign q)
    w <- w + sign a^2 k (d - w^T u),    S <- S - sign a^2 / (1 + a) k g

Nothing is forgotten in between, so rounding would add up: every tenth window the solution is computed anew from the
window, at L times the cost of a sample. Samples with a silent regressor do not enter the window.

Converges in L samples, for L >= M; delta does not fade. Cost: 6 M^2 multiply-adds a sample, and memory for L M numbers.
For plants that change at once: after L samples nothing is left of the old one, whereas a forgetting factor lets go of
it exponentially. Taking away loses digits: double precision by default.

Source: B.-Y. Choi and Z. Bien, "Sliding-windowed weighted recursive least-squares method for parameter estimation",
Electronics Letters, 1989; the square root as in `RLS`.
"""

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.recursive import RecursiveFilter, copied, push_front
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import dot

WINDOWS = 10  # after which the solution is computed anew


def _renewed(S: Any, c: Any, u: Any, sign: int, g: Any) -> None:
    """Add a sample, sign 1, or take it away; u is its regressor, with what was desired at its end."""
    M = len(c)
    for j in range(M):
        g[j] = 0
    for i in range(M):
        row, u_i = S[i], u[i]
        for j in range(M):
            g[j] += u_i * row[j]
    e, q = u[M] - dot(c, u[:M]), c[0].real * 0
    for j in range(M):
        q += (g[j] * g[j].conjugate()).real
        g[j] = g[j].conjugate()
    a2 = 1 / max(1 + sign * q, 1e-8)  # nothing that is left after rounding says less
    step, b = sign * a2 * e, sign * a2 / (1 + np.sqrt(a2))
    for i in range(M):
        row = S[i]
        k_i = dot(row, g)
        c[i] += step * k_i
        part = b * k_i
        for j in range(M):
            row[j] -= part * g[j].conjugate()


def sliding_window_recursion(
    S: Any, c: Any, newest: Any, rows: Any, at: Any, x: Any, d: Any, delta: Any, g: Any = None
) -> Any:
    """Return output and error of one sample; where d is NaN the signal moves, and the window stays."""
    M, L = len(c), len(rows)
    push_front(newest[:M], x)
    y, silent = dot(c, newest[:M]), True
    for i in range(M):
        silent = silent and newest[i] == 0
    if d == d and not silent:
        n = int(at[0])
        row = rows[n % L]
        newest[M] = d
        _renewed(S, c, newest, 1, g)
        _renewed(S, c, row, -1, g)
        for i in range(M + 1):
            row[i] = newest[i]
        at[0] = (n + 1) % (WINDOWS * L)
        if at[0] == 0:
            _start_again(S, c, rows, delta, g)
    return y, d - y


def _start_again(S: Any, c: Any, rows: Any, delta: Any, g: Any) -> None:
    """Compute the solution from the window."""
    M = len(c)
    for i in range(M):
        c[i] = 0
        for j in range(M):
            S[i, j] = 1 / np.sqrt(delta) if i == j else 0
    for n in range(len(rows)):
        _renewed(S, c, rows[n], 1, g)


class SlidingWindowRLS(RecursiveFilter):
    """Least squares filter over a sliding window.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    window : int >= 1
        Number of samples in the window, L; at least M for a solution that delta does not shape.
    delta : float > 0 or Tensor
        Regularisation, in (units of x)^2, for good. A tensor broadcasts over `batch`.
    dtype : torch.dtype
        float64 by default.
    batch, device, nonfinite, engine
        As for `adaptfilt.RecursiveFilter`.

    Attributes
    ----------
    w : Tensor [shape=(*batch, M)]
        Impulse response; read-only.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or is none of a recursion's.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(100)
    >>> f = af.SlidingWindowRLS(taps=3, window=20, delta=1e-6)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3])
    """

    algorithm = Algorithm(
        recursion=sliding_window_recursion,
        weights=copied,
        state={
            "S": ("taps", "taps"), "c": ("taps",), "newest": ("columns",), "rows": ("window", "columns"), "at": "real",
        },
    )  # fmt: skip
    ranges = {"delta": {"above": True}}
    _shown = ("window", "delta")
    window: int
    delta: Any

    def __init__(self, taps: int, window: int, *, delta: Any = 0.01, dtype: Any = torch.float64, **common: Any) -> None:
        params = {"window": positive_int("window", window), "delta": delta}
        super().__init__(taps, params, dtype=dtype, **common)

    @property
    def columns(self) -> int:
        """Numbers of a sample: its regressor, and what was desired."""
        return self.taps + 1

    def start(self) -> dict[str, Tensor]:
        """Return the factor of I / delta."""
        scale = torch.as_tensor(self.delta, dtype=torch.float64).rsqrt()
        return {"S": scale.expand(self.batch)[..., None, None] * torch.eye(self.taps, dtype=torch.float64)}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 50, **common)
