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
from adaptfilt.engines.cpu import lanes, loops, memory
from adaptfilt.engines.cpu.lookahead import lookahead
from adaptfilt.engines.cpu.native import native

_REAL = {"complex64": "float32", "complex128": "float64"}
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
_LANES = """
def lanes_(a_):
    a = carray(a_, (COUNT + {count},))
    return side_by_side({rule}, memory, a, Call({call}), Side({side}), LIKE)

def TYPE(value):
    return as_number(LIKE[0], value)

def REAL(value):
    return as_number(LIKE[1], value)
"""
_LOOPS = (
    "Ahead", "Call", "Filter", "Recursion", "Rule", "Together", "assembled", "block", "filtered", "from_phases",
    "heard", "input_of", "lag_of", "look_ahead", "note_last", "note_outputs", "one_by_one", "power_of", "push_fed",
    "push_filtered", "push_sample", "recalled", "recursive", "recursive_sample", "sample", "shrunk", "take_in",
    "take_in_direction", "to_phases", "together", "with_fed", "write_direction", "write_inputs", "write_phases",
)  # fmt: skip
_MEMORY = ("array", "assign", "assign_all", "correlation", "finite", "output_and_error")


class Layout(NamedTuple):
    """What arrays a filter has.

    Attributes
    ----------
    signals, rooms : tuple of str
        Which of `loops.SIGNALS` and `loops.ROOMS`.
    state, scratch : tuple of (int, bool)
        Dimensions, and whether real; a scalar state is an array of one.
    vectors : tuple of bool
        Whether real.
    sliced : bool
        A regressor is a slice of one stream.
    together : bool
        Several outputs make several errors.
    """

    signals: tuple[str, ...]
    rooms: tuple[str, ...]
    state: tuple[tuple[int, bool], ...]
    scratch: tuple[tuple[int, bool], ...]
    vectors: tuple[bool, ...]
    sliced: bool
    together: bool = False

    def signal(self, name: str) -> str:
        """Return a signal of a filter as it is written in an adapter."""
        return f"own.signals[{self.signals.index(name)}]"

    def room(self, name: str) -> str:
        """Return a room of a filter as it is written in an adapter."""
        return f"own.rooms[{self.rooms.index(name)}]"


class Variant(NamedTuple):
    """What is known when a lookahead kernel is compiled.

    Attributes
    ----------
    leaks, gated : bool
        Weights leak; samples may be passed over or frozen.
    longer, shorter : int
        Rows of the input, and of one sample less.
    """

    leaks: bool
    gated: bool
    longer: int
    shorter: int


@cache
def block_function(algorithm: Algorithm, dtype: str, layout: Layout, variant: Variant | None) -> Callable[..., int]:
    """Return the block loop of an algorithm, with lookahead where a variant of it is given.

    Its one argument is the address of an array of int64: a `Call`, then the places that `_memory` reads in turn.
    """
    call = ", ".join(f"a[{i}]" for i in range(len(loops.Call._fields)))
    if algorithm.recursion:
        run, rule, text = "recursive", _RECURSION, _recursion(algorithm)
    elif layout.together:
        run, rule, text = "together", _TOGETHER, _jointly(algorithm, layout)
    elif variant is None:
        run, rule, text = "one_by_one", _RULE, _functions(algorithm, layout)
    else:
        run, rule, text = "look_ahead", _AHEAD, _kernel(algorithm, layout, variant)
    return _build("block_", _BLOCK.format(run=run, rule=rule, call=call) + text, algorithm, dtype, layout)


@cache
def sample_function(algorithm: Algorithm, dtype: str, layout: Layout) -> Callable[..., int]:
    """Return the one-sample function of an algorithm.

    Its one argument is as for `block_function`; the first entries are the address of io, skip and mu_at.
    """
    if algorithm.recursion:
        run, rule, text = "recursive_sample", _RECURSION, _recursion(algorithm)
    else:
        run, rule, text = "sample", _RULE, _functions(algorithm, layout)
    return _build("sample_", _SAMPLE.format(run=run, rule=rule, io=loops.IO) + text, algorithm, dtype, layout)


