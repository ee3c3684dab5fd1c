"""The contract every filter keeps; filters are discovered, so a new one is tried without another line."""

import inspect
import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt import testing
from adaptfilt.testing.comparisons import (
    CHANNEL,
    PLANT,
    blind,
    call,
    close,
    decides,
    feeds_back,
    given_by_path,
    outputs_cut,
    pair,
    plant,
    recursive,
    responds,
    same,
    single,
    sps,
    state_of,
    step,
    trial,
    unchanged,
)
from conftest import FILTERS, FIRST, LINEAR, PLAIN, RULED, STEPPED, each, every_dtype

NORMALISED = [af.NLMS, af.AffineProjection, af.RLS]
every_filter, every_ruled, every_linear, every_plain = each(FILTERS), each(RULED), each(LINEAR), each(PLAIN)


@each([c for c in FILTERS if responds(c)])
@every_dtype
def test_finds_the_plant_tap_by_tap(cls: Any, dtype: torch.dtype) -> None:
    f = cls.example(dtype=dtype)
    assert np.abs(call(f, *trial(f, 20000)).w - plant(dtype)).max() < 0.06


@each([c for c in FILTERS if not getattr(c, "responds", True)])
@every_dtype
def test_weights_of_another_kind_leave_less_of_the_error(cls: Any, dtype: torch.dtype) -> None:
    f = cls.example(dtype=dtype)
    e = call(f, *trial(f, 20000)).e
    assert np.mean(np.abs(e[..., -2000:]) ** 2) < 0.33 * np.mean(np.abs(e[..., :20]) ** 2)


@each([c for c in RULED if feeds_back(c) and not decides(c)])
@every_dtype
def test_responds_as_the_plant_does(cls: Any, dtype: torch.dtype) -> None:
    """Poles and zeros that nearly cancel are found last; what the filter does to an impulse is the plant's."""
    f = cls.example(dtype=dtype)
    x, d = trial(f, 20000)
    call(f, x, d)
    f.filter(0 * x[:200])
    response = f.filter(np.eye(1, 50)[0].astype(x.dtype))
    assert np.abs(response - np.pad(plant(dtype), (0, 46))).max() < 0.03


@each([c for c in RULED if (decides(c) and not blind(c)) or given_by_path(c)])
@every_dtype
def test_finds_what_least_squares_finds(cls: Any, dtype: torch.dtype) -> None:
    """On the input, or what the secondary path makes of it, and past symbols; steps cost a tenth of the error more."""
    f = cls.example(dtype=dtype)
    x, d = trial(f, 20000)
    out = call(f, x, d)
    u = regressors(lfilter(f.secondary.numpy(), 1, x) if given_by_path(f) else x, f.taps)
    d = np.pad(d, (getattr(f, "delay", 0), 0))[: len(d)]
    if feeds_back(f):
        u = np.concatenate([u, regressors(np.pad(d, (1, 0))[:-1], f.feedback)], 1)
    w = np.linalg.lstsq(u, d, rcond=None)[0]
    assert np.abs(out.w - w).max() < 0.03
    assert np.mean(np.abs(out.e[-2000:]) ** 2) < 1.15 * np.mean(np.abs((d - u @ w)[-2000:]) ** 2)


def regressors(x: np.ndarray, taps: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, (taps - 1, 0)), taps)[:, ::-1]


