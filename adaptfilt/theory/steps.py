"""Step sizes that LMS bears, by formula and by simulation; its excess error and time constants.

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
from scipy.linalg import eigvalsh, toeplitz
from scipy.signal import lfilter

from adaptfilt.checks import DivergenceError
from adaptfilt.signals import Seed, add_noise, white
from adaptfilt.theory.correlations import finite_signal

Array = np.ndarray


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
    steps, x = np.unique(np.asarray(steps, float)), np.atleast_2d(finite_signal("x", x))
    if steps.size == 0 or not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(f"steps must be positive numbers, got {steps}")
    if x.ndim != 2 or not limit > 0:
        raise ValueError(f"x must have shape (T,) or (N, T) and limit be positive, got {x.shape} and {limit}")
    f = make(steps[:, None], (steps.size, len(x)))
    d = _noisy_response(x, f.w.shape[-1], rng) if d is None else np.atleast_2d(finite_signal("d", d))
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
