"""Machine code from update functions: kept on disk, never stale, never needed, free of allocations."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt.engines import native
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.loops import block_function
from adaptfilt.engines.vocabulary import axpyc

PROGRAM = """
import sys, numpy as np, adaptfilt as af
f = af.LMS(2, 0.1)
f(np.ones(40, np.float32), np.ones(40, np.float32))
print("numba" in sys.modules, f.w.sum().item())
"""


def run(folder: Path | str) -> list[str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()


def test_a_second_process_loads_the_code_without_numba_and_repairs_damage(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert first[0] == "True"
    (file,) = tmp_path.glob("adaptfilt/*.o")
    assert run(tmp_path) == ["False", first[1]]
    file.write_bytes(file.read_bytes()[:-9])
    assert run(tmp_path) == first
    assert run(tmp_path) == ["False", first[1]]


def test_code_of_different_processes_does_not_mix(tmp_path: Path) -> None:
    # Numba numbers functions from zero in every process: two object files may use one symbol for different code.
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    makers = ["af.LMS(2, 0.1)", "af.SignError(2, 0.1)", "af.LMF(2, 0.1)", "af.LMS(2, 0.1, leak=0.5)"]
    line = "f = {}; f(np.ones(40, np.float32), np.ones(40, np.float32)); print(f.w.sum().item())\n"

    def outputs(program: str) -> list[str]:
        command = [sys.executable, "-c", "import numpy as np, adaptfilt as af\n" + program]
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.split()

    apart = [outputs(line.format(make))[0] for make in makers]
    assert len(set(apart)) == len(makers)
    assert outputs("".join(line.format(make) for make in makers)) == apart


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert run(blocked)[0] == "True"


def make(mu: float, inner: float) -> type[af.LinearFilter]:
    def helper(e: Any) -> Any:
        return inner * e

    def update(w: Any, u: Any, e: Any, mu: Any) -> Any:
        return axpyc(mu * helper(e), u, w)

    class Filter(af.LinearFilter):
        algorithm = Algorithm(update=update)
        ranges = {"mu": {}}

    return Filter


def test_the_fingerprint_sees_what_a_function_closes_over() -> None:
    keys = {native._describe(make(0.1, inner).algorithm.function, set()) for inner in (1.0, 2.0, 1.0)}
    assert len(keys) == 2


GLOBAL = 1.0


def update_with_a_global(w: Any, u: Any, e: Any, mu: Any) -> Any:
    return axpyc(GLOBAL * mu * e, u, w)


def test_the_fingerprint_sees_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    before = native._describe(update_with_a_global, set())
    monkeypatch.setitem(globals(), "GLOBAL", 2.0)
    assert native._describe(update_with_a_global, set()) != before


FILTERS = [
    c for c in vars(af).values() if isinstance(c, type) and issubclass(c, af.LinearFilter) and hasattr(c, "example")
]


@pytest.mark.parametrize("cls", FILTERS, ids=lambda c: c.__name__)
def test_no_filter_allocates_in_its_loop(cls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Code that calls Numba's allocator is not kept on disk: it needs Numba's runtime.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    block_function.cache_clear()
    x = np.ones(40, np.float32)
    f = cls.example()
    f(x, x, record_every=3)
    block_function.cache_clear()
    assert len(list(tmp_path.glob("adaptfilt/*.o"))) == 1


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
