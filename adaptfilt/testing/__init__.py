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

from adaptfilt.base.stream import AdaptiveFilter
from adaptfilt.checks import DTYPES, NUMPY, as_dtype
from adaptfilt.testing.comparisons import (
    blind,
    call,
    close,
    coefficients,
    combines,
    cut,
    decides,
    engines,
    feeds_back,
    given_by_path,
    outputs_cut,
    passes_over_d,
    recursive,
    refuses,
    require,
    rule,
    same,
    single,
    some_weights,
    sps,
    stands_still,
    state_of,
    step,
    steps,
    trial,
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
    """Blocks of any length, empty ones and parts of a symbol too, give what one block gives."""
    f, g = cls.example(dtype=dtype), cls.example(dtype=dtype)
    x, d = trial(f, 200)
    whole = call(g, x, d)
    edges = [0, *sorted(cuts), x.shape[-1]]
    parts = [call(f, *cut(f, x, d, a, b)) for a, b in pairwise(edges)]
    close(np.concatenate([p.y for p in parts], -1), whole.y, dtype)
    close(np.concatenate([p.e for p in parts], -1), whole.e, dtype)
    close(parts[-1].w, whole.w, dtype)
    close(f.w, whole.w, dtype)


@law
def single_samples_equal_a_block(cls: Any, dtype: torch.dtype) -> None:
    """`step`, and `predict` with `adapt`, give what a block gives."""
    f, g, h = (cls.example(dtype=dtype) for _ in range(3))
    x, d = trial(f, 120)
    whole = call(g, x, d)
    taken = [step(f, x, d, n) for n in range(120)]
    number = complex if dtype.is_complex else float
    numbers = whole.y.ndim > 1 or all(type(v) is number for v in taken[0])
    require(numbers, f"step must return {number.__name__}s, got {taken[0]}")
    close(np.stack([y for y, _ in taken], -1), whole.y, dtype)
    close(np.stack([e for _, e in taken], -1), whole.e, dtype)
    close(f.w, whole.w, dtype)
    if blind(f) or recursive(f):
        refuses(TypeError, "blind" if blind(f) else "recursion", h.adapt, whole.e[..., 0])
        return
    for n in range(0 if feeds_back(f) else 120):  # `predict` feeds back what it would decide
        close(h.predict(single(h, x, d, n)[0]), whole.y[..., n], dtype)
        h.adapt(whole.e[..., n] if whole.e.ndim > 1 else whole.e[n].item())
    if not feeds_back(f):
        close(h.w, whole.w, dtype)


@law
def a_batch_is_a_loop_over_its_rows(cls: Any, dtype: torch.dtype, batch: tuple[int, ...] = (2, 3)) -> None:
    """Filters in a batch know nothing of each other."""
    f = cls.example(dtype=dtype, batch=batch)
    x, d = trial(f, 150)
    out = call(f, x, d)
    for index in np.ndindex(batch):
        row = call(cls.example(dtype=dtype), x[index], None if d is None else d[index])
        close(out.y[index], row.y, dtype)
        close(out.w[index], row.w, dtype)
    y, e = step(cls.example(dtype=dtype, batch=batch), x, d, 0)
    want = out.y[..., 0].shape
    require(y.shape == e.shape == want, f"step must return shape {want}, got {y.shape} and {e.shape}")
    close(y, out.y[..., 0], dtype)
    close(e, out.e[..., 0], dtype)


@law
def a_copy_and_a_saved_state_go_on_bit_for_bit(cls: Any, dtype: torch.dtype) -> None:
    """A deep copy, and another filter that loads the state, go on as the filter itself does, in mid-symbol too."""
    f, loaded = cls.example(dtype=dtype), cls.example(dtype=dtype)
    x, d = trial(f, 200)
    step(f, x, d, 0)
    middle = 100 * sps(f) + 1
    call(f, *cut(f, x, d, sps(f), middle))
    twin = copy.deepcopy(f)
    file = io.BytesIO()
    torch.save(f.state_dict(), file)
    file.seek(0)
    call(loaded, *outputs_cut(f, x, d, 0, 7))
    loaded.load_state_dict(torch.load(file, weights_only=True))
    rest = cut(f, x, d, middle, x.shape[-1])
    want = call(f, *rest)
    for other in (twin, loaded):
        got = call(other, *rest)
        same(got.y, want.y)
        same(got.w, want.w)
        same(other.history, f.history)
    for n in (0, 1):
        want = step(f, x, d, n)
        for other in (twin, loaded):
            for a, b in zip(step(other, x, d, n), want, strict=True):
                same(a, b)


@law
def reset_equals_a_fresh_filter(cls: Any, dtype: torch.dtype) -> None:
    """After `reset` nothing of the past is left."""
    f, fresh = cls.example(dtype=dtype), cls.example(dtype=dtype)
    x, d = trial(f, 200)
    call(f, x, d)
    step(f, x, d, 0)
    f.reset()
    same(f.w, fresh.w)
    same(f.history, fresh.history)
    got, want = call(f, x, d), call(fresh, x, d)
    same(got.y, want.y)
    same(got.w, want.w)


@law
def reset_of_some_streams_leaves_the_others(cls: Any, dtype: torch.dtype) -> None:
    """After `reset(mask)` the streams of the mask are fresh, and the others go on."""
    if rule(cls) is None:
        return
    f, fresh, on = (cls.example(dtype=dtype, batch=(3,)) for _ in range(3))
    x, d = trial(f, 100)
    for g in (f, on):
        call(g, x, d)
    mask = np.array([True, False, True])
    f.reset(mask)
    same(f.w[torch.from_numpy(mask)], fresh.w[torch.from_numpy(mask)])
    got, first, later = (call(g, x, d) for g in (f, fresh, on))
    for a, b, c in zip(got, first, later, strict=True):
        same(a[mask], b[mask])
        same(a[~mask], c[~mask])


@law
def a_fixed_filter_is_lfilter(cls: Any, dtype: torch.dtype) -> None:
    """In `eval` mode and through `filter` the weights stay, and the output is that of scipy.signal.lfilter."""
    f = cls.example(dtype=dtype)
    if not combines(f):
        return
    x, d = trial(f)
    call(f, x, d)
    fixed = some_weights(f)
    want = with_weights(f, fixed, x)

    def start(mode: bool) -> None:
        f.reset()
        f.w = torch.tensor(fixed, dtype=dtype)
        f.train(mode)

    start(False)
    y, e, w = call(f, x, d)
    close(y, want, dtype)
    if rule(f) is None or (rule(f).plain and not given_by_path(f)):
        same(e, d - y)
    close(w, fixed, dtype)
    start(True)
    close(f.filter(x), want, dtype)
    start(False)
    close(np.stack([step(f, x, d, n)[0] for n in range(20)], -1), want[..., :20], dtype)
    if not blind(f):
        f.adapt(np.ones_like(y[..., 0]) if y.ndim > 1 else 1.0)
    close(f.w, fixed, dtype)


@law
def a_frozen_filter_stands_still(cls: Any, dtype: torch.dtype) -> None:
    """In `eval` mode and where mu = 0, y and e are computed, and weights and states stay to the bit."""
    f = cls.example(dtype=dtype)
    x, d = trial(f)
    call(f, *outputs_cut(f, x, d, 0, 200))
    before, rest = coefficients(f), outputs_cut(f, x, d, 200, 300)
    still = copy.deepcopy(f).eval()
    want = call(still, *rest)
    stands_still(still, before)
    still.filter(rest[0])
    step(still, x, d, 0)
    stands_still(still, before)
    if rule(f) is None:
        return
    zero, gated, late = (copy.deepcopy(f) for _ in range(3))
    got = call(zero, *rest, mu=0.0)
    stands_still(zero, before)
    close(got.y, want.y, dtype)
    close(got.e, want.e, dtype)
    moving = f.mu if steps(f) else 1.0
    mu = np.where(np.arange(100) < 60, 0.0, moving)
    record = call(gated, *rest, mu=mu, record_every=1).w
    for n in range(60):
        same(record[..., n, :], before["w"])
    call(late, *outputs_cut(f, x, d, 200, 260), mu=0.0)
    after = call(late, *outputs_cut(f, x, d, 260, 300))
    close(gated.w, after.w, dtype)
    require(recursive(f) or not np.array_equal(after.w, before["w"]), "40 samples left the weights where they were")
    if not steps(f):
        refuses(ValueError, "mu must be", call, f, x, d, mu=0.5)


@law
def silence_leaves_the_weights_alone(cls: Any, dtype: torch.dtype, settle: int = 2000) -> None:
    """Long silence stays finite; after `settle` samples of it the weights stay to the bit."""
    f = cls.example(dtype=dtype)
    x, d = trial(f, 2000)
    zeros = np.zeros((*x.shape[:-1], 5000 * sps(f)), x.dtype)
    none = None if d is None else np.zeros((*d.shape[:-1], 5000), d.dtype)
    start = f.w.detach().clone()
    y, e, w = call(f, zeros, none)
    still = not feeds_back(f)  # what is decided and fed back is not silent
    if still:
        same(w, start)
        same(y, 0 * y)
    if not decides(f):
        same(e, 0 * e)
    call(f, x, d)
    call(f, *outputs_cut(f, zeros, none, 0, settle))
    before = f.w.detach().clone()
    call(f, zeros, none)
    if still:
        same(f.w, before)
    call(f, x, d)
    for name, value in state_of(f).items():
        require(np.isfinite(value).all(), f"{name} is not finite")


@law
def the_conjugate_gives_the_conjugate(cls: Any, dtype: torch.dtype) -> None:
    """A complex filter on conj(x) and conj(d) is the conjugate of itself."""
    if not dtype.is_complex:
        return
    f, g = cls.example(dtype=dtype), cls.example(dtype=dtype)
    x, d = trial(f, 150)
    for a, b in zip(call(f, x.conj(), None if d is None else d.conj()), call(g, x, d), strict=True):
        close(a, b.conj(), dtype)


@law
def a_quarter_turn_of_a_blind_input_turns_the_output(cls: Any, dtype: torch.dtype) -> None:
    """A blind filter starts from a spike; the signs of its input, and quarter turns, go through to y."""
    f, g = cls.example(dtype=dtype), cls.example(dtype=dtype)
    if not blind(f) or recursive(f):
        return
    start = np.abs(f.w.detach().numpy()).sum(-1)
    require((start == 0).sum() < start.size, "a blind filter must start from weights that are not zero")
    x, _ = trial(f, 150)
    turn = 1j if dtype.is_complex else -1
    turned, plain = f((turn * x).astype(x.dtype)), g(x)
    close(turned.y, turn * plain.y, dtype)
    close(turned.w, plain.w, dtype)


@law
def several_inputs_are_one_long_regressor(cls: Any, dtype: torch.dtype) -> None:
    """The regressors of two inputs one after the other: y = w_1^T u_1 + w_2^T u_2, and the energy that of both."""
    if rule(cls) is None or not rule(cls).plain or given_by_path(cls) or cls.example(dtype=dtype).features is not None:
        return
    f = cls.example(dtype=dtype, inputs=2)
    g = cls.example(dtype=dtype, inputs=2, features=torch.nn.Flatten(-2), engine="reference")
    x, d = trial(f, 100)
    got, want = call(f, x, d), call(g, x, d)
    close(got.y, want.y, dtype)
    close(got.e, want.e, dtype)
    close(got.w.reshape(-1), want.w, dtype)


@law
def several_outputs_are_filters_side_by_side(cls: Any, dtype: torch.dtype) -> None:
    """Two outputs share the input, and know nothing of each other."""
    if rule(cls) is None or recursive(cls) or given_by_path(cls):
        return
    first = some_weights(cls.example(dtype=dtype)) * np.array([[1.0], [-0.5]])
    f = cls.example(dtype=dtype, outputs=2, w0=first)
    slow = cls.example(dtype=dtype, outputs=2, w0=first, engine="reference")
    x, d = trial(f, 100)
    got = call(f, x, d)
    for a, b in zip(call(slow, x, d), got, strict=True):
        close(a, b, dtype)
    for q in range(2):
        g = cls.example(dtype=dtype)
        g.w = first[q]
        want = call(g, x, None if d is None else d[q])
        close(got.y[q], want.y, dtype)
        close(got.e[q], want.e, dtype)
        close(got.w[q], want.w, dtype)


@law
def every_engine_equals_the_reference(cls: Any, dtype: torch.dtype) -> None:
    """Each engine gives what the plain loop gives, with leakage and samples passed over."""
    if rule(cls) is None:
        return

    def run(engine: str) -> Any:
        f = cls.example(dtype=dtype, engine=engine, nonfinite="skip")
        x, d = trial(f, 150)
        x[..., 20 * sps(f)] = np.inf
        if passes_over_d(f):
            d[..., [40, 60]] = np.inf
        if rule(f).leaks:
            f.leak = 0.1
        return f, (x, d), call(f, x, d, record_every=20)

    f, signals, want = run("reference")
    for engine in engines(f, *signals):
        for a, b in zip(run(engine)[2], want, strict=True):
            close(a, b, dtype)


@law
def nan_is_refused_and_changes_nothing(cls: Any, dtype: torch.dtype, bad: float = np.nan) -> None:
    """A block or a sample that is not finite raises before anything has changed; NaN in d may mean: not known."""
    f = cls.example(dtype=dtype)
    x, d = trial(f)
    call(f, x, d)
    before = state_of(f)
    names = {"x": 0} if d is None or (decides(f) and np.isnan(bad)) else {"x": 0, "d": 250}
    for name, at in names.items():
        spoilt = {"x": x.copy()} if d is None else {"x": x.copy(), "d": d.copy()}
        spoilt[name][..., at] = bad
        refuses(ValueError, rf"^{name} must be finite.*{at}", f, **spoilt)
        refuses(ValueError, rf"^{name} must be finite", f, **{k: torch.tensor(v) for k, v in spoilt.items()})
        unchanged(f, before)
        refuses(ValueError, rf"{name} must be finite", step, f, spoilt["x"], spoilt.get("d"), at)
        unchanged(f, before)
    spoilt["x"] = x.copy()
    spoilt["x"][..., 0] = bad
    refuses(ValueError, "x must be finite", f.predict, single(f, spoilt["x"], None, 0)[0])
    if not (blind(f) or recursive(f)):
        out = np.full_like(d[..., 0], bad) if d.ndim > 1 else bad
        refuses(ValueError, "e must be finite", f.adapt, out)
    refuses(ValueError, "x must be finite", f.filter, spoilt["x"])
    unchanged(f, before)


@law
def nan_is_passed_over(cls: Any, dtype: torch.dtype) -> None:
    """With nonfinite="skip" such a sample leaves the weights alone, by block, step, and predict with adapt."""
    f, plain, one, halves = (cls.example(dtype=dtype, nonfinite="skip") for _ in range(4))
    x, d = trial(f)
    x[..., 50 * sps(f)], x[..., 90 * sps(f)] = np.nan, -np.inf
    bad = [50, 90]
    if passes_over_d(f):
        d[..., 70], bad = np.inf, [50, 70, 90]
    y, e, record = call(f, x, d, record_every=1)
    require(np.isfinite(y).all(), "y is not finite")
    same(np.unique(np.argwhere(np.isnan(e))[:, -1]), bad)
    for n in bad:
        same(record[..., n, :], record[..., n - 1, :])
    close(call(plain, x, d).e, e, dtype)
    close(np.stack([step(one, x, d, n)[1] for n in range(300)], -1), e, dtype)
    filters = [plain, one]
    if not (blind(f) or recursive(f) or feeds_back(f)):
        filters.append(halves)
        for n in range(300):
            halves.predict(single(f, x, d, n)[0])
            halves.adapt(e[..., n] if e.ndim > 1 else e[n].item())
    still, clean = cls.example(dtype=dtype, nonfinite="skip"), cls.example(dtype=dtype)
    close(still.filter(x), clean.filter(np.where(np.isfinite(x), x, 0).astype(x.dtype)), dtype)
    for g in filters:
        close(g.w, record[..., -1, :], dtype)
        for name, value in state_of(g).items():
            require(np.isfinite(value).all() or name == "waiting", f"{name} is not finite")


@law
def inputs_are_never_changed(cls: Any, dtype: torch.dtype) -> None:
    """Views, read-only arrays and tensors of either precision go in, come out as the same kind, and stay."""
    wide, own = torch.complex128 if dtype.is_complex else torch.float64, NUMPY[dtype]
    given = [v for v in trial(cls.example(dtype=wide)) if v is not None]
    want = cls.example(dtype=dtype)(*(v.astype(own) for v in given))
    for precision in (own, NUMPY[wide]):
        signals = [v.astype(precision) for v in given]
        held = [v.copy() for v in signals]
        for v in held:
            v.setflags(write=False)
        strided = [np.repeat(v, 2, -1)[..., ::2] for v in signals]
        fortran = [np.asfortranarray(np.stack([v, v], -1))[..., 1] for v in signals]
        backwards = [v[..., ::-1].copy()[..., ::-1] for v in signals]
        for form in (held, strided, fortran, backwards):
            got = cls.example(dtype=dtype)(*form)
            require(all(isinstance(v, np.ndarray) and v.dtype == own for v in got), f"outputs must be {own} arrays")
            close(got.y, want.y, dtype)
            for a, b in zip(form, signals, strict=True):
                same(a, b)
        tensors = [torch.tensor(v) for v in signals]
        out = cls.example(dtype=dtype)(*tensors)
        require(
            all(isinstance(v, torch.Tensor) and v.dtype == dtype and not v.requires_grad for v in out),
            f"outputs must be {dtype} tensors without gradients",
        )
        same(out.y, want.y)
        for tensor, b in zip(tensors, signals, strict=True):
            same(tensor, b)


@law
def records_are_the_weights_after_every_so_many_samples(cls: Any, dtype: torch.dtype) -> None:
    """Row k of a record is w after sample (k + 1) * record_every, and what is returned is a copy."""
    f, g = cls.example(dtype=dtype), cls.example(dtype=dtype)
    x, d = trial(f, 100)
    start = g.w.detach().clone()
    record = call(f, x, d, record_every=7).w
    size = tuple(f.w.shape)
    want = (*size[:-1], 14, size[-1])
    require(record.shape == want, f"the record must have shape {want}, got {record.shape}")
    for k in range(14):
        close(call(g, *outputs_cut(f, x, d, 7 * k, 7 * k + 7)).w, record[..., k, :], dtype)
    same(f.history, x[..., x.shape[-1] - f.taps + 1 :])
    w = call(f, x, d).w
    held = f.w.detach().clone()
    require(not torch.equal(held, start), "200 samples left the weights at their start: example() must adapt")
    w[:] = 0
    record[:] = 0
    same(f.w, held)
    nothing = outputs_cut(f, x, d, 0, 0)
    y, e, w = call(f, *nothing, record_every=3)
    shapes = [v.shape[-1:] for v in (y, e, f.filter(nothing[0]))] + [w.shape[-2:]]
    require(shapes == [(0,), (0,), (0,), (0, size[-1])], f"an empty block must give empty outputs, got {shapes}")


LAWS = (
    any_split_equals_one_block,
    single_samples_equal_a_block,
    a_batch_is_a_loop_over_its_rows,
    a_copy_and_a_saved_state_go_on_bit_for_bit,
    reset_equals_a_fresh_filter,
    reset_of_some_streams_leaves_the_others,
    a_fixed_filter_is_lfilter,
    a_frozen_filter_stands_still,
    silence_leaves_the_weights_alone,
    the_conjugate_gives_the_conjugate,
    a_quarter_turn_of_a_blind_input_turns_the_output,
    several_inputs_are_one_long_regressor,
    several_outputs_are_filters_side_by_side,
    every_engine_equals_the_reference,
    nan_is_refused_and_changes_nothing,
    nan_is_passed_over,
    inputs_are_never_changed,
    records_are_the_weights_after_every_so_many_samples,
)
