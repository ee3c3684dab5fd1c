"""A measured room found from real speech: a long NLMS filter, and what pre-emphasis does for it.

    python examples/measured_room.py

Speech is far from white: it excites low frequencies strongly and high ones hardly, and NLMS learns each as
fast as it is excited. The difference x[n] - .9 x[n-1] of both signals leaves the room between them as it is
and evens the spectrum out. The speaker repeats the sentence; the noise lies 40 dB below the echo.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve, lfilter, resample_poly

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "measured_room.png"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FS = 8820  # Hz, a fifth of the recordings' 44.1 kHz


def recordings(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return speech and the room's impulse response, of unit energy; synthetic where there are none."""
    if not data.is_dir():
        print(f"{data} is absent: coloured noise and a synthetic room stand in")
        return signals.coloured(2 * FS, [1, -0.9], rng=0), plants.room(FS // 2, 0.4, rng=1, fs=FS).b
    import soundfile

    speech, room = (soundfile.read(data / name)[0] for name in ("xmas.wav", "rir_clap.wav"))
    room = resample_poly(room, 1, 5)
    return resample_poly(speech, 1, 5), room / np.linalg.norm(room)


def main(out: Path = PICTURE, data: Path = DATA, repeats: int = 5, taps: int = 3528) -> dict[str, float]:
    """Identify the room, draw it and the way there, and return the misalignments in dB."""
    speech, room = recordings(data)
    x = np.tile(speech, repeats)
    d = signals.add_noise(fftconvolve(x, room)[: x.size], 40.0, rng=0)

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), dpi=150, layout="constrained")
    response, way = figure.subplots(2, 1)
    every, distance = FS // 20, {}
    for name, emphasis in (("speech as it is", 0.0), ("pre-emphasis", 0.9)):
        f = af.NLMS(taps, mu=0.5, eps=1e-2)
        x_in, d_in = (lfilter([1, -emphasis], 1, signal) for signal in (x, d))
        _, e, history = f(x_in, d_in, record_every=every)
        distance[name] = metrics.misalignment_db(history, room)
        erle = metrics.erle_db(d_in[-FS:], e[-FS:])
        print(f"{name:16} misalignment {distance[name][-1]:.1f} dB; last second's echo {erle:.1f} dB down")
    start = FS // 25
    plots.impulse_response(history[-1, :start], room[:start], fs=FS, ax=response)
    plots.signals(distance, fs=FS / every, ax=way).set(ylabel="misalignment (dB)")
    response.set_title("The first 40 ms of the room, found with pre-emphasis")
    way.set_title(f"The way there: NLMS, mu = 0.5, {taps} taps at {FS} Hz")
    figure.savefig(out)
    print(f"picture: {out}")
    return {name: float(curve[-1]) for name, curve in distance.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
