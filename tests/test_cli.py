"""The command line: what it finds, what it writes, and that nothing is left behind where it fails."""

import logging
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter, resample

import adaptfilt as af
from adaptfilt import cli
from adaptfilt.engines.cpu.adapters import block_function

soundfile = pytest.importorskip("soundfile", reason="the sound commands need the extra 'audio'")

FS = 8000
PLANT = np.array([0.0, 0.4, -0.3, 0.2, 0.1])


def read(path):
    return soundfile.read(path, dtype="float32")[0]


@pytest.fixture
def sounds(tmp_path, monkeypatch, rng):
    """A folder with x.wav and d.wav, 1 s of noise before and after the plant; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    x = rng.uniform(-0.5, 0.5, FS)
    soundfile.write("x.wav", x, FS, "FLOAT")
    soundfile.write("d.wav", lfilter(PLANT, 1, x), FS, "FLOAT")
    return tmp_path


def run(line):
    return cli.main(line.split())


def listing(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_demo_agrees_with_numpy_and_scipy(tmp_path, capsys):
    picture = tmp_path / "demo.png"
    assert cli.main(["demo", "--out", str(picture)]) == 0
    text = capsys.readouterr().out
    assert [float(v) for v in re.findall(r": (\d\.\de[-+]\d+)", text)] == pytest.approx([0, 0], abs=1e-13)
    assert all(float(v) < -40 for v in re.findall(r"(-[\d.]+) dB", text))
    assert str(picture) in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_identify_finds_the_plant(sounds, capsys):
    assert run("identify x.wav d.wav --taps 8 --filter nlms --mu 0.5 --plot report.png") == 0
    w = np.load("h.npy")
    _, _, one_block = af.NLMS(8, 0.5)(read("x.wav"), read("d.wav"))
    np.testing.assert_allclose(w, one_block, rtol=0, atol=1e-6)
    assert af.metrics.misalignment_db(w, PLANT) < -100
    assert "w[1] = 0.4, at 0.12 ms" in capsys.readouterr().out
    assert Path("report.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("options", ["--filter lms --mu 0.05", "--filter ap --mu 0.5", "--filter rls --lam 0.999"])
def test_every_filter_finds_the_plant(sounds, options):
    assert run(f"identify x.wav d.wav --taps 6 {options}") == 0
    assert af.metrics.misalignment_db(np.load("h.npy"), PLANT) < -60


def test_cancel_writes_the_error(sounds, capsys):
    voice = 0.1 * np.sin(np.arange(FS))
    soundfile.write("mic.wav", voice + read("d.wav"), FS, "PCM_24")
    assert run("cancel mic.wav x.wav --taps 8 --mu 0.05") == 0
    clean = soundfile.SoundFile("clean.wav")
    assert (clean.samplerate, clean.frames, clean.channels, clean.subtype) == (FS, FS, 1, "PCM_24")
    _, e, _ = af.NLMS(8, 0.05)(read("x.wav"), read("mic.wav"))
    np.testing.assert_allclose(clean.read(), e, rtol=0, atol=1e-6)
    assert af.metrics.mse_db(e[-1000:] - voice[-1000:]) < -35
    assert "dB, over the last tenth" in capsys.readouterr().out


def test_cancel_says_what_is_clipped(sounds, capsys):
    soundfile.write("loud.wav", np.full(FS, 0.99), FS, "PCM_16")
    assert run("cancel loud.wav x.wav --taps 8 --mu 1.9") == 0
    assert "beyond full scale" in capsys.readouterr().out
    assert np.abs(read("clean.wav")).max() <= 1


def test_stereo_files_with_a_channel_choice(sounds):
    both = np.stack([read("d.wav"), read("x.wav")], axis=1)
    soundfile.write("both.wav", both, FS, "FLOAT")
    assert run("identify x.wav d.wav --taps 8 --out a.npy") == 0
    assert run("identify both.wav both.wav --channel 1,0 --taps 8 --out b.npy") == 0
    assert run("identify both.wav d.wav --channel 1 --taps 8 --out c.npy") == 0
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    np.testing.assert_array_equal(np.load("a.npy"), np.load("c.npy"))


def test_the_shorter_file_decides(sounds, capsys):
    soundfile.write("short.wav", read("d.wav")[: FS // 2], FS, "FLOAT")
    assert run("identify x.wav short.wav --taps 8") == 0
    assert "4000 samples" in (text := capsys.readouterr().out)
    assert "the last 0.50 s of x.wav are left out" in text


@pytest.fixture
def broken(sounds):
    """Files that are wrong in many ways."""
    x, d = read("x.wav"), read("d.wav")
    soundfile.write("slow.wav", d, 4000)
    soundfile.write("both.wav", np.stack([d, x], axis=1), FS)
    soundfile.write("none.wav", d[:0], FS)
    soundfile.write("nan.wav", np.append(d[:-1], np.nan), FS, "FLOAT")
    soundfile.write("whole.flac", d, FS)
    (sounds / "zero.wav").touch()
    (sounds / "junk.wav").write_bytes(b"no sound at all " * 50)
    for name, cut in (("d.wav", "cut.wav"), ("whole.flac", "cut.flac")):
        (sounds / cut).write_bytes((sounds / name).read_bytes()[:9000])
    return sounds


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "COMMAND"),
        ("identify x.wav", "D.wav"),
        ("identify x.wav gone.wav", "gone.wav: no such file"),
        ("identify x.wav slow.wav", "x.wav has 8000 Hz, slow.wav has 4000 Hz"),
        ("identify x.wav both.wav", "both.wav has 2 channels: choose one with --channel, 0 to 1"),
        ("identify x.wav both.wav --channel 2", "0 to 1"),
        ("identify x.wav d.wav --channel left", "--channel"),
        ("identify x.wav none.wav", "none.wav: holds no samples"),
        ("identify x.wav zero.wav", "zero.wav: empty"),
        ("identify x.wav junk.wav", "junk.wav: empty, corrupt or not a sound file"),
        ("identify x.wav cut.wav", "cut.wav: truncated"),
        ("identify x.wav cut.flac", "cut.flac: corrupt"),
        ("identify x.wav nan.wav --plot r.png", "nan.wav: holds NaN"),
        ("identify x.wav d.wav --taps 0", "taps must be an integer >= 1"),
        ("identify x.wav d.wav --mu 2.5", "mu = 2.5 lies outside (0, 2)"),
        ("identify x.wav d.wav --mu nan", "mu must be finite"),
        ("identify x.wav d.wav --filter lms", "--mu"),
        ("identify x.wav d.wav --filter lms --mu 5 --taps 256", "diverged at"),
        ("identify x.wav d.wav --filter rls --mu 0.5", "takes --lam, not --mu"),
        ("identify x.wav d.wav --filter kalmann", "kalmann"),
        ("identify x.wav d.wav --out h.txt", "must end in .npy or .wav"),
        ("identify x.wav d.wav --plot report.doc", "must end in"),
        ("identify x.wav d.wav --out no/h.npy", "no folder no"),
        ("cancel nan.wav x.wav", "nan.wav: holds NaN"),
        ("cancel d.wav x.wav --out clean.txt", "must end in"),
        ("cancel d.wav x.wav --out d.wav", "must not be one of the recordings"),
        ("demo --out demo.txt", "must end in"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(broken, capsys, arguments, says):
    before = listing(broken)
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("adaptfilt: ")
    assert says in err
    assert listing(broken) == before


def test_failing_late_keeps_the_old_output(broken):
    (broken / "clean.wav").write_bytes(b"of yesterday")
    assert run("cancel nan.wav x.wav --out clean.wav") == 2
    assert (broken / "clean.wav").read_bytes() == b"of yesterday"


def test_interrupting_leaves_nothing(sounds, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    before = listing(sounds)
    monkeypatch.setattr(cli, "_read", interrupted)
    assert run("cancel d.wav x.wav") == 130
    assert listing(sounds) == before


LIMITED = """
import resource, sys
from adaptfilt import cli
from adaptfilt.engines.cpu.adapters import block_function
resource.setrlimit(resource.RLIMIT_{0}, ({1}, {1}))
sys.exit(cli.main(sys.argv[1:]))
"""


def started(*arguments, code="from adaptfilt import cli; import sys; sys.exit(cli.main(sys.argv[1:]))", **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], text=True, stderr=subprocess.PIPE, **{"stdout": -1, **options}
    )


def is_refused(program, says):
    _, err = program.communicate(timeout=120)
    assert (program.returncode, err.count("\n")) == (2, 1), err
    assert err.startswith("adaptfilt: ")
    assert says in err


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process")
@pytest.mark.parametrize(
    ("size", "arguments", "name"),
    [
        (9000, "cancel d.wav x.wav --taps 8", "clean.wav"),
        ("whole", "cancel d.wav x.wav --taps 8 --mu 0.001 --out c.flac", "c.flac"),
        ("whole", "cancel d.wav x.wav --taps 8 --mu 0.001 --out c.ogg", "c.ogg"),
        (9000, "identify x.wav d.wav --taps 4000", "h.npy"),
        (9000, "demo", "demo.png"),
    ],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(sounds, size, arguments, name):
    """A file that may not grow fails as one on a full disk does; encoders lose their last bytes without an error."""
    if size == "whole":
        assert run(arguments) == 0
        size = Path(name).stat().st_size - 1
        Path(name).unlink()
    before = listing(sounds)
    is_refused(started(*arguments.split(), code=LIMITED.format("FSIZE", size)), f"{name}: cannot be written (")
    assert listing(sounds) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_standard_output_is_one_line(sounds):
    with open("/dev/full", "w") as full:
        program = started("identify", "x.wav", "d.wav", stdout=full, env={**os.environ, "PYTHONUNBUFFERED": ""})
        is_refused(program, "No space left on device")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(
    ("what", "end"),
    [
        ("identify x.wav d.wav --out", ".npy"),
        ("identify x.wav d.wav --plot", ".png"),
        ("cancel d.wav x.wav --out", ".wav"),
    ],
)
def test_an_output_that_cannot_be_created_is_said_before_anything_is_read(sounds, monkeypatch, capsys, what, end):
    monkeypatch.setattr(cli, "_read", None)
    (sounds / f"folder{end}").mkdir()
    places = f"/proc/a{end}", f"{'a' * 300}{end}", f"folder{end}", f"x.wav/a{end}"
    for place, says in zip(places, ("cannot be written", "too long", "is a folder", "no folder x.wav"), strict=True):
        before = sorted(os.listdir())
        assert run(f"{what} {place}") == 2
        _, err = capsys.readouterr()
        assert err.count("\n") == 1
        assert says in err
        assert sorted(os.listdir()) == before


@pytest.mark.parametrize(("filter", "taps"), [("nlms", 10**13), ("ap", 10**30), ("rls", 10**7)])
def test_a_filter_beyond_the_memory_is_refused_before_it_is_made(sounds, monkeypatch, capsys, filter, taps):
    monkeypatch.setitem(cli.FILTERS, filter, None)
    needed = f"{16 * taps**2 if filter == 'rls' else 64 * taps:.1e}"
    assert run(f"identify x.wav d.wav --filter {filter} --taps {taps}") == 2
    assert f"--taps {taps}: {filter} takes {needed} bytes" in capsys.readouterr().err


def test_memory_that_torch_refuses_is_one_line(sounds, monkeypatch, capsys):
    monkeypatch.setattr(cli, "_memory", lambda: sys.maxsize)
    assert run(f"identify x.wav d.wav --taps {10**15}") == 2
    _, err = capsys.readouterr()
    assert err.startswith("adaptfilt: out of memory: ")
    assert err.count("\n") == 1


def test_memory_that_python_refuses_is_one_line(sounds, monkeypatch, capsys):
    def refused(*_):
        raise MemoryError

    monkeypatch.setattr(cli, "_read", refused)
    assert run("identify x.wav d.wav") == 2
    assert capsys.readouterr().err == "adaptfilt: out of memory:\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_leaves_nothing_half_written(sounds, name, rng):
    soundfile.write("long.wav", rng.uniform(-0.5, 0.5, 120 * FS), FS)
    (sounds / "clean.wav").write_bytes(b"of yesterday")
    before = listing(sounds)
    program = started("cancel", "long.wav", "long.wav", "--taps", "16384")
    while not (part := [p for p in sounds.iterdir() if p.name.startswith(".clean")]) or not part[0].stat().st_size:
        assert program.poll() is None
        time.sleep(0.01)
    program.send_signal(getattr(signal, name))
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (128 + getattr(signal, name), "")
    assert "Traceback" not in err
    assert listing(sounds) == before


def test_signals_that_are_ignored_stay_ignored(sounds, monkeypatch):
    """As under nohup; and what was there before the command is there after it."""
    kept = {s: signal.signal(s, h) for s, h in ((signal.SIGTERM, signal.SIG_IGN), (signal.SIGINT, signal.SIG_IGN))}
    seen = []
    monkeypatch.setattr(cli, "_read", lambda *_: seen.append(signal.getsignal(signal.SIGTERM)) or 1 / 0)
    try:
        with pytest.raises(ZeroDivisionError):
            run("identify x.wav d.wav")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pytest.raises(ZeroDivisionError):
            run("identify x.wav d.wav")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        for s, handler in kept.items():
            signal.signal(s, handler)
    assert seen[0] is signal.SIG_IGN
    assert callable(seen[1])


@pytest.mark.parametrize("package", ["soundfile", "tqdm"])
def test_missing_extra_says_how_to_install(sounds, monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert run("cancel d.wav x.wav") == 2
    error = capsys.readouterr().err
    assert error == f"adaptfilt: {package} is missing; for sound files: pip install 'adaptfilt-torch[audio]'\n"


def test_memory_does_not_grow_with_the_file(sounds, monkeypatch, rng):
    monkeypatch.setattr(cli, "LONGEST_BLOCK", 1024)
    peaks = []
    for seconds in (60, 240):
        soundfile.write("long.wav", rng.uniform(-0.5, 0.5, seconds * FS), FS)
        tracemalloc.start()
        assert run("cancel long.wav long.wav --taps 8") == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 400_000  # two powers a block; the longer file itself takes 7.7 MB


def test_compile_keeps_what_a_first_call_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ADAPTFILT_CACHE", str(tmp_path / "cache"))
    command = [sys.executable, "-m", "adaptfilt", "compile", "--filters", "LMS", "--dtypes", "float32", "complex64"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"(LMS +(float32|complex64) +\d+\.\d\d s\n){2}kept in .*cache: 4 files, .* MiB\n", text)
    program = "import sys, torch, numpy as np, adaptfilt as af; f = af.LMS(7, 0.1, dtype=torch.complex64); "
    program += "f(np.ones(90), np.ones(90)); f.step(1.0, 1.0); print('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


def test_compile_takes_the_echo_canceller(capsys):
    assert run("compile --filters EchoCanceller --dtypes float32 complex64") == 0  # there is no complex one
    assert re.fullmatch(r"EchoCanceller +float32 +\d+\.\d\d s\nkept in .*\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("cache", "arguments", "says"),
    [
        ("off", "", "no code cache"),
        ("/dev/null/cache", "", "/dev/null"),
        ("", "--filters Kalmann", "Kalmann"),
        ("", "--dtypes float16", "float16"),
    ],
)
def test_compile_says_in_one_line_why_it_cannot(monkeypatch, capsys, cache, arguments, says):
    monkeypatch.setenv("ADAPTFILT_CACHE", cache)
    assert run(f"compile {arguments}") == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_a_terminal_is_told_what_is_compiled(sounds, monkeypatch, capsys):
    block_function.cache_clear()
    monkeypatch.setenv("ADAPTFILT_CACHE", str(sounds / "cache"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for lines in (2, 0):
        assert run("identify x.wav d.wav --taps 8 --filter lms --mu 0.01") == 0
        told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("adaptfilt: compil")]
        assert len(told) == lines
    assert not logging.getLogger("adaptfilt").handlers


def test_runs_as_a_program():
    command = [sys.executable, "-m", "adaptfilt", "--help"]
    program = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {"demo", "identify", "cancel", "echo", "equalize", "compile"} <= set(program.stdout.split())


@pytest.fixture
def capture(tmp_path, monkeypatch):
    """A folder with capture.iq, 16-QAM at two samples a symbol, off carrier; returns its symbols."""
    monkeypatch.chdir(tmp_path)
    qam = af.Constellation.qam(16)
    a = af.signals.symbols(qam, 30_000, rng=0)
    pulse = af.signals.root_raised_cosine(0.3, 2)
    x = np.convolve(af.signals.pulse_train(a, pulse, 2), np.convolve(pulse, [0.1, 1, 0.3j, 0.1]))[32 : 32 + 60_000]
    x = af.signals.add_noise(af.signals.off_carrier(x, 5e-4), 28.0, rng=1)
    (300 * x).astype(np.complex64).tofile("capture.iq")
    return a


def test_equalize_finds_the_symbols_and_the_carrier(capture, capsys):
    assert run("equalize capture.iq --modulation qam16 --sps 2 --out symbols.npy --plot report.png") == 0
    y, text = np.load("symbols.npy"), capsys.readouterr().out
    assert y.shape == (30_000,)
    assert y.dtype == np.complex64
    found = af.metrics.align_symbols(y[-5000:-20], capture[-5000:], rotations=4)  # the last pulses are cut
    assert af.metrics.ser(found.y, found.symbols, af.Constellation.qam(16)) == 0
    assert "decided" in text
    off = float(re.search(r"carrier: (\S+) cycles", text)[1])
    assert off == pytest.approx(1e-3 / (2 * np.pi), rel=0.3)  # radians a symbol
    assert Path("report.png").read_bytes().startswith(b"\x89PNG")


def test_equalize_with_training_turns_nothing(capture, capsys):
    np.save("known.npy", capture[:2000])
    assert run("equalize capture.iq --modulation qam16 --training known.npy") == 0
    y = np.load("symbols.npy")
    found = af.metrics.align_symbols(y[2000:-20], capture[2000:], rotations=1)
    assert af.metrics.ser(found.y, found.symbols, af.Constellation.qam(16)) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("equalize none.iq --modulation qam16", "none.iq: no such file"),
        ("equalize odd.iq --modulation qam16", "9 bytes are no complex64 samples"),
        ("equalize silent.iq --modulation qam16", "silent.iq: is silent"),
        ("equalize nan.iq --modulation qam16", "nan.iq: holds NaN"),
        ("equalize capture.iq --modulation qam15", "M must be a power of two"),
        ("equalize capture.iq --modulation fm", "--modulation must be bpsk, qpsk, or psk"),
        ("equalize capture.iq", "--modulation"),
        ("equalize capture.iq --modulation qam16 --sps 0", "sps must be an integer >= 1"),
        ("equalize capture.iq --modulation qam16 --mu 9", "diverged after"),
        ("equalize capture.iq --modulation qam16 --out symbols.txt", "must end in .npy"),
        ("equalize capture.iq --modulation qam16 --training capture.iq", "not a NumPy file of symbols"),
        ("equalize capture.iq --modulation qam64 --training few.npy", "points of the constellation"),
        ("equalize capture.iq --modulation qam16 --training many.npy", "more than the 30000 of the file"),
    ],
)
def test_equalize_says_what_is_wrong(capture, capsys, change, says):
    Path("odd.iq").write_bytes(bytes(9))
    np.zeros(50, np.complex64).tofile("silent.iq")
    np.full(50, np.nan, np.complex64).tofile("nan.iq")
    np.save("few.npy", capture[:100])
    np.save("many.npy", np.append(capture, capture))
    before = set(os.listdir())
    assert run(change) == 2
    assert says in capsys.readouterr().err
    assert set(os.listdir()) == before


# Options of identify and cancel


@pytest.mark.parametrize("name", ["fdkf", "fdaf --mu 0.5", "npvss", "latticerls", "nlms:0.5:eps=0.1"])
def test_filters_of_every_structure_are_there(sounds, name):
    assert run(f"identify x.wav d.wav --taps 8 --filter {name}") == 0
    assert af.metrics.misalignment_db(np.load("h.npy"), PLANT) < -20


def test_every_filter_of_taps_alone_has_a_name():
    assert {"ap", "fdaf", "fdkf", "kwongjohnston", "latticerls", "lmf", "lms", "nlms", "npvss", "rls"} < set(
        cli.FILTERS
    )
    assert {"hubernlms", "setmembershipnlms", "gmcc", "gngd", "fastrls", "slidingwindowrls"} < set(cli.FILTERS)
    assert not {"qklms", "krls", "notch", "fxlms", "frost"} & set(cli.FILTERS)
    assert not {"cma", "dfe", "fxlms", "decisiondirected", "equationerror"} & set(cli.FILTERS)


def test_filters_take_parameters_in_order_and_by_name():
    f = cli._filter_of("hubernlms:0.3:clip=none", 4)[1](2)
    assert isinstance(f, af.HuberNLMS)
    assert (f.taps, float(f.mu), f.clip, f.batch) == (4, pytest.approx(0.3), None, (2,))
    assert cli._filter_of("slidingwindowrls:64", 4)[1](1).window == 64


def test_pre_emphasis_is_undone(sounds):
    soundfile.write("x.wav", lfilter([1], [1, -0.95], read("x.wav")) / 20, FS, "FLOAT")
    x = read("x.wav")
    soundfile.write("d.wav", lfilter(PLANT, 1, x), FS, "FLOAT")
    found = {}
    for options in ("", "--pre-emphasis"):
        assert run(f"cancel d.wav x.wav --taps 8 --mu 0.1 {options}") == 0
        assert run(f"identify x.wav d.wav --taps 8 --mu 0.1 {options}") == 0
        found[options] = af.metrics.misalignment_db(np.load("h.npy"), PLANT), np.linalg.norm(read("clean.wav")[4000:])
    assert found["--pre-emphasis"][0] < found[""][0] - 20
    assert found["--pre-emphasis"][1] < 0.1 * found[""][1]


@pytest.mark.parametrize("late", [300, -200])
def test_a_delay_is_found_or_given(sounds, late):
    d = read("d.wav")
    soundfile.write("late.wav", d[-late:] if late < 0 else np.append(np.zeros(late), d), FS, "FLOAT")
    assert run("identify x.wav late.wav --taps 64 --mu 0.5 --delay auto") == 0
    w = np.load("h.npy")
    at = late + 1 if late > 0 else 64 // 4
    assert abs(w[at : at + 4] - PLANT[1:]).max() < 1e-3
    assert run(f"cancel late.wav x.wav --taps 8 --delay {late}") == 0
    clean = read("clean.wav")
    assert np.linalg.norm(clean[-2000:]) < 1e-3 * np.linalg.norm(d[-2000:])


def test_a_start_is_shifted_with_the_sounds(sounds, capsys):
    """`identify` writes the delay as leading zeros, and what starts from it takes the delay off but once."""
    soundfile.write("late.wav", np.append(np.zeros(300), read("d.wav")), FS, "FLOAT")
    assert run("identify x.wav late.wav --taps 64 --mu 0.5 --delay auto") == 0
    for delay in ("auto", 100, 0):
        assert run(f"cancel late.wav x.wav --start h.npy --delay {delay}") == 0
        assert np.abs(read("clean.wav")).max() < 1e-3
    capsys.readouterr()
    assert run("cancel late.wav x.wav --start h.npy --delay 1000") == 2
    assert "weights, all within the delay of 1000" in capsys.readouterr().err


def test_a_response_as_sound_and_as_start(sounds):
    assert run("identify x.wav d.wav --taps 8 --out h.wav") == 0
    sound = soundfile.SoundFile("h.wav")
    assert (sound.samplerate, sound.frames, sound.subtype) == (FS, 8, "FLOAT")
    assert af.metrics.misalignment_db(read("h.wav"), PLANT) < -100
    np.save("h.npy", read("h.wav"))
    for start in ("h.npy", "h.wav"):
        assert run(f"cancel d.wav x.wav --start {start} --out clean.wav") == 0
        assert np.abs(read("clean.wav")).max() < 1e-5


def test_a_slow_filter_says_how_long_it_takes(sounds, monkeypatch, capsys):
    monkeypatch.setattr(cli, "SLOW", 0)
    assert run("identify x.wav d.wav --taps 8") == 0
    assert re.fullmatch(r"adaptfilt: nlms takes about \d+ s for this\n", capsys.readouterr().err)


def test_silent_and_clipped_files_are_said(sounds, capsys):
    soundfile.write("silent.wav", np.zeros(FS), FS)
    soundfile.write("loud.wav", np.clip(5 * read("d.wav"), -1, 1), FS, "FLOAT")
    assert run("identify silent.wav loud.wav --taps 8") == 0
    error = capsys.readouterr().err
    assert "warning: silent.wav is silent" in error
    assert "warning: loud.wav is clipped in" in error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("identify x.wav d.wav --filter fdkf --mu 1", "takes neither --mu nor --lam, not --mu"),
        ("identify x.wav d.wav --filter fdaf", "needs a step size, --mu"),
        ("identify x.wav d.wav --filter hubernlms:0.5", "clip"),
        ("identify x.wav d.wav --filter nlms:soon", "--filter: nlms:soon must be a name and numbers"),
        ("identify x.wav d.wav --filter nlms:0.5 --mu 0.1", "multiple values"),
        ("identify x.wav d.wav --start gone.npy", "gone.npy: no such file"),
        ("identify x.wav d.wav --start junk.npy", "junk.npy: not a NumPy file of weights"),
        ("identify x.wav d.wav --start both.npy", "both.npy: weights must be finite floats"),
        ("identify x.wav d.wav --start long.npy --taps 4", "long.npy: holds 9 weights, more than --taps 4"),
        ("identify x.wav d.wav --pre-emphasis 2", "a must be finite"),
        ("identify x.wav d.wav --delay soon", "--delay"),
        ("echo d.wav slow.wav", "resample one of them"),
        ("echo both.wav x.wav", "choose one with --channel"),
        ("echo d.wav x.wav --out d.wav", "must not be one of the recordings"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(broken, capsys, arguments, says):
    (broken / "junk.npy").write_bytes(b"no array")
    np.save("both.npy", np.ones((2, 3)))
    np.save("long.npy", np.ones(9))
    before = listing(broken)
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err
    assert listing(broken) == before


# echo


def test_echo_takes_the_far_end_out_and_keeps_the_near_end(sounds, capsys):
    d = np.append(np.zeros(400, np.float32), read("d.wav"))[: FS + 200]
    near = 0.3 * np.sin(0.3 * np.arange(d.size)) * (np.arange(d.size) > 6000)
    soundfile.write("mic.wav", d + near, FS, "FLOAT")
    assert run("echo mic.wav x.wav --taps 256 --plot report.png") == 0
    text, clean = capsys.readouterr().out, read("clean.wav")
    assert clean.size == d.size
    assert np.linalg.norm(clean[3000:6000]) < 0.05 * np.linalg.norm(d[3000:6000])
    assert np.linalg.norm((clean - near)[-1500:]) < 0.2 * np.linalg.norm(near[-1500:])
    assert "without x.wav" in text
    assert "delay: 42.1 ms" in text  # 401 samples, less a quarter of the taps
    assert Path("report.png").read_bytes().startswith(b"\x89PNG")
    assert run("echo mic.wav x.wav --taps 256 --delay 369 --linear --out linear.wav") == 0
    assert np.linalg.norm(read("linear.wav")[3000:6000]) < 0.1 * np.linalg.norm(d[3000:6000])


@pytest.mark.parametrize("ppm", [500, -85, 0])
def test_echo_reports_clocks_that_drift(sounds, rng, capsys, ppm):
    """In a room, with a near end as loud as the echo, and a far end that ends early."""
    x = af.signals.coloured(8 * FS, [1, -0.9], rng) * (np.arange(8 * FS) < 7 * FS)
    near = af.signals.coloured(8 * FS, [1, 0, 0.8], rng)
    fine = resample(lfilter(af.plants.room(2000, 0.3, rng=0, fs=FS).b, 1, x), 4 * x.size)
    heard = np.interp(np.arange(x.size) * (1 - 1e-6 * ppm), np.arange(fine.size) / 4, fine)
    heard += near * np.std(heard) / np.std(near)
    for name, sound in (("mic.wav", heard), ("far.wav", x)):
        soundfile.write(name, 0.5 * sound / np.abs(sound).max(), FS, "FLOAT")
    assert run("echo mic.wav far.wav --taps 64 --linear") == 0
    found = re.search(r"clocks: ([-+]\d+) ppm apart(.*)", capsys.readouterr().out)
    assert abs(float(found[1]) - ppm) < 25
    faster = {
        500: ", MIC's the faster: resample one of the files",
        -85: ", REF's the faster: resample one of the files",
    }
    assert found[2] == faster.get(ppm, "")


def test_echo_keeps_a_direct_sound_that_is_weaker_than_a_reflection(sounds):
    h = np.zeros(128)
    h[20], h[104] = 0.3, 0.6
    soundfile.write("mic.wav", lfilter(h, 1, read("x.wav")), FS, "FLOAT")
    assert run("cancel mic.wav x.wav --taps 512 --filter fdkf --delay auto") == 0
    assert af.metrics.erle_db(read("mic.wav")[-2000:], read("clean.wav")[-2000:]) > 20


def test_echo_says_where_files_are_swapped_or_have_nothing_in_common(sounds, rng, capsys):
    x = af.signals.coloured(4 * FS, [1, -0.9], rng)
    heard = lfilter(0.5 * af.plants.room(800, 0.1, rng=0, fs=FS).b, 1, x)
    heard += 0.5 * np.std(heard) * rng.standard_normal(x.size)  # the near end
    for name, sound in (("mic.wav", heard), ("far.wav", x), ("other.wav", af.signals.coloured(x.size, [1, 0.5], rng))):
        soundfile.write(name, 0.5 * sound / np.abs(sound).max(), FS, "FLOAT")
    said = {}
    for files in ("mic.wav far.wav", "far.wav mic.wav", "mic.wav other.wav"):
        assert run(f"echo {files} --taps 256 --linear") == 0
        said[files] = capsys.readouterr().err
    assert "warning" not in said["mic.wav far.wav"]
    assert "mic.wav sounds like the echo of far.wav: are they the wrong way round?" in said["far.wav mic.wav"]
    assert "hardly anything was cancelled: is REF what the loudspeaker played" in said["mic.wav other.wav"]


def test_compare_runs_filters_and_theory(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("h.npy", np.array([0.5, -0.3, 0.2], np.float32))
    options = "--taps 4 --runs 30 --samples 600 --snr 20 --plot c.png"
    assert run(f"compare --plant h.npy --filters nlms:0.5,rls:0.99,vssnlms:mu_max=0.8 {options}") == 0
    lines = capsys.readouterr().out.splitlines()
    nlms, rls, vss = (line.split() for line in lines[1:4])
    assert [nlms[0], rls[0], vss[0]] == ["nlms:0.5", "rls:0.99", "vssnlms:mu_max=0.8"]
    for row in (nlms, rls):
        assert abs(float(row[1]) - float(row[3])) < 0.5
    assert vss[3] == "-"
    assert Path("c.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--filters nosuch:1", "there is no 'nosuch'; there are aboulnasrmayyas, ap, "),
        ("--filters nlms:a", "must be a name and numbers"),
        ("--filters nlms:0.5:1:2:3", "nlms:0.5:1:2:3: "),
        ("--filters rls:2", "rls:2: lam must be"),
        ("--plant lost.npy", "lost.npy: no such file"),
        ("--pole 1", "--pole must be between -1 and 1"),
        ("--runs 0", "must be at least 1"),
        ("--plot c.txt", "the name must end in"),
        ("--filters lms:5 --taps 4 --samples 3000 --runs 2", "lms:5 diverged: take a smaller step size"),
    ],
)
def test_compare_says_what_is_wrong(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert run(f"compare {arguments}") == 2
    assert says in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
