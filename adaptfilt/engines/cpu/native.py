"""Python source to machine code and back from disk: Numba compiles once, a later process loads the object file.

Loading does without Numba (importing it and its type system takes half a second); the file's name is a
`fingerprint` of all that went into it, so a changed update function or another machine never meets stale code.
Without a place to keep files, and wherever loading fails, Numba compiles in every process.

With ``ADAPTFILT_DEBUG=1`` in the environment the code checks its bounds, scratch memory holds NaN until it is written
to, the words of `vectors` are compiled as they stand there, and nothing is kept on disk or loaded from it.
"""

import ctypes
import hashlib
import inspect
import json
import os
import re
import tempfile
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from adaptfilt.engines import words
from adaptfilt.engines.cpu import memory, vectors
from adaptfilt.engines.cpu.fingerprint import codes, fingerprint

DEBUG = os.environ.get("ADAPTFILT_DEBUG") == "1"
# Multiply-adds may be contracted; sums are reordered only inside the vocabulary's words, NaN and infinity honoured.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "boundscheck": DEBUG}
_CTYPES = {"pointer": ctypes.c_void_p, "int64": ctypes.c_int64, "float64": ctypes.c_double}
_RELEASE = "NRT_MemInfo_call_dtor"  # Numba's call when an array's owner goes
_TRANSLATED = (words.__name__, memory.__name__, "adaptfilt.engines.cpu.numba_", *([] if DEBUG else [vectors.__name__]))
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
        Globals of the source; Python functions are compiled, all else are constants.

    Returns
    -------
    callable
        Called with the address of an int64 for the result, that of eight spare bytes, and the arguments (addresses
        are integers); returns 0, or another number if the source raised. It runs without the GIL.
    """
    with _lock:
        path = _path(name, source, arguments, inject)
        address = _load(path) or _compile(name, source, arguments, inject, path)
    kinds = [_CTYPES["pointer" if a.endswith("*") else a] for a in arguments]
    return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *kinds)(address)


def _path(name: str, source: str, arguments: tuple[str, ...], inject: Mapping[str, Any]) -> Path | None:
    """Return the file of an object in the user's cache folder; None where there can be none."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    key = fingerprint(name, source, arguments, inject)
    return None if DEBUG or key is None or not os.path.isabs(base) else Path(base, "adaptfilt", f"{name}-{key}.o")


@contextmanager
def _enabled() -> Iterator[None]:
    """Let Numba compile in a process with NUMBA_DISABLE_JIT=1, too: there is no other way to run a loop."""
    from numba.core import config

    before = vars(config)["DISABLE_JIT"]
    vars(config)["DISABLE_JIT"] = 0
    try:
        yield
    finally:
        vars(config)["DISABLE_JIT"] = before


def _compile(name: str, source: str, arguments: tuple[str, ...], inject: Mapping[str, Any], path: Path | None) -> int:
    """Compile with Numba and, where it stands without Numba's runtime, keep the object file."""
    import numba

    from adaptfilt.engines.cpu import numba_memory, numba_vectors, numba_words  # noqa: F401 (teach Numba the words)

    namespace: dict[str, Any] = {"__name__": name, "carray": numba.carray, **inject}
    exec(compile(source, f"<adaptfilt {name}>", "exec"), namespace)
    kinds = [
        numba.types.CPointer(getattr(numba.types, a[:-1])) if a.endswith("*") else getattr(numba.types, a)
        for a in arguments
    ]
    options = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    with _enabled():
        dispatcher = numba.njit(numba.types.int64(*kinds), **options)(_with_compiled_globals(namespace[name], {}))
    _keep.append(dispatcher)
    compiled: Any = next(iter(dispatcher.overloads.values()))
    entry = compiled.fndesc.llvm_func_name
    if path is not None:
        _save(compiled.library, entry, path)
    return compiled.library.get_pointer_to_function(entry)


def compiled(function: Any) -> Any:
    """Return a function for Numba, with all it calls."""
    import numba

    with _enabled():
        return numba.njit(**_OPTIONS)(_with_compiled_globals(function, {}))


def _with_compiled_globals(function: Any, done: dict[Any, Any]) -> Any:
    """Return the function with the Python functions it calls compiled, each once; Numba knows the vocabulary."""
    import numba

    names, here = dict(function.__globals__), function.__module__
    for key in {name for code in codes(function.__code__) for name in code.co_names}:
        value = names.get(key)
        if inspect.isfunction(value) and value is not function and not _known(value):
            if value not in done:
                # Calls within a module, and those of the loops, are written out before types are found: each function
                # that Numba compiles by itself is optimised again with all that it calls.
                written_out = value.__module__ in (here, "adaptfilt.engines.cpu.loops")
                how: Any = {"inline": "always"} if written_out else {"forceinline": value.__name__ != "lookahead"}
                done[value] = numba.njit(**(_OPTIONS if DEBUG else how | _OPTIONS))(_with_compiled_globals(value, done))
            names[key] = done[value]
    new = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    new.__module__ = here
    return new


def _known(function: Any) -> bool:
    """Say whether Numba has a translation of its own: the vocabulary, Numba's and NumPy's functions."""
    return function.__module__.startswith((*_TRANSLATED, "numba.", "numpy."))


def _save(library: Any, entry: str, path: Path) -> None:
    """Write the object file if it needs nothing but the C library; a folder that cannot be written is no error."""
    ir = library.get_llvm_str()
    external = re.findall(r"^declare [^@]*@\"?([\w.$]+)\"?\(|^@\"?([\w.$]+)\"? = external", ir, re.M)
    symbols = sorted({a or b for a, b in external if not a.startswith("llvm.")} - {_RELEASE})
    if not _found(symbols):
        return
    content = json.dumps([entry, symbols]).encode() + b"\n" + library._get_compiled_object()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            file = Path(folder, path.name)
            file.write_bytes(hashlib.sha256(content).digest() + content)
            os.replace(file, path)


def _load(path: Path | None) -> int | None:
    """Load an object file; None where it is not there, damaged, or does not fit."""
    try:
        content = b"" if path is None else path.read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        head, _, code = content[32:].partition(b"\n")
        entry, symbols = json.loads(head)
        if not _found(symbols):  # LLVM would end the process
            return None
        linker = _linker()
        linker.add_object_file(llvm.ObjectFileRef.from_data(code))
        linker.finalize_object()
        address = linker.get_function_address(entry)
    except (OSError, RuntimeError):
        return None
    _keep.append(linker)
    return address or None


def _found(symbols: list[str]) -> bool:
    """Say whether this process has all the symbols; Windows cannot say."""
    try:
        process = ctypes.CDLL(None)
    except (OSError, TypeError):
        return False
    return all(hasattr(process, symbol) for symbol in symbols)


def _linker() -> Any:
    """Return a linker for one object file: two processes may have given two functions the same symbol."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    # Views own nothing. The argument is an address; LLVM's versions differ in how they write that.
    nothing = llvm.parse_assembly(f"define void @{_RELEASE}(i64 %owner) {{ ret void }}")
    return llvm.create_mcjit_compiler(nothing, machine)
