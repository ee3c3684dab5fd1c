"""Learning curves and steady states of gradient filters, sample by sample, for Gaussian input of any colour.

With v = h - w, and independent Gaussian regressors u, an update ``w <- (1 - mu leak) w + mu g conj(u)`` makes

    v <- (1 - mu leak) v - mu g conj(u) + mu leak h.

In the coordinates c of R's eigenvectors, of eigenvalues l, the means m = E c and powers k = E|c|^2 follow a recursion
of their own, since odd moments of independent Gaussian components vanish:

    m <- (f - mu D) m + b
    k <- f^2 k - 2 f mu D k + mu^2 (Q k + N) + 2 Re[conj(b) (f - mu D) m] + |b|^2 + walk^2

where f = 1 - mu leak, b = mu leak c_h, and each algorithm has its mean gain D along the modes, the matrix Q by which
errors come back, and the noise N that it lets in; p = s + l^T k is the error's power, kappa 3 for real signals and 2
for complex ones:

    algorithm    D                       Q                               N
    LMS          l                       (kappa - 1) diag(l^2) + l l^T   s l
    NLMS         E[|c|^2 / n]            E[|c_i|^2 |c_j|^2 / n^2]        s E[|c|^2 / n^2],  n = eps + |u|^2
    sign-error   l sqrt(2 / (pi p))      0                               l
    LMF          3 p l                   90 p^2 diag(l^2)                15 p^3 l
    block of L   L l                     L Q_LMS + L (L - 1) diag(l^2)   L s l

Where a block of L is used every H samples, each sample counts J = L / H times, in windows that share samples.
A sample that is used again has been learned from before: its own error is smaller by a part
``o = mu (Q_LMS 1 / l - l)`` each time. The weights' errors shrink by ``c = mu L l (1 - (J - 1) o / 2)`` a hop, and what
disturbs one sample has the response

    r_0 = mu,    r_t = (f - mu L l - o) r_{t-1} + mu for t < J,    r_t = (f - c) r_{t-1} from then on.

With q = H (s l + (Q_LMS - diag(l^2)) k) of the disturbances of a hop, k is the square of the mean, and r_t^2 q summed
over the hops before: to second order in mu, and derived here.

Those of NLMS are exact: ``1 / n^a`` is an integral of ``t^(a - 1) exp(-t n)``, under which Gaussian moments are
products over the modes. Sign-error and LMF take the error as Gaussian, with the power that it has on the average.

References
----------
.. [1] A. Feuer, E. Weinstein, "Convergence analysis of LMS filters with uncorrelated Gaussian data", IEEE Trans. ASSP
   33(1), 1985.
.. [2] N. J. Bershad, "Analysis of the normalized LMS algorithm with Gaussian inputs", IEEE Trans. ASSP 34(4), 1986;
   M. Tarrab, A. Feuer, "Convergence and performance analysis of the normalized LMS algorithm with uncorrelated Gaussian
   data", IEEE Trans. Information Theory 34(4), 1988; D. T. M. Slock, "On the convergence behavior of the LMS and the
   normalized LMS algorithms", IEEE Trans. Signal Processing 41(9), 1993.
.. [3] V. J. Mathews, S. H. Cho, "Improved convergence analysis of stochastic gradient adaptive filters using the sign
   algorithm", IEEE Trans. ASSP 35(4), 1987.
.. [4] E. Walach, B. Widrow, "The least mean fourth (LMF) adaptive algorithm and its family", IEEE Trans. Information
   Theory 30(2), 1984.
.. [5] A. Feuer, "Performance analysis of the block least mean square algorithm", IEEE Trans. Circuits and Systems
   32(9), 1985.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh, toeplitz

from adaptfilt.checks import positive_int
from adaptfilt.theory.correlations import finite_signal

Array = np.ndarray
Moments = tuple[Array, Array, Array]  # D, Q, N

NODES = np.linspace(-45.0, 80.0, 2501)  # of ln t, in units of 1 / tr R
ROUNDS = 500  # in which a steady state settles


class Learning(NamedTuple):
    """A learning curve.

    Attributes
    ----------
    mse : ndarray, shape (T,)
        ``E|e[n]|^2``, a priori: with the weights before sample n's update.
    msd : ndarray, shape (T,)
        Mean-square deviation ``E|h - w|^2`` after sample n, as ``record_every=1`` records the weights.
    w : ndarray, shape (T, M)
        Mean weights after sample n.
    """

    mse: Array
    msd: Array
    w: Array


class Steady(NamedTuple):
    """A steady state.

    Attributes
    ----------
    emse : float
        Excess mean squared error, beyond the noise; ``inf`` where there is no steady state.
    msd : float
        Mean-square deviation ``E|h - w|^2``, after the update.
    """

    emse: float
    msd: float


@dataclass(frozen=True)
class Problem:
    """What a filter has to identify: ``d[n] = sum_k h[k] x[n - k] + noise``, with Gaussian x.

    Parameters
    ----------
    h : array_like, shape (M,)
        The plant, at the start.
    r : array_like, shape (M,)
        Autocorrelation of the input.
    noise : float >= 0
        Power s of the noise, white and Gaussian.
    walk : float >= 0
        Standard deviation of the step that each coefficient takes after every sample, as in
        `adaptfilt.plants.random_walk`.
    is_complex : bool
        The signals are complex circular.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range, or R is not positive definite.
    """

    h: Any  # arrays, once it is made
    r: Any
    noise: float
    walk: float = 0.0
    is_complex: bool = False
    l: Array = field(init=False)  # eigenvalues of R
    modes: Array = field(init=False)  # eigenvectors, the columns

    def __post_init__(self) -> None:
        h, r = finite_signal("h", self.h), finite_signal("r", self.r)
        if h.ndim != 1 or h.shape != r.shape:
            raise ValueError(f"h and r must have one shape (M,), got {h.shape} and {r.shape}")
        for name in ("noise", "walk"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and >= 0, got {getattr(self, name)}")
        l, modes = eigh(toeplitz(r))
        if not l[0] > 1e-12 * l[-1]:
            raise ValueError(f"r must be that of an input that excites all taps, got eigenvalue {l[0]:.2g}")
        for name, value in {"h": h, "r": r, "l": l, "modes": modes}.items():
            object.__setattr__(self, name, value)

    @property
    def kurtosis(self) -> float:
        """Of the regressor's components: 3 for real signals, 2 for complex ones."""
        return 2.0 if self.is_complex else 3.0


