"""Filters that are linear in their weights: the ways in and out, and the choice of the engine."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from adaptfilt.checks import (
    Block,
    admit,
    as_tensor,
    check_block,
    check_finite,
    check_number,
    check_same_kind,
    positive_int,
    skip_nonfinite,
)
from adaptfilt.engines import compiled, in_torch
from adaptfilt.engines.algorithm import Algorithm, Job
from adaptfilt.engines.choose import choose, plain, tracked
from adaptfilt.engines.frozen import combine
from adaptfilt.filters.base import AdaptiveFilter, Output, as_blocks, feature_count, like_input

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
    _predicted_bad: Tensor | None  # where the last sample of `predict` was not finite

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
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
        if engine in ("block", "triton") and self.algorithm.gain is None:
            raise ValueError(f'engine="{engine}" runs rank-one filters only: use "compiled" or "reference"')
        self.engine = engine
        self.features = features
        size = feature_count(features, self.line)
        self.w0 = None if w0 is None else self._as_weights("w0", w0, size)
        self.register_buffer("w", torch.zeros(*self.batch, size, dtype=self.dtype, device=self.device))
        for name in self.algorithm.state:
            self.register_buffer(name, None)
        self._restart()

    def _initial_state(self) -> dict[str, Tensor]:
        """Return what the algorithm carries besides the weights, at the start."""
        return {}

    def _scratch(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the update function's scratch arrays."""
        return ((self.w.shape[-1],),) * len(self.algorithm.scratch)

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
        return {k: getattr(self, k) for k in self._param_names}

    def reset(self) -> Self:
        """Return to the start: initial weights and state, empty delay line."""
        self.line.reset()
        self._restart()
        return self

    def _restart(self) -> None:
        with torch.no_grad():
            self.w.zero_() if self.w0 is None else self.w.copy_(self.w0.detach())
            for name, value in self._initial_state().items():
                old = self._buffers[name]
                self._buffers[name] = value.to(self.device, self.dtype) if old is None else old.copy_(value)
        self._fresh, self._bound_code, self._predicted_bad = True, None, None

    def _start(self) -> Tensor:
        """Return the weights to start from: w0 itself while they are still equal to it and it requires gradients."""
        if self._fresh and self.w0 is not None and (self.w0.requires_grad or tracked(self.w0)):
            w0 = self.w0.to(self.device, self.dtype)
            return w0 if torch.equal(w0, self.w) else self.w
        return self.w

    def __setattr__(self, name: str, value: Any) -> None:
        """Check a parameter's range; copy assigned weights into the state."""
        if name == "w" and "w" in self.__dict__.get("_buffers", ()):
            self.w.copy_(self._as_weights("w", value, self.w.shape[-1]).detach())
            self._fresh = False
        elif name in self.ranges:
            value = check_number(name, value, self.batch, **self.ranges[name])
            self.__dict__["_bound_code"] = None
            for place in (self.__dict__, self._buffers, self._parameters):
                place.pop(name, None)
            if isinstance(value, Tensor) and not value.requires_grad:
                self.register_buffer(name, value.to(self.device, self.dtype.to_real()), persistent=False)
            else:
                super().__setattr__(name, value)
        else:
            super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what points into this object's memory or graph, for copies and pickles."""
        state = {k: v.detach() if isinstance(v, Tensor) and not v.is_leaf else v for k, v in self.__dict__.items()}
        return {**state, "_bound_code": None}

    def _as_weights(self, name: str, value: Any, size: int) -> Tensor:
        """Check weights the user gives."""
        check_block(name, value, self.line.samples, (*self.batch, size))
        check_finite(name, value)
        return value if isinstance(value, nn.Parameter) else as_tensor(value, self.dtype, self.device)

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
            return torch.compiler.disable(self._forward)(x, d, mu, record_every)
        return self._forward(x, d, mu, record_every)

    def _forward(self, x: Block, d: Block, mu: Any, record_every: int | None) -> Output:
        if mu is None and record_every is None and self.training:
            bound = self._bound()
            fits = bound is not None and bound.takes(x) and bound.takes(d) and type(x) is type(d) and len(x) == len(d)
            if bound is not None and fits and plain(x, d):
                return Output(*bound.block(x, d))
        rows = self._check_pair(x, d)
        every = 0 if record_every is None else positive_int("record_every", record_every)
        steps = None if mu is None else self._check_steps(mu, d)
        if not self.training:
            return self._only_filter(x, d, rows, every)
        start = self._start()
        gradient = self._wants_gradient((x, d, steps, start))
        job = Job(
            self.algorithm, x, d, start, self.line.samples, self._state(), self._params(), steps, every, rows,
            self.nonfinite == "skip", gradient, self.features, self._scratch(),
        )  # fmt: skip
        engine = choose(self.engine, job)
        result = compiled.run(job) if engine == "compiled" else in_torch.run(job, engine)
        self._commit(result.w, result.samples, result.state)
        w = torch.as_tensor(result.w if result.record is None else result.record)
        return Output(
            like_input(result.y, x), like_input(result.e, x), like_input(w if gradient else w.detach().clone(), x)
        )

    def _commit(self, w: Any, samples: Any, state: dict[str, Any]) -> None:
        """Take over the state after a block."""
        with torch.no_grad():
            self.w.copy_(torch.as_tensor(w).detach())
            self.line.samples.copy_(torch.as_tensor(samples).detach().reshape(self.line.samples.shape))
            for name, value in state.items():
                self._buffers[name].copy_(torch.as_tensor(value).detach())  # type: ignore[union-attr]
        self._fresh = False

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
        if self.nonfinite == "skip":
            x = skip_nonfinite(x, x)[0]
        check_finite("x", x)
        y, samples = combine(x, self.w, self.line.samples, self.features, rows=False)
        self.line.samples.copy_(samples)
        return like_input(y, x)

    def _only_filter(self, x: Block, d: Block, rows: bool, every: int) -> Output:
        """Filter with fixed weights and return the errors all the same."""
        x, d = admit(x, d, self.nonfinite == "skip")
        y, samples = combine(x, self.w, self.line.samples, self.features, rows)
        self.line.samples.copy_(samples)
        e = as_tensor(d, self.dtype, self.device) - y
        w = self.w.clone()
        if every:
            w = w.unsqueeze(-2).repeat_interleave(d.shape[-1] // every, -2)
        return Output(like_input(y, x), like_input(e, x), like_input(w, x))

    def _check_pair(self, x: Any, d: Any) -> bool:
        """Check the types and shapes of a block and say whether x holds ready regressors."""
        like, batch, F = self.line.samples, self.batch, self.w.shape[-1]
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

    def _wants_gradient(self, given: tuple[Any, ...]) -> bool:
        """Say whether torch is to follow anything in this call."""
        learned = () if self.features is None else tuple(self.features.parameters())
        return tracked(*given, *self._params().values(), *learned)

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
        bound = self._bound()
        if bound is not None and self.training:
            return bound.step(x, d)
        x, d, number = as_blocks(self.batch, x, d)
        with torch.no_grad():
            y, e, _ = self(x, d)
        return (y.item(), e.item()) if number else (y[..., 0], e[..., 0])

    def predict(self, x: Any) -> Any:
        """Take one sample in and return the output; `adapt` then takes the error.

        Parameters
        ----------
        x : float or complex; with a batch, an array or tensor of its shape

        Returns
        -------
        float or complex; with a batch, as x
        """
        bound = self._bound()
        if bound is not None:
            return bound.predict(x)
        x, _, number = as_blocks(self.batch, x, x)
        self._predicted_bad = ~torch.isfinite(as_tensor(x, self.dtype, self.device))
        with torch.no_grad():
            y = self.filter(x)
        return y.item() if number else y[..., 0]

    def adapt(self, e: Any) -> None:
        """Adapt on the error of the last `predict`, measured elsewhere: e need not be d - y.

        Parameters
        ----------
        e : float or complex; with a batch, an array or tensor of its shape
        """
        if not self.training:
            return
        bound = self._bound()
        if bound is not None:
            bound.adapt(e)
            return
        block, _, _ = as_blocks(self.batch, e, e)
        check_block("e", block, self.line.samples, (*self.batch, 1))
        block = as_tensor(block, self.dtype, self.device)
        if self.nonfinite == "raise":
            check_finite("e", block)
        else:  # nor does it adapt on a sample that `predict` passed over
            bad = torch.zeros_like(block, dtype=torch.bool) if self._predicted_bad is None else self._predicted_bad
            block = torch.where(bad | ~torch.isfinite(block), torch.nan, block)
        with torch.no_grad():
            u = self.line.samples.flip(-1).unsqueeze(-2)
            u = u if self.features is None else self.features(u).to(self.dtype)
            d = block + combine(u, self.w, self.line.samples, None, rows=True)[0]
            job = Job(
                self.algorithm, u, d, self.w, self.line.samples, self._state(), self._params(), rows=True,
                skip=self.nonfinite == "skip", scratch=self._scratch(),
            )  # fmt: skip
            result = in_torch.run(job, "reference")
        self._commit(result.w, result.samples, result.state)

    def _bound(self) -> compiled.Bound | None:
        """Return the compiled code bound to this filter's memory, where there can be one."""
        bound = self._bound_code
        if (
            bound is not None
            and bound.w is self._buffers["w"]
            and bound.samples is self._modules["line"]._buffers["samples"]
        ):
            return bound
        params = self._params()
        one_on_cpu = not self.batch and self.device.type == "cpu" and self.engine in ("auto", "compiled")
        learned = self.w0 is not None and (self.w0.requires_grad or tracked(self.w0))
        if (
            not one_on_cpu
            or learned
            or self.features is not None
            or any(isinstance(v, Tensor) for v in params.values())
        ):
            return None
        skip = self.nonfinite == "skip"
        state, scratch = self._state(), self._scratch()
        bound = compiled.Bound(
            Job(
                self.algorithm,
                None,
                None,
                self.w,
                self.line.samples,
                state,
                params,
                skip=skip,
                scratch=scratch,
            )
        )
        self.__dict__["_bound_code"] = bound
        return bound
