"""Equalisers: external results, what each rule is blind to, decisions, carrier loop, and the start of 2 by 2."""

from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.filters.equalisers.decisions import choose

COMPLEX: dict[str, Any] = {"dtype": torch.complex128}
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
