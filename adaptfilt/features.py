"""Features of a regressor: modules that make a filter that is linear in its weights nonlinear in the signal.

Each maps regressors (..., M), newest sample first, to features (..., F). A linear filter takes them as `features=`
and stays what it is, one weight a feature; as the first part of an `nn.Sequential` they serve `GradientFilter`.

>>> import torch, adaptfilt as af
>>> f = af.NLMS(taps=4, mu=0.5, features=Volterra(4, order=2))
>>> f.w.shape
torch.Size([14])
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.checks import positive_int


class Volterra(nn.Module):
    """All products of up to `order` entries of the regressor: a truncated Volterra series, without its constant.

    The products stand by degree, and within a degree in the order of
    `itertools.combinations_with_replacement`: u0, u1, ..., u0 u0, u0 u1, ..., u1 u1, ... Their number is
    C(M + order, order) - 1: 14 for 4 taps and order 2, 560 for 32 taps.

    Parameters
    ----------
    taps : int >= 1
        Number of entries of a regressor, M.
    order : int >= 1
        Highest degree of a product; 1 is the regressor itself.

    Raises
    ------
    TypeError, ValueError
        If a parameter is no integer >= 1, or regressors have another length.

    References
    ----------
    .. [1] V. J. Mathews, "Adaptive polynomial filters", IEEE Signal Processing Magazine, vol. 8, no. 3, pp. 10-26,
       1991, eq. (1).

    Examples
    --------
    >>> Volterra(3, order=2)(torch.tensor([2.0, 3.0, 5.0]))
    tensor([ 2.,  3.,  5.,  4.,  6., 10.,  9., 15., 25.])
    """

    def __init__(self, taps: int, order: int = 2) -> None:
        super().__init__()
        self.taps, self.order = positive_int("taps", taps), positive_int("order", order)

    @property
    def count(self) -> int:
        """Number of features, F."""
        return math.comb(self.taps + self.order, self.order) - 1

    def forward(self, u: Tensor) -> Tensor:
        """Return the products, (..., F), of regressors (..., M)."""
        _check_taps(u, self.taps)
        products, last = [u], u
        for degree in range(2, self.order + 1):
            # A product whose first factor is u_k goes on with products of one degree less of entries from k on.
            starts = (last.shape[-1] - math.comb(self.taps - k + degree - 2, degree - 1) for k in range(self.taps))
            parts = [u[..., k : k + 1] * last[..., start:] for k, start in enumerate(starts)]
            last = torch.cat(parts, -1) if degree < self.order else u
            products += parts
        return torch.cat(products, -1)

    def extra_repr(self) -> str:
        """Describe the module in its repr."""
        return f"taps={self.taps}, order={self.order}, count={self.count}"


class WidelyLinear(nn.Module):
    """The regressor and its conjugate: two filters in one, for complex signals that are not circular.

    With w = [h | g], y = h^T u + g^T conj(u). Under LMS h moves by mu e conj(u) and g by mu e u (augmented complex
    LMS); the largest steps are half of those for u alone, as the energy doubles.

    Parameters
    ----------
    taps : int >= 1
        Number of entries of a regressor, M; there are 2 M features.

    Raises
    ------
    TypeError, ValueError
        If a parameter is no integer >= 1, or regressors have another length.

    References
    ----------
    .. [1] D. P. Mandic and V. S. L. Goh, *Complex Valued Nonlinear Adaptive Filters*, 2009, ch. 13.

    Examples
    --------
    >>> WidelyLinear(2)(torch.tensor([1 + 2j, 3j]))
    tensor([1.+2.j, 0.+3.j, 1.-2.j, 0.-3.j])
    """

    def __init__(self, taps: int) -> None:
        super().__init__()
        self.taps = positive_int("taps", taps)
        self.count = 2 * self.taps

    def forward(self, u: Tensor) -> Tensor:
        """Return the regressors and their conjugates, (..., 2 M)."""
        _check_taps(u, self.taps)
        return torch.cat([u, u.conj().resolve_conj()], -1)

    def extra_repr(self) -> str:
        """Describe the module in its repr."""
        return f"taps={self.taps}, count={self.count}"


class FunctionalLink(nn.Module):
    """The regressor, and sines and cosines of each of its entries: a functional-link network of trigonometric terms.

    Features are u, then sin(pi k u) and cos(pi k u) for k = 1 to `order`: (2 order + 1) M. For signals within +-1.

    Parameters
    ----------
    taps : int >= 1
        Number of entries of a regressor, M.
    order : int >= 1
        Number of harmonics.

    Raises
    ------
    TypeError, ValueError
        If a parameter is no integer >= 1, or regressors have another length.

    References
    ----------
    .. [1] J. C. Patra, R. N. Pal, B. N. Chatterji and G. Panda, "Identification of nonlinear dynamic systems using
       functional link artificial neural networks", IEEE Trans. Systems, Man, and Cybernetics B, 1999.

    Examples
    --------
    >>> FunctionalLink(1, order=1)(torch.tensor([0.5])).round(decimals=3)
    tensor([0.5000, 1.0000, -0.0000])
    """

    def __init__(self, taps: int, order: int = 2) -> None:
        super().__init__()
        self.taps, self.order = positive_int("taps", taps), positive_int("order", order)

    @property
    def count(self) -> int:
        """Number of features, F."""
        return (2 * self.order + 1) * self.taps

    def forward(self, u: Tensor) -> Tensor:
        """Return the regressors, their sines and cosines, (..., F)."""
        _check_taps(u, self.taps)
        angles = [torch.pi * k * u for k in range(1, self.order + 1)]
        return torch.cat([u, *(f(a) for a in angles for f in (torch.sin, torch.cos))], -1)

    def extra_repr(self) -> str:
        """Describe the module in its repr."""
        return f"taps={self.taps}, order={self.order}, count={self.count}"


class Polynomial(nn.Module):
    """Powers of every entry of the regressor, without products of different ones: a Hammerstein model.

    With one weight a feature, y = sum_p sum_k w[p M + k] u_k^(p + 1): a static polynomial in front of a filter, with a
    response of its own for every power. The features of power 1 come first.

    Parameters
    ----------
    taps : int >= 1
        Number of entries of a regressor, M.
    order : int >= 1
        Highest power; 1 is the regressor itself.

    Raises
    ------
    TypeError, ValueError
        If a parameter is no integer >= 1, or regressors have another length.

    References
    ----------
    .. [1] K. S. Narendra and P. G. Gallman, "An iterative method for the identification of nonlinear systems using a
       Hammerstein model", IEEE Transactions on Automatic Control, vol. 11, no. 3, pp. 546-550, 1966.

    Examples
    --------
    >>> Polynomial(2, order=3)(torch.tensor([2.0, 3.0]))
    tensor([ 2.,  3.,  4.,  9.,  8., 27.])
    """

    def __init__(self, taps: int, order: int = 3) -> None:
        super().__init__()
        self.taps, self.order = positive_int("taps", taps), positive_int("order", order)

    @property
    def count(self) -> int:
        """Number of features, F."""
        return self.taps * self.order

    def forward(self, u: Tensor) -> Tensor:
        """Return the powers, (..., F), of regressors (..., M)."""
        _check_taps(u, self.taps)
        powers = [u]
        while len(powers) < self.order:
            powers.append(powers[-1] * u)
        return torch.cat(powers, -1)

    def extra_repr(self) -> str:
        """Describe the module in its repr."""
        return f"taps={self.taps}, order={self.order}, count={self.count}"


class RandomFourier(nn.Module):
    """Random Fourier features: their inner products approach the Gaussian kernel, exp(-|u - v|^2 / (2 bandwidth^2)).

    z(u) = sqrt(2 / F) cos(Omega u + phase), the rows of Omega normal with variance 1 / bandwidth^2, the phase uniform
    over a turn [1]_. LMS over them is kernel LMS with a fixed number of weights [2]_.

    Parameters
    ----------
    taps : int >= 1
        Number of entries of a regressor, M.
    count : int >= 1
        Number of features, F; the error of the kernel falls with 1 / sqrt(F).
    bandwidth : float > 0
        Distance of regressors over which they resemble each other, in units of the signal.
    rng : numpy.random.Generator or int
        Where Omega and the phase are drawn from.

    Attributes
    ----------
    frequencies : Tensor [shape=(F, M)]
    phases : Tensor [shape=(F,)]
        In float64; they take the precision of the regressors.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range, or regressors have another length or are complex.

    References
    ----------
    .. [1] A. Rahimi and B. Recht, "Random features for large-scale kernel machines", NIPS, 2007, algorithm 1.
    .. [2] A. Singh, N. Ahuja and P. Moulin, "Online learning with kernels: overcoming the growing sum problem", IEEE
       International Workshop on Machine Learning for Signal Processing, 2012.

    Examples
    --------
    >>> z = RandomFourier(2, count=20_000, bandwidth=1.0, rng=0)
    >>> u, v = torch.tensor([[0.3, 0.1], [1.0, -0.2]])
    >>> round(float(z(u) @ z(v)), 1), round(math.exp(-float((u - v).square().sum()) / 2), 1)
    (0.7, 0.7)
    """

    frequencies: Tensor
    phases: Tensor

    def __init__(self, taps: int, count: int, bandwidth: float = 1.0, rng: np.random.Generator | int = 0) -> None:
        super().__init__()
        self.taps, self.count = positive_int("taps", taps), positive_int("count", count)
        if not 0 < bandwidth < math.inf:
            raise ValueError(f"bandwidth must be finite and > 0, got {bandwidth!r}")
        self.bandwidth = float(bandwidth)
        rng = np.random.default_rng(rng)
        frequencies = rng.standard_normal((self.count, self.taps)) / self.bandwidth
        self.register_buffer("frequencies", torch.from_numpy(frequencies))
        self.register_buffer("phases", torch.from_numpy(rng.uniform(0, 2 * math.pi, self.count)))

    def forward(self, u: Tensor) -> Tensor:
        """Return the features, (..., F), of real regressors (..., M)."""
        _check_taps(u, self.taps)
        if u.is_complex():
            raise TypeError("u is complex, random Fourier features take real regressors")
        angles = u @ self.frequencies.to(u.dtype).T + self.phases.to(u.dtype)
        return math.sqrt(2 / self.count) * torch.cos(angles)

    def extra_repr(self) -> str:
        """Describe the module in its repr."""
        return f"taps={self.taps}, count={self.count}, bandwidth={self.bandwidth:g}"


def _check_taps(u: Tensor, taps: int) -> None:
    """Refuse regressors of another length."""
    if u.shape[-1] != taps:
        raise ValueError(f"u must have {taps} entries on its last axis, got shape {tuple(u.shape)}")
