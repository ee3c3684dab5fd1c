import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import erfc

from adaptfilt import Constellation, metrics, signals, theory


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_mse_of_a_constant_modulus_is_its_level(dtype):
    e = np.full((2, 50), 0.1, dtype) * np.array([[1], [10]], dtype)
    assert_allclose(metrics.mse_db(e), [-20.0, 0.0], atol=1e-5)
    assert metrics.mse_db(e).dtype == np.float64


def test_mse_takes_what_is_at_hand():
    assert metrics.mse_db([100, -100]) == 40.0
    assert_allclose(metrics.mse_db(np.array([-32768], np.int16)), 20 * np.log10(32768))  # abs overflows in int16
    graph = torch.tensor([0.1, -0.1], requires_grad=True) * 1.0
    assert_allclose(metrics.mse_db(graph), -20.0, atol=1e-6)
    assert_allclose(metrics.mse_db(torch.tensor([0.1j, 0.1]).conj()), -20.0, atol=1e-6)


@pytest.mark.parametrize("e", [[], 1.0, np.zeros((2, 0))])
def test_mse_refuses_no_samples(e):
    with pytest.raises(ValueError, match="e must have at least one sample"):
        metrics.mse_db(e)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_misalignment_is_the_relative_norm_with_the_shorter_padded(dtype):
    w, h = signals.white(5, 0, dtype=dtype), signals.white(8, 1, dtype=dtype)
    difference = np.sqrt(sum(abs(h[k] - (w[k] if k < 5 else 0)) ** 2 for k in range(8)))
    assert_allclose(metrics.misalignment_db(w, h), 20 * np.log10(difference / np.linalg.norm(h)), atol=1e-12)
    assert_allclose(metrics.misalignment_db(h, w), 20 * np.log10(difference / np.linalg.norm(w)), atol=1e-12)


def test_misalignment_is_nought_db_at_the_start_and_scales():
    h = signals.white(20, 0)
    assert metrics.misalignment_db(np.zeros(20), h) == 0.0
    assert_allclose(metrics.misalignment_db(0.99 * h, h), -40.0, atol=1e-9)
    assert_allclose(metrics.misalignment_db(1e6 * 0.99 * h, 1e6 * h), -40.0, atol=1e-9)


def test_misalignment_of_a_history_against_one_or_many_plants():
    history, h = signals.white((6, 3), 0), signals.white(4, 1)
    rows = [metrics.misalignment_db(w, h) for w in history]
    assert_array_equal(metrics.misalignment_db(torch.tensor(history), torch.tensor(h)), rows)
    drifting = signals.white((6, 3), 2)
    rows = [metrics.misalignment_db(w, g) for w, g in zip(history, drifting, strict=True)]
    assert_array_equal(metrics.misalignment_db(history, drifting), rows)


def test_erle_is_the_loss_of_level():
    d = signals.white((2, 1000), 0)
    e = d * np.array([[0.1], [2.0]])
    assert_allclose(metrics.erle_db(d, e), [20.0, -20 * np.log10(2)], atol=1e-12)
    assert_allclose(metrics.erle_db(d, e), metrics.mse_db(d) - metrics.mse_db(e), atol=1e-12)


def test_erle_refuses_lengths_that_differ():
    with pytest.raises(ValueError, match="d and e must have the same length, got 3 and 2"):
        metrics.erle_db(np.ones(3), np.ones(2))


def test_zeros_give_infinities_without_warnings():
    zero, one = np.zeros(3), np.ones(3)
    assert metrics.mse_db(zero) == -np.inf
    assert metrics.misalignment_db(one, one) == metrics.misalignment_db(zero, zero) == -np.inf
    assert metrics.misalignment_db(one, zero) == np.inf
    assert metrics.erle_db(one, zero) == metrics.erle_db(zero, zero) == np.inf
    assert metrics.erle_db(zero, one) == -np.inf
    assert_array_equal(metrics.learning_curve_db(zero, 2), np.full(3, -np.inf))


@pytest.mark.parametrize("window", [1, 4, 50])
def test_learning_curve_averages_runs_and_the_last_samples(window):
    e = signals.white((3, 2, 30), 0, dtype=complex)
    power = np.mean(np.abs(e) ** 2, axis=(0, 1))
    expected = [np.mean(power[max(0, n + 1 - window) : n + 1]) for n in range(30)]
    assert_allclose(metrics.learning_curve_db(e, window), 10 * np.log10(expected), atol=1e-9)


def test_learning_curve_of_one_run():
    assert_allclose(metrics.learning_curve_db(torch.tensor([1.0, 0.1, 0.01])), [0.0, -20.0, -40.0], atol=1e-6)


