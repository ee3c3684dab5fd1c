"""How well a filter did: powers in dB, with the unit in the name, and error rates of symbols and bits.

Arrays, lists and tensors (also on a device or in a graph) go in; float64 NumPy comes out. Time and
coefficients are the last axis, so a batch gives one figure for each filter. An error of exactly zero gives
``-inf`` dB (``+inf`` for :func:`erle_db`), whatever it is compared with, without a warning.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.signal import lfilter

from adaptfilt.checks import check_finite, positive_int
from adaptfilt.constellation import Constellation

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


def evm_db(y: ArrayLike | torch.Tensor, symbols: ArrayLike | torch.Tensor) -> Array:
    """Error vector magnitude, ``10 log10(mean |y - a|^2 / mean |a|^2)``, over the last axis.

    Parameters
    ----------
    y : array_like or Tensor, shape (..., T)
        Equalised symbols, aligned with those that were sent: see `align_symbols`.
    symbols : array_like or Tensor, shape (..., T)
        Symbols a that were sent; decisions in their place are optimistic where some are wrong.

    Returns
    -------
    ndarray, shape (...)
        In dB relative to the mean power of the symbols, not to their peak; in percent, ``100 * 10 ** (evm_db / 20)``.
        ``-inf`` where `y` equals `symbols`.

    Raises
    ------
    ValueError
        If `y` and `symbols` differ in length.

    Notes
    -----
    ETSI TR 101 290, *Measurement guidelines for DVB systems*, 2001, on modulation error ratio, whose negative it is.
    In noise alone it is minus the signal-to-noise ratio.

    Examples
    --------
    >>> print(evm_db([1.1, -1.1], [1.0, -1.0]).round(6))
    -20.0
    """
    y, symbols = _same_length(y, symbols)
    return _ratio_db(_power(y - symbols, "y"), _power(symbols, "symbols"))


def mer_db(y: ArrayLike | torch.Tensor, symbols: ArrayLike | torch.Tensor) -> Array:
    """Modulation error ratio, ``10 log10(mean |a|^2 / mean |y - a|^2)``, over the last axis: minus `evm_db`.

    Parameters
    ----------
    y, symbols : array_like or Tensor, shape (..., T)
        Equalised symbols, and those that were sent.

    Returns
    -------
    ndarray, shape (...)
        In dB; ``+inf`` where `y` equals `symbols`.

    Raises
    ------
    ValueError
        If `y` and `symbols` differ in length.

    Examples
    --------
    >>> print(mer_db([1.1, -1.1], [1.0, -1.0]).round(6))
    20.0
    """
    return -evm_db(y, symbols)


def isi_db(h: ArrayLike | torch.Tensor, w: ArrayLike | torch.Tensor, *, sps: int = 1) -> Array:
    """Interference between symbols that channel and equaliser leave, ``10 log10(sum |c|^2 / max |c|^2 - 1)``.

    Parameters
    ----------
    h : array_like or Tensor, shape (L,)
        Impulse response of the channel at `sps` samples a symbol.
    w : array_like or Tensor, shape (..., M)
        Weights of the equaliser: the last, or a history.
    sps : int >= 1
        Samples a symbol; the combined response is ``c = (h * w)[::sps]``.

    Returns
    -------
    ndarray, shape (...)
        In dB relative to the symbol that comes through most; whatever the delay and phase. ``-inf`` where nothing
        else comes through, NaN where nothing does.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range.

    Notes
    -----
    O. Shalvi, E. Weinstein, "New criteria for blind deconvolution of nonminimum phase systems (channels)", IEEE Trans.
    Information Theory 36(2), 1990.

    Examples
    --------
    >>> print(isi_db([1.0, 0.5], [1.0, -0.5]).round(3))  # 1 and -.25 come through
    -12.041
    """
    h, w, sps = as_array(h), as_array(w), positive_int("sps", sps)
    if h.ndim != 1 or w.ndim == 0 or 0 in (h.size, w.size):
        raise ValueError(f"h must have shape (L,) and w (..., M), got {h.shape} and {w.shape}")
    combined = lfilter(h, 1.0, _pad(w, w.shape[-1] + h.size - 1))[..., ::sps]
    power = np.sort(np.abs(combined) ** 2, axis=-1)
    with np.errstate(invalid="ignore"):
        return _db(np.sum(power[..., :-1], axis=-1) / power[..., -1])


def ser(y: ArrayLike | torch.Tensor, symbols: ArrayLike | torch.Tensor, constellation: Constellation) -> Array:
    """Symbol error rate: the part of wrong decisions, over the last axis.

    Parameters
    ----------
    y : array_like or Tensor, shape (..., T)
        Equalised symbols, aligned with those that were sent: see `align_symbols`.
    symbols : array_like or Tensor, shape (..., T)
        Symbols that were sent, points of the constellation.
    constellation : Constellation
        Whose nearest points are decided for.

    Returns
    -------
    ndarray, shape (...)
        From 0 to 1, a multiple of ``1 / T``.

    Raises
    ------
    ValueError
        If `y` and `symbols` differ in length or are empty, `y` is not finite, or a symbol is no point of the
        constellation (of unit mean power).

    Examples
    --------
    >>> from adaptfilt import Constellation
    >>> print(ser([0.9, -0.2, 0.1, -3.0], [1.0, -1.0, -1.0, -1.0], Constellation.psk(2)))
    0.25
    """
    y, symbols = _same_length(y, symbols)
    return np.mean(constellation.index(y) != _sent(symbols, constellation), axis=-1)


def ber(y: ArrayLike | torch.Tensor, symbols: ArrayLike | torch.Tensor, constellation: Constellation) -> Array:
    """Bit error rate: the part of wrong bits in the labels of the decisions, over the last axis.

    Parameters
    ----------
    y : array_like or Tensor, shape (..., T)
        Equalised symbols, aligned with those that were sent: see `align_symbols`.
    symbols : array_like or Tensor, shape (..., T)
        Symbols that were sent, points of the constellation; ``constellation.symbols(bits)`` makes them from bits.
    constellation : Constellation
        Whose nearest points are decided for, and whose labels are compared.

    Returns
    -------
    ndarray, shape (...)
        From 0 to 1; with Gray labels and few errors, `ser` divided by the bits of a symbol.

    Raises
    ------
    ValueError
        If `y` and `symbols` differ in length or are empty, `y` is not finite, a symbol is no point of the
        constellation (of unit mean power), or the number of points is not a power of two.

    Examples
    --------
    >>> from adaptfilt import Constellation
    >>> c = Constellation.qam(16)
    >>> print(ber(c.points + 0.5j, c.points, c))  # into the next row or, in the top one, not
    0.1875
    """
    y, symbols = _same_length(y, symbols)
    decided, sent = constellation.index(y), _sent(symbols, constellation)
    wrong = np.bitwise_count(constellation.labels[decided] ^ constellation.labels[sent])
    return np.mean(wrong, axis=-1) / constellation.bits_per_symbol


class Alignment(NamedTuple):
    """What `align_symbols` found: the first two go into `evm_db`, `ser` and `ber`."""

    y: Array
    symbols: Array
    delay: Array
    phase: Array
    order: Array


def align_symbols(
    y: ArrayLike | torch.Tensor,
    symbols: ArrayLike | torch.Tensor,
    *,
    rotations: int | None = None,
    max_delay: int | None = None,
) -> Alignment:
    """Undo what a blind equaliser cannot know: delay, rotation and, of several outputs, the order.

    Parameters
    ----------
    y : array_like or Tensor, shape (T,) or (outputs, T)
        Equalised symbols.
    symbols : array_like or Tensor, shape (N,) or (outputs, N)
        Symbols that were sent.
    rotations : int >= 1
        Only multiples of ``2 pi / rotations`` are undone: `Constellation.symmetry`, or 1 for none. By default any
        phase is.
    max_delay : int >= 0
        Largest delay and lead looked for, in symbols; by default any.

    Returns
    -------
    y : ndarray, shape (T',) or (outputs, T')
        Turned by ``exp(-1j phase)``, in the order of `symbols`, cut to where all outputs have their symbols. Real
        where `y` and `symbols` are.
    symbols : ndarray, shape (T',) or (outputs, T')
        The symbols that stand beside them.
    delay, phase, order : ndarray, shape () or (outputs,)
        Of each row of `symbols`: how many symbols later it comes in `y`, by what angle in radians it is turned there,
        and in which output it is.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range, is not finite, or no sample of `y` has its symbol.

    Notes
    -----
    All three are where the correlation of output and symbols, over every delay, is largest in modulus; the order is
    that of the largest sum of squares. It is right where the equaliser has opened the eye and T is some hundred
    symbols. A phase that drifts is not followed: align shorter pieces.

    Examples
    --------
    >>> import adaptfilt as af
    >>> a = af.signals.symbols(af.Constellation.qam(16), 500, rng=0)
    >>> y = 1j * np.append([0.0, 0.0, 0.0], a)  # three symbols late, and turned
    >>> found = align_symbols(y, a, rotations=4)
    >>> int(found.delay), round(float(found.phase), 4), bool(np.allclose(found.y, a))
    (3, 1.5708, True)
    """
    y, symbols = as_array(y), as_array(symbols)
    if y.ndim not in (1, 2) or y.shape[:-1] != symbols.shape[:-1] or 0 in (y.size, symbols.size):
        raise ValueError(f"y and symbols must both be (T,) or (outputs, T), got {y.shape} and {symbols.shape}")
    for name, rows in (("y", y), ("symbols", symbols)):
        check_finite(name, rows)
    if max_delay is not None and max_delay < 0:
        raise ValueError(f"max_delay must be at least 0, got {max_delay}")
    outputs, sent = np.atleast_2d(y), np.atleast_2d(symbols)
    peak, delays = _correlation_peaks(outputs, sent, max_delay)
    order = linear_sum_assignment(-(np.abs(peak) ** 2))[1]
    rows = np.arange(len(order))
    delay, phase = delays[rows, order], np.angle(peak[rows, order])
    if rotations is not None:
        step = 2 * np.pi / positive_int("rotations", rotations)
        phase = step * np.round(phase / step)
    first, last = max(0, delay.max()), min(outputs.shape[-1], sent.shape[-1] + delay.min())
    if first >= last:
        raise ValueError(f"y has no samples whose symbols are all there, at delays of {delay}")
    is_real = not (np.iscomplexobj(y) or np.iscomplexobj(symbols))
    turned = outputs[order, first:last] * (np.cos(phase) if is_real else np.exp(-1j * phase))[:, None]
    beside = np.stack([s[first - k : last - k] for s, k in zip(sent, delay, strict=True)])
    one = 0 if y.ndim == 1 else slice(None)
    return Alignment(turned[one], beside[one], delay[one], phase[one], order[one])


def _correlation_peaks(y: Array, symbols: Array, max_delay: int | None) -> tuple[Array, Array]:
    """Return, for each row of symbols and of y, the largest correlation over the delays, and where it is."""
    size = y.shape[-1] + symbols.shape[-1] - 1
    lags = np.arange(1 - symbols.shape[-1], y.shape[-1])
    c = np.fft.ifft(np.fft.fft(y, size) * np.conj(np.fft.fft(symbols, size))[:, None])[..., lags]
    if max_delay is not None:
        lags, c = lags[np.abs(lags) <= max_delay], c[..., np.abs(lags) <= max_delay]
    k = np.abs(c).argmax(-1)
    return np.take_along_axis(c, k[..., None], -1)[..., 0], lags[k]


def _same_length(y: ArrayLike | torch.Tensor, symbols: ArrayLike | torch.Tensor) -> tuple[Array, Array]:
    y, symbols = as_array(y), as_array(symbols)
    if 0 in (y.ndim, symbols.ndim, y.size) or y.shape[-1] != symbols.shape[-1]:
        raise ValueError(f"y and symbols must have the same length, not 0, got shapes {y.shape} and {symbols.shape}")
    return y, symbols


def _sent(symbols: Array, constellation: Constellation) -> Array:
    k = constellation.index(symbols)
    if not np.allclose(constellation.points[k], symbols, 0, 1e-3 * constellation.min_distance):
        raise ValueError("symbols must be points of the constellation, which has unit mean power")
    return k


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
