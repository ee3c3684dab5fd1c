"""Machine code from update functions: kept on disk, never stale, never needed, free of allocations."""

import ctypes
import functools
import os
import pwd
import re
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.engines import words
from adaptfilt.engines.algorithm import MAX_DIMS, Algorithm
from adaptfilt.engines.bins import Bins
from adaptfilt.engines.cpu import adapters, loops, objects
from adaptfilt.engines.cpu.adapters import block_function, sample_function
from adaptfilt.engines.cpu.compile import _key, compiled
from adaptfilt.engines.cpu.fingerprint import Unknown, describe, fingerprint
from adaptfilt.engines.words import axpyc
from adaptfilt.testing.comparisons import call, given_by_path, step, trial
from conftest import LINEAR, RULED, each

PROGRAM = """
import sys, numpy as np, adaptfilt as af
f = af.LMS(2, 0.1)  # record by record: a plain loop, which compiles in half the time of a lookahead
f(np.ones(40, np.float32), np.ones(40, np.float32), record_every=1)
print("numba" in sys.modules, f.w.sum().item())
"""


def run(folder: Path | str, program: str = PROGRAM, **more: str) -> list[str]:
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(folder),
        "ADAPTFILT_CACHE": "",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()


def test_a_second_process_loads_the_code_without_numba_and_repairs_damage(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert first[0] == "True"
    (file,) = tmp_path.glob("adaptfilt/*.o")
    assert run(tmp_path) == ["False", first[1]]
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"block")] ^= 1  # in the symbol's name
    for damaged in (b"", flipped, whole[:-9]):
        file.write_bytes(damaged)
        assert objects.load(file) is None
    assert run(tmp_path) == first
    assert run(tmp_path) == ["False", first[1]]
    assert list(tmp_path.glob("adaptfilt/*")) == [file]


def test_code_of_different_processes_does_not_mix(tmp_path: Path) -> None:
    # Numba numbers functions from zero in every process: two object files may use one symbol for different code.
    makers = ["af.LMS(2, 0.1)", "af.SignError(2, 0.1)", "af.LMF(2, 0.1)", "af.NLMS(2, 0.1)"]
    line = "f = {}; f(np.ones(40, np.float32), np.ones(40, np.float32), record_every=1); print(f.w.sum().item())\n"

    def outputs(program: str) -> list[str]:
        return run(tmp_path, "import numpy as np, adaptfilt as af\n" + program)

    apart = [outputs(line.format(make))[0] for make in makers]
    assert len(set(apart)) == len(makers)
    assert outputs("".join(line.format(make) for make in makers)) == apart


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert run(blocked)[0] == "True"


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "file.o"
    file.mkdir()
    objects.save(file, "symbol", "", b"code")
    assert list(tmp_path.rglob("*")) == [file]
    assert objects.load(file) is None


def test_code_with_a_symbol_this_process_lacks_is_neither_kept_nor_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ir = "declare i64 @malloc(i64)\ndeclare i64 @no_such_symbol(i64)"
    objects.save(tmp_path / "file.o", "symbol", ir, b"code")
    assert not list(tmp_path.iterdir())
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(objects, "_found", lambda symbols: symbols == ["malloc", "no_such_symbol"])
        objects.save(tmp_path / "file.o", "symbol", ir, b"code")
    monkeypatch.setattr(objects, "_linker", lambda: pytest.fail("the linker would end the process"))
    assert (tmp_path / "file.o").exists()
    assert objects.load(tmp_path / "file.o") is None


def test_the_environment_names_the_folder_or_switches_the_cache_off(tmp_path: Path) -> None:
    default, chosen = tmp_path / "default", tmp_path / "chosen" / "folder"
    first = run(default, ADAPTFILT_CACHE="off")
    assert not default.exists()
    assert run(default, ADAPTFILT_CACHE=str(chosen)) == first
    assert run(default, ADAPTFILT_CACHE=str(chosen)) == ["False", first[1]]
    assert len(list(chosen.glob("*.o"))) == 1
    assert not default.exists()


def test_no_value_of_the_environment_is_fatal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ("/dev/null/below", "x" * 5000, "~nobody-of-that-name/x", "relative"):
        monkeypatch.setenv("ADAPTFILT_CACHE", value)
        file = objects.path("f", "0" * 24)
        assert objects.load(file) is None
        objects.save(file, "symbol", "", b"code")


