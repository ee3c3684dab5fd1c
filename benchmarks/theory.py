"""Theory against simulation, filter by filter: the table of docs/theory.md.

    python -m benchmarks.theory --out docs/theory.md

Every row is an ensemble (`adaptfilt.experiments`) of a filter on a delay line, as a user runs it, beside what
`adaptfilt.theory.predict` says of it. Takes about three minutes on one core.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import adaptfilt as af
from adaptfilt import experiments, plants, signals, theory

TAPS, NOISE, TINY = 16, 0.01, 1e-9
HEAD = """# Theory against simulation

Made by `python -m benchmarks.theory --out docs/theory.md`: {runs} runs a row, float64, real Gaussian input of unit
power (white, or AR(1) of the pole named), {noise} of white noise in d; the plant starts at a norm of 1, or smaller
where filters are slow. The delay line is full when a filter starts (on an empty one it is about M / 2 samples later).

- EMSE: excess of the mean squared error; MSD: mean-square deviation of the weights; in the steady state, as parts of
  the noise. On white input of unit power they are one to theory.
- tracking: the EMSE where every coefficient of the plant walks.
- learning: the MSD in that of twenty stretches of the learning curve where theory is furthest off.
- mean: the largest distance of the mean weights from theory's, as a part of the plant's norm.

± is twice the standard error of the simulation. Equations and sources: `adaptfilt/theory/learning.py` and
`adaptfilt/theory/projections.py`.

| filter | input | what | theory | simulation | theory is off by | |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Case:
    """A filter and what it has to identify.

    `params` are the filter's; `settled` is the sample from which on the state counts as steady, `ends` says why
    theory is more than 3 % off.
    """

    cls: Any
    params: dict[str, Any]
    pole: float = 0.0
    walk: float = 0.0
    samples: int = 8000
    settled: int = 3000
    taps: int = TAPS
    size: float = 1.0
    learning: bool = False
    dtype: Any = np.float64
    ends: str = ""

    @property
    def name(self) -> str:
        """Return how the filter is called."""
        given = {"taps": self.taps} | self.params
        return f"{self.cls.__name__}({', '.join(f'{name}={value}' for name, value in given.items() if value != TINY)})"

    def make(self, options: dict[str, Any]) -> Any:
        """Return a filter."""
        return self.cls(self.taps, **self.params, **options)

    def autocorrelation(self) -> np.ndarray:
        """Return r."""
        return self.pole ** np.arange(self.taps) if self.pole else np.eye(1, self.taps)[0]