@each([c for c in LINEAR if blind(c) and c not in (af.RDE, af.Frost)])
@every_dtype
def test_opens_the_eye_as_far_as_its_taps_can(cls: Any, dtype: torch.dtype) -> None:
    """What is left of the channel's echoes is what least squares leaves that knows the channel, or a tenth more; half
    more where steps have one size. RDE is for an eye that is open, Frost no equaliser.
    """
    f = cls.example(dtype=dtype)
    w = call(f, *trial(f, 20000)).w
    channel = CHANNEL * (np.exp(0.4j * np.arange(4) ** 2) if dtype.is_complex else 1)
    whole = np.array([np.pad(channel, (k, f.taps - 1 - k)) for k in range(f.taps)]).T

    def echoes(w: np.ndarray) -> float:
        power = np.abs(whole @ w) ** 2
        return float(power.sum() / power.max() - 1)

    best = np.linalg.lstsq(whole, np.eye(len(whole))[np.argmax(np.abs(whole @ w))].astype(whole.dtype), rcond=None)[0]
    assert echoes(w) < (1.5 if cls is af.SignCMA else 1.1) * echoes(best)


@every_filter
@every_dtype
def test_blocks_of_any_length_and_single_samples_agree(cls: Any, dtype: torch.dtype) -> None:
    testing.any_split_equals_one_block(cls, dtype)
    testing.single_samples_equal_a_block(cls, dtype)


@every_filter
@given(cuts=st.lists(st.integers(0, 200), max_size=8))
@settings(max_examples=10, deadline=None)
def test_random_splits(cls: Any, cuts: list[int]) -> None:
    testing.any_split_equals_one_block(cls, torch.float64, cuts=cuts)


@every_filter
@pytest.mark.parametrize("batch", [(3,), (2, 3)])
def test_a_batch_is_a_loop_over_its_rows(cls: Any, batch: tuple[int, ...]) -> None:
    for dtype in (torch.float64, torch.complex64):
        testing.a_batch_is_a_loop_over_its_rows(cls, dtype, batch=batch)


@every_filter
@every_dtype
def test_a_copy_and_a_saved_state_go_on_bit_for_bit(cls: Any, dtype: torch.dtype) -> None:
    testing.a_copy_and_a_saved_state_go_on_bit_for_bit(cls, dtype)


@every_filter
@every_dtype
def test_reset_equals_a_fresh_filter(cls: Any, dtype: torch.dtype) -> None:
    testing.reset_equals_a_fresh_filter(cls, dtype)


@every_ruled
def test_reset_of_some_streams_leaves_the_others(cls: Any) -> None:
    testing.reset_of_some_streams_leaves_the_others(cls, torch.float64)


@every_filter
@every_dtype
def test_a_fixed_filter_is_lfilter(cls: Any, dtype: torch.dtype) -> None:
    testing.a_fixed_filter_is_lfilter(cls, dtype)


@every_filter
@every_dtype
def test_a_frozen_filter_stands_still(cls: Any, dtype: torch.dtype) -> None:
    testing.a_frozen_filter_stands_still(cls, dtype)


@every_plain
def test_several_inputs_are_one_long_regressor(cls: Any) -> None:
    testing.several_inputs_are_one_long_regressor(cls, torch.float64)


@every_linear
@every_dtype
def test_several_outputs_are_filters_side_by_side(cls: Any, dtype: torch.dtype) -> None:
    testing.several_outputs_are_filters_side_by_side(cls, dtype)


@every_filter
def test_the_conjugate_gives_the_conjugate(cls: Any) -> None:
    testing.the_conjugate_gives_the_conjugate(cls, torch.complex64)


@each([c for c in LINEAR if c.algorithm.blind])
@every_dtype
def test_a_quarter_turn_of_a_blind_input_turns_the_output(cls: Any, dtype: torch.dtype) -> None:
    testing.a_quarter_turn_of_a_blind_input_turns_the_output(cls, dtype)


@every_filter
@every_dtype
def test_silence_leaves_the_weights_alone(cls: Any, dtype: torch.dtype) -> None:
    testing.silence_leaves_the_weights_alone(cls, dtype, settle=8)


@each(STEPPED)
@every_dtype
def test_a_loud_burst_leaves_no_trace(cls: Any, dtype: torch.dtype) -> None:
    x, d = pair(dtype, 4000)
    loud, mu = x.copy(), np.full(4000, 0.01)
    loud[1000:1010] *= 1e6
    mu[1000:1020] = 0.0
    a, b = cls.example(dtype=dtype)(x, d, mu=mu), cls.example(dtype=dtype)(loud, d, mu=mu)
    close(a.w, b.w, dtype)
    close(a.y[1020:], b.y[1020:], dtype)


