"""The way of a batch of short filters into lanes and back."""

import inspect
import logging
from collections.abc import Callable
from ctypes import c_int64
from functools import cache
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.engines import words
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.cpu import loops
from adaptfilt.engines.cpu.adapters import Layout, lanes_function, places
from adaptfilt.engines.cpu.lanes import CACHE, STRETCH, WIDTH
from adaptfilt.engines.cpu.native import call, empty, over_threads

# Where a call gains: filters at least, and weights at most, of a gain (against lookahead) and of an update.
FILTERS = {"gain": 24, "update": 6}
WEIGHTS = {"gain": 32, "update": 64}
SAMPLES = 64
ONE_BY_ONE = {"add_at", "argmax", "at", "exp", "expj", "log", "tanh"}  # words that lanes do not have
_CALL, _FIRST = len(loops.Call._fields), loops.Call._fields.index("first")
_log = logging.getLogger("adaptfilt")
_refused: set[Algorithm] = set()


def pays(algorithm: Algorithm, layout: Layout, filters: int, samples: int, weights: int) -> bool:
    """Say whether a block of so many filters runs faster side by side, and can."""
    kind = algorithm.structure
    large = kind in FILTERS and filters >= FILTERS[kind] and samples >= SAMPLES and weights <= WEIGHTS[kind]
    return large and not layout.rooms and _fits(algorithm)


def refuse(algorithm: Algorithm, reason: str) -> None:
    """Remember that the functions of an algorithm do not compile for lanes."""
    _log.info("one filter after the other: %s", reason)
    _refused.add(algorithm)
    _fits.cache_clear()


@cache
def _fits(algorithm: Algorithm) -> bool:
    """Say whether filters of an algorithm can run side by side: no sample is told from another, and words are known."""
    alike = algorithm.feed is None and algorithm not in _refused
    return alike and not any(map(_one_by_one, algorithm.functions.values()))


def _one_by_one(function: Callable[..., Any]) -> bool:
    """Say whether a function, or one that it calls, uses a word that lanes do not have."""
    used = inspect.getclosurevars(function)
    for value in (*used.globals.values(), *used.nonlocals.values()):
        name = getattr(value, "__name__", "")
        if getattr(words, name, None) is value:
            if name in ONE_BY_ONE:
                return True
        elif inspect.isfunction(value) and value is not function and _one_by_one(value):
            return True
    return False


