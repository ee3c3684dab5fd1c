"""Every engine against the reference through the public class, where loops change their course: rows in fours,
blocks of one and of more than a chunk, records across a chunk.
"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import adaptfilt as af

LINEAR = [
    c for c in vars(af).values() if isinstance(c, type) and issubclass(c, af.LinearFilter) and hasattr(c, "example")
]
CHUNK = 32768  # samples a compiled loop gets at a time
TAPS, LENGTHS = (1, 4, 8, 9, 33), (1, 7, 8, 9)
TOLERANCE = {torch.float64: 1e-10, torch.complex128: 1e-10, torch.float32: 2e-4, torch.complex64: 2e-4}
STEP = {"LMS": 0.005, "LMF": 0.0005, "SignError": 0.005, "SignData": 0.005, "SignSign": 0.0005}
every_linear = pytest.mark.parametrize("cls", LINEAR, ids=lambda c: c.__name__)
every_dtype = pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.complex128,
        pytest.param(torch.float32, marks=pytest.mark.slow),
        pytest.param(torch.complex64, marks=pytest.mark.slow),
    ],
    ids=lambda t: str(t).removeprefix("torch."),
)


def make(cls: Any, taps: int, **common: Any) -> Any:
    """A filter that is stable on unit-power input."""
    if cls is af.AffineProjection:
        return cls(taps, 0.5, order=5, eps=0.1, **common)
    if cls is af.RLS:
        return cls(taps, 0.99, delta=0.1, **common)
    return cls(taps, STEP.get(cls.__name__, 0.5), **common)


def pair(dtype: torch.dtype, shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Noise, and what a plant longer than most of the filters makes of it."""
    rng = np.random.default_rng(seed)
    x, d = rng.standard_normal((2, *shape))
    if dtype.is_complex:
        y, e = rng.standard_normal((2, *shape))
        x, d = (x + 1j * y) / 2**0.5, d + 1j * e
    d = 0.1 * d
    for k, h in enumerate((0.8, -0.5, 0.3j if dtype.is_complex else 0.3, 0.2, -0.1, 0.4, 0.1, -0.2, 0.15)):
        d[..., k:] += h * x[..., : max(shape[-1] - k, 0)]
    return torch.from_numpy(x).to(dtype), torch.from_numpy(d).to(dtype)


def agree(got: Any, want: Any, f: Any, model: Any) -> None:
    tolerance = TOLERANCE[f.dtype]
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, check_stride=False)
    for (k, a), (_, b) in zip(f.named_buffers(), model.named_buffers(), strict=True):
        scale = float(b.abs().max()) + 1 if b.dtype != torch.bool else 1
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * scale, msg=lambda m, k=k: f"{k}: {m}")


def engines(cls: Any) -> tuple[str, ...]:
    return ("compiled", "block") if cls.algorithm.gain else ("compiled",)


