"""What compiled code writes into: the filter's own memory wherever torch has put it, and nobody else's."""

import copy
import multiprocessing.reduction
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpyc

RNG = np.random.default_rng(5)
X, D = RNG.standard_normal((2, 300))
MAKERS = {
    "NLMS": lambda **k: af.NLMS(8, dtype=torch.float64, **k),
    "RLS": lambda **k: af.RLS(8, dtype=torch.float64, **k),
    "AffineProjection": lambda **k: af.AffineProjection(8, dtype=torch.float64, **k),
}
every = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def run(f: Any, part: slice = slice(None)) -> Any:
    return f(X[part], D[part])


def same(a: Any, b: Any) -> None:
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@every
@pytest.mark.parametrize("move", ["share_memory", "pickle", "data", "apply"])
def test_state_that_torch_has_moved_is_found_where_it_lies(make: Any, move: str) -> None:
    f, twin = make(), make()
    for g in (f, twin):
        run(g, slice(0, 100))
        g.step(0.5, 0.25)
    if move == "share_memory":
        f.share_memory()
    elif move == "pickle":  # as multiprocessing does it: the state goes to shared memory
        multiprocessing.reduction.ForkingPickler.dumps(f)
    elif move == "data":
        f.w.data = f.w.data.clone()
        f.line.samples.data = f.line.samples.data.clone()
    else:
        f._apply(torch.clone)
    old = f.w
    got, want = run(f, slice(100, None)), run(twin, slice(100, None))
    same(got.y, want.y)
    same(f.w, want.w)
    assert old is f.w
    assert f.step(0.5, 0.25) == twin.step(0.5, 0.25)


@every
def test_assigned_weights_and_state_count(make: Any) -> None:
    f = make()
    run(f)
    f.w.data = torch.ones(8, dtype=torch.float64)
    f.reset = None
    assert f.predict(1.0) == pytest.approx(1.0 + f.line.samples[:-1].sum().item())
    for name in f.algorithm.state:
        value = torch.randn_like(getattr(f, name))
        setattr(f, name, value)
        same(getattr(f, name), value)
        with pytest.raises(ValueError, match=f"{name} must have shape"):
            setattr(f, name, value[..., :-1])
    twin = copy.deepcopy(f)
    same(run(f).y, run(twin).y)


@every
def test_memory_of_another_shape_is_refused(make: Any) -> None:
    f = make()
    run(f)
    f.w.data = torch.zeros(5, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"w must have shape \(8,\).*got \(5,\)"):
        run(f)
    with pytest.raises(ValueError, match=r"w must have shape \(8,\)"):
        f.step(1.0, 1.0)


@every
def test_strided_memory_is_laid_out(make: Any) -> None:
    f, twin = make(), make()
    f.w.data = torch.zeros(16, dtype=torch.float64)[::2]
    same(run(f).w, run(twin).w)
    same(f.w, twin.w)


def test_what_sizes_memory_is_read_only() -> None:
    f = af.AffineProjection(8, order=4)
    for name, value in (("order", 1), ("taps", 3), ("batch", (2,)), ("features", None), ("dtype", torch.float64)):
        with pytest.raises(TypeError, match=f"{name} is read-only"):
            setattr(f, name, value)
    f(X.astype("f"), D.astype("f"))
    assert f.order == 4


BPSK = af.Constellation.psk(2)
SIZED: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "NLMS": (lambda: af.NLMS(4, inputs=2, outputs=2, sps=2), ("taps", "inputs", "outputs", "sps")),
    "DFE": (lambda: af.DFE(4, 2, 0.1, BPSK), ("feedback", "delay", "constellation")),
    "DecisionDirected": (lambda: af.DecisionDirected(4, 0.1, BPSK), ("delay", "constellation", "carrier", "points")),
    "OutputError": (lambda: af.OutputError(2, 2, 0.1), ("taps", "feedback", "poles")),
    "FxLMS": (lambda: af.FxLMS(4, 0.1, np.ones(2)), ("taps", "inputs", "path_taps")),
    "LatticeRLS": (lambda: af.LatticeRLS(4), ("taps", "batch", "w")),
    "NPVSS": (lambda: af.NPVSS(4), ("taps", "noise")),
}


@pytest.mark.parametrize("case", SIZED)
def test_no_size_of_any_structure_can_be_assigned(case: str) -> None:
    make, names = SIZED[case]
    for name in names:
        with pytest.raises((TypeError, AttributeError), match=rf"{name} is read-only|property '{name}'"):
            setattr(make(), name, 1)


