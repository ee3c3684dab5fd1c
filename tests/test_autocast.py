"""`torch.autocast` changes no number of a filter: not forward, not backward, not one bit."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import adaptfilt as af
from adaptfilt.testing.comparisons import blind, call, recursive, single, step, trial
from conftest import RULED, each, slow

FILTERS = [af.LMS, af.NLMS, af.LMF, af.SignData, af.SignError, af.SignSign, af.RLS, af.AffineProjection]
HALF = [torch.bfloat16, torch.float16]


class Squares(nn.Module):
    """Features by a matrix, which autocast may round if the user wants."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()
        self.matrix = nn.Parameter(torch.eye(4) + 0.1)

    def forward(self, u: Tensor) -> Tensor:
        out = u.square() @ self.matrix
        self.seen.add(out.dtype)
        return out


def signals(batch: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    x, d = torch.randn(2, *batch, 40, generator=g)
    return x, d


def everything(cls: Any, batch: tuple[int, ...], engine: str, learned: bool) -> list[Tensor]:
    """All that comes out of a filter through all of its ways in, and the gradient."""
    x, d = signals(batch)
    x.requires_grad_(learned)
    f = cls.example(batch=batch, engine=engine)
    out = [*f(x, d), f.filter(x)]
    for n in range(3):
        sample = (x[..., n], d[..., n]) if batch else (x[n].item(), d[n].item())
        out += [torch.as_tensor(v) for v in f.step(*sample)]
        out.append(torch.as_tensor(f.predict(sample[0])))
        f.adapt(sample[1])
    rows = torch.randn(*batch, 20, 4, generator=torch.Generator().manual_seed(1))
    out += f(rows, d[..., :20], regressors=True)
    out += [f.eval()(x, d).e, f(rows, d[..., :20], regressors=True).y]
    out += list(f.state_dict().values())
    if cls is af.RLS:
        out.append(f.P)
    if learned:
        out.append(torch.autograd.grad(sum(v.square().sum() for v in out if v.requires_grad), x)[0])
    return [v.detach() for v in out]


@pytest.mark.parametrize("half", HALF)
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize(
    ("cls", "engine", "learned"),
    [
        (c, engine, learned) if engine != "auto" or c in (af.NLMS, af.RLS) else slow(c, engine, learned)
        for c in FILTERS
        for engine, learned in (("auto", False), ("auto", True), ("reference", True))
    ],
)
def test_changes_nothing(cls: Any, batch: tuple[int, ...], engine: str, learned: bool, half: torch.dtype) -> None:
    want = everything(cls, batch, engine, learned)
    with torch.autocast("cpu", dtype=half):
        got = everything(cls, batch, engine, learned)
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


@each(RULED)
def test_changes_nothing_in_any_reference_loop(cls: Any) -> None:
    """Where there is no machine code, torch computes; single samples, errors from elsewhere and frozen weights too."""

    def everything() -> list[Tensor]:
        f = cls.example(engine="reference")
        x, d = trial(f, 40)
        given = [None if v is None else torch.from_numpy(v) for v in (x, d)]
        out = [*call(f, *given), f.filter(given[0]), *step(f, x, d, 0), f.predict(single(f, x, d, 0)[0])]
        if not (blind(f) or recursive(f)):
            f.adapt(0.1)
        return [torch.as_tensor(v) for v in (*out, *call(f.eval(), *given), *f.state_dict().values())]

    want = everything()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = everything()
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("learned", [False, True])
def test_features_run_as_the_user_wants_and_come_back_in_the_precision_of_the_filter(
    engine: str, learned: bool
) -> None:
    x, d = signals(())
    f = af.RLS(4, features=Squares().requires_grad_(learned), engine=engine)
    f.features.seen.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = [*f(x, d), f.filter(x), f.eval()(x, d).e]
    assert f.features.seen == {torch.bfloat16}
    assert {v.dtype for v in out} == {torch.float32}
    rounded = Squares()(af.TapDelayLine(4).push(x).bfloat16().float())
    want = af.RLS(4)(rounded, d, regressors=True).e
    assert 0 < (out[1] - want).abs().max() < 0.05 * want.abs().max()


@pytest.mark.parametrize("half", HALF)
def test_a_model_runs_as_the_user_wants_and_the_state_keeps_its_precision(half: torch.dtype) -> None:
    class Seen(nn.Linear):
        def forward(self, u: Tensor) -> Tensor:
            out = super().forward(u)
            seen.add(out.dtype)
            return out

    seen: set[torch.dtype] = set()
    x, d = signals(())
    f = af.GradientFilter(Seen(4, 1), 4, optimizer=lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9), block_size=4)
    seen.clear()
    with torch.autocast("cpu", dtype=half):
        out = [*f(x, d), f.filter(x), f.eval()(x, d).y, *map(torch.from_numpy, f.train()(x.numpy(), d.numpy()))]
    assert seen == {half}
    state = [*f.model.parameters(), f.line.samples, *(s["momentum_buffer"] for s in f.optimizer.state.values())]
    assert {v.dtype for v in (*out, *state)} == {torch.float32}
