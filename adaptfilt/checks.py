"""Input checks: every refusal names the argument, what was expected and what came, before any state changes."""

import cmath
import inspect
import math
import operator
import warnings
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

Block = np.ndarray | Tensor
DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
NUMPY: dict[torch.dtype, Any] = {
    torch.float32: np.dtype("float32"),
    torch.float64: np.dtype("float64"),
    torch.complex64: np.dtype("complex64"),
    torch.complex128: np.dtype("complex128"),
}


DIVERGED = "the weights grew beyond the finite numbers: lower the step size; the state is as before the call"


class DivergenceError(ArithmeticError):
    """The weights left the finite numbers; the filter keeps the state it had before the call."""


def positive_int(name: str, value: Any, least: int = 1) -> int:
    """Return value as an int >= 1, or >= least."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if isinstance(value, bool | np.bool_) or number < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
    return number


@cache
def keywords(cls: type) -> tuple[str, ...]:
    """Return what a class takes by name: what its constructor names, and the keywords of those that it hands on to."""
    made: list[Any] = [base.__init__ for base in cls.__mro__ if "__init__" in vars(base)]  # type: ignore[misc]
    own, *others = [inspect.signature(init).parameters.values() for init in made]
    named = [p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    return tuple(p.name for p in (*named, *(p for ps in (own, *others) for p in ps if p.kind is p.KEYWORD_ONLY)))


def check_names(owner: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Refuse arguments of unknown names, with the name that may be meant, or all there are."""
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"is {near[0]} meant?" if near else f"it takes {', '.join(dict.fromkeys(known))}"
            raise TypeError(f"{owner} takes no argument {name}: {hint}")


def natural(name: str, value: Any) -> int:
    """Return value as an int >= 0."""
    return positive_int(name, value, 0)


def as_batch(batch: Any) -> tuple[int, ...]:
    """Return a batch shape as a tuple of ints >= 1."""
    sizes = batch if isinstance(batch, tuple | list | torch.Size) else (batch,)
    return tuple(positive_int("batch", size) for size in sizes)


def as_dtype(dtype: Any) -> torch.dtype:
    """Return a supported dtype."""
    if dtype not in DTYPES:
        raise TypeError(f"dtype must be one of {', '.join(map(str, DTYPES))}, got {dtype!r}")
    return dtype


def check_block(name: str, value: Any, like: Tensor, shape: tuple[int | None, ...]) -> None:
    """Check type, device and shape of a block; None in shape stands for any size."""
    if isinstance(value, np.ndarray):
        kind = value.dtype.kind
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(f'{name} is a masked array: fill it, as with {name}.filled(nan) and nonfinite="skip"')
    elif isinstance(value, Tensor):
        kind = "c" if value.is_complex() else "f" if value.is_floating_point() else "i"
        if value.layout != torch.strided or value.is_nested:
            raise TypeError(f"{name} must be a dense tensor, got {value.layout}")
        check_plain(name, value)
        if value.device != like.device:
            raise ValueError(f"{name} is on {value.device}, the filter on {like.device}: move one with .to(...)")
    else:
        raise TypeError(
            f"{name} must be a NumPy array or a torch tensor, got {type(value).__name__}: use numpy.asarray(...)"
        )
    if kind not in "fc":
        raise TypeError(
            f"{name} must hold floats, got {value.dtype}: scale it to floats first, for 16-bit audio {name} / 32768.0"
        )
    if kind == "c" and not like.is_complex():
        raise TypeError(f"{name} is complex, the filter real: make the filter with dtype=torch.complex64 or complex128")
    got = tuple(value.shape)
    if got != shape and (len(got) != len(shape) or any(s not in (None, v) for s, v in zip(shape, got, strict=True))):
        wanted = ", ".join("T" if s is None else str(s) for s in shape)
        more = len(got) - len(shape)
        hint = f": for streams side by side make the filter with batch={got[:more]}" if more > 0 else ""
        if more == 1 and got[-1] == 1:
            hint = f": time is the last axis; of a column take {name}[:, 0]"
        raise ValueError(f"{name} must have shape ({wanted}{',' * (len(shape) == 1)}), got {got}{hint}")


