"""Fixtures and helpers shared by the tests."""

from pathlib import Path

import numpy as np
import pytest
import torch

REAL = [torch.float32, torch.float64]
COMPLEX = [torch.complex64, torch.complex128]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2026)


@pytest.fixture
def data_folder() -> Path:
    """The folder of real recordings; the test skips where it is absent."""
    if not DATA.is_dir():
        pytest.skip("../shared/data is not here: this test needs the real recordings")
    return DATA
