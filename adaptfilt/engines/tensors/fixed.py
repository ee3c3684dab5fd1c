"""Filtering with weights that stand still: y = w^T u for every sample of a block."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.checks import as_tensor
from adaptfilt.engines.choose import tracked
from adaptfilt.engines.words import dot
from adaptfilt.taps import windows

CHUNK_ENTRIES = 1 << 20  # entries of written-out regressors at a time


def combine(
    x: Any, w: Tensor, samples: Tensor, features: Callable[[Tensor], Tensor] | None, rows: bool
) -> tuple[Tensor, Tensor]:
    """Return w^T u for every sample of a block, and the newest samples after it.

    Parameters
    ----------
    x : array or Tensor [shape=(*batch, T) or, with rows, (*batch, T, F)]
    w : Tensor [shape=(*batch, F)]
    samples : Tensor [shape=(*batch, M)]
        The newest samples before the block, oldest first.
    features : callable or None
    rows : bool
        x holds ready regressors.

    Returns
    -------
    y : Tensor [shape=(*batch, T)]
    samples : Tensor [shape=(*batch, M)]
    """
    x = as_tensor(x, w.dtype, w.device)
    if rows:
        return _outputs(x, w), samples
    M, T = samples.shape[-1], x.shape[-1]
    if not T:
        return x.clone(), samples
    stream = torch.cat([samples[..., 1:], x], -1)
    after = stream[..., -M:].detach()
    if features is None and w.device.type == "cpu" and not tracked(x):
        return _convolve(stream, w), after
    length = T if x.requires_grad else max(1, CHUNK_ENTRIES // w.numel())
    parts = []
    for start in range(0, T, length):
        u = windows(stream[..., start : min(start + length, T) + M - 1], M)
        u = u if features is None else features(u).to(w.dtype)
        parts.append(_outputs(u, w))
    return torch.cat(parts, -1), after


def _outputs(u: Tensor, w: Tensor) -> Tensor:
    """Return w^T u of regressors, (*batch, T, F): as sums, since `torch.autocast` would round a matmul."""
    return dot(u, w.clone().unsqueeze(-2)).squeeze(-1)  # a graph outlives these weights


def _convolve(stream: Tensor, w: Tensor) -> Tensor:
    """Convolve every row of a batch with its weights: on the CPU, with no memory but the result's."""
    signals = stream.reshape(-1, stream.shape[-1]).resolve_conj().numpy()
    y = np.stack(
        [np.convolve(s, h, "valid") for s, h in zip(signals, w.reshape(len(signals), -1).numpy(), strict=True)]
    )
    return torch.from_numpy(y).reshape(*w.shape[:-1], -1)
