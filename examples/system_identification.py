"""System identification: LMS finds the three coefficients of an unknown filter from its noisy output.

    python examples/system_identification.py

The setting of a first lesson: N = 500 samples of white noise into w_o = [.1, .2, .3], noise of variance .0001
at the output, step size .1, weights that start at zero. A textbook loop beside it gives the same weights.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt import metrics, plots

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "system_identification.png"


def main(out: Path = PICTURE, samples: int = 500) -> np.ndarray:
    """Identify the filter, draw the coefficients over the iterations, and return the weights found."""
    w_o, eta = np.array([0.1, 0.2, 0.3]), 0.1
    rng = np.random.default_rng(7)
    x = rng.standard_normal(samples)
    d = lfilter(w_o, 1, x) + np.sqrt(0.0001) * rng.standard_normal(samples)

    f = af.LMS(taps=3, mu=eta, dtype=torch.float64)
    history = f(x, d, record_every=1).w

    w = np.zeros(3)  # the textbook: newest sample first, error before the update
    for n in range(samples):
        u = np.array([x[n - k] if n >= k else 0.0 for k in range(3)])
        w = w + eta * (d[n] - w @ u) * u

    print("  k   true    found")
    for k in range(3):
        print(f"  {k}   {w_o[k]:.3f}   {history[-1, k]:.3f}")
    print(f"misalignment {metrics.misalignment_db(history[-1], w_o):.1f} dB")
    print(f"largest difference from the textbook loop {np.abs(history[-1] - w).max():.1e}")

    ax = plots.coefficients(history, w_o)
    ax.set(title=f"LMS, {samples} samples, step size {eta}", xlabel="iteration (samples)")
    ax.figure.savefig(out)
    print(f"picture: {out}")
    return history[-1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
