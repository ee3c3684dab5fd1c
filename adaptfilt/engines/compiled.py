"""The compiled engine: any algorithm's one function inside a sample loop, at C speed on the CPU."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes import addressof, c_char, c_double, c_int64, c_void_p
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.checks import NUMPY, DivergenceError, cast, check_finite, skip_nonfinite
from adaptfilt.engines.algorithm import Job, Result
from adaptfilt.engines.loops import block_function, places, step_function
from adaptfilt.engines.native import empty
from adaptfilt.taps import windows

Array = np.ndarray[Any, np.dtype[Any]]
DIVERGED = 3  # what a loop returns
CHUNK = 32768  # samples a loop gets at a time: its copy of the stream stays in the second-level cache
CHUNK_FEATURES = 1 << 20  # entries of written-out regressors at a time
MIN_RUN = 16  # lookahead pays from about so many samples between two records
_DIVERGED = "the weights grew beyond the finite numbers: lower the step size; the state is as before the call"
_RAISED = "the update function raised an exception inside the compiled loop"
MIN_THREADED = 100_000  # multiply-adds from which on a second thread pays


def run(job: Job) -> Result:
    """Adapt over a block on the CPU, on copies of the state.

    Raises
    ------
    ValueError
        If x or d is not finite (and such samples are not to be skipped).
    DivergenceError
        If the weights or the state become infinite.
    """
    batch, T, F = job.w.shape[:-1], job.d.shape[-1], job.w.shape[-1]
    channels, dtype = batch.numel(), NUMPY[job.w.dtype]
    x = _array(job.x).reshape(channels, *job.x.shape[len(batch) :])
    d = _array(job.d).reshape(channels, T)
    w, line, *states = (
        _array(t).reshape(channels, *t.shape[len(batch) :]).copy() for t in (job.w, job.samples, *job.state.values())
    )
    y, e = empty((channels, T), dtype), empty((channels, T), dtype)
    record = empty((channels, T // job.every, F), dtype) if job.every else None
    mu, p = _numbers(job, channels, T)

    length = CHUNK if job.features is None else max(1, CHUNK_FEATURES // (channels * F))
    length = max(length // job.every, 1) * job.every if job.every else length
    for start in range(0, T, length):
        part = slice(start, start + length)
        with np.errstate(over="ignore"):
            x_part, d_part = x[:, part].astype(dtype, copy=False), d[:, part].astype(dtype, copy=False)
        if job.skip:
            x_part, d_part = skip_nonfinite(x_part, d_part)
        if job.features is not None and not job.rows:
            x_part = _features(job, x_part, line)
        mu_part = mu[:, part] if mu.shape[1] > 1 else mu
        kept = record[:, start // job.every : (start + length) // job.every] if record is not None else None
        status = _block(job, x_part, d_part, w, line, states, mu_part, p, y[:, part], e[:, part], kept)
        if status:
            _refuse(job, status)
    kept = record.reshape(*batch, *record.shape[1:]) if record is not None else None
    state = {k: a.reshape(t.shape) for (k, t), a in zip(job.state.items(), states, strict=True)}
    return Result(y.reshape(*batch, T), e.reshape(*batch, T), w.reshape(job.w.shape), kept, line, state)


def _block(
    job: Job,
    x: Array,
    d: Array,
    w: Array,
    line: Array,
    states: list[Array],
    mu: Array,
    p: Array,
    y: Array,
    e: Array,
    record: Array | None,
) -> int:
    """Run the loop over one part, rows of a batch over threads; w, line and states change in place."""
    (channels, T), M = d.shape, w.shape[-1]
    rows = job.rows or job.features is not None
    x, d, mu = (v if v.strides[-1] == v.itemsize and not rows else np.ascontiguousarray(v) for v in (x, d, mu))
    fast = job.algorithm.gain is not None and not rows and T > 1 and (not job.every or job.every >= MIN_RUN)
    ndims = tuple(a.ndim - 1 for a in states), tuple(map(len, job.scratch))
    function = block_function(job.algorithm, w.dtype.name, ndims, (bool(p[:, -1].any()), job.skip) if fast else None)
    dims = _dims([*(a.shape[1:] for a in states), *job.scratch])
    where = places(job.algorithm)
    arguments = np.zeros(len(where), np.int64)

    def put(**values: Any) -> None:
        for name, value in values.items():
            arguments[where[name]] = value.ctypes.data if isinstance(value, np.ndarray) else value

    put(M=M, T=T, length=T, skip=job.skip, rows=rows, channels=channels, every=job.every)
    put(x_row=_row(x), d_row=_row(d), y_row=_row(y), mu_row=_row(mu) if len(mu) > 1 else 0, mu_step=mu.shape[1] > 1)
    put(line=line, w=w, p=p, mu=mu, dims=dims, x=x, d=d, y=y, e=e, **dict(zip(job.state, states, strict=True)))
    if record is not None:
        put(record=record, kept=_row(record))

    def part(first: int, last: int) -> int:
        own = arguments.copy()
        scratch = [empty(shape, w.dtype) for shape in job.scratch]
        stream = empty(1 if rows else T + M - 1, w.dtype)
        for name, value in (("stream", stream), *zip(job.algorithm.scratch, scratch, strict=True)):
            own[where[name]] = value.ctypes.data
        own[where["first"]], own[where["last"]] = first, last
        return call(function, own.ctypes.data)

    threads = min(channels, torch.get_num_threads())
    if threads == 1 or channels * T * M < MIN_THREADED:
        return part(0, channels)
    edges = [channels * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        return max(pool.map(part, edges[:-1], edges[1:]))


def call(function: Callable[..., int], *arguments: Any) -> int:
    """Call a native function and return its result."""
    result, spare = c_int64(), c_int64()
    if function(addressof(result), addressof(spare), *arguments):
        raise RuntimeError(_RAISED)
    return result.value


def _row(array: Array) -> int:
    """Return how many entries apart the rows are."""
    return array.strides[0] // array.itemsize


class Bound:
    """One filter's state bound to compiled code: single samples and blocks, in place, at little cost a call.

    Parameters
    ----------
    job : Job
        Its x, d and mu are not read; w, samples and state are changed by every call. The batch is empty.
    """

    def __init__(self, job: Job) -> None:
        self.w, self.samples = job.w, job.samples
        w, line, *states = (t.numpy() for t in (job.w, job.samples, *job.state.values()))
        mu, p = _numbers(job, 1, 1)
        scratch = [empty(shape, w.dtype) for shape in job.scratch]
        stream, self._io = empty(CHUNK + len(w), w.dtype), (c_double * 10)()
        copies = [empty(a.shape, a.dtype) for a in (w, w, line, *states)]  # u and what to go back to
        dims = _dims([*(a.shape for a in states), *job.scratch])
        own = dict(zip(job.state, states, strict=True)) | dict(zip(job.algorithm.scratch, scratch, strict=True))
        own |= dict(zip(["u", "saved_w", "saved_line", *(f"saved_{k}" for k in job.state)], copies, strict=True))
        own |= {"line": line, "w": w, "p": p, "mu": mu, "dims": dims, "stream": stream}
        numbers = {
            "M": len(w),
            "length": CHUNK,
            "skip": int(job.skip),
            "framed": 1,
            "last": 1,
            "channels": 1,
            "io": addressof(self._io),
        }
        numbers |= {name: a.ctypes.data for name, a in own.items()}
        where = places(job.algorithm)
        self._arguments = (c_int64 * len(where))(*(numbers.get(name, 0) for name in where))
        self._length, self._after, self._first = where["T"], where["after"], where["x"]
        self._status, self._spare, self._kept = c_int64(), c_int64(), own
        self._dtype, self._complex, self._skip = w.dtype, job.w.is_complex(), job.skip
        ndims = tuple(a.ndim for a in states), tuple(map(len, job.scratch))
        self._flags = (bool(p[0, -1]), job.skip) if job.algorithm.gain is not None else None
        self._code = job.algorithm, w.dtype.name, ndims

    def _bind(self, function: Callable[..., int]) -> Callable[[], int]:
        """Return the function with its arguments fixed."""
        return partial(function, *(c_void_p(addressof(v)) for v in (self._status, self._spare, self._arguments)))

    @cached_property
    def _one(self) -> Callable[[], int]:
        """The code for one sample."""
        return self._bind(step_function(*self._code))

    @cached_property
    def _many(self) -> Callable[[], int]:
        """The code for a block."""
        return self._bind(block_function(*self._code, self._flags))

    def takes(self, x: Any) -> bool:
        """Say whether a signal can go in as it is: contiguous, in the filter's precision."""
        if self._skip:
            return False
        if type(x) is np.ndarray:
            return x.dtype == self._dtype and x.ndim == 1 and len(x) > 0 and x.flags.c_contiguous
        fits = type(x) is Tensor and x.dtype == self.w.dtype and x.ndim == 1 and len(x) > 0
        return (
            fits and x.is_contiguous() and x.device.type == "cpu" and not (x.requires_grad or x.is_conj() or x.is_neg())
        )

    def block(self, x: Any, d: Any) -> tuple[Any, Any, Any]:
        """Adapt over a block; return y, e and a copy of w."""
        T, M, arguments = len(x), len(self.w), self._arguments
        y: Any
        e: Any
        w: Any
        if type(x) is np.ndarray:
            out = empty(2 * T + M, self._dtype)
            y, e, w, start = out[:T], out[T : 2 * T], out[2 * T :], _address(out)
            step = T * out.itemsize
            addresses, after = [_address(x), _address(d), start, start + step], start + 2 * step
        else:
            y, e, w = torch.empty_like(x), torch.empty_like(x), torch.empty_like(self.w)
            *addresses, after = [t.data_ptr() for t in (x, d, y, e, w)]
        arguments[self._length], arguments[self._after] = T, after
        arguments[self._first : self._first + 4] = addresses  # type: ignore[assignment]
        if self._many():
            raise RuntimeError(_RAISED)
        if self._status.value == DIVERGED:
            raise DivergenceError(_DIVERGED)
        if self._status.value:
            check_finite("x", x)
            check_finite("d", d)
        return y, e, w

    def step(self, x: Any, d: Any) -> tuple[Any, Any]:
        """Predict and adapt; return y and e."""
        io = self._io
        self._run(3, x, d)
        if self._complex:
            return complex(io[4], io[5]), complex(io[6], io[7])
        return io[4], io[6]

    def predict(self, x: Any) -> Any:
        """Take x in and return y."""
        self._run(1, x, 0.0)
        return complex(self._io[4], self._io[5]) if self._complex else self._io[4]

    def adapt(self, e: Any) -> None:
        """Adapt on an error."""
        self._run(2, 0.0, e)

    def _run(self, mode: int, x: Any, d: Any) -> None:
        io = self._io
        try:
            if self._complex:
                x, d = complex(x), complex(d)
                io[0], io[1], io[2], io[3] = x.real, x.imag, d.real, d.imag
            else:
                io[0] = x
                io[2] = d
        except TypeError:
            kind = "number" if self._complex else "float (this filter is real)"
            raise TypeError(f"a sample must be a {kind}, got {type(x).__name__} and {type(d).__name__}") from None
        io[8] = mode
        if self._one():
            raise RuntimeError(_RAISED)
        status = self._status.value
        if status == DIVERGED:
            raise DivergenceError(_DIVERGED)
        if status:
            name, value = ("x", x) if status == 1 else ("e" if mode == 2 else "d", d)
            raise ValueError(f'{name} must be finite, got {value} (nonfinite="skip" passes over such samples)')