@every_filter
@pytest.mark.filterwarnings("ignore:.*diverge")
def test_after_a_burst_the_filter_finds_the_plant_again_or_says_that_it_diverged(cls: Any) -> None:
    f = cls.example(dtype=torch.float64)
    x, d = trial(f, 40000)
    x[..., 10000:10010] *= 1e6
    if not (decides(f) or feeds_back(f)):
        d = lfilter(PLANT, 1, x)
    call(f, *outputs_cut(f, x, d, 0, 9000))
    before = state_of(f)
    try:
        call(f, *outputs_cut(f, x, d, 9000, 40000))
    except af.DivergenceError:
        assert cls not in NORMALISED
        unchanged(f, before)
    else:
        error = np.abs(f.w.detach().numpy() - PLANT).max() if cls in NORMALISED else 0.0
        assert error < 0.06
        assert all(np.isfinite(v).all() for v in state_of(f).values())


@every_filter
def test_in_and_out_kinds(cls: Any) -> None:
    testing.inputs_are_never_changed(cls, torch.float64)
    doubled, f = cls.example().to(torch.float64), cls.example(dtype=torch.float64)
    x, d = trial(f)
    assert doubled.reset().dtype == torch.float64
    if given_by_path(cls):  # which came in single precision
        doubled.secondary = f.secondary
    if cls not in RULED:  # and so did the start of a model
        doubled.w = f.w
    close(call(doubled, x, d).y, call(f, x, d).y, torch.float64)


@every_filter
def test_history_and_records(cls: Any) -> None:
    testing.records_are_the_weights_after_every_so_many_samples(cls, torch.float64)
    f = cls.example(dtype=torch.float64)
    assert cls.__name__ in repr(f)
    assert "float64" in repr(f)


@every_ruled
@every_dtype
def test_every_engine_equals_the_reference(cls: Any, dtype: torch.dtype) -> None:
    testing.every_engine_equals_the_reference(cls, dtype)


@every_plain
def test_rows_are_a_linear_combiner(cls: Any) -> None:
    x, d = pair()
    stream = np.concatenate([np.zeros(3), x])
    rows = np.lib.stride_tricks.sliding_window_view(stream, 4)[:, ::-1]
    f, g = cls.example(dtype=torch.float64), cls.example(dtype=torch.float64)
    close(f(rows, d, regressors=True).y, g(x, d).y, torch.float64)
    assert not f.history.any()


@every_filter
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(cls: Any, bad: float) -> None:
    testing.nan_is_refused_and_changes_nothing(cls, torch.float64, bad=bad)


@every_filter
def test_skipped_samples(cls: Any) -> None:
    testing.nan_is_passed_over(cls, torch.float64)


