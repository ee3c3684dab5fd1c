"""The words of `fft` for Numba, on rocket-fft."""

from typing import Any

import numpy as np
from numba import types
from rocket_fft import c2c, c2r, r2c

from adaptfilt.engines.cpu import fft
from adaptfilt.engines.cpu.numba_words import _word

_ROWS = np.array([1])  # the axis of a transform


@_word(fft.forward)
def _forward(v: Any, V: Any) -> Any:
    if isinstance(v.dtype, types.Complex):
        return lambda v, V: c2c(v, V, _ROWS, True, 1.0, 1)
    return lambda v, V: r2c(v, V, _ROWS, True, 1.0, 1)


@_word(fft.backward)
def _backward(V: Any, v: Any) -> Any:
    if isinstance(v.dtype, types.Complex):
        return lambda V, v: c2c(V, v, _ROWS, False, 1.0 / v.shape[1], 1)
    return lambda V, v: c2r(V, v, _ROWS, False, 1.0 / v.shape[1], 1)
