import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.linalg import toeplitz
from scipy.optimize import brentq
from scipy.signal import lfilter

from adaptfilt import LMS, NLMS, SignError, signals, theory

AR1 = 0.5 ** np.arange(32)  # autocorrelation of sqrt(.75) / (1 - .5 z^-1) driven by white noise


def equaliser_autocorrelation(width):
    """Haykin's channel, .5 [1 + cos(2 pi (n - 2) / W)] for n = 1, 2, 3, binary data, noise variance .001."""
    h = 0.5 * (1 + np.cos(2 * np.pi * (np.arange(1, 4) - 2) / width))
    r = np.zeros(11)
    r[:3] = np.correlate(h, h, "full")[2:]
    r[0] += 0.001
    return r


@pytest.mark.parametrize(("width", "spread"), [(2.9, 6.0782), (3.1, 11.1238), (3.3, 21.7132), (3.5, 46.8216)])
def test_haykins_equaliser_has_the_printed_eigenvalue_spread(width, spread):
    assert f"{theory.eigenvalue_spread(equaliser_autocorrelation(width)):.4f}" == f"{spread:.4f}"


def test_matlabs_maxstep_bound_of_the_mean():
    assert theory.max_step_mean(AR1) == 0.0625


def test_matlabs_maxstep_bound_of_the_mean_square():
    """The page's .0536 is an estimate from 50 random runs of 2000 samples, as are the bounds here."""
    bounds = []
    for seed in range(8):
        drive = np.sign(signals.white((50, 2000), seed))
        x = lfilter([math.sqrt(0.75)], [1.0, -0.5], drive)
        r = theory.autocorrelation(x, 32).mean(axis=0)
        _, vectors = np.linalg.eigh(toeplitz(r))
        modes = [lfilter(v, 1.0, x) for v in vectors.T[::4]]
        kurtosis = np.mean([np.mean(z**4, axis=-1) / np.mean(z**2, axis=-1) ** 2 for z in modes])
        bounds.append(theory.max_step_mean_square(r, kurtosis))
    assert abs(np.mean(bounds) - 0.0536) < 2 * np.std(bounds, ddof=1)
    assert np.std(bounds, ddof=1) < 0.0006


def test_matlabs_msepred_excess_error():
    emse = theory.lms_emse(0.008, 32, input_power=1.0, noise_power=0.01)
    assert_allclose(emse, 0.0014815, atol=5e-8)
    # scaling the input and the step against each other changes nothing
    assert_allclose(theory.lms_emse(0.002, 32, input_power=4.0, noise_power=0.01), emse, rtol=1e-14)


@pytest.mark.parametrize("kurtosis", [2.0, 3.0])
@pytest.mark.parametrize("r", [np.eye(1, 32)[0], AR1], ids=["white", "coloured"])
def test_mean_square_bound_against_the_exact_recursion(r, kurtosis):
    l = np.linalg.eigvalsh(toeplitz(r))

    def radius(mu):
        a = np.diag(1 - 2 * mu * l + (kurtosis - 1) * (mu * l) ** 2) + mu**2 * np.outer(l, l)
        return np.max(np.abs(np.linalg.eigvals(a)))

    exact = brentq(lambda mu: radius(mu) - 1.0, 1e-3, 0.2, xtol=1e-12)
    bound = theory.max_step_mean_square(r, kurtosis)
    assert bound == pytest.approx(exact, rel=1e-8) if r[1] == 0 else 0.9 * exact < bound < exact
    assert bound < theory.max_step_mean(r)


def recursion(r, mu, kurtosis=3.0):
    """The eigenvalues l and the matrix A of k <- A k + mu^2 s l, as the docstring of the bound has it."""
    l = np.linalg.eigvalsh(toeplitz(r))
    return l, np.diag(1 - 2 * mu * l + (kurtosis - 1) * (mu * l) ** 2) + mu**2 * np.outer(l, l)


