"""Each structure of an algorithm against a literal loop, written from the design: one sample after the other.

The classes are made here, as a user makes them; the loop knows nothing of engines.
"""

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt import testing
from adaptfilt.engines.words import abs2, axpyc, isnan, nearest, push, where
from adaptfilt.testing.comparisons import single, step
from conftest import each, slow

TOLERANCE = 1e-11
DTYPES = [torch.float64, torch.complex128]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda t: str(t).removeprefix("torch."))
every_engine = pytest.mark.parametrize("engine", ["reference", "compiled"])


class Made(af.LinearFilter):
    """A filter of five taps, or four of a batch, whose parameters are class attributes."""

    own: dict[str, Any] = {"mu": 0.2}
    taps_made = 5

    def __init__(self, taps: int | None = None, **common: Any) -> None:
        super().__init__(taps or self.taps_made, {**self.own, **common.pop("own", {})}, **common)

    @classmethod
    def example(cls, **common: Any) -> Any:
        return cls(**common)


def takes(text: str, value: str = "mu * e") -> Callable[..., Any]:
    """Return a function of these arguments."""
    space: dict[str, Any] = {}
    exec(f"def rule({text}):\n    return {value}", space)
    return space["rule"]


# A gain with all it may name, and two states


def rich_gain(e: Any, energy: Any, mu: Any, y: Any, d: Any, lag: Any, rho: Any, power: Any, mean: Any) -> Any:
    power = rho * power + (1 - rho) * abs2(e)
    mean = rho * mean + (1 - rho) * (e * lag + d - y)
    return mu / (0.1 + energy + power) * (e + 0.1 * mean), power, mean


class Rich(Made):
    algorithm = af.Algorithm(gain=rich_gain, state={"power": "real", "mean": "signal"})
    ranges = {"mu": {}, "rho": {}, "leak": {}}
    own = {"mu": 0.2, "rho": 0.9, "leak": 0.0}

    def start(self) -> dict[str, Any]:
        return {"power": 0.5}


