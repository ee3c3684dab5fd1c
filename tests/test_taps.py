"""The tap-delay line."""

from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_an_empty_block_has_no_regressors_and_the_stream_goes_on(kind: Any) -> None:
    line = af.TapDelayLine(3, batch=(2,), dtype=torch.float64)
    line.push(kind([[1.0, 2.0], [3.0, 4.0]]))
    rows = line.push(kind([[], []]))
    assert type(rows) is type(kind([1.0]))
    assert rows.shape == (2, 0, 3)
    np.testing.assert_array_equal(line.push(kind([[5.0], [6.0]])), [[[5, 2, 1]], [[6, 4, 3]]])
