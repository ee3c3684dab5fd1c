"""Test signals: white, coloured, tones, pseudo-random binary, symbols, pulses, and noise at a stated level.

Time is the last axis. A random signal takes ``rng``, a :class:`numpy.random.Generator` or an integer seed.
A complex ``dtype`` gives circular signals: independent real and imaginary parts of equal power.

>>> import numpy as np
>>> from adaptfilt import plants, signals
>>> rng = np.random.default_rng(0)
>>> x = signals.white(1000, rng)
>>> d = signals.add_noise(plants.fir([0.1, 0.2, 0.3])(x), 30.0, rng)
>>> d.shape
(1000,)
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike
from scipy.signal import lfilter, max_len_seq

from adaptfilt.checks import positive_int
from adaptfilt.constellation import Constellation

Array = np.ndarray
Seed = np.random.Generator | int


def white(shape: int | tuple[int, ...], rng: Seed, *, dtype: DTypeLike = np.float64) -> Array:
    """Gaussian white noise of zero mean and unit variance.

    Parameters
    ----------
    shape : int or tuple of int
        Samples, or ``(..., T)``.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.
    dtype : dtype
        Real or complex floating type.

    Returns
    -------
    ndarray, shape (..., T)
        Complex samples are circular, ``E[x^2] = 0``, and of unit variance as a whole, ``E[|x|^2] = 1``.

    Raises
    ------
    ValueError
        If `dtype` is not a floating type.

    Examples
    --------
    >>> white((2, 3), 0, dtype=complex).shape
    (2, 3)
    """
    rng, dtype = np.random.default_rng(rng), np.dtype(dtype)
    if dtype.kind not in "fc":
        raise ValueError(f"dtype must be a real or complex floating type, got {dtype}")
    x = rng.standard_normal(shape)
    if dtype.kind == "c":
        x = (x + 1j * rng.standard_normal(shape)) / np.sqrt(2)
    return np.asarray(x, dtype)


def coloured(
    shape: int | tuple[int, ...],
    a: ArrayLike,
    rng: Seed,
    *,
    unit_variance: bool = True,
    dtype: DTypeLike = np.float64,
) -> Array:
    """Stationary autoregressive noise, ``a[0] x[n] + a[1] x[n-1] + ... = v[n]`` with `v` white.

    Parameters
    ----------
    shape : int or tuple of int
        Samples, or ``(..., T)``.
    a : array_like, shape (P + 1,)
        Denominator of the colouring filter, as in ``scipy.signal.lfilter(1, a, v)``.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.
    unit_variance : bool
        Scale to ``E[|x|^2] = 1``, by the filter's power gain; otherwise `v` has unit variance.
    dtype : dtype
        Real or complex floating type.

    Returns
    -------
    ndarray, shape (..., T)
        Stationary from the first sample: the filter runs until its start has died away before.

    Raises
    ------
    ValueError
        If the filter is not stable: a root of `a` on or outside the unit circle.

    Examples
    --------
    The neighbours of an AR(1) signal correlate by its pole.

    >>> x = coloured(100_000, [1.0, -0.5], rng=0)
    >>> print(f"{np.mean(x[1:] * x[:-1]):.2f}")
    0.50
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    a, dtype = np.asarray(a), np.dtype(dtype)
    warmup = a.size + int(np.ceil(np.log(1e-8) / np.log(max(pole_radius(a), 1e-8))))
    h = lfilter([1.0], a, np.eye(1, warmup)[0])  # truncated at -160 dB
    gain = np.sqrt(np.sum(np.abs(h) ** 2)) if unit_variance else 1.0
    v = white((*shape[:-1], warmup + shape[-1]), rng, dtype=dtype)
    return np.asarray(lfilter([1.0], a, v)[..., warmup:] / gain, dtype)