@cache
def lanes_function(algorithm: Algorithm, dtype: str, layout: Layout, count: int) -> Callable[..., int]:
    """Return the loop of a batch whose filters run side by side, so many in a vector.

    Its one argument is as for `block_function`; a `Side` follows what `_memory` reads.
    """
    fields = lanes.Side._fields
    text = _LANES.format(
        rule=_RULE,
        count=len(fields),
        call=", ".join(f"a[{i}]" for i in range(len(loops.Call._fields))),
        side=", ".join(f"a[COUNT + {i}]" for i in range(len(fields))),
    )
    return _build("lanes_", text + _functions(algorithm, layout, every=True), algorithm, dtype, layout, count)


def places(carried: list[Any], p: tuple[int, int, int], vectors: list[Any], arrays: list[Any]) -> list[int]:
    """Return the numbers that compiled code gets: space for a `Call`, then what the adapter `memory` reads.

    Parameters
    ----------
    carried : list of tuple of int
        Address, that of the copy to go back to, bytes a filter, how many filters share them, and shape.
    p : tuple of int
        Address of the parameters, bytes a filter, and their number.
    vectors, arrays : list of tuple of int
        Address and shape.
    """
    return [0] * len(loops.Call._fields) + [
        n for group in (carried, [p], vectors, arrays) for one in group for n in one
    ]


def _rule(kind: Any) -> str:
    """Return the making of a rule from functions of the names of its fields."""
    return f"{kind.__name__}({', '.join(kind._fields)})"


_RULE, _RECURSION, _AHEAD, _TOGETHER = map(_rule, (loops.Rule, loops.Recursion, loops.Ahead, loops.Together))


def _build(
    name: str, text: str, algorithm: Algorithm, dtype: str, layout: Layout, count: int = 0
) -> Callable[..., int]:
    """Compile a loop with its adapters, for so many filters side by side if there is a count."""
    lines, size = _memory(layout)
    real = getattr(np, _REAL.get(dtype, dtype))
    like = (getattr(np, dtype)(0), real(0), real(1))
    inject: dict[str, Any] = {
        **{k: getattr(loops, k) for k in _LOOPS},
        **{k: getattr(words, k) for k in ("axpyc", "energy")},
        **{k: getattr(memory, k) for k in _MEMORY},
        "function": algorithm.function,
        "lookahead": lookahead,
        **{f"{k}_": function for k, function in algorithm.functions.items()},
        "TYPE": getattr(np, dtype),
        "REAL": real,
        "LIKE": like,
        "PLAIN": like,
        "COUNT": size,
    }
    if count:
        inject |= {k: getattr(lanes, k) for k in ("Side", "side_by_side")} | {"as_number": memory.as_number}
        inject["LIKE"] = tuple(memory.Splat(number, count) for number in like)
        del inject["TYPE"], inject["REAL"]
    return native(name, text + lines, ("int64*",), inject)


def _memory(layout: Layout) -> tuple[str, int]:
    """Return the adapter `memory` and how many entries it reads up to.

    What a filter carries takes an address, that of the copy to go back to, its bytes a filter, how many filters share
    it, and its shape; the parameters an address, their bytes a filter, and their number; what is shared and the rooms
    an address and a shape.
    """
    place = count(len(loops.Call._fields))
    like = {False: "LIKE[0]", True: "LIKE[1]"}

    def shape(ndim: int) -> str:
        return f"({''.join(f'a[{next(place)}], ' for _ in range(ndim))})"

    def carried(ndim: int, real: bool = False) -> str:
        first, _, row, shared = (next(place) for _ in range(4))
        return f"array(a[{first} + kept] + c // a[{shared}] * a[{row}], {shape(ndim)}, {like[real]})"

    def at(ndim: int, real: bool = False, given: str = "LIKE") -> str:
        return f"array(a[{next(place)}], {shape(ndim)}, {given}[{int(real)}])"

    parts = [carried(1), carried(2)]
    parts.append(_tuple([carried(loops.SIGNALS[name]) for name in layout.signals]))
    parts.append(_tuple([carried(ndim, real) for ndim, real in layout.state]))
    first, row = next(place), next(place)
    parts.append(f"array(a[{first}] + c * a[{row}], {shape(1)}, LIKE[1])")
    parts.append(_tuple([at(1, real, "PLAIN") for real in layout.vectors]))
    parts.append(_tuple([at(ndim, real) for ndim, real in layout.scratch]))
    parts += [at(2), at(1), _tuple([at(loops.ROOMS[name]) for name in layout.rooms])]
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


