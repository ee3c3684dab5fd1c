"""Correlations, and the Wiener solution that they give.

References
----------
.. [1] S. Haykin, *Adaptive Filter Theory*, 4th ed., 2002.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import fft, ifft, next_fast_len
from scipy.linalg import eigvalsh, lstsq, solve_toeplitz, toeplitz
from scipy.signal import lfilter

from adaptfilt.checks import check_number, positive_int
from adaptfilt.metrics import as_array

Array = np.ndarray


def autocorrelation(x: ArrayLike, taps: int) -> Array:
    """Autocorrelation of a signal, ``r[k] = sum_n x[n] conj(x[n - k]) / T``, for k = 0 ... taps - 1.

    Parameters
    ----------
    x : array_like, shape (..., T)
        Signals, real or complex.
    taps : int >= 1
        Number of lags M.

    Returns
    -------
    ndarray, shape (..., taps)
        The biased estimate, whose R is never indefinite; average over the leading axes for an ensemble.

    Examples
    --------
    >>> autocorrelation([1.0, -1.0, 1.0, -1.0], 3)
    array([ 1.  , -0.75,  0.5 ])
    """
    return crosscorrelation(x, x, taps)


def crosscorrelation(d: ArrayLike, x: ArrayLike, taps: int) -> Array:
    """Correlation of two signals, ``p[k] = sum_n d[n] conj(x[n - k]) / T``, for k = 0 ... taps - 1.

    Parameters
    ----------
    d, x : array_like, shape (..., T)
        Signals of the same length, real or complex.
    taps : int >= 1
        Number of lags M.

    Returns
    -------
    ndarray, shape (..., taps)

    Examples
    --------
    >>> crosscorrelation([0.0, 1.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0], 3)  # d comes one sample after x
    array([0., 1., 0.])
    """
    d, x = np.asarray(d), np.asarray(x)
    samples = x.shape[-1]
    if d.shape[-1] != samples:
        raise ValueError(f"d and x must have the same length, got {d.shape[-1]} and {samples}")
    size = next_fast_len(samples + taps - 1)
    p = ifft(fft(d, size) * np.conj(fft(x, size)))[..., :taps] / samples
    return p if np.iscomplexobj(d) or np.iscomplexobj(x) else p.real


def wiener(r: ArrayLike, p: ArrayLike) -> Array:
    """Wiener solution: the weights of least mean squared error for stationary signals, ``R w = p``.

    Parameters
    ----------
    r : array_like, shape (M,)
        Autocorrelation of the input.
    p : array_like, shape (M,)
        Correlation of desired signal and input, ``p[k] = E[d[n] conj(x[n - k])]``.

    Returns
    -------
    ndarray, shape (M,)
        As an impulse response: ``w[k]`` multiplies ``x[n - k]``.

    Notes
    -----
    The Wiener-Hopf equations, [1]_ chapter 2, solved by Levinson's recursion.

    Examples
    --------
    >>> wiener([1.0, 0.5], [1.0, 1.0]).round(4)
    array([0.6667, 0.6667])
    """
    return np.asarray(solve_toeplitz(np.asarray(r), np.asarray(p)))


def eigenvalue_spread(r: ArrayLike) -> float:
    """Ratio of the largest to the smallest eigenvalue of R: for small steps, of the LMS modes' time constants.

    Parameters
    ----------
    r : array_like, shape (M,)
        Autocorrelation of the input.

    Returns
    -------
    float
        1 for white input.

    Notes
    -----
    [1]_, chapter 5, with the equaliser of its computer experiment as the example.

    Examples
    --------
    >>> print(f"{eigenvalue_spread([1.0, 0.5]):.3f}")
    3.000
    """
    eigenvalues = eigvalsh(toeplitz(r))
    return float(eigenvalues[-1] / eigenvalues[0])


def wiener_filter(x: ArrayLike, d: ArrayLike, taps: int) -> Array:
    """Weights that no adaptive filter beats on a block: the least ``sum |d[n] - w^T u[n]|^2``, x zero before it.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., T)
        Input, real or complex.
    d : array_like or Tensor, shape (..., T)
        Desired signal; its leading axes broadcast against those of x.
    taps : int >= 1
        Number of coefficients M.

    Returns
    -------
    ndarray, shape (..., M)
        Float64 or complex128, as an impulse response. The shortest solution where x does not excite all taps.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range, or holds NaN or infinity.

    Notes
    -----
    [1]_, chapter 8: least squares with prewindowing, exact for an FIR plant without noise. The normal equations come
    from the FFT, in memory of M^2 whatever T is; directions of x weaker than about 1e-15 max(T, M) of the strongest,
    as powers, count as not excited.

    Examples
    --------
    >>> wiener_filter([1.0, 0.0, 2.0, 1.0], [0.5, 0.25, 1.0, 1.0], taps=2)
    array([0.5 , 0.25])
    """
    taps = positive_int("taps", taps)
    x, d = finite_signal("x", x), finite_signal("d", d)
    if x.shape[-1] != d.shape[-1]:
        raise ValueError(f"x and d must have the same length, got {x.shape[-1]} and {d.shape[-1]} samples")
    try:
        x, d = np.broadcast_arrays(x, d)
    except ValueError:
        raise ValueError(f"x and d must have leading axes that broadcast, got {x.shape} and {d.shape}") from None
    w = np.empty((*x.shape[:-1], taps), np.result_type(x, d))
    for i in np.ndindex(x.shape[:-1]):
        w[i] = _least_squares(x[i], d[i], taps)
    return w


def causal_wiener(
    x: ArrayLike, d: ArrayLike, taps: int, secondary: ArrayLike | None = None, *, leak: float = 0.0
) -> Array:
    """Weights that no causal controller of noise beats on a block: least ``sum |d - s * y|^2``, y_q = sum_k w_qk * x_k.

    Parameters
    ----------
    x : array_like or Tensor, shape ([K,] T)
        References, real or complex; taken as zero before the block.
    d : array_like or Tensor, shape ([L,] T)
        What the error microphones hear without control.
    taps : int >= 1
        Number of coefficients M of each filter.
    secondary : array_like or Tensor, shape (S,) or (L, Q, S), optional
        Responses from the outputs to the errors; none: each output is heard as it is.
    leak : float >= 0
        What a leak of that size does: ``leak T |w|^2`` is minimised along with the errors.

    Returns
    -------
    ndarray, shape ([Q,] [K,] taps)
        As impulse responses; Q where `secondary` has three axes, or d two and there is no path; K where x has
        two. The shortest solution
        where several are as good.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range, or holds NaN or infinity.

    Notes
    -----
    S. J. Elliott, *Signal Processing for Active Control*, 2001, sections 3.3 and 5.2, with a delay line in the place of
    all causal filters. `wiener_filter` is the case without a path.

    Examples
    --------
    >>> from scipy.signal import lfilter
    >>> from adaptfilt.signals import white
    >>> x = white(500, rng=0)
    >>> s = [0.0, 1.0, 0.5]
    >>> causal_wiener(x, lfilter(s, 1, lfilter([0.3, -0.2], 1, x)), taps=3, secondary=s).round(3) + 0
    array([ 0.3, -0.2,  0. ])
    """
    taps, weight = positive_int("taps", taps), float(check_number("leak", leak, ()))
    x, d = finite_signal("x", x), finite_signal("d", d)
    references, errors = np.atleast_2d(x), np.atleast_2d(d)
    if x.ndim > 2 or d.ndim > 2 or x.shape[-1] != d.shape[-1]:
        raise ValueError(f"x and d must have shape ([K,] T) and ([L,] T), got {x.shape} and {d.shape}")
    L, samples = errors.shape
    paths = np.eye(L)[..., None] if secondary is None else finite_signal("secondary", secondary)
    has_outputs = d.ndim == 2 if secondary is None else paths.ndim == 3
    paths = paths[None, None] if paths.ndim == 1 else paths
    if paths.ndim != 3 or len(paths) != L:
        raise ValueError(f"secondary must have shape (S,), or ({L}, Q, S) for d, got {paths.shape}")
    size = paths.shape[1] * len(references) * taps
    dtype = np.result_type(x, d, paths, float)
    R, p = weight * samples * np.eye(size, dtype=dtype), np.zeros(size, dtype)
    for error, row in zip(errors, paths, strict=True):
        v = [lfilter(h, 1, u) for h in row for u in references]
        R += np.block([[_products(a, b, taps) for b in v] for a in v])
        p += samples * np.concatenate([crosscorrelation(error, a, taps) for a in v])
    w = lstsq(R, p, cond=max(samples, size) * np.finfo(float).eps, lapack_driver="gelsy")[0]
    outputs = (paths.shape[1],) if has_outputs else ()
    return w.reshape(*outputs, *x.shape[:-1], taps)


def _least_squares(x: Array, d: Array, taps: int) -> Array:
    samples = x.size
    p = samples * crosscorrelation(d, x, taps)
    cond = max(samples, taps) * np.finfo(float).eps
    return lstsq(_products(x, x, taps), p, cond=cond, lapack_driver="gelsy")[0]


def _products(a: Array, b: Array, taps: int) -> Array:
    """Return ``sum_n conj(a[n - i]) b[n - j]`` over a block, both zero before it, (taps, taps)."""
    # correlations over all time, less the regressors after the block: a[T + j - k], k > j
    column, row = crosscorrelation(b, a, taps), crosscorrelation(a, b, taps).conj()
    return a.size * toeplitz(column, row) - _after(a, taps).conj().T @ _after(b, taps)


def _after(x: Array, taps: int) -> Array:
    newest_first = np.concatenate([[0], x[::-1], np.zeros(taps)])[:taps]
    return toeplitz(np.zeros(taps), newest_first)


def finite_signal(name: str, value: ArrayLike) -> Array:
    """Return a signal as an array, which must be finite and not empty."""
    try:
        signal = as_array(value)
        finite = np.isfinite(signal)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must hold numbers, got {value!r:.80}") from None
    if signal.ndim == 0 or signal.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one sample on its last axis, got shape {signal.shape}")
    if not finite.all():
        raise ValueError(f"{name} must be finite, got {signal[~finite][0]}")
    return signal
