"""GradientFilter against a literal loop (forward, loss, zero_grad, backward, step), in every use."""

import copy
import ctypes
import io
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR

from adaptfilt import DivergenceError
from adaptfilt.gradient import mini_batches, tape, traced_step
from adaptfilt.gradient.filter import GradientFilter
from adaptfilt.gradient.traced_step import CompiledSteps

TAPS = 4
Make = Callable[[Any], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "AdamW amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
three = ("momentum", "Adam", "RMSprop")
main_optimizers = pytest.mark.parametrize("make", [OPTIMIZERS[k] for k in three], ids=three)
either = pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])


def mlp(outputs: int = 1, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(TAPS, 5), nn.Tanh(), nn.Linear(5, outputs)).double()


def signals(samples: int = 60, outputs: int = 0, batch: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    tail = (outputs,) if outputs else ()
    return (torch.randn(*batch, samples, *t, dtype=torch.float64, generator=rng) for t in ((), tail))


def regressors(x: Tensor) -> Tensor:
    padded = torch.cat([x.new_zeros(TAPS - 1), x])
    return torch.stack([padded[n : n + TAPS].flip(0) for n in range(len(x))])


def flat(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def literal(
    model: nn.Module, u: Tensor, d: Tensor, make: Make, loss: Any = None, size: int = 1, after: Any = None
) -> tuple[Tensor, Tensor]:
    """Return outputs and parameters after every mini-batch; d in the shape of the outputs."""
    loss, optimizer = loss or nn.MSELoss(), make(model.parameters())
    ys, ws = [], []
    for n in range(0, len(u), size):
        y = model(u[n : n + size])
        value = loss(y, d[n : n + size])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        ys.append(y.detach())
        ws.append(flat(model))
        if after:
            after(optimizer)
    return torch.cat(ys), torch.stack(ws)


def close(a: Any, b: Any, tolerance: float = 1e-11) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


@every_optimizer
@either
@pytest.mark.parametrize("size", [1, 7])
def test_equals_the_literal_loop(make: Make, compile: bool, size: int) -> None:
    x, d = signals()
    model = mlp()
    f = GradientFilter(copy.deepcopy(model), TAPS, optimizer=make, block_size=size, compile=compile)
    y, e, w = f(x, d, record_every=size)
    want, history = literal(model, regressors(x), d[:, None], make, size=size)
    close(y, want[:, 0])
    close(e, d - y)
    close(w, history[: len(x) // size])
    close(f.w, history[-1])


@either
def test_equals_the_literal_loop_in_single_precision(compile: bool) -> None:
    x, d = (v.float() for v in signals())
    model, make = mlp().float(), OPTIMIZERS["Adam"]
    f = GradientFilter(copy.deepcopy(model), TAPS, optimizer=make, compile=compile)
    y, _, w = f(x, d)
    want, history = literal(model, regressors(x), d[:, None], make)
    assert y.dtype == w.dtype == torch.float32
    close(y, want[:, 0], 2e-5)
    close(w, history[-1], 2e-5)


def test_an_optimiser_that_evaluates_the_loss_itself() -> None:
    x, d = signals(8)
    model = mlp()
    u, wanted = regressors(x), d[:, None]
    f = GradientFilter(copy.deepcopy(model), TAPS, optimizer=lambda p: torch.optim.LBFGS(p, max_iter=3), block_size=4)
    got = f(x, d).w
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    for n in (0, 4):

        def closure(n: int = n) -> Tensor:
            optimizer.zero_grad()
            value = nn.functional.mse_loss(model(u[n : n + 4]), wanted[n : n + 4])
            value.backward()
            return value

        optimizer.step(closure)
    close(got, flat(model))


class Shapes(nn.Module):
    """One output without an axis of its own."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(TAPS, dtype=dtype))

    def forward(self, u: Tensor) -> Tensor:
        return u @ self.w


@either
def test_rows_bias_several_outputs_and_custom_losses(compile: bool) -> None:
    x, d = signals(outputs=3)
    u, make = regressors(x), OPTIMIZERS["Adam"]
    for loss in (nn.L1Loss(), nn.HuberLoss(delta=0.3), lambda y, d: (y - d).pow(4).mean()):
        model = mlp(3)
        f = GradientFilter(copy.deepcopy(model), None, loss=loss, optimizer=make, block_size=4, compile=compile)
        y, e, w = f(u.numpy(), d.numpy())
        want, history = literal(model, u, d, make, loss, 4)
        assert isinstance(y, np.ndarray)
        assert y.shape == e.shape == d.shape
        close(y, want)
        close(w, history[-1])
    streamed = GradientFilter(mlp(3), TAPS, optimizer=make, compile=compile)
    close(streamed(x, d).y, literal(mlp(3), u, d, make)[0])
    column = GradientFilter(mlp(), TAPS)(x, d[:, :1])
    close(column.y[:, 0], GradientFilter(mlp(), TAPS)(x, d[:, 0]).y)
    bare = GradientFilter(Shapes(), TAPS, compile=compile)
    close(bare(x, d[:, 0]).w, literal(Shapes(), u, d[:, 0], lambda p: torch.optim.SGD(p, lr=0.01))[1][-1])
    bare.reset()
    assert bare(x, d[:, :1]).y.shape == (60, 1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [False, True])
def test_a_linear_layer_with_sgd_is_lms(bias: bool, rows: bool) -> None:
    x, d = signals(300)
    u, make = regressors(x), OPTIMIZERS["SGD"]
    model = nn.Linear(TAPS, 1, bias=bias).double()
    f = GradientFilter(copy.deepcopy(model), None if rows else TAPS, optimizer=make)
    parts = [f(u[a:b] if rows else x[a:b], d[a:b], record_every=10) for a, b in ((0, 110), (110, 300))]
    want, history = literal(model, u, d[:, None], make)
    close(torch.cat([p.y for p in parts]), want[:, 0])
    close(torch.cat([p.w for p in parts]), history[9::10])
    close(f.model.weight.detach(), model.weight.detach())


@main_optimizers
@either
def test_splits_steps_copies_and_saved_states_go_on_alike(make: Make, compile: bool) -> None:
    x, d = signals(40)

    def fresh() -> GradientFilter:
        return GradientFilter(mlp(), TAPS, optimizer=make, compile=compile)

    whole = fresh()(x, d)
    f = fresh()
    y = torch.cat([f(x[a:b], d[a:b]).y for a, b in ((0, 1), (1, 9), (9, 9), (9, 20))])
    close(y, whole.y[:20])
    twin, file = copy.deepcopy(f), io.BytesIO()
    torch.save(f.state_dict(), file)
    file.seek(0)
    loaded = fresh()
    loaded(d, x)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    want = f(x[20:], d[20:])
    close(want.y, whole.y[20:])
    for other in (twin, loaded):
        got = other(x[20:], d[20:])
        assert torch.equal(got.y, want.y)
        assert torch.equal(got.w, want.w)
        assert other.optimizer.param_groups[0]["params"][0] is next(iter(other.model.parameters()))
    g = fresh()
    steps = [g.step(*pair) for pair in zip(x.tolist(), d.tolist(), strict=True)]
    close([y for y, _ in steps], whole.y)
    h = fresh()
    for n in range(40):
        close(h.predict(x[n].item()), whole.y[n])
        h.adapt((d[n] - whole.y[n]).item())
    close(h.w, whole.w)
    f.reset()
    assert torch.equal(f(x, d).y, whole.y)


def test_the_optimisers_state_moves_with_the_filter() -> None:
    x, d = signals()
    f = GradientFilter(mlp().float(), TAPS, optimizer=OPTIMIZERS["Adam"])
    f(x[:30], d[:30])
    f.to(torch.float64)
    assert f(x[30:], d[30:]).y.dtype == torch.float64
    assert all(v.dtype == torch.float64 for s in f.optimizer.state.values() for k, v in s.items() if k != "step")
    doubled = GradientFilter(mlp().float(), TAPS, dtype=torch.float64)
    assert all(p.dtype == torch.float64 for p in doubled.parameters())


@either
def test_frozen_parameters_stay(compile: bool) -> None:
    x, d = signals()
    model = mlp()
    model[0].weight.requires_grad_(False)
    f = GradientFilter(copy.deepcopy(model), TAPS, optimizer=OPTIMIZERS["momentum"], compile=compile)
    close(f(x, d).w, literal(model, regressors(x), d[:, None], OPTIMIZERS["momentum"])[1][-1])
    assert torch.equal(f.model[0].weight, mlp()[0].weight)
    f.model[2].bias.requires_grad_(False)
    before = f.model[2].bias.clone()
    f(x, d)
    assert torch.equal(f.model[2].bias, before)


def test_dropout_is_on_while_adapting_and_off_while_filtering() -> None:
    x, d = signals()
    model = nn.Sequential(nn.Linear(TAPS, 5), nn.Dropout(0.5), nn.Linear(5, 1)).double()
    f = GradientFilter(copy.deepcopy(model), TAPS, optimizer=OPTIMIZERS["Adam"])
    torch.manual_seed(3)
    y = f(x, d).y
    torch.manual_seed(3)
    close(y, literal(model, regressors(x), d[:, None], OPTIMIZERS["Adam"])[0][:, 0])
    f.line.reset()
    model.eval()
    want = model(regressors(x))[:, 0].detach()
    close(f.filter(x), want)
    assert f.model[1].training
    f.eval()
    f.line.reset()
    y, e, w = f(x, d, record_every=20)
    close(y, want)
    close(e, d - want)
    close(w, flat(model).expand(3, -1))


@either
def test_batch_normalisation_needs_two_samples(compile: bool) -> None:
    x, d = signals()
    model = nn.Sequential(nn.Linear(TAPS, 5), nn.BatchNorm1d(5), nn.Linear(5, 1)).double()
    f = GradientFilter(copy.deepcopy(model), TAPS, optimizer=OPTIMIZERS["SGD"], block_size=6, compile=compile)
    close(f(x, d).y, literal(model, regressors(x), d[:, None], OPTIMIZERS["SGD"], size=6)[0][:, 0])
    close(f.model[1].running_var, model[1].running_var)
    before = copy.deepcopy(f.state_dict())
    for call in (lambda: f(x[:13], d[:13]), lambda: f.step(0.1, 0.2)):
        with pytest.raises(ValueError, match="model normalises"):
            call()
    with pytest.raises(DivergenceError):
        f(x, 1e300 * d)
    assert all(torch.equal(v, before[k]) for k, v in f.state_dict().items() if isinstance(v, Tensor))
    f.model[1].eval()
    f(x[:13], d[:13])


def test_schedules_and_clipping_are_those_of_torch() -> None:
    x, d = signals()
    u, model = regressors(x), mlp()
    f = GradientFilter(copy.deepcopy(model), TAPS, optimizer=OPTIMIZERS["SGD"], compile=True)
    scheduler = ExponentialLR(f.optimizer, 0.5)
    y = []
    for n in range(0, 60, 20):
        y.append(f(x[n : n + 20], d[n : n + 20]).y)
        scheduler.step()
    g = GradientFilter(copy.deepcopy(model), TAPS, optimizer=OPTIMIZERS["SGD"])
    every = ExponentialLR(g.optimizer, 0.9)
    g.optimizer.register_step_post_hook(lambda *_: every.step())
    for got, gamma, period in ((torch.cat(y), 0.5, 20), (g(x, d).y, 0.9, 1)):
        made: list[ExponentialLR] = []
        count = iter(range(1, 61))

        def make(parameters: Any, gamma: float = gamma, made: list[ExponentialLR] = made) -> torch.optim.Optimizer:
            optimizer = OPTIMIZERS["SGD"](parameters)
            made.append(ExponentialLR(optimizer, gamma))
            return optimizer

        def after(_: Any, made: Any = made, count: Any = count, period: int = period) -> None:
            if next(count) % period == 0:
                made[0].step()

        close(got, literal(copy.deepcopy(model), u, d[:, None], make, after=after)[0][:, 0])

    h = GradientFilter(copy.deepcopy(model), TAPS, optimizer=OPTIMIZERS["SGD"])
    h.optimizer.register_step_pre_hook(lambda *_: nn.utils.clip_grad_norm_(h.model.parameters(), 1e-3) and None)
    before = h.w
    h.step(1.0, 100.0)
    assert torch.linalg.vector_norm(h.w - before) == pytest.approx(0.05 * 1e-3, rel=1e-3)


# Many models in one call


@main_optimizers
@pytest.mark.parametrize(("compile", "size"), [(False, 7), (True, 1)], ids=["eager", "compiled"])
def test_a_batch_is_many_models(make: Make, compile: bool, size: int) -> None:
    x, d = signals(30, batch=(3,))
    options: dict[str, Any] = {"optimizer": make, "block_size": size, "compile": compile}
    f = GradientFilter([mlp(seed=k) for k in range(3)], TAPS, **options)
    assert f.batch == (3,)
    y, e, w = f(x, d, record_every=10)
    for k in range(3):
        one = GradientFilter(mlp(seed=k), TAPS, **options)(x[k], d[k], record_every=10)
        close(y[k], one.y)
        close(e[k], one.e)
        close(w[k], one.w)


@either
def test_batches_of_any_shape_rows_outputs_and_state(compile: bool) -> None:
    x, d = signals(20, outputs=2, batch=(2, 3))
    model = mlp(2)
    f = GradientFilter(model, TAPS, batch=(2, 3), optimizer=OPTIMIZERS["Adam"], compile=compile)
    assert f.w.shape == (2, 3, 37)
    y = torch.cat([f(x[..., :9], d[..., :9, :]).y, f(x[..., 9:], d[..., 9:, :]).y], -2)
    twin = copy.deepcopy(f)
    one = GradientFilter(mlp(2), TAPS, optimizer=OPTIMIZERS["Adam"])
    close(y[1, 2], one(x[1, 2], d[1, 2]).y)
    assert torch.equal(flat(model), flat(mlp(2)))
    got, want = twin.step(x[..., 0], d[..., 0, :]), f.step(x[..., 0].numpy(), d[..., 0, :].numpy())
    assert got[0].shape == (2, 3, 2)
    assert torch.equal(got[0], torch.as_tensor(want[0]))
    rows = GradientFilter(mlp(), None, batch=(2,))
    u = torch.stack([regressors(x[0, 0]), regressors(x[0, 1])])
    close(rows(u, d[0, :2, :, 0]).y[1], GradientFilter(mlp(), None)(u[1], d[0, 1, :, 0]).y)
    f.w = f.w * 0
    assert not any(p.any() for p in f.model.parameters())


@pytest.mark.parametrize("make", [OPTIMIZERS["momentum"], OPTIMIZERS["Adam"]], ids=["momentum", "Adam"])
@either
def test_a_sweep_of_the_learning_rate(make: Make, compile: bool) -> None:
    x, d = signals(30)
    rates = torch.tensor([0.1, 1.0, 1.7])
    options: dict[str, Any] = {"optimizer": make, "compile": compile}
    f = GradientFilter(mlp(), TAPS, batch=(3,), lr_scale=rates, **options)
    y = f(x.expand(3, -1), d.expand(3, -1)).y
    for k, rate in enumerate(rates.double()):
        one = GradientFilter(mlp(), TAPS, **options)
        one.optimizer.param_groups[0]["lr"] *= rate.item()
        close(y[k], one(x, d).y, 1e-6)  # the rates are float32


def test_a_batch_of_linear_layers_runs_on_lms() -> None:
    x, d = signals(50, batch=(3,))
    torch.manual_seed(0)
    models = [nn.Linear(TAPS, 1).double() for _ in range(3)]
    y = GradientFilter(models, TAPS, lr_scale=torch.tensor([1.0, 2.0, 3.0]))(x, d).y
    for k in range(3):
        want, _ = literal(models[k], regressors(x[k]), d[k][:, None], lambda p, k=k: torch.optim.SGD(p, 0.01 * (k + 1)))
        close(y[k], want[:, 0])


# What goes wrong


@either
@pytest.mark.parametrize("size", [1, 4])
def test_skipped_samples_are_left_out_of_their_mini_batch(compile: bool, size: int) -> None:
    x, d = signals(24)
    d[5], d[8:12], x[17] = torch.nan, torch.inf, torch.nan
    clean = torch.where(x.isnan(), 0.0, x)
    ok = ~(x.isnan() | ~d.isfinite())
    make = OPTIMIZERS["momentum"]
    f = GradientFilter(mlp(), TAPS, optimizer=make, block_size=size, nonfinite="skip", compile=compile)
    y, e, w = f(x, d)
    model = mlp()
    optimizer, u = make(model.parameters()), regressors(clean)
    for n in range(0, 24, size):
        part = slice(n, n + size)
        out = model(u[part])[:, 0]
        close(y[part], out.detach())
        if ok[part].any():
            optimizer.zero_grad()
            nn.functional.mse_loss(out[ok[part]], d[part][ok[part]]).backward()
            optimizer.step()
    assert torch.equal(e.isnan(), ~ok)
    close(w, flat(model))
    both = GradientFilter([mlp(), mlp()], TAPS, optimizer=make, block_size=size, nonfinite="skip", compile=compile)
    close(both(torch.stack([x, clean]), torch.stack([d, clean])).w[0], w)


@either
def test_divergence_gives_everything_back(compile: bool) -> None:
    x, d = signals()
    f = GradientFilter(mlp(), TAPS, optimizer=OPTIMIZERS["momentum"], compile=compile)
    f(x, d)
    before = copy.deepcopy(f.state_dict())
    f.optimizer.param_groups[0]["lr"] = 1e6
    with pytest.raises(DivergenceError, match="learning rate"):
        f(100 * x, d)
    f.optimizer.param_groups[0]["lr"] = 0.02
    after = f.state_dict()
    for key, value in before.items():
        if isinstance(value, Tensor):
            assert torch.equal(value, after[key])
    kept, state = (s["_extra_state"]["state"]["state"] for s in (before, after))
    assert all(torch.equal(kept[k]["momentum_buffer"], state[k]["momentum_buffer"]) for k in kept)
    assert f.optimizer.param_groups[0]["foreach"] is None


def test_bad_arguments() -> None:
    other = mlp()
    for error, match, arguments in (
        (TypeError, "model must be a torch module", {"model": lambda u: u}),
        (ValueError, "model has no parameter", {"model": nn.Tanh()}),
        (ValueError, "model has no parameter", {"model": mlp().requires_grad_(False)}),
        (ValueError, r"model cannot take regressors of shape \(1, 4\)", {"model": nn.Linear(3, 1)}),
        (ValueError, "model must map", {"model": nn.GRU(TAPS, 2)}),
        (TypeError, "one for each of batch", {"model": [mlp(), mlp()], "batch": (3,)}),
        (TypeError, "loss must be a function", {"loss": "mse"}),
        (TypeError, "optimizer must be a function", {"optimizer": torch.optim.SGD(other.parameters())}),
        (TypeError, "optimizer must return", {"optimizer": lambda p: None}),
        (ValueError, "optimizer must hold parameters", {"optimizer": lambda p: torch.optim.SGD(other.parameters())}),
        (ValueError, "entry by entry", {"optimizer": torch.optim.LBFGS, "batch": (2,)}),
        (ValueError, "block_size must be an integer >= 1", {"block_size": 0}),
        (ValueError, "lr_scale must be finite, > 0", {"lr_scale": 0.0}),
        (ValueError, "lr_scale must broadcast", {"lr_scale": torch.ones(3), "batch": (2,)}),
        (ValueError, "taps must be an integer >= 1", {"taps": 0}),
        (TypeError, "dtype must be one of", {"dtype": torch.float16}),
        (TypeError, "dtype must be one of", {"model": mlp().half()}),
    ):
        with pytest.raises(error, match=match):
            GradientFilter(**{"model": mlp(), "taps": TAPS, **arguments})


@either
def test_bad_blocks_change_nothing(compile: bool) -> None:
    x, d = signals(outputs=2)
    f = GradientFilter(mlp(2), TAPS, optimizer=OPTIMIZERS["Adam"], compile=compile)
    f(x, d)
    before = copy.deepcopy(f.state_dict())
    for match, arguments in (
        (r"d must have shape \(T, 2\), got \(60,\)", (x, d[:, 0])),
        (r"d must have shape \(T, 2\)", (x, d[:, :1])),
        (r"x must have shape \(T,\)", (x[None], d)),
        ("same length, got 60 and 59", (x, d[:-1])),
        ("x must be finite", (x.where(x < 1, torch.nan), d)),
    ):
        with pytest.raises(ValueError, match=match):
            f(*arguments)
    for wrong in (nn.MSELoss(reduction="none"), lambda y, d: y.mean().item(), lambda y, d: d.mean()):
        broken = GradientFilter(mlp(2), TAPS, loss=wrong)
        with pytest.raises(ValueError, match="loss must give one real number"):
            broken(x, d)
        assert torch.equal(broken.w, flat(mlp(2)))
        assert not broken.history.any()
    after = f.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items() if isinstance(v, Tensor))
    rows = GradientFilter(mlp(), None)
    with pytest.raises(ValueError, match="model cannot take regressors"):
        rows(torch.zeros(3, 5, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    with pytest.raises(ValueError, match="adapt follows predict"):
        rows.adapt(0.1)


def test_a_checkpoint_of_another_filter_changes_nothing() -> None:
    x, d = signals()
    f = GradientFilter(mlp(), TAPS, optimizer=OPTIMIZERS["Adam"])
    f(x, d)
    twin = copy.deepcopy(f)
    wider = GradientFilter(mlp(2), TAPS, optimizer=OPTIMIZERS["Adam"])
    wider(x, torch.stack([d, d], 1))
    with pytest.raises(ValueError, match="checkpoint is of SGD"):
        f.load_state_dict(GradientFilter(mlp(), TAPS).state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        f.load_state_dict(wider.state_dict())
    assert torch.equal(f(x, d).w, twin(x, d).w)


# compile=True


class Gated(nn.Module):
    """A recurrent unit over the delay line, with a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.GRU(1, 3, batch_first=True)
        self.norm = nn.LayerNorm(3)
        self.out = nn.Linear(3, 1)

    def forward(self, u: Tensor) -> Tensor:
        return self.out(self.norm(self.unit(u.flip(-1).unsqueeze(-1))[0][:, -1]))


class Attention(nn.Module):
    """Products, a softmax, slices and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.out = nn.Linear(TAPS, TAPS), nn.Linear(6, 1)

    def forward(self, u: Tensor) -> Tensor:
        h = self.key(u).reshape(-1, 2, 2)
        h = torch.softmax(h @ h.mT / 2, -1) @ h
        return self.out(torch.cat([h.flatten(1), u[:, ::2].clamp(-1, 1).square()], -1))


class Counter(nn.Module):
    """Keeps something outside its buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(TAPS, 1), 0

    def forward(self, u: Tensor) -> Tensor:
        self.calls += 1
        return self.calls * self.layer(u)


ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Softplus, nn.Hardtanh, nn.Sigmoid, nn.Softsign)


@pytest.mark.parametrize(
    "make",
    [Gated, Attention, lambda: nn.Sequential(nn.Linear(TAPS, 4), *(a() for a in ACTIVATIONS), nn.Linear(4, 1))],
    ids=["recurrent", "attention", "activations"],
)
@pytest.mark.parametrize("size", [1, 3])
def test_compiles_modules_of_many_kinds(make: Callable[[], nn.Module], size: int) -> None:
    x, d = signals(20)
    torch.manual_seed(0)
    model = make().double()
    f = GradientFilter(copy.deepcopy(model), TAPS, optimizer=OPTIMIZERS["Adam"], block_size=size, compile=True)
    close(f(x, d).y, literal(model, regressors(x), d[:, None], OPTIMIZERS["Adam"], size=size)[0][:, 0])
    assert [p is None for p in f._players.values()] == [False]


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (nn.Sequential(nn.Linear(TAPS, 4), nn.Dropout(0.5), nn.Linear(4, 1)), "bernoulli"),
        (nn.Sequential(nn.Unflatten(1, (1, TAPS)), nn.Conv1d(1, 1, TAPS), nn.Flatten(0)), "convolution"),
        (Counter(), "outside its buffers"),
    ],
    ids=["dropout", "convolution", "hidden state"],
)
def test_what_cannot_be_compiled_runs_uncompiled_with_a_warning(model: nn.Module, match: str) -> None:
    x, d = signals(6)
    f = GradientFilter(model.double(), TAPS, compile=True)
    with pytest.warns(UserWarning, match=match):
        y = f(x, d).y
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(x, d)
    assert y.isfinite().all()


def test_a_compiled_step_follows_changes() -> None:
    x, d = signals(40)
    model, make = mlp(), OPTIMIZERS["momentum"]
    f, g = (GradientFilter(copy.deepcopy(model), TAPS, optimizer=make, compile=c) for c in (True, False))

    def both(change: Callable[[GradientFilter], object]) -> None:
        change(f), change(g)
        close(f(x, d).y, g(x, d).y)

    both(lambda h: None)
    both(lambda h: h.optimizer.param_groups[0].update(lr=0.01))
    both(lambda h: h.optimizer.param_groups[0].update(weight_decay=0.1))
    both(lambda h: h.model[0].requires_grad_(False))
    both(lambda h: h.reset())
    both(lambda h: setattr(h, "w", 0.1 * torch.ones_like(h.w)))
    both(lambda h: setattr(h, "optimizer", torch.optim.Adam(h.model.parameters())))


# Autograd


def test_nothing_hangs_on_a_graph() -> None:
    x, d = signals()
    x.requires_grad_()
    f = GradientFilter(mlp(), TAPS)
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with mode():
            out = f(x, d)
            f.step(0.1, 0.2)
            f.predict(0.1)
            f.adapt(0.1)
        assert not any(v.requires_grad for v in (*out, f.w, f.history, f.filter(x)))
    assert all(p.grad is None and p.is_leaf for p in f.model.parameters())
    close(out.e, (d - out.y))


def test_complex_models() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(400, dtype=torch.complex128, generator=rng)
    h = torch.tensor([0.5, -0.2j, 0.1 + 0.3j, 0.2], dtype=torch.complex128)
    d = regressors(x) @ h
    for model in (nn.Linear(TAPS, 1, bias=False, dtype=torch.complex128), Shapes(torch.complex128)):
        f = GradientFilter(model, TAPS, optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
        close(f(x, d).w, h, 1e-6)
    clone = nn.Sequential(nn.Linear(TAPS, 1, bias=False, dtype=torch.complex128))
    nn.init.zeros_(clone[0].weight)
    squared = GradientFilter(copy.deepcopy(clone), TAPS)
    own = GradientFilter(copy.deepcopy(clone), TAPS, loss=lambda y, d: (y - d).abs().square().mean())
    assert squared.dtype == torch.complex128
    close(squared(x, d).w, own(x, d).w)


def test_description_and_empty_blocks() -> None:
    f = GradientFilter(mlp(), None, block_size=4)
    assert "taps=None, block_size=4" in repr(f)
    assert "float64, cpu, optimizer=SGD" in repr(f)
    assert f.taps is None
    empty = torch.zeros(0, TAPS, dtype=torch.float64)
    y, e, w = f(empty, torch.zeros(0, dtype=torch.float64), record_every=2)
    assert y.shape == e.shape == (0,)
    assert w.shape == (0, 31)
    assert f.filter(empty).shape == (0,)
    assert math.isclose(f.step(np.ones(TAPS), 0.5)[0], f.eval().step(torch.ones(TAPS).double(), 0.5)[0], abs_tol=0.1)


def test_the_program_runs_uncompiled_on_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    x, d = signals(20)
    f, g = (GradientFilter(mlp(), TAPS, optimizer=OPTIMIZERS["Adam"], compile=True) for _ in range(2))
    (f(x, d), g(x, d))  # the first step is eager
    want = f(x, d, record_every=4)

    def uncompiled(_: int, __: int, *given: int) -> int:
        arrays = [(ctypes.c_double * given[-1]).from_address(a) for a in given[:5]]  # as long as the workspace, or less
        tape_at, sizes = given[5], tape.Sizes(*given[6:-1])
        numbers = (ctypes.c_int64 * (sizes.length * tape.WIDTH)).from_address(tape_at)
        played.append(sizes.steps)
        return tape.play(*map(np.frombuffer, arrays), np.frombuffer(numbers, np.int64), sizes)

    played: list[int] = []
    monkeypatch.setattr(traced_step, "program", lambda: uncompiled)
    found = g(x, d, record_every=4)
    assert played == [20]
    close(found.y, want.y)
    close(found.w, want.w)
    close(flat(g.model), flat(f.model))


# compile=True with hyperparameters that change


def scheduled(compile: bool, blocks: int = 30) -> tuple[GradientFilter, Tensor]:
    """A filter whose schedule changes lr and momentum at every block, and its outputs."""
    x, d = signals(20 * blocks)
    f = GradientFilter(mlp(), TAPS, optimizer=OPTIMIZERS["momentum"], compile=compile)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(f.optimizer, 0.005, total_steps=blocks + 1)
    y = []
    for n in range(0, len(x), 20):
        y.append(f(x[n : n + 20], d[n : n + 20]).y)
        scheduler.step()
    return f, torch.cat(y)


def test_a_schedule_of_momentum_keeps_a_bounded_number_of_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It retraced at every block and kept every program; now it ends up eager, with one warning."""
    traced = []
    monkeypatch.setattr(mini_batches, "CompiledSteps", lambda *a, **k: traced.append(0) or CompiledSteps(*a, **k))
    with pytest.warns(UserWarning, match="runs uncompiled while the optimizer's hyperparameters") as told:
        f, y = scheduled(compile=True)
    assert len(told) == 1
    most = mini_batches.Players.MOST
    assert len(f._players) == most == len(traced) - 1  # the first finds that the optimiser has no state yet
    close(y, scheduled(compile=False)[1])
    x, d = signals()
    f.optimizer.param_groups[0]["momentum"] = 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(x, d), f(x, d), f(x, d)  # the schedule is over: compiled from the second block on
    assert len(f._players) == most == len(traced) - 2


def test_a_schedule_of_the_learning_rate_traces_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a scheduler writes beside the hyperparameters does not count either."""
    traced = []
    monkeypatch.setattr(mini_batches, "CompiledSteps", lambda *a, **k: traced.append(0) or CompiledSteps(*a, **k))
    x, d = signals(40)
    f = GradientFilter(mlp(), TAPS, compile=True)
    f(x, d)
    scheduler = ExponentialLR(f.optimizer, 0.9)
    for _ in range(5):
        f(x, d)
        scheduler.step()
        f.optimizer.param_groups[0]["of somebody else"] = f.optimizer.param_groups[0]["lr"]
    assert len(traced) == 1


# What is state, and whose memory it is


@pytest.mark.parametrize("rows", [False, True])
def test_a_sample_passed_over_is_remembered(rows: bool) -> None:
    """By copies, checkpoints and through assignments: adapt passes over what predict passed over."""

    def fresh() -> GradientFilter:
        return GradientFilter(mlp(), None if rows else TAPS, nonfinite="skip", optimizer=OPTIMIZERS["momentum"])

    def sample(value: float) -> Any:
        return torch.full((TAPS,), value, dtype=torch.float64) if rows else value

    f = fresh()
    f.step(sample(0.5), 0.25)
    f.predict(sample(math.nan))
    file, loaded = io.BytesIO(), fresh()
    torch.save(f.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    moved = copy.deepcopy(f).to(torch.float32).to(torch.float64)
    for g in (f, copy.deepcopy(f), loaded, moved):
        g.w = g.w * 1.0
        g.lr_scale = 2.0
        before = g.w
        g.adapt(1.0)
        assert torch.equal(g.w, before)
        g.predict(sample(0.5))
        g.adapt(1.0)
        assert not torch.equal(g.w, before)
        g.predict(sample(math.nan))
        g(*(torch.ones(3, *s, dtype=torch.float64) for s in ((TAPS,) if rows else (), ())))
        before = g.w
        g.adapt(1.0)
        assert not torch.equal(g.w, before)
    f.reset()
    if rows:
        with pytest.raises(ValueError, match="adapt follows predict"):
            f.adapt(1.0)


def test_the_newest_row_is_part_of_a_checkpoint() -> None:
    f, g = GradientFilter(mlp(), None), GradientFilter(mlp(), None)
    f.predict(np.ones(TAPS))
    g.load_state_dict(copy.deepcopy(f.state_dict()))
    f.adapt(0.5)
    g.adapt(0.5)
    assert torch.equal(f.w, g.w)
    assert not torch.equal(f.w, flat(mlp()))


def test_what_cannot_be_assigned_says_so() -> None:
    f = GradientFilter(mlp(), TAPS, block_size=2)
    for name, value in (
        ("block_size", 3), ("batch", (2,)), ("taps", 5), ("model", mlp()), ("loss", nn.L1Loss()), ("device", "meta")
    ):  # fmt: skip
        with pytest.raises(TypeError, match=f"{name} is read-only: make a new GradientFilter"):
            setattr(f, name, value)
    assert (f.block_size, f.batch, f.taps) == (2, (), TAPS)
    for name, value in (("nonfinite", "ignore"), ("lr_scale", -1.0), ("lr_scale", torch.ones(2))):
        with pytest.raises(ValueError, match=name):
            setattr(f, name, value)
    with pytest.raises(ValueError, match="assign must be False"):
        f.load_state_dict(f.state_dict(), assign=True)


@either
def test_what_can_be_assigned_takes_effect_after_use(compile: bool) -> None:
    x, d = signals()
    f = GradientFilter(mlp(), TAPS, optimizer=OPTIMIZERS["momentum"], compile=compile)
    f(x, d)
    f.nonfinite = "skip"
    spoilt = x.clone()
    spoilt[7] = math.nan
    assert f(spoilt, d).e.isnan().nonzero().flatten().tolist() == [7]
    f.nonfinite = "raise"
    with pytest.raises(ValueError, match="x must be finite"):
        f(spoilt, d)
    f.lr_scale = 1e-12
    before = f.w
    close(f(x, d).w, before, 1e-9)
    f.lr_scale = 1.0
    assert (f(x, d).w - before).abs().max() > 1e-3


def test_nothing_but_the_model_shares_the_callers_memory() -> None:
    x, d = signals(batch=(2,))
    scale = torch.tensor([1.0, 0.5])
    f = GradientFilter([mlp(), mlp()], TAPS, lr_scale=scale)
    g = GradientFilter([mlp(), mlp()], TAPS, lr_scale=scale.numpy().copy())
    scale.mul_(100)
    y, e, w = f(x, d)
    want = g(x, d)
    y.zero_(), e.zero_(), w.zero_()
    assert torch.equal(f.w, want.w)
    u = regressors(x[0])
    kept = u.clone()
    own = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(TAPS, 1)).double()
    rows = GradientFilter(own, None, block_size=3)
    rows(u, d[0])
    rows.filter(u)
    rows.predict(u[0])
    rows.step(u[0], d[0, 0])
    rows.adapt(0.5)
    assert torch.equal(u, kept)
    assert rows.model is own


@pytest.mark.parametrize("outputs", [0, 3])
@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_an_empty_block_changes_nothing(outputs: int, batch: tuple[int, ...], rows: bool, nonfinite: str) -> None:
    model = mlp(outputs or 1)
    f = GradientFilter(model, None if rows else TAPS, batch=batch, nonfinite=nonfinite, compile=True, block_size=2)
    x, d = signals(6, outputs, batch)
    u = x.new_ones(*batch, 6, TAPS) if rows else x
    f(u, d)
    before = copy.deepcopy(f.state_dict())
    for kind in (lambda v: v, lambda v: v.numpy()):
        for mode in (True, False):
            f.train(mode)
            time = (slice(None),) * len(batch) + (slice(0, 0),)
            y, e, w = f(kind(u[time]), kind(d[time]), record_every=2)
            tail = (outputs,) if outputs else ()
            assert y.shape == e.shape == (*batch, 0, *tail)
            assert w.shape == (*batch, 0, f.w.shape[-1])
            assert f(kind(u[time]), kind(d[time])).w.shape == f.w.shape
            assert f.filter(kind(u[time])).shape == (*batch, 0, *tail)
    after = f.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items() if isinstance(v, Tensor))


@either
def test_torch_defaults_do_not_reach_inside(compile: bool) -> None:
    x, d = signals()
    make = OPTIMIZERS["Adam"]
    models = mlp().float(), Gated(), nn.Linear(TAPS, 1)

    def outputs() -> list[Tensor]:
        found = []
        for model, optimizer in zip(models, (make, make, OPTIMIZERS["SGD"]), strict=True):
            own, options = copy.deepcopy(model), {"nonfinite": "skip", "lr_scale": 0.5, "compile": compile}
            f = GradientFilter(own, TAPS, optimizer=optimizer, **options)
            y, e, w = f(x.float(), d.float())
            found += [y, e, w, f.filter(x.float())]
            f.predict(0.5)
            f.adapt(0.5)
            f.step(0.1, 0.2)
            found.append(f.w)
        return found

    want = outputs()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        got = outputs()
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(got, want, strict=True))


