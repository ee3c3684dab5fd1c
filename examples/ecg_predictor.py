"""A predictor on half an hour of ECG: what it cannot foresee are the heartbeats.

    python examples/ecg_predictor.py

NLMS predicts each sample of MIT-BIH record 100 from the 16 before it. It learns the smooth course between
beats and fails for a moment at each sharp QRS complex, so that beats stand out in the power of its error:
counting the peaks finds them. The database's directory lists 2273 beats for this record.

G. B. Moody, R. G. Mark, "The impact of the MIT-BIH Arrhythmia Database", IEEE Eng. Med. Biol. 20(3), 2001.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import find_peaks, lfilter
from scipy.signal.windows import gaussian

import adaptfilt as af
from adaptfilt import metrics, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "ecg_predictor.png"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FS = 360  # Hz


def lead(data: Path) -> np.ndarray:
    """Return lead MLII in mV, (650000,); synthetic, 100 beats, where there is no record."""
    file = data / "mitbih_100.dat"
    if not file.is_file():
        print(f"{file} is absent: a synthetic ECG stands in")
        beats = lfilter(gaussian(30, 3), 1, np.arange(30_000) % 300 == 100)
        return beats + 0.005 * signals.white(beats.size, rng=0)
    low, high, _ = np.fromfile(file, np.uint8).reshape(-1, 3).T.astype(np.int16)
    sample = low | (high & 0x0F) << 8  # format 212: three bytes hold two samples, of which this is the first
    return (np.where(sample > 2047, sample - 4096, sample) - 1024) / 200


def main(out: Path = PICTURE, data: Path = DATA) -> int:
    """Predict, find the beats, draw ten seconds of both, and return the number of beats."""
    ecg = lead(data)
    x, d = ecg[:-1], ecg[1:]
    e = af.NLMS(taps=16, mu=0.05, eps=0.1)(x, d).e.astype(float)
    level = np.sqrt(lfilter(np.full(FS // 10, 10 / FS), 1, e**2))
    beats, _ = find_peaks(level, prominence=2 * np.median(level), distance=FS // 4)
    minutes = ecg.size / FS / 60
    print(f"prediction gain {metrics.erle_db(d - d.mean(), e):.1f} dB")
    print(f"{beats.size} beats in {minutes:.1f} minutes: {beats.size / minutes:.1f} a minute")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), dpi=150, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    first, last = 60 * FS, 70 * FS
    plots.signals({"ECG": d[first:last], "prediction error": e[first:last]}, fs=FS, unit="mV", ax=upper)
    plots.signals({"rms error": level[first:last]}, fs=FS, unit="mV", ax=lower)
    shown = beats[(beats >= first) & (beats < last)]
    lower.plot((shown - first) / FS, level[shown], "v", color="C3", label="beat")
    lower.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    upper.set(title="Ten seconds of the ECG", xlabel="")
    lower.set_title("Root mean square of the prediction error over a tenth of a second")
    figure.savefig(out)
    print(f"picture: {out}")
    return beats.size


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
