"""The best equalisers of a known channel, and the symbol errors that noise alone makes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import fft
from scipy.integrate import quad
from scipy.linalg import lstsq
from scipy.special import ndtr

from adaptfilt.checks import positive_int
from adaptfilt.constellation import Constellation
from adaptfilt.theory.correlations import finite_signal

Array = np.ndarray


def mmse_equalizer(
    h: ArrayLike, taps: int, delay: int, noise: float, sps: int = 1, feedback: int = 0
) -> tuple[Array, float]:
    """Equaliser of least mean squared error for a known channel; with feedback taps, the decision-feedback one.

    Parameters
    ----------
    h : array_like, shape (L,)
        Impulse response of the channel at `sps` samples a symbol, real or complex, pulse shaping included:
        ``x[m] = sum_k h[m - k sps] a[k] + v[m]``.
    taps : int >= 1
        Number of coefficients, at the rate of x.
    delay : int >= 0
        In symbols: ``y[n]``, made when ``x[n sps]`` arrives, estimates ``a[n - delay]``. It must lie within what the
        taps see, up to ``(L + taps - 2) // sps``.
    noise : float >= 0
        Power of the white noise v at the rate of x, for symbols a of unit power, which are independent of each other.
    sps : int >= 1
        Samples a symbol.
    feedback : int >= 0
        Number K of past symbols fed back, ``a[n - delay - 1] ... a[n - delay - K]``; they count as decided rightly.

    Returns
    -------
    w : ndarray, shape (taps + feedback,)
        As an impulse response, ``w[k]`` multiplies ``x[n sps - k]``; then the feedback taps, whose products are
        added. Float64 or complex128; the shortest one where several do as well (only without noise).
    mse : float
        ``E|a[n - delay] - y[n]|^2``.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range.

    Notes
    -----
    The Wiener solution of the model, found as the least squares of ``[H^T; sqrt(noise) I] w = [e_delay; 0]``, where
    ``H[i, j] = h[j sps - i]`` is how ``a[n - j]`` comes into ``x[n sps - i]``. Feedback removes the symbols it knows
    from the error: the rows delay + 1 ... delay + K of H^T. J. G. Proakis, *Digital Communications*, 4th ed., 2001,
    chapter 10; for feedback C. A. Belfiore, J. H. Park, "Decision feedback equalization", Proc. IEEE 67(8), 1979.
    MATLAB's ``mmseweights`` are the conjugates.

    Examples
    --------
    >>> w, mse = mmse_equalizer([1.0, 0.5], taps=3, delay=0, noise=0.01, feedback=1)
    >>> w.round(3), round(mse, 4)
    (array([ 0.99 ,  0.   ,  0.   , -0.495]), 0.0099)
    """
    h = finite_signal("h", h)
    if h.ndim != 1:
        raise ValueError(f"h must have shape (L,), got {h.shape}")
    taps, sps = positive_int("taps", taps), positive_int("sps", sps)
    last = (h.size + taps - 2) // sps
    delay, feedback = _count("delay", delay), _count("feedback", feedback)
    if delay > last:
        raise ValueError(f"delay must be at most {last} symbols, got {delay}: the taps see no later ones")
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be finite and >= 0, got {noise}")
    lag = sps * np.arange(last + 1)[:, None] - np.arange(taps)
    response = np.where((lag >= 0) & (lag < h.size), h[lag.clip(0, h.size - 1)], 0)  # H^T
    wanted = np.eye(1, last + 1 + taps, delay)[0]
    known = np.arange(delay + 1, min(delay + feedback, last) + 1)
    A = np.concatenate([response, math.sqrt(noise) * np.eye(taps)])
    A[known] = 0
    f = lstsq(A, wanted, lapack_driver="gelsd")[0]
    b = np.zeros(feedback, f.dtype)
    b[: known.size] = -response[known] @ f
    return np.concatenate([f, b]), float(np.sum(np.abs(wanted - A @ f) ** 2))


def mmse_infinite(h: ArrayLike, noise: float) -> tuple[float, float]:
    """Least mean squared errors of equalisers with infinitely many taps, without and with decision feedback.

    Parameters
    ----------
    h : array_like, shape (L,)
        Impulse response of the channel at one sample a symbol, real or complex.
    noise : float > 0
        Power of the white noise, for independent symbols of unit power.

    Returns
    -------
    linear : float
        ``mean N / (|H|^2 + N)`` over all frequencies, N = noise.
    dfe : float
        ``exp(mean ln(N / (|H|^2 + N)))``, with all past symbols decided rightly; never above `linear`.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range.

    Notes
    -----
    J. Salz, "Optimum mean-square decision feedback equalization", Bell System Technical Journal 52(8), 1973. The means
    are over 2^18 frequencies: exact to rounding unless a zero of h is by the unit circle and the noise 100 dB below
    the channel's power.

    Examples
    --------
    >>> linear, dfe = mmse_infinite([1.0, 0.5], noise=0.1)
    >>> print(f"{linear:.6f} {dfe:.6f}")
    0.110264 0.088616
    """
    h = finite_signal("h", h)
    if h.ndim != 1 or h.size > 2**17:
        raise ValueError(f"h must have shape (L,), L up to {2**17}, got {h.shape}")
    if not 0 < noise < math.inf:
        raise ValueError(f"noise must be finite and positive, got {noise}")
    error = noise / (np.abs(fft(h, 2**18)) ** 2 + noise)
    return float(np.mean(error)), float(np.exp(np.mean(np.log(error))))


def symbol_error_rate(constellation: Constellation, noise: float) -> float:
    """How many symbols white Gaussian noise alone makes wrong: what no equaliser betters.

    Parameters
    ----------
    constellation : Constellation
        On a grid (`pam`, `qam` but for the crosses), or `psk`.
    noise : float > 0
        Power of the noise at the decision, complex circular where the points are complex, for symbols of unit power;
        `mmse_equalizer` gives that of an equaliser, whose rest is nearly Gaussian.

    Returns
    -------
    float
        From 0 to 1; with probabilities, of symbols as often as they are sent, decided for the nearest point.

    Raises
    ------
    ValueError
        If the noise is not positive, or the constellation is another one.

    Notes
    -----
    J. G. Proakis, *Digital Communications*, 4th ed., 2001, section 5.2, for grids; J. W. Craig, "A new, simple and
    exact result for calculating the probability of error for two-dimensional signal constellations", IEEE MILCOM,
    1991, for `psk`: ``1 / pi`` times the integral of ``exp(-sin(pi/M)^2 / (noise sin(t)^2))`` from 0 to ``pi - pi/M``.

    Examples
    --------
    >>> from adaptfilt import Constellation
    >>> print(f"{symbol_error_rate(Constellation.qam(16), 10 ** -1.5):.4e}")
    1.7782e-02
    """
    c = constellation
    if not 0 < noise < math.inf:
        raise ValueError(f"noise must be finite and positive, got {noise}")
    if c.grid is not None:
        deviation = math.sqrt(noise if c.is_real else noise / 2)
        beyond = float(ndtr(-c.min_distance / 2 / deviation))
        wrong = [np.full(levels, 2 * beyond) for levels in c.grid]
        for row in wrong:
            row[[0, -1]] = beyond if row.size > 1 else 0.0
        either = wrong[0][:, None] + (1 - wrong[0][:, None]) * wrong[1]
        return float(c.probabilities @ either.ravel())
    M = c.points.size
    if c.radii.size > 1 or c.symmetry != M:
        raise ValueError(
            "constellation must be a grid or psk: of crosses, apsk and points of one's own the rate is not known here, "
            f"and metrics.ser counts it, got {c!r}"
        )
    if c.is_real:
        return float(ndtr(-1 / math.sqrt(noise)))
    s = math.sin(math.pi / M) ** 2 / noise
    return float(quad(lambda t: math.exp(-s / math.sin(t) ** 2), 0, math.pi - math.pi / M, epsabs=0)[0] / math.pi)


def _count(name: str, value: int) -> int:
    """Return value as an int >= 0."""
    return 0 if isinstance(value, int | np.integer) and value == 0 else positive_int(name, value)