@pytest.mark.parametrize(("dtype", "kurtosis"), [(np.float64, 3.0), (np.complex128, 2.0)])
@pytest.mark.parametrize("part", [0.1, 0.5])
def test_mean_square_bound_holds_for_independent_gaussian_regressors(dtype, kurtosis, part):
    """The claim is of the recursion; here regressors that keep its assumptions are drawn and follow it."""
    r = 0.8 ** np.arange(6)
    mu = part * theory.max_step_mean_square(r, kurtosis)
    l, A = recursion(r, mu, kurtosis)
    rng, root = np.random.default_rng(0), np.linalg.cholesky(toeplitz(r))
    v, k, measured, predicted = np.zeros((4000, 6), dtype), np.zeros(6), 0.0, 0.0
    for _ in range(600):
        u = signals.white((4000, 6), rng, dtype=dtype) @ root.T
        e = np.sum(v * u, axis=1) + 0.1 * signals.white(4000, rng, dtype=dtype)
        v -= mu * e[:, None] * np.conj(u)
        k = A @ k + mu**2 * 0.01 * l
        measured, predicted = measured + np.mean(np.sum(np.abs(v) ** 2, axis=1)), predicted + k.sum()
    assert_allclose(measured, predicted, rtol=0.02)


@pytest.mark.parametrize("r", [np.eye(1, 16)[0], 0.8 ** np.arange(16), equaliser_autocorrelation(3.5)])
def test_mean_bound_is_no_larger_than_the_exact_one(r):
    largest = np.linalg.eigvalsh(toeplitz(r))[-1]
    assert theory.max_step_mean(r) <= 2 / largest * (1 + 1e-12)
    assert np.abs(1 - 1.999 / largest * np.linalg.eigvalsh(toeplitz(r))).max() < 1  # I - mu R, up to 2 / lambda_max


def test_delay_lines_burst_below_the_mean_square_bound_and_nlms_does_not():
    """What the docstring warns of: the bound is not sufficient where regressors share their samples."""
    bound = theory.max_step_mean_square(0.8 ** np.arange(16))
    x = signals.coloured((200, 20_000), [1.0, -0.8], 0)
    rng = np.random.default_rng(1)
    d = lfilter(rng.standard_normal(16), 1, x) + 0.1 * rng.standard_normal(x.shape)

    def bursts(f):
        return np.sum(np.abs(f(x, d).e[:, 2000:]).max(axis=1) > 10)

    common = {"batch": 200, "dtype": torch.float64}
    assert 5 <= bursts(LMS(16, 0.3 * bound, **common)) <= 60
    assert bursts(LMS(16, 0.1 * bound, **common)) == bursts(NLMS(16, 1.0, **common)) == 0


def test_white_excess_error_is_the_limit_for_coloured_input_and_small_steps():
    r, s = 0.8 ** np.arange(16), 0.01
    for mu in (1e-3, 1e-4, 1e-5):
        l, A = recursion(r, mu)
        exact = l @ np.linalg.solve(np.eye(16) - A, mu**2 * s * l)
        assert_allclose(theory.lms_emse(mu, 16, 1.0, s), exact, rtol=10 * mu)
        assert_allclose(mu * 16 * s / 2, exact, rtol=12 * mu)


def test_sign_error_stays_by_the_noise_on_every_input():
    """The bound of its docstring, on input that would burst LMS, with a step hundreds of times too large for it."""
    x = signals.coloured(50_000, [1.0, -0.99], 0) * np.where(np.arange(50_000) % 5000 < 100, 30.0, 1.0)
    noise = 0.1 * signals.white(50_000, 1)
    d = lfilter([1.0, -0.5, 0.25], 1, x) + noise
    for mu in (1e-4, 0.01, 1.0):
        e = SignError(3, mu, dtype=torch.float64)(x, d).e
        energy = 3 * np.mean(x**2)  # of u, on average
        start = (1 + 0.25 + 0.0625) / (2 * mu * x.size)
        assert np.mean(np.abs(e)) <= np.mean(np.abs(noise)) + mu / 2 * energy + start


