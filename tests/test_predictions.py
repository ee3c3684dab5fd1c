"""Learning curves and steady states: against draws that keep the assumptions, closed forms, and filters that run."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.linalg import toeplitz
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt import experiments, plants, signals, theory
from adaptfilt.theory import learning, projections

R6, H6 = 0.8 ** np.arange(6), np.array([0.5, -0.3, 0.2, 0.1, -0.2, 0.3])
WHITE = np.eye(1, 16)[0]


def drawn(problem, gain, mu, samples, leak=0.0, block=1, runs=20_000):
    """Run with regressors that are independent of each other; mean squared errors, deviations and mean weights."""
    dtype = complex if problem.is_complex else float
    rng, root, M = np.random.default_rng(0), np.linalg.cholesky(toeplitz(problem.r)), problem.h.size
    h, w, step = np.tile(problem.h, (runs, 1)).astype(dtype), np.zeros((runs, M), dtype), 0.0
    mse, msd, mean = [], [], []
    for n in range(samples):
        u = signals.white((runs, M), rng, dtype=dtype) @ np.conj(root.T)
        e = np.sum((h - w) * u, 1) + math.sqrt(problem.noise) * signals.white(runs, rng, dtype=dtype)
        mse.append(np.mean(np.abs(e) ** 2))
        step = step + (mu * gain(e, np.sum(np.abs(u) ** 2, 1)))[:, None] * np.conj(u)
        if (n + 1) % block == 0:
            w, step = (1 - mu * leak) * w + step, 0.0
        msd.append(np.mean(np.sum(np.abs(h - w) ** 2, 1)))
        mean.append(w.mean(0))
        if problem.walk:
            h = h + problem.walk * signals.white(h.shape, rng, dtype=dtype)
    return np.array(mse), np.array(msd), np.array(mean)


@pytest.mark.parametrize(
    ("moments", "gain", "mu", "options", "tolerance"),
    [
        (theory.learning.lms_moments, lambda e, n: e, 0.05, {}, 0.02),
        (theory.learning.lms_moments, lambda e, n: e, 0.05, {"leak": 0.4}, 0.02),
        (theory.learning.lms_moments, lambda e, n: e, 0.05, {"walk": 0.01}, 0.02),
        (theory.learning.lms_moments, lambda e, n: e, 0.05, {"is_complex": True}, 0.02),
        (theory.learning.nlms_moments, lambda e, n: e / n, 0.5, {}, 0.02),
        (theory.learning.nlms_moments, lambda e, n: e / n, 0.5, {"is_complex": True}, 0.02),
        (theory.learning.sign_error_moments, lambda e, n: np.sign(e), 0.01, {}, 0.02),
        (theory.learning.lmf_moments, lambda e, n: e**3, 0.002, {}, 0.02),
        (lambda p: theory.learning.nlms_moments(p, 3.0), lambda e, n: e / (3 + n), 0.5, {"walk": 0.01}, 0.02),
        (lambda p: theory.learning.block_moments(p, 5), lambda e, n: e, 0.01, {"block": 5}, 0.02),
    ],
    ids=["lms", "leaky", "walk", "complex", "nlms", "complex-nlms", "sign", "lmf", "eps", "block"],
)
def test_curves_are_those_of_independent_gaussian_regressors(moments, gain, mu, options, tolerance):
    r, h = R6, H6
    if options.get("is_complex"):
        r, h = R6 * 1j ** np.arange(6), H6 * 1j ** (np.arange(6) ** 2)
    of_problem = {name: value for name, value in options.items() if name in ("walk", "is_complex")}
    problem = theory.Problem(h, r, 0.05, **of_problem)
    leak, block = options.get("leak", 0.0), options.get("block", 1)
    found = theory.learn(problem, moments(problem), mu, 60, leak=leak, every=block)
    mse, msd, mean = drawn(problem, gain, mu, 60, leak, block)
    assert_allclose(found.msd, msd, rtol=tolerance)
    assert_allclose(found.mse, mse, rtol=3 * tolerance)
    assert_allclose(found.w, mean, rtol=0, atol=0.01)


@pytest.mark.parametrize("moments", [learning.lms_moments, learning.nlms_moments, learning.sign_error_moments])
@pytest.mark.parametrize("options", [{}, {"leak": 0.1}, {"every": 3}])
def test_curves_end_in_the_steady_state(moments, options):
    problem = theory.Problem(0.1 * H6, R6, 0.05, walk=0.001)
    curve = theory.learn(problem, moments(problem), 0.03, 9000, **options)
    steady = theory.settle(problem, moments(problem), 0.03, **options)
    assert_allclose(curve.msd[-300:].mean(), steady.msd, rtol=1e-2)
    assert_allclose(curve.mse[-300:].mean() - 0.05, steady.emse, rtol=1e-2)


@pytest.mark.parametrize("is_complex", [False, True])
def test_closed_forms_for_white_input(is_complex):
    problem = theory.Problem(0.1 * np.ones(16), 4.0 * WHITE, 0.01, is_complex=is_complex)
    found = theory.settle(problem, learning.lms_moments(problem), 0.004)
    assert_allclose(found.emse, theory.lms_emse(0.004, 16, 4.0, 0.01, problem.kurtosis), rtol=1e-10)
    assert_allclose(found.msd, found.emse / 4, rtol=1e-10)
    found = theory.settle(problem, learning.nlms_moments(problem), 0.6)
    assert_allclose(found.emse, theory.nlms_emse(0.6, 16, 0.01, is_complex=is_complex), rtol=1e-8)
    D, Q, N = learning.nlms_moments(problem)(0.0)
    assert_allclose(D, 1 / 16, rtol=1e-10)  # E[c^2 / |u|^2] and, below, E[|u|^2 c^2 / |u|^4]
    assert_allclose(Q.sum(1), 1 / 16, rtol=1e-10)
    assert_allclose(N, 0.01 / 16 / (4 * (15 if is_complex else 14) / 16) / 16, rtol=1e-10)
    one = theory.projection_steady(problem, 0.6, 1)
    assert_allclose(one.emse, found.emse, rtol=1e-8)  # of order 1, affine projection is NLMS


def test_nlms_of_any_colour_keeps_the_trace():
    problem = theory.Problem(H6, R6, 0.01)
    D, Q, _ = learning.nlms_moments(problem)(0.0)
    assert_allclose([D.sum(), Q.sum()], 1, rtol=1e-9)  # |u|^2 / |u|^2, and its square
    assert_allclose(Q.sum(1), D, rtol=1e-9)


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("walk", [0.0, 0.01])
@pytest.mark.parametrize("leak", [0.0, 0.1])
def test_blocks_that_do_not_overlap_are_block_lms(leak, walk, is_complex):
    problem = theory.Problem(H6, R6, 0.05, walk, is_complex)
    moments = learning.block_moments(problem, 4)
    side_by_side = theory.settle(problem, moments, 0.01, leak=leak, every=4)
    assert_allclose(theory.overlapped(problem, 0.01, 4, 4, leak=leak), side_by_side, rtol=1e-12)
    curve = theory.overlapped_curve(problem, 0.01, 4, 4, 201, leak=leak)
    expected = theory.learn(problem, moments, 0.01, 201, leak=leak, every=4)
    assert_allclose(curve.w, expected.w, atol=1e-13)
    close = 1e-12 if walk == 0 else 0.03  # where a block's own walk counts as one step at its end
    assert_allclose(curve.msd, expected.msd, rtol=close)
    assert_allclose(curve.mse, expected.mse, rtol=close)


@pytest.mark.parametrize(("block", "hop", "mu"), [(16, 8, 0.002), (16, 4, 0.002), (16, 1, 0.0005), (32, 8, 0.001)])
def test_overlapping_blocks_learn_and_settle_as_predicted(block, hop, mu):
    """Each sample is used block / hop times; without that the error is a half to a sixteenth of what filters have."""
    runs, samples, h = 200, 3000, 0.25 * np.ones(16)
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((runs, samples)), 0.1 * rng.standard_normal((runs, samples))
    d = lfilter(h, 1, x) + v
    options = {"block": block, "hop": hop, "normalized": False}
    learns = {"batch": runs, "dtype": torch.float64, "engine": "reference", **options}
    expected = theory.predict(af.FDAF(16, mu, **options), h, 1.0, noise=0.01, samples=samples)
    e = af.FDAF(16, mu, w0=np.tile(h, (runs, 1)), **learns)(x, d).e - v  # from the plant, where it settles
    found = np.mean(e[:, 1000:] ** 2, 1)
    assert_allclose(found.mean(), expected.emse, rtol=0.03, atol=3 * found.std() / math.sqrt(runs))
    f = af.FDAF(16, mu, **learns)
    f.filter(x[:, :64])  # its delay line is full
    w = f(x[:, 64:464], d[:, 64:464], record_every=1).w
    apart = np.linalg.norm(w.mean(0) - expected.learning.w[:400], axis=1)
    assert apart.max() < 0.03  # of a plant of norm 1
    stretches = np.mean(np.sum((w - h) ** 2, -1), 0).reshape(20, 20).mean(1)
    assert_allclose(stretches, expected.learning.msd[:400].reshape(20, 20).mean(1), rtol=0, atol=0.02)


def test_overlapping_blocks_follow_a_walk_and_leak():
    """As their curves end, with a plant that walks and weights that leak."""
    problem = theory.Problem(0.1 * H6, R6, 0.05, walk=0.001)
    curve = theory.overlapped_curve(problem, 0.01, 8, 2, 2000, leak=0.1)
    steady = theory.overlapped(problem, 0.01, 8, 2, leak=0.1)
    assert_allclose(curve.msd[-2:].mean(), steady.msd, rtol=2e-3)
    assert_allclose(curve.mse[-2:].mean() - 0.05, steady.emse, rtol=2e-3)


def test_leakage_biases_towards_zero():
    problem = theory.Problem(H6, R6, 0.0)
    w = theory.learn(problem, learning.lms_moments(problem), 0.02, 6000, leak=0.3).w[-1]
    R = toeplitz(R6)
    assert_allclose(w, np.linalg.solve(R + 0.3 * np.eye(6), R @ H6), rtol=1e-6)


def test_rls_goes_over_into_the_textbooks_for_long_memories():
    problem = theory.Problem(H6, R6, 1.0)
    for lam in (0.9999, 0.99999):
        found = theory.rls_steady(problem, lam)
        assert_allclose(found.emse, 6 * (1 - lam) / (1 + lam), rtol=3 * (1 - lam))
        assert_allclose(found.msd, (1 - lam) / (1 + lam) * np.trace(np.linalg.inv(toeplitz(R6))), rtol=3 * (1 - lam))
    assert theory.rls_steady(problem, 1.0).emse == 0.0
    assert theory.rls_steady(theory.Problem(H6, R6, 1.0, walk=0.1), 1.0).emse == math.inf


def test_affine_projection_of_unit_step_decorrelates():
    """mu = 1 on AR(1): regressors are white, noise is filtered once; errors are 1 + a^2 times as strong."""
    M, a = 400, 0.7
    problem = theory.Problem(np.ones(M), a ** np.arange(M), 1.0)
    found = theory.projection_steady(problem, 1.0, 2)
    let_in = M / (M - 3)
    assert_allclose(found.msd, let_in * (1 + a**2) / (1 - a**2), rtol=1e-6)
    assert_allclose(1 + found.emse, (1 + let_in) * (1 + a**2), rtol=1e-6)


def test_no_steady_state_is_infinite():
    problem = theory.Problem(np.ones(4), np.eye(1, 4)[0], 0.01)
    assert theory.settle(problem, learning.lms_moments(problem), 0.4).emse == math.inf
    assert theory.settle(problem, learning.nlms_moments(problem), 2.1).emse == math.inf
    assert theory.projection_steady(problem, 0.5, 4).emse == math.inf
    assert theory.fdaf_steady(problem, 9.0, 4, 0.9).emse == math.inf
    assert [theory.overlapped(problem, mu, 512, 1).emse for mu in (0.002, 0.004, 9.0)] == 3 * [math.inf]
    two = theory.Problem(np.ones(2), np.eye(1, 2)[0], 0.01)
    assert theory.settle(two, learning.nlms_moments(two), 0.5).msd == math.inf
    assert theory.settle(two, learning.nlms_moments(two, 0.1), 0.5).msd < 1


@pytest.mark.parametrize(
    ("f", "noise"),
    [
        (af.LMF(16, 0.1), 1e-3),
        (af.LMS(16, 0.5), 1e-3),
        (af.FDAF(16, 0.5, block=16, hop=4, normalized=False), 0.0),
    ],
    ids=["lmf", "lms", "overlap"],
)
def test_curves_of_filters_that_diverge_end_at_infinity(f, noise):
    found = theory.predict(f, np.ones(16), 1.0, noise=noise, samples=6000)
    assert isinstance(f, af.LMF) or found.emse == math.inf  # LMF rests where it starts near enough
    for curve in (found.learning.mse, found.learning.msd):
        assert np.isfinite(curve[0])
        assert np.isinf(curve[-1])
        assert np.all(np.diff(np.isinf(curve).astype(int)) >= 0)  # once and for all
    assert not any(np.isnan(curve).any() for curve in found.learning)


@pytest.mark.parametrize(
    ("f", "walk"),
    [
        (af.NLMS(16, 0.2, dtype=torch.float64), 0.0),
        (af.RLS(16, 0.98, dtype=torch.float64), 0.0),
        (af.RLS(16, 0.99, dtype=torch.float64), 1e-3),
        (af.AffineProjection(48, 0.3, 3, eps=1e-9, dtype=torch.float64), 0.0),
    ],
    ids=["nlms", "rls", "rls-walk", "ap"],
)
def test_filters_do_as_predicted(f, walk):
    """Within 3 %, and what 60 runs leave open; docs/theory.md has the table."""
    h = np.ones(f.w.shape[-1]) / 8

    def run(rng):
        x = signals.white(6000, rng)
        plant = plants.random_walk(h, walk, 6000, rng) if walk else plants.fir(h)
        v = 0.1 * signals.white(6000, rng)
        return x, plant(x) + v, v

    def make(batch):
        options = {"batch": batch, "dtype": torch.float64}
        if isinstance(f, af.NLMS):
            return af.NLMS(16, f.mu, **options)
        if isinstance(f, af.RLS):
            return af.RLS(16, f.lam, **options)
        return af.AffineProjection(48, f.mu, 3, eps=1e-9, **options)

    def excess(output, v):
        return {"emse": np.mean((output.e - v)[:, 1500:] ** 2, -1)}

    found = experiments.ensemble(make, run, 60, seed=3, measure=excess, progress=False)
    expected = theory.predict(f, h, 1.0, noise=0.01, walk=walk)
    assert_allclose(found.mean["emse"], expected.emse, rtol=0.03, atol=3 * found.std["emse"] / math.sqrt(60))
    assert_allclose(expected.mse, 0.01 + expected.emse)
    assert_allclose(expected.misadjustment, expected.emse / 0.01)


def test_what_a_plant_has_beyond_the_taps_counts_as_noise():
    h, r = np.array([0.5, 0.3, -0.2, 0.4]), 0.6 ** np.arange(4)
    found = theory.predict(af.LMS(2, 0.01), h, r, noise=0.1)
    x = signals.coloured(400_000, [1, -0.6], 0)
    d = lfilter(h, 1, x)
    assert_allclose(found.least - 0.1, np.mean((d - lfilter(theory.wiener_filter(x, d, 2), 1, x)) ** 2), rtol=0.02)
    same = theory.predict(af.LMS(2, 0.01), plants.fir(h), r, noise=0.1)
    assert same == found
    decays = theory.predict(af.LMS(2, 0.01), plants.iir([1.0], [1.0, -0.5]), 2.0, noise=0.1)
    assert_allclose(decays.least, 0.1 + 2 * 0.5**4 / 0.75, rtol=1e-9)


@pytest.mark.parametrize("walk", [1e-4, 1e-5])
def test_optimum_steps_of_slow_walks_are_the_textbooks(walk):
    h, s, r = 0.1 * np.ones(16), 0.04, 2.0
    best = theory.optimum_step(af.LMS(16, 0.1), h, r, noise=s, walk=walk)
    assert_allclose(best, walk / math.sqrt(s * r), rtol=0.05)
    best = theory.optimum_step(af.RLS(16), h, r, noise=s, walk=walk)
    assert_allclose(1 - best, walk * math.sqrt(r / s), rtol=0.05)
    for f in (af.NLMS(16), af.AffineProjection(16, order=2), af.FDAF(16, 0.5), af.SignError(16, 0.1)):
        best = theory.optimum_step(f, h, r, noise=s, walk=walk)
        problem = {"plant": h, "input": r, "noise": s, "walk": walk}
        least = [theory.predict(with_step(f, best * part), **problem).emse for part in (1, 0.9, 1.1)]
        assert least[0] <= min(least[1:]), f


def with_step(f, mu):
    options = {"order": f.order} if isinstance(f, af.AffineProjection) else {}
    return type(f)(f.w.shape[-1], mu, **options)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: theory.predict(af.SignData(4, 0.1), H6, 1.0, noise=0.1),
            "filter must be one that theory knows.*, got SignData",
        ),
        (lambda: theory.predict(af.LMS(4, 0.1, inputs=2), H6, 1.0, noise=0.1), "filter must have neither inputs"),
        (
            lambda: theory.predict(af.LMS(6, torch.tensor([0.1, 0.2]), batch=2), H6, 1.0, noise=0.1),
            "filter must have one mu",
        ),
        (lambda: theory.predict(af.FDAF(6, 0.1, block=2), H6, 1.0, noise=0.1), "filter must have one partition"),
        (lambda: theory.predict(af.FDAF(6, 0.1, constraint="none"), H6, 1.0, noise=0.1), "filter must be constrained"),
        (lambda: theory.predict(af.FDAF(6, 0.1, block=8, hop=4), H6, 1.0, noise=0.1), "filter must have hop = block"),
        (lambda: theory.predict(af.FDAF(6, 0.1, leak=0.1), H6, 1.0, noise=0.1), "filter must have no leak"),
        (lambda: theory.predict(af.LMF(6, 0.1, dtype=torch.complex64), H6, 1.0, noise=0.1), "filter must be real"),
        (lambda: theory.predict(af.LMS(4, 0.1), H6, [1.0, 0.5], noise=0.1), "input must have 6 lags"),
        (lambda: theory.predict(af.LMS(6, 0.1), H6, 1.0, noise=-1.0), "noise must be"),
        (lambda: theory.predict(af.LMS(6, 0.1), H6, 1.0, noise=0.1, walk=np.nan), "walk must be"),
        (lambda: theory.predict(af.LMS(6, 0.1), H6, np.ones(6), noise=0.1), "r must be that of an input that excites"),
        (lambda: theory.optimum_step(af.LMS(6, 0.1), H6, 1.0, noise=0.1, walk=0.0), "walk must be finite and positive"),
        (lambda: theory.optimum_step(af.LMS(6, 0.1), H6, 1.0, noise=0.0, walk=0.1), "noise must be positive"),
        (lambda: theory.Problem(H6, R6[:5], 0.1), "h and r must have one shape"),
    ],
)
def test_predictions_name_what_is_wrong(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_smoothed_power_without_spread_is_the_power_itself():
    A, C = projections._bin_moments(1 - 1e-9, 0.0)
    assert_allclose(A, 1 - math.exp(-1), rtol=2e-3)  # E min(X, 1), X exponential
    assert_allclose(C, 1 - 2 / math.e + 0.21938, rtol=5e-3)  # and E[X; X < 1] + E[1 / X; X > 1]
