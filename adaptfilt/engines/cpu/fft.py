"""Transforms of rows for the loops, and where their compiled form comes from: rocket-fft, where it is installed."""

import ctypes
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np


def forward(v: Any, V: Any) -> None:
    """Write the spectra of the rows of v, (R, N), to V: (R, N / 2 + 1) for real rows."""
    V[:] = np.fft.fft(v) if np.iscomplexobj(v) else np.fft.rfft(v)


def backward(V: Any, v: Any) -> None:
    """Write the rows of which V are the spectra to v, (R, N)."""
    v[:] = np.fft.ifft(V) if np.iscomplexobj(v) else np.fft.irfft(V, v.shape[1])


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
