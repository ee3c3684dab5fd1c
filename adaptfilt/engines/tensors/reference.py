"""The definition of every filter: one update a sample, in torch operations (any device, batched, differentiable)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.engines.algorithm import Algorithm, Job
from adaptfilt.engines.choose import tracked
from adaptfilt.engines.words import axpyc, conj, dot, energy


def run(
    job: Job, u: Tensor, v: Tensor | None, d: Tensor, carried: Mapping[str, Tensor], params: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor, dict[str, Tensor], Tensor | None]:
    """Adapt over a block, sample by sample.

    Parameters
    ----------
    job : Job
        Its algorithm, vectors, path, and how d is to be read.
    u : Tensor [shape=(B, 1, N, F)]
        Regressors, newest sample first; without what is fed back.
    v : Tensor [shape=(B, L, N, F)] or None
        What updates are made of, for each of L errors; None: u.
    d : Tensor [shape=(B, Q, N)]
        Desired samples, or the errors themselves. Where one is not valid, nothing adapts.
    carried : mapping of str to Tensor [shape=(B, Q, ...)]
        "w", the algorithm's state, and the signals of its structure.
    params : mapping of str to Tensor [shape broadcastable to (B, Q, N)]
        Step size and the like.

    Returns
    -------
    y, e : Tensor [shape=(B, Q, N)]
    carried : dict of str to Tensor
    record : Tensor [shape=(B, Q, N // every, F)] or None
    """
    algorithm, now, ys, es, record = job.algorithm, dict(carried), [], [], []
    valid = (torch.isfinite(d) | d.isnan()) if algorithm.unknown and not job.errors else torch.isfinite(d)
    missing = not bool(valid.all())
    mu = params.get("mu")
    learned = algorithm.stands_still and tracked(mu)  # its gradient at 0 is not 0
    gates = mu is not None and not (algorithm.running or learned) and not bool((mu != 0).all())
    shared = {**{k: job.vectors[k] for k in algorithm.vectors}, **params}
    for n in range(d.shape[-1]):
        known = valid[..., n : n + 1]
        d_n = torch.where(known, d[..., n : n + 1], 0) if missing else d[..., n : n + 1]
        values = {k: p[..., n : n + 1] if k in params and p.ndim and p.shape[-1] > 1 else p for k, p in shared.items()}
        u_n = u[..., n, :]
        if algorithm.feed:
            fed = (now["fed"][..., :-1] if job.errors else now["fed"][..., 1:]).flip(-1)  # the newest came after y
            u_n = torch.cat([u_n.expand(*fed.shape[:-1], -1), fed], -1)
        y = dot(now["w"].reshape(len(u_n), -1, u_n.shape[-1]), u_n)
        values |= {"u": u_n, "v": u_n if v is None else v[..., n, :], "y": y, "d": d_n}
        if algorithm.lagged:
            values["lag"] = now["lag"] if job.errors else dot(u_n, conj(now["before"]))
            now["lag"], now["before"] = values["lag"], u_n.expand_as(now["w"])
        values |= {k: _scalar(now[k], kind.dims) for k, kind in algorithm.states.items()}
        z, e = _error(job, values, now)
        known_e = torch.where(known, e, 0) if missing else e
        if y.shape == e.shape and (job.errors or (missing and algorithm.plain)):
            values["d"] = y + known_e
        values |= {"e": known_e, "w": now["w"]}
        new = _updated(algorithm, values)
        if missing or gates:
            heard = known if v is None else known.all(1, keepdim=True)  # by all microphones
            active = heard & (values["mu"] != 0) if gates else heard
            new = {k: _keep(~active, now[k], value) for k, value in new.items()}
        now |= new
        if algorithm.feed:
            told = torch.where(known, values["d"], torch.nan) if missing else values["d"]
            back = algorithm.call("feed", {**values, "y": z, "d": told})
            now["fed"] = torch.cat([now["fed"][..., 1:], torch.where(back.isnan(), 0, back)], -1)
        ys.append(z)
        es.append(torch.where(known, e, torch.nan) if missing else e)
        if job.every and (n + 1) % job.every == 0:
            record.append(now["w"])
    w = now["w"]
    recorded = torch.stack(record, -2) if record else w.unsqueeze(-2)[..., :0, :]
    return torch.cat(ys, -1), torch.cat(es, -1), now, recorded if job.every else None


def _error(job: Job, values: Mapping[str, Tensor], now: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return what stands for the output, and the error."""
    y, d = values["y"], values["d"]
    if job.errors:
        return y, d
    if job.path is not None:
        now["played"] = torch.cat([now["played"][..., 1:], y], -1)
        return y, d - (now["played"].flip(-1).unsqueeze(1) * job.path).sum((-2, -1)).unsqueeze(-1)
    if job.algorithm.error is None:
        return y, d - y
    found = job.algorithm.call("error", values)
    return found if isinstance(found, tuple) else (y, found)


def _updated(algorithm: Algorithm, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights and states after one sample."""
    if algorithm.gain:
        v = values["v"]
        several = v is not values["u"] and v.shape[1] > 1  # errors that one filter's outputs make together
        found = algorithm.call("gain", {**values, "energy": energy(v.flatten(1).unsqueeze(1) if several else v)})
        g, *states = found if isinstance(found, tuple) else (found,)
        keep = 1 - values["mu"] * values["leak"] if algorithm.leaks else 1.0
        w = axpyc(g[:, 0:1], v[:, 0:1], values["w"], keep) if several else axpyc(g, v, values["w"], keep)
        for i in range(1, v.shape[1] * several):
            w = axpyc(g[:, i : i + 1], v[:, i : i + 1], w)
    else:
        found = algorithm.call("update", {**values, "energy": energy(values["u"])})
        w, *states = found if isinstance(found, tuple) else (found,)
    if len(states) != len(algorithm.states):
        wanted = ", ".join(algorithm.states) or "no state"
        raise ValueError(f"{algorithm.function.__name__} must return {wanted} renewed, got {len(states)} values more")
    kinds = algorithm.states.items()
    return {"w": w, **{k: _stored(s, values[k], kind.dims) for s, (k, kind) in zip(states, kinds, strict=True)}}


def _scalar(state: Tensor, dims: tuple[Any, ...]) -> Tensor:
    """Return a scalar state with a last axis of one."""
    return state if dims else state.unsqueeze(-1)


def _stored(new: Any, old: Tensor, dims: tuple[Any, ...]) -> Tensor:
    """Return a state as it is stored: of the shape it had, a scalar without an axis."""
    value = new.expand_as(old) if isinstance(new, Tensor) else torch.full_like(old, new)
    return value if dims else value.squeeze(-1)


def _keep(condition: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Return old where the filter did not adapt, (B, Q, 1), and new elsewhere."""
    return torch.where(condition.reshape(condition.shape[:2] + (1,) * (new.ndim - 2)), old, new)


def recurse(job: Job, x: np.ndarray, d: np.ndarray, mu: np.ndarray, own: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """Run the recursion of one filter sample by sample, uncompiled.

    Parameters
    ----------
    job : Job
    x, d : array [shape=(N,)]
    mu : array [shape=(N,)]
        Where it is 0, or d is not valid, the recursion only filters.
    own : mapping of str to array or float
        States, which change in place, parameters and scratch by name, and "out", room for weights.

    Returns
    -------
    y, e : array [shape=(N,)]
    w : array [shape=(F,)]
    record : array [shape=(N // every, F)]
    """
    algorithm, y, e = job.algorithm, np.empty_like(d), np.empty_like(d)
    record = np.empty((len(d) // job.every if job.every else 0, len(own["out"])), d.dtype)
    for n in range(len(d)):
        adapts = (np.isfinite(d[n]) or (algorithm.unknown and np.isnan(d[n]))) and mu[n] != 0
        y[n], error = algorithm.call("recursion", {**own, "mu": mu[n], "x": x[n], "d": d[n] if adapts else np.nan})
        e[n] = error if adapts else d[n] - y[n]
        if job.every and (n + 1) % job.every == 0:
            record[n // job.every] = algorithm.call("weights", own)
    return y, e, algorithm.call("weights", own).copy(), record
