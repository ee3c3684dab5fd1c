"""Real time without a sound card: frames at their pace, the load, and how often a deadline is missed.

    OMP_NUM_THREADS=1 python -m benchmarks.callback --seconds 60

For each frame size a loop waits for the time at which a sound card would call, calls, and notes how long that takes. A
frame is missed where the call takes longer than the frame lasts. The wait is a sleep, as in a driver; how late the
system wakes the loop is noted apart, for it is not the filter's doing.
"""

import argparse
import time
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import adaptfilt as af
from examples.callback import FS, Callback, recording

MAKE = {
    "NLMS, 1,024 taps": partial(af.NLMS, 1024),
    "FxNLMS, 256 taps, path 128": lambda: af.FxNLMS(256, 0.05, plant()),
    "FDKF, 4,096 taps": partial(af.FDKF, 4096),
}


class Figures(NamedTuple):
    """What a run gave: load and 99.9th percentile in per cent of a frame, deadlines missed, worst wake-up in ms."""

    load: float
    percentile: float
    largest: float
    missed: int
    frames: int
    late: float


def plant() -> np.ndarray:
    return af.plants.room(128, 0.003, rng=5, fs=FS).b


def measure(f: Any, frame: int, seconds: float) -> Figures:
    """Call a filter at the pace of a sound card."""
    heard, callback = recording(2.0).astype(np.float32), Callback(f, frame)
    played, period, count = np.zeros((frame, 2), np.float32), frame / FS, int(seconds * FS / frame)
    took, late = np.empty(count), np.empty(count)
    places = [*range(0, len(heard) - frame, frame)]
    begin = time.perf_counter()
    for k in range(count):
        due = begin + k * period
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        start = time.perf_counter()
        n = places[k % len(places)]
        callback(heard[n : n + frame], played, frame, None, None)
        took[k], late[k] = time.perf_counter() - start, start - due
    parts = 100 * took / period
    missed = int(np.sum(parts > 100))
    return Figures(parts.mean(), np.percentile(parts, 99.9), parts.max(), missed, count, 1e3 * late.max())


def main(seconds: float = 60.0, frames: tuple[int, ...] = (64, 128, 256, 480)) -> None:
    """Print a table."""
    print(f"{seconds:g} s each at {FS // 1000} kHz; load, 99.9th percentile and largest in per cent of a frame")
    print("| filter | frame | load | 99.9 % | largest | missed | woken late, ms |\n|---|---|---|---|---|---|---|")
    for name, make in MAKE.items():
        for frame in frames:
            v = measure(make(), frame, seconds)
            shares = f"{v.load:.1f} | {v.percentile:.1f} | {v.largest:.0f}"
            print(f"| {name} | {frame} | {shares} | {v.missed} of {v.frames} | {v.late:.1f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    main(**vars(parser.parse_args()))