def lms_moments(problem: Problem) -> Callable[[float], Moments]:
    """Return D, Q, N of LMS [1]_, which no error changes."""
    l = problem.l
    fixed = l, (problem.kurtosis - 1) * np.diag(l**2) + np.outer(l, l), problem.noise * l
    return lambda power: fixed


def nlms_moments(problem: Problem, eps: float = 0.0) -> Callable[[float], Moments]:
    """Return D, Q, N of NLMS [2]_, by integrals over t = exp(NODES) / tr R."""
    l, is_complex = problem.l, problem.is_complex
    t = np.exp(NODES)[:, None] / l.sum()
    c = 1.0 if is_complex else 2.0
    shrunk = l / (1 + c * t * l)  # E[|c|^2 exp(-t |c|^2)] / E[exp(-t |c|^2)]
    weight = np.exp(-np.sum(np.log1p(c * t * l), 1) / c - t[:, 0] * eps) * t[:, 0] * (NODES[1] - NODES[0])
    again = weight * t[:, 0]
    D = weight @ shrunk
    Q = (shrunk * again[:, None]).T @ shrunk
    Q[np.diag_indices_from(Q)] *= problem.kurtosis
    N = problem.noise * (again @ shrunk)
    if eps == 0 and l.size <= c:
        N = np.full(l.size, math.inf)  # the mean of 1 / |u|^2
    return lambda power: (D, Q, N)


def sign_error_moments(problem: Problem) -> Callable[[float], Moments]:
    """Return D, Q, N of sign-error LMS [3]_, real signals, by Price's theorem."""
    l = problem.l
    none = np.zeros((l.size, l.size))
    return lambda power: (l * math.sqrt(2 / (math.pi * power)), none, l)


def lmf_moments(problem: Problem) -> Callable[[float], Moments]:
    """Return D, Q, N of LMF [4]_, real signals, with Gaussian errors."""
    l = problem.l
    return lambda power: (3 * power * l, 90 * power**2 * np.diag(l**2), 15 * power**3 * l)


def block_moments(problem: Problem, block: int) -> Callable[[float], Moments]:
    """Return D, Q, N of block LMS [5]_, whose update once a block is the sum of its samples'."""
    D, Q, N = lms_moments(problem)(0.0)
    fixed = block * D, block * Q + block * (block - 1) * np.diag(problem.l**2), block * N
    return lambda power: fixed


