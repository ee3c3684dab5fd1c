"""The lookahead kernel by itself against the literal recursion in float64 or complex128."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from adaptfilt.engines.cpu import native
from adaptfilt.engines.cpu.lookahead import lookahead

REAL = {"float32": "float32", "float64": "float64", "complex64": "float32", "complex128": "float64"}
TOLERANCE = {"float32": 2e-5, "complex64": 2e-5, "float64": 1e-12, "complex128": 1e-12}  # of the largest entry
LMS, NLMS, SIGN_ERROR, LMF, ENERGY = range(5)
STEP = {LMS: 0.1, NLMS: 0.5, SIGN_ERROR: 0.01, LMF: 0.01}
TAPS = [1, 2, 3, 7, 8, 16, 33, 128, 300]
EPS = 0.01


def any_gain(e: Any, energy: Any, y: Any, d: Any, lag: Any, mu: Any, p: Any, s: Any) -> Any:
    """Choose among the gains by p[1]: one compiled kernel does for all."""
    size = abs(e)
    g = mu * e
    if p[1] == 1:
        g = mu / (p[0] + energy) * e
    if p[1] == 2:
        g = mu / size * e if size > 0 else mu * e
    if p[1] == 3:
        g = mu * size * size * e
    if p[1] == 4:
        g = mu * energy + (e - e)
    return g, s


def rich_gain(e: Any, energy: Any, y: Any, d: Any, lag: Any, mu: Any, p: Any, s: Any) -> Any:
    """Use all there is: two states, the output, the desired sample and the lag."""
    power = p[1] * s[0] + (1 - p[1]) * (abs(e) * abs(e))
    mean = p[1] * s[1] + (1 - p[1]) * (e * lag + y - d)
    return mu / (p[0] + energy + power) * (e + mean), (power, mean)


def rich_error(y: Any, d: Any, p: Any, s: Any) -> Any:
    return y + y, (d - y) / (1 + s[0])


def known(d: Any) -> Any:
    return d == d


def moving(mu: Any) -> Any:
    return mu != 0


@cache
def compiled(*functions: Any) -> tuple[Any, ...]:
    """Return kernel and functions compiled as they ship; None stays None."""
    from adaptfilt.engines.cpu import numba_memory, numba_vectors  # noqa: F401

    return tuple(None if f is None else native.compiled(f) for f in (lookahead, *functions))


def literal(x: Any, d: Any, mu: Any, leak: float, kind: int, w: Any) -> tuple[Any, Any, Any]:
    """Run the recursion of one row sample by sample in double precision; NaN in d leaves w alone."""
    return rows_literal(any_gain, None, x[None], None, 0, d, mu, leak, (EPS, kind), (), w)[:3]


def rows_literal(
    gain: Any, error: Any, x: Any, v: Any, shorter: int, d: Any, mu: Any, leak: float, p: Any, s: Any, w: Any,
    lag: Any = 0.0, path: Any = None, played: Any = (),
) -> tuple[Any, ...]:  # fmt: skip
    """Run the recursion of all rows sample by sample in double precision; NaN in d, and mu = 0, leave w and s alone."""
    double = np.promote_types(x.dtype, np.float64)
    x, v, d, w = (a.astype(double) for a in (x, x if v is None else v, d, w))
    rows, T = len(x), len(d)
    M = len(w) // rows
    y, e, heard = np.empty(T, double), np.empty(T, double), list(played)
    mu = np.broadcast_to(mu.astype(float), T)
    before = None
    for n in range(T):
        u, u_v = (np.array([a[q, n : n + M][::-1] for q in range(rows)]) for a in (x, v))
        for q in range(rows - shorter, rows):
            u[q, -1] = u_v[q, -1] = 0
        u, u_v = u.ravel(), u_v.ravel()
        lag = lag if before is None else u @ before.conj()
        before, out = u, w @ u
        heard.append(out)
        y[n], e[n] = (out, d[n] - out) if error is None else error(out, d[n], p, s)
        if path is not None:
            e[n] = d[n] - np.dot(path, heard[: -len(path) - 1 : -1])
        if not np.isnan(d[n]) and (mu[n] != 0 or kept_by_gain(gain)):
            g, s = gain(e[n], np.vdot(u_v, u_v).real, out, d[n], lag, mu[n], p, s)
            w = (1 - mu[n] * leak) * w + g * u_v.conj()
    return y, e, w, s


def kept_by_gain(gain: Any) -> bool:
    """Say whether mu = 0 by itself leaves all alone."""
    return gain is any_gain


def run(
    x: Any, d: Any, mu: Any, kind: int, w: Any, leak: float = 0.0, flags: tuple[bool, bool] = (False, False)
) -> tuple[Any, Any, Any]:
    """Run the compiled kernel of one row on a copy of w."""
    y, e, w, real = np.empty_like(d), np.empty_like(d), w.copy(), REAL[x.dtype.name]
    p = tuple(np.array([EPS, kind], real))
    leaky, gated = flags
    kernel, gain, valid, moves = compiled(any_gain, *((known, moving) if gated else (None, None)))
    mu, leakage, lag = np.atleast_1d(mu).astype(real), np.dtype(real).type(leak) if leaky else None, x.dtype.type(0)
    kernel(gain, None, valid, moves, x[None], None, (None,), None, d, mu, None, leakage, p, (), lag, w, y, e, None)
    return y, e, w


def noise(rng: np.random.Generator, n: int, dtype: str) -> Any:
    v = rng.standard_normal(n)
    return (v + 1j * rng.standard_normal(n) if "complex" in dtype else v).astype(dtype)


def assert_same(got: tuple[Any, ...], want: tuple[Any, ...], tolerance: float) -> None:
    for name, a, b in zip("yew", got, want, strict=True):
        scale = np.nanmax(np.abs(b), initial=1e-3)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize("kind", [LMS, NLMS, SIGN_ERROR, LMF], ids=["lms", "nlms", "sign", "lmf"])
@pytest.mark.parametrize(
    "dtype",
    ["float64", *(pytest.param(t, marks=pytest.mark.slow) for t in ("float32", "complex64", "complex128"))],
)
def test_equals_the_literal_loop_with_leak_gaps_and_a_step_per_sample(
    dtype: str, kind: int, rng: np.random.Generator
) -> None:
    for M in TAPS:
        for T in (1, 2, 5, 8, 64, 1000):
            x, d, w = noise(rng, T + M - 1, dtype), noise(rng, T, dtype), noise(rng, M, dtype) / M
            d[rng.random(T) < 0.2] = np.nan
            mu = STEP[kind] / (1 if kind == NLMS else M) * rng.random(T) * (rng.random(T) < 0.7)
            mu = mu.astype(REAL[dtype])
            got = run(x, d, mu, kind, w, 0.05, (True, True))
            assert_same(got, literal(x, d, mu, 0.05, kind, w), TOLERANCE[dtype])


@pytest.mark.parametrize("kind", [LMS, NLMS])
@pytest.mark.parametrize("M", TAPS)
def test_equals_the_literal_loop_with_one_step_size(M: int, kind: int, rng: np.random.Generator) -> None:
    x, d, w = noise(rng, 1003 + M - 1, "float32"), noise(rng, 1003, "float32"), noise(rng, M, "float32") / M
    mu = np.array([STEP[kind] / (1 if kind == NLMS else M)], "float32")
    assert_same(run(x, d, mu, kind, w), literal(x, d, mu, 0, kind, w), 2e-5)


def test_the_source_runs_uncompiled(rng: np.random.Generator) -> None:
    for M, T in [(1, 9), (3, 40), (8, 1), (19, 41), (40, 16)]:
        x, d, w = (noise(rng, n, "complex128") for n in (T + M - 1, T, M))
        d[::7], mu = np.nan, 0.2 * rng.random(T)
        y, e, w1 = np.empty_like(d), np.empty_like(d), w.copy()
        lookahead(  # as NumPy, which reads no further
            any_gain, None, known, moving, x[None], None, (None,), None, d, mu, None, 0.1, (EPS, NLMS), (), 0j,
            w1, y, e, None,
        )  # fmt: skip
        assert_same((y, e, w1), literal(x, d, mu, 0.1, NLMS, w), 1e-12)


COMPILED = pytest.mark.parametrize("native", [False, True], ids=["source", "compiled"])


def rows_of_weights(rng: np.random.Generator, M: int, longer: int, shorter: int, dtype: str) -> Any:
    w = noise(rng, (longer + shorter) * M, dtype) / (M * (longer + shorter))
    for q in range(longer, longer + shorter):
        w[q * M + M - 1] = 0
    return w


@COMPILED
@pytest.mark.parametrize("M", [2, 3, 7, 8, 9, 16, 33])
def test_several_rows_shorter_ones_lags_states_an_error_and_gates(M: int, native: bool, rng: Any) -> None:
    """Everything a rule may use at once, where regressors are one row of M and two of M - 1."""
    functions = (rich_gain, rich_error, known, moving)
    kernel, gain, error, valid, moves = compiled(*functions) if native else (lookahead, *functions)
    for T in (1, 7, 8, 9, 70) if native else (1, 9):
        x = noise(rng, 3 * (T + M - 1), "complex128").reshape(3, -1)
        d, w, lag = noise(rng, T, "complex128"), rows_of_weights(rng, M, 1, 2, "complex128"), 0.3 - 0.2j
        d[rng.random(T) < 0.2] = np.nan
        mu = 0.3 * rng.random(T) * (rng.random(T) < 0.7)
        p, s = (EPS, 0.9), (0.25, 0.5 + 0.1j)
        y, e, w1 = np.empty_like(d), np.empty_like(d), w.copy()
        given = x, None, (None,), (None, None), d, mu, True, 0.05, p, s, lag, w1, y, e, None
        s1 = kernel(gain, error, valid, moves, *given)
        *want, s2 = rows_literal(rich_gain, rich_error, x, None, 2, d, mu, 0.05, p, s, w, lag)
        assert_same((y, e, w1), want, 1e-12)
        np.testing.assert_allclose(s1, s2, rtol=1e-11)
        assert (w1.reshape(3, M)[1:, -1] == 0).all()


@COMPILED
@pytest.mark.parametrize("M", [1, 3, 8, 9, 33])
def test_two_rows_a_direction_and_a_path(M: int, native: bool, rng: Any) -> None:
    """Updates are made of v, and errors hear the outputs, those before the block too, through a path."""
    kernel, gain = compiled(any_gain) if native else (lookahead, any_gain)
    for T, S in ((1, 5), (9, 1), (70, 4), (70, 21)) if native else ((9, 5),):
        x, v = noise(rng, 4 * (T + M - 1), "complex128").reshape(2, 2, -1)
        d, w, played = (noise(rng, n, "complex128") for n in (T, 2 * M, S))
        path = noise(rng, S, "complex128") / S
        y, e, w1, mu = np.concatenate([played, np.zeros(T)]), np.empty_like(d), w.copy(), np.array([0.02 / M])
        p, lag = (EPS, float(NLMS)), 0j
        kernel(gain, None, None, None, x, v, (None, None), None, d, mu, True, None, p, (), lag, w1, y, e, path)
        want = rows_literal(any_gain, None, x, v, 0, d, mu, 0.0, p, (), w, 0j, path, played)
        assert_same((y[S:], e, w1), want[:3], 1e-12)
        np.testing.assert_array_equal(y[:S], played)


@pytest.mark.parametrize("M", [5, 32, 100])
def test_pieces_of_a_stream_give_the_same(M: int, rng: np.random.Generator) -> None:
    T = 1000
    x, d, w = noise(rng, T + M - 1, "float32"), noise(rng, T, "float32"), np.zeros(M, "float32")
    whole = run(x, d, 0.5, NLMS, w)
    for start, stop in [(0, 7), (7, 8), (8, 111), (111, 888), (888, 1000)]:
        y, e, w = run(x[start : stop + M - 1], d[start:stop], 0.5, NLMS, w)
        np.testing.assert_allclose(y, whole[0][start:stop], atol=1e-5)
        np.testing.assert_allclose(e, whole[1][start:stop], atol=1e-5)
    np.testing.assert_allclose(w, whole[2], atol=1e-5)


@pytest.mark.parametrize("M", [1, 6, 31, 64])
def test_frozen_it_is_a_fir_filter(M: int, rng: np.random.Generator) -> None:
    x, w = noise(rng, 500, "float32"), noise(rng, M, "float32")
    x[: M - 1] = 0
    d = np.full(500 - M + 1, np.nan, "float32")
    want = lfilter(w.astype(float), 1, x.astype(float))[M - 1 :]
    y, e, after = run(x, d, 0.5, NLMS, w, 0.1, (True, True))  # every sample is skipped, leakage included
    np.testing.assert_allclose(y, want, atol=2e-6 * np.abs(want).max())
    assert np.isnan(e).all()
    np.testing.assert_array_equal(after, w)
    y, e, after = run(x, 1e4 + want.astype("float32"), 0.0, LMS, w)
    np.testing.assert_allclose(y, want, atol=2e-6 * np.abs(want).max())  # however large d is
    np.testing.assert_array_equal(e, 1e4 + want.astype("float32") - y)
    np.testing.assert_array_equal(after, w)


def energy_of(x: Any, M: int, n: int) -> float:
    """Read the energy the kernel gives the gain at sample n off the one update made there: w = energy conj(u)."""
    T = len(x) - M + 1
    mu = np.zeros(T)
    mu[n] = 1
    w = run(x, np.zeros(T, x.dtype), mu, ENERGY, np.zeros(M, x.dtype))[2]
    k = np.argmax(np.abs(w))
    return float((w[k] / x[n : n + M][::-1].conj()[k]).real)


@pytest.mark.parametrize("signal", ["noise", "constant", "speech-like"])
def test_energies_are_true_to_1e_5_at_2048_taps(signal: str, rng: np.random.Generator) -> None:
    M = 2048
    x = noise(rng, 9000 + M - 1, "float32")
    if signal == "constant":  # every addition rounds the same way
        x[:] = 0.1
    elif signal == "speech-like":
        x *= 10 ** (2 * np.sin(np.arange(len(x)) / 700)).astype("float32")
    for n in (0, 1, 2039, 2040, 2047, 2048, 4095, 8999):
        true = np.sum(x[n : n + M].astype(float) ** 2)
        assert energy_of(x, M, n) == pytest.approx(true, rel=1e-5)


@pytest.mark.parametrize("M", [4, 9, 32, 45, 256])
def test_a_burst_leaves_no_trace(M: int, rng: np.random.Generator) -> None:
    T, loud = 1200, 333
    x = noise(rng, T + M - 1, "float32")
    x[loud + M - 1] = 1e6
    quiet = x.copy()
    quiet[loud + M - 1] = 0
    for n in (loud - 1, loud + M, loud + M + 1, T - 1):
        assert energy_of(x, M, n) == energy_of(quiet, M, n) == pytest.approx(np.sum(quiet[n : n + M] ** 2.0), rel=2e-6)
    assert energy_of(x, M, loud) == pytest.approx(1e12, rel=1e-6)
    gate = np.ones(T)
    gate[loud : loud + M] = 0  # no adaptation while the burst is in the window
    d, w = noise(rng, T, "float32"), np.zeros(M, "float32")
    got = run(x, d, 0.5 * gate, NLMS, w)
    want = literal(x, d, 0.5 * gate, 0, NLMS, w)
    calm = gate == 1
    assert_same((got[0][calm], got[1][calm], got[2]), (want[0][calm], want[1][calm], want[2]), 2e-5)


@pytest.mark.parametrize("M", [1, 8, 33])
def test_silence_stays_finite_and_leaves_the_weights_alone(M: int, rng: np.random.Generator) -> None:
    w = noise(rng, M, "float32")
    y, e, after = run(np.zeros(200 + M - 1, "float32"), np.ones(200, "float32"), 0.5, NLMS, w)
    assert (y == 0).all()
    assert (e == 1).all()
    np.testing.assert_array_equal(after, w)


def test_infinity_is_honoured(rng: np.random.Generator) -> None:
    x, d = noise(rng, 131, "float32"), noise(rng, 100, "float32")
    d[43] = np.inf
    y, e, w = run(x, d, 0.5, NLMS, np.zeros(32, "float32"))
    assert np.isfinite(y[:44]).all()
    assert np.isposinf(e[43])
    assert not np.isfinite(y[44:]).any()
    assert not np.isfinite(w).any()


def test_subnormal_numbers_are_zero_inside_and_only_there(rng: np.random.Generator) -> None:
    x = (rng.standard_normal(1031) * np.exp(-np.arange(1031) / 10)).astype("float32")
    d = (rng.standard_normal(1000) * np.exp(-np.arange(1000) / 10)).astype("float32")
    got, want = run(x, d, 0.5, NLMS, np.zeros(32, "float32")), literal(x, d, np.array([0.5]), 0, NLMS, np.zeros(32))
    assert_same(got, want, 2e-5)
    tail = np.abs(want[0]) < np.finfo("float32").tiny
    assert tail.any()
    np.testing.assert_allclose(got[0][tail], want[0][tail], rtol=0, atol=32 * np.finfo("float32").tiny)
    assert np.float32(1e-40) * np.float32(0.5) > 0


def test_finds_a_plant_to_rounding(rng: np.random.Generator) -> None:
    h = noise(rng, 15, "float32")
    h /= np.linalg.norm(h)
    x = noise(rng, 2014, "float32")
    w = run(x, lfilter(h, 1, x)[14:].astype("float32"), 0.5, NLMS, np.zeros(15, "float32"))[2]
    np.testing.assert_allclose(w, h, atol=1e-6)  # tap by tap, in the right order
