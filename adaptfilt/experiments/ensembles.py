"""Ensembles: many runs of one experiment from one seed, and what they are like on the average.

Runs are cut into chunks of one size, whoever computes them. A chunk is a batch of filters; it keeps the sums of what is
measured and, for quantiles, every run's curve in at most `POINTS` windows. Chunks are added up in their order. So the
numbers depend on the seed alone, and memory grows by 2 kB a run.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from adaptfilt.checks import natural, positive_int
from adaptfilt.experiments.workers import Work, in_order
from adaptfilt.metrics import as_array

Array = np.ndarray
Measure = Callable[[Any, Any], dict[str, Array]]

CHUNK_SAMPLES = 1 << 18  # of a chunk, so that what a filter reads and writes stays in the processor's cache
LARGEST_CHUNK = 256  # runs
POINTS = 500  # windows of a curve of which quantiles are kept


class Ensemble(NamedTuple):
    """What an ensemble was like; each field maps names of measures to arrays.

    Attributes
    ----------
    mean : dict of ndarray
        Mean over the runs, of the shape that one run's measure has: curves are ``(T,)``.
    std : dict of ndarray
        Standard deviation over the runs, likewise; that of the mean is ``std / sqrt(runs)``.
    quantiles : dict of ndarray, shape (Q, ...)
        Quantiles over the runs, exact to float32, of curves averaged over `window` samples of time.
    window : dict of int
        Samples that a column of the quantiles stands for; 1 up to 500 samples.
    levels : ndarray, shape (Q,)
        Which quantiles.
    runs : int
        Number of runs K.
    every : dict of int
        Samples of time from entry to entry of the last axis, such as `record_every` of misalignment.
    """

    mean: dict[str, Array]
    std: dict[str, Array]
    quantiles: dict[str, Array]
    window: dict[str, int]
    levels: Array
    runs: int
    every: dict[str, int]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one NumPy file, ``.npz``, which `load` reads; no pickle is in it."""
        arrays = {"runs": np.array(self.runs), "levels": self.levels}
        for field in ("mean", "std", "quantiles", "window", "every"):
            arrays |= {f"{field}/{name}": np.asarray(value) for name, value in getattr(self, field).items()}
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"path must end in .npz, got {path}")
        _write(path, arrays)

    def to_xarray(self) -> Any:
        """Return an ``xarray.Dataset`` (extra `cluster`): NAME, NAME_std and NAME_quantiles over time in samples.

        Raises
        ------
        ModuleNotFoundError
            If xarray is not installed.
        """
        try:
            import xarray
        except ModuleNotFoundError as error:
            message = "xarray is missing: pip install 'adaptfilt-torch[cluster]'"
            raise ModuleNotFoundError(message, name=error.name) from None

        found: dict[str, Any] = {}
        for name, mean in self.mean.items():
            axes = [f"{name}_axis{i}" for i in range(mean.ndim - 1)]
            time = [f"{name}_time"] * (mean.ndim > 0)
            found[name] = ([*axes, *time], mean)
            found[f"{name}_std"] = ([*axes, *time], self.std[name])
            windows = [f"{name}_window"] * (mean.ndim > 0)
            found[f"{name}_quantiles"] = (["quantile", *axes, *windows], self.quantiles[name])
        data = xarray.Dataset(found, attrs={"runs": self.runs})
        places = {f"{name}_time": self.time(name) for name, mean in self.mean.items() if mean.ndim}
        places |= {f"{name}_window": self.time(name, windows=True) for name, mean in self.mean.items() if mean.ndim}
        return data.assign_coords(quantile=self.levels, **places)

    def time(self, name: str, *, windows: bool = False) -> Array:
        """Return the samples at which a curve's entries stand, or the middles of its quantiles' windows."""
        if windows:
            size, count = self.window[name], self.quantiles[name].shape[-1]
            return self.every[name] * (size * np.arange(count) + (size - 1) / 2 + 1) - 1
        return self.every[name] * np.arange(1, self.mean[name].shape[-1] + 1) - 1


