"""Sweeps: the same ensemble for every choice of parameters, and how well and how fast each one was."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adaptfilt.experiments.ensembles import Ensemble, ensemble

Array = np.ndarray

END = 10  # the steady state is the last tenth
SMOOTH = 100  # windows of a curve in which its speed is measured


class Sweep(NamedTuple):
    """What a sweep found.

    Attributes
    ----------
    choices : list of dict
        Parameters of every ensemble.
    results : list of Ensemble
        What each was like.
    """

    choices: list[dict[str, Any]]
    results: list[Ensemble]

    def rows(self, noise_power: float | None = None) -> list[dict[str, Any]]:
        """Return a dict for each choice: its parameters, ``mse``, ``misadjustment``, ``samples``.

        Parameters
        ----------
        noise_power : float > 0, optional
            The least mean squared error, of which misadjustment is the excess as a part; without it, there is none.

        Returns
        -------
        list of dict
            ``mse`` is the mean of the last tenth; ``samples`` the time in which the curve, in a hundred windows, first
            falls below twice that. Both need a run that is long enough to settle, and many enough runs.
        """
        found = []
        for choice, result in zip(self.choices, self.results, strict=True):
            end, samples = _speed(result.mean["mse"])
            row = {**choice, "mse": end, "samples": samples}
            if noise_power is not None:
                row["misadjustment"] = end / noise_power - 1
            found.append(row)
        return found

    def table(self, noise_power: float | None = None) -> str:
        """Return the rows as a table in Markdown, with mse in dB."""
        rows = self.rows(noise_power)
        names = list(rows[0])
        text = [[_cell(name, row[name]) for name in names] for row in rows]
        head = ["mse (dB)" if name == "mse" else name for name in names]
        return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *text]) + "\n"


def sweep(
    make: Callable[..., Any],
    run: Callable[[np.random.Generator], tuple[Array, ...]],
    runs: int,
    values: Mapping[str, Sequence[Any]],
    *,
    seed: int,
    folder: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Sweep:
    """Run an ensemble for every combination of parameters, all on the same signals.

    Parameters
    ----------
    make : callable
        ``make(batch, **parameters)`` returns a fresh filter.
    run, runs, seed
        As for `ensemble`; the signals are the same for all parameters, so that they compare at fewer runs.
    values : mapping of str to sequence
        Values to try, by the parameter's name.
    folder : path, optional
        Where all is kept, with a folder for each choice: see `ensemble`.
    **options
        For `ensemble`: measure (which must give ``mse``), executor, levels, record_every, progress.

    Returns
    -------
    Sweep

    Raises
    ------
    TypeError, ValueError, RuntimeError, DivergenceError
        As for `ensemble`; or if there is nothing to try.

    Examples
    --------
    >>> import adaptfilt as af
    >>> def run(rng):
    ...     x = af.signals.white(1000, rng)
    ...     return x, af.plants.fir([0.5, -0.3])(x) + 0.1 * af.signals.white(1000, rng)
    >>> make = lambda batch, mu: af.NLMS(2, mu, batch=batch)
    >>> found = sweep(make, run, 50, {"mu": [0.1, 0.5]}, seed=0)
    >>> slow, fast = found.rows(noise_power=0.01)
    >>> slow["misadjustment"] < fast["misadjustment"], slow["samples"] > fast["samples"]
    (True, True)
    """
    choices = [dict(zip(values, choice, strict=True)) for choice in itertools.product(*values.values())]
    if not values or not choices:
        raise ValueError(f"values must hold something to try, got {dict(values)!r}")
    results = []
    for choice in choices:
        place = None
        if folder is not None:
            place = Path(folder) / (",".join(f"{k}={v}" for k, v in choice.items()).replace(os.sep, "_"))
        results.append(ensemble(partial(make, **choice), run, runs, seed=seed, folder=place, **options))
    return Sweep(choices, results)


def _speed(mse: Array) -> tuple[float, float]:
    """Return a curve's end, and the samples in which it first falls below twice that."""
    end = float(mse[-max(1, mse.size // END) :].mean())
    size = max(1, mse.size // SMOOTH)
    windows = mse[: mse.size // size * size].reshape(-1, size).mean(-1)
    return end, float(size * np.argmax(windows <= 2 * end))


def _cell(name: str, value: Any) -> str:
    if name == "mse":
        return f"{10 * np.log10(value):.2f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
