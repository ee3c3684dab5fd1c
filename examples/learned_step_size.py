"""A step size learned through the adaptation: a parameter that gradient descent trains, as any other.

    python examples/learned_step_size.py

The plant drifts: a small step size lags behind it, a large one lets the noise into the weights. The loss is
the filter's own squared error over whole streams, and its gradient goes back through every update. Two starts,
far too small and far too large, are learned in one call, and compared with a sweep over unseen streams.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "learned_step_size.png"
TAPS, STARTS, SWEEP = 16, (0.02, 1.5), np.geomspace(0.01, 1.8, 60)


def streams(count: int, samples: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return x and d of drifting plants in noise, both (count, samples)."""
    x = signals.white((count, samples), rng)
    d = [plants.random_walk(plants.room(TAPS, 32, rng).b, 0.008, samples, rng)(signal) for signal in x]
    return torch.tensor(x).float(), torch.tensor(signals.add_noise(d, 10.0, rng)).float()


def main(out: Path = PICTURE, steps: int = 100, count: int = 16, samples: int = 2000) -> dict[str, np.ndarray]:
    """Learn, draw the way there and the errors on unseen streams, and return these errors in dB."""
    rng = np.random.default_rng(0)
    x, d = (v.expand(len(STARTS), -1, -1) for v in streams(count, samples, rng))
    f = af.NLMS(TAPS, nn.Parameter(torch.tensor(STARTS)[:, None]), batch=x.shape[:-1])
    optimizer, way = torch.optim.Adam(f.parameters(), lr=0.05), [STARTS]
    for _ in range(steps):
        loss = f.reset()(x, d).e.square().mean((1, 2)).log().sum()  # a step size and an error for each start
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        way.append(tuple(f.mu[:, 0].tolist()))

    x, d = streams(64, samples, rng)  # unseen
    mu = np.concatenate([SWEEP, STARTS, way[-1]])
    f = af.NLMS(TAPS, torch.tensor(mu)[:, None], batch=(mu.size, len(x)))
    error = metrics.mse_db(f(x.expand(mu.size, -1, -1), d.expand(mu.size, -1, -1)).e.flatten(1))
    sweep, start, learned = np.split(error, [SWEEP.size, SWEEP.size + len(STARTS)])
    best = SWEEP[sweep.argmin()]
    print(f"mu {np.round(STARTS, 3)} -> {np.round(way[-1], 3)}; best of a sweep {best:.3f}")
    print(f"error on unseen streams {start.round(2)} -> {learned.round(2)} dB; best {sweep.min():.2f} dB")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), dpi=150, layout="constrained")
    upper, lower = figure.subplots(2, 1)
    upper.axhline(best, label="best on unseen streams", **plots.TRUE)
    upper.plot(way, label=[f"learned from {mu}" for mu in STARTS])
    upper.set(xlabel="training step", ylabel="mu", title="The step size while it is learned")
    lower.semilogx(SWEEP, sweep, label="every mu", **plots.TRUE)
    lower.plot(STARTS, start, "C3o", label="starts")
    lower.plot(way[-1], learned, "C2x", label="learned")
    lower.set(xlabel="mu", ylabel="mean squared error (dB)", title="The error on unseen streams")
    for ax in (upper, lower):
        ax.grid(alpha=0.3)
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(out)
    print(f"picture: {out}")
    return {"start": start, "learned": learned, "best": sweep.min()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    torch.set_num_threads(1)  # many small matrices: more threads would wait for each other
    main(**vars(parser.parse_args()))
