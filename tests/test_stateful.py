"""Random sequences of calls on every filter, against the reference engine; `make fuzz` is the long form."""

from typing import Any

import pytest
import torch
from fuzzer import FILTERS, fuzz

import adaptfilt as af

FIRST = [  # of each kind of filter; each draws several layouts, which are code to compile
    af.NLMS, af.RLS, af.AffineProjection, af.NPVSS, af.CMA, af.DecisionDirected, af.DFE, af.FxLMS, af.LatticeRLS,
    af.FDKF, af.GradientFilter,
]  # fmt: skip
CASES = [(c, t) for c in FILTERS for t in (torch.float64, torch.complex64, torch.float32, torch.complex128)]
SHORT = [(c, t) for c, t in CASES if c in FIRST and t in (torch.float64, torch.complex64)]


def cases(chosen: list[Any]) -> Any:
    named = [pytest.param(c, t, id=f"{c.__name__}-{str(t).removeprefix('torch.')}") for c, t in chosen]
    return pytest.mark.parametrize(("cls", "dtype"), named)


@cases(SHORT)
def test_random_sequences(cls: Any, dtype: torch.dtype) -> None:
    counts = fuzz(cls, dtype, range(10))
    assert counts["sequences"] == 10
    assert counts["forgiven"] <= 0.02 * counts["calls"]


@pytest.mark.slow
@cases([case for case in CASES if case not in SHORT])
def test_random_sequences_of_all_others(cls: Any, dtype: torch.dtype) -> None:
    assert fuzz(cls, dtype, range(15))["sequences"] == 15
