"""The carrier loop of a deciding equaliser, and its steps.

With z = y exp(-j theta) and the known or decided symbol a, a second-order loop of angle theta and rate nu:

    e = a exp(j theta) - y,    phi = Im(z conj(a)) / |a|^2
    nu <- nu + beta phi,    theta <- theta + alpha phi + nu

Source: D. D. Falconer, "Jointly adaptive equalization and carrier recovery in two-dimensional digital communication
systems", Bell System Technical Journal, 1976; M. Rice, *Digital Communications: A Discrete-Time Approach*, 2009, app.
C.
"""

from collections.abc import Callable
from math import pi
from typing import Any

import torch

from adaptfilt.checks import check_number
from adaptfilt.engines.words import abs2, add, conj, div, expj, floor, imag, isnan, maximum, mul, scale, where
from adaptfilt.filters.equalisers.decisions import Decide


def directed_gain(e: Any, energy: Any, mu: Any, eps: Any, normalized: Any) -> Any:
    """Return the gain of LMS or NLMS."""
    return scale(div(mu, where(normalized > 0, add(eps, energy), 1.0)), e)


def derotated(decide: Decide) -> Callable[..., Any]:
    """Return the function of output and error in a carrier loop."""

    def carrier_error(y: Any, d: Any, theta: Any, points: Any, half_distance: Any, columns: Any, rows: Any) -> Any:
        turn = expj(theta)
        z = y * conj(turn)
        a = where(isnan(d), decide(z, points, half_distance, columns, rows), d)
        return z, a * turn - y

    return carrier_error


def turned(y: Any, a: Any, theta: Any, nu: Any, alpha: Any, beta: Any) -> Any:
    """Return the loop's angle within a turn and its rate, after an output and its symbol, both turned by theta."""
    phi = div(imag(y * conj(a)), maximum(1e-30, abs2(a)))
    nu = nu + beta * phi
    theta = theta + alpha * phi + nu
    turns = floor(add(mul(0.5 / pi, theta), 0.5))
    return add(theta, mul(-2 * pi, turns)), nu


def carrier_gain(
    e: Any, energy: Any, y: Any, mu: Any, eps: Any, normalized: Any, theta: Any, nu: Any, alpha: Any, beta: Any
) -> Any:
    """Return the gain, and the loop's angle within a turn and its rate."""
    theta, nu = turned(y, y + e, theta, nu, alpha, beta)
    return directed_gain(e, energy, mu, eps, normalized), theta, nu


def loop_gains(carrier: Any, dtype: torch.dtype) -> dict[str, float]:
    """Return the gains of a second-order loop from its noise bandwidth, in cycles a symbol, and damping."""
    if not (isinstance(carrier, tuple | list) and len(carrier) == 2):
        raise TypeError(f"carrier must be a pair (bandwidth, damping), got {carrier!r}")
    if not dtype.is_complex:
        raise TypeError("carrier needs a complex filter: make it with dtype=torch.complex64 or complex128")
    names = ("carrier bandwidth", "carrier damping")
    bandwidth, damping = (float(check_number(k, v, (), above=True)) for k, v in zip(names, carrier, strict=True))
    t = bandwidth / (damping + 0.25 / damping)
    total = 1 + 2 * damping * t + t * t
    return {"alpha": 4 * damping * t / total, "beta": 4 * t * t / total}