def _functions(algorithm: Algorithm, layout: Layout, every: bool = False) -> str:
    """Return the adapters of a `Rule`; `every` sample counts and adapts if so said."""
    lagged, fed, directed = (name in layout.signals for name in ("lag", "fed", "direction"))
    values = {"mu": "mu", "energy": "energy(v)", **({"lag": layout.signal("lag") + "[0]"} if lagged else {})}
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
    error = "y, d - y"
    if "path" in layout.rooms:
        error = f"heard(y, d, n, {layout.room('path')}, {layout.room('out')}, {layout.signal('played')})"
    elif algorithm.error:
        error = f"output_and_error({_given(algorithm, 'error', {})}, y, LIKE[0])"
    M = "own.line.shape[1]"
    begin = ["take_in(own, part, call, like)"]
    regressor = (
        f"own.stream[0, start : start + {M}]" if layout.sliced else "assembled(own.stream, own.line, start, own.u)"
    )
    if fed:
        regressor = f"with_fed({regressor}, {layout.signal('fed')}, 0)"
    direction = along = "u"
    hear = "pass"
    if directed:
        lines = f"{layout.signal('reference')}[0], {layout.signal('direction')}[0]"
        hear = f"push_filtered({layout.room('secondary')}, {lines}, x)"
        along = f"recalled({layout.signal('direction')}, {layout.room('u_v')})"
        stream = layout.room("stream_v")
        begin.append(_directed(layout, "take_in_direction"))
        direction = f"{stream}[0, start : start + {M}]"
        if not layout.sliced:
            direction = f"assembled({stream}, own.line, start, {layout.room('u_v')})"
    end = "pass"
    if "path" in layout.rooms:
        played, out = layout.signal("played"), layout.room("out")
        begin.append(f"assign({out}[: len({played})], {played})")
        end = f"assign({played}, {out}[call.outputs : call.outputs + len({played})])"
    fed_back = f"push_fed({layout.signal('fed')}, TYPE({_given(algorithm, 'feed', {})}))" if fed else "pass"
    correlate = f"correlation({layout.signal('lag')}, u, {layout.signal('before')})" if lagged else "pass"
    return _defined(
        {
            "error(y, d, n, own)": f"return {error}",
            "step(w, u, v, d, y, e, mu, own)": step,
            "begin(own, part, call, like)": "\n    ".join(begin),
            "regressor(own, start)": f"return {regressor}",
            "direction(own, start, u)": f"return {direction}",
            "correlate(own, u)": correlate,
            "feed(own, y, d)": fed_back,
            "hear(own, x)": hear,
            "along(own, u)": f"return {along}",
            "recall(own, back)": f"with_fed(own.u, {layout.signal('fed')}, back)" if fed else "pass",
            "end(own, part, call)": end,
            **({"valid(d)": "return True", "moves(mu)": "return True"} if every else _conditions(algorithm)),
        }
    )


def _directed(layout: Layout, write: str) -> str:
    """Return the line that makes what updates are made of, input by input."""
    signals = _tuple([layout.signal(name) for name in ("direction", "reference")])
    rooms = _tuple([layout.room(name) for name in ("secondary", "stream_v", "unfiltered", "filtered")])
    return f"filtered({write}, own, part, call, like, {signals}, {rooms})"


def _defined(bodies: dict[str, str]) -> str:
    """Return functions as text, from their heads and bodies."""
    return "".join(f"\ndef {head}:\n    {body}\n" for head, body in bodies.items())


def _conditions(algorithm: Algorithm) -> dict[str, str]:
    """Return the adapters that say whether a sample counts, and whether the filter adapts there."""
    return {
        "valid(d)": f"return finite(d){' or d != d' if algorithm.unknown else ''}",
        "moves(mu)": f"return {'True' if algorithm.running else 'mu != 0'}",
    }


def _jointly(algorithm: Algorithm, layout: Layout) -> str:
    """Return the adapters of a `Together`."""
    stream = layout.room("stream_v")
    asked = "energy" in names(algorithm.function)
    rooms = ", ".join([stream, layout.room("path"), layout.room("out"), layout.signal("played")])
    return _defined(
        {
            "gain(e, energy, mu, own)": f"return TYPE({_given(algorithm, 'gain', {'mu': 'mu'})})",
            "power(own, start)": f"return power_of({stream}, start, own.line.shape[1])" if asked else "return REAL(0)",
            "fade(w, mu, own)": "shrunk(w, REAL(1) - mu * own.p[-1])" if algorithm.leaks else "pass",
            "rooms(own)": f"return {rooms}",
            "begin(own, part, call, like)": "take_in(own, part, call, like)\n    "
            + _directed(layout, "take_in_direction"),
            **_conditions(algorithm),
        }
    )


