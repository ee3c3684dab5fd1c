"""What theory says of the filters that are updates: identities, optimality, and a million samples in float32."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from scipy.fft import dct, fft
from scipy.signal import lfilter

import adaptfilt as af

COMMON: dict[str, Any] = {"dtype": torch.float64}


def identification(samples: int, taps: int, noise: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    h = rng.standard_normal(taps) / np.sqrt(taps)
    x = rng.standard_normal(samples)
    return x, np.convolve(x, h)[:samples] + noise * rng.standard_normal(samples), h


def test_kalman_of_a_plant_at_rest_is_rls_without_forgetting() -> None:
    x, d, _ = identification(500, 8, 0.1)
    a = af.Kalman(8, q=0.0, r=0.02, p0=2.0, **COMMON)(x, d)
    b = af.RLS(8, 1.0, delta=0.01, **COMMON)(x, d)
    np.testing.assert_allclose(a.w, b.w, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(a.y, b.y, rtol=1e-10, atol=1e-11)


def test_kalman_settles_where_riccati_says() -> None:
    # One weight and x = 1: p = a - a^2 / (r + a), a = p + q, so that a^2 - q a - q r = 0.
    q, r = 1e-3, 0.2
    f = af.Kalman(1, q=q, r=r, **COMMON)
    f(np.ones(2000), np.zeros(2000))
    a = (q + np.sqrt(q * q + 4 * q * r)) / 2
    assert f.P.item() == pytest.approx(a - q, rel=1e-12)


def test_kalman_knows_its_own_error() -> None:
    # The mean of |w - h|^2 over many walks is the trace of P, as no other gain attains.
    runs, samples, taps, q, r = 400, 300, 4, 1e-4, 0.04
    rng = np.random.default_rng(0)
    h = rng.standard_normal((runs, taps)) + np.cumsum(np.sqrt(q) * rng.standard_normal((samples, runs, taps)), 0)
    x = rng.standard_normal((runs, samples))
    past = np.concatenate([np.zeros((runs, taps - 1)), x], 1)
    u = np.lib.stride_tricks.sliding_window_view(past, taps, 1)[..., ::-1]
    d = np.einsum("rnm,nrm->rn", u, h) + np.sqrt(r) * rng.standard_normal((runs, samples))

    def error(f: Any) -> float:
        return float(((f(x, d).w - h[-1]) ** 2).sum(-1).mean())

    f = af.Kalman(taps, q=q, r=r, batch=(runs,), **COMMON)
    measured = error(f)
    assert measured == pytest.approx(np.trace(f.P.mean(0).numpy()), rel=0.1)
    for lam in (0.9, 0.95, 0.98, 0.995):
        assert error(af.RLS(taps, lam, batch=(runs,), **COMMON)) > measured


def signal(kind: str, rng: Any, samples: int = 1_000_000) -> np.ndarray:
    n = np.arange(samples)
    return {
        "silence": 0.0 * n,
        "tone": np.sin(0.3 * n),
        "loud tone": 1e3 * np.sin(0.3 * n),
        "burst": rng.standard_normal(samples) * np.where(n // 10 == samples // 20, 1e6, 1.0),
    }[kind]


MILLION = {
    "Kalman": lambda: af.Kalman(16, q=1e-6, r=1e-3),
    "IPNLMS": lambda: af.IPNLMS(16, 0.5),
    "IPAPA": lambda: af.IPAPA(16, 0.5, 3),
    "QRRLS": lambda: af.QRRLS(16, 0.98),
    "SetMembershipAP": lambda: af.SetMembershipAP(16, 1e-6, 3),
    "TransformDomainLMS": lambda: af.TransformDomainLMS(16, 0.03),
    "DCDRLS": lambda: af.DCDRLS(16, 0.98),
    "FastRLS": lambda: af.FastRLS(16, 0.98, dtype=torch.float32),
    "VariableForgettingRLS": lambda: af.VariableForgettingRLS(16, 0.98),
}


@pytest.mark.parametrize("name", MILLION)
@pytest.mark.parametrize("kind", ["silence", "tone", "loud tone", "burst"])
def test_stays_bounded_in_float32_over_a_million_samples(name: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    x = signal(kind, rng)
    f = MILLION[name]()
    out = f(x, 0.5 * x)
    assert np.abs(out.w).max() < 2
    assert np.abs(out.e[-1000:]).max() <= 1e-4 * max(np.abs(x[-1000:]).max(), 1e-30)
    x = rng.standard_normal(2000)
    np.testing.assert_allclose(f(x, -0.25 * x).w, [-0.25] + [0] * 15, atol=2e-3)


ATTRACTED = {
    "ZALMS": lambda: af.ZALMS(16, 0.01),
    "RZALMS": lambda: af.RZALMS(16, 0.01, rho=1e-5),
    "L0LMS": lambda: af.L0LMS(16, 0.01, kappa=1e-6),
}


@pytest.mark.parametrize("name", ATTRACTED)
@pytest.mark.parametrize("kind", ["silence", "tone", "burst"])
def test_attraction_stays_bounded_in_float32_over_a_million_samples(name: str, kind: str) -> None:
    # A step that is not normalised bears no burst of 10^6: there it says so, and keeps what it had.
    rng = np.random.default_rng(0)
    f, x = ATTRACTED[name](), signal(kind, rng)
    if kind == "burst":
        f(x[:1000], 0.5 * x[:1000])
        before = f.w.clone()
        with pytest.raises(af.DivergenceError):
            f(x, 0.5 * x)
        assert torch.equal(f.w, before)
    else:
        assert np.abs(f(x, 0.5 * x).w).max() < 0.6
    x = rng.standard_normal(4000)
    np.testing.assert_allclose(f(x, -0.25 * x).w, [-0.25] + [0] * 15, atol=3e-3)


@pytest.mark.parametrize("kind", ["silence", "tone", "loud tone", "burst"])
def test_a_notch_stays_bounded_in_float32_over_a_million_samples(kind: str) -> None:
    rng = np.random.default_rng(0)
    f = af.Notch([0.5, 1.0])
    assert np.isfinite(f(signal(kind, rng)).e).all()
    n = np.arange(20000)
    w = np.sort(f(np.sin(0.8 * n) + np.sin(2.0 * n)).w)
    np.testing.assert_allclose(w, [0.8, 2.0], atol=5e-3)  # the first section hears the other tone, too


@pytest.mark.parametrize("kind", ["silence", "tone", "loud tone", "burst"])
def test_qklms_stays_bounded_in_float32_over_a_million_samples(kind: str) -> None:
    rng = np.random.default_rng(0)
    f = af.QKLMS(2, 0.3, width=1.0, threshold=0.5, budget=100)
    x = signal(kind, rng)
    assert np.abs(f(x, np.tanh(x)).w).max() < 20
    x = rng.uniform(-1, 1, 5000)
    if kind != "loud tone":  # which has spent the budget on centres a thousand widths apart
        assert np.mean(f(x, np.tanh(x)).e[-1000:] ** 2) < 0.05 * np.mean(np.tanh(x) ** 2)


@pytest.mark.parametrize("kind", ["silence", "tone", "loud tone", "burst"])
def test_a_sliding_window_stays_bounded_over_a_million_samples(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = signal(kind, rng)
    f = af.SlidingWindowRLS(16, 50, delta=1e-3)
    assert np.abs(f(x, 0.5 * x).w).max() < 2
    x = rng.standard_normal(2000)
    np.testing.assert_allclose(f(x, -0.25 * x).w, [-0.25] + [0] * 15, atol=1e-4)


@pytest.mark.parametrize("rho", [0.0, 0.7, 0.95])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 3e-3)])
def test_fast_rls_stays_rls(rho: float, dtype: torch.dtype, tolerance: float) -> None:
    rng = np.random.default_rng(0)
    for taps, memory in ((6, 0.35), (32, 0.35), (32, 0.1)):
        lam, x = 1 - memory / taps, lfilter([np.sqrt(1 - rho**2)], [1, -rho], rng.standard_normal(20000))
        d = lfilter(rng.standard_normal(taps), 1, x) + 0.1 * rng.standard_normal(20000)
        want = af.LatticeRLS(taps, lam, delta=0.1, **COMMON)(x, d).y
        np.testing.assert_allclose(af.FastRLS(taps, lam, delta=0.1, dtype=dtype)(x, d).y, want, atol=tolerance)


def test_weights_stand_for_a_state_that_was_assigned() -> None:
    f = af.LatticeRLS(4, 0.99, delta=0.1, **COMMON)
    f(np.arange(5.0), np.ones(5))
    w = f.w.clone()
    f.k = 0.5 * f.k  # regression coefficients, in which the weights are linear
    torch.testing.assert_close(f.w, 0.5 * w, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("updates", "ratio"), [(1, 2e-3), (4, 2e-3), (16, 2e-4)])
def test_dcd_settles_where_rls_does(updates: int, ratio: float) -> None:
    rng = np.random.default_rng(1)
    x, h = rng.standard_normal((20, 20000)), rng.standard_normal(8)
    d = lfilter(h, 1, x) + 0.1 * rng.standard_normal(x.shape)
    common: dict[str, Any] = {"batch": (20,), **COMMON}
    powers = [
        np.mean(f(x, d).e[:, 2000:] ** 2)
        for f in (af.RLS(8, 0.99, **common), af.DCDRLS(8, 0.99, updates=updates, **common))
    ]
    assert powers[1] / powers[0] == pytest.approx(1.0, abs=ratio)


def test_variable_forgetting_shortens_its_memory_after_a_change_alone() -> None:
    # Against a fixed factor of the same largest memory, after the plant has changed at once.
    rng = np.random.default_rng(5)
    x = rng.standard_normal((30, 6000))
    h = rng.standard_normal((2, 16))
    d = np.concatenate([lfilter(h[0], 1, x)[:, :3000], lfilter(h[1], 1, x)[:, 3000:]], -1)
    d += 0.1 * rng.standard_normal(x.shape)
    f, fixed = (c(16, 0.9999, batch=(30,), **COMMON) for c in (af.VariableForgettingRLS, af.RLS))
    f(x[:, :3000], d[:, :3000])
    assert float(f.forgetting.mean()) > 0.99
    fixed(x[:, :3000], d[:, :3000])
    w, slow = (g(x[:, 3000:3300], d[:, 3000:3300]).w for g in (f, fixed))
    assert np.sum((w - h[1]) ** 2) < 0.05 * np.sum((slow - h[1]) ** 2)


def test_ipnlms_of_equal_steps_is_nlms() -> None:
    x, d, _ = identification(500, 8, 0.1)
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.complex128, 1e-13), (torch.float32, 1e-5)):
        a = af.IPNLMS(8, 0.7, alpha=-1.0, eps=0.3, dtype=dtype)(x.astype(complex) if dtype.is_complex else x, d)
        b = af.NLMS(8, 0.7, eps=0.3, dtype=dtype)(x.astype(complex) if dtype.is_complex else x, d)
        np.testing.assert_allclose(a.y, b.y, atol=tolerance)
        np.testing.assert_allclose(a.w, b.w, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_ipapa_of_one_regressor_is_ipnlms_and_of_equal_steps_affine_projection(dtype: torch.dtype) -> None:
    x, d, _ = identification(300, 8, 0.1)
    x = x * np.exp(0.3j * np.arange(300)) if dtype.is_complex else x
    common: dict[str, Any] = {"dtype": dtype, "engine": "reference"}
    for f, g in (
        (af.IPAPA(8, 0.7, 1, alpha=0.4, eps=0.3, **common), af.IPNLMS(8, 0.7, alpha=0.4, eps=0.3, **common)),
        (af.IPAPA(8, 0.7, 3, alpha=-1.0, eps=0.3, **common), af.AffineProjection(8, 0.7, 3, eps=0.3, **common)),
    ):
        a, b = f(x, d), g(x, d)
        np.testing.assert_allclose(a.y, b.y, atol=1e-12)
        np.testing.assert_allclose(a.w, b.w, atol=1e-12)


def test_ipapa_is_faster_on_sparse_plants_and_coloured_input_than_either() -> None:
    rng = np.random.default_rng(3)
    h = np.zeros(64)
    h[[9, 12, 40]] = 0.8, -0.5, 0.3
    x = lfilter([np.sqrt(1 - 0.81)], [1, -0.9], rng.standard_normal((4, 400)))
    d = lfilter(h, 1, x) + 1e-3 * rng.standard_normal(x.shape)
    common: dict[str, Any] = {"dtype": torch.float64, "engine": "reference", "batch": 4}
    far = {
        type(f).__name__: af.metrics.misalignment_db(f(x, d).w, h).mean()
        for f in (
            af.IPAPA(64, 0.3, 3, alpha=0.5, **common),
            af.IPNLMS(64, 0.3, alpha=0.5, **common),
            af.AffineProjection(64, 0.3, 3, **common),
        )
    }
    assert far["IPAPA"] < min(far["IPNLMS"], far["AffineProjection"]) - 6


def sparse(runs: int, samples: int, taps: int, active: int) -> tuple[np.ndarray, ...]:
    """The plants of Chen, Gu and Hero: weights of 1 at `active` places; white input, noise of power 1e-3."""
    rng = np.random.default_rng(2)
    h = np.zeros(taps)
    h[:: taps // active] = 1.0
    x = rng.standard_normal((runs, samples))
    d = np.array([np.convolve(row, h)[:samples] for row in x])
    return x, d + np.sqrt(1e-3) * rng.standard_normal(d.shape), h


def deviation(f: Any, x: np.ndarray, d: np.ndarray, h: np.ndarray) -> float:
    """Return the mean square deviation over the second half of a record."""
    w = f(x, d, record_every=10).w
    return float(((w - h) ** 2).sum(-1)[:, w.shape[1] // 2 :].mean())


@pytest.mark.filterwarnings("ignore:LMS. mu is beyond")
@pytest.mark.parametrize("active", [1, 16])
def test_attraction_pays_where_the_plant_is_sparse(active: int) -> None:
    # "Sparse LMS for system identification", 2009: mu 0.05, rho 5e-4, epsilon 10. With 1 of 16 weights both forms
    # beat LMS, the reweighted one most; with 16 of 16 ZA-LMS loses, and RZA-LMS stays beside LMS.
    x, d, h = sparse(200, 1000, 16, active)
    common: dict[str, Any] = {"batch": (200,), **COMMON}
    lms = deviation(af.LMS(16, 0.05, **common), x, d, h)
    za = deviation(af.ZALMS(16, 0.05, rho=5e-4, **common), x, d, h)
    rza = deviation(af.RZALMS(16, 0.05, rho=5e-4, sharpness=10.0, **common), x, d, h)
    l0 = deviation(af.L0LMS(16, 0.05, kappa=5e-5, beta=5.0, **common), x, d, h)
    if active == 1:
        assert rza < za < 0.9 * lms
        assert l0 < 0.7 * lms
    else:
        assert za > 1.05 * lms
        assert rza == pytest.approx(lms, rel=0.05)
        assert l0 == pytest.approx(lms, rel=0.01)


def test_za_lms_bias_is_what_its_cost_says() -> None:
    # The mean settles where mu R (h - w) = rho sgn(w): h - rho / (mu power) for a weight that is not small.
    rng = np.random.default_rng(4)
    x = rng.standard_normal((50, 4000))
    f = af.ZALMS(2, 0.02, rho=1e-3, batch=(50,), **COMMON)
    d = np.array([np.convolve(row, [0.8, -0.6])[:4000] for row in x])
    w = f(x, d, record_every=10).w[:, 100:].mean((0, 1))
    np.testing.assert_allclose(w, [0.75, -0.55], atol=1e-3)


def test_set_membership_of_order_one_is_the_normalised_form() -> None:
    # SM-NLMS: the a posteriori error is the bound, and there is no update below it.
    x, d, _ = identification(2000, 8, 0.1)
    bound = np.sqrt(5 * 0.01)
    f = af.SetMembershipAP(8, bound, order=1, eps=1e-9, **COMMON)
    out = f(x, d, record_every=1)
    before = np.vstack([np.zeros(8), out.w[:-1]])
    past = np.concatenate([np.zeros(7), x])
    after = d - np.einsum("nk,nk->n", np.lib.stride_tricks.sliding_window_view(past, 8)[:, ::-1], out.w)
    over = np.abs(out.e) > bound
    np.testing.assert_allclose(np.abs(after[over]), bound, rtol=1e-6)
    assert (out.w[~over] == before[~over]).all()
    assert over[1000:].mean() < 0.1  # noise alone passes sqrt(5) deviations in 2.5 samples of 100


def test_set_membership_ap_keeps_the_older_errors() -> None:
    x, d, _ = identification(300, 8, 0.1)
    out = af.SetMembershipAP(8, 0.05, order=3, eps=1e-12, **COMMON)(x, d, record_every=1)
    past = np.concatenate([np.zeros(7), x])
    u = np.lib.stride_tricks.sliding_window_view(past, 8)[:, ::-1]
    for n in range(50, 300):
        step = out.w[n] - out.w[n - 1]
        np.testing.assert_allclose(u[n - 2 : n] @ step, 0, atol=1e-8)


@pytest.mark.parametrize("transform", ["dct", "dft", "haar"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_transforms_are_orthonormal_and_those_of_scipy(transform: str, dtype: torch.dtype) -> None:
    T = af.TransformDomainLMS(8, 0.1, transform=transform, dtype=dtype).T.numpy()
    np.testing.assert_allclose(T @ T.conj().T, np.eye(8), atol=1e-14)
    if transform == "dct":
        np.testing.assert_allclose(T, dct(np.eye(8), axis=0, norm="ortho"), atol=1e-14)
    if transform == "dft" and dtype.is_complex:
        np.testing.assert_allclose(T, fft(np.eye(8), axis=0, norm="ortho"), atol=1e-14)
    if transform == "haar":
        assert sorted((T != 0).sum(1)) == [2, 2, 2, 2, 4, 4, 8, 8]


def test_the_cosine_transform_leaves_the_spread_that_beaufays_proved() -> None:
    rho, taps = 0.5, 512
    T = af.TransformDomainLMS(taps, 0.1, dtype=torch.float64).T.numpy()
    S = T @ rho ** np.abs(np.subtract.outer(np.arange(taps), np.arange(taps))) @ T.T
    S /= np.sqrt(np.outer(np.diag(S), np.diag(S)))
    assert np.linalg.cond(S) == pytest.approx(1 + rho, rel=0.005)


@pytest.mark.parametrize("transform", ["dct", "dft", "haar"])
def test_transforms_pay_where_the_input_is_coloured(transform: str) -> None:
    rng = np.random.default_rng(0)
    x = lfilter([np.sqrt(1 - 0.95**2)], [1, -0.95], rng.standard_normal((20, 1000)))
    h = rng.standard_normal(16)
    d = lfilter(h, 1, x) + 1e-3 * rng.standard_normal(x.shape)
    common: dict[str, Any] = {"batch": (20,), **COMMON}
    ours = af.TransformDomainLMS(16, 0.03, transform=transform, **common)(x, d).w
    plain = af.NLMS(16, 0.5, **common)(x, d).w
    assert np.sum((ours - h) ** 2) < 0.01 * np.sum((plain - h) ** 2)


def test_transform_of_a_module_gives_every_feature_its_own_power() -> None:
    rng = np.random.default_rng(0)
    x = 0.1 * rng.standard_normal(1000)  # products of two samples are ten times smaller still
    features = af.Volterra(2, order=2)
    h = rng.standard_normal(features.count)
    past = np.concatenate([[0.0], x])
    u = torch.tensor(np.lib.stride_tricks.sliding_window_view(past, 2)[:, ::-1].copy())
    d = features(u).numpy() @ h
    ours = af.TransformDomainLMS(2, 0.05, transform=features, power=1e-3, eps=1e-12, **COMMON)(x, d).w
    plain = af.NLMS(2, 0.5, features=features, **COMMON)(x, d).w
    np.testing.assert_allclose(ours, h, atol=0.01)
    assert np.abs(plain - h).max() > 10 * np.abs(ours - h).max()


def test_haar_needs_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="power of two"):
        af.TransformDomainLMS(6, 0.1, transform="haar")
    with pytest.raises(ValueError, match="transform must be one of"):
        af.TransformDomainLMS(6, 0.1, transform="walsh")


def test_qklms_without_quantisation_is_klms() -> None:
    # The textbook's KLMS keeps every regressor, with mu e as its coefficient.
    rng = np.random.default_rng(0)
    x = rng.standard_normal(150)
    d = np.tanh(x) * np.concatenate([[0.0], x[:-1]])
    u = np.lib.stride_tricks.sliding_window_view(np.concatenate([[0.0], x]), 2)[:, ::-1]
    a, y = np.zeros(0), []
    for n in range(150):
        y.append(a @ np.exp(-((u[:n] - u[n]) ** 2).sum(1) / 2))
        a = np.append(a, 0.5 * (d[n] - y[n]))
    out = af.QKLMS(2, 0.5, width=1.0, threshold=0.0, budget=150, **COMMON)(x, d)
    np.testing.assert_allclose(out.y, y, atol=1e-14)
    np.testing.assert_allclose(out.w, a, atol=1e-14)


def test_kernel_filters_find_what_no_linear_filter_does() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(3000)
    d = x * np.concatenate([[0.0], x[:-1]])
    for f in (af.KRLS(2, width=2.0, novelty=1e-4, budget=100), af.QKLMS(2, 0.3, width=1.0, threshold=0.3, **COMMON)):
        assert np.mean(f(x, d).e[-1000:] ** 2) < 0.05
    assert np.mean(af.RLS(2, 1.0, **COMMON)(x, d).e[-1000:] ** 2) > 0.9


@pytest.mark.parametrize(("frequency", "db"), [(0.3, 10), (1.1, 0), (2.5, 0)])
def test_notch_finds_the_frequency_in_noise(frequency: float, db: float) -> None:
    rng = np.random.default_rng(0)
    n = np.arange(20000)
    x = np.sqrt(2) * np.sin(frequency * n) + 10 ** (-db / 20) * rng.standard_normal(20000)
    f = af.Notch(1.0, radius=0.9, lam=0.995, **COMMON)
    w = f(x, record_every=1).w[10000:, 0]
    assert np.mean(w) == pytest.approx(frequency, abs=2e-3)


def test_notch_is_a_null_at_its_frequency_and_passes_the_ends() -> None:
    f = af.Notch(0.7, radius=0.9, **COMMON).eval()
    n = np.arange(2000)
    assert np.abs(f(np.sin(0.7 * n)).e[-500:]).max() < 1e-12
    for x in (np.ones(2000), np.where(n % 2, 1.0, -1.0)):
        np.testing.assert_allclose(f.reset()(x).e[-500:], x[-500:], atol=1e-12)


def test_a_cascade_of_notches_finds_the_tones_of_a_hum() -> None:
    rng = np.random.default_rng(0)
    n = np.arange(40000)
    x = np.sin(0.4 * n) + 0.7 * np.sin(1.2 * n + 1) + 0.3 * rng.standard_normal(40000)
    f = af.Notch([0.5, 1.0], radius=0.95, lam=0.998, **COMMON)
    out = f(x)
    np.testing.assert_allclose(out.w, [0.4, 1.2], atol=5e-3)
    assert np.mean(out.e[-5000:] ** 2) == pytest.approx(0.09, rel=0.15)


@pytest.mark.parametrize("frequency", [0.0, np.pi, -0.1, [], [0.3, 4.0], np.nan])
def test_notch_refuses_what_is_no_frequency(frequency: Any) -> None:
    with pytest.raises(ValueError, match="frequency must be above 0 and below pi"):
        af.Notch(frequency)


def test_rls_without_a_bound_is_the_textbook_under_a_constant() -> None:
    """Nothing excites one direction: P grows by 1 / lam a sample there, but for the bound of the default."""
    lam, delta, x = 0.9, 0.1, np.ones(150)
    d = 0.5 + 0.1 * np.sin(np.arange(150))
    w, P, past = np.zeros(2), np.eye(2) / delta, np.concatenate([[0.0], x])
    for n in range(150):
        u = past[n : n + 2][::-1]
        k = P @ u / (lam + u @ P @ u)
        w, P = w + k * (d[n] - w @ u), (P - np.outer(k, u @ P)) / lam
    plain, held = (af.RLS(2, lam, delta=delta, wind_up=limit, dtype=torch.float64) for limit in (None, 1e4))
    np.testing.assert_allclose(plain(x, d).w, w, rtol=1e-6)
    np.testing.assert_allclose(plain.P, P, rtol=1e-5, atol=1e-5 * np.abs(P).max())
    held(x, d)
    assert float(torch.trace(held.P)) < 0.1 * float(torch.trace(plain.P))
    with pytest.raises(ValueError, match="wind_up must be finite"):
        af.RLS(2, wind_up=-1.0)


@pytest.mark.parametrize("frequency", [0.3, 1.0])
def test_wind_up_shows_after_a_long_tone(frequency):
    """What docs/filters.md says of it: 100,000 samples of a tone, then white noise."""
    rng, h, T = np.random.default_rng(0), np.ones(16) / 4, 100_000
    x = np.concatenate([np.sin(frequency * np.arange(T)), rng.standard_normal(2000)])
    d = lfilter(h, 1, x) + 0.01 * rng.standard_normal(x.size)

    def errors(f):
        with warnings.catch_warnings(action="ignore"):  # of errors far above d
            return np.abs(f(x, d).e[T:])

    bounded, textbook = (errors(af.RLS(16, 0.99, wind_up=limit, dtype=torch.float64)) for limit in (1e4, None))
    fast = errors(af.FastRLS(16, 0.99))
    assert bounded.max() < 10
    assert fast.max() < 1000
    assert textbook.max() > 1e12
    assert max(bounded[1000:].max(), fast[1000:].max()) < 0.1
