"""The floor: the multiply-adds of one sample at the rate this machine's registers reach in the same race."""

import ctypes
from collections.abc import Callable
from functools import cache

from benchmarks.peers import compiled

ROUNDS = 20_000

# Multiply-adds a sample: a pass over the taps for the output, one for the update; one in float64 is two.
# RLS: P u, and the update of a triangle of P. Affine projection: the Gram matrix slides, the errors follow
# from it, the update is put off (Gay and Tavathia, The fast affine projection algorithm, 1995), then a solve.
MULTIPLY_ADDS: dict[str, Callable[[int], float]] = {
    "LMS": lambda M: 2 * M,
    "NLMS": lambda M: 2 * M,
    "LMF": lambda M: 2 * M,
    "SignError": lambda M: 2 * M,
    "RLS": lambda M: 2 * (1.5 * M**2 + 2 * M),
    "AffineProjection": lambda M: 2 * M + 2 * 4 + 4**3 / 6 + 2 * 4**2,
}


@cache
def peaks() -> dict[str, Callable[[], int]]:
    """Loops of multiply-adds, one a register width, which return how many; none without a compiler."""
    try:
        library = compiled("c_peak.c")
    except OSError:
        return {}
    sink = ctypes.c_float()

    def peak(function: Callable[..., int]) -> Callable[[], int]:
        return lambda: function(ctypes.c_long(ROUNDS), ctypes.byref(sink))

    return {f"peak, {width} bytes": peak(library[f"peak_{width}"]) for width in (16, 32, 64)}


def multiply_adds_a_second(seconds: dict[str, float]) -> float | None:
    """The best rate among the `peaks` timed in `seconds`."""
    return max((call() / seconds[name] for name, call in peaks().items()), default=None)
