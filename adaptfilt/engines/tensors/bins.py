"""Frequency-domain filters in torch: the definition, on any device, in batches, differentiable.

Within a hop the weights stand still. A whole hop is filtered by overlap-save; of part of one, the first partition is
convolved directly and all others come from one inverse transform at its start, so that no output waits for a frame.
"""

import inspect
from typing import Any, NamedTuple

import torch
from torch import Tensor

from adaptfilt.engines.algorithm import names
from adaptfilt.engines.bins import Frames, constrained
from adaptfilt.engines.words import abs2
from adaptfilt.taps import windows


class Found(NamedTuple):
    """What an engine returns, and the state after the block, in the shapes of `Frames`."""

    y: Tensor
    e: Tensor
    w: Tensor  # (B, Q, C, M)
    record: list[Tensor]
    carried: dict[str, Any]


def run(job: Frames) -> Found:
    """Adapt over a block."""
    stream = Stream(job)
    y, record, T, t = [], [], job.x.shape[-1], 0
    gate = torch.ones_like(job.d.real) if job.gate is None else job.gate
    stream.settle()
    while t < T:
        k = min(job.hop - stream.n, T - t)
        x, d, g = (v[..., t : t + k] for v in (job.x, job.d, gate))
        first = t + k if not job.every else (t // job.every + 1) * job.every
        before = [stream.response()] if first < t + k else []
        y.append(stream.take(x, d, g))
        t += k
        if t < T or job.settle:
            stream.settle()
        for at in range(first, t + 1, job.every or 1) if job.every else ():
            record.append(stream.response() if at == t else before[0])
    outputs = torch.cat(y, -1) if y else job.d[..., :0]
    return Found(outputs, job.d - outputs, stream.response(), record, stream.carried())


class Stream:
    """The state of a stream as a block moves it; tensors are never changed in place, for a graph may hold them."""

    def __init__(self, job: Frames) -> None:
        self.job, self.B, self.N = job, job.block, 2 * job.block
        self.W, self.frame, self.wanted, self.gates, self.tail = job.W, job.frame, job.wanted, job.gates, job.tail
        slots = job.spectra.shape[-2]
        self.spectra = [job.spectra[..., (job.place + i) % slots, :] for i in range(slots)]  # the newest first
        self.n, self.place, self.turn, self.states = job.n, job.place, job.turn, dict(job.states)
        self.stride = job.block // job.hop
        self.partitions = job.W.shape[-2]
        self.output: Tensor | None = None  # of the newest frame, where it is known
        rest = job.taps - (self.partitions - 1) * job.block
        self.lengths = [job.block] * (self.partitions - 1) + [rest]

    def take(self, x: Tensor, d: Tensor, gate: Tensor) -> Tensor:
        """Take in a hop or a part of it and return its outputs."""
        k, whole = x.shape[-1], x.shape[-1] == self.job.hop
        y = None if whole else self._outputs_of_part(x)
        self.frame = torch.cat([self.frame, x], -1)[..., -self.N :]
        self.wanted = torch.cat([self.wanted, d], -1)[..., -self.B :]
        self.gates = torch.cat([self.gates, gate], -1)[..., -self.B :]
        self.n += k
        if self.n == self.job.hop:
            self.spectra = [self._forward(self.frame), *self.spectra][: len(self.spectra)]
            self.place = (self.place - 1) % len(self.spectra)
        self.output = self._frame_output() if y is None else None
        return self.output[..., -k:] if y is None else y  # type: ignore[index]

    def _outputs_of_part(self, x: Tensor) -> Tensor:
        """Return the outputs of samples that do not make a hop, (B, Q, k)."""
        if self.n == 0:
            self.tail = self._backward(self._output(self.W[..., 1:, :], self._partitions(1)))[..., -self.job.hop :]
        stream = torch.cat([self.frame[..., self.N - self.B + 1 :], x], -1)
        head = self._backward(self.W[..., 0, :])[..., : self.B]  # (B, Q, C, block)
        return (
            torch.einsum("bcnk,bqck->bqn", windows(stream, self.B), head) + self.tail[..., self.n :][..., : x.shape[-1]]
        )

    def settle(self) -> None:
        """Adapt where a hop is complete."""
        if self.n == self.job.hop:
            self.n = 0
            self.turn += 1
            if bool(self.gates[..., -self.job.hop :].any()):
                self._adapt()

    def _adapt(self) -> None:
        """Take a step along the errors of the newest frame."""
        job, X = self.job, self._partitions(0).unsqueeze(1)  # (B, 1, C, P, F)
        y = self._frame_output() if self.output is None else self.output
        e = (self.wanted - y) * self.gates
        E = self._forward(torch.cat([torch.zeros_like(e), e], -1))
        share = self.B / (self.gates**2).sum(-1, keepdim=True).clamp_min(torch.finfo(e.real.dtype).tiny)
        wide = {k: v[..., None, None, None] if isinstance(v, Tensor) else v for k, v in job.params.items()}
        flat = {k: v[..., None] if isinstance(v, Tensor) else v for k, v in job.params.items()}
        x2, e2 = abs2(X), abs2(E) * share
        partition, level_of = {**self.states, **wide}, job.algorithm.level
        spread = job.algorithm.spread
        total = (_call(spread, {"x2": x2, **partition}) if spread else x2).sum((-3, -2))
        values = {"total": total, "x2": x2.sum((-3, -2)), "e2": e2, **self.states, **flat}
        level, *bins = _tuple(_call(level_of, values))
        values = {"level": level[..., None, None, :], "x2": x2, "w2": abs2(self.W), **partition}
        values["e2"] = e2[..., None, None, :]  # which a module may ask for
        m, *partitions = _tuple(_call(job.step or job.algorithm.step, values))
        shrink = (
            wide.get("mu", 1.0) * wide.get("leak", 0.0) * self.gates[..., -job.hop :].mean(-1)[..., None, None, None]
        )
        W = (1 - shrink) * self.W + m * X.conj() * E[..., None, None, :]
        heard = (total > 0).any(-1)  # silence leaves the weights alone, to the bit
        alive = self.gates[..., -job.hop :].any(-1) & (torch.as_tensor(job.params.get("mu", 1.0), device=e.device) != 0)
        names_ = (*job.algorithm.of("bin"), *job.algorithm.of("partition"))
        for name, new in zip(names_, (*bins, *partitions), strict=True):
            own = self.states[name]
            self.states[name] = torch.where(over(alive, own), new.expand_as(own), own)
        self.W = torch.where(over(alive & heard, W), self._constrained(W), self.W)

    def _constrained(self, W: Tensor) -> Tensor:
        """Return weights of which some partitions are made responses of their length again."""
        chosen = constrained(self.job.constraint, self.partitions, self.turn - 1)
        parts = [self._as_response(W[..., p, :], self.lengths[p]) if p in chosen else W[..., p, :]
                 for p in range(self.partitions)] if len(chosen) < self.partitions else []  # fmt: skip
        if parts:
            return torch.stack(parts, -2)
        w = self._backward(W)
        keep = torch.arange(self.N, device=w.device) < torch.tensor(self.lengths, device=w.device)[:, None]
        return self._forward(w * keep)

    def _as_response(self, W: Tensor, length: int) -> Tensor:
        w = self._backward(W)[..., :length]
        return self._forward(torch.nn.functional.pad(w, (0, self.N - length)))

    def _frame_output(self) -> Tensor:
        """Return the outputs of the newest frame by the weights as they are, (B, Q, block)."""
        return self._backward(self._output(self.W, self._partitions(0)))[..., self.B :]

    def _partitions(self, first: int) -> Tensor:
        """Return the spectra of partitions from the first on, at the end of the hop that is complete.

        From partition 1 on they are those of the hop that begins: its partitions see the frames of a hop later.
        """
        if first == self.partitions:
            return self.spectra[0].unsqueeze(-2)[..., :0, :]
        return torch.stack([self.spectra[p * self.stride - first] for p in range(first, self.partitions)], -2)

    def _output(self, W: Tensor, X: Tensor) -> Tensor:
        return (W * X.unsqueeze(1)).sum((-3, -2))

    def _forward(self, v: Tensor) -> Tensor:
        return torch.fft.fft(v) if v.is_complex() else torch.fft.rfft(v)

    def _backward(self, V: Tensor) -> Tensor:
        return torch.fft.ifft(V) if self.frame.is_complex() else torch.fft.irfft(V, self.N)

    def response(self) -> Tensor:
        """Return the weights as impulse responses, (B, Q, C, M)."""
        return response(self.W, self.job.taps, self.frame.is_complex())

    def carried(self) -> dict[str, Any]:
        """Return the state."""
        return {
            "W": self.W, "spectra": torch.stack(self.spectra, -2).roll(self.place, -2), "frame": self.frame,
            "wanted": self.wanted,
            "gates": self.gates, "tail": self.tail,
            "clock": torch.tensor([self.n, self.place, self.turn], device=self.W.device), **self.states,
        }  # fmt: skip


def response(W: Tensor, taps: int, is_complex: bool) -> Tensor:
    """Return partitions' spectra, (..., P, F), as one impulse response, (..., M)."""
    w = torch.fft.ifft(W) if is_complex else torch.fft.irfft(W, 2 * (W.shape[-1] - 1))
    return w[..., : w.shape[-1] // 2].flatten(-2)[..., :taps]


def spectrum(w: Tensor, block: int) -> Tensor:
    """Return an impulse response, (..., M), as partitions' spectra, (..., P, F)."""
    partitions = -(-w.shape[-1] // block)
    w = torch.nn.functional.pad(w, (0, partitions * block - w.shape[-1])).unflatten(-1, (partitions, block))
    w = torch.nn.functional.pad(w, (0, block))
    return torch.fft.fft(w) if w.is_complex() else torch.fft.rfft(w)


def asked(module: torch.nn.Module) -> tuple[str, ...]:
    """Return the names of what a module takes."""
    return tuple(inspect.signature(module.forward).parameters)


def _call(function: Any, values: dict[str, Any]) -> Any:
    """Call a function, or a module, taking its arguments by name."""
    given = asked(function) if isinstance(function, torch.nn.Module) else names(function)
    return function(*(values[k] for k in given))


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def over(mask: Tensor, like: Tensor) -> Tensor:
    """Return a mask of filters or streams with axes of one behind, as a tensor of their state has."""
    return mask.reshape(mask.shape + (1,) * (like.ndim - mask.ndim))
