"""Transforms of rows for the loops, and where their compiled form comes from: rocket-fft, where it is installed."""

import ctypes
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np


def forward(v: Any, V: Any, plan: Any = None) -> None:
    """Write the spectra of the rows of v, (R, N), to V: (R, N / 2 + 1) for real rows; a plan is of `transforms`."""
    V[:] = np.fft.fft(v) if np.iscomplexobj(v) else np.fft.rfft(v)


def backward(V: Any, v: Any, plan: Any = None) -> None:
    """Write the rows of which V are the spectra to v, (R, N); a plan is of `transforms`."""
    v[:] = np.fft.ifft(V) if np.iscomplexobj(v) else np.fft.irfft(V, v.shape[1])


def transposed(vectors: Any) -> Any:
    """Return eight vectors as the columns of eight."""
    return tuple(np.stack(vectors).T)


def paired(re: Any, im: Any) -> Any:
    """Return real and imaginary parts in turn, as two vectors."""
    both = np.stack([re, im], -1).ravel()
    return both[:8], both[8:]


def parted(first: Any, second: Any) -> Any:
    """Return the real and the imaginary parts of two vectors that hold them in turn."""
    both = np.concatenate([first, second])
    return both[::2], both[1::2]


def backwards(v: Any) -> Any:
    """Return a vector's entries in reverse order."""
    return v[::-1]


def parts(p: Any) -> Any:
    """Return a pointer to the real and imaginary parts of complex numbers."""
    return p.view(p.real.dtype)


@cache
def library() -> str | None:
    """Load what compiled transforms call, without importing Numba; return its name and version, None where it lacks.

    An object file that needs it is linked only where this was called before.
    """
    try:
        spec = find_spec("rocket_fft")
        if spec is None or spec.origin is None:
            return None
        folder = Path(spec.origin).parent
        builds = {path.name.split(".")[0]: path for path in folder.glob("_rocket_fft_numba*")}
        file = builds["_rocket_fft_numba"]
        if "_rocket_fft_numba_avx2" in builds and ctypes.CDLL(str(file)).rf_cpu_supports_avx2():
            file = builds["_rocket_fft_numba_avx2"]
        ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
        import llvmlite.binding as llvm

        llvm.load_library_permanently(str(file))
        return f"{file.name} {version('rocket-fft')}"
    except (ImportError, OSError, KeyError, AttributeError, RuntimeError):
        return None
