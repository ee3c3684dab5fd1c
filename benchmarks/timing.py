"""Ratios that hold on a shared machine: contenders take turns, and each one's fastest turn counts.

Processor time, of all threads together: what other processes take does not count, and no thread comes free.
"""

from collections.abc import Callable
from time import process_time

Calls = dict[str, Callable[[], object]]


def interleave(calls: Calls, rounds: int = 11, turn: float = 0.02) -> dict[str, float]:
    """Seconds a call in the fastest turn of each; a turn is as many calls as fill `turn` seconds."""
    fastest = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            count, spent, start = 0, 0.0, process_time()
            while spent < turn:
                call()
                count, spent = count + 1, process_time() - start
            fastest[name] = min(fastest[name], spent / count)
    return fastest
