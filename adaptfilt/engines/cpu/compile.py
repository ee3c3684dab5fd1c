"""Python functions to machine code, with Numba: what is compiled, how, and what is said where it cannot be.

With ``ADAPTFILT_DEBUG=1`` in the environment the code checks its bounds, scratch memory holds NaN until it is written
to, the words of `vectors` are compiled as they stand there, errors are Numba's own, and nothing is kept on disk.
"""

import gc
import inspect
import linecache
import os
import re
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from adaptfilt.engines import words
from adaptfilt.engines.cpu import fft, memory, vectors
from adaptfilt.engines.cpu.fingerprint import Unknown, codes, describe

DEBUG = os.environ.get("ADAPTFILT_DEBUG") == "1"
# Multiply-adds may be contracted; sums are reordered only inside the vocabulary's words, NaN and infinity honoured.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "boundscheck": DEBUG}
CALLED = ("lookahead", "forward_row", "backward_row")  # parts with registers of their own, which are not inlined
_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_shared: dict[Any, Any] = {}  # what functions became, by what they do: loops have most of what they call in common
_TRANSLATED = (
    words.__name__,
    memory.__name__,
    fft.__name__,
    "adaptfilt.engines.cpu.numba_",
    *([] if DEBUG else [vectors.__name__]),
)


def compile_function(name: str, source: str, arguments: tuple[str, ...], inject: Mapping[str, Any]) -> tuple[Any, str]:
    """Compile the function `name` of `source`; return Numba's library of it and its symbol there.

    Parameters
    ----------
    name, source, arguments, inject
        See `native.native`.

    Raises
    ------
    TypeError
        If Numba cannot compile the user's function, ``inject["function"]``.
    """
    import numba

    from adaptfilt.engines.cpu import numba_memory, numba_vectors, numba_words  # noqa: F401 (teach Numba the words)

    if fft.library():
        from adaptfilt.engines.cpu import numba_fft  # noqa: F401

    namespace: dict[str, Any] = {"__name__": f"<adaptfilt {name}>", "carray": numba.carray, **inject}
    exec(compile(source, f"<adaptfilt {name}>", "exec"), namespace)
    kinds = [
        numba.types.CPointer(getattr(numba.types, a[:-1])) if a.endswith("*") else getattr(numba.types, a)
        for a in arguments
    ]
    with _numba_enabled(), _no_garbage_collection():
        entry = numba.njit(**_OPTIONS, **_NO_WRAPPERS)(_with_compiled_globals(namespace[name], {}))
        try:
            entry.compile(numba.types.int64(*kinds))
        except Exception as error:
            function = inject.get("function")
            if DEBUG or function is None or (function.__module__ or "").startswith("adaptfilt."):
                raise
            raise TypeError(_refusal(function, str(error))) from None
    done = next(iter(entry.overloads.values()))
    return done.library, done.fndesc.llvm_func_name


def compiled(function: Any) -> Any:
    """Return a function as Numba's dispatcher, to be called from Python, with all it calls."""
    import numba

    with _numba_enabled():
        return numba.njit(**_OPTIONS)(_with_compiled_globals(function, {}))


@cache
def part(function: Any) -> Any:
    """Return a function, with all it calls, for words to call; made once a process."""
    return _part(_with_compiled_globals(function, {}))


@contextmanager
def _numba_enabled() -> Iterator[None]:
    """Let Numba compile in a process with NUMBA_DISABLE_JIT=1, too: there is no other way to run a loop."""
    from numba.core import config

    before = vars(config)["DISABLE_JIT"]
    vars(config)["DISABLE_JIT"] = 0
    try:
        yield
    finally:
        vars(config)["DISABLE_JIT"] = before


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep Python from searching for garbage while millions of objects are made: a tenth of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _with_compiled_globals(function: Any, done: dict[Any, Any]) -> Any:
    """Return the function with the Python functions it calls compiled, each once; Numba knows the vocabulary."""

    def callable_part(value: Any) -> Any:
        if not inspect.isfunction(value) or value is function or _known(value):
            return value
        key = _key(value)
        parts = done if key is value else _shared
        if key not in parts:
            parts[key] = _part(_with_compiled_globals(value, done))
        return parts[key]

    names = dict(function.__globals__)
    for key in {name for code in codes(function.__code__) for name in code.co_names} & names.keys():
        names[key] = callable_part(names[key])
    cells = tuple(types.CellType(callable_part(cell.cell_contents)) for cell in function.__closure__ or ())
    new = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)
    new.__module__ = function.__module__
    return new


def _part(function: Any) -> Any:
    """Return a function for other compiled functions to call; it becomes part of their machine code."""
    import numba

    from adaptfilt.engines.cpu.numba_parts import Part

    inline = not DEBUG and function.__name__ not in CALLED
    options = {**_OPTIONS, **_NO_WRAPPERS, "forceinline": inline, "pipeline_class": Part}
    part: Any = numba.njit(**options)(function)
    template = part.get_call_template

    def for_all_integers(args: Any, kws: Any) -> Any:
        """Find the code for a call; Numba would compile it anew for each constant integer it is given."""
        plain = [numba.types.unliteral(a) if isinstance(a, numba.types.IntegerLiteral) else a for a in args]
        return template(plain, kws)

    part.get_call_template = for_all_integers
    return part


def _known(function: Any) -> bool:
    """Say whether Numba has a translation of its own: the vocabulary, Numba's and NumPy's functions."""
    return (function.__module__ or "").startswith((*_TRANSLATED, "numba.", "numpy."))


def _key(function: Any) -> Any:
    """Return what functions of this package that do the same have in common; a user's function is one of its own."""
    try:
        return repr(describe(function)) if _ours(function, []) else function
    except (Unknown, RecursionError, ValueError):  # an empty cell
        return function


def _ours(function: Any, seen: list[Any]) -> bool:
    """Say whether a function, and all it calls, are this package's."""
    if function in seen or _known(function):
        return True
    seen.append(function)
    names = {name for code in codes(function.__code__) for name in code.co_names} & function.__globals__.keys()
    read = [function.__globals__[name] for name in names] + [c.cell_contents for c in function.__closure__ or ()]
    ours = (function.__module__ or "").startswith(("adaptfilt.", "<adaptfilt"))
    return ours and all(_ours(value, seen) for value in read if inspect.isfunction(value))


def _refusal(function: Any, message: str) -> str:
    """Say in one line why a user's function cannot be compiled: the end of Numba's message, and where that was."""
    lines = [line.strip() for line in message.splitlines() if line.strip() and not line.startswith("Failed in ")]
    reason = (lines or [message])[0].split(". Raised from")[0]
    call = next((line[4:] for line in lines if line.startswith(">>> ")), "")
    places = re.findall(r"(?:at|from) (\S[^\n]*?) \((\d+)\)", message)
    place = next(((file, int(n)) for file, n in places if not _inside(file)), None)
    if call:
        reason = f"there is no {call}" if place else "it does not return what its algorithm needs"
    where = f', in line {place[1]} of {Path(place[0]).name}: "{linecache.getline(*place).strip()}"' if place else ""
    code = function.__code__
    name = f"{function.__name__} ({Path(code.co_filename).name}:{code.co_firstlineno})"
    return (
        f"{name} cannot be compiled: {reason}{where}; "
        f'the words are {", ".join(words.__all__)}, and engine="reference" runs what torch runs'
    )


def _inside(file: str) -> bool:
    """Say whether a file is Numba's or ours, and no user's."""
    return file.startswith("<adaptfilt ") or "/numba/" in file or Path(__file__).parents[2] in Path(file).parents
