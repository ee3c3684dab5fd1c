"""The compiled engine of frequency-domain filters: their functions inside the loops of `bins_loops`, on rocket-fft.

What is carried changes in place, or not at all. An adapter of a few lines picks arguments by name; for `FDKF` ::

    def level(total, x2, e2, states, p, k):
        r = level_(total, e2, states[0][k], p[0], p[1])
        states[0][k] = r[1]
        return REAL(r[0])
"""

from collections.abc import Callable
from ctypes import addressof, c_int64, c_void_p, cast
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.checks import DIVERGED, NUMPY, DivergenceError
from adaptfilt.engines.algorithm import names
from adaptfilt.engines.bins import CONSTRAINTS, Bins, Frames
from adaptfilt.engines.cpu import bins_loops as loops
from adaptfilt.engines.cpu import fft, memory, transforms
from adaptfilt.engines.cpu.compiled import address
from adaptfilt.engines.cpu.native import native

_CALL = loops.Call._fields
_SAMPLES, _RESPOND = _CALL.index("samples"), _CALL.index("respond")
_SHAPES = {  # of the arrays of a `Stream` in its order: letters of a `Call`, and whether real
    "x": ("BCT", False), "d": ("BQT", False), "gate": ("BQG", True), "y": ("BQT", False), "e": ("BQT", False),
    "record": ("RBQCM", False), "W": ("BQCPF", None), "spectra": ("BCSF", None), "frame": ("BCN", False),
    "wanted": ("BQL", False), "gates": ("BQL", True), "tail": ("BQH", False), "states": ("", True), "p": ("BQp", True),
    "sums": ("1F", None), "output": ("QN", False), "errors": ("1N", False), "E": ("1F", None), "rows": ("PN", False),
    "level": ("2F", True), "head": ("QCL", False), "w": ("BQCM", False), "plan": ("Z", True),
    "clock": ("3", int), "carried": ("3k", int),
}  # fmt: skip
_KINDS = {"bin": "BQF", "partition": "BQCPF"}
RAISED = "a function of the algorithm raised an exception inside the compiled loop"
CARRIED = ("W", "spectra", "frame", "wanted", "gates", "tail")
_ROOMS = ("sums", "output", "errors", "E", "rows", "level", "head")


