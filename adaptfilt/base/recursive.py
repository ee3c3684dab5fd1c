"""Filters that are no y = w^T u, such as lattices: per sample, whatever their function says."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.parameters import ParametricFilter
from adaptfilt.checks import (
    cast,
    check_block,
    check_finite,
    check_same_kind,
    finite_samples,
    plainly_fit,
    positive_int,
    zeroed,
    zeros_like_block,
)
from adaptfilt.engines.algorithm import Job, Result


class RecursiveFilter(ParametricFilter):
    """An adaptive filter that runs a recursion: give it an `algorithm` with `recursion` and `weights`.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M; also that of the weights, unless a class says another one.
    params : mapping of str to float or Tensor
        The algorithm's parameters, which become attributes.
    batch, dtype, device, nonfinite, adapt_in_eval, engine
        As for `AdaptiveFilter`; engine "compiled" or "reference", the same function uncompiled. There are no inputs,
        outputs, features and w0; the state lies on the CPU; gradients are refused.

    Attributes
    ----------
    w : Tensor [shape=(*batch, M)]
        The weights that stand for the recursion, such as its impulse response; read-only.
    """

    responds: ClassVar[bool] = True  # w is an impulse response
    _stale: bool  # samples have come since w was written

    def __init__(self, taps: int, params: Mapping[str, Any], **common: Any) -> None:
        for name in ("inputs", "outputs", "w0", "features", "sps"):
            if name in common:
                raise TypeError(f"{type(self).__name__} is a recursion: {name} cannot be given")
        super().__init__(taps, params, **common)
        self.register_buffer("_w", torch.zeros(*self.batch, self._weights, dtype=self.dtype, device=self.device))
        self._register_state()
        self._restart()
        self._forget()
        self._fixed = (*self._fixed, "w")

    @property
    def _weights(self) -> int:
        return self.taps

    @property
    def w(self) -> Tensor:  # type: ignore[override]
        """The weights that stand for the recursion."""
        own: Any = self._buffers["_w"]
        if self._stale:
            none = own[..., :0]
            with self._lock:
                self._run(self._job(none, none))
        return own

    def _carried(self) -> dict[str, Tensor]:
        return {**super()._carried(), "w": self._buffers["_w"]}  # type: ignore[dict-item]

    def __setattr__(self, name: str, value: Any) -> None:
        """Take over a state that is assigned, which other weights stand for."""
        super().__setattr__(name, value)
        if name in self.algorithm.states:
            self.__dict__["_stale"] = True

    def _restart(self, mask: Tensor | None = None) -> None:
        super()._restart(mask)
        self.__dict__["_stale"] = True

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Take over a state, as `torch.nn.Module.load_state_dict`; one that does not fit changes nothing."""
        try:
            return super().load_state_dict(*args, **kwargs)
        finally:
            self.__dict__["_stale"] = True

    def _quick(self, verb: str, x: Any, d: Any) -> Any:
        if verb == "adapt":
            self._refuse_adapt()
        own, stale, out = self.__dict__, self._stale, None
        own["_stale"] = True  # before a sample comes, so that no interrupt lies in between
        try:
            out = super()._quick(verb, x, d)
        except Exception:  # refused, or gone back
            own["_stale"] = stale
            raise
        own["_stale"] = stale or out is not None
        return out

    def _frame(self, x: Any, d: Any, mu: Any, record_every: Any) -> Any:
        out = super()._frame(x, d, mu, record_every)
        if out is not None:
            self.__dict__["_stale"] = False
        return out

    def _adapt_on(self, e: Any) -> None:
        self._refuse_adapt()

    def _refuse_adapt(self) -> None:
        raise TypeError(f"{type(self).__name__} is a recursion, which takes d: call step(x, d) in place of adapt(e)")

    # A block

    def _check(self, x: Any, d: Any, mu: Any, record_every: Any, regressors: bool, path: Any) -> Job:
        """Refuse bad input, and return it as a job."""
        name = type(self).__name__
        if regressors or path is not None:
            raise TypeError(f"{name} is a recursion: {'regressors' if regressors else 'path'} cannot be given")
        self._follow_block(x, 1)
        if d is None:
            raise TypeError(f"{name} needs d, the desired signal")
        if not plainly_fit(x, d, self.line.samples, self.batch):
            check_block("x", x, self.line.samples, (*self.batch, None))
            check_block("d", d, self.line.samples, (*self.batch, None))
            check_same_kind(x, d)
            if x.shape != d.shape:
                raise ValueError(f"x and d must have the same length, got {x.shape[-1]} and {d.shape[-1]} samples")
        steps = None if mu is None else self._step_sizes(mu, tuple(d.shape))
        job = self._admitted(x, d)
        job.every = 0 if record_every is None else min(positive_int("record_every", record_every), d.shape[-1] + 1)
        job.mu = steps
        return job

    def _unknown(self, x: Any) -> Any:
        """Return a d for a block without one."""
        check_block("x", x, self.line.samples, (*self.batch, None))
        return zeros_like_block(x, tuple(x.shape)) * np.nan

    def _admitted(self, x: Any, d: Any) -> Job:
        """Return a job whose samples are finite or marked."""
        moves = {}
        if self._skips:
            x, d = cast(x, self.dtype), cast(d, self.dtype)
            good = finite_samples(x)
            if x.shape[-1]:
                moves["passed_over"] = ~torch.as_tensor(good[..., -1], device=self.device)
            known = good & finite_samples(d)
            x = zeroed(x)
            d = np.where(known, d, np.nan).astype(d.dtype) if isinstance(d, np.ndarray) else d.where(known, torch.nan)
        job = self._job(x, d)
        job.moves = moves
        return job

    def _job(self, x: Any = None, d: Any = None) -> Job:
        """Return a block for an engine; without signals, what a workspace is made for."""
        buffers: Any = self._buffers
        algorithm, params = self.algorithm, self._params()
        return Job(
            algorithm, x, d, buffers["_w"], self.line.samples, {k: buffers[k] for k in algorithm.state}, params,
            {k: buffers[k] for k in algorithm.vectors}, {}, self.batch, self.batch, scratch=self._scratch,
            skip=self._skips, gradient=self._wants_gradient(params, x, d),
        )  # fmt: skip

    @cached_property
    def _places(self) -> tuple[str, ...]:
        return ("_w", *self.algorithm.states, *self.algorithm.vectors)

    def _adapt(self, job: Job) -> tuple[Any, Any, Any]:
        """Have an engine run a block; the state changes whole or not at all."""
        result = self._run(job)
        w, shape = result.w if result.record is None else result.record, job.d.shape
        record = () if result.record is None else (w.shape[-2],)
        return result.y.reshape(shape), result.e.reshape(shape), w.reshape(*self.batch, *record, self._weights)

    def _run(self, job: Job) -> Result:
        result = super()._run(job)
        self.__dict__["_stale"] = False
        return result

    def _hold(self, job: Job) -> tuple[Any, Any, Any]:
        """Filter with weights that stand still."""
        job.mu = 0.0
        return self._adapt(job)

    def _check_input(self, x: Any) -> Job:
        """Refuse bad input, and return it as a job in which no d is known."""
        job = self._admitted(x, self._unknown(x))
        if not job.skip:
            check_finite("x", cast(x, self.dtype))
        job.skip = True
        return job

    def _filter(self, job: Job) -> Any:
        return self._hold(job)[0]


def copied(c: Any, out: Any = None) -> Any:
    """Return the weights of an algorithm that has them as its state c."""
    for k in range(len(c)):
        out[k] = c[k]
    return out


def push_front(line: Any, value: Any) -> None:
    """Take a number into a line, newest first."""
    for k in range(len(line) - 1, 0, -1):
        line[k] = line[k - 1]
    line[0] = value
