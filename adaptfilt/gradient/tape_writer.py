"""A traced step, which is a short straight list of tensor operations, written as a tape.

Every tensor has its place in the workspace; a view is a place with other strides, and an operation in place writes
where it reads.
"""

import math
import operator
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from adaptfilt.gradient.tape import LOOPS, NAMES, WIDTH


class UnsupportedError(NotImplementedError):
    """The step holds something that has no translation."""


class Place(NamedTuple):
    """Where a tensor lies in the workspace; its storage begins at root."""

    root: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def strides_in(self, shape: Sequence[int]) -> list[int]:
        """Return the strides of this tensor broadcast to a shape."""
        strides = [s if n > 1 else 0 for n, s in zip(self.shape, self.stride, strict=True)]
        return [0] * (len(shape) - len(strides)) + strides

    def reversed(self, turned: Sequence[bool]) -> "Place":
        """Return the tensor read backwards along some dimensions."""
        last = sum((n - 1) * s for n, s, t in zip(self.shape, self.stride, turned, strict=True) if t)
        stride = tuple(-s if t else s for s, t in zip(self.stride, turned, strict=True))
        return self._replace(offset=self.offset + last, stride=stride)


FILLS = {"full": 1, "full_like": 1, "new_full": 2, "fill": 1, "scalar_tensor": 0}  # which argument is the value
ZEROS = ("zeros", "zeros_like", "new_zeros", "zero")
ONES = ("ones", "ones_like", "new_ones")
SCALARS = {
    operator.neg: "neg", operator.add: "add", operator.sub: "sub", operator.mul: "mul", operator.truediv: "div",
    operator.pow: "pow",
}  # fmt: skip
SAME = {
    "clone": "copy", "_to_copy": "copy", "bitwise_not": "logical_not", "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
}  # fmt: skip


