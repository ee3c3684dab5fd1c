"""The definition of every filter: one update a sample, in torch operations (any device, batched, differentiable)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpyc, dot, energy


def run(
    algorithm: Algorithm,
    u: Tensor,
    d: Tensor,
    w: Tensor,
    state: Mapping[str, Tensor],
    params: Mapping[str, Tensor],
    record_every: int | None = None,
    errors: bool = False,
) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor], Tensor | None]:
    """Adapt over a block, sample by sample.

    Parameters
    ----------
    algorithm : Algorithm
        The gain or update function with the names of its arguments.
    u : Tensor [shape=(*batch, T, M)]
        Regressors, newest sample first.
    d : Tensor [shape=(*batch, T)]
        Desired samples; where one is NaN, nothing adapts.
    w : Tensor [shape=(*batch, M)]
        Weights before the block.
    state : mapping of str to Tensor [shape=(*batch, ...)]
        What the algorithm carries besides the weights.
    params : mapping of str to Tensor [shape broadcastable to (*batch, T)]
        Step size and the like; a size of T on the last axis is a value a sample.
    record_every : int >= 1, optional
        Keep the weights after every so many samples.
    errors : bool
        d holds the errors themselves: they go into the update as they are.

    Returns
    -------
    y, e : Tensor [shape=(*batch, T)]
    w : Tensor [shape=(*batch, M)]
    state : dict of str to Tensor
    record : Tensor [shape=(*batch, T // record_every, M)] or None
    """
    step = algorithm if algorithm.gain is None else rank_one_update(algorithm)
    state, ys, es, record = dict(state), [], [], []
    missing = bool(d.isnan().any())
    for n in range(d.shape[-1]):
        u_n, d_n = u[..., n, :], d[..., n : n + 1]
        y_n = dot(w, u_n)
        e_n = d_n if errors else d_n - y_n
        values = {k: v[..., n : n + 1] if v.ndim and v.shape[-1] > 1 else v for k, v in params.items()}
        e = torch.where(e_n.isnan(), 0, e_n) if missing else e_n  # NaN must not get into the graph
        seen = {**values, **state, "w": w, "u": u_n, "d": y_n + e if errors or missing else d_n, "y": y_n, "e": e}
        old = (w, *state.values())
        new = step(seen)
        new = new if isinstance(new, tuple) else (new,)
        if missing:
            new = tuple(_keep(e_n.isnan(), a, b) for a, b in zip(old, new, strict=True))
        w, state = new[0], dict(zip(state, new[1:], strict=True))
        ys.append(y_n)
        es.append(e_n)
        if record_every and (n + 1) % record_every == 0:
            record.append(w)
    recorded = (
        (torch.stack(record, -2) if record else w.new_empty((*w.shape[:-1], 0, w.shape[-1]))) if record_every else None
    )
    return torch.cat(ys, -1), torch.cat(es, -1), w, state, recorded


def rank_one_update(gain: Algorithm) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """Return the update ``(1 - mu leak) w + g conj(u)`` of a gain."""

    def update(seen: Mapping[str, Tensor]) -> Tensor:
        g = gain({**seen, "energy": energy(seen["u"])})
        return axpyc(g, seen["u"], seen["w"], 1 - seen["mu"] * seen["leak"])

    return update


def _keep(condition: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Return old where the filter did not adapt, (..., 1), and new elsewhere."""
    return torch.where(condition.reshape(condition.shape[:-1] + (1,) * (new.ndim - condition.ndim + 1)), old, new)
