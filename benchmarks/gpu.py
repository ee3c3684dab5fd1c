"""The fused kernel on a GPU: checked first, then timed against the CPU, the block engine and the floor.

``python benchmarks/gpu.py [--out docs/gpu.md]`` needs torch, numba, numpy, scipy and triton. Rates are
filter-samples a second, medians by CUDA events. The floor is the larger of 16 bytes a sample (x, d, y, e
once) over the copy bandwidth and 4 M operations a sample over the float32 rate, both measured in the same
run. Without a GPU it runs a small check in Triton's interpreter and reports no figures.
"""

import argparse
import datetime
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import adaptfilt as af
from adaptfilt.engines.gpu import triton_kernel
from adaptfilt.filters.gradient.nlms import nlms_gain

FILTERS, TAPS = (1024, 4096, 16384, 65536), (8, 32, 128, 256)
SAMPLES = 1 << 27  # filter-samples in a call of the kernel: 2 GiB in and out, far beyond the cache
MU, EPS, TOLERANCE = 0.5, 1e-3, 1e-5


class Row(NamedTuple):
    """Rates of one size, filter-samples a second."""

    filters: int
    taps: int
    kernel: float
    module: float
    block: float
    cpu: float
    floor: float


def white(rng: np.random.Generator, filters: int, length: int) -> np.ndarray:
    return rng.standard_normal((filters, length))


def speech_like(rng: np.random.Generator, filters: int, length: int) -> np.ndarray:
    """Autoregressive noise, resonant at 500 and 1,500 Hz of 8 kHz, in bursts and pauses like syllables."""
    a = np.poly(np.concatenate([r * np.exp([1j * t, -1j * t]) for r, t in ((0.97, 0.39), (0.93, 1.18))])).real
    x = lfilter([1.0], a, rng.standard_normal((filters, length)), axis=-1)
    slow = lfilter([0.003], [1, -0.997], rng.standard_normal((filters, length)), axis=-1)
    envelope = np.exp(40 * slow)
    x *= np.where(envelope > 0.3, envelope, 0.0)
    return x / x.std()


def problem(x: np.ndarray, rng: np.random.Generator, taps: int, device: str) -> tuple[Tensor, Tensor]:
    """Input with taps - 1 samples of history, and its echo in noise 30 dB below, float32."""
    filters, length = x.shape[0], x.shape[1] - taps + 1
    plants = rng.standard_normal((filters, taps)) * np.exp(-5 * np.arange(taps) / taps)
    d = np.stack([np.convolve(row, h, "valid") for row, h in zip(x, plants, strict=True)])
    d += 10**-1.5 * d.std() * rng.standard_normal((filters, length))
    return tuple(torch.from_numpy(v).float().to(device) for v in (x, d))


def literal(x: Tensor, d: Tensor, taps: int) -> tuple[Tensor, Tensor]:
    """NLMS in float64, one sample after the other."""
    x, d = x.double(), d.double()
    w, y = x.new_zeros(len(x), taps), torch.empty_like(d)
    for n in range(d.shape[-1]):
        u = x[:, n : n + taps].flip(-1)
        y[:, n] = (w * u).sum(-1)
        gain = MU / (EPS + u.square().sum(-1)) * (d[:, n] - y[:, n])
        w += gain[:, None] * u
    return y, d - y


def kernel(x: Tensor, d: Tensor, taps: int) -> Callable[[], tuple[Tensor, Tensor, Tensor]]:
    """Return a call of the kernel, all its arguments on the device."""
    w = d.new_zeros(len(d), taps)
    params = {"mu": d.new_tensor(MU), "eps": d.new_tensor(EPS)}
    return lambda: triton_kernel.run(nlms_gain, x, d, w, params)


def check(device: str, filters: int, length: int, taps: tuple[int, ...]) -> list[str]:
    """Compare with the literal recursion on fresh random input; exit where an error is too large."""
    seed = time.time_ns()
    rng, lines = np.random.default_rng(seed), []
    for make, m in product((white, speech_like), taps):
        x, d = problem(make(rng, filters, length + m - 1), rng, m, device)
        errors = []
        for got, want in zip(kernel(x, d, m)()[:2], literal(x, d, m), strict=True):
            errors.append(((got - want).norm() / want.norm()).item())
        lines.append(f"{make.__name__}, {m} taps: relative error {errors[0]:.1e} in y, {errors[1]:.1e} in e")
        print(lines[-1], flush=True)
        if not max(errors) < TOLERANCE:  # NaN does not pass
            sys.exit(f"wrong by more than {TOLERANCE:g} (seed {seed}): no rates are reported")
    return lines


