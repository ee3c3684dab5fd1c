import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import adaptfilt as af
from adaptfilt import Constellation, signals

ALL = {
    "psk2": Constellation.psk(2),
    "psk4": Constellation.psk(4),
    "psk8": Constellation.psk(8),
    "psk32": Constellation.psk(32),
    "pam2": Constellation.pam(2),
    "pam8": Constellation.pam(8),
    "qam4": Constellation.qam(4),
    "qam8": Constellation.qam(8),
    "qam16": Constellation.qam(16),
    "qam32": Constellation.qam(32),
    "qam64": Constellation.qam(64),
    "qam128": Constellation.qam(128),
    "qam256": Constellation.qam(256),
    "apsk16": Constellation.apsk((4, 12), (1.0, 2.57)),
    "apsk32": Constellation.apsk((4, 12, 16), (1.0, 2.53, 4.30)),
    "own": Constellation([0.0, 1.0, 1j, -2.0 - 1j, 0.3], probabilities=[0.4, 0.1, 0.1, 0.3, 0.1]),
}
every = pytest.mark.parametrize("c", ALL.values(), ids=ALL)


@pytest.mark.parametrize(
    ("name", "R1", "R2", "part", "gamma"),
    [  # printed to five decimals, for unit mean power
        ("psk2", 1, 1, 1, 1),
        ("psk4", 1, 1, 0.5, 0.70711),
        ("psk8", 1, 1, 0.75, 0.82843),
        ("qam16", 1.05573, 1.32, 0.82, 0.79057),
        ("qam32", 1.05720, 1.31, 0.935, 0.81312),
        ("qam64", 1.06470, 1.38095, 0.88095, 0.81009),
        ("qam128", 1.06141, 1.34265, 0.96163, 0.82322),
        ("qam256", 1.06651, 1.39529, 0.89529, 0.81490),
        ("apsk16", 1.04760, 1.21753, 0.91084, 0.80436),
        ("apsk32", 1.06422, 1.34566, 1.00902, 0.82594),
    ],
)
def test_constants_of_blind_equalisers_are_the_published_ones(name, R1, R2, part, gamma):
    c = ALL[name]
    assert_allclose([c.godard(1), c.dispersion, c.dispersion_part, c.sato], [R1, R2, part, gamma], rtol=0, atol=5.1e-6)


def test_dispersion_of_squares_and_crosses_is_exact():
    """Sums of the integers, by hand: 16-QAM 33 / 25, 32-cross 131 / 100, 64-QAM 29 / 21."""
    assert_allclose([ALL[f"qam{M}"].dispersion for M in (16, 32, 64)], [33 / 25, 131 / 100, 29 / 21], rtol=1e-14)


def test_squared_radii_are_the_published_ones():
    assert_allclose(ALL["qam16"].radii ** 2, [0.2, 1.0, 1.8], rtol=1e-14)
    assert_allclose(ALL["qam32"].radii ** 2, [0.1, 0.5, 0.9, 1.3, 1.7], rtol=1e-14)
    assert_allclose(ALL["qam64"].radii ** 2 * 42, [2, 10, 18, 26, 34, 50, 58, 74, 98], rtol=1e-14)
    assert_allclose(ALL["apsk16"].radii ** 2, [0.19217, 1.26928], rtol=0, atol=5.1e-6)
    assert_allclose(ALL["apsk32"].radii ** 2, [0.08496, 0.54382, 1.57090], rtol=0, atol=5.1e-6)


@pytest.mark.parametrize(
    ("M", "probabilities", "entropy"), [(16, [0.0625] * 16, 4.0), (4, [0.4, 0.1, 0.4, 0.1], 1.7219)]
)
def test_probabilities_count_in_every_mean(M, probabilities, entropy):
    c = Constellation.qam(M, probabilities)
    p = c.probabilities
    assert_allclose(-np.sum(p * np.log2(p)), entropy, atol=5e-5)
    assert_allclose(np.sum(p * np.abs(c.points) ** 2), 1, rtol=1e-15)
    drawn = c.points.repeat(np.round(80 * p).astype(int))  # as often as they are sent
    assert_allclose(c.godard(3), np.mean(np.abs(drawn) ** 6) / np.mean(np.abs(drawn) ** 3), rtol=1e-14)
    assert_allclose(c.sato, np.mean(drawn.real**2) / np.mean(np.abs(drawn.real)), rtol=1e-14)


def test_shaping_lowers_the_power_and_raises_the_kurtosis():
    plain, shape = ALL["qam64"], np.exp(-(np.abs(ALL["qam64"].points) ** 2))
    shaped = Constellation.qam(64, shape / shape.sum())
    assert shaped.min_distance > plain.min_distance
    assert plain.dispersion < shaped.dispersion < 2  # of complex Gaussian symbols
    assert shaped.grid == (8, 8)


