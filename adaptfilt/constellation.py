"""Constellations: the points that symbols are drawn from, labels of bits, decisions, and the constants of blind rules.

>>> import numpy as np
>>> from adaptfilt import Constellation
>>> qam = Constellation.qam(16)
>>> qam.slice(np.array([0.3 - 0.9j])) * np.sqrt(10)
array([1.-3.j])
>>> print(f"{qam.dispersion:.4f}")
1.3200
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from adaptfilt.checks import positive_int

Array = np.ndarray


class Constellation:
    """K points in the plane or on the line, of unit mean power, with a label of bits for each.

    Parameters
    ----------
    points : array_like, shape (K,)
        Distinct points, real or complex, K >= 2. They are scaled to unit mean power, and kept as real numbers where
        every imaginary part is zero.
    labels : array_like of int, shape (K,)
        ``labels[k]`` belongs to ``points[k]``: each of 0 ... K - 1 once. By default ``labels[k] = k``.
    probabilities : array_like, shape (K,)
        How often each point is sent, for shaped constellations; positive, of sum 1. By default all alike.

    Attributes
    ----------
    points : ndarray, shape (K,)
        Float64 or complex128, ``sum_k probabilities[k] |points[k]|^2 = 1``; read-only.
    labels : ndarray of int64, shape (K,)
        Read-only.
    probabilities : ndarray, shape (K,)
        Read-only.
    grid : tuple of int or None
        Levels of the real and of the imaginary part, where the points are a full grid: `pam` (then 1 imaginary level)
        and `qam` but for the crosses. Point ``k`` stands then at real level ``k // grid[1]``, imaginary level
        ``k % grid[1]``, counted from below; neighbours are `min_distance` apart.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range than stated.

    Notes
    -----
    `slice` and `index` decide for the nearest point. On a grid, ties go up and to the right; elsewhere to the point
    that comes first; for `psk` anywhere. Decisions on a real constellation look at the real part alone. Arrays go in
    and arrays come out, tensors go in and tensors come out, on their device and in their precision.

    Blind equalisers need constants of the constellation; all are means over the points with their probabilities:
    `godard`, `dispersion`, `dispersion_part`, `sato`, `radii`.

    References
    ----------
    .. [1] D. N. Godard, "Self-recovering equalization and carrier tracking in two-dimensional data communication
       systems", IEEE Trans. Communications 28(11), 1980.
    .. [2] K. N. Oh, Y. O. Chin, "Modified constant modulus algorithm: blind equalization and carrier phase recovery
       algorithm", Proc. IEEE Int. Conf. Communications, 1995.
    .. [3] Y. Sato, "A method of self-recovering equalization for multilevel amplitude-modulation systems", IEEE Trans.
       Communications 23(6), 1975.
    .. [4] J. G. Smith, "Odd-bit quadrature amplitude-shift keying", IEEE Trans. Communications 23(3), 1975.
    .. [5] K. Zeger, A. Gersho, "Pseudo-Gray coding", IEEE Trans. Communications 38(12), 1990.

    Examples
    --------
    >>> c = Constellation([0, 1, 1j, -1, -1j], probabilities=[0.5, 0.125, 0.125, 0.125, 0.125])
    >>> c.points.round(3)
    array([ 0.   +0.j   ,  1.414+0.j   ,  0.   +1.414j, -1.414+0.j   ,
           -0.   -1.414j])
    >>> print(f"{c.dispersion:.1f}")
    2.0
    """

    def __init__(
        self, points: ArrayLike, labels: ArrayLike | None = None, probabilities: ArrayLike | None = None
    ) -> None:
        a = _points(points)
        self.labels = np.arange(a.size) if labels is None else _labels(labels, a.size)
        self.probabilities = _probabilities(probabilities, a.size)
        self.points = a / np.sqrt(self.probabilities @ np.abs(a) ** 2)
        self.grid: tuple[int, int] | None = None
        self._ring = False  # points at equal angles, as psk makes them
        for values in (self.points, self.labels, self.probabilities):
            values.flags.writeable = False

    @classmethod
    def psk(cls, M: int) -> Constellation:
        """M points at equal angles on the unit circle, Gray labelled.

        Parameters
        ----------
        M : int
            Number of points, a power of two from 2 on.

        Returns
        -------
        Constellation
            ``psk(2)`` is real, +1 and -1; ``psk(4)`` is on the diagonals, as ``qam(4)``; from 8 on the first point
            is 1.

        Raises
        ------
        TypeError, ValueError
            If `M` is not such a number.

        Examples
        --------
        >>> Constellation.psk(2).points
        array([ 1., -1.])
        """
        M = _power_of_two("M", M, 2)
        k = np.arange(M)
        c = cls(np.array([1.0, -1.0]) if M == 2 else np.exp(2j * np.pi * (k / M + _turn(M))), _gray(k))
        c._ring = True
        return c

    @classmethod
    def pam(cls, M: int, probabilities: ArrayLike | None = None) -> Constellation:
        """M real points at equal distances, symmetric about zero, from the lowest to the highest, Gray labelled.

        Parameters
        ----------
        M : int
            Number of points, a power of two from 2 on.
        probabilities : array_like, shape (M,)
            Of the points, from the lowest on; by default all alike.

        Raises
        ------
        TypeError, ValueError
            If `M` is not such a number, or `probabilities` do not fit.

        Examples
        --------
        >>> Constellation.pam(4).points * np.sqrt(5)
        array([-3., -1.,  1.,  3.])
        """
        M = _power_of_two("M", M, 2)
        c = cls(_levels(M), _gray(np.arange(M)), probabilities)
        c.grid = (M, 1)
        return c

    @classmethod
    def qam(cls, M: int, probabilities: ArrayLike | None = None) -> Constellation:
        """M complex points of a square lattice: a square, or for odd powers of two a cross.

        Parameters
        ----------
        M : int
            Number of points, a power of two from 4 on. 4, 16, 64, ... are squares; 8 is a rectangle of 4 by 2; 32,
            128, 512, ... are crosses, which are squares without their corners.
        probabilities : array_like, shape (M,)
            Of the points, for shaped constellations; by default all alike.

        Returns
        -------
        Constellation
            Grid points from the lowest real part on, and for each from the lowest imaginary part on. Gray labelled;
            for a cross as nearly as can be ([4]_: the outer columns of a rectangle that is Gray labelled are moved
            above and below it).

        Raises
        ------
        TypeError, ValueError
            If `M` is not such a number, or `probabilities` do not fit.

        Examples
        --------
        >>> Constellation.qam(4).points * np.sqrt(2)
        array([-1.-1.j, -1.+1.j,  1.-1.j,  1.+1.j])
        """
        M = _power_of_two("M", M, 4)
        columns = 1 << (M.bit_length() // 2)
        rows = M // columns
        re, im = _levels(columns).repeat(rows), np.tile(_levels(rows), columns)
        i, q = np.divmod(np.arange(M), rows)
        is_cross = columns != rows and M > 8
        if is_cross:
            outer = np.abs(re) > 0.75 * columns
            above = np.sign(im) * (columns + rows - np.abs(re))
            re, im = np.where(outer, np.sign(re) * np.abs(im), re), np.where(outer, above, im)
        c = cls(re + 1j * im, _gray(i) * rows + _gray(q), probabilities)
        c.grid = None if is_cross else (columns, rows)
        return c

    @classmethod
    def apsk(cls, rings: ArrayLike, radii: ArrayLike, labels: ArrayLike | None = None) -> Constellation:
        """Rings of points at equal angles, as satellites send them.

        Parameters
        ----------
        rings : array_like of int, shape (R,)
            Number of points n of each ring, from 1 on; its first point is at the angle ``pi / n``.
        radii : array_like, shape (R,)
            Radius of each ring; positive, up to a common factor.
        labels : array_like of int, shape (K,)
            In the order of the points: ring by ring, anticlockwise. By default few bits differ between neighbours
            (labels that start in Gray order are exchanged in pairs while that helps, [5]_); labels of a standard
            must be given.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type, shape or range than stated.

        Examples
        --------
        >>> Constellation.apsk((4, 12), (1.0, 2.57)).radii.round(4)
        array([0.4384, 1.1266])
        """
        sizes = [positive_int("rings", n) for n in np.atleast_1d(np.asarray(rings))]
        radius = np.atleast_1d(np.asarray(radii, float))
        if radius.shape != (len(sizes),) or not (np.isfinite(radius) & (radius > 0)).all():
            raise ValueError(f"radii must be {len(sizes)} positive numbers, one for each ring, got {radius}")
        points = [r * np.exp(2j * np.pi * (np.arange(n) + 0.5) / n) for n, r in zip(sizes, radius, strict=True)]
        c = cls(np.concatenate(points), labels)
        is_power = c.points.size & (c.points.size - 1) == 0
        return cls(c.points, _pseudo_gray(c.points)) if labels is None and is_power else c

    def __repr__(self) -> str:
        return f"<Constellation of {self.points.size} {'real' if self.is_real else 'complex'} points>"

    @property
    def is_real(self) -> bool:
        """Whether all points are real, so that a real filter takes them."""
        return self.points.dtype.kind == "f"

    @property
    def bits_per_symbol(self) -> int:
        """Bits of a label, ``log2 K``; ValueError if K is not a power of two."""
        K = self.points.size
        if K & (K - 1):
            raise ValueError(f"bits need a constellation of 2, 4, 8, ... points, this one has {K}")
        return K.bit_length() - 1

    @cached_property
    def min_distance(self) -> float:
        """Least distance of two points."""
        a = self.points
        return float(min(np.abs(a[k + 1 :] - a[k]).min() for k in range(a.size - 1)))

    @cached_property
    def radii(self) -> Array:
        """The different ``|a|`` in rising order, for radius-directed equalisers."""
        r = np.sort(np.abs(self.points))
        return r[np.append(True, np.diff(r) > 1e-9)]

    @cached_property
    def symmetry(self) -> int:
        """How many rotations, by multiples of ``2 pi / symmetry``, leave the constellation as it is.

        It is 4 for square and cross `qam`, M for ``psk(M)``, 2 for `pam`: what a decision-directed equaliser cannot
        tell apart.
        """
        outermost = int(np.sum(np.abs(self.points) > self.radii[-1] - 1e-9))
        return next(n for n in range(outermost, 0, -1) if self._is_kept_by(np.exp(2j * np.pi / n)))

    @property
    def dispersion(self) -> float:
        """``R2 = E|a|^4 / E|a|^2``, the squared modulus that the constant-modulus algorithm aims at [1]_."""
        return self.godard(2)

    @property
    def dispersion_part(self) -> float:
        """``E[Re(a)^4] / E[Re(a)^2]``, what the multimodulus algorithm aims at in each part [2]_.

        The imaginary parts give the same unless a quarter turn changes the constellation: see `dispersion_parts`.
        """
        return self.dispersion_parts[0]

    @property
    def dispersion_parts(self) -> tuple[float, float]:
        """``E[r^4] / E[r^2]`` of the real and of the imaginary parts r; 0 where all of them are 0."""
        return self._of_parts(lambda r: (r**4, r**2))

    @property
    def sato(self) -> float:
        """``gamma = E[Re(a)^2] / E|Re(a)|``, the level of Sato's algorithm in each part [3]_: see `sato_parts`."""
        return self.sato_parts[0]

    @property
    def sato_parts(self) -> tuple[float, float]:
        """``E[r^2] / E|r|`` of the real and of the imaginary parts r; 0 where all of them are 0."""
        return self._of_parts(lambda r: (r**2, np.abs(r)))

    def godard(self, p: float) -> float:
        """``R_p = E|a|^(2p) / E|a|^p``, the dispersion constant of Godard's algorithm of power p [1]_.

        Parameters
        ----------
        p : float > 0
            1 gives R1, 2 gives `dispersion`.

        Raises
        ------
        ValueError
            If `p` is not positive.

        Examples
        --------
        >>> print(f"{Constellation.qam(16).godard(1):.5f}")
        1.05573
        """
        if not 0 < p < np.inf:
            raise ValueError(f"p must be positive, got {p}")
        modulus = np.abs(self.points)
        return self._mean(modulus ** (2 * p)) / self._mean(modulus**p)

    def slice(self, y: Any) -> Any:
        """Decide: the nearest point of each sample.

        Parameters
        ----------
        y : array_like or Tensor, any shape
            Finite samples, real or complex.

        Returns
        -------
        ndarray or Tensor, shape of y
            Points, real or complex as the constellation is, in the precision of `y`.

        Raises
        ------
        TypeError, ValueError
            If `y` holds something else than finite numbers.

        Examples
        --------
        >>> Constellation.pam(2).slice([0.2, -3.0, 0.0])
        array([ 1., -1.,  1.])
        """
        y = _samples("y", y)
        return self._as_points(y)[self.index(y)]

    def index(self, y: Any) -> Any:
        """Decide: where in `points` the nearest one of each sample is.

        Parameters
        ----------
        y : array_like or Tensor, any shape
            Finite samples, real or complex.

        Returns
        -------
        ndarray or Tensor of int64, shape of y

        Raises
        ------
        TypeError, ValueError
            If `y` holds something else than finite numbers.

        Examples
        --------
        >>> Constellation.psk(8).index([1.1, 2j, -0.1])
        array([0, 2, 4])
        """
        y = _samples("y", y)
        xp: Any = torch if isinstance(y, Tensor) else np
        if not xp.isfinite(y).all():
            raise ValueError("y must be finite: NaN and infinity have no nearest point")
        re = 1.0 * y.real  # integers too
        im = y.imag if _is_complex(y) and not self.is_real else xp.zeros_like(re)
        if self.grid is not None:
            return self._index_on_grid(re, im, xp)
        return self._index_on_ring(re, im, xp) if self._ring else self._index_of_nearest(re, im, xp)

    def bits(self, y: Any) -> Any:
        """Decide, and spell the labels out as bits.

        Parameters
        ----------
        y : array_like or Tensor, shape (..., T)
            Finite samples, real or complex.

        Returns
        -------
        ndarray or Tensor of uint8, shape (..., T * bits_per_symbol)
            0 and 1, of each label the highest bit first.

        Raises
        ------
        TypeError, ValueError
            If `y` holds something else than finite numbers or has no axis, or K is not a power of two.

        Examples
        --------
        >>> Constellation.qam(16).bits([-1 - 1j, -1 + 1j])
        array([0, 0, 0, 0, 0, 0, 1, 0], dtype=uint8)
        """
        B, index = self.bits_per_symbol, self.index(y)
        if index.ndim == 0:
            raise ValueError("y must have time as its last axis, got a number")
        spelled = (self.labels[:, None] >> np.arange(B)[::-1] & 1).astype(np.uint8)
        if isinstance(index, Tensor):
            return torch.from_numpy(spelled).to(index.device)[index].flatten(-2)
        return spelled[index].reshape(*index.shape[:-1], -1)

    def symbols(self, bits: Any) -> Any:
        """Points for a stream of bits; `bits` undoes it.

        Parameters
        ----------
        bits : array_like or Tensor of integers or bools, shape (..., T * bits_per_symbol)
            0 and 1, of each label the highest bit first.

        Returns
        -------
        ndarray or Tensor, shape (..., T)
            In double precision.

        Raises
        ------
        TypeError, ValueError
            If `bits` are not 0 and 1 as integers, their number is not a multiple of `bits_per_symbol`, or the number
            of points is not a power of two.

        Examples
        --------
        >>> Constellation.pam(4).symbols([0, 0, 1, 0]) * np.sqrt(5)
        array([-3.,  3.])
        """
        B = self.bits_per_symbol
        stream = _samples("bits", bits)
        values = stream.numpy(force=True) if isinstance(stream, Tensor) else stream
        if values.dtype.kind not in "biu":
            raise TypeError(f"bits must be integers or bools, got {values.dtype}")
        if values.ndim == 0 or values.shape[-1] % B or not np.isin(values, (0, 1)).all():
            raise ValueError(f"bits must be 0 or 1, a multiple of {B} on the last axis, got shape {values.shape}")
        words = values.reshape(*values.shape[:-1], -1, B).astype(np.int64) @ (1 << np.arange(B)[::-1])
        points = self.points[np.argsort(self.labels)][words]
        return torch.from_numpy(points).to(stream.device) if isinstance(stream, Tensor) else points

    def _mean(self, values: Array) -> float:
        return float(self.probabilities @ values)

    def _of_parts(self, moments: Callable[[Array], tuple[Array, Array]]) -> tuple[float, float]:
        """Return the ratio of two means, of the real and of the imaginary parts."""
        (over, under), (over_imag, under_imag) = moments(self.points.real), moments(self.points.imag)
        imaginary = self._mean(over_imag) / self._mean(under_imag) if under_imag.any() else 0.0
        return self._mean(over) / self._mean(under), imaginary

    def _is_kept_by(self, rotation: complex) -> bool:
        rotated = self.points * rotation
        k = self.index(rotated)
        return np.allclose(self.points[k], rotated, 0, 1e-9) and np.allclose(
            self.probabilities[k], self.probabilities, 0, 1e-12
        )

    def _as_points(self, y: Any) -> Any:
        """Return the points as y has its numbers: array or tensor, precision, device."""
        if isinstance(y, Tensor):
            real = y.real.dtype if y.is_floating_point() or y.is_complex() else torch.get_default_dtype()
            return torch.tensor(self.points, dtype=real if self.is_real else real.to_complex(), device=y.device)
        return self.points.astype(np.result_type(np.float32 if self.is_real else np.complex64, y.real.dtype))

    def _index_on_grid(self, re: Any, im: Any, xp: Any) -> Any:
        columns, rows = self.grid or (1, 1)
        i = _level(re, columns, self.min_distance, xp)
        return i if rows == 1 else i * rows + _level(im, rows, self.min_distance, xp)

    def _index_on_ring(self, re: Any, im: Any, xp: Any) -> Any:
        M = self.points.size
        return _integers(xp.round(xp.arctan2(im, re) * (M / (2 * np.pi)) - M * _turn(M))) % M

    def _index_of_nearest(self, re: Any, im: Any, xp: Any) -> Any:
        least = xp.full_like(re, np.inf)
        best = xp.zeros_like(re, dtype=xp.int64)
        for k, point in enumerate(self.points.tolist()):
            distance = (re - point.real) ** 2 + (im - point.imag) ** 2
            best = xp.where(distance < least, k, best)
            least = xp.minimum(distance, least)
        return best


