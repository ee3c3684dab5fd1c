"""A tape of elementary loops, and the one small compiled program that plays any of them, mini-batch by mini-batch.

All tensors lie in one workspace of doubles. An instruction is one scalar operation over up to four nested loops with a
stride for each operand, so that broadcasting, transposes, sums and matrix products need no code of their own: a sum is
a loop along which the output stands still. The program, `play`, is compiled once for all tapes; a tape takes no
compiler. `tape_writer` writes them. Uncompiled, `play` runs on arrays.
"""

import math
from collections import namedtuple
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from adaptfilt.engines.cpu.native import native
from adaptfilt.engines.cpu.vectors import data
from adaptfilt.engines.words import dot

LOOPS = 4
WIDTH = 1 + LOOPS + 4 * (1 + LOOPS)  # operation, sizes, and offset and strides of out, a, b, c
NAMES = (
    "copy", "add", "sub", "mul", "div", "pow", "add_product", "lerp", "neg", "abs", "reciprocal", "sqrt", "rsqrt",
    "exp", "expm1", "log", "log1p", "sin", "cos", "atan", "atan2", "sinh", "cosh", "tanh", "erf", "sigmoid", "relu",
    "sign", "maximum", "minimum", "where", "sum", "amax", "amin", "product",
    "eq", "ne", "lt", "le", "gt", "ge", "isnan", "logical_not", "logical_and", "logical_or",
)  # fmt: skip
OP: Any = namedtuple("OP", NAMES)(*range(len(NAMES)))  # the number of each on a tape


class Sizes(NamedTuple):
    """Numbers of one call of `play`. A step takes B regressors of M entries, and B outputs of O."""

    length: int  # instructions of the tape
    first: int  # samples before this call
    steps: int
    every: int  # keep the parameters after every so many samples; 0: never
    B: int
    M: int
    O: int
    P: int  # entries of the parameters, with which the workspace begins
    U: int  # where the regressors lie in the workspace
    D: int  # what is desired
    Y: int  # the outputs
    rows: int  # 1 where x holds ready regressors, one after the other


@cache
def program() -> Callable[..., int]:
    """Return `play` compiled: it takes addresses, the sizes one by one, and the length of the workspace."""
    sizes = ", ".join(Sizes._fields)
    text = (
        f"def play_(x, d, y, record, w, tape, {sizes}, size):\n"
        f"    return play(x, d, y, record, carray(w, (size,)), tape, Sizes({sizes}))\n"
    )
    kinds = (*["float64*"] * 5, "int64*", *["int64"] * (len(Sizes._fields) + 1))
    return native("play_", text, kinds, {"play": play, "Sizes": Sizes})


