"""Recordings: a filter over every line of a manifest, failures listed and the rest done."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from adaptfilt.experiments.workers import Work, in_order
from adaptfilt.metrics import erle_db, mse_db
from adaptfilt.outputs import replacing, writing

Array = np.ndarray

BLOCK = 1 << 16  # samples


@dataclass(frozen=True)
class Recording:
    """What became of a recording.

    Attributes
    ----------
    name : str
        Of its output: that of d, without the ending.
    samples : int
        Samples done.
    seconds : float
        Time it took.
    mse_db, erle_db, erle_end_db : float
        Mean squared error; how far it lies below d, in all and over the last tenth; NaN after a failure.
    failure : str
        What went wrong; empty where nothing did.
    """

    name: str
    samples: int = 0
    seconds: float = 0.0
    mse_db: float = float("nan")
    erle_db: float = float("nan")
    erle_end_db: float = float("nan")
    failure: str = ""


def files(
    manifest: str | os.PathLike[str] | Iterable[tuple[str | os.PathLike[str], str | os.PathLike[str]]],
    make: Callable[[], Any],
    out: str | os.PathLike[str],
    *,
    executor: Any = None,
    progress: bool | None = None,
) -> list[Recording]:
    """Run a fresh filter over every pair of recordings, and write what is left of each.

    Parameters
    ----------
    manifest : path, or iterable of (path, path)
        A CSV file with the columns ``x`` and ``d``, the paths of input and desired signal, from the manifest's folder
        on; or the pairs themselves. Sounds of one channel (extra `audio`) or ``.npy`` of shape ``(T,)``; the shorter of
        a pair decides.
    make : callable
        ``make()`` returns a fresh filter.
    out : path
        Folder for the errors e, one file a pair with the name and ending of d, and for ``table.csv``, which has a line
        for each pair in the manifest's order. It is made if it does not exist.
    executor : concurrent.futures.Executor or dask.distributed.Client, optional
        Where recordings are done, one a piece of work; in this process by default.
    progress : bool, optional
        As for `ensemble`.

    Returns
    -------
    list of Recording
        The lines of the table. What fails (a file that is missing or damaged, a filter that diverges) is one of them,
        with the failure's text and no output; the others are done.

    Raises
    ------
    TypeError, ValueError
        If the manifest has no such columns or no lines, two of its outputs have one name, or `make` cannot be sent to
        processes: before anything is done.
    RuntimeError
        If a worker process died.

    Examples
    --------
    >>> import tempfile, adaptfilt as af
    >>> folder = Path(tempfile.mkdtemp())
    >>> x = af.signals.white(1000, 0)
    >>> np.save(folder / "far.npy", x); np.save(folder / "mic.npy", af.plants.fir([0.5, 0.2])(x))
    >>> pairs = [(folder / "far.npy", folder / "mic.npy"), (folder / "far.npy", folder / "lost.npy")]
    >>> done, lost = files(pairs, lambda: af.NLMS(8, 0.5), folder / "out")
    >>> done.erle_db > 20, lost.failure.endswith("lost.npy: no such file")
    (True, True)
    """
    pairs = _pairs(manifest)
    names = [d.stem for _, d in pairs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(
            f"manifest must name every d once, as outputs bear its name; got {sorted(twice)} twice or more"
        )
    folder = Path(out)
    if any(folder.resolve() == d.parent.resolve() for _, d in pairs):
        raise ValueError(f"out must not be the folder of the recordings, got {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    work = [Work(_one, (make, x, d, folder)) for x, d in pairs]
    found = list(in_order(work, executor, (make,), None, progress, [1] * len(work)))
    with replacing(folder / "table.csv", {".csv"}) as part, part.open("w", newline="") as file:
        table = csv.DictWriter(file, list(asdict(found[0])))
        table.writeheader()
        table.writerows(asdict(row) for row in found)
    return found


def _pairs(manifest: Any) -> list[tuple[Path, Path]]:
    if not isinstance(manifest, str | os.PathLike):
        pairs = [(Path(x), Path(d)) for x, d in manifest]
    else:
        path = Path(manifest)
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        with path.open(newline="") as file:
            lines = csv.DictReader(file)
            if not {"x", "d"} <= set(lines.fieldnames or ()):
                raise ValueError(f"{path}: must be CSV with the columns x and d, got {lines.fieldnames}")
            pairs = [(path.parent / (line["x"] or ""), path.parent / (line["d"] or "")) for line in lines]
    if not pairs:
        raise ValueError("manifest must name at least one pair of recordings")
    return pairs


def _one(make: Callable[[], Any], x_path: Path, d_path: Path, folder: Path) -> Recording:
    """Run a filter over a pair; whatever goes wrong is said in the result."""
    start, name = perf_counter(), d_path.stem
    try:
        (x, _), (d, fs) = _read(x_path), _read(d_path)
        size = min(x.size, d.size)
        x, d = x[:size], d[:size]
        f = make()
        e = np.concatenate([np.asarray(f(x[k : k + BLOCK], d[k : k + BLOCK]).e) for k in range(0, size, BLOCK)])
        _write(folder / d_path.name, e, fs)
    except Exception as error:  # listed, so that the rest is done
        return Recording(name, seconds=perf_counter() - start, failure=" ".join(str(error).split()) or repr(error))
    end = -max(1, size // 10)
    below, below_end = float(erle_db(d, e)), float(erle_db(d[end:], e[end:]))
    return Recording(name, size, perf_counter() - start, float(mse_db(e)), below, below_end)


def _read(path: Path) -> tuple[Array, int | None]:
    """Return samples, (T,), and the sampling rate of a sound."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix == ".npy":
        try:
            signal, fs = np.load(path, allow_pickle=False), None
        except (ValueError, EOFError):
            raise ValueError(f"{path}: not a NumPy file of samples") from None
    else:
        import soundfile

        try:
            signal, fs = soundfile.read(path, dtype="float32")
        except soundfile.LibsndfileError as error:
            raise ValueError(f"{path}: not a sound file ({error.error_string})") from None
    if signal.ndim != 1 or not signal.size:
        raise ValueError(f"{path}: must hold samples of shape (T,), got {signal.shape}")
    return signal, fs


def _write(path: Path, e: Array, fs: int | None) -> None:
    with replacing(path, {path.suffix.lower()}) as part, writing(path):
        if fs is None:
            with part.open("wb") as file:
                np.save(file, e)
            return
        import soundfile

        soundfile.write(part, e, fs)
