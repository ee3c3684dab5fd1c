"""Ensembles: which filter is best? NLMS, affine projection and RLS over step sizes, on coloured input, with theory.

    python examples/ensemble.py

A room of 32 coefficients, AR(1) input of pole .7, noise 30 dB down. Every filter runs 100 times at each of several
steps, on the same signals. The picture shows misadjustment against speed, and a learning curve of LMS beside what
theory says of it.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import adaptfilt as af
from adaptfilt import experiments, plants, plots, signals, theory

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "ensemble.png"
TAPS, POLE, NOISE, SAMPLES = 32, 0.7, 1e-3, 6000
H = plants.room(TAPS, 24.0, rng=0).b


def run(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return the signals of one run, and the plant."""
    x = signals.coloured(TAPS + SAMPLES, [1.0, -POLE], rng)
    return x, plants.fir(H)(x) + np.sqrt(NOISE) * signals.white(x.size, rng), H


def main(out: Path = PICTURE, runs: int = 100) -> dict[str, list[dict[str, float]]]:
    """Sweep the filters, draw the picture, and return the rows of every sweep."""
    sweeps = {
        "NLMS": (lambda batch, mu: af.NLMS(TAPS, mu, batch=batch), {"mu": [0.1, 0.2, 0.5, 1.0]}),
        "affine projection": (
            lambda batch, mu: af.AffineProjection(TAPS, mu, 4, batch=batch),
            {"mu": [0.05, 0.2, 0.6]},
        ),
        "RLS": (lambda batch, lam: af.RLS(TAPS, lam, batch=batch), {"lam": [0.98, 0.99, 0.995]}),
    }
    figure = Figure(figsize=(9, 9), dpi=150, layout="constrained")
    above, below = figure.subplots(2, 1)
    found = {}
    for name, (make, values) in sweeps.items():
        swept = experiments.sweep(make, run, runs, values, seed=0, fill=TAPS)
        found[name] = swept.rows(NOISE)
        plots.tradeoff(found[name], label=name, ax=above)
        print(f"{name}\n{swept.table(NOISE)}")
    above.set_title("The further left and down, the better")

    mu = 0.004
    curves = experiments.ensemble(lambda batch: af.LMS(TAPS, mu, batch=batch), run, runs, seed=0, fill=TAPS)
    expected = theory.predict(af.LMS(TAPS, mu), H, POLE ** np.arange(TAPS), noise=NOISE, samples=SAMPLES)
    floor = 10 * np.log10(NOISE)
    plots.ensemble(curves, theory=expected.learning.mse, noise_floor_db=floor, label=f"LMS, mu = {mu}", ax=below)
    below.set_title(f"Mean of {runs} runs, 10 to 90 % of them, and theory")
    end = curves.mean["mse"][-600:].mean()
    print(f"LMS: error {10 * np.log10(end):.2f} dB, theory {10 * np.log10(expected.learning.mse[-600:].mean()):.2f} dB")
    figure.savefig(out)
    print(f"picture: {out}")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    parser.add_argument("--runs", type=int, default=100, help="runs of each filter")
    main(**vars(parser.parse_args()))
