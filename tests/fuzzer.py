"""Random sequences of calls on a filter and on its model, the reference engine; `make fuzz` runs many.

Every operation is drawn from its own generator, (seed, index), and goes to two twins. Outputs and states are compared
after each; then the model takes over the filter's state, so that rounding does not pile up. A sequence that fails is
shrunk by leaving operations out.
"""

import argparse
import copy
import faulthandler
import inspect
import io
import multiprocessing
import pickle
import re
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import adaptfilt as af
from adaptfilt.checks import NUMPY
from adaptfilt.engines.choose import choose

FILTERS = [
    c for c in vars(af).values() if isinstance(c, type) and issubclass(c, af.AdaptiveFilter) and hasattr(c, "example")
]
PARAMETRIC = (af.LinearFilter, af.RecursiveFilter, af.FrequencyFilter)
SPIKED = [c for c in FILTERS if hasattr(c, "algorithm") and (c.algorithm.blind or c.algorithm.unknown)]  # their start
ALLOWED = (ValueError, TypeError, af.DivergenceError)
TOLERANCE = {torch.float32: 1e-4, torch.complex64: 1e-4, torch.float64: 1e-9, torch.complex128: 1e-9}
VALUES: dict[str, tuple[float, ...]] = {
    "mu": (0.0, 0.005, 0.05, 0.5, 1.0),
    "leak": (0.0, 0.01, 0.1),
    "eps": (0.1, 1.0, 3.0),
    "lam": (0.9, 0.99, 1.0),
    "delta": (0.01, 1.0),
    "lr_scale": (0.5, 1.0, 2.0),
    "alpha": (0.5, 0.97, 1.0),
    "gamma": (0.0, 1e-3, 0.1),
    "mu_min": (0.0, 1e-3),
    "mu_max": (0.01, 0.1),
    "noise": (0.0, 0.01),
    "dispersion": (1.0, 1.3),
    "q": (0.0, 1e-4),
    "r": (0.01, 1.0),
    "p0": (0.1, 1.0),
}
TAPS = (1, 4, 8, 9, 33)
SIZES: dict[str, tuple[Any, ...]] = {  # and choices, which are read-only afterwards
    "taps": TAPS,
    "forward": TAPS,
    "zeros": (0, 3, 8),
    "feedback": (0, 1, 3),
    "poles": (1, 3),
    "order": (1, 2, 4, 5),
    "block": (1, 4, 8),
    "path_taps": (None, 9),
    "normalized": (False, True),
    "delay": (None, 0),
}
AXES: tuple[dict[str, int], ...] = (  # of which the short form takes one a filter: each is code to compile
    {"inputs": 2, "outputs": 2, "sps": 3},
    {"sps": 2},
    {"inputs": 2},
    {"outputs": 2},
    {"inputs": 1, "outputs": 1},
    {"outputs": 3, "sps": 7},
)
LENGTHS = (0, 1, 1, 2, 3, 7, 7, 8, 9, 16, 17, 33, 64)
STEPS = 12  # operations a sequence


class Difference(AssertionError):
    """The filter and its model disagree, or the filter breaks its contract."""


@dataclass
class Act:
    """One operation: `call(f, *args)`; a bad one has to raise and to leave the state as it was."""

    call: Callable[..., Any]
    args: tuple[Any, ...] = ()
    bad: bool = False
    errors: tuple[type[Exception], ...] = ALLOWED
    model: Callable[..., Any] | None = None  # the operation on the model, where it is another
    oracle: Callable[..., Any] | None = None  # the outputs by other means, from the state before


def squared(y: Tensor, d: Tensor) -> Tensor:
    """The mean squared error, spelt so that no engine recognises it."""
    e = y - d
    return (e.real.square() + e.imag.square()).mean() if e.is_complex() else e.square().mean()


def plain_sgd(parameters: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.025)


def momentum(parameters: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.5)


def constellations(dtype: torch.dtype) -> list[Any]:
    """Constellations of each kind of decision."""
    if not dtype.is_complex:
        return [af.Constellation.psk(2), af.Constellation.pam(4)]
    return [af.Constellation.psk(4), af.Constellation.qam(16), af.Constellation.psk(8)]


@dataclass
class Case:
    """What a sequence runs on, drawn from its seed."""

    cls: Any
    dtype: torch.dtype
    rng: np.random.Generator = field(repr=False)
    wide: bool  # all dtypes, axes and choices, and compiled loops of modules
    axes: bool = True  # several inputs, outputs and samples an output, and features: each is code to compile
    batch: tuple[int, ...] = ()
    taps: int = 4
    nonfinite: str = "raise"
    features: Any = None
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.batch = self._one_of((), (), (), (3,), (1,), (2, 2))
        self.taps, self.nonfinite = self._one_of(*TAPS), self._one_of("raise", "skip")
        if not issubclass(self.cls, PARAMETRIC):
            self.params = {"block_size": self._one_of(1, 1, 3), "kind": self._one_of("lms", "bias", "mlp")}
            return
        given = inspect.signature(self.cls).parameters
        self.params = {k: self._one_of(*SIZES[k]) for k in SIZES if k in given}
        if not self.wide:
            self.params |= {k: False for k in ("normalized",) if k in given}
        for name in self.cls.ranges:
            values = [v for v in VALUES.get(name, ()) if v <= self.cls.ranges[name].get("high", np.inf)]
            values = values or [getattr(self.cls.example(), name)]
            self.params[name] = self._one_of(*values, None) if name == "noise" and self.wide else self._one_of(*values)
        for name, argument in given.items():  # what else it needs
            if argument.default is argument.empty and name not in (*self.params, "common"):
                self.params[name] = getattr(self.cls.example(dtype=self.dtype), name)
        if "constellation" in given:
            self.params["constellation"] = self._one_of(*constellations(self.dtype)[: None if self.wide else 1])
        if "carrier" in given and self.dtype.is_complex and self.wide:
            self.params["carrier"] = self._one_of(None, (0.01, 0.7))
        if "secondary" in given:
            self.params["secondary"] = 0.5 * numbers(self.rng, (self._one_of(1, 2, 7),), self.dtype)
        if issubclass(self.cls, af.LinearFilter):
            self._draw_axes()

    def _one_of(self, *values: Any) -> Any:
        return values[self.rng.integers(len(values))]

    def _draw_axes(self) -> None:
        """Draw inputs, outputs and samples an output, features, and a start."""
        axes = self._one_of(*AXES) if self.wide else AXES[FILTERS.index(self.cls) % 4]
        axes = axes if self.axes and self.rng.integers(3) == 0 else {}
        if issubclass(self.cls, af.FilteredFilter):
            axes = {"inputs": 2} if axes else {}
        if self.cls.algorithm.lagged:
            axes = {k: v for k, v in axes.items() if k != "sps"}
        if self.cls in SPIKED and axes.get("outputs", 1) > axes.get("inputs", 1):
            axes = {**axes, "inputs": axes["outputs"]}
        self.params |= axes
        free = self.axes and "taps" in self.params and self.cls not in SPIKED
        free = free and not issubclass(self.cls, af.FilteredFilter)
        if self.params.get("taps") == 4 and not self.dtype.is_complex and free and "inputs" not in axes:
            self.features = self._one_of(af.Volterra(4), af.Polynomial(4), None, None)
        if self.features is None and self.rng.integers(4) == 0:
            self.params["w0"] = numbers(self.rng, tuple(self.make("reference").w.shape), self.dtype)

    def make(self, engine: str) -> Any:
        """Return the filter, or with engine="reference" its model."""
        common = {"batch": self.batch, "dtype": self.dtype, "nonfinite": self.nonfinite}
        params = copy.deepcopy(self.params)
        if issubclass(self.cls, PARAMETRIC):
            features = {} if self.features is None else {"features": copy.deepcopy(self.features)}
            return self.cls(engine=engine, **features, **params, **common)
        model, kind = engine == "reference", params.pop("kind")
        torch.manual_seed(self.taps)
        if kind == "mlp" and not self.dtype.is_complex:
            net = nn.Sequential(nn.Linear(self.taps, 3, dtype=self.dtype), nn.Tanh(), nn.Linear(3, 1, dtype=self.dtype))
            compiled = self.wide and not model
            return self.cls(net, self.taps, optimizer=momentum, compile=compiled, **params, **common)
        net = nn.Linear(self.taps, 1, bias=kind == "bias", dtype=self.dtype)
        params |= {"loss": squared} if model else {}
        return self.cls(net, self.taps, optimizer=plain_sgd, **params, **common)


