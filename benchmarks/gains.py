"""What a filter's gain costs beside that of NLMS, whose loop over the taps is the same.

``python -m benchmarks.gains [--taps 32] [--rounds 15]`` prints a table: in one process, on one thread, in float32. Each
filter is first compared with the reference loop. Then they take turns; a round's times are divided by that of NLMS in
the same round, and the median of the ratios counts. What a gain does after e, from which the next error follows, sets
the bar.
"""

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import torch

import adaptfilt as af
from benchmarks.problems import identification
from benchmarks.report import machine, table
from benchmarks.timing import Calls, interleave

BARS = {"": 1.5, "division": 2.2, "root and division": 3.6, "exponential": None}
GAINS: dict[str, tuple[str, Callable[..., af.LinearFilter]]] = {
    "NLMS": ("", lambda M, **k: af.NLMS(M, 0.5, **k)),
    "KwongJohnston": ("", lambda M, **k: af.KwongJohnston(M, 0.5 / M, **k)),
    "AboulnasrMayyas": ("", lambda M, **k: af.AboulnasrMayyas(M, 0.5 / M, mu_min=0.1 / M, **k)),
    "MathewsXie": ("", lambda M, **k: af.MathewsXie(M, 0.2 / M, rho=1e-3 / M**2, mu_max=0.5 / M, **k)),
    "SimplifiedKalman": ("", lambda M, **k: af.SimplifiedKalman(M, q=1e-8, r=1e-4, **k)),
    "SimplifiedKalman, q estimated": ("division", lambda M, **k: af.SimplifiedKalman(M, q=None, r=1e-4, **k)),
    "GNGD": ("division", lambda M, **k: af.GNGD(M, 0.5, rho=0.15, eps=1.0, **k)),
    "NPVSS": ("root and division", lambda M, **k: af.NPVSS(M, noise=1e-4, **k)),
    "SetMembershipNLMS": ("", lambda M, **k: af.SetMembershipNLMS(M, 0.02, **k)),
    "PassiveAggressive": ("", lambda M, **k: af.PassiveAggressive(M, 0.02, **k)),
    "PassiveAggressive, squared": ("", lambda M, **k: af.PassiveAggressive(M, 0.02, squared=True, **k)),
    "HuberNLMS": ("", lambda M, **k: af.HuberNLMS(M, 0.5, clip=0.03, **k)),
    "HuberNLMS, clip follows": ("", lambda M, **k: af.HuberNLMS(M, 0.5, clip=None, **k)),
    "LLAD": ("division", lambda M, **k: af.LLAD(M, 0.05 / M, scale=10.0, **k)),
    "LMLS": ("division", lambda M, **k: af.LMLS(M, 0.5 / M, scale=10.0, **k)),
    "LMMN": ("", lambda M, **k: af.LMMN(M, 0.1 / M, mix=0.5, **k)),
    "NLMF": ("", lambda M, **k: af.NLMF(M, 0.1, **k)),
    "Llncosh": ("exponential", lambda M, **k: af.Llncosh(M, 0.05 / M, scale=10.0, **k)),
    "GMCC": ("exponential", lambda M, **k: af.GMCC(M, 0.5 / M, shape=2.0, scale=0.5, **k)),
}


def agree(make: Callable[..., af.LinearFilter], taps: int, x: np.ndarray, d: np.ndarray) -> None:
    """Require what the reference loop gives."""
    ours, reference = (make(taps, engine=engine)(x[:300], d[:300]).y for engine in ("compiled", "reference"))
    np.testing.assert_allclose(ours, reference, rtol=2e-4, atol=2e-4)


def measured(taps: int, rounds: int, samples: int = 32768) -> dict[str, tuple[float, float]]:
    """Return of each gain its median time a sample, in ns, and the median of its ratio to NLMS."""
    problem = identification("NLMS", taps, samples)
    calls: Calls = {}
    x, d = problem.x.astype(np.float32), problem.d.astype(np.float32)
    for name, (_, make) in GAINS.items():
        agree(make, taps, x, d)
        calls[name] = partial(make(taps), x, d)
    turns = [interleave(calls, rounds=1) for _ in range(rounds)]
    return {
        name: (median(t[name] for t in turns) / samples * 1e9, median(t[name] / t["NLMS"] for t in turns))
        for name in calls
    }


def rows(found: dict[str, tuple[float, float]]) -> list[list[str]]:
    lines = []
    for name, (ns, ratio) in found.items():
        after, bar = GAINS[name][0], BARS[GAINS[name][0]]
        goal = "none" if bar is None else f"{bar}, {'reached' if ratio <= bar else 'missed'}"
        lines.append([name, after or "sums and products", f"{ns:.1f}", f"{ratio:.2f}", goal])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--taps", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}, one thread, {given.taps} taps, float32\n")
    print(table(["gain", "after e", "ns a sample", "times NLMS", "bar"], rows(measured(given.taps, given.rounds))))


if __name__ == "__main__":
    main()
