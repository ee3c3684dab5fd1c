import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import lfilter

from adaptfilt import Constellation, signals


def ratio_db(a, b):
    return 10 * np.log10(np.sum(np.abs(a) ** 2, axis=-1) / np.sum(np.abs(b) ** 2, axis=-1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_white_has_unit_variance_and_flat_spectrum(dtype):
    x = signals.white(200_000, 1, dtype=dtype)
    assert x.dtype == dtype
    # standard errors are below .004
    assert_allclose(np.mean(np.abs(x) ** 2), 1.0, atol=0.015)
    assert abs(np.mean(x)) < 0.015
    for lag in range(1, 6):
        assert abs(np.mean(x[lag:] * np.conj(x[:-lag]))) < 0.015


def test_complex_white_is_circular():
    x = signals.white(200_000, 1, dtype=complex)
    assert abs(np.mean(x**2)) < 0.015
    assert_allclose(np.mean(np.abs(x) ** 4), 2.0, atol=0.05)  # of a circular Gaussian; 3 for a real one


def test_a_seed_and_its_generator_agree_and_a_generator_goes_on():
    rng = np.random.default_rng(7)
    first, second = signals.white((2, 5), rng), signals.white((2, 5), rng)
    assert_array_equal(first, signals.white((2, 5), 7))
    assert not np.array_equal(first, second)


def test_white_refuses_integers():
    with pytest.raises(ValueError, match="dtype"):
        signals.white(3, 0, dtype=int)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_coloured_has_the_autocorrelation_of_its_model(dtype):
    a = [1.0, -1.2, 0.5]
    x = signals.coloured((8, 50_000), a, 3, dtype=dtype)
    r = [np.mean(x[:, lag:] * np.conj(x[:, : 50_000 - lag])) for lag in range(6)]
    # Yule-Walker: r[k] = 1.2 r[k-1] - .5 r[k-2], r[1] / r[0] = 1.2 / 1.5
    expected = [1.0, 0.8]
    for _ in range(4):
        expected.append(1.2 * expected[-1] - 0.5 * expected[-2])
    assert_allclose(r, expected, atol=0.02)


def test_coloured_power_without_scaling():
    x = signals.coloured((8, 50_000), [1.0, -0.8], 3, unit_variance=False)
    assert_allclose(np.mean(x**2), 1 / (1 - 0.8**2), rtol=0.02)


def test_coloured_is_stationary_from_the_first_sample():
    x = signals.coloured((40_000, 3), [1.0, -0.9], 5)
    assert_allclose(np.mean(x**2, axis=0), 1.0, atol=0.03)  # started at rest it would begin with .19


def test_coloured_is_undone_by_its_inverse_filter():
    a = [2.0, -1.0, 0.3]
    v = lfilter(a, 1.0, signals.coloured(50_000, a, 5, unit_variance=False))[2:]
    assert_allclose([np.mean(v**2), np.mean(v[1:] * v[:-1]), np.mean(v[2:] * v[:-2])], [1, 0, 0], atol=0.03)


def test_coloured_with_complex_poles_rotates():
    x = signals.coloured(100_000, [1.0, -0.9j], 5, dtype=complex)
    assert_allclose(np.mean(x[1:] * np.conj(x[:-1])), 0.9j, atol=0.02)


def test_coloured_without_poles_is_white():
    assert_allclose(np.var(signals.coloured(100_000, [2.0], 0)), 1.0, atol=0.02)


@pytest.mark.parametrize("a", [[1.0, -1.0], [1.0, -2.0], [1.0, 0.0, 1.5], [0.0, 1.0], [1.0, np.nan]])
def test_coloured_refuses_what_is_not_stable(a):
    with pytest.raises(ValueError, match="a must be"):
        signals.coloured(10, a, 0)


def test_tones_are_lines_in_the_spectrum():
    x = signals.tones(1000, [50.0, 120.0], 1000.0, amplitudes=[2.0, 0.5], phases=[0.0, np.pi / 3])
    spectrum = np.fft.rfft(x) / 500
    expected = np.zeros(501, complex)
    expected[50], expected[120] = 2.0, 0.5 * np.exp(1j * np.pi / 3)
    assert_allclose(spectrum, expected, atol=1e-12)


def test_complex_tones_have_no_negative_frequencies():
    z = signals.tones(1000, [50.0, 120.0], 1000.0, dtype=np.complex64)
    assert z.dtype == np.complex64
    spectrum = np.fft.fft(z) / 1000
    assert_allclose(spectrum[[50, 120, 950, 880]], [1, 1, 0, 0], atol=1e-6)
    assert_allclose(z.real, signals.tones(1000, [50.0, 120.0], 1000.0), atol=1e-6)


@pytest.mark.parametrize("bits", [3, 7, 10])
def test_prbs_is_a_maximum_length_sequence(bits):
    period = 2**bits - 1
    x = signals.prbs(2 * period, bits)
    assert set(x) == {-1.0, 1.0}
    assert_array_equal(x[:period], x[period:])
    assert x[:period].sum() == 1.0
    # every window of `bits` samples but one occurs once a period, so no shorter period is possible
    windows = np.lib.stride_tricks.sliding_window_view(x, bits)[:period]
    assert len(np.unique(windows, axis=0)) == period
    spectrum = np.abs(np.fft.fft(x[:period])) ** 2
    assert_allclose(np.fft.ifft(spectrum).real, [period] + [-1] * (period - 1), atol=1e-9 * period)


@pytest.mark.parametrize("snr_db", [-20.0, 0.0, 30.0])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_noise_has_the_stated_ratio_in_every_signal(snr_db, dtype):
    d = signals.white((3, 400), 0, dtype=dtype) * np.array([[1e-3], [1.0], [1e3]])
    before = d.copy()
    noisy = signals.add_noise(d, snr_db, 1)
    assert noisy.dtype == dtype
    assert_allclose(ratio_db(d, noisy - d), snr_db, atol=1e-9)
    assert_array_equal(d, before)


def test_noise_is_white_and_independent_of_the_signal():
    d = signals.tones(100_000, 0.01)
    v = signals.add_noise(d, 0.0, 1) - d
    v /= np.std(v)
    assert abs(np.mean(v * d)) < 0.015
    assert abs(np.mean(v[1:] * v[:-1])) < 0.015


def test_noise_on_complex_signals_is_circular():
    d = signals.tones(100_000, 0.01, dtype=complex)
    v = signals.add_noise(d, 0.0, 1) - d
    assert abs(np.mean(v**2)) < 0.015


def test_noise_of_none_silence_and_precision():
    d = signals.white(10, 0, dtype=np.float32)
    assert signals.add_noise(d, 10.0, 0).dtype == np.float32
    assert_array_equal(signals.add_noise(d, np.inf, 0), d)
    assert_array_equal(signals.add_noise(np.zeros(10), 10.0, 0), np.zeros(10))
    assert signals.add_noise([1, -1, 1], 10.0, 0).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
@pytest.mark.parametrize("samples", [0, 1, 3, 7, 100])
def test_delay_puts_zeros_before_the_last_axis(samples, dtype):
    x = signals.white((2, 7), 0, dtype=dtype)
    expected = lfilter(np.eye(1, samples + 1, samples, dtype=dtype)[0], 1, x)
    late = signals.delay(x, samples)
    assert late.dtype == dtype
    assert_array_equal(late, expected)
    tensor = torch.from_numpy(x).requires_grad_()
    late = signals.delay(tensor, samples)
    assert late.requires_grad
    assert_array_equal(late.detach().numpy(), expected)


def test_delay_returns_a_copy_and_lets_nothing_through_but_x():
    x = np.array([np.inf, 1.0])
    late = signals.delay(x, 1)
    assert_array_equal(late, [0.0, np.inf])
    signals.delay(x, 0)[0] = 2.0
    assert x[0] == np.inf


@pytest.mark.parametrize(
    ("x", "samples", "error", "says"),
    [
        ([1.0], -1, ValueError, "samples must be an integer >= 0, got -1"),
        ([1.0], 0.5, TypeError, "samples must be an integer, got 0.5"),
        (1.0, 1, ValueError, "x must have time"),
    ],
)
def test_delay_names_what_is_wrong(x, samples, error, says):
    with pytest.raises(error, match=says):
        signals.delay(x, samples)


def test_symbols_are_of_a_constellation():
    with pytest.raises(TypeError, match=r"constellation must be an adaptfilt\.Constellation, got int"):
        signals.symbols(4, 100, rng=0)


def test_symbols_are_points_as_often_as_their_probabilities_say():
    p = np.array([0.4, 0.3, 0.2, 0.1])
    c = Constellation.qam(4, p)
    a = signals.symbols(c, (2, 100_000), 0)
    assert a.shape == (2, 100_000)
    counts = np.bincount(c.index(a).ravel()) / a.size
    assert_allclose(counts, p, atol=4 * np.sqrt(0.24 / a.size))  # four standard deviations
    assert np.isin(a, c.points).all()
    assert_array_equal(a, signals.symbols(c, (2, 100_000), 0))
    assert signals.symbols(Constellation.psk(2), 10, 0).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_upsampling_keeps_every_symbol_at_its_place(dtype):
    a = signals.white((2, 30), 0, dtype=dtype)
    x = signals.upsample(a, 3)
    assert x.dtype == dtype
    assert_array_equal(x[:, ::3], a)
    assert np.count_nonzero(x) == a.size
    with pytest.raises(ValueError, match="sps must be"):
        signals.upsample(a, 0)
    with pytest.raises(ValueError, match="x must have time"):
        signals.upsample(1.0, 2)


@pytest.mark.parametrize("sps", [2, 3, 8])
@pytest.mark.parametrize("rolloff", [0.0, 0.2, 0.25, 0.5, 1.0])
def test_two_pulses_are_a_raised_cosine_and_leave_symbols_alone(rolloff, sps):
    span = 400
    pulse = signals.root_raised_cosine(rolloff, sps, span)
    both = np.convolve(pulse, pulse)
    t = np.arange(-4 * sps, 4 * sps + 1) / sps
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.sinc(t) * np.cos(np.pi * rolloff * t) / (1 - (2 * rolloff * t) ** 2)
    expected = np.where(np.isfinite(expected), expected, np.pi / 4 * np.sinc(1 / (2 * max(rolloff, 0.1))))
    middle = 2 * span * sps
    assert_allclose(both[middle - 4 * sps : middle + 4 * sps + 1], expected, atol=1e-3 if rolloff == 0 else 1e-5)
    assert_allclose(np.sum(pulse**2), 1, rtol=1e-14)
    assert_array_equal(pulse, pulse[::-1])


@pytest.mark.parametrize(("rolloff", "span", "least"), [(0.2, 8, 40.5), (0.1, 16, 43)])
def test_pulses_shape_and_match(rolloff, span, least):
    """The interference that the docstring states."""
    a = signals.symbols(Constellation.qam(16), 2000, 0)
    pulse = signals.root_raised_cosine(rolloff, 4, span)
    received = np.convolve(np.convolve(signals.upsample(a, 4), pulse), pulse)[2 * span * 4 :: 4][: a.size]
    assert least < ratio_db(a, received - a) < least + 1


@pytest.mark.parametrize(
    ("change", "says"),
    [({"rolloff": 1.5}, "rolloff must be"), ({"sps": 0}, "sps must be"), ({"span": 0}, "span must be")],
)
def test_pulses_name_what_is_wrong(change, says):
    with pytest.raises(ValueError, match=says):
        signals.root_raised_cosine(**({"rolloff": 0.2, "sps": 2} | change))


def test_a_pulse_train_is_the_sum_of_its_pulses():
    a, pulse = signals.white((2, 7), 0, dtype=complex), signals.white(9, 1)
    x = signals.pulse_train(a, pulse, 3)
    assert x.shape == (2, 21)
    for m in range(21):
        expected = sum(a[:, k] * pulse[m - 3 * k] for k in range(7) if 0 <= m - 3 * k < 9)
        assert_allclose(x[:, m], expected, rtol=1e-12)


def test_an_offset_turns_and_a_walk_widens_the_line():
    x = np.ones((2, 5), np.float32)
    y = signals.off_carrier(x, 0.3)
    assert y.dtype == np.complex64
    assert_allclose(y, np.stack(2 * [np.exp(0.3j * np.arange(5))]), rtol=1e-6)
    z = signals.off_carrier(np.ones(400_000), walk=0.1, rng=0)
    assert z[0] == 1
    for lag in (1, 10, 50):  # the autocorrelation of a Lorentzian line
        assert_allclose(np.mean(z[lag:] * z[:-lag].conj()), np.exp(-0.005 * lag), atol=0.02)
    with pytest.raises(TypeError, match="walk needs rng"):
        signals.off_carrier(x, walk=0.1)
    with pytest.raises(ValueError, match="walk must be"):
        signals.off_carrier(x, walk=-0.1, rng=0)
