"""An ensemble over two processes against one: equal numbers, and how many times as fast.

    OMP_NUM_THREADS=1 python -m benchmarks.processes [--runs 12000]

The work is RLS of 32 taps on 5,000 samples a run, signals drawn and curves added up.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

import adaptfilt as af

SAMPLES = 5000


def run(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the signals of one run, and the plant."""
    h, x = af.signals.white(32, 5) / 6, rng.standard_normal(SAMPLES)
    return x, af.plants.fir(h)(x) + 0.1 * rng.standard_normal(SAMPLES), h


def make(batch: int) -> af.RLS:
    """Return the filters."""
    return af.RLS(32, 0.999, batch=batch)


def main() -> None:
    """Print both times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=12_000)
    runs = parser.parse_args().runs
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        af.experiments.ensemble(make, run, 200, seed=0, executor=pool)  # starts and compiles
        seconds, found = [], []
        for executor in (None, pool):
            start = time.perf_counter()
            found.append(af.experiments.ensemble(make, run, runs, seed=0, executor=executor))
            seconds.append(time.perf_counter() - start)
    np.testing.assert_array_equal(found[0].mean["mse"], found[1].mean["mse"])
    one, two = seconds
    print(f"{runs} runs: {one:.1f} s in one process, {two:.1f} s in two, {one / two:.2f} times")


if __name__ == "__main__":
    main()