# The verbs of the base class


def test_what_other_filters_take_is_refused_by_name() -> None:
    x, d = signals(5)
    f = GradientFilter(mlp(), TAPS)
    for name, value, instead in (("mu", 0.5, "lr_scale"), ("regressors", True, "taps=None"), ("path", x, "adapt")):
        with pytest.raises(TypeError, match=f"{name} cannot be given to a GradientFilter: use {instead}"):
            f(x, d, **{name: value})
    with pytest.raises(TypeError, match="needs d"):
        f(x)
    with pytest.raises(TypeError, match="inputs cannot be given"):
        GradientFilter(mlp(), TAPS, inputs=2)
    with pytest.raises(ValueError, match="x must have shape"):
        GradientFilter(mlp(), TAPS, batch=(2,)).predict(torch.zeros((), dtype=torch.float64))
    assert not f.history.any()


def test_adapts_in_eval_where_asked() -> None:
    x, d = signals()
    f, g = (GradientFilter(mlp(), TAPS, adapt_in_eval=evaluated) for evaluated in (True, False))
    f.eval()
    for h in (f, g):
        h(x[:20], d[:20])
        h.step(x[20].item(), d[20].item())
        h.predict(x[21].item())
        h.adapt(0.5)
    assert torch.equal(f.w, g.w)
    assert not torch.equal(f.w, flat(mlp()))