def name_of(number: int) -> str:
    return f"block_-{number:024x}.o"


def written(folder: Path, name: str, age: float, size: int = 1) -> Path:
    file = folder / name
    file.write_bytes(b"0" * size)
    used = time.time() - age
    os.utime(file, (used, used))
    return file


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MAX_FILES", 3)
    files = [written(tmp_path, name_of(n), age=100 - n) for n in range(5)]
    objects.prune(tmp_path)
    assert sorted(tmp_path.iterdir()) == files[2:]
    monkeypatch.setattr(objects, "MAX_BYTES", 250)
    large = [written(tmp_path, name_of(n), age=10 - n, size=100) for n in range(5, 8)]
    objects.prune(tmp_path)
    assert sorted(tmp_path.iterdir()) == large[1:]


def test_pruning_leaves_alone_what_is_not_ours_and_what_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "MAX_FILES", 0)
    (tmp_path / "folder-0123456789abcdef01234567.o").mkdir()
    own = [written(tmp_path, name, age=10**9) for name in ("main.o", "notes-1.o", "thesis.tex")]
    fresh = written(tmp_path, f"{name_of(1)}.0a1b2c3d.part", age=1)
    written(tmp_path, f"{name_of(2)}.0a1b2c3d.part", age=2 * objects.LEFT_OVER)
    written(tmp_path, name_of(3), age=1)
    objects.prune(tmp_path)
    assert sorted(p for p in tmp_path.iterdir() if p.is_file()) == sorted([*own, fresh])


def test_a_file_that_is_loaded_counts_as_used(tmp_path: Path) -> None:
    run(tmp_path)
    (file,) = tmp_path.glob("adaptfilt/*.o")
    os.utime(file, (1, 1))
    assert run(tmp_path)[0] == "False"
    assert file.stat().st_mtime > 1


def prune_often(folder: str) -> None:
    objects.MAX_FILES = 5
    for n in range(200):
        objects.save(Path(folder, name_of(n)), "symbol", "", b"code")


def test_processes_prune_at_the_same_time(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path[:0] = [{here!r}]; from test_native import prune_often; prune_often({str(tmp_path)!r})"
    pruners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [pruner.wait() for pruner in pruners] == [0, 0, 0]
    assert len(list(tmp_path.iterdir())) <= 5 + len(pruners)


LOGGED = """
import logging, numpy as np, adaptfilt as af
logging.basicConfig(level=logging.INFO, format="%(name)s|%(message)s", stream=__import__("sys").stdout)
af.LMS(2, 0.1)(np.ones(40, np.float32), np.ones(40, np.float32), record_every=1)
"""


def test_a_compilation_is_logged_and_a_load_is_not(tmp_path: Path) -> None:
    text = " ".join(run(tmp_path, LOGGED))
    assert f"adaptfilt|compiling block of lms_gain for float32, once; kept in {tmp_path / 'adaptfilt'}" in text
    assert re.search(r"adaptfilt\|compiled block of lms_gain for float32 in \d+\.\d s", text)
    assert run(tmp_path, LOGGED) == []
    assert "in every process: it is not kept" in " ".join(run(tmp_path, LOGGED, ADAPTFILT_CACHE="off"))


def helper(e: Any) -> Any:
    return os.getpid() + e


def with_an_unknown_name(w: Any, u: Any, e: Any, mu: Any) -> Any:
    return axpyc(mu * no_such_word(e), u, w)  # noqa: F821


def with_an_unknown_attribute(w: Any, u: Any, e: Any, mu: Any) -> Any:
    return axpyc(mu * np.no_such_word(e), u, w)


def with_an_import(w: Any, u: Any, e: Any, mu: Any) -> Any:
    import math

    return axpyc(mu * math.sqrt(e), u, w)


def with_a_helper(w: Any, u: Any, e: Any, mu: Any) -> Any:
    return axpyc(mu * helper(e), u, w)


def with_text(w: Any, u: Any, e: Any, mu: Any) -> Any:
    return axpyc(mu * (e + "a"), u, w)


def without_a_result(w: Any, u: Any, e: Any, mu: Any) -> None:
    axpyc(mu * e, u, w)


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        (with_an_unknown_name, "'no_such_word' is not defined"),
        (with_an_unknown_attribute, "no attribute 'no_such_word'"),
        (with_an_import, 'of test_native.py: "import math"'),
        (with_a_helper, "'getpid'.*of test_native.py: \"return os.getpid"),
        (with_text, 'there is no add.*of test_native.py: "return axpyc'),
        (without_a_result, "does not return"),
    ],
)
def test_a_function_that_cannot_be_compiled_is_refused_in_one_line(update: Any, reason: str) -> None:
    class Refused(af.LinearFilter):
        algorithm = Algorithm(update=update)
        ranges = {"mu": {}}

    f, x = Refused(2, {"mu": 0.1}), np.ones(20, np.float32)
    with pytest.raises(TypeError, match=reason) as refusal:
        f(x, x)
    text = str(refusal.value)
    assert text.startswith(f"{update.__name__} (test_native.py:{update.__code__.co_firstlineno}) cannot be compiled")
    assert all(word in text for word in (*words.__all__, 'engine="reference"'))
    assert "\n" not in text
    assert refusal.value.__suppress_context__
    assert not f.w.any()


