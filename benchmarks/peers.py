"""The peers: each package is one function, which imports it and returns how it runs its algorithms."""

import ctypes
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.problems import Problem, Result

Call = Callable[[], Result]  # one run over the whole signal, by a fresh filter: what is timed
Prepare = Callable[[Problem], Call]  # brings the signal into the peer's own form: not timed
HERE = Path(__file__).parent
OLD_ADAPTFILT = HERE.parent / "build" / "adaptfilt-0.3"


@dataclass(frozen=True)
class Peer:
    """One package: its algorithms, the samples it is given, and where it departs from the recursion."""

    runs: dict[str, Prepare]
    samples: int = 4096
    tolerance: float = 1e-10  # it computes in float64
    eps: float | None = None  # its own, which cannot be set
    late: bool = False  # it adapts only once its delay line is full
    note: str = ""


def padasip() -> Peer:
    import padasip as pa

    def run(make: Callable[[Problem], object]) -> Prepare:
        def prepare(p: Problem) -> Call:
            rows = p.regressors()

            def call() -> Result:
                f = make(p)
                return f.run(p.d, rows)[1], f.w

            return call

        return prepare

    return Peer(
        {
            "LMS": run(lambda p: pa.filters.FilterLMS(p.taps, p.mu, w="zeros")),
            "NLMS": run(lambda p: pa.filters.FilterNLMS(p.taps, p.mu, p.eps, w="zeros")),
            "RLS": run(lambda p: pa.filters.FilterRLS(p.taps, p.lam, p.delta, w="zeros")),
            "AffineProjection": run(lambda p: pa.filters.FilterAP(p.taps, p.mu, order=p.order, ifc=p.eps, w="zeros")),
        },
        note="takes a matrix of regressors, given as a view and not counted; keeps every weight vector; "
        "starts at random unless told `w='zeros'`",
    )


def pyroomacoustics() -> Peer:
    from pyroomacoustics import adaptive

    def run(make: Callable[[Problem], object]) -> Prepare:
        def prepare(p: Problem) -> Call:
            samples = list(zip(p.x.tolist(), p.d.tolist(), strict=True))

            def call() -> Result:
                f = make(p)
                for x, d in samples:
                    f.update(x, d)
                return None, f.w

            return call

        return prepare

    return Peer(
        {
            "LMS": run(lambda p: adaptive.BlockLMS(p.taps, p.mu, L=1)),
            "NLMS": run(lambda p: adaptive.NLMS(p.taps, p.mu)),
            "RLS": run(lambda p: adaptive.RLS(p.taps, p.lam, p.delta, dtype=np.float64)),
        },
        eps=0.0,
        note="returns no output and no error, so only its weights are compared; no `eps`; "
        "its LMS is `BlockLMS` with blocks of one sample",
    )


def adafilt() -> Peer:
    from adafilt import LMSFilter, RLSFilter

    def run(make: Callable[[Problem], object]) -> Prepare:
        def prepare(p: Problem) -> Call:
            def call() -> Result:
                f = make(p)
                return f(p.x, p.d)[2], f.w

            return call

        return prepare

    return Peer(
        {
            "LMS": run(lambda p: LMSFilter(p.taps, p.mu, normalized=False)),
            "NLMS": run(lambda p: LMSFilter(p.taps, p.mu, epsilon_power=p.eps)),
            "RLS": run(lambda p: RLSFilter(p.taps, p.lam**-0.5, 1 / p.delta, meas_noise_var=1)),
        },
        tolerance=1e-7,
        note="keeps every weight vector; its RLS is exponentially weighted only with `meas_noise_var=1`, "
        "and adds 1e-8 to the denominator",
    )


def pydaptivefiltering() -> Peer:
    import pydaptivefiltering as pdf

    def run(make: Callable[[Problem], object]) -> Prepare:
        def prepare(p: Problem) -> Call:
            def call() -> Result:
                f = make(p)
                return f.optimize(p.x, p.d).errors.real, f.w.real

            return call

        return prepare

    return Peer(
        {
            "LMS": run(lambda p: pdf.LMS(p.taps - 1, p.mu)),
            "NLMS": run(lambda p: pdf.NLMS(p.taps - 1, p.mu, gamma=p.eps)),
            "RLS": run(lambda p: pdf.RLS(p.taps - 1, p.delta, p.lam)),
        },
        note="computes in complex128; keeps every weight vector",
    )


