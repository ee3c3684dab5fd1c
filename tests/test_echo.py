"""Echo: delays found, detectors, two paths, and the canceller's levels on scenes made here."""

import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve, lfilter

import adaptfilt as af
from adaptfilt import echo, metrics

FS = 16000
G168 = Path(__file__).parents[2] / "shared" / "data" / "g168_echo_paths.json"


def speech(seconds: float, seed: int) -> np.ndarray:
    """A synthetic voice: pitch pulses or breath through three formants, in syllables with pauses."""
    rng, samples = np.random.default_rng(seed), int(seconds * FS)
    out, at = np.zeros(samples), 0
    while at < samples:
        size = int(rng.uniform(0.12, 0.35) * FS)
        if rng.random() > 0.2:
            pitch = rng.uniform(90, 220) * (1 + 0.1 * rng.standard_normal() * np.linspace(-1, 1, size)) / FS
            v = 1.0 * (np.cumsum(pitch) % 1 < pitch) if rng.random() < 0.7 else 0.1 * rng.standard_normal(size)
            for f, width in zip(rng.uniform([300, 900, 2200], [800, 2000, 3200]), (80, 120, 200), strict=True):
                r = np.exp(-np.pi * width / FS)
                v = lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * f / FS), r * r], v)
            v *= np.hanning(size) * rng.uniform(0.3, 1) / np.abs(v).max()
            out[at : at + size] += v[: samples - at]
        at += int(0.8 * size)
    out = lfilter([1, -1], [1, -0.98], out)  # a voice has nothing below its pitch
    return 0.3 * out + 1e-4 * rng.standard_normal(samples)


