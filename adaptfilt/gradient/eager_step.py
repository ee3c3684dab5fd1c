"""One step of a learner on a mini-batch, in eager torch: the definition of what `GradientFilter` does."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from adaptfilt.gradient.learner import Learner


class OptimizerStep(NamedTuple):
    """The step of an optimiser class."""

    bare: Callable[..., Any]  # without profiler and hooks
    repeats: bool  # whether it evaluates the loss itself, several times a step
    of_torch: bool  # whether it is one of torch's own that does not


class EagerStep:
    """Takes steps of a learner, as a literal loop would, where gradients are enabled.

    Parameters
    ----------
    learner : Learner
    scale : Tensor [shape=(N,)], optional
        Factor on every model's learning rate: on the change a step makes.
    """

    def __init__(self, learner: Learner, scale: Tensor | None = None) -> None:
        self._learner, self._optimizer, self._scale = learner, learner.optimizer, scale
        self._trained = learner.trained
        self._bare, self._repeats, of_torch = step_of(type(self._optimizer))  # type: ignore[arg-type]
        self._plain = of_torch and not learner.has_hooks() and not self._optimizer.defaults.get("differentiable")

    def __call__(self, u: Tensor, d: Tensor, good: Tensor | None = None) -> Tensor:
        """Take one step and return the outputs before it.

        Parameters
        ----------
        u : Tensor [shape=(B, M), stacked (N, B, M)]
        d : Tensor [shape=(B, ...), stacked (N, B, ...)]
        good : Tensor of bool [shape=(B,), stacked (N, B)], optional
            Samples to adapt on, where not all.

        Returns
        -------
        Tensor [shape as d]

        Raises
        ------
        ValueError
            If the loss is not a real scalar that depends on the parameters.
        """
        y = self._learner.forward(u)
        if good is not None and not good.any():
            return y.detach()
        value = self._loss(y, d, good)
        held = self._held_by_idle(good) if good is not None and good.ndim > 1 else []
        before = [p.detach().clone() for p in self._trained] if self._scale is not None else []
        if self._plain:
            for p, g in zip(self._trained, torch.autograd.grad(value, self._trained, allow_unused=True), strict=True):
                p.grad = g
            with torch.no_grad():
                self._bare(self._optimizer)
            self._optimizer._opt_called = True  # type: ignore[attr-defined]  # what a scheduler looks for
        elif self._repeats:
            self._optimizer.step(lambda: self._evaluated(u, d, good))
        else:
            self._optimizer.zero_grad()
            value.backward()
            self._optimizer.step()
        with torch.no_grad():
            for p, old in zip(self._trained, before, strict=False):
                p.lerp_(old, 1 - self._scale.to(p.dtype).reshape(-1, *(1,) * (p.ndim - 1)))  # type: ignore[union-attr]
            for t, idle, old in held:
                t[idle] = old
        return y.detach()

    def _loss(self, y: Tensor, d: Tensor, good: Tensor | None) -> Tensor:
        """Return the loss, of all models together."""
        loss = self._learner.loss
        if self._learner.count is None:
            value = loss(y, d) if good is None else loss(y[good], d[good])
        elif good is None:
            value = torch.vmap(loss)(y, d)
            value = value.sum() if value.ndim == 1 else value
        else:
            value = sum(loss(y[n][chosen], d[n][chosen]) for n, chosen in enumerate(good) if chosen.any())
        if getattr(value, "ndim", 1) or not value.requires_grad or value.is_complex():
            got = f"a tensor {tuple(value.shape)}, {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"loss must give one real number that depends on the trained parameters, got {got}")
        return value

    def _evaluated(self, u: Tensor, d: Tensor, good: Tensor | None) -> Any:
        """Return the loss with its gradient taken, for an optimiser that asks for it several times a step."""
        self._optimizer.zero_grad()
        value = self._loss(self._learner.forward(u), d, good)
        value.backward()
        return value

    def _held_by_idle(self, good: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return what models without a good sample hold; a count of steps that all models share goes on."""
        idle = ~good.any(1)
        state = (v for p in self._trained for v in self._optimizer.state.get(p, {}).values() if v.shape == p.shape)
        return [(t, idle, t.detach()[idle].clone()) for t in (*self._trained, *state)]


@cache
def step_of(optimizer: Any) -> OptimizerStep:
    """Return the step of an optimiser class."""
    bare = inspect.unwrap(optimizer.step)
    closure = inspect.signature(bare).parameters.get("closure")
    repeats = closure is not None and closure.default is inspect.Parameter.empty
    return OptimizerStep(bare, repeats, optimizer.__module__.startswith("torch.optim.") and not repeats)
