"""Files that stand whole under their names, or not at all, also where SIGINT, SIGTERM or SIGHUP ends the process."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn


@contextmanager
def replacing(path: Path, kinds: set[str]) -> Iterator[Path]:
    """Give an empty temporary file beside `path`; it becomes `path` if all goes well and is removed if not."""
    if path.suffix.lower() not in kinds:
        raise ValueError(f"{path}: the name must end in {' or '.join(sorted(kinds))}")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder")
    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with writing(path):
            part.touch()
        yield part
        with writing(path):
            os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the output in what goes wrong with writing it."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error.strerror or error})") from None
    except RuntimeError as error:
        if not hasattr(error, "error_string"):  # a LibsndfileError has one
            raise
        raise OSError(f"{path}: cannot be written ({error.error_string})") from None


def check_space(part: Path) -> None:
    """Refuse a full disk: the last bytes of FLAC, Ogg and MP3 are lost on it without an error."""
    with part.open("ab") as file:
        size = file.tell()
        file.write(bytes(1 << 15))
        file.truncate(size)


@contextmanager
def unwound_by_signals() -> Iterator[None]:
    """Let the signals that end a process unwind it, so that nothing half-written remains; ignored ones stay so."""

    def end(number: int, _: object) -> NoReturn:
        for own in taken:
            signal.signal(own, signal.SIG_IGN)
        raise SystemExit(128 + number)

    ending = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    free = threading.current_thread() is threading.main_thread()
    taken = [s for s in ending if free and signal.getsignal(s) is signal.SIG_DFL]
    for own in taken:
        signal.signal(own, end)
    try:
        yield
    finally:
        for own in taken:
            signal.signal(own, signal.SIG_DFL)
