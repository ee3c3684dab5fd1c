"""Filters that are linear in their weights: the ways in and out, and the choice of the engine."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.base.stream import AdaptiveFilter, Output, as_block, feature_count, like_input, locked
from adaptfilt.checks import (
    Block,
    admit,
    as_tensor,
    cast,
    check_block,
    check_finite,
    check_number,
    check_same_kind,
    finite_samples,
    plainly_fit,
    positive_int,
    skip_nonfinite,
)
from adaptfilt.engines.algorithm import Algorithm, Job
from adaptfilt.engines.choose import choose, tracked
from adaptfilt.engines.cpu import compiled
from adaptfilt.engines.tensors import parts
from adaptfilt.engines.tensors.fixed import combine

ENGINES = ("auto", "reference", "compiled", "block", "triton")


class LinearFilter(AdaptiveFilter):
    """An adaptive filter y = w^T u with any update of w: give it an `algorithm`, and it streams.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M; without `features` also the number of weights.
    params : mapping of str to float or Tensor
        The algorithm's parameters, which become attributes.
    w0 : array or Tensor [shape=(*batch, M)], optional
        Weights at the start and after `reset`; zeros by default. May require gradients.
    features : nn.Module, optional
        Map from regressors (..., M) to features (..., F), which the weights then combine.
    engine : str
        "auto"; "reference" (per-sample torch loop), "compiled" (CPU), "block" or "triton" (rank-one filters).
    batch, dtype, device, nonfinite
        As for `AdaptiveFilter`.
    """

    algorithm: ClassVar[Algorithm]
    ranges: ClassVar[dict[str, dict[str, Any]]] = {}  # of each parameter, as keywords of `check_number`
    w: Tensor
    _given: dict[str, Any] | None  # the parameters, where they are numbers
    _free: list[compiled.Workspace]  # those that no call is using
    _alone: bool  # compiled code takes single samples
    _skips: bool
    _fresh: bool  # nothing has been adapted since the start

    def __init__(
        self,
        taps: int,
        params: Mapping[str, Any],
        *,
        w0: Block | None = None,
        features: nn.Module | None = None,
        engine: str = "auto",
        **common: Any,
    ) -> None:
        super().__init__(taps, **common)
        for name, value in params.items():
            setattr(self, name, value)
        self.engine = engine
        if features is not None and not isinstance(features, nn.Module):
            raise TypeError(f"features must be a torch module, got {features!r}")
        self.features = features
        self._weights = size = feature_count(features, self.line)
        self.w0 = None if w0 is None else self._as_weights("w0", w0, size)
        self.register_buffer("w", torch.zeros(*self.batch, size, dtype=self.dtype, device=self.device))
        for name in self.algorithm.state:
            self.register_buffer(name, None)
        self._restart()
        self._forget()
        self._fixed = (*self._fixed, "features", *(k for k in params if k not in self.ranges))

    def _initial_state(self) -> dict[str, Tensor]:
        """Return what the algorithm carries besides the weights, at the start."""
        return {}

    def _scratch(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the update function's scratch arrays."""
        return ((self._weights,),) * len(self.algorithm.scratch)

    def _state(self) -> dict[str, Tensor]:
        return {k: getattr(self, k) for k in self.algorithm.state}

    def _signals(self) -> list[Tensor]:
        start = [] if self.w0 is None else [self.w0]
        return [*super()._signals(), self.w, *self._state().values(), *start]

    @cached_property
    def _param_names(self) -> tuple[str, ...]:
        """Names of the parameters; for a rank-one filter the leakage is last."""
        return self.algorithm.params + (("leak",) if self.algorithm.gain else ())

    def _params(self) -> dict[str, Any]:
        """Return the parameters: the same dictionary as the last time, unless they may have changed since."""
        params = self.__dict__["_given"]
        if params is None:
            params = {k: getattr(self, k) for k in self._param_names}
            if not any(isinstance(v, Tensor) for v in params.values()):  # one may be written to at any time
                self.__dict__["_given"] = params
        return params

    @locked
    def reset(self) -> Self:
        """Return to the start: initial weights and state, empty delay line."""
        self._restart()
        return self

    def _restart(self) -> None:
        with torch.no_grad():
            start = {k: v.to(self.device, self.dtype) for k, v in self._initial_state().items()}
            for name, value in start.items():
                if self._buffers[name] is None:
                    self._buffers[name] = value.clone(memory_format=torch.contiguous_format)
            w = torch.zeros_like(self.w) if self.w0 is None else self.w0.to(self.device, self.dtype)
            self._commit(w, torch.zeros_like(self.line.samples), start)
            self.passed_over.zero_()
        self._fresh = True

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert, as torch does, and find everything anew afterwards."""
        super()._apply(fn, recurse)
        for name in self.ranges:
            value = self.__dict__.get(name)
            if isinstance(value, Tensor) and not value.requires_grad:
                self.__dict__[name] = value.to(self.device, self.dtype.to_real())
        self._forget()
        return self

    def _forget(self) -> None:
        """Make anew what follows from the filter's attributes."""
        learned = self.w0 is not None and (self.w0.requires_grad or tracked(self.w0))
        alone = not self.batch and self.engine in ("auto", "compiled") and self.features is None and not learned
        alone = alone and self.w.is_cpu
        self.__dict__.update(_given=None, _free=[], _skips=self.nonfinite == "skip", _alone=alone)

    def _start(self) -> Tensor:
        """Return the weights to start from: w0 itself while they are still equal to it and it requires gradients."""
        w: Any = self._buffers["w"]
        if self._fresh and self.w0 is not None and (self.w0.requires_grad or tracked(self.w0)):
            w0 = self.w0.to(self.device, self.dtype)
            return w0 if torch.equal(w0, w) else w
        return w

    def __setattr__(self, name: str, value: Any) -> None:
        """Check what is assigned; weights and state are copied into place."""
        if name in self.ranges:
            value = check_number(name, value, self.batch, **self.ranges[name])
            if isinstance(value, Tensor) and not value.requires_grad:
                value = value.to(self.device, self.dtype.to_real(), copy=True)
            place, other = self.__dict__, self._parameters
            if isinstance(value, nn.Parameter):
                place, other = other, place
            self.__dict__["_given"] = None
            place[name] = value  # one step, so that an interrupt finds the old one or the new one
            other.pop(name, None)
            self.__dict__["_given"] = None
        elif name in ("w", *self.algorithm.state) and self._buffers.get(name) is not None:
            own: Any = self._buffers[name]
            with self._lock, torch.no_grad():
                own.copy_(self._as_state(name, value, own.shape))
            self._fresh = False
        elif name == "w0" and value is not None and "w" in self._buffers:
            super().__setattr__(name, self._as_weights(name, value, self.w.shape[-1]))
        else:
            if name == "engine":
                self._check_engine(value)
            super().__setattr__(name, value)
            if name in ("engine", "nonfinite", "w0") and "_free" in self.__dict__:
                self._forget()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what points into this object's memory or graph, for copies and pickles."""
        state = {k: v.detach() if isinstance(v, Tensor) and not v.is_leaf else v for k, v in self.__dict__.items()}
        self.__dict__["_free"] = []  # a pickle may move the state into shared memory
        return {**super().__getstate__(), **state, "_free": [], "_given": None, "_lock": None}

    def _as_weights(self, name: str, value: Any, size: int) -> Tensor:
        """Check weights the user gives; what is to be learned stays the caller's, all else is copied."""
        w = self._as_state(name, value, (*self.batch, size))
        return value if isinstance(value, Tensor) and value.requires_grad else w.clone()

    def _as_state(self, name: str, value: Any, shape: tuple[int, ...]) -> Tensor:
        """Check weights or state the user gives."""
        check_block(name, value, self.line.samples, tuple(shape))
        check_finite(name, value)
        return as_tensor(value, self.dtype, self.device)

    def _check_engine(self, engine: Any) -> None:
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
        if engine in ("block", "triton") and self.algorithm.gain is None:
            raise ValueError(f'engine="{engine}" runs rank-one filters only: use "compiled" or "reference"')

    def forward(self, x: Block, d: Block, *, mu: Any = None, record_every: int | None = None) -> Output:
        """Adapt over a block, going on from the last one; in `eval` mode only filter.

        Parameters
        ----------
        x : array or Tensor [shape=(*batch, T)]
            Input. With an axis more, (*batch, T, M), its rows are taken as ready regressors (a linear combiner),
            and the delay line stays as it is.
        d : array or Tensor [shape=(*batch, T)]
            Desired signal.
        mu : float, array or Tensor [shape broadcastable to (*batch, T)], optional
            Step size for this block, one a sample if it has T entries; 0 freezes the weights.
        record_every : int >= 1, optional
            Return the weights after every so many samples.

        Returns
        -------
        Output
            Named tuple (y, e, w): NumPy for NumPy, tensors for tensors.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type, shape, device or range, or holds NaN or infinity.
        DivergenceError
            If the weights become infinite. In all cases the state is the one before the call.
        """
        if torch.compiler.is_compiling():  # compiled already: torch.compile goes round it
            return torch.compiler.disable(self.forward)(x, d, mu=mu, record_every=record_every)
        with self._lock:
            return self._forward(x, d, mu, record_every)

    def _forward(self, x: Block, d: Block, mu: Any, record_every: int | None) -> Output:
        rows = self._check_pair(x, d)
        every = 0 if record_every is None else min(positive_int("record_every", record_every), d.shape[-1] + 1)
        steps = None if mu is None else self._check_steps(mu, d)
        if not self.training:
            return self._only_filter(x, d, rows, every)
        job = self._job(x, d, steps, every, rows)
        engine = choose(self.engine, job)
        if engine == "compiled":
            job.w = self.w  # a w0 to be learned holds the same numbers, and is the caller's
            workspace = self._workspace()
            try:
                result = compiled.run(job, workspace)
            finally:
                self._free.append(workspace)
        else:
            result = parts.run(job, engine)
            self._commit(result.w, result.samples, result.state)
        self.__dict__["_fresh"] = False
        if job.skip and d.shape[-1]:
            self._mark(x, rows)
        w = result.w if result.record is None else result.record
        if engine == "compiled":
            return Output(result.y, result.e, w)
        w = w if job.gradient else w.detach().clone()
        return Output(like_input(result.y, x), like_input(result.e, x), like_input(w, x))

    def _job(
        self, x: Any = None, d: Any = None, mu: Any = None, every: int = 0, rows: bool = False, errors: bool = False
    ) -> Job:
        """Return a block for an engine; without signals, what a workspace is made for."""
        buffers: Any = self._buffers  # a module finds a buffer by its name at twenty times the cost
        params, start = self._params(), self._start()
        given = (x, d, mu) if start is buffers["w"] else (x, d, mu, start)
        return Job(
            self.algorithm, x, d, start, self._samples(), {k: buffers[k] for k in self.algorithm.state}, params, mu,
            every, rows, self._skips, self._wants_gradient(given, params), errors, self.features,
            self._scratch() if self.algorithm.scratch else (),
        )  # fmt: skip

    def _samples(self) -> Tensor:
        """Return the line's newest samples, (*batch, M), oldest first."""
        line: Any = self._modules["line"]
        return line._buffers["samples"]

    def _workspace(self) -> compiled.Workspace:
        """Return a workspace that no call is using, for the state where it lies and the parameters as they are now."""
        buffers: Any = self._buffers
        line: Any = self._modules["line"]
        free, workspace = self._free, None
        try:
            workspace = free.pop()
        except IndexError:
            with self._lock:  # wait for the call of another thread
                workspace = free.pop() if free else None
        places = [buffers["w"].data_ptr(), line._buffers["samples"].data_ptr()]
        for name in self.algorithm.state:
            places.append(buffers[name].data_ptr())
        if workspace is None or workspace.places != places:
            self._lay_out()
            job = self._job()
            job.w = buffers["w"]
            workspace = compiled.Workspace(job)
        if workspace.params is not self._given:
            workspace.set_parameters(self._params(), self._skips)
        return workspace

    def _lay_out(self) -> None:
        """Refuse state of another shape, put in place behind the filter's back, and lay it out without gaps."""
        shapes = {"w": (*self.batch, self._weights)} | {k: tuple(v.shape) for k, v in self._initial_state().items()}
        for name, shape in shapes.items():
            tensor = self._buffers[name]
            assert tensor is not None
            if tensor.shape != shape or tensor.dtype != self.dtype:
                raise ValueError(
                    f"{name} must have shape {shape}, {self.dtype}, got {tuple(tensor.shape)}, {tensor.dtype}"
                )
            tensor.data = tensor.data.contiguous()
        self.line.samples.data = self.line.samples.data.contiguous()

    def _mark(self, x: Any, rows: bool) -> None:
        """Remember where the newest sample of a block was not finite."""
        ok = finite_samples(x[..., -1:, :] if rows else x[..., -1:], rows)
        self.passed_over.copy_(~(torch.from_numpy(ok) if isinstance(ok, np.ndarray) else ok)[..., 0])

    def _commit(self, w: Any, samples: Any, state: dict[str, Any]) -> None:
        """Take over the state after a block: in one call, so that an interrupt finds all of it old or all of it new."""
        old = [self.w, self.line.samples, *(getattr(self, k) for k in state)]
        with torch.no_grad():
            torch._foreach_copy_(old, [v.detach() for v in (w, samples, *state.values())])

    def filter(self, x: Block) -> Any:
        """Filter a block without adapting; the stream goes on.

        Parameters
        ----------
        x : array or Tensor [shape=(*batch, T)]

        Returns
        -------
        array or Tensor [shape=(*batch, T)]
        """
        check_block("x", x, self.line.samples, (*self.batch, None))
        with self._lock:
            return self._held(x, False)

    def _held(self, x: Block, rows: bool) -> Any:
        """Filter a block with weights that stand still."""
        given = x
        if self.nonfinite == "skip":
            x = skip_nonfinite(x, x)[0]
        check_finite("x", x)
        y, samples = combine(x, self.w, self.line.samples, self.features, rows)
        self.line.samples.copy_(samples)
        if self.nonfinite == "skip" and x.shape[len(self.batch)]:
            self._mark(given, rows)
        return like_input(y, x)

    def _only_filter(self, x: Block, d: Block, rows: bool, every: int) -> Output:
        """Filter with fixed weights and return the errors all the same."""
        given, (_, d) = x, admit(x, d, self.nonfinite == "skip")
        y = self._held(given, rows)
        e = cast(d, self.dtype) - y
        w = self.w.clone()
        if every:
            w = w.unsqueeze(-2).repeat_interleave(d.shape[-1] // every, -2)
        return Output(y, e, like_input(w, x))

    def _check_pair(self, x: Any, d: Any) -> bool:
        """Check the types and shapes of a block and say whether x holds ready regressors."""
        like, batch, F = self._samples(), self.batch, self._weights
        if plainly_fit(x, d, like, batch):
            return False
        check_block("d", d, like, (*batch, None))
        rows = getattr(x, "ndim", 0) == d.ndim + 1 and x.shape[-1] == F
        check_block("x", x, like, (*batch, None, F) if rows else (*batch, None))
        check_same_kind(x, d)
        if x.shape[len(batch)] != d.shape[-1]:
            raise ValueError(f"x and d must have the same length, got {x.shape[len(batch)]} and {d.shape[-1]} samples")
        return rows

    def _check_steps(self, mu: Any, d: Block) -> float | Tensor:
        """Check a step size given with the call."""
        if "mu" not in self.algorithm.params:
            raise TypeError(f"{type(self).__name__} has no step size: mu cannot be given")
        steps = check_number("mu", mu, tuple(d.shape), **{**self.ranges["mu"], "stable": math.inf})
        if isinstance(mu, Tensor) and mu.device != self.device:
            raise ValueError(f"mu is on {mu.device}, the filter on {self.device}: move one with .to(...)")
        return steps

    def _wants_gradient(self, given: tuple[Any, ...], params: dict[str, Any]) -> bool:
        """Say whether anything in this call requires gradients."""
        learned = () if self.features is None else tuple(self.features.parameters())
        return tracked(*given, *(params.values() if params is not self._given else ()), *learned)

    # One sample

    def step(self, x: Any, d: Any) -> tuple[Any, Any]:
        """Adapt on one sample; in `eval` mode only filter.

        Parameters
        ----------
        x, d : float or complex; with a batch, arrays or tensors of its shape

        Returns
        -------
        y, e : float or complex; with a batch, as x
        """
        if not (self.training and self._alone):
            line = self.line.samples
            with torch.no_grad():
                y, e, _ = self(as_block("x", x, line), as_block("d", d, line))
            return (y[..., 0], e[..., 0]) if self.batch else (y.item(), e.item())
        workspace = self._workspace()
        try:
            out = workspace.step(x, d)
            if self._skips:
                self.passed_over.fill_(workspace.passed_over)
            return out
        finally:
            self._free.append(workspace)

    def predict(self, x: Any) -> Any:
        """Take one sample in and return the output; `adapt` then takes the error.

        Parameters
        ----------
        x : float or complex; with a batch, an array or tensor of its shape

        Returns
        -------
        float or complex; with a batch, as x
        """
        if not self._alone:
            with torch.no_grad():
                y = self.filter(as_block("x", x, self.line.samples))
            return y[..., 0] if self.batch else y.item()
        workspace = self._workspace()
        try:
            y = workspace.predict(x)
            if self._skips:
                self.passed_over.fill_(workspace.passed_over)
            return y
        finally:
            self._free.append(workspace)

    def adapt(self, e: Any) -> None:
        """Adapt on the error of the last `predict`, measured elsewhere: e need not be d - y.

        Parameters
        ----------
        e : float or complex; with a batch, an array or tensor of its shape
        """
        if not self.training:
            return
        if not self._alone:
            with self._lock, torch.no_grad():
                self._adapt_on(e)
            return
        workspace = self._workspace()
        try:
            workspace.passed_over = self._skips and bool(self.passed_over)
            workspace.adapt(e)
        finally:
            self._free.append(workspace)

    def _adapt_on(self, e: Any) -> None:
        """Adapt on an error by means of the reference engine."""
        block = as_block("e", e, self.line.samples)
        check_block("e", block, self.line.samples, (*self.batch, 1))
        block = as_tensor(block, self.dtype, self.device)
        if self.nonfinite == "raise":
            check_finite("e", block)
        else:  # nor does it adapt on a sample that `predict` passed over
            block = torch.where(self.passed_over.unsqueeze(-1) | ~torch.isfinite(block), torch.nan, block)
        u = self.line.samples.flip(-1).unsqueeze(-2)
        u = u if self.features is None else self.features(u).to(self.dtype)
        result = parts.run(self._job(u, block, rows=True, errors=True), "reference")
        self._commit(result.w, result.samples, result.state)
