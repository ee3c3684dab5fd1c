"""What an engine is given: an algorithm, which is one function and the names of its arguments, and a block to run."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor

SAMPLE = ("w", "u", "d", "y", "e")  # names an engine supplies at every sample


@dataclass(frozen=True)
class Algorithm:
    """A gain function (rank-one filters) or an update function (any other), read by the names of its arguments.

    A gain is ``gain(e, energy, mu, ...)``, in any order: `e` and `energy` are the sample's, all else are parameters.
    An update is ``update(w, ..., u, e, ...) -> w, ...``: among its arguments `w`, `u`, `d`, `y`, `e` are the sample's,
    those named in `state` are carried and returned in that order after w, those with a default of None are
    scratch arrays, and all others are parameters of the filter.

    Attributes
    ----------
    gain, update : callable or None
        Exactly one of the two.
    state : tuple of str
        Names of what the algorithm carries besides w.
    linear : bool
        The gain is proportional to e, as for LMS and NLMS.

    Raises
    ------
    ValueError
        If it is not exactly one function, or its arguments do not fit.
    """

    gain: Callable[..., Any] | None = None
    update: Callable[..., Any] | None = None
    state: tuple[str, ...] = ()
    linear: bool = False

    def __post_init__(self) -> None:
        """Refuse a function whose arguments cannot be told by their names."""
        if (self.gain is None) == (self.update is None):
            raise ValueError("an Algorithm takes a gain or an update, and not both")
        for argument in inspect.signature(self.function).parameters.values():
            if argument.kind is not argument.POSITIONAL_OR_KEYWORD or argument.default not in (argument.empty, None):
                raise ValueError(f"{argument} of {self.function.__name__}: arguments are plain names; scratch is =None")
        needed = ("e", "mu") if self.gain else ("w", *self.state)
        missing = [k for k in needed if k not in self.arguments]
        if missing or len({"w", *self.state}) != len(self.state) + 1:
            names = ", ".join(self.arguments)
            raise ValueError(f"{self.function.__name__}({names}) must take {', '.join(needed)}, each once")
        if self.gain and (self.state or self.scratch or "leak" in self.params):
            raise ValueError(f"{self.function.__name__}: a gain has no state and no scratch, and leak is not its own")

    @property
    def function(self) -> Callable[..., Any]:
        """The one function."""
        function = self.gain or self.update
        assert function is not None
        return function

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Call the function, taking its arguments by name."""
        return self.function(*[values[k] for k in self.arguments])

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """Names of the function's arguments, scratch left out."""
        signature = inspect.signature(self.function).parameters
        return tuple(k for k, p in signature.items() if p.default is inspect.Parameter.empty)

    @cached_property
    def scratch(self) -> tuple[str, ...]:
        """Names of the arguments that are scratch arrays."""
        return tuple(k for k in inspect.signature(self.function).parameters if k not in self.arguments)

    @cached_property
    def params(self) -> tuple[str, ...]:
        """Names of the filter's parameters that the function takes."""
        known = ("e", "energy") if self.gain else (*SAMPLE, *self.state)
        return tuple(k for k in self.arguments if k not in known)


@dataclass(slots=True)
class Job:
    """One block for an engine: the algorithm, the signals and the state before it.

    Attributes
    ----------
    x : array or Tensor [shape=(*batch, T) or, with rows, (*batch, T, F)]
    d : array or Tensor [shape=(*batch, T)]
    w : Tensor [shape=(*batch, F)]
    samples : Tensor [shape=(*batch, M)]
        The newest M samples of x before the block, oldest first.
    state : dict of str to Tensor [shape=(*batch, ...)]
    params : dict of str to float or Tensor [shape broadcastable to batch]
        Parameters of the algorithm in its order; for a rank-one filter the leakage is last.
    mu : float, Tensor [shape broadcastable to (*batch, T)] or None
        Step size that replaces the filter's for this block.
    every : int
        Keep the weights after every so many samples; 0: never.
    rows, skip, gradient, errors : bool
        x holds ready regressors; samples that are not finite are passed over; the block is to be differentiable; d
        holds the errors to adapt on, measured elsewhere.
    features : callable or None
        Map from regressors (..., M) to what the weights combine, (..., F).
    scratch : tuple of tuple of int
        Shapes of the update function's scratch arrays.
    """

    algorithm: Algorithm
    x: Any
    d: Any
    w: Tensor
    samples: Tensor
    state: dict[str, Tensor]
    params: dict[str, Any]
    mu: Any = None
    every: int = 0
    rows: bool = False
    skip: bool = False
    gradient: bool = False
    errors: bool = False
    features: Callable[[Tensor], Tensor] | None = None
    scratch: tuple[tuple[int, ...], ...] = ()


class Result(NamedTuple):
    """What an engine returns; those on tensors give the state after the block too, the compiled one has written it."""

    y: Any
    e: Any
    w: Any
    record: Any
    samples: Any = None
    state: Any = None
