"""Gradient descent on any torch module, one optimiser step a mini-batch.

For a mini-batch of regressors U and desired outputs d, with parameters w:

    y = model(U; w),    e = d - y,    w <- optimiser(w, gradient of loss(y, d))

A linear layer with squared error and plain SGD is LMS with twice the learning rate for its step size, and runs on the
LMS engines. Cost: forward and backward through the module and the optimiser's step, in eager torch 100 us and more
whatever the module. `compile=True` plays the same operations in a compiled loop: a perceptron of 16-8-1 takes under
1 us with SGD, 2 us with Adam. Take it where the plant is not linear in the weights, or where the loss, the model or
the optimiser is one's own.

Source: S. Haykin, *Neural Networks and Learning Machines*, 3rd ed., 2009, sec. 4.3 (on-line back-propagation).
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from math import prod
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, Optimizer

from adaptfilt.base.guarded import locked
from adaptfilt.base.stream import AdaptiveFilter
from adaptfilt.checks import (
    DTYPES,
    Block,
    as_tensor,
    check_block,
    check_finite,
    check_number,
    finite_samples,
    number,
    positive_int,
    zeroed,
)
from adaptfilt.gradient.as_lms import is_lms, run_lms
from adaptfilt.gradient.eager_step import EagerStep
from adaptfilt.gradient.learner import Learner, Signals, check_models, stack
from adaptfilt.gradient.mini_batches import MiniBatches, Players

SQUARED, PLAIN_SGD = nn.MSELoss(), partial(SGD, lr=0.01)
INSTEAD = {  # arguments of other filters, and what does the same here
    "mu": "lr_scale, a factor on the learning rate",
    "regressors": "taps=None, with which x always holds them",
    "path": "adapt, which takes errors from elsewhere",
}


def outside_inference(method: Any) -> Any:
    """Run a method outside `torch.inference_mode`: what it makes is adapted later."""

    @wraps(method)
    def call(self: Any, *args: Any) -> Any:
        if not torch.is_inference_mode_enabled():
            return method(self, *args)
        with torch.inference_mode(False):
            return method(self, *args)

    return call


class GradientFilter(AdaptiveFilter):
    """Any torch module as an adaptive filter, adapted by one optimiser step a mini-batch.

    Parameters
    ----------
    model : nn.Module, or a sequence of them
        Maps regressors (B, M) to outputs (B,), (B, 1) or (B, outputs). It is adapted itself, not a copy; with `batch`,
        or given a sequence of modules of one kind, copies are stacked in one module, with an axis of models in
        front of every parameter.
    taps : int >= 1 or None
        Number of samples in a regressor, M. None: x holds ready regressors, as for a linear combiner.
    loss : callable
        From outputs and desired outputs, both of the shape the model gives, to a real scalar. Complex outputs
        are compared by squared magnitude under `nn.MSELoss`.
    optimizer : callable
        From a list of the parameters to a torch optimiser, such as ``lambda p: torch.optim.Adam(p, lr=1e-3)``.
        The optimiser is then `f.optimizer`: step a scheduler made on it between blocks, or at every mini-batch,
        ``f.optimizer.register_step_post_hook(lambda *_: scheduler.step())``.
    block_size : int >= 1
        Samples in a mini-batch. The last one of a call may be shorter; y and e are those before its step.
    compile : bool
        Play forward, gradient and step of blocks in one compiled loop on the CPU, in double precision. The module
        must compute from its input, parameters and buffers alone. What has no translation (complex numbers, dropout,
        convolutions, LSTM, hooks of the optimiser) runs uncompiled, with a warning. It pays for small modules, from a
        few thousand samples on: tracing takes 0.03 s, 0.4 s the first time in a process; the program that
        plays is compiled in 4 s once on a machine.
    lr_scale : float > 0 or Tensor
        Factor on the learning rate; a tensor broadcasts over `batch`, a sweep in one call.
    batch : tuple of int
        Shape of independent models in front of time, each with its own parameters. The optimiser has to
        work entry by entry, as all of torch's do but LBFGS, Adafactor and Muon.
    dtype : torch.dtype, optional
        Of the signals; by default that of the model. Parameters take its precision, and stay real or complex.
    device : torch.device, optional
        Where to move the model; by default it stays.
    nonfinite, adapt_in_eval
        As for `adaptfilt.AdaptiveFilter`. A sample passed over is left out of its mini-batch.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range, the model cannot take regressors or has nothing to train, or the
        optimiser does not hold the model's parameters.

    Notes
    -----
    x is (*batch, T), with taps=None (*batch, T, features); d, y and e are (*batch, T) or (*batch, T, outputs). `step`,
    `predict` and `adapt` take and give the same without T. `Output.w` is the vector of all parameters, (*batch, P), and
    a record of it (*batch, T // record_every, P). A `step` is a mini-batch of its own. `adapt` takes a step towards
    outputs that differ by e. The arguments mu, regressors and path of a call are those of other filters. `reset` of a
    part of the batch needs an optimiser that keeps nothing from step to step, as plain SGD.

    Parameters with `requires_grad` False stay as they are. Dropout is active while adapting. It is off in `filter` and
    in `eval` mode, also where `adapt_in_eval` goes on adapting there. Batch normalisation needs mini-batches of two
    samples at least. Inputs that require gradients are detached. Under `torch.autocast` the model and the loss compute
    in its precision; parameters, the optimiser's state, the delay line and what is returned keep their own. What runs
    as LMS is not rounded.

    Examples
    --------
    >>> import numpy as np, torch
    >>> import adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(2000)
    >>> f = af.GradientFilter(torch.nn.Linear(3, 1, bias=False), 3, optimizer=lambda p: torch.optim.SGD(p, lr=0.02))
    >>> y, e, w = f(x, lfilter([0.1, 0.2, 0.3], 1, x))
    >>> w.round(3)
    array([0.1, 0.2, 0.3], dtype=float32)
    """

    _shown = ("block_size", "compiled")

    _newest_row: Tensor | None  # (N, 1, features), where rows are given

    def __init__(
        self,
        model: nn.Module | Sequence[nn.Module],
        taps: int | None,
        *,
        loss: Callable[..., Tensor] = SQUARED,
        optimizer: Callable[[list[Tensor]], Optimizer] = PLAIN_SGD,
        block_size: int = 1,
        compile: bool = False,
        lr_scale: Any = 1.0,
        batch: tuple[int, ...] | int = (),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        **common: Any,
    ) -> None:
        if "inputs" in common:
            raise TypeError("inputs cannot be given to a GradientFilter: use taps=None, with rows of all inputs in x")
        models, batch = check_models(model, batch)
        parameters = list(models[0].parameters())
        if not callable(loss):
            raise TypeError(f"loss must be a function of outputs and desired outputs, got {loss!r}")
        if not callable(optimizer):
            like = "such as lambda p: torch.optim.SGD(p, lr=1e-3)"
            raise TypeError(f"optimizer must be a function of the parameters, {like}, got {type(optimizer).__name__}")
        super().__init__(
            1 if taps is None else taps,
            batch=batch,
            dtype=next((p for p in parameters if p.is_complex()), parameters[0]).dtype if dtype is None else dtype,
            device=parameters[0].device if device is None else device,
            **common,
        )
        self.register_buffer("_newest_row", None, persistent=False)
        self.loss, self._rows = loss, taps is None
        self.model = stack(models * (prod(batch) // len(models))) if batch else models[0]
        if dtype is not None or device is not None:
            self.to(self.device, None if dtype is None else self.dtype.to_real())
        self._start: dict[str, Any] = {"model": copy.deepcopy(self.model.state_dict())}
        self._output_shapes: dict[int, torch.Size] = {}
        self.optimizer = optimizer(list(self.model.parameters()))
        if taps is not None:
            self._output_shape(self.line.taps)
        self.block_size, self.compiled = positive_int("block_size", block_size), bool(compile)
        self.lr_scale = lr_scale
        self._players = Players()
        self._fixed = (*self._fixed, "model", "loss", "block_size")

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input: LMS."""
        dtype = common.get("dtype")
        dtype = dtype if dtype in DTYPES else torch.float32
        layer = nn.Linear(4, 1, bias=False, dtype=dtype, device=common.get("device") or "cpu")
        nn.init.zeros_(layer.weight)
        return cls(layer, 4, optimizer=lambda p: SGD(p, lr=0.025), **common)

    # State

    @property
    def optimizer(self) -> Optimizer:
        """The torch optimiser; one that is assigned has to be made of `f.model.parameters()`."""
        return self._learner.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer) -> None:
        self._learner = self._new_learner(optimizer)
        self._start["optimizer"] = copy.deepcopy(optimizer.state_dict())

    def _new_learner(self, optimizer: Optimizer) -> Learner:
        return Learner(self.model, self.loss, optimizer, self._count if self.batch else None, self.dtype)

    @property
    def lr_scale(self) -> float | Tensor:
        """Factor on the learning rate; a tensor broadcasts over `batch`."""
        return self._lr_scale

    @lr_scale.setter
    def lr_scale(self, value: Any) -> None:
        scale = check_number("lr_scale", value, self.batch, above=True)
        self._lr_scale = scale.detach().clone() if isinstance(scale, Tensor) else scale

    @property
    def taps(self) -> Any:
        """Number of samples in a regressor, M; None where x holds ready regressors."""
        return None if self._rows else self.line.taps

    @property
    def w(self) -> Tensor:
        """A copy of all parameters as a vector, (*batch, P), in the order of `torch.nn.utils.parameters_to_vector`."""
        return self._learner.vectors().reshape(*self.batch, -1)

    @w.setter
    @locked
    def w(self, value: Block) -> None:
        check_block("w", value, self.line.samples, self.w.shape)
        own = as_tensor(value, self.dtype, self.device)
        check_finite("w", own)
        with self._whole():
            self._learner.assign(own.reshape(self._count, -1))

    @property
    def _count(self) -> int:
        """Number of models, N."""
        return prod(self.batch)

    @property
    def _scale(self) -> Tensor | None:
        """Factors on the learning rates, (N,)."""
        if isinstance(self.lr_scale, float) and self.lr_scale == 1.0:
            return None
        scale = torch.as_tensor(self.lr_scale, dtype=self.dtype.to_real(), device=self.device)
        return scale.expand(self.batch).reshape(-1)

    def _restart(self, mask: Tensor | None) -> None:
        """Return to the initial parameters and buffers, a fresh optimiser and an empty line."""
        if mask is not None and not mask.any():
            return
        chosen = None if mask is None or mask.all() else mask.reshape(-1)
        with self._whole():
            self._learner.restart(self._start, chosen)
            self.line.samples[... if chosen is None else mask] = 0
            self.passed_over[... if chosen is None else mask] = False
            if chosen is None:
                self._newest_row = None
            elif self._newest_row is not None:
                self._newest_row = self._newest_row.masked_fill(chosen[:, None, None], 0)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Undo all where an error or an interrupt comes within: the state changes whole or not at all."""
        restore, row = self._learner.snapshot(), self._newest_row
        line, passed_over = self.line.samples.clone(), self.passed_over.clone()
        try:
            yield
        except BaseException:
            restore()
            self.line.samples.copy_(line)
            self.passed_over.copy_(passed_over)
            self._newest_row = row
            raise

    def get_extra_state(self) -> dict[str, Any]:
        """Return the optimiser's part of `state_dict`, and the newest row where rows are given."""
        name = type(self.optimizer).__name__
        return {"optimizer": name, "state": self.optimizer.state_dict(), "last": self._newest_row}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_extra_state` returned."""
        name, row = type(self.optimizer).__name__, state["last"]
        if state["optimizer"] != name:
            raise ValueError(f"the checkpoint is of {state['optimizer']}, the optimizer of this filter is {name}")
        self.optimizer.load_state_dict(copy.deepcopy(state["state"]))
        self._newest_row = None if row is None else row.to(self.device, self.dtype, copy=True)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take over a state, as `torch.nn.Module.load_state_dict`; one that does not fit changes nothing."""
        if assign:
            raise ValueError("assign must be False: the optimizer holds the parameters that are there")
        return super().load_state_dict(state_dict, strict)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out compiled code, for copies and pickles."""
        return {**super().__getstate__(), "_players": Players()}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert the optimiser's state along with the parameters."""
        super()._apply(fn, recurse)
        if "_learner" in self.__dict__:
            self.optimizer.load_state_dict(self.optimizer.state_dict())
            self._learner = self._new_learner(self.optimizer)  # of the new precision
        return self

    def _signals(self) -> list[Tensor]:
        tensors = (*self.model.parameters(), *self.model.buffers())
        row = [] if self._newest_row is None else [self._newest_row]
        return [*super()._signals(), *row, *(t for t in tensors if t.is_complex())]

    def extra_repr(self) -> str:
        """Describe the filter in the module's repr."""
        return f"{super().extra_repr()}, optimizer={type(self.optimizer).__name__}"

    # A block

    @outside_inference
    def _check(self, x: Any, d: Any, mu: Any, record_every: Any, regressors: bool, path: Any) -> Signals:
        """Refuse bad input, and return it as the models see it."""
        for name, value in (("mu", mu), ("regressors", regressors or None), ("path", path)):
            if value is not None:
                raise TypeError(f"{name} cannot be given to a {type(self).__name__}: use {INSTEAD[name]}")
        if d is None:
            raise TypeError(f"{type(self).__name__} needs d, the desired signal")
        every = 0 if record_every is None else positive_int("record_every", record_every)
        signals, time = self._check_input(x), len(self.batch)
        tail = self._output_shape(signals.features)
        flat = tail.numel() == 1 and getattr(d, "ndim", 0) <= time + 1
        check_block("d", d, self.line.samples, (*self.batch, None, *(() if flat else tail or (1,))))
        if x.shape[time] != d.shape[time]:
            raise ValueError(f"x and d must have the same length, got {x.shape[time]} and {d.shape[time]} samples")
        wanted, good = self._admitted("d", d).reshape(self._count, signals.samples, *tail), signals.good
        if good is not None:
            good, wanted = good & _finite(wanted), wanted.clone()
            wanted[~good] = torch.nan
        return signals._replace(d=wanted, good=good, every=every, shape=tuple(d.shape))

    @outside_inference
    def _check_input(self, x: Any) -> Signals:
        """Refuse bad input, and return it as the models see it, without d."""
        check_block("x", x, self.line.samples, (*self.batch, None, None) if self._rows else (*self.batch, None))
        tail = self._output_shape(x.shape[-1] if self._rows else self.taps)
        block, good, passed_over = self._admitted("x", x), None, None
        if self.nonfinite == "skip":
            good, block = _finite(block), zeroed(block)
            passed_over = ~good[:, -1].reshape(self.batch) if block.shape[1] else self.passed_over.clone()
        shape = (*self.batch, block.shape[1], *(tail if tail.numel() > 1 else ()))
        stream = block if self._rows else torch.cat([self.line.history.reshape(self._count, -1), block], 1)
        return Signals(stream, self.taps, shape, good=good, passed_over=passed_over)

    def _admitted(self, name: str, value: Block) -> Tensor:
        """Return a block as a tensor of the filter's, (N, T, ...), checked to be finite where that matters."""
        block = as_tensor(value, self.dtype, self.device).detach()
        if self.nonfinite == "raise":
            check_finite(name, block)
        block = block.reshape(self._count, *block.shape[len(self.batch) :])
        return block.clone() if block.is_inference() else block

    def _output_shape(self, features: int) -> torch.Size:
        """Return the shape of one output for a regressor of so many features; the model is tried once."""
        if features not in self._output_shapes:
            self._output_shapes[features] = self._learner.output_shape(features)
        return self._output_shapes[features]

    @outside_inference
    def _adapt(self, signals: Signals) -> tuple[Tensor, Tensor, Tensor]:
        """Adapt over a block; the state changes whole or not at all."""
        with self._whole(), self._learner.adapting():
            y, record = self._take_steps(signals)
            self._advance(signals)
        return self._given_back(signals, y, record)

    @outside_inference
    def _hold(self, signals: Signals) -> tuple[Tensor, Tensor, Tensor]:
        """Filter with parameters that stand still, and return the errors all the same."""
        y = self._filter(signals)
        rows = signals.samples // signals.every if signals.every else 0
        return self._given_back(signals, y, [self._learner.vectors()] * rows)

    @outside_inference
    def _filter(self, signals: Signals) -> Tensor:
        """Filter with parameters that stand still."""
        y = self._learner.evaluate(signals) if signals.samples else signals.stream.new_empty(signals.shape)
        self._advance(signals)
        return self._precise(y).reshape(signals.shape)

    def _given_back(self, signals: Signals, y: Tensor, record: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return y, e and the parameters, or their record, in their public shapes."""
        y, w = self._precise(y).reshape(signals.shape), self._learner.vectors()
        if signals.every:
            w = torch.stack(record, 1) if record else w[:, None][:, :0]
        return y, signals.d.reshape(signals.shape) - y, w.reshape(*self.batch, *w.shape[1:])

    def _precise(self, y: Tensor) -> Tensor:
        """Return outputs in no less than the filter's precision, where autocast made them less."""
        return y.to(torch.promote_types(y.dtype, self.dtype.to_real()))

    def _take_steps(self, signals: Signals) -> tuple[Tensor, list[Tensor]]:
        """Adapt over a block; return the outputs, (N, T, ...), and the record, one (N, P) after another."""
        T, scale = signals.samples, self._scale
        if not T:
            return signals.d, []
        if self.block_size == 1 and is_lms(self._learner, self.loss):
            return run_lms(self._learner, signals, scale)
        if T % self.block_size == 1 or self.block_size == 1:
            self._refuse_single()
        players = self._players if self.compiled else None
        return MiniBatches(self._learner, self.block_size, scale, players).run(signals)

    def _refuse_single(self) -> None:
        """Refuse a mini-batch of one sample where the model normalises over it."""
        if any(isinstance(m, _BatchNorm) and m.training for m in self._learner.modules):
            raise ValueError(
                "model normalises over the mini-batch, which needs two samples at least in each, also in the last one: "
                "raise block_size, or put the normalisation in evaluation mode"
            )

    def _advance(self, signals: Signals) -> None:
        """Remember the newest samples, or the newest row, and whether the newest sample was passed over."""
        stream = signals.stream
        if not self._rows:
            self.line.keep(stream.reshape(*self.batch, -1))
        elif stream.shape[1]:
            self._newest_row = stream[:, -1:].clone()
        if signals.passed_over is None:
            self.passed_over.zero_()
        else:
            self.passed_over.copy_(signals.passed_over)

    # One sample

    def _quick(self, verb: str, x: Any, d: Any) -> Any:
        """Adapt on two numbers, a mini-batch of their own; None where a block of one is needed."""
        if verb != "step" or not (isinstance(x, float) and isinstance(d, float)):
            return None
        if not abs(x) <= (largest := torch.finfo(self.dtype).max) or not abs(d) <= largest:
            return None
        if self._rows or self.batch or not (self.training or self.adapt_in_eval):
            return None
        return self._step_numbers(x, d) if self._output_shape(self.line.taps).numel() == 1 else None

    @locked
    @outside_inference
    def _step_numbers(self, x: float, d: float) -> tuple[float, float]:
        """Adapt on one sample of one model with one output."""
        self._refuse_single()
        samples = self.line.samples
        stream = torch.cat([samples[1:], samples.new_tensor([x])])
        wanted = samples.new_tensor([d]).reshape(1, *self._output_shape(self.line.taps))
        with self._whole(), self._learner.adapting():
            y = EagerStep(self._learner, self._scale)(stream.flip(0).unsqueeze(0), wanted)
            samples.copy_(stream)
            self.passed_over.zero_()
        return y.item(), (wanted - y).item()

    @outside_inference
    def _adapt_on(self, e: Any) -> None:
        """Adapt towards outputs that differ by e from those for the newest regressor."""
        stream = self._newest_row if self._rows else self.line.samples.reshape(self._count, -1)
        if stream is None:
            raise ValueError("adapt follows predict: there is no regressor yet")
        signals = Signals(stream, self.taps, ())
        y = self._learner.evaluate(signals)
        tail = () if e.ndim <= len(self.batch) + 1 else y.shape[2:]
        check_block("e", e, self.line.samples, (*self.batch, 1, *tail))
        wanted, good = y + self._admitted("e", e).reshape(y.shape), None
        if self.nonfinite == "skip":  # nor does it adapt on a sample that `predict` passed over
            wanted[self.passed_over.reshape(-1)] = torch.nan
            good = _finite(wanted)
        with self._whole(), self._learner.adapting():
            self._take_steps(signals._replace(d=wanted, good=good))

    def _sample(self, name: str, value: Any) -> Any:
        """Return one sample as a block of length one: time comes after the batch, in front of a row or outputs."""
        if isinstance(value, Tensor | np.ndarray):
            return value.reshape(*value.shape[: len(self.batch)], 1, *value.shape[len(self.batch) :])
        value = number(name, value, complex if self.dtype.is_complex else float)
        return torch.tensor([value], dtype=self.dtype, device=self.device)

    def _single(self, block: Any) -> Any:
        """Return the one sample of a block, a number if it is one."""
        sample = block[(slice(None),) * len(self.batch) + (0,)]
        return sample if sample.ndim else sample.item()


def _finite(block: Tensor) -> Tensor:
    """Return which samples of a block (N, T, ...) are finite, (N, T)."""
    finite = finite_samples(block)
    return finite.flatten(2).all(-1) if finite.ndim > 2 else finite