# Signals


def numbers(rng: np.random.Generator, shape: Any, dtype: torch.dtype) -> np.ndarray:
    x = rng.standard_normal(shape)
    if dtype.is_complex:
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(NUMPY[dtype])


def samples(rng: np.random.Generator, f: Any, T: int, name: str = "d") -> np.ndarray:
    """T samples of the signal x, or one shaped as d: noise, a constant, a tone or silence, in the filter's dtype."""
    x = numbers(rng, (*f._axes(name), T), f.dtype)
    kind = rng.integers(12)
    if kind == 0:
        x = 0 * x
    elif kind == 1:
        x = 0 * x + 1
    elif kind == 2:
        x = (0 * x + np.cos(0.3 * np.arange(T))).astype(x.dtype)
    elif kind == 3:
        x = x * x.dtype.type(30)
    return x


def pair(rng: np.random.Generator, f: Any, T: int) -> tuple[np.ndarray, Any]:
    """T samples of x, and of d as many as belong to them, or as are known."""
    x = samples(rng, f, T, "x")
    if blind(f):
        return x, None
    d = samples(rng, f, f._outputs_of(T) if isinstance(f, af.LinearFilter) else T)
    if not unknown(f):
        return x, d
    d = (d * np.where(rng.random(d.shape) < 0.5, 1, np.nan)).astype(d.dtype)
    return x, (d, d[..., : d.shape[-1] // 2], None)[rng.integers(3)]


def blind(f: Any) -> bool:
    return hasattr(f, "algorithm") and f.algorithm.blind


def unknown(f: Any) -> bool:
    return hasattr(f, "algorithm") and f.algorithm.unknown


def adapt_block(f: Any, x: Any, d: Any, **options: Any) -> Any:
    """Call a filter; a blind one has no argument d."""
    return f(x, **options) if blind(f) and d is None else f(x, d, **options)


def spoil(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """The block with a sample that is not finite."""
    if x.size:
        x.reshape(-1)[rng.integers(x.size)] = rng.choice([np.nan, np.inf, -np.inf])
    return x


def as_array(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """The block in one of the forms an array may have."""
    kind = rng.integers(16)
    if kind == 0:
        return np.repeat(x, 2, -1)[..., ::2]
    if kind == 1:
        return x[..., ::-1].copy()[..., ::-1]
    if kind == 2:
        x.setflags(write=False)
    elif kind == 3:
        return np.asfortranarray(x)
    elif kind == 4:
        return x.astype({"f": np.float64, "c": np.complex128}[x.dtype.kind])
    elif kind == 5:
        return x.astype({"f": np.float32, "c": np.complex64}[x.dtype.kind])
    elif kind == 6:
        return x.astype(x.dtype.newbyteorder())
    elif kind == 7:
        return np.ascontiguousarray(x.real)
    elif kind == 8:
        packed = np.zeros(x.shape, np.dtype([("skew", "u1"), ("x", x.dtype)]))
        packed["x"] = x
        return packed["x"]
    elif kind == 9:
        return x.astype({"f": np.longdouble, "c": np.clongdouble}[x.dtype.kind])
    elif kind == 10 and x.size:
        return np.broadcast_to(x[..., :1], x.shape)
    elif kind == 11:
        return shifted(x, x.real.itemsize)
    elif kind == 12:
        return shifted(x, 1)
    return x


def shifted(x: np.ndarray, offset: int) -> np.ndarray:
    """The block so many bytes after an address that suits every type."""
    memory = np.zeros(x.nbytes + offset + 16, np.uint8)
    offset += -memory.ctypes.data % 16
    y = np.frombuffer(memory, x.dtype, x.size, offset).reshape(x.shape)
    y[...] = x
    return y


def as_tensor(rng: np.random.Generator, x: np.ndarray) -> Tensor:
    """The block in one of the forms a tensor may have."""
    t, kind = torch.from_numpy(x.copy()), rng.integers(12)
    if kind == 0:
        return t.repeat_interleave(2, -1)[..., ::2]
    if kind == 1:
        return t.to(torch.complex128 if t.is_complex() else torch.float64)
    if kind == 2 and not t.is_complex():
        return t.to(torch.bfloat16)
    if kind == 3:
        return t.conj()
    if kind == 4:
        return torch.complex(t.double(), t.double()).conj().imag if not t.is_complex() else t.conj().real
    if kind == 5:
        return nn.Parameter(t, requires_grad=False)
    if kind == 6:
        with torch.inference_mode():
            return t.clone()
    if kind == 7 and t.numel():
        return t[..., :1].expand(t.shape)
    if kind == 8:
        return torch.cat([t, t], -1)[..., : t.shape[-1]]
    return t


def form(rng: np.random.Generator, *blocks: Any) -> tuple[Any, ...]:
    turn = as_array if rng.integers(2) else as_tensor
    return tuple(None if x is None else turn(rng, x) for x in blocks)


def single(rng: np.random.Generator, f: Any, name: str = "d") -> Any:
    """One sample, or those of one symbol, in the form `step` takes."""
    symbol = name == "x" and getattr(f, "sps", 1) > 1
    x = samples(rng, f, f.sps if symbol else 1, name)
    x = x if symbol else x[..., 0]
    if f.nonfinite == "skip" and rng.integers(8) == 0:
        x = spoil(rng, np.array(x))
    if name == "d" and unknown(f) and rng.integers(2):
        x = (x * np.nan).astype(x.dtype)
    if x.ndim:
        return form(rng, np.array(x))[0]
    kind = rng.integers(6)
    if kind == 0:
        return int(x.real) if np.isfinite(x) else 0
    return (x.item(), x.item(), np.float64(x.real), x, float(x.real))[kind - 1]


def one(rng: np.random.Generator, f: Any) -> tuple[Any, ...]:
    """What `step` takes."""
    if blind(f):
        return (single(rng, f, "x"),)
    while True:
        x, d = single(rng, f, "x"), single(rng, f)
        if isinstance(x, Tensor) == isinstance(d, Tensor) or not (np.ndim(x) and np.ndim(d)):
            return x, d


# Operations: from a generator and the filter as it is, what to do


def steps_of(rng: np.random.Generator, f: Any, T: int) -> Any:
    """Step sizes of T outputs for a call; 0 and 1 where the filter has no step size of its own."""
    own = "mu" in f.algorithm.params
    kind, values, axes = rng.integers(9), np.array(VALUES["mu"] if own else (0.0, 1.0)), f._axes("d")
    per_sample, small = rng.choice(values, (*axes, T)), values[2 if own else 1]
    if kind == 0:
        return float(rng.choice(values))
    if kind == 1:
        return per_sample[..., ::-1]
    if kind == 2:
        return torch.from_numpy(per_sample)
    if kind == 3:
        return torch.from_numpy(per_sample.reshape(-1)[:T].astype(np.float32))
    if kind == 4:
        return np.float32(small)
    if kind == 5:
        return torch.tensor(small, dtype=torch.float64)
    if kind == 6:
        return np.broadcast_to(small, (T,))
    if kind == 7 and axes:
        return rng.choice(values, (*axes, 1))
    return per_sample


def block(rng: np.random.Generator, f: Any) -> Act:
    T = int(rng.choice(LENGTHS))
    x, d = pair(rng, f, T)
    for v in (x, d):
        if v is not None and rng.integers(8) == 0:
            spoil(rng, v)
    options: dict[str, Any] = {}
    if rng.integers(3) == 0:
        options["record_every"] = (1, 3, 7, 16, np.int64(20), 2**70)[rng.integers(6)]
    if rng.integers(3) == 0 and isinstance(f, PARAMETRIC):
        options["mu"] = steps_of(rng, f, f._outputs_of(T) if isinstance(f, af.LinearFilter) else T)
    if rng.integers(3) == 0 and isinstance(f, af.FilteredFilter):
        (options["path"],) = form(rng, numbers(rng, (rng.integers(1, f.path_taps + 1),), f.dtype))
    x, d = form(rng, x, d)
    bad = f.nonfinite == "raise" and _spoilt(f, x, d)
    return Act(lambda f, x, d, options: adapt_block(f, x, d, **options), (x, d, options), bad=bad)


def _spoilt(f: Any, x: Any, d: Any) -> bool:
    """Say whether a block still holds what is not finite: a real part or a first sample may have lost it."""

    def infinite(v: Any) -> bool:
        own = torch.as_tensor(np.array(v, NUMPY[f.dtype]) if isinstance(v, np.ndarray) else v)
        return not (torch.isfinite(own) | (own.isnan() if v is d and unknown(f) else False)).all()

    return any(v is not None and infinite(v) for v in (x, d))


def rows(rng: np.random.Generator, f: Any) -> Act:
    if not isinstance(f, af.LinearFilter):
        return block(rng, f)
    T = int(rng.choice(LENGTHS))
    x, d = numbers(rng, (*f.batch, T, f._count), f.dtype), None if blind(f) else samples(rng, f, T)
    return Act(lambda f, x, d: adapt_block(f, x, d, regressors=True), form(rng, x, d))


def plain_blocks(rng: np.random.Generator, f: Any) -> Act:
    """Blocks that a bound filter takes by the shortest way."""
    x, d = pair(rng, f, int(rng.choice((1, 7, 8, 64))))
    if rng.integers(2):
        x, d = (None if v is None else torch.from_numpy(v.copy()) for v in (x, d))
    return Act(adapt_block, (x, d))


def step(rng: np.random.Generator, f: Any) -> Act:
    return Act(lambda f, *one: f.step(*one), one(rng, f))


def predict(rng: np.random.Generator, f: Any) -> Act:
    return Act(lambda f, x: f.predict(x), (single(rng, f, "x"),))


def adapt(rng: np.random.Generator, f: Any) -> Act:
    return Act(lambda f, e: f.adapt(e), (single(rng, f),))


def predict_and_adapt(rng: np.random.Generator, f: Any) -> Act:
    def call(f: Any, x: Any, e: Any) -> Any:
        y = f.predict(x)
        try:
            f.adapt(e)
        except ALLOWED as error:
            return y, type(error) is af.DivergenceError
        return y

    return Act(call, (single(rng, f, "x"), single(rng, f)))


def filtering(rng: np.random.Generator, f: Any) -> Act:
    x = samples(rng, f, int(rng.choice(LENGTHS)), "x")
    if f.nonfinite == "skip" and rng.integers(4) == 0:
        spoil(rng, x)
    (x,) = form(rng, x)

    def oracle(f: Any, x: Any) -> Any:
        own = np.array(x.resolve_conj().resolve_neg().to(f.dtype) if isinstance(x, Tensor) else x).astype(
            NUMPY[f.dtype]
        )
        own = np.where(np.isfinite(own), own, 0)
        stream = np.concatenate([f.history.numpy(), own], -1)
        N = f._outputs_of(x.shape[-1])
        if not N:
            return np.zeros((*f._axes("d"), 0))
        offset = f._offset() if f.sps > 1 else 0
        u = np.lib.stride_tricks.sliding_window_view(stream, f.taps, -1)[..., offset :: f.sps, ::-1]
        u, w = u.reshape(*f.batch, -1, N, f.taps), f.w.detach().numpy().reshape(*f.batch, f.outputs or 1, -1, f.taps)
        return np.einsum("...ctm,...qcm->...qt", u, w).reshape(*f._axes("d"), N)

    plain = isinstance(f, af.LinearFilter) and f.features is None and f.algorithm.plain
    return Act(lambda f, x: f.filter(x), (x,), oracle=oracle if plain else None)


def mode(rng: np.random.Generator, f: Any) -> Act:
    train = bool(rng.integers(4))
    return Act(lambda f: _nothing(f.train(train)))


def _nothing(_: Any) -> None:
    """Return nothing: a method that returns the filter itself."""


def _set(f: Any, name: str, value: Any) -> None:
    setattr(f, name, value)


def parameter(rng: np.random.Generator, f: Any) -> Act:
    names = tuple(f.ranges) if isinstance(f, PARAMETRIC) else ("lr_scale",)
    name = str(rng.choice([k for k in names if k in VALUES] or names))
    values = VALUES.get(name, (getattr(f, name),))
    kind, value = rng.integers(7), float(rng.choice(values))
    over = rng.choice(values, f._axes("d"))
    given: Any = (
        value,
        np.float64(value),
        torch.tensor(value, dtype=torch.float64),
        over,
        over,
        torch.as_tensor(over),
        value,
    )[kind]
    if kind == 5:
        given = given.clone()
    return Act(lambda f, value: _set(f, name, value), (given,))


def response(rng: np.random.Generator, f: Any) -> Act:
    """Another model of the secondary path."""
    if not isinstance(f, af.FilteredFilter):
        return parameter(rng, f)
    return Act(lambda f, s: _set(f, "secondary", s), form(rng, numbers(rng, tuple(f.secondary.shape), f.dtype)))


def weights(rng: np.random.Generator, f: Any) -> Act:
    (w,) = form(rng, numbers(rng, tuple(f.w.shape), f.dtype))
    return Act(lambda f, w: _set(f, "w", w), (w,))


def nonfinite(rng: np.random.Generator, f: Any) -> Act:
    value = str(rng.choice(["raise", "skip"]))
    return Act(lambda f: _set(f, "nonfinite", value))


def engine(rng: np.random.Generator, f: Any) -> Act:
    if not isinstance(f, PARAMETRIC):
        return mode(rng, f)
    value = str(rng.choice(["auto", "compiled", "reference", *["block"] * runs_blocks(f)]))
    return Act(lambda f: _try(_set, f, "engine", value), model=lambda f: None)


def runs_blocks(f: Any) -> bool:
    """Say whether the block engine runs all that comes to a filter."""
    if not isinstance(f, af.LinearFilter):
        return False
    try:
        choose("block", f._job())
    except ValueError:
        return False
    return not isinstance(f, af.FilteredFilter)  # whose path it does not run


def _try(function: Any, *args: Any) -> None:
    """Call what may be refused: read-only attributes."""
    try:
        function(*args)
    except (*ALLOWED, AttributeError):
        pass


def data(rng: np.random.Generator, f: Any) -> Act:
    """New memory for a tensor of the state, behind the filter's back."""
    if not isinstance(f, PARAMETRIC):
        return mode(rng, f)
    w = torch.from_numpy(numbers(rng, tuple(f.w.shape), f.dtype))

    def new_data(f: Any, w: Tensor) -> None:
        f.w.data = w.clone()

    def new_state(f: Any) -> None:
        for name in f.algorithm.state:
            setattr(f, name, getattr(f, name).clone() * 0.5)

    def new_line(f: Any) -> None:
        f.line.samples = f.line.samples.clone() * 0.5

    kind = rng.integers(3)
    return Act(new_data, (w,)) if kind == 0 else Act((new_state, new_line)[kind - 1])


def duplicate(rng: np.random.Generator, f: Any) -> Act:
    kind = rng.integers(3)

    def through_file(f: Any) -> Any:
        file = io.BytesIO()
        torch.save(f, file)
        file.seek(0)
        return torch.load(file, weights_only=False)

    return Act((copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f)), through_file)[kind])


def checkpoint(rng: np.random.Generator, f: Any) -> Act:
    """Save, go on for a while, and load what was saved."""
    (x, d), w = pair(rng, f, int(rng.choice((0, 1, 8)))), numbers(rng, tuple(f.w.shape), f.dtype)

    def call(f: Any, x: Any, d: Any, w: Any) -> None:
        file = io.BytesIO()
        torch.save(f.state_dict(), file)
        _try(adapt_block, f, x, d)
        _try(_set, f, "w", w)
        file.seek(0)
        f.load_state_dict(torch.load(file, weights_only=True))

    return Act(call, (x, d, w))


def convert(rng: np.random.Generator, f: Any) -> Act:
    other = {torch.float32: torch.float64, torch.float64: torch.float32}[f.dtype.to_real()]
    kind, own = rng.integers(4), f.dtype.to_real()
    if kind == 0:
        return Act(lambda f: _nothing(f.to(own)))
    if kind == 1:
        return Act(lambda f: _nothing(f.to("cpu")))
    if kind == 2:
        return Act(lambda f: _nothing(f.to(torch.float64).to(own)))
    return Act(lambda f: _nothing(f.to(other))) if WIDE else Act(lambda f: _nothing(f.to(other).to(own)))


def share(rng: np.random.Generator, f: Any) -> Act:
    return Act(lambda f: _nothing(f.share_memory()))


def reset(rng: np.random.Generator, f: Any) -> Act:
    mask = rng.integers(2, size=f.batch) > 0
    whole = not isinstance(f, PARAMETRIC) or rng.integers(2) == 0
    return Act(lambda f: _nothing(f.reset() if whole else f.reset(np.array(mask))))


def loud(rng: np.random.Generator, f: Any) -> Act:
    T = int(rng.choice((1, 7, 64)))
    x, d = pair(rng, f, T)
    x[..., rng.integers(T)] *= x.dtype.type(float(rng.choice([1e4, 1e8, 1e12])))
    return Act(adapt_block, (x, d))


# What has to be refused


def bad_block(rng: np.random.Generator, f: Any) -> Act:
    sps = getattr(f, "sps", 1)
    x, d = samples(rng, f, 7 * sps, "x"), samples(rng, f, 7)
    right = None if blind(f) else d

    def wrong_of(x: np.ndarray) -> list[Any]:
        t, mask = torch.from_numpy(x.copy()), np.zeros(x.shape, bool)
        mask[..., 3] = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sparse = torch.from_numpy(x.copy()).to_sparse()
            quantised = torch.quantize_per_tensor(torch.zeros(x.shape), 0.1, 0, torch.qint8)
        wrong = [
            x.tolist(), "abc", (x * 1000).real.astype(np.int16), x.astype(object), x.astype(str), mask, x[..., 0],
            x[None], np.ma.masked_array(x, mask), sparse, t.to("meta"), t.real > 0, t.to(torch.int32), quantised,
            np.zeros(x.shape, "M8[s]"), np.zeros(x.shape, [("a", "f4")]), np.float32(1), f,
        ]  # fmt: skip
        wrong += [x + 1j, t + 1j] * (not f.dtype.is_complex)
        if f.nonfinite == "raise":
            huge = np.full(x.shape, 1e300, np.complex128 if f.dtype.is_complex else np.float64)
            infinite = x.copy()
            infinite[..., -1] = np.inf
            wrong += [infinite] + [huge] * (f.dtype.to_real() == torch.float32)
        return wrong

    pairs = [(v, right) for v in (*wrong_of(x), None)] + [(x, v) for v in wrong_of(d)]
    pairs += [(x, np.concatenate([d, d], -1))]
    if not (unknown(f) or blind(f)):
        pairs += [(x, d[..., :-1]), (x, None)]
    if isinstance(f, PARAMETRIC):  # GradientFilter takes a mixture
        pairs += [(torch.from_numpy(x.copy()), d), (x, torch.from_numpy(d.copy()))]
    x, d = pairs[rng.integers(len(pairs))]
    return Act(adapt_block, (x, d), bad=True)


def bad_option(rng: np.random.Generator, f: Any) -> Act:
    x, d = samples(rng, f, 7 * getattr(f, "sps", 1), "x"), None if blind(f) else samples(rng, f, 7)
    wrong: list[tuple[str, Any]] = [
        ("record_every", v) for v in (0, -1, 2.5, "3", True, np.nan, [1], torch.tensor(1.5))
    ]
    if isinstance(f, PARAMETRIC):
        axes = f._axes("d")
        wrong += [("mu", v) for v in (-0.1, np.nan, np.inf, "0.1", "fast", 1j, True, [0.1], np.zeros(3), {})]
        wrong += [("mu", v) for v in (np.zeros(7, int), np.zeros(7, complex), -np.ones(7), np.full(7, np.nan))]
        wrong += [("mu", torch.zeros(7, device="meta")), ("mu", np.ma.masked_array(np.ones(7), np.arange(7) == 3))]
        wrong += [("mu", torch.zeros((9, *axes, 7))), ("mu", torch.zeros(7).to_sparse()), ("mu", np.zeros(7, bool))]
        wrong += [("mu", 0.5)] * ("mu" not in f.algorithm.params)
        paths = [np.ones(10), np.ones((2, 2)), [1.0], np.full(1, np.nan), np.ones(0), np.ones(1, int)]
        wrong += [("path", v) for v in paths] if isinstance(f, af.FilteredFilter) else [("path", np.ones(2))]
    name, value = wrong[rng.integers(len(wrong))]
    return Act(lambda f, x, d, value: adapt_block(f, x, d, **{name: value}), (x, d, value), bad=True)


def bad_sample(rng: np.random.Generator, f: Any) -> Act:
    def wrong_of(good: Any) -> list[Any]:
        wrong: list[Any] = ["a", "0.5", [0.5], {}, (1.0,), b"1", np.zeros(11), torch.zeros(5, 7), object()]
        if np.ndim(good):
            size = good.shape
            return [*wrong, 0.5, np.zeros((*size, 2)), np.zeros(size, int), np.ma.masked_array(np.zeros(size), True)]
        wrong += [10**400, True, np.bool_(True)] + [1j, np.complex64(1j)] * (not f.dtype.is_complex)
        wrong += [np.inf, -np.inf] * (f.nonfinite == "raise")
        return wrong + [1e300] * (f.nonfinite == "raise" and f.dtype.to_real() == torch.float32)

    sps = getattr(f, "sps", 1)
    x, d = samples(rng, f, sps, "x"), samples(rng, f, 1)[..., 0]
    x = x if sps > 1 else x[..., 0]
    x, d = (v if v.ndim else v.item() for v in (x, d))
    calls: list[tuple[Callable[..., Any], Any, Any]] = [
        (lambda f, bad, _: f.predict(bad), x, None),
        (lambda f, bad, d: f.step(bad) if blind(f) else f.step(bad, d), x, d),
        (lambda f, bad, x: f.step(x, bad), d, x),
    ]
    calls += [(lambda f, bad, _: f.adapt(bad), d, None)] * f.training
    call, good, other = calls[rng.integers(len(calls))]
    wrong = wrong_of(good)
    return Act(call, (wrong[rng.integers(len(wrong))], other), bad=True)


def bad_attribute(rng: np.random.Generator, f: Any) -> Act:
    M = f.w.shape[-1]
    wrong: list[tuple[str, Any]] = [
        ("w", v)
        for v in (None, [0.0] * M, 0.5, "w", np.zeros(M + 1), np.full(tuple(f.w.shape), np.nan),
                  np.zeros(f.w.shape, int), torch.zeros(tuple(f.w.shape), device="meta"), torch.zeros(9, *f.w.shape),
                  np.ma.masked_array(np.zeros(f.w.shape), True), torch.zeros(tuple(f.w.shape)).to_sparse())
    ]  # fmt: skip
    wrong += [("nonfinite", v) for v in ("ignore", None, 3)] + [("taps", 7), ("batch", (7,)), ("dtype", torch.float64)]
    if isinstance(f, PARAMETRIC):
        wrong += [("engine", v) for v in ("fast", None, 3)]
        wrong += [("engine", "block")] * (f.algorithm.gain is None)
        sizes = ("inputs", "outputs", "sps", "delay", "feedback", "order", "constellation", "path_taps")
        wrong += [(k, 2) for k in sizes if hasattr(f, k)]
        for name in f.ranges:
            wrong += [(name, v) for v in (-0.1, np.nan, np.inf, "0.1", "fast", None, 1j, True, [0.1], torch.zeros(7))]
            wrong += [(name, v) for v in (np.zeros(5), torch.zeros((), dtype=torch.int64), torch.tensor(-1.0), {})]
            wrong += [(name, torch.full((9, *f._axes("d")), 0.5)), (name, np.ma.masked_array(0.5, True))]
            wrong += [(name, torch.tensor(0.5, device="meta")), (name, torch.tensor([0.5]).to_sparse())]
    else:
        wrong += [("lr_scale", v) for v in (0.0, -1.0, np.nan, "fast", None, True, torch.zeros(()), np.ones(5))]
        wrong += [("block_size", v) for v in (0, -1, 2.5, "3", None, True)]
    name, value = wrong[rng.integers(len(wrong))]
    return Act(lambda f, value: _set(f, name, value), (value,), bad=True, errors=(*ALLOWED, AttributeError))


def read_only(rng: np.random.Generator, f: Any) -> Act:
    """What sizes memory cannot be assigned, or takes effect."""
    return Act(lambda f: _try(_set, f, "order", 1) if hasattr(f, "order") else None, model=lambda f: None)


def bad_checkpoint(rng: np.random.Generator, f: Any) -> Act:
    kind = rng.integers(4)

    def call(f: Any) -> None:
        state = copy.deepcopy(f.state_dict())
        names = [k for k, v in state.items() if isinstance(v, Tensor)]
        last = names[-1]
        for name in names:
            state[name] = state[name] * 0 + 1
        if kind == 0:
            del state[last]
        elif kind == 1:
            state[last] = torch.zeros((3, *state[last].shape))
        elif kind == 2:
            state["surplus"] = torch.zeros(3)
        else:
            state[last] = "weights"
        f.load_state_dict(state)

    return Act(call, bad=True, errors=(*ALLOWED, RuntimeError))


def bad_precision(rng: np.random.Generator, f: Any) -> Act:
    calls = (
        lambda f: f.half(),
        lambda f: f.bfloat16(),
        lambda f: f.to(torch.float16),
        lambda f: f.to(torch.int32),
        lambda f: f.to("nowhere"),
    )
    kind = rng.integers(len(calls))
    return Act(calls[kind], bad=True, errors=(*ALLOWED, RuntimeError) if kind == 4 else ALLOWED)


OPERATIONS: dict[Callable[..., Act], int] = {
    block: 18, rows: 3, plain_blocks: 5, step: 10, predict: 3, adapt: 4, predict_and_adapt: 5, filtering: 6, mode: 3,
    parameter: 6, response: 1, weights: 3, nonfinite: 2, engine: 2, data: 3, duplicate: 5, checkpoint: 3, convert: 3,
    share: 1, reset: 2, loud: 2, bad_block: 6, bad_option: 4, bad_sample: 5, bad_attribute: 5, read_only: 1,
    bad_checkpoint: 2, bad_precision: 1,
}  # fmt: skip
WIDE = False
SPOIL_ARGUMENTS = True


# The two twins


def state_of(f: Any) -> dict[str, Any]:
    """All that a filter keeps, as copies."""
    _ = f.w  # a recursion writes its weights when they are read
    state: dict[str, Any] = {k: v.detach().clone() for k, v in (*f.named_buffers(), *f.named_parameters())}
    if isinstance(f, af.GradientFilter):
        for k, p in f.named_parameters():
            kept = f.optimizer.state.get(p, {})
            state |= {f"{k}.{name}": torch.as_tensor(v).clone() for name, v in kept.items() if v is not None}
    names = (*getattr(f, "ranges", ("lr_scale",)), "training", "nonfinite", "dtype", "taps", "batch")
    own = {k: getattr(f, k) for k in names}
    return state | {k: v.clone() if isinstance(v, Tensor) else copy.copy(v) for k, v in own.items()}


def same_bits(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and bool(a == b or a is b)


def take_over(model: Any, f: Any) -> None:
    """Copy the state of the filter into the model."""
    with torch.no_grad():
        own = dict((*model.named_buffers(), *model.named_parameters()))
        for k, v in (*f.named_buffers(), *f.named_parameters()):
            own[k].copy_(v)
    if isinstance(f, af.GradientFilter) and f.optimizer.state:
        model.optimizer.load_state_dict(copy.deepcopy(f.optimizer.state_dict()))


def leaves(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for v in value for leaf in leaves(v)]
    return [] if value is None else [value]


def distance(a: Any, b: Any) -> float:
    """The largest difference, relative to the largest entry; infinite where the shapes or the NaN differ."""
    a, b = (v.detach().resolve_conj().resolve_neg().numpy() if isinstance(v, Tensor) else np.asarray(v) for v in (a, b))
    if a.shape != b.shape or a.dtype != b.dtype or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return np.inf
    good = np.isfinite(a)
    a, b = a[good].astype(np.complex256), b[good].astype(np.complex256)
    return float(abs(a - b).max() / max(1.0, abs(b).max())) if a.size else 0.0


def apart(got: Any, want: Any, f_state: dict[str, Any], m_state: dict[str, Any]) -> tuple[float, str]:
    """How far outputs and states lie apart, and where."""
    a, b = leaves(got), leaves(want)
    if [type(v) for v in a] != [type(v) for v in b]:
        return np.inf, f"outputs are {[type(v).__name__ for v in a]}, the model's {[type(v).__name__ for v in b]}"
    pairs = [(f"output {i}", *pair) for i, pair in enumerate(zip(a, b, strict=True))]
    if f_state.keys() != m_state.keys():
        return np.inf, f"the states hold {sorted(f_state)} and {sorted(m_state)}"
    for k, v in f_state.items():
        if isinstance(v, Tensor) and isinstance(m_state[k], Tensor):
            pairs.append((k, v, m_state[k]))
        elif not same_bits(v, m_state[k]):
            return np.inf, f"{k} is {v!r}, the model's {m_state[k]!r}"
    scale = [(distance(x, y), name) for name, x, y in pairs]
    return max(scale, default=(0.0, ""))


def nudge(model: Any, rng: np.random.Generator) -> None:
    """Move the state by a rounding error."""
    eps = torch.finfo(model.dtype).eps
    with torch.no_grad():
        for t in (*model.named_buffers(), *model.named_parameters()):
            if t[1].is_floating_point() or t[1].is_complex():
                noise = torch.from_numpy(rng.choice([-4.0, 4.0], tuple(t[1].shape))) * eps
                moved = t[1] * noise + (noise if t[0].startswith(("w", "model")) else 0)  # zeros of the line stay zeros
                t[1].add_(moved.to(t[1].dtype))


class Walk:
    """One sequence; `skip` are the indices of operations left out."""

    def __init__(
        self, cls: Any, dtype: torch.dtype, seed: int, wide: bool, without: Iterable[str] = (), axes: bool = True
    ) -> None:
        self.seed, self.without = (seed, FILTERS.index(cls)), set(without)
        self.case = Case(cls, dtype, np.random.default_rng(self.seed), wide, axes)
        self.log: list[str] = []
        self.forgiven = self.calls = self.refused = 0

    def run(self, steps: Iterable[int] = range(STEPS)) -> None:
        """Run the operations, and raise `Difference` where the twins part."""
        self.log = [f"{self.case.cls.__name__} {self.case}"]
        self.f, self.model = self.case.make("auto"), self.case.make("reference")
        take_over(self.model, self.f)
        operations = [o for o in OPERATIONS if o.__name__ not in self.without]
        odds = np.array([OPERATIONS[o] for o in operations], float)
        kept: list[tuple[Any, dict[str, Any]]] = []
        for k in steps:
            rng = np.random.default_rng([*self.seed, k])
            operation = operations[rng.choice(len(operations), p=odds / odds.sum())]
            act = operation(rng, self.f)
            self.log.append(f"  {k} {operation.__name__}{_shown(act.args)}")
            original = self.f
            self._both(act, rng)
            if self.f is not original:
                kept.append((original, state_of(original)))
        for original, state in kept:
            self._unchanged(original, state, "an original changed while its copy was used")

    def _both(self, act: Act, rng: np.random.Generator) -> None:
        """Apply an operation to the filter and its model, and compare."""
        before, spare = state_of(self.f), copy.deepcopy(self.model)
        theirs = copy.deepcopy(act.args)
        wanted = act.oracle(self.f, *theirs) if act.oracle else None
        got, error = self._attempt(self.f, act.call, act)
        for a, b in zip(leaves(act.args), leaves(theirs), strict=True):
            if type(a) is np.ndarray and a.dtype.kind in "fc" and a.tobytes() != np.asarray(b).tobytes():
                raise Difference("the call changed its argument")
        want, model_error = self._attempt(self.model, act.model or act.call, act, theirs)
        self.calls += 1
        if error is not None:
            self.refused += 1
            self.log[-1] += f" -> {type(error).__name__}: {str(error).splitlines()[0][:90] if str(error) else ''}"
            self._unchanged(self.f, before, f"the state changed before {error!r}")
        if act.bad and error is None:
            raise Difference("accepted what has to be refused")
        if (error is None) != (model_error is None):
            if af.DivergenceError in (type(error), type(model_error)) and self._near_overflow(got, want):
                self.forgiven += 1
                take_over(self.model, self.f)
                return
            raise Difference(f"the filter: {error!r}; the model: {model_error!r}")
        if error is not None:
            take_over(self.model, self.f)
            return
        if isinstance(got, af.AdaptiveFilter):
            self.f, self.model, got, want = got, want, None, None
        kept = copy.deepcopy(got)  # neither outputs nor arguments may share memory with the state
        _overwrite(got)
        if SPOIL_ARGUMENTS:
            _overwrite(act.args)
        after = state_of(self.f)
        off, where = apart(kept, want, after, state_of(self.model))
        tolerance = TOLERANCE[self.f.dtype]
        if np.isinf(off) and self._near_overflow(kept, want):
            self.forgiven += 1
        elif off > tolerance and not self._fragile(act, theirs, spare, want, off, rng):
            raise Difference(f"{where} is {off:.2g} off the model, tolerance {tolerance:g}")
        if wanted is not None and distance(np.asarray(kept), wanted.astype(np.asarray(kept).dtype)) > tolerance:
            raise Difference("y is not w^T u")
        take_over(self.model, self.f)

    def _attempt(self, f: Any, call: Any, act: Act, args: Any = None) -> tuple[Any, Exception | None]:
        try:
            return call(f, *(act.args if args is None else args)), None
        except act.errors as error:
            return None, error

    def _near_overflow(self, *outputs: Any) -> bool:
        """Say whether squares of numbers like those of the twin that went on overflow."""
        kept = (*leaves(outputs), *(v for f in (self.f, self.model) for v in state_of(f).values()))
        sizes = [np.nanmax(np.abs(np.asarray(v)), initial=0) for v in kept if isinstance(v, np.ndarray | Tensor)]
        return max(sizes) > torch.finfo(self.f.dtype).max ** 0.4

    def _fragile(self, act: Act, args: Any, spare: Any, want: Any, off: float, rng: np.random.Generator) -> bool:
        """Say whether rounding alone explains a difference: a nudged model moves the result about as far."""
        if np.isinf(off) or act.bad:
            return False
        reach, own = 0.0, self.f.dtype.to_real()
        if type(self.f) is af.GradientFilter and act.call.__qualname__.startswith("predict_and_adapt"):
            y = max((np.abs(np.asarray(v)).max(initial=0) for v in leaves(want)), default=0)
            if y * torch.finfo(own).eps > 0.01:  # adapt takes d = y + e, in which an error of size 1 is lost
                self.forgiven += 1
                return True
        for k in range(7):
            model = copy.deepcopy(spare)
            if k == 6:  # how far single precision itself lies from double
                model.to(torch.float64)
            else:
                nudge(model, rng)
            moved = [_moved(v, rng) if k < 6 else copy.deepcopy(v) for v in args]
            got, error = self._attempt(model, act.model or act.call, act, moved)
            if error is None:
                model = (got if isinstance(got, af.AdaptiveFilter) else model).to(own)
                got = tuple(_cast(v, w) for v, w in zip(leaves(got), leaves(want), strict=True))
                reach = max(reach, apart(got, tuple(leaves(want)), state_of(model), state_of(self.model))[0])
        self.forgiven += 1
        return off <= 300 * reach

    def _unchanged(self, f: Any, before: dict[str, Any], what: str) -> None:
        for k, v in state_of(f).items():
            if k not in before or not same_bits(before[k], v):
                raise Difference(f"{what}: {k} was {before.get(k)}, is {v}")


def _moved(value: Any, rng: np.random.Generator) -> Any:
    """Return a signal moved by a rounding error, and a copy of anything else."""
    if isinstance(value, Tensor) and NUMPY.get(value.dtype) is not None:
        return torch.from_numpy(_moved(value.detach().resolve_conj().numpy(), rng))
    if not (isinstance(value, np.ndarray) and value.dtype in NUMPY.values()):
        return copy.deepcopy(value)
    return value * (1 + np.finfo(value.dtype).eps * rng.choice([-1, 1], value.shape)).astype(value.real.dtype)


def _cast(value: Any, like: Any) -> Any:
    """Return an output in the precision of another."""
    return (
        value.astype(like.dtype)
        if isinstance(value, np.ndarray)
        else (value.to(like.dtype) if isinstance(value, Tensor) else value)
    )


def _overwrite(values: Any) -> None:
    """Spoil arrays and tensors in place."""
    for value in leaves(list(values.values()) if isinstance(values, dict) else values):
        if isinstance(value, dict):
            _overwrite(value)
        elif isinstance(value, np.ndarray) and value.flags.writeable and value.dtype.kind in "fc":
            value[...] = 77
        elif type(value) is Tensor and value.layout == torch.strided and value.device.type == "cpu":
            try:
                value.fill_(77)
            except RuntimeError:  # expanded, or made in inference mode
                continue


def _shown(args: tuple[Any, ...]) -> str:
    """Describe arguments in a line."""

    def one(v: Any) -> str:
        if isinstance(v, dict):
            return "{" + ", ".join(f"{k}={one(w)}" for k, w in v.items()) + "}"
        if isinstance(v, np.ndarray):
            return f"{type(v).__name__}{v.shape} {v.dtype} strides {v.strides}" + (f" {v!r}" if v.size < 4 else "")
        if isinstance(v, Tensor):
            return f"Tensor{tuple(v.shape)} {v.dtype} {v.layout}" if v.numel() > 3 else repr(v)
        return repr(v) if not isinstance(v, list | tuple) else "[" + ", ".join(map(one, v)) + "]"

    return f"({', '.join(map(one, args))})"


def shrink(make: Callable[[], Walk], steps: list[int]) -> tuple[Walk, BaseException, str]:
    """Leave operations out while the sequence still fails; return the walk, the error and the traceback."""

    def fails(steps: list[int]) -> tuple[Walk, BaseException, str] | None:
        walk = make()
        try:
            walk.run(steps)
        except Exception as error:
            return walk, error, short_trace(error)
        return None

    best = fails(steps)
    assert best is not None, "the failure does not repeat"
    kind = type(best[1])
    for k in list(steps):
        fewer = [s for s in steps if s != k]
        result = fails(fewer)
        if result is not None and type(result[1]) is kind:
            steps, best = fewer, result
    return best


def short_trace(error: BaseException) -> str:
    """The innermost lines of a traceback."""
    return "".join(traceback.format_tb(error.__traceback__)[-3:])


def fuzz(
    cls: Any,
    dtype: torch.dtype,
    seeds: Iterable[int],
    wide: bool = False,
    without: Iterable[str] = (),
    axes: bool = True,
) -> Counter[str]:
    """Run sequences; raise with the shortest form of the first that fails."""
    global WIDE
    WIDE = wide
    counts: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in seeds:
            walk = Walk(cls, dtype, seed, wide, without, axes)
            try:
                walk.run()
            except Exception:
                make = partial(Walk, cls, dtype, seed, wide, without, axes)
                walk, error, trace = shrink(make, list(range(STEPS)))
                trace = "" if isinstance(error, Difference) else trace
                lines = "\n".join(walk.log)
                first = str(error).partition("\n")[0][:300]
                first = first if isinstance(error, Difference) else f"{type(error).__name__}: {first}"
                raise Difference(f"{first}\n{cls.__name__} {dtype} seed {seed}:\n{lines}\n{trace}") from None
            counts.update(sequences=1, calls=walk.calls, refused=walk.refused, forgiven=walk.forgiven)
    return counts


# The long form


def _work(name: str, dtype: torch.dtype, seeds: range, wide: bool, without: list[str], at: Any, out: Any) -> None:
    torch.set_num_threads(1)
    faulthandler.enable()
    cls = getattr(af, name)
    for seed in seeds:
        at.value = seed
        try:
            out.put(("ok", fuzz(cls, dtype, [seed], wide, without)))
        except Difference as error:
            out.put(("failed", str(error)))
    out.put(("done", None))


def _signature(failure: str) -> str:
    """What failures of one cause have in common: the message without numbers, and the last operation."""
    lines = failure.splitlines()
    operation = [line for line in lines if re.match(r"  \d+ ", line)][-1:]
    return re.sub(r"[-+]?\d[\d.e+-]*", "#", f"{lines[0]} | {' '.join(operation)}")[:200]


def main() -> None:
    """Run many sequences, ten of a filter and dtype in a process of their own, so that a crash costs no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sequences", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 10**6 * 1000)
    parser.add_argument("--filter", choices=[c.__name__ for c in FILTERS])
    parser.add_argument("--dtype", choices=[str(t).removeprefix("torch.") for t in TOLERANCE])
    parser.add_argument("--without", nargs="*", default=[], help="operations to leave out")
    parser.add_argument("--narrow", action="store_true", help="choose as `make test` does: less code to compile")
    parser.add_argument("--failures", type=int, default=20, help="stop after so many")
    options = parser.parse_args()
    classes = [c for c in FILTERS if options.filter in (None, c.__name__)]
    dtypes = [t for t in TOLERANCE if options.dtype in (None, str(t).removeprefix("torch."))]
    kinds = [(c, t) for t in dtypes for c in classes]
    chunk, failures, counts, started = 10, 0, Counter[str](), time.time()
    print(f"seed {options.seed}")
    context = multiprocessing.get_context("fork")
    first, k, seen = options.seed, 0, Counter[str]()
    while counts["sequences"] + failures < options.sequences and failures < options.failures:
        cls, dtype = kinds[k % len(kinds)]
        k += 1
        size = min(chunk, options.sequences - counts["sequences"] - failures)
        seeds = range(first, first + size)
        first += size
        while len(seeds):
            at, out = context.Value("q", seeds[0]), context.SimpleQueue()
            given = (cls.__name__, dtype, seeds, not options.narrow, options.without, at, out)
            process = context.Process(target=_work, args=given)
            process.start()
            while True:
                while out.empty() and process.is_alive():
                    time.sleep(0.01)
                if out.empty():
                    break
                kind, value = out.get()
                if kind == "ok":
                    counts.update(value)
                elif kind == "failed":
                    failures += 1
                    signature = _signature(value)
                    seen[signature] += 1
                    if seen[signature] == 1:
                        print(f"\nFAILED {value}", flush=True)
            process.join()
            if process.exitcode == 0:
                break
            failures += 1
            print(f"\nCRASHED {cls.__name__} {dtype} seed {at.value}: exit code {process.exitcode}", flush=True)
            seeds = range(at.value + 1, seeds.stop)
        if k % 10 == 0:
            print(f"{dict(counts)} failures {failures} in {time.time() - started:.0f} s", flush=True)
    print("\n".join(f"{n:6d} {signature}" for signature, n in seen.most_common()))
    print(f"{dict(counts)} failures {failures} in {time.time() - started:.0f} s")
    raise SystemExit(failures > 0)


if __name__ == "__main__":
    main()