@every
def test_points_have_unit_mean_power_and_are_distinct_and_fixed(c):
    assert_allclose(c.probabilities @ np.abs(c.points) ** 2, 1, rtol=1e-14)
    apart = np.abs(c.points[:, None] - c.points) + 9 * np.eye(c.points.size)
    assert_allclose(c.min_distance, apart.min(), rtol=1e-14)
    assert c.min_distance > 0.05
    with pytest.raises(ValueError, match="read-only"):
        c.points[0] = 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@every
def test_slicers_find_the_nearest_of_all_points(c, dtype):
    y = 1.3 * signals.white((2, 1500), 0, dtype=dtype)
    distance = np.abs(y[..., None] - c.points)
    nearest, a = c.index(y), c.slice(y)
    assert nearest.dtype == np.int64
    assert_allclose(np.take_along_axis(distance, nearest[..., None], -1)[..., 0], distance.min(-1), rtol=1e-7)
    assert a.dtype == np.result_type(np.float32 if c.is_real else np.complex64, y.real.dtype)
    assert_array_equal(a, c.points[nearest].astype(a.dtype))
    tensor = torch.from_numpy(y)
    assert_array_equal(c.index(tensor).numpy(), nearest)
    assert_array_equal(c.slice(tensor).numpy(), a)
    assert c.slice(tensor).numpy().dtype == a.dtype


@every
def test_points_are_their_own_decisions_however_noisy_below_half_the_distance(c):
    noise = 0.49 * c.min_distance * np.exp(2j * np.pi * np.arange(16) / 16)
    K = np.arange(c.points.size)
    assert_array_equal(c.index(c.points[:, None] + noise), np.repeat(K[:, None], 16, 1))


@every
def test_integers_and_numbers_are_decided_too(c):
    for value in (1, -1, 2):
        least = np.abs(c.points - value).min()
        for y in (value, float(value), np.int16(value), torch.tensor(value)):
            assert_allclose(abs(c.points[int(c.index(y))] - value), least, rtol=1e-6)
            assert c.slice(y).shape == ()


def test_ties_go_up_and_to_the_right():
    assert_array_equal(ALL["pam8"].index([0.0, -9.0, 9.0]), [4, 0, 7])
    assert_array_equal(ALL["qam4"].index([0.0, -1.0, 1.0, -1j]), [3, 1, 3, 2])
    assert ALL["psk2"].slice(0.0) == 1.0
    assert Constellation([1.0, -1.0]).index(0.0) == 0


def gray_penalty(c):
    """Bits that differ between nearest neighbours: averaged over a point's, then over the points."""
    near = np.abs(c.points[:, None] - c.points) < 1.0001 * c.min_distance
    np.fill_diagonal(near, False)
    bits = np.bitwise_count(c.labels[:, None] ^ c.labels)
    return np.mean([bits[k][near[k]].mean() for k in range(c.points.size) if near[k].any()])


@pytest.mark.parametrize("name", ["psk2", "psk4", "psk8", "psk32", "pam2", "pam8", "qam4", "qam8", "qam16", "qam256"])
def test_neighbours_differ_in_one_bit(name):
    assert gray_penalty(ALL[name]) == 1


def test_crosses_have_smiths_gray_penalty():
    assert_allclose(gray_penalty(ALL["qam32"]), 7 / 6, rtol=1e-12)  # printed in Smith's paper
    assert 1 < gray_penalty(ALL["qam128"]) < gray_penalty(ALL["qam32"])


@pytest.mark.parametrize("rings", [(4, 12), (4, 12, 16), (8, 8), (16, 16, 16, 16)])
def test_rings_are_labelled_nearly_gray(rings):
    assert gray_penalty(Constellation.apsk(rings, 1.0 + 1.5 * np.arange(len(rings)))) <= 1.05


