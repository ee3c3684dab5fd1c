"""What a structure costs beside the plain filter it is built on: inputs, errors, feeds, paths, frames.

``python -m benchmarks.structures [--rounds 15]`` prints a table: one process, one thread, single precision. The
contenders take turns; a round's times are divided by those of the plain filter in the same round, and the median of
the ratios counts. `benchmarks.gains` does the same for gains.
"""

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.signal import lfilter

import adaptfilt as af
from benchmarks.report import machine, table
from benchmarks.timing import interleave


class Row(NamedTuple):
    """A contender: what it is, its call and the outputs of one, what it is measured against, and its bar."""

    name: str
    call: Callable[[], Any]
    outputs: int
    beside: str | None = None  # its bar is a ratio to this one, else nanoseconds an output
    bar: float | None = None


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def rows(N: int) -> list[Row]:
    """Return all contenders, each called once already."""
    rng = np.random.default_rng(0)
    x, four = noise(rng, N), noise(rng, 4, N)
    d = lfilter(noise(rng, 32) / 6, 1, x).astype(np.float32)
    symbols = af.signals.symbols(af.Constellation.psk(4), N, rng=0).astype(np.complex64)
    sent = lfilter([0.1, 1, 0.3j], 1, symbols).astype(np.complex64)
    known = np.where(np.arange(N) < 1000, symbols, np.nan).astype(np.complex64)
    two = 0.5 * np.stack([np.repeat(sent, 2), np.repeat(np.roll(sent, 7), 2)])
    short, long = noise(rng, 32) / 10, noise(rng, 128) / 20
    qpsk, kind = af.Constellation.psk(4), {"dtype": torch.complex64}
    found = [
        Row("NLMS, 64 taps", partial(af.NLMS(64), x, d), N),
        Row("NLMS, 4 inputs of 16", partial(af.NLMS(16, inputs=4), four, d), N, "NLMS, 64 taps", 1.5),
        Row("NLMS, 256 taps", partial(af.NLMS(256), x, d), N),
        Row("NLMS, 4 inputs of 64", partial(af.NLMS(64, inputs=4), four, d), N, "NLMS, 256 taps", 1.25),
        Row("NLMS, 11 taps, complex", partial(af.NLMS(11, **kind), sent, symbols), N),
        Row("CMA, 11 taps", partial(af.CMA(11, 1e-3, **kind), sent), N, "NLMS, 11 taps, complex", 1.25),
        Row("DecisionDirected, QPSK, 11 taps", partial(af.DecisionDirected(11, 1e-3, qpsk, **kind), sent, known), N,
            "NLMS, 11 taps, complex", 1.25),
        Row("CMA, 2 x 2, 15 taps, sps 2", partial(af.CMA(15, 1e-4, inputs=2, outputs=2, sps=2, **kind), two), N,
            None, 60),
        Row("DFE 11 + 5, decided", partial(af.DFE(11, 5, 1e-3, qpsk, **kind), sent, known), N, None, 90),
        Row("NLMS, 128 taps", partial(af.NLMS(128), x, d), N),
        Row("FxLMS, 128 taps, path 1", partial(af.FxLMS(128, 1e-5, short[:1]), x, d), N, "NLMS, 128 taps", 1.15),
        Row("FxLMS, 128 taps, path 32", partial(af.FxLMS(128, 1e-5, short), x, d), N, "NLMS, 128 taps", 1.4),
        Row("FxLMS, 256 taps, path 128", partial(af.FxLMS(256, 1e-5, long), x, d), N, "NLMS, 256 taps", 2.2),
        Row("LatticeRLS, 32 stages", partial(af.LatticeRLS(32), x[: N // 4], d[: N // 4]), N // 4, None, 500),
        *frequency(x, d, N),
    ]  # fmt: skip
    for row in found:
        row.call()
    return found


def frequency(x: np.ndarray, d: np.ndarray, N: int) -> list[Row]:
    """Return frequency-domain filters: whole blocks, and frames of 64 samples."""
    found = []
    for taps in (1024, 4096, 16384):
        for cls, own in ((af.FDAF, {"mu": 0.5}), (af.FDKF, {})):
            f = cls(taps, block=256, constraint="alternate", **own)
            found.append(Row(f"{cls.__name__}, {taps:,} taps", partial(f, x, d), N))
    f = af.FDKF(4096, block=256)
    return [*found, Row("FDKF, 4,096 taps, a frame of 64", partial(f, x[:64], d[:64]), 1, None, 15_000)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    all_ = rows(32768)
    turns = [interleave({r.name: r.call for r in all_}, rounds=1) for _ in range(given.rounds)]
    lines = []
    for row in all_:
        ns = median(t[row.name] / row.outputs for t in turns) * 1e9
        ratio = "" if row.beside is None else median(t[row.name] / t[row.beside] for t in turns)
        value = ns if row.beside is None else ratio
        bar = "" if row.bar is None else f"{row.bar:g}, {'reached' if float(value) <= row.bar else 'missed'}"
        lines.append([row.name, f"{ns:.1f}", f"{ratio:.2f}" if row.beside else "", row.beside or "", bar])
    print(f"{machine()}, one thread, single precision\n")
    print(table(["filter", "ns an output", "times", "that of", "bar"], lines))


if __name__ == "__main__":
    main()
