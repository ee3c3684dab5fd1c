"""Beamformer: eight microphones that listen ahead, and learn where the disturbance comes from.

    python examples/beam_pattern.py

Frost's filter keeps a gain of one for what comes from ahead, and makes all else as quiet as it can. A generalised
sidelobe canceller does the same with parts that anybody has: the sum of the microphones, differences of neighbours,
which ahead is no part of, and NLMS from the differences to the sum (Frost 1972; Griffiths and Jim 1982).
"""

import argparse
from pathlib import Path

import numpy as np

import adaptfilt as af
from adaptfilt import signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "beam_pattern.png"
FS, SOUND, MICROPHONES, SPACING, TAPS = 8000, 343.0, 8, 0.04, 32  # Hz, m/s, -, m, -
BAND = np.linspace(500, 3400, 40)  # Hz
FROM = 40.0  # degrees


def arrivals(degrees: float, frequency: np.ndarray) -> np.ndarray:
    """Return what each microphone hears of a wave, (microphones, frequencies)."""
    place = SPACING * (np.arange(MICROPHONES) - (MICROPHONES - 1) / 2)
    delay = place * np.sin(np.radians(degrees)) / SOUND
    return np.exp(-2j * np.pi * delay[:, None] * frequency)


def wave(source: np.ndarray, degrees: float) -> np.ndarray:
    """Return what each microphone hears of a source, (microphones, T), as if it went round and round."""
    spectrum = np.fft.rfft(source)
    return np.fft.irfft(spectrum * arrivals(degrees, np.fft.rfftfreq(source.size, 1 / FS)), source.size)


def pattern_db(w: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Return the power that comes through from each direction, in the mean over the band, in dB."""
    response = w @ np.exp(-2j * np.pi * np.arange(w.shape[-1])[:, None] * BAND / FS)  # (microphones, frequencies)
    power = [np.mean(np.abs(np.sum(response * arrivals(angle, BAND), 0)) ** 2) for angle in degrees]
    return 10 * np.log10(power)


def main(out: Path = PICTURE) -> dict[str, float]:
    """Let both learn, draw their patterns, and return the gain towards the disturbance in dB."""
    samples, middle = 6 * FS, TAPS // 2
    wanted, disturbance = 0.1 * signals.white((2, samples), rng=0) * [[1.0], [10.0]]
    x = wave(wanted, 0.0) + wave(disturbance, FROM) + 0.003 * signals.white((MICROPHONES, samples), rng=1)

    ahead = np.eye(TAPS)[:, None].repeat(MICROPHONES, 1)  # the sum over the microphones, tap by tap
    frost = af.Frost(TAPS, 4e-4, ahead, np.eye(1, TAPS, middle)[0], inputs=MICROPHONES)
    frost(x)

    total = np.zeros((MICROPHONES, TAPS))
    total[:, middle] = 1 / MICROPHONES
    canceller = af.NLMS(TAPS, 0.05, inputs=MICROPHONES - 1)
    canceller(x[1:] - x[:-1], signals.delay(x.mean(0), middle))
    inside = np.pad(canceller.w.numpy(), ((1, 1), (0, 0)))
    sidelobe = total - (inside[:-1] - inside[1:])

    angles = np.linspace(-90, 90, 361)
    beams = {"sum of the microphones": total, "Frost": frost.w.numpy(), "sidelobe canceller": sidelobe}
    patterns = {name: pattern_db(w, angles) for name, w in beams.items()}
    towards = {name: float(pattern_db(w, np.array([FROM]))[0]) for name, w in beams.items()}
    for name, gain in towards.items():
        print(f"{name}: {gain:.1f} dB towards the disturbance, {pattern_db(beams[name], np.zeros(1))[0]:.1f} dB ahead")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    ax = figure.subplots()
    for name, pattern in patterns.items():
        ax.plot(angles, pattern, label=name)
    ax.axvline(FROM, color="0.6", linestyle=":", label="disturbance")
    ax.set(xlabel="direction, degrees", ylabel="gain, dB", ylim=(-45, 5), title="500 to 3,400 Hz", xlim=(-90, 90))
    ax.grid(alpha=0.3)
    ax.legend(loc="lower left")
    figure.savefig(out)
    print(f"picture: {out}")
    return towards


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
