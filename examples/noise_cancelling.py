"""Noise cancelling: speech freed from noise that a second microphone hears alone.

    python examples/noise_cancelling.py

The first microphone hears the noise through a room that nobody knows. NLMS makes the same noise from the reference
and takes it off: what the reference cannot explain, the error, is the speech (Widrow et al., Proc. IEEE 63(12), 1975).
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "noise_cancelling.png"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FS, TAPS = 8820, 128  # Hz, a fifth of the recording's 44.1 kHz


def voice(data: Path) -> np.ndarray:
    """Return a spoken sentence; coloured noise in syllables where there is none."""
    file = data / "xmas.wav"
    if not file.is_file():
        print(f"{file} is absent: a synthetic voice stands in")
        return 0.2 * np.maximum(signals.tones(3 * FS, 2.5, FS), 0) * signals.coloured(3 * FS, [1, -0.9], rng=2)
    import soundfile

    return resample_poly(soundfile.read(file)[0], 1, 5)


def main(out: Path = PICTURE, data: Path = DATA) -> float:
    """Cancel the noise, draw the three signals, and return the gain in dB over the second half."""
    speech = voice(data)
    noise = 0.2 * signals.coloured(speech.size, [1, -0.6], rng=0)
    recorded = speech + plants.room(TAPS, 0.02, rng=1, fs=FS)(noise)
    output = af.nlms(noise, recorded, TAPS, mu=0.05).e
    late = slice(speech.size // 2, None)
    before, after = (metrics.erle_db(speech[late], (signal - speech)[late]) for signal in (recorded, output))
    print(f"speech over noise: {before:.1f} dB before, {after:.1f} dB after: {after - before:.1f} dB gained")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), dpi=150, layout="constrained")
    rows = {"Recorded: speech and noise": recorded, "Truth: speech alone": speech, "Output": output}
    for ax, (title, signal) in zip(figure.subplots(3, 1, sharex=True, sharey=True), rows.items(), strict=True):
        plots.signals({"": signal}, fs=FS, ax=ax).set(title=title)
        ax.label_outer()
    figure.savefig(out)
    print(f"picture: {out}")
    return float(after - before)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