def rich() -> Callable[..., Any]:
    power, mean = 0.5, 0.0

    def rule(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
        nonlocal power, mean
        e = d - y
        power = 0.9 * power + 0.1 * abs(e) ** 2
        mean = 0.9 * mean + 0.1 * (e * lag + d - y)
        g = 0.2 / (0.1 + np.vdot(u, u).real + power) * (e + 0.1 * mean)
        return y, e, w + g * u.conj(), None

    return rule


# Errors, of a gain and of an update


def plain_gain(e: Any, mu: Any) -> Any:
    return mu * e


def soft_error(y: Any, d: Any, scale: Any) -> Any:
    e = d - y
    return e / (scale + abs2(e))


def soft(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
    e = (d - y) / (2.0 + abs(d - y) ** 2)
    return y, e, w + 0.05 * e * u.conj(), None


class SoftGain(Made):
    algorithm = af.Algorithm(gain=plain_gain, error=soft_error)
    ranges = {"mu": {}, "scale": {}, "leak": {}}
    own = {"mu": 0.05, "scale": 2.0, "leak": 0.0}


def plain_update(w: Any, u: Any, e: Any, mu: Any) -> Any:
    return axpyc(mu * e, u, w)


class SoftUpdate(SoftGain):
    algorithm = af.Algorithm(update=plain_update, error=soft_error)
    ranges = {"mu": {}, "scale": {}}
    own = {"mu": 0.05, "scale": 2.0}


# An error that says what stands for the output, with a state of the gain in it


def sized_error(y: Any, d: Any, size: Any) -> Any:
    z = size * y
    return z, d - z


def sized_gain(e: Any, y: Any, mu: Any, size: Any) -> Any:
    return mu * e, size + 0.01 * abs2(e) / (1 + abs2(y))


class Sized(Made):
    algorithm = af.Algorithm(gain=sized_gain, error=sized_error, state={"size": "real"})
    ranges = {"mu": {}, "leak": {}}
    own = {"mu": 0.05, "leak": 0.0}

    def start(self) -> dict[str, Any]:
        return {"size": 1.0}


def sized() -> Callable[..., Any]:
    size = 1.0

    def rule(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
        nonlocal size
        z = size * y
        e = d - z
        size += 0.01 * abs(e) ** 2 / (1 + abs(y) ** 2)
        return z, e, w + 0.05 * e * u.conj(), None

    return rule


# No desired signal


def modulus_error(y: Any) -> Any:
    return y * (1 - abs2(y))


class Blind(Made):
    algorithm = af.Algorithm(gain=plain_gain, error=modulus_error)
    ranges = {"mu": {}, "leak": {}}
    own = {"mu": 0.005, "leak": 0.0}

    def _first_weights(self, w0: Any) -> Any:
        if w0 is not None:
            return w0
        first = torch.zeros(self._weight_shape())
        first[..., 1] = 1
        return first


def modulus(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
    e = y * (1 - abs(y) ** 2)
    return y, e, w + 0.005 * e * u.conj(), None


# A desired signal that is known in part: NaN means to decide, by vectors or by words


def decided_error(y: Any, d: Any, points: Any) -> Any:
    return where(isnan(d), nearest(y, points), d) - y


class Decided(Made):
    algorithm = af.Algorithm(gain=plain_gain, error=decided_error, unknown=True, vectors={"points": "signal"})
    ranges = {"mu": {}, "leak": {}}
    own = {"mu": 0.02, "leak": 0.0}
    points: torch.Tensor

    def __init__(self, **common: Any) -> None:
        points = [1, 1j, -1, -1j] if common.get("dtype", torch.float32).is_complex else [1.0, -1.0]
        super().__init__(own={"points": points}, **common)


def decide(y: Any, d: Any) -> Any:
    points = np.array([1, 1j, -1, -1j] if np.iscomplexobj(y) else [1.0, -1.0])
    return points[np.argmin(np.abs(y - points))] if np.isnan(d) else d


def decided(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
    e = decide(y, d) - y
    return y, e, w + 0.02 * e * u.conj(), None


# A line that is fed back, beside a gain and an update


def fed_symbol(y: Any, d: Any, points: Any) -> Any:
    return where(isnan(d), nearest(y, points), d)


class FedBack(Decided):
    algorithm = af.Algorithm(
        gain=plain_gain, error=decided_error, feed=fed_symbol, unknown=True, vectors={"points": "signal"}
    )

    def __init__(self, **common: Any) -> None:
        super().__init__(feedback=3, **common)


class FedUpdate(FedBack):
    algorithm = af.Algorithm(
        update=plain_update, error=decided_error, feed=fed_symbol, unknown=True, vectors={"points": "signal"}
    )
    ranges = {"mu": {}}
    own = {"mu": 0.02}


def fed_back(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
    return *decided(w, u, y, d, lag)[:3], decide(y, d)


def fed_d(y: Any, d: Any) -> Any:
    return where(isnan(d), y, d)


class Equation(Made):
    algorithm = af.Algorithm(gain=plain_gain, feed=fed_d)
    ranges = {"mu": {}, "leak": {}}
    own = {"mu": 0.02, "leak": 0.0}

    def __init__(self, **common: Any) -> None:
        super().__init__(feedback=2, **common)


def equation(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
    return y, d - y, w + 0.02 * (d - y) * u.conj(), d


# An update with states of every kind and shape, and scratch


def wide_update(w: Any, U: Any, p: Any, n: Any, u: Any, e: Any, energy: Any, lag: Any, mu: Any, rows: Any) -> Any:
    U = push(U, u)
    p = p + abs2(u)
    n = 0.9 * n + energy
    w = axpyc(mu * e / (0.1 + n), u, w)
    return w, U, p, n


class Wide(Made):
    algorithm = af.Algorithm(update=wide_update, state={"U": ("rows", "taps"), "p": ("real", "taps"), "n": "real"})
    ranges = {"mu": {}}
    own = {"mu": 0.5, "rows": 3}
    rows: int


def wide() -> Callable[..., Any]:
    n = 0.0

    def rule(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
        nonlocal n
        n = 0.9 * n + np.vdot(u, u).real
        return y, d - y, w + 0.5 * (d - y) / (0.1 + n) * u.conj(), None

    return rule


# The loop


def stream(x: Any, d: Any, w: Any, taps: int, rule: Any, sps: int = 1, fed: int = 0) -> tuple[Any, Any, Any]:
    """Run one output of a filter over x, (inputs, T), and d, (N,)."""
    back, before, ys, es = [0.0] * fed, 0 * w, [], []
    for n in range(len(d)):
        i = n * sps
        u = np.array([row[i - k] if i >= k else 0.0 for row in x for k in range(taps)] + back)
        z, e, w, v = rule(w, u, w @ u, d[n], u @ before.conj())
        before, back = u, [v, *back][:fed]
        ys.append(z)
        es.append(e)
    return np.array(ys), np.array(es), w


def signals(dtype: torch.dtype, T: int, shape: tuple[int, ...] = (), seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((*shape, T))
    return (x + 1j * rng.standard_normal(x.shape)) / 2**0.5 if dtype.is_complex else x


def agrees(out: Any, want: tuple[Any, ...]) -> None:
    for name, a, b in zip("yew", out, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


CASES = {  # the class, its rule, whether a state is in the rule
    "gain": (Rich, rich, True),
    "error of a gain": (SoftGain, soft, False),
    "error of an update": (SoftUpdate, soft, False),
    "output and error": (Sized, sized, True),
    "states": (Wide, wide, True),
    "fed back": (Equation, equation, False),
}


@every_engine
@every_dtype
@pytest.mark.parametrize("case", CASES)
def test_is_the_literal_loop(case: str, dtype: torch.dtype, engine: str) -> None:
    cls, rule, carries = CASES[case]
    x, d = signals(dtype, 60), signals(dtype, 60, seed=4)
    f = cls(dtype=dtype, engine=engine)
    w = 0 * signals(dtype, f.w.shape[-1])
    want = stream(x[None], d, w, 5, rule() if carries else rule, fed=f.feedback)
    agrees(f(x, d), want)
    g = cls(dtype=dtype, engine=engine)
    parts = [g(x[:7], d[:7]), g(x[7:8], d[7:8]), g(x[8:], d[8:])]
    agrees((*(np.concatenate([p[i] for p in parts]) for i in (0, 1)), g.w.numpy()), want)
    h = cls(dtype=dtype, engine=engine)
    taken = [h.step(a, b) for a, b in zip(x.tolist(), d.tolist(), strict=True)]
    agrees((*map(np.array, zip(*taken, strict=True)), h.w.numpy()), want)


@every_engine
@every_dtype
def test_the_lag_goes_on_over_records_and_parts(dtype: torch.dtype, engine: str) -> None:
    x, d = signals(dtype, 100), signals(dtype, 100, seed=4)
    want = stream(x[None], d, 0 * x[:5], 5, rich())
    for every in (1, 20, 33):
        f = Rich(dtype=dtype, engine=engine)
        y, e, record = f(x, d, record_every=every)
        agrees((y, e, f.w.numpy()), want)
        np.testing.assert_allclose(f.lag, [x[95:100] @ x[94:99].conj()], rtol=TOLERANCE)
        assert record.shape == (100 // every, 5)


@every_engine
@every_dtype
def test_blind(dtype: torch.dtype, engine: str) -> None:
    x = signals(dtype, 60)
    f = Blind(dtype=dtype, engine=engine)
    agrees(f(x), stream(x[None], x, np.eye(5)[1] + 0 * x[:5], 5, modulus))
    y, e = f.step(0.5)
    assert e == pytest.approx(y * (1 - abs(y) ** 2), rel=1e-12)
    for wrong in (lambda: f(x, x), lambda: f.step(0.5, 0.5), lambda: f.adapt(0.5)):
        with pytest.raises(TypeError, match="Blind is blind"):
            wrong()


@every_engine
@every_dtype
@pytest.mark.parametrize("cls", [Decided, FedBack, FedUpdate])
@pytest.mark.parametrize("delay", [0, 2])
def test_what_is_not_known_is_decided(cls: Any, dtype: torch.dtype, engine: str, delay: int) -> None:
    """NaN in d, a d that ends early and the first samples of a delay all mean the same."""
    x, d = signals(dtype, 60), signals(dtype, 60, seed=4)
    d[[5, 17, 18]] = np.nan
    d[50:] = np.nan
    rule, fed = (decided, 0) if cls is Decided else (fed_back, 3)
    delayed = np.concatenate([np.full(delay, np.nan), d])[:60]
    want = stream(x[None], delayed, 0 * x[: 5 + fed], 5, rule, fed=fed)
    agrees(cls(dtype=dtype, engine=engine, delay=delay)(x, d), want)
    f = cls(dtype=dtype, engine=engine, delay=delay)
    agrees(f(x, d[:50]), want)
    f.reset()
    parts = [f(x[:3], d[:3]), f(x[3:40], d[3:40]), f(x[40:], d[40:50])]
    agrees((*(np.concatenate([p[i] for p in parts]) for i in (0, 1)), f.w.numpy()), want)
    for bad in (np.inf, -np.inf):
        with pytest.raises(ValueError, match="d must be finite or NaN"):
            f(x, np.where(np.arange(60) == 30, bad, d))
    with pytest.raises(ValueError, match="same length"):
        f(x[:4], d[:5])


AXES = [(None, None), (3, None), (None, 2), (3, 2), (1, 1)]
SHORT = [(1, 3, 2), (3, None, None), (3, 3, 2), (7, 3, None), (7, None, 2)]  # each is code to compile
LAYOUTS = [v if v in SHORT else slow(*v) for v in ((sps, *axes) for sps in (1, 2, 3, 7) for axes in AXES)]


@every_engine
@pytest.mark.parametrize("dtype", [torch.complex128, slow(torch.float64)], ids=str)
@pytest.mark.parametrize(("sps", "inputs", "outputs"), LAYOUTS)
def test_inputs_outputs_and_samples_a_symbol(
    dtype: torch.dtype, engine: str, sps: int, inputs: int | None, outputs: int | None
) -> None:
    """Five taps are divided by no sps tried, and fewer than the largest."""
    N, C, Q = 40, inputs or 1, outputs or 1
    x, d = signals(dtype, N * sps, (C,)), signals(dtype, N, (Q,), seed=4)
    w = 0.1 * signals(dtype, 5 * C, (Q,), seed=5)
    shape = (*(() if outputs is None else (Q,)), *(() if inputs is None else (C,)), 5)
    given = {"sps": sps, "inputs": inputs, "outputs": outputs, "w0": w.reshape(shape), "dtype": dtype, "engine": engine}
    f, g = (SoftGain(**given) for _ in range(2))
    x_in, d_in = (x if inputs else x[0]), (d if outputs else d[0])
    y, e, w1 = f(x_in, d_in)
    assert w1.shape == shape
    for q in range(Q):
        row = (y[q], e[q], w1[q]) if outputs else (y, e, w1)
        want = stream(x, d[q], w[q], 5, soft, sps)
        agrees((row[0], row[1], row[2].ravel()), want)
    parts = [
        g(x_in[..., a:b], d_in[..., -(-a // sps) : -(-b // sps)]) for a, b in pairwise([0, 1, 4, 4 + 3 * sps, N * sps])
    ]
    agrees((*(np.concatenate([p[i] for p in parts], -1) for i in (0, 1)), parts[-1].w), (y, e, w1))
    g.reset()
    taken = [step(g, x_in, d_in, n) for n in range(N)]
    agrees((*(np.stack([t[i] for t in taken], -1) for i in (0, 1)), g.w), (y, e, w1))
    g.reset()
    for n in range(N):
        predicted = g.predict(single(g, x_in, d_in, n)[0])
        np.testing.assert_allclose(predicted, y[..., n], rtol=TOLERANCE, atol=TOLERANCE)
        g.adapt(e[..., n] if outputs else e[n].item())
    np.testing.assert_allclose(g.w, w1, rtol=TOLERANCE, atol=TOLERANCE)


@every_engine
@every_dtype
@pytest.mark.parametrize("cls", [Rich, SoftGain, SoftUpdate, Wide])
def test_ready_regressors(cls: Any, dtype: torch.dtype, engine: str) -> None:
    """Rows need not be windows of a stream; the line stays, and the lag is that of the rows."""
    rows, d = signals(dtype, 5, (30,)), signals(dtype, 30, seed=4)
    rule = {Rich: rich(), SoftGain: soft, SoftUpdate: soft, Wide: wide()}[cls]
    w, before, ys, es = 0 * rows[0], 0 * rows[0], [], []
    for u, d_n in zip(rows, d, strict=True):
        y, e, w, _ = rule(w, u, w @ u, d_n, u @ before.conj())
        before = u
        ys.append(y)
        es.append(e)
    f = cls(dtype=dtype, engine=engine)
    agrees(f(rows, d, regressors=True), (ys, es, w))
    assert not f.history.any()
    with pytest.raises(ValueError, match=r"x must have shape \(T,\)"):
        f(rows, d)


@pytest.mark.parametrize("option", ["inputs", "sps"])
def test_ready_regressors_of_several_inputs_are_refused(option: str) -> None:
    f = SoftGain(dtype=torch.float64, **{option: 2})
    with pytest.raises(ValueError, match=f"regressors=True does not go with {option}"):
        f(np.ones((6, 5)), np.ones(6), regressors=True)


@pytest.mark.parametrize("cls", [FedBack, FedUpdate, Equation])
def test_an_error_taken_in_belongs_to_what_was_fed_back_then(cls: Any) -> None:
    x, e = signals(torch.float64, 40), signals(torch.float64, 40, seed=4)
    f, g = (cls(dtype=torch.float64, engine=engine) for engine in ("compiled", "reference"))
    w, fed, size = np.zeros(5 + f.feedback), [0.0] * f.feedback, f.feedback
    for n in range(40):
        u = np.array([x[n - k] if n >= k else 0.0 for k in range(5)] + fed)
        y = w @ u
        for h in (f, g):
            assert h.predict(x[n]) == pytest.approx(y, rel=TOLERANCE, abs=TOLERANCE)
            h.adapt(e[n])
        w = w + 0.02 * e[n] * u
        fed = [y if cls is Equation else decide(y, np.nan), *fed][:size]
    for h in (f, g):
        np.testing.assert_allclose(h.w, w, rtol=TOLERANCE, atol=TOLERANCE)


@every_engine
@pytest.mark.parametrize("cls", [FedBack, Equation])
def test_a_sample_passed_over_feeds_back_what_is_not_known(cls: Any, engine: str) -> None:
    """In a block and by single samples; what is infinite never enters the line."""
    x, d = signals(torch.float64, 40), signals(torch.float64, 40, seed=4)
    rule = fed_back if cls is FedBack else equation
    f, g = (cls(dtype=torch.float64, engine=engine, nonfinite="skip") for _ in range(2))

    def passing(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
        if np.isfinite(d):
            return rule(w, u, y, d, lag)
        return y, np.nan, w, y if cls is Equation else decide(y, np.nan)

    marked = np.where(np.isin(np.arange(40), (10, 20) if cls is Equation else (20,)), np.inf, d)
    silent = np.where(np.arange(40) == 20, 0.0, x)
    want = stream(silent[None], marked, np.zeros(5 + f.feedback), 5, passing, fed=f.feedback)
    x[20] = np.nan
    if cls is Equation:
        d[10] = np.inf
    agrees(f(x, d), want)
    taken = [g.step(a, b) for a, b in zip(x.tolist(), d.tolist(), strict=True)]
    agrees((*map(np.array, zip(*taken, strict=True)), g.w.numpy()), want)
    if cls is FedBack:
        with pytest.raises(ValueError, match="d must be finite"):
            g.step(0.5, np.inf)


# A recursion: NLMS spelt sample by sample


def nlms_recursion(c: Any, past: Any, count: Any, x: Any, d: Any, mu: Any) -> Any:
    y, power = c[0] * 0, mu - mu + 0.1
    for k in range(len(c) - 1, 0, -1):
        past[k] = past[k - 1]
    past[0] = x
    for k in range(len(c)):
        y += c[k] * past[k]
        power += (past[k] * past[k].conjugate()).real
    e = d - y
    if d == d:
        count[0] += 1
        for k in range(len(c)):
            c[k] += mu / power * e * past[k].conjugate()
    return y, e


def nlms_weights(c: Any, out: Any = None) -> Any:
    for k in range(len(c)):
        out[k] = c[k]
    return out


class Recursive(af.RecursiveFilter):
    algorithm = af.Algorithm(
        recursion=nlms_recursion, weights=nlms_weights, state={"c": ("taps",), "past": ("taps",), "count": "real"}
    )
    ranges = {"mu": {}}

    def __init__(self, taps: int = 4, mu: Any = 0.5, **common: Any) -> None:
        super().__init__(taps, {"mu": mu}, **common)

    @classmethod
    def example(cls, **common: Any) -> Any:
        return cls(**common)


@every_engine
@every_dtype
def test_a_recursion(dtype: torch.dtype, engine: str) -> None:
    x, d = signals(dtype, 60), signals(dtype, 60, seed=4)

    def rule(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
        return y, d - y, w + 0.5 * (d - y) / (0.1 + np.vdot(u, u).real) * u.conj(), None

    want = stream(x[None], d, 0 * x[:4], 4, rule)
    f, g = (Recursive(dtype=dtype, engine=engine) for _ in range(2))
    agrees(f(x, d), want)
    for a, b in zip(x.tolist(), d.tolist(), strict=True):
        g.step(a, b)
    np.testing.assert_allclose(g.w, want[2], rtol=TOLERANCE)
    assert f.count == g.count == 60
    frozen = copy.deepcopy(f).eval()
    y = frozen(x, d).y
    np.testing.assert_allclose(y, np.convolve(np.concatenate([x[-3:], x]), want[2])[3:63], rtol=1e-9, atol=1e-9)
    assert frozen.count == 60
    assert (frozen.w == f.w).all()
    with pytest.raises(TypeError, match="w is read-only"):
        f.w = np.ones(4)
    for name, value in (("inputs", 2), ("outputs", 2), ("w0", np.ones(4)), ("sps", 2)):
        with pytest.raises(TypeError, match=f"Recursive is a recursion: {name} cannot be given"):
            Recursive(**{name: value})
    with pytest.raises(TypeError, match="regressors"):
        f(x, d, regressors=True)
    with pytest.raises(TypeError, match="recursion"):
        f.adapt(0.5)


@every_engine
@pytest.mark.parametrize("steps", [0.3, np.linspace(0, 1, 60), np.arange(60) % 2 * 0.7], ids=["one", "any", "or none"])
def test_a_step_size_given_to_a_recursion_that_has_one(engine: str, steps: Any) -> None:
    """Each sample adapts by the step given for it; where that is 0 nothing is counted."""
    x, d = signals(torch.float64, 60), signals(torch.float64, 60, seed=4)
    mu = iter(np.broadcast_to(steps, 60))

    def rule(w: Any, u: Any, y: Any, d: Any, lag: Any) -> Any:
        return y, d - y, w + next(mu) * (d - y) / (0.1 + u @ u) * u, None

    want = stream(x[None], d, 0 * x[:4], 4, rule)
    f = Recursive(dtype=torch.float64, engine=engine)
    agrees(f(x, d, mu=steps), want)
    assert f.count == np.count_nonzero(np.broadcast_to(steps, 60))
    agrees(f(x[:0], d[:0], mu=np.zeros(0)), (x[:0], x[:0], want[2]))


def test_a_recursion_without_a_step_size_takes_0_and_1() -> None:
    x = signals(torch.float64, 60)
    f = af.LatticeRLS(4, dtype=torch.float64, engine="reference")
    for wrong in (0.5, np.linspace(0, 1, 60)):
        with pytest.raises(ValueError, match="mu must be 0 or 1, as LatticeRLS has no step size of its own"):
            f(x, x, mu=wrong)
    assert not f.k.any()


# Frozen, whatever the functions say


def broken_error(y: Any, d: Any) -> Any:
    there = where(abs2(d) > 0, 1.0, 0.0)
    return (d - y) * (there / there)  # NaN in silence


class Broken(Made):
    """Its gain is 0 times NaN where mu and d are 0."""

    algorithm = af.Algorithm(gain=plain_gain, error=broken_error)
    ranges = {"mu": {}, "leak": {}}
    own = {"mu": 0.05, "leak": 0.0}


class BrokenUpdate(Broken):
    algorithm = af.Algorithm(update=plain_update, error=broken_error)
    ranges = {"mu": {}}
    own = {"mu": 0.05}


class Unregularised(Made):
    """NLMS that divides by the energy alone."""

    algorithm = af.NLMS.algorithm
    ranges = af.NLMS.ranges
    own = {"mu": 0.5, "eps": 0.0, "leak": 0.0}


@pytest.mark.filterwarnings("ignore:mu = ")
@pytest.mark.parametrize("cls", [Broken, BrokenUpdate, Unregularised])
@pytest.mark.parametrize("engine", ["reference", "compiled", "block"])
def test_what_is_frozen_is_not_asked_for_its_gain(cls: Any, engine: str) -> None:
    """Where mu is 0 weights stay, be it by the call, the parameter or `eval`, in blocks and single samples."""
    if engine == "block" and cls is not Unregularised:
        return
    x = signals(torch.float64, 40)
    f = cls(dtype=torch.float64, engine=engine)
    f(x, x)
    w, zeros, mu = f.w.clone(), np.zeros(40), np.zeros(40)
    f(zeros, zeros, mu=0.0), f(zeros, zeros, mu=mu), f(zeros, zeros, mu=mu, record_every=3)
    f.eval()(zeros, zeros), f.step(0.0, 0.0)
    f.train().mu = 0.0
    f(zeros, zeros), f.step(0.0, 0.0)
    assert torch.equal(f.w, w)


@pytest.mark.parametrize("cls", [Broken, BrokenUpdate])
@pytest.mark.parametrize("engine", ["reference", "compiled"])
def test_an_error_that_is_not_finite_is_no_sample_to_pass_over(cls: Any, engine: str) -> None:
    """The function says so of finite signals, and the filter that it diverges: d alone marks what is passed over."""
    x = signals(torch.float64, 40)
    d = np.where(np.arange(40) == 30, 0.0, x)
    f = cls(dtype=torch.float64, engine=engine, nonfinite="skip")
    for call in (lambda: f(x, d), lambda: f(x, d, record_every=3), lambda: f.step(0.5, 0.0)):
        before = f.w.clone()
        with pytest.raises(af.DivergenceError):
            call()
        assert torch.equal(f.w, before)
    f.predict(0.5)
    f.adapt(0.1)
    assert torch.isfinite(f.w).all()


def test_a_state_stands_still_where_the_filters_own_step_is_0() -> None:
    x, d = signals(torch.float64, 60), signals(torch.float64, 60, seed=4)
    mu = torch.tensor([0.0, 0.2], dtype=torch.float64)
    for engine in ("reference", "compiled"):
        f = Rich(dtype=torch.float64, engine=engine, own={"mu": mu}, batch=2)
        f(np.stack([x, x]), np.stack([d, d]))
        assert (f.power[0], f.mean[0]) == (0.5, 0)
        assert (f.power[1], f.mean[1]) != (0.5, 0)
        assert not f.w[0].any()


@pytest.mark.parametrize("delay", [0, 2])
@every_engine
def test_what_goes_on_in_a_frozen_filter_goes_on_at_predict_and_not_at_adapt(engine: str, delay: int) -> None:
    """The carrier loop: predict is filter of one sample, and predict and adapt together are step."""
    points = af.Constellation.psk(4)
    a = af.signals.symbols(points, 150, rng=0)
    x = np.convolve(a, [1, 0.3j, -0.1])[:150] * np.exp(0.02j * np.arange(150))
    make = {"carrier": (0.01, 0.7), "delay": delay, "dtype": torch.complex128, "engine": engine}
    f = af.DecisionDirected(5, 0.01, points, **make)
    f(x[:100], a[:100])
    g, h, k = (copy.deepcopy(f) for _ in range(3))
    y = f.filter(x[100:])
    np.testing.assert_allclose([g.predict(v) for v in x[100:]], y, rtol=1e-12)
    assert g.theta == f.theta != h.theta
    for v in x[100 + delay :]:
        _, e = h.step(v, np.nan)
        k.predict(v)
        k.adapt(e)
    if delay:  # the step decides by what waits, and predict does too
        return
    np.testing.assert_allclose([k.theta, k.nu], [h.theta, h.nu], rtol=1e-12)
    np.testing.assert_allclose(k.w, h.w, rtol=1e-12)


@pytest.mark.parametrize("sps", [2, 3])
@every_engine
def test_a_part_of_a_batch_starts_again_between_symbols(engine: str, sps: int) -> None:
    x, d = signals(torch.float64, 10 * sps, (3,)), signals(torch.float64, 10, (3,), seed=4)
    f, fresh, on = (SoftGain(dtype=torch.float64, engine=engine, sps=sps, batch=3) for _ in range(3))
    for g in (f, on):
        g(x[:, : 4 * sps + 1], d[:, :5])
    mask, before = np.array([True, False, True]), {k: v.clone() for k, v in f.named_buffers()}
    with pytest.raises(ValueError, match=rf"reset\(mask\) comes between symbols, not 1 of {sps} samples into one"):
        f.reset(mask)
    for name, value in f.named_buffers():
        assert torch.equal(value, before[name])
    for g in (f, on):
        g.filter(x[:, 4 * sps + 1 : 5 * sps])
    f.reset(mask)
    got, first, later = (g(x[:, 5 * sps :], d[:, 5:]) for g in (f, fresh, on))
    for a, b, c in zip(got, first, later, strict=True):
        np.testing.assert_array_equal(a[mask], b[mask])
        np.testing.assert_array_equal(a[1], c[1])


def test_a_decided_block_may_be_empty() -> None:
    f = Decided(dtype=torch.float64, sps=3, batch=2)
    f(np.zeros((2, 1)))
    for given in ((np.zeros((2, 1)),), (np.zeros((2, 0)), None), (np.zeros((2, 1)), np.zeros((2, 0)))):
        y, e, w = f(*given, record_every=2)
        assert (y.shape, e.shape, w.shape) == ((2, 0), (2, 0), (2, 0, 5))
    assert f.filter(np.zeros((2, 0))).shape == (2, 0)


# Paths of every length: loops take four taps at once, and what is left one by one


def filtered_x(x: Any, d: Any, secondary: Any, path: Any, taps: int, mu: float) -> tuple[Any, Any, Any]:
    """FxLMS of x, (inputs, T), whose outputs are heard through a path."""
    v = np.array([np.convolve(row, secondary)[: len(row)] for row in x])
    w, ys, es = np.zeros(len(x) * taps, x.dtype), [], []

    def window(rows: Any, n: int) -> Any:
        return np.array([row[n - k] if n >= k else 0.0 for row in rows for k in range(taps)])

    for n in range(len(d)):
        ys.append(w @ window(x, n))
        es.append(d[n] - sum(s * y for s, y in zip(path, reversed(ys), strict=False)))
        w = w + mu * es[-1] * window(v, n).conj()
    return np.array(ys), np.array(es), w


@every_engine
@pytest.mark.parametrize("dtype", [torch.float64, slow(torch.complex128)], ids=str)
@pytest.mark.parametrize(("inputs", "S", "P"), [(None, 1, 9), (None, 5, 4), (2, 8, 1), (None, 9, 33), (2, 33, 5)])
def test_paths_of_every_length(dtype: torch.dtype, engine: str, inputs: int | None, S: int, P: int) -> None:
    x, d = signals(dtype, 90, (inputs or 1,)), signals(dtype, 90, seed=4)
    secondary, path = 0.5 * signals(dtype, S, seed=5), 0.5 * signals(dtype, P, seed=6)
    make = {"inputs": inputs, "path_taps": max(S, P), "dtype": dtype, "engine": engine}
    f, g = (af.FxLMS(4, 0.003, secondary, **make) for _ in range(2))
    x_in = x if inputs else x[0]
    want = filtered_x(x, d, secondary, path, 4, 0.003)
    y, e, w = f(x_in, d, path=path)
    agrees((y, e, w.ravel()), want)
    parts = [g(x_in[..., a:b], d[a:b], path=path) for a, b in pairwise([0, 1, 4, 21, 90])]
    agrees((*(np.concatenate([p[i] for p in parts]) for i in (0, 1)), g.w.numpy().ravel()), want)
    f.reset()
    agrees((*(v.ravel() for v in f(x_in, d)),), filtered_x(x, d, secondary, secondary, 4, 0.003))


# Several loudspeakers and microphones


def jointly(x: Any, d: Any, secondary: Any, path: Any, mu: float, leak: float, eps: float | None) -> Any:
    """FxLMS, or FxNLMS with an eps, of x, (C, T), by L microphones and Q loudspeakers, of four taps."""
    (L, Q, P), (C, T), M = path.shape, x.shape, 4
    v = np.array([[[np.convolve(row, s)[:T] for row in x] for s in paths] for paths in secondary])
    past = [(0, 0)] * 3 + [(M - 1, 0)]
    v, x = np.pad(v, past), np.pad(x, past[-2:])
    w, played, e = np.zeros((Q, C, M), x.dtype), np.zeros((Q, P - 1 + T), x.dtype), np.zeros((L, T), x.dtype)
    for n in range(T):
        played[:, P - 1 + n] = np.einsum("qcm,cm->q", w, x[:, n : n + M][:, ::-1])
        e[:, n] = d[:, n] - np.einsum("lqp,qp->l", path, played[:, n : n + P][:, ::-1])
        v_n = v[..., n : n + M][..., ::-1]
        step = mu if eps is None else mu / (eps + np.sum(np.abs(v_n) ** 2))
        w = (1 - mu * leak) * w + step * np.einsum("l,lqcm->qcm", e[:, n], v_n.conj())
    return played[:, P - 1 :], e, w


@every_engine
@pytest.mark.parametrize("dtype", [torch.float64, slow(torch.complex128)], ids=str)
@pytest.mark.parametrize(("L", "Q", "inputs"), [(2, 2, 2), (3, 1, None), (1, 3, 2), (1, 1, None)])
def test_many_loudspeakers_and_microphones(dtype: torch.dtype, engine: str, L: int, Q: int, inputs: int | None) -> None:
    x, d = signals(dtype, 90, (inputs or 1,)), signals(dtype, 90, (L,), seed=4)
    secondary, path = 0.5 * signals(dtype, 5, (L, Q), seed=5), 0.5 * signals(dtype, 6, (L, Q), seed=6)
    make = {"inputs": inputs, "leak": 0.1, "path_taps": 6, "dtype": dtype, "engine": engine}
    f, g = (af.FxLMS(4, 0.003, secondary, **make) for _ in range(2))
    x_in = x if inputs else x[0]
    want = jointly(x, d, secondary, path, 0.003, 0.1, None)
    y, e, w = f(x_in, d, path=path, record_every=30)
    assert w.shape == (Q, *([inputs] if inputs else []), 3, 4)
    agrees((y, e, w[..., -1, :].reshape(want[2].shape)), want)
    parts = [g(x_in[..., a:b], d[:, a:b], path=path) for a, b in pairwise([0, 1, 4, 21, 90])]
    together = (np.concatenate([p[i] for p in parts], -1) for i in (0, 1))
    agrees((*together, g.w.numpy().reshape(want[2].shape)), want)
    two = af.FxLMS(4, 0.003, secondary, batch=2, **make)
    x_two, d_two = np.stack([0 * x_in, x_in]), np.stack([0 * d, d])
    assert not two(x_two, d_two, path=path).y[0].any()
    np.testing.assert_allclose(two.w[1], f.w, atol=TOLERANCE)


@every_engine
def test_the_energy_is_that_of_all_directions(engine: str) -> None:
    x, d, secondary = signals(torch.float64, 90, (2,)), signals(torch.float64, 90, (3,), seed=4), np.ones((3, 2, 1))
    f = af.FxNLMS(4, 0.5, secondary, eps=0.1, inputs=2, dtype=torch.float64, engine=engine)
    agrees(f(x, d), jointly(x, d, secondary, secondary, 0.5, 0.0, 0.1))


def test_many_sample_by_sample() -> None:
    """`predict` and `adapt` with errors measured elsewhere; a sample that one microphone lacks is passed over."""
    x, d, secondary = signals(torch.float64, 60), signals(torch.float64, 60, (2,), seed=4), np.ones((2, 2, 1))
    f, g = (af.FxLMS(4, 0.01, secondary, dtype=torch.float64, nonfinite="skip") for _ in range(2))
    f.secondary = g.secondary = np.arange(4.0).reshape(2, 2, 1)
    d[1, 20] = np.nan
    y, e, w = f(x, d)
    assert np.isnan(e).sum() == 1
    for n in range(60):
        y_n = g.predict(np.asarray(x[n]))
        np.testing.assert_allclose(y_n, y[:, n], atol=1e-12)
        g.adapt(d[:, n] - g.secondary[..., 0].numpy() @ y_n)
    np.testing.assert_allclose(g.w.numpy(), w, atol=1e-12)
    with pytest.raises(ValueError, match=r"d must have shape \(2, T\)"):
        f(x, d[0])
    with pytest.raises(ValueError, match="secondary must be"):
        af.FxLMS(4, 0.01, np.ones((2, 2)))


# What a secondary path does not go with


class Filtered(af.FilteredFilter):
    ranges = {"mu": {}, "scale": {}}

    def __init__(self, **common: Any) -> None:
        super().__init__(4, {"mu": 0.1, "scale": 1.0}, np.ones(2), **common)


@pytest.mark.parametrize(
    ("functions", "says"),
    [
        ({"gain": takes("e, mu, lag")}, "a gain that takes the lag"),
        ({"gain": plain_gain, "error": soft_error}, "an error function"),
        ({"gain": plain_gain, "feed": fed_d}, "an algorithm that feeds back"),
        ({"update": plain_update}, "an algorithm without a gain"),
    ],
)
def test_a_secondary_path_goes_with_a_gain_of_e_alone(functions: dict[str, Any], says: str) -> None:
    cls: Any = type("Own", (Filtered,), {"algorithm": af.Algorithm(**functions)})
    with pytest.raises(ValueError, match=f"Own does not take a secondary path with {says}"):
        cls()


# Every law on every class made here


MADE = [Rich, SoftGain, SoftUpdate, Sized, Blind, Decided, FedBack, Equation, Wide, Recursive]


@each(MADE)
def test_keeps_the_laws(cls: Any) -> None:
    testing.check(cls, dtypes=[torch.float64])


@each(MADE)
@pytest.mark.slow
def test_keeps_the_laws_in_every_precision(cls: Any) -> None:
    testing.check(cls)


# Refused when a class is made


def forgets_its_state(e: Any, mu: Any, p: Any) -> Any:
    return mu * e


def names_what_it_returns(e: Any, mu: Any, p: Any) -> Any:
    out = mu * e
    return out  # noqa: RET504


def returns_too_much(w: Any, u: Any, e: Any, mu: Any) -> Any:
    return w, u


gain = takes("e, mu")
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no structure": ({}, "one of gain, update, recursion, got none"),
    "two structures": ({"gain": gain, "update": takes("w, u, e, mu")}, "got gain and update"),
    "no e": ({"gain": takes("energy, mu")}, r"gain rule\(energy, mu\) must take e"),
    "no w": ({"update": takes("u, e, mu")}, r"update rule\(u, e, mu\) must take w"),
    "what is not supplied": ({"gain": takes("e, u, mu")}, r"gain rule\(e, u, mu\) cannot take u"),
    "an error of e": ({"gain": gain, "error": takes("y, d, e")}, r"error rule\(y, d, e\) cannot take e"),
    "a state it does not take": ({"gain": gain, "state": {"p": "real"}}, r"gain rule\(e, mu\) must take p"),
    "a state it does not return": (
        {"gain": forgets_its_state, "state": {"p": "real"}}, "forgets_its_state must return g, p",
    ),
    "a state that is the step": ({"gain": takes("e, mu"), "state": {"mu": "real"}}, "mu has a name that means"),
    "a state that is supplied": ({"gain": takes("e, y"), "state": {"y": "real"}}, "y has a name that means something"),
    "a state and scratch": ({"update": takes("w, u, e, p=None"), "state": {"p": "real"}}, r"must take p"),
    "scratch of a state's name": (
        {"update": takes("w, u, e, p, mu", "w, p"), "state": {"p": "real"}, "scratch": {"p": ("taps",)}},
        "scratch: rule has no argument p=None",
    ),
    "scratch of a parameter's name": (
        {"update": takes("w, u, e, p=None"), "error": takes("y, d, p")}, "p has a name that means something",
    ),
    "scratch of a gain": ({"gain": takes("e, mu, g=None")}, "a gain has no scratch"),
    "a kind that is none": ({"gain": takes("e, p"), "state": {"p": "whole"}}, 'p must be "real" or "signal"'),
    "a shape that is none": ({"gain": takes("e, p"), "state": {"p": 3}}, 'p must be "real", "signal" or a tuple'),
    "a default": ({"gain": takes("e, mu=0.5")}, "mu=0.5: arguments are plain names"),
    "any arguments": ({"gain": takes("e, *mu")}, r"\*mu: arguments are plain names"),
    "weights of a gain": ({"gain": gain, "weights": takes("out")}, "weights stand for a recursion"),
    "a recursion without": ({"recursion": takes("x, d")}, "weights stand for a recursion"),
    "a recursion and feed": (
        {"recursion": takes("x, d"), "weights": takes("out=None"), "feed": takes("y")}, "takes no error and no feed",
    ),
    "a vector of no kind": ({"gain": takes("e, r"), "vectors": {"r": "whole"}}, 'r must be "real" or "signal"'),
    "leak of a gain": ({"gain": takes("e, mu, leak")}, "leak acts on the weights by itself"),
    "a state it does not return by a name": (
        {"gain": names_what_it_returns, "state": {"p": "real"}}, "names_what_it_returns must return g, p, got mu . e",
    ),
    "unknown, and no d": (
        {"gain": gain, "error": takes("y"), "unknown": True}, "NaN in d is not known, but no function takes d",
    ),
    "a list of states": ({"gain": takes("e, p"), "state": ("p",)}, "state must be a mapping"),
}  # fmt: skip


def test_an_algorithm_takes_functions() -> None:
    with pytest.raises(TypeError, match="gain must be a function, got 3"):
        af.Algorithm(gain=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", REFUSED)
def test_an_algorithm_that_does_not_fit_is_refused(case: str) -> None:
    functions, says = REFUSED[case]
    with pytest.raises(ValueError, match=says):
        af.Algorithm(**functions)


MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown argument": ({"gain": takes("e, mu, roh")}, "Misfit: rule takes roh, which is neither supplied"),
    "an unknown dimension": (
        {"update": takes("w, p, u, e"), "state": {"p": ("tabs",)}},
        "Misfit: p has the dimension tabs",
    ),
    "a state that is an attribute": (
        {"gain": takes("e, history", "e, history"), "state": {"history": "real"}}, "the state history",
    ),
    "a state that is a parameter": (
        {"gain": takes("e, rho", "e, rho"), "state": {"rho": "real"}}, "the state rho has the name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_a_class_whose_words_do_not_exist_is_refused(case: str) -> None:
    functions, says = MISFITS[case]
    algorithm = af.Algorithm(**functions)
    with pytest.raises(ValueError, match=says):
        type("Misfit", (af.LinearFilter,), {"algorithm": algorithm, "ranges": {"mu": {}, "rho": {}}})


def test_start_returns_states_alone() -> None:
    class Starts(Rich):
        def start(self) -> dict[str, Any]:
            return {"pover": 0.5}

    with pytest.raises(ValueError, match=r"start\(\) must return states, power, mean, got pover"):
        Starts()

    class Long(Rich):
        def start(self) -> dict[str, Any]:
            return {"power": torch.ones(5)}

    with pytest.raises(ValueError, match=r"start\(\) must return power of \(\), got \(5,\)"):
        Long()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Rich(sps=2), "Rich does not take sps with a gain that takes the lag"),
        (lambda: Rich(feedback=2), "Rich does not take feedback with an algorithm that feeds nothing back"),
        (lambda: Rich(delay=2), "Rich does not take delay with an algorithm that has to know d"),
        (lambda: Equation(features=af.Volterra(5)), "Equation does not take features with an algorithm that feeds"),
    ],
)
def test_mixtures_that_do_not_exist_are_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()
