"""Frequency-domain adaptive filter (FDAF), partitioned where the response is longer than a block.

Every hop, for every bin and partition p of P, with X_p the spectra of the input's last frames of 2 B samples and E that
of the newest B errors,

    S <- lam S + (1 - lam) sum_p |X_p|^2,    m = mu / (max(S / (1 - lam^k), sum_p |X_p|^2) + 2 M eps)
    W_p <- (1 - mu leak) W_p + m conj(X_p) E

after k hops. The larger of both powers keeps a burst from running ahead of its average, and costs a third of the step:
where X is Gaussian, and of one partition, the mean of |X|^2 over it is 0.65 with lam = 0.9 and 1 - 1/e as lam goes to
1, against 0.96 and 1 over S alone, which is the rule of other libraries. For white input S is 2 M times the power, so
that mu learns as 0.32 mu does in NLMS, and leaves of the noise what 0.43 mu does; 0 < mu < 2, where the regressors are
independent of the weights. With ``normalized=False`` m = mu, which is block LMS, to rounding where all partitions are
constrained, and LMS itself with block = hop = 1. Cost: about 5 transforms of 2 B samples and 16 P B multiply-adds a
hop. For echo paths and rooms, of hundreds of taps and more; where both ends speak at once take `FDKF`.

Source: J. J. Shynk, "Frequency-domain and multirate adaptive filtering", IEEE Signal Processing Magazine, 1992;
partitions, and their constraint in turn: J.-S. Soo and K. K. Pang, "Multidelay block frequency domain adaptive filter",
IEEE Trans. ASSP, 1990.
"""

from typing import Any, ClassVar, Self

from adaptfilt.base.frequency import FrequencyFilter
from adaptfilt.engines.algorithm import Variants
from adaptfilt.engines.bins import Bins
from adaptfilt.engines.words import maximum


def fdaf_level(total: Any, S: Any, share: Any, lam: Any, eps: Any, taps: Any) -> Any:
    """Return the power that divides the step, its running sum, and the sum of that one's weights."""
    S, share = lam * S + (1 - lam) * total, lam * share + (1 - lam)
    return maximum(S / share, total) + 2 * taps * eps, S, share


def fdaf_step(level: Any, mu: Any) -> Any:
    """Return the step of a bin."""
    return mu / level


def block_lms_level(total: Any) -> Any:
    """Return 1: steps of one size."""
    return total * 0 + 1


class FDAF(FrequencyFilter):
    """Frequency-domain adaptive filter.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, a warning outside (0, 2); without `normalized` in 1 / (units of x)^2. A tensor broadcasts over
        `batch`.
    block, hop, constraint, step
        Taps a partition, samples between updates, and what keeps the partitions responses: see
        `adaptfilt.FrequencyFilter`.
    lam : 0 <= float < 1 or Tensor
        Forgetting factor of the power, a hop.
    eps : float >= 0 or Tensor
        Regularisation, in (units of x)^2 a sample.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a hop.
    normalized : bool
        Divide by the power of every bin; else this is block LMS.
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
    >>> h = np.exp(-np.arange(100) / 20)
    >>> f = af.FDAF(taps=100, mu=0.5, block=32)
    >>> y, e, w = f(x, lfilter(h, 1, x))
    >>> bool(af.metrics.misalignment_db(w, h) < -50)
    True
    """

    algorithm: ClassVar[Any] = Variants(
        normalized=Bins(level=fdaf_level, step=fdaf_step, state={"S": "bin", "share": "bin"}),
        plain=Bins(level=block_lms_level, step=fdaf_step),
    )
    ranges = {"mu": {"stable": 2.0}, "lam": {"high": 1 - 1e-9}, "eps": {}, "leak": {}}
    _shown = ("mu", "block", "hop", "lam", "leak")

    def __init__(
        self,
        taps: int,
        mu: Any,
        *,
        lam: Any = 0.9,
        eps: Any = 1e-6,
        leak: Any = 0.0,
        normalized: bool = True,
        **common: Any,
    ) -> None:
        self.variant = "normalized" if normalized else "plain"
        if not normalized:  # what is stable goes by the input's power
            self.__dict__["ranges"] = {**self.ranges, "mu": {}}
        super().__init__(taps, {"mu": mu, "lam": lam, "eps": eps, "leak": leak}, **common)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter of two partitions that converges on unit-power input."""
        return cls(4, 0.5, block=2, **common)
