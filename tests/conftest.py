"""Fixtures and helpers shared by the tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.testing.comparisons import given_by_path

REAL = [torch.float32, torch.float64]
COMPLEX = [torch.complex64, torch.complex128]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILTERS = [
    c for c in vars(af).values() if isinstance(c, type) and issubclass(c, af.AdaptiveFilter) and hasattr(c, "example")
]
RULED = [c for c in FILTERS if hasattr(c, "algorithm")]
LINEAR = [c for c in RULED if issubclass(c, af.LinearFilter)]
PLAIN = [c for c in LINEAR if c.algorithm.plain and not given_by_path(c)]
RANK_ONE = [c for c in PLAIN if c.algorithm.gain is not None]
STEPPED = [c for c in RANK_ONE if "mu" in c.algorithm.params]


def slow(value: Any) -> Any:
    """Leave a case to `make slow`."""
    return pytest.param(value, marks=pytest.mark.slow)


# A filter compiles in one real and one complex precision; the reference engine, and `make slow`, cover the others.
DTYPES = [torch.float64, torch.complex64, slow(torch.float32), slow(torch.complex128)]


def each(classes: list[Any]) -> Any:
    """Try a test on every class of a list."""
    return pytest.mark.parametrize("cls", classes, ids=lambda c: c.__name__)


every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda t: str(t).removeprefix("torch."))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2026)


@pytest.fixture
def data_folder() -> Path:
    """The folder of real recordings; the test skips where it is absent."""
    if not DATA.is_dir():
        pytest.skip("../shared/data is not here: this test needs the real recordings")
    return DATA
