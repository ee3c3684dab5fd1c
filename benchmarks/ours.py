"""adaptfilt in the form of a peer: the first call of each is by a fresh filter, the next ones stream on."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch

import adaptfilt as af
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpyc, energy
from benchmarks.peers import Call, Peer, Prepare
from benchmarks.problems import Problem, Result


def nlms_update(w: Any, u: Any, e: Any, mu: Any, eps: Any) -> Any:
    """NLMS as any newcomer would write an algorithm of his own: nothing is known of its structure."""
    return axpyc(mu * e / (eps + energy(u)), u, w)


class UpdateFunction(af.LinearFilter):
    """The filter compiled from `nlms_update` alone."""

    algorithm = Algorithm(update=nlms_update)
    ranges: ClassVar = {"mu": {}, "eps": {}}

    def __init__(self, taps: int, mu: float, eps: float) -> None:
        super().__init__(taps, {"mu": mu, "eps": eps})


MAKE: dict[str, Callable[[Problem], af.AdaptiveFilter]] = {
    "LMS": lambda p: af.LMS(p.taps, p.mu),
    "NLMS": lambda p: af.NLMS(p.taps, p.mu, eps=p.eps),
    "LMF": lambda p: af.LMF(p.taps, p.mu),
    "SignError": lambda p: af.SignError(p.taps, p.mu),
    "RLS": lambda p: af.RLS(p.taps, p.lam, delta=p.delta, dtype=torch.float64),
    "AffineProjection": lambda p: af.AffineProjection(p.taps, p.mu, order=p.order, eps=p.eps),
}


def arrays(p: Problem, dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    numpy_type = np.float64 if dtype == torch.float64 else np.float32
    return p.x.astype(numpy_type), p.d.astype(numpy_type)


def block(make: Callable[[Problem], af.AdaptiveFilter]) -> Prepare:
    """The whole signal in one call."""

    def prepare(p: Problem) -> Call:
        f = make(p)
        x, d = arrays(p, f.w.dtype)

        def call() -> Result:
            _, e, w = f(x, d)
            return e, w

        return call

    return prepare


def frames(make: Callable[[Problem], af.AdaptiveFilter], size: int, tensors: bool) -> Prepare:
    """The signal in calls of `size` samples."""

    def prepare(p: Problem) -> Call:
        f = make(p)
        x, d = arrays(p, f.w.dtype)
        if tensors:
            x, d = torch.from_numpy(x), torch.from_numpy(d)
        pairs = [(x[n : n + size], d[n : n + size]) for n in range(0, len(x), size)]

        def call() -> Result:
            errors = [f(*pair).e for pair in pairs]
            return np.concatenate(errors), np.asarray(f.w)

        return call

    return prepare


def steps(make: Callable[[Problem], af.AdaptiveFilter]) -> Prepare:
    """One call of `step` a sample, from Python numbers."""

    def prepare(p: Problem) -> Call:
        f = make(p)
        samples = list(zip(p.x.tolist(), p.d.tolist(), strict=True))

        def call() -> Result:
            errors = [f.step(x, d)[1] for x, d in samples]
            return np.array(errors), np.asarray(f.w)

        return call

    return prepare


def ours() -> Peer:
    return Peer({name: block(make) for name, make in MAKE.items()}, samples=32768, tolerance=3e-5)


def ours_otherwise() -> dict[str, Peer]:
    """Ours at 32 taps: the relatives of NLMS, and NLMS called in other ways."""
    ways = {
        "NLMS": {"NLMS": block(MAKE["NLMS"])},
        "LMF": {"LMF": block(MAKE["LMF"])},
        "SignError": {"SignError": block(MAKE["SignError"])},
        "update function": {"NLMS": block(lambda p: UpdateFunction(p.taps, p.mu, p.eps))},
        "step": {"NLMS": steps(MAKE["NLMS"])},
        "frames, NumPy": {"NLMS": frames(MAKE["NLMS"], 64, tensors=False)},
        "frames, tensors": {"NLMS": frames(MAKE["NLMS"], 64, tensors=True)},
    }
    return {name: Peer(runs, samples=32768, tolerance=3e-5, note="ours") for name, runs in ways.items()}
