"""What an engine is given: an algorithm, which is a few functions read by the names of their arguments, and a block.

`Algorithm` names the structure; docs/adding_a_filter.md has a page of it. Every argument of its functions is one of

- what an engine supplies at a sample (`SUPPLIED`),
- a state, which the function returns renewed,
- a vector, an array of numbers that all samples share,
- scratch, an array to be written to before it is read, with a default of None,
- or else a parameter of the filter.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor

SUPPLIED = {
    "gain": ("e", "energy", "y", "d", "lag"),
    "update": ("w", "u", "e", "energy", "y", "d", "lag"),
    "error": ("y", "d"),
    "feed": ("y", "d"),
    "recursion": ("x", "d"),
    "weights": (),
}
STRUCTURES = ("gain", "update", "recursion")
MAX_DIMS = 16  # of an array: compiled code takes one dimension after the other, by recursion
MAX_STATES = 24  # likewise


class Kind(NamedTuple):
    """What a state is: real, or of the type of the signals; and its dimensions, none for a scalar."""

    real: bool
    dims: tuple[Any, ...]

    @classmethod
    def of(cls, name: str, said: Any) -> "Kind":
        """Read a kind: "real" or "signal" for a scalar, a tuple of dimensions for an array, with "real" in front."""
        parts = (said,) if isinstance(said, str) else said
        if not (isinstance(parts, tuple) and all(isinstance(p, str | int) for p in parts)):
            raise ValueError(f'{name} must be "real", "signal" or a tuple of dimensions, got {said!r}')
        if isinstance(said, str) and said not in ("real", "signal"):
            raise ValueError(f'{name} must be "real" or "signal" for a scalar, ("{said}",) for a vector, got {said!r}')
        dims = parts[1:] if parts[:1] in (("real",), ("signal",)) else parts
        if len(dims) > MAX_DIMS:
            raise ValueError(f"{name} must have {MAX_DIMS} dimensions at most, got {len(dims)}")
        return cls(parts[:1] == ("real",), dims)


@dataclass(frozen=True, eq=False)
class Algorithm:
    """The functions of an algorithm: one of `gain`, `update` and `recursion` says how it is run.

    Attributes
    ----------
    gain : callable, optional
        ``gain(e, energy, mu, ..., states...) -> g, states...``: the weights become (1 - mu leak) w + g conj(u).
        Without states it returns g alone. A gain that takes mu is 0 where mu is.
    update : callable, optional
        ``update(w, states..., u, e, ...) -> w, states...``
    recursion : callable, optional
        ``recursion(states..., x, d, ...) -> y, e`` of one filter, for what is not y = w^T u. State arrays change in
        place; a scalar state is an array of one. Where d is NaN it only filters.
    error : callable, optional
        ``error(y, d, ...) -> e``, or ``z, e`` where z is to be returned in place of y. By default e = d - y. One that
        takes no d makes the filter blind.
    feed : callable, optional
        ``feed(y, d, ...) -> v``: pushed after the sample into a second line, which follows the first in u.
    weights : callable, optional
        ``weights(states..., ..., out) -> w``: the weights that stand for a recursion.
    state : mapping of str to kind
        What the algorithm carries from sample to sample: "real" or "signal" for a scalar, ("taps", "taps") for an
        array, ("real", "taps") for a real one in complex filters too. A dimension is "taps", the number of weights,
        a number, or an attribute of the filter.
    scratch : mapping of str to kind
        Kinds of scratch arrays, ("taps",) by default.
    vectors : mapping of str to str
        Attributes of the filter that are arrays of numbers, "real" or "signal".
    linear : bool
        The gain is proportional to e, as for LMS and NLMS.
    unknown : bool
        NaN in d means that d is not known there.
    running : bool
        The states go on where the weights are frozen.

    Raises
    ------
    ValueError
        If the functions or their arguments do not fit.

    Examples
    --------
    >>> import adaptfilt as af
    >>> def gain(e, energy, mu, eps, power):
    ...     power = 0.9 * power + 0.1 * energy
    ...     return mu / (eps + power) * e, power
    >>> algorithm = af.Algorithm(gain=gain, state={"power": "real"})
    >>> algorithm.params
    ('mu', 'eps')
    """

    gain: Callable[..., Any] | None = None
    update: Callable[..., Any] | None = None
    recursion: Callable[..., Any] | None = None
    error: Callable[..., Any] | None = None
    feed: Callable[..., Any] | None = None
    weights: Callable[..., Any] | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    scratch: Mapping[str, Any] = field(default_factory=dict)
    vectors: Mapping[str, str] = field(default_factory=dict)
    linear: bool = False
    unknown: bool = False
    running: bool = False

    def __post_init__(self) -> None:
        """Refuse functions whose arguments cannot be told by their names."""
        given = [name for name in STRUCTURES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"an Algorithm takes one of {', '.join(STRUCTURES)}, got {' and '.join(given) or 'none'}")
        if self.recursion and (self.error or self.feed):
            raise ValueError("a recursion returns e itself and keeps its own past: it takes no error and no feed")
        if (self.weights is None) != (self.recursion is None):
            raise ValueError("weights stand for a recursion: give both, or a gain or an update without weights")
        if not isinstance(self.state, Mapping):
            raise ValueError(f'state must be a mapping such as {{"S": ("taps", "taps")}}, got {self.state!r}')
        if len(self.state) > MAX_STATES:
            raise ValueError(
                f"state has {MAX_STATES} entries at most, got {len(self.state)}: put several into one array"
            )
        for name, function in self.functions.items():
            if not callable(function) or isinstance(function, type):
                raise TypeError(f"{name} must be a function, got {function!r}")
            self._check(name, function)
        if self.unknown and self.blind:
            raise ValueError("unknown says that NaN in d is not known, but no function takes d")
        for name, kind in self.vectors.items():
            if kind not in ("real", "signal"):
                raise ValueError(f'vectors: {name} must be "real" or "signal", got {kind!r}')
        _ = self.states, self.scratch_kinds
        self._check_returned()

    def _check(self, name: str, function: Callable[..., Any]) -> None:
        """Refuse what one function takes."""
        label = f"{name} {function.__name__}({', '.join(inspect.signature(function).parameters)})"
        for argument in inspect.signature(function).parameters.values():
            if argument.kind is not argument.POSITIONAL_OR_KEYWORD or argument.default not in (argument.empty, None):
                raise ValueError(f"{label}: {argument}: arguments are plain names, and scratch has the default None")
        own = names(function)
        needed = {"gain": ("e",), "update": ("w",), "error": ("y",), "feed": (), "recursion": ("x", "d"), "weights": ()}
        carried = tuple(self.states) if name in STRUCTURES else ()
        missing = [k for k in (*needed[name], *carried) if k not in own]
        if missing:
            raise ValueError(f"{label} must take {', '.join(missing)}, as its structure or its state says")
        others = {k for supplied in SUPPLIED.values() for k in supplied} - set(SUPPLIED[name])
        wrong = [k for k in own if k in others]
        if wrong:
            raise ValueError(
                f"{label} cannot take {', '.join(wrong)}: supplied are {', '.join(SUPPLIED[name]) or 'none'}"
            )
        if name == "gain" and scratch_names(function):
            raise ValueError(f"{label}: a gain has no scratch")
        vectors = [k for k, kind in self.states.items() if kind.dims]
        if name == "gain" and vectors:
            raise ValueError(f"{label}: the states of a gain are scalars, {vectors[0]} is an array: write an update")
        if name in ("error", "feed") and "mu" in own:
            raise ValueError(f"{label}: mu belongs to the gain or update")
        if name == "feed" and any(k in self.states for k in own):
            raise ValueError(f"{label}: what is fed back is made of y, d and parameters, not of states")
        if name != "update" and "leak" in own and self.gain:
            raise ValueError(f"{label}: leak acts on the weights by itself, and is no argument")
        others = {"mu", "leak", "taps"} | set().union(*SUPPLIED.values()) | {*self.vectors}
        clash = ({*self.states} & others) | ({*self.scratch_kinds} & (others | {*self.states, *self.params}))
        if clash:
            raise ValueError(f"{label}: {', '.join(sorted(clash))} has a name that means something else")

    def _check_returned(self) -> None:
        """Refuse a gain or update that plainly does not return its states."""
        if self.recursion or not self.states:
            return
        count = 1 + len(self.states)
        for value in _returned(self.function):
            found = len(value.elts) if isinstance(value, ast.Tuple) else 1
            sure = not isinstance(value, ast.Tuple | ast.Call | ast.Name) or (
                isinstance(value, ast.Tuple) and not any(isinstance(v, ast.Starred) for v in value.elts)
            )
            if sure and found != count:
                first = "g" if self.gain else "w"
                wanted = ", ".join([first, *self.states])
                raise ValueError(f"{self.function.__name__} must return {wanted}, got {ast.unparse(value)}")

    @cached_property
    def structure(self) -> str:
        """The name of the structure."""
        return next(name for name in STRUCTURES if getattr(self, name) is not None)

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The function that names the structure."""
        return getattr(self, self.structure)

    @cached_property
    def functions(self) -> dict[str, Callable[..., Any]]:
        """All functions by what they are."""
        return {name: getattr(self, name) for name in SUPPLIED if getattr(self, name) is not None}

    def call(self, name: str, values: Mapping[str, Any]) -> Any:
        """Call a function, taking its arguments by name."""
        function = self.functions[name]
        given = [values[k] for k in names(function)]
        return function(*given, **{k: values[k] for k in scratch_names(function) if k in values})

    @cached_property
    def states(self) -> dict[str, Kind]:
        """Kinds of the states."""
        return {name: Kind.of(name, said) for name, said in self.state.items()}

    @cached_property
    def scratch_kinds(self) -> dict[str, Kind]:
        """Kinds of the scratch arrays of the structure's function, in their order."""
        given = ((name, k) for name, function in self.functions.items() for k in scratch_names(function))
        own = dict.fromkeys(k for given_to, k in given if (given_to, k) != ("weights", "out"))
        unknown = [name for name in self.scratch if name not in own]
        if unknown:
            raise ValueError(f"scratch: {self.function.__name__} has no argument {unknown[0]}=None")
        return {name: Kind.of(name, self.scratch.get(name, ("taps",))) for name in own}

    @cached_property
    def params(self) -> tuple[str, ...]:
        """Names of the filter's parameters that the functions take."""
        known = {*self.states, *self.vectors}
        found = [
            k for name, function in self.functions.items() for k in names(function)
            if k not in known and k not in SUPPLIED[name]
        ]  # fmt: skip
        return tuple(dict.fromkeys(found))

    @cached_property
    def leaks(self) -> bool:
        """Whether the filter has a leakage: beside a step size that is its own."""
        return self.gain is not None and "mu" in self.params

    @cached_property
    def lagged(self) -> bool:
        """Whether the lag is asked for."""
        return "lag" in names(self.function)

    @cached_property
    def blind(self) -> bool:
        """Whether there is no desired signal."""
        return all("d" not in names(f) for f in self.functions.values()) and (self.error or self.recursion) is not None

    @cached_property
    def plain(self) -> bool:
        """Whether y = w^T u of the line alone and e = d - y."""
        return self.recursion is None and self.error is None and self.feed is None

    @cached_property
    def stands_still(self) -> bool:
        """Whether mu = 0 by itself leaves all but the signals alone."""
        return self.gain is not None and "mu" in names(self.gain) and not self.states