def segmental_snr_db(s: np.ndarray, out: np.ndarray) -> float:
    """Mean over segments of 30 ms in which s is heard, each within -10 to 35 dB."""
    segments = [v[: v.size // 480 * 480].reshape(-1, 480) for v in (s, out - s)]
    power, noise = ((v**2).mean(-1) for v in segments)
    heard = power > 1e-4 * power.max()
    return float(np.clip(10 * np.log10(power[heard] / (noise[heard] + 1e-12)), -10, 35).mean())


ROOM = 0.5 * af.plants.room(2000, 0.15, rng=1, fs=FS).b


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Far end, its echo with noise 40 dB below it, and a near end as loud as the echo."""
    x, near = speech(5, 0), speech(5, 1)
    heard = fftconvolve(x, ROOM)[: x.size]
    near *= np.linalg.norm(heard) / np.linalg.norm(near)
    return x, af.signals.add_noise(heard, 40.0, rng=2), near


# Delay


@pytest.mark.parametrize("late", [0, 1, 37, 480, -5])
def test_align_finds_a_delay_in_a_room_and_noise(late: int, rng: np.random.Generator) -> None:
    v = np.append(speech(1.5, 3), np.zeros(600))
    x, d = np.roll(v, max(-late, 0)), fftconvolve(np.roll(v, max(late, 0)), ROOM)[: v.size]
    d = np.append(0, 0.3 * d[1:]) + np.roll(v, max(late, 0)) + 1e-3 * rng.standard_normal(v.size)
    assert af.align(x, d, max_delay=600) == late
    assert af.align(torch.tensor(x), list(d), max_delay=600) == late
    assert af.align(x, 1e-6 * d, max_delay=600) == late


def test_align_of_silence_is_no_delay() -> None:
    assert af.align(np.zeros(100), np.ones(100), 10) == 0


@pytest.mark.parametrize(
    ("x", "d", "most", "says"),
    [
        (np.ones(50), np.ones(100), 50, "longer than max_delay, 50, got 50"),
        (np.ones((2, 50)), np.ones(100), 5, r"x must have shape \(T,\), got \(2, 50\)"),
        (np.ones(50), np.full(50, np.nan), 5, "d must be finite"),
        (np.ones(50), 1j * np.ones(50), 5, "d must be real"),
        (np.ones(50), np.ones(50), 0, "max_delay must be an integer >= 1"),
    ],
)
def test_align_refuses(x: Any, d: Any, most: int, says: str) -> None:
    with pytest.raises((ValueError, TypeError), match=says):
        af.align(x, d, most)


@pytest.mark.parametrize("late", [0, 37, 480, -5])
def test_a_tracker_follows_a_delay_in_any_split(late: int) -> None:
    v = speech(4, 3)
    x = np.roll(v, max(-late, 0))
    d = fftconvolve(np.roll(v, max(late, 0)), ROOM)[: v.size] + np.roll(v, max(late, 0))
    tracker, whole = echo.DelayTracker(600), echo.DelayTracker(600)
    for at, to in pairwise([0, 0, 1, 777, 3000, 20001, FS * 2]):
        tracker(x[at:to], d[at:to])
    assert tracker.delay == late == whole(x[: FS * 2], d[: FS * 2])
    assert torch.equal(tracker.cross, whole.cross)
    later = np.append(np.zeros(100), d[:-100])
    assert tracker(x[2 * FS :], later[2 * FS :]) == late + 100
    other = echo.DelayTracker(600)
    other.load_state_dict(tracker.state_dict())
    assert other.delay == late + 100
    assert tracker.reset().delay == 0


def test_a_tracker_refuses() -> None:
    tracker = echo.DelayTracker(10)
    with pytest.raises(ValueError, match="same length, got 5 and 6"):
        tracker(np.ones(5), np.ones(6))
    with pytest.raises(ValueError, match="forget must be"):
        echo.DelayTracker(10, forget=1.0)


# Stereo


def test_half_waves_make_two_channels_differ(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 2, 50))
    y = echo.decorrelate(x, 0.3)
    np.testing.assert_allclose(y[:, 0], np.where(x[:, 0] > 0, 1.3, 1) * x[:, 0])
    np.testing.assert_allclose(y[:, 1], np.where(x[:, 1] < 0, 1.3, 1) * x[:, 1])
    np.testing.assert_array_equal(echo.decorrelate(torch.tensor(x), 0.3), y)
    for bad, says in ((x[..., 0], r"x must have shape \(..., 2, T\)"), (x.astype(int), "real floats")):
        with pytest.raises((ValueError, TypeError), match=says):
            echo.decorrelate(bad)


def test_one_voice_in_two_loudspeakers_has_no_one_answer(rng: np.random.Generator) -> None:
    """As many taps as the far room has: the echo is gone, the paths are not found; with half waves they are."""
    far, paths = rng.standard_normal((2, 2, 16)) * np.exp(-np.arange(16) / 5)
    s = rng.standard_normal(40_000)
    x = np.stack([lfilter(g, 1, s) for g in far])
    missed = []
    for played in (x, echo.decorrelate(x, 0.5)):
        d = sum(lfilter(h, 1, v) for h, v in zip(paths, played, strict=True))
        f = af.RLS(16, 0.9999, inputs=2, dtype=torch.float64)
        e = f(played, d).e
        assert metrics.mse_db(e[-1000:]) < -60
        missed.append(metrics.misalignment_db(f.w.reshape(-1), paths.reshape(-1)))
    assert missed[0] > -20
    assert missed[1] < -60


# Detectors


def test_geigel_is_its_definition(rng: np.random.Generator) -> None:
    x, d = rng.standard_normal((2, 300))
    speaks = [abs(d[n]) > 0.5 * np.abs(x[max(n - 6, 0) : n + 1]).max() for n in range(300)]
    mu = [float(not any(speaks[max(n - 9, 0) : n + 1])) for n in range(300)]
    np.testing.assert_array_equal(echo.geigel(x, d, taps=7, hold=9), mu)
    assert torch.equal(echo.geigel(torch.tensor(x), torch.tensor(d), 7, hold=9), torch.tensor(mu, dtype=torch.float64))


def test_normalized_correlation_is_its_definition(rng: np.random.Generator) -> None:
    y = rng.standard_normal(300)
    d = y + np.repeat([0.0, 1.0, 0.0], 100) * rng.standard_normal(300)
    parts = [slice(max(n - 19, 0), n + 1) for n in range(300)]
    xi = np.array([np.sqrt(max((y[p] @ d[p]) / (d[p] @ d[p]), 0)) for p in parts])
    mu = echo.normalized_correlation(y, d, window=20)
    clear = np.abs(xi - 0.9) > 1e-9
    np.testing.assert_array_equal(mu[clear], (xi >= 0.9)[clear])
    assert mu[:100].all()
    assert mu[120:200].mean() < 0.2
    assert mu[220:].all()


def test_geigel_keeps_nlms_in_double_talk(scene: Any) -> None:
    x, d, near = (v[: 2 * FS] for v in scene)
    near = np.where(np.arange(x.size) < FS, 0, 3 * near)
    left = {}
    for name, mu in (("plain", None), ("geigel", 0.5 * echo.geigel(x, d + near, ROOM.size, threshold=0.7))):
        f = af.NLMS(ROOM.size, 0.5, eps=1e-2)
        left[name] = metrics.misalignment_db(f(x, d + near, mu=mu).w, ROOM)
    assert left["geigel"] < left["plain"] - 3


@pytest.mark.parametrize("function", [echo.geigel, echo.normalized_correlation])
def test_detectors_refuse_signals_that_differ(function: Any) -> None:
    with pytest.raises(ValueError, match="one shape"):
        function(np.ones(5), np.ones(6), 3)
    with pytest.raises(TypeError, match="both"):
        function(np.ones(5), torch.ones(5), 3)
    with pytest.raises(ValueError, match="must be an integer >= 1"):
        function(np.ones(5), np.ones(5), 0)
    with pytest.raises(TypeError, match=r"d must be real, got torch\.complex128"):
        function(np.ones(5), 1j * np.ones(5), 3)
    with pytest.raises(ValueError, match="must be finite"):
        function(np.append(np.ones(4), np.nan), np.ones(5), 3)


# Sections


@pytest.mark.parametrize("section", [echo.PreEmphasis, echo.DeEmphasis, echo.DCNotch])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sections_stream_and_resume(section: Any, dtype: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 500)).astype(dtype)
    whole = section(batch=2)(x)
    f = section(batch=2)
    parts = [f(x[:, a:b]) for a, b in ((0, 0), (0, 1), (1, 200))]
    g = section(batch=2)
    g.load_state_dict(f.state_dict())
    parts.append(g(torch.tensor(x[:, 200:])).numpy())
    np.testing.assert_array_equal(np.concatenate(parts, -1), whole)
    assert whole.dtype == dtype
    np.testing.assert_array_equal(g.reset()(x), whole)


def test_sections_are_their_transfer_functions(rng: np.random.Generator) -> None:
    x = rng.standard_normal(200)
    np.testing.assert_allclose(echo.PreEmphasis(0.8)(x), lfilter([1, -0.8], 1, x), atol=1e-12)
    np.testing.assert_allclose(echo.DeEmphasis(0.8)(x), lfilter([1], [1, -0.8], x), atol=1e-12)
    np.testing.assert_allclose(echo.DCNotch(0.9)(x), lfilter([0.95, -0.95], [1, -0.9], x), atol=1e-12)


def test_sections_refuse() -> None:
    with pytest.raises(ValueError, match=r"x must have shape \('T',\)|x must have shape \(\w*'T'"):
        echo.DCNotch()(np.ones((2, 3)))
    with pytest.raises(TypeError, match="real floats"):
        echo.DCNotch()(np.ones(3, np.int16))
    with pytest.raises(ValueError, match="radius"):
        echo.DCNotch(1.0)


# Two paths

BACKGROUNDS = [
    lambda: af.NLMS(64, 1.0, dtype=torch.float64),
    lambda: af.FDAF(64, 1.0, block=32, hop=16, dtype=torch.float64),
]


@pytest.mark.parametrize("make", BACKGROUNDS, ids=["NLMS", "FDAF"])
def test_two_paths_keep_double_talk_from_being_heard(make: Any, rng: np.random.Generator) -> None:
    x, h = rng.standard_normal(12000), 0.5 * af.plants.room(64, 30.0, rng=4).b
    near = np.where(np.arange(12000) // 2000 == 3, rng.standard_normal(12000), 0.01 * rng.standard_normal(12000))
    f, alone = af.TwoPath(make(), hop=256), make()
    _, e, w = f(x, lfilter(h, 1, x) + near)
    talk = slice(6000, 8000)
    heard, plain = (metrics.mse_db((v - near)[talk]) for v in (e, alone(x, lfilter(h, 1, x) + near).e))
    assert heard < plain - 30
    assert metrics.misalignment_db(w, h) < -30
    assert int(f.copies) > 0
    np.testing.assert_array_equal(w, f.w.numpy())


def test_two_paths_are_not_deceived_by_a_filter_that_adapts_every_sample(scene: Any) -> None:
    """Speech on speech as loud: NLMS follows the near end within a hop, and its errors are smaller than it deserves."""
    x, d, near = scene
    near, loud = np.where(np.arange(x.size) < 3 * FS, 0, near), slice(3 * FS, None)
    make = lambda: af.NLMS(2000, 0.3, eps=1e-3)  # noqa: E731
    left = {name: f(x, d + near).e - near for name, f in (("alone", make()), ("paths", af.TwoPath(make())))}
    erle = {name: metrics.erle_db(d[loud], e[loud]) for name, e in left.items()}
    assert erle["paths"] > erle["alone"] + 10


@pytest.mark.parametrize("make", BACKGROUNDS, ids=["NLMS", "FDAF"])
def test_two_paths_give_the_same_for_any_split_and_resume(make: Any, rng: np.random.Generator) -> None:
    x, d = rng.standard_normal((2, 1000))
    whole = af.TwoPath(make(), hop=64)
    y = whole(x, d).y
    f = af.TwoPath(make(), hop=64)
    parts = [f(x[a:b], d[a:b]).y for a, b in ((0, 0), (0, 1), (1, 130), (130, 333))]
    g = af.TwoPath(make(), hop=64)
    g.load_state_dict(copy.deepcopy(f.state_dict()))
    parts.append(g(x[333:], d[333:]).y)
    np.testing.assert_allclose(np.concatenate(parts), y, rtol=0, atol=1e-12)
    assert int(g.copies) == int(whole.copies)
    np.testing.assert_array_equal(whole.reset()(x, d).y, y)


def test_two_paths_set_a_failing_background_back(rng: np.random.Generator) -> None:
    x, h = rng.standard_normal(3000), np.array([0.5, -0.3, 0.2])
    f = af.TwoPath(af.NLMS(3, 0.5, dtype=torch.float64), hop=32)
    d = lfilter(h, 1, x) + 1e-3 * rng.standard_normal(3000)
    f(x[:2976], d[:2976])
    resets = int(f.resets)
    f.background.w = 10 * torch.ones(3)
    f(x[: 32 * 40], d[: 32 * 40], mu=np.zeros(32 * 40))
    assert int(f.resets) > resets
    assert metrics.misalignment_db(f.background.w, h) < -40


@pytest.mark.filterwarnings("ignore:LMS")  # which says so
def test_two_paths_survive_a_background_that_diverges(rng: np.random.Generator) -> None:
    x = rng.standard_normal(2000)
    f = af.TwoPath(af.LMS(8, 30.0, dtype=torch.float64), hop=32)
    y, _, w = f(x, x)
    assert int(f.resets) > 0
    assert np.isfinite(y).all()
    assert np.isfinite(w).all()


def test_two_paths_only_filter_in_eval_mode_and_refuse_whole(rng: np.random.Generator) -> None:
    x = rng.standard_normal(300)
    f = af.TwoPath(af.NLMS(4, dtype=torch.float64), hop=32)
    f(x, x)
    before = copy.deepcopy(f.state_dict())
    with pytest.raises(ValueError, match="d must be finite"):
        f(x, np.append(x[:-1], np.nan))
    assert all(torch.equal(v, before[k]) for k, v in f.state_dict().items())
    g = copy.deepcopy(f)
    np.testing.assert_allclose(f.filter(x), g.eval()(x, x).y, rtol=0, atol=1e-12)
    assert torch.equal(g.background.w, before["background.w"])
    with pytest.raises(ValueError, match="without a batch"):
        af.TwoPath(af.NLMS(4, batch=2))
    with pytest.raises(TypeError, match="adaptive filter"):
        af.TwoPath(3)
    with pytest.raises(ValueError, match="multiple of the filter's, 16"):
        af.TwoPath(af.FDAF(64, 1.0, block=32, hop=16), hop=24)


# The canceller: levels of AEC acceptance tests (ERLE 18 dB; segmental SNR 10 dB in double talk, 25 dB near end alone)


def canceller(**options: Any) -> Any:
    return af.EchoCanceller(FS, taps=2048, **options)


def test_an_echo_alone_is_gone(scene: Any) -> None:
    x, d, _ = scene
    half, ec = x.size // 2, canceller()
    out = ec(x, d)
    assert metrics.erle_db(d[half:], out[half:]) > 18
    linear = canceller(suppress=False, two_paths=False)
    assert metrics.erle_db(d[half:], linear(x, d)[half:]) > 15


def test_double_talk_passes(scene: Any) -> None:
    x, d, near = scene
    near = np.where(np.arange(x.size) < 2 * FS, 0, near)
    ec = canceller()
    out = ec(x, d + near)[ec.latency :]
    assert segmental_snr_db(near[2 * FS : out.size], out[2 * FS :]) > 10


def test_the_near_end_alone_passes(scene: Any) -> None:
    x, d, near = scene
    ec = canceller()
    ec(x[:FS], d[:FS])
    out = ec(np.zeros(2 * FS), near[: 2 * FS])[ec.latency :]
    assert segmental_snr_db(near[FS : out.size], out[FS:]) > 25
    assert segmental_snr_db(near[: out.size], canceller()(np.zeros(2 * FS), near[: 2 * FS])[ec.latency :]) > 25
    exact = af.EchoCanceller(FS, taps=256, high_pass=0)
    np.testing.assert_allclose(exact(np.zeros(FS), near[:FS])[ec.latency :], near[: FS - ec.latency], atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"suppress": False}, {"two_paths": False, "delay": 100, "high_pass": 0}])
def test_any_split_gives_the_same_and_the_state_resumes(options: Any, scene: Any) -> None:
    x, d = (v[:4000].astype("float32") for v in scene[:2])
    make = lambda: af.EchoCanceller(FS, taps=700, **options)  # noqa: E731
    whole = make()(x, d)
    ec, out = make(), []
    cuts = [0, 0, 1, 100, 128, 640, 1999]
    for a, b in pairwise(cuts):
        out.append(ec(x[a:b], d[a:b]))
    other = make()
    other.load_state_dict(copy.deepcopy(ec.state_dict()))
    out.append(other(x[1999:], d[1999:]))
    np.testing.assert_allclose(np.concatenate(out), whole, rtol=0, atol=0 if options.get("suppress", True) else 2e-6)
    np.testing.assert_array_equal(ec.reset()(x, d), whole)
    assert whole.dtype == np.float32


@pytest.mark.parametrize("options", [{}, {"suppress": False}, {"two_paths": False, "delay": 100, "high_pass": 0}])
def test_machine_code_does_what_the_stages_do(options: Any, scene: Any) -> None:
    """In one call and stage by stage, with a far end that begins, a path that changes, and a time without learning."""
    pytest.importorskip("rocket_fft")
    x, d = (v[:12_000].astype("float32") for v in scene[:2])
    d[6000:] = -d[6000:]
    quick, slow = (af.EchoCanceller(FS, taps=700, **options) for _ in range(2))
    slow._machine = lambda: None
    for a, b in pairwise([0, 1, 700, 8000, 8100, 12_000]):
        for ec in (quick, slow):
            ec.train(b != 8100)
        np.testing.assert_allclose(quick(x[a:b], d[a:b]), slow(x[a:b], d[a:b]), rtol=0, atol=1e-6)
    assert quick.__dict__["_compiled"] is not None
    assert slow.__dict__["_compiled"] is None
    mine, theirs = quick.state_dict(), slow.state_dict()
    n = int(mine["n"])
    for state in (mine, theirs):  # less what is over
        state["pending"], state["ready"] = state["pending"][:, :n], state["ready"][n:]
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
    quick.load_state_dict(copy.deepcopy(slow.state_dict()))
    quick.filter.A = 0.99  # and what is set later holds
    slow.filter.A = 0.99
    np.testing.assert_allclose(quick(x[:2000], d[:2000]), slow(x[:2000], d[:2000]), rtol=0, atol=1e-6)


def test_sixteen_bit_integers_and_tensors(scene: Any) -> None:
    x, d = (np.rint(32767 * v[:4000]).astype(np.int16) for v in scene[:2])
    out = af.EchoCanceller(FS, taps=512)(x, d)
    assert out.dtype == np.int16
    floats = af.EchoCanceller(FS, taps=512)(x / 32768.0, d / 32768.0)
    assert np.abs(out - 32768 * floats).max() <= 0.51
    tensors = af.EchoCanceller(FS, taps=512)(torch.tensor(x), torch.tensor(d))
    assert tensors.dtype == torch.int16
    np.testing.assert_array_equal(tensors, out)
    loud = np.full(4000, 32767, np.int16) * np.where(np.arange(4000) // 100 % 2, 1, -1).astype(np.int16)
    assert np.abs(af.EchoCanceller(FS, taps=64)(0 * loud, loud).astype(int)).max() <= 32768


def test_a_bulk_delay_is_taken_off(scene: Any) -> None:
    x, d = (v[: 2 * FS] for v in scene[:2])
    late = np.append(np.zeros(3000), d[:-3000])
    ec = af.EchoCanceller(FS, taps=2048, delay=3000, suppress=False)
    out = ec(x, late)
    assert metrics.erle_db(late[FS:], out[FS:]) > 10
    assert metrics.misalignment_db(ec.filter.w[:100], ROOM[:100]) < -3


def test_a_far_end_that_begins_before_its_echo_does_no_harm(rng: np.random.Generator) -> None:
    """Without noise the errors of the first frames are exactly zero: a Kalman filter takes that for certainty."""
    x = np.append(np.zeros(369), rng.uniform(-0.5, 0.5, 4000))
    d = np.append(np.zeros(33), 0.4 * x[:-33])
    out = af.EchoCanceller(8000, 256, suppress=False)(x, d)
    assert metrics.erle_db(d[-1000:], out[-1000:]) > 25


@pytest.mark.parametrize(
    "make", [lambda: af.FDKF(256), lambda: af.EchoCanceller(8000, 256, suppress=False)], ids=["FDKF", "canceller"]
)
def test_a_far_end_that_is_silent_first_does_no_harm(make: Any, rng: np.random.Generator) -> None:
    """Ten minutes of it, in which the microphone hears noise: nothing was learned, so nothing may have been ruled out.

    A Kalman filter whose uncertainty fades by itself, as A^2 does, is left with an ERLE of 0 dB for good.
    """
    pytest.importorskip("rocket_fft")
    v, h = 0.1 * rng.standard_normal(8000), 0.5 * af.plants.room(256, 0.05, rng=1, fs=8000).b
    noise = 1e-3 * rng.standard_normal(8000)
    d = fftconvolve(v, h)[: v.size] + noise
    f, at_once = make(), make()
    for _ in range(60):
        f(np.zeros(80_000), np.tile(noise, 10))
    left, want = (getattr(out, "e", out) for out in (f(v, d), at_once(v, d)))
    for part in (slice(2000, 3000), slice(7000, 8000)):
        assert metrics.erle_db(d[part], left[part]) > metrics.erle_db(d[part], want[part]) - 1
    assert metrics.erle_db(d[7000:], want[7000:]) > 20


def test_flush_gives_what_is_late_and_changes_nothing(scene: Any) -> None:
    """The end of a far end must not be heard as an echo that the microphone misses."""
    x, d = (v[: 4 * FS - 37] for v in scene[:2])
    ec = canceller()
    out, before = ec(x, d), copy.deepcopy(ec.state_dict())
    whole = np.append(out, ec.flush())[ec.latency :]
    assert whole.size == d.size
    assert metrics.erle_db(d[-2000:], whole[-2000:]) > 18
    assert all(torch.equal(v, before[k]) for k, v in ec.state_dict().items())
    assert canceller(suppress=False).flush().size == 0


def test_a_path_that_changes_is_found_again(scene: Any) -> None:
    x, d, _ = scene
    moved = 0.5 * af.plants.room(2000, 0.15, rng=9, fs=FS).b
    then = np.append(d[: 2 * FS], fftconvolve(x, moved)[2 * FS : x.size])
    ec = canceller(suppress=False, two_paths=False)
    out = ec(x, then)
    assert metrics.erle_db(then[4 * FS :], out[4 * FS :]) > 12


def test_a_new_path_is_noise_to_a_filter_that_is_sure_and_not_to_the_canceller(rng: np.random.Generator) -> None:
    """What the docstring of FDKF says: A = 1 never comes back, A = 0.9999 takes long; two paths alone do not help."""
    x = 0.1 * rng.standard_normal(8 * FS)
    rooms = [0.5 * af.plants.room(1000, 0.1, rng=seed, fs=FS).b for seed in (1, 9)]
    first, then = (fftconvolve(x, h)[: x.size] for h in rooms)
    d = af.signals.add_noise(np.where(np.arange(x.size) < 4 * FS, first, then), 45.0, rng=2)
    made = {
        "sure": af.FDKF(1024, A=1.0), "slow": af.FDKF(1024, A=0.9999), "default": af.FDKF(1024),
        "paths": af.TwoPath(af.FDKF(1024, A=0.9999)), "FDAF": af.FDAF(1024, 0.5),
    }  # fmt: skip
    left = {name: f(x, d).e for name, f in made.items()}
    left["canceller"] = af.EchoCanceller(FS, 1024, suppress=False)(x, d)
    before, soon, late = (
        {name: metrics.erle_db(d[at : at + FS], e[at : at + FS]) for name, e in left.items()}
        for at in (3 * FS, 5 * FS + FS // 2, 7 * FS)
    )
    assert min(before.values()) > 35
    assert soon["sure"] < 0
    assert late["sure"] < 0
    assert late["slow"] < 10
    assert late["paths"] < 10
    assert late["default"] > 18
    assert soon["canceller"] > 35
    assert late["FDAF"] > 35


@pytest.mark.skipif(not G168.exists(), reason="shared/data is absent")
def test_g168_2a_and_2b() -> None:
    """ITU-T G.168: after 1 s at most -65 dBm0 for 9 s, and again after a change, which FDKF alone takes for noise."""
    pytest.importorskip("rocket_fft")
    fs, zero = 8000, 10 ** (-3.14 / 20) / np.sqrt(2)  # the rms value of 0 dBm0
    h = [af.plants.g168(G168, name).b for name in ("D.2", "D.3", "D.4", "D.5")]
    x = 10 ** (-10 / 20) * zero * np.random.default_rng(0).standard_normal(20 * fs)
    for first, then in zip(h, h[-1:] + h[:-1], strict=True):
        d = np.append(fftconvolve(x, first)[: 10 * fs], fftconvolve(x, then)[10 * fs : x.size])
        out = af.EchoCanceller(fs, 128, suppress=False)(x, d)
        e = af.FDKF(128, block=32, dtype=torch.float64)(x[: 10 * fs], d[: 10 * fs]).e
        for settled in (out[fs : 10 * fs], out[11 * fs :], e[fs:]):
            loudest = np.max(np.mean(settled[: settled.size // 280 * 280].reshape(-1, 280) ** 2, -1))  # over 35 ms
            assert 10 * np.log10(loudest) - 20 * np.log10(zero) < -65


def test_eval_does_not_adapt(scene: Any) -> None:
    x, d = (v[:4000] for v in scene[:2])
    ec = af.EchoCanceller(FS, taps=512).eval()
    before = copy.deepcopy(ec.filter.P)
    ec(x, d)
    assert not ec.filter.w.any()
    assert torch.equal(ec.filter.P, before)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"fs": 0}, "fs must be finite, >= 125"),
        ({"fs": 10}, "fs must be finite, >= 125"),
        ({"taps": 0}, "taps must be an integer >= 1"),
        ({"delay": -1}, "delay must be an integer >= 0"),
        ({"floor_db": 3.0}, "floor_db"),
        ({"high_pass": 9000.0}, "high_pass must be"),
        ({"hop": 64}, "the suppression goes with block=256"),
    ],
)
def test_the_canceller_refuses(options: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        af.EchoCanceller(**{"fs": FS, **options})


def test_torchs_default_device_does_not_reach_inside(scene: Any) -> None:
    x, d = (v[:3000] for v in scene[:2])
    want = af.EchoCanceller(FS, taps=300)(x, d)
    torch.set_default_device("meta")
    try:
        got = af.EchoCanceller(FS, taps=300)(x, d)
    finally:
        torch.set_default_device(None)
    np.testing.assert_array_equal(got, want)


def test_bad_signals_change_nothing(scene: Any) -> None:
    x, d = (v[:1000] for v in scene[:2])
    ec = af.EchoCanceller(FS, taps=300)
    ec(x, d)
    before = copy.deepcopy(ec.state_dict())
    for bad, says in (
        ((x, d[:-1]), "same length, got 1000 and 999"),
        ((x, np.append(d[1:], np.nan)), "d must be finite"),
        ((x[None], d), r"x must have shape \(T,\), got \(1, 1000\): a canceller takes one channel"),
        ((x.astype(int), d), "x must hold floats, got int64"),
        ((list(x), d), "x must be a NumPy array or a torch tensor"),
    ):
        with pytest.raises((ValueError, TypeError), match=says):
            ec(*bad)
    assert all(torch.equal(v, before[k]) for k, v in ec.state_dict().items())
