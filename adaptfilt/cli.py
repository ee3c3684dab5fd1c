"""Adaptive filters on the command line: a demonstration, jobs on sound and I/Q files, and compiling ahead.

    adaptfilt demo
    adaptfilt identify played.wav recorded.wav --taps 2048 --out room.npy --plot room.png
    adaptfilt cancel mic.wav loudspeaker.wav --taps 1024 --filter nlms --mu 0.3 --out clean.wav
    adaptfilt cancel both.wav both.wav --channel 0,1 --out clean.wav
    adaptfilt equalize capture.iq --modulation qam16 --sps 2 --out symbols.npy --plot report.png
    adaptfilt compile --filters NLMS RLS --dtypes float32 complex64

Files are read, adapted on and written block by block: memory does not grow with their length.
Whatever is wrong ends in one line on stderr and exit code 2, and leaves no output behind; so does SIGINT, SIGTERM or
SIGHUP, with exit code 128 + signal. An output stands whole under its name, or not at all. On a terminal, a line on
stderr says when a filter has to be compiled first.
"""

import argparse
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from scipy.signal import ellip, lfilter

import adaptfilt as af
from adaptfilt import metrics, plants, plots, signals
from adaptfilt.base.linear import LinearFilter
from adaptfilt.base.parameters import ParametricFilter
from adaptfilt.checks import DivergenceError
from adaptfilt.engines.cpu import objects
from adaptfilt.filters.gradient.lms import LMS
from adaptfilt.filters.gradient.nlms import NLMS
from adaptfilt.filters.least_squares.affine_projection import AffineProjection
from adaptfilt.filters.least_squares.rls import RLS
from adaptfilt.outputs import check_space, replacing, unwound_by_signals, writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from soundfile import SoundFile

Array = np.ndarray

FILTERS: dict[str, Any] = {"ap": AffineProjection, "lms": LMS, "nlms": NLMS, "rls": RLS}
PUBLIC: dict[str, Any] = {name: getattr(af, name) for name in af.__all__ if hasattr(getattr(af, name), "algorithm")}
DTYPES = ("float32", "float64", "complex64", "complex128")
LONGEST_BLOCK = 1 << 15  # samples
TAP_BYTES = 64  # of memory that a tap takes at the peak, as measured
SQUARE_BYTES = 16  # likewise, for each of the M^2 entries of rls


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
    f = _new_filter(args)
    with ExitStack() as stack:
        out = stack.enter_context(replacing(args.out, {".npy"}))
        picture = stack.enter_context(replacing(args.plot, _picture_kinds())) if args.plot else None
        pair = stack.enter_context(Pair(args.x, args.d, args.channel))
        powers = np.array([(np.mean(d**2), np.mean(e**2)) for d, e in pair.run(f)])
        w = f.w.numpy()
        with writing(args.out), out.open("wb") as file:
            np.save(file, w)
        if picture:
            with writing(args.plot):
                _report(w, powers, pair).savefig(picture)
    peak = int(np.abs(w).argmax())
    print(f"{pair}\n{args.filter}: {f.extra_repr()}")
    print(f"largest weight: w[{peak}] = {w[peak]:.4g}, at {1e3 * peak / pair.fs:.2f} ms")
    print(f"error below D: {_level(powers)}")
    print(f"weights: {args.out}" + (f"\npicture: {args.plot}" if picture else ""))


def cancel(args: argparse.Namespace) -> None:
    """Take out of sound MIC what comes from sound REF, and write what is left."""
    import soundfile

    f = _new_filter(args)
    kind, powers, clipped = args.out.suffix[1:].upper(), [], 0
    kinds = {f".{name.lower()}" for name in soundfile.available_formats()}
    if args.out.resolve() in (args.mic.resolve(), args.ref.resolve()):
        raise ValueError(f"{args.out}: --out must not be one of the recordings")
    with replacing(args.out, kinds) as part, Pair(args.ref, args.mic, args.channel) as pair:
        same = soundfile.check_format(kind, pair.d.subtype)
        subtype = pair.d.subtype if same else soundfile.default_subtype(kind)
        with writing(args.out):
            with soundfile.SoundFile(part, "w", pair.fs, 1, subtype, format=kind) as clean:
                for d, e in pair.run(f):
                    clean.write(e)
                    powers.append((np.mean(d**2), np.mean(e**2)))
                    clipped += int(np.sum(np.abs(e) > 1))
            check_space(part)
    print(f"{pair}\n{args.filter}: {f.extra_repr()}")
    print(f"output below MIC: {_level(np.array(powers))}")
    if clipped and subtype not in ("FLOAT", "DOUBLE"):
        print(f"{clipped} samples were beyond full scale and are clipped")
    print(f"sound: {args.out}")


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
            start, f, silence = perf_counter(), PUBLIC[name].example(dtype=getattr(torch, dtype)), np.zeros(64, dtype)
            blind = isinstance(f, ParametricFilter) and f.algorithm.blind
            f(silence, *([] if blind else [silence]))
            f.step(0.0, *([] if blind else [0.0]))
            print(f"{name:18}{dtype:12}{perf_counter() - start:6.2f} s", flush=True)
    sizes = [file.stat().st_size for file in place.glob("*.o")]
    print(f"kept in {place}: {len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB")