def seconds(call: Callable[[], object], turns: int = 9, budget: float = 3.0) -> float:
    """Median time on the GPU of a call, after one that compiles; fewer turns of what takes long."""
    call()
    spent: list[float] = []
    while len(spent) < turns and (len(spent) < 3 or sum(spent) < budget):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(2_000_000)  # a millisecond in which Python launches what follows
        begin.record()
        call()
        end.record()
        end.synchronize()
        spent.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(spent)


def cpu_seconds(call: Callable[[], object]) -> float:
    call()
    spent = []
    for _ in range(5):
        begin = time.perf_counter()
        call()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent)


def ceilings() -> tuple[float, float]:
    """Bytes a second of a large copy (read and written), float32 operations a second of a matrix product."""
    torch.backends.cuda.matmul.allow_tf32 = False
    source = torch.randn(1 << 28, device="cuda")
    target = torch.empty_like(source)
    bandwidth = 2 * source.nbytes / seconds(lambda: target.copy_(source))
    a, b = torch.randn(2, 8192, 8192, device="cuda")
    return bandwidth, 2 * 8192**3 / seconds(lambda: a @ b)


def module_rate(filters: int, taps: int, samples: int, device: str, engine: str) -> float:
    """Filter-samples a second of the module, with its input checks; NaN where the memory does not do."""
    x, d = torch.randn(2, filters, samples // filters, device=device)
    f = af.NLMS(taps, MU, eps=EPS, batch=(filters,), device=device, engine=engine)
    try:
        return x.numel() / (seconds if device == "cuda" else cpu_seconds)(lambda: f(x, d))
    except torch.OutOfMemoryError:
        return float("nan")


def rows(bandwidth: float, operations: float) -> Iterator[Row]:
    torch.set_num_threads(os.cpu_count() or 1)
    for filters, taps in product(FILTERS, TAPS):
        length = SAMPLES // filters
        x = torch.randn(filters, length + taps - 1, device="cuda")
        d = torch.randn(filters, length, device="cuda")
        alone = d.numel() / seconds(kernel(x, d, taps))
        del x, d
        yield Row(
            filters,
            taps,
            alone,
            module_rate(filters, taps, SAMPLES, "cuda", "auto"),
            module_rate(filters, taps, SAMPLES // 8, "cuda", "block"),
            module_rate(filters, taps, SAMPLES // 8, "cpu", "auto"),
            1 / max(16 / bandwidth, 4 * taps / operations),
        )


def table(found: list[Row]) -> str:
    head = "filters | taps | kernel | `NLMS` on the GPU | block engine | CPU | floor | kernel / floor"
    lines = [f"| {head} |", "| --: " * len(head.split("|")) + "|"]
    for r in found:
        rates = [f"{v / 1e9:.3g}" for v in (r.kernel, r.module, r.block, r.cpu, r.floor)]
        cells = [f"{r.filters:,}", str(r.taps), *rates, f"{r.kernel / r.floor:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the table there, as markdown")
    out = parser.parse_args().out
    if not torch.cuda.is_available():
        print("No CUDA GPU here: a small check in Triton's interpreter, no figures.")
        os.environ["TRITON_INTERPRET"] = "1"
        check("cpu", filters=2, length=40, taps=(8, 40))
        return
    checked = check("cuda", filters=256, length=8000, taps=(*TAPS, 300, 1024))
    bandwidth, operations = ceilings()
    found = table(list(rows(bandwidth, operations)))
    report = [
        f"Measured {datetime.date.today()} by `python benchmarks/gpu.py` on {torch.cuda.get_device_name()} and",
        f"{os.cpu_count()} CPU cores, torch {torch.__version__}: float32 NLMS, 10^9 filter-samples a second,",
        f"medians. Copy bandwidth {bandwidth / 1e12:.2f} TB/s, float32 rate {operations / 1e12:.1f} TFLOP/s;",
        "the floor is the larger of 16 bytes and 4 M operations a sample over these.",
        "",
        found,
        "",
        "Checked in the same run against the recursion in float64, one sample after the other:",
        "",
        *(f"- {line}" for line in checked),
    ]
    print("\n".join(report))
    if out is not None:
        out.write_text("\n".join(report) + "\n")


if __name__ == "__main__":
    main()
