"""Gradients through the adaptation: the block engine against loops over samples in torch, on one thread.

``python -m benchmarks.differentiable [--out FILE]`` first checks that errors and gradients agree, in float64;
then contenders take turns, and the fastest turn of each counts, in processor time. A gradient is forward and
backward of the sum of e^2, with respect to mu, x and d, of NLMS in float32.
"""

import argparse
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

import adaptfilt as af
from benchmarks.checks import Row
from benchmarks.report import machine, mark, table
from benchmarks.timing import interleave

TAPS, SAMPLES, LOOP = 64, 32768, 256  # LOOP: samples for the loops; more of them take no less each
MU, EPS, TOLERANCE = 0.5, 1e-3, 1e-10
SIZES = (
    (af.NLMS, MU, 1, 8),
    (af.NLMS, MU, 1, 64),
    (af.NLMS, MU, 1, 512),
    (af.NLMS, MU, 16, 64),
    (af.NLMS, MU, 256, 64),
    (af.LMF, 1e-4, 1, 64),
    (af.LMF, 1e-4, 256, 64),
)  # filter, its step size, how many, taps

Errors = Callable[[Tensor, Tensor, Tensor], Tensor]  # of x, d, mu


def ours(engine: str) -> Errors:
    return lambda x, d, mu: af.NLMS(TAPS, mu, eps=EPS, dtype=x.dtype, engine=engine)(x, d).e


def errors_of(f: af.LinearFilter) -> Errors:
    return lambda x, d, mu: f.reset()(x, d, mu=mu).e


def written_by_hand(x: Tensor, d: Tensor, mu: Tensor) -> Tensor:
    """NLMS as one writes it in torch. (Slices of x in place of `unbind` take time quadratic in T, backwards.)"""
    w, e = x.new_zeros(TAPS), []
    for u_n, d_n in zip(pad(x, (TAPS - 1, 0)).unfold(0, TAPS, 1).flip(1).unbind(), d.unbind(), strict=True):
        e_n = d_n - w @ u_n
        w = w + mu / (EPS + u_n @ u_n) * e_n * u_n
        e.append(e_n)
    return torch.stack(e)


BLOCK, HAND, REFERENCE = "adaptfilt", "loop by hand", 'engine="reference"'
CONTENDERS = {BLOCK: ours("auto"), HAND: written_by_hand, REFERENCE: ours("reference")}


