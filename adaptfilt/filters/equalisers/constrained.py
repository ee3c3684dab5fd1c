"""A start that keeps the two outputs of a blind 2 by 2 equaliser from finding the same signal.

Output 1 adapts alone for 10 / mu symbols. Then output 2 begins as its counterpart in a channel without losses, from
which the two signals come out orthogonal, and both go on:

    w_22[k] = conj(w_11[M - 1 - k]),    w_21[k] = -conj(w_12[M - 1 - k])

Source: L. Liu et al., "Initial tap setup of constant modulus algorithm for polarization de-multiplexing in optical
coherent receivers", OFC, 2009.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.algorithm import Job

TIME_CONSTANTS = 10  # of output 1, about 1 / mu symbols each, until output 2 begins


class ConstrainedStart(LinearFilter):
    """A filter that starts from spikes, if asked for with output 1 first.

    Parameters
    ----------
    start : {"spike", "constrained"}
    taps, params, **common
        As for `LinearFilter`; "constrained" takes 2 inputs and 2 outputs.
    """

    alone: Tensor  # symbols that output 1 still adapts alone
    mu: Any

    def __init__(self, taps: int, params: dict[str, Any], start: str, **common: Any) -> None:
        sizes = common.get("inputs"), common.get("outputs")
        if start not in ("spike", "constrained"):
            raise ValueError(f'start must be "spike" or "constrained", got {start!r}')
        if start == "constrained" and sizes != (2, 2):
            raise ValueError(f'start="constrained" takes 2 inputs and 2 outputs, got {sizes[0]} and {sizes[1]}')
        self.constrained = start == "constrained"
        super().__init__(taps, params, **common)
        self._fixed = (*self._fixed, "constrained")

    def _first_weights(self, w0: Any) -> Any:
        return self._spike(self.taps // 2) if w0 is None else w0

    def _register_state(self) -> None:
        super()._register_state()
        if self.constrained:
            self.register_buffer("alone", torch.zeros((), dtype=torch.int64, device=self.device))

    def _carried(self) -> dict[str, Tensor]:
        return {**super()._carried(), **({"alone": self.alone} if self.constrained else {})}

    def _starts(self) -> dict[str, Any]:
        mu = torch.as_tensor(self.mu, dtype=torch.float64)
        steps = mu[mu > 0]
        symbols = TIME_CONSTANTS / steps.min() if len(steps) else 0
        return {**super()._starts(), **({"alone": symbols} if self.constrained else {})}

    def _short_signals(self, x: Any, d: Any) -> Any:
        return None if self.constrained and self.alone else super()._short_signals(x, d)

    def _adapt(self, job: Job) -> tuple[Any, Any, Any]:
        if not self.constrained or not self.alone:
            return super()._adapt(job)
        if job.gradient:
            raise ValueError('start="constrained" has no gradient, and something requires one')
        before = {k: t.clone() for k, t in self._carried().items()}
        try:
            return self._adapt_in_turn(job)
        except BaseException:
            self._commit(before)
            raise

    def _adapt_in_turn(self, job: Job) -> tuple[Any, Any, Any]:
        """Adapt output 1 alone as long as it is to be, and then both."""
        N, alone = job.d.shape[-1], int(self.alone)
        mu = torch.as_tensor(self.mu if job.mu is None else job.mu, dtype=torch.float64)
        mu = mu[..., None] if job.mu is None else torch.atleast_1d(mu)
        moves = (mu != 0).flatten(0, -2).any(0).expand(N) if mu.ndim > 1 else (mu != 0).expand(N)
        cut = min(int((moves.cumsum(0) < alone).sum()) + 1, N)
        whole = -(-cut // job.every) * job.every if job.every else cut  # where a record is next due
        first = mu * torch.tensor([[1.0], [0.0]], dtype=mu.dtype, device=mu.device)
        parts = [super()._adapt(_part(job, 0, cut, first, job.every))]
        self.alone -= moves[:cut].sum()
        if not self.alone:
            self._set_output_2()
        rows = [parts[0][2]]
        if job.every and cut % job.every == 0:
            rows[0][..., -1, :] = self._like(self.w, rows[0])
        for begin, end, every in ((cut, min(whole, N), 0), (min(whole, N), N, job.every)):
            if begin < end:
                parts.append(super()._adapt(_part(job, begin, end, job.mu, every)))
                due = every or end == whole
                rows += [parts[-1][2] if every else parts[-1][2][..., None, :]] if due else []
        y, e, w = zip(*parts, strict=True)
        if not job.every:
            return _join(y, -1), _join(e, -1), w[-1] if len(w) > 1 else self._like(self.w, w[0])
        return _join(y, -1), _join(e, -1), _join(rows, -2)

    def _set_output_2(self) -> None:
        with torch.no_grad():
            w = self.w
            w[..., 1, 1, :] = w[..., 0, 0, :].flip(-1).conj()
            w[..., 1, 0, :] = -w[..., 0, 1, :].flip(-1).conj()

    @staticmethod
    def _like(w: Tensor, value: Any) -> Any:
        return w.numpy(force=True).copy() if isinstance(value, np.ndarray) else w.clone()


def _part(job: Job, first: int, last: int, mu: Any, every: int) -> Job:
    """Return the job of the symbols first to last - 1."""
    N, T = job.d.shape[-1], job.x.shape[-1]
    begin, end = (0 if n == 0 else T if n == N else job.offset + (n - 1) * job.sps + 1 for n in (first, last))
    if isinstance(mu, Tensor) and mu.ndim and mu.shape[-1] > 1:
        mu = mu[..., first:last]
    return replace(
        job, x=job.x[..., begin:end], d=job.d[..., first:last], mu=mu, every=every,
        offset=job.offset if first == 0 else job.sps - 1, moves=job.moves if last == N else {},
    )  # fmt: skip


def _join(parts: Any, axis: int) -> Any:
    return np.concatenate(parts, axis) if isinstance(parts[0], np.ndarray) else torch.cat(parts, axis)