def tones(
    samples: int,
    frequencies: ArrayLike,
    fs: float = 1.0,
    *,
    amplitudes: ArrayLike = 1.0,
    phases: ArrayLike = 0.0,
    dtype: DTypeLike = np.float64,
) -> Array:
    """Sum of sinusoids, ``A cos(2 pi f n / fs + phase)``; complex exponentials for a complex `dtype`.

    Parameters
    ----------
    samples : int
        Length T.
    frequencies : array_like
        In the unit of `fs`.
    fs : float > 0
        Sampling rate in Hz; the default 1 makes `frequencies` cycles a sample.
    amplitudes, phases : array_like
        Of each tone, or one for all; phases in radians.
    dtype : dtype
        Real or complex floating type.

    Returns
    -------
    ndarray, shape (T,)

    Examples
    --------
    >>> tones(5, 0.125, phases=np.pi / 2).round(3)  # an eighth of a cycle a sample
    array([ 0.   , -0.707, -1.   , -0.707, -0.   ])
    """
    f, amplitude, phase = np.broadcast_arrays(np.atleast_1d(frequencies), amplitudes, phases)
    angle = 2 * np.pi * f[:, None] / fs * np.arange(samples) + phase[:, None]
    wave = np.exp(1j * angle) if np.dtype(dtype).kind == "c" else np.cos(angle)
    return np.asarray(amplitude @ wave, dtype)


def prbs(samples: int, bits: int = 10) -> Array:
    """Pseudo-random binary sequence of maximum length, +1 and -1.

    Over one period of ``2**bits - 1`` samples its mean is ``1 / period`` and its circular autocorrelation is
    1 at lag zero and ``-1 / period`` at every other lag: nearly white, and of crest factor one.

    Parameters
    ----------
    samples : int
        Length T; beyond one period the sequence repeats.
    bits : int, 2 to 32
        Length of the shift register.

    Returns
    -------
    ndarray, shape (T,)

    Notes
    -----
    S. W. Golomb, *Shift Register Sequences*, 1967, on maximum-length sequences; made by
    :func:`scipy.signal.max_len_seq`.

    Examples
    --------
    >>> x = prbs(7, bits=3)
    >>> [int(x @ np.roll(x, lag)) for lag in range(7)]
    [7, -1, -1, -1, -1, -1, -1]
    """
    return 2.0 * max_len_seq(bits, length=samples)[0] - 1.0


def symbols(constellation: Constellation, shape: int | tuple[int, ...], rng: Seed) -> Array:
    """Independent symbols, drawn from the points of a constellation with their probabilities.

    Parameters
    ----------
    constellation : Constellation
        Points of unit mean power.
    shape : int or tuple of int
        Symbols, or ``(..., T)``.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.

    Returns
    -------
    ndarray, shape (..., T)
        Float64 or complex128, as the points are.

    Raises
    ------
    TypeError
        If `constellation` is another type.

    Examples
    --------
    >>> from adaptfilt import Constellation
    >>> a = symbols(Constellation.qam(16), (2, 1000), rng=0)
    >>> print(f"{np.mean(np.abs(a) ** 2):.1f}")
    1.0
    """
    if not isinstance(constellation, Constellation):
        raise TypeError(f"constellation must be an adaptfilt.Constellation, got {type(constellation).__name__}")
    return np.random.default_rng(rng).choice(constellation.points, shape, p=constellation.probabilities)


def upsample(x: ArrayLike, sps: int) -> Array:
    """Put ``sps - 1`` zeros after every sample; a pulse shaper or channel at the higher rate comes after.

    Parameters
    ----------
    x : array_like, shape (..., T)
        Symbols, real or complex.
    sps : int >= 1
        Samples a symbol.

    Returns
    -------
    ndarray, shape (..., T * sps)
        Of the precision of `x`.

    Raises
    ------
    TypeError, ValueError
        If `sps` is not an integer >= 1, or `x` has no axis.

    Examples
    --------
    >>> upsample([1.0, 2.0], 3)
    array([1., 0., 0., 2., 0., 0.])
    """
    x, sps = np.asarray(x), positive_int("sps", sps)
    if x.ndim == 0:
        raise ValueError("x must have time as its last axis, got a number")
    spaced = np.zeros((*x.shape, sps), x.dtype)
    spaced[..., 0] = x
    return spaced.reshape(*x.shape[:-1], -1)


