"""What an equaliser without known symbols steers towards, other than the nearest point.

**Stop-and-go**: the nearest point a, in each part only where its error has the sign of that of Sato's algorithm, and
elsewhere nothing; wrong decisions are then mostly ignored while the eye is closed.

**Soft**: the mean of the points, weighed by how likely they are in noise of a given power around y,
sum_q a_q exp(-|y - a_q|^2 / noise) / sum_q exp(-|y - a_q|^2 / noise); small steps where a decision is uncertain.

**Hand-over**: a blind rule while the smoothed distance s from the nearest point is large, and decisions from then on;
with the blind rule again where the eye closes:

    s <- .99 s + .01 |a - y|^2,    e = b(y) where s >= handover,    a - y elsewhere

Source: G. Picchi and G. Prati, "Blind equalization and carrier recovery using a stop-and-go decision-directed
algorithm", IEEE Trans. Communications, 1987; S. J. Nowlan and G. E. Hinton, "A soft decision-directed LMS algorithm
for blind equalization", IEEE Trans. Communications, 1993; V. Weerackody and S. A. Kassam, "Dual-mode type algorithms
for blind equalization", IEEE Trans. Communications, 1994.
"""

from collections.abc import Callable
from typing import Any

from adaptfilt.checks import check_number
from adaptfilt.constellation import Constellation
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import (
    abs2,
    add,
    amax,
    complex,
    conj,
    div,
    dot,
    exp,
    expj,
    imag,
    isnan,
    mul,
    norm_1,
    real,
    where,
)
from adaptfilt.filters.equalisers.carrier import carrier_gain, directed_gain, turned
from adaptfilt.filters.equalisers.cma import cma_error
from adaptfilt.filters.equalisers.decisions import DECIDE, VECTORS, Decide
from adaptfilt.filters.equalisers.mma import mma_error, mma_real_error
from adaptfilt.filters.equalisers.sato import sato_error, sato_real_error

Target = Callable[..., Any]
SMOOTHING = 0.99  # of the squared distance from decisions, a symbol


def cautious(decide: Decide) -> Target:
    """Return the target of stop-and-go, with the levels of Sato's algorithm as c1 and c2."""

    def going(y: Any, points: Any, half_distance: Any, columns: Any, rows: Any, c1: Any, c2: Any) -> Any:
        e, sato = decide(y, points, half_distance, columns, rows) - y, sato_error(y, c1, c2)
        r, i = real(e), imag(e)
        return y + complex(where(r * real(sato) > 0, r, 0.0), where(i * imag(sato) > 0, i, 0.0))

    return going


def cautious_real(decide: Decide) -> Target:
    """Return the target of stop-and-go in a real filter."""

    def going(y: Any, points: Any, half_distance: Any, columns: Any, rows: Any, c1: Any, c2: Any) -> Any:
        a = decide(y, points, half_distance, columns, rows)
        return where((a - y) * sato_real_error(y, c1) > 0, a, y)

    return going


def soft(y: Any, points: Any, half_distance: Any, columns: Any, rows: Any, c1: Any, c2: Any) -> Any:
    """Return the mean of the points in noise of power c1 around y."""
    likely = mul(-1 / c1, abs2(add(points, -y)))
    weight = exp(add(likely, -amax(likely)))
    return div(dot(points, weight), norm_1(weight))


def steered(target: Target) -> Target:
    """Return the error towards a known symbol, or else a target."""

    def error(y: Any, d: Any, points: Any, half_distance: Any, columns: Any, rows: Any, c1: Any, c2: Any) -> Any:
        return where(isnan(d), target(y, points, half_distance, columns, rows, c1, c2), d) - y

    return error


def steered_in_turn(target: Target) -> Target:
    """Return the function of output and error towards a known symbol, or else a target, in a carrier loop."""

    def error(
        y: Any, d: Any, theta: Any, points: Any, half_distance: Any, columns: Any, rows: Any, c1: Any, c2: Any
    ) -> Any:
        turn = expj(theta)
        z = y * conj(turn)
        a = where(isnan(d), target(z, points, half_distance, columns, rows, c1, c2), d)
        return z, a * turn - y

    return error


def of_parts(y: Any, c1: Any, c2: Any) -> Any:
    """Return the blind error of a complex filter without a carrier loop: that of MMA."""
    return mma_error(y, c1, c2)


def of_level(y: Any, c1: Any, c2: Any) -> Any:
    """Return the blind error of a real filter: that of MMA."""
    return mma_real_error(y, c1)