def problem(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Return x, d of a random plant, and mu, all of which require gradients."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=rng, dtype=dtype)
    h = torch.randn(TAPS, generator=rng, dtype=dtype) / TAPS**0.5
    d = pad(x, (TAPS - 1, 0)).unfold(-1, TAPS, 1) @ h + 0.1 * torch.randn(shape, generator=rng, dtype=dtype)
    return x.requires_grad_(), d.requires_grad_(), torch.tensor(MU, dtype=dtype, requires_grad=True)


def gradient(errors: Errors, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Return e and the gradients of its energy with respect to the inputs."""
    e = errors(*inputs)
    return e.detach(), *torch.autograd.grad(e.square().sum(), inputs)


def check() -> dict[str, float]:
    """Return the largest relative difference of each contender from the loop by hand; exit where it is too large."""
    inputs = problem(2 * LOOP, dtype=torch.float64)
    want = gradient(written_by_hand, *inputs)
    agreement = {}
    for name, errors in CONTENDERS.items():
        pairs = zip(gradient(errors, *inputs), want, strict=True)
        agreement[name] = max(((got - true).norm() / true.norm()).item() for got, true in pairs)
        if not agreement[name] <= TOLERANCE:  # NaN does not pass
            raise SystemExit(f"{name} is off by {agreement[name]:.1e}, over {TOLERANCE:g}: nothing is reported")
    return agreement


def kept(errors: Errors, samples: int) -> float:
    """Return the bytes a sample that the graph keeps for the backward pass, every storage once."""
    storages = {}

    def pack(v: Tensor) -> Tensor:
        storages[v.untyped_storage().data_ptr()] = v.untyped_storage().nbytes()
        return v

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda v: v):
        e = errors(*problem(samples))
    total = sum(storages.values())
    del e  # until here its graph lived: no address came twice
    return total / samples


def gradient_rows() -> Iterator[Row]:
    """One filter, forward and backward, against the loops."""
    samples = {BLOCK: SAMPLES, HAND: LOOP, REFERENCE: LOOP}
    inputs = {name: problem(count) for name, count in samples.items()}
    calls = {name: partial(gradient, CONTENDERS[name], *inputs[name]) for name in samples}
    us = {name: spent / samples[name] * 1e6 for name, spent in interleave(calls).items()}
    for name in (HAND, REFERENCE):
        found, ratio = f"{us[name]:.0f} us a sample", us[name] / us[BLOCK]
        yield Row(f"gradient against {name}", f"{ratio:.0f} times faster; {found}", "20, better 50", ratio >= 20)
    yield Row("gradient, time a sample", f"{us[BLOCK]:.2f} us", "under 5 us", us[BLOCK] < 5)


def batch_rows(filters: int = 256) -> Iterator[Row]:
    """Many filters at once against one, without gradients."""
    rates = {1: SAMPLES, filters: SAMPLES * 8}
    calls = {}
    for count, total in rates.items():
        f = af.NLMS(TAPS, MU, eps=EPS, batch=(count,), engine="block")
        x, d, _ = (v.detach() for v in problem(count, total // count))
        calls[count] = partial(f, x, d)
    ns = {count: spent / rates[count] * 1e9 for count, spent in interleave(calls).items()}
    ratio = ns[1] / ns[filters]
    found = f"{ratio:.1f} times the samples a second; {ns[1]:.0f} and {ns[filters]:.0f} ns a sample"
    yield Row(f'{filters} filters at once against one, engine="block", no gradient', found, "3", ratio >= 3)


def memory_rows() -> Iterator[Row]:
    """What the graph keeps: as much a sample for ten times the samples."""
    short, long = (kept(CONTENDERS[BLOCK], samples) for samples in (10**4, 10**5))
    by_hand = kept(written_by_hand, 10**3)
    found = f"{short:.1f} and {long:.1f} bytes a sample; the loop by hand {by_hand:,.0f}"
    yield Row("kept for the backward pass, 10^4 and 10^5 samples", found, "linear", abs(long / short - 1) < 0.05)


def sizes() -> str:
    """A table of nanoseconds a sample and filter, without gradients and with."""
    rows = []
    for cls, mu, filters, taps in SIZES:
        f = cls(taps, mu, batch=(filters,))
        x, d, _ = problem(filters, SAMPLES * min(filters, 8) // filters)
        calls = {
            "alone": partial(f, x.detach(), d.detach()),
            "gradient": partial(gradient, errors_of(f), x, d, torch.tensor(mu, requires_grad=True)),
        }
        ns = [f"{spent / x.numel() * 1e9:,.0f}" for spent in interleave(calls, rounds=5).values()]
        rows.append([cls.__name__, str(filters), str(taps), *ns])
    return table(["filter", "how many", "taps", "adaptation alone", "with gradient"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the tables there, as markdown")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    agreement = check()
    rows = [*gradient_rows(), *batch_rows(), *memory_rows()]
    agreed = ", ".join(f"{name} {off:.0e}" for name, off in agreement.items() if name != HAND)
    report = "\n\n".join(
        [
            f"Measured {date.today()} by `python -m benchmarks.differentiable`: {machine()}, one thread, torch "
            f"{torch.__version__}. NLMS, float32, {TAPS} taps; a gradient is forward and backward of the sum of e^2 "
            f"with respect to mu, x and d. Checked before, in float64, against the loop by hand, the largest "
            f"relative difference in e and the gradients: {agreed}.",
            table(["what", "found", "to reach", "reached"], [[r.what, r.found, r.goal, mark(r)] for r in rows]),
            "Nanoseconds a sample and filter, the engine chosen by itself:",
            sizes(),
        ]
    )
    print(report)
    if out is not None:
        out.write_text(report + "\n")


if __name__ == "__main__":
    main()
