"""The contract every filter keeps, as laws to try on a filter of one's own; pytest is not needed.

A law is a function of a filter class and a dtype. It makes small filters with `cls.example(...)` and raises an
AssertionError that names the law, the class and the dtype; `check` tries them all.
"""

import copy
import io
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from adaptfilt.base.linear import LinearFilter
from adaptfilt.base.stream import AdaptiveFilter
from adaptfilt.checks import DTYPES, NUMPY, as_dtype
from adaptfilt.testing.comparisons import (
    close,
    pair,
    refuses,
    require,
    same,
    some_weights,
    state_of,
    unchanged,
    with_weights,
)

Law = Callable[..., None]


def check(cls: type, dtypes: Iterable[torch.dtype] = DTYPES) -> None:
    """Try every law on a filter class, as the library's own tests do on its filters.

    Parameters
    ----------
    cls : type
        A filter class. `cls.example(**common)` returns a small filter that adapts; it passes dtype, batch, engine,
        nonfinite and w0 on.
    dtypes : iterable of torch.dtype
        The precisions to try; all four by default.

    Raises
    ------
    AssertionError
        If a law is broken. The text lists all that are, each with its dtype.
    TypeError
        If the class is no filter or has no `example`.

    Examples
    --------
    >>> import torch
    >>> import adaptfilt as af
    >>> af.testing.check(af.NLMS, dtypes=[torch.float64])
    """
    if not (isinstance(cls, type) and issubclass(cls, AdaptiveFilter)):
        raise TypeError(f"cls must be a subclass of af.AdaptiveFilter, got {cls!r}")
    if not hasattr(cls, "example"):
        raise TypeError(
            f"{cls.__name__} must have a classmethod example(cls, **common) that returns a small filter, got none: "
            "for instance `return cls(4, 0.5, **common)`"
        )
    failed = []
    tried = [(law, as_dtype(dtype)) for dtype in dtypes for law in LAWS]
    for law, dtype in tried:
        try:
            law(cls, dtype)
        except AssertionError as error:
            failed.append(str(error).replace("\n", "\n    "))
    if failed:
        raise AssertionError("\n- ".join([f"{cls.__name__} fails {len(failed)} of {len(tried)} checks:", *failed]))


def law(body: Law) -> Law:
    """Name the law, the class and the dtype in whatever goes wrong."""
    name = body.__name__.replace("_", " ")

    @wraps(body)
    def judge(cls: Any, dtype: torch.dtype, **more: Any) -> None:
        try:
            body(cls, dtype, **more)
        except Exception as error:
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            where = f"{cls.__name__}, {str(dtype).removeprefix('torch.')}"
            raise AssertionError(f"{name}: {where}: {kind}{str(error).strip()}") from error

    return judge


# The laws


@law
def any_split_equals_one_block(cls: Any, dtype: torch.dtype, cuts: Sequence[int] = (0, 1, 3, 3, 70)) -> None:
    """Blocks of any length, empty ones too, give what one block gives."""
    x, d = pair(dtype, 200)
    whole = cls.example(dtype=dtype)(x, d)
    f = cls.example(dtype=dtype)
    parts = [f(x[a:b], d[a:b]) for a, b in pairwise([0, *sorted(cuts), 200])]
    close(np.concatenate([p.y for p in parts]), whole.y, dtype)
    close(np.concatenate([p.e for p in parts]), whole.e, dtype)
    close(parts[-1].w, whole.w, dtype)
    close(f.w, whole.w, dtype)