@every_linear
@every_dtype
@pytest.mark.parametrize("batch", [(), (3,)], ids=["one", "batch"])
@pytest.mark.parametrize("taps", TAPS)
def test_short_blocks_in_a_row(cls: Any, dtype: torch.dtype, batch: tuple[int, ...], taps: int) -> None:
    """Blocks of each length, a record, a step and an error taken in, of one filter after the other."""
    for engine in engines(cls):
        f, model = (make(cls, taps, dtype=dtype, batch=batch, engine=e) for e in (engine, "reference"))
        for n, T in enumerate((*LENGTHS, 40)):
            x, d = pair(dtype, (*batch, T), n)
            agree(f(x, d), model(x, d), f, model)
            agree(f(x, d, record_every=3), model(x, d, record_every=3), f, model)
            x_n, d_n = (v[..., 0] if batch else v[..., 0].item() for v in (x, d))
            for a, b in zip(f.step(x_n, d_n), model.step(x_n, d_n), strict=True):
                torch.testing.assert_close(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
            f.predict(x_n), model.predict(x_n)
            f.adapt(d_n), model.adapt(d_n)
            agree((), (), f, model)


@every_linear
@every_dtype
@pytest.mark.parametrize("batch", [(), (3,)], ids=["one", "batch"])
@pytest.mark.parametrize("leak", [0.0, 0.01], ids=["", "leaky"])
def test_a_step_size_a_sample_and_samples_passed_over(cls: Any, dtype: torch.dtype, batch: Any, leak: float) -> None:
    if leak and not cls.algorithm.gain:
        pytest.skip("no leakage")
    for engine in engines(cls):
        f, model = (make(cls, 9, dtype=dtype, batch=batch, engine=e, nonfinite="skip") for e in (engine, "reference"))
        for g in (f, model):
            if leak:
                g.leak = leak
        for n in range(3):
            x, d = pair(dtype, (*batch, 70), n)
            x[..., 5 * n + 1], d[..., 7 * n] = torch.nan, torch.inf
            options: dict[str, Any] = {"record_every": 17}
            if "mu" in cls.ranges:
                options["mu"] = torch.rand(70, dtype=torch.float64) * f.mu
            got, want = f(x, d, **options), model(x, d, **options)
            agree([v.nan_to_num(7.0) for v in got], [v.nan_to_num(7.0) for v in want], f, model)


@every_linear
@every_dtype
@pytest.mark.parametrize("every", [None, 5000, 20])
def test_a_block_of_more_than_a_chunk(cls: Any, dtype: torch.dtype, every: int | None) -> None:
    """The first chunk brings the filter near its end; the reference then runs over the last samples alone."""
    first, T = CHUNK - 30, CHUNK + 40
    x, d = pair(dtype, (T,), 1)
    whole = make(cls, 9, dtype=dtype)
    y, e, w = whole(x, d, **({"record_every": every} if every else {}))
    f = make(cls, 9, dtype=dtype)
    f(x[:first], d[:first])
    model = make(cls, 9, dtype=dtype, engine="reference")
    for name, buffer in f.named_buffers():
        model.get_buffer(name).copy_(buffer)
    want = model(x[first:], d[first:], record_every=1)
    agree((y[first:], e[first:]), want[:2], whole, model)
    if every is None:
        return
    ends = [k for k in range(every, T + 1, every) if k > first]
    assert w.shape == (T // every, 9)
    assert every != 20 or len(ends) == 4
    tolerance = TOLERANCE[dtype]
    for k in ends:
        torch.testing.assert_close(w[k // every - 1], want.w[k - first - 1], rtol=tolerance, atol=tolerance)
    again = make(cls, 9, dtype=dtype)
    for k in range(every, T + 1, every):
        part = slice(k - every, k)
        row = again(x[part], d[part]).w
        torch.testing.assert_close(w[k // every - 1], row, rtol=tolerance, atol=tolerance)


@every_linear
@every_dtype
def test_a_batch_of_more_than_a_chunk_is_its_rows(cls: Any, dtype: torch.dtype) -> None:
    x, d = pair(dtype, (3, CHUNK + 1), 1)
    got = make(cls, 5, dtype=dtype, batch=3)(x, d, record_every=10_000)
    for k in range(3):
        want = make(cls, 5, dtype=dtype)(x[k], d[k], record_every=10_000)
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a[k], b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@every_linear
@pytest.mark.parametrize("batch", [(), (3,)], ids=["one", "batch"])
def test_the_record_of_a_filter_that_does_not_adapt(cls: Any, batch: tuple[int, ...]) -> None:
    f = make(cls, 4, dtype=torch.float64, batch=batch, w0=torch.ones(*batch, 4, dtype=torch.float64)).eval()
    x, d = pair(torch.float64, (*batch, 20), 1)
    assert torch.equal(f(x, d, record_every=6).w, torch.ones(*batch, 3, 4, dtype=torch.float64))
