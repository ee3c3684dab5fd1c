"""Active noise control in a duct: the secondary path measured first, then control, over spectra before and after.

    python examples/duct_noise.py

A fan's hum and hiss travel down a duct. A microphone hears them first, a loudspeaker two metres on plays against them,
and an error microphone behind it says what is left. How the loudspeaker sounds at that microphone is measured with
white noise before; filtered-x needs to know it. The modified form does not wait for the duct's delay (Morgan 1980;
Bjarnason 1992).
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import welch

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "duct_noise.png"
FS, TAPS, SECONDS = 4000, 128, 6


def main(out: Path = PICTURE) -> dict[str, float]:
    """Measure the path, control the noise, draw both, and return by how many dB each filter lowers it."""
    duct = plants.duct(rng=0, fs=FS, speaker=2.0, microphone=2.5, taps=64)

    probe = signals.white(2 * FS, rng=1)
    recorded = signals.add_noise(plants.fir(duct.secondary)(probe), 30.0, rng=2)
    model = af.nlms(probe, recorded, taps=64, mu=0.1).w
    print(f"secondary path known to {metrics.misalignment_db(model, duct.secondary):.0f} dB")

    n = np.arange(SECONDS * FS)
    hum = sum(a * np.sin(2 * np.pi * f * n / FS) for a, f in ((1.0, 95), (0.6, 190), (0.3, 285)))
    x = hum + signals.coloured(n.size, [1, -0.9], rng=3)
    d = signals.add_noise(duct(x), 40.0, rng=4)
    filters = {
        "FxNLMS": af.FxNLMS(TAPS, 0.02, model),
        "modified, RLS": af.ModifiedFxLMS(af.RLS(TAPS, 0.9998), model),
    }
    heard = {name: f(x, d, path=duct.secondary).e for name, f in filters.items()}
    late = slice(-2 * FS, None)
    gained = {name: float(metrics.erle_db(d[late], e[late])) for name, e in heard.items()}
    for name, gain in gained.items():
        print(f"{name}: {gain:.1f} dB less noise over the last two seconds")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8), dpi=150, layout="constrained")
    path, levels, spectra = figure.subplots(3, 1)
    plots.impulse_response(model, duct.secondary, fs=FS, ax=path).set(title="Secondary path, as measured")
    for name, e in {"without control": d, **heard}.items():
        level = 10 * np.log10(np.mean(e.reshape(-1, FS // 10) ** 2, -1))
        levels.plot(np.arange(level.size) / 10, level, label=name)
        f, power = welch(e[late], FS, nperseg=1024)
        spectra.semilogy(f, power, label=name)
    levels.set(xlabel="time, s", ylabel="level, dB", title="At the error microphone")
    spectra.set(xlabel="frequency, Hz", ylabel="power per Hz", title="Over the last two seconds")
    levels.grid(alpha=0.3)
    spectra.grid(alpha=0.3)
    spectra.legend()
    figure.savefig(out)
    print(f"picture: {out}")
    return gained


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURE, help="picture to write")
    main(**vars(parser.parse_args()))
