"""How a stream is held: what every adaptive filter shares, the verbs among it, and no algorithm's maths.

The verbs are written here, once: they check what comes, have the filter run it, and give it back in kind. What a filter
supplies are the steps in between, listed in `AdaptiveFilter`.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.base.guarded import Guarded, locked
from adaptfilt.checks import (
    DTYPES,
    Block,
    as_batch,
    as_dtype,
    check_names,
    check_plain,
    keywords,
    number,
    positive_int,
)
from adaptfilt.taps import TapDelayLine


class Output(NamedTuple):
    """What a block returns.

    Attributes
    ----------
    y : array or Tensor [shape=(*batch, [outputs,] T)]
        Output, with the weights before each update.
    e : array or Tensor [shape=(*batch, [outputs,] T)]
        A priori error: d - y, unless the filter has an error of its own.
    w : array or Tensor [shape=(*batch, [outputs,] [inputs,] M), with a record (..., T // record_every, M)]
        A copy of the weights after the block, or their history: row k after sample (k + 1) * record_every.
    """

    y: Any
    e: Any
    w: Any


class AdaptiveFilter(Guarded):
    """The stream of an adaptive filter: the tap-delay line, precision, device, and the ways in and out.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M.
    batch : tuple of int or "auto"
        Shape of independent streams in front of time. "auto": that of the first block after the start or `reset`;
        the checkpoint of a filter that has run nothing since holds what is learned alone, and fits any batch.
    inputs : int >= 1, optional
        Number of inputs, an axis of x and of the weights after the batch; None: there is no such axis.
    dtype : torch.dtype
        float32, float64, complex64 or complex128: of the signals and the weights.
    device : torch.device, optional
        The CPU by default, whatever torch's default device is.
    nonfinite : {"raise", "skip"}
        What NaN or infinity in the input does: raise an error before anything has changed, or pass over the
        sample: it does not adapt, its e is NaN, and it enters the delay line as zero.
    adapt_in_eval : bool
        Go on adapting in `eval` mode, as a filter inside a network does that was trained to adapt.

    Notes
    -----
    A filter supplies ``_check(x, d, ...)``, which refuses bad input and returns a block; ``_adapt(block)`` and
    ``_hold(block)``, which run it with weights that move or stand still and return y, e, w; ``_check_input(x)`` and
    ``_filter(block)``, the same without d; ``_adapt_on(e)``; ``_restart(mask)``; at speed, ``_quick`` for numbers and
    ``_frame`` for short blocks.
    """

    line: TapDelayLine
    passed_over: Tensor  # where the newest sample was not finite
    _shown: ClassVar[tuple[str, ...]] = ()  # names of the parameters shown in the repr

    def __init__(
        self,
        taps: int,
        *,
        batch: tuple[int, ...] | int | str = (),
        inputs: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        nonfinite: str = "raise",
        adapt_in_eval: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:  # by whoever had to take it
            known = keywords(type(self))  # type: ignore[arg-type]
            check_names(type(self).__name__, unknown, [k for k in known if k not in unknown])
        self.nonfinite = nonfinite
        self.adapt_in_eval = bool(adapt_in_eval)
        self.__dict__["_follows"] = batch == "auto"  # the batch is that of what comes first
        self.batch = () if batch == "auto" else as_batch(batch)
        self.inputs = None if inputs is None else positive_int("inputs", inputs)
        shape = self.batch if self.inputs is None else (*self.batch, self.inputs)
        self.line = TapDelayLine(taps, batch=shape, dtype=as_dtype(dtype), device=device)
        check_plain("the state", self.line.samples)
        self.register_buffer("passed_over", torch.zeros(self.batch, dtype=torch.bool, device=self.device))
        self._fixed = ("batch", "inputs", "taps", "dtype", "device", "history", "line")

    # The verbs

    def forward(
        self,
        x: Block,
        d: Block | None = None,
        *_: Any,
        mu: Any = None,
        record_every: int | None = None,
        regressors: bool = False,
        path: Any = None,
        **more: Any,
    ) -> Output:
        """Adapt over a block, going on from the last one; in `eval` mode only filter.

        Parameters
        ----------
        x : array or Tensor [shape=(*batch, [inputs,] T)]
            Input.
        d : array or Tensor [shape=(*batch, [outputs,] T)], optional
            Desired signal; none for a blind filter.
        mu : float, array or Tensor [shape broadcastable to d's], optional
            Step size for this block, one a sample if it has T entries; 0 freezes weights and states. A filter without
            a step size of its own takes 0 and 1.
        record_every : int >= 1, optional
            Return the weights after every so many samples of y.
        regressors : bool
            x holds ready regressors, (*batch, T, M): a linear combiner. The delay line stays as it is.
        path : array or Tensor [shape=(S,)], optional
            For a filter with a secondary path: the response through which the errors hear its outputs.
        *_, **more
            Refused, with a word on what may be meant.

        Returns
        -------
        Output
            Named tuple (y, e, w): NumPy for NumPy, tensors for tensors.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type, shape, device or range, or holds NaN or infinity, or if the filter does
            not take it.
        DivergenceError
            If the weights become infinite. In all cases the state is the one before the call.
        """
        if _ or more:
            check_call(type(self).__name__, _, more)
        if torch.compiler.is_compiling():  # compiled already: torch.compile goes round it
            whole = torch.compiler.disable(self.forward)
            return whole(x, d, mu=mu, record_every=record_every, regressors=regressors, path=path)
        with self._lock:
            if not regressors and path is None:
                out = self._frame(x, d, mu, record_every)
                if out is not None:
                    return Output(*out)
            block = self._check(x, d, mu, record_every, regressors, path)
            y, e, w = self._adapt(block) if self.training or self.adapt_in_eval else self._hold(block)
        return Output(like_input(y, x), like_input(e, x), like_input(w, x))

    def filter(self, x: Block) -> Any:
        """Filter a block without adapting; the stream goes on.

        Parameters
        ----------
        x : array or Tensor [shape=(*batch, [inputs,] T)]

        Returns
        -------
        array or Tensor [shape=(*batch, [outputs,] T)]

        Raises
        ------
        TypeError, ValueError
            If x has another type, shape or device, or holds NaN or infinity.
        """
        with self._lock:
            return like_input(self._filter(self._check_input(x)), x)

    def step(self, x: Any, d: Any = None) -> tuple[Any, Any]:
        """Adapt on one sample, with `sps` on the samples of one symbol; in `eval` mode only filter.

        Parameters
        ----------
        x, d : float or complex; where a block has other axes than time, arrays or tensors of their shape

        Returns
        -------
        y, e : float or complex; else arrays or tensors, as x
        """
        out = self._quick("step", x, d)
        if out is not None:
            return out
        with torch.no_grad():
            y, e, _ = self(self._sample("x", x), None if d is None else self._sample("d", d))
        return self._single(y), self._single(e)

    def predict(self, x: Any) -> Any:
        """Take one sample in and return the output; `adapt` then takes the error.

        Parameters
        ----------
        x : float or complex; where a block has other axes than time, an array or tensor of their shape

        Returns
        -------
        float or complex; else an array or tensor, as x
        """
        out = self._quick("predict", x, None)
        if out is not None:
            return out
        with torch.no_grad():
            return self._single(self.filter(self._sample("x", x)))

    def adapt(self, e: Any) -> None:
        """Adapt on the error of the last `predict`, measured elsewhere: e need not be d - y.

        Parameters
        ----------
        e : float or complex; where a block has other axes than time, an array or tensor of their shape
        """
        if not (self.training or self.adapt_in_eval) or self._quick("adapt", None, e) is not None:
            return
        with self._lock, torch.no_grad():
            self._adapt_on(self._sample("e", e))

    @locked
    def reset(self, mask: Any = None) -> Self:
        """Return to the start: initial weights and state, empty delay line.

        Parameters
        ----------
        mask : array or Tensor of bool [shape=batch], optional
            Which streams of the batch; all by default.

        Returns
        -------
        AdaptiveFilter
            The filter itself.
        """
        self._restart(None if mask is None else self._as_mask(mask))
        return self

    # What the verbs are made of

    def _quick(self, verb: str, x: Any, d: Any) -> Any:
        """Take one number at speed; None where a block of one is needed."""
        return None

    def _frame(self, x: Any, d: Any, mu: Any, record_every: Any) -> Any:
        """Adapt over a short block at speed and return y, e, w in kind; None where `_check` has to look at it."""
        return None

    def _sample(self, name: str, value: Any) -> Any:
        """Return one sample as a block of length one."""
        return as_block(name, value, self._axes(name), self.dtype.is_complex)

    def _axes(self, name: str) -> tuple[int, ...]:
        """Return the axes of a signal in front of time."""
        return (*self.batch, self.inputs) if name == "x" and self.inputs is not None else self.batch

    def _single(self, block: Any) -> Any:
        """Return the one sample of a block, a number if there is no other axis."""
        return block[..., 0] if block.ndim > 1 else block.item()

    def _as_mask(self, mask: Any) -> Tensor:
        """Check which streams of a batch are meant."""
        chosen = torch.as_tensor(mask, device=self.device)
        if chosen.dtype != torch.bool or tuple(chosen.shape) != self.batch:
            raise ValueError(f"mask must be bool of shape {self.batch}, got {chosen.dtype} of {tuple(chosen.shape)}")
        return chosen

    def _check(self, x: Any, d: Any, mu: Any, record_every: Any, regressors: bool, path: Any) -> Any:
        """Refuse bad input and return a block."""
        raise NotImplementedError

    def _adapt(self, block: Any) -> tuple[Any, Any, Any]:
        """Adapt over a block and return y, e, w."""
        raise NotImplementedError

    def _hold(self, block: Any) -> tuple[Any, Any, Any]:
        """Filter a block with weights that stand still and return y, e, w."""
        raise NotImplementedError

    def _check_input(self, x: Any) -> Any:
        """Refuse bad input and return a block without d."""
        raise NotImplementedError

    def _filter(self, block: Any) -> Any:
        """Filter a block with weights that stand still and return y."""
        raise NotImplementedError

    def _adapt_on(self, e: Any) -> None:
        """Adapt on one error."""
        raise NotImplementedError

    def _restart(self, mask: Tensor | None) -> None:
        """Return all streams, or those of a mask, to the start."""
        raise NotImplementedError

    # The module

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what does not exist as a choice."""
        if name == "nonfinite" and value not in ("raise", "skip"):
            raise ValueError(f'nonfinite must be "raise" or "skip", got {value!r}')
        if isinstance(value, nn.Parameter) and isinstance(getattr(type(self), name, None), property):
            value = value.detach()  # torch would register it in the property's place
        super().__setattr__(name, value)

    @property
    def taps(self) -> int:
        """Number of samples in a regressor, M."""
        line: Any = self._modules["line"]  # a module finds what it has by name at twenty times the cost
        return line.taps

    @property
    def dtype(self) -> torch.dtype:
        """Precision of signals and weights."""
        return self._samples().dtype

    @property
    def device(self) -> torch.device:
        """Where the state lies."""
        return self._samples().device

    @property
    def history(self) -> Tensor:
        """The newest M - 1 samples, (*batch, M - 1), oldest first."""
        return self.line.history

    def _samples(self) -> Tensor:
        """Return the line's newest samples, (*batch, [inputs,] M), oldest first."""
        line: Any = self._modules["line"]  # a module finds what it has by name at twenty times the cost
        return line._buffers["samples"]

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
        except BaseException as error:
            super().load_state_dict(before, assign=assign)
            given = state_dict.get("passed_over") if isinstance(error, RuntimeError) else None
            if isinstance(given, Tensor) and given.shape != self.passed_over.shape:
                batch = tuple(given.shape)
                raise RuntimeError(
                    f"the state is of batch={batch}, the filter of {self.batch}: make the filter with batch={batch}, "
                    'or with batch="auto", which takes over that of the state'
                ) from error
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
        parts += [f"inputs={self.inputs}"] if self.inputs is not None else []
        parts += [f"batch={self.batch}"] if self.batch else []
        parts += [str(self.dtype).removeprefix("torch."), str(self.device)]
        return ", ".join(parts + ([] if self.training else ["eval"]))


def check_call(name: str, third: tuple[Any, ...], more: Mapping[str, Any]) -> None:
    """Refuse what a call does not take, and say what it does."""
    options = ("mu", "record_every", "regressors", "path")
    if third:
        freezing = "; mu=0, or f.eval() before, freezes the weights" if isinstance(third[0], bool) else ""
        named = ", ".join(f"{k}=" for k in options)
        raise TypeError(f"{name} is called with x, d and by name {named}, got {third[0]!r} after d{freezing}")
    check_names(f"a call of {name}", more, ("x", "d", *options))


def as_block(name: str, value: Any, axes: tuple[int, ...], is_complex: bool) -> Any:
    """Return one sample as a block of length one: an array or tensor of those axes, or a number where there is none."""
    if not axes:
        return np.array([number(name, value, complex if is_complex else float)])
    if not isinstance(value, np.ndarray | Tensor):
        raise TypeError(f"{name} must be an array or tensor of shape {axes}, got {type(value).__name__}")
    return value[..., None]


def like_input(value: Tensor | np.ndarray, given: Any) -> Any:
    """Return NumPy where NumPy was given, a tensor for a tensor."""
    if isinstance(given, np.ndarray):
        return value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    return value if isinstance(value, Tensor) else torch.from_numpy(value)


def _short(value: Any) -> str:
    """Describe a parameter in a few characters."""
    if isinstance(value, Tensor):
        return f"{value.item():g}" if value.numel() == 1 else f"Tensor{tuple(value.shape)}"
    return type(value).__name__ if isinstance(value, nn.Module) else repr(value)
