"""Gradients through a filter's adaptation, as a user of torch meets them; the engine's own are in test_block.py."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vmap

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


@pytest.mark.parametrize("output", ["y", "e", "w"])
@pytest.mark.parametrize("square", [True, False])
def test_a_second_derivative_is_that_of_the_reference(output: str, square: bool) -> None:
    x, d = data()

    def hessian(engine: str) -> Tensor:
        def loss(mu: Tensor) -> Tensor:
            v = getattr(af.NLMS(3, mu, eps=1.0, dtype=torch.float64, engine=engine)(x, d), output)
            return v.square().mean() if square else v.sum()

        return torch.autograd.functional.hessian(loss, torch.tensor(0.4, dtype=torch.float64))

    torch.testing.assert_close(hessian("block"), hessian("reference"), rtol=1e-11, atol=0)
    assert hessian("block") != 0


@pytest.mark.parametrize("cls", [af.NLMS, af.LMF, af.RLS, af.AffineProjection])
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # of torch's own forward mode
def test_forward_mode_is_the_transpose_of_reverse_mode(cls: type, which: int) -> None:
    x, d = data(12)
    given = [x, d, torch.ones(4, dtype=torch.float64)]

    def call(*values: Tensor) -> tuple[af.Output, Tensor, object]:
        f = cls.example(dtype=torch.float64, w0=values[2])
        out = f(values[0], values[1])
        return out, f.eval()(values[0], values[1]).y, f

    tangents = [torch.randn(v.shape, generator=torch.Generator().manual_seed(1), dtype=v.dtype) for v in given]
    with forward_ad.dual_level():
        dual = [forward_ad.make_dual(v, tangents[which]) if i == which else v for i, v in enumerate(given)]
        out, settled, f = call(*dual)
        forward = [forward_ad.unpack_dual(v).tangent for v in (out.y, out.e, out.w)]
        still = forward_ad.unpack_dual(settled).tangent
        assert all(forward_ad.unpack_dual(v).tangent is None for v in f.state_dict().values())
    leaf = given[which].requires_grad_()
    out, settled, _ = call(*given)
    reverse = [
        torch.autograd.grad(v.sum(), leaf, retain_graph=True)[0] @ tangents[which] for v in (out.y, out.e, out.w)
    ]
    torch.testing.assert_close([v.sum() for v in forward], reverse, rtol=1e-10, atol=1e-10)
    assert (still is not None) == (which == 0)
    if still is not None:
        torch.testing.assert_close(still.sum(), torch.autograd.grad(settled.sum(), leaf)[0] @ tangents[0])


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # of torch's own forward mode
def test_transforms_of_torch_func_are_refused_by_name() -> None:
    x, d = data()
    two = torch.stack([x, x])
    f = af.NLMS(3, nn.Parameter(torch.tensor(0.4)), dtype=torch.float64)
    plain = af.NLMS(3, 0.4, dtype=torch.float64)
    before = {k: v.clone() for g in (f, plain) for k, v in g.state_dict().items()}
    calls = {
        "x": [
            lambda: vmap(lambda v: f(v, d).e)(two),
            lambda: vmap(lambda v: plain(v, d).e)(two),
            lambda: vmap(plain.filter)(two),
            lambda: grad(lambda v: plain(v, d).e.sum())(x),
            lambda: jvp(lambda v: plain(v, d).e, (x,), (x,)),
        ],
        "d": [lambda: vmap(lambda v: plain(x, v).e)(two)],
        "mu": [
            lambda: vmap(lambda v: af.NLMS(3, v, dtype=torch.float64)(x, d).e)(two[:, 0]),
            lambda: vmap(lambda v: plain(x, d, mu=v).e)(two[:, :1].abs()),
            lambda: grad(lambda p: functional_call(f, p, (x, d)).e.sum())(dict(f.named_parameters())),
        ],
        "the state": [lambda: grad(lambda v: af.NLMS(3, 0.4, dtype=torch.float64)(v, d).e.sum())(x)],
    }
    for name, transformed in calls.items():
        for call in transformed:
            with pytest.raises(TypeError, match=rf"^{name} must be a tensor in memory.*torch\.func"):
                call()
    after = {k: v for g in (f, plain) for k, v in g.state_dict().items()}
    assert all(torch.equal(after[k], v) for k, v in before.items())


def test_a_delta_to_learn_is_refused() -> None:
    delta = torch.tensor(0.1, requires_grad=True)
    with pytest.raises(ValueError, match=r"^delta must not require a gradient"):
        af.RLS(3, delta=delta)
    f = af.RLS(3, delta=0.2)
    with pytest.raises(ValueError, match=r"^delta must not require a gradient"):
        f.delta = nn.Parameter(delta.detach())
    assert f.delta == 0.2


SINGULAR = {
    "silence": torch.zeros(120, dtype=torch.float64),
    "constant": torch.ones(120, dtype=torch.float64),
    "tone": torch.sin(0.3 * torch.arange(120.0, dtype=torch.float64)),
    "slow tone": torch.sin(0.02 * torch.arange(120.0, dtype=torch.float64)),
    "white": data(120)[0],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
@pytest.mark.parametrize("signal", SINGULAR)
@pytest.mark.parametrize(("taps", "order"), [(8, 4), (2, 5)])
def test_affine_projection_survives_singular_correlations(
    dtype: torch.dtype, signal: str, taps: int, order: int
) -> None:
    """At every level: gradients are finite, and engines agree as far as rounding noise in the null space lets them."""
    for level in (1e-3, 1.0, 1e2, 1e4):
        x = (level * SINGULAR[signal] * (np.exp(0.7j) if dtype.is_complex else 1)).to(dtype)
        d = 0.5 * x.roll(1) + (0.1 * level * data(120)[1]).to(dtype)
        plain = af.AffineProjection(taps, 0.5, order=order, dtype=dtype)(x, d)
        learned = x.clone().requires_grad_()
        graph = af.AffineProjection(taps, 0.5, order=order, dtype=dtype)(learned, d)
        (graph.e.abs().square().sum() / level**2).backward()
        assert torch.isfinite(learned.grad).all()  # type: ignore[arg-type]
        tolerance = 0.05 if dtype.to_real() == torch.float32 else 1e-3
        assert (plain.e - graph.e).abs().max() <= tolerance * d.abs().max()
        assert plain.e.abs().max() <= 30 * d.abs().max()


def test_affine_projection_is_the_textbook_where_the_correlations_are_regular() -> None:
    x, d = data(100)
    f = af.AffineProjection(6, 0.5, order=3, eps=1e-9, dtype=torch.float64, engine="reference")
    w, stream, D = np.zeros(6), np.zeros(8), np.zeros(3)
    for x_n, d_n in zip(x.numpy(), d.numpy(), strict=True):
        stream, D = np.append(stream[1:], x_n), np.append(d_n, D[:2])
        U = np.stack([stream[::-1][k : k + 6] for k in range(3)])
        w = w + 0.5 * U.T @ np.linalg.solve(U @ U.T + 1e-9 * np.eye(3), D - U @ w)
    np.testing.assert_allclose(f(x, d).w, w, rtol=1e-8)


@pytest.mark.parametrize("engine", ["block", "reference"])
def test_numbers_keep_all_digits_in_double_precision(engine: str) -> None:
    """As attributes, with the call, and beside a tensor; also those that float32 does not hold."""
    x, d = data(200)
    want = af.NLMS(4, 0.1, eps=0.3, dtype=torch.float64, engine="compiled")(x, d).e
    for eps in (0.3, torch.tensor(0.3, dtype=torch.float64, requires_grad=True)):
        f = af.NLMS(4, 0.1, eps=eps, dtype=torch.float64, engine=engine)
        torch.testing.assert_close(f(x, d).e, want, rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(f.reset()(x, d, mu=0.1).e, want, rtol=1e-13, atol=1e-13)
    mu = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    silent = af.NLMS(4, mu, eps=1e-60, dtype=torch.float64, engine=engine)(0 * x, d)
    torch.testing.assert_close(silent.e, d, rtol=0, atol=0)
