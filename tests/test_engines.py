"""Every engine against the reference through the public class, where loops change their course: rows in fours,
blocks of one and of more than a chunk, records across a chunk.
"""

import inspect
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.engines.algorithm import names
from adaptfilt.engines.bins import Bins
from adaptfilt.testing.comparisons import (
    blind,
    call,
    engines,
    outputs_cut,
    passes_over_d,
    recursive,
    single,
    sps,
    step,
    steps,
    trial,
)
from conftest import FIRST, PLAIN, RULED, each, every_dtype, slow

CHUNK = 32768  # samples a compiled loop gets at a time
TAPS, LENGTHS = (1, 4, 8, 9, 33), (1, 7, 8, 9)
TOLERANCE = {torch.float64: 1e-10, torch.complex128: 1e-10, torch.float32: 2e-4, torch.complex64: 2e-4}
every_ruled = each(RULED)
one_or_a_batch = pytest.mark.parametrize("batch", [(), (3,)], ids=["one", "batch"])


def make(cls: Any, engine: str = "auto", taps: int | None = None, **common: Any) -> Any:
    """The example of a class, or the same filter with other taps and steps that are safe there."""
    f = cls.example(engine=engine, **common)
    if taps is None or "taps" not in inspect.signature(cls).parameters:
        return f
    given = list(inspect.signature(cls).parameters.values())
    own = {p.name: getattr(f, p.name) for p in given if p.name not in ("taps", "common") and hasattr(f, p.name)}
    own = {name: value for name, value in own.items() if not callable(value)}
    if cls in (af.LMF, af.NLMF, af.LMMN):
        own["mu"] = 1e-6  # they diverge on the errors that `adapt` brings in
    elif "mu" in own and not isinstance(cls.algorithm, Bins) and "energy" not in names(cls.algorithm.function):
        own["mu"] = f.mu * min(1.0, 4 / taps)
    if "delay" in own:
        own["delay"] = min(f.delay, taps // f.sps - 1)  # the start's spike is in the line
    return cls(**{**own, "taps": taps, "engine": engine, **common})


def agree(got: Any, want: Any, f: Any, model: Any) -> None:
    tolerance = TOLERANCE[f.dtype]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)
    _ = f.w, model.w
    for (k, a), (_, b) in zip(f.named_buffers(), model.named_buffers(), strict=True):
        scale = float(b.nan_to_num().abs().max()) + 1 if b.numel() and b.dtype != torch.bool else 1
        torch.testing.assert_close(
            a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True, msg=lambda m, k=k: f"{k}: {m}"
        )


def others(cls: Any, **common: Any) -> list[str]:
    f = make(cls, **common)
    return engines(f, *trial(f))


@every_ruled
@every_dtype
@one_or_a_batch
@pytest.mark.filterwarnings("ignore:.*may diverge")
def test_short_blocks_in_a_row(cls: Any, dtype: torch.dtype, batch: tuple[int, ...]) -> None:
    """Blocks of each length, a record, a step and an error taken in, of one filter after the other."""
    sizes = TAPS if cls in FIRST else TAPS[::3]
    for taps in sizes if "taps" in inspect.signature(cls).parameters else (None,):
        for engine in others(cls, dtype=dtype, batch=batch):
            f, model = (make(cls, e, taps, dtype=dtype, batch=batch) for e in (engine, "reference"))
            for n, T in enumerate((*LENGTHS, 40)):
                x, d = trial(f, T, n)
                for options in ({}, {"record_every": 3}):
                    agree(call(f, x, d, **options), call(model, x, d, **options), f, model)
                agree(step(f, x, d, 0), step(model, x, d, 0), f, model)
                one = single(f, x, d, 0)
                agree((f.predict(one[0]),), (model.predict(one[0]),), f, model)
                if not (blind(f) or recursive(f)):
                    f.adapt(one[1]), model.adapt(one[1])
                agree((), (), f, model)


