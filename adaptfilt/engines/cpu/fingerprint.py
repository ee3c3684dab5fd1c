"""What machine code depends on, as text: above all the values a function reads, however it reaches them.

Numba freezes globals, closure cells and attributes of modules into the code. Each is described in full here; what
cannot be described for sure raises `Unknown`, and such code is never kept.
"""

import dis
import hashlib
import os
import sys
import types
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np

_WORDS = tuple(
    f"adaptfilt.engines.{name}"
    for name in (
        "words",
        "cpu.vectors",
        "cpu.memory",
        "cpu.loops",
        "cpu.lookahead",
        "cpu.lanes",
        "cpu.bins_loops",
        "cpu.fft",
    )
)
_FILES = (
    "compile",
    "objects",
    "bins_loops",
    "lanes",
    "loops",
    "lookahead",
    "transforms",
    "vectors",
    "numba_fft",
    "numba_lanes",
    "numba_memory",
    "numba_parts",
    "numba_vectors",
    "numba_words",
)
_VERSIONED = ("builtins", "math", "cmath", "operator", "_operator", "numpy", "numba")  # packages that go by version
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


class Unknown(Exception):
    """A value that cannot be described for sure."""


def fingerprint(name: str, source: str, arguments: tuple[str, ...], inject: Mapping[str, Any]) -> str | None:
    """Hash all that the machine code of `native.native` depends on; None where that cannot be known."""
    try:
        files = [Path(__file__).with_name(f"{part}.py") for part in _FILES]
        parts = [
            (name, source, arguments),
            [file.read_text() for file in files],
            [sys.version, *map(version, ("numba", "llvmlite", "numpy"))],
            sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_")),
            (llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()),
            describe(dict(inject)),
        ]
    except (Unknown, OSError, ImportError, RuntimeError):  # of deep or circular values, too
        return None
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def describe(value: Any, seen: list[Any] | None = None) -> Any:
    """Describe a value by nested lists of text, equal for two values only where Numba takes both for the same.

    Parameters
    ----------
    value : object
        A constant, an array, a container of such, a module or class of Numba's or NumPy's, or a Python function,
        which is described by its code, its defaults, and all it reads.
    seen : list, optional
        Functions described already.

    Raises
    ------
    Unknown
        If the value is of any other kind.
    """
    seen, kind = [] if seen is None else seen, type(value)
    if kind in _PLAIN:
        return repr(value)
    if isinstance(value, np.generic | np.ndarray) and not value.dtype.hasobject:
        if isinstance(value, np.ndarray) and kind is not np.ndarray:
            raise Unknown(kind)
        order = value.flags.c_contiguous, value.flags.f_contiguous
        content = hashlib.sha256(value.tobytes()).hexdigest()
        return [kind.__name__, repr(value.dtype), repr(value.shape), repr(order), content]
    if kind in (tuple, list) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return [kind.__name__, repr(getattr(value, "_fields", ())), *(describe(v, seen) for v in value)]
    if kind is dict:
        return ["dict", *([describe(k, seen), describe(v, seen)] for k, v in value.items())]
    if kind in (set, frozenset):
        return [kind.__name__, *sorted(repr(describe(v, seen)) for v in value)]
    if kind is type and issubclass(value, tuple) and hasattr(value, "_fields") and not _goes_by_name(value):
        return [kind.__name__, value.__qualname__, repr(value._fields)]
    if isinstance(value, types.CodeType):
        return _describe_code(value, seen)
    if _goes_by_name(value):
        return [kind.__name__, getattr(value, "__module__", ""), value.__name__]
    if isinstance(value, types.FunctionType):
        return _describe_function(value, seen)
    raise Unknown(kind)


def _goes_by_name(value: Any) -> bool:
    """Say whether a value is a word, or stands under its name in a package whose version is in the fingerprint."""
    if isinstance(value, types.ModuleType):
        return value.__name__.partition(".")[0] in _VERSIONED
    module = "numpy" if isinstance(value, np.ufunc) else getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not (isinstance(module, str) and isinstance(name, str)):
        return False
    known = module in _WORDS or module.partition(".")[0] in _VERSIONED
    return known and getattr(sys.modules.get(module), name, None) is value


def _describe_code(code: types.CodeType, seen: list[Any]) -> Any:
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    return [repr((code.co_code, code.co_exceptiontable, names, counts)), *(describe(c, seen) for c in code.co_consts)]


def _describe_function(function: types.FunctionType, seen: list[Any]) -> Any:
    if any(function is other for other in seen):
        return ["function", repr(next(i for i, other in enumerate(seen) if other is function))]
    seen.append(function)
    given = function.__code__, function.__defaults__, function.__kwdefaults__
    return ["function", describe(given, seen), *([where, describe(v, seen)] for where, v in _reads(function))]


def _reads(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function reads from outside: globals and cells, through modules down to the attribute."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for code in codes(function.__code__):
        steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
        for at, step in enumerate(steps):
            where = step.argval
            try:
                if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and where in function.__globals__:
                    value = function.__globals__[where]
                elif step.opcode in dis.hasfree and where in cells:
                    value = cells[where].cell_contents
                else:
                    continue
                for later in steps[at + 1 :]:
                    if not isinstance(value, types.ModuleType):
                        break
                    if later.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                        raise Unknown(f"the module {where} goes elsewhere")
                    where, value = f"{where}.{later.argval}", getattr(value, later.argval)
            except (AttributeError, ValueError) as error:  # no such attribute; an empty cell
                raise Unknown(where) from error
            yield where, value


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield the code of a function and of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)
