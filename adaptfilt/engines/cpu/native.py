"""The one entry to machine code: loaded from the code cache where it is there, compiled by Numba and kept where not.

`compile` turns Python functions into machine code, `objects` keeps it on disk, `fingerprint` names the files: by a
hash of all that went into them, so that a changed update function or another machine never meets stale code. Loading
does without Numba, whose import and type system take half a second. ``docs/code_cache.md`` tells the whole of it.
"""

import ctypes
import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numpy as np
import torch

from adaptfilt.engines.cpu import objects
from adaptfilt.engines.cpu.compile import DEBUG, compile_function, compiled
from adaptfilt.engines.cpu.fingerprint import fingerprint

__all__ = ["DEBUG", "RAISED", "call", "compiled", "empty", "native", "over_threads"]

RAISED = "the update function raised an exception inside the compiled loop"

_CTYPES = {"pointer": ctypes.c_void_p, "int64": ctypes.c_int64, "float64": ctypes.c_double}
_log = logging.getLogger("adaptfilt")
_lock = threading.Lock()
_keep: list[Any] = []  # compiled code must outlive every address handed out
if hasattr(os, "register_at_fork"):  # a child has no thread that could give back the lock, nor LLVM's own
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def empty(shape: Any, dtype: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """Return an array to be written to before it is read; in a debug build it holds NaN."""
    return np.full(shape, np.nan, dtype) if DEBUG else np.empty(shape, dtype)


def native(name: str, source: str, arguments: tuple[str, ...], inject: Mapping[str, Any]) -> Callable[..., int]:
    """Compile the function `name` of `source`, or load it, as a C function.

    Parameters
    ----------
    name : str
        The function to compile; the source may hold helpers it calls.
    source : str
        Python in the subset Numba compiles.
    arguments : tuple of str
        Type of each argument: "int64", "float64", or "float32*" and the like for a pointer.
    inject : mapping
        Globals of the source; Python functions are compiled, all else are constants. "function" is the user's.

    Returns
    -------
    callable
        Called with the address of an int64 for the result, that of eight spare bytes, and the arguments (addresses
        are integers); returns 0, or another number if the source raised. It runs without the GIL.

    Raises
    ------
    TypeError
        If Numba cannot compile the user's function.

    Notes
    -----
    What is compiled is logged at INFO, by ``logging.getLogger("adaptfilt")``.
    """
    with _lock:
        file = None if DEBUG else objects.path(name, fingerprint(name, source, arguments, inject))
        loaded = objects.load(file)
        code, address = loaded or _compile(name, source, arguments, inject, file)
        _keep.append(code)
    kinds = [_CTYPES["pointer" if a.endswith("*") else a] for a in arguments]
    return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *kinds)(address)


def _compile(name: str, source: str, arguments: tuple[str, ...], inject: Mapping[str, Any], file: Any) -> Any:
    """Compile, say so, and keep the object file; return what owns the code, and its address."""
    what = _what(name, inject)
    _log.info("compiling %s, %s", what, f"once; kept in {file.parent}" if file else "in every process: it is not kept")
    start = perf_counter()
    library, entry = compile_function(name, source, arguments, inject)
    address = library.get_pointer_to_function(entry)
    if file is not None:
        objects.save(file, entry, library.get_llvm_str(), library._get_compiled_object())
    _log.info("compiled %s in %.1f s", what, perf_counter() - start)
    return library, address


def _what(name: str, inject: Mapping[str, Any]) -> str:
    """Say in words what is compiled: a loop, of which function, for which numbers."""
    function, kind = inject.get("function"), inject.get("TYPE")
    loop = name.strip("_") + (f" of {function.__name__}" if function else "")
    return loop + (f" for {kind.__name__}" if kind else "")


def call(function: Callable[..., int], arguments: Any) -> int:
    """Call a function of one array of int64 and return its result."""
    result, spare = ctypes.c_int64(), ctypes.c_int64()
    if function(ctypes.addressof(result), ctypes.addressof(spare), ctypes.addressof(arguments)):
        raise RuntimeError(RAISED)
    return result.value


def over_threads(count: int, share: Callable[[int, int], int]) -> int:
    """Run ``share(first, last)`` over so many streams or groups, on torch's number of threads; return the largest."""
    threads = min(count, torch.get_num_threads())
    edges = [count * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        return max(pool.map(share, edges[:-1], edges[1:]))
