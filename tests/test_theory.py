import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import toeplitz
from scipy.optimize import brentq
from scipy.signal import lfilter

from adaptfilt import LMS, NLMS, Constellation, DivergenceError, SignError, metrics, plants, signals, theory

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


def test_matlabs_maxstep_of_a_decision_feedback_equaliser():
    """Printed .1028: 8 + 5 taps, BPSK through [1 .8 .3], MATLAB's default stream; the traces of both lines add."""
    a = 1 - 2 * np.floor(2 * np.random.RandomState(5489).random_sample(1000))
    x = np.convolve(a, [1.0, 0.8, 0.3])
    forward, feedback = (theory.max_step_mean(theory.autocorrelation(s, M)) for s, M in ((x, 8), (a, 5)))
    assert f"{1 / (1 / forward + 1 / feedback):.4f}" == "0.1028"


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


@pytest.mark.parametrize("r", [np.eye(1, 16)[0], 0.8 ** np.arange(16), 0.9j ** np.arange(5)])
def test_exact_mean_bound_is_where_the_mean_stops_converging(r):
    bound = theory.max_step_mean_exact(r)
    modes = np.linalg.eigvalsh(toeplitz(r))
    assert_allclose(np.abs(1 - bound * modes).max(), 1, rtol=1e-12)
    assert bound >= theory.max_step_mean(r)
    if r[1] == 0:
        assert_allclose(bound, r.size * theory.max_step_mean(r), rtol=1e-14)


FINE = np.geomspace(0.001, 10, 81)  # 12 % apart


def simulated(cls, x, steps=FINE, **kwargs):
    def make(mu, batch):
        dtype = torch.complex128 if np.iscomplexobj(x) else torch.float64
        return cls(8, mu, batch=batch, dtype=dtype)

    return theory.simulate_max_step(make, steps, x, **kwargs)


def test_simulated_bound_of_nlms_is_two():
    """No input, however coloured, makes NLMS grow below 2, and every one does above."""
    with pytest.warns(UserWarning, match="does not converge"):
        found = simulated(NLMS, signals.coloured((10, 5000), [1.0, -0.5], 0))
    assert 2 / 1.2 < found < 2


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_simulated_bound_of_one_tap_and_constant_modulus_is_two(dtype):
    x = signals.prbs(2000) * np.ones(3)[:, None]
    x = x if dtype is np.float64 else x * np.exp(1j * np.arange(2000))

    def make(mu, batch):
        return LMS(1, mu, batch=batch, dtype=torch.complex128 if np.iscomplexobj(x) else torch.float64)

    assert theory.simulate_max_step(make, [1.5, 1.98, 2.02, 3.0, 1e9], x) == 1.98


def test_simulated_bound_is_below_that_of_independent_regressors_on_coloured_input_and_fits_a_single_filter():
    x = signals.coloured((20, 20_000), [1.0, -0.8], 0)
    r = 0.8 ** np.arange(8)
    found = simulated(LMS, x)
    assert theory.max_step_mean_square(r) / 20 < found < theory.max_step_mean_square(r)
    assert found == simulated(LMS, x, FINE[::-1])  # in any order
    d = lfilter([1.0, 0.5], 1, x) + 0.1 * signals.white(x.shape, 1)
    found, limit = simulated(LMS, x, d=d), 10 * np.sqrt(np.mean(d**2, axis=-1))

    def bursts(mu):
        try:
            return np.any(np.abs(LMS(8, mu, batch=20, dtype=torch.float64)(x, d).e).max(-1) > limit)
        except DivergenceError:
            return True

    assert not bursts(found)
    assert bursts(FINE[np.searchsorted(FINE, found) + 1])