def _address(array: Any) -> int:
    """Return where an array's data lie; the short way works where the array can be written."""
    return addressof(c_char.from_buffer(array)) if array.flags.writeable else array.ctypes.data


def _dims(shapes: list[tuple[int, ...]]) -> Array:
    """Return the sizes of all state and scratch arrays of one filter, one after the other."""
    sizes = [n for shape in shapes for n in shape]
    return np.array(sizes, np.int64)


def _numbers(job: Job, channels: int, T: int) -> tuple[Array, Array]:
    """Return the step sizes, (channels or 1, T or 1), and all parameters, (channels, N), in the filter's precision."""
    batch, real = job.w.shape[:-1], NUMPY[job.w.dtype.to_real()]
    values = list(job.params.values())
    if any(isinstance(v, Tensor) for v in values):
        columns = [torch.as_tensor(v).detach().expand(batch).reshape(channels).numpy().astype(real) for v in values]
        p = np.ascontiguousarray(np.stack(columns, -1))
    else:
        p = np.array([values] * channels, real)
    if job.mu is None:
        index = list(job.params).index("mu") if "mu" in job.params else 0
        return np.ascontiguousarray(p[:, index : index + 1]), p
    mu = torch.as_tensor(job.mu).detach().numpy().astype(real, copy=False)
    if mu.ndim > 1:
        return np.broadcast_to(mu, (*batch, mu.shape[-1])).reshape(channels, mu.shape[-1]), p
    return mu.reshape(1, -1), p


def _features(job: Job, x: Array, line: Array) -> Array:
    """Return the features of a block, (channels, T, F), and take the block into the line."""
    assert job.features is not None
    stream = np.concatenate([line[:, 1:], x], -1)
    line[:] = stream[:, -line.shape[1] :]
    with torch.no_grad():
        u = job.features(windows(torch.from_numpy(stream), line.shape[1]))
    return np.ascontiguousarray(u.to(job.w.dtype).numpy())


def _array(value: Any) -> Array:
    """Return a block as an array that shares its memory."""
    if isinstance(value, np.ndarray):
        return value
    value = value.detach().resolve_conj().resolve_neg()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _refuse(job: Job, status: int) -> None:
    """Raise the error a loop reports."""
    for name, value in (("x", job.x), ("d", job.d)):
        if not job.skip:
            check_finite(name, value)
            check_finite(name, cast(_array(value), job.w.dtype))
    raise DivergenceError(_DIVERGED)
