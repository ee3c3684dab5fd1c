"""Equalisers: external results, what each rule is blind to, decisions, carrier loop, and the start of 2 by 2."""

import copy
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.filters.equalisers.decisions import choose

COMPLEX: dict[str, Any] = {"dtype": torch.complex128}
F64: dict[str, Any] = {"dtype": torch.float64}
QPSK, QAM, BPSK = af.Constellation.psk(4), af.Constellation.qam(16), af.Constellation.psk(2)
CHANNEL = np.array([0.3j, 1.0, 0.4, -0.2j])  # at two samples a symbol


def half_spaced(symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """Return QPSK through the channel, whose odd samples come first, and the symbols."""
    a = af.signals.symbols(QPSK, symbols, rng=1)
    return np.concatenate([[0], np.convolve(af.signals.upsample(a, 2), CHANNEL)[: 2 * symbols - 1]]), a


def zero_forcing(taps: int) -> np.ndarray:
    """Return weights that give back a symbol from samples around the odd ones."""
    whole = np.array([np.concatenate([np.zeros(k), CHANNEL, np.zeros(taps - 1 - k)]) for k in range(taps)])
    A = whole[:, 1::2].T  # (symbols, taps): weight of each symbol in the output
    wanted = np.eye(len(A))[len(A) // 2]
    w = np.linalg.lstsq(A, wanted.astype(complex), rcond=None)[0]
    np.testing.assert_allclose(A @ w, wanted, atol=1e-12)
    return w


def test_cma_stands_still_at_a_zero_of_its_cost() -> None:
    x, _ = half_spaced(20000)
    w0 = zero_forcing(6) * np.exp(0.7j)
    w = af.CMA(6, 0.05, sps=2, w0=w0, **COMPLEX)(x).w
    assert np.abs(w - w0).max() < 3e-14


def test_cma_finds_a_zero_of_its_cost_from_the_centre_spike() -> None:
    x, _ = half_spaced(6000)
    f = af.CMA(6, 0.05, sps=2, **COMPLEX)
    np.testing.assert_array_equal(f.w, [0, 0, 0, 1, 0, 0])
    y, e, _ = f(x)
    np.testing.assert_allclose(e, (1 - np.abs(y) ** 2) * y, rtol=1e-12, atol=1e-15)
    assert np.mean((1 - np.abs(y[5000:]) ** 2) ** 2) < 1e-20
    f.reset()
    np.testing.assert_array_equal(f.w, [0, 0, 0, 1, 0, 0])


@pytest.mark.parametrize("normalized", [False, True])
def test_cma_does_not_see_the_phase_and_conjugates_with_its_input(normalized: bool) -> None:
    x, _ = half_spaced(300)
    plain, turned, mirrored = (
        af.CMA(6, 0.05, sps=2, normalized=normalized, **COMPLEX)(v) for v in (x, x * np.exp(0.6j), x.conj())
    )
    np.testing.assert_allclose(turned.y, plain.y * np.exp(0.6j), rtol=1e-9)
    np.testing.assert_allclose(turned.w, plain.w, rtol=1e-9)
    np.testing.assert_allclose(mirrored.w, plain.w.conj(), rtol=1e-9)


def test_normalised_cma_survives_silence_and_any_level() -> None:
    x, _ = half_spaced(3000)
    f = af.CMA(6, 0.3, sps=2, normalized=True, **COMPLEX)
    f(np.zeros(100, complex))
    np.testing.assert_array_equal(f.w, [0, 0, 0, 1, 0, 0])
    y = f(1e3 * x).y
    assert np.abs(np.abs(y[-500:]) - 1).max() < 1e-2


def test_gnuradios_identity_tests() -> None:
    """Of qa_linear_equalizer: a pattern of points comes out as it goes in."""
    s = np.tile(np.array([-1 - 1j, -1 + 1j, 1 - 1j, 1 + 1j]) * np.sqrt(2), 1000)
    y = af.CMA(4, 0.001, 4.0, w0=np.array([1, 0, 0, 0j]), **COMPLEX)(s).y
    np.testing.assert_allclose(y[-500:], s[-500:], atol=1e-5)
    f = af.DecisionDirected(4, 0.1, QPSK, delay=0, w0=np.zeros(4, complex), **COMPLEX)
    y = f(s / 2, s[:1] / 2).y  # of the four rotations the one of the first symbol
    np.testing.assert_allclose(y[-500:], s[-500:] / 2, atol=1e-5)


def unitary(rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((2, 2)) + 1j * rng.standard_normal((2, 2)))
    return q * (np.diag(r) / np.abs(np.diag(r)))


def polarisations(runs: int, symbols: int) -> np.ndarray:
    """Return QPSK on two polarisations, turned, one a sample later, turned again, at 20 dB."""
    rng = np.random.default_rng(0)
    pulse = af.signals.root_raised_cosine(0.1, 2)
    pulse = np.convolve(pulse, pulse) / np.sum(pulse**2)
    x = []
    for _ in range(runs):
        a = af.signals.symbols(QPSK, (2, symbols), rng)
        v = unitary(rng) @ np.array([np.convolve(af.signals.upsample(s, 2), pulse, "same") for s in a])
        v[1] = np.roll(v[1], 1)
        v = unitary(rng) @ v
        v += np.sqrt(0.005) * (rng.standard_normal(v.shape) + 1j * rng.standard_normal(v.shape))
        x.append(v / np.sqrt(np.mean(np.abs(v) ** 2)))
    return np.array(x)


def singular(y: np.ndarray) -> np.ndarray:
    """Say where both outputs are the same signal, at any delay."""
    first, second = np.fft.fft(y[..., 0, :]), np.fft.fft(y[..., 1, :])
    power = np.sqrt(np.mean(np.abs(y[..., 0, :]) ** 2, -1) * np.mean(np.abs(y[..., 1, :]) ** 2, -1))
    return np.abs(np.fft.ifft(first * second.conj())).max(-1) / y.shape[-1] > 0.5 * power


@pytest.mark.parametrize("runs", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_a_constrained_start_is_never_singular(runs: int) -> None:
    x, found = polarisations(runs, 8000), {}
    for start in ("constrained", "spike"):
        f = af.CMA(7, 3e-3, sps=2, inputs=2, outputs=2, start=start, batch=runs, dtype=torch.complex64)
        y = f(x.astype(np.complex64)).y[..., -2000:]
        found[start] = int(singular(y).sum())
        assert np.mean((1 - np.abs(y) ** 2) ** 2) < 0.03
    assert found["constrained"] == 0
    assert found["spike"] > 0


def test_a_constrained_start_in_any_split_is_one_block() -> None:
    x = polarisations(1, 900)[0].astype(np.complex64)
    f, g, h = (af.CMA(7, 0.02, sps=2, inputs=2, outputs=2, start="constrained", dtype=torch.complex64) for _ in "fgh")
    y, e, w = f(x, record_every=70)
    ends = np.cumsum([1, 3, 0, 995, 1, 5, 700, 95])
    assert ends[-1] == x.shape[-1]
    parts = [g(v) for v in np.split(x, ends[:-1], axis=-1)]
    np.testing.assert_allclose(np.concatenate([p.y for p in parts], -1), y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.concatenate([p.e for p in parts], -1), e, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(g.w, f.w, rtol=1e-4, atol=1e-4)
    for k in range(w.shape[-2]):
        np.testing.assert_allclose(h(x[:, 140 * k : 140 * (k + 1)]).w, w[:, :, k], rtol=1e-4, atol=1e-4)
    f.reset()
    f(x[:, :200], mu=np.r_[np.zeros(50), np.full(50, 0.02)])
    assert int(f.alone) == 450
    f.eval()(x)
    assert int(f.alone) == 450
    before = f.w.clone()
    with pytest.raises(af.DivergenceError):
        f.train()(1e20 * x)
    assert torch.equal(f.w, before)
    assert int(f.alone) == 450


def test_what_a_start_does_not_take() -> None:
    with pytest.raises(ValueError, match='start must be "spike" or "constrained", got 3'):
        af.CMA(4, 0.1, start=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="takes 2 inputs and 2 outputs, got 2 and None"):
        af.CMA(4, 0.1, start="constrained", inputs=2)
    with pytest.raises(ValueError, match="outputs must be at most inputs"):
        af.CMA(4, 0.1, outputs=2)
    with pytest.raises(ValueError, match="delay must be below 2 symbols"):
        af.DecisionDirected(4, 0.1, BPSK, sps=2, delay=2)
    with pytest.raises(TypeError, match="CMA is blind: d cannot be given"):
        af.CMA(4, 0.1)(np.ones(5), np.ones(5))


@pytest.mark.parametrize(
    ("constellation", "dtype", "name"),
    [
        (BPSK, torch.float64, "binary"),
        (af.Constellation.pam(8), torch.float64, "line"),
        (QPSK, torch.complex128, "quadrant"),
        (QAM, torch.complex128, "grid"),
        (af.Constellation.qam(8), torch.complex128, "grid"),
        (af.Constellation.pam(4), torch.complex128, "grid"),
        (af.Constellation.psk(8), torch.complex128, "nearest"),
        (BPSK, torch.complex128, "nearest"),
        (af.Constellation([0.0, 1.0]), torch.float64, "nearest"),
    ],
    ids=str,
)
def test_decisions_are_the_nearest_points(constellation: Any, dtype: torch.dtype, name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(500) + 1j * rng.standard_normal(500) * dtype.is_complex
    x = x if dtype.is_complex else x.real
    f = af.DecisionDirected(1, 0.0, constellation, dtype=dtype, engine="reference")
    assert f.variant == name == choose(constellation, dtype)[0]
    y, e, _ = f(x)
    np.testing.assert_allclose(y + e, constellation.slice(y), atol=1e-12)


def test_what_a_constellation_has_to_be() -> None:
    with pytest.raises(TypeError, match="constellation must have real points for a real filter"):
        af.DFE(4, 2, 0.1, QPSK)
    with pytest.raises(TypeError, match=r"constellation must be an adaptfilt\.Constellation, got list"):
        af.DecisionDirected(4, 0.1, [1, -1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="carrier needs a complex filter"):
        af.DecisionDirected(4, 0.1, BPSK, carrier=(0.01, 0.7))
    with pytest.raises(ValueError, match="carrier bandwidth"):
        af.DecisionDirected(4, 0.1, QAM, carrier=(0.0, 0.7), **COMPLEX)


@pytest.mark.parametrize("make", [af.MMA, af.Sato, af.DecisionDirected, partial(af.DFE, 5)])
def test_signals_that_have_nothing_to_do_with_the_points(make: Any) -> None:
    a, options = af.signals.symbols(QAM, 200, rng=0), {**COMPLEX, "engine": "reference"}
    with pytest.raises(TypeError, match="x is real, the points are complex"):
        make(5, 0.01, QAM, **options)(a.real.copy())
    make(5, 0.01, QAM, sps=2, **options)(a.real.copy())  # as many numbers as two a symbol
    if make not in (af.MMA, af.Sato):
        known = np.concatenate([[np.nan, 0], np.sqrt(10) * a[2:]])
        for x, d in ((a, known), (torch.from_numpy(a), torch.from_numpy(known))):
            f = make(5, 0.001, QAM, **options)
            with pytest.warns(UserWarning, match=r"d holds .*j, no point of the constellation") as told:
                f(x, d)
            assert told[0].filename == __file__
            f(x, d)  # said once


def test_a_carrier_loop_follows_an_offset() -> None:
    """16-QAM at an offset of 5e-4 cycles a symbol, noise at -31 dB."""
    rng, N = np.random.default_rng(0), 20000
    a = af.signals.symbols(QAM, N, rng=3)
    noise = np.sqrt(10**-3.1 / 2) * (rng.standard_normal(N) + 1j * rng.standard_normal(N))
    x = np.convolve(a, [1, 0.2j, -0.1])[:N] * np.exp(2j * np.pi * 5e-4 * np.arange(N)) + noise
    f = af.DecisionDirected(11, 1e-3, QAM, carrier=(0.01, 0.7071), **COMPLEX)
    assert f.alpha == pytest.approx(0.02631, abs=1e-5)
    assert f.beta == pytest.approx(0.000351, abs=1e-6)
    assert af.metrics.evm_db(f(x, a[:3000]).y[-10000:], a[-10000 - f.delay : -f.delay]) < -29.9
    assert float(f.nu) == pytest.approx(2 * np.pi * 5e-4, rel=0.2)
    w, theta = f.w.clone(), float(f.theta)
    f.eval()(x[:100])  # frozen weights, and a loop that goes on
    assert torch.equal(f.w, w)
    assert float(f.theta) != theta
    g = af.DecisionDirected(11, 1e-3, QAM, **COMPLEX)
    assert af.metrics.evm_db(g(x, a[:3000]).y[-10000:], a[-10000 - g.delay : -g.delay]) > 0


def proakis_b(symbols: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    a = rng.choice([-1.0, 1.0], symbols)
    return np.convolve(a, af.plants.proakis("B").b)[:symbols] + 0.1 * rng.standard_normal(symbols), a


@pytest.mark.parametrize(
    ("make", "expected", "errors"),
    [
        (lambda: af.DecisionDirected(31, 0.002, BPSK, delay=16, dtype=torch.float64), -7.20, 0.018),
        (lambda: af.DFE(16, 15, 0.002, BPSK, dtype=torch.float64), -15.16, 0.0),
        (lambda: af.DFE(8, 2, 0.002, BPSK, dtype=torch.float64), -15.21, 0.0),
    ],
    ids=["linear", "dfe 16 + 15", "dfe 8 + 2"],
)
def test_proakis_channel_b_at_20_db(make: Any, expected: float, errors: float) -> None:
    x, a = proakis_b(200_000)
    f = make()
    e = f(x, a).e
    assert 10 * np.log10(np.mean(e[20000:] ** 2)) == pytest.approx(expected, abs=0.1)
    if f.w.shape[-1] == 10:
        np.testing.assert_allclose(f.feedback_taps, [-1.3260, -0.4955], atol=0.03)
        np.testing.assert_allclose(f.forward_taps[-4:], [0.2316, -0.4766, 0.8204, 1.2173], atol=0.03)
    f.reset()
    y = f(x, a[:20000]).y
    wrong = np.mean(np.sign(y[20000:]) != a[20000 - f.delay : -f.delay])
    assert wrong == pytest.approx(errors, abs=0.002)


def test_a_frozen_dfe_feeds_its_decisions() -> None:
    x, a = proakis_b(3000)
    f = af.DFE(8, 2, 0.01, BPSK, dtype=torch.float64)
    f(x, a)
    w, line, fed = f.w.numpy().copy(), x[-7:], [a[-8], a[-9]]  # y[n] estimates a[n - 7]
    x, _ = proakis_b(300)
    past, wanted = np.concatenate([line, x]), []
    for n in range(300):
        wanted.append(w @ np.concatenate([past[n : n + 8][::-1], fed]))
        fed = [1.0 if wanted[-1] >= 0 else -1.0, fed[0]]
        if n < 7:  # known from before
            fed[0] = a[-7 + n]
    g, h = af.DFE(8, 2, 0.01, BPSK, dtype=torch.float64), af.DFE(8, 2, 0.01, BPSK, dtype=torch.float64)
    for other in (g, h):
        other.load_state_dict(f.state_dict())
    np.testing.assert_allclose(g.filter(x), wanted, rtol=1e-10)
    np.testing.assert_allclose(h.eval()(x).y, wanted, rtol=1e-10)
    np.testing.assert_allclose(f(x, mu=0.0).y, wanted, rtol=1e-10)


def test_a_part_of_a_batch_starts_again() -> None:
    """What counts samples a symbol is one number for all streams, and stays."""
    x = np.random.default_rng(0).standard_normal((3, 100))
    f = af.CMA(4, 0.01, sps=2, batch=3, engine="reference")
    w = f(x.astype(np.float32)).w
    f.reset(np.array([True, False, False]))
    np.testing.assert_array_equal(f.w[0], [0, 0, 1, 0])
    np.testing.assert_array_equal(f.w[1:], w[1:])
    assert int(f.phase) == 0


BLIND: dict[str, tuple[Any, Any]] = {  # a filter of one tap, and the cost of which its error is the negative gradient
    "cma": (lambda **k: af.CMA(1, 0.1, 1.3, **k), lambda y: (abs(y) ** 2 - 1.3) ** 2 / 4),
    "cma 1": (lambda **k: af.CMA(1, 0.1, 1.3, power=1, **k), lambda y: (abs(y) - 1.3) ** 2 / 2),
    "cma 3": (lambda **k: af.CMA(1, 0.1, 1.3, power=3, **k), lambda y: (abs(y) ** 3 - 1.3) ** 2 / 6),
    "normalised": (lambda **k: af.CMA(1, 0.1, 1.21, normalized=True, **k), lambda y: (abs(y) - 1.1) ** 2 / 2),
    "mma": (lambda **k: af.MMA(1, 0.1, QAM, **k), lambda y: (y.real**2 - 0.82) ** 2 / 4 + (y.imag**2 - 0.82) ** 2 / 4),
    "sato": (
        lambda **k: af.Sato(1, 0.1, QAM, **k),
        lambda y: (abs(y.real) - 0.625**0.5) ** 2 / 2 + (abs(y.imag) - 0.625**0.5) ** 2 / 2,
    ),
    "rde": (
        lambda **k: af.RDE(1, 0.1, QAM.radii, **k),
        lambda y: min((abs(y) ** 2 - r**2) ** 2 for r in QAM.radii) / 4,
    ),
}


@pytest.mark.parametrize("name", BLIND)
def test_a_blind_error_is_the_negative_gradient_of_its_cost(name: str) -> None:
    make, cost = BLIND[name]
    rng, h = np.random.default_rng(0), 1e-6
    y = 1.5 * (rng.standard_normal(100) + 1j * rng.standard_normal(100))
    if name == "rde":  # whose error is directed by the radius, its cost by its square: not where these differ
        middles = [(QAM.radii[:-1] + QAM.radii[1:]) / 2, np.sqrt((QAM.radii[:-1] ** 2 + QAM.radii[1:] ** 2) / 2)]
        y = y[np.all([(np.abs(y) < np.min(m) - h) | (np.abs(y) > np.max(m) + h) for m in np.transpose(middles)], 0)]
    e = make(engine="reference", **COMPLEX)(y, mu=0.0).e
    slope = [(cost(v + h) - cost(v - h)) / (2 * h) + 1j * (cost(v + 1j * h) - cost(v - 1j * h)) / (2 * h) for v in y]
    np.testing.assert_allclose(e, -np.array(slope), rtol=1e-6, atol=1e-7)
    assert make(engine="reference", **COMPLEX).step(0.0)[1] == 0  # silence


def test_a_blind_error_of_a_constellation_whose_parts_differ() -> None:
    """8-QAM has four levels in one part and two in the other; BPSK has none there."""
    c = af.Constellation.qam(8)
    for make, name in ((af.MMA, "dispersion_parts"), (af.Sato, "sato_parts")):
        of_real, of_imag = getattr(c, name)
        assert of_real > 1.5 * of_imag
        assert getattr(BPSK, name) == (1.0, 0.0)
        e = make(1, 0.1, BPSK, engine="reference", **COMPLEX)(np.array([1.0 + 0.5j])).e[0]  # type: ignore[operator]
        assert e.real == pytest.approx(0)
        assert e.imag < 0


@pytest.mark.parametrize(
    ("make", "constellation", "turn"),
    [
        (lambda **k: af.CMA(6, 0.02, power=1, **k), QPSK, 0.7),
        (lambda **k: af.CMA(6, 0.02, power=4, **k), QPSK, 0.7),
        (lambda **k: af.CMA(6, 0.02, normalized=True, **k), QPSK, 0.7),
        (lambda **k: af.RDE(6, 0.02, QAM.radii, **k), QAM, 0.7),
        (lambda **k: af.MMA(6, 0.02, QPSK, **k), QPSK, np.pi),
        (lambda **k: af.Sato(6, 0.02, QPSK, **k), QPSK, -np.pi / 2),
        (lambda **k: af.ShalviWeinstein(6, 0.99, **k), QPSK, 0.7),
    ],
    ids=["cma 1-2", "godard 4", "normalised", "rde", "mma", "sato", "shalvi-weinstein"],
)
def test_a_blind_rule_stands_still_where_its_cost_is_zero(make: Any, constellation: Any, turn: float) -> None:
    """Noise-free, at two samples a symbol, every turn that the rule cannot see of a zero-forcing equaliser."""
    a = af.signals.symbols(constellation, 5000, rng=1)
    x = np.concatenate([[0], np.convolve(af.signals.upsample(a, 2), CHANNEL)[: 2 * len(a) - 1]])
    w0 = zero_forcing(6) * np.exp(1j * turn)
    f = make(sps=2, w0=w0, **COMPLEX)
    start = f(x[:40], mu=0.0)  # the line fills
    assert np.abs(start.w - w0).max() == 0
    assert np.abs(f(x[40:]).w - w0).max() < 1e-12


def test_sato_on_binary_symbols_is_decision_directed_lms() -> None:
    x, _ = proakis_b(2000)
    for dtype in (torch.float64, torch.complex128):
        v = x * (1 + 0.3j) if dtype.is_complex else x
        c = QPSK if dtype.is_complex else BPSK
        pair = [af.Sato(9, 0.01, c, dtype=dtype), af.DecisionDirected(9, 0.01, c, dtype=dtype)]
        for f in pair:
            f.filter(v[:9])  # in silence one of them decides
        sato, decided = (f(v[9:]) for f in pair)
        np.testing.assert_allclose(sato.e, decided.e, rtol=1e-10, atol=1e-12)


def test_a_pinned_phase_changes_no_modulus() -> None:
    x, _ = half_spaced(4000)
    f, g = af.CMA(6, 0.02, sps=2, **COMPLEX), af.CMA(6, 0.02, sps=2, **COMPLEX)
    f(x[:1001])
    g(x[:1001])
    g.pin_phase()
    largest = g.w[g.w.abs().argmax()]
    assert float(largest.real) == pytest.approx(float(f.w.abs().max()))
    assert float(largest.imag) == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(np.abs(g(x[1001:]).y), np.abs(f(x[1001:]).y), rtol=1e-9)
    sw = af.ShalviWeinstein(6, 0.99, sps=2, engine="reference", **COMPLEX)
    sw.w = sw.w * 1j
    sw.pin_phase()
    np.testing.assert_allclose(sw.w.sum(), 1, atol=1e-15)
    two = af.RDE(3, 0.01, QAM.radii, inputs=2, outputs=2, engine="reference", **COMPLEX)
    two.w = two.w * torch.tensor([1j, -0.6 + 0.8j], dtype=torch.complex128)[:, None, None]
    two.pin_phase()
    np.testing.assert_allclose(two.w.sum((-2, -1)), [1, 1], atol=1e-15)


def test_shalvi_weinstein_is_faster_than_cma_at_any_step() -> None:
    """16-QAM through a channel whose colour slows CMA down: what interferes after 2,000 symbols."""
    h = np.array([0.3, 1.0, 0.6j]) / np.linalg.norm([0.3, 1.0, 0.6])
    a = af.signals.symbols(QAM, (30, 2000), rng=2)
    x = np.array([np.convolve(s, h)[:2000] for s in a])

    def left(f: Any) -> float:
        return 10 * np.log10(np.mean(10 ** (af.metrics.isi_db(h, f(x).w) / 10)))

    steps = (0.002, 0.005, 0.01)
    slow = min(left(af.CMA(15, mu, QAM.dispersion, batch=30, **COMPLEX)) for mu in steps)
    assert left(af.ShalviWeinstein(15, 0.998, QAM.dispersion, batch=30, **COMPLEX)) < slow - 3


@pytest.mark.parametrize("pause", [0.0, 1e-3, 1.0], ids=["silence", "hiss", "tone"])
def test_shalvi_weinstein_is_back_after_a_pause(pause: float) -> None:
    """16-QAM, 5,000 samples of nothing to equalise, and 16-QAM again: as if nothing had been."""
    h = np.array([0.8, 0.4j, -0.2]) / np.linalg.norm([0.8, 0.4, 0.2])
    x = np.convolve(af.signals.symbols(QAM, 30_000, rng=0), h)[:30_000]
    tone = np.exp(0.3j * np.arange(5000))
    hiss = af.signals.add_noise(np.zeros(5000, complex) + tone, 0.0, rng=1) - tone
    f = af.ShalviWeinstein(15, 0.998, QAM.dispersion, dtype=torch.complex64)
    assert af.metrics.isi_db(h, f(x[:15_000]).w) < -17
    f(tone if pause == 1 else pause * hiss)
    assert np.linalg.norm(f.P) < 30 * 15 * (1 - 0.998)
    assert af.metrics.isi_db(h, f(x[15_000:]).w) < -17


def test_what_a_blind_rule_does_not_take() -> None:
    for make in (af.MMA, af.Sato):
        with pytest.raises(TypeError, match="constellation must have real points for a real filter"):
            make(4, 0.1, QAM)
    for radii in ([], [-1.0], [[1.0]], [np.nan]):
        with pytest.raises(ValueError, match="radii must be finite numbers >= 0"):
            af.RDE(4, 0.1, radii)
    with pytest.raises(ValueError, match="power must be"):
        af.CMA(4, 0.1, power=0.5)
    with pytest.raises(ValueError, match="dispersion must be below 2, that of Gaussian symbols, got 2"):
        af.ShalviWeinstein(4, 0.99, 2, **COMPLEX)
    with pytest.raises(ValueError, match="lam must be"):
        af.ShalviWeinstein(4, 1.0)


def test_stop_and_go_follows_a_decision_where_satos_sign_agrees() -> None:
    rng = np.random.default_rng(0)
    y = 1.2 * (rng.standard_normal(500) + 1j * rng.standard_normal(500))
    e = af.DecisionDirected(1, 0.1, QAM, decisions="stop-and-go", engine="reference", **COMPLEX)(y, mu=0.0).e
    sato = af.Sato(1, 0.1, QAM, engine="reference", **COMPLEX)(y, mu=0.0).e
    decided = QAM.slice(y) - y
    agree = [np.sign(part(decided)) == np.sign(part(sato)) for part in (np.real, np.imag)]
    np.testing.assert_allclose(e, decided.real * agree[0] + 1j * decided.imag * agree[1], atol=1e-12)
    pam = af.Constellation.pam(4)
    f = af.DecisionDirected(1, 0.1, pam, decisions="stop-and-go", dtype=torch.float64, engine="reference")
    decided, sato = pam.slice(y.real) - y.real, pam.sato * np.sign(y.real) - y.real
    np.testing.assert_allclose(f(y.real, mu=0.0).e, decided * (decided * sato > 0), atol=1e-12)


def test_soft_decisions_are_the_posterior_mean() -> None:
    y, noise = np.linspace(-3, 3, 50), 0.4
    f = af.DecisionDirected(1, 0.1, BPSK, decisions=("soft", noise), dtype=torch.float64, engine="reference")
    np.testing.assert_allclose(f(y, mu=0.0).e, np.tanh(2 * y / noise) - y, rtol=1e-9, atol=1e-12)
    z = y + 1j * y[::-1] ** 2
    p = np.exp(-(np.abs(z[:, None] - QAM.points) ** 2) / noise)
    for engine in ("auto", "reference"):
        f = af.DecisionDirected(1, 0.1, QAM, decisions=("soft", noise), engine=engine, **COMPLEX)
        np.testing.assert_allclose(f(z, mu=0.0).e, p @ QAM.points / p.sum(-1) - z, rtol=1e-9, atol=1e-12)
        hard = af.DecisionDirected(1, 0.1, QAM, decisions=("soft", 1e-9), engine=engine, **COMPLEX)(z, mu=0.0)
        np.testing.assert_allclose(hard.y + hard.e, QAM.slice(z), atol=1e-12)


@pytest.mark.parametrize("carrier", [None, (0.01, 0.707)])
def test_a_hand_over_is_the_recursion_it_states(carrier: Any) -> None:
    x, _ = offset_qam(QAM, 300, 0.0)
    x[150:] *= np.exp(0.2j)
    d = np.where(np.arange(300) % 5 == 0, QAM.slice(x), np.nan)
    f = af.DecisionDirected(4, 0.01, QAM, decisions=("blind", 1.2), carrier=carrier, delay=0, **COMPLEX)
    out = f(x, d)
    w, past, theta, nu, spread = np.eye(4)[0] + 0j, np.concatenate([np.zeros(3), x]), 0.0, 0.0, 1.0
    alpha, beta = (float(f.alpha), float(f.beta)) if carrier else (0.0, 0.0)
    for n in range(300):
        u, turn = past[n : n + 4][::-1], np.exp(1j * theta)
        z = (w @ u) / turn
        np.testing.assert_allclose(out.y[n], z, rtol=1e-9)
        decided = QAM.slice(z)
        a = decided if np.isnan(d[n]) else d[n]
        blind = (QAM.dispersion - abs(z) ** 2) * z
        if not carrier:
            R = QAM.dispersion_part
            blind = (R - z.real**2) * z.real + 1j * (R - z.imag**2) * z.imag
        is_open = spread < 1.2 * QAM.min_distance**2 / 4
        e = turn * (a - z if is_open or not np.isnan(d[n]) else blind)
        np.testing.assert_allclose(out.e[n], e, rtol=1e-8, atol=1e-12)
        w = w + 0.01 * e * u.conj()
        phi = (z * np.conj(a)).imag / abs(a) ** 2
        nu += beta * phi
        theta += alpha * phi + nu
        spread = 0.99 * spread + 0.01 * abs(decided - z) ** 2
    assert float(f.spread) == pytest.approx(spread)


def offset_qam(constellation: af.Constellation, symbols: int, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Return symbols through a channel that closes the eye, at an offset in cycles a symbol, 30 dB above noise."""
    a, h = af.signals.symbols(constellation, symbols, rng=3), np.array([0.2, 0.9j, 0.35, -0.2])
    x = np.convolve(a, h / np.linalg.norm(h))[:symbols] * np.exp(2j * np.pi * offset * np.arange(symbols))
    return af.signals.add_noise(x, 30, rng=1), a


@pytest.mark.parametrize("offset", [0.0, 2e-4])
def test_a_hand_over_opens_a_closed_eye_and_decides(offset: float) -> None:
    """64-QAM without a known symbol: 1 dB from the noise, where decisions alone never start."""
    qam = af.Constellation.qam(64)
    x, a = offset_qam(qam, 30000, offset)
    left = {}
    for decisions in ("hard", ("blind", 0.4)):
        f = af.DecisionDirected(15, 2e-3, qam, carrier=(0.01, 0.707), decisions=decisions, **COMPLEX)
        found = af.metrics.align_symbols(f(x).y[-2000:], a[-2000:], rotations=4)
        left[decisions] = af.metrics.evm_db(found.y, found.symbols)
    assert left["hard"] > -5
    assert left["blind", 0.4] < -28.5
    assert float(f.spread) < 0.1 * qam.min_distance**2 / 4
    f.reset()
    assert float(f.spread) == 1


def test_stop_and_go_opens_an_eye_that_decisions_do_not() -> None:
    qam = af.Constellation.qam(64)
    x, a = offset_qam(qam, 30000, 0.0)
    found = {}
    for decisions in ("hard", "stop-and-go"):
        y = af.DecisionDirected(15, 2e-3, qam, decisions=decisions, **COMPLEX)(x).y
        aligned = af.metrics.align_symbols(y[-2000:], a[-2000:], rotations=4)
        found[decisions] = af.metrics.evm_db(aligned.y, aligned.symbols)
    assert found["stop-and-go"] < -28.5 < found["hard"]


def test_decisions_there_are_not() -> None:
    for decisions in ("firm", ("soft",), ("hard", 0.1), 3):
        with pytest.raises(ValueError, match='decisions must be "hard", "stop-and-go"'):
            af.DecisionDirected(4, 0.1, QAM, decisions=decisions, **COMPLEX)
    with pytest.raises(ValueError, match="decisions: soft must be"):
        af.DecisionDirected(4, 0.1, QAM, decisions=("soft", 0.0), **COMPLEX)
    with pytest.raises(TypeError, match="decisions is read-only"):
        af.DecisionDirected(4, 0.1, BPSK).decisions = "hard"


@pytest.mark.parametrize("normalized", [False, True])
def test_an_mmse_start_of_a_dfe_leaves_the_error_of_theory_from_the_start(normalized: bool) -> None:
    x, a = proakis_b(100_000)
    w, mse = af.theory.mmse_equalizer(af.plants.proakis("B").b, 8, 7, 0.01, feedback=2)
    f = af.DFE(8, 2, 0.01, BPSK, w0=w, normalized=normalized, dtype=torch.float64)
    e = f(x, a, mu=0.0).e[20:]
    assert np.mean(e**2) == pytest.approx(mse, rel=0.02)  # the rest of theory's error is nearly Gaussian
    f.reset()
    assert np.mean(f(x[:500], a[:500]).e[20:] ** 2) < 1.5 * mse


def test_a_normalised_dfe_is_nlms_on_samples_and_symbols() -> None:
    x, a = proakis_b(60)
    out = af.DFE(3, 2, 0.3, BPSK, normalized=True, eps=0.1, delay=0, dtype=torch.float64)(x, a)
    w, past, fed = np.array([1.0, 0, 0, 0, 0]), np.concatenate([[0, 0], x]), [0.0, 0.0]
    for n in range(60):
        u = np.concatenate([past[n : n + 3][::-1], fed])
        e, fed = a[n] - w @ u, [a[n], fed[0]]
        np.testing.assert_allclose(out.e[n], e, rtol=1e-10, atol=1e-12)
        w = w + 0.3 * e * u / (0.1 + u @ u)
    np.testing.assert_allclose(out.w, w, rtol=1e-10)


# Short calls


SHORT: dict[str, Callable[[], Any]] = {
    "DecisionDirected": lambda: af.DecisionDirected(5, 0.02, af.Constellation.psk(2), sps=3, delay=1, **F64),
    "DFE": lambda: af.DFE(4, 2, 0.01, af.Constellation.psk(2), **F64),
    "CMA": lambda: af.CMA(7, 0.001, sps=2, inputs=2, outputs=2, dtype=torch.complex64),
}


@pytest.mark.parametrize("make", SHORT.values(), ids=SHORT)
def test_short_calls_are_one_block_and_seldom_go_the_long_way(make: Any) -> None:
    f, short = make(), make()
    checked: list[int] = []
    short._check = lambda *a, check=short._check: checked.append(1) or check(*a)
    ends = np.cumsum([0, *[7, 12, 4, 20] * 6])
    x = np.random.default_rng(0).standard_normal((*f._axes("x"), ends[-1]))
    d = None if f.algorithm.blind else np.sign(np.random.default_rng(1).standard_normal(f._outputs_of(ends[-1])))
    if d is not None:
        d[5:60] = np.nan
    whole, outputs, close = f(x, d), [0], {"rtol": 0, "atol": 1e4 * torch.finfo(f.dtype).eps}
    parts = []
    for a, b in pairwise(ends):
        outputs.append(outputs[-1] + short._outputs_of(b - a))
        parts.append(short(x[..., a:b], None if d is None else d[outputs[-2] : outputs[-1]]))
    for k in ("y", "e"):
        np.testing.assert_allclose(np.concatenate([getattr(p, k) for p in parts], -1), getattr(whole, k), **close)
    for name, value in f.state_dict().items():
        np.testing.assert_allclose(short.state_dict()[name], value, **close)
    assert len(checked) == 5  # the first, second, fourth, eighth and sixteenth call


@pytest.mark.parametrize("make", [SHORT["DecisionDirected"], SHORT["DFE"]], ids=["DecisionDirected", "DFE"])
def test_a_short_call_that_fails_changes_nothing(make: Any) -> None:
    f, (x, d) = make(), np.random.default_rng(2).standard_normal((2, 30))
    d = np.sign(d)
    for _ in range(5):
        f(x, d[:4])
    before = copy.deepcopy(f.state_dict())
    for bad, says in (
        ((np.append(x[1:], np.nan), d[:4]), "x must be finite"),
        ((x, np.append(d[:3], np.inf)), "d must"),
    ):
        with pytest.raises(ValueError, match=says):
            f(*bad)
        for name, value in f.state_dict().items():
            np.testing.assert_array_equal(value, before[name])


class Interrupted:
    """A signal of a filter, whose first change is interrupted when it has come about."""

    def __init__(self, own: np.ndarray) -> None:
        self.own, self.calls = own, 0

    def copy(self) -> np.ndarray:
        return self.own.copy()

    def __setitem__(self, where: Any, value: Any) -> None:
        self.own[where], self.calls = value, self.calls + 1
        if self.calls == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["waiting", "latest", "phase"])
def test_a_short_call_that_is_interrupted_changes_nothing(name: str) -> None:
    f, (x, d) = SHORT["DecisionDirected"](), np.random.default_rng(2).standard_normal((2, 31))
    d = np.sign(d)
    for _ in range(5):
        f(x, d[:4])
    before, (workspace,) = copy.deepcopy(f.state_dict()), f._free
    workspace.beside[name] = Interrupted(workspace.beside[name])
    with pytest.raises(KeyboardInterrupt):
        f(x, d[:4])
    for k, value in f.state_dict().items():
        np.testing.assert_array_equal(value, before[k])
