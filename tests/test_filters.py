"""Every algorithm against a plain NumPy loop of its textbook's equations, and what theory says of it."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.fft import dct
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt.checks import NUMPY
from adaptfilt.testing.comparisons import TOLERANCE
from conftest import slow

M = 5


def signals(dtype: torch.dtype, samples: int = 400, taps: int = M) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    x, v, h = (
        rng.standard_normal(n) + 1j * rng.standard_normal(n) * dtype.is_complex for n in (samples, samples, taps)
    )
    d = np.convolve(x, h)[:samples] + 0.1 * v
    x, d = (s if dtype.is_complex else s.real for s in (x, d))
    return x.astype(NUMPY[dtype]), d.astype(NUMPY[dtype])


def loop(x: np.ndarray, d: np.ndarray, update: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Run a textbook update over a stream in double precision."""
    x, d = (s.astype(complex if np.iscomplexobj(s) else float) for s in (x, d))
    w, past, ys = np.zeros(M, x.dtype), np.concatenate([np.zeros(M - 1), x]), []
    for n in range(len(x)):
        u = past[n : n + M][::-1]
        ys.append(w @ u)
        w = update(w, u, d[n] - ys[-1], d[n])
    return np.array(ys), w


def rls(lam: float, delta: float, fading: bool = False) -> Callable[..., np.ndarray]:
    P = np.diag(lam ** (2.0 + np.arange(M)) if fading else np.ones(M)) / delta

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal P
        k = P @ u.conj() / (lam + u @ P @ u.conj())
        P = (P - np.outer(k, u @ P)) / lam
        return w + k * e

    return update


def variable_forgetting(lam_max: float, delta: float) -> Callable[..., np.ndarray]:
    P, e2, q2, v2 = np.eye(M) / delta, 0.0, 0.0, 0.0

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal P, e2, q2, v2
        q = (u @ P @ u.conj()).real
        fast, slow = 1 - 1 / (6 * M), 1 - 1 / (18 * M)
        e2, q2 = fast * e2 + (1 - fast) * abs(e) ** 2, fast * q2 + (1 - fast) * q**2
        v2 = slow * v2 + (1 - slow) * abs(e) ** 2
        e_, q_, v_ = np.sqrt([e2, q2, v2])
        lam = max(0.1, min(lam_max, q_ * v_ / abs(e_ - v_))) if e_ > 1.5 * v_ else lam_max
        k = P @ u.conj() / (lam + q)
        P = (P - np.outer(k, u @ P)) / lam
        return w + k * e

    return update


def sliding_window(window: int, delta: float) -> Callable[..., np.ndarray]:
    rows: list[tuple[np.ndarray, complex]] = []

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        rows.append((u, d))
        U, D = np.array([r for r, _ in rows[-window:]]), np.array([v for _, v in rows[-window:]])
        return np.linalg.solve(U.conj().T @ U + delta * np.eye(M), U.conj().T @ D)

    return update


def dcd(lam: float, delta: float, updates: int) -> Callable[..., np.ndarray]:
    R, r = np.diag(delta * lam ** -(np.arange(M) + 2.0)), np.zeros(M)

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal R, r
        w, R, r, h = w.copy(), lam * R + np.outer(u.conj(), u), lam * r + e * u.conj(), 4.0
        for _ in range(updates):
            p, unit = max(((p, unit) for p in range(M) for unit in (1, 1j)), key=lambda v: abs((r[v[0]] / v[1]).real))
            part = (r[p] / unit).real
            while abs(part) <= h / 2 * R[p, p].real:
                h /= 2
            w[p] += h * np.sign(part) * unit
            r = r - h * np.sign(part) * unit * R[:, p]
        return w

    return update


def affine_projection(mu: float, order: int, eps: float) -> Callable[..., np.ndarray]:
    rows: list[tuple[np.ndarray, complex]] = [(np.zeros(M), 0.0)] * order

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal rows
        rows = [(u, d), *rows[:-1]]
        U, D = np.array([r for r, _ in rows]), np.array([v for _, v in rows])
        return w + mu * U.conj().T @ np.linalg.solve(U @ U.conj().T + eps * np.eye(order), D - U @ w)

    return update


def set_membership_ap(bound: float, order: int, eps: float) -> Callable[..., np.ndarray]:
    U = np.zeros((order, M))

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal U
        U = np.vstack([u, U[:-1]])
        s = np.linalg.solve(U @ U.conj().T + eps * np.eye(order), np.eye(order)[0])
        return w + max(0, 1 - bound / abs(e)) * e * (U.conj().T @ s)

    return update


def transform_domain(mu: float, lam: float, power: float, eps: float) -> Callable[..., np.ndarray]:
    T, p = dct(np.eye(M), axis=0, norm="ortho"), np.full(M, power)

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal p
        z = T @ u
        p = lam * p + (1 - lam) * abs(z) ** 2
        v = T @ w + min(mu, 1 / np.sum(abs(z) ** 2 / (eps + p))) * e * z.conj() / (eps + p)
        return T.T @ v

    return update


