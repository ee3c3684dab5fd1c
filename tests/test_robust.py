"""Gains that are slopes of a published cost, and what they do to outliers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import adaptfilt as af

M = 8
COSTS: dict[str, tuple[Callable[..., Any], Callable[[Tensor], Tensor]]] = {  # of the error's magnitude
    "HuberNLMS": (
        lambda **k: af.HuberNLMS(1, 1.0, clip=0.7, eps=0.0, **k),
        lambda e: torch.nn.functional.huber_loss(e, 0 * e, delta=0.7, reduction="none"),
    ),
    "GMCC": (lambda **k: af.GMCC(1, 1.0, shape=2.0, scale=0.3, **k), lambda e: 1 - torch.exp(-0.3 * e**2)),
    "GMCC, 1.3": (lambda **k: af.GMCC(1, 1.0, shape=1.3, scale=0.6, **k), lambda e: 1 - torch.exp(-0.6 * e**1.3)),
    "GMCC, 4": (lambda **k: af.GMCC(1, 1.0, shape=4.0, scale=0.1, **k), lambda e: 1 - torch.exp(-0.1 * e**4)),
    "Llncosh": (lambda **k: af.Llncosh(1, 1.0, scale=1.7, **k), lambda e: torch.log(torch.cosh(1.7 * e)) / 1.7),
    "LLAD": (lambda **k: af.LLAD(1, 1.0, scale=1.7, **k), lambda e: e - torch.log(1 + 1.7 * e) / 1.7),
    "LMLS": (lambda **k: af.LMLS(1, 1.0, scale=1.7, **k), lambda e: (e**2 - torch.log(1 + 1.7 * e**2) / 1.7) / 2),
    "LMMN": (lambda **k: af.LMMN(1, 1.0, mix=0.3, **k), lambda e: 0.3 * e**2 / 2 + 0.7 * e**4 / 4),
    "NLMF": (lambda **k: af.NLMF(1, 1.0, eps=0.0, **k), lambda e: e**4 / 4),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("name", COSTS)
def test_a_step_is_the_slope_of_the_cost(name: str, dtype: torch.dtype) -> None:
    make, cost = COSTS[name]
    e = torch.linspace(-4, 4, 80, dtype=torch.float64)  # 0 is left out: a magnitude has no slope there
    size = e.abs().requires_grad_()
    cost(size).sum().backward()
    turned = e.to(dtype) * (torch.exp(1j * e) if dtype.is_complex else 1)
    f = make(dtype=dtype, batch=(80,), engine="reference")
    f(torch.ones(80, 1, dtype=dtype), turned.unsqueeze(-1))
    torch.testing.assert_close(f.w[:, 0], size.grad * turned / size.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "e"),
    [(name, e) for name in COSTS for e in (0.0, 1e-300, 1e200) if e < 1 or name not in ("LMLS", "LMMN", "NLMF")],
)  # the three are not for outliers
def test_no_error_is_too_small_or_too_large_for_a_robust_gain(name: str, e: float) -> None:
    f = COSTS[name][0](dtype=torch.float64, engine="reference")
    _, _, w = f(np.ones(1), np.array([e]))
    assert np.isfinite(w).all()
    assert e != 0 or not w.any()


def heard(outliers: float, runs: int = 40, samples: int = 8000) -> tuple[np.ndarray, ...]:
    """Return input, desired signal in noise 30 dB below it with a share of outliers 40 dB above it, and the plant."""
    rng = np.random.default_rng(1)
    h = rng.standard_normal(M) * np.exp(-np.arange(M) / 3)
    h /= np.linalg.norm(h)
    x, v, loud = rng.standard_normal((3, runs, samples))
    d = np.array([np.convolve(row, h)[:samples] for row in x]) + np.sqrt(1e-3) * v
    return x, d + 100 * loud * (rng.random(d.shape) < outliers), h


def misalignment_db(f: Any, x: np.ndarray, d: np.ndarray, h: np.ndarray) -> float:
    """Return the mean misalignment over the last quarter of the samples."""
    w = f(x, d, record_every=50).w
    return 10 * np.log10(((w - h) ** 2).sum(-1)[:, -(w.shape[1] // 4) :].mean())


ROBUST = {  # all of them LMS of step 0.02 for small errors
    "HuberNLMS": lambda **k: af.HuberNLMS(M, 0.02 * M, clip=0.05, **k),
    "HuberNLMS, clip follows": lambda **k: af.HuberNLMS(M, 0.02 * M, clip=None, **k),
    "GMCC": lambda **k: af.GMCC(M, 0.02 / (2 * 0.5), shape=2.0, scale=0.5, **k),
    "Llncosh": lambda **k: af.Llncosh(M, 0.02 / 20, scale=20.0, **k),
    "LLAD": lambda **k: af.LLAD(M, 0.02 / 20, scale=20.0, **k),
}


@pytest.mark.parametrize("name", ROBUST)
def test_outliers_do_little_to_a_robust_filter(name: str) -> None:
    make = ROBUST[name]
    common: dict[str, Any] = {"batch": (40,), "dtype": torch.float64, "engine": "reference"}
    clean, spoilt = (misalignment_db(make(**common), *heard(share)) for share in (0.0, 0.02))
    assert clean < -38
    assert spoilt < clean + 2.5
    lms = misalignment_db(af.LMS(M, 0.02, **common), *heard(0.02))
    assert lms > 5


@pytest.mark.parametrize(("dtype", "deviations"), [(torch.float64, 1.345), (torch.complex128, 1.631)], ids=str)
def test_the_bound_that_follows_is_hubers(dtype: torch.dtype, deviations: float) -> None:
    rng = np.random.default_rng(2)
    e = rng.standard_normal((200, 4000))
    if dtype.is_complex:
        e = (e + 1j * rng.standard_normal(e.shape)) / np.sqrt(2)
    common: dict[str, Any] = {"clip": None, "lam": 0.995, "batch": (200,), "dtype": dtype, "engine": "reference"}
    f, g = (af.HuberNLMS(4, 0.5, **common) for _ in range(2))
    f(0 * e, 3 * e)  # nothing but noise
    assert float(f.limit.mean()) == pytest.approx(3 * deviations, rel=0.01)
    g(0 * e, 3 * np.where(rng.random(e.shape) < 0.25 * (np.arange(4000) > 0), 1e6, e))
    assert 3 * deviations < float(g.limit.mean()) < 6 * deviations


def test_the_bound_that_follows_comes_back_after_silence_and_after_a_change() -> None:
    x, d, h = heard(0.0, samples=2000)
    common: dict[str, Any] = {"batch": (40,), "dtype": torch.float64, "engine": "reference"}
    f = af.HuberNLMS(M, 0.5, clip=None, **common)
    for scale in (1.0, 1e-3, 1e3):  # of d: the plant is another one, or the gain of a microphone
        f(0 * x, 0 * d)
        assert misalignment_db(f, x, scale * d, scale * h) < 20 * np.log10(scale) - 28
    with pytest.raises(TypeError, match="clip is read-only"):
        f.clip = 0.1


def test_limits_are_the_filters_that_they_name() -> None:
    x, d, _ = heard(0.0, 1, 300)
    common: dict[str, Any] = {"dtype": torch.float64, "engine": "reference"}
    for f, g in (
        (af.LMMN(M, 0.01, mix=1.0, **common), af.LMS(M, 0.01, **common)),
        (af.LMMN(M, 0.01, mix=0.0, **common), af.LMF(M, 0.01, **common)),
        (af.Llncosh(M, 0.01 / 1e-6, scale=1e-6, **common), af.LMS(M, 0.01, **common)),
        (af.Llncosh(M, 0.01, scale=1e9, **common), af.SignError(M, 0.01, **common)),
        (af.LLAD(M, 0.01, scale=1e12, **common), af.SignError(M, 0.01, **common)),
        (af.LMLS(M, 0.01, scale=1e12, **common), af.LMS(M, 0.01, **common)),
        (af.HuberNLMS(M, 0.5, clip=1e3, **common), af.NLMS(M, 0.5, **common)),
        (af.GMCC(M, 0.01 / 2e-9, shape=2.0, scale=1e-9, **common), af.LMS(M, 0.01, **common)),
    ):
        np.testing.assert_allclose(f(x[0], d[0]).w, g(x[0], d[0]).w, rtol=1e-6, err_msg=repr(f))


def test_lmls_finds_from_afar_what_lmf_cannot() -> None:
    x, d, h = heard(0.0, 1, 4000)
    common: dict[str, Any] = {"w0": h + 10, "dtype": torch.float64, "engine": "reference"}
    with pytest.raises(af.DivergenceError):
        af.LMF(M, 0.01, **common)(x[0], d[0])
    assert np.abs(af.LMLS(M, 0.01, scale=10.0, **common)(x[0], d[0]).w - h).max() < 0.05
