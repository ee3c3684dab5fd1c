"""`GradientFilter` and a filter over features against literal torch, in one run on one thread.

``python -m benchmarks.gradient [--out FILE]`` first checks, in float64, that ours computes what the literal loop does
(forward, loss, zero_grad, backward, step, on regressors made before); then both take turns, in float32, and the fastest
turn of each counts.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import adaptfilt as af
from adaptfilt.features import Volterra
from benchmarks.checks import Row
from benchmarks.report import machine, mark, table
from benchmarks.timing import interleave

LOOP, BLOCK, MODELS = 100, 20_000, 1000  # samples of an eager loop and of a compiled one, models at once
TOLERANCE = 1e-9


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=1e-3)


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1e-3)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1))


class Recurrent(nn.Module):
    """A gated recurrent unit over the delay line."""

    def __init__(self) -> None:
        super().__init__()
        self.unit, self.out = nn.GRU(1, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, u: Tensor) -> Tensor:
        """Return the outputs for regressors."""
        return self.out(self.unit(u.unsqueeze(-1))[0][:, -1])


class Case(NamedTuple):
    """A module and its optimiser against the literal loop; `fast`: ours does not run in eager torch."""

    what: str
    make: Callable[[], nn.Module]
    taps: int
    optimizer: Callable[[Any], torch.optim.Optimizer]
    goal: float
    fast: bool = True
    compile: bool = False


CASES = [
    Case("nn.Linear(32, 1, bias=False), SGD", lambda: nn.Linear(32, 1, bias=False), 32, sgd, 500),
    Case("nn.Linear(32, 1), SGD", lambda: nn.Linear(32, 1), 32, sgd, 500),
    Case("MLP 16-8-1, SGD, compile=True", mlp, 16, sgd, 8, compile=True),
    Case("MLP 16-8-1, Adam, compile=True", mlp, 16, adam, 4, compile=True),
    Case("GRU of 4 over 16 taps, Adam, compile=True", Recurrent, 16, adam, 4, compile=True),
    Case("MLP 16-8-1, SGD, eager", mlp, 16, sgd, 1.1, False),
    Case("MLP 16-8-1, Adam, eager", mlp, 16, adam, 1.1, False),
    Case("GRU of 4 over 16 taps, SGD, eager", Recurrent, 16, sgd, 1.1, False),
    Case("nn.Sequential(nn.Linear(32, 1)), SGD, eager", lambda: nn.Sequential(nn.Linear(32, 1)), 32, sgd, 1.1, False),
]  # fmt: skip


def signals(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, *shape, generator=rng, dtype=dtype)
    return x, torch.tanh(0.5 * x + 0.3 * x.roll(1, -1)) + 0.01 * noise


def regressors(x: Tensor, taps: int) -> Tensor:
    return nn.functional.pad(x, (taps - 1, 0)).unfold(0, taps, 1).flip(1)


def literal(model: nn.Module, optimizer: torch.optim.Optimizer, u: Tensor, d: Tensor) -> Tensor:
    """The loop one writes in torch."""
    loss, outputs = nn.MSELoss(), []
    for n in range(len(u)):
        y = model(u[n : n + 1])
        value = loss(y, d[n : n + 1])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        outputs.append(y.detach())
    return torch.cat(outputs)


def ours(case: Case, model: nn.Module) -> af.GradientFilter:
    return af.GradientFilter(model, case.taps, optimizer=case.optimizer, compile=case.compile)


def agreement(case: Case) -> float:
    """The largest difference of the outputs, in float64."""
    x, d = signals(LOOP, dtype=torch.float64)
    model = case.make().double()
    y = ours(case, copy.deepcopy(model))(x, d).y
    want = literal(model, case.optimizer(model.parameters()), regressors(x, case.taps), d[:, None])
    return float((y - want[:, 0]).abs().max())


def against_the_loop(case: Case) -> Row:
    model, samples = case.make(), BLOCK if case.fast else LOOP
    optimizer, f = case.optimizer(model.parameters()), ours(case, copy.deepcopy(model))
    (x, d), block = signals(LOOP), signals(samples)
    u = regressors(x, case.taps)
    f(*block)
    seconds = interleave({"loop": lambda: literal(model, optimizer, u, d[:, None]), "ours": lambda: f(*block)}, 15)
    loop, own = seconds["loop"] / LOOP * 1e6, seconds["ours"] / samples * 1e6
    found = f"{loop / own:,.{0 if loop > 10 * own else 2}f} times: {own:.3g} us a sample, the loop {loop:.0f}"
    return Row(case.what, found, f"{case.goal:g} times", loop / own >= case.goal)


def models_agree() -> float:
    """The largest difference between some of many models in one call and each alone, in float64."""
    x, d = signals(MODELS, 20, dtype=torch.float64)
    models = [mlp().double() for _ in range(MODELS)]
    y = af.GradientFilter(copy.deepcopy(models), 16, optimizer=sgd)(x, d).y
    alone = {k: literal(m, sgd(m.parameters()), regressors(x[k], 16), d[k][:, None]) for k, m in enumerate(models[:5])}
    return max(float((y[k] - want[:, 0]).abs().max()) for k, want in alone.items())


def many_models() -> Iterator[Row]:
    """A thousand models in one call against one, model-samples a second; both eager, then both compiled."""
    for kind, length, goal in (("eager", 50, 100.0), ("compile=True", 200, 0.0)):
        options: dict[str, Any] = {"optimizer": sgd, "compile": kind != "eager"}
        one, many = af.GradientFilter(mlp(), 16, **options), af.GradientFilter(mlp(), 16, batch=(MODELS,), **options)
        short, wide = signals(LOOP if kind == "eager" else BLOCK), signals(MODELS, length)
        calls = {"one": partial(one, *short), "many": partial(many, *wide)}
        for call in calls.values():
            call()
        seconds = interleave(calls, 9)
        alone, each = seconds["one"] / short[0].numel() * 1e6, seconds["many"] / wide[0].numel() * 1e6
        ratio = f"{alone / each:,.{0 if alone > 10 * each else 2}f}"
        what = f"{MODELS:,} MLPs 16-8-1 at once, SGD, {kind}, against one"
        found = f"{ratio} times: {each:.2f} us a model and sample, one {alone:.3g}"
        yield Row(what, found, f"{goal:g} times" if goal else "", alone / each >= goal)


def features() -> tuple[Row, float]:
    """NLMS over a Volterra series, checked against NLMS over its rows."""
    x, d = (v.numpy() for v in signals(2000, dtype=torch.float64))
    module = Volterra(32, 2)
    rows = module(regressors(torch.from_numpy(x), 32)).numpy()
    exact = {"dtype": torch.float64}
    y, want = af.NLMS(32, features=module, **exact)(x, d).y, af.NLMS(rows.shape[1], **exact)(rows, d).y
    f, block = af.NLMS(32, features=module), [v.numpy() for v in signals(BLOCK)]
    f(*block)
    us = interleave({"ours": lambda: f(*block)}, 15)["ours"] / BLOCK * 1e6
    what = "NLMS over Volterra(32, 2), 560 weights"
    return Row(what, f"{us:.2f} us a sample", "at most 3 us", us <= 3), float(abs(y - want).max())


def first_calls() -> Iterator[Row]:
    """Seconds until the first block is done, in processes of their own: an empty cache, then a full one."""
    code = """