@every_filter
def test_bad_input(cls: Any) -> None:
    f, g = cls.example(dtype=torch.float64, batch=(2,)), cls.example(dtype=torch.float64)
    x, d = trial(g, 10)
    call(g, x, d)
    before = state_of(g)
    wrong = [
        (TypeError, r"x must be .*list", (x.tolist(), d)),
        (TypeError, r"scale", ((x * 1000).astype(np.int16), d)),
        (TypeError, r"x is complex.*complex64", (x + 1j, d)),
        (ValueError, r"x must have shape", (x[None], d)),
    ]
    if blind(g):
        wrong.append((TypeError, "is blind: d cannot be given", (x, x)))
    else:
        wrong += [
            (ValueError, r"length", (x[..., : -sps(g)], d)),
            (TypeError, r"d must hold floats.*scale", (x, torch.zeros(10, dtype=torch.int64))),
            (ValueError, r"d must have shape", (x, d[None])),
        ]
    for error, match, arguments in wrong:
        with pytest.raises(error, match=match):
            call(g, *arguments)
    with pytest.raises(ValueError, match="record_every"):
        call(g, x, d, record_every=0)
    with pytest.raises(ValueError, match="x is on meta"):
        call(g, torch.zeros(x.shape, device="meta"), None if d is None else torch.tensor(d))
    if x.ndim == 1 and sps(g) == 1:
        for value in ("a", 1j):
            with pytest.raises(TypeError, match="float"):
                g.step(value) if blind(g) else g.step(value, 1.0)
    if cls in RULED and not blind(g):
        with pytest.raises(TypeError, match="both"):
            g(x, torch.tensor(d))
    with pytest.raises(TypeError, match="dtype"):
        g.half()
    unchanged(g, before)
    with pytest.raises(ValueError, match=r"\(2, T\)"):
        call(f, x, d)
    with pytest.raises(ValueError, match="nonfinite"):
        cls.example(nonfinite="ignore")
    with pytest.raises(TypeError, match="dtype"):
        cls.example(dtype=torch.int32)
    with pytest.raises(TypeError if recursive(g) else ValueError, match="read-only" if recursive(g) else "shape"):
        g.w = torch.zeros(50)


@every_filter
def test_a_checkpoint_that_does_not_fit_is_refused(cls: Any) -> None:
    f, other = cls.example(), cls.example(batch=(3,))
    with pytest.raises(RuntimeError, match=r"of batch=\(3,\), the filter of \(\): make .* with batch=\(3,\), or"):
        f.load_state_dict(other.state_dict())
    state = f.state_dict()
    state.pop(next(iter(state)))
    with pytest.raises(RuntimeError, match="Missing key"):
        f.load_state_dict(state)
    file = io.BytesIO()
    torch.save(f.state_dict(), file)
    with pytest.raises((RuntimeError, ValueError), match=r"PytorchStreamReader|central directory|negative seek"):
        torch.load(io.BytesIO(file.getvalue()[:-200]), weights_only=True)


@each([c for c in RULED if "taps" in inspect.signature(c).parameters])
def test_taps(cls: Any) -> None:
    given = inspect.signature(cls).parameters.values()
    needed = [p for p in given if p.default is p.empty and p.kind is not p.VAR_KEYWORD][1:]
    own = {p.name: getattr(cls.example(), p.name) for p in needed}
    for taps in (0, -1, 2.5, "8", True, None):
        with pytest.raises((ValueError, TypeError), match="taps must be an integer"):
            cls(taps, **own)


@every_ruled
def test_parameters_out_of_range(cls: Any) -> None:
    for name, limits in cls.ranges.items():
        low = limits.get("low", 0.0)
        beyond = [low if limit == "above" else limits["high"] + 0.1 for limit in limits if limit in ("above", "high")]
        for value in (low - 0.1, np.nan, np.inf, *beyond):
            with pytest.raises(ValueError, match=f"{name} must be finite"):
                setattr(cls.example(), name, value)
        with pytest.raises(TypeError, match=name):
            setattr(cls.example(), name, "fast")
        with pytest.raises(ValueError, match=name):
            setattr(cls.example(batch=(3,)), name, torch.full((2,), 0.5))


