"""A torch module and its optimiser as the state of a filter."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adaptfilt.base.stream import AdaptiveFilter, locked
from adaptfilt.checks import Block, as_batch, as_tensor, check_block, check_finite
from adaptfilt.gradient.learner import Learner, stack


class ModelFilter(AdaptiveFilter):
    """A filter whose state is a torch module and an optimiser; `GradientFilter` says how it adapts.

    The module and what the optimiser holds are the caller's own; all else is copied.

    Parameters
    ----------
    model : nn.Module, or a sequence of them
    taps : int >= 1 or None
    loss, optimizer : callable
    batch, dtype, device, nonfinite
        As for `adaptfilt.GradientFilter`.
    """

    _last: Tensor | None  # the newest row, (N, 1, features), where rows are given

    def __init__(
        self,
        model: nn.Module | Sequence[nn.Module],
        taps: int | None,
        *,
        loss: Callable[..., Tensor],
        optimizer: Callable[[list[Tensor]], Optimizer],
        batch: tuple[int, ...] | int = (),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        nonfinite: str = "raise",
    ) -> None:
        models: list[Any] = list(model) if isinstance(model, list | tuple | nn.ModuleList) else [model]
        batch = as_batch(batch) or (() if models == [model] else (len(models),))
        if len(models) not in (1, prod(batch)) or not all(isinstance(m, nn.Module) for m in models):
            raise TypeError(f"model must be a torch module, or one for each of batch {batch}, got {model!r}")
        own = list(models[0].parameters())
        if not any(p.requires_grad for p in own):
            raise ValueError("model has no parameter that requires a gradient: there is nothing to adapt")
        if not callable(loss):
            raise TypeError(f"loss must be a function of outputs and desired outputs, got {loss!r}")
        if not callable(optimizer):
            like = "such as lambda p: torch.optim.SGD(p, lr=1e-3)"
            raise TypeError(f"optimizer must be a function of the parameters, {like}, got {type(optimizer).__name__}")
        super().__init__(
            1 if taps is None else taps,
            batch=batch,
            dtype=next((p.dtype for p in own if p.is_complex()), own[0].dtype) if dtype is None else dtype,
            device=own[0].device if device is None else device,
            nonfinite=nonfinite,
        )
        self.register_buffer("_last", None, persistent=False)
        self.loss, self._rows = loss, taps is None
        self.model = stack(models * (prod(batch) // len(models))) if batch else models[0]
        if dtype is not None or device is not None:
            self.to(self.device, None if dtype is None else self.dtype.to_real())
        self._tails: dict[int, torch.Size] = {}
        self.optimizer = optimizer(list(self.model.parameters()))
        if taps is not None:
            self._tail()
        self._start = copy.deepcopy((self.model.state_dict(), self.optimizer.state_dict()))
        self._fixed = (*self._fixed, "model", "loss")

    @property
    def optimizer(self) -> Optimizer:
        """The torch optimiser; one that is assigned has to be made of `f.model.parameters()`."""
        return self._learner.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer) -> None:
        count = prod(self.batch) if self.batch else None
        self._learner = Learner(self.model, self.loss, optimizer, count, self.dtype)

    @property
    def taps(self) -> Any:
        """Number of samples in a regressor, M; None where x holds ready regressors."""
        return None if self._rows else self.line.taps

    @property
    def _count(self) -> int:
        """Number of models, N."""
        return prod(self.batch)

    def _tail(self, x: Any = None) -> torch.Size:
        """Return the shape of one output, for x if it holds regressors; the model is tried once."""
        features = x.shape[-1] if self._rows else self.line.taps
        if features not in self._tails:
            self._tails[features] = self._learner.output_shape(features)
        return self._tails[features]

    @property
    def w(self) -> Tensor:
        """A copy of all parameters as a vector, (*batch, P), in the order of `torch.nn.utils.parameters_to_vector`."""
        return self._learner.vectors().reshape(*self.batch, -1)

    @w.setter
    @locked
    def w(self, value: Block) -> None:
        check_block("w", value, self.line.samples, self.w.shape)
        check_finite("w", value)
        with self._whole():
            self._learner.assign(as_tensor(value, self.dtype, self.device).reshape(self._count, -1))

    @locked
    def reset(self) -> Self:
        """Return to the start: initial parameters and buffers, a fresh optimiser, empty delay line."""
        with self._whole():
            self.line.reset()
            self.passed_over.zero_()
            self._last = None
            own, state = copy.deepcopy(self._start)
            self.model.load_state_dict(own)
            self.optimizer.load_state_dict(state)
        return self

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Undo all where an error or an interrupt comes within: the state changes whole or not at all."""
        restore, last = self._learner.snapshot(), self._last
        line, passed_over = self.line.samples.clone(), self.passed_over.clone()
        try:
            yield
        except BaseException:
            restore()
            self.line.samples.copy_(line)
            self.passed_over.copy_(passed_over)
            self._last = last
            raise

    def get_extra_state(self) -> dict[str, Any]:
        """Return the optimiser's part of `state_dict`, and the newest row where rows are given."""
        return {"optimizer": type(self.optimizer).__name__, "state": self.optimizer.state_dict(), "last": self._last}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_extra_state` returned."""
        if state["optimizer"] != type(self.optimizer).__name__:
            own = type(self.optimizer).__name__
            raise ValueError(f"the checkpoint is of {state['optimizer']}, the optimizer of this filter is {own}")
        self.optimizer.load_state_dict(copy.deepcopy(state["state"]))
        self._last = None if state["last"] is None else state["last"].to(self.device, self.dtype, copy=True)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take over a state, as `torch.nn.Module.load_state_dict`; one that does not fit changes nothing."""
        if assign:
            raise ValueError("assign must be False: the optimizer holds the parameters that are there")
        return super().load_state_dict(state_dict, strict)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert the optimiser's state along with the parameters."""
        super()._apply(fn, recurse)
        if "_learner" in self.__dict__:
            self.optimizer.load_state_dict(self.optimizer.state_dict())
            self.optimizer = self.optimizer  # a learner of the new precision
        return self

    def _signals(self) -> list[Tensor]:
        own = (*self.model.parameters(), *self.model.buffers())
        last = [] if self._last is None else [self._last]
        return [*super()._signals(), *last, *(t for t in own if t.is_complex())]

    def extra_repr(self) -> str:
        """Describe the filter in the module's repr."""
        return f"{super().extra_repr()}, optimizer={type(self.optimizer).__name__}"
