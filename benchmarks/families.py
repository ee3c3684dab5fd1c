"""A measured picture for each family of filters: what it is for, beside what one would take without it.

``python -m benchmarks.families [--family sparse] [--runs 20] [--out docs/pictures]`` draws ``family_NAME.png``: the
mean over runs of the distance from the plant, or of the error. The parameters stand in the code, and what is not a
default in the legends. Settings are such that filters of one picture rest at like levels, or learn at like speeds,
unless the picture shows just that.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt import plots, signals

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
SEED = 0
Array = np.ndarray


class Task(NamedTuple):
    """The signals of all runs, (runs, T), the filters by name, and what is shown of them."""

    title: str
    x: Array
    d: Array
    filters: dict[str, Any]
    plant: Array | None = None  # (N,) or (T, N); None: the error is shown
    floor_db: float | None = None
    window: int = 1
    every: int = 20
    shares: bool = False  # whether legends say on how many samples a filter adapted


def coloured_input(runs: int) -> Task:
    """Return a room of 32 taps and an input of one pole: the first to try."""
    x, d, h = _room(runs, 6000, 32, pole=0.9)
    filters = {
        "LMS, mu = 0.01": af.LMS(32, 0.01, **_linear(runs)),
        "NLMS, mu = 0.5": af.NLMS(32, 0.5, **_linear(runs)),
        "AffineProjection, mu = 0.1, order 4": af.AffineProjection(32, 0.1, 4, **_linear(runs)),
        "RLS, lam = 0.999": af.RLS(32, 0.999, **_linear(runs)),
    }
    return Task("Input with a pole at 0.9", x, d, filters, h)


def least_squares(runs: int) -> Task:
    """Return an input of two poles, for the forms of RLS."""
    x, d, h = _room(runs, 2000, 16, pole=0.95)
    common = {"batch": runs, "dtype": torch.float64}
    filters = {
        "RLS": af.RLS(16, 0.998, **_linear(runs)),
        "QRRLS": af.QRRLS(16, 0.998, **_linear(runs)),
        "LatticeRLS": af.LatticeRLS(16, 0.998, **common),
        "FastRLS": af.FastRLS(16, 0.998, batch=runs),
        "DCDRLS, 4 updates": af.DCDRLS(16, 0.998, updates=4, **common),
        "TransformDomainLMS, mu = 0.01": af.TransformDomainLMS(16, 0.01, **_linear(runs)),
        "NLMS, mu = 0.5": af.NLMS(16, 0.5, **_linear(runs)),
    }
    return Task("Input with a pole at 0.95, lam = 0.998", x, d, filters, h, every=10)


def moving_plants(runs: int) -> Task:
    """Return a plant that is another one from the middle on."""
    T, M, rng = 8000, 16, np.random.default_rng(SEED)
    x = rng.standard_normal((runs, T))
    before, after = (af.plants.room(M, 16.0, rng=k).b for k in (1, 2))
    plant = np.where(np.arange(T)[:, None] < T // 2, before, after)
    d = np.concatenate([lfilter(before, 1, x)[:, : T // 2], lfilter(after, 1, x)[:, T // 2 :]], 1)
    d += 0.03 * rng.standard_normal(d.shape)
    filters = {
        "NLMS, mu = 0.5": af.NLMS(M, 0.5, **_linear(runs)),
        "NLMS, mu = 0.05": af.NLMS(M, 0.05, **_linear(runs)),
        "NPVSS": af.NPVSS(M, noise=9e-4, **_linear(runs)),
        "VSSNLMS": af.VSSNLMS(M, 1.0, c=1e-3, **_linear(runs)),
        "KwongJohnston": af.KwongJohnston(M, 0.02, gamma=2e-3, mu_min=2e-3, mu_max=0.04, **_linear(runs)),
        "SimplifiedKalman, q estimated": af.SimplifiedKalman(M, q=None, r=9e-4, **_linear(runs)),
        "RLS, lam = 0.998": af.RLS(M, 0.998, **_linear(runs)),
        "VariableForgettingRLS": af.VariableForgettingRLS(M, **_linear(runs)),
        "SlidingWindowRLS, 300 samples": af.SlidingWindowRLS(M, 300, batch=runs),
    }
    return Task("A plant that changes at sample 4000, white input", x, d, filters, plant)


def impulsive_noise(runs: int) -> Task:
    """Return noise with one impulse of thirty times its size in a hundred samples."""
    x, d, h = _room(runs, 6000, 16)
    rng = np.random.default_rng(SEED + 1)
    d = d + 3.0 * rng.standard_normal(d.shape) * (rng.random(d.shape) < 0.01)
    filters = {
        "NLMS, mu = 0.2": af.NLMS(16, 0.2, **_linear(runs)),
        "SignError, mu = 0.001": af.SignError(16, 0.001, **_linear(runs)),
        "HuberNLMS, clip follows": af.HuberNLMS(16, 0.2, clip=None, **_linear(runs)),
        "Llncosh, scale 10": af.Llncosh(16, 0.002, scale=10.0, **_linear(runs)),
        "LLAD, scale 10": af.LLAD(16, 0.002, scale=10.0, **_linear(runs)),
        "GMCC, scale 0.5": af.GMCC(16, 0.0125, shape=2.0, scale=0.5, **_linear(runs)),
    }
    return Task("One sample of d in a hundred has a click", x, d, filters, h)


def light_tails(runs: int) -> Task:
    """Return noise of two values: the lightest tails there are."""
    x, d, h = _room(runs, 4000, 8, noise=0.0)
    d = d + 0.3 * np.random.default_rng(SEED + 1).choice([-1.0, 1.0], d.shape)
    filters = {
        "LMS, mu = 0.01": af.LMS(8, 0.01, **_linear(runs)),
        "LMF, mu = 0.01": af.LMF(8, 0.01, **_linear(runs)),
        "NLMF, mu = 0.2": af.NLMF(8, 0.2, **_linear(runs)),
        "LMLS, mu = 0.05, scale 1": af.LMLS(8, 0.05, scale=1.0, **_linear(runs)),
        "LMMN, mu = 0.02, mix 0.2": af.LMMN(8, 0.02, mix=0.2, **_linear(runs)),
    }
    return Task("Noise of 0.3 or -0.3", x, d, filters, h)


def sparse(runs: int) -> Task:
    """Return a response of 128 taps of which five are not zero."""
    rng = np.random.default_rng(SEED)
    h = np.zeros(128)
    h[[20, 24, 31, 77, 90]] = 0.7, -0.5, 0.3, 0.25, -0.2
    x = rng.standard_normal((runs, 6000))
    d = lfilter(h, 1, x) + 0.03 * rng.standard_normal(x.shape)
    filters = {
        "NLMS, mu = 0.4": af.NLMS(128, 0.4, **_linear(runs)),
        "IPNLMS, mu = 0.4": af.IPNLMS(128, 0.4, **_linear(runs)),
        "LMS, mu = 0.003": af.LMS(128, 0.003, **_linear(runs)),
        "ZALMS": af.ZALMS(128, 0.003, rho=5e-6, **_linear(runs)),
        "RZALMS": af.RZALMS(128, 0.003, rho=3e-5, **_linear(runs)),
        "L0LMS": af.L0LMS(128, 0.003, kappa=3e-6, beta=10.0, **_linear(runs)),
    }
    return Task("Five of 128 coefficients are not 0", x, d, filters, h)


def few_updates(runs: int) -> Task:
    """Return noise of known power, for filters that adapt seldom or with little arithmetic."""
    x, d, h = _room(runs, 6000, 16)
    bound = np.sqrt(5) * 0.03
    filters = {
        "NLMS, mu = 0.1": af.NLMS(16, 0.1, **_linear(runs)),
        "SetMembershipNLMS": af.SetMembershipNLMS(16, bound, **_linear(runs)),
        "SetMembershipAP": af.SetMembershipAP(16, bound, 2, **_linear(runs)),
        "PassiveAggressive": af.PassiveAggressive(16, bound, aggressiveness=0.05, **_linear(runs)),
        "SignData, mu = 0.01": af.SignData(16, 0.01, **_linear(runs)),
        "SignSign, mu = 0.0005": af.SignSign(16, 0.0005, **_linear(runs)),
    }
    return Task("Noise of known size", x, d, filters, h, shares=True)


def frequency_domain(runs: int) -> Task:
    """Return a room of 1024 taps, coloured input, and somebody else who speaks for a while."""
    runs = min(runs, 4)
    T = 60_000
    x, d, h = _room(runs, T, 1024, pole=0.9)
    other = slice(30_000, 40_000)
    d[:, other] += 0.5 * np.random.default_rng(SEED + 1).standard_normal((runs, 10_000))
    common = {"batch": runs, "dtype": torch.float64}
    filters = {
        "NLMS, mu = 0.5": af.NLMS(1024, 0.5, **common),
        "FDAF, mu = 0.5": af.FDAF(1024, 0.5, block=256, **common),
        "FDKF": af.FDKF(1024, block=256, **common),
    }
    return Task("1024 taps; somebody else speaks from 30 000 to 40 000", x, d, filters, h, every=256)


def poles(runs: int) -> Task:
    """Return a decay that 32 taps cannot hold."""
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((runs, 8000))
    d = lfilter([0.2, 0.1], [1, -0.97], x) + 0.1 * rng.standard_normal(x.shape)
    common = {"batch": runs, "dtype": torch.float64}
    filters = {
        "NLMS, 32 taps": af.NLMS(32, 0.2, **_linear(runs)),
        "NLMS, 128 taps": af.NLMS(128, 0.2, **_linear(runs)),
        "EquationError, a zero, a pole": af.EquationError(1, 1, 0.005, **common),
        "OutputError, a zero, a pole": af.OutputError(1, 1, 0.005, **common),
    }
    return Task("A decay by a pole at 0.97", x, d, filters, floor_db=-20.0, window=200)


def kernels(runs: int) -> Task:
    """Return a plant that saturates, and few samples."""
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((runs, 3000))
    d = np.tanh(1.5 * lfilter([1.0, 0.5], 1, x)) + 0.03 * rng.standard_normal(x.shape)
    common = {"batch": runs, "dtype": torch.float64}
    filters = {
        "NLMS": af.NLMS(2, 0.2, **_linear(runs)),
        "RLS with Volterra features": af.RLS(2, 0.999, features=af.Volterra(2, order=3), **_linear(runs)),
        "QKLMS": af.QKLMS(2, 0.3, width=0.7, threshold=0.3, budget=150, **common),
        "KRLS": af.KRLS(2, width=1.0, novelty=0.01, budget=80, batch=runs),
    }
    return Task("A plant that saturates", x, d, filters, floor_db=20 * np.log10(0.03), window=100)


FAMILIES: dict[str, Callable[[int], Task]] = {
    make.__name__: make
    for make in (
        coloured_input, least_squares, moving_plants, impulsive_noise, light_tails, sparse, few_updates,
        frequency_domain, poles, kernels,
    )
}  # fmt: skip


def measure(task: Task) -> dict[str, Array]:
    """Run the filters of a task and return the history of each one's weights, or its errors."""
    found = {}
    for name, f in task.filters.items():
        out = f(task.x, task.d, record_every=None if task.plant is None else task.every)
        found[name] = out.e if task.plant is None else out.w
    return found