def load(path: str | os.PathLike[str]) -> Ensemble:
    """Read an ensemble that `Ensemble.save` wrote.

    Raises
    ------
    ValueError
        If the file holds no ensemble.
    """
    fields: dict[str, dict[str, Any]] = {"mean": {}, "std": {}, "quantiles": {}, "window": {}, "every": {}}
    try:
        with np.load(path, allow_pickle=False) as file:
            runs, levels = int(file["runs"]), file["levels"]
            for key in set(file) - {"runs", "levels"}:
                field, name = key.split("/", 1)
                fields[field][name] = int(file[key]) if field in ("window", "every") else file[key]
    except (KeyError, ValueError, EOFError, BadZipFile):
        raise ValueError(f"{path}: holds no ensemble") from None
    return Ensemble(**fields, levels=levels, runs=runs)


def ensemble(
    make: Callable[[int], Any],
    run: Callable[[np.random.Generator], tuple[Array, ...]],
    runs: int,
    *,
    seed: int,
    measure: Measure | None = None,
    executor: Any = None,
    record_every: int | None = None,
    fill: int = 0,
    levels: Sequence[float] = (0.1, 0.5, 0.9),
    folder: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Ensemble:
    """Run one experiment many times, and return mean, standard deviation and quantiles over the runs.

    Parameters
    ----------
    make : callable
        ``make(batch)`` returns a fresh filter of `batch` streams, an int.
    run : callable
        ``run(rng)`` returns the signals of one run, ``x, d``, ``x, d, h`` with the plant, or ``x`` alone for a blind
        filter. All runs have one length. Where h is ``(T, M)``, it changes with time.
    runs : int >= 1
        Number of runs K.
    seed : int
        Run k draws from ``numpy.random.SeedSequence(seed).spawn(runs)[k]``, whoever computes it, so that more runs
        begin with the same ones.
    measure : callable, optional
        ``measure(output, h)`` takes the filter's output for a batch of k runs, and h of shape ``(k, ...)`` or None, and
        returns a dict of arrays, real, runs first. By default ``mse``, the squared errors ``(k, T)``, and with h
        ``misalignment``, ``|h - w|^2 / |h|^2`` of the last weights, ``(k,)``, or of those recorded, ``(k, R)``.
    executor : concurrent.futures.Executor or dask.distributed.Client, optional
        Where chunks of runs are computed; in this process by default. Processes compute with one thread each.
    record_every : int >= 1, optional
        Record the weights after every so many samples, for misalignment over time.
    fill : int >= 0
        So many samples at the start of every run only fill the delay line, ``f.filter(x)``, and are not measured.
        Theory starts on a full line; on an empty one a filter learns the plant's first coefficients from few samples.
    levels : sequence of float, 0 to 1
        Quantiles to give, see `Ensemble`.
    folder : path, optional
        Where every chunk is kept once it is done: the same call goes on from there after an interruption, also with
        more runs. It is made if it does not exist.
    progress : bool, optional
        Show a bar on stderr; by default on a terminal, where tqdm is installed.

    Returns
    -------
    Ensemble

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range, `run` returns something else, a function cannot be sent to processes,
        or `folder` is that of another experiment; all before the first run.
    RuntimeError
        If a worker process died.
    DivergenceError
        If a filter diverged; a note says in which runs.

    Notes
    -----
    What was done in `folder` is known by the seed, `record_every`, the filter's class and parameters, and the first
    run's signals. A change of `measure` is seen by its name only.

    Examples
    --------
    >>> import adaptfilt as af
    >>> def run(rng):
    ...     x = af.signals.white(500, rng)
    ...     h = af.signals.white(4, rng)
    ...     return x, af.signals.add_noise(af.plants.fir(h)(x), 30.0, rng), h
    >>> result = ensemble(lambda batch: af.NLMS(4, 0.5, batch=batch), run, 20, seed=0)
    >>> result.mean["mse"].shape, bool(result.mean["misalignment"] < 1e-3)
    ((500,), True)
    """
    runs, fill = positive_int("runs", runs), natural("fill", fill)
    every = None if record_every is None else positive_int("record_every", record_every)
    quantiles = np.asarray(levels, float)
    if quantiles.ndim != 1 or not ((quantiles >= 0) & (quantiles <= 1)).all():
        raise ValueError(f"levels must be numbers from 0 to 1, got {levels!r}")
    first = _signals(run, np.random.SeedSequence(seed).spawn(1)[0])
    if fill >= first[0].shape[-1]:
        raise ValueError(f"fill must be less than the {first[0].shape[-1]} samples of a run, got {fill}")
    size = max(1, min(LARGEST_CHUNK, CHUNK_SAMPLES // first[0].shape[-1]))
    kept = (
        None
        if folder is None
        else Kept(
            Path(folder),
            _identity(make, first, seed, measure, {"record_every": every, "fill": fill, "runs a chunk": size}),
        )
    )
    starts = range(0, runs, size)
    work = [Work(_chunk, (make, run, measure, seed, k, min(k + size, runs), every, fill)) for k in starts]
    done = in_order(
        work, executor, (make, run, measure), kept, progress, [w.arguments[5] - w.arguments[4] for w in work]
    )
    total = Total()
    for part in done:
        total.add(part)
    return total.result(quantiles, runs, every)


class Total:
    """Sums over chunks."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: dict[str, Array] = {}
        self.squares: dict[str, Array] = {}  # about the mean
        self.curves: dict[str, list[Array]] = {}

    def add(self, part: dict[str, Array]) -> None:
        """Take a chunk in, by the updating formulae of T. F. Chan, G. H. Golub, R. J. LeVeque, 1979, for variances."""
        k = int(part["count"])
        for key in [key for key in part if key.startswith("mean/")]:
            name = key.split("/", 1)[1]
            mean, squares = part[key], part[f"squares/{name}"]
            difference = mean - self.mean.get(name, 0.0)
            both = self.count + k
            self.squares[name] = self.squares.get(name, 0.0) + squares + difference**2 * (self.count * k / both)
            self.mean[name] = self.mean.get(name, 0.0) + difference * (k / both)
            self.curves.setdefault(name, []).append(part[f"curves/{name}"])
        self.count += k

    def result(self, levels: Array, runs: int, every: int | None) -> Ensemble:
        """Return what all chunks amount to."""
        quantiles, window, apart = {}, {}, {}
        for name, curves in self.curves.items():
            quantiles[name] = np.quantile(np.concatenate(curves), levels, axis=0)
            window[name] = _window(self.mean[name].shape)
            apart[name] = every if every is not None and name == "misalignment" else 1
        std = {name: np.sqrt(squares / max(self.count - 1, 1)) for name, squares in self.squares.items()}
        return Ensemble(self.mean, std, quantiles, window, levels, runs, apart)


class Kept:
    """Chunks on disk, of one experiment.

    Parameters
    ----------
    folder : Path
        Where they are.
    identity : dict
        What the experiment is; a folder of another one is refused.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder, identity = folder, json.loads(json.dumps(identity))
        folder.mkdir(parents=True, exist_ok=True)
        card = folder / "experiment.json"
        if not card.exists():
            if any(folder.iterdir()):
                raise ValueError(f"folder must be empty or that of an earlier run, got {folder}")
            card.write_text(json.dumps(identity, indent=1) + "\n")
        try:
            found = json.loads(card.read_text())
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ValueError(f"{card}: not the description of an experiment")
        for name in {**identity, **found}:
            if found.get(name) != identity.get(name):
                raise ValueError(
                    f"folder {folder} is of a run with another {name}: "
                    f"{found.get(name)!r:.200} there, {identity.get(name)!r:.200} here"
                )

    def has(self, work: Work) -> bool:
        """Say whether a chunk was done earlier."""
        return self._path(work).exists()

    def read(self, work: Work) -> dict[str, Array]:
        """Return a chunk that was done earlier."""
        path = self._path(work)
        try:
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        except (ValueError, EOFError, BadZipFile):
            raise ValueError(f"{path}: damaged; remove it, and its runs are done again") from None

    def write(self, work: Work, part: dict[str, Array]) -> None:
        """Keep a chunk; it stands whole under its name or not at all."""
        _write(self._path(work), part)

    def _path(self, work: Work) -> Path:
        first, last = work.arguments[4:6]
        return self.folder / f"runs_{first:08d}_{last:08d}.npz"


def _write(path: Path, arrays: dict[str, Array]) -> None:
    part = path.with_name(f".{path.stem}.{os.getpid()}.{threading.get_ident()}.npz")
    try:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _identity(
    make: Callable[[int], Any], first: Sequence[Any], seed: int, measure: Measure | None, others: dict[str, Any]
) -> dict[str, Any]:
    digest = hashlib.sha256()
    for signal in first:
        digest.update(repr((signal.shape, signal.dtype.str)).encode() + np.ascontiguousarray(signal).tobytes())
    f = make(1)
    return {
        "seed": seed,
        "filter": f"{f!r}, {getattr(f, 'w', np.zeros(0)).dtype}",
        "signals of the first run": digest.hexdigest(),
        "measure": "mse and misalignment" if measure is None else getattr(measure, "__qualname__", repr(measure)),
        **others,
    }


def _signals(run: Callable[[np.random.Generator], tuple[Array, ...]], seed: np.random.SeedSequence) -> list[Array]:
    """Return the signals of one run, x, d and h as far as they are given, as arrays."""
    given = run(np.random.default_rng(seed))
    given = given if isinstance(given, tuple | list) else (given,)
    if not 1 <= len(given) <= 3:
        raise TypeError(f"run must return x, d or x, d, h, got {len(given)} values")
    arrays = [a.numpy(force=True) if hasattr(a, "numpy") else np.asarray(a) for a in given]
    if arrays[0].ndim == 0 or not arrays[0].shape[-1]:
        raise ValueError(f"run must return signals of at least one sample, got x of shape {arrays[0].shape}")
    return arrays


def _chunk(
    make: Callable[[int], Any],
    run: Callable[[np.random.Generator], tuple[Array, ...]],
    measure: Measure | None,
    seed: int,
    first: int,
    last: int,
    every: int | None,
    fill: int,
) -> dict[str, Array]:
    """Return the sums of what is measured in the runs from first to last, and their curves in windows."""
    seeds = [np.random.SeedSequence(seed, spawn_key=(k,)) for k in range(first, last)]
    drawn = list(zip(*(_signals(run, s) for s in seeds), strict=True))
    for name, signals in zip("xdh", drawn, strict=False):
        if len(shapes := {signal.shape for signal in signals}) > 1:
            raise ValueError(f"run must return signals of one length, got {name} of shapes {sorted(shapes)}")
    x, *d = (np.stack(signals) for signals in drawn[:2])
    h = np.stack(drawn[2]) if len(drawn) > 2 else None
    try:
        f = make(last - first)
        if fill:
            f.filter(x[..., :fill])
        signals = [signal[..., fill:] for signal in (x, *d)]
        output = f(*signals, **({} if every is None else {"record_every": every}))
    except Exception as error:
        error.add_note(f"in the runs {first} to {last - 1}")
        raise
    found = (measure or _mse_and_misalignment)(output, h)
    part: dict[str, Array] = {"count": np.array(last - first)}
    for name, values in found.items():
        values = as_array(values)
        if np.iscomplexobj(values) or values.shape[:1] != (last - first,):
            raise ValueError(
                f"measure must return real arrays with the {last - first} runs first, "
                f"got {name} of shape {values.shape}, {values.dtype}"
            )
        mean = values.mean(0)
        part |= {f"mean/{name}": mean, f"squares/{name}": ((values - mean) ** 2).sum(0)}
        part[f"curves/{name}"] = _windows(values).astype(np.float32)
    return part


def _mse_and_misalignment(output: Any, h: Array | None) -> dict[str, Array]:
    """Return squared errors and, where the plant is known, squared distances from it."""
    e = as_array(output.e)
    found = {"mse": e**2 if e.dtype.kind == "f" else e.real**2 + e.imag**2}
    if h is None:
        return found
    w = as_array(output.w)
    axes = w.ndim - h.ndim  # of records; where h moves it has one, too
    if axes < 0:
        h = h[:, -1]  # one row a sample, and the last weights
    elif axes == 0 and w.ndim > 2:
        apart = h.shape[1] // w.shape[1]
        h = h[:, apart - 1 :: apart][:, : w.shape[1]]
    elif axes:
        h = h[:, None]
    taps = max(w.shape[-1], h.shape[-1])
    w, h = (np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, taps - a.shape[-1])]) for a in (w, h))
    energy = np.sum(np.abs(h) ** 2, -1)
    found["misalignment"] = np.sum(np.abs(w - h) ** 2, -1) / np.where(energy > 0, energy, 1.0)
    return found


def _window(shape: tuple[int, ...]) -> int:
    return -(-shape[-1] // POINTS) if shape else 1


def _windows(values: Array) -> Array:
    """Average the last axis of (k, ..., T) over windows; the last window may be shorter."""
    size = _window(values.shape[1:])
    if size == 1:
        return values
    whole = values.shape[-1] // size * size
    means = values[..., :whole].reshape(*values.shape[:-1], -1, size).mean(-1)
    if whole == values.shape[-1]:
        return np.asarray(means)
    return np.concatenate([means, values[..., whole:].mean(-1, keepdims=True)], -1)
