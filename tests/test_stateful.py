"""Random sequences of calls on every filter, against the reference engine; `make fuzz` is the long form."""

from typing import Any

import pytest
import torch
from fuzzer import FILTERS, fuzz

every_filter = pytest.mark.parametrize("cls", FILTERS, ids=lambda c: c.__name__)


@every_filter
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64], ids=["float64", "complex64"])
@pytest.mark.parametrize("part", range(2))
def test_random_sequences(cls: Any, dtype: torch.dtype, part: int) -> None:
    counts = fuzz(cls, dtype, range(10 * part, 10 * part + 10))
    assert counts["sequences"] == 10
    assert counts["forgiven"] <= 0.02 * counts["calls"]


@every_filter
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex128], ids=["float32", "complex128"])
def test_random_sequences_of_the_other_dtypes(cls: Any, dtype: torch.dtype) -> None:
    assert fuzz(cls, dtype, range(15))["sequences"] == 15
