"""The frequency-domain filters beside SpeexDSP, adafilt and pyroomacoustics, and what a frame costs from Python.

``python -m benchmarks.frequency``: nanoseconds a sample of 5 s of sound at 16 kHz, one call, blocks of 256, float32, on
one thread. SpeexDSP's `mdf` runs in a loop in C (`c_speex.c`, built here: libspeexdsp-dev), with its two paths, which
cannot be switched off. Contenders take turns, and the fastest turn of each counts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import adaptfilt as af
from benchmarks.echo import Speex, as_int16, sounds
from benchmarks.timing import interleave

BLOCK = 256
TAPS = (1024, 4096, 16384)
BARS = {"FDAF": (4.0, 5.0, 6.0), "FDAF, full": (0.0, 2.0, 0.0), "FDKF": (4.0, 4.3, 4.5)}  # times as fast as SpeexDSP
PEERS_BAR = 15.0
FRAMES = {"frame of 64": (1024, 64, 15.0), "10 ms, 4,096 taps": (4096, 160, 50.0)}  # taps, samples, us to reach
Calls = dict[str, Callable[[], object]]


def ours(taps: int) -> dict[str, Any]:
    """Return filters by name."""
    common: dict[str, Any] = {"block": BLOCK, "constraint": "alternate"}
    return {
        "FDAF": af.FDAF(taps, 0.5, **common),
        "FDAF, full": af.FDAF(taps, 0.5, block=BLOCK, constraint="full"),
        "FDKF": af.FDKF(taps, **common),
    }


def python_peers() -> Calls:
    """Return the frequency-domain filters of packages from PyPI, on 16 blocks, by name."""
    from adafilt import FastBlockLMSFilter
    from pyroomacoustics.adaptive import SubbandLMS

    x, d = (v[: 16 * BLOCK].astype(float) for v in sounds())
    calls: Calls = {}
    for taps in (BLOCK, 1024):
        f = FastBlockLMSFilter(taps, BLOCK, stepsize=0.1)
        calls[f"adafilt, {taps}"] = lambda f=f: f(x, d)
    subband = SubbandLMS(num_taps=8, num_bands=BLOCK + 1, mu=0.1)
    spectra = [np.fft.rfft(v.reshape(-1, BLOCK), 2 * BLOCK) for v in (x, d)]

    def subbands() -> None:
        for X, D in zip(*spectra, strict=True):
            subband.update(X, D)

    calls["pyroomacoustics, SubbandLMS"] = subbands
    return calls


def against_speex() -> None:
    """Print a table of nanoseconds a sample, and how many times SpeexDSP's."""
    x, d = sounds()
    far, near = as_int16(x, d)
    for i, taps in enumerate(TAPS):
        calls: Calls = {name: lambda f=f: f(x, d) for name, f in ours(taps).items()}
        speex = Speex(taps, BLOCK)
        calls["SpeexDSP"] = lambda speex=speex: speex(far, near)
        for call in calls.values():
            call()  # compiles
        took = {name: 1e9 * v / x.size for name, v in interleave(calls).items()}
        for name, value in took.items():
            bar = BARS.get(name, (0.0,) * 3)[i]
            reached = f", to reach: {bar}" if bar else ""
            print(f"{taps:6} taps, {name:12}{value:7.1f} ns a sample, {took['SpeexDSP'] / value:5.1f} times{reached}")


def against_python() -> None:
    """Print how many times as fast as the peers from PyPI ours is, at their sizes."""
    calls = python_peers()
    x, d = (v[: 16 * BLOCK] for v in sounds())
    for taps in (BLOCK, 1024):
        f = af.FDAF(taps, 0.1, block=BLOCK)
        calls[f"ours, {taps}"] = lambda f=f: f(x, d)
    for call in calls.values():
        call()
    took = {name: 1e9 * v / x.size for name, v in interleave(calls).items()}
    for name, value in took.items():
        print(f"{name:30}{value:9.1f} ns a sample")


def frames() -> None:
    """Print microseconds a frame from Python, hops' updates included."""
    x, d = sounds()
    calls: Calls = {}
    for name, (taps, size, _) in FRAMES.items():
        for kind in ("FDAF", "FDKF"):
            pairs = [(x[n : n + size], d[n : n + size]) for n in range(0, 64 * size, size)]
            f = ours(taps)[kind]

            def call(f: Any = f, pairs: Any = pairs) -> None:
                for pair in pairs:
                    f(*pair)

            calls[f"{kind}, {name}"] = call
    for call in calls.values():
        call()
    for name, seconds in interleave(calls).items():
        print(f"{name:30}{1e6 * seconds / 64:7.1f} us, to reach: {FRAMES[name.split(', ', 1)[1]][2]:.0f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    against_speex()
    against_python()
    frames()
