"""Every algorithm against a plain NumPy loop of its textbook's equations, and what theory says of it."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt.checks import NUMPY
from adaptfilt.testing.comparisons import TOLERANCE

DTYPES = [
    torch.float64,
    torch.complex64,
    pytest.param(torch.complex128, marks=pytest.mark.slow),
    pytest.param(torch.float32, marks=pytest.mark.slow),
]
M = 5


def signals(dtype: torch.dtype, samples: int = 400, taps: int = M) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    x, v, h = (
        rng.standard_normal(n) + 1j * rng.standard_normal(n) * dtype.is_complex for n in (samples, samples, taps)
    )
    d = np.convolve(x, h)[:samples] + 0.1 * v
    x, d = (s if dtype.is_complex else s.real for s in (x, d))
    return x.astype(NUMPY[dtype]), d.astype(NUMPY[dtype])


def loop(x: np.ndarray, d: np.ndarray, update: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Run a textbook update over a stream in double precision."""
    x, d = (s.astype(complex if np.iscomplexobj(s) else float) for s in (x, d))
    w, past, ys = np.zeros(M, x.dtype), np.concatenate([np.zeros(M - 1), x]), []
    for n in range(len(x)):
        u = past[n : n + M][::-1]
        ys.append(w @ u)
        w = update(w, u, d[n] - ys[-1], d[n])
    return np.array(ys), w


def rls(lam: float, delta: float, fading: bool = False) -> Callable[..., np.ndarray]:
    P = np.diag(lam ** (2.0 + np.arange(M)) if fading else np.ones(M)) / delta

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal P
        k = P @ u.conj() / (lam + u @ P @ u.conj())
        P = (P - np.outer(k, u @ P)) / lam
        return w + k * e

    return update


def affine_projection(mu: float, order: int, eps: float) -> Callable[..., np.ndarray]:
    rows: list[tuple[np.ndarray, complex]] = [(np.zeros(M), 0.0)] * order

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal rows
        rows = [(u, d), *rows[:-1]]
        U, D = np.array([r for r, _ in rows]), np.array([v for _, v in rows])
        return w + mu * U.conj().T @ np.linalg.solve(U @ U.conj().T + eps * np.eye(order), D - U @ w)

    return update


def kwong_johnston(mu: float, alpha: float, gamma: float, least: float, most: float) -> Callable[..., np.ndarray]:
    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal mu
        w, mu = w + mu * e * u.conj(), min(most, max(least, alpha * mu + gamma * abs(e) ** 2))
        return w

    return update


def npvss(noise: float, eps: float, lam: float) -> Callable[..., np.ndarray]:
    power = 0.0

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal power
        power = lam * power + (1 - lam) * abs(e) ** 2
        mu = 1 - np.sqrt(noise / power) if power > noise else 0.0
        return w + mu * e * u.conj() / (eps + np.vdot(u, u).real)

    return update


def adapted(x: np.ndarray, w: np.ndarray, mu: float, error: Callable[..., Any], fed: int = 0) -> tuple[np.ndarray, ...]:
    """Run w <- w + mu e conj(u), where error(n, y) gives e and what goes into a second line of `fed` samples."""
    x = x.astype(complex if np.iscomplexobj(x) else float)
    w, back, ys = w.astype(x.dtype), np.zeros(fed, x.dtype), []
    taps = len(w) - fed
    past = np.concatenate([np.zeros(taps - 1), x])
    for n in range(len(x)):
        u = np.concatenate([past[n : n + taps][::-1], back])
        ys.append(w @ u)
        e, new = error(n, ys[-1])
        w = w + mu * e * u.conj()
        back = np.concatenate([[new], back])[:fed]
    return np.array(ys), w


def spike(at: int, taps: int = M) -> np.ndarray:
    return np.eye(taps)[at]


