"""Steady states of filters that decorrelate their input: RLS, affine projection, frequency domain.

**RLS.** With Phi = sum_k lam^k u_k u_k^T over the past, the weights' error is Phi^-1 sum_k lam^k u_k v_k. For Gaussian
regressors and large M, Phi^-1 is on the average theta R^-1 with ``1 / theta = sum_k lam^k / (1 + lam^k M theta)``, and
sums become integrals of exp(-a t), a = -ln lam: M theta = lam^-M - 1, and

    E|e|^2 = s a M / (1 - lam^M).

The textbooks' ``s M (1 - lam) / (1 + lam)`` is its first term. Derived here by the deterministic equivalents of [1]_.
Where the plant walks, ``v_n = sum_j Phi_n^-1 (lam^{j+1} Phi_{n-j-1}) q_{n-j}`` comes on top, a lag of
``tr R walk^2 / (1 - lam^2)`` times 1 + 2 a M / 3, to first order: a M / 3 as the mean fractions are convex in Phi, and
a M / 3 as they vary.

**Affine projection** of order P, without eps. Let phi_p be what of u its p - 1 predecessors do not predict, by a
prediction filter B_p, of power sigma_p^2. As past errors have shrunk by (1 - mu) every sample, Gram-Schmidt splits the
update into

    sum_k mu (1 - mu)^k phi_{P-k} alpha_{P-k} / |phi_{P-k}|^2   of the sample k before, k = 0 ... P - 1,
    alpha_p = phi_p^T v + (B_p noise).

A sample's share is ``mu_eff = sum_k mu (1 - mu)^k = 1 - (1 - mu)^P``, so that on white input affine projection is NLMS
of that step. Along the frequencies (large M) the mean gain is the input's spectrum S_u times
``G = sum_k c_k |B_{P-k}|^2 / sigma_{P-k}^2 / M``, c_k = mu (1 - mu)^k; noise comes in as ``s S_u G^2``, so that the
weights' error has the spectrum ``s G / (2 - mu_eff)``. In the loop the errors follow
``e_n - sum_k a_k (1 - mu)^k e_{n-k} = alpha_P``, a_k the predictor: the regressor is not independent of the noise that
the weights have learned, which matters on coloured input from mu = .3 on. [2]_

**FDAF** of one partition, constrained. Its bins divide by ``P = max(S, |X|^2)``, S the smoothed power: the mean gain is
``A = E[|X|^2 / P]``, the noise let in ``C = E[|X|^2 E|X|^2 / P^2]``, with |X|^2 exponential and S gamma. The rest is
block LMS on white input.

References
----------
.. [1] R. Couillet, M. Debbah, *Random Matrix Methods for Wireless Communications*, 2011; for RLS E. Eleftheriou,
   D. D. Falconer, "Tracking properties and steady-state performance of RLS adaptive filter algorithms", IEEE Trans.
   ASSP 34(5), 1986.
.. [2] M. Rupp, "A family of adaptive filter algorithms with decorrelating properties", IEEE Trans. Signal Processing
   46(3), 1998; H.-C. Shin, A. H. Sayed, "Mean-square performance of a family of affine projection algorithms", IEEE
   Trans. Signal Processing 52(1), 2004.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import solve_toeplitz, toeplitz
from scipy.special import gammaincinv

from adaptfilt.theory.learning import Problem, Steady

Array = np.ndarray

FREQUENCIES = 4096


def rls_steady(problem: Problem, lam: float) -> Steady:
    """Return the steady state of RLS with exponential forgetting.

    Parameters
    ----------
    problem : Problem
        What is identified.
    lam : float, 0 to 1
        Forgetting factor; 1 forgets nothing, and has no error in the end where the plant stands still.

    Returns
    -------
    Steady
        Where the plant walks, with its lag; ``inf`` then for lam = 1.

    Examples
    --------
    >>> problem = Problem(16 * [0.1], [1.0] + 15 * [0.0], noise=1.0)
    >>> print(f"{rls_steady(problem, 0.99).emse:.4f}")
    0.0826
    """
    M, R = problem.l.size, toeplitz(problem.r)
    if lam == 1:
        lag = math.inf if problem.walk else 0.0
        return Steady(lag, lag)
    a = -math.log(lam)
    own = problem.noise * (a * M / -math.expm1(-a * M) - 1)
    walk = problem.walk**2
    lag = walk / (1 - lam**2) * (1 + 2 / 3 * a * M)
    return Steady(own + lag * float(np.trace(R).real), own / M * float(np.sum(1 / problem.l)) + M * (lag - walk))


def projection_steady(problem: Problem, mu: float, order: int) -> Steady:
    """Return the steady state of affine projection, for 0 < mu <= 1 and an input that `order` - 1 samples predict.

    Parameters
    ----------
    problem : Problem
        What is identified.
    mu : float, 0 to 2
        Step size.
    order : int >= 1
        Regressors a step, P; well below M.

    Returns
    -------
    Steady

    Examples
    --------
    >>> problem = Problem(32 * [0.1], [1.0] + 31 * [0.0], noise=1.0)
    >>> print(f"{projection_steady(problem, 0.2, 4).msd:.2f}")
    0.48
    """
    M = problem.l.size
    share = mu * (1 - mu) ** np.arange(order)
    total = float(share.sum())
    lost = 0 if problem.is_complex else 1
    if not 0 < mu < 2 or order + lost >= M:
        return Steady(math.inf, math.inf)
    gain, let_in = np.zeros(FREQUENCIES), np.zeros(FREQUENCIES)
    for c, p in zip(share, range(order, 0, -1), strict=True):
        b, power = _predictor(problem.r, p)
        spectrum = np.abs(np.fft.fft(b, FREQUENCIES)) ** 2 / power
        gain += c * spectrum / M
        let_in += c * spectrum / (M - p - lost)
    input_power = _spectrum(problem.r)
    apart = problem.noise * let_in / (2 - total)  # spectrum of the weights' error, without and with the plant's walk
    lag = problem.walk**2 / (input_power * gain * (2 - total))
    msd = M * float(np.mean(apart + lag - problem.walk**2))
    b, _ = _predictor(problem.r, order)
    shrunk = np.fft.fft(b * (1 - mu) ** np.arange(order), FREQUENCIES)
    filtered = np.abs(np.fft.fft(b, FREQUENCIES)) ** 2 / np.abs(shrunk) ** 2
    in_loop = np.mean(filtered * (problem.noise + M * (apart + lag) * input_power))
    return Steady(float(in_loop) - problem.noise, msd)


def fdaf_steady(
    problem: Problem, mu: float, block: int, lam: float, eps: float = 0.0, *, normalized: bool = True
) -> Steady:
    """Return the steady state of a frequency-domain filter of one constrained partition.

    Parameters
    ----------
    problem : Problem
        What is identified, by M taps.
    mu : float > 0
        Step size.
    block : int >= M
        Samples that an update learns from, and from one to the next.
    lam : float, 0 to 1
        Smoothing of the power.
    eps : float >= 0
        Regularisation.
    normalized : bool
        As for `adaptfilt.FDAF`; False is block LMS, which `settle` and `overlapped` have for any colour.

    Returns
    -------
    Steady
        The deviation counts on bins that do not leak into each other: less than it says where the input is coloured.

    Examples
    --------
    >>> problem = Problem(32 * [0.1], [1.0] + 31 * [0.0], noise=1.0)
    >>> print(f"{fdaf_steady(problem, 0.1, 32, 0.9).emse:.3f}")
    0.022
    """
    M, power = problem.l.size, float(np.real(problem.r[0]))
    A, C = _bin_moments(lam, eps * M / block / power) if normalized else (1.0, 1.0)
    step = mu / (2 * block) if normalized else mu * power
    net = 2 * step * A * block - step**2 * block * (A**2 * block + C * (M + 1))
    if net <= 0:
        return Steady(math.inf, math.inf)
    own = step**2 * block * M * C * problem.noise / net
    walk = problem.walk**2 * power * M
    lag = block * walk / net
    apart = own / M * float(np.sum(1 / problem.l)) if normalized else own / power
    return Steady(own + lag, apart + (lag - walk) / power)


def _bin_moments(lam: float, eps: float) -> tuple[float, float]:
    """Return A and C, by the quantiles of |X|^2 and of the power smoothed before it, both of mean 1."""
    shared = 0.25  # correlation of |X|^2 from frame to frame, which share half their samples
    spread = (1 - lam) / (1 + lam) * (1 + 2 * lam * shared / (1 - lam * shared))
    q = (np.arange(400) + 0.5) / 400
    X = -np.log1p(-q)[:, None]
    before = gammaincinv(1 / spread, q) * spread if spread > 1e-9 else np.ones(q.size)
    P = np.maximum(lam * before + (1 - lam) * X, X) + eps
    return float(np.mean(X / P)), float(np.mean(X / P**2))


def _predictor(r: Array, order: int) -> tuple[Array, float]:
    """Return the prediction-error filter of `order` coefficients, 1 first, and the power it leaves."""
    if order == 1:
        return np.ones(1), float(np.real(r[0]))
    a = solve_toeplitz(r[: order - 1], r[1:order])
    return np.append(1.0, -a), float(np.real(r[0] - np.conj(a) @ r[1:order]))


def _spectrum(r: Array) -> Array:
    """Return the input's spectrum, as the autoregressive process of the highest order that r tells."""
    b, power = _predictor(r, r.size)
    return np.asarray(power / np.abs(np.fft.fft(b, FREQUENCIES)) ** 2)
