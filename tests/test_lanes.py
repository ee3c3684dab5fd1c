"""Batches side by side, in lanes, against the same filters one after the other."""

from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.engines import words
from adaptfilt.engines.cpu import batch
from adaptfilt.testing.comparisons import call, trial
from conftest import LINEAR, every_dtype, slow

KINDS = [af.NLMS, af.RLS, af.AffineProjection, af.KwongJohnston, af.CMA, af.DecisionDirected]
DECIDE = [af.SignError, af.SignSign, af.SetMembershipNLMS]
TOLERANCE = {torch.float64: 1e-12, torch.complex128: 1e-12, torch.float32: 2e-5, torch.complex64: 2e-5}


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the blocks that run in lanes."""
    blocks: list[int] = []
    run = batch.Batch.run

    def counted(self: Any, samples: int, *more: Any) -> Any:
        blocks.append(samples)
        return run(self, samples, *more)

    monkeypatch.setattr(batch.Batch, "run", counted)
    return blocks


def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "pays", lambda *_: False)


def agree(f: Any, g: Any, got: Any, want: Any) -> None:
    pairs = [(got.y, want.y), (got.e, want.e), (got.w, want.w), *zip(f.buffers(), g.buffers(), strict=True)]
    for a, b in pairs:
        a, b = np.asarray(a), np.asarray(b)
        scale = np.abs(b).max(initial=0) + 1 if b.dtype != bool else 1
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[f.dtype] * scale)


@pytest.mark.parametrize("cls", [c if c in KINDS else slow(c) for c in LINEAR], ids=lambda c: c.__name__)
@every_dtype
def test_filters_side_by_side_are_those_one_after_the_other(
    cls: Any, dtype: torch.dtype, used: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if cls in DECIDE and dtype in (torch.float32, torch.complex64):
        pytest.skip("in single precision rounding turns some of its decisions")
    f, g = cls.example(dtype=dtype, batch=37), cls.example(dtype=dtype, batch=37)
    x, d = trial(f, 385)  # three stretches and a sample; the last group is not full
    got = [
        call(f, x[:, :256], None if d is None else d[:, :256]),
        call(f, x[:, 256:], None if d is None else d[:, 256:]),
    ]
    assert len(used) == 2 or cls not in KINDS
    one_after_the_other(monkeypatch)
    want = [
        call(g, x[:, :256], None if d is None else d[:, :256]),
        call(g, x[:, 256:], None if d is None else d[:, 256:]),
    ]
    np.testing.assert_allclose(got[0].y, want[0].y, rtol=0, atol=TOLERANCE[dtype] * np.abs(want[0].y).max())
    agree(f, g, got[1], want[1])


@pytest.mark.parametrize("taps", [1, 4, 9, 32])
@pytest.mark.parametrize("samples", [64, 79, 129])
def test_awkward_sizes_inputs_and_steps_of_their_own(
    taps: int, samples: int, used: list[int], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    inputs = 2 if taps < 32 else None
    mu = torch.linspace(0.1, 1.5, 70).reshape(35, 2)
    f, g = (af.NLMS(taps, mu=mu, batch=(35, 2), inputs=inputs) for _ in range(2))
    x = rng.standard_normal((35, 2, *([inputs] if inputs else []), 2 * samples))[..., ::2]  # no row is contiguous
    d = np.asfortranarray(rng.standard_normal((35, 2, samples)))
    got = f(x, d)
    assert used == [samples]
    one_after_the_other(monkeypatch)
    agree(f, g, got, g(x, d))


@pytest.mark.parametrize("every", [1, 7, 128, 200, 300])
def test_records(every: int, used: list[int], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    x, d = rng.standard_normal((2, 40, 500))
    f, g = (af.NLMS(9, batch=40, dtype=torch.float64) for _ in range(2))
    got = f(x, d, record_every=every)
    assert used == [500]
    one_after_the_other(monkeypatch)
    want = g(x, d, record_every=every)
    assert got.w.shape == want.w.shape == (40, 500 // every, 9)
    agree(f, g, got, want)


def test_threads_take_groups(used: list[int], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    threads = torch.get_num_threads()
    x, d = rng.standard_normal((2, 100, 200))
    f, g = af.NLMS(8, batch=100), af.NLMS(8, batch=100)
    try:
        torch.set_num_threads(3)
        got = f(x, d)
        torch.set_num_threads(1)
        want = g(x, d)
    finally:
        torch.set_num_threads(threads)
    assert used == [200, 200]
    for a, b in zip(got[:3], want[:3], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_changes_nothing(bad: float, used: list[int], rng: np.random.Generator) -> None:
    f = af.NLMS(8, batch=40, dtype=torch.float64)
    x, d = rng.standard_normal((2, 40, 300))
    f(x, d)
    before = [b.clone() for b in f.buffers()]
    for name, v in (("x", x.copy()), ("d", d.copy())):
        v[39, 299] = bad
        with pytest.raises(ValueError, match=f"{name} must be finite"):
            f(v if name == "x" else x, v if name == "d" else d)
    assert all(torch.equal(a, b) for a, b in zip(before, f.buffers(), strict=True))
    assert used == [300] * 3


def test_divergence_changes_nothing(used: list[int], rng: np.random.Generator) -> None:
    mu = torch.full((40,), 0.01)
    mu[39] = 100.0
    f = af.LMS(8, mu, batch=40)
    with pytest.raises(af.DivergenceError):
        f(*rng.standard_normal((2, 40, 300)))
    assert used == [300]
    assert not f.w.any()
    assert not f.history.any()


def every_word(w: Any, u: Any, e: Any, mu: Any) -> Any:
    """Take every word of numbers that lanes have."""
    energy = words.energy(u)
    small = words.minimum(words.maximum(words.real(e), words.imag(e)), words.sqrt(energy + 1))
    size = words.magnitude(e) + words.abs2(e)
    g = words.where((size > 0.5) & (small < 2), words.sign(e), words.sign_parts(e))
    g = words.add(g, words.scale(words.floor(small), words.div(e, 1 + size)))
    g = words.where(words.isnan(small) | (size < 0), e, g) + words.slice_pam(small, mu, 4.0 + mu * 0)
    return words.axpyc(mu / (1 + energy) * (g + 0.01 * words.norm_1(u)), u, w)


class Words(af.LinearFilter):
    """A filter of many words."""

    algorithm = af.Algorithm(update=every_word)

    def __init__(self, taps: int, mu: float = 0.1, **common: Any) -> None:
        super().__init__(taps, {"mu": mu}, **common)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64])
def test_words_mean_the_same_in_lanes(
    dtype: torch.dtype, used: list[int], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    x, d = rng.standard_normal((2, 20, 70)).astype(np.float32)
    if dtype.is_complex:
        x, d = x + 1j * x[::-1], d - 0.5j * d[::-1]
    f, g = Words(5, batch=20, dtype=dtype), Words(5, batch=20, dtype=dtype, engine="reference")
    got = f(x, d)
    assert used == [70]
    agree(f, g, got, g(x, d))


def branching(e: Any, energy: Any, mu: Any) -> Any:
    """Branch on an error, which one filter after the other can."""
    if e > 0:
        return mu * e
    return 0.5 * mu * e


class Branching(af.LinearFilter):
    """A filter that lanes cannot run."""

    algorithm = af.Algorithm(gain=branching)

    def __init__(self, taps: int, mu: float = 0.01, **common: Any) -> None:
        super().__init__(taps, {"mu": mu}, **common)


def test_what_lanes_cannot_run_runs_as_before(used: list[int], rng: np.random.Generator) -> None:
    x, d = rng.standard_normal((2, 30, 80))
    y = Branching(4, batch=30, dtype=torch.float64)(x, d).y
    assert not used
    np.testing.assert_allclose(y[3], Branching(4, dtype=torch.float64)(x[3], d[3]).y, rtol=1e-12)


def test_groups_beyond_the_cache_are_half_as_large(used: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    f, g = af.RLS(17, 0.99, batch=37), af.RLS(17, 0.99, batch=37)
    x, d = trial(f, 150)
    got = f(x, d)
    assert used == [150]
    assert f._free[0]._batch._lanes == 16
    one_after_the_other(monkeypatch)
    agree(f, g, got, g(x, d))