def adaptfilt_03() -> Peer:
    """The package with our import name: imported from a folder of its own, while ours is out of sight."""
    if not OLD_ADAPTFILT.exists():
        raise ImportError(f"not installed in {OLD_ADAPTFILT.relative_to(HERE.parent)}")
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "adaptfilt"}
    sys.path.insert(0, str(OLD_ADAPTFILT))
    try:
        old = importlib.import_module("adaptfilt")
    finally:
        sys.path.remove(str(OLD_ADAPTFILT))
        for name in [name for name in sys.modules if name.split(".")[0] == "adaptfilt"]:
            del sys.modules[name]
        sys.modules.update(ours)

    def run(function: Callable[..., tuple], *parameters: str) -> Prepare:
        def prepare(p: Problem) -> Call:
            x, d = np.pad(p.x, (p.taps - 1, 0)), np.pad(p.d, (p.taps - 1, 0))
            values = [getattr(p, name) for name in parameters]
            return lambda: function(x, d, p.taps, *values)[1:]

        return prepare

    return Peer(
        {"LMS": run(old.lms, "mu"), "NLMS": run(old.nlms, "mu", "eps")},
        note="drops the first M - 1 samples, so zeros are put before them; its `y` is taken after the update "
        "and is not compared",
    )


def eager() -> Peer:
    """The loop that torch users write: a linear module, a loss, an optimiser step a sample."""

    def run(normalised: bool) -> Prepare:
        def prepare(p: Problem) -> Call:
            rows = torch.from_numpy(p.regressors().astype(np.float32))
            targets = torch.from_numpy(p.d.astype(np.float32))

            def call() -> Result:
                model = torch.nn.Linear(p.taps, 1, bias=False)
                torch.nn.init.zeros_(model.weight)
                optimizer, errors = torch.optim.SGD(model.parameters(), lr=p.mu / 2), []
                for u, d in zip(rows, targets, strict=True):
                    error = d - model(u)[0]
                    loss = error**2 / (p.eps + u @ u) if normalised else error**2
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    errors.append(error.detach())
                return torch.stack(errors).numpy(), model.weight.detach().numpy()[0]

            return call

        return prepare

    return Peer({"LMS": run(False), "NLMS": run(True)}, samples=256, tolerance=3e-5, note="float32")


def compiled(source: str, *flags: str) -> ctypes.CDLL:
    """`source` of this folder, built for this machine and loaded."""
    library = Path(tempfile.mkdtemp()) / "lib.so"
    command = ["gcc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-o", library, HERE / source]
    built = subprocess.run([*command, *flags], capture_output=True, text=True, check=False)
    if built.returncode:
        raise OSError(next(line for line in built.stderr.splitlines() if "error" in line))
    return ctypes.CDLL(os.fspath(library))


def pointer(a: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(a.ctypes.data)


def block_run(function: Callable[..., None], past: bool, *parameters: str) -> Prepare:
    """A C function over a block; with `past`, x has taps - 1 more samples and w is oldest first."""

    def prepare(p: Problem) -> Call:
        x = np.pad(p.x, (p.taps - 1 if past else 0, 0)).astype(np.float32)
        d, e, w = p.d.astype(np.float32), np.empty(len(p.d), np.float32), np.empty(p.taps, np.float32)
        values = [ctypes.c_float(getattr(p, name)) for name in parameters]

        def call() -> Result:
            w[:] = 0
            function(pointer(x), pointer(d), pointer(e), pointer(w), len(d), p.taps, *values)
            return e, w[::-1] if past else w

        return call

    return prepare


def c_loop() -> Peer:
    library = compiled("c_loop.c")
    return Peer(
        {"LMS": block_run(library.lms, True, "mu"), "NLMS": block_run(library.nlms, True, "mu", "eps")},
        samples=32768,
        tolerance=3e-5,
        note="float32; NLMS keeps a running energy",
    )


def liquid() -> Peer:
    library = compiled("c_liquid.c", "-lliquid", "-lm")
    library.liquid_libversion.restype = ctypes.c_char_p
    return Peer(
        {
            "NLMS": block_run(library.liquid_nlms, False, "mu"),
            "RLS": block_run(library.liquid_rls, False, "lam"),
        },
        samples=8192,
        tolerance=3e-5,
        eps=0.0,
        late=True,
        note=f"version {library.liquid_libversion().decode()}; float32; its `eqlms` is NLMS without `eps`, "
        "and adapts from the moment its buffer is full",
    )


PACKAGES: dict[str, Callable[[], Peer]] = {
    "C, gcc -O3": c_loop,
    "liquid-dsp": liquid,
    "padasip": padasip,
    "pyroomacoustics": pyroomacoustics,
    "adafilt": adafilt,
    "pydaptivefiltering": pydaptivefiltering,
    "adaptfilt 0.3": adaptfilt_03,
    "eager nn.Module + SGD": eager,
}
PYTHON = ("padasip", "pyroomacoustics", "adafilt", "pydaptivefiltering", "adaptfilt 0.3")


def load() -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that are here, and why each other one is not."""
    found, missing = {}, {}
    for name, package in PACKAGES.items():
        try:
            found[name] = package()
        except (ImportError, OSError) as error:
            missing[name] = str(error)
    return found, missing
