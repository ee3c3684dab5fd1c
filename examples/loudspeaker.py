"""A loudspeaker-like plant, with memory and saturation: NLMS stalls, Volterra NLMS and an MLP go on.

    python examples/loudspeaker.py

The signal runs through a resonance, an asymmetric soft limiter and a second short filter, as from amplifier to
cone to microphone. Three adaptive filters see the same ten samples of memory: the linear NLMS, NLMS over all
products of up to three of them (a Volterra series, linear in its 285 weights), and a small network by SGD.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.signal import lfilter
from torch import nn

import adaptfilt as af
from adaptfilt import metrics, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "loudspeaker.png"
TAPS = 10


def loudspeaker(x: np.ndarray) -> np.ndarray:
    """Memory, an asymmetric limiter, memory."""
    cone = lfilter([0.6, 0.3, -0.2], [1.0, -0.3, 0.25], x)
    return lfilter([1.0, 0.4, -0.2], 1, np.tanh(cone + 0.3) - np.tanh(0.3))


def main(out: Path = PICTURE, samples: int = 100_000) -> dict[str, float]:
    """Identify the plant in three ways, draw the learning curves, and return the last errors in dB."""
    x = 0.7 * signals.white(samples, rng=0)
    clean = loudspeaker(x)
    noise = 0.003 * signals.white(samples, rng=1)

    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(TAPS, 24), nn.Tanh(), nn.Linear(24, 1))
    filters = {
        "NLMS": af.NLMS(TAPS, mu=0.02),
        "Volterra NLMS": af.NLMS(TAPS, mu=0.2, features=af.Volterra(TAPS, order=3)),
        "MLP": af.GradientFilter(mlp, TAPS, optimizer=lambda p: torch.optim.SGD(p, lr=0.02), compile=True),
    }
    ax, last = None, {}
    for name, f in filters.items():
        e = f(x, clean + noise).e
        last[name] = float(metrics.mse_db(e[-samples // 10 :]))
        above = last[name] - float(metrics.mse_db(noise))
        print(f"{name:13} error {last[name]:.1f} dB, {above:.1f} dB above the noise")
        ax = plots.learning_curve(e, window=1000, label=name, ax=ax)
    ax = plots.learning_curve(noise, window=1000, label="noise", ax=ax)
    ax.set_title("A loudspeaker-like plant: learning curves, averaged over 1000 samples")
    ax.figure.savefig(out)
    print(f"picture: {out}")
    return last


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