def steady_excess(mu, taps, noise_power, dtype, normalised):
    """Excess error, measured over 4000 filters whose regressors are independent, as the theory assumes."""
    rng = np.random.default_rng(0)
    v = np.zeros((4000, taps), dtype)  # weight error
    total = 0.0
    for n in range(400):
        u = signals.white((4000, taps), rng, dtype=dtype)
        e = np.sum(v * u, axis=1) + math.sqrt(noise_power) * signals.white(4000, rng, dtype=dtype)
        step = mu / np.sum(np.abs(u) ** 2, axis=1) if normalised else mu
        v -= (step * e)[:, None] * np.conj(u)
        total += np.mean(np.sum(np.abs(v) ** 2, axis=1)) if n >= 200 else 0.0
    return total / 200


@pytest.mark.parametrize(("dtype", "kurtosis"), [(np.float64, 3.0), (np.complex128, 2.0)])
def test_lms_excess_error_is_what_independent_regressors_give(dtype, kurtosis):
    measured = steady_excess(0.1, 6, 0.01, dtype, normalised=False)
    assert_allclose(measured, theory.lms_emse(0.1, 6, 1.0, 0.01, kurtosis), rtol=0.02)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_nlms_excess_error_is_what_independent_regressors_give(dtype):
    measured = steady_excess(0.5, 6, 0.01, dtype, normalised=True)
    assert_allclose(measured, theory.nlms_emse(0.5, 6, 0.01, is_complex=dtype is np.complex128), rtol=0.02)


def test_excess_error_is_infinite_beyond_the_bounds():
    bound = theory.max_step_mean_square(np.eye(1, 8)[0])
    assert math.isfinite(theory.lms_emse(0.999 * bound, 8, 1.0, 0.01))
    assert theory.lms_emse(1.001 * bound, 8, 1.0, 0.01) == math.inf
    assert theory.nlms_emse(2.0, 8, 0.01) == theory.nlms_emse(0.5, 2, 0.01) == math.inf
    assert math.isfinite(theory.nlms_emse(0.5, 2, 0.01, is_complex=True))


@pytest.mark.parametrize("mu", [0.01, 0.4, 1.5])
def test_time_constant_is_of_the_squared_mode(mu):
    tau = theory.time_constant(mu, 1.2)
    error = (1 - mu * 1.2) ** np.arange(10)  # steepest descent along one eigenvector
    assert_allclose(error**2, np.exp(-np.arange(10) / tau), rtol=1e-12)


