"""Torch, Numba and Triton agree on every word of the one list, in all dtypes, on random and on awkward values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptfilt.engines import words
from adaptfilt.engines.cpu import numba_memory  # noqa: F401 (teach Numba the words)
from adaptfilt.engines.cpu.native import compiled
from adaptfilt.engines.gpu import triton_kernel
from adaptfilt.engines.words import abs2, complex, floor, maximum, scale, sign_parts, slice_pam, tanh
from conftest import every_dtype as every_compiled_dtype

if TYPE_CHECKING:
    import triton.language as tl

FILTERS, ROWS, TAPS = 60, 5, 7
TOLERANCE, SUMS = 8, 40  # in eps of the magnitude; of one more than it for sums, of some ten numbers near one
DTYPES = [torch.float32, torch.complex64, torch.float64, torch.complex128]
REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}

# Kinds of the arguments: signal, real, condition; half, levels for a slicer.
ENTRY_BY_ENTRY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("real", "imag", "magnitude", "abs2", "sign", "sign_parts", "sqrt", "isnan"), ("signal",)),
    **dict.fromkeys(("exp", "log", "tanh", "floor", "expj"), ("real",)),
    **dict.fromkeys(("add", "mul", "div"), ("signal", "signal")),
    **dict.fromkeys(("minimum", "maximum", "complex"), ("real", "real")),
    "scale": ("real", "signal"),
    "where": ("condition", "signal", "signal"),
    "slice_pam": ("real", "half", "levels"),
}
MIXED = {"add": ("real", "signal"), "mul": ("real", "signal"), "div": ("signal", "real")}  # in complex filters
# Shapes of the arguments: a scalar, vectors of TAPS or ROWS, matrices.
OTHERS: dict[str, list[str]] = {
    "conj": ["signal", "signal:M", "signal:M scratch:M"],
    "dot": ["signal:M signal:M"],
    "energy": ["signal:M"],
    "norm_1": ["signal:M", "real:M"],
    "amax": ["real:M"],
    "argmax": ["real:M"],
    "at": ["signal:M index", "signal:KM index", "real:M index"],
    "add_at": ["signal:M index signal"],
    "nearest": ["signal signal:M", "real real:M"],
    "axpy": ["signal signal:M signal:M", "real real:M real:M"],
    "axpyc": ["signal signal:M signal:M", "signal signal:M signal:M real"],
    "matvec": ["signal:KM signal:M", "signal:KM signal:M scratch:K"],
    "matvecc": ["signal:KM signal:M", "signal:KM signal:M scratch:K"],
    "vecmat": ["signal:K signal:KM", "signal:K signal:KM scratch:M"],
    "outer": ["signal:KM", "signal:KM scratch:KK"],
    "rank_one": ["real signal:KM signal signal:K signal:M"],
    "add_rows": ["signal signal:K signal:KM signal:M"],
    "add_diagonal": ["signal:KK real", "signal:KK real:K"],
    "frobenius": ["signal:KM"],
    "push": ["signal:M signal", "signal:KM signal:M"],
    "solve": ["definite:KK signal:K ridge"],
    "rotate_in": ["half triangle:KN signal:K signal ridge", "half triangle:KN signal:K signal ridge scratch:K"],
    "back_substitute": ["triangle:KN", "triangle:KN scratch:K"],
}
NOT_FOR_NAN = ("sign", "sign_parts")
SLOW = (torch.float64, torch.complex64)
every_dtype = pytest.mark.parametrize(
    "dtype",
    [pytest.param(t, marks=pytest.mark.slow) if t in SLOW else t for t in DTYPES],
    ids=lambda t: str(t).removeprefix("torch."),
)


def test_every_word_has_a_row() -> None:
    assert sorted([*ENTRY_BY_ENTRY, *OTHERS]) == words.__all__
    assert set(triton_kernel._words()) - {"abs"} == {*ENTRY_BY_ENTRY, "conj"} - {"complex", "expj"}


def values(kind: str, shape: tuple[int, ...], dtype: torch.dtype, rng: Any, awkward: bool = False) -> Tensor:
    """Return random numbers; half of them awkward where wanted."""
    if kind == "index":
        return torch.from_numpy(rng.integers(0, ROWS, shape))
    if kind == "condition":
        return torch.from_numpy(rng.random(shape) < 0.5)
    if kind in ("signal", "scratch") and dtype.is_complex:
        return torch.complex(*(values("real", shape, REAL[dtype], rng, awkward) for _ in range(2)))
    real = REAL.get(dtype, dtype)
    v = rng.standard_normal(shape)
    if kind == "half":
        v = 0.1 + abs(v)
    if kind == "levels":
        v = rng.choice([2.0, 4.0, 8.0], shape)
    if kind in ("real", "signal") and awkward:
        huge = 1e15 if real == torch.float32 else 1e150
        pool = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 30.0, -30.0, 100.0, huge, -huge, 1 / huge, -1 / huge, np.nan])
        v = np.where(rng.random(shape) < 0.5, v, rng.choice(pool, shape))
    return torch.from_numpy(v).to(real)


def arguments(kinds: list[str], dtype: torch.dtype, awkward: bool = False) -> list[Tensor]:
    """Return values of "kind" or "kind:shape" for every filter."""
    rng = np.random.default_rng(len(kinds))
    made = []
    for text in kinds:
        kind, _, letters = text.partition(":")
        shape = (
            (FILTERS, *[{"K": ROWS, "M": TAPS, "N": ROWS + 1}[c] for c in letters or ""]) if letters else (FILTERS, 1)
        )
        if kind == "definite":
            A = values("signal", shape, dtype, rng)
            made.append(words.outer(A) + torch.eye(ROWS))
        elif kind == "triangle":
            upper = values("signal", shape, dtype, rng).triu(1)
            made.append(upper + torch.nn.functional.pad(torch.eye(ROWS), (0, 1)))
        elif kind == "ridge":
            made.append(values("real", shape, dtype, rng).abs())
        else:
            made.append(values(kind, shape, dtype, rng, awkward))
    return made


def one_filter(v: Any, n: int) -> Any:
    """Return what Numba gets for the n-th filter."""
    if not isinstance(v, Tensor):
        return v
    row = v[n].numpy().copy()
    return row[0] if row.shape == (1,) else row


def function(text: str, count: int) -> Any:
    """Return the compiled function of as many arguments, a, b, ..., with the given result."""
    scope = {name: getattr(words, name) for name in words.__all__}
    exec(f"def f({', '.join('abcdefg'[:count])}): return {text}", scope)
    return compiled(scope["f"])


def agree(got: Any, want: Tensor, tolerance: float, scale: float = 0.0) -> None:
    """Compare in the magnitude, at least `scale`; NaN in a part is NaN."""
    want_ = np.asarray(want.resolve_conj())
    got = np.asarray(got).reshape(want_.shape)
    assert np.array_equal(np.isnan(got), np.isnan(want_))
    there = ~np.isnan(want_) & (got != want_)
    got, want_ = got[there], want_[there]
    if got.size:
        info = np.finfo(want_.dtype)
        assert (abs(got - want_) <= tolerance * info.eps * (scale + abs(want_)) + info.tiny).all(), (got, want_)


def compare(text: str, args: list[Any], wants: list[Tensor], tolerance: float, scale: float = 0.0) -> None:
    """Run the compiled results, a tuple, filter by filter, and compare them and their dtypes."""
    f = function(text, len(args))
    for n in range(FILTERS):
        for got, want in zip(f(*(one_filter(v, n) for v in args)), wants, strict=True):
            agree(got, want[n], tolerance, scale)
    for kind, want in zip(f.nopython_signatures[0].return_type, wants, strict=True):
        assert str(getattr(kind, "dtype", kind)) == str(want.dtype).removeprefix("torch.")


def entry_by_entry(name: str, kinds: tuple[str, ...], dtype: torch.dtype) -> None:
    """Compare a word of scalars, vectors, a scalar beside vectors, and a number beside them."""
    word, count = getattr(words, name), len(kinds)
    scalars, vectors = (arguments([k + shape for k in kinds], dtype, awkward=True) for shape in ("", ":M"))
    if name in NOT_FOR_NAN:
        scalars, vectors = ([v.nan_to_num(1.0) for v in args] for args in (scalars, vectors))
    if name == "div" and vectors[1].is_complex():
        scalars[1], vectors[1] = (torch.where(v == 0, 1, v) for v in (scalars[1], vectors[1]))
    want = word(*vectors)
    letters = ["abcdefg"[:count], "abcdefg"[count : 2 * count]]
    a, v = (", ".join(part) for part in letters)
    results = [f"{name}({a})", f"{name}({v})", f"{name}({v}, out=g)"]
    wants = [word(*scalars), want, want]
    if count > 1:
        results += [f"{name}({letters[0][0]}, {', '.join(letters[1][1:])})"]
        wants += [word(scalars[0], *vectors[1:])]
        number = {"slice_pam": "4"}.get(name, "0.5")
        results += [f"{name}({', '.join(part[:-1])}, {number})" for part in letters if kinds[-2] != "condition"]
        wants += [word(*part[:-1], float(number)) for part in (scalars, vectors) if kinds[-2] != "condition"]
    text = "(" + ", ".join(results) + ",)"
    args = [*scalars, *vectors] + [0.0] * (6 - 2 * count) + [torch.zeros_like(want)]
    compare(text, args, wants, TOLERANCE)


@every_compiled_dtype
@pytest.mark.parametrize("name", ENTRY_BY_ENTRY)
def test_numba_entry_by_entry(name: str, dtype: torch.dtype) -> None:
    entry_by_entry(name, ENTRY_BY_ENTRY[name], dtype)


@pytest.mark.parametrize("name", MIXED)
def test_numba_real_beside_complex(name: str) -> None:
    entry_by_entry(name, MIXED[name], torch.complex64)


@every_compiled_dtype
@pytest.mark.parametrize(("name", "kinds"), [(k, v) for k, rows in OTHERS.items() for v in rows])
def test_numba_on_vectors_and_matrices(name: str, kinds: str, dtype: torch.dtype) -> None:
    args = arguments(kinds.split(), dtype)
    for v in args if name != "solve" else ():
        v[0] = 0
    want = getattr(words, name)(*args)
    compare(f"({name}({', '.join('abcdefg'[: len(args)])}),)", args, [want], SUMS, scale=1.0)


def test_an_average_keeps_small_numbers_beside_large_ones() -> None:
    """LLVM may not make lam p + (1 - lam) q into q + lam (p - q), which the fuzzer found it to do."""

    def average(p: Any, q: Any, lam: Any) -> Any:
        return words.axpyc(1 - lam, q, p, lam)

    p, q = np.ones(9, np.float32), np.full(9, 1e12, np.float32)
    np.testing.assert_array_equal(compiled(average)(p, q, np.float32(1.0)), np.ones(9))


NUMBERS: dict[str, tuple[Any, Any]] = {  # a number of Python's, and the same as a tensor a row
    "rank_one": (lambda n, S, u: words.rank_one(n, S, n, u, u), 1),
    "add_diagonal": (lambda n, S, u: words.add_diagonal(S, n), 1),
    "push": (lambda n, S, u: words.push(u, n), 1),
    "solve": (lambda n, S, u: words.solve(S, u, n), 1),
    "expj": (lambda n, S, u: words.expj(n), 0),
    "tanh": (lambda n, S, u: words.tanh(n), 0),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_as_good_as_a_tensor(name: str) -> None:
    """In compiled code it always was."""
    call, dims = NUMBERS[name]
    S = 2 * torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    u = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    want = call(torch.full((2, 1) if dims else (), 0.25, dtype=torch.float64), S, u)
    torch.testing.assert_close(call(0.25, S, u), want, rtol=1e-15, atol=0)


@every_dtype
def test_ties_go_to_the_first_point(dtype: torch.dtype) -> None:
    levels = torch.tensor([-3.0, -1.0, 1.0, 3.0], dtype=REAL.get(dtype, dtype)) / 10**0.5
    points = torch.complex(*torch.meshgrid(levels, levels, indexing="ij")) if dtype.is_complex else levels
    points = points.flatten()[[1, 3, 2, 0, *range(4, points.numel())]]
    spots = torch.cat([points.new_zeros(1), (points[:, None] + points).flatten() / 2, points, points * torch.nan])
    y = spots[:, None]
    want = words.nearest(y, points)
    f = function("nearest(a, b)", 2)
    assert all(f(y[n, 0].numpy()[()], points.numpy()) == want[n, 0].item() for n in range(len(y)))
    assert torch.equal(words.nearest(points[:, None], points)[:, 0], points)


def test_the_slicer_is_the_nearest_amplitude() -> None:
    for levels in (2, 4, 8):
        half = torch.tensor([0.3], dtype=torch.float64)
        amplitudes = half * torch.arange(1 - levels, levels, 2)
        r = torch.linspace(-5, 5, 1000, dtype=torch.float64)[:, None]
        assert torch.allclose(slice_pam(r, half, levels), words.nearest(r, amplitudes), rtol=1e-15)
    tiny = torch.tensor([-1e-30, 0.0, 1e30, -1e30, torch.nan])
    want = torch.tensor([-0.5, 0.5, 3.5, -3.5, torch.nan])
    assert torch.equal(slice_pam(tiny, 0.5, 8).nan_to_num(7.0), want.nan_to_num(7.0))


def each(inputs: tl.tuple, out: tl.tensor, WORD: tl.constexpr, N: tl.constexpr) -> None:
    """Apply a word to N numbers, in Triton."""
    n = tl.arange(0, N)
    loaded = ()
    for k in tl.static_range(len(inputs)):
        loaded = loaded + (tl.load(inputs[k] + n),)  # noqa: RUF005
    tl.store(out + n, WORD(*loaded))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", sorted(triton_kernel._words()))
def test_triton(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    language = pytest.importorskip("triton.language", reason="Triton has no wheel for this platform")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    kernel, word = (triton_kernel._jit(f, {"tl": language}) for f in (each, triton_kernel._words()[name]))
    kinds = ENTRY_BY_ENTRY.get(name, ("signal",))
    args = [v.flatten()[:256] for v in arguments([f"{k}:M" for k in kinds], dtype, awkward=True)]
    if name in NOT_FOR_NAN:
        args = [v.nan_to_num(1.0) for v in args]
    want = {"abs": torch.abs}.get(name, getattr(words, name, None))(*args)
    got = torch.zeros_like(want, device=device)
    with np.errstate(all="ignore"):  # the interpreter's
        kernel[(1,)](tuple(v.to(device) for v in args), got, WORD=word, N=256)
    on_a_gpu = 8 * TOLERANCE  # exp is 2^(x log2 e) there, with an error of |x| roundings
    agree(got.cpu().numpy(), want, TOLERANCE if device == "cpu" else on_a_gpu)


def gain_of_words(e: Tensor, energy: Tensor, mu: Tensor) -> Tensor:
    return scale(mu, sign_parts(e) * maximum(floor(abs2(e)), 0.5)) + tanh(e) - slice_pam(e, 0.5, 4)


def gain_of_a_complex_word(e: Tensor, energy: Tensor, mu: Tensor) -> Tensor:
    return mu * complex(e, e)


def test_triton_knows_the_words_of_a_gain() -> None:
    assert triton_kernel.unknown_word(gain_of_words) is None
    assert triton_kernel.unknown_word(gain_of_a_complex_word) == "complex"


def all_words(dtype: torch.dtype) -> list[tuple[str, list[Tensor]]]:
    """Return every word and arguments of it."""
    rows = [(name, [f"{k}:M" for k in kinds]) for name, kinds in ENTRY_BY_ENTRY.items()]
    rows += [(name, kinds.split()) for name, many in OTHERS.items() for kinds in many]
    return [(name, arguments(kinds, dtype)) for name, kinds in rows]


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_autocast_rounds_no_word(dtype: torch.dtype) -> None:
    for name, args in all_words(dtype):
        word = getattr(words, name)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = word(*args)
        torch.testing.assert_close(rounded, word(*args), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gradients(dtype: torch.dtype) -> None:
    for name, args in all_words(dtype):
        if name in ("floor", "isnan", "argmax"):
            continue
        few = [v[:2].abs() + 0.5 if name in ("sqrt", "log") else v[:2] for v in args]
        few = [v.clone().requires_grad_(v.is_floating_point() or v.is_complex()) for v in few]
        assert torch.autograd.gradcheck(getattr(words, name), few), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_at_zero_are_finite(dtype: torch.dtype) -> None:
    for name, args in all_words(dtype):
        if name in ("log", "div", "solve"):  # not finite there
            continue
        zeros = [torch.zeros_like(v) for v in args]
        for v in zeros:
            v.requires_grad_(v.is_floating_point() or v.is_complex())
        if name == "slice_pam":
            zeros[1:] = args[1:]
        result = getattr(words, name)(*zeros)
        if result.requires_grad:
            result.abs().sum().backward()
        assert all(v.grad is None or torch.isfinite(v.grad).all() for v in zeros), name
