"""How well a filter did, in dB; the unit is in the name.

Arrays, lists and tensors (also on a device or in a graph) go in; float64 NumPy comes out. Time and
coefficients are the last axis, so a batch gives one figure for each filter. An error of exactly zero gives
``-inf`` dB (``+inf`` for :func:`erle_db`), whatever it is compared with, without a warning.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.signal import lfilter

Array = np.ndarray


def as_array(a: ArrayLike | torch.Tensor) -> Array:
    """Float64 or complex128 array of an array, list or tensor, detached and on the CPU.

    Examples
    --------
    >>> as_array(torch.ones(2, requires_grad=True))
    array([1., 1.])
    """
    a = a.numpy(force=True) if isinstance(a, torch.Tensor) else np.asarray(a)
    return np.asarray(a, np.result_type(a, np.float64))


def mse_db(e: ArrayLike | torch.Tensor) -> Array:
    """Mean squared error, ``10 log10(mean |e|^2)``, over the last axis.

    Parameters
    ----------
    e : array_like or Tensor, shape (..., T)
        Errors, real or complex.

    Returns
    -------
    ndarray, shape (...)
        In dB relative to 1; a float for one signal. ``-inf`` where `e` is all zero.

    Examples
    --------
    >>> print(mse_db([0.1, -0.1, 0.1]).round(6))
    -20.0
    """
    return _db(_power(e, "e"))


def misalignment_db(w: ArrayLike | torch.Tensor, h: ArrayLike | torch.Tensor) -> Array:
    """Misalignment of estimated coefficients, ``20 log10(|h - w| / |h|)``, over the last axis.

    Parameters
    ----------
    w : array_like or Tensor, shape (..., M)
        Estimates: the last, or a history ``(T, M)``.
    h : array_like or Tensor, shape (..., N)
        True impulse response; the shorter of `w` and `h` counts as followed by zeros.

    Returns
    -------
    ndarray, shape (...)
        In dB; 0 for ``w = 0``. ``-inf`` where `w` equals `h` (also both zero), ``+inf`` where only `h` is
        zero.

    Notes
    -----
    J. Benesty, T. Gänsler, D. Morgan, M. Sondhi, S. Gay, *Advances in Network and Acoustic Echo
    Cancellation*, 2001, where it is called normalised misalignment.

    Examples
    --------
    >>> print(misalignment_db([0.9], [1.0, 0.0]).round(6))
    -20.0
    """
    w, h = as_array(w), as_array(h)
    taps = max(w.shape[-1], h.shape[-1])
    w, h = _pad(w, taps), _pad(h, taps)
    return _ratio_db(_power(h - w, "w"), _power(h, "h"))


def erle_db(d: ArrayLike | torch.Tensor, e: ArrayLike | torch.Tensor) -> Array:
    """Echo return loss enhancement, ``10 log10(mean |d|^2 / mean |e|^2)``, over the last axis.

    Parameters
    ----------
    d : array_like or Tensor, shape (..., T)
        Signal before cancellation (microphone, desired).
    e : array_like or Tensor, shape (..., T)
        Signal after cancellation (error).

    Returns
    -------
    ndarray, shape (...)
        In dB; positive is better. ``+inf`` where `e` is all zero, ``-inf`` where only `d` is.

    Raises
    ------
    ValueError
        If `d` and `e` differ in length.

    Notes
    -----
    ITU-T Recommendation G.168, *Digital network echo cancellers*, 2015, on echo return loss enhancement.

    Examples
    --------
    >>> print(erle_db([1.0, -1.0], [0.1, 0.1]).round(6))
    20.0
    """
    d, e = as_array(d), as_array(e)
    if d.shape[-1] != e.shape[-1]:
        raise ValueError(f"d and e must have the same length, got {d.shape[-1]} and {e.shape[-1]}")
    return -_ratio_db(_power(e, "e"), _power(d, "d"))


def learning_curve_db(e: ArrayLike | torch.Tensor, window: int = 1) -> Array:
    """Ensemble learning curve: ``|e|^2`` averaged over leading axes, and then over the last `window` samples.

    Parameters
    ----------
    e : array_like or Tensor, shape (..., T)
        Errors of independent runs, or of one, ``(T,)``.
    window : int >= 1
        Length in samples of the moving average of powers. It looks back only, so that nothing shows before it
        happens; up to sample `window` it averages the samples there are.

    Returns
    -------
    ndarray, shape (T,)
        In dB relative to 1; ``-inf`` where the average is zero.

    Raises
    ------
    ValueError
        If `window` is below 1.

    Examples
    --------
    >>> learning_curve_db([[1.0, 0.0], [1.0, 0.2]]).round(2)
    array([  0.  , -16.99])
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    e = as_array(e)
    power = np.mean(np.abs(e.reshape(-1, e.shape[-1])) ** 2, axis=0)
    # an FIR filter, because a running sum would keep the rounding error of the loud start for ever
    total = lfilter(np.ones(window), 1.0, power)
    return _db(total / np.minimum(np.arange(1, power.size + 1), window))


def _power(a: ArrayLike | torch.Tensor, name: str) -> Array:
    a = as_array(a)
    if a.ndim == 0 or a.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one sample on its last axis, got shape {a.shape}")
    return np.mean(np.abs(a) ** 2, axis=-1)


def _pad(a: Array, taps: int) -> Array:
    return np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, taps - a.shape[-1])])


def _db(power: Array) -> Array:
    with np.errstate(divide="ignore"):
        return 10 * np.log10(power)


def _ratio_db(error: Array, reference: Array) -> Array:
    with np.errstate(invalid="ignore"):  # -inf - -inf where both are zero
        return np.where(error == 0, -np.inf, _db(error) - _db(reference))[()]