def plainly_fit(x: Any, d: Any, like: Tensor, batch: tuple[int, ...]) -> bool:
    """Say at a glance whether x and d are real arrays, or tensors like the filter's, (*batch, T) both."""
    if type(x) is np.ndarray:
        same = type(d) is np.ndarray and x.dtype.kind == "f" and d.dtype.kind == "f"
    else:
        same = (
            type(x) is Tensor and type(d) is Tensor and x.dtype == like.dtype and d.dtype == like.dtype and plain(x, d)
        )
        same = same and x.device == like.device and d.device == like.device and x.layout == d.layout == like.layout
    return same and x.shape == d.shape and x.ndim > 0 and x.shape[:-1] == batch


def plain_arrays(x: Any, d: Any, like: Tensor) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Return signals as arrays, which share the memory of tensors; d may be none.

    None where they are not of one kind, or tensors of another dtype, or more than numbers in memory.
    """
    if type(x) is np.ndarray:
        return (x, d) if d is None or type(d) is np.ndarray else None
    for v in (x,) if d is None else (x, d):
        same = type(v) is Tensor and v.dtype == like.dtype and v.device == like.device
        if not (same and plain(v)) or v.requires_grad or v.is_conj() or v.is_neg():
            return None
    return x.numpy(), d if d is None else d.numpy()


def plain(*tensors: Tensor) -> bool:
    """Say whether tensors are numbers in memory and no more: no tangent, nothing of torch.func's transforms."""
    try:
        return all(t.data_ptr() and unpack_dual(t).tangent is None for t in tensors)
    except RuntimeError:
        return False


def check_plain(name: str, value: Any) -> None:
    """Refuse a tensor without memory of its own, such as stands for others inside torch.func's transforms."""
    try:
        _ = isinstance(value, Tensor) and value.data_ptr()
    except RuntimeError:
        raise TypeError(
            f"{name} must be a tensor in memory, got one that torch.func.vmap, grad or jvp has wrapped: use batch= in "
            "place of vmap, and torch.autograd (its forward_ad for jvp)"
        ) from None


def check_same_kind(x: Any, d: Any) -> None:
    """Refuse an array with a tensor: it would not be clear what to return."""
    if isinstance(x, Tensor) != isinstance(d, Tensor):
        raise TypeError(f"x and d must both be arrays or both tensors, got {type(x).__name__} and {type(d).__name__}")


def check_finite(name: str, value: Block) -> None:
    """Refuse NaN and infinity, saying where the first one is."""
    if isinstance(value, Tensor) and cmath.isfinite(value.sum().item()):
        return  # the sum of finite numbers may not be finite, but that of others never is
    ok = np.isfinite(value) if isinstance(value, np.ndarray) else torch.isfinite(value)
    if not bool(ok.all()):
        where = tuple(int(i) for i in (~torch.as_tensor(ok)).nonzero()[0])
        index = where[0] if len(where) == 1 else where
        raise ValueError(
            f"{name} must be finite, got {value[where]} at index {index}"
            + ' (nonfinite="skip" passes over such samples)' * (name in ("x", "d"))
        )


def check_known(name: str, value: Block) -> None:
    """Refuse infinity, where NaN stands for what is not known."""
    wrong = np.isinf(value) if isinstance(value, np.ndarray) else torch.isinf(value)
    if np.count_nonzero(wrong) if isinstance(wrong, np.ndarray) else wrong.any():
        where = tuple(int(i) for i in torch.as_tensor(wrong).nonzero()[0])
        raise ValueError(f"{name} must be finite or NaN (not known), got {value[where]} at index {where}")


def finite_samples(x: Any) -> Any:
    """Return which samples of a block are finite."""
    return np.isfinite(x) if isinstance(x, np.ndarray) else torch.isfinite(x)


