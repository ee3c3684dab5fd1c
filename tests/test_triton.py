"""The fused CUDA kernel against the literal recursion: on a GPU if there is one, else in the interpreter."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptfilt.engines.gpu import triton_kernel
from adaptfilt.engines.words import abs2, sign, where

pytest.importorskip("triton", reason="Triton has no wheel for this platform")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-14}  # relative, in the norm; single steps of rounding
LIMIT = 0.5


@pytest.fixture(autouse=True)
def _interpreter_and_poison(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Triton reads the variable when a function is compiled; the kernel calls nothing that Triton compiled at
    # its import, so that it does not matter whether torch.compile imported it earlier
    if DEVICE == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, **kw: empty(*size, **kw).fill_(float("nan")))
    triton_kernel._compiled.cache_clear()
    yield
    triton_kernel._compiled.cache_clear()


def lms(e: Tensor, energy: Tensor, mu: Tensor) -> Tensor:
    return mu * e


def nlms(e: Tensor, energy: Tensor, mu: Tensor, eps: Tensor) -> Tensor:
    return mu / (eps + energy) * e


def sign_error(e: Tensor, energy: Tensor, mu: Tensor) -> Tensor:
    return mu * sign(e)


def least_mean_fourth(e: Tensor, energy: Tensor, mu: Tensor) -> Tensor:
    return mu * abs2(e) * e


def _clip(e: Tensor, limit: float) -> Tensor:
    return where(abs(e) > limit, limit * sign(e), e)


def huber(e: Tensor, energy: Tensor, eps: Tensor, mu: Tensor) -> Tensor:
    return mu / (eps + energy) * _clip(e, LIMIT)


def scaled(factor: float) -> Callable[..., Tensor]:
    def gain(e: Tensor, energy: Tensor, mu: Tensor) -> Tensor:
        return factor * mu * e

    return gain


def literal(
    gain: Callable[..., Tensor], x: Tensor, d: Tensor, w: Tensor, params: dict[str, Tensor], leak: Any = 0.0
) -> list[Tensor]:
    """The recursion in float64, one sample after the other."""
    x, d, w = x.double(), d.double(), w.double().clone()
    params = {k: v.double().expand(d.shape) for k, v in params.items()}
    leak = torch.as_tensor(leak, dtype=torch.float64).expand(d.shape)
    y, e = torch.zeros_like(d), torch.zeros_like(d)
    for n in range(d.shape[-1]):
        u = x[..., n : n + w.shape[-1]].flip(-1)
        y[..., n] = (w * u).sum(-1)
        e[..., n] = d[..., n] - y[..., n]
        now = {k: v[..., n] for k, v in params.items()}
        g = gain(e[..., n], (u * u).sum(-1), **now)
        new = (1 - now["mu"] * leak[..., n]).unsqueeze(-1) * w + g.unsqueeze(-1) * u
        w = torch.where(d[..., n].isnan().unsqueeze(-1), w, new)
    return [y, e, w]


def signals(
    taps: int, length: int, batch: tuple[int, ...] = (), dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """White input, its echo through a random plant in noise, and initial weights."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(*batch, length + taps - 1, generator=g, dtype=torch.float64)
    plant = torch.randn(*batch, taps, generator=g, dtype=torch.float64)
    d = (x.unfold(-1, taps, 1) * plant.flip(-1).unsqueeze(-2)).sum(-1)
    d += 0.1 * torch.randn(d.shape, generator=g, dtype=torch.float64)
    w = 0.1 * torch.randn(plant.shape, generator=g, dtype=torch.float64)
    return x.to(dtype), d.to(dtype), w.to(dtype)


def run(*args: Any, **kwargs: Any) -> list[Tensor]:
    """The kernel on DEVICE; answers on the CPU."""
    args, kwargs = torch.utils._pytree.tree_map_only(Tensor, lambda v: v.to(DEVICE), (args, kwargs))
    return [v.cpu() for v in triton_kernel.run(*args, **kwargs)]