def no_process(name: Any) -> Any:
    raise TypeError("as on Windows")


def test_a_platform_that_cannot_say_what_the_process_holds_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", no_process)
    objects.save(tmp_path / "file.o", "symbol", "", b"code")
    assert not list(tmp_path.iterdir())


def fails(*arguments: Any) -> Any:
    raise RuntimeError("not known here")


def test_a_machine_that_cannot_be_described_has_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fingerprint("f", "", (), {}) is not None
    monkeypatch.setattr("adaptfilt.engines.cpu.fingerprint.llvm.get_host_cpu_features", fails)
    assert fingerprint("f", "", (), {}) is None


def no_user(number: int) -> Any:
    raise KeyError(number)


def test_without_a_home_there_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ADAPTFILT_CACHE", raising=False)
    assert objects.folder() is not None
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_user)
    assert objects.folder() is None
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert objects.folder() is None


def test_numba_switched_off_for_others_still_compiles_here(tmp_path: Path) -> None:
    program = PROGRAM + "from numba import njit\nprint(type(njit(lambda: 0)).__name__)"
    normal = run(tmp_path, program)
    assert normal[2] != "function"
    assert run(tmp_path, program, NUMBA_DISABLE_JIT="1") == [*normal[:2], "function"]


CONSTS = "import numpy as np\nSCALE = {}\nTABLE = np.zeros(5000)\nTABLE[2500] = {}\n"
USER = """
import consts, adaptfilt as af
from consts import TABLE
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpyc
def update(w, u, e, mu):
    return axpyc((consts.SCALE + TABLE[2500]) * mu * e, u, w)
class Filter(af.LinearFilter):
    algorithm = Algorithm(update=update)
    ranges = {"mu": {}}
"""
READS = """
import sys, numpy as np, torch
from user import Filter
x = np.ones(1)
w = Filter(1, {"mu": 1.0}, dtype=torch.float64)(x, x).w.item()
print("numba" in sys.modules, w)
"""