def test_learning_curve_reaches_any_floor_after_a_loud_start():
    e = np.concatenate([np.full(1000, 1e3), np.full(1000, 1e-9)])
    curve = metrics.learning_curve_db(e, window=100)
    assert_allclose(curve[:1000], 60.0, atol=1e-9)
    assert_allclose(curve[1100:], -180.0, atol=1e-6)


def test_learning_curve_refuses_an_empty_window():
    with pytest.raises(ValueError, match="window"):
        metrics.learning_curve_db([1.0], 0)


QAM, PSK2 = Constellation.qam(16), Constellation.psk(2)


@pytest.mark.parametrize(
    ("c", "snr_db", "expected"),
    [
        (QAM, 15, 1.7782e-2),
        (PSK2, 3, erfc(np.sqrt(10**0.3 / 2)) / 2),
        (Constellation.qam(4), 10, 1 - (1 - erfc(np.sqrt(5)) / 2) ** 2),
        (Constellation.pam(4), 10, 1.5 * erfc(1.0) / 2),  # of real noise: half the distance is sqrt(.2)
    ],
    ids=["qam16", "psk2", "qam4", "pam4"],
)
def test_error_rates_in_noise_are_those_in_closed_form(c, snr_db, expected):
    a = signals.symbols(c, (4, 250_000), 0)
    noise = 10 ** (-snr_db / 20) * signals.white(a.shape, 1, dtype=a.dtype)
    y = a + noise
    rate = metrics.ser(y, a, c)
    assert rate.shape == (4,)
    assert_allclose(rate.mean(), expected, rtol=4 / np.sqrt(1e6 * expected))  # four standard deviations
    assert_allclose(metrics.evm_db(y, a).mean(), metrics.mse_db(noise).mean(), atol=0.01)


def test_bits_go_wrong_one_by_one():
    a = signals.symbols(QAM, 400_000, 0)
    y = a + 10 ** (-18 / 20) * signals.white(a.shape, 1, dtype=complex)
    wrong_symbols, wrong_bits = metrics.ser(y, a, QAM), metrics.ber(y, a, QAM)
    assert 1e-4 < wrong_symbols < 1e-2
    assert_allclose(wrong_bits, wrong_symbols / 4, rtol=0.01)
    assert wrong_bits == np.mean(QAM.bits(y) != QAM.bits(a))
    assert metrics.ber(torch.from_numpy(a), torch.from_numpy(a), QAM) == 0
    other = Constellation(QAM.points, QAM.labels ^ 15)  # all bits inverted: as many are wrong
    assert metrics.ber(y, a, other) == wrong_bits


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_error_vector_magnitude_is_relative_to_the_mean_power(dtype):
    a = (3 * signals.symbols(QAM, (2, 5000), 0)).astype(dtype)
    y = a * np.array([[1.1], [1 + 0.01j]], dtype)
    assert_allclose(metrics.evm_db(y, a), [-20.0, -40.0], atol=1e-4)
    assert_allclose(metrics.mer_db(y, torch.from_numpy(a)), [20.0, 40.0], atol=1e-4)
    assert metrics.evm_db(a[0], a[0]) == -np.inf
    assert metrics.mer_db(a[0], a[0]) == np.inf


@pytest.mark.parametrize("sps", [1, 2, 3])
def test_interference_is_what_an_impulse_meets_after_channel_and_equaliser(sps):
    h, w = signals.white(5, 0, dtype=complex), signals.white((2, 4, 6), 1, dtype=complex)
    found = metrics.isi_db(torch.from_numpy(h), w, sps=sps)
    for i in np.ndindex(2, 4):
        c = np.abs(np.convolve(h, w[i])[::sps]) ** 2
        assert_allclose(found[i], 10 * np.log10(c.sum() / c.max() - 1), rtol=1e-12)
        assert_allclose(metrics.isi_db(h, 2j * np.append(0, w[i]), sps=1), metrics.isi_db(h, w[i]), rtol=1e-12)


def test_interference_at_the_ends():
    assert metrics.isi_db([0.0, 3j], [0.0, 1.0, 0.0]) == -np.inf
    assert np.isnan(metrics.isi_db([1.0, 0.5], np.zeros(3)))
    assert_allclose(metrics.isi_db([1.0, 1e-12], [1.0]), -240.0, rtol=1e-12)  # far below rounding of the sum
    w, _ = theory.mmse_equalizer([1.0, 0.4j, -0.2], 60, 10, 1e-9)
    assert metrics.isi_db([1.0, 0.4j, -0.2], w) < -150


