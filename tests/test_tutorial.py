"""The tutorial results this library grew out of: every form of the same filter, with the figures it printed."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import adaptfilt as af

N, M, ETA = 500, 3, 0.1
PLANT = np.array([0.1, 0.2, 0.3])


def signals() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input, desired signal and regressors, newest first."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal(N)
    d = lfilter(PLANT, 1, x) + np.sqrt(0.01) * rng.standard_normal(N)
    past = np.concatenate([np.zeros(M - 1), x])
    return x, d, np.array([past[n : n + M][::-1] for n in range(N)])


def numpy_loop() -> np.ndarray:
    _, d, u = signals()
    w, history = np.zeros(M), []
    for n in range(N):
        w = w + ETA * (d[n] - w @ u[n]) * u[n]
        history.append(w)
    return np.array(history)


def torch_tensors() -> np.ndarray:
    _, d, u = (torch.from_numpy(v) for v in signals())
    w, history = torch.zeros(M, dtype=torch.float64), []
    for n in range(N):
        w = w + ETA * (d[n] - w @ u[n]) * u[n]
        history.append(w)
    return torch.stack(history).numpy()


def autograd() -> np.ndarray:
    _, d, u = (torch.from_numpy(v) for v in signals())
    w, history = torch.zeros(M, dtype=torch.float64, requires_grad=True), []
    for n in range(N):
        ((d[n] - w @ u[n]) ** 2).backward()
        with torch.no_grad():
            assert w.grad is not None
            w -= ETA / 2 * w.grad
            w.grad.zero_()
        history.append(w.detach().clone())
    return torch.stack(history).numpy()


def loss_function() -> np.ndarray:
    _, d, u = (torch.from_numpy(v) for v in signals())
    w, history, loss = torch.zeros(M, dtype=torch.float64, requires_grad=True), [], nn.MSELoss()
    for n in range(N):
        loss(w @ u[n], d[n]).backward()
        with torch.no_grad():
            assert w.grad is not None
            w -= ETA / 2 * w.grad
            w.grad.zero_()
        history.append(w.detach().clone())
    return torch.stack(history).numpy()


def optimiser() -> np.ndarray:
    _, d, u = (torch.from_numpy(v) for v in signals())
    w, history = torch.zeros(M, dtype=torch.float64, requires_grad=True), []
    sgd = torch.optim.SGD([w], lr=ETA / 2)
    for n in range(N):
        sgd.zero_grad()
        nn.functional.mse_loss(w @ u[n], d[n]).backward()
        sgd.step()
        history.append(w.detach().clone())
    return torch.stack(history).numpy()


class Combiner(nn.Module):
    """A module with its own parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(M, dtype=torch.float64))

    def forward(self, u: Tensor) -> Tensor:
        return u @ self.weight


def linear(zero: bool) -> nn.Linear:
    torch.manual_seed(1)
    layer = nn.Linear(M, 1, bias=False, dtype=torch.float64)
    if zero:
        nn.init.zeros_(layer.weight)
    return layer


def module(model: nn.Module) -> np.ndarray:
    _, d, u = (torch.from_numpy(v) for v in signals())
    sgd, history = torch.optim.SGD(model.parameters(), lr=ETA / 2), []
    for n in range(N):
        sgd.zero_grad()
        nn.functional.mse_loss(model(u[n]).squeeze(), d[n]).backward()
        sgd.step()
        history.append(nn.utils.parameters_to_vector(model.parameters()).detach().clone())
    return torch.stack(history).numpy()


def gradient_filter(model: nn.Module, compile: bool = False) -> np.ndarray:
    x, d, _ = signals()
    f = af.GradientFilter(model, M, optimizer=lambda p: torch.optim.SGD(p, lr=ETA / 2), compile=compile)
    return f(x, d, record_every=1).w


def lms(engine: str) -> np.ndarray:
    x, d, _ = signals()
    return af.LMS(M, ETA, dtype=torch.float64, engine=engine)(x, d, record_every=1).w


