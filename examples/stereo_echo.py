"""Stereo echo: two loudspeakers that play one voice, and why half waves help.

    python examples/stereo_echo.py

Two people speak in turn in the far room, each heard by its two microphones. The filter's two responses have one voice
to learn from: it cancels the echo, but with weights that hold for this speaker's place alone, and when the other one
speaks, the echo is back. With `echo.decorrelate` before the loudspeakers it finds the paths themselves.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve

import adaptfilt as af
from adaptfilt import echo, metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "stereo_echo.png"
FS, TAPS, TURN = 16000, 512, 5  # Hz, taps, seconds
Array = np.ndarray


def played(scale: float) -> tuple[Array, int]:
    """Return both channels, (2, T), and the sample at which the other one speaks."""
    turn = int(scale * TURN * FS)
    voices = signals.coloured((4, turn), [1, -0.9], rng=0) * 0.1
    places = [[plants.room(400, 0.05, rng=2 * i + c, fs=FS).b for c in range(2)] for i in range(2)]
    parts = [np.stack([fftconvolve(voices[i], g)[:turn] for g in places[i % 2]]) for i in range(4)]
    return np.concatenate(parts, -1), turn


def main(out: Path = PICTURE, scale: float = 1.0) -> dict[str, float]:
    """Cancel with and without half waves, draw how, and return the misalignment at the end in dB."""
    x, turn = played(scale)
    paths = np.stack([0.5 * plants.room(TAPS, 0.04, rng=10 + c, fs=FS).b for c in range(2)])
    every = FS // 20
    missed: dict[str, Array] = {}
    reduction: dict[str, Array] = {}
    for name, alpha in (("one voice", 0.0), ("with half waves, alpha = 0.5", 0.5)):
        sent = echo.decorrelate(x, alpha)
        heard = sum(fftconvolve(v, h)[: v.size] for v, h in zip(sent, paths, strict=True))
        f = af.FDKF(TAPS, block=128, hop=64, A=0.9999, inputs=2)
        _, e, w = f(sent, signals.add_noise(heard, 40.0, rng=0), record_every=every)
        found = np.moveaxis(w, -2, 0)  # (records, 2, taps)
        missed[name] = metrics.misalignment_db(found.reshape(len(found), -1), paths.ravel())
        echoes, left = ((v[: len(found) * every].reshape(-1, every) ** 2).mean(-1) for v in (heard, e))
        reduction[name] = 10 * np.log10(echoes / left)
        print(f"{name:32} misalignment {missed[name][-1]:5.1f} dB at the end")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), dpi=150, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    plots.signals(reduction, fs=FS / every, ax=upper).set(
        title="How far the echo is down", ylabel="ERLE (dB)", xlabel=""
    )
    plots.signals(missed, fs=FS / every, ax=lower).set(title="Distance from the paths", ylabel="misalignment (dB)")
    for ax in (upper, lower):
        for at in range(turn, x.shape[-1], turn):
            ax.axvline(at / FS, color="0.5", linestyle="--", zorder=0)
    upper.text(turn / FS, upper.get_ylim()[0], " the other one speaks", ha="left", va="bottom")
    figure.savefig(out)
    print(f"picture: {out}")
    return {name: float(v[-1]) for name, v in missed.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
