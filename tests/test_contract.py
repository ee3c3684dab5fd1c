"""The contract every filter keeps; filters are discovered, so a new one is tried without another line."""

import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COMPLEX, REAL
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt import testing
from adaptfilt.testing.comparisons import PLANT, close, pair, plant, same, state_of, unchanged

FILTERS = [
    c for c in vars(af).values() if isinstance(c, type) and issubclass(c, af.AdaptiveFilter) and hasattr(c, "example")
]
LINEAR = [c for c in FILTERS if issubclass(c, af.LinearFilter)]
RANK_ONE = [c for c in LINEAR if c.algorithm.gain is not None]
NORMALISED = [af.NLMS, af.AffineProjection, af.RLS]
DTYPES = REAL + COMPLEX
every_filter = pytest.mark.parametrize("cls", FILTERS, ids=lambda c: c.__name__)
every_linear = pytest.mark.parametrize("cls", LINEAR, ids=lambda c: c.__name__)
every_rank_one = pytest.mark.parametrize("cls", RANK_ONE, ids=lambda c: c.__name__)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda t: str(t).removeprefix("torch."))


@every_filter
@every_dtype
def test_identifies_the_plant_tap_by_tap(cls: Any, dtype: torch.dtype) -> None:
    x, d = pair(dtype, 20000)
    _, _, w = cls.example(dtype=dtype)(x, d)
    assert np.abs(w - plant(dtype)).max() < 0.06


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


@every_filter
@every_dtype
def test_a_fixed_filter_is_lfilter(cls: Any, dtype: torch.dtype) -> None:
    testing.a_fixed_filter_is_lfilter(cls, dtype)


@every_linear
def test_a_step_size_of_zero_freezes(cls: Any) -> None:
    testing.a_step_size_of_zero_freezes(cls, torch.float64)


@every_filter
@every_dtype
def test_silence_leaves_the_weights_alone(cls: Any, dtype: torch.dtype) -> None:
    testing.silence_leaves_the_weights_alone(cls, dtype, settle=8)


@every_rank_one
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
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_after_a_burst_the_filter_finds_the_plant_again_or_says_that_it_diverged(cls: Any, dtype: torch.dtype) -> None:
    x, _ = pair(dtype, 40000)
    x[10000:10010] *= 1e6
    d = lfilter(PLANT, 1, x).astype(x.dtype)
    f = cls.example(dtype=dtype)
    f(x[:9000], d[:9000])
    before = state_of(f)
    try:
        f(x[9000:], d[9000:])
    except af.DivergenceError:
        assert cls not in NORMALISED
        unchanged(f, before)
    else:
        error = np.abs(f.w.detach().numpy() - PLANT).max()
        assert error < 0.06 if cls in NORMALISED else np.isfinite(error)


@every_filter
def test_in_and_out_kinds(cls: Any) -> None:
    for dtype in REAL:
        testing.inputs_are_never_changed(cls, dtype)
    x, d = pair(torch.float64)
    doubled = cls.example().to(torch.float64)
    assert doubled.dtype == torch.float64
    close(doubled(x, d).y, cls.example(dtype=torch.float64)(x, d).y, torch.float64)


@every_filter
def test_history_and_records(cls: Any) -> None:
    testing.records_are_the_weights_after_every_so_many_samples(cls, torch.float64)
    f = cls.example(dtype=torch.float64)
    assert cls.__name__ in repr(f)
    assert "float64" in repr(f)


@every_linear
@every_dtype
def test_every_engine_equals_the_reference(cls: Any, dtype: torch.dtype) -> None:
    testing.every_engine_equals_the_reference(cls, dtype)


@every_linear
def test_rows_are_a_linear_combiner(cls: Any) -> None:
    x, d = pair()
    stream = np.concatenate([np.zeros(3), x])
    rows = np.lib.stride_tricks.sliding_window_view(stream, 4)[:, ::-1]
    f, g = cls.example(dtype=torch.float64), cls.example(dtype=torch.float64)
    close(f(rows, d).y, g(x, d).y, torch.float64)
    assert not f.history.any()


@every_filter
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(cls: Any, bad: float) -> None:
    testing.nan_is_refused_and_changes_nothing(cls, torch.float32, bad=bad)


@every_filter
def test_skipped_samples(cls: Any) -> None:
    testing.nan_is_passed_over(cls, torch.float64)


