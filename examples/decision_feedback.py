"""Decision feedback on channels with a deep notch, against the bounds: Proakis' channels B and C.

    python examples/decision_feedback.py

A linear equaliser has to lift what the channel takes away, and the noise with it. Decision feedback takes the echoes of
past symbols off instead. Binary symbols train both by LMS at six noise levels, one batch; lines are what theory allows
equalisers of this and of infinite length (J. Salz, Bell System Technical Journal 52(8), 1973).
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import adaptfilt as af
from adaptfilt import plants, signals, theory

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "decision_feedback.png"
SNR_DB = np.arange(5.0, 31.0, 5.0)
TAPS, FORWARD, FEEDBACK = 31, 16, 15


def errors(h: np.ndarray, symbols: int) -> dict[str, np.ndarray]:
    """Return the mean squared errors in dB at every noise level, as measured and in theory."""
    a = signals.symbols(af.Constellation.pam(2), symbols, rng=0)
    sigma = 10 ** (-SNR_DB[:, None] / 20)
    x = plants.fir(h)(a) + sigma * signals.white((SNR_DB.size, symbols), rng=1)
    bpsk, common = af.Constellation.pam(2), {"batch": SNR_DB.size, "dtype": torch.float64}
    linear = af.DecisionDirected(TAPS, 1e-3, bpsk, delay=TAPS // 2, **common)
    dfe = af.DFE(FORWARD, FEEDBACK, 1e-3, bpsk, **common)
    d = np.broadcast_to(a, x.shape).copy()
    noise = sigma.ravel() ** 2
    found = {name: np.mean(f(x, d).e[:, symbols // 2 :] ** 2, -1) for name, f in (("linear", linear), ("DFE", dfe))}
    found |= {
        "linear, best": np.array([theory.mmse_equalizer(h, TAPS, TAPS // 2, v)[1] for v in noise]),
        "DFE, best": np.array([theory.mmse_equalizer(h, FORWARD, FORWARD - 1, v, feedback=FEEDBACK)[1] for v in noise]),
        "linear, infinite": np.array([theory.mmse_infinite(h, v)[0] for v in noise]),
        "DFE, infinite": np.array([theory.mmse_infinite(h, v)[1] for v in noise]),
    }
    return {name: 10 * np.log10(power) for name, power in found.items()}


def main(out: Path = PICTURE, symbols: int = 200_000) -> dict[str, float]:
    """Measure, draw, and return by how many dB both are above the best of their length at 20 dB, on channel B."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8), dpi=150, layout="constrained")
    at = int(np.flatnonzero(SNR_DB == 20)[0])
    lost = {}
    for ax, channel in zip(figure.subplots(2, 1, sharex=True), "BC", strict=True):
        found = errors(plants.proakis(channel).b, symbols)
        for k, name in enumerate(("linear", "DFE")):
            ax.plot(SNR_DB, found[f"{name}, infinite"], ":", color=f"C{k}", label=f"{name}, infinitely many taps")
            ax.plot(SNR_DB, found[f"{name}, best"], "-", color=f"C{k}", label=f"{name}, best of its length")
            ax.plot(SNR_DB, found[name], "o", color=f"C{k}", label=f"{name}, LMS")
            lost[f"{channel} {name}"] = float(found[name][at] - found[f"{name}, best"][at])
            print(
                f"channel {channel}, 20 dB, {name:6}: {found[name][at]:7.2f} dB, best {found[f'{name}, best'][at]:.2f}"
            )
        ax.set(title=f"Channel {channel}", xlabel="signal-to-noise ratio (dB)", ylabel="mean squared error (dB)")
        ax.grid(alpha=0.3)
        ax.label_outer()
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(out)
    print(f"picture: {out}")
    return lost


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