def zeros_like_block(like: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of a shape, as an array or tensor like another block; only to be read."""
    return np.zeros(shape, like.dtype) if isinstance(like, np.ndarray) else like.new_zeros(()).expand(shape)


def zeroed(x: Any) -> Any:
    """Return a block with zeros for what is not finite."""
    if isinstance(x, np.ndarray):
        return np.where(np.isfinite(x), x, 0).astype(x.dtype)
    return torch.where(torch.isfinite(x), x, 0)


def part_of_steps(mu: Any, part: slice) -> Any:
    """Return the step sizes of a part of a block, of those of the whole: none, one for all samples, or one a sample."""
    return mu if mu is None or np.ndim(mu) == 0 or mu.shape[-1] == 1 else mu[..., part]


def number(name: str, value: Any, kind: type) -> Any:
    """Return one sample as a float or a complex number; text and truth values are none."""
    wanted = "number" if kind is complex else "float (this filter is real)"
    try:
        real = kind is complex or not np.iscomplexobj(value)
        if real and not isinstance(value, bool | np.bool_ | str | bytes | bytearray):
            return kind(value)
    except OverflowError:
        raise ValueError(f"{name} must be finite, got {value!r}") from None
    except (TypeError, ValueError, RuntimeError):
        pass
    raise TypeError(f"{name} must be a {wanted}, got {value!r}")


def check_order(low: str, high: str, least: Any, most: Any) -> None:
    """Refuse a lower bound above the upper one."""
    crossed = torch.as_tensor(least, device="cpu") > torch.as_tensor(most, device="cpu")
    if bool(crossed.any()):
        raise ValueError(f"{low} must be at most {high}, got {least} and {most}")


def check_number(
    name: str,
    value: Any,
    batch: tuple[int, ...],
    *,
    low: float = 0.0,
    high: float = math.inf,
    above: bool = False,
    stable: float = math.inf,
) -> float | Tensor:
    """Return a parameter as a float, or as a tensor that broadcasts over the batch, checked to lie in its range.

    With `above`, low itself is out; from `stable` on, and at 0, a warning says that the filter does not converge.
    """
    if isinstance(value, Tensor | np.ndarray):
        if isinstance(value, np.ma.MaskedArray) or (isinstance(value, Tensor) and value.layout != torch.strided):
            raise TypeError(f"{name} must be a dense array or tensor, got {type(value).__name__}")
        check_plain(name, value)
        if (value.dtype.kind != "f") if isinstance(value, np.ndarray) else not value.is_floating_point():
            raise TypeError(f"{name} must be a float or a tensor of floats, got {value.dtype}")
        if isinstance(value, Tensor) and value.is_meta:
            raise TypeError(f"{name} must hold numbers, got a tensor on meta")
        own = np.float32 if value.dtype == np.float32 else np.float64
        tensor = value if isinstance(value, Tensor) else _from_numpy(value, own)
        try:
            fits = torch.broadcast_shapes(tensor.shape, batch) == torch.Size(batch)
        except RuntimeError:
            fits = False
        if not fits:
            raise ValueError(f"{name} must broadcast to shape {batch}, got {tuple(tensor.shape)}")
        if tensor.numel() == 0:
            return tensor
        least, most = tensor.detach().min().item(), tensor.detach().max().item()
        value = tensor
    else:
        try:
            if isinstance(value, bool | np.bool_ | str | bytes | bytearray):
                raise TypeError
            value = float(value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"{name} must be a float or a tensor, got {value!r}") from None
        least = most = value
    low_ok = least > low if above else least >= low
    if not (low_ok and most <= high and math.isfinite(least) and math.isfinite(most)):
        bounds = f"{'>' if above else '>='} {low:g}" + (f" and <= {high:g}" if math.isfinite(high) else "")
        raise ValueError(f"{name} must be finite, {bounds}, got {least if least == most else (least, most)}")
    if math.isfinite(stable) and not (least > 0 and most < stable):
        warnings.warn(
            f"{name} = {value} lies outside (0, {stable:g}): the filter does not converge",
            UserWarning,
            stacklevel=4,
        )
    return value


def cast(value: Any, dtype: torch.dtype) -> Any:
    """Take a block into the filter's own precision; without a copy where it fits already."""
    if isinstance(value, Tensor):
        return value.to(dtype)
    if value.dtype == NUMPY[dtype]:
        return value
    with np.errstate(over="ignore"):
        return value.astype(NUMPY[dtype])


def as_tensor(value: Block, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a block as a tensor of the filter's precision and device."""
    if isinstance(value, np.ndarray):
        return _from_numpy(value, NUMPY[dtype]).to(device)
    return value if value.dtype == dtype else value.to(dtype)


def _from_numpy(value: Any, dtype: Any) -> Tensor:
    """Return an array of any form, address and byte order as a tensor."""
    with np.errstate(over="ignore"):
        own = np.array(value, dtype, copy=None, order="C")
    misplaced = own.ctypes.data % own.itemsize or min(own.strides, default=0) < 0  # to torch, not to NumPy
    return torch.from_numpy(own.copy() if misplaced or not own.flags.writeable else own)