def play(x: Any, d: Any, y: Any, record: Any, w: Any, tape: Any, sizes: Sizes) -> int:
    """Play a tape in the workspace w, once a step."""
    B, M, O, P, every, row = sizes.B, sizes.M, sizes.O, sizes.P, sizes.every, 0
    for n in range(sizes.steps):
        at = sizes.first + n * B
        if every > 0:
            for _ in range(at // every, (at + B - 1) // every):
                keep(record, row * P, w, P)
                row += 1
        for i in range(B):
            for k in range(M):
                w[sizes.U + i * M + k] = x[(n * B + i) * M + k] if sizes.rows != 0 else x[n * B + i + M - 1 - k]
        for k in range(B * O):
            w[sizes.D + k] = d[n * B * O + k]
        for r in range(sizes.length):
            instruct(w, tape, r * WIDTH)
        for k in range(B * O):
            y[n * B * O + k] = w[sizes.Y + k]
        if every > 0 and (at + B) % every == 0:
            keep(record, row * P, w, P)
            row += 1
    return 0


def keep(record: Any, start: int, w: Any, P: int) -> None:
    """Write a row of the record."""
    for k in range(P):
        record[start + k] = w[k]


def instruct(w: Any, tape: Any, t: int) -> None:
    """Carry out the instruction that begins at entry t of the tape."""
    o, a, b, c = tape[t + 5], tape[t + 10], tape[t + 15], tape[t + 20]
    by = tape[t + 9], tape[t + 14], tape[t + 19], tape[t + 24]
    for i in range(tape[t + 1]):
        for j in range(tape[t + 2]):
            for k in range(tape[t + 3]):
                at = (
                    o + i * tape[t + 6] + j * tape[t + 7] + k * tape[t + 8],
                    a + i * tape[t + 11] + j * tape[t + 12] + k * tape[t + 13],
                    b + i * tape[t + 16] + j * tape[t + 17] + k * tape[t + 18],
                    c + i * tape[t + 21] + j * tape[t + 22] + k * tape[t + 23],
                )
                innermost(w, tape[t], tape[t + 4], at, by)


Four = tuple[int, int, int, int]  # one number for each of out, a, b, c


def innermost(w: Any, op: int, n: int, at: Four, by: Four) -> None:
    """Carry out an operation n times, from the places `at` on, so far apart; what is frequent has a loop of its own."""
    p, (o, a, b, c), (so, sa, sb, sc) = data(w), at, by
    if op == OP.product and so == 0 and sa == 1 and sb == 1:
        p[o] += dot(w[a : a + n], w[b : b + n])
    elif op == OP.sum and so == 0:
        total = p[o]
        for k in range(n):
            total += p[a + k * sa]
        p[o] = total
    elif op == OP.product and so == 1 and sa == 0 and sb == 1:
        factor = p[a]
        for k in range(n):
            p[o + k] += factor * p[b + k]
    elif op == OP.mul and so == 1 and sa == 0 and sb == 1:
        factor = p[a]
        for k in range(n):
            p[o + k] = factor * p[b + k]
    elif op == OP.add_product and so == 1 and sa == 1 and sb == 1 and sc == 0:
        factor = p[c]
        for k in range(n):
            p[o + k] = p[a + k] + p[b + k] * factor
    elif op == OP.copy:
        repeat(p, OP.copy, n, at, by)
    elif op == OP.add:
        repeat(p, OP.add, n, at, by)
    elif op == OP.sub:
        repeat(p, OP.sub, n, at, by)
    elif op == OP.mul:
        repeat(p, OP.mul, n, at, by)
    elif op == OP.div:
        repeat(p, OP.div, n, at, by)
    elif op == OP.add_product:
        repeat(p, OP.add_product, n, at, by)
    elif op == OP.lerp:
        repeat(p, OP.lerp, n, at, by)
    elif op == OP.sqrt:
        repeat(p, OP.sqrt, n, at, by)
    elif op == OP.sum:
        repeat(p, OP.sum, n, at, by)
    elif op == OP.product:
        repeat(p, OP.product, n, at, by)
    else:
        repeat(p, op, n, at, by)


def repeat(p: Any, op: int, n: int, at: Four, by: Four) -> None:
    """Carry out an operation n times."""
    for k in range(n):
        o = at[0] + k * by[0]
        p[o] = entry(op, p[o], p[at[1] + k * by[1]], p[at[2] + k * by[2]], p[at[3] + k * by[3]])


def entry(op: int, o: float, a: float, b: float, c: float) -> float:
    """Return what an operation makes of one entry: a, b, c are the operands, o what the output was."""
    if op == OP.copy:
        return a
    if op == OP.add:
        return a + b
    if op == OP.sub:
        return a - b
    if op == OP.mul:
        return a * b
    if op == OP.div:
        return a / b
    if op == OP.pow:
        return a**b
    if op == OP.add_product:
        return a + b * c
    if op == OP.lerp:
        return a + c * (b - a)
    if op == OP.neg:
        return -a
    if op == OP.abs:
        return abs(a)
    if op == OP.reciprocal:
        return 1.0 / a
    if op == OP.sqrt:
        return np.sqrt(a)
    if op == OP.rsqrt:
        return 1.0 / np.sqrt(a)
    if op == OP.exp:
        return np.exp(a)
    if op == OP.expm1:
        return np.expm1(a)
    if op == OP.log:
        return np.log(a)
    if op == OP.log1p:
        return np.log1p(a)
    if op == OP.sin:
        return np.sin(a)
    if op == OP.cos:
        return np.cos(a)
    if op == OP.atan:
        return np.arctan(a)
    if op == OP.atan2:
        return np.arctan2(a, b)
    if op == OP.sinh:
        return np.sinh(a)
    if op == OP.cosh:
        return np.cosh(a)
    if op == OP.tanh:
        return np.tanh(a)
    if op == OP.erf:
        return math.erf(a)
    if op == OP.sigmoid:
        return 1.0 / (1.0 + np.exp(-a))
    if op == OP.relu:
        return 0.0 if a <= 0.0 else a
    if op == OP.sign:
        return np.sign(a)
    if op == OP.maximum:
        return b if a < b else a
    if op == OP.minimum:
        return b if a > b else a
    if op == OP.where:
        return b if a != 0.0 else c
    if op == OP.sum:
        return o + a
    if op == OP.amax:
        return o if a <= o else a
    if op == OP.amin:
        return o if a >= o else a
    if op == OP.product:
        return o + a * b
    return 1.0 if true(op, a, b) else 0.0


def true(op: int, a: float, b: float) -> bool:
    """Say whether a comparison holds."""
    if op == OP.eq:
        return a == b
    if op == OP.ne:
        return a != b
    if op == OP.lt:
        return a < b
    if op == OP.le:
        return a <= b
    if op == OP.gt:
        return a > b
    if op == OP.ge:
        return a >= b
    if op == OP.isnan:
        return a != a
    if op == OP.logical_not:
        return a == 0.0
    if op == OP.logical_and:
        return a != 0.0 and b != 0.0
    return a != 0.0 or b != 0.0
