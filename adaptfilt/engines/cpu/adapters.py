"""What stands between an algorithm and the loops: a few generated lines, picking arguments by name, arrays by place.

For RLS, whose update is ``rls_update(w, S, u, e, lam, bound, g, k)``, they read ::

    def memory(a, c, kept):
        return Filter(at(a[19 + kept] + c * a[21], (a[22],)), ...)

    def step(w, u, d, y, e, mu, own):
        assign_all((w, own.own[0]), function(w, own.own[0], u, e, own.p[0], own.p[1], own.scratch[0], own.scratch[1]))
"""

from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any

import numpy as np

from adaptfilt.engines import words
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.cpu import loops, memory
from adaptfilt.engines.cpu.lookahead import lookahead
from adaptfilt.engines.cpu.native import native

_REAL = {"complex64": "float32", "complex128": "float64"}
Flags = tuple[bool, bool] | None  # leaky and skip
Ndims = tuple[
    tuple[int, ...], tuple[int, ...]
]  # of what one filter carries, weights and line first, and of its scratch

_BLOCK = """
def block_(a_):
    a = carray(a_, (COUNT,))
    return block({run}, step, memory, a, Call({call}), LIKE)
"""
_SAMPLE = """
def sample_(a_):
    a = carray(a_, (COUNT,))
    io, u = array(a[0], ({io},), 0.0), array(a[1], (a[{w_size}],), LIKE[0])
    return sample(step, memory, a, io, u, a[2], a[3], LIKE)
"""


@cache
def block_function(algorithm: Algorithm, dtype: str, ndims: Ndims, flags: Flags) -> Callable[..., int]:
    """Return the block loop of an algorithm, with lookahead where its flags are given.

    Its one argument is the address of an array of int64: a `Call`, then the places that `_memory` reads in turn.
    """
    call = ", ".join(f"a[{i}]" for i in range(len(loops.Call._fields)))
    run, step = (
        ("one_by_one", _step(algorithm)) if flags is None else ("look_ahead", _lookahead_step(algorithm, *flags))
    )
    return _build("block_", _BLOCK.format(run=run, call=call) + step, algorithm, dtype, ndims)


@cache
def sample_function(algorithm: Algorithm, dtype: str, ndims: Ndims) -> Callable[..., int]:
    """Return the one-sample function of an algorithm.

    Its one argument is as for `block_function`; the first entries are the addresses of io and u, skip and mu_at.
    """
    text = _SAMPLE.format(io=loops.IO, w_size=len(loops.Call._fields) + 3) + _step(algorithm)
    return _build("sample_", text, algorithm, dtype, ndims)


def _build(name: str, text: str, algorithm: Algorithm, dtype: str, ndims: Ndims) -> Callable[..., int]:
    """Compile a loop with its adapters."""
    lines, size = _memory(ndims)
    real = getattr(np, _REAL.get(dtype, dtype))
    inject: dict[str, Any] = {
        **{k: getattr(loops, k) for k in ("block", "sample", "one_by_one", "look_ahead", "Call", "Filter")},
        **{k: getattr(words, k) for k in ("axpyc", "energy")},
        "array": memory.array,
        "assign_all": memory.assign_all,
        "lookahead": lookahead,
        "function": algorithm.function,
        "TYPE": getattr(np, dtype),
        "LIKE": (getattr(np, dtype)(0), real(0)),
        "ONE": real(1),
        "COUNT": size,
    }
    return native(name, text + lines, ("int64*",), inject)


def _memory(ndims: Ndims) -> tuple[str, int]:
    """Return the adapter `memory` and how many entries it reads up to.

    What a filter carries takes an address, that of the copy to go back to, its bytes a filter, and its shape; the
    parameters an address, their bytes a filter, and their number; scratch and stream an address and their shape.
    """
    place = count(len(loops.Call._fields))

    def at(address: str, ndim: int, like: str = "LIKE[0]") -> str:
        return f"array({address}, ({''.join(f'a[{next(place)}], ' for _ in range(ndim))}), {like})"

    carried = []
    for ndim in ndims[0]:
        first, _, row = next(place), next(place), next(place)
        carried.append(at(f"a[{first} + kept] + c * a[{row}]", ndim))
    first, row = next(place), next(place)
    p = at(f"a[{first}] + c * a[{row}]", 1, "LIKE[1]")
    scratch = [at(f"a[{next(place)}]", ndim) for ndim in ndims[1]]
    stream = at(f"a[{next(place)}]", 1)
    w, line, *own = carried
    filter_ = ", ".join([w, line, _tuple(own), p, _tuple(scratch), stream])
    return f"\ndef memory(a, c, kept):\n    return Filter({filter_})\n", next(place)


def _tuple(parts: list[str]) -> str:
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"


def _step(algorithm: Algorithm) -> str:
    """Return the adapter that makes one sample's update."""
    values = {k: f"own.p[{i}]" for i, k in enumerate(algorithm.params)} | {"mu": "mu", "energy": "energy(u)"}
    values |= {k: f"own.own[{i}]" for i, k in enumerate(algorithm.state)}
    values |= {k: f"own.scratch[{i}]" for i, k in enumerate(algorithm.scratch)}
    given = ", ".join(values.get(k, k) for k in (*algorithm.arguments, *algorithm.scratch))
    if algorithm.gain:
        line = f"axpyc(TYPE(function({given})), u, w, ONE - mu * own.p[-1])"
    else:
        targets = _tuple(["w", *(values[k] for k in algorithm.state)])
        line = f"assign_all({targets}, {f'function({given})' if algorithm.state else f'(function({given}),)'})"
    return f"\ndef step(w, u, d, y, e, mu, own):\n    {line}\n"


def _lookahead_step(algorithm: Algorithm, leaky: bool, skip: bool) -> str:
    """Return the adapters for `look_ahead`: the parameters go in as a tuple, which stays in registers."""
    values = {k: f"p[{i}]" for i, k in enumerate(algorithm.params)} | {"mu": "mu"}
    given = ", ".join(values.get(k, k) for k in algorithm.arguments)
    p = _tuple([f"own.p[{i}]" for i in range(len(algorithm.params))])
    leak, known = "own.p[-1]" if leaky else "None", "True" if skip else "None"
    return f"""
def gain(e, energy, mu, p):
    return TYPE(function({given}))

def step(x, d, mu, own, y, e):
    lookahead(gain, x, d, mu, {leak}, {known}, {p}, own.w, y, e)
"""