@every_ruled
@every_dtype
@one_or_a_batch
def test_leakage_a_step_size_a_sample_and_samples_passed_over(cls: Any, dtype: torch.dtype, batch: Any) -> None:
    for engine in others(cls, dtype=dtype, batch=batch):
        f, model = (make(cls, e, dtype=dtype, batch=batch, nonfinite="skip") for e in (engine, "reference"))
        for g in (f, model) if cls.algorithm.leaks else ():
            g.leak = 0.1
        for n in range(3):
            x, d = trial(f, 70, n)
            x[..., (5 * n + 1) * sps(f)] = np.nan
            if passes_over_d(f):
                d[..., 7 * n] = np.inf
            sizes = np.random.default_rng(n).random(70) * f.mu if steps(f) else np.arange(70) % 3 > 0
            options: dict[str, Any] = {"record_every": 17, "mu": sizes.astype(float)}
            agree(call(f, x, d, **options), call(model, x, d, **options), f, model)


@pytest.mark.parametrize("engine", ["compiled", "block"])
@pytest.mark.parametrize("batch", [(), (3,)], ids=["one", "batch"])
def test_leakage(engine: str, batch: Any) -> None:
    f, model = (make(af.NLMS, e, 9, dtype=torch.float64, batch=batch) for e in (engine, "reference"))
    for g in (f, model):
        g.leak = 0.1
    for T in (*LENGTHS, 40):
        x, d = trial(f, T)
        for options in ({}, {"record_every": 3}):
            agree(f(x, d, **options), model(x, d, **options), f, model)


@every_ruled
@pytest.mark.parametrize("dtype", [torch.float64, slow(torch.complex64)], ids=str)
@pytest.mark.parametrize("every", [None, 5000, 20])
def test_a_block_of_more_than_a_chunk(cls: Any, dtype: torch.dtype, every: int | None) -> None:
    """The first chunk brings the filter near its end; the reference then runs over the last samples alone."""
    whole, f, model, again = (make(cls, e, dtype=dtype) for e in ("auto", "auto", "reference", "auto"))
    first, T = CHUNK // sps(f) - 30, CHUNK // sps(f) + 40
    x, d = trial(f, T)
    y, e, w = call(whole, x, d, **({"record_every": every} if every else {}))
    call(f, *outputs_cut(f, x, d, 0, first))
    for name, buffer in f.named_buffers():
        model.get_buffer(name).copy_(buffer)
    want = call(model, *outputs_cut(f, x, d, first, T), record_every=1)
    agree((y[..., first:], e[..., first:]), want[:2], whole, model)
    if every is None:
        return
    assert w.shape[-2] == T // every
    tolerance = TOLERANCE[dtype]
    for k in range(every, T + 1, every):
        row = call(again, *outputs_cut(f, x, d, k - every, k)).w
        np.testing.assert_allclose(w[..., k // every - 1, :], row, rtol=tolerance, atol=tolerance)
        if k > first:
            np.testing.assert_allclose(row, want.w[..., k - first - 1, :], rtol=tolerance, atol=tolerance)


@each([af.NLMS, af.RLS, af.LatticeRLS])
def test_a_batch_of_more_than_a_chunk_is_its_rows(cls: Any) -> None:
    f = make(cls, dtype=torch.float64, batch=3)
    x, d = trial(f, CHUNK + 1)
    got = f(x, d, record_every=10_000)
    for k in range(3):
        want = make(cls, dtype=torch.float64)(x[k], d[k], record_every=10_000)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-10, atol=1e-10)


@each(PLAIN)
@one_or_a_batch
def test_the_record_of_a_filter_that_does_not_adapt(cls: Any, batch: tuple[int, ...]) -> None:
    f = make(cls, dtype=torch.float64, batch=batch).eval()
    f.w = torch.ones_like(f.w)
    x, d = trial(f, 20)
    assert (f(x, d, record_every=6).w == np.ones((*batch, 3, f.taps))).all()