def root_raised_cosine(rolloff: float, sps: int, span: int = 8) -> Array:
    """Root-raised-cosine pulse of unit energy; twice in a row, at sender and receiver, it leaves symbols alone.

    Parameters
    ----------
    rolloff : float, 0 to 1
        Bandwidth beyond ``1 / (2 T)``, as a part of it; T is a symbol's time.
    sps : int >= 1
        Samples a symbol.
    span : int >= 1
        Length in symbols to each side of the middle. What is cut off leaves interference between symbols, 41 dB
        below them at rolloff .2 and span 8; rolloff .1 needs span 16 for as much.

    Returns
    -------
    ndarray, shape (2 * span * sps + 1,)
        Symmetric about sample ``span * sps``, the delay.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    Notes
    -----
    J. G. Proakis, *Digital Communications*, 4th ed., 2001, section 9.2, with the limits at t = 0 and
    ``T / (4 rolloff)``.

    Examples
    --------
    >>> root_raised_cosine(1.0, sps=2, span=1).round(3)
    array([-0.06 ,  0.3  ,  0.901,  0.3  , -0.06 ])
    """
    if not 0 <= rolloff <= 1:
        raise ValueError(f"rolloff must be from 0 to 1, got {rolloff}")
    sps, span = positive_int("sps", sps), positive_int("span", span)
    t = np.arange(-span * sps, span * sps + 1) / sps
    below = 1 - (4 * rolloff * t) ** 2
    is_edge = np.abs(below) < 1e-9  # there above and below are zero
    above = (1 - rolloff) * np.sinc((1 - rolloff) * t) + 4 * rolloff / np.pi * np.cos(np.pi * (1 + rolloff) * t)
    pulse = above / np.where(is_edge, 1, below)
    if is_edge.any():
        turn = np.pi / (4 * rolloff)
        limit = (1 + 2 / np.pi) * np.sin(turn) + (1 - 2 / np.pi) * np.cos(turn)
        pulse[is_edge] = rolloff / np.sqrt(2) * limit
    return pulse / np.linalg.norm(pulse)


def pulse_train(a: ArrayLike, pulse: ArrayLike, sps: int) -> Array:
    """Symbols as a transmitter sends them, ``x[m] = sum_k a[k] pulse[m - k sps]``.

    Parameters
    ----------
    a : array_like, shape (..., N)
        Symbols, real or complex.
    pulse : array_like, shape (L,)
        Such as `root_raised_cosine`, whose middle is its delay.
    sps : int >= 1
        Samples a symbol.

    Returns
    -------
    ndarray, shape (..., N * sps)
        The end of the last pulses is cut off.

    Raises
    ------
    TypeError, ValueError
        If `sps` is not an integer >= 1, or `a` has no axis.

    Examples
    --------
    >>> pulse_train([1.0, -1.0], [0.5, 1.0, 0.5], sps=2)
    array([ 0.5,  1. ,  0. , -1. ])
    """
    return np.asarray(lfilter(np.asarray(pulse), 1.0, upsample(a, sps)))


def off_carrier(x: ArrayLike, frequency: float = 0.0, *, walk: float = 0.0, rng: Seed | None = None) -> Array:
    """Turn signals as a receiver hears them whose oscillator is not the transmitter's.

    Parameters
    ----------
    x : array_like, shape (..., T)
        Signals; all are turned alike.
    frequency : float
        Offset in radians a sample.
    walk : float >= 0
        Standard deviation of the phase's step from sample to sample, in radians. Oscillators of a linewidth B together,
        in cycles a sample, have ``sqrt(2 pi B)``.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed; needed for a walk.

    Returns
    -------
    ndarray, shape (..., T)
        ``x[n] exp(j (frequency n + phase[n]))``, complex; phase[0] = 0.

    Raises
    ------
    TypeError, ValueError
        If `walk` is negative, or is given without `rng`, or `x` has no axis.

    Notes
    -----
    M. S. Faruk, S. J. Savory, "Digital signal processing for coherent transceivers employing multilevel formats",
    J. Lightwave Technology 35(5), 2017, on phase noise as a Wiener process.

    Examples
    --------
    >>> off_carrier([1.0, 1.0, 1.0], np.pi / 2).round(3) + 0
    array([ 1.+0.j,  0.+1.j, -1.+0.j])
    """
    x = np.asarray(x)
    if x.ndim == 0:
        raise ValueError("x must have time as its last axis, got a number")
    if not 0 <= walk < np.inf:
        raise ValueError(f"walk must be finite and >= 0, got {walk}")
    phase = frequency * np.arange(x.shape[-1])
    if walk:
        if rng is None:
            raise TypeError("walk needs rng")
        phase[1:] += walk * np.cumsum(white(x.shape[-1], rng)[1:])
    return np.asarray(x * np.exp(1j * phase), np.result_type(x.dtype, np.complex64))


