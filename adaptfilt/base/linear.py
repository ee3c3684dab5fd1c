"""Filters that are linear in their weights, y = w^T u: what u is made of, and the way of a block to an engine and back.

A block goes straight down: `_check` refuses what does not fit and makes a `Job`; `_adapt` has an engine chosen and run;
what comes back is given back in kind by the verb.
"""

import math
import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.base.parameters import ParametricFilter
from adaptfilt.checks import (
    Block,
    as_tensor,
    cast,
    check_block,
    check_finite,
    check_known,
    check_same_kind,
    finite_samples,
    natural,
    plain_arrays,
    plainly_fit,
    positive_int,
    zeroed,
    zeros_like_block,
)
from adaptfilt.engines.algorithm import Job, Result
from adaptfilt.engines.choose import choose, tracked
from adaptfilt.engines.cpu.loops import SIGNALS
from adaptfilt.engines.tensors import parts
from adaptfilt.engines.tensors.fixed import combine

SEEN = 32  # shapes and types of signals that are remembered as fitting


class LinearFilter(ParametricFilter):
    """An adaptive filter y = w^T u with any update of w: give it an `algorithm`, and it streams.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M; without `features` also the number of weights an input and output.
    params : mapping of str to float or Tensor
        The algorithm's parameters, which become attributes.
    w0 : array or Tensor [shape=(*batch, [outputs,] [inputs,] M)], optional
        Weights at the start and after `reset`; zeros by default. May require gradients.
    inputs, outputs : int >= 1, optional
        Number of inputs, y = sum_c w_c^T u_c, and of outputs, which share them; None: there is no such axis.
    features : nn.Module, optional
        Map from regressors (..., M), or (..., inputs, M), to features (..., F), which the weights then combine.
    sps : int >= 1
        Samples an output: y is made of every sps-th sample, counted from the start; weights are at the rate of x.
    delay : int >= 0
        Outputs by which d is delayed inside: y[n] estimates d[n - delay].
    feedback : int >= 0
        Length of the line of what the algorithm feeds back; its weights follow those of x.
    engine : str
        "auto"; "reference" (per-sample torch loop), "compiled" (CPU), "block" or "triton" (rank-one filters).
    batch, dtype, device, nonfinite, adapt_in_eval
        As for `AdaptiveFilter`.
    """

    phase: Tensor  # samples since the last output
    waiting: Tensor  # what of d is delayed
    latest: Tensor  # the newest samples when the last output was made, where others have come since

    def __init__(
        self,
        taps: int,
        params: Mapping[str, Any],
        *,
        w0: Block | None = None,
        features: nn.Module | None = None,
        sps: int = 1,
        delay: int = 0,
        feedback: int = 0,
        **common: Any,
    ) -> None:
        super().__init__(taps, params, **common)
        algorithm, device = self.algorithm, self.device
        if features is not None and not isinstance(features, nn.Module):
            raise TypeError(f"features must be a torch module, got {features!r}")
        self.features, self.sps = features, positive_int("sps", sps)
        self.delay, self.feedback = natural("delay", delay), natural("feedback", feedback)
        self._refuse_mixtures()
        self._count = self._count_weights()
        start = self._first_weights(w0)
        self.w0 = None if start is None else self._as_weights("w0", start)
        self.register_buffer("w", torch.zeros(self._weight_shape(), dtype=self.dtype, device=device))
        self._register_state()
        axes = self.inputs is not None or self._axes("d") != self.batch
        self._simple = not (axes or self.sps > 1 or algorithm.blind or algorithm.unknown)  # x and d have one shape
        for name, shape in self._signal_shapes().items():
            self.register_buffer(name, torch.zeros(shape, dtype=self.dtype, device=device))
        if self.sps > 1:
            self.register_buffer("phase", torch.zeros((), dtype=torch.int64, device=device))
            self.register_buffer("latest", torch.zeros_like(self.line.samples))
        self._wary = True
        self._restart()
        self._forget()
        self._fixed = (*self._fixed, "features", "sps", "delay", "feedback")

    def _signal_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the signals that the filter carries besides its line."""
        algorithm = self.algorithm
        sizes = {
            "fed": (self.feedback + 1) * (algorithm.feed is not None),
            "before": self._weights * algorithm.lagged,
            "lag": int(algorithm.lagged),
            "waiting": self.delay,
        }
        return {name: (*self._filters, size) for name, size in sizes.items() if size}

    def _refuse_mixtures(self) -> None:
        """Refuse what does not go together."""
        fed, lagged = self.algorithm.feed is not None, self.algorithm.lagged
        name = type(self).__name__
        for excluded, what in (
            (self.feedback and not fed, "feedback with an algorithm that feeds nothing back"),
            (fed and self.features is not None, "features with an algorithm that feeds back"),
            (lagged and self.sps > 1, "sps with a gain that takes the lag"),
            (self.delay and not self.algorithm.unknown, "delay with an algorithm that has to know d"),
        ):
            if excluded:
                raise ValueError(f"{name} does not take {what}")

    def _count_weights(self) -> int:
        """Return how many numbers the weights combine: the features of a regressor, or samples and what is fed back."""
        line = self.line
        if self.features is None:
            return line.taps * (self.inputs or 1) + self.feedback
        shape = (line.taps,) if self.inputs is None else (self.inputs, line.taps)
        with torch.no_grad():
            out = self.features(torch.zeros(1, *shape, dtype=self.dtype, device=self.device))
        if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != 1:
            got = tuple(getattr(out, "shape", ()))
            raise ValueError(f"features must map {(1, *shape)} to (1, F), got {got}")
        return out.shape[-1]

    @property
    def _weights(self) -> int:
        return self._count

    def _weight_shape(self) -> tuple[int, ...]:
        if self.inputs is None or self.features is not None or self.algorithm.feed:
            return (*self._filters, self._count)
        return (*self._filters, self.inputs, self.taps)

    def _first_weights(self, w0: Any) -> Any:
        """Return the weights to start from where none are given."""
        return w0

    def _spike(self, tap: int) -> Tensor:
        """Return the weights by which every output is the input of its number, delayed by `tap` samples."""
        outputs, inputs = self.outputs or 1, self.inputs or 1
        if outputs > 1 and inputs < outputs:
            raise ValueError(
                f"outputs must be at most inputs, {inputs}, for a start from spikes, got {outputs}: give w0"
            )
        if tap >= self.taps:
            raise ValueError(
                f"delay must be below {-(-self.taps // self.sps)} symbols, those in the line, got {self.delay}: give w0"
            )
        if self.features is not None:
            raise ValueError(f"features need w0: {type(self).__name__} starts from a spike in the line of samples")
        w = torch.zeros(outputs, inputs, self.taps, dtype=self.dtype, device=self.device)
        w[:, :, tap] = torch.eye(outputs, inputs, dtype=self.dtype, device=self.device)
        w = torch.cat([w.flatten(-2), w.new_zeros(outputs, self.feedback)], -1)
        shape = self._weight_shape()
        return w.reshape(shape[len(self.batch) :]).expand(shape)

    def _sample(self, name: str, value: Any) -> Any:
        """Return one sample, or the samples of one symbol, as a block that makes one output."""
        if name != "x" or self.sps == 1:
            return super()._sample(name, value)
        check_block(name, value, self.line.samples, (*self._axes(name), self.sps))
        return value

    # State

    def _starts(self) -> dict[str, Any]:
        first = {} if self.w0 is None else {"w": self.w0.detach().to(self.device, self.dtype)}
        return {**first, **({"waiting": torch.nan} if self.delay else {}), **super()._starts()}

    def _carried(self) -> dict[str, Tensor]:
        signals: Any = {name: self._buffers[name] for name in self._own_signals}
        return {
            "w": self._buffers["w"],
            **super()._carried(),
            **signals,
            **({k: self._buffers[k] for k in ("phase", "latest")} if self.sps > 1 else {}),
        }

    @cached_property
    def _places(self) -> tuple[str, ...]:
        return ("w", *self._job_signals, *self.algorithm.states, *self.algorithm.vectors, *self._moved)

    @cached_property
    def _moved(self) -> tuple[str, ...]:
        return ("waiting",) * (self.delay > 0) + ("phase", "latest") * (self.sps > 1)

    @cached_property
    def _job_signals(self) -> tuple[str, ...]:
        """Names of the signals that an engine moves."""
        return tuple(k for k in self._own_signals if k in SIGNALS)

    @cached_property
    def _own_signals(self) -> tuple[str, ...]:
        """Names of the signals that the filter carries besides its line."""
        return tuple(self._signal_shapes())

    @property
    def _plain(self) -> bool:
        """Whether y = w^T u and e = d - y, so that weights that stand still are a convolution."""
        return self.algorithm.plain

    def _restart(self, mask: Tensor | None = None) -> None:
        if mask is not None and self.sps > 1 and self.phase:
            raise ValueError(f"reset(mask) comes between symbols, not {int(self.phase)} of {self.sps} samples into one")
        super()._restart(mask)

    def _forget(self) -> None:
        super()._forget()
        if self.features is not None or self._learns_start or self.sps > 1 or self.delay:
            self.__dict__["_alone"] = False

    def _can_be_brief(self) -> bool:
        return self._may_compile() and self.features is None and not (self._learns_start or self._skips)

    def _signals(self) -> list[Tensor]:
        return [*super()._signals(), *([] if self.w0 is None else [self.w0])]

    def _start_weights(self) -> Tensor:
        """Return the weights to start from: w0 itself while they are still equal to it and it requires gradients."""
        w: Any = self._buffers["w"]
        if self._fresh and self._learns_start:
            w0: Any = self.w0
            w0 = w0.to(self.device, self.dtype).expand_as(w)
            return w0 if torch.equal(w0, w) else w
        return w

    def __setattr__(self, name: str, value: Any) -> None:
        """Check what is assigned; weights and state are copied into place."""
        if name == "w0" and value is not None and "w" in self._buffers:
            value = self._as_weights(name, value)
        super().__setattr__(name, value)
        if name == "w0" and "_free" in self.__dict__:
            self._forget()

    # A block

    def _check(self, x: Any, d: Any, mu: Any, record_every: Any, regressors: bool, path: Any) -> Job:
        """Refuse bad input, and return it as a job."""
        if path is not None:
            raise TypeError(f"{type(self).__name__} has no secondary path: path cannot be given")
        self._follow_block(x, 2 if regressors or self.inputs is not None else 1)
        d, moves = self._completed(x, d, self._check_signals(x, d, regressors)), {}
        if self.delay:
            d, moves["waiting"] = self._delayed(d)
        steps = None if mu is None else self._step_sizes(mu, (*self._filters, d.shape[-1]))
        every = 0 if record_every is None else min(positive_int("record_every", record_every), d.shape[-1] + 1)
        offset = 0 if self.sps == 1 else self._offset()
        if self._skips:
            x, d, moves["passed_over"] = self._marked(x, d, regressors, offset)
        if self.sps > 1:
            moves |= self._moved_symbols(x, offset, d.shape[-1])
        job = self._job(x, d)
        job.mu, job.every, job.rows, job.offset, job.moves = steps, every, regressors, offset, _as_tensors(moves)
        if not job.gradient and steps is not None:
            job.gradient = tracked(steps)
        return job

    def _short_signals(self, x: Any, d: Any) -> Any:
        arrays = plain_arrays(x, d, self._samples())
        if arrays is None:
            return None
        x, d = arrays
        offset, seen = 0 if self.sps == 1 else self._offset(), self.__dict__["_seen"]
        key = (x.shape, x.dtype, offset, *(() if d is None else (d.shape, d.dtype)))
        length = seen.get(key)
        if length is None:
            self._follow_block(x, 1 if self.inputs is None else 2)
            length = self._check_signals(x, d, False)
            if len(seen) < SEEN:
                seen[key] = length
        d, moves = self._completed(x, d, length), {}
        if self.delay:
            d, moves["waiting"] = self._delayed(d)
        if self.sps > 1:
            moves |= self._moved_symbols(x, offset, length)
        return x, d, offset, moves

    def _check_signals(self, x: Any, d: Any, rows: bool) -> int:
        """Check types and shapes of x and d; return how many outputs they make."""
        if self._simple and not rows and plainly_fit(x, d, self._samples(), self.batch):
            return x.shape[-1]
        like, name = self.line.samples, type(self).__name__
        if rows and (self.inputs is not None or self.sps > 1 or self.algorithm.feed):
            what = "inputs" if self.inputs is not None else "sps" if self.sps > 1 else "an algorithm that feeds back"
            raise ValueError(f"regressors=True does not go with {what}")
        check_block("x", x, like, (*self.batch, None, self._count) if rows else (*self._axes("x"), None))
        length = x.shape[-2] if rows else self._outputs_of(x.shape[-1])
        if self.algorithm.blind:
            if d is not None:
                raise TypeError(f"{name} is blind: d cannot be given")
            return length
        if d is None and not self.algorithm.unknown:
            raise TypeError(f"{name} needs d, the desired signal")
        if d is not None:
            check_block("d", d, like, (*self._axes("d"), None))
            check_same_kind(x, d)
        given = 0 if d is None else d.shape[-1]
        if given > length or (given < length and not self.algorithm.unknown):
            per = "" if self.sps == 1 else f", which is {length} outputs at sps={self.sps}"
            samples = x.shape[-2 if rows else -1]
            raise ValueError(f"x and d must have the same length, got {samples} and {given} samples{per}")
        return length

    def _outputs_of(self, samples: int) -> int:
        """Return how many outputs so many samples make."""
        return samples if self.sps == 1 else max(samples - self._offset() + self.sps - 1, 0) // self.sps

    def _offset(self) -> int:
        """Return how many samples come before the one that makes the next output."""
        phase: Any = self._buffers["phase"]
        return -phase.item() % self.sps

    def _moved_symbols(self, x: Any, offset: int, outputs: int) -> dict[str, Any]:
        """Return the phase after a block, and the newest samples when its last output was made, where they change."""
        moves, M = {}, self.taps
        if x.shape[-1] % self.sps:
            moves["phase"] = np.array((x.shape[-1] - offset) % self.sps)
        if outputs:
            end = offset + (outputs - 1) * self.sps + 1
            newest = cast(x[..., max(end - M, 0) : end], self.dtype)
            moves["latest"] = newest if end >= M else self._after(self._samples(), newest)[..., -M:]
        return moves

    def _completed(self, x: Any, d: Any, length: int) -> Any:
        """Return d as long as the outputs are: with NaN where it is not known, and zeros for a blind filter."""
        if self._blind:
            return zeros_like_block(x, (*self._axes("d"), length))
        if not self.algorithm.unknown:
            return d
        if d is not None:
            check_known("d", cast(d, self.dtype))
        missing = length - (0 if d is None else d.shape[-1])
        if d is not None and not missing:
            return d
        end = zeros_like_block(x, (*self._axes("d"), missing)) * np.nan
        if d is None:
            return end
        return np.concatenate([d, end], -1) if isinstance(d, np.ndarray) else torch.cat([d, end], -1)

    def _delayed(self, d: Any) -> tuple[Any, Any]:
        """Return d as it comes out of the line of `delay` outputs, and what then waits."""
        whole, N = self._after(self._buffers["waiting"], d), d.shape[-1]
        return whole[..., :N], whole[..., N:]

    def _after(self, past: Any, new: Any) -> Any:
        """Return a signal with its past before it."""
        if isinstance(new, np.ndarray):
            return np.concatenate([past.numpy(force=True), cast(new, self.dtype)], -1)
        return torch.cat([past, new.to(self.dtype)], -1)

    def _marked(self, x: Any, d: Any, rows: bool, offset: int) -> tuple[Any, Any, Any]:
        """Return x with zeros, d with a mark wherever either is not finite, and whether the newest sample was not."""
        x, d = cast(x, self.dtype), cast(d, self.dtype)
        good = finite_samples(x)
        good = good.all(-1) if rows else good if self.inputs is None else good.all(-2)
        newest = self.passed_over
        if good.shape[-1]:
            newest = ~torch.as_tensor(good[..., -1], device=self.device)
        if self.sps > 1:
            good, newest = self._good_outputs(good, offset, d.shape[-1])
        if self._axes("d") != self.batch:
            good = good[..., None, :]
        known = finite_samples(d)
        if self.algorithm.unknown:  # NaN says something else there
            known, mark = known | (d != d), np.inf
        else:
            mark = np.nan
        if isinstance(d, np.ndarray):
            return zeroed(x), np.where(good & known, d, mark).astype(d.dtype), newest
        return zeroed(x), torch.where(good & known, d, mark), newest

    def _good_outputs(self, good: Any, offset: int, length: int) -> tuple[Any, Any]:
        """Return which outputs follow finite samples, counted from the output before, and whether one since was not."""
        own = torch.as_tensor(good, device=self.device)
        before = torch.ones((*own.shape[:-1], self.sps - 1 - offset), dtype=torch.bool, device=own.device)
        if self.sps - 1 - offset > 0:
            before = before & ~self.passed_over.unsqueeze(-1)
        whole = torch.cat([before, own], -1)
        made = whole[..., : length * self.sps].unflatten(-1, (length, self.sps)).all(-1)
        newest = ~whole[..., length * self.sps :].all(-1)
        return made.numpy() if isinstance(good, np.ndarray) else made, newest

    def _job(self, x: Any = None, d: Any = None) -> Job:
        """Return a block for an engine; without signals, what a workspace is made for."""
        buffers: Any = self._buffers  # a module finds a buffer by its name at twenty times the cost
        params, start, names = self._params(), self._start_weights(), self._places[1:]
        states, vectors, signals = (
            (
                {k: buffers[k] for k in kind}
                for kind in (self.algorithm.states, self.algorithm.vectors, self._job_signals)
            )
            if names
            else ({}, {}, {})
        )
        given = (x, d) if start is buffers["w"] else (x, d, start)
        if self.features is not None:
            given = (*given, *self.features.parameters())
        return Job(
            self.algorithm, x, d, start, self._samples(), states, params, vectors, signals, self.batch, self._filters,
            self.inputs or 1, None, 0, self.sps, 0, False, self._skips, self._wants_gradient(params, *given), False,
            self.features, self._scratch,
        )  # fmt: skip

    def _adapt(self, job: Job) -> tuple[Any, Any, Any]:
        """Have an engine run a block."""
        result = self._run(job)
        if not self._calls & (self._calls - 1):  # the first, second, fourth, eighth: it costs next to nothing
            self._look_over(job, result)
        return self._given_back(job, result)

    def _look_over(self, job: Job, result: Result) -> None:
        """Warn, once, where the errors of a whole block are far beyond what was desired, or a step too large for x."""
        power_x, power_d, power_e = (
            _power(job.x),
            _power(job.d),
            _power(result.e, _median),
        )  # a burst is no divergence
        if self._wary and power_e > 1e6 * power_d > 0:
            self._wary = False
            more = 10 * math.log10(power_e / power_d)
            warnings.warn(
                f"{type(self).__name__}: the error is {more:.0f} dB above d over a whole block: it diverges; lower mu, "
                "or normalise, as NLMS does",
                stacklevel=6,
            )
        bound = None if job.mu is not None else self._largest_step(power_x)
        if self._wary and bound is not None and _most(self._params()["mu"]) > bound:
            self._wary = False
            warnings.warn(
                f"{type(self).__name__}: mu is beyond {bound:.3g}, 2 / (3 taps power) of this block: it may diverge",
                stacklevel=6,
            )
        doubt = self._doubt(job.d) if self._wary else None
        if doubt:
            self._wary = False
            warnings.warn(f"{type(self).__name__}: {doubt}", stacklevel=6)

    def _doubt(self, d: Any) -> str | None:
        """Say what makes a desired signal look wrong; None: nothing does."""
        return None

    def _largest_step(self, power: float) -> float | None:
        """Return the step size from which on a filter on an input of this power is to warn; None: never."""
        return None

    def _given_back(self, job: Job, result: Result) -> tuple[Any, Any, Any]:
        """Return y, e and w, or its record, in their public shapes."""
        y, e, w, record = result.y, result.e, result.w, result.record
        if record is not None:
            axes = len(self._filters)
            w = record.reshape(*self._filters, record.shape[-2], *self._weight_shape()[axes:])
            w = np.moveaxis(w, axes, -2) if isinstance(w, np.ndarray) else w.movedim(axes, -2)
        if result.carried is None:
            return y, e, w
        w = w if record is not None else w.reshape(self._weight_shape())
        y = y.reshape(*self._axes("y"), y.shape[-1])
        return y, e.reshape(job.d.shape), w if job.gradient else w.detach().clone()

    def _hold(self, job: Job) -> tuple[Any, Any, Any]:
        """Filter with weights that stand still and return the errors all the same."""
        if self._plain and choose(self.engine, job) != "compiled":
            if not job.skip:
                check_finite("d", cast(job.d, self.dtype))
            y = self._all_at_once(job)
            e, w = as_tensor(job.d, self.dtype, self.device) - y, self.w.clone()
            if job.every:
                w = w.unsqueeze(-2).repeat_interleave(job.d.shape[-1] // job.every, -2)
            return y, e, w
        fresh, job.mu = self._fresh, 0.0
        out = self._adapt(job)
        self.__dict__["_fresh"] = fresh
        return out

    def _check_input(self, x: Any) -> Job:
        """Refuse bad input, and return it as a job in which no d is valid."""
        self._follow_block(x, 1 if self.inputs is None else 2)
        check_block("x", x, self.line.samples, (*self._axes("x"), None))
        offset = 0 if self.sps == 1 else self._offset()
        d = zeros_like_block(x, (*self._axes("d"), self._outputs_of(x.shape[-1])))
        unknown = not (self.algorithm.blind or self._plain)
        d, moves = d * np.nan if unknown else d, {}
        if self.delay:
            d, moves["waiting"] = self._delayed(d)
        if self._skips:
            x, marked, moves["passed_over"] = self._marked(x, d, False, offset)
            d = d if self._plain else marked
        elif unknown:
            check_finite("x", cast(x, self.dtype))
        if self.sps > 1:
            moves |= self._moved_symbols(x, offset, d.shape[-1])
        job = self._job(x, d)
        job.offset, job.skip, job.moves = offset, unknown or (self._skips and self._blind), _as_tensors(moves)
        return job

    def _filter(self, job: Job) -> Any:
        """Filter with weights that stand still."""
        if self._plain and choose(self.engine, job) != "compiled":
            return self._all_at_once(job)
        return self._hold(job)[0]

    def _all_at_once(self, job: Job) -> Any:
        """Filter with weights that stand still, in torch."""
        if not job.skip:
            check_finite("x", cast(job.x, self.dtype))
        y, carried = combine(job)
        self._commit({**carried, **job.moves})
        self.__dict__["_untouched"] = False
        return y.reshape(job.d.shape)

    def _adapt_on(self, e: Any) -> None:
        self._adapt_along(e, None)

    def _adapt_along(self, e: Any, direction: Tensor | None) -> None:
        """Adapt on an error by means of the reference engine; the direction is the regressor if none is given."""
        if self.algorithm.blind:
            raise TypeError(f"{type(self).__name__} is blind: it takes no error from elsewhere")
        check_block("e", e, self.line.samples, (*self._axes("e"), 1))
        e = as_tensor(e, self.dtype, self.device)
        if self.nonfinite == "raise":
            check_finite("e", e)
        else:  # nor does it adapt on a sample that `predict` passed over
            passed = self.passed_over if self._axes("e") == self.batch else self.passed_over.unsqueeze(-1)
            e = torch.where(passed.unsqueeze(-1) | ~torch.isfinite(e), torch.nan, e)
        job = self._job(self._last_regressor(), e)
        job.rows, job.errors, job.skip, job.gradient, job.direction = True, True, True, False, direction
        result = parts.run(job, "reference")
        states = () if self.algorithm.running else self.algorithm.states  # `predict` has moved those that go on
        self._commit({k: v for k, v in result.carried.items() if k == "w" or k in states})
        self.__dict__.update(_fresh=False, _untouched=False)

    def _last_regressor(self) -> Tensor:
        """Return the regressor of the newest output, (*batch, 1, F)."""
        u = (self.line.samples if self.sps == 1 else self.latest).flip(-1)
        if self.features is not None:
            return self.features(u).to(self.dtype).unsqueeze(-2)
        return u.reshape(*self.batch, 1, -1)


def _as_tensors(moves: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return what moves with a block as tensors."""
    return {k: v if isinstance(v, Tensor) else torch.from_numpy(np.array(v, order="C")) for k, v in moves.items()}


def _most(v: float | Tensor) -> float:
    """Return the largest entry of a parameter."""
    return float(v.detach().max()) if isinstance(v, Tensor) else v


def _median(v: Any) -> Any:
    """Return the median, or the larger of two: NumPy's own imports a module when it is first called."""
    return np.partition(v, len(v) // 2)[len(v) // 2]


def _power(v: Any, middle: Any = np.mean) -> float:
    """Return the mean, or another middle, of the squares of what is finite in a signal; 0 where there is nothing.

    Of a long one every so many entries tell enough.
    """
    v = v.reshape(-1)
    v = v[:: max(len(v) >> 16, 1)]
    size = np.abs(v).astype(float) if isinstance(v, np.ndarray) else v.detach().abs().double().cpu().numpy()
    size = size[np.isfinite(size)]
    with np.errstate(over="ignore"):
        return float(middle(size**2)) if size.size else 0.0