def test_simulated_bound_is_zero_where_the_smallest_step_bursts_and_seeded():
    x = signals.white((4, 1000), 0)
    assert simulated(LMS, x, [5.0, 8.0]) == 0.0
    assert simulated(LMS, x[0], [1e-4, 1e-3]) == 1e-3

    def make(mu, batch):
        return LMS(1, 4 / mu, batch=batch, dtype=torch.float64)

    assert theory.simulate_max_step(make, [1.0, 40.0], x) == 0.0  # also where a larger one is well
    assert simulated(LMS, x, rng=1) == simulated(LMS, x, rng=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": []}, "steps must be positive"),
        ({"steps": [0.1, -0.1]}, "steps must be positive"),
        ({"x": np.ones((2, 2, 9))}, "x must have shape"),
        ({"limit": 0.0}, "limit be positive"),
        ({"d": np.ones(8)}, "d must have the shape of x"),
        ({"x": [np.nan, 1.0]}, "x must be finite"),
    ],
)
def test_simulated_bound_names_what_is_wrong(change, says):
    with pytest.raises(ValueError, match=says):
        theory.simulate_max_step(
            lambda mu, batch: LMS(2, mu, batch=batch), **({"steps": [0.1], "x": np.ones(9)} | change)
        )


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


def test_matlabs_mmseweights():
    """Printed with four decimals, for y = w^H u: QPSK, Eb/N0 20 dB, reference tap 3."""
    printed = [0.0005 - 0.0068j, 0.0103 + 0.0117j, 0.9694 - 0.0019j, -0.3987 + 0.2186j, 0.0389 - 0.1756j]
    h = [1.0, 0.5 * np.exp(1j * np.pi / 6), 0.1 * np.exp(-1j * np.pi / 8)]
    w, _ = theory.mmse_equalizer(h, taps=5, delay=2, noise=0.01 / 2)
    difference = w - np.conj(printed)
    assert np.abs([difference.real, difference.imag]).max() < 5.1e-5


@pytest.mark.parametrize(
    ("channel", "snr_db", "linear", "dfe"),
    [
        ("A", 10, -8.848, -9.853),
        ("A", 20, -17.442, -19.265),
        ("A", 30, -27.202, -29.192),
        ("B", 10, -4.732, -7.772),
        ("B", 20, -7.460, -15.281),
        ("B", 30, -10.093, -23.936),
        ("C", 10, -2.987, -6.024),
        ("C", 20, -5.287, -12.052),
        ("C", 30, -8.040, -19.857),
    ],
)
def test_infinite_equalisers_of_proakis_channels(channel, snr_db, linear, dfe):
    found = theory.mmse_infinite(plants.proakis(channel).b, 10 ** (-snr_db / 10))
    assert_allclose(10 * np.log10(found), [linear, dfe], rtol=0, atol=5.1e-4)


@pytest.mark.parametrize(
    ("channel", "linear", "dfe"), [("A", 0.018087, 0.011867), ("B", 0.179469, 0.029640), ("C", 0.296111, 0.062377)]
)
def test_finite_equalisers_of_proakis_channels(channel, linear, dfe):
    h = plants.proakis(channel).b
    assert_allclose(theory.mmse_equalizer(h, 31, 16, 0.01)[1], linear, rtol=0, atol=5.1e-7)
    assert_allclose(theory.mmse_equalizer(h, 16, 15, 0.01, feedback=15)[1], dfe, rtol=0, atol=5.1e-7)


def test_decision_feedback_equaliser_of_proakis_b():
    w, mse = theory.mmse_equalizer(plants.proakis("B").b, 8, 7, 0.01, feedback=2)
    printed = [-0.0133, 0.0190, 0.0045, -0.0804, 0.2316, -0.4766, 0.8204, 1.2173, -1.3260, -0.4955]
    assert_allclose(w, printed, rtol=0, atol=5.1e-5)
    assert f"{10 * np.log10(mse):.3f}" == "-15.242"


@pytest.mark.parametrize(("width", "least"), [(2.9, 0.0013756), (3.1, 0.0017524), (3.3, 0.0024741), (3.5, 0.0041555)])
def test_haykins_equaliser_has_the_printed_least_error(width, least):
    h = 0.5 * (1 + np.cos(2 * np.pi * (np.arange(1, 4) - 2) / width))
    assert_allclose(theory.mmse_equalizer(np.append(0.0, h), 11, 7, 0.001)[1], least, rtol=0, atol=5.1e-8)
    assert_allclose(theory.mmse_equalizer(h, 11, 6, 0.001)[1], least, rtol=0, atol=5.1e-8)


