"""Blocks for the engines that work on tensors: cut in parts that bound the memory when no gradient is wanted."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.checks import DIVERGED, NUMPY, DivergenceError, as_tensor, check_finite
from adaptfilt.engines.algorithm import Job, Result, names
from adaptfilt.engines.tensors import reference
from adaptfilt.engines.words import dot
from adaptfilt.taps import windows

CHUNK = 4096  # outputs at a time


def run(job: Job, engine: str) -> Result:
    """Adapt over a block with the engine "reference", "block" or "triton"; `torch.autocast` reaches only `features`.

    Raises
    ------
    ValueError
        If x or d is not finite (and such samples are not to be skipped).
    DivergenceError
        If the weights or the state become infinite.
    """
    if job.algorithm.recursion:
        return _run_recursion(job)
    device, B, Q = job.w.device, *counts(job)
    x, d = _signals(job, B, Q)
    params = _parameters(job, B, Q)
    line = job.line.reshape(B, job.inputs, -1)
    stream = x.unsqueeze(1) if job.rows else torch.cat([line[..., 1:], x], -1)
    second, signals = _direction(job, x, B)
    carried = _carried(job, B, Q)
    N, whole = d.shape[-1], job.gradient or (engine != "reference" and _streams(job))
    length = max(N, 1) if whole else CHUNK
    length = max(length // job.every, 1) * job.every if job.every and not whole else length
    parts = []
    with nullcontext() if job.gradient else torch.no_grad():
        for first in range(0, N, length):
            last = min(first + length, N)
            now = {k: v[..., first:last] if v.ndim and v.shape[-1] > 1 else v for k, v in params.items()}
            u, v = part(job, stream, first, last, engine), part(job, second, first, last, engine)
            with torch.autocast(device.type, enabled=False):
                y, e, carried, record = _ENGINES[engine](job, u, v, d[..., first:last], carried, now)
            parts.append((y, e, record))
    if not all(torch.isfinite(t).all() for k, t in carried.items() if k == "w" or k in job.state):
        raise DivergenceError(DIVERGED)
    w = carried["w"]
    ys, es, records = zip(*(parts or [(d[..., :0], d[..., :0], w.unsqueeze(-2)[..., :0, :])]), strict=True)
    if not job.rows:
        carried["line"] = _newest(line, x)
        carried |= signals
    return Result(_join(ys, -1), _join(es, -1), w, _join(records, -2) if job.every else None, carried)


def _run_recursion(job: Job) -> Result:
    """Adapt over a block with a recursion, uncompiled: filter by filter, on NumPy arrays.

    Raises
    ------
    ValueError, DivergenceError
        As `run`.
    """
    x, d = _signals(job, B := counts(job)[0], 1)
    state = {k: v.detach().reshape(B, *v.shape[len(job.batch) :]).clone() for k, v in job.state.items()}
    params = _parameters(job, B, 1)
    mu = params.get("mu", torch.ones((), dtype=job.w.dtype.to_real(), device=job.w.device)).expand(B, 1, d.shape[-1])
    with np.errstate(all="ignore"):  # as in compiled code: what is not finite shows in the state
        runs = [
            reference.recurse(job, x[b, 0].numpy(), d[b, 0].numpy(), mu[b, 0].numpy(), _of(job, state, params, b))
            for b in range(B)
        ]
    y, e, w, record = (torch.from_numpy(np.stack(parts)).unsqueeze(1) for parts in zip(*runs, strict=True))
    if not all(torch.isfinite(v).all() for v in state.values()):
        raise DivergenceError(DIVERGED)
    return Result(
        y, e, w, record if job.every else None, {**state, "w": w, "line": _newest(job.line.reshape(B, 1, -1), x)}
    )


def _of(job: Job, state: dict[str, Tensor], params: dict[str, Tensor], b: int) -> dict[str, Any]:
    """Return states, parameters and scratch of one filter for a recursion; a scalar state is an array of one."""
    kinds = job.algorithm.scratch_kinds
    real, own = NUMPY[job.w.dtype.to_real()], NUMPY[job.w.dtype]
    return {
        **{k: np.atleast_1d(v.numpy()[b]) if v.ndim > 1 else v.numpy()[b : b + 1] for k, v in state.items()},
        **{k: (v[b, 0, 0] if v.ndim else v).item() for k, v in params.items() if v.numel()},  # of no sample, no mu
        **{k: v.numpy() for k, v in job.vectors.items()},
        **{k: np.empty(shape, real if kinds[k].real else own) for k, shape in job.scratch.items()},
        "out": np.empty(job.w.shape[-1], own),
    }


def counts(job: Job) -> tuple[int, int]:
    """Return how many streams there are, and outputs of each."""
    streams = torch.Size(job.batch).numel()
    return streams, torch.Size(job.filters).numel() // streams


def _signals(job: Job, B: int, Q: int) -> tuple[Tensor, Tensor]:
    """Return x, (B, C, T) or rows (B, N, F), and d, (B, Q, N), after their check."""
    dtype, device = job.w.dtype, job.w.device
    x, d = as_tensor(job.x, dtype, device), as_tensor(job.d, dtype, device)
    if not job.skip:
        check_finite("x", x)
        if not job.algorithm.unknown:
            check_finite("d", d)
    x = x.reshape(B, *x.shape[-2:]) if job.rows else x.reshape(B, job.inputs, x.shape[-1])
    return x, d.reshape(B, -1, d.shape[-1]) if d.numel() else d.reshape(B, Q, 0)


def _direction(job: Job, x: Tensor, B: int) -> tuple[Tensor | None, dict[str, Tensor]]:
    """Return [past, block] of what updates are made of, (B, L, Q C, T + M - 1), or its rows, and the signals after."""
    if job.direction is not None:
        return job.direction, {}
    if job.secondary is None:
        return None, {}
    (L, Q, S), C = job.secondary.shape, job.inputs
    past, reference = job.signals["direction"], job.signals["reference"].reshape(B, C, -1)
    past, stream = past.reshape(B, L, Q * C, -1), torch.cat([reference, x], -1)
    u = windows(stream[..., 1:], S)
    v = torch.stack([dot(u, response).squeeze(-1) for response in job.secondary.flatten(0, 1)], 1)  # (B, L Q, C, T)
    whole = torch.cat([past, v.reshape(B, L, Q * C, -1)], -1)
    after = {"direction": whole[..., -past.shape[-1] :].detach(), "reference": stream[..., -S:].detach()}
    return (whole[..., 1:] if L * Q > 1 else whole[:, 0, :, 1:]), after


def _parameters(job: Job, B: int, Q: int) -> dict[str, Tensor]:
    """Return the parameters as tensors, (B, Q, 1) or (B, Q, N) where they are not one number for all."""
    dtype, device = job.w.dtype.to_real(), job.w.device

    def a_filter(value: Any, axes: tuple[int, ...]) -> Tensor:
        tensor = torch.as_tensor(value, dtype=dtype, device=device)
        if not tensor.ndim:
            return tensor
        return tensor.expand(*job.filters, *axes).reshape(B, Q, -1)

    params = {k: a_filter(v, ()) for k, v in job.params.items()}
    if job.mu is not None:
        mu = torch.as_tensor(job.mu)
        params["mu"] = a_filter(job.mu, (mu.shape[-1],) if mu.ndim else ())
    return params


def _carried(job: Job, B: int, Q: int) -> dict[str, Tensor]:
    """Return copies of all that the filter carries, (B, Q, ...): a graph outlives the filter's state."""
    found = {
        "w": job.w.reshape(B, Q, -1),
        **{k: v.reshape(B, -1, v.shape[-1]) for k, v in job.signals.items() if k not in ("direction", "reference")},
    }
    found |= {k: v.reshape(B, Q, *v.shape[len(job.filters) :]) for k, v in job.state.items()}
    return {k: v.clone() for k, v in found.items()}


