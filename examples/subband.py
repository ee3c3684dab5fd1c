"""A subband filter in a few lines: torch's stft, and a batch of complex NLMS, one a band.

    python examples/subband.py

The short spectra of x and d, one every `HOP` samples, are as many slow streams as there are bands; each gets a filter
of its own, short and complex, and coloured input is nearly white in every one. What is cancelled goes back through the
inverse transform. A band also holds what the window lets in from its neighbours, folded: no filter of a single band can
know that. So the error has a floor, which the window sets and nothing else: the part of the echo's spectra that no
weights of a band explain, found here by least squares, which is what the filters end at. A finer hop folds less.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "subband.png"
FS, BANDS = 16000, 256
ROOM = 1024  # samples of echo
AHEAD = 1  # frames by which a window begins before what it holds: d waits so long
Array = np.ndarray


def bands(v: Array, hop: int) -> Tensor:
    """Return the short spectra of a signal, (bands, frames)."""
    window = torch.hann_window(BANDS, dtype=torch.float64)
    return torch.stft(torch.from_numpy(v), BANDS, hop, window=window, return_complex=True)


def together(V: Tensor, hop: int, samples: int) -> Array:
    """Return the signal of short spectra."""
    window = torch.hann_window(BANDS, dtype=torch.float64)
    return torch.istft(V, BANDS, hop, window=window, length=samples).numpy()


def late(V: Tensor, frames: int) -> Tensor:
    """Return spectra some frames later."""
    return torch.nn.functional.pad(V, (frames, 0))[:, : V.shape[-1]]


def floor(X: Tensor, D: Tensor, taps: int) -> Tensor:
    """Return what no fixed weights explain of D, band by band: the residual of least squares."""
    u = torch.nn.functional.pad(X, (taps - 1, 0)).unfold(-1, taps, 1).flip(-1)
    w = torch.linalg.lstsq(u, D.unsqueeze(-1)).solution
    return D - (u @ w)[..., 0]


def main(out: Path = PICTURE, scale: float = 1.0) -> dict[int, tuple[float, float]]:
    """Cancel an echo band by band, draw how, and return for every hop the reduction reached and its ceiling, in dB."""
    samples = int(scale * 8 * FS)
    x = signals.coloured(samples, [1, -0.9], rng=0)
    heard = plants.fir(0.5 * plants.room(ROOM, 0.06, rng=1, fs=FS).b)(x)
    curves: dict[str, Array] = {}
    found: dict[int, tuple[float, float]] = {}
    for hop in (BANDS // 2, BANDS // 4, BANDS // 8):
        X, D = bands(x, hop), late(bands(heard, hop), AHEAD * BANDS // hop)
        taps = (ROOM + 2 * AHEAD * BANDS) // hop + 1
        f = af.NLMS(taps, 0.3, eps=1e-3, batch=BANDS // 2 + 1, dtype=torch.complex128)
        left, least = (together(v, hop, samples) for v in (f(X, D).e, floor(X, D, taps)))
        echo = together(D, hop, samples)
        tail = slice(3 * samples // 4, samples - BANDS)
        found[hop] = float(metrics.erle_db(echo[tail], left[tail])), float(metrics.erle_db(echo[tail], least[tail]))
        reached, most = found[hop]
        print(f"hop {hop:4d}, {taps:3d} taps a band: echo {reached:5.1f} dB down, by aliasing at most {most:5.1f}")
        size = FS // 4
        powers = (v[: samples // size * size].reshape(-1, size) ** 2 for v in (echo, left))
        curves[f"hop {hop}"] = 10 * np.log10(np.divide(*(p.mean(-1) for p in powers)))

    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=150, layout="constrained")
    ax = plots.signals(curves, fs=FS / size, ax=figure.subplots())
    for line, (_, most) in zip(ax.lines, found.values(), strict=True):
        ax.axhline(most, color=line.get_color(), linestyle="--", linewidth=0.8)
    ax.set(title=f"{BANDS} bands; dashed: what aliasing allows", ylabel="ERLE (dB)")
    figure.savefig(out)
    print(f"picture: {out}")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
