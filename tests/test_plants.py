import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import butter, freqz, lfilter
from scipy.special import j0

from adaptfilt import plants, signals

G168 = Path(__file__).parents[2] / "shared" / "data" / "g168_echo_paths.json"


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_linear_plants_are_lfilter(dtype):
    x, h = signals.white((2, 50), 0, dtype=dtype), signals.white(7, 1, dtype=dtype)
    b, a = butter(4, 0.3)
    assert_array_equal(plants.fir(h)(x), lfilter(h, [1.0], x))
    assert_array_equal(plants.iir(b, a)(x), lfilter(b, a, x))


def test_impulse_response_of_fir_is_cut_or_extended():
    h = [1.0, -0.5, 0.25, 0.1]
    assert_array_equal(plants.fir(h).impulse_response(2), h[:2])
    assert_array_equal(plants.fir(h).impulse_response(6), [*h, 0.0, 0.0])
    assert_array_equal(plants.fir([1j, 2.0]).impulse_response(2), [1j, 2.0])


def test_impulse_response_of_iir_has_its_frequency_response():
    b, a = butter(4, 0.3)
    h = plants.iir(b, a).impulse_response(400)
    assert_allclose(freqz(h)[1], freqz(b, a)[1], atol=1e-12)


@pytest.mark.parametrize("a", [[1.0, -1.0], [0.0, 1.0], [1.0, np.inf]])
def test_iir_refuses_an_unstable_denominator(a):
    with pytest.raises(ValueError, match="a must be"):
        plants.iir([1.0], a)


def test_fir_refuses_nan():
    with pytest.raises(ValueError, match="b must be finite"):
        plants.fir([1.0, np.nan])


def test_room_decays_as_stated():
    rt60, fs = 0.2, 8000.0
    rooms = np.array([plants.room(4000, rt60, seed, fs=fs).b for seed in range(30)])
    assert_allclose(np.linalg.norm(rooms, axis=1), 1.0, rtol=1e-12)
    # Schroeder, "New method of measuring reverberation time", 1965: the energy integrated backwards
    energy = np.mean(np.cumsum(rooms[:, ::-1] ** 2, axis=1)[:, ::-1], axis=0)
    level = 10 * np.log10(energy / energy[0])
    use = (level < -5) & (level > -35)
    slope = np.polyfit(np.flatnonzero(use) / fs, level[use], 1)[0]
    assert_allclose(-60 / slope, rt60, rtol=0.03)


def test_room_counts_in_samples_and_refuses_no_decay():
    assert_array_equal(plants.room(50, 100.0, 0).b, plants.room(50, 0.0125, 0, fs=8000.0).b)
    with pytest.raises(ValueError, match="rt60"):
        plants.room(50, 0.0, 0)


