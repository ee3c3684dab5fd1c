"""The echo canceller's speed, beside AEC3's: processor time for a second of sound at 16 kHz, on one thread.

``python -m benchmarks.echo``. Whole calls of five seconds, and frames of 10 ms. AEC3 is measured where
pywebrtc-audio is installed; its suppressor cannot be switched off. Contenders take turns, and the
fastest turn of each counts.
"""

import argparse
import importlib.util
from collections.abc import Callable

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


def main() -> None:
    """Print milliseconds a second of sound, and how many times real time that is."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
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
