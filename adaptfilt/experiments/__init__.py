"""Experiments at scale: ensembles of runs, sweeps over parameters, and recordings from a manifest.

    ensemble   K runs of (signals, filter) from one seed: mean, spread and quantiles of whatever is measured
    sweep      the same ensemble for every choice of parameters: misadjustment against speed
    files      a filter over many recordings: outputs, a table of metrics, failures listed

All three run in one process, over any `concurrent.futures.Executor`, or over a cluster by a `dask.distributed.Client`
(extra `cluster`), and give the same numbers wherever they run.
"""

from adaptfilt.experiments.ensembles import Ensemble, ensemble, load
from adaptfilt.experiments.recordings import Recording, files
from adaptfilt.experiments.sweeps import Sweep, sweep

__all__ = ["Ensemble", "Recording", "Sweep", "ensemble", "files", "load", "sweep"]
