"""The signals every contender gets, and the exact recursions, in float64, that each must agree with."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import lfilter

# A priori errors (None where a peer does not tell), weights after the last sample.
Result = tuple[np.ndarray | None, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """A system to identify: x and d, (T,) in float64, and the parameters of every algorithm."""

    x: np.ndarray
    d: np.ndarray
    taps: int
    mu: float = 0.5
    eps: float = 1e-3
    lam: float = 0.999
    delta: float = 0.1  # liquid-dsp knows no other
    order: int = 4

    def head(self, samples: int) -> "Problem":
        """The first samples."""
        return replace(self, x=self.x[:samples], d=self.d[:samples])

    def regressors(self) -> np.ndarray:
        """A view (T, taps), newest sample first, zeros before the start."""
        padded = np.concatenate([np.zeros(self.taps - 1), self.x])
        return np.lib.stride_tricks.sliding_window_view(padded, self.taps)[:, ::-1]


def identification(algorithm: str, taps: int, samples: int, seed: int = 1) -> Problem:
    """White input of unit power through a decaying impulse response of unit norm, with noise 40 dB below.

    With as much noise as signal for SignError, lest rounding turn the sign of an error near zero.
    """
    rng = np.random.default_rng(seed)
    h = rng.standard_normal(taps) * np.exp(-3 * np.arange(taps) / taps)
    x = rng.standard_normal(samples).astype(np.float32)
    noise = 1.0 if algorithm == "SignError" else 0.01
    d = lfilter(h / np.linalg.norm(h), 1, x) + noise * rng.standard_normal(samples)
    mu = {"LMS": 0.5 / taps, "LMF": 0.05 / taps, "SignError": 0.01 / taps}.get(algorithm, 0.5)
    return Problem(x.astype(np.float64), d.astype(np.float32).astype(np.float64), taps, mu)


GAINS: dict[str, Callable[[float, float, float, float], float]] = {
    "LMS": lambda e, energy, mu, eps: mu * e,
    "NLMS": lambda e, energy, mu, eps: mu * e / (eps + energy),
    "LMF": lambda e, energy, mu, eps: mu * e**3,
    "SignError": lambda e, energy, mu, eps: mu * np.sign(e),
}


def rank_one(p: Problem, algorithm: str, late: bool) -> Result:
    """Any of `GAINS`; `late`: adaptation waits until the delay line is full."""
    gain, w, e = GAINS[algorithm], np.zeros(p.taps), np.zeros(len(p.x))
    for n, u in enumerate(p.regressors()):
        e[n] = p.d[n] - u @ w
        if n >= late * (p.taps - 1):
            w += gain(e[n], u @ u, p.mu, p.eps) * u
    return e, w


def rls(p: Problem) -> Result:
    w, P, e = np.zeros(p.taps), np.eye(p.taps) / p.delta, np.zeros(len(p.x))
    for n, u in enumerate(p.regressors()):
        e[n] = p.d[n] - u @ w
        k = P @ u / (p.lam + u @ P @ u)
        w += k * e[n]
        P = (P - np.outer(k, u @ P)) / p.lam
        P = (P + P.T) / 2
    return e, w


def affine_projection(p: Problem) -> Result:
    rows = np.concatenate([np.zeros((p.order - 1, p.taps)), p.regressors()])
    d = np.concatenate([np.zeros(p.order - 1), p.d])
    w, e = np.zeros(p.taps), np.zeros(len(p.x))
    for n in range(len(e)):
        U = rows[n : n + p.order]
        errors = d[n : n + p.order] - U @ w
        e[n] = errors[-1]
        w += p.mu * U.T @ np.linalg.solve(U @ U.T + p.eps * np.eye(p.order), errors)
    return e, w


def exact(algorithm: str, p: Problem, late: bool = False) -> Result:
    """The errors and the last weights of `algorithm`, in float64, straight from its equations."""
    if algorithm == "RLS":
        return rls(p)
    if algorithm == "AffineProjection":
        return affine_projection(p)
    return rank_one(p, algorithm, late)


def disagreement(p: Problem, got: Result, want: Result) -> float:
    """The largest difference of the errors over the rms of d, or of the weights over their norm if larger."""
    weights = np.linalg.norm(got[1] - want[1]) / np.linalg.norm(want[1])
    if got[0] is None:
        return float(weights)
    return float(max(weights, np.abs(got[0] - want[0]).max() / np.sqrt(np.mean(p.d**2))))
