"""What the laws are tried on, and comparisons that say what differs (`assert` would be silent under python -O)."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.signal import lfilter

from adaptfilt.checks import NUMPY

PLANT = np.array([1.0, -0.5, 0.25, 0.1])
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
    return {k: numbers(v).copy() for k, v in f.state_dict().items() if isinstance(v, torch.Tensor)}


def unchanged(f: torch.nn.Module, before: dict[str, np.ndarray]) -> None:
    """Require the state of before."""
    after = state_of(f)
    require(after.keys() == before.keys(), f"state {sorted(before)} became {sorted(after)}")
    for key, value in after.items():
        same(value, before[key])


def some_weights(f: Any) -> np.ndarray:
    """Return the plant as weights of this filter."""
    w = np.zeros(f.w.shape[-1], complex if f.dtype.is_complex else float)
    w[:4] = plant(f.dtype)[: len(w)]
    return w


def with_weights(f: Any, w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return what fixed weights give: w as an impulse response, or on the features of each regressor."""
    features = getattr(f, "features", None)
    if features is None:
        return lfilter(w, 1, x)
    stream = np.concatenate([np.zeros(f.taps - 1, x.dtype), x])
    rows = np.lib.stride_tricks.sliding_window_view(stream, f.taps)[:, ::-1]
    return numbers(features(torch.tensor(rows.copy()))) @ w
