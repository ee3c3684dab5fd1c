"""Adaptive filters on the command line: a demonstration, jobs on sound and I/Q files, and compiling ahead.

    adaptfilt demo
    adaptfilt identify played.wav recorded.wav --taps 2048 --out room.npy --plot room.png
    adaptfilt cancel mic.wav loudspeaker.wav --taps 1024 --filter nlms --mu 0.3 --out clean.wav
    adaptfilt cancel both.wav both.wav --channel 0,1 --out clean.wav
    adaptfilt equalize capture.iq --modulation qam16 --sps 2 --out symbols.npy --plot report.png
    adaptfilt echo mic.wav far.wav --out clean.wav --plot report.png
    adaptfilt compare --plant room --filters nlms:0.5,ap:0.5:4,rls:0.9995 --runs 200 --plot compare.png
    adaptfilt compile --filters NLMS RLS --dtypes float32 complex64

Files are read, adapted on and written block by block: memory does not grow with their length.
Whatever is wrong ends in one line on stderr and exit code 2, and leaves no output behind; so does SIGINT, SIGTERM or
SIGHUP, with exit code 128 + signal. An output stands whole under its name, or not at all. On a terminal, a line on
stderr says when a filter has to be compiled first.
"""

import argparse
import inspect
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from scipy.signal import ellip, lfilter

import adaptfilt as af
from adaptfilt import experiments, metrics, plants, plots, signals, theory
from adaptfilt.base.frequency import FrequencyFilter
from adaptfilt.base.linear import LinearFilter
from adaptfilt.base.parameters import ParametricFilter
from adaptfilt.base.recursive import RecursiveFilter
from adaptfilt.checks import DivergenceError
from adaptfilt.echo.canceller import EchoCanceller
from adaptfilt.echo.delay import align, cross_spectrum, moved, reversed_order
from adaptfilt.echo.sections import DeEmphasis, PreEmphasis
from adaptfilt.engines.cpu import objects
from adaptfilt.filters.gradient.lms import LMS
from adaptfilt.filters.gradient.nlms import NLMS
from adaptfilt.filters.kernel.kernels import KernelFilter
from adaptfilt.outputs import check_space, replacing, unwound_by_signals, writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from soundfile import SoundFile

Array = np.ndarray

PUBLIC: dict[str, Any] = {name: getattr(af, name) for name in af.__all__ if hasattr(getattr(af, name), "algorithm")}
DTYPES = ("float32", "float64", "complex64", "complex128")
LONGEST_BLOCK = 1 << 15  # samples
ALIGNED = 30  # seconds of sound in which a delay is looked for
LARGEST_DELAY = 0.5  # seconds, likewise
BEFORE = 0.016  # seconds of response, a quarter of the taps at most, that are left before the delay found: a
# reflection may be louder than the way itself, which comes ahead of it
STRETCH, STRETCHES = 3.0, 9  # seconds, and how many, in which the drift of two clocks is looked for
DRIFTED = 600  # seconds of sound over which they are spread
LARGEST_DRIFT = 1e-3
AUDIBLE = 20  # millionths of drift from which on it harms
LITTLE = 0.5  # of MIC's power: where more than that is left of every block, nothing was cancelled
QUIET = 1e-3  # of the loudest stretch's power, below which a far end says nothing
LEAST_PAIRS, AGREE = 3, 0.6  # pairs of stretches, and the share that has to tell the same drift: chance gives 0.4
SILENT, CLIPPED = 1e-4, 0.9995  # of full scale
SLOW = 10  # seconds from which on a command says how long it takes
TAP_BYTES = 64  # of memory that a tap takes at the peak, as measured
SQUARE_BYTES = 16  # likewise, for each of the M^2 entries of rls
NO_NUMBERS = {"feedback", "constellation", "radii", "secondary"}  # parameters that a command cannot give


def _filters() -> dict[str, Any]:
    """Return the filters of a response that need d, and besides taps no more than numbers, by their names here."""
    found = {}
    for name, cls in PUBLIC.items():
        params = [p for p in inspect.signature(cls).parameters.values() if p.kind != p.VAR_KEYWORD]
        needed = {p.name for p in params if p.default is p.empty}
        kinds = LinearFilter | FrequencyFilter | RecursiveFilter
        if (
            "taps" in needed
            and not needed & NO_NUMBERS
            and issubclass(cls, kinds)
            and not issubclass(cls, KernelFilter)
        ):
            found[{"AffineProjection": "ap"}.get(name, name.lower())] = cls
    return {name: cls for name, cls in found.items() if not cls.algorithm.blind}


FILTERS = _filters()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 130 after Ctrl-C, or 2 with one line on stderr.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; those of the process by default.

    Returns
    -------
    int

    Raises
    ------
    SystemExit
        With 128 + signal, after SIGTERM or SIGHUP; with 0 after ``--help``.

    Examples
    --------
    >>> main(["identify", "no-such.wav", "d.wav"])  # and on stderr, adaptfilt: no-such.wav: no such file
    2
    """
    try:
        with unwound_by_signals(), _compilations_told():
            args = _parser().parse_args(argv)
            args.run(args)
            _flush()
        return 0
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        message = f"{error.name} is missing; for sound files: pip install 'adaptfilt-torch[audio]'"
    except (ValueError, OSError, UserWarning) as error:
        message = str(error)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):  # what torch says
            raise
        message = f"out of memory: {error}"
    print("adaptfilt:", *message.split(), file=sys.stderr)
    return 2


@contextmanager
def _compilations_told() -> Iterator[None]:
    """Say on a terminal's stderr what is being compiled: it takes seconds, once."""
    log, told = logging.getLogger("adaptfilt"), logging.StreamHandler()
    told.setFormatter(logging.Formatter("adaptfilt: %(message)s"))
    level = log.level
    if sys.stderr is not None and sys.stderr.isatty():
        log.addHandler(told)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(told)
        log.setLevel(level)