def agree(got: list[Tensor], want: list[Tensor], tolerance: float) -> None:
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        assert torch.equal(a.isnan(), b.isnan())
        a, b = a.double().nan_to_num(), b.nan_to_num()
        assert (a - b).norm() <= tolerance * b.norm()


@pytest.mark.parametrize(
    ("taps", "length", "batch", "gain", "mu", "dtype"),
    [
        (1, 64, (), lms, 0.05, torch.float32),
        (1, 5, (2, 5), nlms, 0.5, torch.float64),
        (3, 203, (2,), least_mean_fourth, 0.001, torch.float32),
        (8, 64, (2, 5), nlms, 0.5, torch.float32),
        (8, 1, (), sign_error, 0.01, torch.float64),
        (32, 5, (2, 5), huber, 0.5, torch.float32),
        (32, 5, (), nlms, 0.5, torch.float64),
        (100, 20, (3,), sign_error, 0.01, torch.float32),
        (100, 5, (3,), nlms, 0.5, torch.float64),
        (300, 5, (3,), nlms, 0.5, torch.float32),
    ],
)
def test_is_the_literal_recursion(
    taps: int, length: int, batch: tuple[int, ...], gain: Callable[..., Tensor], mu: float, dtype: torch.dtype
) -> None:
    x, d, w = signals(taps, length, batch, dtype, seed=taps + length)
    params = {"mu": torch.tensor(mu, dtype=dtype), "eps": torch.tensor(0.1, dtype=dtype)}
    params = {k: params[k] for k in gain.__annotations__ if k in params}
    kept = [v.clone() for v in (x, d, w)]
    got = run(gain, x, d, w, params)
    agree(got, literal(gain, x, d, w, params), TOLERANCE[dtype])
    assert all(v.dtype == dtype for v in got)
    assert all(torch.equal(a, b) for a, b in zip((x, d, w), kept, strict=True))


@pytest.mark.parametrize(
    ("shape", "leak_shape"), [((20,), (1,)), ((2, 1, 1), (20,)), ((5, 1), (2, 1, 1)), ((2, 5, 20), ())]
)
def test_parameters_of_any_shape(shape: tuple[int, ...], leak_shape: tuple[int, ...]) -> None:
    x, d, w = signals(2, 20, (2, 5))
    g = torch.Generator().manual_seed(1)
    mu, leak = torch.rand(shape, generator=g), torch.rand(leak_shape, generator=g)
    params = {"eps": torch.tensor([0.1]), "mu": mu}
    agree(run(huber, x, d, w, params, leak=leak), literal(huber, x, d, w, params, leak), 1e-6)


def test_leak_as_a_number_and_step_size_zero() -> None:
    x, d, w = signals(5, 20)
    mu = torch.where(torch.arange(20) < 10, 0.0, 0.01)
    agree(run(lms, x, d, w, {"mu": mu}, leak=0.5), literal(lms, x, d, w, {"mu": mu}, 0.5), 1e-6)
    assert torch.equal(run(lms, x, d, w, {"mu": torch.zeros(1)}, leak=0.5)[2], w)


@pytest.mark.parametrize("taps", [4, 34])
def test_missing_desired_samples_change_nothing(taps: int) -> None:
    x, d, w = signals(taps, 20, (2,))
    d[0, 3:7], d[1, 16], d[:, -1] = torch.nan, torch.nan, torch.nan
    params = {"mu": torch.tensor(0.5), "eps": torch.tensor(0.1)}
    agree(run(nlms, x, d, w, params, leak=0.1), literal(nlms, x, d, w, params, 0.1), 1e-6)
    d[:] = torch.nan
    y, e, w_new = run(nlms, x, d, w, params, leak=0.1)
    assert e.isnan().all()
    assert torch.equal(w_new, w)
    agree([y], [(x.double().unfold(-1, taps, 1) * w.double().flip(-1).unsqueeze(-2)).sum(-1)], 1e-6)


