"""What was measured, as a page and as a picture."""

import os
import platform
import subprocess
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.checks import Row
from benchmarks.peers import PACKAGES, Peer
from benchmarks.race import Race

LIMITS = Path(__file__).parent / "limits.md"
PINNED = ("torch", "numpy", "numba", "padasip", "pyroomacoustics", "adafilt", "pydaptivefiltering")

INTRODUCTION = """\
Everything is measured in one run, in one process, on one thread. Contenders take turns, eleven times round,
and the fastest turn of each counts, in processor time of the process: ratios hold on a shared machine,
absolute figures do not carry over to another. Blocks are 32,768 samples, ours in float32; slower contenders
get fewer (liquid-dsp 8,192, Python 4,096, the eager loop 256), after which their time a sample stays the
same within 8 %. Bringing the signal into a contender's own form is not counted, nor is compilation, which
stands under *first call*. Before anything is timed, each contender's errors and last weights are compared
with the recursion in float64; one that disagrees stops the run.

The floor is the multiply-adds of one sample (2 a tap for LMS and NLMS: one for the output, one for the
update) at the rate that 12 independent chains of multiply-adds reach in this machine's registers, measured
beside each row."""


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return f"{(names or [platform.processor()])[0]}, {os.cpu_count()} cores, {platform.system()}"


def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in PINNED:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    try:
        gcc = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True)
        found.append(f"gcc {gcc.stdout.strip()}")
    except OSError:
        pass
    return ", ".join(found)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(ns: float) -> str:
    return f"{ns:.1f}" if ns < 100 else f"{ns:,.0f}"


def sweep_table(sweep: dict[int, Race], algorithm: str) -> str:
    """Contenders by taps, nanoseconds a sample, fastest at 32 taps first, and ours over the floor."""
    names = sorted({n for race in sweep.values() for n in race.ns}, key=lambda n: sweep[32].ns[n])
    rows = [[name, *(number(race.ns[name]) for race in sweep.values())] for name in names]
    floors = [race.floor_ns(algorithm, taps) for taps, race in sweep.items()]
    if None not in floors:
        rows.append(["the floor", *(number(f) for f in floors)])
        over = [race.ns["adaptfilt"] / floor for race, floor in zip(sweep.values(), floors, strict=True)]
        rows.append(["ours, times the floor", *(f"{ratio:.1f}" for ratio in over)])
    return table(["taps", *(str(taps) for taps in sweep)], rows)


def mark(row: Row) -> str:
    return {True: "yes", False: "**no**", None: "not measured"}[row.reached]


def markdown(
    sweeps: dict[str, dict[int, Race]],
    rows: list[Row],
    agreement: dict[str, float],
    contenders: dict[str, Peer],
    missing: dict[str, str],
    picture: str | None,
) -> str:
    """The whole page."""
    tables = [
        f"### {algorithm}, nanoseconds a sample\n\n{sweep_table(sweep, algorithm)}"
        for algorithm, sweep in sweeps.items()
    ]
    agreed = []
    for name, off in agreement.items():
        peer = contenders[name]
        agreed.append([name, f"{off:.0e}", f"{peer.tolerance:.0e}", peer.note])
    taps = " / ".join(str(taps) for taps in next(iter(sweeps.values())))
    goals = [[row.what, row.found, row.goal, mark(row)] for row in rows]
    parts = [
        "# Benchmarks",
        f"Written by `make bench` on {date.today()}: {machine()}. {versions()}.",
        INTRODUCTION,
        "## Time a sample",
        f"![Time a sample against taps]({picture})" if picture else "",
        *tables,
        "## Goals",
        f"Ratios over several numbers of taps stand in the order {taps}.",
        table(["what", "found", "to reach", "reached"], goals),
        "## Agreement",
        "The largest difference of the errors over the rms of d, or of the last weights over their norm.",
        table(["contender", "off by", "tolerance", "what to know"], agreed),
        "## Not measured here" if missing else "",
        table(["contender", "why"], [list(item) for item in missing.items()]) if missing else "",
        LIMITS.read_text().strip() if LIMITS.exists() else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plot(sweeps: dict[str, dict[int, Race]], path: Path) -> None:
    """Time a sample against taps, a panel an algorithm."""
    figure, axes = plt.subplots(1, len(sweeps), figsize=(11, 5), sharey=True, layout="constrained")
    names = ["adaptfilt", *PACKAGES]
    colours = dict(zip(names, ["C3", "C0", "C9", "C1", "C2", "C4", "C5", "C6", "0.2"], strict=True))
    for ax, (algorithm, sweep) in zip(axes, sweeps.items(), strict=True):
        for name in names:
            points = [(taps, race.ns[name]) for taps, race in sweep.items() if name in race.ns]
            if points:
                width = 2.5 if name == "adaptfilt" else 1.2
                ax.loglog(*zip(*points, strict=True), ".-", color=colours[name], label=name, linewidth=width)
        floors = [(taps, race.floor_ns(algorithm, taps)) for taps, race in sweep.items()]
        if floors[0][1] is not None:
            ax.loglog(*zip(*floors, strict=True), "--", color="0.6", label="floor: multiply-adds")
        ax.set_xticks(list(sweep), [str(taps) for taps in sweep])
        ax.minorticks_off()
        ax.grid(color="0.9")
        ax.set(title=algorithm, xlabel="taps")
    axes[0].set_ylabel("time a sample (ns)")
    handles, labels = axes[-1].get_legend_handles_labels()  # the last panel has every contender
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