def _level(r: Any, levels: int, distance: float, xp: Any) -> Any:
    """Return the number, from the lowest on, of the nearest of levels symmetric about zero."""
    return _integers(xp.clip(xp.floor(r / distance) + levels // 2, 0, levels - 1))


def _integers(k: Any) -> Any:
    return k.to(torch.int64) if isinstance(k, Tensor) else k.astype(np.int64)


def _is_complex(y: Any) -> bool:
    return y.is_complex() if isinstance(y, Tensor) else np.iscomplexobj(y)


def _samples(name: str, value: Any) -> Any:
    """Return a tensor as it is, anything else as an array of numbers."""
    samples = value if isinstance(value, Tensor) else np.asarray(value)
    if not isinstance(samples, Tensor) and samples.dtype.kind not in "biufc":
        raise TypeError(f"{name} must hold numbers, got {value!r:.80}")
    return samples


def _points(points: ArrayLike) -> Array:
    a = _samples("points", points)
    a = a.numpy(force=True) if isinstance(a, Tensor) else a
    a = a.astype(np.result_type(a, np.float64))
    if a.ndim != 1 or a.size < 2 or not np.isfinite(a).all() or np.unique(a).size < a.size:
        raise ValueError(f"points must be at least 2 finite and distinct numbers, (K,), got {points!r:.80}")
    return a if a.imag.any() else a.real.copy()


def _labels(labels: ArrayLike, K: int) -> Array:
    a = np.asarray(labels)
    if a.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got {labels!r:.80}")
    if a.shape != (K,) or not np.array_equal(np.sort(a), np.arange(K)):
        raise ValueError(f"labels must be each of 0 ... {K - 1} once, got {labels!r:.80}")
    return a.astype(np.int64)


def _probabilities(probabilities: ArrayLike | None, K: int) -> Array:
    p = np.full(K, 1 / K) if probabilities is None else np.array(probabilities, float)
    if p.shape != (K,) or not (p > 0).all() or not abs(p.sum() - 1) < 1e-6:
        raise ValueError(f"probabilities must be {K} positive numbers of sum 1, got {probabilities!r:.80}")
    return p / p.sum()


def _power_of_two(name: str, value: int, least: int) -> int:
    number = positive_int(name, value)
    if number < least or number & (number - 1):
        raise ValueError(f"{name} must be a power of two >= {least}, got {value}")
    return number


def _turn(M: int) -> float:
    """Return the angle of the first point of `psk`, in turns."""
    return 1 / 8 if M == 4 else 0.0


def _levels(count: int) -> Array:
    return 2.0 * np.arange(count) - (count - 1)


def _gray(k: Array) -> Array:
    return k ^ (k >> 1)


def _pseudo_gray(points: Array) -> Array:
    """Exchange labels while that makes fewer bits differ between near points, the best exchange first [5]."""
    labels = _gray(np.arange(points.size))
    differing = np.bitwise_count(np.arange(points.size)[:, None] ^ np.arange(points.size)).astype(float)
    distance = np.abs(points[:, None] - points) + np.diag(np.full(points.size, np.inf))
    nearness = np.exp(-2 * (distance / distance.min()) ** 2)
    while True:
        cost = nearness @ differing[labels]  # [k, l]: of point k, if its label were l
        now = cost[:, labels]
        gain = now.diagonal()[:, None] + now.diagonal() - now - now.T - 2 * nearness * differing[labels][:, labels]
        i, j = np.unravel_index(np.argmax(gain), gain.shape)
        if gain[i, j] < 1e-9:
            return labels
        labels[[i, j]] = labels[[j, i]]