def _streams(job: Job) -> bool:
    """Say whether an engine gets the stream itself: it bounds its memory on its own."""
    return job.features is None and job.inputs == 1 and job.sps == 1


def part(job: Job, stream: Tensor | None, first: int, last: int, engine: str) -> Any:
    """Return the outputs' regressors, (B, 1 or L, N, F), or their part of the stream where the engine takes that."""
    if stream is None:
        return None
    if job.rows:
        return stream[..., first:last, :]
    M = job.line.shape[-1]
    start, stop = job.offset + first * job.sps, job.offset + (last - 1) * job.sps + M
    if engine != "reference" and _streams(job):
        return stream[..., start:stop]
    u = windows(stream[..., start:stop], M)[..., :: job.sps, :].transpose(-3, -2)  # (B, N, C, M)
    if job.features is None:
        return u.flatten(-2) if u.ndim > 4 else u.flatten(-2).unsqueeze(1)
    own = u if job.line.ndim == len(job.batch) + 2 else u.squeeze(-2)
    return job.features(own).to(job.w.dtype).unsqueeze(1)


def _newest(line: Tensor, x: Tensor) -> Tensor:
    """Return the newest samples after x."""
    return torch.cat([line, x], -1)[..., -line.shape[-1] :].detach()


def _join(parts: tuple[Tensor, ...], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _block(job: Job, x: Any, v: Any, d: Tensor, carried: dict[str, Tensor], params: dict[str, Tensor]) -> Any:
    from adaptfilt.engines.tensors import block

    leak = params.pop("leak", 0.0)
    gain = job.algorithm.gain
    assert gain is not None

    if {"y", "d"} & {*names(gain)}:
        params["d"] = d.nan_to_num()

    def called(e: Tensor, energy: Tensor, **values: Tensor) -> Tensor:
        more = {"y": values["d"] - e} if "d" in values else {}
        return job.algorithm.call("gain", {"e": e, "energy": energy, **values, **more})

    wide = [None if t is None else t.expand(*d.shape[:2], *t.shape[2:]) for t in (x, v)]
    y, e, w, record = block.run(
        called,
        wide[0],  # type: ignore[arg-type]
        d,
        carried["w"],
        params,
        leak=leak,
        linear=job.algorithm.linear,
        rows=not (_streams(job) and not job.rows),
        record_every=job.every or None,
        direction=wide[1],
    )
    return y, e, {**carried, "w": w}, record


def _triton(job: Job, x: Any, v: Any, d: Tensor, carried: dict[str, Tensor], params: dict[str, Tensor]) -> Any:
    from adaptfilt.engines.gpu import triton_kernel

    leak = params.pop("leak", 0.0)
    gain = job.algorithm.gain
    assert gain is not None
    y, e, w = triton_kernel.run(gain, x.expand(*d.shape[:2], -1), d, carried["w"], params, leak=leak)
    return y, e, {**carried, "w": w}, None


_ENGINES = {"reference": reference.run, "block": _block, "triton": _triton}