def draw(task: Task, found: dict[str, Array]) -> Figure:
    """Return the picture of what was measured."""
    figure = Figure(figsize=(9, 4.2), dpi=120, layout="constrained")
    ax = figure.subplots()
    for name, history in found.items():
        share = getattr(task.filters[name], "share", None) if task.shares else None
        label = name if share is None else f"{name}, {100 * float(share.mean()):.0f} % of the samples"
        if task.plant is None:
            plots.learning_curve(history, window=task.window, noise_floor_db=task.floor_db, label=label, ax=ax)
        else:
            plant = task.plant if task.plant.ndim == 1 else task.plant[task.every - 1 :: task.every]
            plots.misalignment(history, plant, every=task.every, label=label, ax=ax)
    ax.set_title(f"{task.title}; mean of {len(task.x)} runs")
    return figure


def _linear(runs: int) -> dict[str, Any]:
    return {"batch": runs, "dtype": torch.float64, "engine": "reference"}  # one torch loop for all runs


def _room(runs: int, samples: int, taps: int, pole: float = 0.0, noise: float = 0.03) -> tuple[Array, Array, Array]:
    """Return input, output and response of a room of unit energy, the same in all runs."""
    rng = np.random.default_rng(SEED)
    h = af.plants.room(taps, 0.9 * taps, rng=1).b
    x = signals.coloured((runs, samples), [1.0, -pole], rng) if pole else rng.standard_normal((runs, samples))
    return x, lfilter(h, 1, x) + noise * rng.standard_normal((runs, samples)), h


def main(out: Path = PICTURES, runs: int = 20, family: str | None = None) -> None:
    """Draw the pictures of all families, or of one."""
    for name in FAMILIES if family is None else [family]:
        task = FAMILIES[name](runs)
        draw(task, measure(task)).savefig(out / f"family_{name}.png")
        print(out / f"family_{name}.png", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURES, help="folder of the pictures")
    parser.add_argument("--runs", type=int, default=20, help="independent runs")
    parser.add_argument("--family", choices=list(FAMILIES), help="one of them only")
    main(**vars(parser.parse_args()))
