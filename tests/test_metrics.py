import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from adaptfilt import metrics, signals


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