import json, time, torch
import adaptfilt as af
from benchmarks.gradient import mlp, sgd
x, found = torch.randn(1000), []
for _ in range(2):
    f, start = af.GradientFilter(mlp(), 16, optimizer=sgd, compile=True), time.perf_counter()
    f(x, x)
    found.append(time.perf_counter() - start)
print(json.dumps(found))
"""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "ADAPTFILT_CACHE": cache, "NUMBA_CACHE_DIR": cache}
        runs = []
        for _ in range(2):
            done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True)
            runs.append(json.loads(done.stdout))
    (machines, _), (first, later) = runs
    found = f"{machines:.1f} s once a machine, {first:.2f} s once a process, {later:.2f} s for every further module"
    yield Row("MLP 16-8-1, SGD, compile=True: until the first 1,000 samples are done", found, "", True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the table there, as markdown")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    torch.manual_seed(0)
    off = {case.what: agreement(case) for case in CASES} | {"many": models_agree()}
    row, off["features"] = features()
    if max(off.values()) > TOLERANCE:
        sys.exit(f"no agreement: {off}")
    rows = [*map(against_the_loop, CASES), *many_models(), row, *first_calls()]
    report = "\n\n".join(
        [
            f"Measured {date.today()} by `python -m benchmarks.gradient`: {machine()}, one thread, torch "
            f"{torch.__version__}, float32, blocks of {BLOCK:,} samples ({LOOP} where eager torch runs). Checked "
            f"before, in float64, against the literal loop: outputs are within {max(off.values()):.0e}.",
            table(
                ["what", "found", "to reach", "reached"],
                [[r.what, r.found, r.goal, mark(r) if r.goal else ""] for r in rows],
            ),
        ]
    )
    print(report)
    if out is not None:
        out.write_text(report + "\n")


if __name__ == "__main__":
    main()