class Pair:
    """Two open sound files that belong together: `x` goes into the filter, `d` is what it should give."""

    def __init__(self, x: Path, d: Path, channels: Sequence[int] | None) -> None:
        self.x, self.d = _open(x), _open(d)
        self.fs, self.samples = self.d.samplerate, min(self.x.frames, self.d.frames)
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
        longer = max(self.x, self.d, key=lambda sound: sound.frames)
        rest = longer.frames - self.samples
        return text + (f"; the last {rest / self.fs:.2f} s of {longer.name} are left out" if rest else "")

    def run(self, f: LinearFilter) -> Iterator[tuple[Array, Array]]:
        """Adapt over the files; yield desired signal and error, block by block."""
        from tqdm import tqdm

        with tqdm(total=self.samples, unit=" samples", unit_scale=True, leave=False, disable=None, delay=0.5) as bar:
            for start in range(0, self.samples, self.block):
                size = min(self.block, self.samples - start)
                x, d = _read(self.x, self.channels[0], size), _read(self.d, self.channels[1], size)
                try:
                    yield d, f(x, d).e
                except DivergenceError:
                    raise ValueError(f"diverged at {start / self.fs:.2f} s: take a smaller --mu") from None
                bar.update(size)


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


def _new_filter(args: argparse.Namespace) -> LinearFilter:
    name, other = ("lam", "mu") if args.filter == "rls" else ("mu", "lam")
    value = getattr(args, name)
    if getattr(args, other) is not None:
        raise ValueError(f"--filter {args.filter} takes --{name}, not --{other}")
    if args.filter == "lms" and value is None:
        raise ValueError("--filter lms needs a step size, --mu")
    needed, there = args.taps * (SQUARE_BYTES * args.taps if args.filter == "rls" else TAP_BYTES), _memory()
    if needed > there:
        raise ValueError(f"--taps {args.taps}: {args.filter} takes {needed:.1e} bytes, the machine has {there:.1e}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # such as mu outside (0, 2)
        return FILTERS[args.filter](args.taps, **({} if value is None else {name: value}))


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


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see {self.prog} --help)")


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
    air = command(equalize, "find the symbols in an I/Q recording", "symbols.npy", "NumPy file of symbols")
    air.add_argument("iq", type=Path, metavar="IQ", help="file of complex64 samples")
    air.add_argument("--modulation", required=True, help="such as bpsk, qpsk, psk8, qam16, qam64, pam4")
    air.add_argument("--sps", type=int, default=2, help="samples a symbol, a whole number (default: 2)")
    air.add_argument("--taps", type=int, default=15, help="number of coefficients (default: 15)")
    air.add_argument("--mu", type=float, default=2e-3, help="step size, at unit power (default: 0.002)")
    loop = "noise bandwidth of the carrier loop in cycles a symbol, 0 for none (default: 0.005)"
    air.add_argument("--carrier", type=float, default=0.005, help=loop)
    air.add_argument("--training", type=Path, help="NumPy file of the first symbols, where they are known")
    air.add_argument("--plot", type=Path, help="picture of symbols, errors and response to write")
    ahead = commands.add_parser("compile", help="compile filters ahead", description=compile_ahead.__doc__)
    ahead.add_argument("--filters", nargs="+", choices=PUBLIC, default=list(PUBLIC), help="default: all")
    ahead.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES, help="default: all")
    ahead.set_defaults(run=compile_ahead)
    channel = "channel to take of a file with several, from 0; with a comma, one for each file"
    for sound in (find, clean):
        sound.add_argument("--taps", type=int, default=512, help="number of coefficients (default: 512)")
        sound.add_argument("--filter", choices=sorted(FILTERS), default="nlms", help="default: nlms")
        sound.add_argument("--mu", type=float, help="step size (nlms, ap: 0 to 2, default 0.5; lms: none)")
        sound.add_argument("--lam", type=float, help="forgetting factor of rls (0 to 1, default 0.999)")
        sound.add_argument("--channel", type=channels, metavar="N[,N]", help=channel)
    return parser


def channels(text: str) -> list[int]:
    """Return the channel numbers in "0" or "0,1"."""
    return [int(number) for number in text.split(",", 1)]
