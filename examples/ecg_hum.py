"""Mains hum taken out of a real ECG: the noise canceller of two weights.

    python examples/ecg_hum.py

The reference is not recorded but made: a cosine and a sine at the mains frequency, .05 of the sampling rate.
Two LMS weights turn them into a hum of any amplitude and phase, and follow the mains, which is never quite at
its nominal frequency. What they cannot make, the ECG, is the error: a notch, as narrow as mu is small.

B. Widrow et al., "Adaptive noise cancelling: principles and applications", Proc. IEEE 63(12), 1975.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import lfilter, welch
from scipy.signal.windows import gaussian

import adaptfilt as af
from adaptfilt import plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "ecg_hum.png"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FS, MAINS = 1000.0, 50.0  # Hz


def recording(data: Path) -> np.ndarray:
    """Return the ECG with hum, in the units of its converter; synthetic where there is none."""
    file = data / "ecg50hz.dat"
    if file.is_file():
        return np.loadtxt(file)
    print(f"{file} is absent: a synthetic ECG stands in")
    ecg = 600 * lfilter(gaussian(60, 8), 1, np.arange(10_000) % 800 == 0)
    hum = signals.tones(ecg.size, MAINS + 0.05, FS, amplitudes=250, phases=1)
    return ecg + hum + 10 * signals.white(ecg.size, rng=0)


def main(out: Path = PICTURE, data: Path = DATA) -> float:
    """Cancel the hum, draw the ECG and its spectrum before and after, and return the reduction in dB."""
    d = recording(data)
    d = d - d.mean()
    angle = 2 * np.pi * MAINS / FS * np.arange(d.size)
    rows = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # ready regressors: no delay line
    _, e, w = af.LMS(taps=2, mu=0.02)(rows, d, regressors=True)

    f, before = welch(d[2000:], FS, nperseg=2000)
    f, after = welch(e[2000:], FS, nperseg=2000)
    before, after, f = before[f <= 120], after[f <= 120], f[f <= 120]
    reduction = 10 * np.log10(before[f == MAINS] / after[f == MAINS]).item()
    print(f"hum of amplitude {np.hypot(*w):.0f}: {reduction:.1f} dB less at {MAINS:g} Hz")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), dpi=150, layout="constrained")
    time, spectrum = figure.subplots(2, 1)
    plots.signals({"recorded": d[:3000], "hum cancelled": e[:3000]}, fs=FS, unit="converter steps", ax=time)
    time.set_title("The ECG, from the start of adaptation")
    for power, label, style in ((before, "recorded", plots.TRUE), (after, "hum cancelled", plots.FOUND)):
        spectrum.plot(f, 10 * np.log10(power), label=label, **style)
    spectrum.set(title="Its spectrum, from 2 s on", xlabel="frequency (Hz)")
    spectrum.set_ylabel("power density (dB re step²/Hz)")
    spectrum.grid(alpha=0.3)
    spectrum.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(out)
    print(f"picture: {out}")
    return reduction


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