@pytest.mark.parametrize("rows", [False, True])
def test_a_part_of_the_batch_returns_to_the_start(rows: bool) -> None:
    x, d = signals(20, batch=(2, 2))
    if rows:
        x = torch.stack([torch.stack([regressors(v) for v in row]) for row in x])
    mask = torch.tensor([[True, False], [False, True]])
    f = GradientFilter(mlp(), None if rows else TAPS, batch=(2, 2), nonfinite="skip")
    start, line = f.w, f.line.samples.clone()
    f(x, d)
    w, before = f.w, f.line.samples.clone()
    f.reset(mask)
    assert torch.equal(f.w, torch.where(mask[..., None], start, w))
    assert torch.equal(f.line.samples, torch.where(mask[..., None], line, before))
    f.reset(torch.zeros(2, 2, dtype=torch.bool))
    fresh = GradientFilter(mlp(), None if rows else TAPS, batch=(2, 2))
    close(f(x, d).y[mask], fresh(x, d).y[mask])
    f.reset(~torch.zeros(2, 2, dtype=torch.bool))
    assert torch.equal(f.w, start)
    with pytest.raises(ValueError, match="mask must be bool of shape"):
        f.reset(torch.tensor([True]))


def test_a_part_of_the_batch_cannot_return_where_the_optimiser_counts_for_all() -> None:
    x, d = signals(5, batch=(2,))
    f = GradientFilter(mlp(), TAPS, batch=(2,), optimizer=OPTIMIZERS["Adam"])
    f(x, d)
    before = copy.deepcopy(f.state_dict())
    with pytest.raises(ValueError, match="needs an optimizer without a state, as plain SGD: here Adam keeps one"):
        f.reset(torch.tensor([True, False]))
    after = f.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items() if isinstance(v, Tensor))
    one = GradientFilter(mlp(), TAPS)
    one(x[0], d[0])
    assert torch.equal(one.reset(torch.tensor(True)).w, flat(mlp()))


def test_reset_goes_back_to_the_optimiser_that_was_assigned() -> None:
    x, d = signals()
    f = GradientFilter(mlp(), TAPS, optimizer=OPTIMIZERS["momentum"])
    f(x, d)
    f.optimizer = OPTIMIZERS["Adam"](list(f.model.parameters()))
    f(x, d)
    f.reset()
    close(f(x, d).w, GradientFilter(mlp(), TAPS, optimizer=OPTIMIZERS["Adam"])(x, d).w)