class Batch:
    """A batch whose filters run side by side.

    Parameters
    ----------
    algorithm : Algorithm
    layout : Layout
    carried : list of array [shape=(*batch, ...)]
        All that filters carry: weights, lines, signals, states.
    shapes : list of tuple of int
        Of one filter's part of each.
    p : array [shape=(filters, parameters)]
    vectors : list of Tensor
        What all filters share.
    scratch : list of tuple of int and dtype
    """

    def __init__(
        self, algorithm: Algorithm, layout: Layout, carried: list[Any], shapes: list[tuple[int, ...]], p: Any,
        vectors: list[Tensor], scratch: list[tuple[tuple[int, ...], Any]],
    ) -> None:  # fmt: skip
        self._carried, self._shapes, self._p, self._vectors, self._scratch = carried, shapes, p, vectors, scratch
        self._dtype, self._real = carried[0].dtype, p.dtype
        numbers = sum(prod(shape) for shape in shapes)
        large = numbers * WIDTH > CACHE and self._dtype == self._real  # squares of real numbers are turned
        self._lanes, self._filters = (WIDTH // 2 if large else WIDTH) // self._dtype.itemsize, len(p)
        self._groups = -(-self._filters // self._lanes)
        self._of_group = np.minimum(np.arange(self._groups * self._lanes), self._filters - 1)
        pairs = zip(carried, shapes, strict=True)
        self._own = [self._room((self._groups, *shape), values.dtype) for values, shape in pairs]
        self._own_p = self._room((self._groups, p.shape[1]), p.dtype)
        self._mu = self._room((1,), p.dtype)
        self._marked = algorithm.unknown  # where NaN in d counts
        self._function = lanes_function(algorithm, self._dtype.name, layout, self._lanes)

    def _room(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return real numbers for an array in lanes, on lines of 64 bytes: (*shape, parts, lanes)."""
        shape = (*shape, dtype.itemsize // self._real.itemsize, self._lanes)
        size = int(np.prod(shape))
        room = empty((size + 64 // self._real.itemsize,), self._real)
        first = -room.ctypes.data % 64 // self._real.itemsize
        return room[first : first + size].reshape(shape)

    def run(
        self, samples: int, places: tuple[int, ...], rows: tuple[int, ...], mu: tuple[float | None, int], every: int
    ) -> tuple[int, list[Tensor]]:
        """Adapt over a block; return OK, or why not, and what filters carry then. What they carry now stays as it is.

        Parameters
        ----------
        samples : int
        places : tuple of int
            Addresses of x, d, y, e and the record.
        rows : tuple of int
            Bytes from one filter's x to the next one's, from one of its inputs to the next one, from one filter's d to
            the next one's, and the same of y and e, and of the record.
        mu : tuple of float and int
            A step size for all, or None; where filters' own ones stand among the parameters, -1: nowhere.
        every : int
            Keep the weights after every so many samples; 0: never.
        """
        for lanes, values in zip((*self._own, self._own_p), (*self._carried, self._p), strict=True):
            self._write(lanes, values)
        (x, d, y, e, record), (x_row, x_input, d_row, row, record_row), (step, mu_at) = places, rows, mu
        own = step is None and mu_at >= 0
        self._mu.fill(1.0 if step is None else step)
        mu_place = self._own_p[0, mu_at].ctypes.data if own else self._mu.ctypes.data
        status = self._call((
            loops.KEPT, samples, samples, 0, self._groups, 1, 1, 0, 0, self._marked, every, x, x_row, x_input, d,
            d_row, 0, y, e, row, row, 0, 1, mu_place, self._own_p.strides[0] if own else 0, 1, record, record_row,
        ))  # fmt: skip
        pairs = zip(self._own, self._carried, strict=True)
        return status, [torch.from_numpy(self._read(lanes, values)) for lanes, values in pairs]

    def _call(self, numbers: tuple[int, ...]) -> int:
        """Run the loop, the groups over threads."""

        def share(first: int, last: int) -> int:
            rooms = self._rooms()
            arguments = self._arguments(rooms)
            arguments[:_CALL] = numbers
            arguments[_FIRST], arguments[_FIRST + 1] = first, last
            return call(self._function, arguments)

        return over_threads(self._groups, share)

    def _rooms(self) -> list[Any]:
        """Return scratch arrays, rooms for streams and regressors, those of a `Side`, which end with addresses."""
        (F,), (C, M) = self._shapes[:2]
        sizes = [(C, STRETCH + M), (F,), (C, STRETCH), (STRETCH,), (STRETCH,), (STRETCH,)]
        rooms = [self._room(shape, dtype) for shape, dtype in self._scratch]
        return rooms + [self._room(shape, self._dtype) for shape in sizes] + [np.empty(self._lanes, np.int64)]

    def _arguments(self, rooms: list[Any]) -> Any:
        """Return the numbers that the loop gets: space for a `Call`, what `memory` reads, a `Side`."""
        carried = [
            (own.ctypes.data, 0, own.strides[0], 1, *shape) for own, shape in zip(self._own, self._shapes, strict=True)
        ]
        p = self._own_p.ctypes.data, self._own_p.strides[0], self._own_p.shape[1]
        arrays = [(room.ctypes.data, *room.shape[:-2]) for room in rooms[:-5]]
        numbers = places(carried, p, [(v.data_ptr(), v.numel()) for v in self._vectors], arrays)
        reals = self._dtype.itemsize // self._real.itemsize
        w = self._own[0]
        numbers += [self._filters, self._lanes, self._dtype.itemsize, self._shapes[1][0], reals]
        numbers += [*(room.ctypes.data for room in rooms[-5:]), w.ctypes.data, w.strides[0], w.shape[1]]
        return (c_int64 * len(numbers))(*numbers)

    def _write(self, lanes: Any, values: Any) -> None:
        """Bring what filters carry into lanes."""
        of_filter = values.view(self._real).reshape(self._filters, -1, lanes.shape[-2])[self._of_group]
        of_filter = of_filter.reshape(self._groups, self._lanes, -1, lanes.shape[-2]).transpose(0, 2, 3, 1)
        lanes.reshape(self._groups, -1, *lanes.shape[-2:])[:] = of_filter

    def _read(self, lanes: Any, like: Any) -> Any:
        """Return it as it was before."""
        of_lane = lanes.reshape(self._groups, -1, *lanes.shape[-2:]).transpose(0, 3, 1, 2)
        rows = of_lane.reshape(self._groups * self._lanes, -1)[: self._filters]
        return np.ascontiguousarray(rows).view(like.dtype).reshape(like.shape)
