"""Convergence as an animation: coefficients moving to their plant, and the ways of LMS and RLS down an error surface.

    python examples/convergence.py

Left, NLMS finds 24 coefficients of a room from white noise. Right, LMS and RLS find two coefficients from coloured
noise, whose error surface is a narrow valley: LMS goes down across the valley and then slowly along it, RLS straight
to the bottom. One file is the animation, .gif, the other one its last picture, .png.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "convergence.png"
ROOM, PAIR, POLE = plants.room(24, 40.0, rng=0).b, np.array([0.8, -0.3]), 0.9
SHOWN = np.concatenate([np.arange(0, 24), np.arange(24, 300, 9)])  # samples, one a frame: slowly at first


def ways() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the weights of NLMS in the room, and those of LMS and RLS of the two coefficients, sample by sample."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal(300)
    room = af.NLMS(ROOM.size, 0.5, engine="reference")(x, plants.fir(ROOM)(x), record_every=1).w
    x = signals.coloured(300, [1.0, -POLE], rng)
    d = lfilter(PAIR, 1, x) + 0.01 * rng.standard_normal(300)
    filters = {"LMS": af.LMS(2, 0.1, engine="reference"), "RLS": af.RLS(2, 1.0, engine="reference")}
    return room, {name: f(x, d, record_every=1).w for name, f in filters.items()}


def main(out: Path = PICTURE, every: int = 1) -> dict[str, float]:
    """Draw the animation and its last picture, and return how far each filter is from its plant, in dB.

    `every` leaves out frames.
    """
    room, paths = ways()
    figure = Figure(figsize=(9, 4), dpi=80, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    plots.error_surface(paths, PAIR, POLE ** np.arange(2), ax=right).set(title="Error surface, coloured input")
    walks = [(line, line.get_xydata()) for line in right.get_lines() if line.get_label() in paths]
    bounds = 1.2 * min(0.0, ROOM.min()), 1.2 * ROOM.max()

    def show(n: int) -> None:
        left.clear()
        plots.impulse_response(room[n], ROOM, ax=left).set(title=f"NLMS after {n + 1} samples", ylim=bounds)
        left.legend(loc="upper right")
        for line, way in walks:
            line.set_data(*way[: n + 2].T)  # from zero on

    show(int(SHOWN[-1]))
    right.legend(loc="lower left")
    figure.savefig(out, dpi=150)
    figure.set_layout_engine("none")  # what stands, stands still
    writer = PillowWriter(fps=10)
    with writer.saving(figure, out.with_suffix(".gif"), dpi=80):
        for n in [*SHOWN[::every], *[SHOWN[-1]] * 10]:
            show(int(n))
            writer.grab_frame()

    ends = {"NLMS": float(metrics.misalignment_db(room[-1], ROOM))}
    ends |= {name: float(metrics.misalignment_db(w[-1], PAIR)) for name, w in paths.items()}
    for name, distance in ends.items():
        print(f"{name:5} misalignment after 300 samples {distance:.1f} dB")
    print(f"picture: {out}, animation: {out.with_suffix('.gif')}")
    return ends


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
