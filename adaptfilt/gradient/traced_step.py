"""Gradient descent on any module as one compiled loop: forward, loss, gradient and optimiser step of every mini-batch.

The step is traced once from the module, the loss and the optimiser themselves into a list of tensor operations
(`torch.fx`), which `tape_writer` turns into a tape of elementary loops that one small compiled program plays. What
changes between calls, the learning rates and all that the optimiser keeps, is input to the program.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ctypes import addressof, c_int64
from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, fx, nn

from adaptfilt.gradient.eager_step import step_of
from adaptfilt.gradient.learner import Learner
from adaptfilt.gradient.tape import program
from adaptfilt.gradient.tape_writer import Tape, UnsupportedError

MIN_THREADED = 10**6  # instructions from which on several threads pay
SINGLE = {"foreach": False, "fused": False}  # the optimiser's plain loop over the parameters
DECOMPOSED = (  # into simpler operations, beyond torch's own list
    "_log_softmax", "_softmax", "clamp", "elu", "gelu", "hardtanh", "leaky_relu", "linalg_vector_norm",
    "native_batch_norm", "native_group_norm", "native_layer_norm",
)  # fmt: skip
WHOLE = ("lerp", "addcmul", "addcdiv")  # operations the tape has


class NotBegunError(Exception):
    """The optimiser makes its state in its first step, which has to be taken before it is traced."""


class Changed(NamedTuple):
    """What a step changes: a parameter, a buffer, or what the optimiser keeps for a parameter.

    Attributes
    ----------
    name, key : str
        Name in the module, and of the optimiser's entry (empty for the tensor itself).
    tensor : Tensor
    shape : torch.Size
        Of one model: without the axis of the models.
    """

    name: str
    key: str
    tensor: Tensor
    shape: torch.Size


def what_changes(learner: Learner) -> list[Changed]:
    """Return all that a step changes, the parameters first.

    Raises
    ------
    UnsupportedError
        If the optimiser keeps something else than tensors.
    """
    stacked, state = learner.count is not None, learner.optimizer.state
    named = [*learner.model.named_parameters(), *learner.model.named_buffers()]
    found = [Changed(name, "", t, t.shape[stacked:]) for name, t in named]
    for name, p in learner.model.named_parameters():
        for key, t in state.get(p, {}).items():
            if not isinstance(t, Tensor):
                raise UnsupportedError(f"an optimizer that keeps {type(t).__name__}")
            found.append(Changed(name, key, t, t.shape[stacked and t.shape == p.shape :]))
    return found


@cache
def _decompositions() -> Mapping[Any, Callable[..., Any]]:
    """Return what to trace as simpler operations."""
    from torch._decomp import core_aten_decompositions, get_decompositions

    aten: Any = torch.ops.aten
    table: Any = core_aten_decompositions()
    table.update(get_decompositions([getattr(aten, name) for name in DECOMPOSED]))
    whole = [getattr(aten, name + end) for name in WHOLE for end in ("", "_")]
    return {k: v for k, v in table.items() if getattr(k, "overloadpacket", None) not in whole}


def trace(learner: Learner, changes: Sequence[Changed], u: Tensor, d: Tensor) -> fx.Graph:
    """Return the tensor operations of a step: (tensors that change, learning rates, u, d) -> (y, those tensors).

    Raises
    ------
    NotBegunError
        If the optimiser makes its state in this step.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    model, optimizer = learner.model, learner.optimizer
    names = {id(p): name for name, p in model.named_parameters()}
    trained = [names[id(p)] for p in learner.trained]

    def step(tensors: list[Tensor], rates: list[Tensor], u: Tensor, d: Tensor) -> list[Tensor]:
        now = {c.name: t for c, t in zip(changes, tensors, strict=True) if not c.key}
        now |= {name: now[name].detach().requires_grad_() for name in trained}
        y = torch.func.functional_call(model, now, (u,))
        leaves = [now[name] for name in trained]
        for p, g in zip(leaves, torch.autograd.grad(learner.loss(y, d), leaves, allow_unused=True), strict=True):
            p.grad = g
        twin = copy.copy(optimizer)
        twin.param_groups = [
            {**g, "params": [now[names[id(p)]] for p in g["params"]], "lr": rate.item(), **SINGLE}
            for g, rate in zip(optimizer.param_groups, rates, strict=True)
        ]
        twin.state = defaultdict(dict)
        for c, t in zip(changes, tensors, strict=True):
            if c.key:
                twin.state[now[c.name]][c.key] = t
        before = {p: list(s) for p, s in twin.state.items()}
        with torch.no_grad():
            step_of(type(optimizer)).bare(twin)  # type: ignore[arg-type]
        if {p: list(s) for p, s in twin.state.items() if s} != before:
            raise NotBegunError
        after = [twin.state[now[c.name]][c.key] if c.key else now[c.name] for c in changes]
        return [t.detach() for t in (y, *after)]

    mode = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True)
    tensors = [mode.from_tensor(torch.empty(c.shape, dtype=c.tensor.dtype, device="cpu")) for c in changes]
    rates = [mode.from_tensor(torch.empty((), dtype=torch.float64, device="cpu")) for _ in optimizer.param_groups]
    with torch.enable_grad():
        graph = make_fx(step, _decompositions(), "fake")(tensors, rates, mode.from_tensor(u), mode.from_tensor(d)).graph
    graph.eliminate_dead_code()
    return graph


