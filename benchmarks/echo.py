"""The echo canceller's speed, beside AEC3's: processor time for a second of sound at 16 kHz, on one thread.

``python -m benchmarks.echo``; with ``--g168 PATHS.json``, the files of `adaptfilt.plants.g168`, what is left of ITU-T
G.168's tests 2A and 2B instead. Whole calls of five seconds, and frames of 10 ms. AEC3 is measured where pywebrtc-audio
is installed; its suppressor cannot be switched off. Contenders take turns, and the fastest turn of each counts.
"""

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import adaptfilt as af
from benchmarks.timing import interleave

FS, SECONDS, FRAME = 16000, 5, 160
BAR = 10.0  # ms a second: a hundred times real time
Array = np.ndarray


def sounds() -> tuple[Array, Array]:
    """Return a far end and a microphone that hears its echo, float32."""
    x = 0.1 * af.signals.coloured(SECONDS * FS, [1, -0.9], rng=0)
    room = 0.5 * af.plants.room(2000, 0.15, rng=1, fs=FS).b
    d = af.signals.add_noise(np.convolve(x, room)[: x.size], 40.0, rng=2)
    return x.astype(np.float32), d.astype(np.float32)


def in_frames(run: Callable[[Array, Array], object], x: Array, d: Array) -> None:
    """Run frame by frame."""
    for n in range(0, x.size, FRAME):
        run(x[n : n + FRAME], d[n : n + FRAME])


def contenders() -> dict[str, Callable[[], object]]:
    """Return what is timed, by its name."""
    x, d = sounds()
    whole, frames, linear = af.EchoCanceller(FS), af.EchoCanceller(FS), af.EchoCanceller(FS, suppress=False)
    calls: dict[str, Callable[[], object]] = {
        "EchoCanceller": lambda: whole(x, d),
        "EchoCanceller, linear": lambda: linear(x, d),
        "EchoCanceller, 10 ms": lambda: in_frames(frames, x, d),
    }
    if importlib.util.find_spec("pywebrtc_audio"):
        from pywebrtc_audio import AudioProcessor

        aec3 = AudioProcessor(sample_rate=FS, echo_cancellation=True)
        far, near = ((32767 * v).astype(np.int16) for v in (x, d))
        calls["AEC3, 10 ms"] = lambda: in_frames(lambda x, d: aec3.process(d, x), far, near)
    return calls


def g168(paths: Path) -> None:
    """Print the largest level over 35 ms, in dBm0, from 1 s on and 1 s after the path has changed, over four paths."""
    fs, zero = 8000, 10 ** (-3.14 / 20) / np.sqrt(2)  # the rms value of 0 dBm0
    h = [af.plants.g168(paths, name).b for name in ("D.2", "D.3", "D.4", "D.5")]
    x = 10 ** (-10 / 20) * zero * np.random.default_rng(0).standard_normal(20 * fs)
    echoes = [np.convolve(x, b)[: x.size] for b in h]
    filters: dict[str, Callable[[], Any]] = {
        "FDAF": lambda: af.FDAF(128, 0.5, block=32, dtype=torch.float64),
        "FDKF, A = 0.999": lambda: af.FDKF(128, block=32, dtype=torch.float64),
        "FDKF, A = 0.9999": lambda: af.FDKF(128, block=32, A=0.9999, dtype=torch.float64),
        "FDKF, A = 1": lambda: af.FDKF(128, block=32, A=1.0, dtype=torch.float64),
        "EchoCanceller, linear": lambda: af.EchoCanceller(fs, 128, suppress=False),
    }
    for name, make in filters.items():
        worst = []
        for i in range(len(h)):
            d = np.append(echoes[i][: 10 * fs], echoes[i - 1][10 * fs :])
            out = make()(x, d)
            e = out if isinstance(out, np.ndarray) else out.e
            parts = [e[at + fs : at + 10 * fs - 40].reshape(-1, 280) for at in (0, 10 * fs)]
            worst.append([20 * np.log10(np.sqrt(np.mean(v**2, -1)).max() / zero) for v in parts])
        print(f"{name:24}2A {np.max(worst, 0)[0]:7.1f} dBm0, 2B {np.max(worst, 0)[1]:7.1f} dBm0")
    print("bar: -65 dBm0; the echo stands at -10")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--g168", type=Path, metavar="PATHS.json", help="what is left of G.168's tests instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.g168:
        g168(args.g168)
    else:
        speed()


def speed() -> None:
    """Print milliseconds a second of sound, and how many times real time that is."""
    calls = contenders()
    for call in calls.values():
        call()  # compiles
    for name, seconds in interleave(calls, rounds=5).items():
        took = 1e3 * seconds / SECONDS
        print(f"{name:24}{took:8.2f} ms a second, {1e3 / took:6.0f} times real time")
    if "AEC3, 10 ms" not in calls:
        print("AEC3: not installed (pip install pywebrtc-audio)")
    print(f"bar: EchoCanceller under {BAR:.0f} ms a second")


if __name__ == "__main__":
    main()
