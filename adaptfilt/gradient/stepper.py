"""One step of a learner on a mini-batch, in eager torch: the definition of what `GradientFilter` does."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from adaptfilt.gradient.learner import Learner


class Stepper:
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
        self._bare, self._repeats, of_torch = kind(type(self._optimizer))  # type: ignore[arg-type]
        self._plain = of_torch and not learner.has_hooks() and not self._optimizer.defaults.get("differentiable")

    def __call__(self, u: Tensor, d: Tensor, ok: Tensor | None = None) -> Tensor:
        """Take one step and return the outputs before it.

        Parameters
        ----------
        u : Tensor [shape=(B, M), stacked (N, B, M)]
        d : Tensor [shape=(B, ...), stacked (N, B, ...)]
        ok : Tensor [shape=(B,), stacked (N, B)], optional
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
        if ok is not None and not ok.any():
            return y.detach()
        value = self._loss(y, d, ok)
        kept = self._idle(ok) if ok is not None and ok.ndim > 1 else []
        old = [p.detach().clone() for p in self._trained] if self._scale is not None else []
        if self._plain:
            for p, g in zip(self._trained, torch.autograd.grad(value, self._trained, allow_unused=True), strict=True):
                p.grad = g
            with torch.no_grad():
                self._bare(self._optimizer)
            self._optimizer._opt_called = True  # type: ignore[attr-defined]  # what a scheduler looks for
        elif self._repeats:
            self._optimizer.step(lambda: self._again(u, d, ok))
        else:
            self._optimizer.zero_grad()
            value.backward()
            self._optimizer.step()
        with torch.no_grad():
            for p, before in zip(self._trained, old, strict=False):
                p.lerp_(before, 1 - self._scale.to(p.dtype).reshape(-1, *(1,) * (p.ndim - 1)))  # type: ignore[union-attr]
            for t, idle, before in kept:
                t[idle] = before
        return y.detach()

    def _loss(self, y: Tensor, d: Tensor, ok: Tensor | None) -> Tensor:
        """Return the loss, of all models together."""
        loss = self._learner.loss
        if self._learner.count is None:
            value = loss(y, d) if ok is None else loss(y[ok], d[ok])
        elif ok is None:
            value = torch.vmap(loss)(y, d)
            value = value.sum() if value.ndim == 1 else value
        else:
            value = sum(loss(y[n][good], d[n][good]) for n, good in enumerate(ok) if good.any())
        if getattr(value, "ndim", 1) or not value.requires_grad or value.is_complex():
            got = f"a tensor {tuple(value.shape)}, {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"loss must give one real number that depends on the trained parameters, got {got}")
        return value

    def _again(self, u: Tensor, d: Tensor, ok: Tensor | None) -> Any:
        """Evaluate the loss and its gradient, for an optimiser that does so several times a step."""
        self._optimizer.zero_grad()
        value = self._loss(self._learner.forward(u), d, ok)
        value.backward()
        return value

    def _idle(self, ok: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return what models without a good sample hold; a count of steps that all models share goes on."""
        idle = ~ok.any(1)
        state = (v for p in self._trained for v in self._optimizer.state.get(p, {}).values() if v.shape == p.shape)
        return [(t, idle, t.detach()[idle].clone()) for t in (*self._trained, *state)]


@cache
def kind(optimizer: Any) -> tuple[Callable[..., Any], bool, bool]:
    """Return an optimiser class's step without profiler and hooks, whether it evaluates the loss, and is torch's."""
    bare = inspect.unwrap(optimizer.step)
    closure = inspect.signature(bare).parameters.get("closure")
    repeats = closure is not None and closure.default is inspect.Parameter.empty
    return bare, repeats, optimizer.__module__.startswith("torch.optim.") and not repeats
