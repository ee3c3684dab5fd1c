"""LMS in a transform domain (TDLMS): every component of the transformed regressor steps by its own power.

    z = T u,    p <- lam p + (1 - lam) |z|^2,    e = d - w^T u
    w <- w + step e T^T (z* / (eps + p)),    step = min(mu, 1 / sum |z|^2 / (eps + p))

which is LMS, normalised component by component, of the weights v of z, w = T^T v. A transform that nearly decorrelates
x thus nearly whitens it: with the cosine transform, the spread of a first-order autoregression's eigenvalues goes to
1 + rho. The step is cut where a sample would overshoot, as at the end of a pause.

Stable about for 0 < mu < 2 / (3 M). Cost: 2 M^2 multiply-adds a sample with a transform, 3 F with features alone.
Between NLMS and RLS, for coloured input of which the colour lasts.

Source: S. S. Narayan, A. M. Peterson and M. J. Narasimha, "Transform domain LMS algorithm", IEEE Trans. Acoustics,
Speech and Signal Processing, 1983; F. Beaufays, "Transform-domain adaptive filters: an analytical approach", IEEE
Trans. Signal Processing, 1995; the cut is ours.
"""

import math
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import positive_int
from adaptfilt.engines.algorithm import Algorithm, Variants
from adaptfilt.engines.words import abs2, add, axpy, axpyc, conj, div, dot, matvec, maximum, minimum, mul, vecmat

TINY = 1e-30  # what stands for silence


def _step(mu: Any, g: Any, q: Any) -> Any:
    """Return the step, cut where it would overshoot."""
    return minimum(mu, 1 / maximum(TINY, dot(g, q)))


def transformed_update(  # noqa: PLR0913 (its scratch)
    w: Any, T: Any, p: Any, u: Any, e: Any, mu: Any, lam: Any, eps: Any, z: Any = None, v: Any = None, s: Any = None,
    q: Any = None, g: Any = None,
) -> Any:  # fmt: skip
    """Return the weights, the transform as it was, and the powers after one sample."""
    z = matvec(T, u, out=z)
    q = abs2(z, out=q)
    p = axpyc(1 - lam, q, p, lam)
    g = div(1.0, add(eps, p, out=g), out=g)
    step = _step(mu, g, q)
    s = mul(g, conj(z, out=v), out=s)
    return axpy(step * e, vecmat(s, T, out=z), w), T, p


def plain_update(
    w: Any, p: Any, u: Any, e: Any, mu: Any, lam: Any, eps: Any, s: Any = None, q: Any = None, g: Any = None
) -> Any:
    """Return the weights and the powers after one sample, without a transform."""
    q = abs2(u, out=q)
    p = axpyc(1 - lam, q, p, lam)
    g = div(1.0, add(eps, p, out=g), out=g)
    return axpyc(_step(mu, g, q) * e, mul(g, u, out=s), w), p


def _cosine(M: int, dtype: torch.dtype) -> Tensor:
    k = torch.arange(M, dtype=torch.float64)
    T = math.sqrt(2 / M) * torch.cos(math.pi / M * torch.outer(k, k + 0.5))
    T[0] /= math.sqrt(2)
    return T


def _fourier(M: int, dtype: torch.dtype) -> Tensor:
    """Return the discrete Fourier transform, for real signals as cosines and sines."""
    angles = 2 * math.pi / M * torch.outer(torch.arange(M), torch.arange(M)).double()
    if dtype.is_complex:
        return torch.polar(torch.full_like(angles, M**-0.5), -angles)
    half = M // 2 + 1
    T = torch.cat([torch.cos(angles[:half]), torch.sin(angles[1 : (M + 1) // 2])])
    return T / T.norm(dim=-1, keepdim=True)


def _haar(M: int, dtype: torch.dtype) -> Tensor:
    if M & (M - 1):
        raise ValueError(f'transform="haar" must have a power of two as taps, got {M}')
    T = torch.ones(1, 1, dtype=torch.float64)
    while len(T) < M:
        pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / math.sqrt(2)
        T = torch.cat([torch.kron(T, pair[:1]), torch.kron(torch.eye(len(T), dtype=torch.float64), pair[1:])])
    return T


TRANSFORMS = {"dct": _cosine, "dft": _fourier, "haar": _haar}


class TransformDomainLMS(LinearFilter):
    """LMS filter that steps by the power of every component of a transform.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M; for "haar" a power of two.
    mu : float >= 0 or Tensor
        Step size, without unit; below about 2 / (3 M). A tensor broadcasts over `batch`.
    transform : {"dct", "dft", "haar"} or nn.Module
        The cosine, Fourier or Haar transform, each orthonormal, of every input; w stays a response. A module of
        features is taken as `features=`, with a weight a feature.
    lam : 0 < float < 1 or Tensor
        Forgetting factor of the powers.
    power : float > 0 or Tensor
        What the powers start from, in (units of x)^2: that of x.
    eps : float >= 0 or Tensor
        Regularisation, in (units of x)^2.
    w0, batch, dtype, device, nonfinite, engine, features, inputs, outputs
        As for `adaptfilt.LinearFilter`; features are transformed in runs of `taps`, what is left over as it is.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = lfilter([0.3], [1.0, -0.95], np.random.default_rng(0).standard_normal(2000))
    >>> f = af.TransformDomainLMS(taps=3, mu=0.2)
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    algorithm: ClassVar[Any] = Variants(
        transformed=Algorithm(
            update=transformed_update,
            state={"T": ("taps", "taps"), "p": ("real", "taps")},
            scratch={"q": ("real", "taps"), "g": ("real", "taps")},
        ),
        plain=Algorithm(
            update=plain_update, state={"p": ("real", "taps")}, scratch={"q": ("real", "taps"), "g": ("real", "taps")}
        ),
    )
    ranges = {"mu": {}, "lam": {"above": True, "high": 1.0}, "power": {"above": True}, "eps": {}}
    _shown = ("mu", "transform", "lam")
    transform: Any
    power: Any

    def __init__(
        self,
        taps: int,
        mu: Any,
        *,
        transform: Any = "dct",
        lam: Any = 0.99,
        power: Any = 1.0,
        eps: Any = 1e-6,
        **common: Any,
    ) -> None:
        if isinstance(transform, nn.Module):
            self.__dict__["variant"] = "plain"
            common["features"], transform = transform, type(transform).__name__
        elif transform not in TRANSFORMS:
            raise ValueError(f"transform must be one of {', '.join(TRANSFORMS)}, or a module, got {transform!r}")
        else:
            self.__dict__["variant"] = "transformed"
            if transform == "haar":
                _haar(positive_int("taps", taps), torch.float64)
        params = {"mu": mu, "transform": transform, "lam": lam, "power": power, "eps": eps}
        super().__init__(taps, params, **common)

    def start(self) -> dict[str, Tensor]:
        """Return the transform, and the power to start from."""
        power = torch.as_tensor(self.power, dtype=torch.float64, device=self.device).detach()
        first = {"p": power.expand(self._filters)[..., None]}
        if self.variant == "transformed":
            own = TRANSFORMS[self.transform](self.taps, self.dtype)
            left_over = torch.eye(self._weights % self.taps, dtype=own.dtype)
            first["T"] = torch.block_diag(*[own] * (self._weights // self.taps), left_over)
        return first

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(4, 0.05, **common)
