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

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, Optimizer

from adaptfilt.base.stream import Output, like_input, locked
from adaptfilt.checks import (
    DTYPES,
    Block,
    as_tensor,
    check_block,
    check_finite,
    check_number,
    number,
    positive_int,
)
from adaptfilt.gradient.as_lms import is_lms, run_lms
from adaptfilt.gradient.mini_batches import MiniBatches, Players
from adaptfilt.gradient.model import ModelFilter
from adaptfilt.gradient.stepper import Stepper

SQUARED = nn.MSELoss()


def _sgd(parameters: list[Tensor]) -> Optimizer:
    return SGD(parameters, lr=0.01)


class GradientFilter(ModelFilter):
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
    nonfinite
        As for `adaptfilt.AdaptiveFilter`. A sample passed over is left out of its mini-batch.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range, the model cannot take regressors or has nothing to train, or the
        optimiser does not hold the model's parameters.

    Notes
    -----
    Parameters with `requires_grad` False stay as they are. Dropout is active while adapting, and off in `eval` mode
    and in `filter`; batch normalisation needs mini-batches of two samples at least. Inputs that require gradients
    are detached. Under `torch.autocast` the model and the loss compute in its precision; parameters, the optimiser's
    state, the delay line and what is returned keep their own. What runs as LMS is not rounded.

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

    def __init__(
        self,
        model: nn.Module | Sequence[nn.Module],
        taps: int | None,
        *,
        loss: Callable[..., Tensor] = SQUARED,
        optimizer: Callable[[list[Tensor]], Optimizer] = _sgd,
        block_size: int = 1,
        compile: bool = False,
        lr_scale: Any = 1.0,
        **common: Any,
    ) -> None:
        super().__init__(model, taps, loss=loss, optimizer=optimizer, **common)
        self.block_size, self.compiled = positive_int("block_size", block_size), bool(compile)
        self.lr_scale = lr_scale
        self._players = Players()
        self._fixed = (*self._fixed, "block_size")

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input: LMS."""
        dtype = common.get("dtype")
        own = {"dtype": dtype if dtype in DTYPES else torch.float32, "device": common.get("device") or "cpu"}
        layer = nn.Linear(4, 1, bias=False, **own)
        nn.init.zeros_(layer.weight)
        return cls(layer, 4, optimizer=lambda p: SGD(p, lr=0.025), **common)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out compiled code, for copies and pickles."""
        return {**super().__getstate__(), "_players": Players()}

    @property
    def lr_scale(self) -> float | Tensor:
        """Factor on the learning rate; a tensor broadcasts over `batch`."""
        return self._lr_scale

    @lr_scale.setter
    def lr_scale(self, value: Any) -> None:
        scale = check_number("lr_scale", value, self.batch, above=True)
        self._lr_scale = scale.detach().clone() if isinstance(scale, Tensor) else scale

    @locked
    @torch.inference_mode(False)
    def forward(self, x: Block, d: Block, *, record_every: int | None = None) -> Output:
        """Adapt over a block, going on from the last one; in `eval` mode only filter.

        Parameters
        ----------
        x : array or Tensor [shape=(*batch, T); with taps=None (*batch, T, features)]
            Input, or ready regressors.
        d : array or Tensor [shape=(*batch, T) or (*batch, T, outputs)]
            Desired output.
        record_every : int >= 1, optional
            Return the parameters after every so many samples.

        Returns
        -------
        Output
            Named tuple (y, e, w), w being the vector of all parameters: NumPy for NumPy, tensors for tensors.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type, shape, device or range, or holds NaN or infinity; if the model's output
            does not fit d, or the loss is not a scalar.
        DivergenceError
            If the parameters or the optimiser's state become infinite. In all cases the state is that before the call.
        """
        shape = self._check_pair(x, d)
        every = 0 if record_every is None else positive_int("record_every", record_every)
        own, wanted, ok = self._own("x", x), self._own("d", d), None
        wanted = wanted.reshape(*own.shape[:2], *self._tail(own))
        given = own
        if self.nonfinite == "skip":
            ok = _good(own) & _good(wanted)
            own, wanted = own.nan_to_num(0.0, 0.0, 0.0), wanted.clone()
            wanted[~ok] = torch.nan
        stream = self._stream(own)
        with self._whole():
            if self.training:
                with self._learner.adapting():
                    y, record = self._adapt_stream(stream, wanted, ok, every)
            else:
                y, record = self._evaluate(stream), [self._learner.vectors()] * (own.shape[1] // every if every else 0)
            y = self._precise(y)
            self._keep(stream, None if ok is None else _good(given))
        w = self._learner.vectors()
        if every:
            w = torch.stack(record, 1) if record else w[:, None][:, :0]
        e = (wanted - y).reshape(shape)
        return Output(*(like_input(v, x) for v in (y.reshape(shape), e, w.reshape(*self.batch, *w.shape[1:]))))

    @locked
    @torch.inference_mode(False)
    def filter(self, x: Block) -> Any:
        """Filter a block without adapting; the stream goes on.

        Parameters
        ----------
        x : array or Tensor [shape=(*batch, T); with taps=None (*batch, T, features)]

        Returns
        -------
        array or Tensor [shape=(*batch, T), of several outputs (*batch, T, outputs)]
        """
        self._check_input(x)
        own = self._own("x", x)
        ok = None if self.nonfinite == "raise" else _good(own)
        stream = self._stream(own if ok is None else own.nan_to_num(0.0, 0.0, 0.0))
        y = self._precise(self._evaluate(stream))
        self._keep(stream, ok)
        tail = y.shape[2:] if y.shape[2:].numel() > 1 else ()
        return like_input(y.reshape(*self.batch, own.shape[1], *tail), x)

    def _check_input(self, x: Any) -> torch.Size:
        """Check the input and return the shape of one output."""
        check_block("x", x, self.line.samples, (*self.batch, None, None) if self._rows else (*self.batch, None))
        return self._tail(x)

    def _check_pair(self, x: Any, d: Any) -> tuple[int, ...]:
        """Check the types and shapes of a block and return the shape of d."""
        tail, time = self._check_input(x), len(self.batch)
        flat = tail.numel() == 1 and getattr(d, "ndim", 0) <= time + 1
        check_block("d", d, self.line.samples, (*self.batch, None, *(() if flat else tail or (1,))))
        if x.shape[time] != d.shape[time]:
            raise ValueError(f"x and d must have the same length, got {x.shape[time]} and {d.shape[time]} samples")
        return tuple(d.shape)

    def _own(self, name: str, value: Block) -> Tensor:
        """Return a block as a tensor of the filter's, (N, T, ...), checked to be finite where that matters."""
        samples = self.line.samples
        own = as_tensor(value, samples.dtype, samples.device).detach()
        if self.nonfinite == "raise":
            check_finite(name, own)
        own = own.reshape(self._count, *own.shape[len(self.batch) :])
        return own.clone() if own.is_inference() else own

    def _stream(self, x: Tensor) -> Tensor:
        """Return the stream with its history, (N, T + M - 1), or rows as they are."""
        return x if self._rows else torch.cat([self.line.samples[..., 1:].reshape(self._count, -1), x], 1)

    def _keep(self, stream: Tensor, ok: Tensor | None) -> None:
        """Remember the newest samples, or the last row, and whether the newest one was finite."""
        if not self._rows:
            self.line.keep(stream.reshape(*self.batch, -1))
        elif stream.shape[1]:
            self._last = stream[:, -1:].clone()
        if ok is None:
            self.passed_over.zero_()
        elif ok.shape[1]:
            self.passed_over.copy_(~ok[:, -1].reshape(self.batch))

    def _precise(self, y: Tensor) -> Tensor:
        """Return outputs in no less than the filter's precision, where autocast made them less."""
        return y.to(torch.promote_types(y.dtype, self.dtype.to_real()))

    def _evaluate(self, stream: Tensor) -> Tensor:
        """Return the outputs, (N, T, ...), with the module in evaluation mode."""
        y = self._learner.evaluate(stream, None if self._rows else self.line.taps)
        return y.reshape(*y.shape[:2], *self._tail(stream))

    @property
    def _scale(self) -> Tensor | None:
        """Factors on the learning rates, (N,)."""
        if isinstance(self.lr_scale, float) and self.lr_scale == 1.0:
            return None
        scale = torch.as_tensor(self.lr_scale, dtype=self.dtype.to_real(), device=self.device)
        return scale.expand(self.batch).reshape(-1)

    def _adapt_stream(self, stream: Tensor, d: Tensor, ok: Tensor | None, every: int) -> tuple[Tensor, list[Tensor]]:
        """Adapt over a block; return the outputs, (N, T, ...), and the record, one (N, P) after another."""
        if not d.shape[1]:
            return d, []
        taps = None if self._rows else self.line.taps
        if self.block_size == 1 and is_lms(self._learner, self.loss):
            return run_lms(self._learner, stream, d, taps, self._scale, every)
        if d.shape[1] % self.block_size == 1 or self.block_size == 1:
            self._refuse_single()
        players = self._players if self.compiled else None
        return MiniBatches(self._learner, self.block_size, taps, self._scale, players).run(stream, d, ok, every)

    def _refuse_single(self) -> None:
        """Refuse a mini-batch of one sample where the model normalises over it."""
        if any(isinstance(m, _BatchNorm) and m.training for m in self._learner.modules):
            raise ValueError(
                "model normalises over the mini-batch, which needs two samples at least in each, also in the last one: "
                "raise block_size, or put the normalisation in evaluation mode"
            )

    # One sample

    @locked
    @torch.inference_mode(False)
    def step(self, x: Any, d: Any) -> tuple[Any, Any]:
        """Adapt on one sample, a mini-batch of its own; in `eval` mode only filter.

        Parameters
        ----------
        x : float or complex; with a batch, or with taps=None, an array or tensor of the shape of one sample
        d : float or complex; with a batch or several outputs, an array or tensor

        Returns
        -------
        y, e : as d
        """
        numbers = isinstance(x, float) and isinstance(d, float) and isfinite(x) and isfinite(d)
        if numbers and self.training and not self._rows and not self.batch and self._tail().numel() == 1:
            return self._step_numbers(x, d)
        y, e, _ = self(self._sample("x", x), self._sample("d", d))
        return self._single(y), self._single(e)

    def _step_numbers(self, x: float, d: float) -> tuple[float, float]:
        """Adapt on one sample of one model with one output."""
        self._refuse_single()
        samples = self.line.samples
        stream = torch.cat([samples[1:], samples.new_tensor([x])])
        wanted = samples.new_tensor([d]).reshape(1, *self._tail())
        with self._whole():
            with self._learner.adapting():
                y = Stepper(self._learner, self._scale)(stream.flip(0).unsqueeze(0), wanted)
            samples.copy_(stream)
            self.passed_over.zero_()
        return y.item(), (wanted - y).item()

    @locked
    def predict(self, x: Any) -> Any:
        """Take one sample in and return the output; `adapt` then takes the error.

        Parameters
        ----------
        x : as for `step`

        Returns
        -------
        float, complex, array or tensor
        """
        return self._single(self.filter(self._sample("x", x)))

    @locked
    @torch.inference_mode(False)
    def adapt(self, e: Any) -> None:
        """Adapt on the error of the last `predict`, measured elsewhere: towards outputs that differ by e.

        Parameters
        ----------
        e : as d for `step`
        """
        if not self.training:
            return
        stream = self._last if self._rows else self.line.samples.reshape(self._count, -1)
        if stream is None:
            raise ValueError("adapt follows predict: there is no regressor yet")
        y, block = self._evaluate(stream), self._sample("e", e)
        outputs = () if block.ndim <= len(self.batch) + 1 else y.shape[2:]
        check_block("e", block, self.line.samples, (*self.batch, 1, *outputs))
        wanted = y + self._own("e", block).reshape(y.shape)
        if self.nonfinite == "skip":  # nor does it adapt on a sample that `predict` passed over
            bad = self.passed_over.reshape(-1, *[1] * (y.ndim - 1))
            wanted = torch.where(bad, torch.nan, wanted)
        with self._learner.adapting():
            self._adapt_stream(stream, wanted, _good(wanted) if self.nonfinite == "skip" else None, 0)

    def _sample(self, name: str, value: Any) -> Any:
        """Return one sample as a block of length one."""
        if isinstance(value, Tensor):
            return value.unsqueeze(len(self.batch))
        if isinstance(value, np.ndarray):
            return np.expand_dims(value, len(self.batch))
        kind = complex if self.dtype.is_complex else float
        return torch.tensor([number(name, value, kind)], dtype=self.dtype, device=self.device)

    def _single(self, block: Any) -> Any:
        """Return the one sample of a block, a number if it is one."""
        sample = block[(slice(None),) * len(self.batch) + (0,)]
        return sample if sample.ndim else sample.item()


def _good(block: Tensor) -> Tensor:
    """Return which samples of a block (N, T, ...) are finite, (N, T)."""
    ok = torch.isfinite(block)
    return ok.flatten(2).all(-1) if ok.ndim > 2 else ok
