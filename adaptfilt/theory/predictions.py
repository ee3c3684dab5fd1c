"""What a user should expect of a filter at hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_toeplitz, toeplitz
from scipy.optimize import minimize_scalar

from adaptfilt.filters.frequency.fdaf import FDAF
from adaptfilt.filters.gradient.lmf import LMF
from adaptfilt.filters.gradient.lms import LMS
from adaptfilt.filters.gradient.nlms import NLMS
from adaptfilt.filters.gradient.sign_error import SignError
from adaptfilt.filters.least_squares.affine_projection import AffineProjection
from adaptfilt.filters.least_squares.rls import RLS
from adaptfilt.theory.correlations import finite_signal
from adaptfilt.theory.learning import (
    Learning,
    Moments,
    Problem,
    Steady,
    block_moments,
    learn,
    lmf_moments,
    lms_moments,
    nlms_moments,
    overlapped,
    overlapped_curve,
    settle,
    sign_error_moments,
)
from adaptfilt.theory.projections import fdaf_steady, projection_steady, rls_steady

GRADIENT = (LMS, NLMS, SignError, LMF)
LONGEST = 2048  # samples of a response beyond the filter's taps
KNOWN = (*GRADIENT, AffineProjection, RLS, FDAF)


class Prediction(NamedTuple):
    """What theory expects of a filter.

    Attributes
    ----------
    mse, emse, misadjustment : float
        Mean squared error in the steady state, its excess over the least one, and the excess as a part of that.
    msd : float
        Mean-square deviation ``E|h - w|^2`` in the steady state, of the weights that the filter has.
    least : float
        Least mean squared error: the noise, and what a plant longer than the filter adds.
    learning : Learning or None
        The learning curve, of LMS, NLMS, sign-error LMS, LMF and block LMS, where `samples` were asked for.
    """

    mse: float
    emse: float
    misadjustment: float
    msd: float
    least: float
    learning: Learning | None


@dataclass(frozen=True)
class _Rule:
    """A filter as theory sees it: its steady state by the step size, and its learning curve where there is one."""

    mu: float
    steady: Callable[[float], Steady]
    curve: Callable[[int], Learning] | None = None


def predict(
    filter: Any, plant: Any, input: ArrayLike, *, noise: float, walk: float = 0.0, samples: int | None = None
) -> Prediction:
    """Say what to expect of a filter that identifies a plant, from zero weights.

    Parameters
    ----------
    filter : LMS, NLMS, SignError, LMF, AffineProjection, RLS or FDAF
        With parameters that are numbers; FDAF of one constrained partition, which if
        normalised has ``hop = block``.
    plant : array_like, shape (N,), or an object with ``impulse_response(taps)``
        The plant's response at the start. Where it is longer than the filter, the rest of it counts as noise.
    input : float > 0 or array_like, shape (N,) or longer
        Power of a white input, or the autocorrelation of a coloured one: `adaptfilt.theory.autocorrelation`.
    noise : float >= 0
        Power of the noise in d, white and Gaussian.
    walk : float >= 0
        Standard deviation of the step that each coefficient of the plant takes after every sample.
    samples : int >= 1, optional
        Length of the learning curve.

    Returns
    -------
    Prediction
        ``inf`` where the filter has no steady state, and in a learning curve from where it overflows. LMF may have the
        one and not reach it from zero weights.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range, or theory does not know the filter.

    Notes
    -----
    For Gaussian signals, and as exact as `adaptfilt.theory` says; ``docs/theory.md`` compares it with simulation.

    Examples
    --------
    >>> import adaptfilt as af
    >>> h = [0.5, -0.3, 0.2, 0.1]
    >>> expected = predict(af.NLMS(4, 0.5), h, input=1.0, noise=0.01, samples=100)
    >>> print(f"{expected.misadjustment:.3f}, {expected.learning.mse[0]:.2f} at first")
    0.667, 0.40 at first
    """
    problem = _problem(filter, plant, input, noise, walk)
    rule = _rule(filter, problem)
    steady = rule.steady(rule.mu)
    curve = None
    if samples is not None and rule.curve is not None:
        curve = rule.curve(samples)
    least = problem.noise
    apart = steady.emse / least if least > 0 else math.inf
    return Prediction(least + steady.emse, steady.emse, apart, steady.msd, least, curve)


def optimum_step(filter: Any, plant: Any, input: ArrayLike, *, noise: float, walk: float) -> float:
    """Return the step size (of RLS, the forgetting factor) that tracks a plant's random walk with the least error.

    Parameters
    ----------
    filter, plant, input, noise
        As for `predict`; the filter's own step size does not matter.
    walk : float > 0
        As for `predict`. Without it the best step is the smallest one.

    Returns
    -------
    float
        For small walks, ``walk / sqrt(noise r[0])`` of LMS, ``1 - lam = walk sqrt(r[0] / noise)`` of RLS.

    Raises
    ------
    TypeError, ValueError
        As for `predict`, or if `walk` is not positive.

    Notes
    -----
    B. Widrow, J. McCool, M. Larimore, C. Johnson, "Stationary and nonstationary learning characteristics of the LMS
    adaptive filter", Proc. IEEE 64(8), 1976; E. Eleftheriou, D. D. Falconer, "Tracking properties and steady-state
    performance of RLS adaptive filter algorithms", IEEE Trans. ASSP 34(5), 1986. Here it is the step of least error by
    `predict`, found by search.

    Examples
    --------
    >>> import adaptfilt as af
    >>> print(f"{optimum_step(af.LMS(16, 0.01), 16 * [0.1], 1.0, noise=0.01, walk=1e-4):.4f}")
    0.0010
    """
    if not 0 < walk < math.inf:
        raise ValueError(f"walk must be finite and positive, got {walk}")
    problem = _problem(filter, plant, input, noise, walk)
    if not problem.noise > 0:
        raise ValueError(f"noise must be positive, got {noise}")
    rule = _rule(filter, problem)
    is_forgetting = isinstance(filter, RLS)

    def error(log_step: float) -> float:
        step = math.exp(log_step)
        return min(rule.steady(1 - step if is_forgetting else step).emse, 1e300)

    steps = np.linspace(math.log(1e-8), math.log(0.5 if is_forgetting else 1.0 / min(1.0, problem.l.sum())), 60)
    best = int(np.argmin([error(step) for step in steps]))
    around = steps[max(best - 1, 0)], steps[min(best + 1, steps.size - 1)]
    step = math.exp(minimize_scalar(error, bounds=around, method="bounded", options={"xatol": 1e-6}).x)
    return 1 - step if is_forgetting else step


def _problem(filter: Any, plant: Any, input: ArrayLike, noise: float, walk: float) -> Problem:
    """Return the problem as a filter of its taps sees it."""
    if not isinstance(filter, KNOWN):
        names = ", ".join(cls.__name__ for cls in KNOWN)
        raise ValueError(f"filter must be one that theory knows, {names}, got {type(filter).__name__}")
    if filter.inputs is not None or filter.outputs is not None or getattr(filter, "sps", 1) != 1:
        raise ValueError("filter must have neither inputs, outputs nor sps for theory to know it")
    if getattr(filter, "features", None) is not None:
        raise ValueError("filter must have no features for theory to know it")
    taps = filter.w.shape[-1]
    r = finite_signal("input", np.atleast_1d(np.asarray(input)))
    if r.ndim != 1:
        raise ValueError(f"input must be a power or an autocorrelation of shape (N,), got {r.shape}")
    known = r.size if r.size > 1 else None  # white
    if hasattr(plant, "impulse_response"):
        h = plant.impulse_response(known or LONGEST + taps)
        h = h[: max(taps, 1 + int(np.flatnonzero(np.abs(h) > 1e-9 * np.abs(h).max(initial=0.0)).max(initial=0)))]
    else:
        h = finite_signal("plant", plant)
    if h.ndim != 1:
        raise ValueError(f"plant must have shape (N,), got {h.shape}")
    size = max(h.size, taps)
    if known is None:
        r = np.append(r, np.zeros(size - 1))
    if r.size < size:
        raise ValueError(f"input must have {size} lags, as many as plant and filter have coefficients, got {r.size}")
    h, r = np.append(h, np.zeros(size - h.size)), r[:size]
    is_complex = filter.w.dtype.is_complex
    if size == taps:
        return Problem(h, r, noise, walk, is_complex)
    R = toeplitz(r)
    found = solve_toeplitz(r[:taps], (R @ h)[:taps])
    rest = h - np.append(found, np.zeros(size - taps))
    beyond = float(np.real(np.conj(rest) @ R @ rest))
    return Problem(found, r[:taps], noise + beyond, walk, is_complex)


def _rule(filter: Any, problem: Problem) -> _Rule:
    if isinstance(filter, RLS):
        return _Rule(_number(filter, "lam"), lambda lam: rls_steady(problem, lam))
    mu = _number(filter, "mu")
    if isinstance(filter, AffineProjection):
        return _Rule(mu, lambda step: projection_steady(problem, step, int(filter.order)))
    leak = _number(filter, "leak") if hasattr(filter, "leak") else 0.0
    if isinstance(filter, FDAF):
        return _frequency(filter, problem, mu, leak)
    if problem.is_complex and isinstance(filter, SignError | LMF):
        raise ValueError(f"filter must be real for theory to know it, got a complex {type(filter).__name__}")
    moments = {
        LMS: lambda: lms_moments(problem),
        NLMS: lambda: nlms_moments(problem, _number(filter, "eps")),
        SignError: lambda: sign_error_moments(problem),
        LMF: lambda: lmf_moments(problem),
    }[next(cls for cls in GRADIENT if isinstance(filter, cls))]()
    return _recursion(problem, moments, mu, leak)


def _recursion(problem: Problem, moments: Callable[[float], Moments], mu: float, leak: float, every: int = 1) -> _Rule:
    """Return the rule of a filter whose moments follow a recursion."""
    return _Rule(
        mu,
        lambda step: settle(problem, moments, step, leak=leak, every=every),
        lambda samples: learn(problem, moments, mu, samples, leak=leak, every=every),
    )


def _frequency(filter: Any, problem: Problem, mu: float, leak: float) -> _Rule:
    if filter.block < problem.l.size:
        raise ValueError(f"filter must have one partition, block >= taps, got block={filter.block}")
    if filter.constraint == "none":
        raise ValueError("filter must be constrained for theory to know it, got constraint='none'")
    block, hop = int(filter.block), int(filter.hop)
    if filter.variant == "plain" and hop < block:
        steady = partial(overlapped, problem, block=block, hop=hop, leak=leak)
        curve = partial(overlapped_curve, problem, mu, block, hop, leak=leak)
        return _Rule(mu, steady, curve)
    if filter.variant == "plain":
        return _recursion(problem, block_moments(problem, block), mu, leak, block)
    if leak:
        raise ValueError(f"filter must have no leak for theory to know it, got leak={leak}")
    if hop < block:
        raise ValueError(f"filter must have hop = block or normalized=False for theory to know it, got hop={hop}")
    lam, eps = _number(filter, "lam"), _number(filter, "eps")
    return _Rule(mu, lambda step: fdaf_steady(problem, step, block, lam, eps))


def _number(filter: Any, name: str) -> float:
    """Return a parameter of a filter, which must be one number."""
    value = np.asarray(getattr(filter, name))
    if value.size != 1:
        raise ValueError(f"filter must have one {name}, got {name} of shape {value.shape}")
    return float(value.reshape(()))
