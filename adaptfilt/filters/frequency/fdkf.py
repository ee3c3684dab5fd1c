"""Frequency-domain Kalman filter (FDKF): every bin and partition is a weight that wanders, seen in noise.

The echo path of a partition is W_p(k + 1) = A W_p(k) + dW, and what is heard besides, near end and noise, has the power
R, taken from the errors themselves. Every hop, for every bin,

    R <- beta R + (1 - beta) |E|^2,    D = sum_p P_p |X_p|^2 + 2 (R + eps),    m_p = P_p / D
    W_p <- W_p + m_p conj(X_p) E,      L_p = (1 - H/B m_p |X_p|^2 / 2) P_p
    P_p <- L_p + (1 - A^2) max(min(|W_p|^2, 10 p0) - L_p, 0)

(overlap-save keeps half of a frame, and half of the echo in a bin is that bin's own: of the errors, sum_p P_p |X_p|^2 /
2 is echo, and P_p conj(X_p) / 2 is what they have in common with what is not known of W_p). Of a frame's B errors a hop
of H brings H new ones; who counts the others as news again, H = B, is sure too early, and on speech some 3 dB behind
while it learns. P_p starts at p0 10^(-decay p): responses decay. The step is large while the filter knows little and
the errors are small, and falls by itself while somebody else speaks. Since D is at least P_p |X_p|^2, m_p |X_p|^2 is at
most 1 and P_p stays positive. While a path wanders, A^2 of what is not known of it stays and (1 - A^2) of the path's
power comes in. That power is |W_p|^2 only where the filter knows the path, and L_p at least: P_p falls by what is heard
and by nothing else, so a far end that is silent for an hour leaves a filter as able to learn as it was. Nor is the
power taken to be more than ten times what is expected of it, p0: where x repeats itself, with a period that is none of
the block's, P_p and W_p would drive each other up within some 20 s. Cost: that of `FDAF`, and 8 P B multiply-adds a
hop. For echo, in double talk above all: the canceller is built on it.

Where x begins at once and its echo comes later than a hop, the first errors are 0 and the filter grows sure that there
is no path; with W = 0 nothing makes it unsure again. Give it d from the echo's start (`adaptfilt.align`), or take
`adaptfilt.EchoCanceller`, which keeps P while the far end begins.

**The path that changes.** Once the filter is sure, P_p is small, and a new path looks like somebody who speaks: the
whole echo goes into R, the step stays small, and only (1 - A^2) |W_p|^2 makes the filter unsure again. With A = 0.999
it takes some 4 s at 16 kHz and hops of 256 to find a path that has changed at once, with A = 0.9999 over 10 s, and with
A = 1 it never does. A smaller `hop` and a smaller A shorten that. `adaptfilt.TwoPath` does not: neither of its filters
knows the new path. `adaptfilt.EchoCanceller` sees that outputs and microphone no longer agree and begins anew to be
unsure; it takes a second.

**The floor.** A filter whose path may wander never rests: white input without any noise is cancelled by some 75 dB with
A = 0.999, by 90 with 0.9999, and without such a floor with A = 1, or by `FDAF`. Twice the step, 2 P_p / D, is what one
gets who takes all of a bin's errors for that bin's own. It is then at the edge of what is stable: where R is small it
ends at 40 and 50 dB, and on speech 3 to 6 dB behind in the first seconds and in double talk; only white noise is
learned faster by it.

Source: G. Enzner and P. Vary, "Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free
telephones", Signal Processing, 2006; partitions: F. Kuech, E. Mabande and G. Enzner, "State-space architecture of the
partitioned-block-based acoustic echo controller", ICASSP, 2014.
"""

from typing import Any, ClassVar, Self

import torch

from adaptfilt.base.frequency import FrequencyFilter
from adaptfilt.engines.bins import Bins
from adaptfilt.engines.words import maximum, minimum, mul


def fdkf_spread(x2: Any, P: Any) -> Any:
    """Return the power of the echo that is not yet known, of one partition."""
    return P * x2


def fdkf_level(total: Any, e2: Any, R: Any, beta: Any, eps: Any) -> Any:
    """Return twice the expected power of the error, and the power of what is heard besides the echo."""
    R = beta * R + (1 - beta) * e2
    return total + 2 * (R + eps), R


def fdkf_step(level: Any, x2: Any, w2: Any, P: Any, A: Any, p0: Any, hop: Any, block: Any) -> Any:
    """Return the step, and what is not known of the weight after it."""
    m = P / level
    left = P - hop / block * mul(0.5, m * x2) * P
    return m, maximum(left + mul(1 - A * A, maximum(minimum(w2, 10 * p0) - left, 0.0)), 1e-10 * p0)


class FDKF(FrequencyFilter):
    """Frequency-domain Kalman filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    block, hop, constraint, step
        Taps a partition, 256 by default, samples between updates, and what keeps the partitions responses: see
        `adaptfilt.FrequencyFilter`.
    A : 0 < float <= 1 or Tensor
        How much of the path stays from hop to hop; 0.998 follows faster, 0.9995 ends lower.
    beta : 0 <= float < 1 or Tensor
        Forgetting factor of the power of the errors, a hop.
    p0 : float > 0 or Tensor
        What is expected of |W|^2 in the first partition: 1 where the echo is about as loud as the far end. A filter
        of a far louder path learns slowly. A tensor must not require a gradient.
    decay : float >= 0
        Decades by which it falls from partition to partition.
    eps : float >= 0 or Tensor
        Regularisation, in (units of x)^2.
    inputs, outputs, w0, batch, dtype, device, nonfinite, engine
        As for `adaptfilt.FrequencyFilter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or `hop` does not divide `block`.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(4000)
    >>> h = 0.3 * np.exp(-np.arange(100) / 20)
    >>> f = af.FDKF(taps=100, block=32)
    >>> y, e, w = f(x, lfilter(h, 1, x))
    >>> bool(af.metrics.misalignment_db(w, h) < -30)
    True
    """

    algorithm: ClassVar[Bins] = Bins(
        spread=fdkf_spread, level=fdkf_level, step=fdkf_step, state={"R": "bin", "P": "partition"}
    )
    ranges = {
        "A": {"above": True, "high": 1.0}, "beta": {"high": 1 - 1e-9}, "p0": {"above": True}, "decay": {}, "eps": {},
    }  # fmt: skip
    _shown = ("block", "hop", "A", "beta")
    _starting = ("p0",)
    decay: Any

    def __init__(
        self,
        taps: int,
        *,
        block: int | None = 256,
        A: Any = 0.999,
        beta: Any = 0.5,
        p0: Any = 1.0,
        decay: Any = 0.3,
        eps: Any = 1e-9,
        **common: Any,
    ) -> None:
        super().__init__(taps, {"A": A, "beta": beta, "p0": p0, "decay": decay, "eps": eps}, block=block, **common)

    def start(self) -> dict[str, Any]:
        """Return what is not known of the weights before anything was heard."""
        p0 = torch.as_tensor(self.p0, dtype=torch.float64, device=self.device)
        p0 = p0.reshape(*p0.shape, *(1,) * (self.inputs is not None), 1, 1)
        decades = self.decay * torch.arange(self.partitions, dtype=torch.float64, device=self.device)
        return {"P": p0 * 10 ** -decades[:, None]}

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter of two partitions that converges on unit-power input."""
        return cls(4, block=2, **common)
