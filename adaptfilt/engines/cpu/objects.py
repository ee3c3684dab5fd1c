"""The code cache: machine code as object files on disk, which a later process links without Numba.

Nothing here is ever fatal: a file that is damaged, missing or does not fit counts as not there, and a folder that
cannot be written to keeps nothing. Then Numba compiles, which costs time and never the result.
"""

import ctypes
import hashlib
import json
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

MAX_FILES = 4000  # a filter takes up to ten a precision
MAX_BYTES = 256 << 20
LEFT_OVER = 3600.0  # seconds after which a half-written file belongs to no living process
_OURS = re.compile(r".+-[0-9a-f]{24}\.o(\.[0-9a-f]+\.part)?")
_RELEASE = "NRT_MemInfo_call_dtor"  # Numba's call when an array's owner goes


def folder() -> Path | None:
    """Return the folder of the code cache; None where there is none.

    ``ADAPTFILT_CACHE`` names it or is "off"; by default it is ``$XDG_CACHE_HOME/adaptfilt`` or ``~/.cache/adaptfilt``.
    """
    chosen = os.environ.get("ADAPTFILT_CACHE", "")
    if chosen == "off":
        return None
    if chosen:
        return Path(os.path.expanduser(chosen))
    base = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(base, "adaptfilt") if os.path.isabs(base) else None


def path(name: str, key: str | None) -> Path | None:
    """Return the object file of a function; None where it cannot be kept."""
    place = folder()
    return None if place is None or key is None else place / f"{name}-{key}.o"


def load(file: Path | None) -> tuple[Any, int] | None:
    """Link an object file; return what owns the code and its address, None where it is not there or does not fit."""
    try:
        content = b"" if file is None else file.read_bytes()
        if file is None or hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        head, _, code = content[32:].partition(b"\n")
        entry, symbols = json.loads(head)
        if not _found(symbols):  # LLVM would end the process
            return None
        linker = _linker()
        linker.add_object_file(llvm.ObjectFileRef.from_data(code))
        linker.finalize_object()
        address = linker.get_function_address(entry)
    except (OSError, ValueError, RuntimeError):
        return None
    with suppress(OSError):
        os.utime(file)  # its last use, by which `prune` goes: a file system need not note when a file is read
    return (linker, address) if address else None


def save(file: Path, entry: str, ir: str, code: bytes) -> None:
    """Write an object file if it needs nothing but the C library.

    Parameters
    ----------
    file : Path
    entry : str
        Symbol of the function to call.
    ir : str
        The code in LLVM's language, which names the symbols that are needed.
    code : bytes
        The object.
    """
    external = re.findall(r"^declare [^@]*@\"?([\w.$]+)\"?\(|^@\"?([\w.$]+)\"? = external", ir, re.M)
    symbols = sorted({a or b for a, b in external if not a.startswith("llvm.")} - {_RELEASE})
    if not _found(symbols):
        return
    content = json.dumps([entry, symbols]).encode() + b"\n" + code
    part = file.with_name(f"{file.name}.{secrets.token_hex(4)}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(hashlib.sha256(content).digest() + content)
        os.replace(part, file)
        prune(file.parent)
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            part.unlink(missing_ok=True)


def prune(place: Path) -> None:
    """Delete the object files used longest ago until the rest is within the limits; files of others are left alone.

    Several processes may do so at once: a file that is gone when it is read is compiled anew.
    """
    found = []
    with os.scandir(place) as entries:
        for entry in entries:
            if _OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    stat = entry.stat(follow_symlinks=False)
                    found.append((stat.st_mtime, stat.st_size, entry.path))
    size = 0
    for count, (used, bytes_, name) in enumerate(sorted(found, reverse=True), 1):
        size += bytes_
        abandoned = name.endswith(".part") and time.time() - used > LEFT_OVER
        if abandoned or (name.endswith(".o") and (count > MAX_FILES or size > MAX_BYTES)):
            with suppress(OSError):
                os.unlink(name)


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
