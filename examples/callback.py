"""Real time: a filter in the callback of a sound card, frame by frame.

    python examples/callback.py

`Callback` is what sounddevice calls with every frame: ``sounddevice.Stream(samplerate=48000, blocksize=128, channels=2,
callback=Callback(af.NLMS(1024), 128))``. PyAudio's takes and gives bytes; ``numpy.frombuffer`` is all that it needs
besides. Whatever is slow only once, compiling above all, is done when it is made. Here no sound card is asked for:
frames are given one after the other, and the time that each takes is drawn. benchmarks/callback.py keeps their pace.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import adaptfilt as af
from adaptfilt import plants, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "callback.png"
FS = 48000
FRAMES = (64, 128, 256, 480)


class Callback:
    """What a sound card calls: channel 0 is the microphone, channel 1 the reference; what is left goes out on both.

    Parameters
    ----------
    f : filter
        Any filter of one input and one output.
    frame : int
        Samples a frame.
    """

    def __init__(self, f: Any, frame: int) -> None:
        self.f = f
        self.x, self.d = np.zeros((2, frame), np.float32)
        for _ in range(4):  # compile, or load, and look over
            f(self.x, self.d)
        f.reset()
        self.lost = 0

    def __call__(self, indata: np.ndarray, outdata: np.ndarray, frames: int, when: Any, status: Any) -> None:
        """Take one frame, (frames, 2), and write the next."""
        self.d[:] = indata[:, 0]
        self.x[:] = indata[:, 1]
        try:
            outdata[:] = self.f(self.x, self.d).e[:, None]
        except (af.DivergenceError, ValueError):  # the state is as before: play silence, and begin anew
            outdata[:] = 0
            self.f.reset()
            self.lost += 1


def recording(seconds: float) -> np.ndarray:
    """Return a microphone that hears a reference through a room, and the reference, (T, 2)."""
    x = 0.1 * signals.coloured(int(seconds * FS), [1, -0.9], rng=0)
    return np.stack([signals.add_noise(plants.room(1024, 0.02, rng=1, fs=FS)(x), 30.0, rng=2), x], -1)


def main(out: Path = PICTURE, seconds: float = 2.0) -> dict[int, float]:
    """Time every frame, draw how long they take, and return the load in per cent of each frame size."""
    heard = recording(seconds).astype(np.float32)
    took = {}
    for frame in FRAMES:
        callback, played, times = Callback(af.NLMS(1024), frame), np.zeros((frame, 2), np.float32), []
        for n in range(0, len(heard) - frame, frame):
            start = time.perf_counter()
            callback(heard[n : n + frame], played, frame, None, None)
            times.append(time.perf_counter() - start)
        took[frame] = np.array(times) / (frame / FS)
        print(f"frames of {frame}: load {100 * took[frame].mean():.1f} %, {callback.lost} frames lost")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    ax = figure.subplots()
    for frame, parts in took.items():
        rank = 1 - np.arange(1, parts.size + 1) / (parts.size + 1)
        ax.loglog(100 * np.sort(parts), rank, label=f"{frame} samples")
    ax.axvline(100, color="0.6", linestyle=":", label="deadline")
    ax.set(xlabel="time of a frame, per cent of its length", ylabel="part of frames that take longer")
    ax.set_title("NLMS of 1,024 taps at 48 kHz")
    ax.grid(alpha=0.3)
    ax.legend()
    figure.savefig(out)
    print(f"picture: {out}")
    return {frame: float(100 * parts.mean()) for frame, parts in took.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
