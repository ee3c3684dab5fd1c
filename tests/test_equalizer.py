"""The equaliser in stages: it is its filters one after the other, finds delay and phase, and starts again."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.filters.equalisers.decided_rls import DecidedRLS

QPSK, QAM, BPSK = af.Constellation.psk(4), af.Constellation.qam(16), af.Constellation.psk(2)
COMPLEX: dict[str, Any] = {"dtype": torch.complex128}
CHANNEL = np.array([0.2, 0.9j, 0.35, -0.2])


def received(c: Any, symbols: int, late: int = 0, sps: int = 1, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return unit-power samples at 30 dB, so many symbols late, and the symbols."""
    a = af.signals.symbols(c, symbols, rng=seed)
    x = np.convolve(af.signals.upsample(a, sps), np.append(np.zeros(late * sps), CHANNEL))[: sps * symbols]
    x = af.signals.add_noise(x / np.sqrt(np.mean(np.abs(x) ** 2)), 30.0, rng=seed)
    return (x if not c.is_real else x.imag), a


def test_stages_are_the_filters_one_after_the_other() -> None:
    x, a = received(QAM, 1000)
    eq = af.Equalizer(7, QAM, delay=4, stages=[("train", 0.02), ("mma", 0.002, 150), ("dd", 0.005)], **COMPLEX)
    y, e, w = eq(x, training=a[:300])
    f = af.DecisionDirected(7, 0.02, QAM, delay=4, **COMPLEX)
    mu = np.where(np.arange(304) < 4, 0.0, 0.02)  # nothing is known of what came before
    first = f(x[:304], a[:300], mu=mu)
    g = af.MMA(7, 0.002, QAM, w0=first.w, **COMPLEX)
    g.filter(x[297:304])
    second = g(x[304:454])
    h = af.DecisionDirected(7, 0.005, QAM, delay=0, w0=second.w, **COMPLEX)
    h.filter(x[447:454])
    third = h(x[454:])
    np.testing.assert_allclose(y, np.concatenate([first.y, second.y, third.y]), rtol=1e-9)
    np.testing.assert_allclose(e, np.concatenate([first.e, second.e, third.e]), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(w, third.w, rtol=1e-9)


@pytest.mark.parametrize("sps", [1, 2])
@pytest.mark.parametrize("rule", ["lms", "nlms", "rls"])
def test_any_split_is_one_block(rule: str, sps: int) -> None:
    x, a = received(QPSK, 400, sps=sps)
    step = 0.99 if rule == "rls" else 0.05
    stages = [("train", step), ("cma", 0.01, 150), ("dd", step, 30)]
    one, two = (af.Equalizer(8, QPSK, sps=sps, stages=stages, delay=3, rule=rule, **COMPLEX) for _ in "12")
    y, e, w = one(x, training=a[:100])
    ends = np.cumsum([101, 2, 1, 0, 50, 100, 7]) * sps + np.array([0, 1, 0, 1, 0, 1, 0]) * (sps - 1)
    parts = [two(v, training=a[:100] if k == 0 else None) for k, v in enumerate(np.split(x, ends))]
    np.testing.assert_allclose(np.concatenate([p.y for p in parts]), y, rtol=1e-9)
    np.testing.assert_allclose(np.concatenate([p.e for p in parts]), e, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(parts[-1].w, w, rtol=1e-9)
    assert one.state == two.state == "idle"  # the last stage is over
    np.testing.assert_array_equal(one(x[:50]).w, w)


@pytest.mark.parametrize("late", [0, 5, 60])
@pytest.mark.parametrize(("c", "sps", "feedback"), [(QAM, 1, 0), (QPSK, 2, 0), (BPSK, 1, 0), (BPSK, 1, 3)])
def test_the_delay_is_found(c: Any, sps: int, feedback: int, late: int) -> None:
    x, a = received(c, 2000, late, sps)
    dtype = torch.float64 if c.is_real else torch.complex128
    stages = [("train", 0.02), ("dd", 0.005)]
    eq = af.Equalizer(10, c, sps=sps, stages=stages, feedback=feedback, dtype=dtype)
    y = eq(x, training=a[:200]).y
    assert late <= eq.delay <= late + 10
    assert eq.delays[eq.delay_errors.argmin()] == eq.delay
    assert af.metrics.ser(y[eq.delay + 20 :], a[20 : -eq.delay or None], c) == 0
    eq.reset()
    assert eq.delay is None
    assert eq.state != "idle"


def test_the_delay_found_is_nearly_the_best_of_theory() -> None:
    x, a = received(QAM, 4000, late=5)
    eq = af.Equalizer(10, QAM, **COMPLEX)
    eq(x, training=a[:1000])
    h, noise = np.append(np.zeros(5), CHANNEL / np.linalg.norm(CHANNEL)), 1e-3
    best = {d: af.theory.mmse_equalizer(h, 10, int(d), noise)[1] for d in eq.delays if d < len(h) + 9}
    assert best[eq.delay] < 1.1 * min(best.values())
    assert eq.delay_errors.min() == pytest.approx(best[eq.delay], rel=0.2)


@pytest.mark.parametrize("offset", [0.002, -0.025])
def test_the_delay_is_found_where_the_carrier_turns(offset: float) -> None:
    """Over the training the carrier turns a whole number of times: there its correlation with the symbols is 0."""
    x, a = received(QAM, 2000, late=5)
    stages = [("train", 0.02), ("dd", 0.005)]
    eq = af.Equalizer(11, QAM, carrier=(0.02, 0.707), stages=stages, engine="reference", **COMPLEX)
    y = eq(x * np.exp(2j * np.pi * offset * np.arange(2000)), training=a[:500]).y
    assert 5 <= eq.delay < 5 + 11
    assert af.metrics.evm_db(y[-1000:], a[-1000 - eq.delay : -eq.delay]) < -26
    assert float(eq.active.nu) == pytest.approx(2 * np.pi * offset, abs=1e-3)


def check_against_theory(y: np.ndarray, a: np.ndarray) -> None:
    """The last symbols leave hardly more than the best 11 taps at their delay."""
    found = af.metrics.align_symbols(y[-4000:], a[-4000:], rotations=4)
    least = af.theory.mmse_equalizer(CHANNEL / np.linalg.norm(CHANNEL), 11, int(found.delay), 1e-3)[1]
    assert af.metrics.evm_db(found.y, found.symbols) < 10 * np.log10(least) + 0.7


@pytest.mark.parametrize("blind", ["cma", "rde", "mma", "sato"])
def test_blind_stages_hand_over_upright(blind: str) -> None:
    """Without a known symbol; the channel turns by 90 degrees and more; what comes out stands upright."""
    x, a = received(QAM, 20000)
    eq = af.Equalizer(11, QAM, stages=[(blind, 2e-3, 8000), ("dd", 2e-3)], **COMPLEX)
    assert eq.state == "blind"
    y = eq(x * np.exp(0.5j)).y
    assert eq.state == "dd"
    check_against_theory(y, a)
    assert af.metrics.evm_db(y[8000:8200], QAM.slice(y[8000:8200])) < -18  # from the first decision on


def test_a_normalised_blind_stage_leaves_the_level_of_the_points() -> None:
    x, _ = received(QAM, 6000)
    eq = af.Equalizer(15, QAM, rule="nlms", stages=[("cma", 0.05)], engine="reference", **COMPLEX)
    y = eq(x).y
    assert np.mean(np.abs(y[2000:]) ** 2) == pytest.approx(1, abs=0.03)


def test_weights_to_start_from_belong_to_a_stage() -> None:
    with pytest.raises(TypeError, match="takes no w0: set the weights of its first stage"):
        af.Equalizer(5, af.Constellation.psk(4), w0=np.ones(5))


def test_auto_opens_the_eye_in_a_carrier_loop() -> None:
    x, a = received(QAM, 20000)
    x = x * np.exp(2e-3j * np.arange(len(x)))
    eq = af.Equalizer(11, QAM, stages=[("auto", 2e-3)], carrier=(0.01, 0.707), **COMPLEX)
    assert eq.state == "blind"
    y = eq(x).y
    assert eq.state == "dd"
    check_against_theory(y, a)


def test_two_polarisations_from_a_constrained_start_to_decisions() -> None:
    a = af.signals.symbols(QPSK, (2, 6000), rng=0)
    mixed = np.array([[0.8, 0.6j], [0.6j, 0.8]]) @ a
    x = np.array([np.convolve(s, [0.1, 1.0, 0.3j])[:6000] for s in mixed])
    x = x / np.sqrt(np.mean(np.abs(x) ** 2))
    eq = af.Equalizer(7, QPSK, inputs=2, outputs=2, stages=[("cma", 0.01, 3000), ("dd", 0.005)], **COMPLEX)
    y, _, w = eq(x)
    assert w.shape == (2, 2, 7)
    found = af.metrics.align_symbols(y[:, -1000:], a[:, -1000:], rotations=4)
    assert np.all(af.metrics.evm_db(found.y, found.symbols) < -30)
    trained = af.Equalizer(7, QPSK, inputs=2, outputs=2, **COMPLEX)
    y = trained(x, training=a[:, :500]).y
    assert np.all(af.metrics.ser(y[:, 100:], a[:, 100 - trained.delay : -trained.delay or None], QPSK) == 0)


def test_a_midamble_trains_alone_and_every_burst_anew() -> None:
    eq = af.Equalizer(9, QPSK, stages=[("train", 0.99)], rule="rls", **COMPLEX)
    for seed in (1, 2):
        x, a = received(QPSK, 400, seed=seed)
        x = x * np.exp(1j * seed)  # every burst in another phase
        known = np.where(abs(np.arange(400) - 200) < 50, a, np.nan)
        eq(x, training=known)
        assert eq.state == "idle"
        frozen = eq.snapshot()
        y = frozen(x).y  # the whole burst, with the weights of its midamble
        assert af.metrics.ser(y[eq.delay + 9 :], a[9 : -eq.delay or None], QPSK) == 0


def test_rls_is_the_recursion_of_the_textbook() -> None:
    x, a = received(BPSK, 120)
    f = DecidedRLS(3, 2, 0.98, BPSK, delay=1, delta=0.1, dtype=torch.float64)
    out = f(x, a[:60])
    w, P, past, fed = np.array([0, 1.0, 0, 0, 0]), np.eye(5) / 0.1, np.concatenate([[0, 0], x]), [0.0, 0.0]
    for n in range(120):
        u = np.concatenate([past[n : n + 3][::-1], fed])
        y = w @ u
        symbol = a[n - 1] if 1 <= n <= 60 else 1.0 if y >= 0 else -1.0
        np.testing.assert_allclose([out.y[n], out.e[n]], [y, symbol - y], rtol=1e-8, atol=1e-11)
        k = P @ u / (0.98 + u @ P @ u)
        w, P, fed = w + k * (symbol - y), (P - np.outer(k, u @ P)) / 0.98, [symbol, fed[0]]


def test_liquids_autotest_of_eqlms_and_eqrls() -> None:
    """29 taps at two samples a symbol, 800 symbols trained, blind, or decided: below -20 dB over the next 800."""
    pulse = af.signals.root_raised_cosine(0.3, 2, 7)
    h = np.convolve(np.convolve(pulse, pulse), [1, -0.01j, -0.11 + 0.02j, 0.02 + 0.01j, -0.09 - 0.04j])
    for c, stages, known in (
        (QPSK, [("train", 0.3), ("dd", 0.3)], 800),
        (QAM, [("train", 0.3), ("dd", 0.3)], 800),
        (QPSK, [("dd", 0.3)], 0),
        (QPSK, [("cma", 0.3, 800), ("dd", 0.3)], 0),
    ):
        a = af.signals.symbols(c, 1650, rng=0)
        x = np.convolve(af.signals.upsample(a, 2), h)[28 : 28 + 2 * 1650]  # from the middle of the first pulse on
        eq = af.Equalizer(29, c, sps=2, rule="nlms", stages=stages, delay=7, **COMPLEX)
        y = eq(x, training=a[:known]).y if known else eq(x).y
        found = af.metrics.align_symbols(y[807:1607], a[800:1600], rotations=4)
        assert af.metrics.evm_db(found.y, found.symbols) < -20
    a = af.signals.symbols(QPSK, 64, rng=1)
    w = af.Equalizer(6, QPSK, rule="rls", stages=[("train", 0.99)], delay=0, **COMPLEX)(a, training=a).w
    np.testing.assert_allclose(w, np.eye(6)[0], atol=1e-2)


def test_gnuradios_test_over_a_channel() -> None:
    """Of qa_linear_equalizer: four samples a symbol, 16 taps, LMS .01, root raised cosine .35: EVM below 20 %."""
    pulse = af.signals.root_raised_cosine(0.35, 4, 5)
    a = af.signals.symbols(QPSK, 4000, rng=0)
    x = np.convolve(np.convolve(af.signals.upsample(a, 4), pulse), pulse)
    taps = np.array([1 + 1j, 0.63 - 0.22j, -0.1 + 0.07j])
    x = np.convolve(x, taps / np.linalg.norm(taps))[: 4 * 4000]
    eq = af.Equalizer(16, QPSK, sps=4, stages=[("train", 0.01), ("dd", 0.01)], **COMPLEX)
    y = eq(x, training=a[:1000]).y
    assert 10 ** (af.metrics.evm_db(y[-2000:], a[-2000 - eq.delay : -eq.delay]) / 20) < 0.2


def test_frozen_copied_and_restored() -> None:
    x, a = received(QPSK, 600)
    eq = af.Equalizer(7, QPSK, stages=[("train", 0.02), ("cma", 0.01, 200), ("dd", 0.01)], **COMPLEX)
    eq(x[:150], training=a[:100])
    assert eq.state == "blind"
    eq.eval()
    assert eq.state == "idle"
    w = eq.active.w.clone()
    assert torch.equal(eq(x[150:200]).w if isinstance(x, torch.Tensor) else torch.from_numpy(eq(x[150:200]).w), w)
    eq.train()
    assert eq.state == "blind"
    twin = copy.deepcopy(eq)
    other = af.Equalizer(7, QPSK, stages=[("train", 0.02), ("cma", 0.01, 200), ("dd", 0.01)], **COMPLEX)
    other.load_state_dict(eq.state_dict())
    y = eq(x[200:]).y
    np.testing.assert_array_equal(twin(x[200:]).y, y)
    np.testing.assert_array_equal(other(x[200:]).y, y)
    assert eq.state == other.state == "dd"


def test_a_checkpoint_goes_through_a_file(tmp_path: Path) -> None:
    """torch.load takes tensors, numbers and lists alone, unless it is told to trust the file."""
    x, a = received(QPSK, 200)
    eq, other = (af.Equalizer(7, QPSK, engine="reference", **COMPLEX) for _ in "12")
    eq(x[:150], training=a[:100])
    torch.save(eq.state_dict(), tmp_path / "eq.pt")
    other.load_state_dict(torch.load(tmp_path / "eq.pt"))
    np.testing.assert_array_equal(other.delay_errors, eq.delay_errors)
    np.testing.assert_array_equal(other.delays, eq.delays)
    np.testing.assert_array_equal(other(x[150:]).y, eq(x[150:]).y)


def test_what_fails_changes_nothing() -> None:
    x, a = received(QPSK, 400)
    eq, twin = (
        af.Equalizer(7, QPSK, stages=[("train", 0.02), ("cma", 0.01, 50), ("dd", 0.01)], **COMPLEX) for _ in "12"
    )
    for f in (eq, twin):
        f(x[:120], training=a[:60])
    bad = x[120:].copy()
    bad[200] = np.nan
    with pytest.raises(ValueError, match="x must be finite"):
        eq(bad)
    with pytest.raises(ValueError, match="x must be finite"):
        eq(bad, training=a[:20])
    with pytest.raises(af.DivergenceError):
        eq(1e200 * x[120:])
    for got, want in zip(eq(x[120:]), twin(x[120:]), strict=True):
        np.testing.assert_array_equal(got, want)


def test_tensors_and_numbers_of_one_kind() -> None:
    x, a = received(QPSK, 300)
    want = af.Equalizer(7, QPSK, **COMPLEX)(x, training=a[:100])
    got = af.Equalizer(7, QPSK, **COMPLEX)(torch.from_numpy(x), training=torch.from_numpy(a[:100]))
    for t, n in zip(got, want, strict=True):
        assert isinstance(t, torch.Tensor)
        np.testing.assert_array_equal(t.numpy(), n)
    assert af.Equalizer(7, QPSK).common["dtype"] is torch.complex64
    assert af.Equalizer(7, BPSK).common["dtype"] is torch.float32


def test_what_is_refused() -> None:
    x, a = received(QAM, 100)
    eq = af.Equalizer(7, QAM, **COMPLEX)
    for call, error, says in (
        (lambda: eq(x, training=np.append(a, a[:1])), ValueError, "longer than the block of 100 symbols, got 101"),
        (lambda: eq(x, training=a[:10] * np.sqrt(10)), ValueError, "unit mean power, got"),
        (lambda: eq(x, training=a[:10] * np.inf), ValueError, "training must be finite, or NaN"),
        (lambda: eq(x, training=a[None, :10]), ValueError, "training must have shape"),
        (lambda: eq(x.real, training=a[:10]), TypeError, "x is real, the points are complex"),
        (lambda: eq(list(x)), TypeError, "x must be a NumPy array"),
        (lambda: eq(np.array(1j)), ValueError, "x must have time as its last axis"),
        (lambda: eq(x, training=list(a)), TypeError, "training must be a NumPy array"),
        (lambda: af.Equalizer(7, BPSK)(x.real, training=a), TypeError, "training is complex, the points are real"),
        (lambda: af.Equalizer(7, QAM, dtype=torch.float32), TypeError, "real points for a real filter"),
        (lambda: af.Equalizer(7, [1, -1]), TypeError, r"must be an adaptfilt\.Constellation, got list"),
        (lambda: af.Equalizer(7, QAM, batch=3), TypeError, "no batch"),
        (lambda: af.Equalizer(7, QAM, rule="kalman"), ValueError, "rule must be one of lms, nlms, rls"),
        (lambda: af.Equalizer(7, QAM, stages=[]), TypeError, "stages must be a sequence"),
        (lambda: af.Equalizer(7, QAM, stages=[("x", 1)]), ValueError, "a stage must be"),
        (lambda: af.Equalizer(7, QAM, stages=[("train", 0.1, 5)]), ValueError, '"train" lasts as long'),
        (lambda: af.Equalizer(7, QAM, stages=[("cma", 0.1), ("dd", 0.1)]), ValueError, "number of symbols"),
        (lambda: af.Equalizer(7, QAM, stages=[("auto", 0.1)], feedback=2), ValueError, '"auto" does not go with'),
        (lambda: af.Equalizer(7, QAM, feedback=2, carrier=(0.01, 0.7)), ValueError, "carrier does not go with"),
    ):
        with pytest.raises(error, match=says):
            call()
    assert eq(x, training=a[:0]).y.shape == (100,)


def test_what_is_warned_of() -> None:
    x, a = received(QAM, 100)
    with pytest.warns(UserWarning, match=r'stage \("dd", 0.02\): with rule="rls" the number is lam') as told:
        af.Equalizer(7, QAM, rule="rls", stages=[("train", 0.99), ("dd", 0.02)])
    assert told[0].filename == __file__
    eq = af.Equalizer(7, QAM, delay=3, engine="reference")
    eq.eval()(x)
    with pytest.warns(UserWarning, match='no training= is given, so that the stage "train" is passed over') as told:
        eq.train()(x)
    assert told[0].filename == __file__
    eq(x)  # said once
    eq.reset()(x, training=a[:50])
    eq(x)
