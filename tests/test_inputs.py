"""Arrays from memory-mapped files and buffers, as they come: at any address, of any byte order, step and owner."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from apart import apart
from fuzzer import shifted

import adaptfilt as af
from adaptfilt.checks import NUMPY
from adaptfilt.engines.algorithm import names
from adaptfilt.engines.bins import Bins
from adaptfilt.testing.comparisons import (
    blind,
    call,
    engines,
    feeds_back,
    recursive,
    single,
    state_of,
    step,
    trial,
)
from conftest import FILTERS, RULED

DTYPES = {str(t).removeprefix("torch."): t for t in NUMPY}
SLOW = [pytest.param(t, marks=pytest.mark.slow) for t in ("float32", "complex128")]
WAYS = [af.NLMS, af.RLS, af.LatticeRLS, af.GradientFilter]  # what comes in goes the way of its structure
FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "at half its size": lambda x: shifted(x, x.itemsize // 2),
    "at an odd address": lambda x: shifted(x, 1),
    "a field of packed records": lambda x: _packed(x),
    "of the other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "backwards": lambda x: x[..., ::-1].copy()[..., ::-1],
    "of extended precision": lambda x: x.astype(np.clongdouble if x.dtype.kind == "c" else np.longdouble),
    "read-only": lambda x: _read_only(x),
}


def _packed(x: np.ndarray) -> np.ndarray:
    records = np.zeros(x.shape, [("skew", "u1"), ("x", x.dtype)])
    records["x"] = x
    return records["x"]


def _read_only(x: np.ndarray) -> np.ndarray:
    x.setflags(write=False)
    return x


def use(f: Any, form: Callable[[np.ndarray], np.ndarray]) -> list[Any]:
    """Put an array in by every way there is, and return all that comes out."""
    rng, kind = np.random.default_rng(0), NUMPY[f.dtype]

    def block(*shape: int) -> np.ndarray:
        x = rng.standard_normal(shape)
        return form((0.3 * (x + 1j * rng.standard_normal(shape) if f.dtype.is_complex else x)).astype(kind))

    out: list[Any] = []
    for T in (1, 2, 7, 300):
        out += f(block(*f.batch, T), block(*f.batch, T))
        out += [f.filter(block(*f.batch, T))]
    if f.batch:
        out += [*f.step(block(*f.batch), block(*f.batch)), f.predict(block(*f.batch))]
        if not recursive(f):
            f.adapt(block(*f.batch))
    if not recursive(f):
        f.w = block(*f.w.shape)
    out += f(block(*f.batch, 64), block(*f.batch, 64))
    if isinstance(f, af.LinearFilter):
        out += f(block(*f.batch, 9, f.taps), block(*f.batch, 9), regressors=True)
        if "mu" in f.ranges:
            steps = form((0.01 * rng.random((*f.batch, 64))).astype(np.zeros(0, kind).real.dtype))
            out += f(block(*f.batch, 64), block(*f.batch, 64), mu=steps)
    return [np.array(v) for v in out]


def compare(cls: Any, dtype: torch.dtype, batch: tuple[int, ...]) -> None:
    """Compare what comes of every form with what comes of a plain array, on every engine."""
    common: Any = {"batch": batch, "dtype": dtype}
    others = ["reference", *engines(f := cls.example(**common), *trial(f))] if cls in RULED else [None]
    tolerance = 1e-5 if dtype.to_real() == torch.float32 else 1e-12
    for engine in others:
        options = common | ({"engine": engine} if engine else {})
        want = use(cls.example(**options), lambda x: x)
        for name, form in FORMS.items():
            print(cls.__name__, batch, engine, name, flush=True)
            for a, b in zip(use(cls.example(**options), form), want, strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def compare_all(dtype: str) -> None:
    for cls in WAYS:
        for batch in ((), (3,)):
            compare(cls, DTYPES[dtype], batch)


@pytest.mark.parametrize("dtype", ["float64", "complex64", *SLOW])
def test_arrays_of_every_form(dtype: str) -> None:
    """In a process of its own, which prints what it tries: a wrong address may crash it."""
    apart(__file__, "compare_all", dtype, timeout=600.0)


@pytest.mark.parametrize("engine", ["auto", "reference", "block"])
def test_a_block_is_never_given_back(engine: str) -> None:
    """Of an empty block too the outputs are new tensors, and plain ones."""
    x = torch.nn.Parameter(torch.zeros(0), requires_grad=False)
    y, e, _ = af.NLMS.example(engine=engine)(x, x)
    assert type(y) is type(e) is torch.Tensor
    assert y is not e


DRAWN = (af.ZALMS, af.RZALMS)  # whose weights are drawn to 0 by themselves
ADAPTED = [c for c in FILTERS if not (blind(c) or recursive(c) or feeds_back(c) or c in DRAWN)]


@pytest.mark.parametrize("batch", [(), (1,)], ids=["one", "batch"])
@pytest.mark.parametrize("cls", ADAPTED, ids=lambda c: c.__name__)
def test_an_error_that_is_taken_in_is_not_rounded_against_the_output(cls: Any, batch: tuple[int, ...]) -> None:
    """However large y is, adapt(0) leaves w alone, and a small error moves it as it does in a small output."""

    def after(w_3: float, e: float) -> np.ndarray:
        f = cls.example(dtype=torch.float64, batch=batch)
        f.w = (w_3 * np.eye(f.w.shape[-1])[3]).reshape(f.w.shape)
        for v in (1e6 / 3, 1 / 3, 0.7, 1.1):  # into a single tap weight the large one, so that y is w_3 1e6 / 3
            f.predict(np.full(batch, v) if batch else v)
        f.adapt(np.full(batch, e) if batch else e)
        return f.w.detach().numpy().reshape(-1)

    np.testing.assert_array_equal(after(1.0, 0.0), np.eye(len(after(1.0, 0.0)))[3])
    if cls in RULED and not takes_d(cls) and cls is not af.IPNLMS:  # d would bring in y, IPNLMS steps by the weights
        np.testing.assert_allclose(after(1.0, 1e-8)[:3], after(0.0, 1e-8)[:3], rtol=1e-6)


def takes_d(cls: Any) -> bool:
    """Say whether the update takes d, which is then y + e; in the frequency domain it is d that waits for the hop."""
    return isinstance(cls.algorithm, Bins) or "d" in names(cls.algorithm.function)


STATES: dict[str, tuple[Callable[[], Any], str, Callable[[], torch.Tensor]]] = {
    "too large a factor": (lambda: af.RLS(4), "S", lambda: torch.eye(400)),
    "too small a factor": (lambda: af.RLS(4), "S", lambda: torch.eye(2)),
    "too many regressors": (lambda: af.AffineProjection(4, order=2), "U", lambda: torch.zeros(300, 4)),
    "complex weights": (lambda: af.NLMS(4), "w", lambda: torch.zeros(4, dtype=torch.complex64)),
}


def misfits() -> None:
    for case, (make, name, value) in STATES.items():
        f, x = make(), np.ones(200)
        print(case, flush=True)
        try:
            setattr(f, name, value())
            for _ in range(50):
                f(x, x)
                f.step(1.0, 1.0)
        except (ValueError, TypeError):
            continue
        raise AssertionError(f"{name}: {case} is accepted")


def test_a_column_says_so() -> None:
    with pytest.raises(ValueError, match=r"got \(50, 1\): time is the last axis; of a column take x\[:, 0\]"):
        af.NLMS(4)(np.ones((50, 1)), np.ones((50, 1)))


def test_a_state_of_another_batch_says_so() -> None:
    f = af.NLMS(4, batch=3)
    with pytest.raises(RuntimeError, match=r"the state is of batch=\(8,\), the filter of \(3,\)"):
        f.load_state_dict(af.NLMS(4, batch=8).state_dict())


def test_an_assigned_state_that_does_not_fit_is_refused() -> None:
    apart(__file__, "misfits")


@pytest.mark.parametrize("value", [torch.zeros(2, 7), np.zeros(3), np.full((3, 2), np.nan)], ids=lambda v: str(v.shape))
@pytest.mark.parametrize("cls", ADAPTED, ids=lambda c: c.__name__)
def test_a_refused_sample_leaves_no_mark(cls: Any, value: Any) -> None:
    """The next `adapt` does not see what `predict` refused."""
    f, g = (cls.example(dtype=torch.float64, batch=2, nonfinite="skip") for _ in range(2))
    for h in (f, g):
        h.predict(np.array([0.5, -1.0]))
    with pytest.raises(ValueError, match="x must have shape"):
        f.predict(value)
    for h in (f, g):
        h.adapt(np.array([0.1, 0.2]))
    np.testing.assert_array_equal(f.w.detach(), g.w.detach())


OVERFLOWS: dict[str, Callable[..., Any]] = {
    "NLMS": af.NLMS.example,
    "NLMS of two inputs": lambda **k: af.NLMS(4, inputs=2, **k),
    "KwongJohnston": af.KwongJohnston.example,
    "CMA": af.CMA.example,
    "DecisionDirected": af.DecisionDirected.example,
    "OutputError": af.OutputError.example,
    "FxLMS": af.FxLMS.example,
    "LatticeRLS": af.LatticeRLS.example,
    "GradientFilter": af.GradientFilter.example,
}


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("case", OVERFLOWS)
def test_what_the_precision_cannot_hold_is_not_finite(case: str, engine: str, nonfinite: str) -> None:
    """1e300 in a filter of single precision, by every way in; compiled in the one that other tests compile, too."""
    dtype = torch.float32 if engine == "reference" else torch.complex64
    f = OVERFLOWS[case](nonfinite=nonfinite, dtype=dtype, **({} if case == "GradientFilter" else {"engine": engine}))
    x, d = (None if v is None else v.astype(np.result_type(v, np.float64)) for v in trial(f, 20))
    bad = x.copy()
    bad[..., 5] = 1e300
    ways = [lambda: call(f, bad, d), lambda: call(f.eval(), bad, d), lambda: f.train().filter(bad)]
    ways += [lambda: step(f, bad, d, 5), lambda: f.predict(single(f, bad, d, 5)[0])]
    for way in ways:
        if nonfinite == "raise":
            with pytest.raises(ValueError, match="x must be finite"):
                way()
        else:
            way()
            assert all(np.isfinite(v).all() for name, v in state_of(f).items() if name != "waiting")
    if not recursive(f):
        with pytest.raises(ValueError, match="w must be finite"):
            f.w = np.full(f.w.shape, 1e300)
    if d is not None and nonfinite == "raise":
        d[..., 5] = 1e300
        for f_now in (f, f.eval()):
            with pytest.raises(ValueError, match="d must be finite"):
                f_now(x, d)


def test_what_diverges_says_so_once() -> None:
    x = np.random.default_rng(0).standard_normal(2000).astype("f")
    f = af.LMS(8, 0.2)
    with pytest.warns(UserWarning, match=r"LMS: mu is beyond 0\.\d+, 2 / \(3 taps power\)"):
        f(x[:8], x[:8])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(x[:8], x[:8])
        af.LMS(8, 0.05)(x, x)
        af.LMS(8, 0.2)(x, x, mu=0.05)  # the filter's own step is not the block's
        af.NLMS(8, 1.5)(x, x)
    with pytest.warns(UserWarning, match=r"LMS: the error is \d+ dB above d"):
        af.LMS(4, 0.01, dtype=torch.float64)(x[:60], x[:60], mu=4.0)


def test_copy_from_takes_over_all_in_one_piece() -> None:
    x = np.random.default_rng(0).standard_normal(100)
    for make in (lambda m=4: af.RLS(m, dtype=torch.float64), lambda m=4: af.AffineProjection(m, dtype=torch.float64)):
        f, g = make(), make()
        f(x, x)
        g.copy_from(f)
        np.testing.assert_array_equal(g(x, x).y, f(x, x).y)
        with pytest.raises(ValueError, match="other has"):
            g.copy_from(make(5))
        with pytest.raises(TypeError, match="other must be of"):
            g.copy_from(af.NLMS(4))


@pytest.mark.parametrize("batch", [(), (2,)], ids=["one", "batch"])
def test_a_short_block_that_fails_leaves_all_as_it_was(batch: tuple[int, ...]) -> None:
    """Frames go a prepared way, and back: bad numbers at its end, and weights that run away in it."""
    rng = np.random.default_rng(0)
    f = af.LMS(4, 0.01, batch=batch)
    for _ in range(6):
        f(*rng.standard_normal((2, *batch, 32)))
    before = {k: v.clone() for k, v in f.state_dict().items()}
    x, d = rng.standard_normal((2, *batch, 32))
    bad = d.copy()
    bad[..., -1] = np.nan
    for error, arguments in ((ValueError, (x, bad)), (af.DivergenceError, (1e18 * x, 1e18 * d))):
        with pytest.raises(error):
            f(*arguments)
        assert all(torch.equal(v, before[k]) for k, v in f.state_dict().items())