def test_switching_changes_at_the_sample_and_keeps_the_past():
    x = signals.white((2, 60), 0)
    h, g = signals.white((2, 5), 1)
    switching = plants.Switching(plants.fir(h), plants.fir(g), at=25)
    d = switching(x)
    assert_array_equal(d[:, :25], lfilter(h, [1.0], x)[:, :25])
    assert_array_equal(d[:, 25:], lfilter(g, [1.0], x)[:, 25:])
    rows = np.where(np.arange(60)[:, None] < 25, h, g)
    assert_allclose(d, plants.TimeVarying(rows)(x), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_time_varying_is_the_sum_it_states(dtype):
    x, h = signals.white(20, 0, dtype=dtype), signals.white((20, 4), 1, dtype=dtype)
    expected = [sum(h[n, k] * x[n - k] for k in range(4) if n >= k) for n in range(20)]
    assert_allclose(plants.TimeVarying(h)(x), expected, atol=1e-13)


def test_time_varying_wants_a_row_for_every_sample():
    with pytest.raises(ValueError, match="x must have 3 samples"):
        plants.TimeVarying(np.ones((3, 2)))(np.ones(4))


@pytest.mark.parametrize("h", [[1, -2, 3], [1.0 + 1j, -2.0, 3.0]])
def test_random_walk_starts_at_h_and_takes_steps_of_the_stated_size(h):
    walk = plants.random_walk(h, step=0.01, samples=20_000, rng=0)
    assert_array_equal(walk.h[0], h)
    steps = np.diff(walk.h, axis=0)
    assert_allclose(np.sqrt(np.mean(np.abs(steps) ** 2, axis=0)), 0.01, rtol=0.03)
    assert np.max(np.abs(np.mean(steps[1:] * np.conj(steps[:-1]), axis=0))) < 0.03 * 0.01**2


def test_random_walk_without_steps_is_the_fir_plant():
    x = signals.white(100, 0)
    assert_allclose(plants.random_walk([1.0, -0.5], 0.0, 100, 0)(x), plants.fir([1.0, -0.5])(x), atol=1e-14)


def test_wiener_saturates_the_output_and_hammerstein_the_input():
    x = 3 * signals.white(200, 0)
    h = [1.0, 0.8, -0.5]
    wiener, hammerstein = plants.Wiener(plants.fir(h), 0.7), plants.Hammerstein(plants.fir(h), 0.7)
    assert_allclose(wiener(x), 0.7 * np.tanh(lfilter(h, 1.0, x) / 0.7), atol=1e-14)
    assert_allclose(hammerstein(x), lfilter(h, 1.0, 0.7 * np.tanh(x / 0.7)), atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_saturation_limits_the_modulus_keeps_the_phase_and_is_linear_when_small(dtype):
    x = signals.white(100, 0, dtype=dtype)
    y = plants.saturate(5 * x, 2.0)
    assert_allclose(np.abs(y), 2 * np.tanh(2.5 * np.abs(x)), atol=1e-14)
    assert_allclose(y / np.abs(y), x / np.abs(x), atol=1e-12)
    assert_allclose(plants.saturate(1e-5 * x), 1e-5 * x, rtol=1e-9)
    assert_array_equal(plants.saturate(np.zeros(3, dtype)), np.zeros(3))


def test_saturation_refuses_a_limit_of_zero():
    with pytest.raises(ValueError, match="limit"):
        plants.Wiener(plants.fir([1.0]), 0.0)([1.0])


def test_g168_scales_the_coefficients(tmp_path):
    file = tmp_path / "paths.json"
    file.write_text(json.dumps({"source": "a note", "D.9": {"gain": 0.5, "coefficients": [2, -4, 6]}}))
    assert_array_equal(plants.g168(file, "D.9").b, [1.0, -2.0, 3.0])
    with pytest.raises(ValueError, match=r"\['D.9'\], got 'source'"):
        plants.g168(file, "source")


@pytest.mark.skipif(not G168.exists(), reason="shared/data is absent")
@pytest.mark.parametrize("name", ["D.2", "D.3", "D.4", "D.5"])
def test_g168_paths_of_the_recommendation(name):
    record = json.loads(G168.read_text())[name]
    h = plants.g168(G168, name).impulse_response(len(record["coefficients"]))
    assert 64 <= h.size <= 128
    assert_allclose(h, record["gain"] * np.array(record["coefficients"]), rtol=1e-15)


@pytest.mark.parametrize("name", "ABC")
def test_proakis_channels_have_unit_energy(name):
    assert_allclose(np.sum(plants.proakis(name).b ** 2), 1, atol=0.005)


def test_proakis_channel_of_another_name():
    with pytest.raises(ValueError, match="name must be one of"):
        plants.proakis("D")


def test_multipath_has_the_stated_powers():
    h = np.array([plants.multipath([0.0, -10.0, -np.inf], seed).b for seed in range(4000)])
    assert_allclose(np.mean(np.abs(h) ** 2, 0), [10 / 11, 1 / 11, 0], rtol=0.06)
    assert_allclose(np.mean(h**2, 0), 0, atol=0.05)  # circular
    for profile in ([], [-np.inf], [[0.0]], [np.nan]):
        with pytest.raises(ValueError, match="profile_db must"):
            plants.multipath(profile, 0)


def test_fading_has_clarkes_autocorrelation():
    doppler, lags = 0.05, np.arange(0, 200, 20)
    h = np.array([plants.fading([0.0, -6.0], doppler, 200, seed).h for seed in range(3000)])
    power = np.array([1, 10**-0.6]) / (1 + 10**-0.6)
    r = np.mean(h[:, lags] * h[:, :1].conj(), 0)
    assert_allclose(r / power, np.stack(2 * [j0(doppler * lags)], -1), atol=0.08)
    assert_allclose(np.mean(h[:, 0, 0] * h[:, 0, 1].conj()), 0, atol=0.03)
    still = plants.fading([0.0], 0.0, 50, 0).h
    assert_allclose(still, np.broadcast_to(still[0], still.shape), rtol=1e-12)
    with pytest.raises(ValueError, match="doppler"):
        plants.fading([0.0], -0.1, 50, 0)


def test_a_fibre_loses_nothing_and_mixes_by_its_matrices():
    x = signals.white((3, 2, 400), 0, dtype=complex)
    x[..., -5:] = 0
    for fibre in (plants.polarisation(3, rng=1), plants.polarisation(2, angles=(0.6, 0.4))):
        y = fibre(x)
        assert_allclose(np.sum(np.abs(y) ** 2, (-2, -1)), np.sum(np.abs(x) ** 2, (-2, -1)), rtol=1e-12)
        back = fibre.after.conj().T @ y
        sent = fibre.before @ x
        assert_allclose(back[..., 0, :], sent[..., 0, :], atol=1e-12)
        assert_allclose(back[..., 1, fibre.delay :], sent[..., 1, : -fibre.delay], atol=1e-12)
    with pytest.raises(TypeError, match="either angles or rng"):
        plants.polarisation(1)
    with pytest.raises(ValueError, match="delay must be"):
        plants.polarisation(-1, rng=0)
