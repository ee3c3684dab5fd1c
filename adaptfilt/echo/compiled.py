"""`EchoCanceller` in machine code: the addresses of its state, and the one call that runs `loops` on a block."""

from collections.abc import Callable
from ctypes import addressof, c_int64
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.checks import DIVERGED, DivergenceError
from adaptfilt.echo import loops
from adaptfilt.engines.cpu import bins, bins_loops, fft, memory
from adaptfilt.engines.cpu.compiled import address
from adaptfilt.engines.cpu.native import native

Array = np.ndarray
_SHAPES: dict[str, tuple[str, str]] = {  # of the arrays of an `Echo` in its order: sizes, and kind
    "x": ("T", "own"), "d": ("T", "own"), "out": ("T", "own"), "notch": ("2", "float"), "emphasis": ("2", "float"),
    "deemphasis": ("1", "float"), "late": ("D", "own"), "pending": ("2H", "own"), "ready": ("H", "own"),
    "heard": ("3L", "own"), "n": ("1", "int"), "place": ("1", "int"), "trusted": ("1", "int"), "seen": ("3", "float"),
    "unsure": ("PF", "own"), "start": ("PF", "own"), "means": ("3", "float"), "variances": ("3", "float"),
    "errors": ("2G", "float"), "counted": ("1", "int"), "copies": ("1", "int"), "resets": ("1", "int"),
    "P": ("PF", "own"), "far": ("A", "float"), "left": ("H", "float"), "echo": ("H", "float"),
    "overlap": ("H", "float"), "powers": ("QK", "float"), "averages": ("2K", "float"), "products": ("2K", "float"),
    "held": ("K", "float"), "passed": ("K", "float"), "window": ("B", "float"), "codes": ("24", "int"),
    "carried": ("3R", "int"), "signals": ("411G", "own"), "spoken": ("11G", "own"), "hops": ("8", "float"),
    "long": ("1N", "float"), "frames": ("2B", "float"), "X": ("1C", "complex"), "spectra": ("2K", "complex"),
    "bins": ("4K", "float"),
}  # fmt: skip
_KINDS = {"float": torch.float64, "complex": torch.complex128, "int": torch.int64}
_NUMBERS, _CALL = len(loops.Numbers._fields), len(loops.Block._fields)
_SIZES = "TDHLPFGAQKBNCR"  # which follow the call's numbers
_FIRST = 1 + _CALL + len(_SIZES)  # argument of the first array


