"""A module with its loss and its optimiser: what `GradientFilter` adapts.

Many models are one module whose parameters and buffers have an axis of models in front. The module is mapped over
it (`torch.vmap`), and an optimiser that works entry by entry is right for them as it is.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim import optimizer as hooks

from adaptfilt.checks import DivergenceError, as_batch
from adaptfilt.taps import windows

CHUNK = 4096  # samples whose regressors are written out at a time
JOINT = ("LBFGS", "Adafactor", "Muon")  # optimisers that do not work entry by entry
DIVERGED = "the parameters grew beyond the finite numbers: lower the learning rate; the state is as before the call"


class Signals(NamedTuple):
    """A block as N models see it.

    Attributes
    ----------
    stream : Tensor [shape=(N, T + M - 1), or rows (N, T, M)]
        ``[history, block]``, or ready regressors.
    taps : int or None
        M; None where rows are given.
    shape : tuple of int
        Of the outputs as the caller has them, (*batch, T, ...).
    d : Tensor [shape=(N, T, ...)]
        In the shape of the models' outputs; NaN where a sample is passed over.
    good : Tensor of bool [shape=(N, T)], optional
        Samples to adapt on, where not all.
    every : int
        Keep the parameters after so many samples; 0: never.
    passed_over : Tensor of bool [shape=batch], optional
        Whether the newest sample of x is not finite, where that is allowed.
    """

    stream: Tensor
    taps: int | None
    shape: tuple[int, ...]
    d: Any = None
    good: Tensor | None = None
    every: int = 0
    passed_over: Tensor | None = None

    @property
    def samples(self) -> int:
        """Number of samples, T."""
        return self.stream.shape[1] - (self.taps or 1) + 1

    @property
    def features(self) -> int:
        """Number of entries of a regressor, M."""
        return self.taps or self.stream.shape[-1]

    def part(self, first: int, last: int) -> Tensor:
        """Return what of the stream, or of the rows, the samples first to last are made of."""
        return self.stream[:, first : last + (self.taps or 1) - 1]

    def regressors(self, first: int, last: int) -> Tensor:
        """Return the regressors of samples first to last, (N, last - first, M); a copy: a module may write into it."""
        part = self.part(first, last)
        return windows(part, self.taps) if self.taps else part.clone()


def cut(first: int, last: int, length: int, size: int = 1) -> Iterator[tuple[int, int]]:
    """Cut samples first to last into parts of at most a length, all but the last of whole mini-batches of a size."""
    length = max(length // size, 1) * size
    for start in range(first, last, length):
        yield start, min(start + length, last)


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
        buffers = ((m._buffers, name, b) for m in self.modules for name, b in m._buffers.items() if b is not None)
        self._buffers: Any = list({id(b): (by_name, name) for by_name, name, b in buffers}.values())
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
        tensors = dict((*self.model.named_parameters(), *self.model.named_buffers()))
        call = torch.func.functional_call
        return torch.vmap(lambda tensors, u: call(self.model, tensors, (u,)), randomness="different")(tensors, u)

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

    def evaluate(self, signals: Signals) -> Tensor:
        """Return the outputs for a block, (N, T, ...), adapting nothing."""
        outputs = []
        with self.evaluating():
            for first, last in cut(0, signals.samples, CHUNK):
                u = signals.regressors(first, last)
                outputs.append(self.forward(u[0]).unsqueeze(0) if self.count is None else self.forward(u))
        return torch.cat(outputs, 1)

    def tensors(self) -> list[Tensor]:
        """Return all that a step changes: parameters, buffers, and what the optimiser keeps for each parameter."""
        buffers = (by_name[name] for by_name, name in self._buffers)
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
        buffers = [(by_name, name, by_name[name], by_name[name].clone()) for by_name, name in self._buffers]
        state = {p: {k: _copy(v) for k, v in kept.items()} for p, kept in self.optimizer.state.items()}

        def restore() -> None:
            with torch.no_grad():
                for p, value in zip(self.parameters, values, strict=True):
                    p.copy_(value)
            for by_name, name, buffer, value in buffers:
                by_name[name] = buffer.copy_(value)
            self.optimizer.state.clear()
            self.optimizer.state.update(state)

        return restore

    @contextmanager
    def adapting(self) -> Iterator[None]:
        """Enable gradients; after the steps refuse a parameter or a state of the optimiser that is not finite.

        Raises
        ------
        DivergenceError
        """
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
                raise DivergenceError(DIVERGED)
        finally:
            for group in undecided:
                group["foreach"] = None
            for p in self.parameters:
                p.grad = None

    @torch.no_grad()
    def restart(self, start: Mapping[str, Any], chosen: Tensor | None) -> None:
        """Return to the `state_dict` of model and optimizer in `start`; with `chosen`, (N,), only some of the models.

        Raises
        ------
        ValueError
            If some are chosen and the optimiser keeps a state, a part of which all models share.
        """
        if chosen is None:
            self.model.load_state_dict(start["model"])
            self.optimizer.load_state_dict(copy.deepcopy(start["optimizer"]))
            return
        if any(v is not None for kept in self.optimizer.state.values() for v in kept.values()):
            name = type(self.optimizer).__name__
            raise ValueError(f"reset(mask) needs an optimizer without a state, as plain SGD: here {name} keeps one")
        for name, t in self.model.state_dict().items():
            t[chosen] = start["model"][name].to(t)[chosen]

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


def check_models(model: Any, batch: Any) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Return the modules a user gives, one or one for each of the batch, and the batch."""
    models: list[Any] = list(model) if isinstance(model, list | tuple | nn.ModuleList) else [model]
    batch = as_batch(batch) or (() if models == [model] else (len(models),))
    if len(models) not in (1, prod(batch)) or not all(isinstance(m, nn.Module) for m in models):
        raise TypeError(f"model must be a torch module, or one for each of batch {batch}, got {model!r}")
    if not any(p.requires_grad for p in models[0].parameters()):
        raise ValueError("model has no parameter that requires a gradient: there is nothing to adapt")
    return models, batch


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