class Workspace:
    """What a call needs to run compiled code on a filter: where its state lies, rooms, and the call's numbers.

    Parameters
    ----------
    job : Frames
        Its signals are not read. What it carries is contiguous, on the CPU.
    clock : Tensor [shape=(3,)]
        n, place and turn, which the code moves.
    shape : tuple of int, optional
        That of w where it is an array; (B, Q, C, M) by default.

    Attributes
    ----------
    places : list of int
        Addresses of all that is carried, for which all this holds.
    params : dict or None
        The parameters that were set last.
    """

    def __init__(self, job: Frames, clock: Tensor, shape: tuple[int, ...] | None = None) -> None:
        self.carried: dict[str, Tensor] = {**{k: getattr(job, k) for k in CARRIED}, **job.states, "clock": clock}
        self.places = [v.data_ptr() for v in self.carried.values()]
        (B, Q, C, P, F), real, own = job.W.shape, job.W.real.dtype, job.frame.dtype
        self._kind, self.dtype, self._hop, self._names = own, NUMPY[own], job.hop, job.algorithm.params
        self._function, order = _function(job.algorithm, str(own).removeprefix("torch."))
        sizes: dict[str, int] = {
            **dict(zip("BQCPFSLHM", (B, Q, C, P, F, job.spectra.shape[-2], job.block, job.hop, job.taps), strict=True)),
            "N": 2 * job.block, "Z": transforms.size(2 * job.block), "p": len(self._names) + 2,
            "1": 1, "2": 2, "3": 3, "k": len(self.carried),
        }  # fmt: skip
        kinds = {True: real, False: own, None: real.to_complex(), int: torch.int64}
        self._rooms = {
            k: torch.zeros([sizes[v] for v in _SHAPES[k][0]], dtype=kinds[_SHAPES[k][1]], device="cpu")
            for k in (*_ROOMS, "p", "w", "plan", "carried")
        }
        self._rooms["plan"].copy_(torch.from_numpy(transforms.plan(2 * job.block)))
        self._kept = [torch.empty_like(v) for v in self.carried.values()]
        counts = [v.numel() * v.element_size() // 4 for v in self._kept]
        rows = [self.places, [v.data_ptr() for v in self._kept], counts]
        self._rooms["carried"].copy_(torch.tensor(rows, device="cpu"))
        self._numbers = [sizes[k] for k in "BQCPFSLHM"]
        self._constraint = CONSTRAINTS.index(job.constraint)
        arrays = {**self.carried, **self._rooms}
        self._at = {k: len(_CALL) + i for i, k in enumerate(order)}
        self._arguments: Any = (c_int64 * (len(_CALL) + len(order) + 2))()
        for k, at in self._at.items():
            self._arguments[at] = arrays[k].data_ptr() if k in arrays else 0
        self._signals_at = [self._at[k] for k in ("x", "d", "y", "e", "gate", "record")]
        self._clock: Any = (c_int64 * 3).from_address(clock.data_ptr())
        for i, number in enumerate(self._numbers):
            self._arguments[i] = number
        self._plain = -1  # samples of a call without more, for which the arguments stand
        self._w = self._rooms["w"].numpy().reshape(shape or self._rooms["w"].shape)
        self._none = torch.empty(0, dtype=own, device="cpu")
        self.params: dict[str, Any] | None = None
        self._one, self._seen = torch.ones(B, Q, 1, dtype=real, device="cpu"), (-1, -1)
        self._status, self._spare = c_int64(), c_int64()
        self._call = partial(
            self._function, addressof(self._status), addressof(self._spare), addressof(self._arguments)
        )

    def set_parameters(self, params: dict[str, Any]) -> None:
        """Take over the parameters, numbers or (B, Q)."""
        self.params, p = params, self._rooms["p"]
        given = [params.get(k, 0.0) for k in self._names]
        for i, value in enumerate([*given, params.get("mu", 1.0), params.get("leak", 0.0)]):
            p[..., i] = value.detach() if isinstance(value, Tensor) else value

    def own(self, v: Any) -> Any:
        """Return an array in the filter's precision, without gaps."""
        if v.dtype == self.dtype and v.flags.c_contiguous:
            return v
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(v, self.dtype)

    def lay_out(self, x: Tensor, d: Tensor, y: Tensor, e: Tensor, gate: Tensor) -> tuple[int, int]:
        """Set signals, (1, 1, T), for other machine code that calls this; return its address, and its arguments'.

        Such code sets how many of the samples there are, by `loops.Call.samples`; it needs no response.
        """
        a, T = self._arguments, x.shape[-1]
        a[_SAMPLES + 1 : _RESPOND + 1] = 0, 1, 1, self._constraint, loops.NEVER
        for at, value in zip(self._signals_at, (x, d, y, e, gate), strict=False):
            a[at] = value.data_ptr()
        a[_SAMPLES], a[-2], a[-1] = T, T, 0
        function: Any = self._function
        return cast(function, c_void_p).value or 0, addressof(a)

    def set_gate(self, gate: Tensor) -> None:
        """Set the weights of the errors, as many as were laid out."""
        self._arguments[self._at["gate"]] = gate.data_ptr()

    def run(self, x: Any, d: Any, gate: Tensor | None = None, every: int = 0, settle: bool = True) -> Any:
        """Adapt over a block and return y, e, w and the record; None, with nothing changed, where it is not finite.

        Parameters
        ----------
        x, d : array or Tensor
            Of the filter's dtype, contiguous; y, e, w and the record are of the same kind.
        gate : Tensor [shape=(B, Q, T)], optional
        every : int
            Keep the weights after every so many samples; 0: never.
        settle : bool
            As in `Frames`.

        Raises
        ------
        DivergenceError
            If the weights or states become infinite; all is then as before.
        """
        T, tensors, a = x.shape[-1], isinstance(x, Tensor), self._arguments
        like: Any = torch.empty_like if tensors else np.empty_like
        y, e = like(d), like(d)
        w, record, weights = self._rooms["w"], self._none, self.carried["W"]
        plain = gate is None and not every and settle
        if not plain or self._plain != T:
            rows = T // every if every else 0
            if every:
                record = torch.empty(rows, *w.shape, dtype=self._kind, device="cpu")
            a[_SAMPLES], a[-2], a[-1] = T, 1 if gate is None else T, rows
            a[_SAMPLES + 1 : _RESPOND] = every, gate is not None, settle, self._constraint
            a[self._at["gate"]] = (self._one if gate is None else gate).data_ptr()
            a[self._at["record"]], self._plain = record.data_ptr(), T if plain else -1
        fresh = self._seen == (weights._version, self._clock[2])
        a[_RESPOND] = loops.MOVED if fresh else loops.ALWAYS
        at = self._signals_at
        a[at[0]], a[at[1]], a[at[2]], a[at[3]] = address(x), address(d), address(y), address(e)
        before = self._clock[0]
        if self._call():
            if before + T >= self._hop:
                torch._foreach_copy_([*self.carried.values()], self._kept)
            raise RuntimeError(RAISED)
        if self._status.value == loops.BAD:
            return None
        if self._status.value == loops.DIVERGED:
            self._seen = -1, -1  # the response is that of what diverged
            raise DivergenceError(DIVERGED)
        self._seen = weights._version, self._clock[2]
        return y, e, w.clone() if tensors else self._w.copy(), record if tensors else record.numpy()


@cache
def _function(algorithm: Bins, dtype: str) -> tuple[Callable[..., int], tuple[str, ...]]:
    """Return the loops of an algorithm, and the names of the arrays whose addresses follow the call's numbers."""
    like = {True: "LIKE[1]", False: "LIKE[0]", None: "LIKE[2]", int: "LIKE[3]"}
    order = *(k for k in _SHAPES if k != "states"), *algorithm.state
    last = len(_CALL) + len(order)
    letters = {c: f"a[{_CALL.index(name)}]" for c, name in zip("BQCPFSLHMT", _CALL, strict=False)}
    letters |= {
        "N": "2 * a[6]",
        "Z": "plan_size(2 * a[6])",
        "G": f"a[{last}]",
        "R": f"a[{last + 1}]",
        "p": str(len(algorithm.params) + 2),
    }
    letters |= {"k": str(len(CARRIED) + len(algorithm.state) + 1), "1": "1", "2": "2", "3": "3"}

    def array(name: str, shape: str, kind: Any) -> str:
        at = len(_CALL) + order.index(name)
        return f"array(a[{at}], ({''.join(letters[c] + ', ' for c in shape)}), {like[kind]})"

    states = "".join(array(k, _KINDS[kind], True) + ", " for k, kind in algorithm.state.items())
    fields = [f"({states})" if k == "states" else array(k, *of) for k, of in _SHAPES.items()]
    numbers = ", ".join(f"a[{i}]" for i in range(len(_CALL) - 3))
    text = (
        f"\ndef bins_(a_):\n    a = carray(a_, ({last + 2},))\n    own = Stream({', '.join(fields)})\n"
        f"    call = Call({numbers}, own.clock[0], own.clock[1], own.clock[2])\n"
        f"    return run(Rules(spread, level, step, of_bin, of_partition), own, call)\n{_adapters(algorithm)}"
    )
    real = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
    complex_ = {"float32": "complex64", "float64": "complex128"}.get(dtype, dtype)
    inject = {
        "plan_size": transforms.size,
        **{f"{k}_": function for k, function in algorithm.functions.items()},
        **{k: getattr(loops, k) for k in ("run", "Call", "Rules", "Stream")},
        "array": memory.array,
        "function": algorithm.step,
        "REAL": getattr(np, real),
        "LIKE": (getattr(np, dtype)(0), getattr(np, real)(0), getattr(np, complex_)(0), np.int64(0)),
        "FFT": fft.library(),
    }
    return native("bins_", text, ("int64*",), inject), order


def _adapters(algorithm: Bins) -> str:
    """Return the functions of `Rules`."""
    text = "" if algorithm.spread else "\ndef spread(x2, states, p, k):\n    return x2\n"
    heads = {"spread": "x2", "level": "total, x2, e2", "step": "level, x2, w2"}
    for name, function in algorithm.functions.items():
        own = algorithm.of("bin" if name == "level" else "partition")
        values = {k: f"states[{i}][k]" for i, k in enumerate(own)}
        values |= {k: f"p[{i}]" for i, k in enumerate(algorithm.params)}
        called = f"{name}_({', '.join(values.get(k, k) for k in names(function))})"
        body = f"return REAL({called})"
        if own and name != "spread":
            renewed = "".join(f"    states[{i}][k] = r[{i + 1}]\n" for i in range(len(own)))
            body = f"r = {called}\n{renewed}    return REAL(r[0])"
        text += f"\ndef {name}({heads[name]}, states, p, k):\n    {body}\n"
    for kind, at in (("bin", "b, q"), ("partition", "b, q, c, i")):
        rows = "".join(f"own.states[{[*algorithm.state].index(k)}][{at}], " for k in algorithm.of(kind))
        text += f"\ndef of_{kind}(own, {at}):\n    return ({rows})\n"
    return text
