"""Published results of others (shared/peers.md), which our filters must reproduce."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

import adaptfilt as af


def padasip_data(third: float = -4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, desired samples and initial weights of padasip 1.2.2's tests/filters.py; its newer tests have -1."""
    random = np.random.RandomState(100)
    x = random.normal(0, 1, (100, 4))
    v = random.normal(0, 0.1, 100)
    d = 2 * x[:, 0] + 0.1 * x[:, 1] + third * x[:, 2] + 0.5 * x[:, 3] + v
    return x, d, random.normal(0, 0.5, 4)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
@pytest.mark.parametrize(
    ("make", "third", "total"),
    [
        (lambda **k: af.LMS(4, 0.1, **k), -4, 18.199308184867885),
        (lambda **k: af.NLMS(4, 0.5, eps=0.01, **k), -4, 14.246570369497373),
        (lambda **k: af.RLS(4, 0.9, delta=0.001, **k), -4, 16.80842884997325),
        (lambda **k: af.AffineProjection(4, 0.5, order=5, eps=0.001, **k), -4, 15.105550229065491),
        (lambda **k: af.GNGD(4, 0.9, rho=0.1, eps=1.0, **k), -4, 16.622071160225627),
        (lambda **k: af.MathewsXie(4, 0.1, rho=0.001, **k), -4, 18.46303593650432),
        (lambda **k: af.Llncosh(4, 1.0, scale=3.0, **k), -4, 18.74164638623726),
        (lambda **k: af.LMF(4, 0.01, **k), -1, 16.611322392961064),
        (lambda **k: af.NLMF(4, 0.1, eps=0.001, **k), -1, 13.989262305958494),
        (lambda **k: af.GMCC(4, 0.3, shape=2.0, scale=0.03, **k), -1, 7.002285017142926),
        (lambda **k: af.SignSign(4, 0.1, **k), -1, 12.579327704869938),
    ],
    ids=["LMS", "NLMS", "RLS", "AffineProjection", "GNGD", "MathewsXie", "Llncosh", "LMF", "NLMF", "GMCC", "SignSign"],
)
def test_padasip(make: Any, third: float, total: float, engine: str) -> None:
    x, d, w0 = padasip_data(third)
    f = make(w0=w0, dtype=torch.float64, engine=engine)
    assert f(x, d, regressors=True).y.sum() == pytest.approx(total, abs=1e-10)


def test_slicot_fd01ad() -> None:
    i = np.arange(1, 501)
    x, y = np.sin(0.3 * i), 0.5 * np.sin(0.3 * i) + 2 * np.sin(0.3 * (i - 1))
    f = af.RLS(2, 0.9801, delta=1e-6, dtype=torch.float64)
    np.testing.assert_allclose(f(x, y).w, [0.5, 2.0], atol=1e-6)


def test_slicot_conversion_factor() -> None:
    # FD01AD's 0.980099 is the root of the ratio of a posteriori to a priori error, from its two-stage lattice.
    i = np.arange(1, 501)
    x = np.sin(0.3 * i)
    f = af.RLS(2, 0.9801, delta=1e-6, dtype=torch.float64)
    f(x[:-1], x[:-1])
    u = torch.tensor([x[-1], x[-2]])
    q = (u @ f.P @ u).item()
    assert np.sqrt(0.9801 / (0.9801 + q)) == pytest.approx(0.980099, abs=6e-7)


def test_cmsis_signal_converge() -> None:
    # NLMS, 32 taps, mu 0.5, 1,536 samples; CMSIS passes where the minimum error is under 9e-5, here the maximum.
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 1536)
    h = np.hanning(34)[1:-1] * np.sinc(0.4 * (np.arange(32) - 15.5))
    d = lfilter(h / np.abs(h).sum(), 1, x)
    for dtype in (torch.float32, torch.float64):
        e = af.NLMS(32, 0.5, dtype=dtype)(x, d).e
        assert np.abs(e[-32:]).max() < 9e-5


@pytest.mark.parametrize("make", [lambda: af.RLS(15, 1.0), lambda: af.NLMS(15, 0.5)], ids=["RLS", "NLMS"])
def test_pyroomacoustics(make: Any) -> None:
    np.random.seed(0)  # noqa: NPY002 (as the published test does)
    h = np.random.randn(15)  # noqa: NPY002
    h /= np.linalg.norm(h)
    x = np.random.randn(2000)  # noqa: NPY002
    w = make()(x, lfilter(h, 1, x)).w
    assert np.linalg.norm(w - h) < 0.01


def rows_for_sklearn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((400, 5)), rng.standard_normal(400)
    return u, u @ [0.5, -1.0, 0.3, 0.2, -0.1] + 0.1 * v + 5.0 * (rng.random(400) < 0.05) * v


def learned(model: Any, u: np.ndarray, d: np.ndarray) -> np.ndarray:
    for row, wanted in zip(u, d, strict=True):
        model.partial_fit(row[None], [wanted])
    return model.coef_


def test_sklearn_huber() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="the peer scikit-learn is not installed")
    u, d = rows_for_sklearn()
    theirs = linear.SGDRegressor(
        loss="huber", epsilon=0.3, penalty=None, learning_rate="constant", eta0=0.02, fit_intercept=False
    )
    ours = af.HuberNLMS(5, 0.5, clip=0.3, eps=0.0, dtype=torch.float64)
    w = ours(u, d, mu=0.02 * (u**2).sum(-1), regressors=True).w  # a step that undoes the normalisation
    np.testing.assert_allclose(w, learned(theirs, u, d), rtol=1e-12)


def passive_aggressive(rate: str, price: float) -> Any:
    linear = pytest.importorskip("sklearn.linear_model", reason="the peer scikit-learn is not installed")
    pytest.importorskip("sklearn", minversion="1.8")  # before, it is a class of its own, deprecated since
    return linear.SGDRegressor(
        loss="epsilon_insensitive", epsilon=0.1, penalty=None, learning_rate=rate, eta0=price, fit_intercept=False
    )


@pytest.mark.parametrize(("squared", "rate"), [(False, "pa1"), (True, "pa2")])
def test_sklearn_passive_aggressive(squared: bool, rate: str) -> None:
    u, d = rows_for_sklearn()
    theirs = learned(passive_aggressive(rate, 0.05), u, d)
    ours = af.PassiveAggressive(5, 0.1, aggressiveness=0.05, squared=squared, dtype=torch.float64)
    np.testing.assert_allclose(ours(u, d, regressors=True).w, theirs, rtol=1e-12)


def test_sklearn_set_membership() -> None:
    u, d = rows_for_sklearn()
    theirs = learned(passive_aggressive("pa1", 1e10), u, d)
    ours = af.SetMembershipNLMS(5, 0.1, eps=1e-30, dtype=torch.float64)
    np.testing.assert_allclose(ours(u, d, regressors=True).w, theirs, rtol=1e-12)
