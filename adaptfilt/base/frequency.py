"""Frequency-domain filters: partitions of spectra whose weights move once a hop, and outputs that wait for nothing."""

from collections.abc import Mapping
from ctypes import addressof
from functools import cached_property, partial
from math import prod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.base.parameters import ParametricFilter
from adaptfilt.checks import (
    DIVERGED,
    Block,
    DivergenceError,
    as_tensor,
    check_block,
    check_finite,
    check_same_kind,
    plain_arrays,
    plainly_fit,
    positive_int,
    zeroed,
)
from adaptfilt.engines.bins import CONSTRAINTS, SUPPLIED, Bins, Frames
from adaptfilt.engines.choose import tracked
from adaptfilt.engines.cpu import bins as cpu_bins
from adaptfilt.engines.cpu import fft
from adaptfilt.engines.cpu.bins_loops import ALWAYS, MOVED
from adaptfilt.engines.tensors import bins

ENGINES = ("auto", "compiled", "reference")
NO_STEP = 1e-30  # a step size of less is none
LARGEST = 256  # taps of a partition where none are given
SHORT, LENGTHS = 1024, 32  # samples of a block that is copied, of all filters, and lengths for which there is room


class FrequencyFilter(ParametricFilter):
    """A filter that runs `Bins` in the frequency domain: partitions of `block` taps, an update every `hop` samples.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    params : mapping of str to float or Tensor
        The algorithm's parameters, which become attributes.
    block : int >= 1, optional
        Taps a partition, B; transforms are of 2 B samples. None: the power of two from `taps` on, at most 256.
    hop : int >= 1, optional
        Samples between updates, a divisor of `block`; `block` by default. A smaller one tracks faster, and costs as
        many times more. A filter that is frozen between two updates still makes the one that is due.
    constraint : {"auto", "full", "alternate", "none"}
        Which partitions an update makes responses of B taps again: all of them; the first and one other in turn; or
        the first alone, by which `w` no longer estimates a response. "auto": full up to 4 partitions, then alternate.
    inputs, outputs : int >= 1, optional
        Axes of x, and of d, y, e and w.
    step : nn.Module, optional
        What stands in place of the algorithm's `step`: its `forward` names what it takes of ``level``, ``x2``, ``w2``
        (`adaptfilt.engines.bins`), ``e2``, the power of the errors in a bin, partition states and parameters, and
        returns m and the partition states. Runs on the reference engine.
    w0 : array or Tensor [shape broadcastable to w's], optional
        Initial weights, a response; 0 by default.
    batch, dtype, device, nonfinite, adapt_in_eval
        As for `AdaptiveFilter`.
    engine : {"auto", "compiled", "reference"}
        "compiled" on the CPU, without gradients, where rocket-fft is installed; else the reference, in torch.

    Attributes
    ----------
    w : Tensor [shape=(*batch, [outputs,] [inputs,] M)]
        Impulse responses. May be assigned.
    """

    algorithm: ClassVar[Bins]  # type: ignore[assignment]  # or Variants of it
    weights: Tensor
    spectra: Tensor
    constraint: str
    clock: Tensor  # samples since the last update, place of the newest spectrum in its ring, updates so far

    def __init__(
        self,
        taps: int,
        params: Mapping[str, Any],
        *,
        block: int | None = None,
        hop: int | None = None,
        constraint: str = "auto",
        step: nn.Module | None = None,
        w0: Block | None = None,
        **common: Any,
    ) -> None:
        for name in ("features", "sps", "secondary"):
            if name in common:
                raise TypeError(f"{type(self).__name__} works in the frequency domain: {name} cannot be given")
        taps = positive_int("taps", taps)
        block = min(1 << (taps - 1).bit_length(), LARGEST) if block is None else positive_int("block", block)
        hop = block if hop is None else positive_int("hop", hop)
        if block % hop:
            raise ValueError(f"hop must divide block, {block}, got {hop}")
        if constraint not in ("auto", *CONSTRAINTS):
            raise ValueError(f'constraint must be "auto", "full", "alternate" or "none", got {constraint!r}')
        if step is not None:
            self._check_step(step)
        self.__dict__["_sizes"] = taps, block, hop
        partitions = -(-taps // block)
        chosen = "full" if partitions <= 4 else "alternate"
        self.__dict__["constraint"] = chosen if constraint == "auto" else constraint
        super().__init__(2 * block, params, **common)
        self.step_module = step
        for name, shape in self._shapes().items():
            real = name in ("spectra", "weights", "gates")
            own = torch.int64 if name == "clock" else self.dtype.to_real() if real else self.dtype
            self.register_buffer(name, torch.zeros(shape, dtype=own, device=self.device))
        self._register_state()
        self.w0 = None if w0 is None else self._as_weights("w0", w0)
        self._restart()
        self._forget()
        self._fixed = (*self._fixed, "block", "hop", "constraint", "partitions", "bins")

    taps = property(lambda self: self._sizes[0], doc="Number of coefficients, M.")
    block = property(lambda self: self._sizes[1], doc="Taps a partition, B.")
    hop = property(lambda self: self._sizes[2], doc="Samples between updates.")
    partitions = property(lambda self: -(-self.taps // self.block), doc="Number of partitions, P.")

    @property
    def bins(self) -> int:
        """Number of bins, F."""
        return 2 * self.block if self.dtype.is_complex else self.block + 1

    # State

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all that is carried besides line and states.

        Spectra are kept as real and imaginary parts: a real filter converts as a whole.
        """
        inputs = () if self.inputs is None else (self.inputs,)
        slots = (self.partitions - 1) * (self.block // self.hop) + 1
        return {
            "weights": (*self._filters, *inputs, self.partitions, self.bins, 2),
            "spectra": (*self.batch, *inputs, slots, self.bins, 2),
            "wanted": (*self._filters, self.block),
            "gates": (*self._filters, self.block),
            "tail": (*self._filters, self.hop),
            "clock": (3,),
        }  # fmt: skip

    def _state_kinds(self) -> dict[str, tuple[bool, tuple[int, ...]]]:
        inputs = () if self.inputs is None else (self.inputs,)
        axes = {"bin": self._filters, "partition": (*self._filters, *inputs)}
        return {
            k: (True, (*axes[self.algorithm.state[k]], *self._shape(kind))) for k, kind in self.algorithm.states.items()
        }

    def _carried(self) -> dict[str, Tensor]:
        own: Any = {k: self._buffers[k] for k in self._shapes()}
        return {**own, **super()._carried()}

    def _starts(self) -> dict[str, Any]:
        first = {} if self.w0 is None else {"weights": self._as_spectra(self.w0.detach().to(self.device, self.dtype))}
        return {**first, **super()._starts()}

    def _restart(self, mask: Tensor | None = None) -> None:
        n = int(self.clock[0])
        if mask is not None and n:
            raise ValueError(f"reset(mask) comes between hops, not {n} of {self.hop} samples into one")
        keep = {} if mask is None else {"clock": self.clock.clone()}
        super()._restart(mask)
        self._commit(keep)

    @property
    def _weights(self) -> int:
        return self.taps

    def _weight_shape(self) -> tuple[int, ...]:
        return (*self._filters, *(() if self.inputs is None else (self.inputs,)), self.taps)

    @property
    def w(self) -> Tensor:  # type: ignore[override]
        """Impulse responses, (*batch, [outputs,] [inputs,] M)."""
        return bins.response(self.W, self.taps, self.dtype.is_complex)

    @property
    def W(self) -> Tensor:
        """Spectra of the partitions, (*batch, [outputs,] [inputs,] P, F): a view of the weights."""
        return torch.view_as_complex(self._buffers["weights"])  # type: ignore[arg-type]

    def _as_spectra(self, w: Tensor) -> Tensor:
        """Return responses as real and imaginary parts of their partitions' spectra."""
        return torch.view_as_real(bins.spectrum(w, self.block))

    def __setattr__(self, name: str, value: Any) -> None:
        """Check what is assigned; weights and state are copied into place."""
        if name == "w":
            with self._lock, torch.no_grad():
                w = self._as_state("w", value, self._weight_shape(), self.dtype)
                self._buffers["weights"].copy_(self._as_spectra(w))  # type: ignore[union-attr]
            self.__dict__.update(_fresh=False, _untouched=False)
            return
        if name == "w0" and value is not None and "weights" in self._buffers:
            value = self._as_weights(name, value)
        if name == "mu" and "gates" in self._buffers:  # samples of the hop that came before keep their steps
            before = _unit(self._params()["mu"])
            super().__setattr__(name, value)
            with self._lock, torch.no_grad():
                self._buffers["gates"].mul_(_over_time(before / _unit(self._params()["mu"])))  # type: ignore[union-attr]
            return
        super().__setattr__(name, value)

    def _check_engine(self, engine: Any) -> None:
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")

    def _check_step(self, step: Any) -> None:
        """Refuse a step that is no module, or asks for what there is none of."""
        if not isinstance(step, nn.Module):
            raise TypeError(f"step must be a torch module, got {step!r}")
        given = (*SUPPLIED["step"], "e2", *self.algorithm.of("partition"), *self._param_names)
        unknown = [k for k in bins.asked(step) if k not in given]
        if unknown:
            raise ValueError(f"step takes {unknown[0]}, which there is not: there are {', '.join(given)}")

    def _can_be_brief(self) -> bool:
        learned = self.w0 is not None and (self.w0.requires_grad or tracked(self.w0))
        compiles = self.step_module is None and fft.library() is not None
        return super()._can_be_brief() and compiles and not learned

    def _forget(self) -> None:
        super()._forget()
        self.__dict__["_alone"] = False

    def _signals(self) -> list[Tensor]:
        own: list[Any] = [self._buffers[k] for k in ("wanted", "tail") if k in self._buffers]
        return [self.line.samples, *own, *([] if getattr(self, "w0", None) is None else [self.w0])]

    # A block

    def _check(self, x: Any, d: Any, mu: Any, record_every: Any, regressors: bool, path: Any) -> Any:
        name = type(self).__name__
        if regressors or path is not None:
            raise TypeError(f"{name} works in frames: {'regressors' if regressors else 'path'} cannot be given")
        if d is None:
            raise TypeError(f"{name} needs d, the desired signal")
        self._follow_block(x, 1 if self.inputs is None else 2)
        check_block("x", x, self.line.samples, (*self._axes("x"), None))
        check_block("d", d, self.line.samples, (*self._filters, None))
        check_same_kind(x, d)
        if x.shape[-1] != d.shape[-1]:
            raise ValueError(f"x and d must have the same length, got {x.shape[-1]} and {d.shape[-1]} samples")
        steps = None if mu is None else self._step_sizes(mu, tuple(d.shape))
        every = 0 if record_every is None else min(positive_int("record_every", record_every), d.shape[-1] + 1)
        job = self._frames(x, d, steps)
        job.every = every
        return job

    def _check_input(self, x: Any) -> Frames:
        self._follow_block(x, 1 if self.inputs is None else 2)
        check_block("x", x, self.line.samples, (*self._axes("x"), None))
        like: Any = np.zeros if isinstance(x, np.ndarray) else x.new_zeros
        return self._frames(x, like((*self._filters, x.shape[-1]), dtype=x.dtype), 0.0)

    def _frames(self, x: Any, d: Any, steps: Any) -> Frames:
        """Return a block whose samples are finite or have no weight."""
        gate = steps
        if steps is not None and not isinstance(steps, Tensor):
            gate = torch.tensor(steps, dtype=torch.float64, device="cpu")
        B = torch.Size(self.batch).numel()
        Q, C, T = self.outputs or 1, self.inputs or 1, x.shape[-1]
        own_x, own_d = as_tensor(x, self.dtype, self.device), as_tensor(d, self.dtype, self.device)
        passed, moves = None, {}
        if self._skips:
            good = torch.isfinite(own_x) if self.inputs is None else torch.isfinite(own_x).all(-2)
            if T:
                moves["passed_over"] = ~good[..., -1]
            passed = ~((good if self.outputs is None else good.unsqueeze(-2)) & torch.isfinite(own_d))
            gate = (~passed).to(self.dtype.to_real()) * (1.0 if gate is None else gate.to(self.device))
            own_x, own_d = zeroed(own_x), zeroed(own_d)
        for name, value in (("x", own_x), ("d", own_d)):
            check_finite(name, value)
        if gate is not None:
            gate = gate.to(self.device, self.dtype.to_real()).expand(*self._filters, T).reshape(B, Q, T)
        buffers: Any = self._buffers
        n, place, turn = self.clock.tolist()
        params = {k: self._flat(v, B, Q) for k, v in self._params().items()}
        gradient = tracked(own_x, own_d, gate, self._start_spectra(), *params.values())
        if "mu" in params:
            moving = torch.as_tensor(params["mu"] > NO_STEP, device=self.device)
            params["mu"] = unit = _unit(params["mu"])
            if steps is not None:
                gate = gate / _over_time(unit)
            elif not moving.all():
                gate = moving.expand(B, Q).unsqueeze(-1) * (own_d.real.new_ones(B, Q, T) if gate is None else gate)
        states = {k: v.reshape(B, Q, *(() if self.algorithm.state[k] == "bin" else (C, self.partitions)), self.bins)
                  for k, v in ((k, buffers[k]) for k in self.algorithm.state)}  # fmt: skip
        job = Frames(
            self.algorithm, own_x.reshape(B, C, T), own_d.reshape(B, Q, T), gate,
            self._start_spectra().reshape(B, Q, C, self.partitions, self.bins),
            torch.view_as_complex(self.spectra).reshape(B, C, -1, self.bins),
            self.line.samples.reshape(B, C, 2 * self.block),
            buffers["wanted"].reshape(B, Q, self.block), buffers["gates"].reshape(B, Q, self.block),
            buffers["tail"].reshape(B, Q, self.hop), n, place, turn,
            states, params, self.taps, self.block, self.hop, 0, self.constraint, True,
            gradient or (self.step_module is not None and torch.is_grad_enabled()), self.step_module, passed, moves,
        )  # fmt: skip
        if job.gradient:  # a graph outlives the filter's state
            job.W, job.spectra, job.frame, job.wanted, job.gates, job.tail = (
                v.clone() for v in (job.W, job.spectra, job.frame, job.wanted, job.gates, job.tail)
            )
            job.states = {k: v.clone() for k, v in job.states.items()}
        return job

    def _flat(self, value: Any, B: int, Q: int) -> Any:
        """Return a parameter as a number, or (B, Q)."""
        if not isinstance(value, Tensor):
            return value
        return value.to(self.device, self.dtype.to_real()).expand(self._filters).reshape(B, Q)

    def _start_spectra(self) -> Tensor:
        """Return the weights to start from: those of w0 itself where it is to be learned and nothing has moved them."""
        if self._fresh and self.w0 is not None and tracked(self.w0):
            return bins.spectrum(self.w0.to(self.device, self.dtype).expand(self._weight_shape()), self.block)
        return self.W

    def _adapt(self, job: Frames) -> tuple[Any, Any, Any]:
        fresh = job.gate is not None and not bool(job.gate.any()) and self._fresh
        if self._compiled(job):
            workspace = self._workspace(job)
            workspace.set_parameters(job.params)
            x, d = (v.resolve_conj().resolve_neg().contiguous() for v in (job.x, job.d))
            gate = None if job.gate is None else job.gate.contiguous()
            y, e, w, rows = workspace.run(x, d, gate, job.every, job.settle)
            self._commit(job.moves)
        else:
            with torch.set_grad_enabled(job.gradient), torch.autocast(self.device.type, enabled=False):
                y, e, w, rows, carried = bins.run(job)
            self._take_over({**carried, **job.moves})
        self.__dict__.update(_fresh=fresh, _untouched=False)
        shape, T = self._weight_shape(), job.x.shape[-1]
        w = w.reshape(shape)
        if job.every:
            w = torch.stack([row.reshape(shape) for row in rows], -2) if len(rows) else w.unsqueeze(-2)[..., :0, :]
        e = e if job.passed is None else torch.where(job.passed.reshape(e.shape), torch.nan, e)
        return y.reshape(*self._filters, T), e.reshape(*self._filters, T), w

    def _compiled(self, job: Frames) -> bool:
        """Say whether the compiled engine runs a block."""
        able = job.W.is_cpu and not job.gradient and job.step is None and fft.library() is not None
        if self.engine == "compiled" and not able:
            raise ValueError('engine="compiled" runs on the CPU, without gradients, with rocket-fft: use "auto"')
        return able and self.engine != "reference"

    def _workspace(self, job: Frames | None = None) -> "Workspace":  # type: ignore[override]
        """Return a workspace for the state where it lies."""
        buffers: Any = self._buffers
        places = [self._modules["line"]._buffers["samples"].data_ptr()]  # type: ignore[union-attr]
        for name in self._places:
            places.append(buffers[name].data_ptr())
        free = self._free
        if not free or free[0].where != places:
            new = job or self._check_input(self._nothing())
            free[:] = [Workspace(new, self.clock, self._weight_shape(), places)]
        return free[0]

    @cached_property
    def _places(self) -> tuple[str, ...]:
        """Names of the buffers that compiled code works on, besides the line."""
        return ("weights", "spectra", "wanted", "gates", "tail", *self.algorithm.state, "clock")

    def _nothing(self) -> Tensor:
        """Return an empty block of x."""
        return self.line.samples[..., :0]

    def _frame(self, x: Any, d: Any, mu: Any, record_every: Any) -> Any:
        """Adapt over a block of plain signals at speed and return y, e, w; None where `_check` has to look at it."""
        own = self.__dict__
        frozen = type(mu) is float and mu == 0
        if not own["_brief"] or record_every is not None or not (mu is None or frozen):
            return None
        held = frozen or not (own["training"] or own["adapt_in_eval"])
        params, workspace = self._params(), self._workspace()
        if params is not own["_given"] or params.get("mu", 1.0) <= NO_STEP:  # a tensor is among them; no step
            return None
        if workspace.params is not params:
            workspace.set_parameters(params)
        signals: Any = (x, d) if type(x) is type(d) is np.ndarray and x.dtype == d.dtype == workspace.dtype else None
        if signals is None or x.shape != d.shape or not x.ndim or x.shape[:-1] != own["batch"]:  # nearly never
            like = self._samples()
            signals = plain_arrays(x, d, like) if plainly_fit(x, d, like, self.batch) else None
        out = None if signals is None else workspace.plain(signals[0], signals[1], held)
        if out is None:
            return None
        own["_fresh"], own["_untouched"] = own["_fresh"] and held, False
        return out if type(x) is np.ndarray else tuple(map(torch.from_numpy, out))

    def _take_over(self, carried: Mapping[str, Any]) -> None:
        """Take over the state after a block, if it is finite."""
        tensors = dict(carried)
        if not all(bool(torch.isfinite(tensors[k]).all()) for k in ("W", *self.algorithm.state)):
            raise DivergenceError(DIVERGED)
        tensors["line"], tensors["weights"] = tensors.pop("frame"), torch.view_as_real(tensors.pop("W"))
        tensors["spectra"] = torch.view_as_real(tensors["spectra"])
        self._commit(tensors)

    def _hold(self, job: Frames) -> tuple[Any, Any, Any]:
        job.gate = torch.zeros_like(job.d.real)
        return self._adapt(job)

    def _filter(self, job: Frames) -> Any:
        return self._adapt(job)[0]

    def predict(self, x: Any) -> Any:
        """Take one sample in and return the output; `adapt` then takes the error.

        Parameters
        ----------
        x : float or complex; where a block has other axes than time, an array or tensor of their shape

        Returns
        -------
        float or complex; else an array or tensor, as x
        """
        with self._lock, torch.no_grad():
            sample = self._sample("x", x)
            job = self._check_input(sample)
            job.settle = False  # `adapt` may still say what the error is
            y = self._adapt(job)[0]
            self._buffers["wanted"][..., -1] = y[..., -1]  # type: ignore[index]
        return self._single(y.numpy() if isinstance(sample, np.ndarray) else y)

    def _adapt_on(self, e: Any) -> None:
        check_block("e", e, self.line.samples, (*self._filters, 1))
        error = as_tensor(e, self.dtype, self.device)
        good = torch.ones(self._filters, dtype=torch.bool, device=self.device)
        if self._skips:
            passed = self.passed_over if self.outputs is None else self.passed_over.unsqueeze(-1)
            good = torch.isfinite(error[..., 0]) & ~passed
            error = zeroed(error)
        else:
            check_finite("e", error)
        wanted, gates = self._buffers["wanted"], self._buffers["gates"]
        with torch.no_grad():
            wanted[..., -1] += error[..., 0] * good  # type: ignore[index]  # which `predict` left at y
            mu = torch.as_tensor(self._params().get("mu", 1.0), device=self.device)
            gates[..., -1] = good & (mu > NO_STEP)  # type: ignore[index]
        nothing = self._nothing()
        self._adapt(self._frames(nothing, nothing.real.new_zeros((*self._filters, 0)), None))


def _unit(mu: Any) -> Any:
    """Return the step of which gates are multiples: `mu`, and 1 where that is none."""
    if isinstance(mu, Tensor):
        return torch.where(mu > NO_STEP, mu, 1)
    return mu if mu > NO_STEP else 1.0


def _over_time(value: Any) -> Any:
    """Return a number, or one a filter with an axis for time."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value


class Workspace(cpu_bins.Workspace):
    """A workspace that keeps room for the signals of short blocks: to copy those is cheaper than to find their address.

    Parameters
    ----------
    job, clock, shape
        As for `adaptfilt.engines.cpu.bins.Workspace`.
    where : list of int
        Addresses of the line and the buffers, for which it holds.
    """

    def __init__(self, job: Frames, clock: Tensor, shape: tuple[int, ...], where: list[int]) -> None:
        super().__init__(job, clock, shape)
        self.where = where
        self._short: dict[tuple[tuple[int, ...], bool], Any] = {}
        self._gates: list[Tensor] = []  # to which addresses point

    def plain(self, x: Any, d: Any, held: bool) -> Any:
        """Adapt, or filter only, over a block of arrays, (*batch, T); return y, e and w, or None, as `run` does."""
        short = self._short.get((x.shape, held)) or self._new_short(x.shape, held)
        if short is None or x.dtype != self.dtype or d.dtype != self.dtype:
            x, d = self.own(x), self.own(d)
        if short is None:
            out = self.run(x, d, self._gate(x.shape) if held else None)
            return out and out[:3]
        own_x, own_d, y, e, arguments, call = short
        own_x[...] = x
        own_d[...] = d
        weights, clock = self.carried["W"], self._clock
        arguments[cpu_bins._RESPOND] = MOVED if self._seen == (weights._version, clock[2]) else ALWAYS
        if call():
            if clock[0] + x.shape[-1] >= self._hop:
                torch._foreach_copy_([*self.carried.values()], self._kept)
            raise RuntimeError(cpu_bins.RAISED)
        if self._status.value:  # nothing has changed: `run` then says why, or `_check`
            self.run(self.own(x), self.own(d), self._gate(x.shape) if held else None)
            return None
        self._seen = weights._version, clock[2]
        return y.copy(), e.copy(), self._w.copy()

    def _gate(self, shape: tuple[int, ...]) -> Tensor:
        """Return weights of the errors by which nothing adapts."""
        return torch.zeros(shape, dtype=self._one.dtype, device="cpu")

    def _new_short(self, shape: tuple[int, ...], held: bool) -> Any:
        """Return rooms for x, d, y and e, a call's numbers, and the code bound to them; None for other blocks."""
        if not 0 < prod(shape) <= SHORT or len(self._short) == LENGTHS:
            return None
        signals = [np.empty(shape, self.dtype) for _ in range(4)]
        gate = self._gate(shape) if held else self._one
        arguments = type(self._arguments)(*self._arguments)
        arguments[cpu_bins._SAMPLES : cpu_bins._RESPOND] = shape[-1], 0, held, 1, self._constraint
        for at, signal in zip(self._signals_at, (*signals, gate.numpy()), strict=False):
            arguments[at] = signal.ctypes.data
        arguments[-2:] = shape[-1] if held else 1, 0  # weights of the errors, and rows of the record
        places = (addressof(v) for v in (self._status, self._spare, arguments))
        call: Any = partial(self._function, *places)
        self._short[shape, held] = new = *signals, arguments, call
        self._gates.append(gate)
        return new
