"""Filters made of an algorithm: its parameters and its state as attributes, checked, movable, saved, reset."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.base.stream import AdaptiveFilter
from adaptfilt.checks import (
    as_tensor,
    check_block,
    check_finite,
    check_number,
    plain_arrays,
    plainly_fit,
    positive_int,
)
from adaptfilt.engines.algorithm import Algorithm, Job, Kind, Result, Variants
from adaptfilt.engines.choose import ENGINES, choose, tracked
from adaptfilt.engines.cpu import compiled
from adaptfilt.engines.tensors import parts
from adaptfilt.engines.tensors.bins import over

_VERBS: dict[str, Any] = {
    "step": compiled.Workspace.step,
    "predict": compiled.Workspace.predict,
    "adapt": compiled.Workspace.adapt,
}


class ParametricFilter(AdaptiveFilter):
    """A filter that runs an `Algorithm`: give it one, and the ranges of its parameters.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M.
    params : mapping of str to float or Tensor
        What the algorithm's functions and shapes name; becomes attributes. Those without a range are read-only.
    outputs : int >= 1, optional
        Number of outputs, an axis of d, y, e and the weights after the batch; None: there is no such axis.
    engine : str
        "auto"; "reference" (per-sample loop), "compiled" (CPU), "block" or "triton" (rank-one filters).
    **common
        As for `AdaptiveFilter`.
    """

    algorithm: ClassVar[Algorithm]  # or Variants of it
    variant: str
    ranges: ClassVar[dict[str, dict[str, Any]]] = {}  # of each parameter, as keywords of `check_number`
    _starting: ClassVar[tuple[str, ...]] = ()  # parameters of the algorithm that `start` takes as well
    w: Tensor
    _given: dict[str, Any] | None  # the parameters, where they are numbers
    _free: list[Any]  # workspaces: those that no call is using
    _seen: dict[Any, int]  # shapes and types of signals that were found to fit, and how many outputs they make
    _alone: bool  # compiled code takes single samples
    _skips: bool
    _blind: bool
    _fresh: bool  # nothing has been adapted since the start
    _untouched: bool  # no sample has come since the start
    _brief: bool  # short blocks of plain signals may take the short way
    _calls: int  # blocks run
    _follows: bool  # the batch is that of what comes first

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse an algorithm that names what its filter does not have."""
        super().__init_subclass__(**kwargs)
        if "algorithm" not in vars(cls):
            return
        given = vars(cls)["algorithm"]
        for algorithm in given.algorithms.values() if isinstance(given, Variants) else (given,):
            cls._admit(algorithm)

    @classmethod
    def _admit(cls, algorithm: Algorithm) -> None:
        """Refuse an algorithm that names what its filter does not have."""
        known = {"taps", *cls.ranges} | _attributes(cls)
        kinds = {**algorithm.states, **algorithm.scratch_kinds}
        for name in algorithm.params:
            if name not in known:
                functions = ", ".join(f.__name__ for f in algorithm.functions.values())
                raise ValueError(
                    f"{cls.__name__}: {functions} takes {name}, which is neither supplied, a state, in ranges, nor an "
                    "attribute of the filter"
                )
        for name, kind in kinds.items():
            for word in kind.dims:
                if isinstance(word, str) and word not in known:
                    raise ValueError(f"{cls.__name__}: {name} has the dimension {word}, which is no word of the filter")
        for name in algorithm.states:
            if hasattr(AdaptiveFilter, name) or name in cls.ranges:
                raise ValueError(f"{cls.__name__}: the state {name} has the name of an attribute of the filter")

    def __init__(
        self, taps: int, params: Mapping[str, Any], *, outputs: int | None = None, engine: str = "auto", **common: Any
    ) -> None:
        super().__init__(taps, **common)
        self.outputs = None if outputs is None else positive_int("outputs", outputs)
        for name, value in params.items():
            setattr(self, name, value)
        for name in self.algorithm.vectors:
            vector = torch.as_tensor(params[name], device=self.device)
            real = self.algorithm.vectors[name] == "real"
            if vector.is_complex() and (real or not self.dtype.is_complex):
                raise TypeError(f"{name} must be real in a filter of {self.dtype}, got {vector.dtype}")
            own = vector.to(self.device, self.dtype.to_real() if real else self.dtype, copy=True)
            del self.__dict__[name]
            self.register_buffer(name, own.contiguous(), persistent=False)
        self.engine, self._calls = engine, 0
        self._fixed = (*self._fixed, "outputs", *(k for k in params if k not in self.ranges))
        if self._follows:
            self._register_state_dict_hook(_leave_out_what_is_fresh)
            self._register_load_state_dict_pre_hook(_fit_to_checkpoint, with_module=True)

    def start(self) -> dict[str, Any]:
        """Return the first values of the algorithm's states, numbers or tensors that broadcast; 0 by default."""
        return {}

    # State

    @property
    def _filters(self) -> tuple[int, ...]:
        """Axes of the filters: the batch, and the outputs."""
        return self.batch if self.outputs is None else (*self.batch, self.outputs)

    def _axes(self, name: str) -> tuple[int, ...]:
        return super()._axes(name) if name == "x" else self._filters

    @property
    def _weights(self) -> int:
        """Number of weights that make an output."""
        raise NotImplementedError

    def _shape(self, kind: Kind) -> tuple[int, ...]:
        """Return the shape of a state or scratch array of one filter."""
        sizes = [self._weights if k == "taps" else getattr(self, k) if isinstance(k, str) else k for k in kind.dims]
        return tuple(positive_int(str(k), size) for k, size in zip(kind.dims, sizes, strict=True))

    def _state_kinds(self) -> dict[str, tuple[bool, tuple[int, ...]]]:
        """Return of each state whether it is real, and its shape."""
        kinds = self.algorithm.states.items()
        return {k: (kind.real, (*self._filters, *self._shape(kind))) for k, kind in kinds}

    @cached_property
    def _scratch(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the scratch arrays."""
        return {k: self._shape(kind) for k, kind in self.algorithm.scratch_kinds.items()}

    def _register_state(self) -> None:
        """Make room for the state."""
        for name, (real, shape) in self._state_kinds().items():
            dtype = self.dtype.to_real() if real else self.dtype
            self.register_buffer(name, torch.zeros(shape, dtype=dtype, device=self.device))

    def _starts(self) -> dict[str, Any]:
        """Return the first values of all that the filter carries, by name of the buffer; 0 where nothing is said."""
        return dict(self.start())

    def _carried(self) -> dict[str, Tensor]:
        """Return all that the filter carries."""
        found: Any = {name: self._buffers[name] for name in self.algorithm.states}
        return {**found, "line": self._samples(), "passed_over": self._buffers["passed_over"]}

    def _restart(self, mask: Tensor | None = None) -> None:
        other = torch.get_default_device() != self.device  # else no mode of torch's, in which Ctrl-C does harm
        with torch.no_grad(), self.device if other else nullcontext():
            starts, carried = self._starts(), self._carried()
            unknown = [k for k in starts if k not in carried]
            if unknown:
                raise ValueError(f"start() must return states, {', '.join(self.algorithm.states)}, got {unknown[0]}")
            new = {}
            for name, own in carried.items():
                first = torch.as_tensor(starts.get(name, 0.0), dtype=own.dtype, device=self.device)
                try:
                    first = first.expand(own.shape)
                except RuntimeError:
                    shape = tuple(own.shape)
                    raise ValueError(f"start() must return {name} of {shape}, got {tuple(first.shape)}") from None
                if mask is None:
                    new[name] = first
                elif own.ndim >= mask.ndim:  # else it is one number for all streams
                    new[name] = torch.where(over(mask, own), first, own)
            self._commit(new)
        self._fresh = self._untouched = mask is None

    def _follow(self, axes: tuple[int, ...]) -> None:
        """Take over the batch of a block, where nothing has come since the start."""
        if self._follows and self._untouched and axes != self.batch:
            old = len(self.batch)
            for name in self.ranges:
                value = getattr(self, name, None)
                if isinstance(value, Tensor):
                    check_number(name, value, axes if self.outputs is None else (*axes, self.outputs))
            self.__dict__["batch"] = axes
            for module, name in self._batched():
                own: Any = module._buffers[name]
                module._buffers[name] = own.new_zeros((*axes, *own.shape[old:]))
            self._restart()
            self._forget()

    def _follow_block(self, x: Any, axes: int) -> None:
        """Take over the batch of a block, which has so many axes besides, where the filter follows it."""
        if self._follows and isinstance(x, np.ndarray | Tensor):
            self._follow(tuple(x.shape[: max(x.ndim - axes, 0)]))

    def _batched(self) -> list[tuple[nn.Module, str]]:
        """Return where the buffers are that have the axes of the batch."""
        own = [k for k, t in self._buffers.items() if any(t is c for c in self._carried().values())]
        return [(self.line, "samples"), *((self, k) for k in own if k not in ("phase", "clock"))]

    def copy_from(self, other: Self) -> Self:
        """Take over weights, state and line of a filter of the same kind and shape, in one piece.

        Parameters
        ----------
        other : filter
            Of the same class, taps, batch, inputs, outputs and dtype.

        Returns
        -------
        filter
            The filter itself.

        Raises
        ------
        TypeError, ValueError
            If the other filter is of another class or shape.
        """
        if type(other) is not type(self):
            raise TypeError(f"other must be of {type(self).__name__}, got {type(other).__name__}")
        own, theirs = self._carried(), other._carried()
        for name, value in theirs.items():
            if name not in own or own[name].shape != value.shape or own[name].dtype != value.dtype:
                raise ValueError(f"other has {name} of {tuple(value.shape)}, {value.dtype}, which this filter has not")
        with self._lock:
            torch._foreach_copy_([own[name] for name in theirs], [*theirs.values()])
        self.__dict__.update(_fresh=False, _untouched=False)
        return self

    def to_fir(self) -> nn.Conv1d:
        """Return the weights of the moment as a convolution of torch, which adapts no more.

        Returns
        -------
        torch.nn.Conv1d
            As `adaptfilt.export.to_conv1d` makes it. NumPy and SciPy take the weights as they are,
            ``numpy.convolve(x, f.w.numpy())[: x.size]`` or ``scipy.signal.lfilter(f.w.numpy(), 1, x)``.

        Raises
        ------
        TypeError, ValueError
            If the filter is not a convolution of its input, or is a batch.

        Examples
        --------
        >>> import torch, adaptfilt as af
        >>> f = af.NLMS(2, w0=torch.tensor([0.5, -0.25]))
        >>> f.to_fir()(torch.tensor([[[1.0, 0.0, 2.0]]])).detach()
        tensor([[[ 0.5000, -0.2500,  1.0000, -0.5000]]])
        """
        from adaptfilt.export import to_conv1d

        return to_conv1d(self)

    def _commit(self, carried: Mapping[str, Any]) -> None:
        """Take over what an engine returns: in one call, so that an interrupt finds all of it old or all of it new."""
        own = self._carried()
        if not carried:
            return
        with torch.no_grad():
            torch._foreach_copy_(
                [own[k] for k in carried], [v.detach().reshape(own[k].shape) for k, v in carried.items()]
            )

    def _signals(self) -> list[Tensor]:
        real = {k for k, kind in self.algorithm.states.items() if kind.real}
        vectors = [self._buffers[k] for k, kind in self.algorithm.vectors.items() if kind == "signal"]
        signals = [t for k, t in self._carried().items() if k not in real and t.dtype == self.dtype]
        return [*super()._signals(), *signals, *vectors]  # type: ignore[list-item]

    # Parameters

    @cached_property
    def _param_names(self) -> tuple[str, ...]:
        """Names of the parameters that an engine gets; a leakage is last."""
        return self.algorithm.params + (("leak",) if self.algorithm.leaks else ())

    def _params(self) -> dict[str, Any]:
        """Return the parameters: the same dictionary as the last time, unless they may have changed since."""
        params = self.__dict__["_given"]
        if params is None:
            params = {k: self._weights if k == "taps" else getattr(self, k, 0.0) for k in self._param_names}
            if not any(isinstance(v, Tensor) for v in params.values()):  # one may be written to at any time
                self.__dict__["_given"] = params
        return params

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
        alone = not self._filters and self.inputs is None and self._may_compile() and not self.algorithm.running
        self.__dict__.update(_given=None, _free=[], _seen={}, _skips=self.nonfinite == "skip", _alone=alone)
        self.__dict__.update(_blind=self.algorithm.blind, _brief=self._can_be_brief())

    def _may_compile(self) -> bool:
        """Say whether the compiled engine runs what needs no gradient."""
        return self.engine in ("auto", "compiled") and self.line.samples.is_cpu

    def _can_be_brief(self) -> bool:
        """Say whether short blocks may take the short way: x, d, y and e have one shape, and no sample is marked."""
        one = self.inputs is None and self.outputs is None
        return self._may_compile() and one and not (self._follows or self._skips)

    @property
    def _learns_start(self) -> bool:
        """Whether the weights to start from are followed by torch."""
        w0: Any = getattr(self, "w0", None)
        return w0 is not None and (w0.requires_grad or tracked(w0))

    def __setattr__(self, name: str, value: Any) -> None:
        """Check what is assigned; weights and state are copied into place."""
        if name in self.ranges and name not in self.__dict__.get("_fixed", ()):
            value = check_number(name, value, self._filters, **self.ranges[name])
            place, other = self.__dict__, self._parameters
            if isinstance(value, Tensor):
                starts = name not in self._param_names or name in self._starting
                if starts and (tracked(value) or value.requires_grad):
                    raise ValueError(f"{name} must not require a gradient, got one that does: a start has no graph")
                if not value.requires_grad:
                    value = value.to(self.device, self.dtype.to_real(), copy=True)
                if isinstance(value, nn.Parameter):
                    place, other = other, place
            self.__dict__["_given"] = None
            place[name] = value  # one step, so that an interrupt finds the old one or the new one
            other.pop(name, None)
            self.__dict__["_given"] = None
        elif (name == "w" or name in self.algorithm.states) and self._buffers.get(name) is not None:
            own: Any = self._buffers[name]
            value = self._as_state(name, value, own.shape, own.dtype).detach()
            with self._lock:
                own.copy_(value)
            self.__dict__.update(_fresh=False, _untouched=False)
        else:
            if name == "engine":
                self._check_engine(value)
            super().__setattr__(name, value)
            if name in ("engine", "nonfinite") and "_free" in self.__dict__:
                self._forget()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what points into this object's memory or graph, for copies and pickles."""
        state = super().__getstate__()
        state |= {k: v.detach() for k, v in state.items() if isinstance(v, Tensor) and not v.is_leaf}
        self.__dict__["_free"] = []  # a pickle may move the state into shared memory
        return {**state, "_free": [], "_given": None}

    def _as_state(self, name: str, value: Any, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Check weights or state the user gives."""
        like = self._samples()
        check_block(name, value, like, tuple(shape))
        own = as_tensor(value, dtype, like.device)
        check_finite(name, own)
        return own

    def _as_weights(self, name: str, value: Any) -> Tensor:
        """Check weights the user gives; what is to be learned stays the caller's, all else is copied."""
        w = self._as_state(name, value, self._weight_shape(), self.dtype)
        return value if isinstance(value, Tensor) and value.requires_grad else w.clone()

    def _check_engine(self, engine: Any) -> None:
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
        if engine in ("block", "triton") and self.algorithm.gain is None:
            raise ValueError(f'engine="{engine}" runs rank-one filters only: use "compiled" or "reference"')

    def _step_sizes(self, mu: Any, shape: tuple[int, ...]) -> float | Tensor:
        """Check a step size given with the call; a filter without one of its own takes 0 and 1."""
        own = "mu" in self.algorithm.params
        ranges = {**self.ranges["mu"], "stable": torch.inf} if own else {"high": 1.0}
        steps = check_number("mu", mu, shape, **ranges)
        if isinstance(mu, Tensor) and mu.device != self.device:
            raise ValueError(f"mu is on {mu.device}, the filter on {self.device}: move one with .to(...)")
        if not own and not bool(((t := torch.as_tensor(steps)) == 0).logical_or(t == 1).all()):
            raise ValueError(f"mu must be 0 or 1, as {type(self).__name__} has no step size of its own, got {mu!r}")
        return steps

    # Engines

    def _run(self, job: Job) -> Result:
        """Have an engine run a block; the state changes whole or not at all."""
        engine = choose(self.engine, job)
        if engine == "compiled":
            job.w = self._buffers[self._places[0]]  # type: ignore[assignment]  # a w0 to be learned is the caller's
            workspace = self._workspace()
            try:
                result = compiled.run(job, workspace, self._beside(job.moves))
            finally:
                self._free.append(workspace)
        else:
            result = parts.run(job, engine)
            self._commit({**result.carried, **job.moves})
        self.__dict__.update(_fresh=False, _untouched=False, _calls=self._calls + 1)
        return result

    def _beside(self, moves: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return what changes with a block that no engine knows of, and its values afterwards."""
        own: Any = self._buffers
        return [(own[k], v.detach().reshape(own[k].shape)) for k, v in moves.items()]

    def _job(self, x: Any = None, d: Any = None) -> Job:
        """Return a block for an engine; without signals, what a workspace is made for."""
        raise NotImplementedError

    def _short_workspace(self) -> compiled.Workspace:
        """Return a workspace for a short block or a single sample."""
        return self._workspace()

    def _workspace(self) -> compiled.Workspace:
        """Return a workspace that no call is using, for the state where it lies and the parameters as they are now."""
        free, workspace = self._free, None
        try:
            workspace = free.pop()
        except IndexError:
            with self._lock:  # wait for the call of another thread
                workspace = free.pop() if free else None
        buffers: Any = self._buffers  # a module finds a buffer by its name at twenty times the cost
        line: Any = self._modules["line"]
        places = [line._buffers["samples"].data_ptr()]
        for name in self._places:
            places.append(buffers[name].data_ptr())
        if workspace is None or workspace.places != places:
            self._lay_out()
            job = self._job()
            job.w = buffers[self._places[0]]
            job.moves = {k: buffers[k] for k in self._moved}
            workspace = compiled.Workspace(job)
        if workspace.params is not self._given:
            workspace.set_parameters(self._params(), self._skips)
        return workspace

    @cached_property
    def _moved(self) -> tuple[str, ...]:
        """Names of the buffers that move with a block, and that no engine knows of."""
        return ()

    @cached_property
    def _places(self) -> tuple[str, ...]:
        """Names of the buffers that compiled code works on, the weights first; then those that move with a block."""
        return ("w", *self.algorithm.states, *self.algorithm.vectors)

    def _lay_out(self) -> None:
        """Refuse state of another shape, put in place behind the filter's back, and lay it out without gaps."""
        kinds, carried = {"w": (False, self._weight_shape()), **self._state_kinds()}, self._carried()
        for name, (real, shape) in kinds.items():
            tensor, dtype = carried[name], self.dtype.to_real() if real else self.dtype
            if tensor.shape != shape or tensor.dtype != dtype:
                raise ValueError(f"{name} must have shape {shape}, {dtype}, got {tuple(tensor.shape)}, {tensor.dtype}")
        for tensor in carried.values():
            tensor.data = tensor.data.contiguous()

    def _weight_shape(self) -> tuple[int, ...]:
        """Return the shape of w."""
        return (*self._filters, self._weights)

    def _quick(self, verb: str, x: Any, d: Any) -> Any:
        """Take one number at speed; None where a block of one is needed."""
        own = self.__dict__
        if not own["_alone"] or (verb == "step" and not (own["training"] or own["adapt_in_eval"])):
            return None
        if (verb == "step" and (d is None) is not self._blind) or (verb == "adapt" and self._blind):
            return None
        workspace = self._short_workspace()
        try:
            if own["_skips"]:
                workspace.passed_over = bool(self.passed_over)
            out = _VERBS[verb](workspace, x, d)
            if own["_skips"]:
                self.passed_over.fill_(workspace.passed_over)
            own["_fresh"] = own["_untouched"] = False
            return out
        finally:
            own["_free"].append(workspace)

    def _frame(self, x: Any, d: Any, mu: Any, record_every: Any) -> Any:
        """Adapt over a short block at speed and return y, e, w in kind; None where `_check` has to look at it."""
        own = self.__dict__
        calls = own["_calls"] + 1
        if not (own["_brief"] and calls & (calls - 1)):  # some calls are looked over
            return None
        signals = self._short_signals(x, d)
        if signals is None:
            return None
        if mu is not None:
            if type(mu) is not float:
                return None
            mu = self._step_sizes(mu, ())
        every = 0 if record_every is None else positive_int("record_every", record_every)
        if every and self.inputs is not None:
            return None
        held = not (own["training"] or own["adapt_in_eval"])
        workspace = self._short_workspace()
        try:
            known = workspace.params is own["_given"]  # numbers, which need no gradient
            out = workspace.frame(signals, 0.0 if held else mu, every) if known else None
        finally:
            own["_free"].append(workspace)
        if out is None:
            return None
        own["_calls"], own["_untouched"] = calls, False
        own["_fresh"] = own["_fresh"] and held
        return out if type(x) is np.ndarray else tuple(map(torch.from_numpy, out))

    def _short_signals(self, x: Any, d: Any) -> Any:
        """Return x and d of a short block as arrays, the place of the sample that makes the first output, and what
        else moves with the block, by name; None where `_check` has to look at it.
        """
        like = self._samples()
        fit = plainly_fit(x, d, like, self.batch) and plain_arrays(x, d, like)
        return (*fit, 0, {}) if fit else None

    def _wants_gradient(self, params: dict[str, Any], *given: Any) -> bool:
        """Say whether anything in this call requires gradients."""
        return tracked(*given, *(params.values() if params is not self._given else ()))


def _leave_out_what_is_fresh(f: Any, state: dict[str, Any], prefix: str, _: Any) -> None:
    """Keep the state of a filter that has run nothing out of its checkpoint."""
    if f._untouched:
        for key in ("line.samples", *f._buffers):
            state.pop(prefix + key, None)


def _fit_to_checkpoint(f: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Take over the batch of a checkpoint; one without state leaves the filter at its start."""
    f.reset()
    line = state.get(f"{prefix}line.samples")
    if line is None:
        own = {f"{prefix}line.samples": f.line.samples, **{prefix + k: v for k, v in f._buffers.items()}}
        state.update({k: v for k, v in own.items() if k.removeprefix(prefix) not in f._non_persistent_buffers_set})
    else:
        f._follow(tuple(line.shape[: line.ndim - 1 - (f.inputs is not None)]))
        f._untouched = False


def _attributes(cls: type) -> set[str]:
    """Return what a filter has by name: arguments of its constructor, annotations, properties, constants."""
    found = set(inspect.signature(cls.__init__).parameters)  # type: ignore[misc]
    for base in cls.__mro__:
        found |= {k for k, v in vars(base).items() if not callable(v)} | {*vars(base).get("__annotations__", {})}
    return found