def kwong_johnston(mu: float, alpha: float, gamma: float, least: float, most: float) -> Callable[..., np.ndarray]:
    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal mu
        w, mu = w + mu * e * u.conj(), min(most, max(least, alpha * mu + gamma * abs(e) ** 2))
        return w

    return update


def npvss(noise: float, eps: float, lam: float) -> Callable[..., np.ndarray]:
    power = 0.0

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal power
        power = lam * power + (1 - lam) * abs(e) ** 2
        mu = 1 - np.sqrt(noise / power) if power > noise else 0.0
        return w + mu * e * u.conj() / (eps + np.vdot(u, u).real)

    return update


def kalman(q: float, r: float, p0: float) -> Callable[..., np.ndarray]:
    P = p0 * np.eye(M)

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal P
        P = P + q * np.eye(M)
        k = P @ u.conj() / (r + u @ P @ u.conj())
        P = P - np.outer(k, u @ P)
        return w + k * e

    return update


def aboulnasr_mayyas(mu: float, alpha: float, beta: float, gamma: float, most: float) -> Callable[..., np.ndarray]:
    p = before = 0.0

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal mu, p, before
        p, before = beta * p + (1 - beta) * e * np.conj(before), e
        w, mu = w + mu * e * u.conj(), min(most, alpha * mu + gamma * abs(p) ** 2)
        return w

    return update


def mathews_xie(mu: float, rho: float, least: float, most: float) -> Callable[..., np.ndarray]:
    before, e_before = np.zeros(M), 0.0

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal mu, before, e_before
        mu = min(most, max(least, mu + rho * (np.conj(e) * e_before * (u @ before.conj())).real))
        before, e_before = u, e
        return w + mu * e * u.conj()

    return update


def gngd(mu: float, rho: float, eps: float, least: float, leak: float) -> Callable[..., np.ndarray]:
    before, e_before, total = np.zeros(M), 0.0, 1.0

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal eps, before, e_before, total
        eps = max(least, eps - rho * mu * (np.conj(e) * e_before * (u @ before.conj())).real / total**2)
        before, e_before, total = u, e, eps + np.vdot(u, u).real
        return (1 - mu * leak) * w + mu * e * u.conj() / total

    return update


def simplified_kalman(q: float | None, r: float, p: float) -> Callable[..., np.ndarray]:
    moved = 0.0

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal p, moved
        prior, power = p + (moved if q is None else q), np.vdot(u, u).real
        k = prior * u.conj() / (prior * power + r)
        p = (1 - (k @ u).real / M) * prior
        moved = np.vdot(k * e, k * e).real / M
        return w + k * e

    return update