def test_time_constant_at_the_ends():
    assert theory.time_constant(1.0, 1.0) == 0.0
    assert theory.time_constant(2.0, 1.0) == math.inf
    assert_allclose(theory.time_constant(1e-6, 2.0), 1 / (2 * 1e-6 * 2.0), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_correlations_are_the_sums_they_state(dtype):
    d, x = signals.white((2, 2, 20), 0, dtype=dtype)
    r, p = theory.autocorrelation(x, 25), theory.crosscorrelation(d, x, 25)
    assert r.dtype == p.dtype == dtype
    for k in range(25):
        assert_allclose(r[:, k], [sum(s[n] * np.conj(s[n - k]) for n in range(k, 20)) / 20 for s in x], atol=1e-14)
        assert_allclose(
            p[:, k],
            [sum(a[n] * np.conj(b[n - k]) for n in range(k, 20)) / 20 for a, b in zip(d, x, strict=True)],
            atol=1e-14,
        )


def test_correlations_refuse_lengths_that_differ():
    with pytest.raises(ValueError, match="d and x must have the same length, got 3 and 4"):
        theory.crosscorrelation(np.ones(3), np.ones(4), 2)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_wiener_solution_is_least_squares(dtype):
    rng = np.random.default_rng(0)
    x = np.concatenate([np.zeros(4), signals.coloured(200, [1.0, -0.7], rng, dtype=dtype), np.zeros(4)])
    d = signals.white(208, rng, dtype=dtype)
    u = np.stack([np.roll(x, k) for k in range(5)], axis=1)  # zeros at both ends: the biased estimate is exact
    expected = np.linalg.lstsq(u, d, rcond=None)[0]
    w = theory.wiener(theory.autocorrelation(x, 5), theory.crosscorrelation(d, x, 5))
    assert_allclose(w, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_wiener_solution_finds_the_plant_and_its_conjugation(dtype):
    h = signals.white(4, 1, dtype=dtype)
    x = signals.coloured(100_000, [1.0, -0.5], 2, dtype=dtype)
    w = theory.wiener(theory.autocorrelation(x, 4), theory.crosscorrelation(lfilter(h, 1.0, x), x, 4))
    assert_allclose(w, h, atol=1e-3)


def regressors(x, taps):
    """Rows u[n] = x[n], x[n-1], ..., with zeros before the block."""
    return np.stack([np.concatenate([np.zeros(k), x])[: x.size] for k in range(taps)], axis=-1)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize(("samples", "taps"), [(300, 1), (300, 7), (20, 12), (8, 12)])
def test_wiener_filter_is_least_squares_over_the_block(samples, taps, dtype):
    x = signals.coloured(samples, [1.0, -0.7], 0, dtype=dtype)
    d = signals.white(samples, 1, dtype=dtype)
    expected = np.linalg.lstsq(regressors(x, taps), d)[0]
    w = theory.wiener_filter(x, d, taps)
    assert w.dtype == dtype
    assert_allclose(w, expected, rtol=0, atol=1e-9)  # of weights up to 3


@pytest.mark.parametrize("h", [[0.5, -0.3, 0.1], [0.5, 0.3j, -0.1]])
def test_wiener_filter_finds_the_plant(h):
    x = signals.white(400, 0, dtype=np.result_type(*h))
    d = lfilter(h, 1, x)
    assert_allclose(theory.wiener_filter(x, d, 5), [*h, 0, 0], rtol=0, atol=1e-13)
    w = theory.wiener_filter(x, signals.add_noise(d, 20.0, 1), 5)
    assert 1e-4 < np.abs(w - [*h, 0, 0]).max() < 0.02


def test_wiener_filter_over_leading_axes_which_broadcast():
    x = signals.white((2, 1, 100), 0)
    d = signals.white((3, 100), 1)
    w = theory.wiener_filter(torch.from_numpy(x).requires_grad_(), torch.from_numpy(d), 4)
    assert w.shape == (2, 3, 4)
    for i, j in np.ndindex(2, 3):
        assert_allclose(w[i, j], theory.wiener_filter(x[i, 0], d[j], 4), rtol=0, atol=1e-14)


def test_wiener_filter_of_what_excites_too_little_is_the_shortest():
    last = np.eye(1, 50, 49)[0]  # an impulse in the last sample meets w[0] alone
    assert_allclose(theory.wiener_filter(last, 3 * last, 4), [3, 0, 0, 0], rtol=0, atol=1e-12)
    assert_allclose(theory.wiener_filter(np.zeros(50), last, 4), np.zeros(4))


@pytest.mark.parametrize(
    ("x", "d", "taps", "error", "says"),
    [
        (np.ones(4), np.ones(5), 2, ValueError, "x and d must have the same length, got 4 and 5"),
        (np.ones((2, 4)), np.ones((3, 4)), 2, ValueError, "x and d must have leading axes"),
        (np.ones(4), np.ones(4), 0, ValueError, "taps must be"),
        (np.ones(4), np.ones(4), 2.5, TypeError, "taps must be"),
        (["a"], np.ones(1), 1, TypeError, "x must hold numbers"),
        (np.ones(4), [[1.0], [1.0, 2.0]], 1, TypeError, "d must hold numbers"),
        (1.0, np.ones(1), 1, ValueError, "x must have at least one sample"),
        (np.ones(0), np.ones(0), 1, ValueError, "x must have at least one sample"),
        (np.ones(2), np.array([1.0, np.nan]), 1, ValueError, "d must be finite, got nan"),
    ],
)
def test_wiener_filter_names_what_is_wrong(x, d, taps, error, says):
    with pytest.raises(error, match=says):
        theory.wiener_filter(x, d, taps)
