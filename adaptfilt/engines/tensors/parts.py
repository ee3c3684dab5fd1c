"""Blocks for the engines that work on tensors: cut in parts that bound the memory when no gradient is wanted."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from adaptfilt.checks import DivergenceError, admit, as_tensor
from adaptfilt.engines.algorithm import Job, Result
from adaptfilt.engines.tensors import reference
from adaptfilt.taps import windows

CHUNK = 4096  # samples at a time


def run(job: Job, engine: str) -> Result:
    """Adapt over a block with the engine "reference", "block" or "triton"; `torch.autocast` reaches only `features`.

    Raises
    ------
    ValueError
        If x or d is not finite (and such samples are not to be skipped).
    DivergenceError
        If the weights or the state become infinite.
    """
    dtype, device = job.w.dtype, job.w.device
    x, d = as_tensor(job.x, dtype, device), as_tensor(job.d, dtype, device)
    x, d = admit(x, d, job.skip)
    params = {k: _param(v, dtype.to_real(), device) for k, v in job.params.items()}
    if job.mu is not None:
        params["mu"] = torch.as_tensor(job.mu, dtype=dtype.to_real(), device=device)
    stream = x if job.rows else torch.cat([job.samples[..., 1:], x], -1)
    T, M = d.shape[-1], job.samples.shape[-1]
    bounded = engine != "reference" and job.features is None  # on the stream, engines bound their memory themselves
    whole = job.gradient or bounded
    length = max(T, 1) if whole else CHUNK
    length = max(length // job.every, 1) * job.every if job.every and not whole else length
    w, state = job.w.clone(), {k: v.clone() for k, v in job.state.items()}  # the graph outlives the filter's state
    parts = []
    with nullcontext() if job.gradient else torch.no_grad():
        for start in range(0, T, length):
            stop = min(start + length, T)
            piece = stream[..., start:stop, :] if job.rows else stream[..., start : stop + M - 1]
            now = {k: v[..., start:stop] if v.ndim and v.shape[-1] > 1 else v for k, v in params.items()}
            piece = piece if bounded else _regressors(job, piece)
            with torch.autocast(device.type, enabled=False):
                y, e, w, state, record = _engine(engine)(job, piece, d[..., start:stop], w, state, now)
            parts.append((y, e, record))
    if not all(torch.isfinite(v).all() for v in (w, *state.values())):
        raise DivergenceError(
            "the weights grew beyond the finite numbers: lower the step size; the state is as before the call"
        )
    nothing = torch.zeros_like(d), torch.zeros_like(d), w.unsqueeze(-2)[..., :0, :]
    ys, es, records = zip(*(parts or [nothing]), strict=True)
    record = _join(records, -2) if job.every else None
    samples = job.samples if job.rows or not T else stream[..., -M:]
    return Result(_join(ys, -1), _join(es, -1), w, record, samples, state)


def _join(parts: tuple[Tensor, ...], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _engine(name: str) -> Callable[..., tuple[Tensor, Tensor, Tensor, dict[str, Tensor], Tensor | None]]:
    return {"reference": _reference, "block": _block, "triton": _triton}[name]


def _reference(job: Job, x: Tensor, d: Tensor, w: Tensor, state: Any, params: dict[str, Tensor]) -> Any:
    return reference.run(job.algorithm, x, d, w, state, params, job.every or None, job.errors)


def _block(job: Job, x: Tensor, d: Tensor, w: Tensor, state: Any, params: dict[str, Tensor]) -> Any:
    from adaptfilt.engines.tensors import block

    leak = params.pop("leak")
    y, e, w, record = block.run(
        lambda e, energy, **values: job.algorithm({"e": e, "energy": energy, **values}),
        x,
        d,
        w,
        params,
        leak=leak,
        linear=job.algorithm.linear,
        rows=job.rows or job.features is not None,
        record_every=job.every or None,
    )
    return y, e, w, state, record


def _triton(job: Job, x: Tensor, d: Tensor, w: Tensor, state: Any, params: dict[str, Tensor]) -> Any:
    from adaptfilt.engines.gpu import triton_kernel

    leak = params.pop("leak")
    y, e, w = triton_kernel.run(job.algorithm.function, x, d, w, params, leak=leak)
    return y, e, w, state, None


def _regressors(job: Job, x: Tensor) -> Tensor:
    """Return what the weights combine, (*batch, T, F)."""
    if job.rows:
        return x
    u = windows(x, job.samples.shape[-1])
    return u if job.features is None else job.features(u).to(job.w.dtype)


def _param(value: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a parameter with an axis of one for time."""
    tensor = torch.as_tensor(value, dtype=dtype, device=device)
    return tensor.unsqueeze(-1) if tensor.ndim else tensor
