"""Filters whose output is heard through a secondary path: the update is made of the input filtered by its model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import Block, as_tensor, check_block, check_finite, positive_int
from adaptfilt.engines.algorithm import Job


class FilteredFilter(LinearFilter):
    """A linear filter with a secondary path: y = w^T u as always, but w moves along conj(v), v = secondary * x.

    In a block the loop is closed by simulation, e = d - path * y, with the model itself where no path is given; with
    a real path, `predict` gives the loudspeaker's sample and `adapt` takes the microphone's.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M.
    params : mapping of str to float or Tensor
        The algorithm's parameters, which become attributes.
    secondary : array or Tensor [shape=(S,)]
        Model of the path's response. May be assigned between calls, of the same length.
    path_taps : int >= 1, optional
        Length of the longest `path` that a call can give; S by default.
    inputs, w0, batch, dtype, device, nonfinite, engine, adapt_in_eval
        As for `LinearFilter`.
    """

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
        if not own or secondary.ndim != 1 or not len(secondary):
            raise ValueError(f"secondary must be an array or tensor of shape (S,), got {secondary!r}")
        S = len(secondary)
        self.__dict__["_lengths"] = S, S if path_taps is None else positive_int("path_taps", path_taps)
        super().__init__(taps, params, **common)
        self.register_buffer("secondary", torch.zeros(S, dtype=self.dtype, device=self.device))
        self.secondary = secondary  # type: ignore[assignment]
        self._alone = False
        self._fixed = (*self._fixed, "path_taps")

    def _refuse_mixtures(self) -> None:
        """Refuse what does not go together: updates are made of v, and errors of what is heard."""
        super()._refuse_mixtures()
        algorithm, name = self.algorithm, type(self).__name__
        for excluded, what in (
            (algorithm.gain is None, "an algorithm without a gain"),
            (algorithm.lagged, "a gain that takes the lag"),
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
        self.__dict__["_alone"] = False

    def _can_be_brief(self) -> bool:
        return False

    def _signal_shapes(self) -> dict[str, tuple[int, ...]]:
        S, P = self.__dict__["_lengths"]
        axes = self._axes("x")
        return {"direction": (*axes, self.taps), "reference": (*axes, S), "played": (*self.batch, P)}

    def _signals(self) -> list[Tensor]:
        return [*super()._signals(), *([self.secondary] if "secondary" in self._buffers else [])]

    def __setattr__(self, name: str, value: Any) -> None:
        """Check what is assigned; a secondary path is copied into place."""
        if name == "secondary" and "secondary" in self._buffers:
            with self._lock, torch.no_grad():
                self.secondary.copy_(self._as_state(name, value, tuple(self.secondary.shape), self.dtype))
        else:
            super().__setattr__(name, value)

    # A block

    def _check(self, x: Any, d: Any, mu: Any, record_every: Any, regressors: bool, path: Any) -> Job:
        if regressors:
            raise TypeError(f"{type(self).__name__} filters its input: regressors cannot be given")
        response = self.secondary if path is None else self._as_path(path)
        job = super()._check(x, d, mu, record_every, False, None)
        return self._through(job, response)

    def _as_path(self, path: Any) -> Tensor:
        """Check a response."""
        check_block("path", path, self.line.samples, (None,))
        if not 1 <= len(path) <= self.path_taps:
            raise ValueError(f"path must have 1 to {self.path_taps} taps (path_taps=), got {len(path)}")
        own = as_tensor(path, self.dtype, self.device)
        check_finite("path", own)
        return own

    def _check_input(self, x: Any) -> Job:
        return self._through(super()._check_input(x), self.secondary)

    def _through(self, job: Job, path: Tensor) -> Job:
        """Add the responses: what filters the input, and the path through which the errors hear the outputs."""
        job.secondary, job.path = self.secondary, torch.nn.functional.pad(path, (0, self.path_taps - len(path)))
        return job

    def _job(self, x: Any = None, d: Any = None) -> Job:
        job = super()._job(x, d)
        job.secondary = self.secondary
        return job

    def _adapt_on(self, e: Any) -> None:
        self._adapt_along(e, self.direction.flip(-1).reshape(*self.batch, 1, -1))
