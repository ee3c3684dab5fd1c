"""What the laws are tried on, and comparisons that say what differs (`assert` would be silent under python -O)."""

import re
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import torch
from scipy.signal import lfilter

from adaptfilt.base.frequency import ENGINES as FREQUENCY_ENGINES
from adaptfilt.checks import NUMPY
from adaptfilt.engines.bins import Bins
from adaptfilt.engines.choose import ENGINES, choose

PLANT = np.array([1.0, -0.5, 0.25, 0.1])
CHANNEL = np.array([1.0, 0.3, -0.15, 0.05])  # its eye is open
TOLERANCE = {torch.float32: 2e-4, torch.complex64: 2e-4, torch.float64: 1e-10, torch.complex128: 1e-10}


def noise(rng: np.random.Generator, shape: Any, dtype: torch.dtype) -> np.ndarray:
    """Return white noise of unit power."""
    x = rng.standard_normal(shape)
    if dtype.is_complex:
        x = (x + 1j * rng.standard_normal(shape)) / np.sqrt(2)
    return x.astype(NUMPY[dtype])


def plant(dtype: torch.dtype) -> np.ndarray:
    """Return the impulse response to be found."""
    return PLANT * (np.exp(1j * np.arange(4)) if dtype.is_complex else 1)


def pair(
    dtype: torch.dtype = torch.float64, samples: int = 300, batch: tuple[int, ...] = (), seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the input and the noisy output of a plant."""
    rng = np.random.default_rng(seed)
    x = noise(rng, (*batch, samples), dtype)
    d = lfilter(plant(dtype), 1, x) + 0.01 * noise(rng, (*batch, samples), dtype)
    return x, d.astype(x.dtype)


# What a filter is


def rule(f: Any) -> Any:
    """Return the algorithm of a filter, None where it has none."""
    return getattr(f, "algorithm", None)


def blind(f: Any) -> bool:
    """Say whether a filter takes no desired signal."""
    return rule(f) is not None and rule(f).blind


def decides(f: Any) -> bool:
    """Say whether a filter does without a desired signal, or without parts of it."""
    return rule(f) is not None and (rule(f).blind or rule(f).unknown)


def passes_over_d(f: Any) -> bool:
    """Say whether d may hold what is not finite, to be passed over."""
    return not decides(f)


def feeds_back(f: Any) -> bool:
    """Say whether a filter feeds back."""
    return rule(f) is not None and rule(f).feed is not None


def recursive(f: Any) -> bool:
    """Say whether a filter is a recursion, and no y = w^T u."""
    return rule(f) is not None and rule(f).recursion is not None


def responds(f: Any) -> bool:
    """Say whether w can become the impulse response that is to be found."""
    return getattr(f, "responds", True) and not (decides(f) or feeds_back(f) or given_by_path(f))


def seeks_tones(f: Any) -> bool:
    """Say whether a filter looks for tones in its input."""
    return "frequency" in signature(type(f)).parameters


def given_by_path(f: Any) -> bool:
    """Say whether inputs and outputs of a filter, or of a class, are those of a secondary path."""
    return "secondary" in signature(f if isinstance(f, type) else type(f)).parameters


def steps(f: Any) -> bool:
    """Say whether a filter has a step size of its own."""
    return "mu" in rule(f).params


def combines(f: Any) -> bool:
    """Say whether y = w^T u of the input alone, which no error function replaces by another output."""
    return rule(f) is None or not (recursive(f) or feeds_back(f) or replaces_output(f))


def replaces_output(f: Any) -> bool:
    """Say whether the error function returns an output too."""
    if rule(f).error is None:
        return False
    one = torch.ones(1, dtype=f.dtype)
    own = {k: getattr(f, k) for k in (*rule(f).states, *rule(f).vectors)}
    values = {k: torch.as_tensor(v) for k, v in (*f._params().items(), *own.items())}
    return isinstance(rule(f).call("error", {**values, "y": one, "d": one}), tuple)


def sps(f: Any) -> int:
    """Return how many samples make an output."""
    return getattr(f, "sps", 1)


def engines(f: Any, x: Any, d: Any) -> list[str]:
    """Return the engines besides the reference that run a block of a filter."""
    if isinstance(rule(f), Bins):
        return [name for name in FREQUENCY_ENGINES if name not in ("auto", "reference")]

    def runs(engine: str) -> bool:
        try:
            choose(engine, f._check(x, d, None, None, False, None))
        except ValueError:
            return False
        return True

    return [name for name in ENGINES if name not in ("auto", "reference") and runs(name)]


# Signals for a filter


def trial(f: Any, samples: int = 300, seed: int = 0) -> tuple[np.ndarray, Any]:
    """Return an input and a desired signal, None for a blind filter, in which the filter has something to find.

    Samples are counted as outputs. Filters that decide get symbols through a channel, those that seek tones a tone in
    noise, all others a plant's output.
    """
    rng, dtype = np.random.default_rng(seed), f.dtype
    inputs, outputs = getattr(f, "inputs", None), getattr(f, "outputs", None)
    C, Q = inputs or 1, outputs or 1
    if decides(f):
        sent = symbols(f, rng, (*f.batch, max(C, Q), samples))
        stuffed = np.zeros((*sent.shape[:-1], samples, sps(f)), sent.dtype)
        stuffed[..., 0] = sent
        response = CHANNEL * (np.exp(0.4j * np.arange(4) ** 2) if dtype.is_complex else 1)
        x = lfilter(response, 1, stuffed.reshape(*sent.shape[:-1], -1))
        x = x[..., :C, :] + 0.1 * np.roll(x, 1, -2)[..., :C, :]
        d = sent[..., :Q, :]
    elif seeks_tones(f):
        x = np.sqrt(2) * np.cos(0.9 * np.arange(samples)) + 0.1 * noise(rng, (*f.batch, 1, samples), dtype)
        d = x
    else:
        x = noise(rng, (*f.batch, C, samples * sps(f)), dtype)
        heard = sum((c + 1) * lfilter(np.roll(plant(dtype), c), 1, x[..., c, :]) for c in range(C))[..., :: sps(f)]
        d = np.stack([heard / (q + 1) for q in range(Q)], -2) + 0.01 * noise(rng, (*f.batch, Q, samples), dtype)
    x, d = x if inputs else x[..., 0, :], d if outputs else d[..., 0, :]
    return x.astype(NUMPY[dtype]), None if blind(f) else d.astype(NUMPY[dtype])


def symbols(f: Any, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return symbols of the filter's constellation; of four phases, or two, where it has none."""
    own = getattr(getattr(f, "constellation", None), "points", None)
    points = np.array([1, 1j, -1, -1j] if f.dtype.is_complex else [1.0, -1.0]) if own is None else numbers(own)
    return points[rng.integers(len(points), size=shape)]


def call(f: Any, x: Any, d: Any, **options: Any) -> Any:
    """Call a filter on a block, without d where there is none."""
    return f(x, **options) if d is None else f(x, d, **options)


def cut(f: Any, x: Any, d: Any, start: int, stop: int) -> tuple[Any, Any]:
    """Return samples of x from start to stop, and d of the outputs that they make."""
    first, last = (-(-n // sps(f)) for n in (start, stop))
    return x[..., start:stop], None if d is None else d[..., first:last]


def outputs_cut(f: Any, x: Any, d: Any, first: int, last: int) -> tuple[Any, Any]:
    """Return the signals of the outputs from first to last."""
    return cut(f, x, d, first * sps(f), last * sps(f))


def single(f: Any, x: Any, d: Any, n: int) -> tuple[Any, Any]:
    """Return what makes output n, as `step` takes it."""
    one = x[..., n * sps(f) : (n + 1) * sps(f)] if sps(f) > 1 else x[..., n]
    wanted = None if d is None else d[..., n]
    return number_of(one), number_of(wanted)


def number_of(value: Any) -> Any:
    """Return a number where an array has no axis."""
    return value.item() if isinstance(value, np.ndarray | np.generic) and not value.ndim else value


def step(f: Any, x: Any, d: Any, n: int) -> Any:
    """Take the samples of output n in by `step`."""
    one, wanted = single(f, x, d, n)
    return f.step(one) if d is None else f.step(one, wanted)


# Comparisons


def numbers(a: Any) -> np.ndarray:
    """Return an array, a tensor or a list as an array."""
    return a.detach().numpy() if isinstance(a, torch.Tensor) else np.asarray(a)


def close(a: Any, b: Any, dtype: torch.dtype) -> None:
    """Require equality up to the rounding of the dtype."""
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(numbers(a), numbers(b), rtol=tolerance, atol=tolerance, verbose=False)


def same(a: Any, b: Any) -> None:
    """Require equality bit for bit; NaN equals NaN."""
    np.testing.assert_array_equal(numbers(a), numbers(b), verbose=False)


def require(condition: Any, what: str) -> None:
    """Require a condition."""
    if not condition:
        raise AssertionError(what)


def refuses(error: type[Exception], match: str, call: Callable[..., Any], *args: Any, **more: Any) -> None:
    """Require that a call raises this error with a text that matches."""
    try:
        call(*args, **more)
    except error as raised:
        require(re.search(match, str(raised)), f"the error must say {match!r}, got {str(raised)!r}")
    else:
        raise AssertionError(f"{error.__name__} with {match!r} expected, nothing was raised")


def state_of(f: torch.nn.Module) -> dict[str, np.ndarray]:
    """Return a copy of all that a filter carries."""
    _ = f.w  # a recursion writes its weights when they are read
    return {k: numbers(v).copy() for k, v in f.state_dict().items() if isinstance(v, torch.Tensor)}


def unchanged(f: torch.nn.Module, before: dict[str, np.ndarray]) -> None:
    """Require the state of before."""
    after = state_of(f)
    require(after.keys() == before.keys(), f"state {sorted(before)} became {sorted(after)}")
    for key, value in after.items():
        same(value, before[key])


def coefficients(f: Any) -> dict[str, np.ndarray]:
    """Return a copy of what stands still in a frozen filter: weights, and states but for those that are signals."""
    held = rule(f) is None or recursive(f) or rule(f).running
    states = {} if held else {k: numbers(getattr(f, k)).copy() for k in rule(f).states}
    return {"w": numbers(f.w).copy(), **states}


def stands_still(f: Any, before: dict[str, np.ndarray]) -> None:
    """Require the coefficients of before, to the bit."""
    for name, value in coefficients(f).items():
        require(np.array_equal(value, before[name]), f"{name} has moved")


def some_weights(f: Any) -> np.ndarray:
    """Return the plant as weights of this filter, of every input and output."""
    w = np.zeros(tuple(f.w.shape), complex if f.dtype.is_complex else float)
    w[..., :4] = plant(f.dtype)[: w.shape[-1]]
    return w


def with_weights(f: Any, w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return what fixed weights give: w as an impulse response, or on the features of each regressor."""
    features = getattr(f, "features", None)
    if features is None:
        return lfilter(w, 1, x)[..., :: sps(f)]
    stream = np.concatenate([np.zeros(f.taps - 1, x.dtype), x])
    rows = np.lib.stride_tricks.sliding_window_view(stream, f.taps)[:, ::-1]
    return numbers(features(torch.tensor(rows.copy()))) @ w