@law
def single_samples_equal_a_block(cls: Any, dtype: torch.dtype) -> None:
    """`step`, and `predict` with `adapt`, give what a block gives."""
    x, d = pair(dtype, 120)
    whole = cls.example(dtype=dtype)(x, d)
    f, g = cls.example(dtype=dtype), cls.example(dtype=dtype)
    steps = [f.step(a, b) for a, b in zip(x.tolist(), d.tolist(), strict=True)]
    number = complex if dtype.is_complex else float
    require(all(type(v) is number for v in steps[0]), f"step must return {number.__name__}s, got {steps[0]}")
    close([y for y, _ in steps], whole.y, dtype)
    close([e for _, e in steps], whole.e, dtype)
    close(f.w, whole.w, dtype)
    for n, (a, b) in enumerate(zip(x.tolist(), d.tolist(), strict=True)):
        y = g.predict(a)
        close(y, whole.y[n], dtype)
        g.adapt(b - y)
    close(g.w, whole.w, dtype)


@law
def a_batch_is_a_loop_over_its_rows(cls: Any, dtype: torch.dtype, batch: tuple[int, ...] = (2, 3)) -> None:
    """Filters in a batch know nothing of each other."""
    x, d = pair(dtype, 150, batch)
    out = cls.example(dtype=dtype, batch=batch)(x, d)
    for index in np.ndindex(batch):
        row = cls.example(dtype=dtype)(x[index], d[index])
        close(out.y[index], row.y, dtype)
        close(out.w[index], row.w, dtype)
    y, e = cls.example(dtype=dtype, batch=batch).step(x[..., 0], d[..., 0])
    require(y.shape == e.shape == batch, f"step must return shape {batch}, got {y.shape} and {e.shape}")
    close(y, out.y[..., 0], dtype)
    close(e, out.e[..., 0], dtype)


@law
def a_copy_and_a_saved_state_go_on_bit_for_bit(cls: Any, dtype: torch.dtype) -> None:
    """A deep copy, and another filter that loads the state, go on as the filter itself does."""
    x, d = pair(dtype, 200)
    f = cls.example(dtype=dtype)
    f(x[:100], d[:100])
    f.step(x[100].item(), d[100].item())
    twin = copy.deepcopy(f)
    file = io.BytesIO()
    torch.save(f.state_dict(), file)
    file.seek(0)
    loaded = cls.example(dtype=dtype)
    loaded(x[:7], d[:7])
    loaded.load_state_dict(torch.load(file, weights_only=True))
    want = f(x[101:], d[101:])
    for other in (twin, loaded):
        got = other(x[101:], d[101:])
        same(got.y, want.y)
        same(got.w, want.w)
        same(other.history, f.history)
    step = f.step(0.5, 0.25)
    same(twin.step(0.5, 0.25), step)
    same(loaded.step(0.5, 0.25), step)


@law
def reset_equals_a_fresh_filter(cls: Any, dtype: torch.dtype) -> None:
    """After `reset` nothing of the past is left."""
    x, d = pair(dtype, 200)
    f, fresh = cls.example(dtype=dtype), cls.example(dtype=dtype)
    f(x, d)
    f.step(0.5, 0.25)
    f.reset()
    same(f.w, fresh.w)
    same(f.history, fresh.history)
    got, want = f(x, d), fresh(x, d)
    same(got.y, want.y)
    same(got.w, want.w)


@law
def a_fixed_filter_is_lfilter(cls: Any, dtype: torch.dtype) -> None:
    """In `eval` mode and through `filter` the weights stay, and the output is that of scipy.signal.lfilter."""
    x, d = pair(dtype)
    f = cls.example(dtype=dtype)
    f(x, d)
    f.reset()
    fixed = some_weights(f)
    f.w = torch.tensor(fixed, dtype=dtype)
    want = with_weights(f, fixed, x)
    f.eval()
    y, e, w = f(x, d)
    close(y, want, dtype)
    same(e, d - y)
    close(w, fixed, dtype)
    f.line.reset()
    f.train()
    close(f.filter(x), want, dtype)
    f.line.reset()
    f.eval()
    close([f.step(v, 0.0)[0] for v in x[:20].tolist()], want[:20], dtype)
    f.adapt(1.0)
    close(f.w, fixed, dtype)


