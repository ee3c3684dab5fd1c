"""Decisions: the point nearest to an output, in the quickest way that a constellation allows.

Each function takes the same arguments, in words of `adaptfilt.engines.words`: an output, the points, and for points on
a grid half the distance of neighbours, and the levels of the real and of the imaginary part.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from adaptfilt.engines import words
from adaptfilt.engines.words import complex, imag, isnan, real, slice_pam, where
from adaptfilt.filters.equalisers.blind import check_constellation

Decide = Callable[[Any, Any, Any, Any, Any], Any]
VECTORS = {"points": "signal"}


def binary(y: Any, points: Any, half_distance: Any, columns: Any, rows: Any) -> Any:
    """Decide between two levels in a real filter; a tie goes up."""
    return where(y < 0, -half_distance, half_distance)


def quadrant(y: Any, points: Any, half_distance: Any, columns: Any, rows: Any) -> Any:
    """Decide between two levels in each part."""
    return complex(where(real(y) < 0, -half_distance, half_distance), where(imag(y) < 0, -half_distance, half_distance))


def line(y: Any, points: Any, half_distance: Any, columns: Any, rows: Any) -> Any:
    """Decide between the levels of a real filter."""
    return slice_pam(y, half_distance, columns)


def grid(y: Any, points: Any, half_distance: Any, columns: Any, rows: Any) -> Any:
    """Decide between the levels of each part."""
    return complex(slice_pam(real(y), half_distance, columns), slice_pam(imag(y), half_distance, rows))


def nearest(y: Any, points: Any, half_distance: Any, columns: Any, rows: Any) -> Any:
    """Decide by looking at every point."""
    return words.nearest(y, points)


DECIDE: dict[str, Decide] = {f.__name__: f for f in (quadrant, grid, nearest, binary, line)}


def deciding(decide: Decide) -> Callable[..., Any]:
    """Return a function of y and d: d, or the decision on y where d is not known."""

    def symbol(y: Any, d: Any, points: Any, half_distance: Any, columns: Any, rows: Any) -> Any:
        return where(isnan(d), decide(y, points, half_distance, columns, rows), d)

    return symbol


def erring(decide: Decide) -> Callable[..., Any]:
    """Return the error of an output: the known or decided symbol minus y."""

    def decided_error(y: Any, d: Any, points: Any, half_distance: Any, columns: Any, rows: Any) -> Any:
        return where(isnan(d), decide(y, points, half_distance, columns, rows), d) - y

    return decided_error


def choose(constellation: Any, dtype: torch.dtype) -> tuple[str, dict[str, Any]]:
    """Return the name of the decision that a filter takes on a constellation, and its arguments.

    Parameters
    ----------
    constellation : Constellation
        Of real points for a real filter.
    dtype : torch.dtype
        Of the filter.

    Raises
    ------
    TypeError
        If it is no constellation, or complex and the filter real.
    """
    check_constellation(constellation, dtype)
    points, (columns, rows) = constellation.points, constellation.grid or (0, 0)
    half_distance = constellation.min_distance / 2
    if len(points) == (4 if dtype.is_complex else 2) and np.allclose(
        np.abs(points.view(float)), half_distance, 1e-9, 0
    ):
        name = "quadrant" if dtype.is_complex else "binary"
    elif constellation.grid:
        name = "grid" if dtype.is_complex else "line"
    else:
        name = "nearest"
    return name, {
        "points": points.copy(),
        "half_distance": half_distance,
        "columns": float(columns),
        "rows": float(rows),
    }
