"""Decision-feedback equaliser (DFE), adapted by LMS or NLMS.

The regressor holds M = forward samples and the K = feedback symbols before the present one, a known or, where d is
NaN, decided as the point nearest to the output:

    u = [x[n], ..., x[n - M + 1], a[n - 1], ..., a[n - K]],    w = [f | b],    y = w^T u
    e = a[n] - y,    w <- (1 - mu leak) w + mu e conj(u)    [mu / (eps + u^H u) normalised]

b tends to minus the echoes of past symbols, which f then need not fight, so that it amplifies less noise. Stable,
while decisions are right, for 0 < mu < 2 / (3 (M E|x|^2 + K E|a|^2)). Cost: 2 (M + K) multiply-adds a symbol and a
decision. Where the channel has deep notches; a wrong decision can cause more. A frozen filter goes on to feed its
decisions.

Source: P. Monsen, "Feedback equalization for fading dispersive channels", IEEE Trans. Information Theory, 1971;
C. A. Belfiore and J. H. Park, "Decision feedback equalization", Proc. IEEE, 1979.
"""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from adaptfilt.checks import positive_int
from adaptfilt.constellation import Constellation
from adaptfilt.engines.algorithm import Variants
from adaptfilt.filters.equalisers.blind import OfPoints, stepping
from adaptfilt.filters.equalisers.decisions import DECIDE, VECTORS, choose, deciding, erring


class DFE(OfPoints):
    """Decision-feedback equaliser: ``y, e, w = f(x, d)``.

    Parameters
    ----------
    forward : int >= 1
        Number of coefficients f for samples, M.
    feedback : int >= 0
        Number of coefficients b for symbols, K.
    mu : float >= 0 or Tensor
        Step size, of both. A tensor broadcasts over `batch`.
    constellation : Constellation
        The points; real ones for a real filter.
    sps : int >= 1
        Samples a symbol.
    delay : int >= 0, optional
        y[n] estimates symbol n - delay; None: (M - 1) // sps. The weights start as a spike at delay * sps.
    normalized : bool
        Steps as those of NLMS, by the energy of samples and symbols together.
    eps : float >= 0 or Tensor
        Regularisation of normalised steps.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a symbol.
    w0, batch, dtype, device, nonfinite, engine, inputs, outputs
        As for `adaptfilt.LinearFilter`. d may end early, or be left out: NaN stands for what is not known.
        A warning says, once, where what is known is none of the points; it is learnt all the same.

    Attributes
    ----------
    forward_taps, feedback_taps : Tensor [shape=(*batch, M), (*batch, K)]
        f and b: views of w.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> a = af.signals.symbols(af.Constellation.pam(2), 20000, rng=0)
    >>> x = np.convolve(a, af.plants.proakis("B").b)[:20000]
    >>> f = af.DFE(8, 2, mu=0.02, constellation=af.Constellation.pam(2))
    >>> y, e, w = f(x, a[:2000])
    >>> bool(np.abs(e[-1000:]).max() < 0.1)
    True
    """

    algorithm: ClassVar[Any] = Variants(
        **{
            name: algorithm
            for k, f in DECIDE.items()
            for name, algorithm in stepping(k, erring(f), feed=deciding(f), vectors=VECTORS, unknown=True).items()
        }
    )
    ranges = {"mu": {}, "eps": {}, "leak": {}}
    _shown = ("feedback", "mu", "sps", "delay", "leak")
    half_distance: float
    columns: float
    rows: float

    def __init__(
        self,
        forward: int,
        feedback: int,
        mu: Any,
        constellation: Constellation,
        *,
        sps: int = 1,
        delay: int | None = None,
        normalized: bool = False,
        eps: Any = 1e-6,
        leak: Any = 0.0,
        **common: Any,
    ) -> None:
        self.variant, points = choose(constellation, common.get("dtype", torch.float32))
        self.variant += "_normalized" * normalized
        self.constellation = constellation
        delay = (positive_int("forward", forward) - 1) // positive_int("sps", sps) if delay is None else delay
        params = {"mu": mu, "eps": eps, "leak": leak, **points}
        super().__init__(forward, params, feedback=feedback, sps=sps, delay=delay, **common)
        self._fixed = (*self._fixed, "constellation")

    def _first_weights(self, w0: Any) -> Any:
        return self._spike(self.delay * self.sps) if w0 is None else w0

    @property
    def forward_taps(self) -> Tensor:
        """The coefficients for samples, a view of w."""
        return self.w[..., : self.w.shape[-1] - self.feedback]

    @property
    def feedback_taps(self) -> Tensor:
        """The coefficients for symbols, a view of w."""
        return self.w[..., self.w.shape[-1] - self.feedback :]

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that tracks binary symbols of unit power."""
        return cls(3, 1, 0.02, Constellation.psk(2), **common)
