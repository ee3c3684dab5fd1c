"""Echo in a measured room: one speaker alone, both at once, and a loudspeaker that is moved.

    python examples/echo.py

The far end speaks all the time, its echo comes through the room. From 4 to 6 s the near end speaks as loudly; at 7 s
the loudspeaker is moved. NLMS and FDAF follow the near end and lose the echo path, the Kalman filter of the canceller
falls still; the canceller then suppresses what the filter leaves.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve, resample_poly

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "echo.png"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FS = 16000
TAPS = 4096
Array = np.ndarray


def recordings(data: Path) -> tuple[Array, Array, Array]:
    """Return a far and a near speaker, and a room's impulse response; synthetic where there are no recordings."""
    if not data.is_dir():
        print(f"{data} is absent: coloured noise in bursts and a synthetic room stand in")
        bursts = np.repeat(np.random.default_rng(2).random(20) > 0.3, FS // 8)
        far, near = signals.coloured((2, bursts.size), [1, -0.9], rng=0) * 0.1 * bursts
        return far, near, plants.room(TAPS, 0.3, rng=1, fs=FS).b
    import soundfile

    speech, room = (soundfile.read(data / name)[0] for name in ("xmas.wav", "rir_clap.wav"))
    room = resample_poly(room, 160, 441)
    room = room[np.abs(room).argmax() - 20 :]
    return resample_poly(speech, 160, 441), resample_poly(speech, 176, 441), room / np.linalg.norm(room)


def scene(data: Path, scale: float) -> tuple[Array, Array, Array]:
    """Return far end, echo with noise, and near end, of 10 s times `scale`."""
    far, near, room = recordings(data)
    samples, at = int(10 * scale * FS), [int(scale * FS * t) for t in (4, 6, 7)]
    x, near = (np.tile(v, samples // v.size + 1)[:samples] for v in (far, near))
    moved = np.append(np.zeros(30), -room)[: room.size] * np.linspace(0.5, 1, room.size)
    first, then = (fftconvolve(x, 0.5 * h)[:samples] for h in (room, moved))
    heard = np.append(first[: at[2]], then[at[2] :])
    near = np.where((np.arange(samples) >= at[0]) & (np.arange(samples) < at[1]), near, 0)
    near *= np.linalg.norm(heard[at[0] : at[1]]) / np.linalg.norm(near)
    return x, signals.add_noise(heard, 40.0, rng=0), near


def main(out: Path = PICTURE, data: Path = DATA, scale: float = 1.0, sound: Path | None = None) -> dict[str, float]:
    """Cancel the echo in four ways, draw how, and return the echo's reduction in double talk in dB.

    With a folder `sound`, what the microphone hears and what the canceller leaves are written there.
    """
    x, heard, near = scene(data, scale)
    ec, linear = af.EchoCanceller(FS, TAPS), af.EchoCanceller(FS, TAPS, suppress=False)
    ways: dict[str, Callable[[Array, Array], Array]] = {
        "NLMS": lambda x, d: af.NLMS(TAPS, 0.5, eps=1e-3)(x, d).e,
        "FDAF": lambda x, d: af.FDAF(TAPS, 0.5, eps=1e-3)(x, d).e,
        "canceller, without suppression": linear,
        "canceller": lambda x, d: np.append(ec(x, d), ec(0 * x[: ec.latency], 0 * x[: ec.latency]))[ec.latency :],
    }
    left = {name: way(x, heard + near) - near for name, way in ways.items()}
    talk = slice(int(4 * scale * FS), int(6 * scale * FS))
    reduction = {name: float(metrics.erle_db(heard[talk], e[talk])) for name, e in left.items()}
    for name, value in reduction.items():
        print(f"{name:32} echo in double talk {value:5.1f} dB down")

    if sound is not None:
        import soundfile

        for name, signal in (("microphone", heard + near), ("cancelled", left["canceller"] + near)):
            soundfile.write(sound / f"echo_{name}.mp3", signal, FS)

    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), dpi=150, layout="constrained")
    waves, curves = figure.subplots(2, 1, sharex=True)
    microphone = {"microphone": heard + near, "canceller": left["canceller"] + near, "near end": near}
    plots.signals(microphone, fs=FS, ax=waves).set(title="What is heard, what is left, and what should be", xlabel="")
    for line, alpha in zip(waves.lines, (0.5, 1.0, 0.6), strict=True):
        line.set(alpha=alpha, linewidth=0.4)
    size = FS // 4
    powers = {name: np.mean(e[: e.size // size * size].reshape(-1, size) ** 2, -1) for name, e in left.items()}
    echo = np.mean(heard[: heard.size // size * size].reshape(-1, size) ** 2, -1)
    erle = {name: 10 * np.log10(echo / p) for name, p in powers.items()}
    plots.signals(erle, fs=FS / size, ax=curves).set(title="How far the echo is down", ylabel="ERLE (dB)")
    for ax in (waves, curves):
        ax.axvspan(4 * scale, 6 * scale, color="0.9", zorder=0)
        ax.axvline(7 * scale, color="0.5", linestyle="--", zorder=0)
    curves.text(5 * scale, curves.get_ylim()[1], "double talk", ha="center", va="top")
    curves.text(7 * scale, curves.get_ylim()[1], " moved", ha="left", va="top")
    figure.savefig(out)
    print(f"picture: {out}")
    return reduction


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    parser.add_argument("--sound", type=Path, help="folder for the sounds, as MP3; docs/static has them")
    main(**vars(parser.parse_args()))