@law
def a_step_size_of_zero_freezes(cls: Any, dtype: torch.dtype) -> None:
    """With mu = 0 in the call the weights stay to the bit; a filter without a step size refuses one."""
    if not issubclass(cls, LinearFilter):
        return
    x, d = pair(dtype)
    f = cls.example(dtype=dtype)
    if "mu" not in cls.ranges:
        refuses(TypeError, "mu", f, x, d, mu=0.0)
        return
    fixed = some_weights(f)
    f = cls.example(dtype=dtype, w0=fixed)
    start = f.w.clone()
    close(f(x, d, mu=0.0).y, with_weights(f, fixed, x), dtype)
    same(f.w, start)
    f.reset()
    mu = np.where(np.arange(300) < 200, 0.0, 0.01)
    f(x[:200], d[:200], mu=mu[:200])
    same(f.w, start)
    late = f(x[200:], d[200:], mu=mu[200:])
    f.reset()
    close(f(x, d, mu=mu).w, late.w, dtype)


@law
def silence_leaves_the_weights_alone(cls: Any, dtype: torch.dtype, settle: int = 2000) -> None:
    """Long silence stays finite; after `settle` samples of it the weights stay to the bit."""
    f = cls.example(dtype=dtype)
    zeros = np.zeros(5000, NUMPY[dtype])
    y, e, w = f(zeros, zeros)
    same(w, 0 * w)
    same(y, zeros)
    same(e, zeros)
    x, d = pair(dtype, 2000)
    f(x, d)
    f(zeros[:settle], zeros[:settle])
    before = f.w.detach().clone()
    f(zeros, zeros)
    same(f.w, before)
    f(x, d)
    for name, value in state_of(f).items():
        require(np.isfinite(value).all(), f"{name} is not finite")


@law
def every_engine_equals_the_reference(cls: Any, dtype: torch.dtype) -> None:
    """Each engine gives what the loop in torch gives, with leakage and samples passed over."""
    if not issubclass(cls, LinearFilter):
        return
    x, d = pair(dtype, 150)
    d[40] = d[60] = np.nan
    rank_one = cls.algorithm.gain is not None
    first, *others = ("reference", "compiled", "block") if rank_one else ("reference", "compiled")

    def run(engine: str) -> Any:
        f = cls.example(dtype=dtype, engine=engine, nonfinite="skip")
        if rank_one:
            f.leak = 0.1
        return f(x, d, record_every=20)

    want = run(first)
    for engine in others:
        for a, b in zip(run(engine), want, strict=True):
            close(a, b, dtype)


@law
def nan_is_refused_and_changes_nothing(cls: Any, dtype: torch.dtype, bad: float = np.nan) -> None:
    """A block or a sample that is not finite raises before anything has changed."""
    x, d = pair(dtype)
    f = cls.example(dtype=dtype)
    f(x, d)
    before = state_of(f)
    for name, at in (("x", 0), ("d", 250)):
        spoilt = {"x": x.copy(), "d": d.copy()}
        spoilt[name][at] = bad
        refuses(ValueError, rf"^{name} must be finite.*{at}", f, **spoilt)
        refuses(ValueError, rf"^{name} must be finite", f, **{k: torch.tensor(v) for k, v in spoilt.items()})
        unchanged(f, before)
    for name, values in (("x", (bad, 0.0)), ("d", (0.0, bad))):
        refuses(ValueError, rf"{name} must be finite", f.step, *values)
        unchanged(f, before)
    refuses(ValueError, "x must be finite", f.predict, bad)
    refuses(ValueError, "e must be finite", f.adapt, bad)
    refuses(ValueError, "x must be finite", f.filter, np.array([bad], NUMPY[dtype]))
    unchanged(f, before)


