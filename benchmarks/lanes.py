"""Batches of short filters side by side, in lanes, against the same batches filter after filter.

    OMP_NUM_THREADS=1 python -m benchmarks.lanes

Whole calls on tensors, equal outputs checked first.
"""

import argparse
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch

import adaptfilt as af
from adaptfilt.engines.cpu import batch
from benchmarks.timing import interleave

CASES: list[tuple[str, int, torch.dtype, Callable[..., Any]]] = [
    *(("NLMS", taps, torch.float32, lambda taps, **c: af.NLMS(taps, 0.5, **c)) for taps in (8, 16, 32)),
    *(("RLS", taps, torch.float32, lambda taps, **c: af.RLS(taps, **c)) for taps in (8, 16, 32)),
    ("AffineProjection, order 4", 16, torch.float32, lambda taps, **c: af.AffineProjection(taps, 0.5, 4, **c)),
    ("SignSign", 8, torch.float32, lambda taps, **c: af.SignSign(taps, 0.001, **c)),
    ("CMA", 11, torch.complex64, lambda taps, **c: af.CMA(taps, 0.001, **c)),
]
HELD = 100  # samples in which rounding does not decide a sign


def signals(filters: int, samples: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return white input, and a desired signal that short filters can find."""
    x = torch.randn(filters, samples, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return x, x + 0.5 * x.roll(1, -1) - 0.25 * x.roll(3, -1)


def compare(make: Callable[..., Any], taps: int, dtype: torch.dtype, filters: int, samples: int) -> dict[str, float]:
    """Return nanoseconds a filter-sample: in lanes, filter after filter, and one filter alone."""
    x, d = signals(filters, samples, dtype)
    side, after, alone = (
        make(taps, batch=filters, dtype=dtype),
        make(taps, batch=filters, dtype=dtype),
        make(taps, dtype=dtype),
    )
    given = (x,) if side.algorithm.blind else (x, d)
    long = [v.reshape(-1)[: 50 * samples] for v in given]

    def one_after_the_other() -> Any:
        with patch.object(batch, "pays", lambda *_: False):
            return after(*given)

    first = side(*given).y[:, :HELD], one_after_the_other().y[:, :HELD]
    torch.testing.assert_close(*first, rtol=1e-3, atol=1e-3)
    calls = {"lanes": lambda: side(*given), "batch": one_after_the_other, "one": lambda: alone(*long)}
    seconds = interleave(calls, turn=0.05)
    return {name: s / (long[0].numel() if name == "one" else x.numel()) * 1e9 for name, s in seconds.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filters", type=int, default=1024)
    parser.add_argument("--samples", type=int, default=2000)
    given = parser.parse_args()
    print("| filter | taps | numbers | side by side, ns a filter-sample | one after the other | times | one alone |")
    print("|---|---|---|---|---|---|---|")
    for name, taps, dtype, make in CASES:
        ns = compare(make, taps, dtype, given.filters, given.samples)
        kind, ratio = str(dtype).removeprefix("torch."), ns["batch"] / ns["lanes"]
        print(
            f"| {name} | {taps} | {kind} | {ns['lanes']:.2f} | {ns['batch']:.2f} | {ratio:.1f} | {ns['one']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