@pytest.mark.parametrize("late", [-40, 0, 7])
@pytest.mark.parametrize("c", [Constellation.psk(2), Constellation.psk(8), QAM, Constellation.pam(4)])
def test_alignment_undoes_delay_and_any_phase(c, late):
    a = signals.symbols(c, 600, 0)
    whole = np.concatenate([signals.symbols(c, 50, 1), a, signals.symbols(c, 50, 2)])
    turn = -1.0 if c.is_real else np.exp(2.3j)
    y = turn * whole[50 - late :][:600]
    y = y + 0.1 * signals.white(600, 3, dtype=y.dtype)
    found = metrics.align_symbols(torch.from_numpy(y), a)
    assert found.delay == late
    assert found.y.shape == found.symbols.shape == (600 - abs(late),)
    assert np.isrealobj(found.y) == c.is_real
    assert_allclose(np.exp(1j * found.phase), turn, atol=0.02)
    assert metrics.evm_db(found.y, found.symbols) < -19
    assert_array_equal(found.symbols, a[max(0, -late) :][: 600 - abs(late)])


def test_alignment_by_the_constellations_symmetry_leaves_the_rest_of_the_phase():
    a = signals.symbols(QAM, 500, 0)
    found = metrics.align_symbols(a * np.exp(1j * (np.pi / 2 + 0.2)), a, rotations=QAM.symmetry)
    assert_allclose(found.phase, np.pi / 2, rtol=1e-14)
    assert_allclose(found.y, a * np.exp(0.2j), atol=1e-12)
    assert_allclose(metrics.align_symbols(a * 1j, a, rotations=1).y, 1j * a, atol=1e-12)


def test_alignment_of_outputs_each_with_its_own_delay_phase_and_place():
    a = signals.symbols(QAM, (3, 800), 0)
    y = np.zeros((3, 790), complex)
    y[2], y[0, 4:], y[1, :] = 1j * a[0, 5:795], -a[1, :786], np.exp(0.5j) * a[2, :790]
    y = y + 0.05 * signals.white(y.shape, 1, dtype=complex)
    found = metrics.align_symbols(y, a)
    assert_array_equal(found.order, [2, 0, 1])
    assert_array_equal(found.delay, [-5, 4, 0])
    assert_allclose(np.exp(1j * found.phase), [1j, -1, np.exp(0.5j)], atol=0.01)
    assert found.y.shape == (3, 786)
    assert_array_equal(metrics.ser(found.y, found.symbols, QAM), np.zeros(3))


def test_alignment_gives_no_output_to_two_symbol_streams():
    a = signals.symbols(QAM, (2, 500), 0)
    y = np.stack([a[0] + 0.5 * a[1], 0.4 * a[1]])  # the second stream is louder in the first output
    assert_array_equal(metrics.align_symbols(y, a).order, [0, 1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_alignment_wants_what_is_finite(bad):
    a = signals.symbols(Constellation.psk(4), 50, rng=0)
    with pytest.raises(ValueError, match="y must be finite, got"):
        metrics.align_symbols(np.append(a, bad), np.append(a, 1))
    with pytest.raises(ValueError, match="symbols must be finite, got"):
        metrics.align_symbols(np.append(a, 1), np.append(a, bad))


def test_alignment_looks_no_further_than_it_is_told():
    a = signals.symbols(QAM, 300, 0)
    y = np.append(np.zeros(9), a)
    assert metrics.align_symbols(y, a, max_delay=9).delay == 9
    assert abs(metrics.align_symbols(y, a, max_delay=8).delay) <= 8


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: metrics.evm_db([1.0], [1.0, 1.0]), "y and symbols must have the same length"),
        (lambda: metrics.evm_db([], []), "y and symbols must have the same length, not 0"),
        (lambda: metrics.ser([1.0, np.nan], [1.0, 1.0], PSK2), "y must be finite"),
        (lambda: metrics.ser([1.0], [2.0], PSK2), "symbols must be points of the constellation"),
        (lambda: metrics.ber([1.0], [1.0, 1.0], PSK2), "y and symbols must have the same length"),
        (lambda: metrics.ber([1.0], [1.0], Constellation([1.0, -1.0, 0.0])), "symbols must be points"),
        (lambda: metrics.isi_db(np.ones((2, 5)), np.ones(5)), "h must have shape"),
        (lambda: metrics.isi_db(np.ones(5), 1.0), "h must have shape"),
        (lambda: metrics.isi_db([1.0], [1.0], sps=0), "sps must be an integer >= 1"),
        (lambda: metrics.align_symbols(np.ones((2, 5)), np.ones(5)), "y and symbols must both be"),
        (lambda: metrics.align_symbols(np.ones((2, 5)), np.ones((3, 5))), "y and symbols must both be"),
        (lambda: metrics.align_symbols([], [1.0]), "y and symbols must both be"),
        (lambda: metrics.align_symbols([1.0], [1.0], rotations=0), "rotations must be an integer >= 1"),
        (lambda: metrics.align_symbols([1.0], [1.0], max_delay=-1), "max_delay must be at least 0"),
    ],
)
def test_symbol_metrics_name_what_is_wrong(call, says):
    with pytest.raises(ValueError, match=says):
        call()
