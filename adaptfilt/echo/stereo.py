"""Two loudspeakers that play one voice: why their echoes cannot be told apart, and what helps.

Both far ends are one source through two responses. Where the filters are at least as long as these, many pairs of
weights cancel the echo alike, and which one is found depends on who speaks in the far room; when that changes, the echo
is heard again. A little of its own half wave added to each channel makes them differ, which is hardly heard on speech:

    x_1 <- x_1 + alpha (x_1 + |x_1|) / 2,    x_2 <- x_2 + alpha (x_2 - |x_2|) / 2

Source: J. Benesty, D. R. Morgan and M. M. Sondhi, "A better understanding and an improved solution to the specific
problems of stereophonic acoustic echo cancellation", IEEE Transactions on Speech and Audio Processing 6(2), 1998.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.checks import check_number


def decorrelate(x: Any, alpha: float = 0.5) -> Any:
    """Make two channels differ, before they go to the loudspeakers and to the filter.

    Parameters
    ----------
    x : array or Tensor [shape=(..., 2, T)]
        Real channels.
    alpha : float, 0 to 1
        How much of the half waves is added; 0.3 to 0.5 is usual.

    Returns
    -------
    array or Tensor [shape=(..., 2, T)]
        Of the kind and precision of x, which is not changed.

    Raises
    ------
    TypeError, ValueError
        If x is not real or not of two channels, or alpha is out of its range.

    Examples
    --------
    >>> decorrelate(np.array([[1.0, -1.0], [1.0, -1.0]]))
    array([[ 1.5, -1. ],
           [ 1. , -1.5]])
    """
    alpha = float(check_number("alpha", alpha, (), high=1.0))
    if not isinstance(x, np.ndarray | Tensor) or not (
        x.is_floating_point() if isinstance(x, Tensor) else x.dtype.kind == "f"
    ):
        raise TypeError(f"x must be an array or tensor of real floats, got {type(x).__name__}")
    if x.ndim < 2 or x.shape[-2] != 2:
        raise ValueError(f"x must have shape (..., 2, T), got {tuple(x.shape)}")
    signal: Any = x
    first, second = signal[..., 0, :], signal[..., 1, :]
    stack: Any = torch.stack if isinstance(x, Tensor) else np.stack
    return stack([first + alpha / 2 * (first + abs(first)), second + alpha / 2 * (second - abs(second))], -2)
