"""A saturating plant: the linear filter stalls, an MLP over the same delay line goes on to the noise floor.

    python examples/saturating_plant.py

White noise runs through a short filter and then a soft limiter, as in an overdriven amplifier (a Wiener
model). NLMS finds the best linear filter and is left with the distortion. `GradientFilter` adapts any torch
module by one optimiser step per block of samples: here an MLP of 16 hidden units, by SGD from random weights.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "saturating_plant.png"
TAPS = 8


def main(out: Path = PICTURE, samples: int = 20_000) -> dict[str, float]:
    """Identify the plant in two ways, draw the learning curves, and return the last errors in dB."""
    plant = plants.Wiener(plants.fir(1.5 * plants.room(TAPS, rt60=12, rng=3).b), limit=1.0)
    x = signals.white(samples, rng=0)
    clean = plant(x)
    d = signals.add_noise(clean, 40.0, rng=1)

    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(TAPS, 16), nn.Tanh(), nn.Linear(16, 1))
    filters = {
        "NLMS": af.NLMS(TAPS, mu=0.05),
        "MLP": af.GradientFilter(mlp, TAPS, optimizer=lambda p: torch.optim.SGD(p, lr=0.1), block_size=4),
    }
    ax, last, floor = None, {}, float(metrics.mse_db(d - clean))
    for name, f in filters.items():
        e = f(x, d).e
        last[name] = float(metrics.mse_db(e[-samples // 10 :]))
        print(f"{name:5} error {last[name]:.1f} dB, {last[name] - floor:.1f} dB above the noise")
        ax = plots.learning_curve(e, window=500, label=name, ax=ax)
    ax = plots.learning_curve(d - clean, window=500, label="noise", ax=ax)
    ax.set_title("A saturating plant: learning curves, averaged over 500 samples")
    ax.figure.savefig(out)
    print(f"picture: {out}")
    return last


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
