"""Pictures: convergence, learning curves, error surfaces, responses, signals, spectrograms, constellations, eyes.

Every function draws on `ax`, or on a new figure of its own of 8 by 4.5 inches, and returns the Axes. Nothing
needs a display, and nothing is kept by pyplot: ``ax.figure.savefig("picture.png")`` writes the picture, at
150 dpi. Arrays and tensors are both welcome. What is true is a wide grey line behind what was found.

The legend stands beside the axes where the figure makes room for it, ``layout="constrained"`` as in figures of ours,
and else inside, where it covers neither a neighbour nor, if it can be helped, a curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.linalg import toeplitz
from scipy.signal import freqz, get_window

from adaptfilt.metrics import as_array, isi_db, learning_curve_db, misalignment_db

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Data = ArrayLike | torch.Tensor
Array = np.ndarray

TRUE: dict[str, Any] = {"color": "0.75", "linewidth": 5, "solid_capstyle": "butt", "zorder": 1}
FOUND: dict[str, Any] = {"linewidth": 1.2, "zorder": 2}
THEORY: dict[str, Any] = {"color": "k", "linestyle": ":", "linewidth": 1.2, "zorder": 3}


def coefficients(
    history: Data,
    true: Data | None = None,
    *,
    every: int = 1,
    fs: float | None = None,
    theory: Data | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Coefficient convergence: each coefficient over time, with the true ones as wide grey lines behind.

    Parameters
    ----------
    history : array_like or Tensor, shape (T, M)
        Weights after every sample, as recorded; complex ones show real (solid) and imaginary (dashed) parts.
    true : array_like or Tensor, shape (N,) or (T, N)
        True coefficients, constant or changing with time.
    every : int >= 1
        Samples from row to row: the ``record_every`` of the call.
    fs : float > 0
        Sampling rate in Hz, for an axis in seconds; by default it counts samples.
    theory : array_like or Tensor, shape (N, M)
        Mean weights that theory predicts, sample by sample: ``predict(...).learning.w`` of `adaptfilt.theory`.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        With a line a coefficient, named in the legend where there are at most eight.

    Examples
    --------
    >>> ax = coefficients(np.linspace([0, 0], [0.5, -0.2], 100), true=[0.5, -0.2])
    >>> ax.get_xlabel()
    'time (samples)'
    """
    history = as_array(history)
    if history.ndim != 2:
        raise ValueError(f"history must have shape (T, M), of one filter, got {history.shape}")
    ax = _axes(ax, _time(fs), "coefficient")
    n = every * np.arange(1, len(history) + 1) / (fs or 1.0)
    taps = history.shape[1]
    few = taps <= 8
    if true is not None:
        true = as_array(true)
        for part in _parts(np.broadcast_to(true, (len(n), true.shape[-1]))).values():
            lines = ax.plot(n, part, **(TRUE if few else TRUE | {"linewidth": 2.5}))
        lines[0].set_label("true")
    for name, part in _parts(history).items():
        dashes = "--" if name == "imag" else "-"
        for k in range(taps):
            style = FOUND | {"color": f"C{k}"} if few else FOUND | {"color": "C0", "linewidth": 0.7}
            ax.plot(n, part[:, k], dashes, label=f"{f'w[{k}]' if few else 'found'} {name}".strip(), **style)
    if theory is not None:
        for part in _parts(as_array(theory)).values():
            ax.plot(np.arange(1, len(part) + 1) / (fs or 1.0), part, label="theory", **THEORY)
    return _legend(ax)


