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


# NIST StRD Longley: employment; deflator, GNP, unemployed, armed forces, population, year.
LONGLEY = np.array([
    [60323, 83.0, 234289, 2356, 1590, 107608, 1947], [61122, 88.5, 259426, 2325, 1456, 108632, 1948],
    [60171, 88.2, 258054, 3682, 1616, 109773, 1949], [61187, 89.5, 284599, 3351, 1650, 110929, 1950],
    [63221, 96.2, 328975, 2099, 3099, 112075, 1951], [63639, 98.1, 346999, 1932, 3594, 113270, 1952],
    [64989, 99.0, 365385, 1870, 3547, 115094, 1953], [63761, 100.0, 363112, 3578, 3350, 116219, 1954],
    [66019, 101.2, 397469, 2904, 3048, 117388, 1955], [67857, 104.6, 419180, 2822, 2857, 118734, 1956],
    [68169, 108.4, 442769, 2936, 2798, 120445, 1957], [66513, 110.8, 444546, 4681, 2637, 121950, 1958],
    [68655, 112.6, 482704, 3813, 2552, 123366, 1959], [69564, 114.2, 502601, 3931, 2514, 125368, 1960],
    [69331, 115.7, 518173, 4806, 2572, 127852, 1961], [70551, 116.9, 554894, 4007, 2827, 130081, 1962],
])  # fmt: skip
CERTIFIED = np.array([
    -3482258.63459582, 15.0618722713733, -0.0358191792925910, -2.02022980381683, -1.03322686717359,
    -0.0511041056535807, 1829.15146461355,
])  # fmt: skip


@pytest.mark.parametrize("engine", ["compiled", "reference"])
@pytest.mark.parametrize(
    ("cls", "delta", "digits"), [(af.RLS, 1e-14, 5.5), (af.QRRLS, 1e-18, 9.5), (af.QRRLS, 1e-22, 10.5)]
)
def test_nist_longley(cls: Any, delta: float, digits: float, engine: str) -> None:
    rows = np.column_stack([np.ones(16), LONGLEY[:, 1:]])
    unit = np.sqrt((rows**2).mean(0))
    w = cls(7, 1.0, delta=delta, dtype=torch.float64, engine=engine)(rows / unit, LONGLEY[:, 0], regressors=True).w
    assert -np.log10(np.abs(w / unit / CERTIFIED - 1)).max() > digits


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # filterpy 2 has another name for its fading filter
def test_filterpy_kalman() -> None:
    filterpy = pytest.importorskip("filterpy.kalman", reason="filterpy is not installed: its Kalman filter is a peer")
    rng = np.random.default_rng(0)
    x = rng.standard_normal(300)
    d = np.convolve(x, [0.5, -0.3, 0.1, 0.05])[:300] + 0.05 * rng.standard_normal(300)
    rows = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.zeros(3), x]), 4)[:, ::-1]
    random_walk, fading = filterpy.KalmanFilter(4, 1), filterpy.FadingKalmanFilter(0.97**-0.5, 4, 1)
    random_walk.Q, random_walk.R, random_walk.P = 1e-4 * np.eye(4), np.array([[0.0025]]), 10 * np.eye(4)
    fading.Q, fading.R, fading.P = np.zeros((4, 4)), np.array([[1.0]]), 10 * np.eye(4)
    ours = [
        af.Kalman(4, q=1e-4, r=0.0025, p0=10.0, dtype=torch.float64),
        af.RLS(4, 0.97, delta=0.1, dtype=torch.float64),
    ]
    for theirs, f in zip((random_walk, fading), ours, strict=True):
        theirs.F = np.eye(4)
        w = f(x, d, record_every=1).w
        for n in range(300):
            theirs.H = rows[n : n + 1]
            theirs.predict()
            theirs.update(d[n])
            np.testing.assert_allclose(w[n], np.asarray(theirs.x)[:, 0], rtol=1e-9, atol=1e-11)


def test_statsmodels_recursive_least_squares() -> None:
    sm = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed: its RecursiveLS is a peer")
    rng = np.random.default_rng(0)
    x = rng.standard_normal(303)
    d = np.convolve(x, [0.5, -0.3, 0.1, 0.05])[:303] + 0.05 * rng.standard_normal(303)
    rows, d = np.lib.stride_tricks.sliding_window_view(x, 4)[:, ::-1], d[3:]
    theirs = sm.RecursiveLS(d, rows).fit().recursive_coefficients.filtered.T
    for cls in (af.RLS, af.QRRLS):
        w = cls(4, 1.0, delta=1e-8, dtype=torch.float64)(rows, d, record_every=1, regressors=True).w
        np.testing.assert_allclose(w[20:], theirs[20:], atol=2e-9)


def test_sklearn_zero_attraction() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed: its SGD is a peer")
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1500, 4))
    d = rows @ [0.5, -0.3, 0.8, 0.4] + 0.05 * rng.standard_normal(1500)
    theirs = linear.SGDRegressor(
        penalty="l1", alpha=0.01, learning_rate="constant", eta0=0.02, fit_intercept=False, shuffle=False
    )
    f = af.ZALMS(4, 0.02, rho=0.02 * 0.01, w0=np.full(4, 0.1), dtype=torch.float64)
    theirs.coef_, theirs.intercept_ = np.full(4, 0.1), np.zeros(1)
    w = f(rows, d, record_every=1, regressors=True).w
    for n in range(1500):
        theirs.partial_fit(rows[n : n + 1], d[n : n + 1])
    np.testing.assert_allclose(w[-1], theirs.coef_, rtol=1e-10, atol=1e-12)


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


def test_dlib_krls_sinc() -> None:
    # examples/krls_ex.cpp: exp(-0.1 (x - y)^2), novelty 0.001, sinc at -10, -9, ..., 4; what it prints, but for 5.0,
    # which lies outside and hangs on rounding.
    f = af.KRLS(1, width=5**0.5, novelty=1e-3, budget=15)
    x = np.arange(-10.0, 5.0)
    f(x, np.sinc(x / np.pi))
    got = [f.predict(v) for v in (2.5, 0.1, -4.0, 5.0)]
    np.testing.assert_allclose(got[:3], [0.239362, 0.998333, -0.189201], atol=1e-6)
    assert got[3] == pytest.approx(-0.197267, abs=2e-4)


def test_kafbox_lorenz(data_folder: Any) -> None:
    if not (data_folder / "lorenz.dat").is_file():
        pytest.skip("kafbox's data/lorenz.dat is not among the recordings")
    x = np.loadtxt(data_folder / "lorenz.dat")
    e = af.KRLS(6, width=32.0, novelty=1e-4, budget=1000)(x[:-1], x[1:]).e
    assert 10 * np.log10(np.mean(e[1000:] ** 2)) == pytest.approx(-40.17, abs=0.5)
