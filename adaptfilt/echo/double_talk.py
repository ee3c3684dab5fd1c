"""Is somebody speaking at the near end? Two classical answers, each a step size for every sample.

Both give 0 where adapting would follow the near end and 1 elsewhere: `f(x, d, mu=0.5 * geigel(x, d, taps))`.
`adaptfilt.FDKF` needs neither, for its step falls by itself.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.checks import check_finite, check_number, check_same_kind, natural, positive_int


def geigel(x: Any, d: Any, taps: int, *, threshold: float = 0.5, hold: int = 240) -> Any:
    """Freeze where d is louder than an echo of x can be: |d[n]| > threshold max(|x[n]|, ..., |x[n - taps + 1]|).

    Parameters
    ----------
    x, d : array or Tensor [shape=(..., T)]
        Far end and microphone.
    taps : int >= 1
        Length of the echo path.
    threshold : float > 0
        The echo path's gain that is not exceeded; 0.5 says that an echo is at least 6 dB weaker.
    hold : int >= 0
        Samples for which double talk goes on after it was last seen; 240 are 30 ms at 8 kHz.

    Returns
    -------
    array or Tensor [shape=(..., T)]
        1 where d may be adapted on, else 0.

    Raises
    ------
    TypeError, ValueError
        If the signals differ in kind or shape, are complex or not finite, or another argument is out of its range.

    Notes
    -----
    D. L. Duttweiler, "A twelve-channel digital echo canceler", IEEE Transactions on Communications 26(5), 1978.

    Examples
    --------
    >>> import numpy as np
    >>> x, d = np.ones(6), np.array([0.3, 0.3, 0.9, 0.3, 0.3, 0.3])
    >>> geigel(x, d, taps=2, hold=1)
    array([1., 1., 0., 0., 1., 1.])
    """
    threshold = float(check_number("threshold", threshold, (), above=True))
    far, near = _pair("x", x, d)
    loudest = _largest(far.abs(), positive_int("taps", taps))
    speaks = (near.abs() > threshold * loudest).to(near.dtype)
    return _like(1 - _largest(speaks, natural("hold", hold) + 1), d)


def normalized_correlation(y: Any, d: Any, window: int, *, threshold: float = 0.9) -> Any:
    """Freeze where the microphone holds more than the echo: sqrt(E[y d] / E[d^2]) < threshold.

    Parameters
    ----------
    y, d : array or Tensor [shape=(..., T)]
        Estimate of the echo, an adaptive filter's output, and microphone.
    window : int >= 1
        Samples over which the means are taken.
    threshold : float, 0 to 1
        The ratio is 1 where d is nothing but the echo that y knows. A filter that has just begun knows none: adapt
        without the detector until it has converged.

    Returns
    -------
    array or Tensor [shape=(..., T)]
        1 where d may be adapted on, else 0; 1 where d is silent.

    Raises
    ------
    TypeError, ValueError
        If the signals differ in kind or shape, are complex or not finite, or another argument is out of its range.

    Notes
    -----
    J. Benesty, D. R. Morgan and J. H. Cho, "A new class of doubletalk detectors based on cross-correlation", IEEE
    Transactions on Speech and Audio Processing 8(2), 2000, in the form that has the filter's weights for the true ones.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([1.0, -1.0, 1.0, -1.0])
    >>> normalized_correlation(y, y + np.array([0.0, 0.0, 3.0, 0.0]), window=1)
    array([1., 1., 0., 1.])
    """
    threshold = float(check_number("threshold", threshold, (), high=1.0))
    echo, near = _pair("y", y, d)
    window = positive_int("window", window)
    both, own = _sums(echo * near, window), _sums(near * near, window)
    return _like((both >= threshold**2 * own).to(near.dtype), d)


def _pair(name: str, x: Any, d: Any) -> tuple[Tensor, Tensor]:
    """Return two real signals of one kind and shape as tensors."""
    check_same_kind(x, d)
    first, second = torch.as_tensor(x).detach(), torch.as_tensor(d).detach()
    if first.shape != second.shape or not first.ndim:
        raise ValueError(
            f"both signals must have one shape, (..., T), got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    for own, signal in ((name, first), ("d", second)):
        if signal.is_complex():
            raise TypeError(f"{own} must be real, got {signal.dtype}")
        check_finite(own, signal)
    return first, second


def _like(value: Tensor, given: Any) -> Any:
    return value.numpy() if isinstance(given, np.ndarray) else value


def _windows(v: Tensor, size: int) -> Tensor:
    """Return the last `size` samples at every one, zeros before the start, (..., T, size)."""
    return torch.nn.functional.pad(v, (size - 1, 0)).unfold(-1, size, 1)


def _largest(v: Tensor, size: int) -> Tensor:
    return _windows(v, size).amax(-1)


def _sums(v: Tensor, size: int) -> Tensor:
    """Return moving sums, from sums since the start: in double precision, for they grow."""
    total = torch.nn.functional.pad(v.double().cumsum(-1), (size, 0))
    return total[..., size:] - total[..., :-size]