def learn(
    problem: Problem, moments: Callable[[float], Moments], mu: float, samples: int, *, leak: float = 0.0, every: int = 1
) -> Learning:
    """Follow the recursion above from zero weights.

    Parameters
    ----------
    problem : Problem
        What is identified.
    moments : callable
        ``moments(power) -> D, Q, N`` of an algorithm, such as ``lms_moments(problem)``.
    mu : float > 0
        Step size.
    samples : int >= 1
        Length T.
    leak : float >= 0
        Leakage.
    every : int >= 1
        Samples from update to update.

    Returns
    -------
    Learning

    Examples
    --------
    >>> problem = Problem([0.5, -0.3], [1.0, 0.0], noise=0.01)
    >>> curve = learn(problem, lms_moments(problem), 0.1, 200)
    >>> curve.mse[[0, -1]].round(4), curve.w[-1].round(4)
    (array([0.35  , 0.0113]), array([ 0.5, -0.3]))
    """
    samples, every = positive_int("samples", samples), positive_int("every", every)
    l, s, Q_h = problem.l, problem.noise, problem.modes
    c_h = Q_h.conj().T @ problem.h
    m, k, walk, f, b = c_h, np.abs(c_h) ** 2, problem.walk**2, 1 - mu * leak, mu * leak * c_h
    mse, msd, means = np.empty(samples), np.empty(samples), np.empty((samples, l.size), c_h.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        for n in range(samples):
            power = s + l @ k
            mse[n] = power
            if (n + 1) % every == 0:
                D, Q, N = moments(power)
                gone = (f - mu * D) * m
                k = (f**2 - 2 * f * mu * D) * k + mu**2 * (Q @ k + N) + 2 * np.real(np.conj(b) * gone) + np.abs(b) ** 2
                m = gone + b
            msd[n], means[n] = k.sum(), c_h - m
            k = k + walk
        return _curve(mse, msd, means @ Q_h.T)


def settle(
    problem: Problem, moments: Callable[[float], Moments], mu: float, *, leak: float = 0.0, every: int = 1
) -> Steady:
    """Return where the recursion comes to rest; with `every`, on the average over a block.

    Parameters
    ----------
    problem, moments, mu, leak, every
        As for `learn`.

    Returns
    -------
    Steady

    Examples
    --------
    The closed form of LMS on white input:

    >>> from adaptfilt.theory import lms_emse
    >>> problem = Problem(32 * [0.1], [1.0] + 31 * [0.0], noise=0.01)
    >>> bool(abs(settle(problem, lms_moments(problem), 0.008).emse / lms_emse(0.008, 32, 1.0, 0.01) - 1) < 1e-9)
    True
    """
    l, s, f = problem.l, problem.noise, 1 - mu * leak
    c_h = problem.modes.conj().T @ problem.h
    walk, b = every * problem.walk**2, mu * leak * c_h
    emse = 0.0
    k = np.zeros(l.size)
    for _ in range(ROUNDS):
        D, Q, N = moments(s + emse)
        a = f - mu * D
        A = np.diag(f**2 - 2 * f * mu * D) + mu**2 * Q
        if not np.isfinite(N).all() or np.abs(np.linalg.eigvals(A)).max() >= 1:
            return Steady(math.inf, math.inf)
        m = b / (1 - a)
        k = np.linalg.solve(np.eye(l.size) - A, mu**2 * N + 2 * np.real(np.conj(b) * a * m) + np.abs(b) ** 2 + walk)
        before, emse = emse, float(l @ k)
        if abs(emse - before) <= 1e-12 * (s + emse):
            break
    return Steady(emse, float(np.sum(k - problem.walk**2)))


def overlapped(problem: Problem, mu: float, block: int, hop: int, *, leak: float = 0.0) -> Steady:
    """Return the steady state of block LMS whose blocks overlap: every `hop` samples it learns from the last `block`.

    Parameters
    ----------
    problem, mu, leak
        As for `learn`; the weights leak once a hop.
    block, hop : int >= 1
        The second divides the first.

    Returns
    -------
    Steady

    Examples
    --------
    Small steps count ``block / hop`` times:

    >>> problem = Problem(16 * [0.1], [1.0] + 15 * [0.0], noise=1.0)
    >>> [round(overlapped(problem, 1e-5, 16, hop).emse / 1e-5, 1) for hop in (16, 4)]
    [8.0, 32.0]
    """
    l, again, lost, own = _overlap(problem, mu, block)
    f, c_h = 1 - mu * leak, problem.modes.conj().T @ problem.h
    shrink = _shrink(lost, own, block // hop, f)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        felt, lag = _sums(mu, lost, own, block // hop, f)
        A = hop * felt[:, None] * again
    if not (np.abs(shrink).max() < 1 and np.isfinite(A).all() and np.abs(np.linalg.eigvals(A)).max() < 1):
        return Steady(math.inf, math.inf)
    mean = mu * leak * c_h / (1 - shrink)
    disturbed = hop * (felt * problem.noise * l + lag * problem.walk**2)
    k = np.linalg.solve(np.eye(l.size) - A, disturbed + np.abs(mean) ** 2)
    return Steady(float(l @ k), float(np.sum(k - problem.walk**2)))


def overlapped_curve(problem: Problem, mu: float, block: int, hop: int, samples: int, *, leak: float = 0.0) -> Learning:
    """Return the learning curve of block LMS whose blocks overlap, from zero weights and an empty block.

    Parameters
    ----------
    problem, mu, samples, leak
        As for `learn`.
    block, hop : int >= 1
        As for `overlapped`.

    Returns
    -------
    Learning
    """
    samples, times = positive_int("samples", samples), block // hop
    l, again, lost, own = _overlap(problem, mu, block)
    f, c_h, hops = 1 - mu * leak, problem.modes.conj().T @ problem.h, samples // hop + 1
    m, k, q = np.empty((hops, l.size), c_h.dtype), np.empty((hops, l.size)), np.empty((hops, l.size))
    with np.errstate(over="ignore", invalid="ignore"):
        r, p = _responses(mu, lost, own, times, f, hops)
        felt, lag = r**2, hop * problem.walk**2 * np.cumsum(p**2, 0)
        for n in range(hops):
            filled = min(n, times)
            m[n] = _shrink(lost * filled / times, own, filled, f) * m[n - 1] + mu * leak * c_h if n else c_h
            k[n] = np.abs(m[n]) ** 2 + (np.sum(felt[n - 1 :: -1] * q[:n], 0) + lag[n - 1] if n else 0)
            q[n] = hop * (problem.noise * l + again @ k[n])
        time = np.arange(samples)
        after, walk = (time + 1) // hop, problem.walk**2
        mse = problem.noise + k[time // hop] @ l + time % hop * walk * l.sum()
        msd = k[after].sum(1) + ((time + 1) % hop - 1) * walk * l.size
        return _curve(mse, msd, (c_h - m[after]) @ problem.modes.T)


def _curve(*curves: Array) -> Learning:
    """Return curves with infinity where they have overflown."""
    return Learning(*(np.where(np.isfinite(curve), curve, math.inf) for curve in curves))


def _sums(mu: float, lost: Array, own: Array, times: int, f: float) -> tuple[Array, Array]:
    """Sum the squares of both responses over all hops."""
    r, p = _responses(mu, lost, own, times, f, times + 1)
    rest = 1 / (1 - _shrink(lost, own, times, f) ** 2)
    return np.sum(r[: times - 1] ** 2, 0) + rest * r[times - 1] ** 2, np.sum(p[:times] ** 2, 0) + rest * p[times] ** 2


def _responses(mu: float, lost: Array, own: Array, times: int, f: float, hops: int) -> tuple[Array, Array]:
    """Return what a sample's noise, and a step of the plant, make of the weights' error, hop by hop, (hops, M).

    `lost` is what errors lose a hop at first order, `own` what that of a sample loses each time it is used again.
    """
    r, p = np.empty((hops, lost.size)), np.empty((hops, lost.size))
    r[0], p[0] = mu, 1.0
    for t in range(1, hops):
        used = t < times
        r[t] = ((f - lost - own) if used else _shrink(lost, own, times, f)) * r[t - 1] + used * mu
        held = lost * max(times - t, 0) / times  # by samples of the plant before the step
        p[t] = ((f - lost) if used else _shrink(lost, own, times, f)) * p[t - 1] + held
    return r, p


def _shrink(lost: Array, own: Array, times: int, f: float) -> Array:
    """Return the factor of the mean errors from hop to hop."""
    return f - lost * (1 - (times - 1) / 2 * own)


def _overlap(problem: Problem, mu: float, block: int) -> tuple[Array, Array, Array, Array]:
    """Return eigenvalues, Q - diag(l^2), and what errors lose a hop and each time that a sample is used again."""
    l = problem.l
    again = lms_moments(problem)(0.0)[1] - np.diag(l**2)
    return l, again, mu * block * l, mu * again.sum(1) / l
