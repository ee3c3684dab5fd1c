"""Filtering with weights that stand still: y = w^T u for every output of a block."""

import numpy as np
import torch
from torch import Tensor

from adaptfilt.checks import as_tensor
from adaptfilt.engines.algorithm import Job
from adaptfilt.engines.choose import tracked
from adaptfilt.engines.tensors.parts import counts, part
from adaptfilt.engines.words import conj, dot

CHUNK_ENTRIES = 1 << 20  # entries of written-out regressors at a time


def combine(job: Job) -> tuple[Tensor, dict[str, Tensor]]:
    """Return w^T u for every output of a block, and the signals after it.

    Parameters
    ----------
    job : Job
        Its d is not read but for its length.

    Returns
    -------
    y : Tensor [shape=(B, Q, N)]
    carried : dict of str to Tensor
    """
    B, Q = counts(job)
    x = as_tensor(job.x, job.w.dtype, job.w.device)
    w, N = job.w.reshape(B, Q, -1), job.d.shape[-1]
    line = job.line.reshape(B, job.inputs, -1)
    if job.rows:
        stream, after = x.reshape(B, 1, *x.shape[-2:]), {}
    else:
        x = x.reshape(B, job.inputs, x.shape[-1])
        stream, after = torch.cat([line[..., 1:], x], -1), {"line": torch.cat([line, x], -1)[..., -line.shape[-1] :]}
    simple = not job.rows and job.features is None and job.sps == 1 and w.device.type == "cpu" and not tracked(x, w)
    if simple and N:
        y = _convolved(stream, w.detach().reshape(B, Q, job.inputs, -1))
    else:
        length = max(N, 1) if x.requires_grad else max(1, CHUNK_ENTRIES // w.numel())
        parts = [_outputs(part(job, stream, n, min(n + length, N), "reference"), w) for n in range(0, N, length)]
        y = torch.cat(parts, -1) if parts else x.new_empty(B, Q, 0)
    if job.algorithm.lagged and N:
        after |= _lags(job, stream, w)
    return y, after


def _outputs(u: Tensor, w: Tensor) -> Tensor:
    """Return w^T u of regressors, (B, 1, N, F): as sums, since `torch.autocast` would round a matmul."""
    return dot(u, w.clone().unsqueeze(-2)).squeeze(-1)  # a graph outlives these weights


def _convolved(stream: Tensor, w: Tensor) -> Tensor:
    """Convolve every input with its weights, (B, Q, C, M): on the CPU, with no memory but the result's."""
    signals, responses = stream.resolve_conj().numpy(), w.numpy()
    rows = [
        [sum(np.convolve(s, h, "valid") for s, h in zip(inputs, output, strict=True)) for output in outputs]
        for inputs, outputs in zip(signals, responses, strict=True)
    ]
    return torch.from_numpy(np.array(rows, dtype=signals.dtype))


def _lags(job: Job, stream: Tensor, w: Tensor) -> dict[str, Tensor]:
    """Return the newest regressor, and its correlation with the one before."""
    N, before = job.d.shape[-1], job.signals["before"].reshape_as(w)  # (B, Q, F): every output keeps its own
    last = part(job, stream, N - 1, N, "reference")[..., 0, :].expand_as(before)
    if N > 1:
        before = part(job, stream, N - 2, N - 1, "reference")[..., 0, :].expand_as(before)
    return {"before": last, "lag": dot(last, conj(before))}
