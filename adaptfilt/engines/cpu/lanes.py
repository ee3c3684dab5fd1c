"""A batch of short filters, as many side by side as a vector has lanes: the loops of `loops`, on vectors of numbers.

All that a filter carries lies in lanes while a block runs; its signals are turned a stretch at a time. `numba_lanes`
says what a number in lanes is.
"""

from typing import Any, NamedTuple

import numpy as np

from adaptfilt.engines.cpu.loops import KEPT, OK, Call, Memory, Rule, block, one_by_one
from adaptfilt.engines.cpu.memory import array, read_rows, write_rows

WIDTH = 128  # bytes of a number in lanes, complex ones with both parts: longer vectors than machines have hide latency
CACHE = 32768  # bytes of a first-level cache: where a group's numbers are more, half as many filters make one
STRETCH = 128  # samples turned at a time, so that they stay in the first-level cache


class Side(NamedTuple):
    """What a batch side by side has besides a `Call`, whose filters are groups here."""

    filters: int
    lanes: int
    number: int  # bytes of one filter's number
    inputs: int
    reals: int  # of a number, 1 or 2
    x: int  # addresses of a stretch in lanes, input after input
    d: int
    y: int
    e: int
    rows: int  # of room for as many addresses as there are lanes
    w: int  # of the weights in lanes, and the distance from one group's to the next one's
    w_row: int
    weights: int


def side_by_side(rule: Rule, memory: Memory, a: Any, call: Call, side: Side, like: Any) -> int:
    """Adapt groups of filters over a block; the last group repeats the last filter."""
    every, number, F = call.every, side.number, side.weights
    stretch = STRETCH * side.lanes * number
    for g in range(call.first, call.last):
        first = 0
        while first < call.outputs:
            N = min(STRETCH, call.outputs - first)
            if every > 0:
                N = min(N, every - first % every)
            at, size = first * number, N * side.reals
            for q in range(side.inputs):
                x = rows_of(g, call.x + q * call.x_input + at, call.x_row, side)
                write_rows(x, side.x + q * stretch, size, like[0])
            write_rows(rows_of(g, call.d + at, call.d_row, side), side.d, size, like[0])
            own = Call(
                KEPT, N, N, g, g + 1, 1, 1, 0, 0, call.marked, 0, side.x, 0, stretch, side.d, 0, 0, side.y,
                side.e, 0, 0, 0, 1, call.mu, call.mu_row, 1, 0, 0,
            )  # fmt: skip
            status = block(one_by_one, rule, memory, a, own, like)
            if status != OK:
                return status
            read_rows(rows_of(g, call.y + at, call.y_row, side), side.y, size, like[0])
            read_rows(rows_of(g, call.e + at, call.e_row, side), side.e, size, like[0])
            first += N
            if every > 0 and first % every == 0:
                record = call.record + (first // every - 1) * F * number
                read_rows(rows_of(g, record, call.record_row, side), side.w + g * side.w_row, F * side.reals, like[0])
    return OK


def rows_of(g: int, place: int, row: int, side: Side) -> Any:
    """Return the addresses of a signal of every filter of a group."""
    rows = array(side.rows, (side.lanes,), np.int64(0))
    for i in range(side.lanes):
        rows[i] = place + min(g * side.lanes + i, side.filters - 1) * row
    return rows
