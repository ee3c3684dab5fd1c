"""Filters whose output is heard through a secondary path: the update is made of the input filtered by its model."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import Block, as_tensor, check_block, check_finite, positive_int
from adaptfilt.engines.algorithm import Job, names


class FilteredFilter(LinearFilter):
    """A linear filter with a secondary path: y = w^T u as always, but w moves along conj(v), v = secondary * x.

    Several loudspeakers and microphones, secondary of shape (L, Q, S), make one filter of Q outputs and L errors:

        y_q = sum_k w_qk^T u_k,    v_lqk = s^_lq * x_k,    w_qk <- (1 - mu leak) w_qk + sum_l g_l conj(v_lqk)

    with one energy, that of all v_lqk, so that a normalised step is safe whatever the microphones have in common, and
    one step size. A sample without one of the errors is passed over.

    In a block the loop is closed by simulation, e = d - path * y, with the model itself where no path is given; with
    a real path, `predict` gives the loudspeaker's sample and `adapt` takes the microphone's.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M.
    params : mapping of str to float or Tensor
        The algorithm's parameters, which become attributes.
    secondary : array or Tensor [shape=(S,) or (L, Q, S)]
        Model of the path's response, or of those from each loudspeaker to each microphone. May be assigned between
        calls, of the same shape.
    path_taps : int >= 1, optional
        Length of the longest `path` that a call can give; S, the least, by default.
    inputs, w0, batch, dtype, device, nonfinite, engine, adapt_in_eval
        As for `LinearFilter`.
    """

    _heard: tuple[int, ...]  # microphones and loudspeakers, where there are such axes
    secondary: Tensor
    reference: Tensor  # the newest S samples of x, oldest first
    direction: Tensor  # the newest M samples of v, oldest first
    played: Tensor  # the newest outputs that a path hears, oldest first

    def __init__(
        self, taps: int, params: Mapping[str, Any], secondary: Block, *, path_taps: int | None = None, **common: Any
    ) -> None:
        for name in ("features", "sps", "outputs"):
            if name in common:
                raise TypeError(f"{type(self).__name__} has a secondary path: {name} cannot be given")
        own = isinstance(secondary, np.ndarray | Tensor)
        if not own or secondary.ndim not in (1, 3) or not all(secondary.shape):
            raise ValueError(f"secondary must be an array or tensor of shape (S,) or (L, Q, S), got {secondary!r:.200}")
        S = secondary.shape[-1]
        self.__dict__["_lengths"] = S, S if path_taps is None else max(positive_int("path_taps", path_taps), S)
        self.__dict__["_heard"] = tuple(secondary.shape[:-1])  # (), or microphones and loudspeakers
        super().__init__(taps, params, **common)
        self.register_buffer("secondary", torch.zeros(secondary.shape, dtype=self.dtype, device=self.device))
        self.secondary = secondary  # type: ignore[assignment]
        self._fixed = (*self._fixed, "path_taps")

    def _refuse_mixtures(self) -> None:
        """Refuse what does not go together: updates are made of v, and errors of what is heard."""
        super()._refuse_mixtures()
        algorithm, name = self.algorithm, type(self).__name__
        several = bool(self._heard)
        for excluded, what in (
            (algorithm.gain is None, "an algorithm without a gain"),
            (algorithm.lagged, "a gain that takes the lag"),
            (several and algorithm.states, "a gain with states and several microphones"),
            (several and {"y", "d"} & {*names(algorithm.function)}, "a gain of y or d and several microphones"),
            (algorithm.error is not None, "an error function"),
            (algorithm.feed is not None, "an algorithm that feeds back"),
        ):
            if excluded:
                raise ValueError(f"{name} does not take a secondary path with {what}")

    @property
    def path_taps(self) -> int:
        """Length of the longest path that a call can give."""
        return self.__dict__["_lengths"][1]

    @property
    def _plain(self) -> bool:
        return False

    def _forget(self) -> None:
        super()._forget()
        if self._heard:
            self.__dict__["_alone"] = False

    def _can_be_brief(self) -> bool:
        return super()._can_be_brief() and not self._heard

    def _signal_shapes(self) -> dict[str, tuple[int, ...]]:
        (S, P), axes = self.__dict__["_lengths"], self._axes("x")[len(self.batch) :]
        return {
            "direction": (*self.batch, *self._heard, *axes, self.taps),
            "reference": (*self.batch, *axes, S),
            "played": (*self._axes("y"), P),
        }

    def _axes(self, name: str) -> tuple[int, ...]:
        if name == "x":
            return super()._axes(name)
        return (*self.batch, *(self._heard[1:] if name == "y" else self._heard[:1]))

    def _count_weights(self) -> int:
        return super()._count_weights() * math.prod(self._heard[1:])

    def _weight_shape(self) -> tuple[int, ...]:
        inputs = () if self.inputs is None else (self.inputs,)
        return (*self._axes("y"), *inputs, self.taps)

    def _signals(self) -> list[Tensor]:
        return [*super()._signals(), *([self.secondary] if "secondary" in self._buffers else [])]

    def __setattr__(self, name: str, value: Any) -> None:
        """Check what is assigned; a secondary path is copied into place."""
        if name == "secondary" and "secondary" in self._buffers:
            own = as_secondary(value, tuple(self.secondary.shape), self.secondary)
            with self._lock, torch.no_grad():
                self.secondary.copy_(own)
        else:
            super().__setattr__(name, value)

    # A block

    def _check(self, x: Any, d: Any, mu: Any, record_every: Any, regressors: bool, path: Any) -> Job:
        if regressors:
            raise TypeError(f"{type(self).__name__} filters its input: regressors cannot be given")
        response = self.secondary if path is None else as_path(path, self.path_taps, self._samples(), self._heard)
        job = super()._check(x, d, mu, record_every, False, None)
        job.path = self._padded(response)
        return job

    def _check_input(self, x: Any) -> Job:
        job = super()._check_input(x)
        job.path = self._padded(self.secondary)
        return job

    def _between(self, response: Tensor) -> Tensor:
        """Return responses from each loudspeaker to each microphone, (L, Q, S), where there are no such axes too."""
        return response.reshape(*(self._heard or (1, 1)), -1)

    def _padded(self, path: Tensor) -> Tensor:
        """Return a path, (L, Q, path_taps)."""
        return self._between(padded(path, self.path_taps))

    def _short_workspace(self) -> Any:
        """Return a workspace in which short blocks and samples hear the model as it is now."""
        workspace, own = self._workspace(), self.secondary.detach()
        model = own.numpy().tobytes()  # torch does not note all ways to write to it
        if workspace.model != model:
            workspace.set_responses(self._between(own), self._padded(own), model)
        return workspace

    def _job(self, x: Any = None, d: Any = None) -> Job:
        job = super()._job(x, d)
        job.secondary = self._between(self.secondary)
        return job

    def _adapt_on(self, e: Any) -> None:
        streams, microphones = math.prod(self.batch), math.prod(self._heard[:1])
        self._adapt_along(e, self.direction.flip(-1).reshape(streams, microphones, 1, -1))


def padded(response: Tensor, length: int) -> Tensor:
    """Return a response with zeros up to a length."""
    return torch.nn.functional.pad(response, (0, length - response.shape[-1]))


def as_secondary(value: Any, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Check a model of a secondary path.

    Raises
    ------
    TypeError, ValueError
        If it has another type, shape or device, holds NaN or infinity, is zeros alone, or is to be learned by torch.
    """
    check_block("secondary", value, like, shape)
    own = as_tensor(value, like.dtype, like.device)
    check_finite("secondary", own)
    if own.requires_grad:
        raise ValueError("secondary must not require a gradient: filters do not pass it on")
    if not own.count_nonzero():
        raise ValueError("secondary must not be zeros alone: no loudspeaker would be heard, and no weight move")
    return own


def as_path(path: Any, longest: int, like: Tensor, between: tuple[int, ...] = ()) -> Tensor:
    """Check a response, or those between loudspeakers and microphones, which a filter with a `path_taps` hears through.

    Raises
    ------
    TypeError, ValueError
        If it has another type, shape or device, is longer than `longest`, or holds NaN or infinity.
    """
    check_block("path", path, like, (*between, None))
    if not 1 <= path.shape[-1] <= longest:
        raise ValueError(f"path must have 1 to {longest} taps (path_taps=), got {path.shape[-1]}")
    own = as_tensor(path, like.dtype, like.device)
    check_finite("path", own)
    return own
