"""Feature modules: their entries against their definition, and linear filters over them against rows of features."""

from itertools import combinations_with_replacement
from math import comb, prod

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.features import FunctionalLink, Polynomial, RandomFourier, Volterra, WidelyLinear
from adaptfilt.gradient.filter import GradientFilter

MODULES = [
    pytest.param(lambda: Volterra(4, order=2), id="Volterra"),
    pytest.param(lambda: Polynomial(4, order=3), id="Polynomial"),
    pytest.param(lambda: FunctionalLink(4, order=2), id="FunctionalLink"),
    pytest.param(lambda: RandomFourier(4, count=12, bandwidth=2.0), id="RandomFourier"),
]


def windows(x: np.ndarray, taps: int) -> np.ndarray:
    """Return the regressors of a stream that starts at rest, (T, taps), newest sample first."""
    padded = np.concatenate([np.zeros(taps - 1), x])
    return np.lib.stride_tricks.sliding_window_view(padded, taps)[:, ::-1].copy()


def test_widely_linear_lms_is_augmented_complex_lms() -> None:
    """h += mu e conj(u) and g += mu e u, y = h^T u + g^T conj(u)."""
    rng, mu, M = np.random.default_rng(0), 0.02, 3
    x, d = rng.standard_normal((2, 200)) + 1j * rng.standard_normal((2, 200))
    h, g = np.zeros((2, M), complex)
    errors = []
    for u, wanted in zip(windows(x, M), d, strict=True):
        e = wanted - h @ u - g @ u.conj()
        h, g = h + mu * e * u.conj(), g + mu * e * u
        errors.append(e)
    f = af.LMS(M, mu, features=WidelyLinear(M), dtype=torch.complex128)
    out = f(x, d)
    np.testing.assert_allclose(out.e, errors, rtol=1e-12)
    np.testing.assert_allclose(out.w, np.concatenate([h, g]), rtol=1e-12)


def test_functional_link_features() -> None:
    u = torch.tensor([[0.1, -0.4], [0.7, 0.2]], dtype=torch.float64)
    want = [u, *(f(np.pi * k * u) for k in (1, 2) for f in (torch.sin, torch.cos))]
    torch.testing.assert_close(FunctionalLink(2, 2)(u), torch.cat(want, -1), rtol=1e-14, atol=0)
    assert FunctionalLink(2, 2).count == 10


@pytest.mark.parametrize("taps", [1, 2, 5])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_volterra_features_are_the_products_by_degree(taps: int, order: int, dtype: torch.dtype) -> None:
    u = torch.randn(2, 3, taps, dtype=dtype, generator=torch.Generator().manual_seed(0))
    degrees = range(1, order + 1)
    chosen = [c for p in degrees for c in combinations_with_replacement(range(taps), p)]
    want = torch.stack([prod(u[..., k] for k in c) for c in chosen], -1)
    module = Volterra(taps, order)
    assert module.count == len(chosen) == comb(taps + order, order) - 1
    torch.testing.assert_close(module(u), want, rtol=1e-13, atol=0)


def test_polynomial_features_are_powers() -> None:
    u = torch.tensor([[2.0, -3.0, 0.5]], dtype=torch.float64)
    want = torch.cat([u, u**2, u**3, u**4], -1)
    assert Polynomial(3, 4).count == 12
    torch.testing.assert_close(Polynomial(3, 4)(u), want, rtol=1e-15, atol=0)


def test_random_fourier_features_approach_the_gaussian_kernel() -> None:
    rng = np.random.default_rng(0)
    u, v = torch.from_numpy(rng.standard_normal((2, 50, 3)))
    z = RandomFourier(3, count=40_000, bandwidth=1.5, rng=1)
    kernel = torch.exp(-(u - v).square().sum(-1) / (2 * 1.5**2))
    estimate = (z(u) * z(v)).sum(-1)
    assert (estimate - kernel).abs().max() < 4 / np.sqrt(40_000)  # four standard deviations
    again = RandomFourier(3, count=40_000, bandwidth=1.5, rng=np.random.default_rng(1))
    assert torch.equal(z(u), again(u))
    assert not torch.equal(z(u), RandomFourier(3, count=40_000, bandwidth=1.5, rng=2)(u))
    assert z(u.float()).dtype == torch.float32


@pytest.mark.parametrize("make", MODULES)
@pytest.mark.parametrize("cls", [af.LMS, af.NLMS, af.RLS])
@pytest.mark.filterwarnings("ignore:.*diverge")
def test_a_linear_filter_over_features_is_one_over_their_rows(make, cls, rng: np.random.Generator) -> None:
    x, d = rng.standard_normal((2, 1500))
    settings = {"mu": 0.01} if cls is af.LMS else {}
    f = cls(4, features=make(), dtype=torch.float64, **settings)
    rows = make()(torch.from_numpy(windows(x, 4))).numpy()
    g = cls(rows.shape[1], dtype=torch.float64, **settings)
    parts = [f(x[a:b], d[a:b]) for a, b in ((0, 1), (1, 700), (700, 1500))]
    whole = g(rows, d, regressors=True)
    np.testing.assert_allclose(np.concatenate([p.y for p in parts]), whole.y, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(parts[-1].w, whole.w, rtol=1e-9, atol=1e-9)


def test_volterra_nlms_identifies_a_volterra_plant(rng: np.random.Generator) -> None:
    x = rng.standard_normal(20_000)
    w = rng.standard_normal(9)
    rows = Volterra(3)(torch.from_numpy(windows(x, 3))).numpy()
    f = af.NLMS(3, mu=0.5, features=Volterra(3), dtype=torch.float64)
    found = f(x, rows @ w).w
    np.testing.assert_allclose(found, w, atol=1e-8)


def test_features_serve_a_gradient_filter(rng: np.random.Generator) -> None:
    x, d = rng.standard_normal((2, 200))
    readout = torch.nn.Linear(9, 1, bias=False)
    torch.nn.init.zeros_(readout.weight)
    model = torch.nn.Sequential(Volterra(3), readout)
    f = GradientFilter(model, 3, optimizer=lambda p: torch.optim.SGD(p, lr=0.005), dtype=torch.float64, compile=True)
    g = af.LMS(3, mu=0.01, features=Volterra(3), dtype=torch.float64)
    np.testing.assert_allclose(f(x, d, record_every=10).w, g(x, d, record_every=10).w, rtol=1e-10, atol=1e-12)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="taps must be an integer >= 1"):
        Volterra(0)
    with pytest.raises(TypeError, match="order must be an integer"):
        Volterra(3, 1.5)
    with pytest.raises(ValueError, match="order must be an integer >= 1"):
        Polynomial(3, 0)
    with pytest.raises(ValueError, match="bandwidth must be finite and > 0"):
        RandomFourier(3, 10, bandwidth=-1.0)
    with pytest.raises(ValueError, match="count must be an integer >= 1"):
        RandomFourier(3, 0)
    for module in (Volterra(3), Polynomial(3), RandomFourier(3, 5), WidelyLinear(3), FunctionalLink(3)):
        with pytest.raises(ValueError, match="u must have 3 entries"):
            module(torch.zeros(2, 4))
    with pytest.raises(TypeError, match="complex"):
        RandomFourier(3, 5)(torch.zeros(3, dtype=torch.complex64))
