"""Fixtures and helpers shared by the tests."""

import re
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


def slow(*values: Any) -> Any:
    """Leave a case to `make slow`."""
    return pytest.param(*values, marks=pytest.mark.slow)


# Compiling is what costs: 3 to 5 s a lookahead loop, 2 s a plain one. The first filter of each kind runs compiled
# throughout, in a real and a complex precision; the others in what `OTHERS` leaves here. The reference engine and
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

# What of another filter runs compiled, by words in the name of a test; and with which values a test of it runs where
# they are not all: compiled are a real block, step and record, and a complex block with leakage and gates.
COMPILED = ["engine", "finds_the_plant", "less_of_the_error", "after_a_burst", "silence", "threads"]
OTHERS: dict[str, list[Any]] = {
    "test_short_blocks_in_a_row": REAL,
    "test_leakage_a_step_size_a_sample_and_samples_passed_over": COMPLEX,
    "test_every_engine_equals_the_reference": COMPLEX,
    "test_finds_the_plant_tap_by_tap": REAL,
    "test_weights_of_another_kind_leave_less_of_the_error": REAL,
    "test_silence_leaves_the_weights_alone": REAL,
    "test_a_batch_is_a_loop_over_its_rows": [(2, 3)],
    "test_random_splits": [],
}


def on_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the reference engine the default one."""
    monkeypatch.setitem(ParametricFilter.__init__.__kwdefaults__, "engine", "reference")  # type: ignore[arg-type]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--family", help="run the tests of the filters of one folder of adaptfilt/filters alone")


def _given(item: Any) -> dict[str, Any]:
    """Return what a test is parametrised with."""
    return item.callspec.params if hasattr(item, "callspec") else {}


def _class_of(item: Any) -> Any:
    """Return the filter that a test is of; None where it is of none."""
    cls = _given(item).get("cls")
    return cls if isinstance(cls, type) else None


def _of_another(item: Any) -> bool:
    """Say whether a test is of a filter that is not the first of its kind."""
    return _class_of(item) not in (None, *FIRST)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to `make slow` what compiles most."""
    for item in items:
        kept = OTHERS.get(getattr(item, "originalname", item.name))
        if kept is not None and _of_another(item) and not any(value in kept for value in _given(item).values()):
            item.add_marker(pytest.mark.slow)
    family = config.getoption("--family")
    if family:
        items[:] = [item for item in items if (cls := _class_of(item)) and family in cls.__module__.split(".")]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all tests of a filter to one worker, which compiles it once; other tests go function by function."""
    from xdist.scheduler import LoadScopeScheduling

    names = {c.__name__ for c in FILTERS}

    class ByFilter(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            test, _, given = nodeid.partition("[")
            return next((word for word in re.split(r"[-\]]", given) if word in names), test)

    return ByFilter(config, log) if config.getvalue("dist") == "load" else None


@pytest.fixture(autouse=True)
def others_on_the_reference(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the first filters of each kind compiled throughout, the others where engines are compared."""
    short = request.config.getoption("markexpr", "") == "not slow"
    compiled = any(word in request.node.name for word in COMPILED) or request.node.path.name == "test_native.py"
    if short and _of_another(request.node) and not compiled:
        on_the_reference(monkeypatch)