def _flush() -> None:
    """Write out what was printed; what cannot be is dropped, or Python would try again on its way out."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError(f"standard output: {error.strerror}") from None


def demo(args: argparse.Namespace) -> None:
    """Identify a known plant with LMS and NLMS, show how, and compare with NumPy and SciPy."""
    taps, mu, eps = 6, {"LMS": 0.02, "NLMS": 0.5}, 1e-6
    h = plants.iir(*ellip(3, 1, 30, 0.35)).impulse_response(taps)
    rng = np.random.default_rng(1)
    x = signals.white(2000, rng)
    d = signals.add_noise(plants.fir(h)(x), 40.0, rng)
    lms = LMS(taps, mu["LMS"], dtype=torch.float64)
    nlms = NLMS(taps, mu["NLMS"], eps=eps, dtype=torch.float64)
    history = {"LMS": lms(x, d, record_every=1).w, "NLMS": nlms(x, d, record_every=1).w}
    found = {name: w[-1] for name, w in history.items()}

    with replacing(args.out, _picture_kinds()) as part:
        figure = _figure(8, 9)
        *upper, last = figure.subplots(3, 1, sharex=True)
        for ax, (name, w) in zip(upper, history.items(), strict=True):
            plots.coefficients(w, h, ax=ax).set(title=f"{name}, mu = {mu[name]}", xlabel="")
        distance = {name: np.append(0.0, metrics.misalignment_db(w, h)) for name, w in history.items()}
        plots.signals(distance, ax=last).set(title="Distance from the plant", ylabel="misalignment (dB)")
        with writing(args.out):
            figure.savefig(part)

    print(f"plant: first {taps} taps of scipy.signal.ellip(3, 1, 30, 0.35); white input; noise 40 dB down\n")
    print("tap           true" + "".join(f"{name:>13}" for name in found))
    for k, row in enumerate(zip(h, *found.values(), strict=True)):
        print(f"{k:3d}  " + "".join(f"{value:13.5f}" for value in row))
    distances = (f"{metrics.misalignment_db(w, h):10.1f} dB" for w in found.values())
    print(f"{'misalignment':18}" + "".join(distances))

    loops = {"LMS": lambda u: mu["LMS"], "NLMS": lambda u: mu["NLMS"] / (eps + u @ u)}
    loop = max(np.abs(w - _numpy_loop(x, d, taps, loops[name])).max() for name, w in history.items())
    twice = np.append(x, x)  # the filters' delay lines hold the end of x
    fixed = max(np.abs(f.filter(x) - lfilter(f.w, 1, twice)[x.size :]).max() for f in (lms, nlms))
    print(f"\nlargest difference from a NumPy loop, all weights at all times: {loop:.1e}")
    print(f"largest difference from scipy.signal.lfilter(w, 1, x), weights fixed: {fixed:.1e}")
    print(f"picture: {args.out.resolve()}")


def _numpy_loop(x: Array, d: Array, taps: int, step: Callable[[Array], float]) -> Array:
    """LMS or NLMS as a textbook writes it: the weights after every sample, (T, taps)."""
    w, history = np.zeros(taps), np.empty((x.size, taps))
    padded = np.append(np.zeros(taps - 1), x)
    for n in range(x.size):
        u = padded[n : n + taps][::-1]
        history[n] = w = w + step(u) * (d[n] - w @ u) * u
    return history


def identify(args: argparse.Namespace) -> None:
    """Find the impulse response that leads from sound X to sound D."""
    with ExitStack() as stack:
        out = stack.enter_context(replacing(args.out, {".npy", ".wav"}))
        picture = stack.enter_context(replacing(args.plot, _picture_kinds())) if args.plot else None
        pair = stack.enter_context(Pair(args.x, args.d, args.channel))
        f = _new_filter(args, pair)
        powers = np.array(
            [(np.mean(d**2), np.mean(e**2)) for d, e in pair.run(_canceller(args, f), args.filter, _hop(f))]
        )
        w = f.w.numpy()
        whole = np.append(np.zeros(max(pair.shift, 0), w.dtype), w)
        with writing(args.out):
            _write_response(out, whole, pair.fs)
        if picture:
            with writing(args.plot):
                _report(w, powers, pair).savefig(picture)
    peak = int(np.abs(w).argmax())
    print(f"{pair}\n{args.filter}: {f.extra_repr()}")
    print(f"largest weight: w[{peak}] = {w[peak]:.4g}, at {1e3 * (peak + pair.shift) / pair.fs:.2f} ms")
    print(f"error below D: {_level(powers)}")
    print(f"weights: {args.out}" + (f"\npicture: {args.plot}" if picture else ""))


def cancel(args: argparse.Namespace) -> None:
    """Take out of sound MIC what comes from sound REF, and write what is left."""
    with _cleaning(args) as (part, pair):
        f = _new_filter(args, pair)
        runs = pair.run(_canceller(args, f), args.filter, _hop(f))
        powers, clipped = _write_clean(args.out, part, pair, runs)
    print(f"{pair}\n{args.filter}: {f.extra_repr()}")
    print(f"output below MIC: {_level(powers)}")
    if clipped:
        print(f"{clipped} samples were beyond full scale and are clipped")
    print(f"sound: {args.out}")


def echo(args: argparse.Namespace) -> None:
    """Take the echo of sound REF, the far end, out of sound MIC, and write the near end."""
    with ExitStack() as stack:
        picture = stack.enter_context(replacing(args.plot, _picture_kinds())) if args.plot else None
        part, pair = stack.enter_context(_cleaning(args, whole=True))
        ec = EchoCanceller(pair.fs, args.taps, suppress=not args.linear)
        delay = _delay(args.delay, pair, ec.filter.taps)
        _doubt_order(pair)
        drift = _drift(pair, delay)
        pair.shift_by(delay)
        columns: list[Array] = []
        powers, clipped = _write_clean(args.out, part, pair, _in_time(ec, pair), columns if picture else None)
        if picture:
            with writing(args.plot):
                _echo_report(ec.filter.w.numpy(), powers, columns, pair).savefig(picture)
    print(f"{pair}\necho canceller: {ec.filter.extra_repr()}")
    print(f"delay: {1e3 * delay / pair.fs:.1f} ms, {pair.shift} samples of it before the filter")
    if drift is not None:
        ppm, step = drift
        faster = "MIC's" if ppm > 0 else "REF's"
        advice = f", {faster} the faster: resample one of the files" if abs(ppm) > max(AUDIBLE, 2 * step) else ""
        print(f"clocks: {ppm:+.0f} ppm apart{advice}")
    print(f"output below MIC: {_level(powers)}")
    if powers.any() and np.all(powers[:, 1] >= LITTLE * powers[:, 0]):
        print("adaptfilt: warning: hardly anything was cancelled: is REF what the loudspeaker played, and --delay no "
              "later than its echo?", file=sys.stderr)  # fmt: skip
    if clipped:
        print(f"{clipped} samples were beyond full scale and are clipped")
    print(f"sound: {args.out}" + (f"\npicture: {args.plot}" if picture else ""))


def _in_time(ec: EchoCanceller, pair: "Pair") -> Iterator[tuple[Array, Array]]:
    """Yield microphone and output block by block, the output's latency taken off."""
    waiting, skip = np.zeros(0, np.float32), ec.latency

    def run(x: Array, d: Array) -> Array:
        nonlocal skip
        out = ec(x, d)
        gone, skip = out[skip:], max(skip - out.size, 0)
        return gone

    for d, out in pair.run(run, "the echo canceller", 2 * ec.hop):
        waiting = np.append(waiting, d)
        ready, waiting = waiting[: out.size], waiting[out.size :]
        yield ready, out
    yield waiting, ec.flush()[skip:]


