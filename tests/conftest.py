"""Fixtures and helpers shared by the tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.base.parameters import ParametricFilter
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


# Compiling is what costs. The first filter of each kind runs compiled throughout, in a real and a complex precision;
# the others where engines are compared (test_engines.py, and the contract's law of that name). The reference engine and
# `make slow` cover the rest.
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


FIRST = [  # of each kind of filter
    af.NLMS, af.RLS, af.AffineProjection, af.KwongJohnston, af.CMA, af.DecisionDirected, af.DFE, af.FxLMS,
    af.LatticeRLS, af.FDKF, af.GradientFilter,
]  # fmt: skip


# Long runs of the code by which engines are compared.
COMPILED = ["engine", "finds_the_plant", "less_of_the_error", "burst", "silence", "threads"]


def _of_another(item: Any) -> bool:
    """Say whether a test is of a filter that is not the first of its kind."""
    given = item.callspec.params if hasattr(item, "callspec") else {}
    return isinstance(given.get("cls"), type) and given["cls"] not in FIRST


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make slow` what compiles most."""
    for item in items:
        engines = item.path.name == "test_engines.py" and _of_another(item)
        if engines and item.callspec.params.get("dtype") in COMPLEX:  # type: ignore[attr-defined]
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def others_on_the_reference(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the first filters of each kind compiled throughout, the others where engines are compared."""
    short = request.config.getoption("markexpr", "") == "not slow"
    compiled = any(word in request.node.name for word in COMPILED) or request.node.path.name == "test_native.py"
    if short and _of_another(request.node) and not compiled:
        monkeypatch.setitem(ParametricFilter.__init__.__kwdefaults__, "engine", "reference")  # type: ignore[arg-type]
