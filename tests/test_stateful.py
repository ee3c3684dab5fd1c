"""Random sequences of calls on every filter, against the reference engine; `make fuzz` is the long form."""

from typing import Any

import pytest
import torch
from fuzzer import FILTERS, fuzz

import adaptfilt as af
from conftest import FIRST

CASES = [(c, t) for c in FILTERS for t in (torch.float64, torch.complex64, torch.float32, torch.complex128)]
BOTH = (af.NLMS, af.GradientFilter)  # the others real and complex in turn: each layout that is drawn is compiled
TURNS = [(c, (torch.float64, torch.complex64)[n % 2]) for n, c in enumerate(FIRST)]
SHORT = [(c, t) for c, t in CASES if (c, t) in TURNS or (c in BOTH and t in (torch.float64, torch.complex64))]


def cases(chosen: list[Any]) -> Any:
    named = [pytest.param(c, t, id=f"{c.__name__}-{str(t).removeprefix('torch.')}") for c, t in chosen]
    return pytest.mark.parametrize(("cls", "dtype"), named)


@cases(SHORT)
def test_random_sequences(cls: Any, dtype: torch.dtype) -> None:
    counts = fuzz(cls, dtype, range(25), axes=cls is af.NLMS)
    assert counts["sequences"] == 25
    assert counts["forgiven"] <= 0.02 * counts["calls"]


@pytest.mark.slow
@cases(CASES)
def test_random_sequences_of_all(cls: Any, dtype: torch.dtype) -> None:
    assert fuzz(cls, dtype, range(15))["sequences"] == 15