@contextmanager
def _cleaning(args: argparse.Namespace, whole: bool = False) -> Iterator[tuple[Path, "Pair"]]:
    """Give a temporary file for what is left of MIC, and both recordings."""
    import soundfile

    kinds = {f".{name.lower()}" for name in soundfile.available_formats()}
    if args.out.resolve() in (args.mic.resolve(), args.ref.resolve()):
        raise ValueError(f"{args.out}: --out must not be one of the recordings")
    with replacing(args.out, kinds) as part, Pair(args.ref, args.mic, args.channel, whole) as pair:
        yield part, pair


def _write_clean(
    out: Path, part: Path, pair: "Pair", runs: Iterator[tuple[Array, Array]], columns: list[Array] | None = None
) -> tuple[Array, int]:
    """Write what is left; return the powers of both sounds block by block, and how many samples a file cannot hold."""
    import soundfile

    kind, powers, clipped = out.suffix[1:].upper(), [], 0
    same = soundfile.check_format(kind, pair.d.subtype)
    subtype = pair.d.subtype if same else soundfile.default_subtype(kind)
    with writing(out):
        with soundfile.SoundFile(part, "w", pair.fs, 1, subtype, format=kind) as clean:
            for d, e in runs:
                clean.write(e)
                if d.size:
                    powers.append((np.mean(d**2), np.mean(e**2)))
                    clipped += int(np.sum(np.abs(e) > 1))
                    if columns is not None:
                        columns.append(np.stack([_spectrum(d), _spectrum(e)]))
        check_space(part)
    return np.array(powers), 0 if subtype in ("FLOAT", "DOUBLE") else clipped


def _write_response(out: Path, w: Array, fs: int) -> None:
    """Write a response as NumPy's file or as sound, by the file's name."""
    if out.suffix.lower() == ".wav":
        import soundfile

        soundfile.write(out, w, fs, "FLOAT")
        return
    with out.open("wb") as file:
        np.save(file, w)


def _canceller(args: argparse.Namespace, f: Any) -> Callable[[Array, Array], Array]:
    """Return what gives the errors of a block: the filter's, between pre-emphasis and de-emphasis where wanted."""
    if args.pre_emphasis is None:
        return lambda x, d: np.asarray(f(x, d).e)
    far, near, back = PreEmphasis(args.pre_emphasis), PreEmphasis(args.pre_emphasis), DeEmphasis(args.pre_emphasis)
    return lambda x, d: np.asarray(back(f(far(x), near(d)).e))


def _hop(f: Any) -> int:
    """Return how many samples at least tell a filter's speed."""
    return 2 * getattr(f, "hop", 32)


