"""A tape of elementary loops, and the one small compiled program that plays any of them, mini-batch by mini-batch.

All tensors lie in one workspace of doubles. An instruction is one scalar operation over up to four nested loops with a
stride for each operand, so that broadcasting, transposes, sums and matrix products need no code of their own: a sum is
a loop along which the output stands still. The program is compiled once for all tapes; a tape takes no compiler.
`tape_writer` writes them.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from adaptfilt.engines import words
from adaptfilt.engines.cpu.native import native

LOOPS = 4
WIDTH = 1 + LOOPS + 4 * (1 + LOOPS)  # operation, sizes, and offset and strides of out, a, b, c

# What an instruction does at one entry: a, b, c are the operands, o what the output was.
ENTRY = {
    "copy": "{a}",
    "add": "{a} + {b}",
    "sub": "{a} - {b}",
    "mul": "{a} * {b}",
    "div": "{a} / {b}",
    "pow": "{a} ** {b}",
    "add_product": "{a} + {b} * {c}",
    "lerp": "{a} + {c} * ({b} - {a})",
    "neg": "-{a}",
    "abs": "abs({a})",
    "reciprocal": "1.0 / {a}",
    "sqrt": "np.sqrt({a})",
    "rsqrt": "1.0 / np.sqrt({a})",
    "exp": "np.exp({a})",
    "expm1": "np.expm1({a})",
    "log": "np.log({a})",
    "log1p": "np.log1p({a})",
    "sin": "np.sin({a})",
    "cos": "np.cos({a})",
    "atan": "np.arctan({a})",
    "atan2": "np.arctan2({a}, {b})",
    "sinh": "np.sinh({a})",
    "cosh": "np.cosh({a})",
    "tanh": "np.tanh({a})",
    "erf": "math.erf({a})",
    "sigmoid": "1.0 / (1.0 + np.exp(-{a}))",
    "relu": "0.0 if {a} <= 0.0 else {a}",
    "sign": "np.sign({a})",
    "maximum": "{b} if {a} < {b} else {a}",
    "minimum": "{b} if {a} > {b} else {a}",
    "where": "{b} if {a} != 0.0 else {c}",
    "eq": "1.0 if {a} == {b} else 0.0",
    "ne": "1.0 if {a} != {b} else 0.0",
    "lt": "1.0 if {a} < {b} else 0.0",
    "le": "1.0 if {a} <= {b} else 0.0",
    "gt": "1.0 if {a} > {b} else 0.0",
    "ge": "1.0 if {a} >= {b} else 0.0",
    "isnan": "1.0 if {a} != {a} else 0.0",
    "logical_not": "1.0 if {a} == 0.0 else 0.0",
    "logical_and": "1.0 if {a} != 0.0 and {b} != 0.0 else 0.0",
    "logical_or": "1.0 if {a} != 0.0 or {b} != 0.0 else 0.0",
    "sum": "{o} + {a}",
    "amax": "{o} if {a} <= {o} else {a}",
    "amin": "{o} if {a} >= {o} else {a}",
    "product": "{o} + {a} * {b}",
}
OFTEN = ("copy", "add", "sub", "mul", "div", "add_product", "lerp", "sqrt", "sum", "product")  # in loops of their own
CODE = {name: k for k, name in enumerate(ENTRY)}

# A step takes B regressors of M entries and B outputs of O; a row of the record is the first P entries.
_PROGRAM = """
def play(x_, d_, y_, record_, w_, tape_, length, first, count, every, B, M, O, P, U, D, Y, rows):
    row = 0
    for n in range(count):
        at = first + n * B
        if every > 0:
            for _ in range(at // every, (at + B - 1) // every):
                keep(record_, row * P, w_, P)
                row += 1
        for i in range(B):
            for k in range(M):
                w_[U + i * M + k] = x_[(n * B + i) * M + k] if rows else x_[n * B + i + M - 1 - k]
        for k in range(B * O):
            w_[D + k] = d_[n * B * O + k]
        for r in range(length):
            t = r * WIDTH
            o, a, b, c = tape_[t + 5], tape_[t + 10], tape_[t + 15], tape_[t + 20]
            for i in range(tape_[t + 1]):
                for j in range(tape_[t + 2]):
                    for k in range(tape_[t + 3]):
                        apply(w_, tape_[t], tape_[t + 4],
                              o + i * tape_[t + 6] + j * tape_[t + 7] + k * tape_[t + 8], tape_[t + 9],
                              a + i * tape_[t + 11] + j * tape_[t + 12] + k * tape_[t + 13], tape_[t + 14],
                              b + i * tape_[t + 16] + j * tape_[t + 17] + k * tape_[t + 18], tape_[t + 19],
                              c + i * tape_[t + 21] + j * tape_[t + 22] + k * tape_[t + 23], tape_[t + 24])
        for k in range(B * O):
            y_[n * B * O + k] = w_[Y + k]
        if every > 0 and (at + B) % every == 0:
            keep(record_, row * P, w_, P)
            row += 1
    return 0

def keep(record_, start, w_, P):
    for k in range(P):
        record_[start + k] = w_[k]

def apply(w_, op, n, o, so, a, sa, b, sb, c, sc):
    if op == PRODUCT and so == 0 and sa == 1 and sb == 1:
        w = carray(w_, (max(a, b) + n,))
        w_[o] += dot(w[a : a + n], w[b : b + n])
    elif op == SUM and so == 0:
        total = w_[o]
        for k in range(n):
            total += w_[a + k * sa]
        w_[o] = total
    elif op == PRODUCT and so == 1 and sb == 1 and sa == 0:
        factor = w_[a]
        for k in range(n):
            w_[o + k] += factor * w_[b + k]
    elif op == MUL and so == 1 and sb == 1 and sa == 0:
        factor = w_[a]
        for k in range(n):
            w_[o + k] = factor * w_[b + k]
    elif op == ADD_PRODUCT and so == 1 and sa == 1 and sb == 1 and sc == 0:
        factor = w_[c]
        for k in range(n):
            w_[o + k] = w_[a + k] + w_[b + k] * factor
OFTEN_CASES    else:
        for k in range(n):
            w_[o + k * so] = entry(op, w_[o + k * so], w_[a + k * sa], w_[b + k * sb], w_[c + k * sc])

def entry(op, o, a, b, c):
OTHER_CASES    return o
"""
_LOOP = """    elif op == {code}:
        for k in range(n):
            w_[o + k * so] = {entry}
"""


@cache
def program() -> Callable[..., int]:
    """Return the compiled program that plays tapes."""
    entries_at = {"o": "w_[o + k * so]", "a": "w_[a + k * sa]", "b": "w_[b + k * sb]", "c": "w_[c + k * sc]"}
    loops = [_LOOP.format(code=CODE[name], entry=ENTRY[name].format(**entries_at)) for name in OFTEN]
    entries = [
        f"    if op == {CODE[name]}:\n        return {ENTRY[name].format(o='o', a='a', b='b', c='c')}\n"
        for name in ENTRY
        if name not in OFTEN
    ]
    text = _PROGRAM.replace("OFTEN_CASES", "".join(loops)).replace("OTHER_CASES", "".join(entries))
    inject = {"np": np, "math": math, "dot": words.dot, "WIDTH": WIDTH}
    inject |= {name.upper(): CODE[name] for name in ("product", "mul", "sum", "add_product")}
    return native("play", text, (*["float64*"] * 5, "int64*", *["int64"] * 12), inject)