class Workspace:
    """What a canceller's call needs: where its state lies, rooms, and the call's numbers.

    Parameters
    ----------
    ec : EchoCanceller
        Whose filters run compiled.
    """

    def __init__(self, ec: Any) -> None:
        self._kind, self._sizes = ec.filter.dtype, _sizes(ec)
        self._buffers = [(module._buffers, name) for module in ec.modules() for name in module._buffers]
        self._places = self._found()
        filters = (ec.filter,) if ec.paths is None else (ec.paths.background, ec.paths.foreground)
        self._filters = [bins.Workspace(f._check_input(f._nothing()), f.clock) for f in filters]
        state = _state(ec)
        rooms = {k: self._room(k) for k in _SHAPES if k not in state and k not in ("x", "d", "out")}
        if ec.suppressor is not None:
            rooms["window"] = torch.from_numpy(ec.suppressor.window)
        room, spoken = rooms["signals"], rooms["spoken"]
        self._gates = torch.zeros_like(spoken), torch.ones_like(spoken)
        self._status, unused = torch.zeros(3, dtype=torch.int64, device="cpu"), torch.zeros_like(spoken)
        first, spare, own = (self._status[i:].data_ptr() for i in range(3))
        signals = (*room, self._gates[1]), (room[0], self._gates[0], spoken, unused, self._gates[0])
        for i, workspace in enumerate(self._filters):
            code, arguments = workspace.lay_out(*signals[i])
            rooms["codes"][i] = torch.tensor([code, first, spare, arguments], device="cpu")
        its = [[*w.carried.values()] for w in self._filters]
        sizes = [v.numel() * v.element_size() // 4 for v in its[0]]
        rows = [*([v.data_ptr() for v in f] for f in (its[0], its[-1])), sizes]
        rooms["carried"].copy_(torch.tensor(rows, device="cpu"))
        self._own = rooms, unused  # which the code refers to
        arrays = {**rooms, **state}
        numbers = torch.tensor(_numbers(ec), dtype=torch.float64, device="cpu")
        rooms["numbers"] = numbers
        self._function = _function(str(self._kind).removeprefix("torch."))
        a: Any = (c_int64 * (_FIRST + len(_SHAPES)))()
        a[0] = numbers.data_ptr()
        a[1 + _CALL : _FIRST] = [self._sizes[c] for c in _SIZES]
        for i, k in enumerate(_SHAPES):
            a[_FIRST + i] = arrays[k].data_ptr() if k in arrays else 0
        self._arguments = a
        self._addresses = own, spare, addressof(a)
        self._result: Any = c_int64.from_address(own)
        self._call = ec.hop, int(ec.suppressor is not None), int(ec.paths is not None)
        self.params: Any = None

    def _found(self) -> list[int]:
        """Return the addresses of all that is carried."""
        return [buffers[name].data_ptr() for buffers, name in self._buffers]

    def holds(self) -> bool:
        """Say whether all that is carried lies where it lay."""
        return self._found() == self._places

    def _room(self, name: str) -> Tensor:
        sizes, kind = _SHAPES[name]
        shape = [self._sizes[c] if c in self._sizes else int(c) for c in sizes]
        return torch.zeros(shape, dtype=_KINDS.get(kind, self._kind), device="cpu")

    def set_parameters(self, params: Any, start: Tensor) -> None:
        """Take over the filter's parameters, and what it does not know of the path at first."""
        self.params = params
        for workspace in self._filters:
            workspace.set_parameters(params)
        room = self._own[0]["start"]
        room.copy_(start.expand_as(room))

    def run(self, x: Array, d: Array, learns: bool, watches: bool) -> Array | None:
        """Cancel the echo of a block; None, with nothing changed, where it is not finite.

        Raises
        ------
        DivergenceError
            If a filter without a second path diverges.
        """
        out, a = np.empty_like(d), self._arguments
        a[1 : 2 + _CALL] = (x.size, *self._call, learns, watches, x.size)
        a[_FIRST], a[_FIRST + 1], a[_FIRST + 2] = address(x), address(d), address(out)
        self._filters[0].set_gate(self._gates[learns])
        if self._function(*self._addresses):
            raise RuntimeError(bins.RAISED)
        status = self._result.value
        if status == bins_loops.DIVERGED:
            raise DivergenceError(DIVERGED)
        return None if status == bins_loops.BAD else out


def _state(ec: Any) -> dict[str, Tensor]:
    """Return the buffers by the names of an `Echo`."""
    own = {**ec._buffers, "P": ec.filter._buffers["P"]}
    for name in ("notch", "emphasis", "deemphasis"):
        if getattr(ec, name) is not None:
            own[name] = getattr(ec, name).past
    if ec.paths is not None:
        own |= {"counted" if k == "n" else k: v for k, v in ec.paths._buffers.items()}
    if ec.suppressor is not None:
        own |= {"averages" if k == "means" else k: v for k, v in ec.suppressor._buffers.items()}
    return own


def _sizes(ec: Any) -> dict[str, int]:
    hop, filter = ec.hop, ec.filter
    return {"T": 0, "D": ec.delay, "H": hop, "L": (loops.GROUP + 4) * hop, "P": filter.partitions, "F": filter.bins,
            "G": loops.GROUP * hop, "A": 3 * hop, "Q": 2 * filter.partitions - 2, "K": hop + 1, "B": 2 * hop,
            "N": 4 * hop, "C": 2 * hop + 1, "R": len(bins.CARRIED) + len(filter.algorithm.state) + 1}  # fmt: skip


def _numbers(ec: Any) -> loops.Numbers:
    kept, least = ec._watched()
    b0, b1 = (1.0, 0.0) if ec.notch is None else ec.notch.b
    patience = 1.0 if ec.paths is None else ec.paths.patience
    return loops.Numbers(
        b0, b1, 0.0 if ec.notch is None else ec.notch.r, ec.emphasis.b[1], ec.deemphasis.r, kept, least,
        10 ** (ec.floor_db / 20), ec.fs / ec.hop, patience,
    )  # fmt: skip


@cache
def _function(dtype: str) -> Callable[..., int]:
    """Return the loops."""
    letters = {c: f"a[{1 + _CALL + i}]" for i, c in enumerate(_SIZES)}

    def array(i: int, sizes: str, kind: str) -> str:
        return f"array(a[{_FIRST + i}], ({''.join(letters.get(c, c) + ', ' for c in sizes)}), {kind.upper()})"

    arrays = ", ".join(array(i, *of) for i, of in enumerate(_SHAPES.values()))
    text = (
        f"\ndef echo_(a_):\n    a = carray(a_, ({_FIRST + len(_SHAPES)},))\n    p = array(a[0], ({_NUMBERS},), FLOAT)\n"
        f"    numbers = Numbers({', '.join(f'p[{i}]' for i in range(_NUMBERS))})\n"
        f"    part = Block({', '.join(f'a[{1 + i}]' for i in range(_CALL))})\n"
        f"    return cancel(Echo({arrays}), numbers, part)\n"
    )
    inject = {
        **{k: getattr(loops, k) for k in ("cancel", "Echo", "Numbers", "Block")},
        "OWN": getattr(np, dtype)(0), "FLOAT": np.float64(0), "COMPLEX": np.complex128(0), "INT": np.int64(0),
        "array": memory.array, "FFT": fft.library(),
    }  # fmt: skip
    return native("echo_", text, ("int64*",), inject)