def ipnlms(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
    k = (1 - 0.4) / (2 * M) + (1 + 0.4) * abs(w) / (2 * abs(w).sum() + 1e-30)
    return w + 0.7 * e * k * u.conj() / (k @ abs(u) ** 2 + 0.3 * (1 - 0.4) / (2 * M))


def ipapa(mu: float, order: int, alpha: float, eps: float) -> Callable[..., np.ndarray]:
    U, D = np.zeros((order, M)), np.zeros(order)

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal U, D
        U, D = np.vstack([u, U[:-1]]), np.append(d, D[:-1])
        k = (1 - alpha) / (2 * M) + (1 + alpha) * abs(w) / (2 * abs(w).sum() + 1e-30)
        G = U @ np.diag(k) @ U.conj().T + eps * (1 - alpha) / (2 * M) * np.eye(order)
        return w + mu * k * (U.conj().T @ np.linalg.solve(G, D - U @ w))

    return update


def huber(mu: float, eps: float, lam: float) -> Callable[..., np.ndarray]:
    limit = 0.0

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal limit
        w = w + mu * min(1, limit / abs(e)) * e * u.conj() / (eps + np.vdot(u, u).real)
        limit = lam * limit + (1 - lam) * 1.8806 * min(abs(e), limit) if limit else 1.8806 * abs(e)
        return w

    return update


def passive_aggressive(bound: float, step: Callable[..., float]) -> Callable[..., np.ndarray]:
    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        loss = max(0, abs(e) - bound)
        return w + step(loss, np.vdot(u, u).real) * e / abs(e) * u.conj()

    return update


def vss_nlms(mu_max: float, alpha: float, c: float, eps: float) -> Callable[..., np.ndarray]:
    p: Any = 0.0

    def update(w: np.ndarray, u: np.ndarray, e: complex, d: complex) -> np.ndarray:
        nonlocal p
        step = e * u.conj() / (eps + np.vdot(u, u).real)
        p = alpha * p + (1 - alpha) * step
        return w + mu_max * np.vdot(p, p).real / (np.vdot(p, p).real + c) * step

    return update


def adapted(x: np.ndarray, w: np.ndarray, mu: float, error: Callable[..., Any], fed: int = 0) -> tuple[np.ndarray, ...]:
    """Run w <- w + mu e conj(u), where error(n, y) gives e and what goes into a second line of `fed` samples."""
    x = x.astype(complex if np.iscomplexobj(x) else float)
    w, back, ys = w.astype(x.dtype), np.zeros(fed, x.dtype), []
    taps = len(w) - fed
    past = np.concatenate([np.zeros(taps - 1), x])
    for n in range(len(x)):
        u = np.concatenate([past[n : n + taps][::-1], back])
        ys.append(w @ u)
        e, new = error(n, ys[-1])
        w = w + mu * e * u.conj()
        back = np.concatenate([[new], back])[:fed]
    return np.array(ys), w


def spike(at: int, taps: int = M) -> np.ndarray:
    return np.eye(taps)[at]


def cma(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return adapted(x, spike(M // 2), 0.001, lambda n, y: ((1.3 - abs(y) ** 2) * y, 0))


def blind(error: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda x, d: adapted(x, spike(M // 2), 0.001, lambda n, y: (error(y), 0))


def of_parts(error: Callable[[float, bool], float]) -> Callable[[Any], Any]:
    """Return an error of real and imaginary part, each by itself."""
    return lambda y: error(y.real, True) + 1j * error(y.imag, True) if np.iscomplexobj(y) else error(y, False)


def rde_error(y: complex) -> complex:
    radius = min([0.5, 1.1, 1.6], key=lambda r: abs(r - abs(y)))
    return (radius**2 - abs(y) ** 2) * y


def sign_cma(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    def error(y: complex) -> complex:
        return np.sign(1.3 - abs(y) ** 2) * of_parts(lambda r, half: np.sign(r))(y)

    return blind(error)(x, d)


def shalvi_weinstein(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    update, w, ys = rls(0.99, 100.0), spike(M // 2).astype(x.dtype), []
    past, gaussian = np.concatenate([np.zeros(M - 1), x]), 2 if np.iscomplexobj(x) else 3
    for n in range(len(x)):
        u = past[n : n + M][::-1]
        ys.append(w @ u)
        w = update(w, u, ys[-1] * (1.3 - abs(ys[-1]) ** 2) / (gaussian - 1.3), 0.0)
    return np.array(ys), w


def only_x(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return (x,)


def both_parts(**k: Any) -> af.Constellation:
    return af.Constellation.qam(16) if k["dtype"].is_complex else af.Constellation.pam(4)


def symbol(d: np.ndarray, n: int, y: complex, delay: int) -> complex:
    """Return the known symbol, or BPSK's nearest."""
    a = d[n - delay] if n >= delay else np.nan
    return (1.0 if y.real >= 0 else -1.0) if np.isnan(a) else a


def decision_directed(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return adapted(x, spike(2), 0.005, lambda n, y: (symbol(d, n, y, 2) - y, 0))


def dfe(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    def error(n: int, y: complex) -> tuple[complex, complex]:
        a = symbol(d, n, y, 2)
        return a - y, a

    return adapted(x, spike(2), 0.005, error, fed=2)


def equation_error(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return adapted(x, np.zeros(M), 0.005, lambda n, y: (d[n] - y, d[n]), fed=2)


def output_error(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return adapted(x, np.zeros(M), 0.002, lambda n, y: (d[n] - y, y), fed=2)


def fxlms(x: np.ndarray, d: np.ndarray, normalised: bool = False) -> tuple[np.ndarray, ...]:
    """Hear the outputs through SECONDARY, and step along the input filtered by it."""
    v, past, w, ys = lfilter(SECONDARY, 1, x), np.zeros(M - 1), np.zeros(M, x.dtype), []
    for n in range(len(x)):
        u, direction = (np.concatenate([past, s])[n : n + M][::-1] for s in (x, v))
        ys.append(w @ u)
        e = d[n] - sum(s * y for s, y in zip(SECONDARY, reversed(ys), strict=False))
        energy = 0.3 + np.vdot(direction, direction).real if normalised else 1.0
        w = (1 - 0.01 * 0.3) * w + 0.01 * e * direction.conj() / energy
    return np.array(ys), w


def notch(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    """Two sections, one after the other, with radius 0.8 and lam 0.97, from 0.5 and 2."""
    s = x.astype(complex if np.iscomplexobj(x) else float)
    ks = []
    for k in -np.cos([0.5, 2.0]):
        C, D, g1, g2, out = -0.1 * k, 0.1, 0.0, 0.0, []
        for v in s:
            g = v - k * 1.8 * g1 - 0.8 * g2
            out.append(0.9 * (g + 2 * k * g1 + g2))
            C, D = 0.97 * C + (np.conj(g1) * (g + g2)).real, 0.97 * D + 2 * abs(g1) ** 2
            k, g1, g2 = np.clip(-C / D, -1, 1), g, g1
        s = np.array(out)
        ks.append(k)
    return x - s, np.arccos(-np.array(ks))


def regressors(x: np.ndarray) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(np.concatenate([np.zeros(M - 1), x]), M)[:, ::-1]


def gauss(centres: list[np.ndarray], u: np.ndarray, width: float) -> np.ndarray:
    return np.array([np.exp(-np.sum(abs(u - v) ** 2) / (2 * width**2)) for v in centres])


def qklms(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    """mu 0.4, width 2, threshold 1.5, at most 60 centres."""
    centres: list[np.ndarray] = []
    c, ys = np.zeros(60, x.dtype), []
    for u, v in zip(regressors(x), d, strict=True):
        ys.append(c[: len(centres)] @ gauss(centres, u, 2.0))
        apart = [np.linalg.norm(u - centre) for centre in centres]
        at, share = int(np.argmin(apart)) if apart else 0, 1.0
        if not apart or (apart[at] > 1.5 and len(centres) < 60):
            at = len(centres)
            centres.append(u)
        elif apart[at] > 1.5:
            share = np.exp(-(apart[at] ** 2) / 8)
        c[at] += 0.4 * share * (v - ys[-1])
    return np.array(ys), c


def krls(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    """width 3, novelty 0.1, at most 30 centres: the least squares of all samples, as sums of their explanations."""
    centres: list[np.ndarray] = []
    B, c, ys = np.zeros((0, 0)), np.zeros(0), []
    for n, u in enumerate(regressors(x)):
        k = gauss(centres, u, 3.0)
        ys.append(k @ c)
        K = np.array([gauss(centres, v, 3.0) for v in centres]).reshape(len(centres), len(centres))
        b = np.linalg.solve(K, k) if n else np.zeros(0)
        if n == 0 or (1 - k @ b > 0.1 and len(centres) < 30):
            centres.append(u)
            K = np.array([gauss(centres, v, 3.0) for v in centres])
            B = np.pad(B, ((0, 1), (0, 1)))
            B[-1, -1] = 1.0
        else:
            B = np.vstack([B, b])
        c = np.linalg.solve(K, np.linalg.lstsq(B.astype(d.dtype), d[: n + 1], rcond=None)[0])
    return np.array(ys), np.pad(c, (0, 30 - len(c)))


def frost(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    """Two constraints; the projection written with the inverse of A A^H."""
    A, f = CONSTRAINTS, np.array([1.0, -0.5])
    right = A.conj().T @ np.linalg.inv(A @ A.conj().T)
    past, w, ys = np.zeros(M - 1), (right @ f).astype(x.dtype), []
    for n in range(len(x)):
        u = np.concatenate([past, x])[n : n + M][::-1]
        ys.append(w @ u)
        w = w - 0.01 * ys[-1] * u.conj()
        w = w - right @ (A @ w) + right @ f
    return np.array(ys), w


CONSTRAINTS = np.array([np.ones(M), np.cos(np.arange(M))])
SECONDARY = np.array([0.2, 0.9, -0.4])


def unknown(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, ...]:
    return x, np.where(np.arange(len(d)) % 3 == 0, d, np.nan).astype(d.dtype)


BPSK = af.Constellation.psk(2)
LOOPS: dict[
    str, tuple[Callable[..., Any], ...]
] = {  # filters whose error or regressor is their own: filter, loop, signals
    "CMA": (lambda **k: af.CMA(M, 0.001, 1.3, **k), cma, only_x),
    "MMA": (  # of 16-QAM, or of its real part at unit power
        lambda **k: af.MMA(M, 0.001, both_parts(**k), **k),
        blind(of_parts(lambda r, half: ((0.82 if half else 1.64) - r * r) * r)),
        only_x,
    ),
    "RDE": (lambda **k: af.RDE(M, 0.001, [1.6, 0.5, 1.1], **k), blind(rde_error), only_x),
    "Sato": (
        lambda **k: af.Sato(M, 0.001, both_parts(**k), **k),
        blind(of_parts(lambda r, half: np.sqrt(0.625 if half else 1.25) * np.sign(r) - r)),
        only_x,
    ),
    "SignCMA": (lambda **k: af.SignCMA(M, 0.001, 1.3, **k), sign_cma, only_x),
    "ShalviWeinstein": (lambda **k: af.ShalviWeinstein(M, 0.99, 1.3, **k), shalvi_weinstein, only_x),
    "DecisionDirected": (lambda **k: af.DecisionDirected(M, 0.005, BPSK, **k), decision_directed, unknown),
    "DFE": (lambda **k: af.DFE(3, 2, 0.005, BPSK, **k), dfe, unknown),
    "Frost": (lambda **k: af.Frost(M, 0.01, CONSTRAINTS, np.array([1.0, -0.5]), **k), frost, only_x),
    "EquationError": (lambda **k: af.EquationError(2, 2, 0.005, **k), equation_error, lambda x, d: (x, d)),
    "FxLMS": (lambda **k: af.FxLMS(M, 0.01, SECONDARY, leak=0.3, **k), fxlms, lambda x, d: (x, d)),
    "FxNLMS": (
        lambda **k: af.FxNLMS(M, 0.01, SECONDARY, eps=0.3, leak=0.3, **k),
        partial(fxlms, normalised=True),
        lambda x, d: (x, d),
    ),
    "Notch": (
        lambda **k: af.Notch([0.5, 2.0], radius=0.8, lam=0.97, delta=0.1, **k),
        notch,
        lambda x, d: (x,),
    ),
    "QKLMS": (lambda **k: af.QKLMS(M, 0.4, width=2.0, threshold=1.5, budget=60, **k), qklms, lambda x, d: (x, d)),
    "KRLS": (lambda **k: af.KRLS(M, width=3.0, novelty=0.1, budget=30, **k), krls, lambda x, d: (x, d)),
    "OutputError": (lambda **k: af.OutputError(2, 2, 0.002, **k), output_error, lambda x, d: (x, d)),
}


def sign(v: Any) -> Any:
    return np.where(v == 0, 0, v / np.where(v == 0, 1, np.abs(v)))


CASES = {
    "LMS": (
        lambda **k: af.LMS(M, 0.02, leak=0.3, **k),
        lambda w, u, e, d: (1 - 0.02 * 0.3) * w + 0.02 * e * u.conj(),
    ),
    "NLMS": (
        lambda **k: af.NLMS(M, 0.7, eps=0.3, leak=0.1, **k),
        lambda w, u, e, d: (1 - 0.07) * w + 0.7 * e * u.conj() / (0.3 + np.vdot(u, u).real),
    ),
    "LMF": (
        lambda **k: af.LMF(M, 1e-4, leak=0.2, **k),
        lambda w, u, e, d: (1 - 2e-5) * w + 1e-4 * abs(e) ** 2 * e * u.conj(),
    ),
    "SignError": (
        lambda **k: af.SignError(M, 0.01, leak=0.2, **k),
        lambda w, u, e, d: (1 - 0.002) * w + 0.01 * sign(e) * u.conj(),
    ),
    "KwongJohnston": (
        lambda **k: af.KwongJohnston(M, 0.01, alpha=0.9, gamma=1e-3, mu_min=0.002, mu_max=0.02, **k),
        lambda: kwong_johnston(0.01, 0.9, 1e-3, 0.002, 0.02),
    ),
    "AboulnasrMayyas": (
        lambda **k: af.AboulnasrMayyas(M, 0.01, alpha=0.9, beta=0.8, gamma=1e-3, mu_min=0.0, mu_max=0.02, **k),
        lambda: aboulnasr_mayyas(0.01, 0.9, 0.8, 1e-3, 0.02),
    ),
    "MathewsXie": (
        lambda **k: af.MathewsXie(M, 0.01, rho=1e-3, mu_min=0.002, mu_max=0.02, **k),
        lambda: mathews_xie(0.01, 1e-3, 0.002, 0.02),
    ),
    "GNGD": (
        lambda **k: af.GNGD(M, 0.7, rho=0.3, eps=1.0, eps_min=0.5, leak=0.1, **k),
        lambda: gngd(0.7, 0.3, 1.0, 0.5, 0.1),
    ),
    "SimplifiedKalman": (
        lambda **k: af.SimplifiedKalman(M, q=1e-4, r=0.02, p0=0.5, **k),
        lambda: simplified_kalman(1e-4, 0.02, 0.5),
    ),
    "SimplifiedKalman, q estimated": (
        lambda **k: af.SimplifiedKalman(M, q=None, r=0.02, p0=0.5, **k),
        lambda: simplified_kalman(None, 0.02, 0.5),
    ),
    "VSSNLMS": (
        lambda **k: af.VSSNLMS(M, 0.9, alpha=0.8, c=0.01, eps=0.1, **k),
        lambda: vss_nlms(0.9, 0.8, 0.01, 0.1),
    ),
    "NPVSS": (lambda **k: af.NPVSS(M, noise=0.02, eps=0.1, lam=0.9, **k), lambda: npvss(0.02, 0.1, 0.9)),
    "Kalman": (lambda **k: af.Kalman(M, q=1e-4, r=0.02, p0=2.0, **k), lambda: kalman(1e-4, 0.02, 2.0)),
    "IPNLMS": (lambda **k: af.IPNLMS(M, 0.7, alpha=0.4, eps=0.3, **k), ipnlms),
    "IPAPA": (
        lambda **k: af.IPAPA(M, 0.7, 3, alpha=0.4, eps=0.3, **k),
        lambda: ipapa(0.7, 3, 0.4, 0.3),
    ),
    "ZALMS": (
        lambda **k: af.ZALMS(M, 0.02, rho=1e-3, **k),
        lambda w, u, e, d: w + 0.02 * e * u.conj() - 1e-3 * sign(w),
    ),
    "RZALMS": (
        lambda **k: af.RZALMS(M, 0.02, rho=1e-3, sharpness=3.0, **k),
        lambda w, u, e, d: w + 0.02 * e * u.conj() - 1e-3 * sign(w) / (1 + 3 * abs(w)),
    ),
    "L0LMS": (
        lambda **k: af.L0LMS(M, 0.02, kappa=1e-3, beta=2.0, **k),
        lambda w, u, e, d: w + 0.02 * e * u.conj() - 1e-3 * np.where(abs(w) < 0.5, 4 * sign(w) - 8 * w, 0),
    ),
    "HuberNLMS": (
        lambda **k: af.HuberNLMS(M, 0.7, clip=0.5, eps=0.3, leak=0.1, **k),
        lambda w, u, e, d: 0.93 * w + 0.7 * min(1, 0.5 / abs(e)) * e * u.conj() / (0.3 + np.vdot(u, u).real),
    ),
    "HuberNLMS, clip follows": (
        lambda **k: af.HuberNLMS(M, 0.7, clip=None, eps=0.3, lam=0.9, **k),
        lambda: huber(0.7, 0.3, 0.9),
    ),
    "GMCC": (
        lambda **k: af.GMCC(M, 0.02, shape=1.5, scale=0.3, leak=0.2, **k),
        lambda w, u, e, d: 0.996 * w + 0.009 * np.exp(-0.3 * abs(e) ** 1.5) * abs(e) ** -0.5 * e * u.conj(),
    ),
    "Llncosh": (
        lambda **k: af.Llncosh(M, 0.02, scale=1.5, leak=0.2, **k),
        lambda w, u, e, d: 0.996 * w + 0.02 * np.tanh(1.5 * abs(e)) * sign(e) * u.conj(),
    ),
    "LLAD": (
        lambda **k: af.LLAD(M, 0.02, scale=1.5, leak=0.2, **k),
        lambda w, u, e, d: 0.996 * w + 0.03 * e * u.conj() / (1 + 1.5 * abs(e)),
    ),
    "LMLS": (
        lambda **k: af.LMLS(M, 0.02, scale=1.5, leak=0.2, **k),
        lambda w, u, e, d: 0.996 * w + 0.03 * abs(e) ** 2 * e * u.conj() / (1 + 1.5 * abs(e) ** 2),
    ),
    "LMMN": (
        lambda **k: af.LMMN(M, 1e-3, mix=0.7, leak=0.2, **k),
        lambda w, u, e, d: 0.9998 * w + 1e-3 * (0.7 + 0.3 * abs(e) ** 2) * e * u.conj(),
    ),
    "NLMF": (
        lambda **k: af.NLMF(M, 0.01, eps=2.0, leak=0.2, **k),
        lambda w, u, e, d: 0.998 * w + 0.01 * abs(e) ** 2 * e * u.conj() / (2.0 + np.vdot(u, u).real),
    ),
    "SetMembershipNLMS": (
        lambda **k: af.SetMembershipNLMS(M, 0.3, eps=0.1, **k),
        lambda: passive_aggressive(0.3, lambda loss, power: loss / (0.1 + power)),
    ),
    "PassiveAggressive": (
        lambda **k: af.PassiveAggressive(M, 0.3, aggressiveness=0.05, **k),
        lambda: passive_aggressive(0.3, lambda loss, power: min(0.05, loss / power)),
    ),
    "PassiveAggressive, squared": (
        lambda **k: af.PassiveAggressive(M, 0.3, aggressiveness=0.05, squared=True, **k),
        lambda: passive_aggressive(0.3, lambda loss, power: loss / (power + 10)),
    ),
    "SignData": (lambda **k: af.SignData(M, 0.01, **k), lambda w, u, e, d: w + 0.01 * e * sign(u.conj())),
    "SignSign": (
        lambda **k: af.SignSign(M, 0.01, **k),
        lambda w, u, e, d: w + 0.01 * sign(e) * sign(u.conj()),
    ),
    "RLS": (lambda **k: af.RLS(M, 0.97, delta=0.1, **k), lambda: rls(0.97, 0.1)),
    "QRRLS": (lambda **k: af.QRRLS(M, 0.97, delta=0.1, **k), lambda: rls(0.97, 0.1)),
    "VariableForgettingRLS": (
        lambda **k: af.VariableForgettingRLS(M, 0.99, delta=0.1, **k),
        lambda: variable_forgetting(0.99, 0.1),
    ),
    "SlidingWindowRLS": (
        lambda **k: af.SlidingWindowRLS(M, 12, delta=0.1, **k),
        lambda: sliding_window(12, 0.1),
    ),
    "DCDRLS": (lambda **k: af.DCDRLS(M, 0.97, delta=0.1, updates=3, **k), lambda: dcd(0.97, 0.1, 3)),
    "FastRLS": (lambda **k: af.FastRLS(M, 0.97, delta=0.1, **k), lambda: rls(0.97, 0.1, fading=True)),
    "SetMembershipAP": (
        lambda **k: af.SetMembershipAP(M, 0.3, 3, eps=0.2, **k),
        lambda: set_membership_ap(0.3, 3, 0.2),
    ),
    "TransformDomainLMS": (
        lambda **k: af.TransformDomainLMS(M, 0.1, lam=0.9, power=0.5, eps=0.1, **k),
        lambda: transform_domain(0.1, 0.9, 0.5, 0.1),
    ),
    "LatticeRLS": (lambda **k: af.LatticeRLS(M, 0.97, delta=0.1, **k), lambda: rls(0.97, 0.1, fading=True)),
    "AffineProjection": (
        lambda **k: af.AffineProjection(M, 0.6, 3, 0.2, **k),
        lambda: affine_projection(0.6, 3, 0.2),
    ),
}


def leaks(make: Callable[..., Any]) -> bool:
    return getattr(make(dtype=torch.float64), "leak", 0) > 0


def in_all_ways(rows: dict[str, Any]) -> Any:
    """Try both engines in all precisions; by default the reference in a real and a complex one, and compiled what
    test_engines.py compiles anyway: real blocks without leakage.
    """
    short = ("reference", torch.float64), ("reference", torch.complex64), ("auto", torch.float64)
    cases = [(name, engine, dtype) for name in rows for engine in ("auto", "reference") for dtype in NUMPY]
    leaking = [(name, "auto", torch.float64) for name, row in rows.items() if leaks(row[0])]
    given = [case if case[1:] in short and case not in leaking else slow(*case) for case in cases]
    return pytest.mark.parametrize(("name", "engine", "dtype"), given)


@in_all_ways(CASES)
def test_equals_the_textbook_loop(name: str, engine: str, dtype: torch.dtype) -> None:
    make, update = CASES[name]
    x, d = signals(dtype)
    update = update() if not inspect.signature(update).parameters else update  # type: ignore[call-arg]
    y, w = loop(x, d, update)
    out = make(dtype=dtype, engine=engine)(x, d)
    tolerance = {"rtol": TOLERANCE[dtype], "atol": 10 * TOLERANCE[dtype]}
    np.testing.assert_allclose(out.y, y, **tolerance)
    if name != "LatticeRLS":  # whose w is the response of the lattice as it stands, and not that of the next sample
        np.testing.assert_allclose(out.w, w, **tolerance)


@in_all_ways(LOOPS)
@pytest.mark.filterwarnings("ignore:.*no point of the constellation")
def test_equals_the_textbook_loop_with_an_error_of_its_own(name: str, engine: str, dtype: torch.dtype) -> None:
    make, run, given = LOOPS[name]
    x, d = signals(dtype)
    sent = given(x, d)
    y, w = run(x, sent[-1])
    out = make(dtype=dtype, engine=engine)(*sent)
    tolerance = {"rtol": 3 * TOLERANCE[dtype], "atol": 10 * TOLERANCE[dtype]}
    np.testing.assert_allclose(out.y, y, **tolerance)
    np.testing.assert_allclose(out.w, w, **tolerance)


def test_every_algorithm_has_its_loop() -> None:
    ours = [c for c in vars(af).values() if isinstance(c, type) and hasattr(c, "algorithm")]
    filters = {c.__name__ for c in ours if not issubclass(c, af.FrequencyFilter)}  # see test_frequency.py
    assert filters == {name.split(",")[0] for name in (*CASES, *LOOPS)}


def test_defaults_that_follow_the_taps() -> None:
    assert af.VSSNLMS(8).alpha == 1 - 1 / 32
    assert af.HuberNLMS(8, 0.1, clip=1.0).lam == 1 - 1 / 24
    np.testing.assert_allclose(af.Frost(3, 0.1).w, [1, 0, 0], atol=1e-7)  # as many constraints as weights


def test_a_float_parameter_acts_in_the_filters_own_precision() -> None:
    x, d = signals(torch.float64)
    _, w = loop(x, d, lambda w, u, e, d: w + 0.1 * e * u)
    np.testing.assert_allclose(af.LMS(M, 0.1, dtype=torch.float64)(x, d).w, w, rtol=1e-12)


def test_rls_is_regularised_least_squares() -> None:
    for dtype in (torch.float64, torch.complex128):
        x, d = signals(dtype, 200)
        lam, delta, n = 0.99, 0.5, 200
        past = np.concatenate([np.zeros(M - 1), x])
        U = np.array([past[i : i + M][::-1] for i in range(n)])
        weight = lam ** np.arange(n - 1, -1, -1)
        R = (U.conj().T * weight) @ U + lam**n * delta * np.eye(M)
        f = af.RLS(M, lam, delta=delta, dtype=dtype)
        np.testing.assert_allclose(f(x, d).w, np.linalg.solve(R, (U.conj().T * weight) @ d), rtol=1e-9)
        np.testing.assert_allclose(f.P.numpy(), np.linalg.inv(R), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["silence", "tone", "loud tone", "decay", "burst"])
def test_rls_stays_bounded_in_float32_over_a_million_samples(kind: str) -> None:
    n = np.arange(1_000_000)
    rng = np.random.default_rng(0)
    x = {
        "silence": 0.0 * n,
        "tone": np.sin(0.3 * n),
        "loud tone": 1e3 * np.sin(0.3 * n),
        "decay": rng.standard_normal(len(n)) * np.exp(-n / 3000),
        "burst": rng.standard_normal(len(n)) * np.where(n // 10 == 50_000, 1e6, 1.0),
    }[kind]
    f = af.RLS(16, 0.98)
    out = f(x, 0.5 * x)
    assert np.abs(out.w).max() < 2
    P = f.P.double()
    assert torch.isfinite(P).all()
    assert (P - P.mH).abs().max() <= 1e-6 * P.abs().max()
    assert np.abs(out.e[-1000:]).max() <= 1e-5 * max(np.abs(x).max() if kind != "burst" else 5, 1e-30)
    x = rng.standard_normal(2000)
    np.testing.assert_allclose(f(x, -0.25 * x).w, [-0.25] + [0] * 15, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_weights_of_a_lattice_are_the_plant_on_coloured_input(dtype: torch.dtype) -> None:
    """All stages reflect here; the textbook loop compares outputs alone."""
    x, _ = signals(dtype, 800)
    x = lfilter([1, 0.8, 0.4], [1, -0.7 * (np.exp(0.5j) if dtype.is_complex else 1)], x)
    h = np.array([1.0, -0.5, 0.25, 0.1]) * (np.exp(1j * np.arange(4)) if dtype.is_complex else 1)
    w = af.LatticeRLS(4, 1.0, delta=1e-3, dtype=dtype, engine="reference")(x, lfilter(h, 1, x)).w
    np.testing.assert_allclose(w, h, atol=1e-3)


def test_a_lattice_has_the_errors_of_rls_and_weights_of_its_own() -> None:
    rng = np.random.default_rng(0)
    x = lfilter([1.0], [1.0, -0.9], rng.standard_normal(20000))
    h = rng.standard_normal(8)
    d = lfilter(h, 1, x) + 0.01 * rng.standard_normal(20000)
    stated = {0.98: (-26, -64), 0.999: (-54, -71), 1.0: (-75, -79)}  # dB, by the docstring
    for lam, levels in stated.items():
        lattice, rls = (c(8, lam, dtype=torch.float64) for c in (af.LatticeRLS, af.RLS))
        np.testing.assert_allclose(lattice(x, d).e[500:], rls(x, d).e[500:], rtol=0, atol=1e-5)
        for f, level in zip((lattice, rls), levels, strict=True):
            assert af.metrics.misalignment_db(f.w, h) == pytest.approx(level, abs=0.6)


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_a_lattice_survives_a_sample_beyond_its_digits(engine: str) -> None:
    """Conversion factors stay above 0, where 1 - (gamma |b|)^2 / B has no digit left."""
    x = np.random.default_rng(0).standard_normal(200)
    x[100] = 1e12
    f = af.LatticeRLS(M, 1.0, dtype=torch.float64, engine=engine)
    for part in np.split(x, range(100, 110)):
        f(part, 0.5 * part)
        assert float(f.gamma.min()) > 0
        assert float(f.gamma.max()) <= 1


def test_affine_projection_of_order_one_is_nlms() -> None:
    x, d = signals(torch.float64)
    a = af.AffineProjection(M, 0.5, order=1, eps=0.1, dtype=torch.float64)(x, d)
    b = af.NLMS(M, 0.5, eps=0.1, dtype=torch.float64)(x, d)
    np.testing.assert_allclose(a.y, b.y, rtol=1e-11, atol=1e-12)


def test_affine_projection_whitens_coloured_input() -> None:
    h = af.plants.room(32, rt60=20, rng=1).b
    x = af.signals.coloured(4000, [1, -0.95], 2)
    d = np.convolve(x, h)[:4000]
    slow, fast = af.NLMS(32, 1.0)(x, d).w, af.AffineProjection(32, 1.0, order=2)(x, d).w
    assert af.metrics.misalignment_db(fast, h) < af.metrics.misalignment_db(slow, h) - 20


def test_lms_misadjustment_is_what_theory_says() -> None:
    taps, mu, noise = 32, 0.008, 0.01
    rng = np.random.default_rng(3)
    x = rng.standard_normal((64, 12000))
    v = np.sqrt(noise) * rng.standard_normal(x.shape)
    f = af.LMS(taps, mu, batch=(64,), dtype=torch.float64)
    e = f(x, v).e[:, 4000:] - v[:, 4000:]
    assert np.mean(e**2) == pytest.approx(af.theory.lms_emse(mu, taps, 1.0, noise), rel=0.05)


def test_sign_error_survives_impulses_that_upset_lms() -> None:
    rng = np.random.default_rng(1)
    h = np.array([1.0, -0.5, 0.25])
    x = rng.standard_normal(20000)
    d = np.convolve(x, h)[:20000] + np.where(rng.random(20000) < 0.01, 1e3, 0.0) * rng.standard_normal(20000)
    robust, upset = af.SignError(3, 0.001)(x, d).w, af.LMS(3, 0.01)(x, d).w
    assert af.metrics.misalignment_db(robust, h) < af.metrics.misalignment_db(upset, h) - 20
