"""The compiled engine: any algorithm's functions inside a sample loop, at C speed on the CPU.

Compiled code writes into the filter's own tensors. A call owns all else that it needs (`Workspace`), and checks where
those tensors lie before it starts: torch may have moved them since the last one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from ctypes import PYFUNCTYPE, addressof, c_char, c_double, c_int32, c_int64, c_void_p, cast
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.checks import DIVERGED, NUMPY, DivergenceError, as_tensor, check_finite, number
from adaptfilt.checks import cast as into_precision
from adaptfilt.engines.algorithm import Job, Result
from adaptfilt.engines.cpu import batch, loops
from adaptfilt.engines.cpu.adapters import Layout, Variant, block_function, places, sample_function
from adaptfilt.engines.cpu.native import RAISED, call, empty, over_threads
from adaptfilt.taps import windows

_bytes = c_char.from_buffer
PART = 32768  # samples a loop gets at a time: its copy of the stream stays in the second-level cache
PART_FEATURES = 1 << 20  # entries of written-out regressors at a time
MIN_RUN = 16  # lookahead pays from about so many samples between two records
FRAMES = 32  # sizes of blocks whose calls are kept prepared
MIN_THREADED = 100_000  # multiply-adds from which on a second thread pays
_CALL = len(loops.Call._fields)
_BEGIN, _FIRST = loops.BEGIN, loops.Call._fields.index("first")
_X, _D, _Y, _E, _RECORD = (loops.Call._fields.index(name) for name in ("x", "d", "y", "e", "record"))


def run(job: Job, workspace: "Workspace", moves: Sequence[tuple[Tensor, Tensor]] = ()) -> Result:
    """Adapt over a block on the CPU; what the job carries changes in place, or not at all.

    Parameters
    ----------
    job : Job
    workspace : Workspace
    moves : sequence of (Tensor, Tensor)
        What else changes with the block, and its values afterwards.

    Raises
    ------
    ValueError
        If x or d is not finite (and such samples are not to be skipped).
    DivergenceError
        If the weights or the state become infinite.
    """
    shape, F = job.d.shape, workspace.weights
    tensors = isinstance(job.x, Tensor)
    like, dtype = (_empty_tensor, job.w.dtype) if tensors else (empty, workspace.dtype)
    y, e = like(workspace.output_shape(job), dtype), like(shape, dtype)
    record = like((*job.filters, shape[-1] // job.every, F), dtype) if job.every else None
    samples = job.x.size if isinstance(job.x, np.ndarray) else job.x.numel()
    if samples or job.algorithm.recursion:  # which writes its weights after no sample too
        workspace.block(job, y, e, record, moves)
    return Result(y, e, job.w.clone() if tensors else workspace.w.copy(), record)


class Workspace:
    """What one call needs to run compiled code on a filter: where its state lies, rooms, and what to go back to.

    Parameters
    ----------
    job : Job
        Its signals are not read. What it carries is contiguous, on the CPU, and so is what its `moves` hold.

    Attributes
    ----------
    model : object
        What the responses that samples and short blocks hear were made of; None: they are those of a block.
    places : list of int
        Addresses of all that the job carries and of its vectors, for which all this holds.
    beside : dict of str to array
        What moves with a block that no loop knows of.
    params : dict
        The parameters that were set last.
    """

    _batch: batch.Batch | None

    def __init__(self, job: Job) -> None:
        algorithm = job.algorithm
        self._streams, self._filters, self._shape = prod(job.batch), prod(job.filters), job.filters
        self._shared = self._filters // self._streams
        self._inputs, self._taps, self._sps = job.inputs, job.line.shape[-1], job.sps
        self.weights = job.w.numel() // self._filters
        self._kind, self.dtype, self._algorithm = job.w.dtype, NUMPY[job.w.dtype], algorithm
        names = tuple(name for name in loops.SIGNALS if name in job.signals)
        own: list[Any] = [job.w, job.line, *(job.signals[name] for name in names), *job.state.values()]
        self._carried = [t.detach() for t in own]
        self._kept = [torch.empty_like(t) for t in self._carried]
        self.beside = {k: t.numpy() for k, t in job.moves.items()}
        self.places = [t.data_ptr() for t in (job.line, job.w, *own[2:], *job.vectors.values(), *job.moves.values())]
        self.w = self._carried[0].numpy()
        real = NUMPY[job.w.dtype.to_real()]
        self._p = np.empty((self._filters, max(len(job.params), 1)), real)
        self._mu, self._one = np.empty(1, real), np.ones(1, real)
        self._mu_at = list(job.params).index("mu") if "mu" in job.params else -1
        mu, row = (self._p[:, self._mu_at :], self._p.strides[0]) if "mu" in job.params else (self._one, 0)
        self._own_mu = self._p, mu.ctypes.data, row, 0
        self._heard = (1, 1) if job.secondary is None else tuple(job.secondary.shape[:2])  # errors, outputs
        none = empty((0 if job.secondary is None else job.secondary.numel(),), self.dtype)
        self._responses, self._response_at = {"secondary": none, "path": none[:0]}, {"path": 0}
        self._vectors = [v.detach() for v in job.vectors.values()]
        self.part = max(PART // (self._inputs * self._sps), 512) if algorithm.recursion is None else PART
        self._scratch = [
            (shape, real if kind.real else self.dtype)
            for shape, kind in zip(job.scratch.values(), algorithm.scratch_kinds.values(), strict=True)
        ]
        self._played = job.signals["played"].shape[-1] if "played" in names else 0
        fits = algorithm.feed is None and self._heard == (1, 1) and job.sps <= self._taps
        self._ahead = algorithm.gain is not None and fits
        self._layout = self._lay_out(names)
        self._phases = _phases(self._inputs, self._taps, job.sps)
        self._shapes = self._row_shapes()
        self._room = self._new_room()
        self._arguments = self._new_arguments(self._room)
        self._blocks: dict[Any, Callable[..., int]] = {}
        self._frames: dict[Any, tuple[Any, Callable[[], int], int]] = {}
        self._leaks, self._rests, self.model, self._batch = False, False, None, None
        self._sample: Callable[[], int] | None = None
        self._spare = c_int64()
        self._io, self._status, self._complex = (c_double * loops.IO)(), c_int64(), self._kind.is_complex
        places = (c_void_p(addressof(v)) for v in (self._status, self._spare, self._arguments))
        self._result_at, self._spare_at, self._arguments_at = places
        self.set_parameters(job.params, job.skip)

    def _lay_out(self, signals: tuple[str, ...]) -> Layout:
        """Return which arrays there are."""
        algorithm = self._algorithm
        sliced = self.weights == self._taps and algorithm.feed is None
        rooms = {
            "stream_v": "direction" in signals,
            "u_v": "direction" in signals,
            "phases": self._sps > 1,
            "secondary": "direction" in signals,
            "unfiltered": "direction" in signals,
            "filtered": "direction" in signals,
            "path": "played" in signals,
            "out": "played" in signals,
            "lags": self._shared > 1 and self._ahead,
        }
        return Layout(
            signals,
            tuple(name for name, there in rooms.items() if there),
            tuple((max(len(k.dims), 1), k.real) for k in algorithm.states.values()),
            tuple((max(len(k.dims), 1), k.real) for k in algorithm.scratch_kinds.values()),
            tuple(kind == "real" for kind in algorithm.vectors.values()),
            sliced,
            self._heard != (1, 1),
        )

    def _row_shapes(self) -> list[tuple[int, tuple[int, ...]]]:
        """Return of all that is carried how many filters share a row, and its shape; a scalar is an array of one."""
        C, M, Q, signals = self._inputs, self._taps, self._shared, self._layout.signals
        found: list[tuple[int, tuple[int, ...]]] = [(1, (self.weights,)), (Q, (C, M))]
        for name, t in zip(signals, self._carried[2:], strict=False):
            size = t.shape[-1]
            rows = t.numel() // (self._streams * size)  # several for an output, or outputs that errors hear together
            found.append((Q, (rows, size)) if loops.SIGNALS[name] == 2 else (1, (rows // Q * size,)))
        kinds = zip(self._carried[2 + len(signals) :], self._algorithm.states.values(), strict=True)
        return found + [(1, tuple(t.shape[t.ndim - len(kind.dims) :]) or (1,)) for t, kind in kinds]

    def _new_room(self) -> list[Any]:
        """Return scratch arrays for the algorithm, and rooms for streams, regressors, phases and outputs."""
        C, M, F, sps, (L, Q) = self._inputs, self._taps, self.weights, self._sps, self._heard
        rows, length = C * sps, self.part + M
        sizes: dict[str, tuple[int, ...]] = {
            "stream_v": (L * Q * rows, length),
            "u_v": (F,),
            "phases": (rows * -(-M // sps),),
            "unfiltered": (len(self._responses["secondary"]) // (L * Q) + self.part,),
            "filtered": (self.part,),
            "out": (Q * (self._played + self.part),),
            "lags": (16 * self.part // sps + 256,),
        }
        shared = [(rows, length), (F,), *(sizes[name] for name in self._layout.rooms if name in sizes)]
        return [empty(shape, kind) for shape, kind in self._scratch] + [empty(s, self.dtype) for s in shared]

    def _new_arguments(self, room: list[Any]) -> Any:
        """Return the numbers compiled code gets: space for a `Call`, then the places the adapter `memory` reads."""
        carried = [
            (t.data_ptr(), kept.data_ptr(), t.nbytes * shared // self._filters, shared, *shape)
            for t, kept, (shared, shape) in zip(self._carried, self._kept, self._shapes, strict=True)
        ]
        p = self._p.ctypes.data, self._p.strides[0], self._p.shape[1]
        fixed = len(self._scratch) + 2
        arrays = [(array.ctypes.data, *array.shape) for array in room[:fixed]]
        numbers = places(carried, p, [(v.data_ptr(), v.numel()) for v in self._vectors], arrays)
        others = iter(room[fixed:])
        for name in self._layout.rooms:
            array = self._responses[name] if name in self._responses else next(others)
            if name in self._responses:
                self._response_at[name] = len(numbers)
            numbers += [array.ctypes.data, *array.shape]
        return (c_int64 * len(numbers))(*numbers)

    def set_parameters(self, params: dict[str, Any], skip: bool) -> None:
        """Take over the parameters."""
        self.params, self._skip = params, skip
        for at, value in enumerate(params.values()):
            tensor = isinstance(value, Tensor)
            self._p[:, at] = value.detach().expand(self._shape).reshape(-1).numpy() if tensor else value
        before = self._leaks, self._rests
        self._leaks = self._algorithm.leaks and _some(params["leak"])
        self._rests = self._mu_at >= 0 and not _all(params["mu"])
        if before != (self._leaks, self._rests):  # other code runs them
            self._frames.clear()
        if self._sample is not None:
            self._sample_arguments[1:3] = (skip, self._mu_at)

    # Blocks

    def output_shape(self, job: Job) -> tuple[int, ...]:
        """Return the shape of y."""
        shape = tuple(job.d.shape)
        return shape if self._heard == (1, 1) else (*job.batch, self._heard[1], shape[-1])

    def block(self, job: Job, y: Any, e: Any, record: Any, moves: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Adapt over a block and fill y, e and the record, all contiguous."""
        gated = job.skip or ((job.mu is not None or self._rests) and not self._algorithm.stands_still)
        plain = not (gated or job.rows or isinstance(job.mu, Tensor)) and job.features is None
        if plain and self._fits_lanes(job.d.shape[-1]) and self._side_by_side(job, y, e, record, moves):
            return
        try:
            self._block(job, y, e, record, moves, gated)
        except DivergenceError:
            rests = self._rests if job.mu is None else bool((torch.as_tensor(job.mu) == 0).any())
            if gated or not rests:
                raise
            self._block(job, y, e, record, moves, True)  # a gain of 0 may come out as 0 times infinity

    def _block(
        self, job: Job, y: Any, e: Any, record: Any, moves: Sequence[tuple[Tensor, Tensor]], gated: bool
    ) -> None:
        """Adapt over a block; gated, the gain is not asked where nothing adapts."""
        N, size, rows = job.d.shape[-1], self.dtype.itemsize, job.rows or job.features is not None
        every = job.every if job.every <= self.part else 0  # a longer run is kept here, part by part
        if job.secondary is not None and job.path is not None:
            self.set_responses(job.secondary, job.path, None)
        function, arguments = self._block_function(rows, N, every, gated), self._arguments
        y_at, e_at, run, (L, Q) = address(y), address(e), N * size, self._heard
        record_at, record_row = (0, 0) if record is None else (address(record), record.nbytes // self._filters)
        _mu, mu_at, mu_row, mu_step = self._steps(job)
        marked = job.skip or job.algorithm.unknown
        moved, old = [own for own, _ in moves], [own.clone() for own, _ in moves]
        arguments[_BEGIN] = 0
        try:
            if self._filters > 1 or job.features is not None:
                torch._foreach_copy_(self._kept, self._carried)
                arguments[_BEGIN] = loops.KEPT
            for first, last, offset, x, d in self._parts(job):
                samples, at = x.shape[-2] if rows else x.shape[-1], first * size
                x, x_at, x_row, x_input = self._place(x, samples if rows else self._inputs)
                d, d_at, d_row, d_run = self._place(d, L)
                row = first // every * self.weights * size if every else 0
                arguments[:_CALL] = (
                    arguments[_BEGIN], samples, last - first, 0, self._filters, self._shared, self._sps, offset, rows,
                    marked, every, x_at, x_row, x_input, d_at, d_row, d_run, y_at + at, e_at + at,
                    Q * run, L * run, run, L, mu_at + first * mu_step, mu_row, last - first if mu_step else 1,
                    record_at + row, record_row,
                )  # fmt: skip
                status = self._call(function, last - first)
                if status:
                    _refuse(job, status)
                if job.every > self.part and last % job.every == 0:
                    w = self._carried[0].reshape(*record.shape[:-2], -1)
                    record[..., last // job.every - 1, :] = w if isinstance(record, Tensor) else w.numpy()
            if moves:
                torch._foreach_copy_(moved, [new for _, new in moves])
        except BaseException:
            kept = arguments[_BEGIN] == loops.KEPT
            if kept or moves:
                torch._foreach_copy_([*self._carried * kept, *moved], [*self._kept * kept, *old])
            raise

    def _fits_lanes(self, N: int) -> bool:
        """Say whether a block runs faster side by side, and can."""
        size = self._streams, N, self.weights
        return self._shared == 1 and batch.pays(self._algorithm, self._layout, *size)

    def _side_by_side(self, job: Job, y: Any, e: Any, record: Any, moves: Sequence[tuple[Tensor, Tensor]]) -> bool:
        """Adapt a batch in lanes; False where its functions do not compile for them."""
        if self._batch is None:
            own, shapes = [t.numpy() for t in self._carried], [shape for _, shape in self._shapes]
            more = self._p, self._vectors, self._scratch
            try:
                self._batch = batch.Batch(self._algorithm, self._layout, own, shapes, *more)
            except Exception as error:  # one filter after the other says so where it is the user's
                batch.refuse(self._algorithm, str(error))
                return False
        _x, x_at, x_row, x_input = self._place(job.x, self._inputs)
        d = np.zeros(job.d.shape[-1], self.dtype) if self._algorithm.blind else job.d  # the same for all
        _d, d_at, d_row, _ = self._place(d, 1)
        d_row *= not self._algorithm.blind
        N, kept = job.d.shape[-1], (0, 0) if record is None else (address(record), record.nbytes // self._filters)
        at, rows = (
            (x_at, d_at, address(y), address(e), kept[0]),
            (x_row, x_input, d_row, N * self.dtype.itemsize, kept[1]),
        )
        status, carried = self._batch.run(N, at, rows, (job.mu, self._mu_at), job.every)
        if status:
            _refuse(job, status)
        pairs = [*zip(self._carried, carried, strict=True), *moves]
        torch._foreach_copy_([own for own, _ in pairs], [new for _, new in pairs])  # in one call: all of it or nothing
        return True

    def set_responses(self, secondary: Tensor, path: Tensor, model: Any) -> None:
        """Take over the responses that filter x, and those through which the errors hear the outputs; `model` is
        remembered.
        """
        self.model = model
        for name, response in (("secondary", secondary.flip(-1)), ("path", path)):
            own = self._responses[name] = np.ascontiguousarray(response.detach().numpy(), self.dtype).reshape(-1)
            at = self._response_at[name]
            frames = (frame[0] for frame in self._frames.values())
            for arguments in (self._arguments, *([self._sample_arguments] if self._sample else []), *frames):
                arguments[at : at + 2] = (own.ctypes.data, len(own))

    def _block_function(self, rows: bool, N: int, every: int, gated: bool) -> Callable[..., int]:
        """Return the code for a block; gated where samples may be passed over or frozen."""
        variant = None
        if self._ahead and not rows and N > 1 and (not every or every >= MIN_RUN):
            variant = Variant(self._leaks, gated, *self._phases)
        if variant not in self._blocks:
            self._blocks[variant] = block_function(self._algorithm, self.dtype.name, self._layout, variant)
        return self._blocks[variant]

    def _steps(self, job: Job) -> tuple[Any, int, int, int]:
        """Return the step sizes, their address, and the bytes to the next filter's and the next output's."""
        if job.mu is None:
            return self._own_mu
        if isinstance(job.mu, float):
            self._mu[0] = job.mu
            return self._mu, self._mu.ctypes.data, 0, 0
        mu = job.mu.detach().numpy().astype(self._p.dtype)
        if mu.ndim > 1:
            mu = np.broadcast_to(mu, (*job.d.shape[:-1], mu.shape[-1])).reshape(self._filters, -1)
        mu = np.ascontiguousarray(mu)
        many = mu.ndim and mu.shape[-1] > 1
        return mu, mu.ctypes.data, mu.strides[0] if mu.ndim > 1 else 0, mu.itemsize if many else 0

    def _parts(self, job: Job) -> Iterator[tuple[int, int, int, Any, Any]]:
        """Cut a block in the parts that a loop takes at once; one ends where a record does.

        Yields the outputs from first to last, the sample with which the first one is made, and the part's signals.
        """
        N, every, length, sps = job.d.shape[-1], job.every, self.part // self._sps, self._sps
        if job.features is not None:
            length = max(min(self.part, PART_FEATURES // job.w.numel()), 1)
        elif length >= N and not job.skip:
            yield 0, N, job.offset, job.x, job.d
            return
        x, d = _array(job.x), _array(job.d)
        if job.rows:
            x = np.ascontiguousarray(x)
        x = x.reshape(self._streams, *((x.shape[-2:]) if job.rows else (self._inputs, x.shape[-1])))
        d = d.reshape(self._filters, *self._heard[:1], N) if self._heard[0] > 1 else d.reshape(self._filters, N)
        if 0 < every <= length:
            length = length // every * every
        edges = sorted({*range(0, N, length), *(range(0, N, every) if every > length else ()), N})
        for first, last in zip(edges[:-1] or [0], edges[1:] or [0], strict=True):
            start = job.offset + first * sps if first else 0
            stop = job.offset + last * sps if last < N else x.shape[1 if job.rows else 2]
            offset = 0 if first else job.offset
            x_part = x[:, first:last] if job.rows else x[:, :, start:stop]
            if job.features is not None and not job.rows:
                x_part = self._features(job, x_part, offset)
            yield first, last, offset, x_part, d[..., first:last]

    def _features(self, job: Job, x: Any, offset: int) -> Any:
        """Return the features of a part, (B, N, F), and take the part into the line."""
        assert job.features is not None
        M = self._taps
        line = job.line.view(self._streams, self._inputs, M)
        stream = torch.cat([line[..., 1:], as_tensor(x, job.w.dtype, line.device)], -1)
        u = windows(stream, M)[..., offset :: self._sps, :]  # (B, C, N, M)
        with torch.no_grad():
            u = job.features(u.movedim(1, 2) if job.line.ndim == len(job.batch) + 2 else u[:, 0])
        line.copy_(torch.cat([line, stream[..., M - 1 :]], -1)[..., -M:])
        return u.to(job.w.dtype).contiguous().numpy()

    def _place(self, v: Any, runs: int) -> tuple[Any, int, int, int]:
        """Return a signal in the filter's precision, its address, and its bytes a row and a run.

        A row belongs to one stream or filter and holds so many runs: inputs, regressors, or one series.
        """
        if isinstance(v, Tensor):
            if v.requires_grad or v.dtype != self._kind or not v.is_contiguous() or v.is_conj() or v.is_neg():
                v = v.detach().to(self._kind).resolve_conj().resolve_neg().contiguous()
            run = v.shape[-1] * self.dtype.itemsize
            return v, v.data_ptr(), runs * run, run
        if v.dtype != self.dtype:
            with np.errstate(over="ignore"):
                v = v.astype(self.dtype, order="C")
        elif not v.flags.c_contiguous:
            if v.strides[-1] == v.itemsize and v.ndim == (2 if runs == 1 else 3):
                return v, v.ctypes.data, v.strides[0], v.strides[-2]
            v = np.ascontiguousarray(v)
        run = v.shape[-1] * self.dtype.itemsize
        return v, address(v), runs * run, run

    def _call(self, function: Callable[..., int], outputs: int) -> int:
        """Run the loop over one part, the streams of a batch over threads."""
        if self._streams == 1 or self._filters * outputs * self.weights < MIN_THREADED:
            if function(self._result_at, self._spare_at, self._arguments_at):
                raise RuntimeError(RAISED)
            return self._status.value

        def share(first: int, last: int) -> int:
            room = self._new_room()
            own = self._new_arguments(room)
            own[:_CALL] = self._arguments[:_CALL]
            own[_FIRST], own[_FIRST + 1] = first * self._shared, last * self._shared
            return call(function, own)

        return over_threads(self._streams, share)

    # Frames: short blocks of one size, over and over

    def frame(
        self, signals: tuple[Any, Any, int, Mapping[str, Any]], mu: float | None, every: int
    ) -> tuple[Any, Any, Any] | None:
        """Adapt over a short block and return y, e and w or its record; None, with nothing changed, where `block` is
        to take it. The call's numbers stand from the last block of its size but for the addresses of its signals.

        Parameters
        ----------
        signals : tuple of array, array, int and mapping of str to array
            x, (*batch, [inputs,] T); d, (*filters, N); the place in x of the sample with which the first output is
            made; what of `beside` changes with the block, and its values afterwards.
        mu : float, optional
            Step size for this block.
        every : int >= 0
            Keep the weights after every so many samples; 0: never.
        """
        x, d, offset, moves = signals
        key = (x.shape, d.shape, offset, every, mu is None)
        try:
            arguments, function, rows = self._frames[key]
        except KeyError:
            if len(self._frames) == FRAMES or not self._fits_a_frame(d.shape[-1], every):
                return None
            arguments, function, rows = self._frames[key] = self._new_frame(x, d, offset, every, mu is None)
        shape, dtype = d.shape, self.dtype
        y: Any = empty(shape, dtype)
        e: Any = empty(shape, dtype)
        if x.dtype != dtype or d.dtype != dtype:
            x, d = into_precision(x, self._kind), into_precision(d, self._kind)
        try:
            arguments[_X], arguments[_D] = addressof(_bytes(x)), addressof(_bytes(d))
        except TypeError:  # read-only or strided
            x, d = x.copy(), d.copy()
            arguments[_X], arguments[_D] = addressof(_bytes(x)), addressof(_bytes(d))
        arguments[_Y], arguments[_E] = addressof(_bytes(y)), addressof(_bytes(e))
        if every:
            record = empty((*shape[:-1], rows, self.weights), dtype)
            arguments[_RECORD] = address(record)
        if mu is not None:
            self._mu[0] = mu
        if not self._whole_call(arguments, function, [(self.beside[k], v) for k, v in moves.items()]):
            return None
        return y, e, record if every else self.w.copy()

    def _fits_a_frame(self, N: int, every: int) -> bool:
        """Say whether a block is short enough."""
        short = self._streams == 1 or self._filters * N * self.weights < MIN_THREADED
        return short and not self._fits_lanes(N) and 0 < N <= self.part // self._sps and every <= N

    def _new_frame(self, x: Any, d: Any, offset: int, every: int, own_mu: bool) -> tuple[Any, Callable[[], int], int]:
        """Return the numbers of a call without its addresses, the code bound to them, and how many rows it records."""
        T, N, size = x.shape[-1], d.shape[-1], self.dtype.itemsize
        arguments, rows, row = self._new_arguments(self._room), N // every if every else 0, N * size
        gated = not ((own_mu and not self._rests) or self._algorithm.stands_still)
        mu_at, mu_row = self._own_mu[1:3] if own_mu else (self._mu.ctypes.data, 0)
        arguments[:_CALL] = (
            0, T, N, 0, self._filters, self._shared, self._sps, offset, False, self._algorithm.unknown, every,
            0, self._inputs * T * size, T * size, 0, row, row, 0, 0,
            row, row, row, 1, mu_at, mu_row, 1, 0, rows * self.weights * size,
        )  # fmt: skip
        function = self._block_function(False, N, every, gated)

        def call() -> int:
            if function(self._result_at, self._spare_at, at):
                raise RuntimeError(RAISED)
            return self._status.value

        at = c_void_p(addressof(arguments))
        return arguments, call, rows

    def _whole_call(self, arguments: Any, function: Callable[[], int], moves: Sequence[tuple[Any, Any]]) -> bool:
        """Run the code of a frame, whose state changes whole or not at all; say whether it did."""
        before = [own.copy() for own, _ in moves]
        arguments[_BEGIN] = 0  # the loop itself copies the state of one filter, and says so there
        if self._filters > 1:
            torch._foreach_copy_(self._kept, self._carried)
            arguments[_BEGIN] = loops.KEPT
        done = False
        try:
            status = function()
            if status == 0:
                for own, new in moves:
                    own[...] = new
            done = status == 0
        finally:
            if not done and arguments[_BEGIN] == loops.KEPT:
                torch._foreach_copy_(self._carried, self._kept)
                for (own, _), old in zip(moves, before, strict=True):
                    own[...] = old
        return done

    # Single samples

    def _bound_sample(self) -> Callable[[], int]:
        """Return the code for one sample, bound to its arguments; it keeps the GIL, so that threads take turns."""
        function = sample_function(self._algorithm, self.dtype.name, self._layout)
        own = self._sample_arguments = self._new_arguments(self._room)
        own[:3] = (addressof(self._io), self._skip, self._mu_at)
        native: Any = PYFUNCTYPE(c_int32, *[c_void_p] * 3)(cast(function, c_void_p).value)  # type: ignore
        return partial(native, self._result_at, self._spare_at, c_void_p(addressof(own)))

    def step(self, x: Any, d: Any) -> tuple[Any, Any]:
        """Predict and adapt; return y and e."""
        io = self._io
        self._take(loops.STEP, x, 0.0 if d is None else d)
        return (complex(io[4], io[5]), complex(io[6], io[7])) if self._complex else (io[4], io[6])

    def predict(self, x: Any, _: Any = None) -> Any:
        """Take x in and return y."""
        self._take(loops.PREDICT, x, 0.0)
        return complex(self._io[4], self._io[5]) if self._complex else self._io[4]

    def adapt(self, _: Any, e: Any) -> bool:
        """Adapt on an error."""
        self._take(loops.ADAPT, 0.0, e)
        return True

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
            io[0] = x if isinstance(x, float) else number("x", x, float)
            io[2] = d if isinstance(d, float) else number("e" if mode == loops.ADAPT else "d", d, float)
        io[8] = mode
        if self._sample is None:
            self._sample = self._bound_sample()
        if self._sample():
            raise RuntimeError(RAISED)
        status = self._status.value
        if status == loops.DIVERGED:
            raise DivergenceError(DIVERGED)
        if status:
            name, value = ("x", x) if status == loops.BAD_X else ("e" if mode == loops.ADAPT else "d", d)
            raise ValueError(f'{name} must be finite, got {value} (nonfinite="skip" passes over such samples)')


def _phases(inputs: int, taps: int, sps: int) -> tuple[int, int]:
    """Return how many rows of phases there are, and how many of them are shorter by a sample."""
    longer = taps % sps or sps
    return inputs * longer, inputs * (sps - longer)


def _some(value: Any) -> bool:
    """Say whether a number, or any entry of a tensor, is not 0."""
    return bool(value.any() if isinstance(value, Tensor) else value)


def _all(value: Any) -> bool:
    """Say whether a number, or every entry of a tensor, is not 0."""
    return bool(value.all() if isinstance(value, Tensor) else value)


def _empty_tensor(shape: Any, dtype: torch.dtype) -> Tensor:
    """Return a tensor to be written to, on the CPU whatever torch's default is."""
    return torch.empty(shape, dtype=dtype, device="cpu")


def address(array: Any) -> int:
    """Return where the data lie; the short way works where an array can be written."""
    if isinstance(array, Tensor):
        return array.data_ptr()
    return addressof(_bytes(array)) if array.flags.writeable and array.size else array.ctypes.data


def _array(value: Any) -> Any:
    """Return a block as an array that shares its memory."""
    if isinstance(value, np.ndarray):
        return value
    value = value.detach().resolve_conj().resolve_neg()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _refuse(job: Job, status: int) -> None:
    """Raise the error that a loop reports."""
    if status != loops.DIVERGED:
        for name, value in (("x", job.x), ("d", job.d)):
            check_finite(name, value)
            check_finite(name, into_precision(_array(value), job.w.dtype))
    raise DivergenceError(DIVERGED)
