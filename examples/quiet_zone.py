"""Quiet zone: two references, three loudspeakers and four microphones, controlled by one filter.

    python examples/quiet_zone.py

Two fans hum and hiss into a room. Three loudspeakers make four places quiet at once, each heard at each of them through
its own way round the room, by filtered-x for many channels. No causal controller of that length does better than
`theory.causal_wiener` says (Elliott, *Signal Processing for Active Control*, 2001, chapter 5).
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt import plants, signals, theory

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "quiet_zone.png"
FS, TAPS, SECONDS = 2000, 48, 20
REFERENCES, SPEAKERS, MICROPHONES = 2, 3, 4


def paths(rows: int, columns: int, delay: int, rng: np.random.Generator) -> np.ndarray:
    """Return responses from every source to every microphone, (rows, columns, 32), some samples later each."""
    h = np.array([[plants.room(32, 0.01, rng, fs=FS).b for _ in range(columns)] for _ in range(rows)])
    later = [[signals.delay(h[i, j], delay + (i + j) % 3) for j in range(columns)] for i in range(rows)]
    return np.array(later)


def level_db(e: np.ndarray) -> np.ndarray:
    """Return the level of every quarter of a second, (microphones, quarters), in dB."""
    return 10 * np.log10(np.mean(e.reshape(len(e), -1, FS // 4) ** 2, -1))


def main(out: Path = PICTURE) -> dict[str, float]:
    """Control the noise, draw the level at every microphone, and return mean levels at the end in dB."""
    rng, n = np.random.default_rng(0), np.arange(SECONDS * FS)
    primary, secondary = paths(MICROPHONES, REFERENCES, 8, rng), paths(MICROPHONES, SPEAKERS, 1, rng)
    hum = np.sin(2 * np.pi * np.array([[60.0], [85.0]]) * n / FS)
    x = hum + 0.3 * signals.white((REFERENCES, n.size), rng)
    d = np.array([sum(lfilter(h, 1, v) for h, v in zip(row, x, strict=True)) for row in primary])

    f = af.FxNLMS(TAPS, 0.05, secondary, inputs=REFERENCES)
    _, e, _ = f(x, d)
    w = theory.causal_wiener(x, d, TAPS, secondary)
    y = np.array([sum(lfilter(h, 1, v) for h, v in zip(row, x, strict=True)) for row in w])
    best = d - np.array([sum(lfilter(h, 1, v) for h, v in zip(row, y, strict=True)) for row in secondary])

    levels = {"without control": level_db(d), "FxNLMS": level_db(e), "the best there is": level_db(best)}
    ends = {name: float(level[:, -8:].mean()) for name, level in levels.items()}
    for name, level in ends.items():
        print(f"{name}: {level:.1f} dB over the last two seconds")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), dpi=150, layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    for k, ax in enumerate(axes):
        for name, level in levels.items():
            ax.plot(np.arange(level.shape[-1]) / 4, level[k], label=name)
        ax.set(title=f"microphone {k + 1}", xlabel="time, s", ylabel="level, dB")
        ax.grid(alpha=0.3)
        ax.label_outer()
    axes[0].legend()
    figure.savefig(out)
    print(f"picture: {out}")
    return ends


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
