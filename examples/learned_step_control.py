"""Learned step control: a small network in place of a frequency-domain filter's step, trained through the filter.

    python examples/learned_step_control.py

In double talk a large step follows the near end, and a small one is slow to learn. The network sees, for every bin and
partition, how loud the input is beside the errors, and returns the step; its loss is the echo that is left, and its
gradient goes back through every update. Tried on unseen rooms against every fixed step.
"""

import argparse
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

import adaptfilt as af
from adaptfilt import plots
from adaptfilt.engines.bins import Bins

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "learned_step_control.png"
TAPS, BLOCK, HOP = 64, 32, 16


def level(total: Any, e2: Any, S: Any, R: Any, lam: Any, beta: Any) -> Any:
    """Return the power of input and errors together, and both powers renewed."""
    S = lam * S + (1 - lam) * total
    R = beta * R + (1 - beta) * e2
    return S + TAPS * R + 1e-6, S, R


def step(level: Any, mu: Any) -> Any:
    """Return the step that a network stands in for."""
    return mu / level


class Controlled(af.FrequencyFilter):
    """FDAF whose level holds the power of the errors too; its `step` may be a network."""

    algorithm: ClassVar[Bins] = Bins(step=step, level=level, state={"S": "bin", "R": "bin"})
    ranges: ClassVar[dict[str, Any]] = {"mu": {}, "lam": {"high": 1.0}, "beta": {"high": 1.0}}

    def __init__(self, taps: int, mu: float = 1.0, **common: Any) -> None:
        super().__init__(taps, {"mu": mu, "lam": 0.8, "beta": 0.5}, **common)


class Network(nn.Module):
    """Two layers on logarithms of powers; two numbers in, a step from 0 to 2 over x2 out."""

    def __init__(self, hidden: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, level: Tensor, x2: Tensor, w2: Tensor) -> Tensor:
        """Return m for every bin and partition."""
        seen = torch.stack([torch.log(x2 / level + 1e-4), torch.log(w2 + 1e-4)], -1)
        return 2 * torch.sigmoid(self.layers(seen / 4)[..., 0] - 2) / (level + x2)


def scenes(count: int, samples: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, their echoes, and near ends that speak half of the time, each (count, samples)."""
    rng = np.random.default_rng(seed)
    x = af.signals.coloured((count, samples), [1, -0.7], rng=rng)
    h = rng.standard_normal((count, TAPS)) * np.exp(-np.arange(TAPS) / 12)
    h /= np.linalg.norm(h, axis=-1, keepdims=True)
    echo = np.fft.irfft(np.fft.rfft(x, 2 * samples) * np.fft.rfft(h, 2 * samples), 2 * samples)[:, :samples]
    speaks = np.repeat(rng.random((count, samples // 128)) < 0.5, 128, -1)
    near = speaks * rng.standard_normal((count, samples)) + 0.03 * rng.standard_normal((count, samples))
    return tuple(torch.tensor(v, dtype=torch.float32) for v in (x, echo, near))  # type: ignore[return-value]


def left_db(f: af.FrequencyFilter, x: Tensor, echo: Tensor, near: Tensor) -> Tensor:
    """Return the power of the echo that is left in dB re the echo, over time, (count, T)."""
    y, _, _ = f(x, echo + near)
    return 10 * torch.log10((echo - y).square().unfold(-1, 64, 64).mean(-1) / echo.square().mean() + 1e-6)


def main(out: Path = PICTURE, steps: int = 60, count: int = 8, samples: int = 1536) -> dict[str, float]:
    """Train the network, compare with fixed steps on unseen scenes, draw, and return the echo left in dB."""
    torch.manual_seed(0)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for k in range(steps):
        f = Controlled(TAPS, block=BLOCK, hop=HOP, batch=count, step=network)
        loss = left_db(f, *scenes(count, samples, seed=k)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if k % 10 == 0:
            print(f"step {k:3d}: {loss.item():6.2f} dB of echo left")

    unseen = scenes(32, 2 * samples, seed=10_000)
    common: dict[str, Any] = {"block": BLOCK, "hop": HOP, "batch": 32}
    with torch.no_grad():
        curves = {
            f"FDAF, mu = {mu:g}": left_db(af.FDAF(TAPS, mu, **common), *unseen) for mu in (0.02, 0.05, 0.1, 0.2, 0.5)
        }
        curves["FDKF"] = left_db(af.FDKF(TAPS, **common), *unseen)
        curves["learned"] = left_db(Controlled(TAPS, step=network, **common), *unseen)
    found = {name: float(curve.mean()) for name, curve in curves.items()}
    for name, value in found.items():
        print(f"{name:16} {value:6.2f} dB of echo left")
    ax = plots.signals({name: curve.mean(0) for name, curve in curves.items()}, fs=1 / 64)
    ax.set(title="Echo left in double talk, mean of 32 unseen scenes", xlabel="time (samples)", ylabel="dB re the echo")
    ax.figure.savefig(out)
    print(f"picture: {out}")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
