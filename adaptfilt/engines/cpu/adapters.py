"""What stands between an algorithm and the loops: generated lines that pick arguments by name and arrays by place.

For RLS, whose update is ``rls_update(w, S, u, e, lam, bound, g, k)``, they read ::

    def step(w, u, v, d, y, e, mu, own):
        assign_all((w, own.state[0]), update(w, own.state[0], u, e, own.p[0], own.p[1], own.scratch[0], own.scratch[1]))

    def memory(a, c, kept):
        return Filter(array(a[29 + kept] + c * a[31], (a[32],), LIKE[0]), ...)

and for a gain, in `lookahead`, ::

    def gain(e, energy, y, d, lag, mu, p, s):
        return TYPE(gain_(e, energy, mu, p[1])), ()
"""

from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from adaptfilt.engines import words
from adaptfilt.engines.algorithm import Algorithm, names, scratch_names
from adaptfilt.engines.cpu import loops, memory
from adaptfilt.engines.cpu.lookahead import lookahead
from adaptfilt.engines.cpu.native import native

_REAL = {"complex64": "float32", "complex128": "float64"}
_SIGNALS = ("w", "line", "direction", "fed", "before", "lag", "played")  # of a filter, besides its state
_ROOMS = ("stream", "stream_v", "u", "u_v", "phases", "out")

_BLOCK = """
def block_(a_):
    a = carray(a_, (COUNT,))
    return block({run}, {rule}, memory, a, Call({call}), LIKE)
"""
_SAMPLE = """
def sample_(a_):
    a = carray(a_, (COUNT,))
    return {run}({rule}, memory, a, array(a[0], ({io},), 0.0), a[1], a[2], LIKE)
"""


class Layout(NamedTuple):
    """What arrays an algorithm has in a call: dimensions, and whether they are real.

    Attributes
    ----------
    state, scratch : tuple of (int, bool)
    vectors : tuple of bool
    """

    state: tuple[tuple[int, bool], ...]
    scratch: tuple[tuple[int, bool], ...]
    vectors: tuple[bool, ...]

    @classmethod
    def of(cls, algorithm: Algorithm) -> "Layout":
        """Return the layout of an algorithm; a scalar state is an array of one."""
        states, scratch = algorithm.states.values(), algorithm.scratch_kinds.values()
        return cls(
            tuple((max(len(k.dims), 1), k.real) for k in states),
            tuple((max(len(k.dims), 1), k.real) for k in scratch),
            tuple(kind == "real" for kind in algorithm.vectors.values()),
        )


class Variant(NamedTuple):
    """What is known when a lookahead kernel is compiled.

    Attributes
    ----------
    leaks, gated, directed, heard, phased : bool
        Weights leak; samples may be passed over or frozen; updates are made of another signal; a path is heard; there
        are several samples an output.
    longer, shorter : int
        Rows of the input, and of one sample less.
    """

    leaks: bool
    gated: bool
    directed: bool
    heard: bool
    phased: bool
    longer: int
    shorter: int


@cache
def block_function(algorithm: Algorithm, dtype: str, heard: bool, variant: Variant | None) -> Callable[..., int]:
    """Return the block loop of an algorithm, with lookahead where a variant of it is given.

    Its one argument is the address of an array of int64: a `Call`, then the places that `_memory` reads in turn.
    """
    call = ", ".join(f"a[{i}]" for i in range(len(loops.Call._fields)))
    if algorithm.recursion:
        run, rule, text = "recursive", "Recursion(step, weigh, valid)", _recursion(algorithm)
    elif variant is None:
        run, rule, text = "one_by_one", _RULE, _functions(algorithm, heard)
    else:
        how = "write_phases, to_phases, from_phases" if variant.phased else "write_input, nothing, nothing"
        run, rule, text = "look_ahead", f"Ahead(kernel, {how})", _kernel(algorithm, variant)
    return _build("block_", _BLOCK.format(run=run, rule=rule, call=call) + text, algorithm, dtype)


@cache
def sample_function(algorithm: Algorithm, dtype: str) -> Callable[..., int]:
    """Return the one-sample function of an algorithm.

    Its one argument is as for `block_function`; the first entries are the address of io, skip and mu_at.
    """
    if algorithm.recursion:
        run, rule, text = "recursive_sample", "Recursion(step, weigh, valid)", _recursion(algorithm)
    else:
        run, rule, text = "sample", _RULE, _functions(algorithm, heard=False)
    return _build("sample_", _SAMPLE.format(run=run, rule=rule, io=loops.IO) + text, algorithm, dtype)


