"""The lookahead kernel by itself against the literal recursion in float64 or complex128."""

from collections.abc import Callable
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


def any_gain(e: Any, energy: Any, mu: Any, p: Any) -> Any:
    """Choose among the gains by p[1]: one compiled kernel does for all."""
    size = abs(e)
    if p[1] == 1:
        return mu / (p[0] + energy) * e
    if p[1] == 2:
        return mu / size * e if size > 0 else mu * e
    if p[1] == 3:
        return mu * size * size * e
    if p[1] == 4:
        return mu * energy + (e - e)
    return mu * e


@cache
def compiled() -> tuple[Callable[..., None], Any]:
    """Return kernel and gain compiled as they ship."""
    from adaptfilt.engines.cpu import numba_vectors  # noqa: F401

    return native.compiled(lookahead), native.compiled(any_gain)


def literal(x: Any, d: Any, mu: Any, leak: float, kind: int, w: Any) -> tuple[Any, Any, Any]:
    """Run the recursion sample by sample in double precision; NaN in d leaves w alone."""
    double = np.promote_types(x.dtype, np.float64)
    x, d, w = x.astype(double), d.astype(double), w.astype(double)
    T, M = len(d), len(w)
    y, e, mu = np.empty(T, double), np.empty(T, double), np.broadcast_to(mu.astype(float), T)
    for n in range(T):
        u = x[n : n + M][::-1]
        y[n] = w @ u
        e[n] = d[n] - y[n]
        if not np.isnan(d[n]):
            w = (1 - mu[n] * leak) * w + any_gain(e[n], np.vdot(u, u).real, mu[n], (EPS, kind)) * u.conj()
    return y, e, w


def run(
    x: Any, d: Any, mu: Any, kind: int, w: Any, leak: float = 0.0, flags: tuple[bool, bool] = (False, False)
) -> tuple[Any, Any, Any]:
    """Run the compiled kernel on a copy of w."""
    y, e, w, real = np.empty_like(d), np.empty_like(d), w.copy(), REAL[x.dtype.name]
    p = tuple(np.array([EPS, kind], real))
    kernel, gain = compiled()
    leaky, skip = flags
    leakage = np.dtype(real).type(leak) if leaky else None
    kernel(gain, x, d, np.atleast_1d(mu).astype(real), leakage, skip or None, p, w, y, e)
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
    ["float32", pytest.param("float64", marks=pytest.mark.slow), pytest.param("complex64", marks=pytest.mark.slow),
     "complex128"],
)  # fmt: skip
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
        lookahead(any_gain, x, d, mu, 0.1, True, (EPS, NLMS), w1, y, e)  # as NumPy, which reads no further
        assert_same((y, e, w1), literal(x, d, mu, 0.1, NLMS, w), 1e-12)


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
