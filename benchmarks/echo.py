"""The echo canceller's speed, beside AEC3's and SpeexDSP's: processor time for a second of sound at 16 kHz.

``python -m benchmarks.echo``, on one thread, in whole calls of five seconds and in frames of 10 ms; contenders take
turns, and the fastest turn of each counts. ``--levels``: how far each takes the echo down in the scene of
``examples/echo.py``, instead. ``--g168 PATHS.json``, the files of `adaptfilt.plants.g168`: what is left of tests 2A and
2B of ITU-T G.168. AEC3 comes with pywebrtc-audio, its suppressor cannot be switched off; SpeexDSP's canceller, which
has none, is built here from `c_speex.c` where libspeexdsp-dev is installed.
"""

import argparse
import ctypes
import importlib.util
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import adaptfilt as af
from benchmarks.peers import compiled, pointer
from benchmarks.timing import interleave

FS, SECONDS, FRAME, TAPS = 16000, 5, 160, 4096
SCENE = Path(__file__).resolve().parents[1] / "examples" / "echo.py"
PARTS = {"far end alone": (2, 4), "after double talk": (6.1, 7), "path changed": (7, 8), "1 s later": (8, 10)}  # s
BAR = 10.0  # ms a second: a hundred times real time
Array = np.ndarray


def sounds() -> tuple[Array, Array]:
    """Return a far end and a microphone that hears its echo, float32."""
    x = 0.1 * af.signals.coloured(SECONDS * FS, [1, -0.9], rng=0)
    room = 0.5 * af.plants.room(2000, 0.15, rng=1, fs=FS).b
    d = af.signals.add_noise(np.convolve(x, room)[: x.size], 40.0, rng=2)
    return x.astype(np.float32), d.astype(np.float32)


class Speex:
    """SpeexDSP's canceller: what it leaves of int16 signals, a whole number of frames."""

    def __init__(self, taps: int, frame: int = FRAME) -> None:
        self.library, self.frame = compiled("c_speex.c", "-lspeexdsp"), frame
        self.library.make.restype = ctypes.c_void_p
        self.state = ctypes.c_void_p(self.library.make(frame, taps, FS))

    def __call__(self, x: Array, d: Array) -> Array:
        """Return what is left of d."""
        out = np.zeros_like(d)
        self.library.run(self.state, pointer(d), pointer(x), pointer(out), d.size, self.frame)
        return out


def others() -> dict[str, Callable[[Array, Array], Array]]:
    """Return the cancellers of others that are here, on int16 signals, by name."""
    found: dict[str, Callable[[Array, Array], Array]] = {}
    if importlib.util.find_spec("pywebrtc_audio"):
        from pywebrtc_audio import EchoCanceller

        aec3 = EchoCanceller(sample_rate=FS)
        found["AEC3"] = lambda x, d: aec3.process(d, x)
    try:
        found["SpeexDSP"] = Speex(TAPS)
    except OSError as error:
        print(f"SpeexDSP: {error}")
    return found


def in_frames(run: Callable[[Array, Array], Array], x: Array, d: Array) -> Array:
    """Run frame by frame."""
    return np.concatenate([run(x[n : n + FRAME], d[n : n + FRAME]) for n in range(0, x.size, FRAME)])


def as_int16(*signals: Array) -> list[Array]:
    return [np.rint(32767 * np.clip(v, -1, 1)).astype(np.int16) for v in signals]


def contenders() -> dict[str, Callable[[], object]]:
    """Return what is timed, by its name."""
    x, d = sounds()
    whole, frames, linear = (af.EchoCanceller(FS, TAPS, suppress=s) for s in (True, True, False))
    calls: dict[str, Callable[[], object]] = {
        "EchoCanceller": lambda: whole(x, d),
        "EchoCanceller, linear": lambda: linear(x, d),
        "EchoCanceller, 10 ms": lambda: in_frames(frames, x, d),
    }
    far, near = as_int16(x, d)
    for name, run in others().items():
        calls[f"{name}, 10 ms"] = lambda run=run: in_frames(run, far, near)
    return calls


def levels() -> None:
    """Print how far the echo is down, in dB, where the near end is silent; it speaks from 4 to 6 s."""
    example = runpy.run_path(str(SCENE))
    x, heard, near = example["scene"](example["DATA"], 1.0)
    ways = {
        "EchoCanceller": af.EchoCanceller(FS, TAPS),
        "EchoCanceller, linear": af.EchoCanceller(FS, TAPS, suppress=False),
    }
    ways["FDKF"] = lambda x, d: af.FDKF(TAPS)(x, d).e
    ways["FDAF, mu = 0.5"] = lambda x, d: af.FDAF(TAPS, 0.5, eps=1e-3)(x, d).e
    far, microphone = as_int16(x, heard + near)
    print(f"{'':24}" + "".join(f"{k:>20}" for k in PARTS))
    for name, run in {**ways, **others()}.items():
        own = name in ways
        out = run(x, heard + near) if own else in_frames(run, far, microphone) / 32767
        down = [af.metrics.erle_db(heard[int(a * FS) : b * FS], out[int(a * FS) : b * FS]) for a, b in PARTS.values()]
        print(f"{name:24}" + "".join(f"{v:20.1f}" for v in down))


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
    parser.add_argument("--levels", action="store_true", help="how far the echo is down instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.g168:
        g168(args.g168)
    elif args.levels:
        levels()
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