def _recursion(algorithm: Algorithm) -> str:
    """Return the adapters of a `Recursion`."""
    called = _given(algorithm, "recursion", {"mu": "mu"})
    return _defined(
        {
            "step(own, x, d, mu)": f"y, e = {called}\n    return TYPE(y), TYPE(e)",
            "weigh(own, w)": _given(algorithm, "weights", {"out": "w"}),
            **_conditions(algorithm),
        }
    )


def _kernel(algorithm: Algorithm, layout: Layout, variant: Variant) -> str:
    """Return the adapters of an `Ahead`: parameters and states go in as tuples, which stay in registers."""
    lagged, directed, hears = "lag" in layout.signals, "direction" in layout.signals, "path" in layout.rooms
    phased, states = "phases" in layout.rooms, list(algorithm.states.items())
    values = {k: f"p[{i}]" for i, k in enumerate((*algorithm.params, *algorithm.vectors))} | {"mu": "mu"}
    values |= {k: f"s[{i}]" for i, (k, _) in enumerate(states)}
    p = [f"own.p[{i}]" for i in range(len(algorithm.params))]
    p += [f"own.vectors[{i}]" for i in range(len(algorithm.vectors))]
    called = _given(algorithm, "gain", values)
    cast = ["REAL" if kind.real else "TYPE" for _, kind in states]
    renewed = _tuple([f"{c}(r[{i + 1}])" for i, c in enumerate(cast)])
    error = _given(algorithm, "error", values) if algorithm.error else "y"
    longer, shorter = _tuple(["None"] * variant.longer), _tuple(["None"] * variant.shorter)
    arguments = [
        "gain", "error" if algorithm.error else "None", "valid, moves" if variant.gated else "None, None", "x",
        "v" if directed else "None", longer, shorter if variant.shorter else "None", "d, mu",
        "True" if variant.longer + variant.shorter > 1 else "None",
        "own.p[-1]" if variant.leaks else "None", _tuple(p),
        _tuple([f"{c}(own.state[{i}][0])" for i, c in enumerate(cast)]), "lag, w, y, e",
        layout.room("path") if hears else "None",
        f"{layout.room('lags')}, made" if "lags" in layout.rooms else "None, False",
    ]  # fmt: skip
    begin, end = ["write_phases(own, part, call, like)" if phased else "write_inputs(own, part, call, like)"], ["pass"]
    if directed:
        begin.append(_directed(layout, "write_direction"))
    if hears:
        played, out = layout.signal("played"), layout.room("out")
        begin.append(f"assign({out}[: len({played})], {played})")
        end.append(f"note_outputs(part.y, {out}, {played})")
    if lagged:
        before = layout.signal("before")
        end.append(f"note_last(own, {layout.signal('lag')}, {before}, call.outputs)")
    gain = f"r = {called}\n    return TYPE(r[0]), {renewed}" if states else f"return TYPE({called}), s"
    outputs, directions = "part.y[start:stop]", "None"
    if hears:
        outputs = f"{layout.room('out')}[start : len({layout.signal('played')}) + stop]"
    if directed:
        directions = f"{layout.room('stream_v')}[:, start:stop]"
    phases = f"own.w, {layout.room('phases')}, own.line.shape[1], call.sps" if phased else ""
    return _defined(
        {
            "gain(e, energy, y, d, lag, mu, p, s)": gain,
            "error(y, d, p, s)": f"return output_and_error({error}, y, LIKE[0])",
            "kernel(x, v, d, mu, own, lag, w, y, e, made)": f"s = lookahead({', '.join(arguments)})\n"
            "    assign_all(own.state, s)",
            "begin(own, part, call, like)": "\n    ".join(begin),
            "lag(own, n)": f"return lag_of(own.stream, {before}, n, own.line.shape[1])" if lagged else "return LIKE[0]",
            "weights(own, call)": f"return to_phases({phases})" if phased else "return own.w",
            "outputs(own, part, start, stop)": f"return {outputs}",
            "directions(own, start, stop)": f"return {directions}",
            "join(own, call)": f"from_phases({phases})" if phased else "pass",
            "end(own, part, call)": "\n    ".join(end),
            **_conditions(algorithm),
        }
    )
