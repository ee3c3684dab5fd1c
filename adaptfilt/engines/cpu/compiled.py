"""The compiled engine: any algorithm's one function inside a sample loop, at C speed on the CPU.

Compiled code writes into the filter's own tensors. A call owns all else that it needs (`Workspace`), and checks where
those tensors lie before it starts: torch may have moved them since the last one.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ctypes import PYFUNCTYPE, addressof, c_char, c_double, c_int32, c_int64, c_void_p, cast
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.checks import NUMPY, DivergenceError, as_tensor, check_finite, number, skip_nonfinite
from adaptfilt.checks import cast as into_precision
from adaptfilt.engines.algorithm import Job, Result
from adaptfilt.engines.cpu import loops
from adaptfilt.engines.cpu.adapters import block_function, sample_function
from adaptfilt.engines.cpu.native import empty
from adaptfilt.taps import windows

_RAISED = "the update function raised an exception inside the compiled loop"
PART = 32768  # samples a loop gets at a time: its copy of the stream stays in the second-level cache
PART_FEATURES = 1 << 20  # entries of written-out regressors at a time
MIN_RUN = 16  # lookahead pays from about so many samples between two records
MIN_THREADED = 100_000  # multiply-adds from which on a second thread pays
_CALL = len(loops.Call._fields)
_BEGIN, _FIRST = loops.BEGIN, loops.Call._fields.index("first")
_DIVERGED = "the weights grew beyond the finite numbers: lower the step size; the state is as before the call"


def run(job: Job, workspace: "Workspace") -> Result:
    """Adapt over a block on the CPU; the job's w, samples and state change in place, or not at all.

    Raises
    ------
    ValueError
        If x or d is not finite (and such samples are not to be skipped).
    DivergenceError
        If the weights or the state become infinite.
    """
    shape, F = job.d.shape, job.w.shape[-1]
    tensors = isinstance(job.x, Tensor)
    like: Any = (
        partial(torch.empty, dtype=job.w.dtype, device="cpu") if tensors else partial(empty, dtype=workspace.dtype)
    )
    y, e = like(shape), like(shape)
    record = like((*shape[:-1], shape[-1] // job.every, F)) if job.every else None
    if shape[-1]:
        workspace.block(job, y, e, record)
    return Result(y, e, job.w.clone() if tensors else workspace.w.copy(), record)


class Workspace:
    """What one call needs to run compiled code on a filter: where its state lies, scratch, and what to go back to.

    Parameters
    ----------
    job : Job
        Its signals are not read. Its w, samples and state are contiguous, on the CPU.

    Attributes
    ----------
    places : list of int
        Addresses of w, samples and the state, for which all this holds.
    params : dict
        The parameters that were set last.
    """

    def __init__(self, job: Job) -> None:
        batch, self._kind, self.dtype = job.w.shape[:-1], job.w.dtype, NUMPY[job.w.dtype]
        self._carried = [t.detach() for t in (job.w, job.samples, *job.state.values())]
        self._kept = [torch.empty_like(t) for t in self._carried]
        self.places, self.w = [t.data_ptr() for t in self._carried], self._carried[0].numpy()
        self._filters, self._shapes = batch.numel(), [t.shape[len(batch) :] for t in self._carried]
        self._p = np.empty((self._filters, max(len(job.params), 1)), NUMPY[job.w.dtype.to_real()])
        self._mu = np.empty(1, self._p.dtype)
        self._p_at, self._mu_address = self._p.ctypes.data, self._mu.ctypes.data
        self._code = job.algorithm, self.dtype.name, (tuple(map(len, self._shapes)), tuple(map(len, job.scratch)))
        self._room = self._new_room(job)
        self._arguments = self._new_arguments(self._room)
        self._blocks: dict[Any, Callable[..., int]] = {}
        self._sample: Callable[[], int] | None = None
        self._spare = c_int64()
        self._io, self._status, self._complex = (c_double * loops.IO)(), c_int64(), self._kind.is_complex
        places = (c_void_p(addressof(v)) for v in (self._status, self._spare, self._arguments))
        self._result_at, self._spare_at, self._arguments_at = places
        self.set_parameters(job.params, job.skip)

    def _new_room(self, job: Job) -> list[Any]:
        """Return scratch arrays for the update function, and for the stream."""
        return [empty(shape, self.dtype) for shape in (*job.scratch, (PART + job.samples.shape[-1],))]

    def _new_arguments(self, room: list[Any]) -> Any:
        """Return the numbers compiled code gets: room for a `Call`, then the places the adapter `memory` reads."""
        numbers = [0] * _CALL
        for t, kept, shape in zip(self._carried, self._kept, self._shapes, strict=True):
            numbers += [t.data_ptr(), kept.data_ptr(), t.nbytes // self._filters, *shape]
        numbers += [self._p_at, self._p.strides[0], self._p.shape[1]]
        for array in room:
            numbers += [array.ctypes.data, *array.shape]
        return (c_int64 * len(numbers))(*numbers)

    def set_parameters(self, params: dict[str, Any], skip: bool) -> None:
        """Take over the parameters."""
        self.params, self._skip, values = params, skip, list(params.values())
        batch = (*self._carried[0].shape[:-1],)
        for column, value in zip(self._p.T, values, strict=False):
            column[:] = value.detach().expand(batch).reshape(-1).numpy() if isinstance(value, Tensor) else value
        self._mu_at = list(params).index("mu") if "mu" in params else 0
        self._own_mu = self._p, self._p_at + self._mu_at * self._p.itemsize, self._p.strides[0], 0
        self._leaky = self._code[0].gain is not None and bool(self._p[:, -1].any())
        if self._sample is not None:
            self._one[0][2:4] = (skip, self._mu_at)

    # Blocks

    def block(self, job: Job, y: Any, e: Any, record: Any) -> None:
        """Adapt over a block and fill y, e and the record, all contiguous."""
        T, size, rows = job.d.shape[-1], self.dtype.itemsize, job.rows or job.features is not None
        every = job.every if job.every <= PART else 0  # a longer run is kept here, part by part
        function, arguments = self._block_function(job, rows, T, every), self._arguments
        y_at, e_at, out_row = _address(y), _address(e), T * size
        record_at, record_row = (0, 0) if record is None else (_address(record), record.nbytes // self._filters)
        _mu, mu_at, mu_row, mu_step = self._steps(job)
        arguments[_BEGIN] = 0
        try:
            if self._filters > 1 or job.features is not None:
                torch._foreach_copy_(self._kept, self._carried)
                arguments[_BEGIN] = loops.KEPT
            for start, stop, x, d in self._parts(job):
                (x, x_at, x_row), (d, d_at, d_row), at = self._place(x), self._place(d), start * size
                row = start // every * job.w.shape[-1] * size if every else 0
                arguments[:_CALL] = (
                    arguments[_BEGIN], stop - start, 0, self._filters, rows, job.skip, every, x_at, x_row, d_at, d_row,
                    y_at + at, e_at + at, out_row, mu_at + start * mu_step, mu_row, stop - start if mu_step else 1,
                    record_at + row, record_row,
                )  # fmt: skip
                status = self._call(function, job, stop - start)
                if status:
                    _refuse(job, status)
                if job.every > PART and stop % job.every == 0:
                    record[..., stop // job.every - 1, :] = job.w if isinstance(record, Tensor) else job.w.numpy()
        except BaseException:
            if arguments[_BEGIN] == loops.KEPT:
                torch._foreach_copy_(self._carried, self._kept)
            raise

    def _block_function(self, job: Job, rows: bool, T: int, every: int) -> Callable[..., int]:
        """Return the code for this block."""
        ahead = job.algorithm.gain is not None and not rows and T > 1 and (not every or every >= MIN_RUN)
        flags = (self._leaky, job.skip) if ahead else None
        if flags not in self._blocks:
            self._blocks[flags] = block_function(*self._code, flags)
        return self._blocks[flags]

    def _steps(self, job: Job) -> tuple[Any, int, int, int]:
        """Return the step sizes, their address, and the bytes to the next filter's and the next sample's."""
        if job.mu is None:
            return self._own_mu
        if isinstance(job.mu, float):
            self._mu[0] = job.mu
            return self._mu, self._mu_address, 0, 0
        mu = job.mu.detach().numpy().astype(self._p.dtype)
        if mu.ndim > 1:
            mu = np.broadcast_to(mu, (*job.w.shape[:-1], mu.shape[-1])).reshape(self._filters, -1)
        mu = np.ascontiguousarray(mu)
        many = mu.ndim and mu.shape[-1] > 1
        return mu, mu.ctypes.data, mu.strides[0] if mu.ndim > 1 else 0, mu.itemsize if many else 0

    def _parts(self, job: Job) -> Iterator[tuple[int, int, Any, Any]]:
        """Cut a block in the parts that a loop takes at once; one ends where a record does."""
        T, every, length = job.d.shape[-1], job.every, PART
        if job.features is not None:
            length = max(min(PART, PART_FEATURES // job.w.numel()), 1)
        elif length >= T and not job.skip:
            yield 0, T, job.x, job.d
            return
        x, d = _array(job.x), _array(job.d)
        x, d = x.reshape(self._filters, T, *x.shape[d.ndim :]), d.reshape(self._filters, T)
        if 0 < every <= length:
            length = length // every * every
        edges = {*range(0, T, length), *(range(0, T, every) if every > length else ()), T}
        for start, stop in pairwise(sorted(edges)):
            x_part, d_part = x[:, start:stop], d[:, start:stop]
            if job.skip:
                x_part, d_part = skip_nonfinite(x_part, d_part)
            if job.features is not None and not job.rows:
                x_part = _features(job, x_part)
            yield start, stop, x_part, d_part

    def _place(self, v: Any) -> tuple[Any, int, int]:
        """Return a signal in the filter's precision, its address, and its bytes a filter; rows are contiguous."""
        if isinstance(v, Tensor):
            if v.requires_grad or v.dtype != self._kind or not v.is_contiguous() or v.is_conj() or v.is_neg():
                v = v.detach().to(self._kind).resolve_conj().resolve_neg().contiguous()
            return v, v.data_ptr(), v.nbytes // self._filters
        if v.dtype != self.dtype:
            with np.errstate(over="ignore"):
                v = v.astype(self.dtype, order="C")
        elif not v.flags.c_contiguous:
            if v.ndim == 2 and v.strides[1] == v.itemsize:
                return v, v.ctypes.data, v.strides[0]
            v = np.ascontiguousarray(v)
        return v, _address(v), v.nbytes // self._filters

    def _call(self, function: Callable[..., int], job: Job, samples: int) -> int:
        """Run the loop over one part, the filters of a batch over threads."""
        if self._filters == 1 or self._filters * samples * job.w.shape[-1] < MIN_THREADED:
            if function(self._result_at, self._spare_at, self._arguments_at):
                raise RuntimeError(_RAISED)
            return self._status.value
        threads = min(self._filters, torch.get_num_threads())
        edges = [self._filters * i // threads for i in range(threads + 1)]

        def share(first: int, last: int) -> int:
            room = self._new_room(job)
            own = self._new_arguments(room)
            own[:_CALL] = self._arguments[:_CALL]
            own[_FIRST], own[_FIRST + 1] = first, last
            return call(function, own)

        with ThreadPoolExecutor(threads) as pool:
            return max(pool.map(share, edges[:-1], edges[1:]))

    # Single samples

    def _bound_sample(self) -> Callable[[], int]:
        """Return the code for one sample, bound to its arguments; it keeps the GIL, so that threads take turns."""
        u = empty(self._shapes[0], self.dtype)
        own, function = self._new_arguments(self._room), sample_function(*self._code)
        own[:4] = (addressof(self._io), u.ctypes.data, self._skip, self._mu_at)
        self._one = own, u
        native: Any = PYFUNCTYPE(c_int32, *[c_void_p] * 3)(cast(function, c_void_p).value)  # type: ignore
        return partial(native, self._result_at, self._spare_at, c_void_p(addressof(own)))

    def step(self, x: Any, d: Any) -> tuple[Any, Any]:
        """Predict and adapt; return y and e."""
        io = self._io
        self._take(loops.STEP, x, d)
        return (complex(io[4], io[5]), complex(io[6], io[7])) if self._complex else (io[4], io[6])

    def predict(self, x: Any) -> Any:
        """Take x in and return y."""
        self._take(loops.PREDICT, x, 0.0)
        return complex(self._io[4], self._io[5]) if self._complex else self._io[4]

    def adapt(self, e: Any) -> None:
        """Adapt on an error."""
        self._take(loops.ADAPT, 0.0, e)

    @property
    def passed_over(self) -> bool:
        """Whether the newest sample was not finite."""
        return self._io[loops.PASSED_OVER] != 0

    @passed_over.setter
    def passed_over(self, value: bool) -> None:
        self._io[loops.PASSED_OVER] = value

    def _take(self, mode: int, x: Any, d: Any) -> None:
        """Run the code for one sample."""
        io = self._io
        if self._complex:
            x, d = number("x", x, complex), number("e" if mode == loops.ADAPT else "d", d, complex)
            io[0], io[1], io[2], io[3] = x.real, x.imag, d.real, d.imag
        else:
            io[0] = x if type(x) is float else number("x", x, float)
            io[2] = d if type(d) is float else number("e" if mode == loops.ADAPT else "d", d, float)
        io[8] = mode
        if self._sample is None:
            self._sample = self._bound_sample()
        if self._sample():
            raise RuntimeError(_RAISED)
        status = self._status.value
        if status == loops.DIVERGED:
            raise DivergenceError(_DIVERGED)
        if status:
            name, value = ("x", x) if status == loops.BAD_X else ("e" if mode == loops.ADAPT else "d", d)
            raise ValueError(f'{name} must be finite, got {value} (nonfinite="skip" passes over such samples)')


def call(function: Callable[..., int], arguments: Any) -> int:
    """Call a native function and return its result."""
    result, spare = c_int64(), c_int64()
    if function(addressof(result), addressof(spare), addressof(arguments)):
        raise RuntimeError(_RAISED)
    return result.value


def _address(array: Any) -> int:
    """Return where the data lie; the short way works where an array can be written."""
    if isinstance(array, Tensor):
        return array.data_ptr()
    return addressof(c_char.from_buffer(array)) if array.flags.writeable and array.size else array.ctypes.data


def _array(value: Any) -> Any:
    """Return a block as an array that shares its memory."""
    if isinstance(value, np.ndarray):
        return value
    value = value.detach().resolve_conj().resolve_neg()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _features(job: Job, x: Any) -> Any:
    """Return the features of a part, (filters, T, F), and take the part into the line."""
    assert job.features is not None
    line = job.samples.view(len(x), -1)
    stream = torch.cat([line[:, 1:], as_tensor(x, job.w.dtype, line.device)], -1)
    with torch.no_grad():
        u = job.features(windows(stream, line.shape[1]))
    line.copy_(stream[:, -line.shape[1] :])
    return u.to(job.w.dtype).contiguous().numpy()


def _refuse(job: Job, status: int) -> None:
    """Raise the error that a loop reports."""
    if status != loops.DIVERGED:
        for name, value in (("x", job.x), ("d", job.d)):
            check_finite(name, value)
            check_finite(name, into_precision(_array(value), job.w.dtype))
    raise DivergenceError(_DIVERGED)