class CompiledSteps:
    """The steps of one learner as it is, for mini-batches of one shape, as a compiled loop.

    Parameters
    ----------
    learner : Learner
    u : Tensor [shape=(B, M)]
        Shape and dtype of a mini-batch of regressors.
    d : Tensor [shape=(B, ...)]
        Shape of the outputs.
    rows : bool
        Regressors will be given; else windows of a stream.

    Raises
    ------
    NotBegunError
        If the optimiser makes its state in this step.
    UnsupportedError
        If the step holds something that has no translation.
    """

    def __init__(self, learner: Learner, u: Tensor, d: Tensor, rows: bool) -> None:
        changes = what_changes(learner)
        nodes = list(trace(learner, changes, u, d).nodes)
        tape = Tape()
        inputs = [n for n in nodes if n.op == "placeholder"]
        for node in inputs:
            tape.values[node] = tape.allocate(node.meta["val"].shape)
        *places, u_place, d_place = (tape.values[n] for n in inputs)
        for node in nodes[len(inputs) : -1]:
            tape.node(node)
        y = tape.allocate(d.shape)
        for new, old in zip(tape.value(nodes[-1].args[0]), (y, *places), strict=False):
            if new != old:
                tape.emit("copy", old.shape, old, new)
        self._block, self._sizes = len(u), [prod(p.shape) for p in places]
        self._parameters = sum(c.shape.numel() for c in changes if isinstance(c.tensor, nn.Parameter))
        self._tape, self._start = np.array(tape.rows, np.int64), np.zeros(tape.size)
        self._start[list(tape.constants)] = list(tape.constants.values())
        roots = (u_place.root, d_place.root, y.root)
        self._layout = (*u.shape, d.shape[1:].numel(), self._parameters, *roots, int(rows))
        program()

    def run(
        self, learner: Learner, x: Tensor, d: Tensor, first: int, every: int, scale: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Take as many steps as d holds mini-batches.

        Parameters
        ----------
        learner : Learner
            That of the constructor, or a copy.
        x : Tensor [shape=(N, T + M - 1) or (N, T, M)]
            Stream or regressors of every model.
        d : Tensor [shape=(N, T, ...)]
        first : int
            Number of the first sample, for the record.
        every : int
            Keep the parameters after so many samples; 0: never.
        scale : Tensor [shape=(N,)] or None
            Factor on every model's learning rate.

        Returns
        -------
        y : Tensor [shape=(N, T, ...)]
        record : Tensor [shape=(N, rows, P)]
        """
        N, T = d.shape[:2]
        tensors = learner.tensors()
        factor = torch.ones(1, dtype=torch.float64, device="cpu") if scale is None else scale.double()
        rates = [float(g["lr"]) * factor for g in learner.optimizer.param_groups]
        w = np.tile(self._start, (N, 1))
        parts = torch.from_numpy(w[:, : sum(self._sizes)]).split(self._sizes, 1)
        for part, t in zip(parts, (*tensors, *rates), strict=True):
            part.copy_(t.reshape(-1, part.shape[1]))
        rows = (first + T) // every - first // every if every else 0
        y, record = np.empty(d.shape), np.empty((N, rows, self._parameters))
        arrays = (x.double().contiguous().numpy(), d.double().contiguous().numpy(), y, record, w)
        sizes = (self._tape.ctypes.data, len(self._tape), first, T // self._block, every, *self._layout)

        def play(models: range) -> None:
            unused = (c_int64 * 2)()
            for c in models:
                addresses = (a[c].ctypes.data for a in arrays)
                program()(addressof(unused), addressof(unused) + 8, *addresses, *sizes, w.shape[1])

        threads = min(N, torch.get_num_threads())
        if threads == 1 or N * T * len(self._tape) < MIN_THREADED:
            play(range(N))
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(play, (range(k, N, threads) for k in range(threads))))
        for part, t in zip(parts, tensors, strict=False):
            t.copy_(part[: max(t.numel() // part.shape[1], 1)].reshape(t.shape))
        return torch.from_numpy(y).to(d.dtype), torch.from_numpy(record).to(d.dtype)
