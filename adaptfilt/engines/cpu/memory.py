"""The words of the loops besides an algorithm's: arrays at an address, copies, checks; `numba_memory` compiles them.

Here an array is a tensor on the same memory, so that a loop can be run and stepped through uncompiled.
"""

import math
from ctypes import CFUNCTYPE, c_char, c_int32, c_void_p
from typing import Any, NamedTuple

import numpy as np
import torch


class Splat(NamedTuple):
    """A number that stands in so many lanes."""

    number: Any
    lanes: int


def array(address: int, shape: tuple[int, ...], like: Any) -> Any:
    """Return the array of numbers of like's type that stands at an address."""
    count = math.prod(shape)
    if count == 0:
        return torch.from_numpy(np.empty(shape, like.dtype))
    return torch.from_numpy(
        np.frombuffer((c_char * (count * like.itemsize)).from_address(address), like.dtype)
    ).reshape(shape)


def number(real: float, imag: float, like: Any) -> Any:
    """Return a number of like's type."""
    return torch.from_numpy(np.array([complex(real, imag) if np.iscomplexobj(like) else real], like.dtype))


def assign(target: Any, value: Any) -> None:
    """Copy value, an array or a number, into target unless it is the same memory."""
    target.copy_(value)


def assign_all(targets: tuple[Any, ...], values: tuple[Any, ...]) -> None:
    """Copy every value into its target."""
    for target, value in zip(targets, values, strict=True):
        assign(target, value)


def finite(values: Any) -> bool:
    """Say whether a number, or all of an array, is finite."""
    return bool(torch.isfinite(values).all())


def all_finite(arrays: tuple[Any, ...]) -> bool:
    """Say whether all arrays are finite."""
    return all(finite(values) for values in arrays)


def call(function: int, status: int, spare: int, arguments: int) -> int:
    """Call what `native` made, by its address."""
    return CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p)(function)(status, spare, arguments)


def output_and_error(found: Any, y: Any, like: Any) -> Any:
    """Return what an error function says of the output, y if it says nothing, and the error; signals like `like`."""
    z, e = found if isinstance(found, tuple) else (y, found)
    return z, e


def as_number(like: Any, value: Any) -> Any:
    """Return a value as a number of the type of like, an array or a number."""
    return torch.as_tensor(value).to(like.dtype)


def as_real(like: Any, value: Any) -> Any:
    """Return a real value in the precision of like, an array or a number."""
    return torch.as_tensor(value).to(like.real.dtype)


def cartesian(re: Any, im: Any) -> Any:
    """Return the complex number of these parts."""
    return torch.complex(re, im)


def select(condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition holds, elsewhere b; both are computed."""
    return torch.where(condition, a, b)


def everywhere(condition: Any) -> bool:
    """Say whether a condition holds, in all lanes if there are several."""
    return bool(condition.all())


def chosen(condition: bool, a: tuple[Any, ...], b: tuple[Any, ...]) -> Any:
    """Return a if the condition holds, else b; tuples of numbers."""
    return a if condition else b


def correlation(lag: Any, u: Any, before: Any) -> None:
    """Write u^T conj(before) to lag, and u to before."""
    lag.copy_((u * before.conj()).sum(-1, keepdim=True))
    before.copy_(u)


def convolve(response: Any, x: Any, out: Any) -> None:
    """Write the sums of products of a response with every stretch of x to out; x is longer by what comes before."""
    for n in range(len(out)):
        out[n] = (response * x[n : n + len(response)]).sum()


def write_rows(rows: Any, place: int, size: int, like: Any) -> None:
    """Write `size` real numbers of every row, whose addresses are given, to a place: a vector of the first ones, ..."""
    real = like.number.real
    array(place, (size, len(rows)), real).copy_(torch.stack([array(int(row), (size,), real) for row in rows]).T)


def read_rows(rows: Any, place: int, size: int, like: Any) -> None:
    """Write vectors back to rows."""
    real = like.number.real
    for row, values in zip(rows, array(place, (size, len(rows)), real).T, strict=True):
        array(int(row), (size,), real).copy_(values)