L = {"learning": True}
IN_LOOP = "the loop's regressors share samples with those that the weights come from; frozen weights err as theory says"
SHARED = "independence: on a delay line of coloured input modes learn together"
WORST = "the worst of twenty stretches, each with the simulation's ±"
LEAKS = "bins of coloured input leak into each other"
POWER = "the power of a bin and its regressor come from the same frames"
OVERLAP = "while the curve falls, each regressor overlaps the last ones"
CASES = [
    Case(af.LMS, {"mu": 0.005}, **L),
    Case(af.LMS, {"mu": 0.02}, ends=OVERLAP, **L),
    Case(af.LMS, {"mu": 0.005}, dtype=np.complex128, **L),
    Case(af.LMS, {"mu": 0.002}, 0.8, samples=24000, settled=16000, size=0.2, ends=SHARED, **L),
    Case(af.LMS, {"mu": 0.005}, 0.8, samples=16000, settled=8000, size=0.2, ends=SHARED, **L),
    Case(af.LMS, {"mu": 0.005}, walk=3e-4),
    Case(af.LMS, {"mu": 0.005}, 0.8, walk=3e-4, size=0.1, samples=16000, settled=8000),
    Case(af.LMS, {"mu": 0.005, "leak": 0.2}, **L),
    Case(af.NLMS, {"mu": 0.1}, ends=OVERLAP, **L),
    Case(af.NLMS, {"mu": 0.5}, ends=IN_LOOP, **L),
    Case(af.NLMS, {"mu": 1.0}, ends=IN_LOOP, **L),
    Case(af.NLMS, {"mu": 0.5}, dtype=np.complex128, ends=OVERLAP, **L),
    Case(af.NLMS, {"mu": 0.5, "eps": 16.0}, ends=OVERLAP, **L),
    Case(af.NLMS, {"mu": 0.05}, 0.8, samples=16000, settled=8000, size=0.2, ends=SHARED, **L),
    Case(af.NLMS, {"mu": 0.5}, 0.8, size=0.2, ends=IN_LOOP, **L),
    Case(af.NLMS, {"mu": 0.1}, walk=3e-4),
    Case(af.SignError, {"mu": 0.001}, size=0.3, **L),
    Case(af.SignError, {"mu": 0.0005}, 0.8, size=0.1, samples=24000, settled=16000),
    Case(af.SignError, {"mu": 0.001}, walk=3e-4, size=0.3),
    Case(af.LMF, {"mu": 0.1}, size=0.1, samples=12000, settled=6000, ends=WORST, **L),
    Case(af.LMF, {"mu": 0.1}, walk=3e-4, size=0.1, samples=12000, settled=6000),
    Case(af.AffineProjection, {"mu": 0.05, "order": 4, "eps": TINY}, taps=64),
    Case(af.AffineProjection, {"mu": 0.2, "order": 4, "eps": TINY}, taps=64),
    Case(af.AffineProjection, {"mu": 0.5, "order": 2, "eps": TINY}, taps=64),
    Case(af.AffineProjection, {"mu": 1.0, "order": 2, "eps": TINY}, taps=64),
    Case(af.AffineProjection, {"mu": 0.05, "order": 4, "eps": TINY}, 0.8, taps=64, ends=SHARED),
    Case(af.AffineProjection, {"mu": 0.2, "order": 4, "eps": TINY}, 0.8, taps=64, ends=SHARED),
    Case(af.AffineProjection, {"mu": 0.2, "order": 4, "eps": TINY}, taps=64, walk=3e-4),
    Case(af.RLS, {"lam": 0.99}),
    Case(af.RLS, {"lam": 0.99}, 0.8),
    Case(af.RLS, {"lam": 0.95}),
    Case(af.RLS, {"lam": 0.99}, walk=1e-3),
    Case(af.RLS, {"lam": 0.99}, 0.8, walk=1e-3),
    Case(af.FDAF, {"mu": 0.002, "normalized": False}, taps=64, ends=OVERLAP, **L),
    Case(af.FDAF, {"mu": 0.0005, "normalized": False}, 0.5, taps=64, size=0.1, samples=24000, settled=16000),
    Case(af.FDAF, {"mu": 0.002, "normalized": False}, walk=1e-4, taps=64),
    Case(af.FDAF, {"mu": 0.0005, "hop": 16, "normalized": False}, taps=64, ends=OVERLAP, **L),
    Case(af.FDAF, {"mu": 0.0005, "hop": 16, "normalized": False}, walk=1e-4, taps=64),
    Case(af.FDAF, {"mu": 0.1}, taps=64, size=0.1, samples=16000, settled=8000, ends=POWER),
    Case(af.FDAF, {"mu": 0.5}, taps=64, ends=POWER),
    Case(af.FDAF, {"mu": 0.1}, 0.8, taps=64, size=0.1, samples=16000, settled=8000, ends=LEAKS),
    Case(af.FDAF, {"mu": 0.1}, walk=1e-4, taps=64, size=0.1, samples=16000, settled=8000, ends=POWER),
]