@pytest.mark.parametrize("axes", [{"outputs": 2}, {"sps": 3}, {"inputs": 2, "outputs": 2, "sps": 2}])
def test_features_of_an_empty_block_of_any_axes(axes: dict[str, int]) -> None:
    features = torch.nn.Flatten(-2) if "inputs" in axes else af.Volterra(4)
    f = af.NLMS(4, features=features, dtype=torch.float64, **axes)
    x, d = (np.zeros((*f._axes(name), 0)) for name in "xd")
    for mode in (True, False):
        y, e, w = f.train(mode)(x, d, record_every=2)
        assert y.shape == e.shape == f.filter(x).shape == d.shape
        assert w.shape == (*d.shape, f.w.shape[-1])


def test_a_secondary_path_is_the_filters_own() -> None:
    s = np.array([1.0, 0.3])
    f = af.FxLMS(4, 0.1, s, dtype=torch.float64)
    s[:] = 9
    same(f.secondary, [1.0, 0.3])
    f.secondary = s
    s[:] = 7
    same(f.secondary, [9, 9])
    masked, sparse = np.ma.masked_array(s, [True, False]), torch.tensor(s).to_sparse()
    for bad in (masked, sparse, [1.0, 0.3], s[:1], s * np.nan, s.astype(int), s + 1j, np.ones((2, 2)), None):
        with pytest.raises((TypeError, ValueError), match="secondary"):
            f.secondary = bad
        if (bad is not None and len(bad) == 2) or bad is sparse:
            with pytest.raises((TypeError, ValueError), match="path"):
                f(X, D, path=bad)
    same(f.secondary, [9, 9])


@every
def test_nothing_aliases_the_callers_memory(make: Any) -> None:
    w0, mu = torch.ones(8, dtype=torch.float64), np.array(0.25)
    f = make(w0=w0)
    name = "mu" if "mu" in f.ranges else "lam"
    setattr(f, name, mu)
    mu[...], w0[:] = 0.9, 7
    assert float(getattr(f, name)) == 0.25
    same(f.reset().w, np.ones(8))
    tensor = torch.tensor(0.5, dtype=torch.float64)
    setattr(f, name, tensor)
    tensor.fill_(0.1)
    assert float(getattr(f, name)) == 0.5


def swapped_gain(eps: Any, mu: Any, e: Any, energy: Any) -> Any:
    return mu / (eps + energy) * e


def bare_gain(mu: Any, e: Any) -> Any:
    return mu * e


class Swapped(af.LinearFilter):
    """NLMS, with its arguments in another order."""

    algorithm = Algorithm(gain=swapped_gain, linear=True)
    ranges = {"eps": {}, "mu": {}, "leak": {}}

    def __init__(self, taps: int, mu: Any, *, eps: Any, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"eps": eps, "mu": mu, "leak": leak}, **common)


class Bare(af.LinearFilter):
    """LMS, whose gain does not ask for the energy."""

    algorithm = Algorithm(gain=bare_gain, linear=True)
    ranges = {"mu": {}, "leak": {}}

    def __init__(self, taps: int, mu: Any, *, leak: Any = 0.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "leak": leak}, **common)


@pytest.mark.parametrize("engine", ["auto", "reference", "block"])
@pytest.mark.parametrize("options", [{}, {"record_every": 3}, {"mu": 0.1}])
def test_a_gain_is_bound_by_the_names_of_its_arguments(engine: str, options: dict[str, Any]) -> None:
    for own, known, extra in ((Swapped, af.NLMS, {"eps": 0.5}), (Bare, af.LMS, {})):
        for leak in (0.0, 0.1):
            kinds = {"dtype": torch.float64, "leak": leak, **extra}
            want, f = known(5, 0.05, **kinds)(X, D, **options), own(5, 0.05, engine=engine, **kinds)
            np.testing.assert_allclose(f(X, D, **options).w, want.w, rtol=1e-10, atol=1e-12)


@every
def test_nonfinite_and_engine_take_effect_when_assigned(make: Any) -> None:
    f = make()
    run(f)
    bad = X.copy()
    bad[7] = np.nan
    f.nonfinite = "skip"
    assert np.flatnonzero(np.isnan(f(bad, D).e)).tolist() == [7]
    assert np.isnan(f.step(np.nan, 0.0)[1])
    f.nonfinite = "raise"
    with pytest.raises(ValueError, match="x must be finite"):
        f(bad, D)
    with pytest.raises(ValueError, match="x must be finite"):
        f.step(np.nan, 0.0)
    with pytest.raises(ValueError, match="nonfinite"):
        f.nonfinite = "never"
    f.engine = "reference"
    twin = copy.deepcopy(f)
    twin.engine = "compiled"
    np.testing.assert_allclose(run(f).y, run(twin).y, rtol=1e-9, atol=1e-11)
    with pytest.raises(ValueError, match="engine"):
        f.engine = "fast"