def pole_radius(a: ArrayLike) -> float:
    """Largest modulus of the roots of a denominator `a`, ``(P + 1,)``; below 1, or it raises ValueError.

    Examples
    --------
    >>> pole_radius([1.0, -0.5])
    0.5
    """
    a = np.asarray(a)
    if a[0] == 0 or not np.isfinite(a).all():
        raise ValueError(f"a must be finite and a[0] not zero, got {a}")
    radius = float(np.abs(np.roots(a)).max(initial=0.0))
    if radius >= 1.0:
        raise ValueError(f"a must be stable, its roots inside the unit circle; one has modulus {radius:.6g}")
    return radius


def add_noise(d: ArrayLike, snr_db: float, rng: Seed) -> Array:
    """Add white Gaussian noise at a signal-to-noise ratio, met exactly by every signal.

    Parameters
    ----------
    d : array_like, shape (..., T)
        Signals, real or complex (then the noise is circular).
    snr_db : float
        ``10 log10(sum |d|^2 / sum |noise|^2)`` over the last axis, in dB; ``inf`` adds nothing.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.

    Returns
    -------
    ndarray, shape (..., T)
        Of the precision of `d`. A silent signal stays silent.

    Examples
    --------
    >>> d = tones(1000, 0.01)
    >>> v = add_noise(d, 20.0, rng=0) - d
    >>> print(f"{10 * np.log10(np.sum(d**2) / np.sum(v**2)):.3f}")
    20.000
    """
    d = np.asarray(d)
    dtype = d.dtype if d.dtype.kind in "fc" else np.dtype(np.float64)
    v = white(d.shape, rng, dtype=np.result_type(dtype, np.float64))
    ratio = np.linalg.norm(d, axis=-1, keepdims=True) / np.linalg.norm(v, axis=-1, keepdims=True)
    return np.asarray(d + v * ratio * 10 ** (-snr_db / 20), dtype)


def delay(x: Any, samples: int) -> Any:
    """Delay signals, ``x[n - samples]`` with zeros at the start: the input of a predictor or a line enhancer.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., T)
        Signals, real or complex.
    samples : int >= 0
        How late they come.

    Returns
    -------
    ndarray or Tensor, shape (..., T)
        Of the kind and precision of `x`; the last samples of `x` are gone.

    Raises
    ------
    TypeError, ValueError
        If `samples` is not an integer or below 0, or `x` has no axis.

    Examples
    --------
    >>> delay([1.0, 2.0, 3.0], 1)
    array([0., 1., 2.])
    """
    try:
        late = operator.index(samples)
    except TypeError:
        raise TypeError(f"samples must be an integer, got {samples!r}") from None
    if late < 0:
        raise ValueError(f"samples must be an integer >= 0, got {samples!r}")
    x = x if isinstance(x, torch.Tensor) else np.asarray(x)
    if x.ndim == 0:
        raise ValueError("x must have time as its last axis, got a number")
    late = min(late, x.shape[-1])
    kept = x[..., : x.shape[-1] - late]
    if isinstance(x, torch.Tensor):
        return torch.cat([torch.zeros_like(x[..., :late]), kept], -1)
    return np.concatenate([np.zeros_like(x[..., :late]), kept], -1)