def simulate(case: Case, runs: int) -> tuple[experiments.Ensemble, np.ndarray]:
    """Return an ensemble of excess errors and deviations, and the plant."""
    h = signals.white(case.taps, 1, dtype=case.dtype)
    h *= case.size / np.linalg.norm(h)
    every = max(1, case.samples // 200)

    def run(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        a = [1.0, -case.pole]
        samples = case.taps + case.samples
        x = signals.coloured(samples, a, rng, dtype=case.dtype)
        plant = plants.random_walk(h, case.walk, samples, rng) if case.walk else plants.fir(h)
        v = np.sqrt(NOISE) * signals.white(samples, rng, dtype=case.dtype)
        return x, plant(x) + v, v[case.taps :]

    def measure(output: Any, v: np.ndarray) -> dict[str, np.ndarray]:
        excess = np.abs(output.e - v) ** 2
        distance = np.sum(np.abs(output.w - h) ** 2, -1)
        at = case.settled // every
        return {
            "emse": excess[:, case.settled :].mean(-1),
            "msd": distance[:, at:].mean(-1),
            "curve": distance,
            **{f"w{part}": getattr(output.w, part) for part in ("real", "imag")},
        }

    def make(batch: int) -> Any:
        dtype = torch.complex128 if case.dtype == np.complex128 else torch.float64
        return case.make({"batch": batch, "dtype": dtype})

    return experiments.ensemble(make, run, runs, seed=7, measure=measure, record_every=every, fill=case.taps), h


def compare(case: Case, runs: int) -> Iterator[tuple[str, float, float, float, float]]:
    """Yield what is compared: its name, theory, simulation, the simulation's uncertainty, and how far theory is off."""
    found, h = simulate(case, runs)
    dtype = torch.complex128 if case.dtype == np.complex128 else torch.float64
    f = case.make({"dtype": dtype})
    samples = case.samples if case.learning else None
    expected = theory.predict(f, h, case.autocorrelation(), noise=NOISE, walk=case.walk, samples=samples)
    for name in ("emse",) if case.walk else ("emse", "msd"):
        t, s = getattr(expected, name) / NOISE, float(found.mean[name]) / NOISE
        error = 2 * float(found.std[name]) / NOISE / np.sqrt(runs)
        yield "tracking" if case.walk else name.upper(), t, s, error, t / s - 1
    if expected.learning is not None:
        every = max(1, case.samples // 200)
        curve = expected.learning.msd[every - 1 :: every]
        size = curve.size // 20
        stretch = [slice(k, k + size) for k in range(0, 20 * size, size)]
        off = [curve[k].mean() / found.mean["curve"][k].mean() - 1 for k in stretch]
        worst = int(np.argmax(np.abs(off)))
        t, s = curve[stretch[worst]].mean() / NOISE, found.mean["curve"][stretch[worst]].mean() / NOISE
        error = 2 * found.std["curve"][stretch[worst]].mean() / NOISE / np.sqrt(runs)
        yield "learning", t, s, error, off[worst]
        w = found.mean["wreal"] + 1j * found.mean["wimag"]
        apart = np.linalg.norm(expected.learning.w[every - 1 :: every] - w, axis=-1) / case.size
        yield "mean", np.nan, np.nan, np.nan, float(apart.max())


def main(out: Path, runs: int = 1000) -> None:
    """Write the table, and say row by row what came out."""
    text = HEAD.format(runs=runs, noise=NOISE)
    for case in CASES:
        kind = f"AR(1), {case.pole:g}" if case.pole else "white"
        kind += ", complex" if case.dtype == np.complex128 else ""
        for what, t, s, error, off in compare(case, runs):
            values = f"{t:.4g} | {s:.4g} ± {error:.1g}" if np.isfinite(t) else " | "
            remark = "" if abs(off) <= 0.03 else f"**ends here**{': ' + case.ends if case.ends else ''}"
            row = f"| `{case.name}` | {kind} | {what} | {values} | {100 * off:+.1f} % | {remark} |"
            print(row, flush=True)
            text += row + "\n"
    out.write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/theory.md"), help="file to write")
    parser.add_argument("--runs", type=int, default=1000, help="runs a row")
    main(**vars(parser.parse_args()))