def cma(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return adapted(x, spike(M // 2), 0.001, lambda n, y: ((1.3 - abs(y) ** 2) * y, 0))


def symbol(d: np.ndarray, n: int, y: complex, delay: int) -> complex:
    """Return the known symbol, or BPSK's nearest."""
    a = d[n - delay] if n >= delay else np.nan
    return (1.0 if y.real >= 0 else -1.0) if np.isnan(a) else a


def decision_directed(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return adapted(x, spike(2), 0.005, lambda n, y: (symbol(d, n, y, 2) - y, 0))


def dfe(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    def error(n: int, y: complex) -> tuple[complex, complex]:
        a = symbol(d, n, y, 2)
        return a - y, a

    return adapted(x, spike(2), 0.005, error, fed=2)


def equation_error(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return adapted(x, np.zeros(M), 0.005, lambda n, y: (d[n] - y, d[n]), fed=2)


def output_error(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return adapted(x, np.zeros(M), 0.002, lambda n, y: (d[n] - y, y), fed=2)


def fxlms(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    """Hear the outputs through SECONDARY, and step along the input filtered by it."""
    v, past, w, ys = lfilter(SECONDARY, 1, x), np.zeros(M - 1), np.zeros(M, x.dtype), []
    for n in range(len(x)):
        u, direction = (np.concatenate([past, s])[n : n + M][::-1] for s in (x, v))
        ys.append(w @ u)
        e = d[n] - sum(s * y for s, y in zip(SECONDARY, reversed(ys), strict=False))
        w = (1 - 0.01 * 0.3) * w + 0.01 * e * direction.conj()
    return np.array(ys), w


SECONDARY = np.array([0.2, 0.9, -0.4])


def unknown(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return x, np.where(np.arange(len(d)) % 3 == 0, d, np.nan).astype(d.dtype)


BPSK = af.Constellation.psk(2)
LOOPS: dict[
    str, tuple[Callable[..., Any], ...]
] = {  # filters whose error or regressor is their own: filter, loop, signals
    "CMA": (lambda **k: af.CMA(M, 0.001, 1.3, **k), cma, lambda x, d: (x,)),
    "DecisionDirected": (lambda **k: af.DecisionDirected(M, 0.005, BPSK, **k), decision_directed, unknown),
    "DFE": (lambda **k: af.DFE(3, 2, 0.005, BPSK, **k), dfe, unknown),
    "EquationError": (lambda **k: af.EquationError(2, 2, 0.005, **k), equation_error, lambda x, d: (x, d)),
    "FxLMS": (lambda **k: af.FxLMS(M, 0.01, SECONDARY, leak=0.3, **k), fxlms, lambda x, d: (x, d)),
    "OutputError": (lambda **k: af.OutputError(2, 2, 0.002, **k), output_error, lambda x, d: (x, d)),
}


def sign(v: Any) -> Any:
    return np.where(v == 0, 0, v / np.where(v == 0, 1, np.abs(v)))


CASES = {
    "LMS": (
        lambda **k: af.LMS(M, 0.02, leak=0.3, **k),
        lambda w, u, e, d: (1 - 0.02 * 0.3) * w + 0.02 * e * u.conj(),
    ),
    "NLMS": (
        lambda **k: af.NLMS(M, 0.7, eps=0.3, leak=0.1, **k),
        lambda w, u, e, d: (1 - 0.07) * w + 0.7 * e * u.conj() / (0.3 + np.vdot(u, u).real),
    ),
    "LMF": (
        lambda **k: af.LMF(M, 1e-4, leak=0.2, **k),
        lambda w, u, e, d: (1 - 2e-5) * w + 1e-4 * abs(e) ** 2 * e * u.conj(),
    ),
    "SignError": (
        lambda **k: af.SignError(M, 0.01, leak=0.2, **k),
        lambda w, u, e, d: (1 - 0.002) * w + 0.01 * sign(e) * u.conj(),
    ),
    "KwongJohnston": (
        lambda **k: af.KwongJohnston(M, 0.01, alpha=0.9, gamma=1e-3, mu_min=0.002, mu_max=0.02, **k),
        lambda: kwong_johnston(0.01, 0.9, 1e-3, 0.002, 0.02),
    ),
    "NPVSS": (lambda **k: af.NPVSS(M, noise=0.02, eps=0.1, lam=0.9, **k), lambda: npvss(0.02, 0.1, 0.9)),
    "SignData": (lambda **k: af.SignData(M, 0.01, **k), lambda w, u, e, d: w + 0.01 * e * sign(u.conj())),
    "SignSign": (
        lambda **k: af.SignSign(M, 0.01, **k),
        lambda w, u, e, d: w + 0.01 * sign(e) * sign(u.conj()),
    ),
    "RLS": (lambda **k: af.RLS(M, 0.97, delta=0.1, **k), lambda: rls(0.97, 0.1)),
    "LatticeRLS": (lambda **k: af.LatticeRLS(M, 0.97, delta=0.1, **k), lambda: rls(0.97, 0.1, fading=True)),
    "AffineProjection": (
        lambda **k: af.AffineProjection(M, 0.6, 3, 0.2, **k),
        lambda: affine_projection(0.6, 3, 0.2),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_equals_the_textbook_loop(name: str, engine: str, dtype: torch.dtype) -> None:
    make, update = CASES[name]
    x, d = signals(dtype)
    update = update() if not inspect.signature(update).parameters else update  # type: ignore[call-arg]
    y, w = loop(x, d, update)
    out = make(dtype=dtype, engine=engine)(x, d)
    tolerance = {"rtol": TOLERANCE[dtype], "atol": 10 * TOLERANCE[dtype]}
    np.testing.assert_allclose(out.y, y, **tolerance)
    if name != "LatticeRLS":  # whose w is the response of the lattice as it stands, and not that of the next sample
        np.testing.assert_allclose(out.w, w, **tolerance)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_equals_the_textbook_loop_with_an_error_of_its_own(name: str, engine: str, dtype: torch.dtype) -> None:
    make, run, given = LOOPS[name]
    x, d = signals(dtype)
    sent = given(x, d)
    y, w = run(x, sent[-1])
    out = make(dtype=dtype, engine=engine)(*sent)
    tolerance = {"rtol": 3 * TOLERANCE[dtype], "atol": 10 * TOLERANCE[dtype]}
    np.testing.assert_allclose(out.y, y, **tolerance)
    np.testing.assert_allclose(out.w, w, **tolerance)


def test_every_algorithm_has_its_loop() -> None:
    filters = {c.__name__ for c in vars(af).values() if isinstance(c, type) and hasattr(c, "algorithm")}
    assert filters == {*CASES, *LOOPS}


def test_a_float_parameter_acts_in_the_filters_own_precision() -> None:
    x, d = signals(torch.float64)
    _, w = loop(x, d, lambda w, u, e, d: w + 0.1 * e * u)
    np.testing.assert_allclose(af.LMS(M, 0.1, dtype=torch.float64)(x, d).w, w, rtol=1e-12)


def test_rls_is_regularised_least_squares() -> None:
    for dtype in (torch.float64, torch.complex128):
        x, d = signals(dtype, 200)
        lam, delta, n = 0.99, 0.5, 200
        past = np.concatenate([np.zeros(M - 1), x])
        U = np.array([past[i : i + M][::-1] for i in range(n)])
        weight = lam ** np.arange(n - 1, -1, -1)
        R = (U.conj().T * weight) @ U + lam**n * delta * np.eye(M)
        f = af.RLS(M, lam, delta=delta, dtype=dtype)
        np.testing.assert_allclose(f(x, d).w, np.linalg.solve(R, (U.conj().T * weight) @ d), rtol=1e-9)
        np.testing.assert_allclose(f.P.numpy(), np.linalg.inv(R), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["silence", "tone", "loud tone", "decay", "burst"])
def test_rls_stays_bounded_in_float32_over_a_million_samples(kind: str) -> None:
    n = np.arange(1_000_000)
    rng = np.random.default_rng(0)
    x = {
        "silence": 0.0 * n,
        "tone": np.sin(0.3 * n),
        "loud tone": 1e3 * np.sin(0.3 * n),
        "decay": rng.standard_normal(len(n)) * np.exp(-n / 3000),
        "burst": rng.standard_normal(len(n)) * np.where(n // 10 == 50_000, 1e6, 1.0),
    }[kind]
    f = af.RLS(16, 0.98)
    out = f(x, 0.5 * x)
    assert np.abs(out.w).max() < 2
    P = f.P.double()
    assert torch.isfinite(P).all()
    assert (P - P.mH).abs().max() <= 1e-6 * P.abs().max()
    assert np.abs(out.e[-1000:]).max() <= 1e-5 * max(np.abs(x).max() if kind != "burst" else 5, 1e-30)
    x = rng.standard_normal(2000)
    np.testing.assert_allclose(f(x, -0.25 * x).w, [-0.25] + [0] * 15, atol=1e-4)


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_a_lattice_survives_a_sample_beyond_its_digits(engine: str) -> None:
    """Conversion factors stay above 0, where 1 - (gamma |b|)^2 / B has no digit left."""
    x = np.random.default_rng(0).standard_normal(200)
    x[100] = 1e12
    f = af.LatticeRLS(M, 1.0, dtype=torch.float64, engine=engine)
    for part in np.split(x, range(100, 110)):
        f(part, 0.5 * part)
        assert float(f.gamma.min()) > 0
        assert float(f.gamma.max()) <= 1


def test_affine_projection_of_order_one_is_nlms() -> None:
    x, d = signals(torch.float64)
    a = af.AffineProjection(M, 0.5, order=1, eps=0.1, dtype=torch.float64)(x, d)
    b = af.NLMS(M, 0.5, eps=0.1, dtype=torch.float64)(x, d)
    np.testing.assert_allclose(a.y, b.y, rtol=1e-11, atol=1e-12)


def test_affine_projection_whitens_coloured_input() -> None:
    h = af.plants.room(32, rt60=20, rng=1).b
    x = af.signals.coloured(4000, [1, -0.95], 2)
    d = np.convolve(x, h)[:4000]
    slow, fast = af.NLMS(32, 1.0)(x, d).w, af.AffineProjection(32, 1.0, order=2)(x, d).w
    assert af.metrics.misalignment_db(fast, h) < af.metrics.misalignment_db(slow, h) - 20


def test_lms_misadjustment_is_what_theory_says() -> None:
    taps, mu, noise = 32, 0.008, 0.01
    rng = np.random.default_rng(3)
    x = rng.standard_normal((64, 12000))
    v = np.sqrt(noise) * rng.standard_normal(x.shape)
    f = af.LMS(taps, mu, batch=(64,), dtype=torch.float64)
    e = f(x, v).e[:, 4000:] - v[:, 4000:]
    assert np.mean(e**2) == pytest.approx(af.theory.lms_emse(mu, taps, 1.0, noise), rel=0.05)


def test_sign_error_survives_impulses_that_upset_lms() -> None:
    rng = np.random.default_rng(1)
    h = np.array([1.0, -0.5, 0.25])
    x = rng.standard_normal(20000)
    d = np.convolve(x, h)[:20000] + np.where(rng.random(20000) < 0.01, 1e3, 0.0) * rng.standard_normal(20000)
    robust, upset = af.SignError(3, 0.001)(x, d).w, af.LMS(3, 0.01)(x, d).w
    assert af.metrics.misalignment_db(robust, h) < af.metrics.misalignment_db(upset, h) - 20