_RULE = "Rule(error, step, feed, correlate, valid, moves)"


def _build(name: str, text: str, algorithm: Algorithm, dtype: str) -> Callable[..., int]:
    """Compile a loop with its adapters."""
    lines, size = _memory(Layout.of(algorithm))
    real = getattr(np, _REAL.get(dtype, dtype))
    loop_names = (
        "block", "sample", "one_by_one", "look_ahead", "recursive", "recursive_sample", "echo",
        "Call", "Filter", "Rule", "Recursion", "Ahead", "write_input", "write_phases", "to_phases", "from_phases",
    )  # fmt: skip
    memory_names = "array", "assign_all", "finite", "output_and_error", "correlation", "shift_in"
    inject: dict[str, Any] = {
        **{k: getattr(loops, k) for k in loop_names},
        **{k: getattr(words, k) for k in ("axpyc", "energy")},
        **{k: getattr(memory, k) for k in memory_names},
        "function": algorithm.function,
        "lookahead": lookahead,
        **{f"{k}_": function for k, function in algorithm.functions.items()},
        "TYPE": getattr(np, dtype),
        "REAL": real,
        "LIKE": (getattr(np, dtype)(0), real(0), real(1)),
        "COUNT": size,
    }  # fmt: skip
    return native(name, text + lines, ("int64*",), inject)


def _memory(layout: Layout) -> tuple[str, int]:
    """Return the adapter `memory` and how many entries it reads up to.

    What a filter carries takes an address, that of the copy to go back to, its bytes a filter, how many filters share
    it, and its shape; the parameters an address, their bytes a filter, and their number; what is shared and the rooms
    an address and a shape.
    """
    place = count(len(loops.Call._fields))

    def shape(ndim: int) -> str:
        return f"({''.join(f'a[{next(place)}], ' for _ in range(ndim))})"

    def carried(ndim: int, like: str) -> str:
        first, _, row, shared = (next(place) for _ in range(4))
        return f"array(a[{first} + kept] + c // a[{shared}] * a[{row}], {shape(ndim)}, {like})"

    def at(ndim: int, like: str) -> str:
        return f"array(a[{next(place)}], {shape(ndim)}, {like})"

    like = {False: "LIKE[0]", True: "LIKE[1]"}
    parts = [carried({"line": 2, "direction": 2}.get(name, 1), "LIKE[0]") for name in _SIGNALS]
    parts.append(_tuple([carried(ndim, like[real]) for ndim, real in layout.state]))
    first, row = next(place), next(place)
    parts.append(f"array(a[{first}] + c * a[{row}], {shape(1)}, LIKE[1])")
    parts.append(_tuple([at(1, like[real]) for real in layout.vectors]))
    parts.append(at(1, "LIKE[0]"))  # the path
    parts.append(_tuple([at(ndim, like[real]) for ndim, real in layout.scratch]))
    parts += [at(2 if name.startswith("stream") else 1, "LIKE[0]") for name in _ROOMS]
    return f"\ndef memory(a, c, kept):\n    return Filter({', '.join(parts)})\n", next(place)


def _tuple(parts: list[str]) -> str:
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"


def _given(algorithm: Algorithm, name: str, own: dict[str, str]) -> str:
    """Return a call of one function of an algorithm, with what its arguments are in a loop."""
    values = {k: f"own.p[{i}]" for i, k in enumerate(algorithm.params)}
    for i, (k, kind) in enumerate(algorithm.states.items()):
        scalar = not kind.dims and not algorithm.recursion
        values[k] = f"own.state[{i}]" + "[0]" * scalar
    values |= {k: f"own.vectors[{i}]" for i, k in enumerate(algorithm.vectors)}
    values |= own
    values |= {k: f"own.scratch[{i}]" for i, k in enumerate(algorithm.scratch_kinds)}
    function = algorithm.functions[name]
    return f"{name}_({', '.join(values.get(k, k) for k in (*names(function), *scratch_names(function)))})"


