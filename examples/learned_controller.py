"""A small network that chooses the step size for every sample, trained through the filter that it steers.

    python examples/learned_controller.py

The plant changes at a moment nobody knows, in noise of unknown level: a large step size finds the new plant soon,
a small one keeps the noise out of the weights, and a fixed one is a compromise. The network sees what a user has
at hand, up to the sample before: running powers of x, of d, and of the error of a first filter, whose step size
is fixed. Its loss is the second filter's error in dB, whose gradient goes back through all updates to every step
size. On unseen streams it is compared with the fixed step size that is best for just these.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor, nn

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "learned_controller.png"
TAPS, EPS, SWEEP = 32, 1.0, torch.logspace(-2, 0.1, 43)  # eps is little beside an energy of 32, but not at the start
MEMORIES = 10, 30, 100, 300, 1000  # samples that a running power remembers


def streams(samples: int, at: np.ndarray, snr_db: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Return x, d and the noise in d, all (count, samples), of plants that change at samples `at`, (count,)."""
    x, clean, d = signals.white((at.size, samples), rng), [], []
    for signal, moment, level in zip(x, at, snr_db, strict=True):
        before, after = (plants.room(TAPS, 2.0 * TAPS, rng) for _ in range(2))
        clean.append(plants.Switching(before, after, moment)(signal))
        d.append(signals.add_noise(clean[-1], level, rng))
    return tuple(torch.tensor(np.array(v)).float() for v in (x, d, np.subtract(d, clean)))


def features(x: Tensor, d: Tensor) -> Tensor:
    """Return logarithms of running powers up to the sample before, (count, samples, features)."""
    e = af.NLMS(TAPS, mu=0.5, eps=EPS, batch=x.shape[:1])(x, d).e
    powers = torch.stack([x, d, e]).square()
    running = np.concatenate([lfilter([0, 1 / m], [1, 1 / m - 1], powers) for m in MEMORIES])
    return torch.tensor(np.log10(running + 1e-4)).float().movedim(0, -1)


def train(steps: int, count: int, samples: int) -> nn.Module:
    """Return a network from features to step sizes between 0 and 1, (count, samples)."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    hidden = nn.Linear(3 * len(MEMORIES), 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh()
    net = nn.Sequential(*hidden, nn.Linear(16, 1), nn.Sigmoid(), nn.Flatten())
    f, optimizer = af.NLMS(TAPS, eps=EPS, batch=(count,)), torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(steps):  # never the same stream twice
        x, d, _ = streams(samples, rng.integers(samples, size=count), rng.uniform(0, 30, count), rng)
        loss = f.reset()(x, d, mu=net(features(x, d))).e.square().mean(-1).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


@torch.no_grad()
def compare(net: nn.Module, samples: int, snr_db: float, count: int = 50) -> tuple[Tensor, Tensor]:
    """Return step sizes and errors beyond the noise, (1 + 43, count, samples): the network's, and fixed ones'."""
    x, d, noise = streams(samples, np.full(count, samples // 2), np.full(count, snr_db), np.random.default_rng(1))
    mu = torch.cat([net(features(x, d))[None], SWEEP[:, None, None].expand(-1, *x.shape)])
    return mu, af.NLMS(TAPS, eps=EPS, batch=mu.shape[:2])(x.expand_as(mu), d.expand_as(mu), mu=mu).e - noise


def main(out: Path = PICTURE, steps: int = 300, count: int = 16, samples: int = 4000) -> dict[int, np.ndarray]:
    """Train, draw curves and step sizes; return errors in dB by noise level: the network's and the best fixed."""
    net, found = train(steps, count, samples), {}
    for snr_db in (0, 20, 30, 10):  # the last one is drawn
        mu, e = compare(net, samples, snr_db)
        error = metrics.mse_db(e).mean(-1)
        best = 1 + int(error[1:].argmin())
        found[snr_db] = error[[0, best]]
        print(f"{snr_db:2} dB SNR: {error[0]:.1f} dB; best fixed mu {SWEEP[best - 1]:.2f}: {error[best]:.1f} dB")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), dpi=150, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    rows = {"learned": 0, f"best fixed, {SWEEP[best - 1]:.2f}": best, "fixed, 0.1": 21, "fixed, 1": 41}
    for name, k in rows.items():
        plots.learning_curve(e[k], window=20, label=name, ax=upper)
        low, median, high = mu[k].quantile(torch.tensor([0.1, 0.5, 0.9]), 0)
        lower.plot(median, linewidth=1.2)
        lower.fill_between(range(len(low)), low, high, alpha=0.3)
    upper.set(xlabel="", ylabel="error beyond the noise (dB)")
    upper.set_title(f"Mean over 50 unseen streams, {snr_db} dB SNR; plants change at {samples // 2}")
    lower.set(xlabel="time (samples)", ylabel="mu", title="Step sizes: median, and 10 to 90 % of the streams")
    lower.grid(alpha=0.3)
    figure.savefig(out)
    print(f"picture: {out}")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    torch.set_num_threads(1)  # many small matrices: more threads would wait for each other
    main(**vars(parser.parse_args()))
