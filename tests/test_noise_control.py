"""Noise control: loops through a secondary path, against textbook loops and what theory and others say."""

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import firwin, lfilter

import adaptfilt as af

F64: dict[str, Any] = {"dtype": torch.float64}
TAPS = 5
MODEL = np.array([0.1, 0.3, -0.2, 0.1])


def signals(samples: int, *, is_complex: bool = False, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, d = rng.standard_normal((2, samples))
    return (x + 1j * d[::-1], d * np.exp(1j * np.arange(samples))) if is_complex else (x, d)


# Filtered-x


def test_matlabs_set_up_gives_its_errors() -> None:
    """MATLAB's FilteredXLMSFilter example: mean e^2 .219 in the first 100 samples, .0111 in the last 200."""
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal((40, 1000)), 0.1 * rng.standard_normal((40, 1000))
    f = af.FxLMS(32, 0.008, firwin(32, 0.5), batch=40, **F64)
    _, e, _ = f(x, lfilter(firwin(48, 0.4), 1, x) + noise)
    assert np.mean(e[:, -200:] ** 2) == pytest.approx(0.0111, abs=3e-4)
    assert np.mean(e[:, :100] ** 2) == pytest.approx(0.219, abs=0.02)


@pytest.mark.parametrize(("delay", "largest"), [(0, 0.114), (8, 0.080), (32, 0.036)])
def test_a_delay_lowers_the_largest_step(delay: int, largest: float) -> None:
    """Steps found for 16 taps and white input; the rule 2 / (M + delay) is optimistic by 5 to 15 %."""
    assert 0.85 <= largest * (16 + delay) / 2 <= 0.97
    path = np.eye(1, delay + 1, delay)[0]
    x = np.tile(signals(8000)[0], (2, 1))
    d = lfilter(path, 1, lfilter(np.ones(16) / 4, 1, x))
    f = af.FxLMS(16, torch.tensor([0.9, 1.2]) * largest, path, batch=2, **F64)
    e = np.abs(f(x, d).e[:, -200:]).max(-1)
    assert e[0] < 1e-3
    assert e[1] > 10


@pytest.mark.parametrize(("degrees", "converges"), [(-80, True), (80, True), (-100, False), (100, False)])
def test_a_model_within_ninety_degrees_converges(degrees: float, converges: bool) -> None:
    """The model delays the only frequency there is by too much, or too little; the path does not delay at all."""
    frequency = 0.4
    x = np.cos(frequency * np.arange(60_000))
    at = np.exp(-1j * frequency * np.arange(2))
    turn = np.exp(1j * np.radians(degrees))
    model = np.linalg.solve([at.real, at.imag], [turn.real, turn.imag])
    f = af.FxLMS(2, 0.002, model, path_taps=2, **F64)
    _, e, _ = f(x, np.sin(frequency * np.arange(60_000)), path=np.array([1.0]))
    residual = np.abs(e[-100:]).max()
    assert residual < 1e-3 if converges else residual > 1e3


def test_a_model_longer_than_the_paths_is_heard_whole() -> None:
    x, d = signals(60)
    for make in (
        lambda **k: af.FxLMS(3, 0.05, MODEL, engine="reference", **F64, **k),
        lambda **k: af.ModifiedFxLMS(af.LMS(3, 0.05, engine="reference", **F64), MODEL, **k),
    ):
        f = make(path_taps=2)
        assert f.path_taps == len(MODEL)
        np.testing.assert_array_equal(f(x, d).e, make()(x, d).e)


def test_predict_and_adapt_without_the_path_diverge() -> None:
    """What the docs warn of: NLMS in the place of FxLMS, behind a path of five samples."""
    path = np.eye(1, 6, 5)[0]
    x, _ = signals(1500)
    f, ys, es = af.NLMS(8, 0.1, **F64), [0.0] * 5, []
    for n, v in enumerate(x):
        ys.append(f.predict(v))
        es.append(x[n - 7] * 0.5 - ys[n] if n >= 7 else 0.0)
        f.adapt(es[-1])
    assert np.mean(np.square(es[-100:])) > 100 * np.mean(x**2)
    e = af.FxNLMS(8, 0.1, path, **F64)(x, np.append(np.zeros(7), 0.5 * x[:-7])).e
    assert np.mean(e[-100:] ** 2) < 1e-4


def test_a_leak_weighs_the_drive_against_the_error() -> None:
    """The least E|e|^2 + leak |w|^2: w = s d / (s^2 + leak) for one tap and a constant input."""
    f = af.FxLMS(1, 0.05, np.array([0.5]), leak=0.25, **F64)
    w = f(np.ones(2000), np.ones(2000)).w
    assert w[0] == pytest.approx(0.5 / (0.25 + 0.25), abs=1e-12)


# The modified form


def inner(name: str, *, is_complex: bool = False) -> Any:
    common: dict[str, Any] = {"dtype": torch.complex128 if is_complex else torch.float64}
    if name == "FDAF":
        return af.FDAF(TAPS, 0.3, block=4, engine="reference", **common)
    made: dict[str, Any] = {"NLMS": af.NLMS, "RLS": af.RLS, "AffineProjection": af.AffineProjection}
    return made[name](TAPS, engine="reference", **common)


def by_the_book(f: Any, x: np.ndarray, d: np.ndarray, path: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sample by sample: play, hear, undo what the model says was heard, and have the algorithm take a step."""
    v, ys, es = lfilter(MODEL, 1, x), [], []
    for n in range(len(x)):
        u = np.array([x[n - k] if n >= k else 0 for k in range(TAPS)])
        ys.append(f.w.numpy() @ u)
        real, modelled = (sum(s * y for s, y in zip(h, reversed(ys), strict=False)) for h in (path, MODEL))
        es.append(d[n] - real)
        f.step(v[n], es[-1] + modelled)
    return np.array(ys), np.array(es), f.w.numpy()


PATHS = {
    "that of the model": MODEL,
    "other at once": 1.1 * MODEL,
    "other later": MODEL + np.array([0, 0, 0.1, 0]),
    "longer": np.append(MODEL, [0.0, 0.2]),
}


@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("name", ["NLMS", "RLS", "AffineProjection", "FDAF"])
def test_any_filter_in_the_modified_form(name: str, is_complex: bool) -> None:
    x, d = signals(120, is_complex=is_complex)
    for path in PATHS.values():
        want = by_the_book(inner(name, is_complex=is_complex), x, d, path)
        f, g, h = (af.ModifiedFxLMS(inner(name, is_complex=is_complex), MODEL, path_taps=6) for _ in range(3))
        out = f(x, d, path=path, record_every=7)
        parts = [g(x[a:b], d[a:b], path=path) for a, b in pairwise([0, 1, 5, 5, 60, 120])]
        ys: list[Any] = []
        for x_n, d_n in zip(x, d, strict=True):
            ys.append(h.predict(x_n))
            h.adapt(d_n - sum(s * y for s, y in zip(path, reversed(ys), strict=False)))
        split = (np.concatenate([p.y for p in parts]), np.concatenate([p.e for p in parts]), g.w.numpy())
        for got in ((*out[:2], f.w.numpy()), split, (np.array(ys), want[1], h.w.numpy())):
            for a, b in zip(got, want, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-9)
        assert out.w.shape == (17, TAPS)
        again = af.ModifiedFxLMS(inner(name, is_complex=is_complex), MODEL, path_taps=6)
        np.testing.assert_allclose(again(x[:70], d[:70], path=path).w, out.w[9], atol=1e-9)


@pytest.mark.parametrize("delay", [0, 8, 32])
def test_the_modified_form_does_not_mind_a_delay(delay: int) -> None:
    path = np.eye(1, delay + 1, delay)[0]
    x, _ = signals(20_000)
    f = af.ModifiedFxLMS(af.LMS(16, 0.03, **F64), path)
    e = f(x, lfilter(path, 1, lfilter(np.ones(16) / 4, 1, x))).e
    assert np.mean(e[-100:] ** 2) < 1e-28


def test_the_modified_form_streams_batches_and_inputs() -> None:
    x, d = np.random.default_rng(1).standard_normal((2, 3, 90)), np.random.default_rng(2).standard_normal((2, 90))
    common: dict[str, Any] = {"inputs": 3, "engine": "reference", **F64}
    f = af.ModifiedFxLMS(af.NLMS(TAPS, batch=2, **common), MODEL)
    y, e, w = f(x, d, path=1.1 * MODEL)
    assert (y.shape, e.shape, w.shape) == ((2, 90), (2, 90), (2, 3, TAPS))
    for k in range(2):
        one = af.ModifiedFxLMS(af.NLMS(TAPS, **common), MODEL)
        for a, b in zip(one(x[k], d[k], path=1.1 * MODEL), (y[k], e[k], w[k]), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)
    g = af.ModifiedFxLMS(af.NLMS(TAPS, batch=2, **common), MODEL)
    ys = []
    for n in range(90):
        ys.append(g.predict(x[..., n]))
        g.adapt(d[:, n] - sum(1.1 * s * v for s, v in zip(MODEL, reversed(ys), strict=False)))
    np.testing.assert_allclose(np.stack(ys, -1), y, atol=1e-12)


def test_the_modified_form_is_a_module_with_the_verbs() -> None:
    x, d = signals(100)
    f = af.ModifiedFxLMS(inner("RLS"), MODEL)
    f(x[:50], d[:50])
    twin, other = copy.deepcopy(f), af.ModifiedFxLMS(inner("RLS"), np.ones(4))
    other.load_state_dict(f.state_dict())
    want = f(x[50:], d[50:])
    for g in (twin, other):
        for a, b in zip(g(x[50:], d[50:]), want, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(f.history, x[-TAPS + 1 :])
    f.eval()
    w = f.w.numpy().copy()
    y, e, _ = f(x, d)
    np.testing.assert_allclose(y[TAPS:], lfilter(w, 1, x)[TAPS:])
    np.testing.assert_allclose(e[TAPS + 4 :], (d - lfilter(MODEL, 1, lfilter(w, 1, x)))[TAPS + 4 :])
    np.testing.assert_allclose(twin.filter(x), y, atol=1e-12)
    f.train().reset()
    step = [f.step(a, b) for a, b in zip(x[:9], d[:9], strict=True)]
    fresh = af.ModifiedFxLMS(inner("RLS"), MODEL)(x[:9], d[:9])
    np.testing.assert_allclose(np.array(step).T, fresh[:2], atol=1e-12)
    assert isinstance(f(torch.from_numpy(x), torch.from_numpy(d)).y, torch.Tensor)


def test_the_modified_form_refuses_before_anything_changes() -> None:
    x, d = signals(100)
    f = af.ModifiedFxLMS(inner("NLMS"), MODEL)
    f(x, d)
    before = {k: v.clone() for k, v in f.state_dict().items()}
    bad = np.where(np.arange(100) == 60, np.nan, x)
    for call, says in (
        (lambda: f(bad, d), "x must be finite"),
        (lambda: f(x, bad), "d must be finite"),
        (lambda: f(x, d[:-1]), "same length"),
        (lambda: f(x, d, mu=-1.0), "mu"),
        (lambda: f(x, d, path=np.ones(5)), "path must have 1 to 4 taps"),
        (lambda: f.predict(np.nan), "x"),
        (lambda: f.adapt(np.nan), "e"),
        (lambda: setattr(f, "secondary", np.full(4, np.inf)), "finite"),
    ):
        with pytest.raises(ValueError, match=says):
            call()
    assert all(torch.equal(v, before[k]) for k, v in f.state_dict().items())
    with pytest.raises(TypeError, match="linear"):
        af.ModifiedFxLMS(af.LatticeRLS(4), MODEL)  # type: ignore[arg-type]
    for other in (af.CMA(4, 0.01), af.NLMS(4, outputs=2), af.NLMS(4, nonfinite="skip"), af.NLMS(4, batch="auto")):
        with pytest.raises(ValueError, match="filter must"):
            af.ModifiedFxLMS(other, MODEL)
    with pytest.raises(ValueError, match="secondary"):
        af.ModifiedFxLMS(inner("NLMS"), np.ones((2, 2)))


def test_a_divergence_in_the_modified_form_leaves_the_state() -> None:
    x, d = signals(100)
    f = af.ModifiedFxLMS(af.LMS(TAPS, 0.01, engine="reference", **F64), MODEL)
    f(x, d)
    before = {k: v.clone() for k, v in f.state_dict().items()}
    f.inner.mu = 1e6
    with pytest.raises(af.DivergenceError), pytest.warns():
        f(x, d, path=2 * MODEL)
    assert all(torch.equal(v, before[k]) for k, v in f.state_dict().items())


# Without a reference


@pytest.mark.parametrize("kind", ["FxNLMS", "ModifiedFxLMS", "complex"])
def test_feedback_control_is_filtered_x_on_what_the_model_says(kind: str) -> None:
    def make() -> Any:
        if kind == "ModifiedFxLMS":
            return af.ModifiedFxLMS(inner("NLMS"), MODEL, path_taps=6)
        dtype = torch.complex128 if kind == "complex" else torch.float64
        return af.FxNLMS(TAPS, 0.05, MODEL, path_taps=6, engine="reference", dtype=dtype)

    _, d = signals(60, is_complex=kind == "complex")
    for path in PATHS.values():
        f, x, ys, es = make(), 0.0, [], []
        for d_n in d:
            ys.append(f.predict(x))
            real, modelled = (sum(s * y for s, y in zip(h, reversed(ys), strict=False)) for h in (path, MODEL))
            es.append(d_n - real)
            f.adapt(es[-1])
            x = es[-1] + modelled
        g, h, one = (af.FeedbackControl(make()) for _ in range(3))
        y, e, w = g(d, path=path, record_every=20)
        np.testing.assert_allclose(y, ys, atol=1e-10)
        np.testing.assert_allclose(e, es, atol=1e-10)
        np.testing.assert_allclose(w[-1], f.w.numpy(), atol=1e-10)
        assert w.shape == (3, TAPS)
        parts = [h(d[a:b], path=path).y for a, b in pairwise([0, 1, 3, 3, 60])]
        np.testing.assert_allclose(np.concatenate(parts), ys, atol=1e-10)
        heard = af.plants.Duct(np.array([1.0]), path).control(one, d) if kind != "complex" else None
        assert heard is None or np.allclose(heard.y, ys, atol=1e-10)


def test_feedback_control_refuses_what_does_not_fit_and_starts_anew() -> None:
    with pytest.raises(TypeError, match="secondary path"):
        af.FeedbackControl(af.NLMS(4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one input"):
        af.FeedbackControl(af.FxLMS(4, 0.1, MODEL, inputs=2))
    _, d = signals(30)
    f = af.FeedbackControl(af.ModifiedFxLMS(inner("RLS"), MODEL))
    first = f(d, path=1.1 * MODEL)
    before = {k: v.clone() for k, v in f.state_dict().items()}
    for call in (lambda: f(np.append(d, np.nan)), lambda: f.adapt(np.inf), lambda: f(d, mu=2.0)):
        with pytest.raises(ValueError, match=r"d must|e must|mu must"):
            call()
    assert all(torch.equal(v, before[k]) for k, v in f.state_dict().items())
    twin = copy.deepcopy(f)
    assert f.step(0.5) == twin.step(0.5)
    np.testing.assert_array_equal(f.reset()(d, path=1.1 * MODEL).y, first.y)


# Loops


class Tape:
    """Plays what it is given, whatever it hears."""

    def __init__(self, y: np.ndarray) -> None:
        self.y, self.n = y, -1

    def predict(self, x: Any) -> Any:
        self.n += 1
        return self.y[..., self.n]

    def adapt(self, e: Any) -> None:
        pass


def convolved(h: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return what comes through responses, (L, Q, S), of (Q, T)."""
    return np.array([sum(lfilter(g, 1, u) for g, u in zip(row, v, strict=True)) for row in h])


def test_a_duct_hears_what_the_convolutions_say() -> None:
    rng = np.random.default_rng(0)
    primary, secondary, back = (rng.standard_normal(s) for s in ((3, 2, 5), (3, 4, 7), (2, 4, 9)))
    back[..., 0] = 0
    x, y, noise = rng.standard_normal((2, 50)), rng.standard_normal((4, 50)), rng.standard_normal((3, 50))
    duct = af.plants.Duct(primary, secondary, back, limit=0.5)
    heard = duct.control(Tape(y), x, noise=noise)
    played = 0.5 * np.tanh(y / 0.5)
    np.testing.assert_allclose(heard.x, x - convolved(back, played))
    np.testing.assert_array_equal(heard.y, y)
    np.testing.assert_allclose(heard.e, convolved(primary, x) + noise - convolved(secondary, played))
    one = af.plants.Duct(primary[0, 0], secondary[0, 0], back[0, 0])
    heard = one.control(Tape(y[0]), x[0])
    np.testing.assert_allclose(heard.x, x[0] - lfilter(back[0, 0], 1, y[0]))
    np.testing.assert_allclose(heard.e, one(x[0]) - lfilter(secondary[0, 0], 1, y[0]))


DUCT = af.plants.Duct(np.array([0.0, 0.0, 0.8]), np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    "make",
    [
        lambda s: af.FxLMS(64, 0.1, s, **F64),
        lambda s: af.FxNLMS(16, 0.5, s, **F64),
        lambda s: af.ModifiedFxLMS(af.NLMS(16, **F64), s),
        lambda s: af.FxFDAF(16, 0.5, s),
    ],
)
def test_a_model_of_the_path_is_heard_and_finite_and_a_wrong_one_diverges(make: Any) -> None:
    for wrong, says in ((np.zeros(2), "must not be zeros alone"), (np.array([1.0, np.nan]), "must be finite")):
        with pytest.raises(ValueError, match=f"secondary {says}"):
            make(wrong)
        f = make(DUCT.secondary)
        with pytest.raises(ValueError, match=f"secondary {says}"):
            f.secondary = wrong
        np.testing.assert_array_equal(f.secondary, DUCT.secondary)
    with pytest.raises(ValueError, match="secondary must not require a gradient"):
        make(torch.ones(2, dtype=torch.float64, requires_grad=True))
    with pytest.raises(af.DivergenceError, match=r"the loop diverges: the error is .* at sample"):
        DUCT.control(make(-DUCT.secondary), af.signals.white(5000, rng=0))


@pytest.mark.parametrize(
    ("responses", "says"),
    [
        (([np.nan], [1.0]), "primary must be finite real"),
        (([1.0], [[1.0]]), "secondary must be finite real"),
        (([1.0], [1j]), "secondary must be finite real"),
        ((np.ones((3, 1, 4)), np.ones((2, 1, 4))), "primary must go with secondary"),
        (([1.0], [0.0]), "secondary must not be zeros"),
        (([1.0], [1.0], [0.5]), "feedback must have shape .* and begin with 0"),
        (([1.0], [1.0], None, 0.0), "limit must be above 0"),
    ],
)
def test_a_duct_refuses_what_is_none(responses: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        af.plants.Duct(*responses)


def test_a_duct_refuses_changes_that_do_not_fit() -> None:
    other = af.plants.Duct(np.ones(3), np.ones(5))
    for then in ({8: DUCT, 5: DUCT}, {20: DUCT}, {-1: DUCT}, {5: other}):
        with pytest.raises(ValueError, match="then must hold ducts of the same shapes from rising samples up to 9"):
            DUCT.control(af.FxNLMS(4, 0.1, DUCT.secondary), np.ones(9), then=then)
    with pytest.raises(ValueError, match="x must be real"):
        DUCT.control(af.FxNLMS(4, 0.1, DUCT.secondary), np.ones(9) * 1j)
    with pytest.raises(ValueError, match="h must be real"):
        af.plants.detuned(np.ones(3) * 1j)


def test_a_duct_may_change() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 50))
    first, second = (af.plants.Duct(rng.standard_normal(4), rng.standard_normal(6)) for _ in range(2))
    heard = first.control(Tape(y), x, then={20: second})
    for duct, part in ((first, slice(0, 20)), (second, slice(20, 50))):
        np.testing.assert_allclose(heard.e[part], (duct(x) - lfilter(duct.secondary, 1, y))[part])


def test_a_loop_by_samples_equals_the_block() -> None:
    duct = af.plants.duct(0, taps=64, fs=4000.0)
    x, _ = signals(400)
    f = af.ModifiedFxLMS(inner("NLMS"), af.plants.detuned(duct.secondary, gain_db=1.0), path_taps=64)
    by_samples = duct.control(f, x)
    y, e, _ = f.reset()(x, duct(x), path=duct.secondary)
    np.testing.assert_allclose(by_samples.y, y, atol=1e-12)
    np.testing.assert_allclose(by_samples.e, e, atol=1e-12)


def test_a_duct_is_causal_and_as_long_as_told() -> None:
    duct = af.plants.duct(1, fs=8000.0, speaker=1.0, microphone=3.0, feedback=True, taps=100)
    assert duct.feedback is not None
    for h, way in ((duct.primary, 3.0), (duct.secondary, 2.0), (duct.feedback, 1.0)):
        assert len(h) == 100
        assert np.flatnonzero(h)[0] == round(way / 343 * 8000)
        assert 1 < np.sum(h**2) <= 1.1
    for wrong in ({"speaker": 3.0}, {"taps": 20}, {"microphone": 100.0}):
        with pytest.raises(ValueError, match="the sound must need"):
            af.plants.duct(0, **wrong)


# The path found while control runs


PATH, PRIMARY = np.array([0, 0.8, 0.4, -0.2, 0.1]), np.array([0, 0, 0.9, 0.5, -0.3, 0.2])


def online(mu: float, *, residual: bool = True, **more: Any) -> Any:
    controller = af.ModifiedFxLMS(af.NLMS(8, mu, **F64), PATH)
    third = af.NLMS(8, 0.02, **F64) if residual else None
    return af.OnlineModelling(controller, af.NLMS(5, 0.02, **F64), third, **more)


@pytest.mark.parametrize("level", [{"probe": 0.3}, {"probe": 0.5, "schedule": 0.2}], ids=["constant", "scheduled"])
def test_online_modelling_finds_a_path_that_turns_round(level: dict[str, float]) -> None:
    """The path's sign changes, and control comes back."""
    duct, turned = (af.plants.Duct(PRIMARY, sign * PATH) for sign in (1, -1))
    f = online(0.02, **level)
    e = duct.control(f, signals(4500)[0], then={1500: turned}).e
    assert af.metrics.misalignment_db(f.secondary, -PATH) < -15
    probe = f.level**2 * np.sum(PATH**2)  # what is heard of it is about all that is left
    assert np.mean(e[-300:] ** 2) < 3 * probe
    assert (f.level < 0.25) is ("schedule" in level)


def test_a_model_that_is_not_renewed_lets_control_diverge() -> None:
    duct, turned = (af.plants.Duct(PRIMARY, sign * PATH) for sign in (1, -1))
    e = duct.control(af.ModifiedFxLMS(af.NLMS(8, 0.02, **F64), PATH), signals(4500)[0], then={1500: turned}).e
    assert np.mean(e[-300:] ** 2) > 100 * np.mean(e[:300] ** 2)


def test_the_third_filter_frees_the_model_of_the_noise() -> None:
    """With a controller that stands still the whole noise disturbs Eriksson's model, and Zhang's not for long."""
    duct, x = af.plants.Duct(PRIMARY, -PATH), signals(2500)[0]
    errors = []
    for residual in (False, True):
        f = online(1e-9, residual=residual, probe=0.3)
        duct.control(f, x)
        errors.append(float(af.metrics.misalignment_db(f.secondary, -PATH)))
    assert errors[0] > -12
    assert errors[1] < -25


def test_online_modelling_resumes_and_refuses() -> None:
    def make() -> Any:
        f = af.ModifiedFxLMS(inner("NLMS"), MODEL)
        return af.OnlineModelling(f, af.NLMS(4, 0.1, **F64), af.NLMS(3, 0.1, **F64), schedule=0.5, every=3)

    f, x = make(), signals(60)[0]
    for v in x[:20]:
        f.predict(v)
        f.adapt(0.5 * v)
    g = make()
    g.load_state_dict(f.state_dict())
    for v in x[20:]:
        assert f.predict(v) == g.predict(v)
        f.adapt(0.5 * v)
        g.adapt(0.5 * v)
    assert torch.equal(f.w, g.w)
    assert torch.equal(f.secondary, g.secondary)
    before = f.w.clone()
    with pytest.raises(ValueError, match="e"):
        f.adapt(np.nan)
    f.eval()
    f.predict(1.0)
    f.adapt(1.0)
    assert torch.equal(f.w, before)
    assert not f.reset().w.any()
    with pytest.raises(TypeError, match="takes no blocks: call predict and adapt"):
        f(np.ones(3), np.ones(3))
    for given, error, says in (
        ((af.NLMS(4), af.NLMS(4)), TypeError, "secondary path"),
        ((af.FxLMS(4, 0.1, MODEL), af.NLMS(3)), ValueError, "path must have 4 taps"),
        ((af.FxLMS(4, 0.1, MODEL), af.NLMS(4, batch=2)), ValueError, "path must be"),
    ):
        with pytest.raises(error, match=says):
            af.OnlineModelling(*given)


# The best there is


def delayed(v: np.ndarray) -> np.ndarray:
    """Return regressors, (T, 3)."""
    return np.stack([np.append(np.zeros(k), v[: len(v) - k]) for k in range(3)], -1)


@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("leak", [0.0, 0.3])
def test_causal_wiener_is_the_least_squares_solution(is_complex: bool, leak: float) -> None:
    rng = np.random.default_rng(0)
    K, L, Q, T = 2, 3, 2, 40
    x, d, s = (rng.standard_normal((*n, 2)) @ [1, 1j * is_complex] for n in ((K, T), (L, T), (L, Q, 4)))
    x, d, s = (v if is_complex else v.real for v in (x, d, s))
    v = [[delayed(lfilter(s[m, q], 1, x[k])) for q in range(Q) for k in range(K)] for m in range(L)]
    A = np.concatenate([*(np.concatenate(row, -1) for row in v), np.sqrt(leak * T) * np.eye(K * Q * 3)])
    want = np.linalg.lstsq(A, np.append(d.ravel(), np.zeros(K * Q * 3)), rcond=None)[0]
    got = af.theory.causal_wiener(x, d, 3, s, leak=leak)
    assert got.shape == (Q, K, 3)
    np.testing.assert_allclose(got.ravel(), want, atol=1e-10)


def test_causal_wiener_without_a_path_is_the_wiener_filter() -> None:
    x, d = signals(80, is_complex=True)
    want = af.theory.wiener_filter(x, d, 4)
    np.testing.assert_allclose(af.theory.causal_wiener(x, d, 4), want, atol=1e-10)
    np.testing.assert_allclose(af.theory.causal_wiener(x, d[None], 4), want[None], atol=1e-10)
    np.testing.assert_allclose(af.theory.causal_wiener(x[None], d, 4, [1.0]), want[None], atol=1e-10)
    for call, says in (
        (lambda: af.theory.causal_wiener(x, d[:-1], 4), "x and d"),
        (lambda: af.theory.causal_wiener(x, d, 4, np.ones((2, 3))), "secondary"),
        (lambda: af.theory.causal_wiener(x, d, 4, np.ones((2, 1, 3))), "secondary"),
        (lambda: af.theory.causal_wiener(x, d, 4, leak=-1.0), "leak"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_fxlms_comes_within_two_decimals_of_it_and_rls_there() -> None:
    """Coloured noise, and noise besides; recursive least squares in the modified form are the least squares."""
    x = af.signals.coloured(60_000, [1, -0.5], rng=0)
    path = np.array([0.0, 1.0, 0.5, 0.1])
    d = lfilter([0, 0, 1.0, 0.5, -0.2], 1, x) + 0.05 * af.signals.white(60_000, rng=1)
    f = af.FxLMS(12, 2e-3, path, **F64)
    f(x, d)
    np.testing.assert_allclose(f(x, d, mu=5e-4).w, af.theory.causal_wiener(x, d, 12, path), atol=5e-3)
    x, d, path = x[:300], d[:300], np.array([0.0, 0.5, 1.0, 0.3])
    g = af.ModifiedFxLMS(af.RLS(TAPS, 1.0, delta=1e-9, engine="reference", **F64), path)
    np.testing.assert_allclose(g(x, d).w, af.theory.causal_wiener(x, d, TAPS, path), atol=1e-9)


def test_adafilts_optimum_is_ours() -> None:
    """Theirs by spectra, ours by a delay line: to two decimals, as their own test has it."""
    optimal = pytest.importorskip("adafilt.optimal", reason="adafilt is not installed")
    x = af.signals.coloured(200_000, [1, -0.5], rng=0)
    path = np.array([0.5, 1.0, 0.3])
    d = lfilter([0, 1.0, 0.5, -0.2], 1, x) + 0.05 * af.signals.white(x.size, rng=1)
    theirs = -np.fft.ifft(optimal.wiener_filter(x, d, 256, path, constrained=True)).real
    np.testing.assert_allclose(af.theory.causal_wiener(x, d, 32, path)[:16], theirs[:16], atol=1e-2)


def test_adafilts_filtered_x_is_ours() -> None:
    """Theirs in blocks of one sample, normalised, with the path in the loop."""
    adafilt = pytest.importorskip("adafilt", reason="adafilt is not installed")
    x, d = signals(200)
    y, _, e, _ = adafilt.LMSFilter(TAPS, stepsize=0.02)(x, d, sec_path_coeff=MODEL, sec_path_est=MODEL)
    ours = af.FxNLMS(TAPS, 0.02, MODEL, eps=1e-5, engine="reference", **F64)(x, d)
    np.testing.assert_allclose(ours.y, y, atol=1e-9)
    np.testing.assert_allclose(ours.e, e, atol=1e-9)


# Beamformers


def array_signals(samples: int, *, is_complex: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return what three sensors hear of noise from two directions, and rows of two constraints, (2, 3, 2)."""
    rng = np.random.default_rng(3)
    x, rows = (rng.standard_normal((*shape, 2)) @ [1, 1j * is_complex] for shape in ((3, samples), (2, 3, 2)))
    mixed = np.array([[1, 0.5, 0], [0.4, 1, 0.3], [0, -0.6, 1]]) @ x
    return (mixed, rows) if is_complex else (mixed.real, rows.real)


@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
def test_a_sidelobe_canceller_is_frost(is_complex: bool) -> None:
    """Quiescent beam, blocking matrix of orthonormal columns, and LMS: the same outputs to rounding."""
    x, rows = array_signals(400, is_complex=is_complex)
    response = np.array([1.0, 0.5j if is_complex else 0.5])
    dtype = torch.complex128 if is_complex else torch.float64
    f = af.Frost(2, 0.01, rows, response, inputs=3, engine="reference", dtype=dtype)
    y, _, w = f(x)
    A = rows.reshape(2, 6)
    blocking = np.linalg.svd(A)[2][2:].conj().T  # (6, 4): A B = 0
    assert np.abs(A @ blocking).max() < 1e-12
    beam = np.linalg.lstsq(A, response, rcond=None)[0]
    u = np.stack([np.append(np.zeros(k), row[: 400 - k]) for row in x for k in range(2)], -1)
    canceller = af.LMS(4, 0.01, engine="reference", dtype=dtype)
    _, e, inside = canceller(u @ blocking, u @ beam, regressors=True)
    np.testing.assert_allclose(y, e, atol=1e-10)
    np.testing.assert_allclose(w.ravel(), beam - blocking @ inside, atol=1e-10)


@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
def test_frost_comes_to_the_constrained_minimum(is_complex: bool) -> None:
    x, rows = array_signals(20_000, is_complex=is_complex)
    dtype = torch.complex128 if is_complex else torch.float64
    f = af.Frost(2, 1e-3, rows, inputs=3, dtype=dtype)
    f(x)
    w = f(x, mu=1e-4).w.ravel()
    u = np.stack([np.append(np.zeros(k), row[:-k] if k else row) for row in x for k in range(2)], -1)
    R, A = u.conj().T @ u, rows.reshape(2, 6)
    right = np.linalg.solve(R, A.conj().T)
    best = right @ np.linalg.solve(A @ right, [1.0, 0.0])
    np.testing.assert_allclose(w, best, atol=0.02)
    power, least = (np.vdot(v, R @ v).real for v in (w, best))
    assert least <= power < 1.002 * least


@pytest.mark.parametrize("samples", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_frost_keeps_its_constraints_to_rounding(samples: int) -> None:
    x, rows = array_signals(samples, is_complex=False)
    for dtype, rounding in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        f = af.Frost(2, 0.003, rows, inputs=3, dtype=dtype)
        w = f(x.astype("float32" if dtype == torch.float32 else "float64")).w
        assert np.abs(rows.reshape(2, 6) @ w.ravel() - [1, 0]).max() < 4 * rounding


def test_frost_refuses_constraints_that_do_not_fit() -> None:
    for given, says in (
        ((np.ones((2, 4)),), "independent"),
        ((np.ones((5, 4)),), "1 to 4 rows"),
        ((np.ones((1, 3)),), "constraints must have shape"),
        ((np.ones((1, 4)), np.ones(2)), "response must have shape"),
        ((np.full((1, 4), np.nan),), "constraints must be finite"),
    ):
        with pytest.raises(ValueError, match=says):
            af.Frost(4, 0.1, *given)
    with pytest.raises(TypeError, match="features"):
        af.Frost(4, 0.1, features=af.Volterra(2))
    with pytest.raises(TypeError, match="read-only"):
        af.Frost(4, 0.1).rows = 2


# Frequency-domain filtered-x


def many(samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two references, two loudspeakers, two microphones: x, d, and responses (L, Q, S) whose directs are heard well."""
    rng = np.random.default_rng(seed)
    secondary = 0.2 * rng.standard_normal((2, 2, 3)) + np.eye(2)[..., None] * [0, 1, 0]
    x = rng.standard_normal((2, samples))
    return x, rng.standard_normal((2, samples)) + x, secondary


def test_through_no_path_it_is_fdaf() -> None:
    x, d = signals(500)
    f, g = af.FxFDAF(12, 0.5, np.ones(1), block=4, leak=0.01, **F64), af.FDAF(12, 0.5, block=4, leak=0.01, **F64)
    for a, b in zip(f(x, d), g(x, d), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_with_a_constant_step_it_is_filtered_x_block_by_block() -> None:
    """Two references, loudspeakers and microphones, and a path that is not the model: the textbook's sums."""
    (x, d, secondary), M, B, mu = many(120), 6, 4, 0.01
    path = secondary + 0.1
    w, u = np.zeros((2, 2, M)), np.concatenate([np.zeros((2, M - 1)), x], -1)
    v = np.array([[[lfilter(s, 1, row) for row in x] for s in rows] for rows in secondary])
    v = np.concatenate([np.zeros((2, 2, 2, M - 1)), v], -1)
    y, e = np.zeros((2, 120)), np.zeros((2, 120))
    for at in range(0, 120, B):
        change = np.zeros_like(w)
        for n in range(at, at + B):
            y[:, n] = np.einsum("qkm,km->q", w, u[:, n : n + M][:, ::-1])
            past = np.array([[y[q, n - k] if n >= k else 0 for k in range(3)] for q in range(2)])
            e[:, n] = d[:, n] - np.einsum("lqs,qs->l", path, past)
            change += mu * np.einsum("l,lqkm->qkm", e[:, n], v[..., n : n + M][..., ::-1])
        w = w + change
    f = af.FxFDAF(M, mu, secondary, block=B, inputs=2, normalized=False, **F64)
    for got, want in zip(f(x, d, path=path), (y, e, w), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)


def test_the_frequency_domain_reaches_the_causal_optimum() -> None:
    """adafilt 0.1.0, its test against Wiener's causal filter: to two decimals."""
    x, _, secondary = many(8000)
    primary = np.random.default_rng(1).standard_normal((2, 2, 10)) * np.exp(-np.arange(10) / 3)
    d = np.array([sum(lfilter(h, 1, row) for h, row in zip(rows, x, strict=True)) for rows in primary])
    d = np.concatenate([np.zeros((2, 3)), d[:, :-3]], -1)  # as late as the loudspeakers
    w = af.FxFDAF(16, 0.3, secondary, block=16, inputs=2, **F64)(x, d).w
    assert np.abs(w - af.theory.causal_wiener(x, d, 16, secondary)).max() < 0.01


@pytest.mark.parametrize("is_complex", [False, True])
def test_the_frequency_domain_streams_resumes_and_takes_measured_errors(is_complex: bool) -> None:
    x, d = signals(200, is_complex=is_complex)
    dtype = torch.complex128 if is_complex else torch.float64
    f, g, h = (af.FxFDAF(11, 0.3, MODEL, block=8, dtype=dtype) for _ in range(3))
    y, e, w = f(x, d)
    parts = [g(x[a:b], d[a:b]) for a, b in pairwise([0, 0, 1, 20, 77])]
    again = af.FxFDAF(11, 0.3, MODEL, block=8, dtype=dtype)
    again.load_state_dict(copy.deepcopy(g.state_dict()))
    parts.append(again(x[77:], d[77:]))
    np.testing.assert_allclose(np.concatenate([p.y for p in parts]), y, atol=1e-12)
    played = np.zeros(len(MODEL), dtype=x.dtype)
    for n in range(200):
        played = np.append(h.predict(x[n]), played[:-1])
        assert abs(played[0] - y[n]) < 1e-12
        h.adapt(d[n] - MODEL @ played)
    h.predict(0.0)  # which takes the step
    np.testing.assert_allclose(h.w, w, atol=1e-12)
    assert not h.reset().w.any()
    np.testing.assert_allclose(h(x, d).e, e, atol=1e-12)
    before = h.eval().w.clone()
    h(x, d)
    assert torch.equal(h.w, before)


def test_the_frequency_domain_refuses_whole() -> None:
    f = af.FxFDAF(4, 0.5, MODEL, block=4, **F64)
    x, d = signals(50)
    f(x, d)
    before = copy.deepcopy(f.state_dict())
    for bad, says in (
        ({"d": d[:-1]}, "same length, got 50 and 49"),
        ({"x": np.append(x[:-1], np.nan)}, "x must be finite"),
        ({"path": np.ones(9)}, "path must have 1 to 4 taps"),
        ({"mu": -1.0}, "mu must be finite, >= 0"),
    ):
        with pytest.raises(ValueError, match=says):
            f(**{"x": x, "d": d, **bad})
    with pytest.raises(af.DivergenceError):
        af.FxFDAF(4, 1e200, MODEL, block=4, normalized=False, **F64)(x, d)
    assert all(torch.equal(v, before[k]) for k, v in f.state_dict().items())
    with pytest.raises(ValueError, match="secondary must be an array"):
        af.FxFDAF(4, 0.5, 3.0)
    with pytest.raises(TypeError, match="not hop"):
        af.FxFDAF(4, 0.5, MODEL, hop=2)


def test_short_blocks_hear_the_model_and_the_path_of_now(rng: np.random.Generator) -> None:
    """Each comes the short way, on numbers kept from the block before, or between such blocks."""
    f, g = (af.FxLMS(9, 0.01, np.array([0.5, 0.2]), path_taps=3, engine=k) for k in ("auto", "reference"))
    for n in range(12):
        x, d = rng.standard_normal((2, 20)).astype(np.float32)
        path = np.array([0.3, 0.1, 0.2]) if n in (4, 8) else None
        for h in (f, g):
            if n == 6:
                h.secondary = np.array([0.1, 0.4])
            if n == 9:
                h.secondary.mul_(2)
            if n == 10:
                h.secondary.numpy()[:] = [0.3, -0.2]  # of which torch knows nothing
        np.testing.assert_allclose(f(x, d, path=path).e, g(x, d, path=path).e, atol=1e-5)
    assert f._free[0]._frames  # the short way was taken
    np.testing.assert_allclose(f.w, g.w, atol=1e-5)