@law
def nan_is_passed_over(cls: Any, dtype: torch.dtype) -> None:
    """With nonfinite="skip" such a sample leaves the weights alone, by block, step, and predict with adapt."""
    x, d = pair(dtype)
    x[50], d[70], x[90] = np.nan, np.inf, -np.inf
    f = cls.example(dtype=dtype, nonfinite="skip")
    y, e, record = f(x, d, record_every=1)
    require(np.isfinite(y).all(), "y is not finite")
    same(np.flatnonzero(np.isnan(e)), [50, 70, 90])
    for n in (50, 70, 90):
        same(record[n], record[n - 1])
    plain, halves, single = (cls.example(dtype=dtype, nonfinite="skip") for _ in range(3))
    close(plain(x, d).e, e, dtype)
    steps = []
    for a, b in zip(x.tolist(), d.tolist(), strict=True):
        halves.adapt(b - halves.predict(a))
        steps.append(single.step(a, b)[1])
    close(steps, e, dtype)
    for g in (plain, halves, single):
        close(g.w, record[-1], dtype)
        for name, value in state_of(g).items():
            require(np.isfinite(value).all(), f"{name} is not finite")


@law
def inputs_are_never_changed(cls: Any, dtype: torch.dtype) -> None:
    """Views, read-only arrays and tensors of either precision go in, come out as the same kind, and stay."""
    x, d = pair(torch.complex128 if dtype.is_complex else torch.float64)
    own = NUMPY[dtype]
    want = cls.example(dtype=dtype)(x.astype(own), d.astype(own))
    for precision in (own, x.dtype):
        a, b = x.astype(precision), d.astype(precision)
        held = a.copy(), b.copy()
        held[0].setflags(write=False)
        held[1].setflags(write=False)
        for given in (
            held,
            (np.repeat(a, 2)[::2], np.asfortranarray(np.stack([b, b], 1))[:, 1]),
            (a[::-1].copy()[::-1], b[::-1].copy()[::-1]),
        ):
            got = cls.example(dtype=dtype)(*given)
            require(all(isinstance(v, np.ndarray) and v.dtype == own for v in got), f"outputs must be {own} arrays")
            close(got.y, want.y, dtype)
            same(given[0], a)
            same(given[1], b)
        tensors = torch.tensor(a), torch.tensor(b)
        out = cls.example(dtype=dtype)(*tensors)
        require(
            all(isinstance(v, torch.Tensor) and v.dtype == dtype and not v.requires_grad for v in out),
            f"outputs must be {dtype} tensors without gradients",
        )
        same(out.y, want.y)
        same(tensors[0], a)
        same(tensors[1], b)


@law
def records_are_the_weights_after_every_so_many_samples(cls: Any, dtype: torch.dtype) -> None:
    """Row k of a record is w after sample (k + 1) * record_every, and what is returned is a copy."""
    x, d = pair(dtype, 100)
    f, g = cls.example(dtype=dtype), cls.example(dtype=dtype)
    record = f(x, d, record_every=7).w
    size = f.w.shape[-1]
    require(record.shape == (14, size), f"the record must have shape {(14, size)}, got {record.shape}")
    for k in range(14):
        close(g(x[7 * k : 7 * k + 7], d[7 * k : 7 * k + 7]).w, record[k], dtype)
    same(f.history, x[len(x) - f.taps + 1 :])
    w = f(x, d).w
    held = f.w.detach().clone()
    require(held.any(), "200 samples left the weights at zero: example() must adapt")
    w[:] = 0
    record[:] = 0
    same(f.w, held)
    empty = f(x[:0], d[:0], record_every=3)
    shapes = [v.shape for v in (*empty, f.filter(x[:0]))]
    require(shapes == [(0,), (0,), (0, size), (0,)], f"an empty block must give empty outputs, got {shapes}")


LAWS = (
    any_split_equals_one_block,
    single_samples_equal_a_block,
    a_batch_is_a_loop_over_its_rows,
    a_copy_and_a_saved_state_go_on_bit_for_bit,
    reset_equals_a_fresh_filter,
    a_fixed_filter_is_lfilter,
    a_step_size_of_zero_freezes,
    silence_leaves_the_weights_alone,
    every_engine_equals_the_reference,
    nan_is_refused_and_changes_nothing,
    nan_is_passed_over,
    inputs_are_never_changed,
    records_are_the_weights_after_every_so_many_samples,
)
