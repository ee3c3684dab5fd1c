"""How a module that adapts keeps its state whole: one call at a time, fixed sizes, copies with memory of their own."""

import copy
import io
import os
import pickle
from functools import wraps
from threading import RLock
from typing import Any, Self
from weakref import WeakSet

from torch import nn

_living: WeakSet[Any] = WeakSet()


def _free_locks() -> None:
    """Free in a forked process what threads of the parent held: they do not exist here."""
    for f in _living:
        f._lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks)


class _ByValue(pickle.Pickler):
    """Pickles with a module all it holds, so that what two of its parts share stays one."""

    def reducer_override(self, value: Any) -> Any:
        return object.__reduce_ex__(value, 4) if isinstance(value, Guarded) else NotImplemented


def locked(method: Any) -> Any:
    """Let one thread at a time into a method."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return call


class Guarded(nn.Module):
    """A module with a lock, for calls from several threads, and with attributes that are read-only."""

    _lock: Any  # held by a call that adapts or filters a block: calls from several threads run one after the other
    _fixed: tuple[str, ...]  # names of what sizes memory, once all of it is made

    def __init__(self) -> None:
        super().__init__()
        self._lock = RLock()
        _living.add(self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what sizes memory."""
        if name in self.__dict__.get("_fixed", ()):
            raise TypeError(f"{name} is read-only: make a new {type(self).__name__} for another one")
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the lock, for copies and pickles; dictionaries at once, as another thread may add to them."""
        return {k: v.copy() if isinstance(v, dict) else v for k, v in self.__dict__.copy().items()} | {"_lock": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the state into memory of its own."""
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Go to another process by value: torch would move the state into memory that both then adapt."""
        if any(buffer.is_shared() for buffer in self.buffers()):  # asked for
            return super().__reduce_ex__(protocol)
        content = io.BytesIO()
        _ByValue(content).dump(self)
        return pickle.loads, (content.getvalue(),)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make a lock of one's own."""
        super().__setstate__(state)
        self.__dict__["_lock"] = RLock()
        _living.add(self)