@pytest.mark.parametrize("M", [8, 32, 128, 512])
def test_odd_powers_are_a_rectangle_or_a_square_without_its_corners(M):
    a = Constellation.qam(M).points
    a = a / np.abs(a.imag).min()
    if M == 8:
        assert_array_equal(np.unique(a.real.round(9)), [-3, -1, 1, 3])
        assert_array_equal(np.unique(a.imag.round(9)), [-1, 1])
    else:
        half = 3 * int(np.sqrt(M / 32))  # levels of either sign
        assert_allclose([np.abs(a.real).max(), np.abs(a.imag).max()], 2 * half - 1, rtol=1e-12)
        assert np.minimum(np.abs(a.real), np.abs(a.imag)).max() < 2 * (half - half // 3)


@every
def test_symmetry_is_the_number_of_rotations_that_change_nothing(c):
    def kept(n):
        turned = np.exp(2j * np.pi / n) * c.points
        distance = np.abs(turned[:, None] - c.points)
        return distance.min(1).max() < 1e-9

    assert c.symmetry == max(n for n in range(1, 65) if kept(n))


def test_probabilities_break_the_symmetry():
    assert Constellation.qam(4).symmetry == 4
    assert Constellation.qam(4, [0.4, 0.1, 0.1, 0.4]).symmetry == 2
    assert Constellation.qam(4, [0.4, 0.2, 0.1, 0.3]).symmetry == 1


@pytest.mark.parametrize("name", [n for n in ALL if n != "own"])
def test_bits_and_symbols_undo_each_other(name):
    c = ALL[name]
    B = c.bits_per_symbol
    bits = np.random.default_rng(0).integers(0, 2, (3, 40 * B)).astype(np.uint8)
    a = c.symbols(bits)
    assert a.shape == (3, 40)
    assert_array_equal(c.bits(a), bits)
    assert_array_equal(c.bits(a + 0.4 * c.min_distance), bits)
    assert_array_equal(c.symbols(bits[0].astype(bool)), a[0])
    tensor = torch.from_numpy(bits)
    assert_array_equal(c.symbols(tensor).numpy(), a)
    assert_array_equal(c.bits(c.symbols(tensor)).numpy(), bits)


def test_bits_are_the_labels_with_the_highest_first():
    c = Constellation([1.0, 1j, -1.0, -1j], labels=[2, 0, 1, 3])
    assert_array_equal(c.bits(c.points), [1, 0, 0, 0, 0, 1, 1, 1])
    assert_array_equal(c.symbols([1, 0, 1, 1]), [1.0, -1j])


@every
def test_copies_and_pickles_decide_alike(c):
    y = signals.white(50, 0, dtype=complex)
    for other in (copy.deepcopy(c), pickle.loads(pickle.dumps(c))):
        assert_array_equal(other.slice(y), c.slice(y))
        assert other.grid == c.grid


def test_real_points_are_real_whatever_type_they_come_in():
    assert Constellation(torch.tensor([1 + 0j, -1 + 0j])).is_real
    assert ALL["psk2"].is_real
    assert ALL["pam8"].is_real
    assert not ALL["psk4"].is_real
    assert "complex" in repr(ALL["psk4"])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: Constellation([1.0]), ValueError, "points must be at least 2"),
        (lambda: Constellation([1.0, 1.0]), ValueError, "points must be"),
        (lambda: Constellation([1.0, np.nan]), ValueError, "points must be"),
        (lambda: Constellation([[1.0, 2.0]]), ValueError, "points must be"),
        (lambda: Constellation("ab"), TypeError, "points must hold numbers"),
        (lambda: Constellation([1.0, -1.0], labels=[0, 0]), ValueError, "labels must be each of 0 ... 1 once"),
        (lambda: Constellation([1.0, -1.0], labels=[0.0, 1.0]), TypeError, "labels must be integers"),
        (lambda: Constellation([1.0, -1.0], probabilities=[0.5, 0.6]), ValueError, "probabilities must be 2 positive"),
        (lambda: Constellation([1.0, -1.0], probabilities=[1.0, 0.0]), ValueError, "probabilities must be"),
        (lambda: Constellation.qam(4, [0.5, 0.5]), ValueError, "probabilities must be 4"),
        (lambda: Constellation.psk(6), ValueError, "M must be a power of two >= 2, got 6"),
        (lambda: Constellation.psk(1), ValueError, "M must be a power of two"),
        (lambda: Constellation.qam(2), ValueError, "M must be a power of two >= 4, got 2"),
        (lambda: Constellation.pam(2.0), TypeError, "M must be an integer"),
        (lambda: Constellation.apsk((4, 12), (1.0,)), ValueError, "radii must be 2 positive"),
        (lambda: Constellation.apsk((4, 12), (1.0, -2.0)), ValueError, "radii must be"),
        (lambda: Constellation.apsk((4, 0), (1.0, 2.0)), ValueError, "rings must be an integer >= 1"),
        (lambda: Constellation.apsk((4, 4), (1.0, 1.0)), ValueError, "points must be .* distinct"),
        (lambda: ALL["psk8"].slice([0.5, np.nan]), ValueError, "y must be finite"),
        (lambda: ALL["qam32"].index(torch.tensor([torch.inf])), ValueError, "y must be finite"),
        (lambda: ALL["psk8"].slice(["1"]), TypeError, "y must hold numbers"),
        (lambda: ALL["psk8"].bits(1.0), ValueError, "y must have time"),
        (lambda: ALL["psk8"].symbols([0, 1]), ValueError, "bits must be 0 or 1, a multiple of 3"),
        (lambda: ALL["psk8"].symbols([0, 1, 2]), ValueError, "bits must be 0 or 1"),
        (lambda: ALL["psk8"].symbols([0.0, 1.0, 1.0]), TypeError, "bits must be integers"),
        (lambda: ALL["own"].bits([1.0]), ValueError, "this one has 5"),
        (lambda: ALL["psk8"].godard(0), ValueError, "p must be positive"),
    ],
)
def test_what_is_refused_and_how(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_it_is_public():
    assert af.Constellation is Constellation
    assert "Constellation" in dir(af)
