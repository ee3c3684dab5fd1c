"""Equalisers: checked against the reference loop first, then timed, on one thread, in complex64.

``python -m benchmarks.equalisers [--out FILE]``. The signal is QPSK (16-QAM where a carrier loop decides) through a
root raised cosine pulse of rolloff .1 at both ends, mixed polarisations where there are two, 20 dB. Contenders take
turns, and the fastest turn of each counts, in processor time; nanoseconds a symbol, of all outputs together. Beside
OptiCommPy, sample by sample in the time domain, where it is installed (benchmarks/requirements.txt).
"""

import argparse
import importlib.util
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

import adaptfilt as af
from benchmarks.checks import Row
from benchmarks.report import machine, mark, table
from benchmarks.timing import interleave

SYMBOLS, SHORT, CHECKED = 100_000, 1_000, 2_000
MU, TOLERANCE = 1e-3, 1e-4
QPSK, QAM = af.Constellation.psk(4), af.Constellation.qam(16)
Make = Callable[..., Any]


def received(c: af.Constellation, sps: int, inputs: int = 1, symbols: int = SYMBOLS) -> np.ndarray:
    """Return a signal of unit power, (inputs, T) or (T,)."""
    rng = np.random.default_rng(0)
    pulse = af.signals.root_raised_cosine(0.1, max(sps, 2), 16)
    pulse = np.convolve(pulse, pulse)[:: max(sps, 2) // sps]
    x = af.signals.pulse_train(af.signals.symbols(c, (inputs, symbols), rng), pulse, sps)
    x = af.plants.polarisation(1, angles=(0.63, 0.4))(x) if inputs == 2 else x
    x = af.signals.add_noise(x, 20, rng)
    return (x / np.sqrt(np.mean(np.abs(x) ** 2))).astype(np.complex64)[slice(None) if inputs > 1 else 0]


COMMON = {"dtype": torch.complex64}
CASES: dict[str, tuple[Make, af.Constellation, int, int]] = {  # filter, constellation, samples a symbol, inputs
    "CMA, 11 taps": (lambda **k: af.CMA(11, MU, **COMMON, **k), QPSK, 1, 1),
    "CMA, 2 by 2, 15 taps": (lambda **k: af.CMA(15, MU, sps=2, inputs=2, outputs=2, **COMMON, **k), QPSK, 2, 2),
    "DFE, 11 + 5, decided": (lambda **k: af.DFE(11, 5, MU, QPSK, sps=2, **COMMON, **k), QPSK, 2, 1),
    "DecisionDirected, 16-QAM, loop, 15 taps": (
        lambda **k: af.DecisionDirected(15, MU, QAM, sps=2, carrier=(0.01, 0.707), **COMMON, **k), QAM, 2, 1,
    ),
}  # fmt: skip
UNDER = {"CMA, 2 by 2, 15 taps": 60, "DFE, 11 + 5, decided": 90, "DecisionDirected, 16-QAM, loop, 15 taps": 60}
AGAINST = {"CMA, 11 taps": 50, "CMA, 2 by 2, 15 taps": 25, "DFE, 11 + 5, decided": 4}


def check() -> dict[str, float]:
    """Return how far the outputs of each are from those of the reference loop; exit where it is too far."""
    agreement = {}
    for name, (make, c, sps, inputs) in CASES.items():
        x = received(c, sps, inputs, CHECKED)
        got, want = make()(x).y, make(engine="reference")(x).y
        agreement[name] = float(np.abs(got - want).max())
        if not agreement[name] <= TOLERANCE:  # NaN does not pass
            raise SystemExit(f"{name} is off by {agreement[name]:.1e}, over {TOLERANCE:g}: nothing is reported")
    return agreement


def peers() -> dict[str, Callable[[np.ndarray], Any]]:
    """Return OptiCommPy's equalisers of the same recursions, by the case they are beside; none where it lacks."""
    if not importlib.util.find_spec("optic"):
        return {}
    from optic.dsp.equalization import dfe, mimoAdaptEqualizer
    from optic.utils import parameters

    def cma(taps: int, sps: int) -> Callable[[np.ndarray], Any]:
        p = parameters()
        p.alg, p.mu, p.nTaps, p.SpS, p.M, p.constType = ["cma"], [MU], taps, sps, 4, "qam"
        p.domain, p.blockSize, p.numIter, p.prgsBar, p.returnResults = "time", 1, 1, False, True

        def call(x: np.ndarray) -> Any:
            p.H, p.H_, p.L = [], [], []
            x = np.ascontiguousarray(np.atleast_2d(x).T)
            return mimoAdaptEqualizer(x, p, np.ones((len(x) // sps, x.shape[1]), x.dtype))[0].T

        return call

    q = parameters()
    q.nTapsFF, q.nTapsFB, q.SpS, q.mu, q.nTrain, q.M, q.constType = 11, 5, 2, MU, 1, 4, "qam"
    q.trainingMode, q.prec = "fulltime", np.complex64
    return {
        "CMA, 11 taps": cma(11, 1),
        "CMA, 2 by 2, 15 taps": cma(15, 2),
        "DFE, 11 + 5, decided": lambda x: dfe(x, np.ones(len(x) // 2, x.dtype), q),
    }


def dispersion(y: Any) -> float:
    """Return the mean of (1 - |y|^2)^2 over the second half: what CMA lessens."""
    return float(np.mean((1 - np.abs(y[..., SYMBOLS // 2 :]) ** 2) ** 2))


def beside(name: str, peer: Callable[[np.ndarray], Any], ours: float) -> Row:
    """Time OptiCommPy's rule once it is compiled; a blind one is to leave the dispersion that ours does."""
    make, c, sps, inputs = CASES[name]
    x = received(c, sps, inputs)
    found = peer(x)
    if name.startswith("CMA") and not np.isclose(dispersion(found), dispersion(make()(x).y), rtol=0.01):
        raise SystemExit(f"{name}: OptiCommPy comes to another dispersion: nothing is reported")
    ns = interleave({name: lambda: peer(x)}, 5)[name] / SYMBOLS * 1e9
    bar = AGAINST[name]
    found = f"{ns / ours:.0f} times as fast; {ns:.0f} ns, {ours:.0f} ns"
    return Row(f"{name}, against OptiCommPy", found, f"at least {bar} times", ns >= bar * ours)


def blocks(f: Any, x: np.ndarray, samples: int) -> Callable[[], None]:
    """Return a call that runs a signal in blocks."""
    parts = [np.ascontiguousarray(x[..., k : k + samples]) for k in range(0, x.shape[-1], samples)]

    def call() -> None:
        for part in parts:
            f(part)

    return call


def rows(rounds: int) -> Iterator[Row]:
    """Time all in turns."""
    calls: dict[str, Callable[[], object]] = {}
    for name, (make, c, sps, inputs) in CASES.items():
        x = received(c, sps, inputs)
        calls[name] = blocks(make(), x, SYMBOLS * sps)
        calls[f"{name}, calls of 1,000"] = blocks(make(), x, SHORT * sps)
    x = received(QPSK, 1)
    nlms, d = af.NLMS(11, 0.01, **COMMON), np.roll(x, 5)
    calls["NLMS"] = lambda: nlms(x, d)
    many = np.ascontiguousarray(x[: 256 * (SYMBOLS // 256)].reshape(256, -1))
    batch = af.CMA(11, MU, batch=256, **COMMON)
    calls["batch"] = lambda: batch(many)
    ns = {name: spent / SYMBOLS * 1e9 for name, spent in interleave(calls, rounds, 0.05).items()}
    one = ns["CMA, 11 taps"]
    ratio = one / ns["NLMS"]
    yield Row(
        "CMA, 11 taps, against NLMS", f"{ratio:.2f} times; {one:.1f} ns, {ns['NLMS']:.1f} ns", "1.25", ratio <= 1.25
    )
    for name, bar in UNDER.items():
        yield Row(f"{name}, 2 samples a symbol", f"{ns[name]:.0f} ns a symbol", f"under {bar} ns", ns[name] < bar)
    ratio = one / (ns["batch"] * SYMBOLS / many.size)
    yield Row("256 CMA filters of 11 taps against one", f"{ratio:.2f} times the symbols a second", "2", ratio >= 2)
    for name in CASES:
        ratio = ns[f"{name}, calls of 1,000"] / ns[name]
        yield Row(
            f"{name}, calls of 1,000 symbols against one block", f"{ratio:.2f} times the time", "1.3", ratio <= 1.3
        )
    for name, peer in peers().items():
        yield beside(name, peer, ns[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the tables there, as markdown")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each")
    args = parser.parse_args()
    torch.set_num_threads(1)
    agreement = ", ".join(f"{name} {off:.0e}" for name, off in check().items())
    report = "\n\n".join(
        [
            f"Measured {date.today()} by `python -m benchmarks.equalisers`: {machine()}, one thread, torch "
            f"{torch.__version__}, complex64. Checked before against the reference loop, the largest difference of "
            f"outputs: {agreement}.",
            table(["what", "found", "to reach", "reached"], [[*r[:3], mark(r)] for r in rows(args.rounds)]),
        ]
    )
    print(report)
    if args.out is not None:
        args.out.write_text(report + "\n")


if __name__ == "__main__":
    main()
