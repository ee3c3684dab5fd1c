"""Gains with a state: variable steps against plain loops, and the figures of the literature."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_are

import adaptfilt as af

M = 16
COMMON: dict[str, Any] = {"dtype": torch.float64}


def room(runs: int, samples: int, noise: float) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(1)
    h = rng.standard_normal((runs, M)) * np.exp(-np.arange(M) / 5)
    h /= np.linalg.norm(h, axis=1)[:, None]
    x = rng.standard_normal((runs, samples))
    d = np.array([np.convolve(a, b)[:samples] for a, b in zip(x, h, strict=True)])
    return x, d + np.sqrt(noise) * rng.standard_normal(d.shape), h


def misalignment_db(f: Any, x: np.ndarray, d: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return the mean misalignment after every 20 samples."""
    w = f(x, d, record_every=20).w
    return 10 * np.log10(((w - h[:, None]) ** 2).sum(-1).mean(0))


def mean_db(curve: np.ndarray, first: int, last: int) -> float:
    return 10 * np.log10(np.mean(10 ** (curve[first // 20 : last // 20] / 10)))


def test_npvss_reaches_what_nlms_of_full_step_cannot() -> None:
    x, d, h = room(50, 6000, 1e-3)
    curve = misalignment_db(af.NPVSS(M, noise=1e-3, batch=(50,), **COMMON), x, d, h)
    nlms = misalignment_db(af.NLMS(M, 1.0, batch=(50,), **COMMON), x, d, h)
    assert mean_db(curve, 500, 700) < -39.5
    assert mean_db(curve, 3000, 6000) == pytest.approx(-43.3, abs=0.5)
    assert mean_db(nlms, 500, 700) == pytest.approx(-29, abs=0.6)


def test_npvss_without_a_noise_power_estimates_one() -> None:
    x, d, h = room(50, 6000, 1e-3)
    curve = misalignment_db(af.NPVSS(M, batch=(50,), **COMMON), x, d, h)
    assert mean_db(curve, 500, 700) < -35.5
    assert mean_db(curve, 3000, 6000) < -36.5
    late = np.arange(6000) > 300
    assert misalignment_db(af.NPVSS(M, batch=(50,), **COMMON), x * late, d * late, h)[-1] < -34


def test_npvss_estimates_what_too_few_taps_cannot_model_too() -> None:
    x, _, _ = room(50, 6000, 0.0)
    h = np.random.default_rng(2).standard_normal(32) * np.exp(-np.arange(32) / 10)
    h /= np.linalg.norm(h)
    d = np.array([np.convolve(a, h)[:6000] for a in x]) + 0.03 * np.random.default_rng(3).standard_normal(x.shape)
    error = {
        noise: np.mean(((af.NPVSS(M, noise=noise, batch=(50,), **COMMON)(x, d).w - h[:M]) ** 2).sum(-1))
        for noise in (1e-3, None)
    }
    assert error[None] < 0.5 * error[1e-3]


def test_npvss_estimated_equals_a_plain_loop() -> None:
    x, d, _ = room(1, 300, 0.01)
    x, d, lam = x[0], d[0], 0.9
    w, u, p_e, p_y, p_d, t = np.zeros(M), np.zeros(M), 0.0, 0.0, 0.0, 1.0
    for n in range(300):
        u = np.concatenate([x[n : n + 1], u[:-1]])
        y = w @ u
        e = d[n] - y
        p_e, p_y, p_d, t = (lam * p + (1 - lam) * v**2 for p, v in ((p_e, e), (p_y, y), (p_d, d[n]), (t, 0.0)))
        w = w + min(1, abs(1 - np.sqrt((1 - t) * abs(p_d - p_y) / p_e))) * e * u / (0.1 + u @ u)
    for engine in ("auto", "reference"):
        f = af.NPVSS(M, eps=0.1, lam=lam, engine=engine, **COMMON)
        np.testing.assert_allclose(f(x, d).w, w, rtol=1e-9, atol=1e-12)


def test_npvss_remembers_sixteen_times_longer_where_it_estimates() -> None:
    """Means over 4 taps samples of the error; over 64 taps of the powers whose difference is the noise."""
    assert af.NPVSS(5, noise=0.1).lam == 1 - 1 / 20
    assert af.NPVSS(5).lam == 1 - 1 / 320


def test_npvss_keeps_its_kind_of_noise() -> None:
    f = af.NPVSS(4, noise=0.1)
    f.noise = 0.2
    with pytest.raises(ValueError, match="noise must be"):
        f.noise = -1.0
    with pytest.raises(TypeError, match="noise is read-only"):
        af.NPVSS(4).noise = 0.1


def test_kwong_johnston_is_fast_after_a_change_and_quiet_when_settled() -> None:
    x, d, h = room(50, 6000, 1e-3)
    f = af.KwongJohnston(M, 0.02, mu_min=1e-3, batch=(50,), **COMMON)
    assert misalignment_db(f, x, d, h)[-1] < -41
    assert float(f.step_size.max()) < 0.002
    f(x[:, :100], -d[:, :100])
    assert float(f.step_size.min()) > 0.004
    f.reset()
    np.testing.assert_array_equal(f.step_size, 0.02)


def test_aboulnasr_mayyas_settles_where_theory_says_and_is_deaf_to_white_noise() -> None:
    rng = np.random.default_rng(0)
    d = (rng.standard_normal((4000, 400)) + 1j * rng.standard_normal((4000, 400))) / np.sqrt(2)
    common = {"mu_min": 0.0, "mu_max": 1.0, "alpha": 0.97, "batch": (4000,), "dtype": torch.complex128}
    deaf = af.AboulnasrMayyas(4, 0.0, beta=0.9, gamma=0.01, **common)
    other = af.KwongJohnston(4, 0.0, gamma=0.001, **common)
    for f in (deaf, other):
        f(0 * d, 2 * d)  # nothing but noise, of power 4
    assert float(deaf.step_size.mean()) == pytest.approx(0.01 * 16 * 0.1 / (1.9 * 0.03), rel=0.04)
    assert float(other.step_size.mean()) == pytest.approx(0.001 * 4 / 0.03, rel=0.04)


def test_aboulnasr_mayyas_is_fast_after_a_change_and_quiet_in_any_noise() -> None:
    x, d, h = room(50, 6000, 1e-3)
    f = af.AboulnasrMayyas(M, 0.02, gamma=0.05, mu_min=1e-3, batch=(50,), **COMMON)
    assert misalignment_db(f, x, d, h)[-1] < -40
    f(x[:, :200], -d[:, :200])
    assert float(f.step_size.mean()) > 0.01
    g = af.KwongJohnston(M, 0.02, mu_min=1e-3, batch=(50,), **COMMON)
    noise = 0.5 * np.random.default_rng(5).standard_normal(x.shape)
    for k in (f, g):
        k.w = h
        k(x, d + noise)
    assert float(f.step_size.mean()) < 1.5e-3 < 4e-3 < float(g.step_size.mean())


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_mathews_xie_and_gngd_step_down_the_slope_of_the_next_error(engine: str) -> None:
    rng = np.random.default_rng(4)
    x, d = (torch.tensor(rng.standard_normal(9) + 1j * rng.standard_normal(9)) for _ in range(2))
    common: dict[str, Any] = {"dtype": torch.complex128}
    for make, fixed, read in (
        (lambda **k: af.MathewsXie(4, 0.01, rho=1e-3, **k), lambda v: af.LMS(4, v, **common), "step_size"),
        (
            lambda **k: af.GNGD(4, 0.05, rho=1e-2, eps=0.7, **k),
            lambda v: af.NLMS(4, 0.05, eps=v, **common),
            "regularisation",
        ),
    ):
        f = make(engine=engine, **common)
        f.filter(x[:6])
        f(x[6:8], d[6:8], mu=torch.tensor([0.0, 1.0 if read == "step_size" else 0.05]))
        value = getattr(f, read).clone().requires_grad_()
        g = fixed(value)
        g.filter(x[:7])
        g(x[7:], d[7:]).e[1].abs().square().backward()
        f(x[8:], d[8:])
        rho = f.rho
        np.testing.assert_allclose(getattr(f, read), (value - rho / 2 * value.grad).detach(), rtol=1e-12)


def test_gngd_keeps_to_its_floor() -> None:
    f = af.GNGD(4, 0.5, rho=10.0, eps=1.0, eps_min=0.01, **COMMON)
    e = [f.step(1.0, 3.0)[1] for _ in range(8)]  # errors that agree
    assert float(f.regularisation) == 0.01
    assert e[7] / e[4] == pytest.approx((1 - 0.5 * 4 / 4.01) ** 3, rel=1e-9)


def test_every_output_of_a_filter_that_only_filters_keeps_the_newest_regressor() -> None:
    """A single sample looks back into the state; the fuzzer found it without its axis of outputs."""
    f, g = (af.GNGD.example(engine="reference", outputs=outputs, **COMMON) for outputs in (2, None))
    for x in (np.arange(1.0, 4.0), np.array([2.0]), np.array([-1.0])):
        f.filter(x)
        g.filter(x)
        for name in ("before", "lag"):
            torch.testing.assert_close(getattr(f, name), getattr(g, name).expand(2, -1), rtol=0, atol=0)


def test_the_simplified_kalman_filter_is_least_squares_where_nothing_moves() -> None:
    x, d, h = room(50, 6000, 1e-3)
    f = af.SimplifiedKalman(M, q=0.0, r=1e-3, batch=(50,), **COMMON)
    curve = misalignment_db(f, x, d, h)
    least_squares = 10 * np.log10(M * 1e-3 / 6000)  # of white input of unit power
    assert curve[-1] == pytest.approx(least_squares, abs=0.4)
    assert 10 * np.log10(M * float(f.p.mean())) == pytest.approx(least_squares, abs=0.2)


@pytest.mark.parametrize(("q", "r", "taps"), [(1e-5, 1e-2, 16), (1e-4, 1e-2, 4)])
def test_the_simplified_kalman_filter_knows_its_misalignment_on_a_plant_that_moves(
    q: float, r: float, taps: int
) -> None:
    rng = np.random.default_rng(3)
    x, v = rng.standard_normal((2, 50, 3000))
    h = np.cumsum(np.sqrt(q) * rng.standard_normal((50, 3000, taps)), 1)
    stream = np.concatenate([np.zeros((50, taps - 1)), x], 1)
    u = np.lib.stride_tricks.sliding_window_view(stream, taps, axis=1)[..., ::-1]
    f = af.SimplifiedKalman(taps, q=q, r=r, batch=(50,), **COMMON)
    w = f(x, (h * u).sum(-1) + np.sqrt(r) * v, record_every=20).w
    found = ((w - h[:, 19::20]) ** 2).sum(-1)[:, 75:].mean()
    assert 10 * np.log10(taps * (float(f.p.mean()) - q) / found) == pytest.approx(0, abs=0.5)


def test_the_simplified_kalman_filter_of_one_tap_is_the_kalman_filter() -> None:
    q, r = 0.03, 0.5
    prior = solve_discrete_are(np.eye(1), np.eye(1), q * np.eye(1), r * np.eye(1))[0, 0]
    f = af.SimplifiedKalman(1, q=q, r=r, **COMMON)
    f(np.ones(500), np.ones(500))
    assert float(f.p) == pytest.approx(prior, rel=1e-12)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_the_simplified_kalman_filter_keeps_its_error_positive_where_noise_is_lost_in_rounding(engine: str) -> None:
    x = 1e6 * np.random.default_rng(0).standard_normal(200).astype(np.float32)
    f = af.SimplifiedKalman(1, q=0.0, r=1e-6, engine=engine)
    w = f(x, 0.5 * x, record_every=1).w
    assert float(f.p) > 0
    np.testing.assert_allclose(w, 0.5, rtol=1e-5)


def test_the_simplified_kalman_filter_that_estimates_movement_finds_a_plant_again() -> None:
    x, d, h = room(50, 6000, 1e-3)
    f = af.SimplifiedKalman(M, q=None, r=1e-3, batch=(50,), **COMMON)
    curve = misalignment_db(f, x, d, h)
    assert mean_db(curve, 500, 700) < -39
    assert curve[-1] < -45.5
    assert misalignment_db(f, x, -d, -h)[24] < -38  # 500 samples after the change
    with pytest.raises(TypeError, match="q is read-only"):
        f.q = 0.1


def test_vss_nlms_is_as_fast_as_nlms_and_twenty_db_quieter() -> None:
    x, d, h = room(50, 6000, 1e-3)
    f = af.VSSNLMS(M, 1.0, c=1e-3 / M, batch=(50,), **COMMON)
    curve = misalignment_db(f, x, d, h)
    nlms = misalignment_db(af.NLMS(M, 1.0, batch=(50,), **COMMON), x, d, h)
    assert mean_db(curve, 60, 100) < mean_db(nlms, 60, 100) + 0.2
    assert mean_db(curve, 3000, 6000) < mean_db(nlms, 3000, 6000) - 20
    assert misalignment_db(f, x, -d, -h)[24] < -39


def test_a_step_size_that_is_a_state_is_switched_by_the_call() -> None:
    x, d, _ = room(1, 100, 0.1)
    f = af.KwongJohnston(M, 0.02, **COMMON)
    f(x[0], d[0])
    before = f.w.clone(), f.step_size.clone()
    f(x[0], d[0], mu=0.0)
    assert torch.equal(f.w, before[0])
    assert torch.equal(f.step_size, before[1])
    with pytest.raises(ValueError, match="mu must be 0 or 1"):
        f(x[0], d[0], mu=0.5)
    with pytest.raises(ValueError, match="mu must not require a gradient"):
        f.mu = torch.tensor(0.1, requires_grad=True)


def test_a_start_has_the_filters_precision() -> None:
    assert float(af.KwongJohnston(M, 0.01, **COMMON).step_size) == 0.01


@pytest.mark.parametrize("make", [af.KwongJohnston, af.AboulnasrMayyas, partial(af.MathewsXie, rho=1e-3)])
def test_the_bounds_of_a_step_are_in_their_order(make: Any) -> None:
    with pytest.raises(ValueError, match=r"mu_min must be at most mu_max, got 0\.5 and 0\.1"):
        make(4, 0.1, mu_min=0.5, mu_max=0.1)
    with pytest.raises(ValueError, match="mu_min must be at most mu_max, got tensor"):
        make(4, 0.1, mu_min=torch.tensor([0.1, 0.3]), mu_max=0.2, batch=2)
    make(4, 0.1, mu_min=0.1, mu_max=0.1)