def learning_curve(
    e: Data,
    *,
    window: int = 1,
    fs: float | None = None,
    noise_floor_db: float | None = None,
    theory: Data | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Learning curve: mean squared error in dB over time; call it again on the same `ax` to compare filters.

    While the plant and the line are still empty, d is small and with it the error, whatever the filter does. The start
    is therefore not shown as far as it lies 10 dB below the highest point of the first tenth of the curve, if that is a
    fiftieth of the curve at most, and as far as it lies below all that comes after that tenth.

    Parameters
    ----------
    e : array_like or Tensor, shape (..., T)
        Errors of independent runs, or of one.
    window : int >= 1
        Length in samples of the moving average of powers, see :func:`adaptfilt.metrics.learning_curve_db`.
    fs : float > 0
        Sampling rate in Hz, for an axis in seconds; by default it counts samples.
    noise_floor_db : float
        Level of a dashed line, the least error there can be.
    theory : array_like or Tensor, shape (T,)
        Mean squared errors that theory predicts, such as ``predict(...).learning.mse`` of `adaptfilt.theory`.
    label : str
        Name in the legend.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> learning_curve(0.99 ** np.arange(500), window=10, noise_floor_db=-40).get_ylabel()
    'mean squared error (dB)'
    """
    ax = _axes(ax, _time(fs), "mean squared error (dB)")
    curve = learning_curve_db(e, window)
    shown = slice(_empty(curve), None)
    ax.plot((np.arange(curve.size) / (fs or 1.0))[shown], curve[shown], label=label, **FOUND)
    return _references(ax, theory, noise_floor_db, fs)


def misalignment(
    history: Data,
    true: Data,
    *,
    every: int = 1,
    fs: float | None = None,
    theory: Data | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Distance from the plant in dB over time; call it again on the same `ax` to compare filters.

    Parameters
    ----------
    history : array_like or Tensor, shape (..., T, M)
        Weights as recorded, of one filter or of independent runs, whose mean is shown.
    true : array_like or Tensor, shape (N,) or (T, N)
        Coefficients of the plant, constant or changing with time.
    every : int >= 1
        Samples from row to row: the ``record_every`` of the call.
    fs : float > 0
        Sampling rate in Hz, for an axis in seconds; by default it counts samples.
    theory : array_like or Tensor, shape (S,)
        Mean-square deviations that theory predicts, sample by sample: ``predict(...).learning.msd`` of
        `adaptfilt.theory`; for a plant that does not change.
    label : str
        Name in the legend.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Of :func:`adaptfilt.metrics.misalignment_db`: 0 dB are weights of zero.

    Raises
    ------
    ValueError
        If `history` is no history, or theory is to be compared with a plant that changes.

    Examples
    --------
    >>> misalignment(np.linspace([0, 0], [0.5, -0.2], 100), true=[0.5, -0.2], fs=8000.0).get_ylabel()
    'misalignment (dB)'
    """
    history, true = as_array(history), as_array(true)
    if history.ndim < 2:
        raise ValueError(f"history must have shape (..., T, M), got {history.shape}")
    if theory is not None and true.ndim != 1:
        raise ValueError(f"theory goes with a plant of shape (N,), got {true.shape}")
    ax = _axes(ax, _time(fs), "misalignment (dB)")
    ratio = 10 ** (misalignment_db(history, true) / 10)
    n = every * np.arange(1, history.shape[-2] + 1) / (fs or 1.0)
    with np.errstate(divide="ignore"):
        ax.plot(n, 10 * np.log10(ratio.reshape(-1, n.size).mean(0)), label=label, **FOUND)
    return _references(ax, None if theory is None else as_array(theory) / np.sum(np.abs(true) ** 2), None, fs, first=1)


def error_surface(
    paths: Mapping[str, Data],
    true: Data,
    input: Data = 1.0,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Paths of two coefficients over the mean squared error that every pair of them would have.

    Parameters
    ----------
    paths : mapping of str to array_like or Tensor, shape (T, 2)
        Histories of weights by the names of their filters; real, from zero on.
    true : array_like or Tensor, shape (2,)
        The plant, which is the bottom of the surface.
    input : float > 0 or array_like, shape (2,) or longer
        Power of a white input, or the autocorrelation of a coloured one: `adaptfilt.theory.autocorrelation`.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Of equal scales, with contours that are 3 dB apart: ellipses, the longer the more coloured the input is.

    Raises
    ------
    ValueError
        If the plant or a history is not of two real coefficients, or the input is not one.

    Examples
    --------
    >>> error_surface({"LMS": np.linspace([0, 0], [0.5, -0.2], 100)}, [0.5, -0.2], [1.0, 0.8]).get_ylabel()
    'w[1]'
    """
    true, r = as_array(true), np.append(as_array(input), 0.0)[:2]
    walks = {name: as_array(path) for name, path in paths.items()}
    for name, a in {"true": true[None], **walks}.items():
        if a.ndim != 2 or a.shape[1] != 2 or np.iscomplexobj(a):
            raise ValueError(f"{name} must be of two real coefficients, got shape {a.shape} and {a.dtype}")
    if not r[0] > abs(r[1]):
        raise ValueError(f"input must be a power or an autocorrelation r with r[0] > |r[1]|, got {r[0]} and {r[1]}")
    ax = _axes(ax, "w[0]", "w[1]")
    walks = {name: np.concatenate([np.zeros((1, 2)), path]) for name, path in walks.items()}
    known = np.concatenate([true[None], np.zeros((1, 2)), *walks.values()])
    reach = 0.3 * max(np.ptp(known, 0).max(), 1e-12)
    grid = [np.linspace(known[:, k].min() - reach, known[:, k].max() + reach, 201) for k in range(2)]
    v = np.stack(np.meshgrid(*grid), -1) - true
    level = np.einsum("ijk,kl,ijl->ij", v, toeplitz(r), v)
    ax.contour(*grid, level, levels=level.max() * 2.0 ** np.arange(-14, 0), colors="0.7", linewidths=0.7, zorder=1)
    ax.plot(*true, "+", color="k", markersize=10, label="true", zorder=4)
    for name, path in walks.items():
        ax.plot(*path.T, ".-", label=name, markersize=3, **(FOUND | {"linewidth": 0.9}))
    ax.set(aspect="equal", xlim=grid[0][[0, -1]], ylim=grid[1][[0, -1]])
    return _legend(ax)


def ensemble(
    result: Any,
    name: str = "mse",
    *,
    theory: Data | None = None,
    noise_floor_db: float | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Mean over the runs of an ensemble in dB, before the range from its lowest to its highest quantile.

    Parameters
    ----------
    result : adaptfilt.experiments.Ensemble
        What to show.
    name : str
        Which of its measures; a curve.
    theory : array_like or Tensor, shape (T,)
        What theory predicts of it, sample by sample.
    noise_floor_db : float
        Level of a dashed line.
    label : str
        Name in the legend.
    ax : Axes
        Where to draw; a new figure by default. Call it again on the same `ax` to compare filters.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the ensemble has no such curve.

    Examples
    --------
    >>> import adaptfilt as af
    >>> def run(rng):
    ...     x = af.signals.white(500, rng)
    ...     return x, af.plants.fir([0.5, 0.2])(x) + 0.1 * af.signals.white(500, rng)
    >>> found = af.experiments.ensemble(lambda batch: af.NLMS(2, 0.1, batch=batch), run, 20, seed=0)
    >>> ensemble(found, noise_floor_db=-20).get_ylabel()
    'mean squared error (dB)'
    """
    if name not in result.mean or result.mean[name].ndim != 1:
        raise ValueError(f"name must be that of a curve of the ensemble, one of {sorted(result.mean)}, got {name!r}")
    ax = _axes(ax, "time (samples)", {"mse": "mean squared error"}.get(name, name) + " (dB)")
    size = result.window[name]
    curve = [result.mean[name][k : k + size].mean() for k in range(0, result.mean[name].size, size)]
    t = result.time(name, windows=True)
    with np.errstate(divide="ignore"):
        (line,) = ax.plot(t, 10 * np.log10(curve), label=label, **FOUND)
        low, high = 10 * np.log10(result.quantiles[name][[0, -1]])
    ax.fill_between(t, low, high, color=line.get_color(), alpha=0.15, linewidth=0, zorder=1)
    return _references(ax, theory, noise_floor_db)


def tradeoff(rows: Sequence[Mapping[str, Any]], *, label: str | None = None, ax: Axes | None = None) -> Axes:
    """Misadjustment against speed: a point for each choice of parameters, which is written beside it.

    Parameters
    ----------
    rows : sequence of dict
        What `adaptfilt.experiments.Sweep.rows` gives, with the noise's power.
    label : str
        Name in the legend.
    ax : Axes
        Where to draw; a new figure by default. Call it again on the same `ax` to compare filters.

    Returns
    -------
    Axes
        The further left and down, the better.

    Raises
    ------
    ValueError
        If there is nothing to show.

    Examples
    --------
    >>> rows = [{"mu": 0.1, "samples": 900.0, "misadjustment": 0.05}, {"mu": 1.0, "samples": 100.0, "misadjustment": 1}]
    >>> tradeoff(rows, label="NLMS").get_xlabel()
    'samples until the error is at twice its end'
    """
    if not rows or "misadjustment" not in rows[0]:
        raise ValueError("rows must hold misadjustments: those of Sweep.rows(noise_power)")
    ax = _axes(ax, "samples until the error is at twice its end", "misadjustment (%)")
    samples, height = [row["samples"] for row in rows], [100 * row["misadjustment"] for row in rows]
    ax.loglog(samples, height, ".-", label=label, **FOUND)
    for x, y, row in zip(samples, height, rows, strict=True):
        text = ", ".join(f"{k} {v:g}" for k, v in row.items() if k not in ("mse", "samples", "misadjustment"))
        ax.annotate(text, (x, y), xytext=(4, 4), textcoords="offset points", fontsize="x-small", color="0.3")
    ax.margins(0.1)
    return _legend(ax)


def impulse_response(w: Data, true: Data | None = None, *, fs: float | None = None, ax: Axes | None = None) -> Axes:
    """Impulse response of the estimate, and of the plant behind it; as stems up to 64 taps.

    Parameters
    ----------
    w : array_like or Tensor, shape (M,)
        Weights found; complex ones show real parts and, beside them, imaginary parts.
    true : array_like or Tensor, shape (N,)
        The plant's response.
    fs : float > 0
        Sampling rate in Hz, for an axis in ms; by default the axis counts taps.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> impulse_response([0.9, 0.4], true=[1.0, 0.5], fs=8000.0).get_xlabel()
    'time (ms)'
    """
    ax = _axes(ax, "tap" if fs is None else "time (ms)", "coefficient")
    ax.margins(x=0.03)
    unit = 1.0 if fs is None else 1e3 / fs
    if fs is None:
        _whole_numbers(ax)
    for h, label, style in ((true, "true", TRUE), (w, "found", FOUND)):
        for i, (name, part) in enumerate(_parts(as_array(h)).items() if h is not None else ()):
            t, look = (
                unit * np.arange(part.size),
                {"color": f"C{i}", "label": f"{label} {name}".strip()} | style,
            )
            if part.size <= 64:
                t, part = _stems(t + 0.25 * unit * i, part)
                look |= {"marker": "." if label == "found" else "", "markevery": slice(1, None, 3)}
            ax.plot(t, part, **look)
    return _legend(ax)


def frequency_response(
    w: Data, true: Data | None = None, *, fs: float = 1.0, log: bool = False, ax: Axes | None = None
) -> Axes:
    """Magnitude response in dB of the estimate, and of the plant behind it.

    Parameters
    ----------
    w : array_like or Tensor, shape (M,)
        Weights found; complex ones are shown over negative frequencies too.
    true : array_like or Tensor, shape (N,)
        The plant's impulse response.
    fs : float > 0
        Sampling rate in Hz; with the default 1 the axis is in cycles a sample.
    log : bool
        Show three decades of frequencies up to fs / 2 on a logarithmic axis; for real coefficients.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the response of complex coefficients is asked for on a logarithmic axis.

    Examples
    --------
    >>> frequency_response([0.5, 0.5], fs=8000.0).get_xlabel()
    'frequency (Hz)'
    """
    given = ((true, "true", TRUE), (w, "found", FOUND))
    shown = [(as_array(h), label, style) for h, label, style in given if h is not None]
    if log and any(np.iscomplexobj(h) for h, _, _ in shown):
        raise ValueError("log must be False for complex coefficients: their response has negative frequencies")
    ax = _axes(ax, "frequency (cycles/sample)" if fs == 1.0 else "frequency (Hz)", "magnitude (dB)")
    if log:
        ax.set(xscale="log", xlim=(fs / 2000, fs / 2))
        if fs != 1.0:
            from matplotlib.ticker import EngFormatter

            ax.xaxis.set_major_formatter(EngFormatter(sep=""))  # 10, 100, 1k
        ax.grid(which="minor", alpha=0.15)
    for h, label, style in shown:
        frequency, response = freqz(h, worN=max(8192 if log else 1024, h.size), whole=np.iscomplexobj(h), fs=fs)
        first = int(log)  # 0 Hz is on no logarithmic axis
        if np.iscomplexobj(h):
            frequency, response = np.fft.fftfreq(frequency.size, 1 / fs), np.asarray(response)
            frequency, response = np.fft.fftshift(frequency), np.fft.fftshift(response)
        with np.errstate(divide="ignore"):  # a zero on the unit circle: a gap in the line
            ax.plot(frequency[first:], 20 * np.log10(np.abs(response[first:])), label=label, **style)
    return _legend(ax)


def signals(
    named: Mapping[str, Data],
    *,
    fs: float | None = None,
    unit: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Signals over time, the later ones on top.

    Parameters
    ----------
    named : mapping of str to array_like or Tensor, shape (T,)
        Real signals by their names in the legend.
    fs : float > 0
        Sampling rate in Hz, for an axis in seconds; by default it counts samples.
    unit : str
        Unit of the amplitude, such as ``"mV"``.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> signals({"recorded": [0.0, 1.0], "cleaned": [0.0, 0.5]}, fs=360.0, unit="mV").get_ylabel()
    'amplitude (mV)'
    """
    amplitude = f"amplitude ({unit})" if unit else "amplitude"
    ax = _axes(ax, _time(fs), amplitude)
    for name, signal in named.items():
        signal = as_array(signal)
        ax.plot(np.arange(signal.size) / (fs or 1.0), signal, label=name, **FOUND)
    return _legend(ax)


def spectrogram(
    x: Data,
    fs: float | None = None,
    *,
    window: int = 512,
    top_db: float | None = None,
    range_db: float = 80.0,
    ax: Axes | None = None,
) -> Axes:
    """Spectrogram: the power of a signal over time and frequency, in dB.

    Parameters
    ----------
    x : array_like or Tensor, shape (T,)
        Real signal, of `window` samples at least.
    fs : float > 0
        Sampling rate in Hz; by default time is in samples and frequency in cycles a sample.
    window : int >= 2
        Samples of a Hann window, which moves on by a quarter: longer ones show frequency finer and time coarser.
    top_db : float
        Level of the brightest colour, to show several signals alike; by default that of the largest value.
    range_db : float > 0
        How far below the brightest colour the darkest one is.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Beside it stands its scale. A sine of amplitude A has a level of ``20 log10(A)``.

    Raises
    ------
    ValueError
        If the signal has another shape, is complex, or is shorter than the window.

    Examples
    --------
    >>> spectrogram(np.sin(np.arange(4000)), fs=8000.0).get_ylabel()
    'frequency (Hz)'
    """
    x = as_array(x)
    if x.ndim != 1 or np.iscomplexobj(x) or not 2 <= window <= x.size:
        raise ValueError(f"x must be real, of shape (T,) and T >= window >= 2, got {x.shape}, {x.dtype} and {window}")
    ax = _axes(ax, _time(fs), "frequency (cycles/sample)" if fs is None else "frequency (Hz)")
    ax.grid(visible=False)
    hop, rate = max(1, window // 4), fs or 1.0
    shape = get_window("hann", window)
    frames = np.lib.stride_tricks.sliding_window_view(x, window)[::hop] * (2 * shape / shape.sum())
    level = 20 * np.log10(np.maximum(np.abs(np.fft.rfft(frames)), 1e-15)).T
    top = float(level.max()) if top_db is None else top_db
    t = ((np.arange(len(frames) + 1) - 0.5) * hop + (window - 1) / 2) / rate
    f = (np.arange(window // 2 + 2) - 0.5) / window * rate
    mesh = ax.pcolormesh(t, f, level, vmin=top - range_db, vmax=top, cmap="magma", rasterized=True)
    ax.set(xlim=(t[0], t[-1]), ylim=(0, rate / 2))
    ax.figure.colorbar(mesh, ax=ax, label="level (dB)")
    return ax


def constellation(y: Data, points: Data | None = None, *, label: str = "received", ax: Axes | None = None) -> Axes:
    """Symbols in the plane, with the points of the constellation; a histogram beyond 10 000 symbols.

    Parameters
    ----------
    y : array_like or Tensor, any shape
        Received or equalised symbols, real or complex.
    points : array_like or Tensor, shape (K,)
        Points to show as crosses, the ``points`` of an `adaptfilt.Constellation`.
    label : str
        Name of `y` in the legend.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Of equal scales and limits in both directions, symmetric about zero.

    Raises
    ------
    ValueError
        If `y` is empty or not finite.

    Examples
    --------
    >>> constellation([0.9 + 0.1j, -1.1], points=[1.0, -1.0]).get_xlabel()
    'real part'
    """
    y = as_array(y).ravel()
    if y.size == 0 or not np.isfinite(y).all():
        raise ValueError(f"y must be finite and not empty, got {y.size} symbols")
    ax = _axes(ax, "real part", "imaginary part")
    shown = [y] if points is None else [y, as_array(points).ravel()]
    reach = 1.1 * max(1e-12, *(np.abs([a.real, a.imag]).max() for a in shown))
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    if y.size > 10_000:
        edges = np.linspace(-reach, reach, 201)
        counts = np.histogram2d(y.imag, y.real, (edges, edges))[0]
        mesh = ax.pcolormesh(edges, edges, np.ma.masked_equal(counts, 0), cmap="viridis", rasterized=True)
        ax.figure.colorbar(mesh, ax=ax, label=f"{label}: symbols a cell", location="left", pad=0.02)
    else:
        ax.plot(y.real, y.imag, ".", markersize=3, alpha=0.5, color="C0", label=label, zorder=2)
    for a in shown[1:]:
        ax.plot(a.real, a.imag, "x", color="C3", markersize=7, label="constellation", zorder=3)
    return _legend(ax)


def eye(y: Data, sps: int, *, offset: int = 0, traces: int = 200, ax: Axes | None = None) -> Axes:
    """Eye diagram: pieces of two symbols' length over each other, the real part and, of complex signals, the imaginary.

    Parameters
    ----------
    y : array_like or Tensor, shape (T,)
        Signal at `sps` samples a symbol, of two symbols at least.
    sps : int >= 2
        Samples a symbol.
    offset : int
        Sample at which a symbol stands; it is shown in the middle.
    traces : int >= 1
        How many pieces are shown, the last ones.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If `y` has another shape or is too short, or `sps` is below 2.

    Examples
    --------
    >>> eye(np.sin(np.pi / 4 * np.arange(80)), sps=4).get_xlabel()
    'time (symbols)'
    """
    y = as_array(y)
    if sps < 2 or y.ndim != 1:
        raise ValueError(f"sps must be at least 2 and y of shape (T,), got {sps} and {y.shape}")
    first = (offset - sps) % sps
    pieces = np.array([y[k : k + 2 * sps + 1] for k in range(first, y.size - 2 * sps, sps)])[-traces:]
    if not pieces.size:
        raise ValueError(f"y must have at least {first + 2 * sps + 1} samples, got {y.size}")
    ax = _axes(ax, "time (symbols)", "amplitude")
    t = np.append(np.arange(-sps, sps + 1) / sps, np.nan)  # a gap after each piece
    for i, (name, part) in enumerate(_parts(pieces).items()):
        line = np.pad(part, [(0, 0), (0, 1)], constant_values=np.nan).ravel()
        ax.plot(np.tile(t, len(part)), line, color=f"C{i}", alpha=0.25, linewidth=0.8, label=name or "signal")
    return _legend(ax)


def symbol_errors(e: Data, *, window: int = 200, label: str | None = None, ax: Axes | None = None) -> Axes:
    """Errors over symbols in dB: a dot for each, up to 5 000, and their mean power over the last `window`.

    Parameters
    ----------
    e : array_like or Tensor, shape (N,)
        Errors of an equaliser.
    window : int >= 1
        Length of the moving average in symbols.
    label : str
        Name in the legend.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> symbol_errors(0.99 ** np.arange(500), label="dd").get_xlabel()
    'time (symbols)'
    """
    e = as_array(e)
    ax = _axes(ax, "time (symbols)", "error (dB)")
    curve, shown = learning_curve_db(e, window), slice(None, None, max(1, e.size // 5000))
    n = np.arange(e.size)
    (line,) = ax.plot(n, curve, label=label or "mean", zorder=3, **{k: v for k, v in FOUND.items() if k != "zorder"})
    with np.errstate(divide="ignore"):
        power = 20 * np.log10(np.abs(e.ravel()[shown]))
    ax.plot(n[shown], power, ".", markersize=1.5, alpha=0.3, color=line.get_color(), zorder=1, rasterized=True)
    return _legend(ax)


def combined_response(h: Data, w: Data, *, sps: int = 1, label: str = "found", ax: Axes | None = None) -> Axes:
    """What channel and equaliser make of one symbol: the magnitudes of ``(h * w)[::sps]``, in dB.

    Parameters
    ----------
    h : array_like or Tensor, shape (L,)
        Impulse response of the channel at `sps` samples a symbol.
    w : array_like or Tensor, shape (M,)
        Weights of the equaliser.
    sps : int >= 1
        Samples a symbol.
    label : str
        Name in the legend.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Its legend says how much of it is interference, see :func:`adaptfilt.metrics.isi_db`.

    Examples
    --------
    >>> combined_response([1.0, 0.5], [1.0, -0.5]).get_ylabel()
    'magnitude (dB)'
    """
    ax = _axes(ax, "delay (symbols)", "magnitude (dB)")
    _whole_numbers(ax)
    c = np.abs(np.convolve(as_array(h), as_array(w)))[::sps]
    with np.errstate(divide="ignore"):
        level = np.maximum(20 * np.log10(c / c.max()), -80)
    t, stems = np.repeat(np.arange(c.size), 3), np.stack([np.full(c.size, -80), level, np.full(c.size, np.nan)], -1)
    name = f"{label}: interference {isi_db(h, w, sps=sps):.1f} dB"
    ax.plot(t, stems.ravel(), marker=".", markevery=slice(1, None, 3), label=name, **FOUND)
    return _legend(ax)


def delays(tried: Data, errors: Data, *, ax: Axes | None = None) -> Axes:
    """Error that training leaves over the delay tried: the ``delays`` and ``delay_errors`` of an `adaptfilt.Equalizer`.

    Parameters
    ----------
    tried : array_like or Tensor, shape (D,)
        Delays in symbols.
    errors : array_like or Tensor, shape (D,)
        Mean squared errors.
    ax : Axes
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        With the best delay marked.

    Examples
    --------
    >>> delays([3, 4, 5], [0.1, 0.01, 0.2]).get_xlabel()
    'delay (symbols)'
    """
    tried, level = as_array(tried), 10 * np.log10(as_array(errors))
    ax = _axes(ax, "delay (symbols)", "mean squared error (dB)")
    _whole_numbers(ax)
    best = int(level.argmin())
    ax.plot(tried, level, ".-", label="tried", **FOUND)
    ax.plot(tried[best], level[best], "o", color="C3", label=f"best: {tried[best]:g}")
    return _legend(ax)


def _references(
    ax: Axes, theory: Data | None, noise_floor_db: float | None, fs: float | None = None, first: int = 0
) -> Axes:
    """Draw what theory says, from sample `first` on, and the noise floor, where they are given."""
    if theory is not None:
        with np.errstate(divide="ignore"):
            level = 10 * np.log10(as_array(theory))
        ax.plot((first + np.arange(level.size)) / (fs or 1.0), level, label="theory", **THEORY)
    if noise_floor_db is not None:
        ax.axhline(noise_floor_db, color="0.4", linestyle="--", linewidth=1, zorder=1, label="noise floor")
    return _legend(ax)


def _empty(curve: Array) -> int:
    """Count the samples at the start of a curve in which the line fills: see `learning_curve`."""
    head, rest = np.split(curve, [max(1, curve.size // 10)])
    if np.argmax(head) == head.size - 1:  # still rising: a filter that diverges
        return 0
    rise, below = int(np.argmax(head > head.max() - 10)), int(np.argmax(head >= rest.min()))
    return max(rise, below) if rise <= curve.size // 50 else below


def _time(fs: float | None) -> str:
    return "time (samples)" if fs is None else "time (s)"


def _axes(ax: Axes | None, xlabel: str, ylabel: str) -> Axes:
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(8, 4.5), dpi=150, layout="constrained").subplots()
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3)
    ax.margins(x=0.01)
    return ax


def _whole_numbers(ax: Axes) -> None:
    """Put ticks at whole numbers of what is counted."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _parts(a: Array) -> dict[str, Array]:
    return {"real": a.real, "imag": a.imag} if np.iscomplexobj(a) else {"": a}


def _stems(t: Array, h: Array) -> tuple[Array, Array]:
    """Points of one line that goes from zero to each value, with a gap after it."""
    return np.repeat(t, 3), np.stack([np.zeros(h.size), h, np.full(h.size, np.nan)], axis=-1).ravel()


def _legend(ax: Axes) -> Axes:
    """Legend with every name once: beside the axes where the figure makes room, inside where it would be cut off."""
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    if not once:
        return ax
    if ax.figure.get_layout_engine() is not None:  # constrained or tight: they count the legend
        ax.legend(once.values(), once.keys(), loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    else:
        points = sum(np.size(line.get_xdata()) for line in ax.get_lines())
        ax.legend(once.values(), once.keys(), loc="best" if points < 50_000 else "upper right", framealpha=0.8)
    return ax
