"""What an engine of frequency-domain filters is given: three functions of real numbers a bin, and a block.

The engines cut the input in frames of 2 B samples, one every `hop` samples. X_p is the spectrum of the one that ended
p B samples ago, and E that of the newest B errors behind B zeros. The weights of partition p move by

    W_p <- (1 - mu leak) W_p + m_p conj(X_p) E

and are then those of a response of B taps. An algorithm says what m is, for every bin:

    spread(x2, partition states...) -> real                       summed over partitions and inputs; by default x2
    level(total, x2, e2, bin states...) -> level, bin states...    once for all partitions
    step(level, x2, w2, partition states...) -> m, partition states...

with x2 = |X_p|^2 (in `level` their sum), w2 = |W_p|^2 before the update, and e2 = |E|^2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor, nn

from adaptfilt.engines.algorithm import Kind, names

SUPPLIED = {"spread": ("x2",), "level": ("total", "x2", "e2"), "step": ("level", "x2", "w2")}
KINDS = {"bin": Kind(True, ("bins",)), "partition": Kind(True, ("partitions", "bins"))}
CONSTRAINTS = ("full", "alternate", "none")


@dataclass(frozen=True, eq=False)
class Bins:
    """The functions of a frequency-domain algorithm, read by the names of their arguments.

    Attributes
    ----------
    step : callable
        ``step(level, x2, w2, ...) -> m``, then the partition states it takes, renewed. Real numbers all.
    level : callable
        ``level(total, x2, e2, ...) -> level``, then the bin states, renewed.
    spread : callable, optional
        ``spread(x2, ...) -> real``: what is summed over partitions and inputs to `total`; x2 by default.
    state : mapping of str to {"bin", "partition"}
        What is carried from hop to hop, real: one number a bin, or one a bin and partition of every input.

    Raises
    ------
    ValueError
        If the functions or their arguments do not fit.

    Examples
    --------
    >>> from adaptfilt.engines.bins import Bins
    >>> def level(total, S, lam):
    ...     S = lam * S + (1 - lam) * total
    ...     return S, S
    >>> def step(level, mu):
    ...     return mu / level
    >>> Bins(step=step, level=level, state={"S": "bin"}).params
    ('lam', 'mu')
    """

    step: Callable[..., Any]
    level: Callable[..., Any]
    spread: Callable[..., Any] | None = None
    state: Mapping[str, str] = field(default_factory=dict)

    # what else is asked of an algorithm
    gain = update = recursion = error = feed = None
    vectors: ClassVar[Mapping[str, str]] = {}
    scratch_kinds: ClassVar[Mapping[str, Kind]] = {}
    blind = unknown = running = False
    plain = True

    def __post_init__(self) -> None:
        """Refuse functions whose arguments cannot be told by their names."""
        for name, kind in self.state.items():
            if kind not in KINDS:
                raise ValueError(f'state: {name} must be "bin" or "partition", got {kind!r}')
        takes = {name: {*names(function)} for name, function in self.functions.items()}
        for function, state in (("level", "bin"), ("step", "partition")):
            missing = [k for k, kind in self.state.items() if kind == state and k not in takes[function]]
            if missing:
                raise ValueError(f"{function} must take the {state} state {missing[0]}")
        wrong = [k for k in takes.get("spread", set()) | takes["step"] if self.state.get(k) == "bin"]
        wrong += [k for k in takes["level"] if self.state.get(k) == "partition"]
        if wrong:
            raise ValueError(f"{wrong[0]} is a {self.state[wrong[0]]} state: not for that function")

    @cached_property
    def functions(self) -> dict[str, Callable[..., Any]]:
        """All functions by what they are."""
        return {name: getattr(self, name) for name in SUPPLIED if getattr(self, name) is not None}

    @cached_property
    def states(self) -> dict[str, Kind]:
        """Kinds of the states."""
        return {name: KINDS[kind] for name, kind in self.state.items()}

    @cached_property
    def params(self) -> tuple[str, ...]:
        """Names of the filter's parameters that the functions take."""
        given = ((name, k) for name, function in self.functions.items() for k in names(function))
        return tuple(dict.fromkeys(k for name, k in given if k not in SUPPLIED[name] and k not in self.state))

    @cached_property
    def leaks(self) -> bool:
        """Whether the filter has a leakage: beside a step size that is its own."""
        return "mu" in self.params

    def of(self, kind: str) -> tuple[str, ...]:
        """Return the names of the states of a kind."""
        return tuple(name for name, own in self.state.items() if own == kind)


@dataclass(slots=True)
class Frames:
    """One block for an engine of frequency-domain filters, and the state before it.

    B streams, each of C inputs, feed Q outputs each; P partitions of `block` taps, F bins.

    Attributes
    ----------
    x : Tensor [shape=(B, C, T)]
    d : Tensor [shape=(B, Q, T)]
        Finite both.
    gate : Tensor [shape=(B, Q, T)] or None
        Weights of the errors, 0 where nothing adapts; None: 1.
    W : Tensor [shape=(B, Q, C, P, F)]
    spectra : Tensor [shape=(B, C, slots, F)]
        Of the frames that ended at the last hops; the newest stands at `place`, older ones behind it, in a ring.
    frame : Tensor [shape=(B, C, 2 block)]
        The newest samples, oldest first.
    wanted, gates : Tensor [shape=(B, Q, block)]
        The newest samples of d, and the weights of their errors.
    tail : Tensor [shape=(B, Q, hop)]
        Within a hop, what all partitions but the first add to its outputs.
    n, place, turn : int
        Samples since the last update, place in the ring, updates so far, for the constraint's turn.
    states : dict of str to Tensor [shape=(B, Q, F) or (B, Q, C, P, F)]
    params : dict of str to float or Tensor [shape broadcastable to (B, Q)]
    taps, block, hop, every : int
        `every`: keep the weights after every so many samples; 0: never.
    constraint : {"full", "alternate", "none"}
    settle : bool
        Update at once where the block ends with a hop; else the next block does it.
    gradient : bool
        The block is to be differentiable.
    step : nn.Module or None
        What stands in place of the algorithm's step.
    passed : Tensor [shape=(B, Q, T)] or None
        Where a sample was not finite.
    moves : dict of str to Tensor
        What of the filter changes with the block that no engine knows of.
    """

    algorithm: Bins
    x: Tensor
    d: Tensor
    gate: Tensor | None
    W: Tensor
    spectra: Tensor
    frame: Tensor
    wanted: Tensor
    gates: Tensor
    tail: Tensor
    n: int
    place: int
    turn: int
    states: dict[str, Tensor]
    params: dict[str, Any]
    taps: int
    block: int
    hop: int
    every: int = 0
    constraint: str = "full"
    settle: bool = True
    gradient: bool = False
    step: nn.Module | None = None
    passed: Tensor | None = None
    moves: dict[str, Any] = field(default_factory=dict)


def constrained(constraint: str, partitions: int, turn: int) -> tuple[int, ...]:
    """Return which partitions an update constrains; the first one always, whose outputs come without delay."""
    if constraint == "full":
        return tuple(range(partitions))
    return (0, 1 + turn % (partitions - 1)) if constraint == "alternate" and partitions > 1 else (0,)
