"""What is not a race: memory, drift, denormals, start-up."""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

import adaptfilt as af
from benchmarks.timing import interleave


class Row(NamedTuple):
    """One line of the report's table of goals; `reached` is None where it was not measured."""

    what: str
    found: str
    goal: str
    reached: bool | None


def memory() -> list[Row]:
    """Peak of the resident set during one call, over what it was before."""
    goal, rows = "at most the outputs and 4 MiB", []
    for taps in (32, 2048):
        what = f"memory of a call, 2^22 samples, NLMS, {taps} taps"
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:  # freed memory used again would not show
            try:
                growth, outputs = fresh.submit(peak_growth, taps, 1 << 22).result()
            except OSError as error:
                rows.append(Row(what, f"not measured here: {error}", goal, None))
                continue
        found = f"peak {growth / 2**20:.1f} MiB, outputs {outputs / 2**20:.1f} MiB"
        rows.append(Row(what, found, goal, growth <= outputs + 4 * 2**20))
    return rows


def peak_growth(taps: int, samples: int) -> tuple[int, int]:
    """Bytes at the peak of one call, and of its outputs; Linux forgets the old peak on a 5 in clear_refs."""
    x, d = np.random.default_rng(0).standard_normal((2, samples), dtype=np.float32)
    f = af.NLMS(taps)
    f(x[:65536], d[:65536])
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    y, e, _ = f(x, d)
    return resident("VmHWM") - before, y.nbytes + e.nbytes


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def drift(samples: int, taps: int = 32, mu: float = 0.5, eps: float = 1e-3) -> list[Row]:
    """NLMS over calls of 10^7 samples with bursts of 60 dB; its energy is read off one last, huge error."""
    rng = np.random.default_rng(0)
    h = rng.standard_normal(taps)
    f, past = af.NLMS(taps, mu, eps=eps), np.zeros(taps - 1)

    def signal(length: int, bursts: bool) -> tuple[np.ndarray, np.ndarray]:
        nonlocal past
        x = rng.standard_normal(length, dtype=np.float32)
        x[: bursts * length // 2 : 1000] *= 1000
        d, past = lfilter(h, 1, x, zi=past)
        return x, (d + 0.01 * rng.standard_normal(length)).astype(np.float32)

    def misalignment_db() -> float:
        w = f(*signal(100_000, False), record_every=100).w[500:]
        return float(10 * np.log10(np.mean(np.sum((w - h) ** 2, axis=-1)) / (h @ h)))

    early = misalignment_db()
    for _ in range(samples // 10**7 - 1):
        f(*signal(10**7, True))
    late = misalignment_db()
    x, d = signal(10**7, True)
    d[-1] += 1e6
    _, e, w = f(x, d)
    u = x[: -taps - 1 : -1].astype(np.float64)
    true = u @ u
    seen = mu * float(e[-1]) * true / ((w - h) @ u) - eps
    off, what = abs(seen / true - 1), f"10^{np.log10(samples):.0f} samples of NLMS, {taps} taps, float32"
    found = f"{late:.2f} dB, at 10^5 {early:.2f} dB"
    return [
        Row(f"{what}: regressor energy at the end", f"off by {off:.1e}", "at most 1e-5", off <= 1e-5),
        Row(f"{what}: misalignment", found, "within 0.5 dB", abs(late - early) <= 0.5),
    ]


def denormals(taps: int = 32, samples: int = 32768) -> list[Row]:
    """A tail from 1e-36 down to nothing, and weights that leak away in silence, against normal input."""
    x, d = np.random.default_rng(0).standard_normal((2, samples), dtype=np.float32)
    fade = np.geomspace(1e-36, 1e-46, samples)
    tail = (x * fade).astype(np.float32), (d * fade).astype(np.float32)
    silence, tiny = np.zeros(samples, np.float32), np.full(taps, 1e-40, np.float32)
    rows = []
    for name, make in (("LMS", lambda: af.LMS(taps, 0.5 / taps)), ("NLMS", lambda: af.NLMS(taps))):
        normal, faded = make(), make()
        faded(x, d)
        seconds = interleave({"normal": lambda f=normal: f(x, d), "other": lambda f=faded: f(*tail)})
        rows.append(times_row(f"{name}: a tail that decays into denormals, against normal input", seconds))
    normal, leaky = (af.LMS(taps, 0.5 / taps, leak=1e-4) for _ in range(2))

    def leak_away() -> None:
        leaky.w = tiny
        leaky(silence, silence)

    seconds = interleave({"normal": lambda: normal(x, d), "other": leak_away})
    rows.append(times_row("LMS: denormal weights that leak away in silence, against normal input", seconds))
    return rows


def times_row(what: str, seconds: dict[str, float]) -> Row:
    ratio = seconds["other"] / seconds["normal"]
    return Row(what, f"{ratio:.2f} times the time", "at most 1.5 times", ratio <= 1.5)


def start_up() -> list[Row]:
    """A first process with an empty cache compiles; a second one loads what the first has kept."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "ADAPTFILT_CACHE": cache, "NUMBA_CACHE_DIR": cache}
        first, second = (child(environment) for _ in range(2))
    loaded = ", ".join(second["late"]) or "none"
    found = f"{second['import'] * 1e3:.0f} ms; loaded: {loaded}; threads started: {second['threads']}"
    goal = "none of numba, triton, matplotlib loaded, no thread started"
    nothing = not second["late"] and not second["threads"]
    rows = [Row("import adaptfilt, torch being there", found, goal, nothing)]
    for name in ("LMS", "NLMS", "RLS"):
        rows.append(
            Row(
                f"first call of a process, {name}",
                f"{second[name] * 1e3:.0f} ms; {first[name]:.1f} s where it must compile",
                "under 0.3 s from the second process on",
                second[name] < 0.3,
            )
        )
    return rows


def child(environment: dict[str, str]) -> dict:
    command = [sys.executable, "-m", "benchmarks.first_call"]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)
