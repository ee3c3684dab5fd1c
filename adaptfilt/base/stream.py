"""How a stream is held: what every adaptive filter shares, and no algorithm's maths."""

import copy
import os
import pickle
from collections.abc import Callable, Mapping
from functools import wraps
from threading import RLock
from typing import Any, ClassVar, NamedTuple, Self
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.checks import DTYPES, as_batch, as_dtype, check_plain, number
from adaptfilt.taps import TapDelayLine

_living: WeakSet[Any] = WeakSet()


def _free_locks() -> None:
    """Free in a forked process what threads of the parent held: they do not exist here."""
    for f in _living:
        f._lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks)


def _from_pickle(content: bytes) -> Any:
    cls, state = pickle.loads(content)
    f = cls.__new__(cls)
    f.__setstate__(state)
    return f


def locked(method: Any) -> Any:
    """Let one thread at a time into a method."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return call


class Output(NamedTuple):
    """What a block returns.

    Attributes
    ----------
    y : array or Tensor [shape=(*batch, T)]
        Output, with the weights before each update.
    e : array or Tensor [shape=(*batch, T)]
        A priori error, d - y.
    w : array or Tensor [shape=(*batch, M) or (*batch, T // record_every, M)]
        A copy of the weights after the block, or their history: row k after sample (k + 1) * record_every.
    """

    y: Any
    e: Any
    w: Any


class AdaptiveFilter(nn.Module):
    """The stream of an adaptive filter: the tap-delay line, precision, device, and the ways in and out.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M.
    batch : tuple of int
        Shape of independent filters in front of time.
    dtype : torch.dtype
        float32, float64, complex64 or complex128: of the signals and the weights.
    device : torch.device, optional
        The CPU by default, whatever torch's default device is.
    nonfinite : {"raise", "skip"}
        What NaN or infinity in the input does: raise an error before anything has changed, or pass over the
        sample: it does not adapt, its e is NaN, and it enters the delay line as zero.
    """

    line: TapDelayLine
    passed_over: Tensor  # where the newest sample was not finite
    _lock: Any  # held by a call that adapts or filters a block: calls from several threads run one after the other
    _shown: ClassVar[tuple[str, ...]] = ()  # names of the parameters shown in the repr

    def __init__(
        self,
        taps: int,
        *,
        batch: tuple[int, ...] | int = (),
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        nonfinite: str = "raise",
    ) -> None:
        super().__init__()
        self._lock = RLock()
        _living.add(self)
        self.nonfinite = nonfinite
        self.batch = as_batch(batch)
        self.line = TapDelayLine(taps, batch=self.batch, dtype=as_dtype(dtype), device=device)
        check_plain("the state", self.line.samples)
        self.register_buffer("passed_over", torch.zeros(self.batch, dtype=torch.bool, device=self.device))
        self._fixed: tuple[str, ...] = ("batch", "taps", "dtype", "device", "history", "line")

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what sizes memory or does not exist as a choice."""
        if name in self.__dict__.get("_fixed", ()):
            raise TypeError(f"{name} is read-only: make a new {type(self).__name__} for another one")
        if name == "nonfinite" and value not in ("raise", "skip"):
            raise ValueError(f'nonfinite must be "raise" or "skip", got {value!r}')
        if isinstance(value, nn.Parameter) and isinstance(getattr(type(self), name, None), property):
            value = value.detach()  # torch would register it in the property's place
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the lock, for copies and pickles."""
        return {**self.__dict__, "_lock": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the state into memory of its own."""
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Go to another process by value: torch would move the state into memory that both then adapt."""
        if self.line.samples.is_shared():  # asked for
            return super().__reduce_ex__(protocol)
        return _from_pickle, (pickle.dumps((type(self), self.__getstate__())),)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make a lock of one's own."""
        super().__setstate__(state)
        self.__dict__["_lock"] = RLock()
        _living.add(self)

    @property
    def taps(self) -> int:
        """Number of samples in a regressor, M."""
        return self.line.taps

    @property
    def dtype(self) -> torch.dtype:
        """Precision of signals and weights."""
        return self.line.samples.dtype

    @property
    def device(self) -> torch.device:
        """Where the state lies."""
        return self.line.samples.device

    @property
    def history(self) -> Tensor:
        """The newest M - 1 samples, (*batch, M - 1), oldest first."""
        return self.line.history

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the filter or change its precision, as `torch.nn.Module.to`; a complex filter stays complex.

        A module that holds the filter moves and converts it in the same way. Half precision is refused here; where
        it comes from such a module, as with ``model.half()``, the filter keeps the precision it has and casts what
        it is given: the sums it carries from sample to sample would be lost in half precision.
        """
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        if dtype is not None:
            own = as_dtype(dtype)
            self._apply(lambda t: t.to(own) if t.is_floating_point() or t.is_complex() else t)
        return super().to(device) if device is not None else self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Convert signals to the precision that fn gives, parameters to its real part; else do what fn does."""
        real, own = self.dtype.to_real(), self.dtype
        got, same = (fn(torch.empty(0, dtype=t, device=self.device)) for t in (real, own))
        if (got.dtype, same.dtype) == (real, own):
            return super()._apply(fn, recurse)
        new = got.dtype.to_complex() if own.is_complex and got.dtype in DTYPES else got.dtype
        signals = {id(t) for t in self._signals()}

        def convert(t: Tensor) -> Tensor:
            if new not in DTYPES or not (t.is_floating_point() or t.is_complex()):
                return t.to(got.device)
            return t.to(got.device, new if id(t) in signals else new.to_real())

        return super()._apply(convert, recurse)

    def half(self) -> Self:
        """Refuse half precision."""
        return self.to(torch.float16)

    def bfloat16(self) -> Self:
        """Refuse half precision."""
        return self.to(torch.bfloat16)

    @locked
    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take over a state, as `torch.nn.Module.load_state_dict`; one that does not fit changes nothing."""
        before = copy.deepcopy(self.state_dict())
        try:
            return super().load_state_dict(state_dict, strict, assign)
        except BaseException:
            super().load_state_dict(before, assign=assign)
            raise

    def _signals(self) -> list[Tensor]:
        """Return the tensors that have the dtype of the signals; parameters are real."""
        return [self.line.samples]

    def extra_repr(self) -> str:
        """Describe the filter in the module's repr."""
        parts = [f"taps={self.taps}"]
        for name in self._shown:
            value = getattr(self, name)
            parts.append(f"{name}={value:g}" if isinstance(value, float) else f"{name}={_short(value)}")
        parts += [f"batch={self.batch}"] if self.batch else []
        parts += [str(self.dtype).removeprefix("torch."), str(self.device)]
        return ", ".join(parts + ([] if self.training else ["eval"]))


def feature_count(features: nn.Module | None, line: TapDelayLine) -> int:
    """Return how many numbers the weights combine: the features of a regressor, or its samples."""
    if features is None:
        return line.taps
    with torch.no_grad():
        out = features(torch.zeros(1, line.taps, dtype=line.samples.dtype, device=line.samples.device))
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != 1:
        raise ValueError(f"features must map (1, {line.taps}) to (1, F), got {tuple(getattr(out, 'shape', ()))}")
    return out.shape[-1]


def as_block(name: str, value: Any, like: Tensor) -> Any:
    """Return one sample as a block of length one: an array or tensor of a batch, or a number; like is the line."""
    batch = tuple(like.shape[:-1])
    if not batch:
        return np.array([number(name, value, complex if like.is_complex() else float)])
    if not isinstance(value, np.ndarray | Tensor):
        raise TypeError(f"{name} must be an array or tensor of shape {batch}, got {type(value).__name__}")
    return value[..., None]


def like_input(value: Tensor | np.ndarray, given: Any) -> Any:
    """Return NumPy where NumPy was given, a tensor for a tensor."""
    if isinstance(given, np.ndarray):
        return value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    return value if isinstance(value, Tensor) else torch.from_numpy(value)


def _short(value: Any) -> str:
    """Describe a parameter in a few characters."""
    if isinstance(value, Tensor):
        return f"Tensor{tuple(value.shape)}"
    return type(value).__name__ if isinstance(value, nn.Module) else repr(value)
