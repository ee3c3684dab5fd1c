"""Gradients through a filter's adaptation, as a user of torch meets them; the engine's own are in test_block.py."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import adaptfilt as af


def data(samples: int = 40, batch: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(*batch, samples, generator=rng, dtype=torch.float64)
    return x, torch.randn(*batch, samples, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_gradcheck_through_two_blocks(engine: str) -> None:
    x, d = data(12)

    def run(x: Tensor, d: Tensor, mu: Tensor, eps: Tensor, leak: Tensor, w0: Tensor) -> tuple[Tensor, ...]:
        f = af.NLMS(3, mu, eps=eps, leak=leak, w0=w0, dtype=torch.float64, engine=engine)
        f.filter(x[:2].detach())
        f.line.reset()
        out = f(x, d, record_every=5)
        return out.y, out.e, out.w

    inputs = [x, d, torch.tensor(0.4), torch.tensor(0.2), torch.tensor(0.1), torch.randn(3)]
    assert torch.autograd.gradcheck(run, [v.double().requires_grad_() for v in inputs])


@pytest.mark.parametrize("cls", [af.RLS, af.AffineProjection, af.SignData])
def test_general_filters_are_differentiable_through_the_reference_loop(cls: type) -> None:
    x, d = data(10)
    w0 = torch.randn(4, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor, w0: Tensor) -> Tensor:
        return cls.example(dtype=torch.float64, w0=w0)(x, d).e

    assert torch.autograd.gradcheck(run, [x.requires_grad_(), w0])


def test_the_state_is_detached_and_plain_calls_have_no_graph() -> None:
    x, d = data()
    f = af.NLMS(4, nn.Parameter(torch.tensor(0.5)), dtype=torch.float64)
    assert list(dict(f.named_parameters())) == ["mu"]
    first = f(x, d)
    assert first.e.requires_grad
    assert first.w.requires_grad
    assert not f.w.requires_grad
    first.e.square().sum().backward()
    assert f.mu.grad is not None
    f(x, d).e.sum().backward()  # no second pass through the first block's graph
    with torch.no_grad():
        assert not f(x, d).e.requires_grad
    g = af.NLMS(4, 0.5, dtype=torch.float64)
    assert not any(v.requires_grad for v in g(x, d))
    assert not g.filter(x).requires_grad


def test_an_initial_solution_is_learned_through_the_first_block_only() -> None:
    x, d = data()
    w0 = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    f = af.LMS(4, 0.01, w0=w0, dtype=torch.float64)
    f(x, d).e.square().sum().backward()
    assert w0.grad is not None
    assert not f(x, d).e.requires_grad
    assert f.reset()(x, d).e.requires_grad


def test_a_saved_state_wins_over_initial_weights_that_are_learned() -> None:
    x, d = data()

    def make() -> af.LMS:
        return af.LMS(4, 0.01, w0=torch.ones(4, dtype=torch.float64, requires_grad=True), dtype=torch.float64)

    f, g = make(), make()
    f(x, d)
    g.load_state_dict(f.state_dict())
    torch.testing.assert_close(g(x, d).y, f(x, d).y)
    moved = make().to(torch.float32)
    assert moved(x.float(), d.float()).e.requires_grad


@pytest.mark.parametrize("cls", [af.NLMS, af.RLS, af.AffineProjection, af.SignData])
def test_skipped_samples_leave_gradients_finite(cls: type) -> None:
    x, d = data(20)
    d[7] = torch.nan
    x.requires_grad_()
    cls.example(dtype=torch.float64, nonfinite="skip")(x, d).e.nansum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_a_learned_step_size_can_be_copied_and_frozen() -> None:
    x, d = data()
    a = torch.tensor(0.0, requires_grad=True)
    f = copy.deepcopy(af.LMS(4, 0.1 * torch.sigmoid(a), dtype=torch.float64))
    torch.testing.assert_close(f(x, d).y, af.LMS(4, 0.05, dtype=torch.float64)(x, d).y)
    g = af.LMS(4, nn.Parameter(torch.tensor(0.1)), dtype=torch.float64)
    g.mu = 0.05
    torch.testing.assert_close(g(x, d).y, af.LMS(4, 0.05, dtype=torch.float64)(x, d).y)


def test_a_filter_survives_inference_mode() -> None:
    x, d = data()
    for cls in (af.NLMS, af.RLS):
        f = cls.example(dtype=torch.float64)
        with torch.inference_mode():
            f(x, d)
            f.reset()
        torch.testing.assert_close(f(x, d).y, cls.example(dtype=torch.float64)(x, d).y)


def test_a_sweep_and_a_network_that_chooses_the_step_size() -> None:
    x, d = data(30, (3,))
    net = nn.Linear(1, 1, dtype=torch.float64)
    f = af.NLMS(4, batch=(3,), dtype=torch.float64)
    mu = torch.sigmoid(net(x.abs().unsqueeze(-1)).squeeze(-1))
    f(x, d, mu=mu).e.square().mean().backward()
    assert net.weight.grad is not None
    want = af.NLMS(4, batch=(3,), dtype=torch.float64)(x, d, mu=mu.detach())
    torch.testing.assert_close(f.w, want.w, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of torch.compile's own guards
def test_torch_compile_goes_round_a_filter(learned: bool) -> None:
    class Canceller(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            mu = nn.Parameter(torch.tensor(0.5, dtype=torch.float64)) if learned else 0.5
            self.filter = af.NLMS(5, mu, dtype=torch.float64)

        def forward(self, x: Tensor, d: Tensor) -> Tensor:
            return 2 * self.filter(2 * x, d).e

    x, d = data()
    plain, compiled = Canceller(), torch.compile(Canceller(), backend="eager")
    for _ in range(2):
        got, want = compiled(x, d), plain(x, d)
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
        assert got.requires_grad == learned


def test_numpy_stays_numpy_when_the_step_size_is_learned() -> None:
    x, d = (v.numpy() for v in data())
    out = af.NLMS(4, nn.Parameter(torch.tensor(0.5)), dtype=torch.float64)(x, d)
    assert all(isinstance(v, np.ndarray) for v in out)