@every_filter
def test_bad_input(cls: Any) -> None:
    x, d = pair(torch.float32, 10)
    f = cls.example(batch=(2,))
    g = cls.example()
    g(x, d)
    before = state_of(g)
    for error, match, arguments in (
        (ValueError, "length", (x, d[:-1])),
        (TypeError, r"x must be .*list", (x.tolist(), d)),
        (TypeError, r"scale", ((x * 1000).astype(np.int16), d)),
        (TypeError, r"d must hold floats.*scale", (x, torch.zeros(10, dtype=torch.int64))),
        (TypeError, r"x is complex.*complex64", (x + 1j, d)),
        (ValueError, r"d must have shape", (x, d[None])),
        (ValueError, r"x must have shape", (x[None], d)),
    ):
        with pytest.raises(error, match=match):
            g(*arguments)
    with pytest.raises(ValueError, match="record_every"):
        g(x, d, record_every=0)
    with pytest.raises(ValueError, match="x is on meta"):
        g(torch.zeros(10, device="meta"), torch.tensor(d))
    with pytest.raises(TypeError, match="float"):
        g.step("a", 1.0)
    with pytest.raises(TypeError, match="float"):
        g.step(1j, 1.0)
    if cls in LINEAR:
        with pytest.raises(TypeError, match="both"):
            g(x, torch.tensor(d))
    with pytest.raises(TypeError, match="dtype"):
        g.half()
    unchanged(g, before)
    with pytest.raises(ValueError, match=r"\(2, T\)"):
        f(x, d)
    with pytest.raises(ValueError, match="nonfinite"):
        cls.example(nonfinite="ignore")
    with pytest.raises(TypeError, match="dtype"):
        cls.example(dtype=torch.int32)
    with pytest.raises(ValueError, match="shape"):
        g.w = torch.zeros(5)


@every_filter
def test_a_checkpoint_that_does_not_fit_is_refused(cls: Any) -> None:
    f, other = cls.example(), cls.example(batch=(3,))
    with pytest.raises(RuntimeError, match="size mismatch"):
        f.load_state_dict(other.state_dict())
    state = f.state_dict()
    state.pop(next(iter(state)))
    with pytest.raises(RuntimeError, match="Missing key"):
        f.load_state_dict(state)
    file = io.BytesIO()
    torch.save(f.state_dict(), file)
    with pytest.raises(RuntimeError, match=r"PytorchStreamReader|central directory"):
        torch.load(io.BytesIO(file.getvalue()[:-200]), weights_only=True)


@every_linear
@pytest.mark.parametrize("taps", [0, -1, 2.5, "8", True, None])
def test_taps(cls: Any, taps: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="taps must be an integer"):
        cls(taps, 0.9)


@every_linear
def test_parameters_out_of_range(cls: Any) -> None:
    for name in cls.ranges:
        for value in (-0.1, np.nan, np.inf):
            with pytest.raises(ValueError, match=f"{name} must be finite"):
                setattr(cls.example(), name, value)
        with pytest.raises(TypeError, match=name):
            setattr(cls.example(), name, "fast")
        with pytest.raises(ValueError, match=name):
            setattr(cls.example(batch=(3,)), name, torch.full((2,), 0.5))