@pytest.mark.parametrize("taps", [6, 34])
def test_a_burst_leaves_no_trace(taps: int) -> None:
    x, d, w = signals(taps, 32)
    start = taps
    x[start : start + 3] *= 1e6
    params = {"mu": torch.tensor(0.5), "eps": torch.tensor(0.1)}
    y, e, w_new = run(nlms, x, d, w, params)
    want = literal(nlms, x, d, w, params)
    after = 3 + taps  # no sample of the burst is in a regressor any more
    agree([y[after:], e[after:], w_new], [want[0][after:], want[1][after:], want[2]], 1e-5)


def test_silence_keeps_the_weights() -> None:
    _, _, w = signals(5, 1)
    params = {"mu": torch.tensor(0.5), "eps": torch.tensor(1e-6)}
    y, e, w_new = run(nlms, torch.zeros(24), torch.zeros(20), w, params)
    assert torch.equal(w_new, w)
    assert not y.any()
    assert not e.any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the interpreter, as it evaluates both sides
def test_where_nothing_adapts_the_gain_is_not_asked() -> None:
    """0 / 0 of a gain without regularisation, in silence."""
    x, d, w = signals(5, 40)
    d, mu = 0 * d, (torch.arange(40) % 7 > 5).float()
    x[10:30] = 0
    mu[10:26] = 0
    got = run(nlms, x, d, w, {"mu": mu, "eps": torch.zeros(1)}, leak=0.1)
    moving = torch.where(mu > 0, d, torch.nan)  # where the literal loop does not either
    y, _, want = literal(nlms, x, moving, w, {"mu": mu, "eps": torch.zeros(1)}, leak=0.1)
    agree([got[0], got[2]], [y, want], TOLERANCE[torch.float32])


def test_one_source_in_two_closures_is_two_gains() -> None:
    x, d, w = signals(3, 20)
    mu = {"mu": torch.tensor(0.01)}
    for factor in (1.0, 3.0):
        agree(run(scaled(factor), x, d, w, mu), literal(scaled(factor), x, d, w, mu), 1e-6)


def test_views_and_shared_inputs() -> None:
    x, d, w = signals(3, 40, (2, 5))
    params = {"mu": torch.tensor(0.05)}
    views = x[:, :1, 8:30], d.mT.contiguous().mT[..., 8:28], w[:1]
    full = views[0].expand(2, 5, 22), views[1], views[2].expand(2, 5, 3)
    agree(run(lms, *full, params), literal(lms, *full, params), 1e-6)
    part = x[1, :, 8:30], d[1, :, 8:28], w[1]
    agree(run(lms, *part, params), literal(lms, *part, params), 1e-6)


def test_no_samples_and_no_filters() -> None:
    x, d, w = signals(4, 1, (2,))
    y, e, w_new = run(lms, x[:, :-1], d[:, :0], w, {"mu": torch.tensor(0.1)})
    assert y.shape == e.shape == (2, 0)
    assert torch.equal(w_new, w)
    y, e, w_new = run(lms, torch.zeros(0, 8), torch.zeros(0, 5), torch.zeros(0, 4), {"mu": torch.tensor(0.1)})
    assert y.shape == e.shape == (0, 5)
    assert w_new.shape == (0, 4)


def test_identifies_the_plant() -> None:
    # without noise the weights go to the plant; |v|^2 falls by 1 - mu (2 - mu) / M a sample on average
    g = torch.Generator().manual_seed(3)
    plant, x = torch.randn(4, generator=g), torch.randn(103, generator=g)
    d = torch.from_numpy(np.convolve(x.numpy(), plant.numpy(), "valid"))
    params = {"mu": torch.tensor(1.0), "eps": torch.tensor(1e-9)}
    y, e, w = run(nlms, x, d, torch.zeros(4), params)
    assert (w - plant).norm() <= 1e-5 * plant.norm()
    assert torch.equal(e, d - y)


def test_too_many_taps_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 1024 taps, not 1025"):
        run(lms, torch.zeros(1024), torch.zeros(0), torch.zeros(1025), {"mu": torch.tensor(0.1)})
