"""A race: contenders that first show that they compute the algorithm, then are timed in turns."""

from dataclasses import dataclass, replace

from benchmarks.floor import MULTIPLY_ADDS, multiply_adds_a_second, peaks
from benchmarks.peers import Peer
from benchmarks.problems import disagreement, exact, identification
from benchmarks.timing import interleave

SAMPLES = 32768


@dataclass(frozen=True)
class Race:
    """Nanoseconds a sample of each contender; multiply-adds a second (None without a C compiler)."""

    ns: dict[str, float]
    rate: float | None

    def floor_ns(self, algorithm: str, taps: int) -> float | None:
        """Nanoseconds a sample that the multiply-adds alone take."""
        return None if self.rate is None else MULTIPLY_ADDS[algorithm](taps) / self.rate * 1e9

    def over_floor(self, name: str, algorithm: str, taps: int) -> str:
        """How far a contender is from the floor, in words."""
        floor = self.floor_ns(algorithm, taps)
        return "" if floor is None else f" ({self.ns[name] / floor:,.1f} times the floor)"


def race(taps: int, entries: dict[str, tuple[str, Peer]], agreement: dict[str, float]) -> Race:
    """Run each name: (algorithm, peer) that agrees with the recursion; `agreement` gets what it is off by."""
    calls, samples = {}, {}
    for name, (algorithm, peer) in entries.items():
        p = identification(algorithm, taps, SAMPLES).head(peer.samples)
        calls[name], samples[name] = peer.runs[algorithm](p), peer.samples
        truth = exact(algorithm, p if peer.eps is None else replace(p, eps=peer.eps), peer.late)
        off = disagreement(p, calls[name](), truth)
        if not off <= peer.tolerance:
            raise SystemExit(
                f"{algorithm}, {taps} taps: {name} is off by {off:.1e}, over its tolerance of "
                f"{peer.tolerance:.0e}; nothing is reported"
            )
        agreement[name] = max(agreement.get(name, 0.0), off)
    seconds = interleave({**calls, **peaks()})
    ns = {name: seconds[name] / samples[name] * 1e9 for name in calls}
    return Race(ns, multiply_adds_a_second(seconds))
