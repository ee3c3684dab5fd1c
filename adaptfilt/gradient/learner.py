"""A module with its loss and its optimiser: what `GradientFilter` adapts.

Many models are one module whose parameters and buffers have an axis of models in front. The module is mapped over
it (`torch.vmap`), and an optimiser that works entry by entry is right for them as it is.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim import optimizer as hooks

from adaptfilt.checks import DivergenceError
from adaptfilt.taps import windows

CHUNK = 4096  # samples whose regressors are written out at a time
JOINT = ("LBFGS", "Adafactor", "Muon")  # optimisers that do not work entry by entry


class Learner:
    """What is adapted.

    Parameters
    ----------
    model : nn.Module
    loss : callable
        From outputs and desired outputs to a real scalar.
    optimizer : Optimizer
        Of the model's parameters.
    count : int or None
        How many models are stacked in the module, N; None: it is one, as it is.
    dtype : torch.dtype
        Of the signals.

    Attributes
    ----------
    parameters : list of Parameter
        All of the model's.
    modules : list of Module
        The model and all its parts.

    Raises
    ------
    TypeError, ValueError
        If the optimiser is none, or not one of this model's parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., Tensor],
        optimizer: Optimizer,
        count: int | None,
        dtype: torch.dtype,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must return a torch.optim.Optimizer, got {type(optimizer).__name__}")
        self.model, self.optimizer, self.count, self.dtype = model, optimizer, count, dtype
        self.loss: Any = loss
        if dtype.is_complex and type(loss) is nn.MSELoss:
            self.loss = partial(squared_magnitude, reduction=loss.reduction)
        self.parameters, self.modules = list(model.parameters()), list(model.modules())
        own = ((m._buffers, name, b) for m in self.modules for name, b in m._buffers.items() if b is not None)
        self._buffers: Any = list({id(b): (buffers, name) for buffers, name, b in own}.values())
        held = {id(p) for g in optimizer.param_groups for p in g["params"]}
        if not self.trained or not held <= {id(p) for p in self.parameters}:
            raise ValueError("optimizer must hold parameters of the model, and no others: make it of those it is given")
        if count is not None and type(optimizer).__name__ in JOINT:
            raise ValueError(f"optimizer must work entry by entry for a batch, as {type(optimizer).__name__} does not")

    @property
    def trained(self) -> list[Tensor]:
        """The parameters that the optimiser adapts."""
        return [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]

    def forward(self, u: Tensor) -> Tensor:
        """Return the outputs for regressors (B, M), of N stacked models (N, B, M)."""
        if self.count is None:
            return self.model(u)
        own = dict((*self.model.named_parameters(), *self.model.named_buffers()))
        call = torch.func.functional_call
        return torch.vmap(lambda own, u: call(self.model, own, (u,)), randomness="different")(own, u)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Switch the module to evaluation, and each part back to what it was."""
        modes = [m.training for m in self.modules]
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for m, mode in zip(self.modules, modes, strict=True):
                m.training = mode

    def output_shape(self, features: int) -> torch.Size:
        """Return the shape of one output for a regressor of so many features, trying the model.

        Raises
        ------
        ValueError
            If the model cannot take such regressors, or gives what is no output.
        """
        lead = (1,) if self.count is None else (self.count, 1)
        u = torch.zeros(*lead, features, dtype=self.dtype, device=self.parameters[0].device)
        with self.evaluating():
            try:
                y = self.forward(u)
            except Exception as error:
                raise ValueError(f"model cannot take regressors of shape (1, {features}): {error}") from error
        if not isinstance(y, Tensor) or y.shape[: len(lead)] != lead or y.dtype != self.dtype:
            got = f"{tuple(y.shape)}, {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"model must map (B, {features}) to (B, ...), {self.dtype}; for B = 1 it gives {got}")
        return y.shape[len(lead) :]

    def evaluate(self, stream: Tensor, taps: int | None) -> Tensor:
        """Return the outputs (N, T, ...) for a stream (N, T + M - 1) or regressors (N, T, M), adapting nothing."""
        T, ys = stream.shape[1] - (taps or 1) + 1, []
        with self.evaluating():
            for start in range(0, T, CHUNK):
                part = stream[:, start : min(start + CHUNK, T) + (taps or 1) - 1]
                u = windows(part, taps) if taps else part.clone()  # a module may write into its input
                ys.append(self.forward(u[0]).unsqueeze(0) if self.count is None else self.forward(u))
        return torch.cat(ys, 1) if ys else stream[:, :0]

    def tensors(self) -> list[Tensor]:
        """Return all that a step changes: parameters, buffers, and what the optimiser keeps for each parameter."""
        buffers = (own[name] for own, name in self._buffers)
        state = (v for p in self.parameters for v in self.optimizer.state.get(p, {}).values())
        return [t.detach() for t in (*self.parameters, *buffers, *state)]

    def vectors(self) -> Tensor:
        """Return all parameters as one vector a model, (N, P)."""
        return torch.cat([p.detach().reshape(self.count or 1, -1) for p in self.parameters], 1)

    def assign(self, vectors: Tensor) -> None:
        """Set all parameters from one vector a model, (N, P)."""
        sizes = [p.numel() // len(vectors) for p in self.parameters]
        with torch.no_grad():
            for p, part in zip(self.parameters, vectors.split(sizes, 1), strict=True):
                p.copy_(part.reshape(p.shape))

    @torch.no_grad()
    def snapshot(self) -> Callable[[], None]:
        """Return a function that gives parameters, buffers and the optimiser's state back what they hold now; once."""
        values = [p.clone() for p in self.parameters]
        buffers = [(own, name, own[name], own[name].clone()) for own, name in self._buffers]
        state = {p: {k: _copy(v) for k, v in kept.items()} for p, kept in self.optimizer.state.items()}

        def restore() -> None:
            with torch.no_grad():
                for p, value in zip(self.parameters, values, strict=True):
                    p.copy_(value)
            for own, name, buffer, value in buffers:
                own[name] = buffer.copy_(value)
            self.optimizer.state.clear()
            self.optimizer.state.update(state)

        return restore

    @contextmanager
    def adapting(self) -> Iterator[None]:
        """Enable gradients, and undo all if an error is raised within or a parameter or state is not finite after.

        Raises
        ------
        DivergenceError
        """
        restore = self.snapshot()
        groups = self.optimizer.param_groups if self.parameters[0].device.type == "cpu" else []
        undecided = [g for g in groups if g.get("foreach", 0) is None and not g.get("fused")]
        for group in undecided:
            group["foreach"] = False  # as torch decides on the CPU, at every step anew
        try:
            with torch.enable_grad():
                yield
            state = [v for kept in self.optimizer.state.values() for v in kept.values() if isinstance(v, Tensor)]
            with torch.no_grad():
                finite = torch.cat([t.flatten() for t in (*self.parameters, *state)]).isfinite().all()
            if not finite:
                raise DivergenceError(
                    "the parameters grew beyond the finite numbers: lower the learning rate; "
                    "the state is as before the call"
                )
        except BaseException:
            restore()
            raise
        finally:
            for group in undecided:
                group["foreach"] = None
            for p in self.parameters:
                p.grad = None

    def has_hooks(self) -> bool:
        """Say whether more than the optimiser's own step happens in a step; a scheduler's counter does not count."""
        optimizer: Any = self.optimizer
        replaced = "step" in vars(optimizer) and not hasattr(optimizer.step, "_wrapped_by_lr_sched")
        steps = (
            hooks._global_optimizer_pre_hooks,
            hooks._global_optimizer_post_hooks,
            optimizer._optimizer_step_pre_hooks,
            optimizer._optimizer_step_post_hooks,
        )
        return replaced or any(steps) or any(p._backward_hooks or p._post_accumulate_grad_hooks for p in self.trained)


def stack(models: Sequence[nn.Module]) -> nn.Module:
    """Return a copy of the first of several modules of one kind, holding the parameters and buffers of all of them."""
    parameters, buffers = torch.func.stack_module_state(list(models))
    joint = copy.deepcopy(models[0])
    for name, tensor in (*joint.named_parameters(), *joint.named_buffers()):
        tensor.data = {**parameters, **buffers}[name].detach()
    return joint


def squared_magnitude(y: Tensor, d: Tensor, reduction: str) -> Tensor:
    """Return the squared error of complex outputs, for which `nn.MSELoss` has none."""
    squared = torch.view_as_real(y - d).square().sum(-1)
    return squared.sum() if reduction == "sum" else squared.mean() if reduction == "mean" else squared


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)