def handed_over(decide: Decide, blind: Target) -> Algorithm:
    """Return the algorithm that hands over from a blind rule to decisions."""

    def error(
        y: Any,
        d: Any,
        spread: Any,
        points: Any,
        half_distance: Any,
        columns: Any,
        rows: Any,
        c1: Any,
        c2: Any,
        closed: Any,
    ) -> Any:
        e = decide(y, points, half_distance, columns, rows) - y
        return where(isnan(d), where(spread < closed, e, blind(y, c1, c2)), d - y)

    def gain(
        e: Any,
        energy: Any,
        y: Any,
        mu: Any,
        eps: Any,
        normalized: Any,
        spread: Any,
        points: Any,
        half_distance: Any,
        columns: Any,
        rows: Any,
    ) -> Any:
        apart = abs2(decide(y, points, half_distance, columns, rows) - y)
        return directed_gain(e, energy, mu, eps, normalized), smoothed(spread, apart)

    return Algorithm(gain=gain, error=error, vectors=VECTORS, unknown=True, state={"spread": "real"})  # fmt: skip


def handed_over_in_turn(decide: Decide) -> Algorithm:
    """Return the algorithm that hands over in a carrier loop, from CMA, which does not see the phase."""

    def error(
        y: Any,
        d: Any,
        theta: Any,
        spread: Any,
        points: Any,
        half_distance: Any,
        columns: Any,
        rows: Any,
        dispersion: Any,
        closed: Any,
    ) -> Any:
        turn = expj(theta)
        z = y * conj(turn)
        e = decide(z, points, half_distance, columns, rows) * turn - y
        return z, where(isnan(d), where(spread < closed, e, cma_error(y, dispersion)), d * turn - y)

    def gain(
        e: Any,
        energy: Any,
        y: Any,
        d: Any,
        mu: Any,
        eps: Any,
        normalized: Any,
        theta: Any,
        nu: Any,
        spread: Any,
        alpha: Any,
        beta: Any,
        points: Any,
        half_distance: Any,
        columns: Any,
        rows: Any,
    ) -> Any:
        turn = expj(theta)
        decided = decide(y * conj(turn), points, half_distance, columns, rows) * turn
        a = where(isnan(d), decided, d * turn)
        theta, nu = turned(y, a, theta, nu, alpha, beta)
        return directed_gain(e, energy, mu, eps, normalized), theta, nu, smoothed(spread, abs2(decided - y))

    return Algorithm(
        gain=gain, error=error, vectors=VECTORS, unknown=True, running=True,
        state={"theta": "real", "nu": "real", "spread": "real"},
    )  # fmt: skip


def smoothed(spread: Any, apart: Any) -> Any:
    """Return the smoothed squared distance from decisions."""
    return add(mul(SMOOTHING, spread), mul(1 - SMOOTHING, apart))


def algorithms() -> dict[str, Algorithm]:
    """Return the algorithms of all targets by name, such as "grid_blind_carrier"."""
    found = {}
    kinds = {f"{k}_go": cautious(f) for k, f in DECIDE.items()}
    kinds |= {f"{k}_go_real": cautious_real(f) for k, f in DECIDE.items()} | {"soft": soft}
    for name, target in kinds.items():
        found[name] = Algorithm(gain=directed_gain, error=steered(target), vectors=VECTORS, unknown=True)
        found[f"{name}_carrier"] = Algorithm(
            gain=carrier_gain, error=steered_in_turn(target), vectors=VECTORS, unknown=True, running=True,
            state={"theta": "real", "nu": "real"},
        )  # fmt: skip
    for name, decide in DECIDE.items():
        found[f"{name}_blind"] = handed_over(decide, of_parts)
        found[f"{name}_blind_real"] = handed_over(decide, of_level)
        found[f"{name}_blind_carrier"] = handed_over_in_turn(decide)
    return found


def choose_target(decisions: Any, name: str, constellation: Constellation, is_complex: bool) -> tuple[str, dict]:
    """Return the name of a target, given that of the decision, and its arguments.

    Parameters
    ----------
    decisions : {"hard", "stop-and-go"} or tuple of str and float
        ("soft", noise) or ("blind", handover).
    name : str
        Of the decision.
    constellation : Constellation
    is_complex : bool
        Whether the filter is.

    Raises
    ------
    TypeError, ValueError
        If there are no such decisions.
    """
    real = "" if is_complex else "_real"
    if decisions == "hard":
        return name, {}
    if decisions == "stop-and-go":
        return f"{name}_go{real}", dict(zip(("c1", "c2"), constellation.sato_parts, strict=True))
    if not (isinstance(decisions, tuple | list) and len(decisions) == 2 and decisions[0] in ("soft", "blind")):
        raise ValueError(
            f'decisions must be "hard", "stop-and-go", ("soft", noise) or ("blind", handover), got {decisions!r}'
        )
    value = float(check_number(f"decisions: {decisions[0]}", decisions[1], (), above=True))
    if decisions[0] == "soft":
        return "soft", {"c1": value, "c2": 0.0}
    return f"{name}_blind{real}", {
        **dict(zip(("c1", "c2"), constellation.dispersion_parts, strict=True)),
        "dispersion": constellation.dispersion,
        "closed": value * constellation.min_distance**2 / 4,
    }