@every
@pytest.mark.parametrize("how", ["copy", "pickle", "checkpoint", "parameter", "engine"])
def test_the_mark_of_a_bad_sample_is_state(make: Any, how: str) -> None:
    f = make(nonfinite="skip")
    run(f)
    f.predict(float("nan"))
    if how == "copy":
        f = copy.deepcopy(f)
    elif how == "pickle":
        f = pickle.loads(pickle.dumps(f))
    elif how == "checkpoint":
        state, f = f.state_dict(), make(nonfinite="skip")
        f.load_state_dict(state)
    elif how == "parameter":
        name = next(iter(f.ranges))
        setattr(f, name, getattr(f, name))
    else:
        f.engine = "reference"
    before = f.w.clone()
    f.adapt(1.0)
    same(f.w, before)
    f.predict(0.5)
    f.adapt(1.0)
    assert not torch.equal(f.w, before)


@every
def test_python_floats_are_double_precision(make: Any) -> None:
    f, batch = make(), make(batch=(2,))
    if "mu" in f.ranges:
        for g in (f, make(engine="reference")):
            same(g.reset()(X, D, mu=0.1).w, make(mu=0.1)(X, D).w) if g is f else np.testing.assert_allclose(
                g.reset()(X, D, mu=0.1).w, make(mu=0.1)(X, D).w, rtol=1e-13, atol=1e-15
            )
    name = next(iter(f.ranges))
    value = getattr(f, name)
    setattr(batch, name, torch.full((2,), value, dtype=torch.float64))
    for engine in ("compiled", "reference"):
        batch.engine = engine
        got = batch.reset()(np.stack([X, X]), np.stack([D, D])).w[1]
        np.testing.assert_allclose(got, run(make()).w, rtol=1e-12, atol=1e-14)


def test_a_tiny_regularisation_is_not_rounded_away() -> None:
    silent = np.zeros((2, 50))
    for engine in ("compiled", "reference", "block"):
        f = af.NLMS(4, torch.tensor([0.5, 0.5]), eps=1e-60, batch=2, dtype=torch.float64, engine=engine)
        assert not f(silent, silent).w.any()


@every
def test_input_that_is_no_plain_array_is_refused(make: Any) -> None:
    f = make()
    masked, sparse = np.ma.masked_invalid(np.where(X > 2, np.nan, X)), torch.tensor(X).to_sparse()
    for bad, error in ((masked, "masked"), (sparse, "dense"), (torch.empty(300, device="meta"), "meta")):
        other = D if isinstance(bad, np.ndarray) else torch.tensor(D)
        for call in (lambda: f(bad, other), lambda: f(other, bad), lambda: f.filter(bad), lambda: f.line.push(bad)):  # noqa: B023
            with pytest.raises((TypeError, ValueError), match=error):
                call()
    for bad in ("0.5", b"1", True, np.True_, [0.5], 1j, masked):
        with pytest.raises(TypeError, match=next(iter(f.ranges))):
            setattr(f, next(iter(f.ranges)), bad)
    for bad in ("0.5", True, None):
        with pytest.raises(TypeError, match="x must be"):
            f.step(bad, 0.0)
        with pytest.raises(TypeError, match=r"d must be|needs d"):
            f.step(0.0, bad)
    assert not f.w.any()


@every
def test_odd_arguments_are_simply_right(make: Any) -> None:
    f, twin = make(), make()
    same(f(X, D, record_every=2**70).w.shape, (0, 8))
    if "mu" in f.ranges:
        mu = np.linspace(0, 0.1, 300)
        same(f.reset()(X, D, mu=mu[::-1]).w, twin(X, D, mu=mu[::-1].copy()).w)
    with pytest.raises(TypeError, match="features"):
        make(features=lambda u: u)
    empty = make(features=af.Volterra(8))(X[:0], D[:0], record_every=2)
    assert empty.y.shape == (0,)
    assert empty.w.shape[0] == 0


def test_the_first_step_size_of_a_process_imports_no_hundreds_of_modules() -> None:
    code = """
import sys, numpy as np, adaptfilt as af
f = af.NLMS(4)
x = np.ones(8, np.float32)
f(x, x)
before = len(sys.modules)
f(x, x, mu=0.1)
assert len(sys.modules) - before < 20, sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_update_of_one_array_may_return_it_alone() -> None:
    def update(w: Any, u: Any, e: Any, mu: Any) -> Any:
        return axpyc(mu * e, u, w)

    class Plain(af.LinearFilter):
        algorithm = Algorithm(update=update)
        ranges = {"mu": {}}

    same(run(Plain(8, {"mu": 0.01}, dtype=torch.float64)).w.shape, (8,))


@every
def test_a_start_to_be_learned_is_never_written_to(make: Any) -> None:
    w0 = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    f, twin = make(w0=w0), make()
    with torch.no_grad():
        for _ in range(2):
            same(run(f).w, run(twin).w)
            same(f.w, twin.w)
    assert not w0.detach().any()
