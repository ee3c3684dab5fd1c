"""The CPU engine against its peers, in one run on one thread: what `make bench` runs."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks import checks, report
from benchmarks.checks import Row
from benchmarks.ours import ours, ours_otherwise
from benchmarks.peers import PYTHON, load
from benchmarks.race import Race, race

TAPS = (8, 32, 128, 512, 2048)


def sweep_rows(algorithm: str, sweep: dict[int, Race]) -> Iterator[Row]:
    """Ratios at every number of taps, and where even the floor would not reach the goal."""
    goals = {"C, gcc -O3": 1.5, **dict.fromkeys(PYTHON, 150.0), "eager nn.Module + SGD": 3000.0}
    for other, goal in goals.items():
        ratios = [race.ns[other] / race.ns["adaptfilt"] for race in sweep.values() if other in race.ns]
        if ratios:
            found = " / ".join(f"{r:,.1f}" if r < 100 else f"{r:,.0f}" for r in ratios)
            for taps, race in sweep.items():
                floor = race.floor_ns(algorithm, taps)
                if floor and race.ns[other] < goal * floor:
                    found += f"; at {taps} taps the floor itself: {race.ns[other] / floor:,.0f}"
            reached = min(ratios) >= goal
            yield Row(f"{algorithm} against {other}", found, f"at least {goal:,g} times faster", reached)


def ratio_rows(what: str, result: Race, name: str, algorithm: str, goals: dict[str, float]) -> Iterator[Row]:
    """`name` against others at 32 taps."""
    for other, goal in goals.items():
        if other in result.ns:
            ratio = result.ns[other] / result.ns[name]
            found = f"{ratio:,.1f}: {result.ns[name]:,.0f} ns{result.over_floor(name, algorithm, 32)}"
            yield Row(f"{what} against {other}", found, f"at least {goal:g} times faster", ratio >= goal)


def nlms_rows(result: Race) -> Iterator[Row]:
    """What is measured against our own NLMS and the Python peers', at 32 taps."""
    for name in ("LMF", "SignError"):
        ratio = result.ns[name] / result.ns["NLMS"]
        found = f"{ratio:.2f}: {result.ns[name]:.1f} ns{result.over_floor(name, name, 32)}"
        yield Row(f"{name}, 32 taps, against our NLMS", found, "at most 1.5 times its time", ratio <= 1.5)
    ns = result.ns["update function"]
    ratio = result.ns.get("padasip", 0) / ns
    yield Row(
        "NLMS as an update function alone, 32 taps, against padasip",
        f"{ratio:.0f} times faster: {ns:.0f} ns{result.over_floor('update function', 'NLMS', 32)}",
        "at most 100 ns, or 15 times faster",
        ns <= 100 or ratio >= 15,
    )
    yield from ratio_rows("`step`, NLMS, 32 taps,", result, "step", "NLMS", {"pyroomacoustics": 2.0})
    for name in ("frames, NumPy", "frames, tensors"):
        us = result.ns[name] * 64 / 1e3
        found = f"{us:.1f} us a call{result.over_floor(name, 'NLMS', 32)}"
        yield Row(f"{name}: 64 samples, NLMS, 32 taps", found, "at most 15 us a call", us <= 15)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, help="the report, Markdown; printed when left out")
    arguments.add_argument("--plot", type=Path, help="the picture, PNG")
    arguments.add_argument("--long", action="store_true", help="10^8 samples for the drift, not 10^7")
    options = arguments.parse_args()
    torch.set_num_threads(1)

    peers, missing = load()
    contenders, agreement = {"adaptfilt": ours(), **peers}, {}

    def all_of(algorithm: str, taps: int) -> Race:
        entries = {name: (algorithm, peer) for name, peer in contenders.items() if algorithm in peer.runs}
        return race(taps, entries, agreement)

    sweeps = {algorithm: {taps: all_of(algorithm, taps) for taps in TAPS} for algorithm in ("LMS", "NLMS")}
    rows = [row for algorithm, sweep in sweeps.items() for row in sweep_rows(algorithm, sweep)]
    goals = {**dict.fromkeys(PYTHON, 20.0), "liquid-dsp": 40.0}
    rows += ratio_rows("RLS, 32 taps, float64,", all_of("RLS", 32), "adaptfilt", "RLS", goals)
    name = "AffineProjection"
    rows += ratio_rows(f"{name}(order=4), 32 taps,", all_of(name, 32), "adaptfilt", name, {"padasip": 10.0})
    others = ours_otherwise()
    entries = {name: ("NLMS", peers[name]) for name in ("padasip", "pyroomacoustics") if name in peers}
    entries |= {name: (next(iter(peer.runs)), peer) for name, peer in others.items()}
    rows += nlms_rows(race(32, entries, agreement))
    rows += checks.memory() + checks.drift(10**8 if options.long else 10**7)
    rows += checks.denormals() + checks.start_up()

    picture = None
    if options.plot:
        report.plot(sweeps, options.plot)
        picture = os.path.relpath(options.plot, options.out.parent if options.out else ".")
    page = report.markdown(sweeps, rows, agreement, {**contenders, **others}, missing, picture)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(page)
    else:
        print(page)


if __name__ == "__main__":
    main()