def _functions(algorithm: Algorithm, heard: bool) -> str:
    """Return the adapters of a `Rule`."""
    values = {"mu": "mu", "energy": "energy(v)", "lag": "own.lag[0]"}
    states = [f"own.state[{i}]" for i in range(len(algorithm.states))]
    if algorithm.gain:
        leak = "axpyc(TYPE({}), v, w, REAL(1) - mu * own.p[-1])" if algorithm.leaks else "axpyc(TYPE({}), v, w)"
        called = _given(algorithm, "gain", values)
        step = leak.format(called)
        if states:
            step = f"r = {called}\n    {leak.format('r[0]')}\n    assign_all({_tuple(states)}, r[1:])"
    else:
        called = _given(algorithm, "update", values)
        step = f"assign_all({_tuple(['w', *states])}, {called if states else f'({called},)'})"
    error = "y, d - echo(own.path, own.out, n)" if heard else "y, d - y"
    if algorithm.error:
        error = f"output_and_error({_given(algorithm, 'error', {})}, y, LIKE[0])"
    feed = f"shift_in(own.fed, TYPE({_given(algorithm, 'feed', {})}))" if algorithm.feed else "pass"
    correlate = "correlation(own.lag, u, own.before)" if algorithm.lagged else "pass"
    return f"""
def error(y, d, n, own):
    return {error}

def step(w, u, v, d, y, e, mu, own):
    {step}

def feed(own, y, d):
    {feed}

def correlate(own, u):
    {correlate}
{_conditions(algorithm)}"""


def _conditions(algorithm: Algorithm) -> str:
    """Return the adapters that say whether a sample counts, and whether the filter adapts there."""
    return f"""
def valid(d):
    return finite(d){" or d != d" if algorithm.unknown else ""}

def moves(mu):
    return {"True" if algorithm.running else "mu != 0"}
"""


def _recursion(algorithm: Algorithm) -> str:
    """Return the adapters of a `Recursion`."""
    weigh = _given(algorithm, "weights", {"out": "w"})
    return f"""
def step(own, x, d):
    y, e = {_given(algorithm, "recursion", {})}
    return TYPE(y), TYPE(e)

def weigh(own, w):
    {weigh}
{_conditions(algorithm)}"""


def _kernel(algorithm: Algorithm, variant: Variant) -> str:
    """Return the adapters for `look_ahead`: parameters and states go in as tuples, which stay in registers."""
    P, states = len(algorithm.params), list(algorithm.states.items())
    values = {k: f"p[{i}]" for i, k in enumerate((*algorithm.params, *algorithm.vectors))} | {"mu": "mu"}
    values |= {k: f"s[{i}]" for i, (k, _) in enumerate(states)}
    p = [f"own.p[{i}]" for i in range(P)] + [f"own.vectors[{i}]" for i in range(len(algorithm.vectors))]
    called = _given(algorithm, "gain", values)
    cast = ["REAL" if kind.real else "TYPE" for _, kind in states]
    renewed = _tuple([f"{c}(r[{i + 1}])" for i, c in enumerate(cast)])
    gain = f"r = {called}\n    return TYPE(r[0]), {renewed}" if states else f"return TYPE({called}), s"
    error = _given(algorithm, "error", values) if algorithm.error else "y"
    given = {
        "error": "error" if algorithm.error else "None",
        "valid": "valid, moves" if variant.gated else "None, None",
        "v": "v" if variant.directed else "None",
        "longer": _tuple(["None"] * variant.longer),
        "shorter": _tuple(["None"] * variant.shorter) if variant.shorter else "None",
        "leak": "own.p[-1]" if variant.leaks else "None",
        "s": _tuple([f"{c}(own.state[{i}][0])" for i, c in enumerate(cast)]),
        "path": "own.path" if variant.heard else "None",
    }
    return f"""
def gain(e, energy, y, d, lag, mu, p, s):
    {gain}

def error(y, d, p, s):
    return output_and_error({error}, y, LIKE[0])
{_conditions(algorithm)}
def nothing(w, phases, C, M, sps):
    pass

def kernel(x, v, d, mu, own, lag, w, y, e):
    s, lag = lookahead(
        gain, {given["error"]}, {given["valid"]}, x, {given["v"]}, {given["longer"]},
        {given["shorter"]}, d, mu, {given["leak"]}, {_tuple(p)}, {given["s"]}, lag, w, y, e, {given["path"]},
    )
    assign_all(own.state, s)
    return lag
"""
