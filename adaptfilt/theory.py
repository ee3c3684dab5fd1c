"""What theory predicts: Wiener solution, best equalisers, eigenvalue spread, step bounds, excess error, time constants.

Everywhere ``r[k] = E[x[n] conj(x[n - k])]``, k = 0 ... M - 1, is the input's autocorrelation, R the M x M
Toeplitz matrix that it makes, and the update is ``w + mu e conj(u)``. Signals are stationary.

Step-size bounds, excess errors and time constants hold under the *independence assumption*: each regressor is
independent of those before it, and the noise of both. The regressors of a delay line share all samples but one,
so there these figures are approximations for small steps, and the bounds promise nothing: on coloured input LMS
bursts well below them (`max_step_mean_square` gives figures).

`kurtosis` is ``E|z|^4 / E[|z|^2]^2`` of the regressor's components z along the eigenvectors of R, taken to be
independent of each other, which they are for Gaussian input: 3 if it is real, 2 if complex circular.

References
----------
.. [1] S. Haykin, *Adaptive Filter Theory*, 4th ed., 2002.
.. [2] A. H. Sayed, *Adaptive Filters*, 2008.
.. [3] B. Widrow, S. D. Stearns, *Adaptive Signal Processing*, 1985.
.. [4] A. Feuer, E. Weinstein, "Convergence analysis of LMS filters with uncorrelated Gaussian data", IEEE
   Trans. Acoustics, Speech, and Signal Processing 33(1), 1985.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.fft import fft, ifft, next_fast_len
from scipy.integrate import quad
from scipy.linalg import eigvalsh, lstsq, solve_toeplitz, toeplitz
from scipy.signal import lfilter
from scipy.special import ndtr

from adaptfilt.checks import DivergenceError, check_number, positive_int
from adaptfilt.constellation import Constellation
from adaptfilt.metrics import as_array
from adaptfilt.signals import Seed, add_noise, white

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


def max_step_mean(r: ArrayLike) -> float:
    """Step size below which the mean of the LMS weights converges, from the input's power: ``2 / (M r[0])``.

    Parameters
    ----------
    r : array_like, shape (M,)
        Autocorrelation of the input.

    Returns
    -------
    float
        In ``1 / (unit of x)^2``.

    Notes
    -----
    [3]_, chapter 6. The bound is ``2 / tr R``: it needs only the input's power, and is no larger than the exact one,
    ``2 / lambda_max``, which is `max_step_mean_exact`; only for M = 1 are they the same. The variance may grow all
    the same: see `max_step_mean_square`. For several inputs (the two lines of a decision-feedback equaliser) the
    traces add, so that ``1 / bound`` is the sum of theirs.

    Examples
    --------
    >>> max_step_mean([1.0] + 31 * [0.0])
    0.0625
    """
    r = np.asarray(r)
    return 2.0 / (r.size * float(r[0].real))


def max_step_mean_exact(r: ArrayLike) -> float:
    """Step size below which the mean of the LMS weights converges, exact for independent regressors.

    Parameters
    ----------
    r : array_like, shape (M,)
        Autocorrelation of the input.

    Returns
    -------
    float
        The textbooks' ``2 / lambda_max``, in ``1 / (unit of x)^2``.

    Notes
    -----
    [1]_, chapter 5. Under the independence assumption the mean of the weights' error is multiplied by ``I - mu R``
    every sample, so that it vanishes just where ``0 < mu < 2 / lambda_max``. For white input this is M times
    `max_step_mean`, the bound from the power alone. **No step for use:** where the mean converges the error's power
    may still grow without limit, and does so for white input from about 2 / M of this step on; see
    `max_step_mean_square`, and `simulate_max_step` for a delay line.

    Examples
    --------
    >>> max_step_mean_exact([1.0] + 31 * [0.0])
    2.0
    """
    return float(2.0 / eigvalsh(toeplitz(r))[-1])


def max_step_mean_square(r: ArrayLike, kurtosis: float = 3.0) -> float:
    """Step size below which the LMS error power converges, for independent regressors; a delay line needs less.

    Parameters
    ----------
    r : array_like, shape (M,)
        Autocorrelation of the input.
    kurtosis : float >= 1
        Of the regressor's components along the eigenvectors of R, which are independent of each other.

    Returns
    -------
    float
        ``2 / (tr R + (kurtosis - 1) lambda_max)``, in ``1 / (unit of x)^2``.

    Notes
    -----
    Under these two assumptions the powers k_i of the weight error along the eigenvectors, of eigenvalues l_i, follow
    ``k_i <- (1 - 2 mu l_i + (kurtosis - 1) mu^2 l_i^2) k_i + mu^2 l_i sum_j l_j k_j``, but for the noise. This is
    stable where ``sum_i mu l_i / (2 - (kurtosis - 1) mu l_i) < 1`` and every denominator is positive ([4]_ for real
    Gaussian input). With the largest eigenvalue in every denominator this becomes the bound here: under the
    assumptions it is sufficient, and exact for white input. MATLAB's ``maxstep`` computes the same figure, with r and
    the kurtosis estimated from data.

    **For a delay line it is not sufficient.** Neighbouring regressors are alike there, and a stretch of strong input
    can multiply the error again and again. With Gaussian AR(1) input of pole .8, 16 taps and noise 20 dB below the
    input, |e| exceeded a hundred times the noise's rms value within 50 000 samples in 42 of 200 filters at .3 of the
    bound, in 8 at .25, in none at .2 and .1. Longer runs burst at smaller steps. Start from a tenth of the bound, or
    take `adaptfilt.NLMS`, whose weight error, but for noise, grows on no input for 0 < mu < 2.

    Examples
    --------
    >>> print(f"{max_step_mean_square([1.0] + 31 * [0.0]):.4f}")  # 2 / (M + 2)
    0.0588
    """
    eigenvalues = eigvalsh(toeplitz(r))
    return float(2.0 / (eigenvalues.sum() + (kurtosis - 1.0) * eigenvalues[-1]))


def simulate_max_step(
    make: Callable[[Array, tuple[int, int]], Any],
    steps: ArrayLike,
    x: ArrayLike,
    d: ArrayLike | None = None,
    *,
    limit: float = 10.0,
    rng: Seed = 0,
) -> float:
    """Largest of some step sizes with which a filter stays bounded: all are run side by side on the same signals.

    Parameters
    ----------
    make : callable
        ``make(mu, batch)`` returns a fresh linear filter of that batch, ``(S, N)``; mu is a float64 array, ``(S, 1)``.
    steps : array_like, shape (S,)
        Step sizes to try; positive, in any order.
    x : array_like, shape (T,) or (N, T)
        Input of one run, or of N; real or complex.
    d : array_like, shape of x
        Desired signal. By default that of a Gaussian impulse response of as many taps as the filter has, another for
        each run, with white noise 20 dB below it.
    limit : float > 0
        A filter has burst where its error exceeds `limit` times the rms value of d of its run. 10 is far beyond what
        adaptation needs, and with the noise of the default a hundred times the noise.
    rng : numpy.random.Generator or int
        Source of randomness for the default of `d`, or a seed.

    Returns
    -------
    float
        The largest step below every step that burst in any run; 0 where the smallest did.

    Raises
    ------
    ValueError
        If `steps`, `x`, `d` or `limit` has another shape or range.

    Notes
    -----
    Nothing is assumed of the regressors: the samples that a delay line shares are in the figure, unlike in the bounds
    above. It holds for these signals: bursts are rare events, and longer or more runs find them at smaller steps, so
    take T as long as can be, N in the hundreds, and a part of the result. A filter that has burst is taken out (its
    weights and d are zero from then on), after at most 512 samples.

    Examples
    --------
    >>> import adaptfilt as af
    >>> x = af.signals.coloured((20, 4000), [1.0, -0.8], rng=0)
    >>> steps = [0.001, 0.01, 0.1, 1.0]
    >>> simulate_max_step(lambda mu, batch: af.LMS(16, mu, batch=batch, dtype=torch.float64), steps, x)
    0.01
    """
    steps, x = np.unique(np.asarray(steps, float)), np.atleast_2d(_finite_signal("x", x))
    if steps.size == 0 or not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(f"steps must be positive numbers, got {steps}")
    if x.ndim != 2 or not limit > 0:
        raise ValueError(f"x must have shape (T,) or (N, T) and limit be positive, got {x.shape} and {limit}")
    f = make(steps[:, None], (steps.size, len(x)))
    d = _noisy_response(x, f.w.shape[-1], rng) if d is None else np.atleast_2d(_finite_signal("d", d))
    if d.shape != x.shape:
        raise ValueError(f"d must have the shape of x, {x.shape}, got {d.shape}")
    has_burst = np.zeros((steps.size, len(x)), bool)
    largest = limit * np.sqrt(np.mean(np.abs(d) ** 2, axis=-1))
    for start in range(0, x.shape[-1], 512):
        _run_and_drop(f, x[:, start : start + 512], d[:, start : start + 512], has_burst, largest)
    return float(max(steps[~np.logical_or.accumulate(has_burst.any(-1))], default=0.0))


def _run_and_drop(f: Any, x: Array, d: Array, has_burst: Array, largest: Array) -> None:
    """Run a block and note in has_burst what burst in it; the weights of what did are zero from then on."""
    shape = (*has_burst.shape, x.shape[-1])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is looked for here
            e = f(np.broadcast_to(x, shape), np.where(has_burst[..., None], 0, d)).e
    except DivergenceError:  # the state is that before the block: in shorter blocks, down to where one begins to burst
        if x.shape[-1] == 1:
            raise
        half = x.shape[-1] // 2
        _run_and_drop(f, x[:, :half], d[:, :half], has_burst, largest)
        _run_and_drop(f, x[:, half:], d[:, half:], has_burst, largest)
        return
    has_burst |= np.abs(e).max(-1) > largest
    f.w = torch.where(torch.from_numpy(has_burst)[..., None], 0, f.w)


def _noisy_response(x: Array, taps: int, rng: Seed) -> Array:
    rng = np.random.default_rng(rng)
    h = white((len(x), taps), rng, dtype=x.dtype) / np.sqrt(taps)
    return add_noise(np.stack([lfilter(row, 1.0, u) for row, u in zip(h, x, strict=True)]), 20.0, rng)


def lms_emse(mu: float, taps: int, input_power: float, noise_power: float, kurtosis: float = 3.0) -> float:
    """Excess mean squared error of LMS in the steady state for white input and independent regressors.

    Parameters
    ----------
    mu : float > 0
        Step size.
    taps : int >= 1
        Number of coefficients M.
    input_power : float > 0
        ``p = E[|x|^2]``.
    noise_power : float >= 0
        ``s``, the least mean squared error: what the Wiener solution leaves.
    kurtosis : float >= 1
        Of the regressor's components, which are independent of each other.

    Returns
    -------
    float
        ``mu M p s / (2 - mu (M + kurtosis - 1) p)``: the power of the steady-state error beyond `noise_power`;
        ``inf`` from `max_step_mean_square` on.

    Notes
    -----
    [2]_, chapter 16; exact under these assumptions, the steady state of the recursion in `max_step_mean_square`. For
    coloured input, and for a delay line, it holds as mu goes to 0: it is then ``mu tr(R) s / 2``, whatever the colour.

    Examples
    --------
    >>> print(f"{lms_emse(0.008, 32, input_power=1.0, noise_power=0.01):.7f}")
    0.0014815
    """
    stability = 2.0 - mu * input_power * (taps + kurtosis - 1.0)
    return mu * taps * input_power * noise_power / stability if stability > 0 else math.inf


def nlms_emse(mu: float, taps: int, noise_power: float, *, is_complex: bool = False) -> float:
    """Excess mean squared error of NLMS in the steady state for white Gaussian input and independent regressors.

    Parameters
    ----------
    mu : float > 0
        Step size.
    taps : int
        Number of coefficients M; at least 3, or 2 for complex input.
    noise_power : float >= 0
        ``s``, the least mean squared error.
    is_complex : bool
        The input is complex circular.

    Returns
    -------
    float
        ``mu s / (2 - mu) * tr(R) E[1 / |u|^2]``: the power that the steady-state error has beyond `noise_power`,
        whatever the input's power; ``inf`` from ``mu = 2`` on and for fewer taps.

    Notes
    -----
    [2]_, chapter 17, with eps = 0; exact under these assumptions. ``tr(R) E[1 / |u|^2]`` is then ``M / (M - 2)``, for
    complex circular input ``M / (M - 1)``: the mean of an inverse chi-square variable.

    Examples
    --------
    >>> print(f"{nlms_emse(0.5, 32, noise_power=0.01):.6f}")
    0.003556
    """
    lost = 1 if is_complex else 2
    if mu >= 2.0 or taps <= lost:
        return math.inf
    return mu * noise_power / (2.0 - mu) * taps / (taps - lost)


def time_constant(mu: float, eigenvalue: float) -> float:
    """Time in samples for one mode of the LMS learning curve to fall e-fold, ``-1 / (2 ln |1 - mu l|)``.

    Parameters
    ----------
    mu : float > 0
        Step size, with ``mu * eigenvalue < 2``.
    eigenvalue : float > 0
        ``l``, an eigenvalue of R; the input power for white input.

    Returns
    -------
    float
        Nearly ``1 / (2 mu l)`` for small steps; the weights themselves take twice as long. A fall by 20 dB
        takes ``ln(100) = 4.6`` time constants. ``inf`` where the mode does not decay.

    Notes
    -----
    [1]_, chapter 4: exact for steepest descent, whose modes are multiplied by ``1 - mu l`` every step. The mean of
    the LMS weights decays so for independent regressors; the mean *squared* error does for steps so small that the
    terms in mu^2 of the recursion in `max_step_mean_square` do not count.

    Examples
    --------
    >>> print(f"{time_constant(0.01, 1.0):.2f}")
    49.75
    """
    decay = abs(1.0 - mu * eigenvalue)
    if not 0.0 < decay < 1.0:
        return 0.0 if decay == 0.0 else math.inf
    return -1.0 / (2.0 * math.log(decay))


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
    x, d = _finite_signal("x", x), _finite_signal("d", d)
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
    >>> x = white(500, rng=0)
    >>> s = [0.0, 1.0, 0.5]
    >>> causal_wiener(x, lfilter(s, 1, lfilter([0.3, -0.2], 1, x)), taps=3, secondary=s).round(3) + 0
    array([ 0.3, -0.2,  0. ])
    """
    taps, weight = positive_int("taps", taps), float(check_number("leak", leak, ()))
    x, d = _finite_signal("x", x), _finite_signal("d", d)
    references, errors = np.atleast_2d(x), np.atleast_2d(d)
    if x.ndim > 2 or d.ndim > 2 or x.shape[-1] != d.shape[-1]:
        raise ValueError(f"x and d must have shape ([K,] T) and ([L,] T), got {x.shape} and {d.shape}")
    L, samples = errors.shape
    paths = np.eye(L)[..., None] if secondary is None else _finite_signal("secondary", secondary)
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
    h = _finite_signal("h", h)
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
    h = _finite_signal("h", h)
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
        raise ValueError(f"constellation must be a grid or psk, got {c!r}")
    if c.is_real:
        return float(ndtr(-1 / math.sqrt(noise)))
    s = math.sin(math.pi / M) ** 2 / noise
    return float(quad(lambda t: math.exp(-s / math.sin(t) ** 2), 0, math.pi - math.pi / M, epsabs=0)[0] / math.pi)


def _count(name: str, value: int) -> int:
    """Return value as an int >= 0."""
    return 0 if isinstance(value, int | np.integer) and value == 0 else positive_int(name, value)


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


def _finite_signal(name: str, value: ArrayLike) -> Array:
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