def _delay(wanted: int | None, pair: "Pair", taps: int) -> int:
    """Return by how many samples D is later: as given, or found in the first half minute, less what comes before."""
    if wanted is not None:
        return wanted
    x, d = pair.piece(0)
    most = min(int(LARGEST_DELAY * pair.fs), d.size // 4)
    if most < 1:
        return 0
    found, before = align(x, d, most), min(int(BEFORE * pair.fs), taps // 4)
    return found - before if found < 0 else max(found - before, 0)  # nothing comes before its cause


def _doubt_order(pair: "Pair") -> None:
    """Warn where REF sounds like the echo of MIC."""
    x, d = pair.piece(0)
    most = min(int(LARGEST_DELAY * pair.fs), d.size // 4)
    if most > 1 and reversed_order(x, d, most):
        names = pair.x.name, pair.d.name
        print("adaptfilt: warning: {} sounds like the echo of {}: are they the wrong way round?".format(*names),
              file=sys.stderr)  # fmt: skip


def _drift(pair: "Pair", delay: int) -> tuple[float, float] | None:
    """Return by how many millionths MIC's clock is ahead of REF's, and a sample's share; None where it cannot be told.

    Stretches of both, moved against each other by the delay, give one response each; how much later those of the end
    are than those of the start is a drift where nearly all pairs tell the same.
    """
    samples = min(pair.samples, DRIFTED * pair.fs)
    size = min(int(pair.fs * STRETCH), samples // 4)
    most = min(int(LARGEST_DRIFT * samples) + pair.fs // 100, size // 8)
    if size < pair.fs:
        return None
    places = np.linspace(0, samples - size, STRETCHES).astype(int)
    heard = [(at, pair.x_at(at - delay, size), pair.d_at(at, size)) for at in places]
    loud = QUIET * max(float(np.mean(x**2)) for _, x, _ in heard)
    known = [(at, cross_spectrum(x, d, most)) for at, x, d in heard if np.mean(x**2) > loud and d.any()]
    far = [(u, v) for u, v in combinations(known, 2) if 2 * (v[0] - u[0]) >= places[-1] - 1]
    if len(far) < LEAST_PAIRS:
        return None
    apart = np.array([v[0] - u[0] for u, v in far])
    slopes = np.array([moved(u[1], v[1], most) for u, v in far]) / apart
    slope = float(np.median(slopes))
    agree = np.abs(slopes - slope) <= 2 / apart + 0.1 * abs(slope)
    return (1e6 * slope, 1e6 / places[-1]) if np.mean(agree) >= AGREE else None


def equalize(args: argparse.Namespace) -> None:
    """Find the symbols in IQ, complex64 samples as GNU Radio writes them, blind or with training."""
    c, sps = _constellation(args.modulation), args.sps
    x = _open_iq(args.iq)
    level = _iq_level(x, args.iq)
    carrier = (args.carrier, 0.707) if args.carrier else None
    stages = [("train", args.mu), ("dd", args.mu)] if args.training else [("auto", args.mu)]
    eq = af.Equalizer(args.taps, c, sps=sps, stages=stages, carrier=carrier, dtype=torch.complex64)
    known = None if args.training is None else _symbols_of(args.training)
    symbols = -(-x.size // sps)
    with ExitStack() as stack:
        out = stack.enter_context(replacing(args.out, {".npy"}))
        picture = stack.enter_context(replacing(args.plot, _picture_kinds())) if args.plot else None
        with writing(args.out):
            y = np.lib.format.open_memmap(out, "w+", np.complex64, (symbols,))
        powers = np.array(_equalize_into(y, x, level, eq, known))
        last = y[-max(1, symbols // 10) :]
        evm = float(metrics.evm_db(last, c.slice(last)))
        if picture:
            with writing(args.plot):
                _symbol_report(y, powers, eq, c).savefig(picture)
        y.flush()
        check_space(out)
    print(f"{x.size} samples, {symbols} symbols, of rms value {level:.4g}")
    end = "decided" if eq.state == "dd" else "blind, the eye has stayed closed"
    print(f"at the end: {end}, {evm:.1f} dB from decisions")
    if carrier:
        print(f"carrier: {float(eq.active.nu) / (2 * np.pi):+.3g} cycles a symbol off")
    print(f"symbols: {args.out}" + (f"\npicture: {args.plot}" if args.plot else ""))


def _equalize_into(y: Array, x: Array, level: float, eq: Any, known: Array | None) -> list[float]:
    """Write the symbols of x to y, block by block; return the mean squared distances from decisions, of each block."""
    done, block, powers = 0, eq.sps * min(max(y.size // 400, 1024), LONGEST_BLOCK), []
    if known is not None:
        if known.size > y.size:
            raise ValueError(f"--training holds {known.size} symbols, more than the {y.size} of the file")
        block = max(block, eq.sps * known.size)
    for start in range(0, x.size, block):
        try:
            out = eq(np.array(x[start : start + block]) / np.float32(level), training=known).y
        except DivergenceError:
            raise ValueError(f"diverged after {done} symbols: take a smaller --mu") from None
        known = None
        y[done : done + out.size] = out
        done += out.size
        powers.append(float(np.mean(np.abs(out - eq.constellation.slice(out)) ** 2)))
    return powers


def _constellation(name: str) -> af.Constellation:
    """Return the constellation of a name such as qam16."""
    parts = re.fullmatch("(psk|qam|pam)([0-9]+)", {"bpsk": "psk2", "qpsk": "psk4"}.get(name, name))
    if not parts:
        raise ValueError(f"--modulation must be bpsk, qpsk, or psk, qam or pam and a number, such as qam16, got {name}")
    return getattr(af.Constellation, parts[1])(int(parts[2]))


def _open_iq(path: Path) -> Array:
    """Return the samples of a file, which are read as they are needed."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    size = path.stat().st_size
    if not size or size % 8:
        raise ValueError(f"{path}: {size} bytes are no complex64 samples, of 8 bytes each")
    return np.memmap(path, np.complex64, "r")


def _iq_level(x: Array, path: Path) -> float:
    """Return the rms value of samples, which must be finite."""
    total = 0.0
    for start in range(0, x.size, LONGEST_BLOCK):
        with np.errstate(over="ignore", invalid="ignore"):
            total += float(np.sum(np.abs(x[start : start + LONGEST_BLOCK]).astype(float) ** 2))
    if not 0 < total < np.inf:
        raise ValueError(f"{path}: {'is silent' if total == 0 else 'holds NaN or infinity, or is not complex64'}")
    return float(np.sqrt(total / x.size))


def _symbols_of(path: Path) -> Array:
    """Return known symbols out of a NumPy file."""
    try:
        known = np.load(path)
    except (OSError, ValueError):
        raise ValueError(f"{path}: not a NumPy file of symbols") from None
    return np.asarray(known, np.complex64)


def _symbol_report(y: Array, powers: Array, eq: Any, c: af.Constellation) -> "Figure":
    figure = _figure(8, 10)
    symbols, levels, response = figure.subplots(3, 1, height_ratios=[2, 1, 1])
    plots.constellation(y[-max(1, y.size // 10) :], c.points, label="equalised", ax=symbols)
    symbols.set_title("The last tenth")
    plots.signals({"distance": 10 * np.log10(np.maximum(powers, 1e-30))}, fs=len(powers) / y.size, ax=levels)
    levels.set(title="Distance from decisions", xlabel="time (symbols)", ylabel="mean square (dB)")
    plots.frequency_response(eq.active.w, fs=float(eq.sps), ax=response)
    response.set(title="Frequency response of the equaliser", xlabel="frequency (cycles/symbol)")
    return figure


def compare(args: argparse.Namespace) -> None:
    """Run filters many times on one plant, and show their learning curves beside what theory says of them."""
    x_power, noise = 1.0, 10 ** (-args.snr / 10)
    h = _plant(args)
    specs = [_filter_of(text, args.taps) for text in args.filters.split(",")]
    r = args.pole ** np.arange(max(args.taps, h.size)) if args.pole else x_power
    setting = _Setting(h, args.taps + args.samples, args.pole, noise)
    with replacing(args.plot, _picture_kinds()) as picture, ExitStack() as stack:
        pool = None
        if args.processes > 1:
            pool = stack.enter_context(ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")))
        figure = _figure(8, 4.5)
        ax = figure.subplots()
        print(f"{'filter':28}{'error':>10}{'theory':>10}{'settled':>10}{'misalignment':>14}")
        for name, make in specs:
            found = _ensemble_of(name, make, setting, args, pool)
            expected = _expected(make(1), h, r, noise, args.samples)
            row = experiments.Sweep([{}], [found]).rows()[0]
            says = "-" if expected is None else f"{10 * np.log10(expected.mse):.2f} dB"
            apart = 10 * np.log10(np.maximum(found.mean["misalignment"], 1e-30))
            error = f"{10 * np.log10(max(row['mse'], 1e-30)):.2f} dB"
            print(f"{name:28}{error:>10}{says:>10}{row['samples']:>10.0f}{apart:>11.2f} dB", flush=True)
            curve = None if expected is None or expected.learning is None else expected.learning.mse
            plots.ensemble(found, theory=curve, label=name, ax=ax)
        with writing(args.plot):
            ax.axhline(10 * np.log10(noise), color="0.4", linestyle="--", linewidth=1, zorder=1)
            ax.set_title(f"{args.plant}, {args.taps} taps, {args.runs} runs: mean, and 10 to 90 % of the runs")
            figure.savefig(picture)
    print(f"noise {-args.snr:.1f} dB; settled: samples until the error is at twice its end\npicture: {args.plot}")


@dataclass(frozen=True)
class _Setting:
    """What filters are compared on; ``setting(rng)`` gives the signals of a run."""

    h: Array
    samples: int
    pole: float
    noise: float

    def __call__(self, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        x = signals.coloured(self.samples, [1.0, -self.pole], rng)
        return x, plants.fir(self.h)(x) + np.sqrt(self.noise) * signals.white(self.samples, rng), self.h


def _plant(args: argparse.Namespace) -> Array:
    """Return the response of unit energy that --plant names."""
    if args.taps < 1 or args.samples < 1 or args.runs < 1:
        raise ValueError("--taps, --samples and --runs must be at least 1")
    if not -1 < args.pole < 1:
        raise ValueError(f"--pole must be between -1 and 1, got {args.pole}")
    if args.plant == "room":
        return plants.room(args.taps, 0.75 * args.taps, args.seed).b
    if args.plant in ("A", "B", "C"):
        return plants.proakis(args.plant).b
    return _load_response(Path(args.plant)).astype(float)


def _filter_of(text: str, taps: int) -> tuple[str, Callable[[int], Any]]:
    """Return what "ap:0.5:4" or "fdaf:0.5:block=64" stands for: the text, and what makes such filters."""
    name, given, named = _name_and_numbers("--filters", text)
    make = partial(_batch_of, name, taps, given, named)
    try:
        with warnings.catch_warnings(action="ignore"):
            make(1)
    except (TypeError, ValueError) as error:
        raise ValueError(f"--filters: {text}: {error}") from None
    return text.strip(), make


def _name_and_numbers(option: str, text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Return the filter's name in "hubernlms:0.5:clip=none", its parameters in order, and those by name."""
    name, *values = text.strip().split(":")
    if name not in FILTERS:
        raise ValueError(f"{option}: there is no {name!r}; there are {', '.join(sorted(FILTERS))}")
    given: list[Any] = []
    named: dict[str, Any] = {}
    for value in values:
        key, _, number = value.rpartition("=")
        try:
            parsed = None if number == "none" else int(number) if number.lstrip("-").isdigit() else float(number)
        except ValueError:
            raise ValueError(f"{option}: {text} must be a name and numbers, such as ap:0.5:4") from None
        if key:
            named[key] = parsed
        else:
            given.append(parsed)
    return name, tuple(given), named


def _batch_of(name: str, taps: int, given: tuple[Any, ...], named: dict[str, Any], batch: int) -> Any:
    return FILTERS[name](taps, *given, **named, batch=batch)


def _ensemble_of(name: str, make: Callable[[int], Any], setting: _Setting, args: Any, pool: Any) -> Any:
    try:
        return experiments.ensemble(make, setting, args.runs, seed=args.seed, executor=pool, fill=args.taps)
    except DivergenceError:
        raise ValueError(f"{name} diverged: take a smaller step size") from None


def _expected(f: Any, h: Array, r: Any, noise: float, samples: int) -> theory.Prediction | None:
    """Return what theory says of a filter; None where it does not know it, or the filter has no steady state."""
    try:
        found = theory.predict(f, h, r, noise=noise, samples=samples)
    except ValueError:
        return None
    return found if np.isfinite(found.emse) else None


def compile_ahead(args: argparse.Namespace) -> None:
    """Compile what filters need by default, for blocks and for single samples, so that no first call has to."""
    place = objects.folder()
    if place is None:
        raise ValueError("there is no code cache to keep anything in: it is switched off, or there is no home folder")
    place.mkdir(parents=True, exist_ok=True)
    if not os.access(place, os.W_OK):
        raise ValueError(f"{place}: the code cache cannot be written")
    for name in args.filters:
        for dtype in args.dtypes:
            if name == "EchoCanceller" and dtype.startswith("complex"):
                continue
            start = perf_counter()
            _run_on_silence(name, getattr(torch, dtype), np.zeros(64, dtype))
            print(f"{name:18}{dtype:12}{perf_counter() - start:6.2f} s", flush=True)
    sizes = [file.stat().st_size for file in place.glob("*.o")]
    print(f"kept in {place}: {len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB")


def _run_on_silence(name: str, dtype: torch.dtype, silence: Array) -> None:
    """Have a filter run a block and a sample, or an echo canceller, which takes no single ones, a block."""
    if name == "EchoCanceller":
        EchoCanceller(8000, dtype=dtype)(silence, silence)
        return
    f = PUBLIC[name].example(dtype=dtype)
    blind = isinstance(f, ParametricFilter) and f.algorithm.blind
    f(silence, *([] if blind else [silence]))
    f.step(0.0, *([] if blind else [0.0]))


class Pair:
    """Two open sound files that belong together: `x` goes into the filter, `d` is what it should give."""

    def __init__(self, x: Path, d: Path, channels: Sequence[int] | None, whole: bool = False) -> None:
        self.x, self.d, self.shift, self.whole = _open(x), _open(d), 0, whole
        self.fs, self.samples = self.d.samplerate, self.d.frames if whole else min(self.x.frames, self.d.frames)
        if self.x.samplerate != self.fs:
            raise ValueError(f"{x} has {self.x.samplerate} Hz, {d} has {self.fs} Hz: resample one of them")
        first, second = (None, None) if channels is None else (channels[0], channels[-1])
        self.channels = _channel(self.x, first), _channel(self.d, second)
        self.block = min(max(self.samples // 400, 256), LONGEST_BLOCK)

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *error: object) -> None:
        self.x.close()
        self.d.close()

    def __str__(self) -> str:
        text = f"{self.samples} samples, {self.samples / self.fs:.2f} s at {self.fs} Hz"
        if self.x.frames < self.samples:
            return text + f"; the last {(self.samples - self.x.frames) / self.fs:.2f} s without {self.x.name}"
        longer = max(self.x, self.d, key=lambda sound: sound.frames)
        rest = longer.frames - self.samples
        return text + (f"; the last {rest / self.fs:.2f} s of {longer.name} are left out" if rest else "")

    def shift_by(self, delay: int) -> None:
        """Have x come so many samples later; below 0, earlier."""
        self.shift = delay
        if not self.whole:
            self.samples = max(min(self.d.frames, self.x.frames + delay), 1)
            self.block = min(max(self.samples // 400, 256), LONGEST_BLOCK)

    def piece(self, start: int) -> tuple[Array, Array]:
        """Return at most half a minute of both sounds as they are."""
        size = min(self.fs * ALIGNED, self.samples - start)
        x, d = self.x_at(start, size), self.d_at(start, size)
        return x, d

    def x_at(self, start: int, size: int) -> Array:
        """Return samples of x from a place on, zeros where it has none."""
        before = min(max(-start, 0), size)
        there = min(max(self.x.frames - max(start, 0), 0), size - before)
        self.x.seek(min(max(start, 0), self.x.frames))
        return np.pad(_read(self.x, self.channels[0], there), (before, size - before - there))

    def d_at(self, start: int, size: int) -> Array:
        """Return samples of d from a place on."""
        self.d.seek(start)
        return _read(self.d, self.channels[1], size)

    def run(self, errors: Callable[[Array, Array], Array], name: str, probe: int) -> Iterator[tuple[Array, Array]]:
        """Adapt over the files; yield desired signal and error, block by block.

        The first block goes in parts: one that compiles, and one of `probe` samples that tells how long all will take.
        """
        from tqdm import tqdm

        heard = Heard(self.x), Heard(self.d)
        with tqdm(total=self.samples, unit=" samples", unit_scale=True, leave=False, disable=None, delay=0.5) as bar:
            for start in range(0, self.samples, self.block):
                size = min(self.block, self.samples - start)
                x, d = self.x_at(start - self.shift, size), self.d_at(start, size)
                for sound, signal in zip(heard, (x, d), strict=True):
                    sound.hear(signal)
                cuts = [] if start else [min(probe, size), min(2 * probe, size)]
                e, clock = [], []
                try:
                    for at, to in zip([0, *cuts], [*cuts, size], strict=True):
                        clock.append(perf_counter())
                        with warnings.catch_warnings(action="ignore") if to < size else nullcontext():
                            e.append(errors(x[at:to], d[at:to]))
                except DivergenceError:
                    raise ValueError(f"diverged at {start / self.fs:.2f} s: take a smaller --mu") from None
                if not start and size > probe:
                    seconds = (clock[2] - clock[1]) * self.samples / probe
                    if seconds > SLOW:
                        print(f"adaptfilt: {name} takes about {seconds:.0f} s for this", file=sys.stderr, flush=True)
                yield d, np.concatenate(e)
                bar.update(size)
        for sound in heard:
            sound.warn()


class Heard:
    """What a sound is like: silent, or clipped."""

    def __init__(self, sound: "SoundFile") -> None:
        self.sound, self.largest, self.full = sound, 0.0, 0

    def hear(self, signal: Array) -> None:
        """Take a block in."""
        level = np.abs(signal)
        self.largest = max(self.largest, float(level.max(initial=0.0)))
        full = level >= CLIPPED
        self.full += int(np.sum(full[1:] & full[:-1]))  # two in a row: a peak alone may reach so far

    def warn(self) -> None:
        """Say on stderr what is wrong with it."""
        if self.largest < SILENT:
            print(f"adaptfilt: warning: {self.sound.name} is silent", file=sys.stderr)
        if self.full > 2:
            print(f"adaptfilt: warning: {self.sound.name} is clipped in {self.full} places or more: "
                  "what clips cannot be cancelled", file=sys.stderr)  # fmt: skip


def _open(path: Path) -> "SoundFile":
    import soundfile

    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        sound = soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: empty, corrupt or not a sound file ({error.error_string})") from None
    cut = re.search(r"^(?:data|SSND) : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if cut and int(cut[2]) < int(cut[1]) < 0x7FFF0000:  # beyond: a recorder that did not know the length
        raise ValueError(f"{path}: truncated, {cut[2]} of {cut[1]} bytes of sound")
    if not sound.frames:
        raise ValueError(f"{path}: holds no samples")
    return sound


def _channel(sound: "SoundFile", chosen: int | None) -> int:
    """Return the channel to read; a mono file needs no choice."""
    n = sound.channels
    if n > 1 and (chosen is None or not 0 <= chosen < n):
        raise ValueError(f"{sound.name} has {n} channels: choose one with --channel, 0 to {n - 1}")
    return 0 if n == 1 or chosen is None else chosen


def _read(sound: "SoundFile", channel: int, size: int) -> Array:
    import soundfile

    try:
        block = sound.read(size, dtype="float32", always_2d=True)[:, channel]
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{sound.name}: corrupt ({error.error_string})") from None
    if len(block) < size:
        raise ValueError(f"{sound.name}: corrupt (ends before its {sound.frames} samples)")
    if not np.isfinite(block).all():
        raise ValueError(f"{sound.name}: holds NaN or infinity")
    return np.ascontiguousarray(block)


def _picture_kinds() -> set[str]:
    from matplotlib.backend_bases import FigureCanvasBase

    return {f".{kind}" for kind in FigureCanvasBase.get_supported_filetypes()}


def _new_filter(args: argparse.Namespace, pair: Pair) -> Any:
    """Return the filter that is asked for, and shift the sounds by the delay before it."""
    w0 = None if args.start is None else _load_response(args.start)
    taps = args.taps if args.taps is not None else 512 if w0 is None else w0.size
    pair.shift_by(_delay(args.delay, pair, taps))
    if w0 is not None and pair.shift > 0:  # `identify` counts from the sound, the filter from where the delay ends
        if pair.shift >= w0.size:
            raise ValueError(f"{args.start}: holds {w0.size} weights, all within the delay of {pair.shift}")
        w0 = w0[pair.shift :]
        taps = taps if args.taps is not None else w0.size
    if w0 is not None and w0.size > taps:
        raise ValueError(f"{args.start}: holds {w0.size} weights, more than --taps {taps}")
    name, numbers, given = _name_and_numbers("--filter", args.filter)
    needed, there = taps * (SQUARE_BYTES * taps if name == "rls" else TAP_BYTES), _memory()
    if needed > there:
        raise ValueError(f"--taps {taps}: {name} takes {needed:.1e} bytes, the machine has {there:.1e}")
    cls = FILTERS[name]
    params = inspect.signature(cls).parameters
    for key in ("mu", "lam"):
        if getattr(args, key) is not None:
            given[key] = getattr(args, key)
            if key not in params:
                other = " or ".join(f"--{k}" for k in ("mu", "lam") if k in params) or "neither --mu nor --lam"
                raise ValueError(f"--filter {args.filter} takes {other}, not --{key}")
    if "mu" in params and params["mu"].default is inspect.Parameter.empty and "mu" not in given and not numbers:
        raise ValueError(f"--filter {args.filter} needs a step size, --mu")
    if w0 is not None:
        given["w0"] = np.pad(w0, (0, taps - w0.size))
    if name == "fdkf":
        given.setdefault("hop", 128)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # such as mu outside (0, 2)
        try:
            return cls(taps, *numbers, **given)
        except TypeError as error:
            raise ValueError(f"--filter {args.filter}: {error}") from None


def _load_response(path: Path) -> Array:
    """Return the weights of a file that `identify` wrote."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix.lower() == ".wav":
        with _open(path) as sound:
            return _read(sound, _channel(sound, None), sound.frames)
    try:
        w = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        raise ValueError(f"{path}: not a NumPy file of weights") from None
    if w.ndim != 1 or w.dtype.kind != "f" or not w.size or not np.isfinite(w).all():
        raise ValueError(f"{path}: weights must be finite floats of shape (taps,), got {w.dtype} of {w.shape}")
    return np.asarray(w, np.float32)


def _memory() -> int:
    """Return the bytes of memory this machine has, or what can be addressed where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize


def _level(powers: Array) -> str:
    """How far the error lies below the desired signal; `powers` holds those of both, (blocks, 2)."""
    d, e = np.sqrt(powers.T)
    tenth = -max(1, len(d) // 10)
    end = metrics.erle_db(d[tenth:], e[tenth:])
    return f"{metrics.erle_db(d, e):.1f} dB, over the last tenth {end:.1f} dB"


def _report(w: Array, powers: Array, pair: Pair) -> "Figure":
    figure = _figure(8, 9)
    impulse, frequency, levels = figure.subplots(3, 1)
    plots.impulse_response(w, fs=pair.fs, ax=impulse).set_title("Impulse response found")
    plots.frequency_response(w, fs=pair.fs, ax=frequency).set_title("Frequency response found")
    with np.errstate(divide="ignore"):  # silence: a gap in the line
        d, e = 10 * np.log10(powers.T)
    plots.signals({"D": d, "error": e}, fs=pair.fs / pair.block, ax=levels)
    levels.set(title="Levels", ylabel="power (dB re full scale)")
    return figure


def _spectrum(signal: Array) -> Array:
    """Return the mean power spectrum of a block's frames, in 257 bins."""
    frames = np.pad(signal, (0, -signal.size % 512)).reshape(-1, 512) * np.hanning(512)
    return np.asarray(np.mean(np.abs(np.fft.rfft(frames)) ** 2, 0))


def _echo_report(w: Array, powers: Array, columns: list[Array], pair: Pair) -> "Figure":
    figure = _figure(8, 11)
    before, after, erle, impulse = figure.subplots(4, 1)
    images = 10 * np.log10(np.stack(columns, -1) + 1e-12)
    top = float(images[0].max())
    for ax, image, title in ((before, images[0], "Microphone"), (after, images[1], "What is left")):
        extent = (0, pair.samples / pair.fs, 0, pair.fs / 2000)
        shown = ax.imshow(image, aspect="auto", origin="lower", extent=extent, vmin=top - 80, vmax=top, cmap="magma")
        ax.set(title=title, xlabel="time (s)", ylabel="frequency (kHz)")
        figure.colorbar(shown, ax=ax, label="power (dB)")
    smooth = lfilter([0.1], [1, -0.9], powers, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        reduction = 10 * np.log10(smooth[:, 0] / smooth[:, 1])
    plots.signals({"microphone / output": reduction}, fs=pair.fs / pair.block, ax=erle)
    erle.set(title="How far the output lies below the microphone", ylabel="power ratio (dB)")
    plots.impulse_response(w, fs=pair.fs, ax=impulse).set_title("Echo path found")
    for ax in (erle, impulse):
        ax.get_legend().remove()
    return figure


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see {self.prog} --help)")


def _of_symbols(air: "_Parser") -> None:
    """Add the arguments of `equalize`."""
    air.add_argument("iq", type=Path, metavar="IQ", help="file of complex64 samples")
    air.add_argument("--modulation", required=True, help="such as bpsk, qpsk, psk8, qam16, qam64, pam4")
    air.add_argument("--sps", type=int, default=2, help="samples a symbol, a whole number (default: 2)")
    air.add_argument("--taps", type=int, default=15, help="number of coefficients (default: 15)")
    air.add_argument("--mu", type=float, default=2e-3, help="step size, at unit power (default: 0.002)")
    loop = "noise bandwidth of the carrier loop in cycles a symbol, 0 for none (default: 0.005)"
    air.add_argument("--carrier", type=float, default=0.005, help=loop)
    air.add_argument("--training", type=Path, help="NumPy file of the first symbols, where they are known")
    air.add_argument("--plot", type=Path, help="picture of symbols, errors and response to write")


def _of_comparisons(many: "_Parser") -> None:
    """Add the arguments of `compare`."""
    what = "room, A, B, C (Proakis' channels), or a NumPy file of a response (default: room)"
    many.add_argument("--plant", default="room", help=what)
    usual, names = "nlms:0.5,ap:0.5:4,rls:0.9995", "names, with their parameters in order or by name"
    many.add_argument("--filters", default=usual, metavar="NAME:VALUES,...", help=f"{names} (default: {usual})")
    many.add_argument("--taps", type=int, default=64, help="number of coefficients (default: 64)")
    many.add_argument("--runs", type=int, default=200, help="runs of each filter (default: 200)")
    many.add_argument("--samples", type=int, default=4000, help="samples a run (default: 4000)")
    many.add_argument("--snr", type=float, default=30.0, help="input over noise, in dB (default: 30)")
    many.add_argument("--pole", type=float, default=0.0, help="colour of the input, AR(1) (default: 0, white)")
    many.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    many.add_argument("--processes", type=int, default=1, help="how many compute (default: 1)")
    many.add_argument("--plot", type=Path, default=Path("compare.png"), help="picture to write (default: compare.png)")
    many.set_defaults(run=compare)


def _parser() -> _Parser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="adaptfilt", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def command(run: Callable[[argparse.Namespace], None], summary: str, out: str, what: str) -> _Parser:
        new = commands.add_parser(run.__name__, help=summary, description=run.__doc__)
        new.add_argument("--out", type=Path, default=Path(out), help=f"{what} to write (default: {out})")
        new.set_defaults(run=run)
        return new

    command(demo, "identify a known plant and show how", "demo.png", "picture")
    find = command(identify, "find the impulse response between two sounds", "h.npy", "NumPy file of weights")
    find.add_argument("x", type=Path, metavar="X.wav", help="input of the system, such as what was played")
    find.add_argument("d", type=Path, metavar="D.wav", help="its output, such as what was recorded")
    find.add_argument("--plot", type=Path, help="picture of the responses and levels to write")
    clean = command(cancel, "take an echo, a hum or a noise out of a recording", "clean.wav", "sound")
    clean.add_argument("mic", type=Path, metavar="MIC.wav", help="recording with echo, hum or noise in it")
    clean.add_argument("ref", type=Path, metavar="REF.wav", help="the source of it alone")
    _of_symbols(command(equalize, "find the symbols in an I/Q recording", "symbols.npy", "NumPy file of symbols"))
    speak = command(echo, "take the echo of a far end out of a microphone's recording", "clean.wav", "sound")
    speak.add_argument("mic", type=Path, metavar="MIC.wav", help="recording of the microphone")
    speak.add_argument("ref", type=Path, metavar="REF.wav", help="what the loudspeaker played, the far end")
    speak.add_argument("--plot", type=Path, help="picture of spectrograms, levels and echo path to write")
    speak.add_argument("--linear", action="store_true", help="subtract the echo alone, suppress nothing")
    ahead = commands.add_parser("compile", help="compile filters ahead", description=compile_ahead.__doc__)
    known = [*PUBLIC, "EchoCanceller"]
    ahead.add_argument("--filters", nargs="+", choices=known, default=known, help="default: all")
    ahead.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES, help="default: all")
    ahead.set_defaults(run=compile_ahead)
    _of_comparisons(commands.add_parser("compare", help="compare filters over many runs", description=compare.__doc__))
    channel = "channel to take of a file with several, from 0; with a comma, one for each file"
    for sound in (find, clean, speak):
        taps = "256 ms" if sound is speak else "512, or those of --start"
        sound.add_argument("--taps", type=int, help=f"number of coefficients (default: {taps})")
        sound.add_argument("--channel", type=channels, metavar="N[,N]", help=channel)
        late = f"samples by which the recording is later, or auto: find it (default: {'auto' if sound is speak else 0})"
        sound.add_argument("--delay", type=delay, default=None if sound is speak else 0, metavar="N|auto", help=late)
    for sound in (find, clean):
        what = "a name, with parameters in order or by name, such as hubernlms:0.5:clip=none; default: nlms"
        sound.add_argument(
            "--filter", default="nlms", metavar="NAME[:VALUES]", help=f"{what}; {', '.join(sorted(FILTERS))}"
        )
        sound.add_argument("--mu", type=float, help="step size (nlms, ap: 0 to 2, default 0.5; lms: none)")
        sound.add_argument("--lam", type=float, help="forgetting factor of rls (0 to 1, default 0.999)")
        sound.add_argument("--start", type=Path, metavar="H.npy", help="weights to start from, of an earlier identify")
        emphasis = "pre-emphasis of both sounds, undone in what is written; speech converges faster (default: 0.9)"
        sound.add_argument("--pre-emphasis", type=float, nargs="?", const=0.9, metavar="A", help=emphasis)
    return parser


def channels(text: str) -> list[int]:
    """Return the channel numbers in "0" or "0,1"."""
    return [int(number) for number in text.split(",", 1)]


def delay(text: str) -> int | None:
    """Return a number of samples, or None for "auto"."""
    return None if text == "auto" else int(text)
