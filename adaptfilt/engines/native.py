"""Python source to machine code and back from disk: Numba compiles once, a later process loads the object file.

Loading does without Numba (importing it and its type system takes half a second); the file's name is a
fingerprint of all that went into it, so a changed update function or another machine never meets stale code.
"""

import ctypes
import hashlib
import inspect
import os
import re
import tempfile
import threading
import types
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from adaptfilt.engines import memory, vectors, vocabulary

# Multiply-adds may be contracted; sums are reordered only inside the vocabulary's words, NaN and infinity honoured.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
_CTYPES = {"pointer": ctypes.c_void_p, "int64": ctypes.c_int64, "float64": ctypes.c_double}
_RELEASE = "NRT_MemInfo_call_dtor"  # Numba's call when an array's owner goes
_TRANSLATED = (vocabulary.__name__, vectors.__name__, memory.__name__, "adaptfilt.engines.numba_")
_SOURCES = ("loops", "lookahead", "numba_memory", "numba_vectors", "numba_vocabulary")
_lock = threading.Lock()
_keep: list[Any] = []  # compiled code must outlive every address handed out


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
    key = _fingerprint(name, source, arguments, inject)
    path = _folder() / f"{name}-{key}.o"
    with _lock:
        address = _load(path) or _compile(name, source, arguments, inject, path)
    kinds = [_CTYPES["pointer" if a.endswith("*") else a] for a in arguments]
    return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *kinds)(address)


def _folder() -> Path:
    """Return the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "adaptfilt"


def _fingerprint(name: str, source: str, arguments: tuple[str, ...], inject: Mapping[str, Any]) -> str:
    """Hash all that the machine code depends on."""
    here = Path(__file__).parent
    parts = [
        name,
        source,
        repr(arguments),
        *((here / f"{file}.py").read_text() for file in _SOURCES),
        version("numba"),
        version("llvmlite"),
        version("numpy"),
    ]
    parts += [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    for key in sorted(inject):
        parts += [key, _describe(inject[key], set())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _describe(value: Any, seen: set[int]) -> str:
    """Describe a constant, or a function by its code, its defaults and the globals and cells it reads."""
    if isinstance(value, types.CodeType):
        return repr((value.co_code, value.co_names, [_describe(c, seen) for c in value.co_consts]))
    if not inspect.isfunction(value):
        return f"{type(value).__qualname__} {value!r}" if not isinstance(value, types.ModuleType) else value.__name__
    if id(value) in seen or value.__module__ == "adaptfilt.engines.vocabulary":
        return value.__qualname__
    seen.add(id(value))
    read = inspect.getclosurevars(value)
    parts = [_describe(value.__code__, seen), repr(value.__defaults__)]
    for names in (read.nonlocals, read.globals):
        parts += [f"{k}={_describe(names[k], seen)}" for k in sorted(names)]
    return "; ".join(parts)


def _compile(name: str, source: str, arguments: tuple[str, ...], inject: Mapping[str, Any], path: Path) -> int:
    """Compile with Numba and, where it stands without Numba's runtime, keep the object file."""
    import numba

    from adaptfilt.engines import numba_memory, numba_vectors, numba_vocabulary  # noqa: F401 (teach Numba the words)

    namespace: dict[str, Any] = {"__name__": name, "carray": numba.carray, **inject}
    exec(compile(source, f"<adaptfilt {name}>", "exec"), namespace)
    kinds = [
        numba.types.CPointer(getattr(numba.types, a[:-1])) if a.endswith("*") else getattr(numba.types, a)
        for a in arguments
    ]
    options = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    decorate = numba.njit(numba.types.int64(*kinds), **options)
    dispatcher = decorate(_with_compiled_globals(namespace[name], {}))
    _keep.append(dispatcher)
    compiled: Any = next(iter(dispatcher.overloads.values()))
    entry = compiled.fndesc.llvm_func_name
    _save(compiled.library, entry, path)
    return compiled.library.get_pointer_to_function(entry)


def compiled(function: Any, **how: Any) -> Any:
    """Return a function for Numba, with all it calls."""
    import numba

    return numba.njit(**how, **_OPTIONS)(_with_compiled_globals(function, {}))


def _with_compiled_globals(function: Any, done: dict[Any, Any]) -> Any:
    """Return the function with the Python functions it calls compiled, each once; Numba knows the vocabulary."""
    import numba

    names, here = dict(function.__globals__), function.__module__
    for key in _names(function.__code__):
        value = names.get(key)
        if inspect.isfunction(value) and value is not function and not _known(value):
            if value not in done:
                # Calls within a module, and those of the loops, are written out before types are found: each function
                # that Numba compiles by itself is optimised again with all that it calls.
                written_out = value.__module__ in (here, "adaptfilt.engines.loops")
                how: Any = {"inline": "always"} if written_out else {"forceinline": value.__name__ != "lookahead"}
                done[value] = numba.njit(**how, **_OPTIONS)(_with_compiled_globals(value, done))
            names[key] = done[value]
    new = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    new.__module__ = here
    return new


def _known(function: Any) -> bool:
    """Say whether Numba has a translation of its own: the vocabulary, Numba's and NumPy's functions."""
    return function.__module__.startswith((*_TRANSLATED, "numba.", "numpy."))


def _names(code: types.CodeType) -> set[str]:
    """Return the global names a function reads, nested functions included."""
    inner = (_names(c) for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*inner)


def _save(library: Any, entry: str, path: Path) -> None:
    """Write the object file if it needs nothing but the C library; a folder that cannot be written is no error."""
    process, ir = ctypes.CDLL(None), library.get_llvm_str()
    external = re.findall(r"^declare [^@]*@\"?([\w.$]+)\"?\(|^@\"?([\w.$]+)\"? = external", ir, re.M)
    symbols = {a or b for a, b in external} - {_RELEASE}
    if not all(symbol.startswith("llvm.") or hasattr(process, symbol) for symbol in symbols):
        return
    code, name = library._get_compiled_object(), entry.encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(code).digest() + len(name).to_bytes(4, "little") + name + code)
        os.replace(file.name, path)
    except OSError:
        pass


def _load(path: Path) -> int | None:
    """Load an object file; None where it is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    size = int.from_bytes(content[32:36], "little")
    name, code = content[36 : 36 + size], content[36 + size :]
    if hashlib.sha256(code).digest() != content[:32]:
        return None
    linker = _linker()
    linker.add_object_file(llvm.ObjectFileRef.from_data(code))
    linker.finalize_object()
    _keep.append(linker)
    return linker.get_function_address(name.decode()) or None


def _linker() -> Any:
    """Return a linker for one object file: two processes may have given two functions the same symbol."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    nothing = llvm.parse_assembly(f"define void @{_RELEASE}(ptr %owner) {{ ret void }}")  # views own nothing
    return llvm.create_mcjit_compiler(nothing, machine)
