"""A receiver for 16-QAM that is told nothing: multipath, an unknown carrier, phase noise, and no training symbol.

    python examples/qam_receiver.py

The equaliser starts blind, by the constant-modulus algorithm, which does not see the carrier's phase; the carrier loop
behind it follows that phase meanwhile. Once the smoothed distance from decisions is small, it goes on by decisions
(D. N. Godard, IEEE Trans. Communications 28(11), 1980).
"""

import argparse
from pathlib import Path

import numpy as np

import adaptfilt as af
from adaptfilt import metrics, plots, signals, theory

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "qam_receiver.png"
SPS, TAPS, SNR_DB = 2, 41, 28.0
OFFSET, WALK = 2e-3, 2e-3  # carrier in radians a sample, and its phase noise


def received(symbols: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return samples of unit power, the symbols in them, and the response they came through, before the carrier."""
    a = signals.symbols(af.Constellation.qam(16), symbols, rng=0)
    pulse = signals.root_raised_cosine(0.25, SPS)
    paths = [1.0, 0.0, 0.45 * np.exp(2j), 0.0, 0.0, 0.25 * np.exp(-1j)]
    h = np.convolve(np.convolve(pulse, paths), pulse)
    h = SPS**0.5 * h / np.linalg.norm(h)
    x = signals.add_noise(signals.pulse_train(a, h, SPS), SNR_DB, rng=1)
    return signals.off_carrier(x, OFFSET, walk=WALK, rng=2), a, h


def main(out: Path = PICTURE, symbols: int = 30_000) -> float:
    """Equalise, draw what comes in and out, and return by how many dB the end is worse than theory's best."""
    qam = af.Constellation.qam(16)
    x, a, h = received(symbols)
    eq = af.Equalizer(TAPS, qam, sps=SPS, stages=[("auto", 1e-3)], carrier=(0.01, 0.707))
    blocks = [(eq(block).y, eq.state) for block in np.array_split(x, symbols // 100)]
    y = np.concatenate([block for block, _ in blocks])
    opened = 100 * next(k for k, (_, state) in enumerate(blocks) if state == "dd")

    late = slice(-symbols // 5, -20)
    found = metrics.align_symbols(y[late], a, rotations=qam.symmetry)
    evm, wrong = metrics.evm_db(found.y, found.symbols), metrics.ser(found.y, found.symbols, qam)
    delay = int(found.delay) + len(y) + late.start
    best = 10 * np.log10(theory.mmse_equalizer(h, TAPS, delay, 10 ** (-SNR_DB / 10), sps=SPS)[1])
    print(f"decided from symbol {opened} on; then {wrong:.1e} of the symbols are wrong")
    print(f"error {evm:.1f} dB; the best {TAPS} taps, on a carrier that stands still: {best:.1f} dB")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 8), dpi=150, layout="constrained")
    (before, after), (errors, response) = figure.subplots(2, 2)
    plots.constellation(x[-4000::SPS], qam.points, ax=before).set_title("Received")
    plots.constellation(found.y[-2000:], qam.points, label="equalised", ax=after).set_title("Equalised")
    plots.symbol_errors(qam.slice(y) - y, label="from decisions", ax=errors)
    errors.axvline(opened, color="C3", linestyle="--", label="eye open")
    errors.set_title("Error over symbols")
    plots.combined_response(h, eq.active.w, sps=SPS, ax=response).set_title("Channel and equaliser together")
    for ax in (before, after):
        ax.get_legend().remove()
    errors.legend(loc="upper right")
    response.legend(loc="upper left")
    figure.savefig(out)
    print(f"picture: {out}")
    return float(evm - best)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