@every_ruled
def test_parameters_of_a_batch(cls: Any) -> None:
    f = cls.example(dtype=torch.float64, batch=(3,))
    x, d = trial(f, 100)
    name = next(iter(cls.ranges))
    values = float(getattr(f, name)) * torch.tensor([1.0, 0.5, 0.7], dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        setattr(f, name, values)
    f.reset()
    y = call(f, x, d).y
    for k in range(3):
        g = cls.example(dtype=torch.float64)
        setattr(g, name, values[k].item())
        g.reset()
        close(call(g, x[k], None if d is None else d[k]).y, y[k], torch.float64)


def run_until_it_fails(f: Any, x: np.ndarray, d: Any, before: dict[str, np.ndarray]) -> None:
    """Take single samples, with the state before the last one in `before`."""
    for n in range(x.shape[-1]):
        before.update(state_of(f))
        step(f, x, d, n)


@each(STEPPED)
@pytest.mark.filterwarnings("ignore:mu = ")
@pytest.mark.filterwarnings("ignore:.*it diverges")
def test_divergence_keeps_the_state(cls: Any) -> None:
    x, d = pair(torch.float64, 3000)
    f = cls.example(dtype=torch.float64)
    f.w = np.full(f.w.shape, 1e308)
    before = state_of(f)
    with pytest.raises(af.DivergenceError):
        f(x, d, mu=1e308)
    unchanged(f, before)
    f.mu = 1e308
    with pytest.raises(af.DivergenceError):
        run_until_it_fails(f, x, d, before)
    unchanged(f, before)


@every_ruled
def test_two_widths_of_batch_parameters_and_threads(cls: Any) -> None:
    f, g = (cls.example(dtype=torch.float64, batch=(8,)) for _ in range(2))
    x, d = trial(f, 5000)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = call(f, x, d)
        torch.set_num_threads(3)
        three = call(g, x, d)
    finally:
        torch.set_num_threads(threads)
    same(one.y, three.y)
    same(one.w, three.w)


class Holder(torch.nn.Module):
    """A module of somebody else's that holds a filter."""

    def __init__(self, f: Any) -> None:
        super().__init__()
        self.before, self.f = torch.nn.Linear(2, 2), f


CONVERSIONS = {
    "double": (lambda m: m.double(), torch.float64),
    "float": (lambda m: m.float(), torch.float32),
    "to float64": (lambda m: m.to(torch.float64), torch.float64),
    "to cpu and float64": (lambda m: m.to("cpu", torch.float64), torch.float64),
    "to a tensor's": (lambda m: m.to(torch.zeros(1, dtype=torch.float64)), torch.float64),
}
HALVES = {
    "half": lambda m: m.half(),
    "bfloat16": lambda m: m.bfloat16(),
    "to float16": lambda m: m.to(torch.float16),
    "to cpu and bfloat16": lambda m: m.to("cpu", torch.bfloat16),
}


def in_all_ways(ways: dict[str, Any]) -> Any:
    """Try a test on the first filter of each kind in all ways, on the others in the last one."""
    last = list(ways)[-1]
    cases = [pytest.param(c, ways[k], id=f"{c.__name__}-{k}") for c in FILTERS for k in ways if c in FIRST or k == last]
    return pytest.mark.parametrize(("cls", "way"), cases)


def kinds(f: Any) -> dict[str, torch.dtype]:
    return {k: v.dtype for k, v in (*f.named_parameters(), *f.named_buffers())}


@in_all_ways({f"{name}{' held' * held}": (*of, held) for name, of in CONVERSIONS.items() for held in (False, True)})
@every_dtype
def test_a_filter_and_what_holds_it_convert_alike(cls: Any, dtype: Any, way: Any) -> None:
    """Signals and weights take the precision and stay complex, parameters are real, and the numbers go on."""
    convert, dtype_to, held = way
    want = dtype_to.to_complex() if dtype.is_complex else dtype_to
    f, fresh = cls.example(dtype=dtype), cls.example(dtype=want)
    for g in (f, fresh) if cls in RULED else ():
        name = next(iter(g.ranges))
        setattr(g, name, torch.as_tensor(getattr(g, name)))
    x, d = trial(f, 60)
    call(f, *outputs_cut(f, x, d, 0, 30))
    convert(Holder(f) if held else f)
    if cls in RULED:  # compiled in the precisions of `every_dtype` alone
        f.engine = "reference"
    assert f.dtype == f.w.dtype == want
    assert kinds(f) == kinds(fresh)
    rest = outputs_cut(f, x, d, 30, 60)
    y, _, w = call(f, *(None if v is None else torch.tensor(v) for v in rest))
    assert y.dtype == w.dtype == want
    whole = call(cls.example(dtype=dtype), x, d)
    np.testing.assert_allclose(y, whole.y[..., 30:], rtol=1e-3, atol=1e-3)


@in_all_ways(HALVES)
@every_dtype
def test_half_precision_leaves_a_filter_its_own(cls: Any, dtype: torch.dtype, way: Any) -> None:
    """In a module that is made half the filter stays as it is and works; asked for by itself, it is refused."""
    f = cls.example(dtype=dtype)
    x, d = trial(f, 30)
    call(f, x, d)
    before, types = state_of(f), kinds(f)
    with pytest.raises(TypeError, match="dtype must be one of"):
        way(f)
    model = way(Holder(f))
    assert model.before.weight.dtype in (torch.float16, torch.bfloat16)
    assert (kinds(f), f.dtype) == (types, dtype)
    unchanged(f, before)
    if not getattr(getattr(f, "constellation", None), "is_real", True):
        return  # half precision has no complex numbers
    half = [None if v is None else torch.tensor(v.real).to(model.before.weight.dtype) for v in (x, d)]
    assert call(f, *half).y.dtype == dtype


@every_filter
def test_what_converts_nothing_reaches_the_filter_as_it_is(cls: Any) -> None:
    f = cls.example(dtype=torch.complex64)
    Holder(f).share_memory()
    assert f.line.samples.is_shared()
    if cls not in LINEAR:  # torch makes new parameters there, which the optimizer does not hold; recursions run on CPUs
        return
    f = cls.example(dtype=torch.complex64)
    Holder(f).to("meta")
    assert f.device.type == f.w.device.type == "meta"
    f = Holder(cls.example(dtype=torch.complex64).to("meta")).to_empty(device="cpu").f
    assert (f.device.type, f.dtype) == ("cpu", torch.complex64)


@every_filter
def test_torch_defaults_do_not_reach_inside(cls: Any) -> None:
    def outputs() -> list[Any]:
        found: list[Any] = []
        for dtype in (torch.float64, torch.complex64):
            f = cls.example(nonfinite="skip", dtype=dtype)
            x, d = trial(f, 60)
            for kind in (np.asarray, torch.from_numpy):
                given = kind(x), None if d is None else kind(d)
                found += [*call(f, *given, record_every=7), *call(f, *given), f.filter(given[0])]
            found += [*step(f, x, d, 0), f.predict(single(f, x, None, 0)[0])]
            if not (blind(f) or recursive(f)):
                f.adapt(found[-1])
            b, two = cls.example(dtype=dtype, batch=(2,)), [None if v is None else np.stack([v, v]) for v in (x, d)]
            found += [f.w.detach().clone(), *call(b, *two), *step(b, *two, 0), b.reset().w.detach().clone()]
        return [np.asarray(v) for v in found]

    want = outputs()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        got = outputs()
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        same(a, b)
        assert a.dtype == b.dtype


@every_plain
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_features_of_an_empty_block(cls: Any, batch: tuple[int, ...], kind: Any) -> None:
    taps = cls.example().taps
    f = cls.example(features=af.Volterra(taps), batch=batch, dtype=torch.float64)
    x, count = 0.1 * np.random.default_rng(0).standard_normal((*batch, 20)), f.w.shape[-1]
    assert count == taps * (taps + 3) // 2
    f(kind(x), kind(x))
    before = state_of(f)
    empty = kind(x[..., :0])
    for mode in (True, False):
        f.train(mode)
        y, e, w = f(empty, empty)
        assert (y.shape, e.shape, w.shape) == ((*batch, 0), (*batch, 0), (*batch, count))
        assert f(empty, empty, record_every=2).w.shape == (*batch, 0, count)
        assert f.filter(empty).shape == (*batch, 0)
    unchanged(f, before)
