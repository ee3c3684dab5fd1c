"""Line enhancer: a sinusoid lifted out of white noise by predicting it from its own past.

    python examples/line_enhancer.py

The input of the filter is the noisy signal one sample late. White noise cannot be foreseen from its past, a sinusoid
can, so the output is the sinusoid. M taps become a band-pass around it: with small steps the SNR rises M / 2 times.

B. Widrow et al., "Adaptive noise cancelling: principles and applications", Proc. IEEE 63(12), 1975.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import welch

import adaptfilt as af
from adaptfilt import plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "line_enhancer.png"
FREQUENCY, TAPS, MU = 0.125, 64, 1e-5  # cycles a sample


def snr(signal: np.ndarray) -> float:
    """Power of the sinusoid over the power of all else."""
    n = np.arange(signal.size)
    line = 2 * abs(np.mean(signal * np.exp(-2j * np.pi * FREQUENCY * n))) ** 2
    return line / (np.mean(signal**2) - line)


def main(out: Path = PICTURE, samples: int = 200_000) -> tuple[float, float]:
    """Enhance the line, draw the spectra, and return the gain in SNR in dB, measured and by theory."""
    x = np.sqrt(2) * signals.tones(samples, FREQUENCY) + signals.white(samples, rng=0)  # 0 dB
    y, _, _ = af.lms(signals.delay(x, 1), x, TAPS, MU)

    late = slice(samples // 10 // 8 * 8, None)  # from a whole period on
    measured, theory = 10 * np.log10(snr(y[late]) / snr(x[late])), 10 * np.log10(TAPS / 2)
    print(f"SNR gained with {TAPS} taps: {measured:.1f} dB; theory {theory:.1f} dB")

    ax = plots.signals({})
    for label, signal, style in (("before", x, plots.TRUE), ("after", y, plots.FOUND)):
        f, power = welch(signal[late], nperseg=1024, detrend=False)
        ax.plot(f, 10 * np.log10(power), label=label, **style)
    ax.set(title="A sinusoid in white noise, before and after the line enhancer")
    ax.set(xlabel="frequency (cycles/sample)", ylabel="power density (dB re 1)")
    ax.legend(frameon=False)
    ax.figure.savefig(out)
    print(f"picture: {out}")
    return measured, theory


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
