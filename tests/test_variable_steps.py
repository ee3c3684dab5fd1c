"""Gains with a state: variable steps against plain loops, and the figures of the literature."""

from typing import Any

import numpy as np
import pytest
import torch

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