def test_an_edit_of_what_a_function_reads_is_seen_in_the_next_process(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER)

    def after(scale: float, entry: float) -> list[str]:
        (tmp_path / "consts.py").write_text(CONSTS.format(scale, entry))
        return run(tmp_path, READS, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    assert after(0.25, 0.0) == ["True", "0.25"]
    assert after(0.25, 0.0) == ["False", "0.25"]
    assert after(0.5, 0.0) == ["True", "0.5"]
    assert after(0.5, 0.125) == ["True", "0.625"]


def module(source: str, **names: Any) -> types.ModuleType:
    made = types.ModuleType("made")
    vars(made).update(names)
    exec(source, vars(made))
    return made


def function(source: str, **names: Any) -> Any:
    return module(source, **names).f


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 0


def with_entry(value: float) -> np.ndarray:
    table = np.zeros((100, 100))
    table[50, 50] = value
    return table


READ_A = "def f(x): return m.A * x"
DIFFERENT: dict[str, tuple[Any, Any]] = {
    "a global": (function("A = 1.0\ndef f(x): return A * x"), function("A = 2.0\ndef f(x): return A * x")),
    "the type of a global": (function("A = 1\ndef f(x): return A * x"), function("A = 1.0\ndef f(x): return A * x")),
    "through a module": (function(READ_A, m=module("A = 1.0")), function(READ_A, m=module("A = 2.0"))),
    "through two modules": tuple(
        function("def f(x): return m.n.A * x", m=module("", n=module(f"A = {a}"))) for a in (1.0, 2.0)
    ),
    "in an inner function": tuple(function(f"A = {a}\ndef f(x): return (lambda: A * x)()") for a in (1.0, 2.0)),
    "a module in a cell": tuple(
        function("def outer(m):\n    def f(x): return m.A * x\n    return f\nf = outer(m)", m=module(f"A = {a}"))
        for a in (1.0, 2.0)
    ),
    "a helper of another module": tuple(
        function("def f(x): return g(x)", g=function(f"A = {a}\ndef f(x): return A * x")) for a in (1.0, 2.0)
    ),
    "a helper's own helper, through modules": tuple(
        function("def f(x): return m.f(x)", m=module(READ_A, m=module(f"A = {a}"))) for a in (1.0, 2.0)
    ),
    "a default": (function("def f(x, a=1.0): return a * x"), function("def f(x, a=2.0): return a * x")),
    "a keyword-only default": tuple(function(f"def f(x, *, a={a}): return a * x") for a in (1.0, 2.0)),
    "names of arguments": (function("def f(a, b): return a - b"), function("def f(b, a): return b - a")),
    "a cell": tuple(
        function(f"def outer(a):\n    def f(x): return a * x\n    return f\nf = outer({a})") for a in (1.0, 2.0)
    ),
    "an entry of a large array": (with_entry(0.0), with_entry(1.0)),
    "an array's dtype": (np.zeros(2, np.int64), np.zeros(2)),
    "an array's shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "an array's order": (np.zeros((2, 2)), np.asfortranarray(np.zeros((2, 2)))),
    "a NumPy number": (np.float32(1), np.float64(1)),
    "the sign of zero": (0.0, -0.0),
    "an array in a tuple in a list": ([(1, with_entry(0.0))], [(1, with_entry(1.0))]),
    "a tuple or a list": ((1, 2), [1, 2]),
    "nesting": ((1, (2, 3)), ((1, 2), 3)),
    "a word": (function("def f(x): return g(x)", g=words.sign), function("def f(x): return g(x)", g=abs)),
    "a function of NumPy": tuple(function(f"def f(x): return np.{name}(x)", np=np) for name in ("sin", "cos")),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_description_sees(name: str) -> None:
    one, other = DIFFERENT[name]
    assert describe(one) != describe(other)
    assert describe(one) == describe(one)


def test_the_same_source_anew_has_the_same_description() -> None:
    text = "def g(x, *, k=(1, 2.0)): return k[0] * x\ndef f(x): return g(x) + np.pi * A[0]"
    assert describe(function(text, np=np, A=with_entry(1.0))) == describe(function(text, np=np, A=with_entry(1.0)))


UNKNOWN: dict[str, Any] = {
    "an object": object(),
    "a method": [].append,
    "a class": type("Config", (), {"A": 1.0}),
    "a subclass of float": type("Float", (float,), {})(1.0),
    "a masked array": np.ma.array([1.0], mask=[True]),
    "an array of objects": np.array([object()]),
    "a partial": functools.partial(describe),
    "a wrapper that goes by a word's name": functools.update_wrapper(functools.partial(words.dot), words.dot),
    "a module that goes elsewhere": function("def f(x): return g(m) * x", m=module("A = 1.0"), g=abs),
    "an attribute that is not there": function(READ_A, m=module("")),
    "an empty cell": function("def outer():\n    def f(x): return a * x\n    return f\n    a = 1\nf = outer()"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_described_for_sure_is_not_kept(name: str) -> None:
    with pytest.raises(Unknown):
        describe(UNKNOWN[name])
    assert fingerprint("f", "", (), {"value": UNKNOWN[name]}) is None


def test_circular_and_very_deep_values_are_not_kept() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (circle, nested(800)):
        assert fingerprint("f", "", (), {"value": value}) is None


def test_functions_that_call_each_other_are_described() -> None:
    def texts(a: float) -> str:
        return f"A = {a}\ndef f(x): return g(x)\ndef g(x): return f(x) * A"

    assert describe(function(texts(1.0))) == describe(function(texts(1.0))) != describe(function(texts(2.0)))


@each(LINEAR)
def test_no_filter_allocates_in_its_loops(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that calls Numba's allocator is not kept on disk: it needs Numba's runtime. The precision and the calls are
    those of test_engines.py, so that one compilation serves both.
    """
    files: list[Path] = []
    path = objects.path

    def noted(name: str, key: str | None) -> Path | None:
        files.append(path(name, key))
        return files[-1]

    monkeypatch.setattr(objects, "path", noted)
    block_function.cache_clear(), sample_function.cache_clear()
    f = cls.example(dtype=torch.float64)
    x, d = trial(f, 40)
    call(f, x, d), call(f, x, d, record_every=3), step(f, x, d, 0)
    assert files  # two or three, but one where single samples are blocks
    assert all(file.exists() for file in files)


def test_an_update_that_allocates_runs_all_the_same() -> None:
    def update(w: Any, u: Any, e: Any, mu: Any) -> Any:
        return w + mu * e * u

    class Plain(af.LinearFilter):
        algorithm = Algorithm(update=update)
        ranges = {"mu": {}}

    x = np.random.default_rng(0).standard_normal(200)
    d = np.convolve(x, [1, 2, 3])[:200]
    got = Plain(3, {"mu": 0.05}, dtype=torch.float64)(x, d)
    np.testing.assert_allclose(got.y, af.LMS(3, 0.05, dtype=torch.float64)(x, d).y, rtol=1e-12, atol=1e-14)


def test_an_exception_in_the_loop_is_not_passed_over() -> None:
    def update(w: Any, u: Any, e: Any, mu: Any) -> Any:
        if e > 2:
            raise ValueError("too large")
        return axpyc(mu * e, u, w)

    class Raises(af.LinearFilter):
        algorithm = Algorithm(update=update)
        ranges = {"mu": {}}

    x = np.ones(3, np.float32)
    for act in (lambda f: f(x, 3 * x), lambda f: f(x, 3 * x, record_every=1), lambda f: f.step(1.0, 3.0)):
        f = Raises(2, {"mu": 0.1})
        f(x, x)
        with pytest.raises(RuntimeError, match="raised an exception"):
            act(f)


OUTSIDE = """
import numpy as np, adaptfilt as af
from adaptfilt.engines.algorithm import Algorithm
def update(w, u, e, mu, out=None):
    if mu == 3:
        w[len(w)] = e
    if mu == 1:
        w[0] = out[0]
    return w
class Filter(af.LinearFilter):
    algorithm = Algorithm(update=update)
    ranges = {"mu": {}}
x = np.ones(20, np.float32)
for mu in (2.0, 3.0, 1.0):
    for act in (lambda f: f(x, x), lambda f: f(x, x, record_every=1), lambda f: f.step(1.0, 1.0)):
        try:
            act(Filter(2, {"mu": mu}))
            print("right")
        except (RuntimeError, af.DivergenceError) as error:
            print(type(error).__name__)
"""

MANY_STATES = """
import numpy as np, torch, adaptfilt as af
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpyc
names = [f"s{k}" for k in range(24)]  # all there may be: sizes > 16, numbers and addresses > 64
given = ", ".join(names)
exec(f"def update(w, {given}, u, e, mu):\\n    return axpyc(s23[23] * mu * e, u, w), {given}")
class Filter(af.LinearFilter):
    algorithm = Algorithm(update=update, state={name: (k + 1,) for k, name in enumerate(names)})
    ranges = {"mu": {}}
    def start(self):
        return {name: torch.full((k + 1,), float(k)) for k, name in enumerate(names)}
x = np.ones(20, np.float32)
f, g = Filter(2, {"mu": 0.01}), af.LMS(2, 0.23)
print(np.abs(f(x, x).y - g(x, x).y).max() < 1e-6, f.s23.tolist() == [23.0] * 24)
"""


class Wide(af.LinearFilter):
    """As many dimensions as an array may have, and scratch of two."""

    algorithm = Algorithm(
        update=lambda w, S, v, u, e, mu, q=None: (w, S, v), state={"S": (1,) * MAX_DIMS, "v": "real"},
        scratch={"q": ("taps", 3)},
    )  # fmt: skip
    ranges = {"mu": {}}

    @classmethod
    def example(cls, **common: Any) -> Any:
        return cls(3, {"mu": 0.1}, **common)


MANY = {"inputs": 3, "outputs": 2}
LAID_OUT = [(c, {}) for c in (Wide, *RULED) if not isinstance(c.algorithm, Bins)]
LAID_OUT += [(c, MANY) for c in (Wide, *LINEAR) if not given_by_path(c)] + [
    (c, MANY | {"sps": 2}) for c in (Wide, af.LMS)
]


@pytest.mark.parametrize(("cls", "axes"), LAID_OUT)
def test_compiled_code_is_given_as_many_numbers_as_it_reads(cls: Any, axes: dict[str, int]) -> None:
    """The adapter `memory` counts what it reads when it is written; nothing checks a bound when it runs."""
    for dtype in (torch.float64, torch.complex64):
        f = cls.example(dtype=dtype, **axes)
        workspace = f._workspace()
        _, count = adapters._memory(workspace._layout)
        assert len(workspace._arguments) == count


def test_a_debug_build_sees_what_lies_outside_and_what_was_never_written(tmp_path: Path) -> None:
    found = run(tmp_path, OUTSIDE, ADAPTFILT_DEBUG="1", NUMBA_OPT="0")
    assert found == ["right"] * 3 + ["RuntimeError"] * 3 + ["DivergenceError"] * 3
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_debug_build_accepts_any_number_of_arguments(tmp_path: Path) -> None:
    assert run(tmp_path, MANY_STATES, ADAPTFILT_DEBUG="1", NUMBA_OPT="0") == ["True", "True"]


@pytest.mark.slow
def test_a_debug_build_checks_the_lookahead_kernel(tmp_path: Path) -> None:
    program = """
import numpy as np, adaptfilt as af
from adaptfilt.engines.cpu import adapters, lookahead
text = inspect.getsource(lookahead)
wrong = text.replace("(T + M) // 8 * 16 + 160", "(T + M) // 8 * 16 + 32")
assert wrong != text
for version in (text, wrong):
    exec(compile(version, lookahead.__file__, "exec"), lookahead.__dict__)
    adapters.lookahead = lookahead.lookahead
    adapters.block_function.cache_clear()
    x = np.ones(40, np.float32)
    try:
        af.LMS(9, 0.01)(x, x)
        print("right")
    except RuntimeError as error:
        print("RuntimeError")
"""
    assert run(tmp_path, program, ADAPTFILT_DEBUG="1", NUMBA_OPT="0") == ["right", "RuntimeError"]


def times(factor: float) -> Any:
    def twice(v: Any) -> Any:
        return v + v

    def closing_gain(e: Any, mu: Any) -> Any:
        return factor * mu * twice(e)

    return closing_gain


def test_a_function_may_close_over_functions_and_numbers() -> None:
    class Closing(af.LinearFilter):
        algorithm = Algorithm(gain=times(0.5))
        ranges = {"mu": {}}

    x = np.random.default_rng(0).standard_normal(100)
    y, _, _ = Closing(2, {"mu": 0.1})(x, x)
    np.testing.assert_allclose(y, af.LMS(2, 0.1)(x, x).y, rtol=1e-5, atol=1e-6)


def doubling() -> Any:
    """Return a function whose helper makes a tuple of a class of its own."""

    class Pair(NamedTuple):
        a: float
        b: float

    def doubled(x: float) -> Pair:
        return Pair(x, 2 * x)

    def total(x: float, double: bool) -> float:
        pair = Pair(x, x)
        if double:
            pair = doubled(x)
        return pair.a + pair.b

    return total


def test_what_users_write_is_compiled_anew_for_each_compilation() -> None:
    """A notebook's cell run twice makes functions that read alike, of classes that are not the same."""
    assert [compiled(doubling())(1.0, True) for _ in range(2)] == [3.0, 3.0]


def test_what_loops_have_in_common_is_compiled_once() -> None:
    assert _key(loops.move) == _key(loops.move) != _key(loops.keep)
    assert isinstance(_key(loops.move), str)
    own = times(0.5)
    assert _key(own) is own
