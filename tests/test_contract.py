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
