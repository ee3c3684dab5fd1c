"""Two polarisations through a fibre, taken apart again without a training symbol: the 2 by 2 equaliser.

    python examples/polarisations.py

The fibre mixes two streams of 16-QAM, delays one part against the other, and mixes them again. The equaliser has a
filter from each input to each output. Output 1 adapts alone at first, and output 2 begins as its orthogonal
counterpart, so that they cannot find the same stream (L. Liu et al., OFC, 2009); then both go on by decisions.
"""

import argparse
from pathlib import Path

import numpy as np

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "polarisations.png"
SPS, TAPS, SNR_DB = 2, 15, 22.0


def main(out: Path = PICTURE, symbols: int = 30_000) -> float:
    """Equalise, draw both streams before and after, and return the larger of their symbol error rates."""
    qam = af.Constellation.qam(16)
    a = signals.symbols(qam, (2, symbols), rng=0)
    pulse = signals.root_raised_cosine(0.2, SPS)
    sent = signals.pulse_train(a, np.convolve(pulse, pulse), SPS)
    x = signals.add_noise(plants.polarisation(1, rng=4)(sent), SNR_DB, rng=1)
    x = x / np.sqrt(np.mean(np.abs(x) ** 2))

    stages = [("cma", 2e-3, symbols // 2), ("dd", 1e-3)]
    eq = af.Equalizer(TAPS, qam, sps=SPS, inputs=2, outputs=2, stages=stages)
    y, _, w = eq(x)
    late = symbols // 5
    found = metrics.align_symbols(y[:, -late:-20], a[:, -late:], rotations=qam.symmetry)
    evm, wrong = metrics.evm_db(found.y, found.symbols), metrics.ser(found.y, found.symbols, qam)
    print(f"weights {w.shape}; stream 1 is in output {found.order[0] + 1}, stream 2 in output {found.order[1] + 1}")
    print(f"error {evm[0]:.1f} and {evm[1]:.1f} dB; wrong symbols {wrong[0]:.1e} and {wrong[1]:.1e}")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), dpi=150, layout="constrained")
    for ax, z, title in zip(
        figure.subplots(2, 2).ravel(),
        [*x[:, -2 * late :: SPS], *found.y],
        ["Received, input 1", "Received, input 2", "Stream 1", "Stream 2"],
        strict=True,
    ):
        plots.constellation(z[-2000:], qam.points, label="symbols", ax=ax).set_title(title)
        ax.get_legend().remove()
    figure.savefig(out)
    print(f"picture: {out}")
    return float(np.max(wrong))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