FORMS = {
    "torch tensors": torch_tensors,
    "autograd": autograd,
    "nn.MSELoss": loss_function,
    "torch.optim.SGD": optimiser,
    "nn.Module": lambda: module(Combiner()),
    "nn.Linear set to zero": lambda: module(linear(zero=True)),
    "LMS": lambda: lms("auto"),
    "LMS, reference": lambda: lms("reference"),
    "LMS, block": lambda: lms("block"),
    "GradientFilter of a module": lambda: gradient_filter(Combiner()),
    "GradientFilter of nn.Linear": lambda: gradient_filter(linear(zero=True)),
    "GradientFilter, compiled": lambda: gradient_filter(Combiner(), compile=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_lms_is_the_numpy_loop(form: str) -> None:
    np.testing.assert_allclose(FORMS[form](), numpy_loop(), rtol=0, atol=1e-12)


def test_random_initial_weights_do_not_coincide_at_first_and_still_converge() -> None:
    want, got = numpy_loop(), module(linear(zero=False))
    assert np.abs(got[0] - want[0]).max() > 0.1
    np.testing.assert_allclose(got[-1], want[-1], atol=1e-6)
    np.testing.assert_allclose(gradient_filter(linear(zero=False)), got, atol=1e-12)
    assert np.abs(got[-100:].mean(0) - PLANT).max() < 0.03


class Line(nn.Module):
    """The module class around nn.Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def zero_line() -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


X4 = np.array([1.0, 2.0, 3.0, 4.0], np.float32)


def by_hand(lr: float, epochs: int, average: bool = True) -> tuple[list[float], list[float]]:
    x, y, w, weights, losses = X4, 2 * X4, np.float32(0), [], []
    for _ in range(epochs):
        losses.append(float(((w * x - y) ** 2).mean()))
        gradient = 2 * x * (w * x - y)
        w = w - np.float32(lr) * (gradient.mean() if average else gradient.sum())
        weights.append(float(w))
    return weights, losses


def by_autograd(lr: float, epochs: int) -> tuple[list[float], list[float]]:
    x, w, weights, losses = torch.from_numpy(X4), torch.zeros((), requires_grad=True), [], []
    for _ in range(epochs):
        loss = ((w * x - 2 * x) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            assert w.grad is not None
            w -= lr * w.grad
            w.grad.zero_()
        weights.append(w.item())
        losses.append(loss.item())
    return weights, losses


def by_optimiser(lr: float, epochs: int, model: nn.Module) -> tuple[list[float], list[float]]:
    x, sgd, weights, losses = torch.from_numpy(X4)[:, None], torch.optim.SGD(model.parameters(), lr), [], []
    for _ in range(epochs):
        sgd.zero_grad()
        loss = nn.MSELoss()(model(x), 2 * x)
        loss.backward()
        sgd.step()
        weights.append(next(model.parameters()).item())
        losses.append(loss.item())
    return weights, losses


def by_gradient_filter(lr: float, epochs: int, model: nn.Module, **options: bool) -> tuple[list[float], list[float]]:
    f = af.GradientFilter(model, taps=None, block_size=4, optimizer=lambda p: torch.optim.SGD(p, lr=lr), **options)
    weights, losses = [], []
    for _ in range(epochs):
        _, e, w = f(X4[:, None], 2 * X4)
        weights.append(float(w[0]))
        losses.append(float((e**2).mean()))
    return weights, losses


WAYS = {
    "NumPy": by_hand,
    "autograd": by_autograd,
    "nn.Linear": lambda lr, epochs: by_optimiser(lr, epochs, zero_line()),
    "module class": lambda lr, epochs: by_optimiser(lr, epochs, Line()),
    "GradientFilter": lambda lr, epochs: by_gradient_filter(lr, epochs, zero_line()),
    "GradientFilter of a class": lambda lr, epochs: by_gradient_filter(lr, epochs, Line()),
    "GradientFilter, compiled": lambda lr, epochs: by_gradient_filter(lr, epochs, Line(), compile=True),
}


@pytest.mark.parametrize("way", WAYS)
def test_one_weight(way: str) -> None:
    weights, losses = WAYS[way](0.01, 10)
    assert np.round(weights, 3).tolist() == [0.3, 0.555, 0.772, 0.956, 1.113, 1.246, 1.359, 1.455, 1.537, 1.606]
    assert np.round(losses, 3).tolist() == [30.0, 21.675, 15.66, 11.314, 8.175, 5.906, 4.267, 3.083, 2.228, 1.609]
    assert abs(5 * weights[-1] - 8.031) < 6e-4
    weights, _ = WAYS[way](0.01, 20)
    assert f"{weights[-1]:.3f}" == "1.922"
    assert abs(5 * weights[-1] - 9.612) < 6e-4
    weights, _ = WAYS[way](0.1, 10)
    assert np.round(weights, 3).tolist() == pytest.approx(
        [3.0, 1.5, 2.25, 1.875, 2.062, 1.969, 2.016, 1.992, 2.004, 1.998], abs=6e-4
    )
    weights, _ = WAYS[way](0.01, 100)
    assert f"{weights[-1]:.3f}" == "2.000"


def test_one_weight_with_the_gradient_summed() -> None:
    want = [1.2, 1.68, 1.872, 1.949, 1.98]
    assert np.round(by_hand(0.01, 5, average=False)[0], 3).tolist() == want
    f = af.GradientFilter(
        zero_line(),
        taps=None,
        block_size=4,
        loss=nn.MSELoss(reduction="sum"),
        optimizer=lambda p: torch.optim.SGD(p, lr=0.01),
    )
    got = [float(f(X4[:, None], 2 * X4).w[0]) for _ in range(5)]
    assert np.round(got, 3).tolist() == want


INPUTS = np.array([[73, 67, 43], [91, 88, 64], [87, 134, 58], [102, 43, 37], [69, 96, 70]], np.float32)
TARGETS = np.array([[56, 70], [81, 101], [119, 133], [22, 37], [103, 119]], np.float32)


def fruit() -> nn.Linear:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.8899, 0.7672, 0.8527], [-1.0839, 0.0552, 1.3619]]))
        layer.bias.copy_(torch.tensor([1.5510, -0.7765]))
    return layer


def test_two_outputs_by_autograd() -> None:
    model, x, y = fruit(), torch.from_numpy(INPUTS), torch.from_numpy(TARGETS)
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    assert loss.item() == pytest.approx(25509.4688, rel=3e-5)  # the printed weights have four decimals
    want = [[16949.2109, 16568.7324, 10558.5654], [-8963.5625, -9504.7051, -5806.9795]]
    assert model.weight.grad is not None
    assert model.bias.grad is not None
    np.testing.assert_allclose(model.weight.grad, want, rtol=3e-5)
    np.testing.assert_allclose(model.bias.grad, [196.9151, -105.4447], rtol=3e-5)


@pytest.mark.parametrize("compile", [False, True])
def test_two_outputs_through_the_gradient_filter(compile: bool) -> None:
    f = af.GradientFilter(
        fruit(), taps=None, block_size=5, optimizer=lambda p: torch.optim.SGD(p, lr=1e-5), compile=compile
    )
    losses = [float((f(INPUTS, TARGETS).e ** 2).mean()) for _ in range(3)]
    assert losses == pytest.approx([25509.4688, 17516.9805, 12126.9658], rel=3e-5)


def test_shuffled_mini_batches_bring_the_loss_below_100() -> None:
    data = TensorDataset(torch.from_numpy(np.tile(INPUTS, (3, 1))), torch.from_numpy(np.tile(TARGETS, (3, 1))))
    loader = DataLoader(data, batch_size=5, shuffle=True, generator=torch.Generator().manual_seed(0))
    f = af.GradientFilter(fruit(), taps=None, block_size=5, optimizer=lambda p: torch.optim.SGD(p, lr=1e-5))
    for _ in range(100):
        for x, d in loader:
            f(x, d)
    f.eval()
    assert float((f(INPUTS, TARGETS).e ** 2).mean()) < 100


def test_autograd_facts() -> None:
    w = torch.ones(1, requires_grad=True)
    for expected in (3.0, 6.0):  # gradients accumulate unless cleared
        (3 * w).sum().backward()
        assert w.grad is not None
        assert w.grad.item() == expected
    assert torch.from_numpy(np.zeros(2)).dtype == torch.float64
    x, d, _ = signals()
    f = af.GradientFilter(linear(zero=True), M)
    for out in (f(torch.from_numpy(x), torch.from_numpy(d)).y, f.filter(torch.from_numpy(x)), f.w, f.history):
        assert not out.requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_the_same_code_runs_on_the_gpu() -> None:
    x, d, _ = (torch.from_numpy(v).cuda() for v in signals())
    got = af.LMS(M, ETA, dtype=torch.float64, device="cuda")(x, d, record_every=1).w.cpu()
    np.testing.assert_allclose(got, numpy_loop(), atol=1e-12)