@every_linear
def test_parameters_of_a_batch(cls: Any) -> None:
    x, d = pair(samples=100, batch=(3,))
    name = next(iter(cls.ranges))
    values = torch.tensor([0.9, 0.5, 0.7], dtype=torch.float64) * (0.01 if cls is not af.RLS else 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f = cls.example(dtype=torch.float64, batch=(3,))
        setattr(f, name, values)
    y = f(x, d).y
    for k in range(3):
        g = cls.example(dtype=torch.float64)
        setattr(g, name, values[k].item())
        close(g(x[k], d[k]).y, y[k], torch.float64)


def run_until_it_fails(f: Any, x: np.ndarray, d: np.ndarray, before: dict[str, np.ndarray]) -> None:
    """Take single samples, with the state before the last one in `before`."""
    for a, b in zip(x.tolist(), d.tolist(), strict=True):
        before.update(state_of(f))
        f.step(a, b)


@every_rank_one
@pytest.mark.filterwarnings("ignore:mu = ")
def test_divergence_keeps_the_state(cls: Any) -> None:
    x, d = pair(torch.float32, 3000)
    f = cls.example()
    f.w = np.full(4, 3e38, np.float32)
    before = state_of(f)
    with pytest.raises(af.DivergenceError):
        f(x, d, mu=3e38)
    unchanged(f, before)
    f.mu = 3e38
    with pytest.raises(af.DivergenceError):
        run_until_it_fails(f, x, d, before)
    unchanged(f, before)


@every_linear
def test_two_widths_of_batch_parameters_and_threads(cls: Any) -> None:
    x, d = pair(torch.float32, 5000, (8,))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = cls.example(batch=(8,))(x, d)
        torch.set_num_threads(3)
        three = cls.example(batch=(8,))(x, d)
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


def kinds(f: Any) -> dict[str, torch.dtype]:
    return {k: v.dtype for k, v in (*f.named_parameters(), *f.named_buffers())}


@every_filter
@every_dtype
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(("convert", "dtype_to"), CONVERSIONS.values(), ids=CONVERSIONS.keys())
def test_a_filter_and_what_holds_it_convert_alike(
    cls: Any, dtype: Any, held: bool, convert: Any, dtype_to: Any
) -> None:
    """Signals and weights take the precision and stay complex, parameters are real, and the numbers go on."""
    x, d = pair(dtype, 60)
    want = dtype_to.to_complex() if dtype.is_complex else dtype_to
    f, fresh = cls.example(dtype=dtype), cls.example(dtype=want)
    for g in (f, fresh) if cls in LINEAR else ():
        name = next(iter(g.ranges))
        setattr(g, name, torch.tensor(getattr(g, name)))
    f(x[:30], d[:30])
    convert(Holder(f) if held else f)
    assert f.dtype == f.w.dtype == want
    assert kinds(f) == kinds(fresh)
    y, _, w = f(torch.tensor(x[30:]), torch.tensor(d[30:]))
    assert y.dtype == w.dtype == want
    whole = cls.example(dtype=dtype)(x, d)
    np.testing.assert_allclose(y, whole.y[30:], rtol=1e-3, atol=1e-3)


@every_filter
@every_dtype
@pytest.mark.parametrize("convert", HALVES.values(), ids=HALVES.keys())
def test_half_precision_leaves_a_filter_its_own(cls: Any, dtype: torch.dtype, convert: Any) -> None:
    """In a module that is made half the filter stays as it is and works; asked for by itself, it is refused."""
    f = cls.example(dtype=dtype)
    f(*pair(dtype, 30))
    before, types = state_of(f), kinds(f)
    with pytest.raises(TypeError, match="dtype must be one of"):
        convert(f)
    model = convert(Holder(f))
    assert model.before.weight.dtype in (torch.float16, torch.bfloat16)
    assert (kinds(f), f.dtype) == (types, dtype)
    unchanged(f, before)
    x = torch.tensor(pair(torch.float32, 20)[0]).to(model.before.weight.dtype)
    assert f(x, x).y.dtype == dtype


@every_filter
def test_what_converts_nothing_reaches_the_filter_as_it_is(cls: Any) -> None:
    f = cls.example(dtype=torch.complex64)
    Holder(f).share_memory()
    assert f.line.samples.is_shared()
    if cls not in LINEAR:  # torch makes new parameters there, which the optimizer does not hold
        return
    f = cls.example(dtype=torch.complex64)
    Holder(f).to("meta")
    assert f.device.type == f.w.device.type == "meta"
    f = Holder(cls.example(dtype=torch.complex64).to("meta")).to_empty(device="cpu").f
    assert (f.device.type, f.dtype) == ("cpu", torch.complex64)


@every_filter
def test_torch_defaults_do_not_reach_inside(cls: Any) -> None:
    x, d = pair(torch.float32, 60)

    def outputs() -> list[Any]:
        found: list[Any] = []
        for dtype in (torch.float32, torch.complex64):
            f = cls.example(nonfinite="skip", **({} if dtype == torch.float32 else {"dtype": dtype}))
            for kind in (np.asarray, torch.from_numpy):
                found += [*f(kind(x), kind(d), record_every=7), *f(kind(x), kind(d)), f.filter(kind(x))]
            found += [*f.step(0.5, 0.25), f.predict(0.5), f.adapt(0.1), f.w.detach().clone()]
            b = cls.example(dtype=dtype, batch=(2,))
            found += [*b(np.stack([x, x]), np.stack([d, d])), *b.step(x[:2], d[:2]), b.reset().w.detach().clone()]
        return [np.asarray(v) for v in found if v is not None]

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


@every_linear
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_features_of_an_empty_block(cls: Any, batch: tuple[int, ...], kind: Any) -> None:
    f = cls(3, 0.9 if cls in NORMALISED else 1e-3, features=af.Volterra(3), batch=batch)
    x = np.random.default_rng(0).standard_normal((*batch, 20)).astype("f")
    f(kind(x), kind(x))
    before = state_of(f)
    empty = kind(x[..., :0])
    for mode in (True, False):
        f.train(mode)
        y, e, w = f(empty, empty)
        assert (y.shape, e.shape, w.shape) == ((*batch, 0), (*batch, 0), (*batch, 9))
        assert f(empty, empty, record_every=2).w.shape == (*batch, 0, 9)
        assert f.filter(empty).shape == (*batch, 0)
    unchanged(f, before)