@pytest.mark.parametrize("noise", [0.1, 0.01, 1e-6])
@pytest.mark.parametrize("a", [0.5, 0.99, 1.0])
def test_infinite_equalisers_of_two_taps_in_closed_form(a, noise):
    B = 1 + a**2 + noise
    root = np.sqrt(noise * (noise + 2 * (1 + a**2)) + (1 - a**2) ** 2)  # of B^2 - 4 a^2
    expected = [noise / root, 2 * noise / (B + root)]
    assert_allclose(theory.mmse_infinite([1.0, a], noise), expected, rtol=1e-10)
    assert_allclose(theory.mmse_infinite([0.0, -1j, a], noise), expected, rtol=1e-10)  # a phase changes nothing


def test_printed_errors_of_the_two_tap_channel():
    assert_allclose(theory.mmse_infinite([1.0, 0.5], 0.1), [0.1102636, 0.0886164], rtol=0, atol=5.1e-8)
    assert_allclose(theory.mmse_infinite([1.0, 0.5], 0.01), [0.0130455, 0.0098690], rtol=0, atol=5.1e-8)


def test_long_equalisers_reach_the_infinite_ones_from_above():
    h, noise = [1.0, 0.4j, -0.2], 0.02
    linear, dfe = theory.mmse_infinite(h, noise)
    short, long = (theory.mmse_equalizer(h, M, M // 2, noise)[1] for M in (9, 121))
    assert short > 1.0001 * linear
    assert_allclose(long, linear, rtol=1e-12)
    assert_allclose(theory.mmse_equalizer(h, 60, 59, noise, feedback=2)[1], dfe, rtol=1e-12)


@pytest.mark.parametrize(("sps", "feedback"), [(1, 0), (1, 3), (2, 0), (2, 2), (3, 0)])
def test_equaliser_is_the_least_squares_solution_of_what_it_says(sps, feedback):
    """Simulated: complex asymmetric channel, y[n] made when x[n sps] arrives, symbols behind the delay fed back."""
    rng, N, taps, delay = np.random.default_rng(0), 60_000, 7, 3
    h = np.array([0.2 - 0.1j, 1.0, 0.5j, -0.3 + 0.2j, 0.1])
    a = (rng.choice([-1, 1], N) + 1j * rng.choice([-1, 1], N)) / np.sqrt(2)
    raised = np.zeros(N * sps, complex)
    raised[::sps] = a
    x = lfilter(h, 1, raised) + np.sqrt(0.02) * signals.white(N * sps, rng, dtype=complex)
    fed = [np.roll(a, delay + 1 + k)[:, None] for k in range(feedback)]
    rows = np.concatenate([regressors(x, taps)[::sps], *fed], -1)[50:]
    wanted = np.roll(a, delay)[50:]
    w, mse = theory.mmse_equalizer(h, taps, delay, 0.02, sps=sps, feedback=feedback)
    assert w.shape == (taps + feedback,)
    measured = np.mean(np.abs(wanted - rows @ w) ** 2)
    least = np.mean(np.abs(wanted - rows @ np.linalg.lstsq(rows, wanted)[0]) ** 2)
    assert_allclose(measured, mse, rtol=0.02)
    assert least <= measured < 1.001 * least


def test_half_symbol_spacing_inverts_exactly_without_noise():
    """From taps + 2 >= length of the channel in half symbols on (no common zeros); one tap fewer leaves an error."""
    h = [0.0, 0.3j, 1.0, 0.4, -0.2j, 0.1, 0.25]  # the output at odd samples
    assert theory.mmse_equalizer(h, 4, 2, 0.0, sps=2)[1] < 1e-25
    assert theory.mmse_equalizer(h, 3, 2, 0.0, sps=2)[1] > 1e-4


def test_feedback_beyond_the_channel_is_zero():
    w, mse = theory.mmse_equalizer([1.0, 0.5j], 2, 1, 0.1, feedback=5)
    assert_array_equal(w[2 + 1 :], np.zeros(4))
    assert_allclose(mse, theory.mmse_equalizer([1.0, 0.5j], 2, 1, 0.1, feedback=1)[1], rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: theory.mmse_equalizer([1.0, 0.5], 3, 4, 0.1), ValueError, "delay must be at most 3 symbols, got 4"),
        (lambda: theory.mmse_equalizer([1.0, 0.5], 3, -1, 0.1), ValueError, "delay must be"),
        (lambda: theory.mmse_equalizer([1.0, 0.5], 3, 1.5, 0.1), TypeError, "delay must be"),
        (lambda: theory.mmse_equalizer([1.0, 0.5], 0, 0, 0.1), ValueError, "taps must be"),
        (lambda: theory.mmse_equalizer([1.0, 0.5], 3, 0, -0.1), ValueError, "noise must be"),
        (lambda: theory.mmse_equalizer([1.0, 0.5], 3, 0, 0.1, sps=0), ValueError, "sps must be"),
        (lambda: theory.mmse_equalizer([1.0, 0.5], 3, 0, 0.1, feedback=-1), ValueError, "feedback must be"),
        (lambda: theory.mmse_equalizer([[1.0]], 3, 0, 0.1), ValueError, "h must have shape"),
        (lambda: theory.mmse_equalizer([np.inf], 3, 0, 0.1), ValueError, "h must be finite"),
        (lambda: theory.mmse_infinite([1.0], 0.0), ValueError, "noise must be"),
        (lambda: theory.mmse_infinite([[1.0]], 0.1), ValueError, "h must have shape"),
        (lambda: theory.mmse_infinite(["a"], 0.1), TypeError, "h must hold numbers"),
    ],
)
def test_equalisers_of_theory_name_what_is_wrong(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("noise", [0.3, 0.03])
@pytest.mark.parametrize(
    "c",
    [
        Constellation.psk(2), Constellation.psk(4), Constellation.psk(8), Constellation.pam(8), Constellation.qam(8),
        Constellation.qam(64), Constellation.qam(16, np.r_[0.4, np.full(15, 0.04)]),
    ],
    ids=["psk2", "psk4", "psk8", "pam8", "qam8", "qam64", "shaped"],
)  # fmt: skip
def test_symbol_errors_in_noise_are_those_of_theory(c, noise):
    a = signals.symbols(c, 400_000, 0)
    y = a + np.sqrt(noise) * signals.white(a.shape, 1, dtype=a.dtype)
    expected = theory.symbol_error_rate(c, noise)
    assert_allclose(metrics.ser(y, a, c), expected, rtol=4.5 / np.sqrt(4e5 * expected))


def test_symbol_errors_in_closed_form():
    """Printed for 16-QAM at 15 and 20 dB; QPSK as a grid and as a ring are one."""
    qam = Constellation.qam(16)
    assert_allclose(theory.symbol_error_rate(qam, 10**-1.5), 1.7782e-2, rtol=1e-4)
    assert_allclose(theory.symbol_error_rate(qam, 10**-2.0), 1.1616e-5, rtol=1e-4)
    for noise in (0.01, 0.1, 1.0):
        ring = theory.symbol_error_rate(Constellation.psk(4), noise)
        assert_allclose(ring, theory.symbol_error_rate(Constellation.qam(4), noise), rtol=1e-10)


def test_symbol_errors_of_what_has_no_formula():
    for c in (Constellation.qam(32), Constellation.apsk((4, 12), (1, 2.6)), Constellation([1, 1j, -1])):
        with pytest.raises(ValueError, match="constellation must be a grid or psk"):
            theory.symbol_error_rate(c, 0.1)
    with pytest.raises(ValueError, match="noise must be"):
        theory.symbol_error_rate(Constellation.qam(16), 0.0)