class Tape:
    """Writes a tape, operation by operation.

    Attributes
    ----------
    rows : list of list of int
        The instructions.
    size : int
        Entries of the workspace.
    constants : dict of int to float
        What the workspace holds from the start, by its index.
    values : dict of Node to Place or list of Place
    """

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self.size = 0
        self.constants: dict[int, float] = {}
        self.values: dict[fx.Node, Any] = {}
        self._known: dict[float, Place] = {}

    def allocate(self, shape: Sequence[int], stride: Sequence[int] | None = None) -> Place:
        """Return a new place for a tensor, contiguous unless strides are given."""
        stride = [prod(shape[k + 1 :]) for k in range(len(shape))] if stride is None else stride
        place = Place(self.size, self.size, tuple(shape), tuple(stride))
        self.size += 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True)) if prod(shape) else 0
        return place

    def emit(self, name: str, shape: Sequence[int], *places: Place) -> None:
        """Write one instruction: the output and the operands, over a shape they broadcast to."""
        columns = [p.strides_in(shape) for p in places]
        loops = [(n, *(c[k] for c in columns)) for k, n in enumerate(shape) if n != 1]
        merged: list[tuple[int, ...]] = []
        for inner in sorted(loops, key=lambda loop: -sum(loop[1:])):
            if merged and all(s == inner[0] * t for s, t in zip(merged[-1][1:], inner[1:], strict=True)):
                inner = (merged.pop()[0] * inner[0], *inner[1:])
            merged.append(inner)
        if len(merged) > LOOPS:
            raise UnsupportedError(f"{name} over {len(merged)} loops")
        merged = [(1,) + (0,) * len(places)] * (LOOPS - len(merged)) + merged
        row = [NAMES.index(name), *(loop[0] for loop in merged)]
        for k, place in enumerate(places, 1):
            row += [place.offset, *(loop[k] for loop in merged)]
        self.rows.append(row + [0] * (WIDTH - len(row)))

    def operand(self, value: Any) -> Place:
        """Return the place of an operand; numbers are constants."""
        if isinstance(value, Place):
            return value
        if value not in self._known:
            self._known[value] = place = self.allocate(())
            self.constants[place.offset] = float(value)
        return self._known[value]

    def node(self, node: fx.Node) -> None:
        """Write one operation of a graph.

        Raises
        ------
        UnsupportedError
            If it has no translation.
        """
        if node.op != "call_function":
            raise UnsupportedError("a tensor that is neither the input nor a parameter nor a buffer")
        given, options = self.value(node.args), {k: self.value(v) for k, v in node.kwargs.items()}
        target: Any = node.target
        if target in SCALARS:
            self.values[node] = out = self.allocate(())
            self.emit(SCALARS[target], (), out, *map(self.operand, given))
        elif target is operator.getitem:
            self.values[node] = given[0][given[1]]
        else:
            self.values[node] = self._tensor(target, given, options, node.meta["val"])

    def value(self, argument: Any) -> Any:
        """Return an argument of a node, with places for nodes."""
        if isinstance(argument, fx.Node):
            return self.values[argument]
        return [self.value(a) for a in argument] if isinstance(argument, list | tuple) else argument

    def _tensor(self, target: Any, given: list[Any], options: dict[str, Any], result: Any) -> Any:
        """Write a tensor operation and return where its result lies."""
        name = target._schema.name.removeprefix("aten::")
        if target.is_view or torch.Tag.inplace_view in target.tags or name == "_unsafe_view":
            return _view(given[0], result)
        if name == "_local_scalar_dense":
            out = self.allocate(())
            self.emit("copy", (), out, given[0])
            return out
        if name == "var_mean":
            return self._variance([self.allocate(r.shape) for r in result], *given, **options)
        if not isinstance(result, Tensor) or result.is_complex():
            raise UnsupportedError(name)
        if name.endswith("_"):
            out, name = given[0], name.removesuffix("_")
        else:
            out = options["out"] if "out" in options else self.allocate(result.shape, result.stride())
        whole = name == "_to_copy" and not result.is_floating_point()
        if whole or (name.startswith("bitwise") and result.dtype != torch.bool):
            raise UnsupportedError(f"{name} to {result.dtype}")
        name = SAME.get(name, name)
        if name in ("sum", "mean", "amax", "amin"):
            self._reduce(name, out, *given[:2])
        elif name in NAMES or name in ("addcmul", "addcdiv"):
            self._pointwise(name, out, given, options)
        elif name in ("mm", "bmm", "addmm", "baddbmm") and not options:
            self._product(out, *given)
        elif name in FILLS or name in ZEROS or name in ONES:
            value = given[FILLS[name]] if name in FILLS else float(name in ONES)
            self.emit("copy", out.shape, out, self.operand(value))
        elif name == "cat":
            offset, dim = out.offset, given[1] if len(given) > 1 else 0
            for part in given[0]:
                self.emit("copy", part.shape, out._replace(offset=offset, shape=part.shape), part)
                offset += part.shape[dim] * out.stride[dim]
        elif name == "flip":
            turned = [k in {d % len(given[0].shape) for d in given[1]} for k in range(len(given[0].shape))]
            self.emit("copy", out.shape, out, given[0].reversed(turned))
        elif name == "arange":
            self.constants |= {out.offset + k: v for k, v in enumerate(torch.arange(*given, device="cpu").tolist())}
        elif not name.startswith(("empty", "new_empty")):
            raise UnsupportedError(name)
        return out

    def _pointwise(self, name: str, out: Place, given: list[Any], options: dict[str, Any]) -> None:
        if options.get("rounding_mode"):
            raise UnsupportedError(f"{name} with rounding")
        factor = options.get("alpha", options.get("value", 1))
        if name in ("addcmul", "addcdiv"):
            part = self.allocate(out.shape)
            self.emit("mul" if name == "addcmul" else "div", out.shape, part, *given[1:])
            name, given = "add", [given[0], part]
        elif name == "copy":
            given = given[-1:] if isinstance(given[-1], Place) else given[:1]  # copy_(self, source), clone(self)
        elif name == "pow" and given[1] in (2, 0.5):
            name, given = ("mul", [given[0]] * 2) if given[1] == 2 else ("sqrt", given[:1])
        if factor != 1:
            if name != "add":
                raise UnsupportedError(f"{name} with a factor")
            name, given = "add_product", [*given, factor]
        self.emit(name, out.shape, out, *map(self.operand, given))

    def _reduce(self, name: str, out: Place, x: Place, dims: Sequence[int] | None = None) -> Place:
        """Write a reduction and return its result with the shape of x, standing still where it was reduced."""
        n = len(x.shape)
        over = {d % n for d in dims} if dims else set(range(n))
        strides = iter(out.stride if len(out.stride) < n else [s for k, s in enumerate(out.stride) if k not in over])
        still = Place(out.root, out.offset, x.shape, tuple(0 if k in over else next(strides) for k in range(n)))
        start = {"amax": -math.inf, "amin": math.inf}.get(name, 0.0)
        self.emit("copy", out.shape, out, self.operand(start))
        self.emit("sum" if name == "mean" else name, x.shape, still, x)
        if name == "mean":
            self.emit("div", out.shape, out, out, self.operand(prod(x.shape[k] for k in over)))
        return still

    def _variance(
        self, outs: list[Place], x: Place, dims: Sequence[int], correction: float = 1, keepdim: bool = False
    ) -> list[Place]:
        """Write the variance and the mean over some dimensions."""
        variance, mean = outs
        apart = self.allocate(x.shape)
        still = self._reduce("mean", mean, x, dims)
        self.emit("sub", x.shape, apart, x, still)
        self.emit("mul", x.shape, apart, apart, apart)
        self._reduce("sum", variance, apart, dims)
        count = prod(x.shape) // max(prod(mean.shape), 1) - correction
        self.emit("div", variance.shape, variance, variance, self.operand(count))
        return outs

    def _product(self, out: Place, *given: Place) -> None:
        """Write a matrix product, with something added if three are given."""
        *added, a, b = given
        *batch, rows, columns = out.shape
        shape = (*batch, rows, columns, a.shape[-1])
        factors = (
            a._replace(shape=shape, stride=(*a.stride[:-1], 0, a.stride[-1])),
            b._replace(shape=shape, stride=(*b.stride[:-2], 0, b.stride[-1], b.stride[-2])),
        )
        wide = out._replace(shape=shape, stride=(*out.stride, 0))
        if a.shape[-1] == 1 and not added:
            self.emit("mul", shape, wide, *factors)
        else:
            self.emit("copy", out.shape, out, *(added or [self.operand(0.0)]))
            self.emit("product", shape, wide, *factors)


def _view(base: Place, result: Any) -> Any:
    """Return the place of a view, or of each of a list of views."""
    if isinstance(result, list | tuple):
        return [_view(base, r) for r in result]
    return Place(base.root, base.root + result.storage_offset(), tuple(result.shape), result.stride())