class Variants:
    """Algorithms of one filter, the first of which is its class's; an instance says in `variant` which one is its own.

    Examples
    --------
    >>> class Filter:
    ...     algorithm = Variants(whole=Algorithm(gain=lambda e: e), half=Algorithm(gain=lambda e: e / 2))
    ...     def __init__(self, variant):
    ...         self.variant = variant
    >>> Filter.algorithm.function(1.0), Filter("half").algorithm.function(1.0)
    (1.0, 0.5)
    """

    def __init__(self, **algorithms: Any) -> None:
        self.algorithms = algorithms

    def __get__(self, f: Any, cls: type | None = None) -> Algorithm:
        """Return the algorithm of an instance or a class."""
        first = next(iter(self.algorithms))
        return self.algorithms[first if f is None else f.__dict__.get("variant", first)]


def names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a function's arguments, scratch left out."""
    given = inspect.signature(function).parameters
    return tuple(k for k, p in given.items() if p.default is inspect.Parameter.empty)


def scratch_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a function's scratch arrays."""
    given = inspect.signature(function).parameters
    return tuple(k for k, p in given.items() if p.default is not inspect.Parameter.empty)


def _returned(function: Callable[..., Any]) -> list[ast.expr]:
    """Return what a function returns, as it is written, if by a name then what that is; nothing without a source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return []
    nodes = list(ast.walk(tree))
    given: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            given.setdefault(node.targets[0].id, []).append(node.value)
    found = [node.value for node in nodes if isinstance(node, ast.Return) and node.value is not None]
    return [given[v.id][0] if isinstance(v, ast.Name) and len(given.get(v.id, ())) == 1 else v for v in found]


@dataclass(slots=True)
class Job:
    """One block for an engine: the algorithm, the signals and the state before it.

    B streams, each of C inputs, feed Q outputs each; F weights make an output. Public shapes, (*batch, [inputs,] T)
    and the like, hold the same numbers in the same order.

    Attributes
    ----------
    x : array or Tensor [shape=(B, C, T) or, with rows, (B, T, F)]
    d : array or Tensor [shape=(B, Q, N)]
        N outputs are made of T samples.
    w : Tensor [shape=(B, Q, F)]
    line : Tensor [shape=(B, C, M)]
        The newest M samples of x before the block, oldest first.
    state : dict of str to Tensor [shape=(B, Q, ...)]
    params : dict of str to float or Tensor [shape broadcastable to filters]
        Parameters of the algorithm in its order; a leakage is last.
    vectors : dict of str to Tensor [shape=(any number,)]
    signals : dict of str to Tensor [shape=(B, Q, ...)]
        Signals that some structures carry: "fed", what was fed back, oldest first; "before", the regressor of the
        last sample, and "lag" of the last sample; "direction", (B, C, M), the newest samples of what updates are made
        of, "reference", (B, C, S), those of x, and "played", the newest outputs, all oldest first.
    batch, filters : tuple of int
        Shapes of the streams, and of the filters: (*batch, [outputs]).
    inputs : int
        C.
    mu : float, Tensor [shape broadcastable to (*filters, N)] or None
        Step size that replaces the filter's for this block.
    every : int
        Keep the weights after every so many outputs; 0: never.
    sps, offset : int
        Samples an output; place in x of the sample with which the first output is made.
    rows, skip, gradient, errors : bool
        x holds ready regressors; samples that are not finite are passed over; the block is to be differentiable; d
        holds the errors to adapt on, measured elsewhere.
    features : callable or None
        Map from regressors (..., [C,] M) to what the weights combine, (..., F).
    scratch : dict of str to tuple of int
        Shapes of the scratch arrays.
    secondary : Tensor [shape=(L, Q, S)] or None
        The responses by which x is filtered for what updates are made of: of Q loudspeakers at L microphones, whose
        weights are those of one filter, and whose errors d holds.
    direction : Tensor [shape=(B, L, T, F)] or None
        What updates are made of, with rows.
    path : Tensor [shape=(L, Q, S)] or None
        The responses through which the errors hear the outputs.
    moves : dict of str to Tensor
        What of the filter changes with the block that no engine knows of.
    """

    algorithm: Algorithm
    x: Any
    d: Any
    w: Tensor
    line: Tensor
    state: dict[str, Tensor]
    params: dict[str, Any]
    vectors: dict[str, Tensor] = field(default_factory=dict)
    signals: dict[str, Tensor] = field(default_factory=dict)
    batch: tuple[int, ...] = ()
    filters: tuple[int, ...] = ()
    inputs: int = 1
    mu: Any = None
    every: int = 0
    sps: int = 1
    offset: int = 0
    rows: bool = False
    skip: bool = False
    gradient: bool = False
    errors: bool = False
    features: Callable[[Tensor], Tensor] | None = None
    scratch: dict[str, tuple[int, ...]] = field(default_factory=dict)
    secondary: Tensor | None = None
    direction: Tensor | None = None
    path: Tensor | None = None
    moves: dict[str, Any] = field(default_factory=dict)


class Result(NamedTuple):
    """What an engine returns; one on tensors gives the state after the block too, the compiled one has written it."""

    y: Any  # (B, Q, N)
    e: Any
    w: Any  # (B, Q, F)
    record: Any  # (B, Q, N // every, F)
    carried: Any = None  # all that the filter carries, by name
