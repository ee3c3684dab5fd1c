"""Where work is done: in this process, in others, or on a cluster; results come back in the order of the work."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, NamedTuple, Protocol

import torch

WAITING = 64  # pieces of work that executors are given ahead


class Work(NamedTuple):
    """A function and its arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Store(Protocol):
    """What keeps results from one process to the next."""

    def has(self, work: Work) -> bool:
        """Say whether a result is kept."""

    def read(self, work: Work) -> Any:
        """Return what was kept."""

    def write(self, work: Work, part: Any) -> None:
        """Keep a result."""


def in_order(
    work: Sequence[Work],
    executor: Any,
    sent: Sequence[Any],
    kept: Store | None,
    progress: bool | None,
    sizes: Sequence[int],
) -> Iterator[Any]:
    """Do all work and yield the results in its order; `sent` is what must reach the workers, said before the start."""
    pool = as_executor(executor)
    check_sendable(executor, sent)
    is_done = [kept is not None and kept.has(w) for w in work]
    todo = [w for w, done in zip(work, is_done, strict=True) if not done]
    results = _here(todo) if pool is None else _there(todo, pool, as_function(executor))
    with _bar(sum(sizes), progress) as bar:
        for w, done, size in zip(work, is_done, sizes, strict=True):
            part = kept.read(w) if kept is not None and done else next(results)
            if kept is not None and not done:
                kept.write(w, part)
            if bar is not None:
                bar.update(size)
            yield part


def as_executor(executor: Any) -> Any:
    """Return what takes ``submit(function, *arguments)``; a Dask client gives one."""
    if executor is None or not hasattr(executor, "get_executor"):
        if executor is not None and not hasattr(executor, "submit"):
            raise TypeError(f"executor must be a concurrent.futures.Executor or a dask Client, got {executor!r}")
        return executor
    return executor.get_executor(pure=False)


def as_function(executor: Any) -> Callable[..., Any]:
    """Return what workers call: other processes use one thread each, or they would be in each other's way."""
    return _plainly if isinstance(executor, ThreadPoolExecutor) else _with_one_thread


def check_sendable(executor: Any, sent: Sequence[Any]) -> None:
    """Refuse functions that cannot be sent to other processes."""
    if executor is None or isinstance(executor, ThreadPoolExecutor):
        return
    dumps: Any = pickle.dumps
    if hasattr(executor, "get_executor"):  # Dask sends functions by their code
        import cloudpickle

        dumps = cloudpickle.dumps
    for what in sent:
        try:
            dumps(what)
        except Exception as error:  # pickle raises whatever the object does
            name = getattr(what, "__qualname__", repr(what))
            raise TypeError(
                f"{name} cannot be sent to other processes ({error}): define it at the top of a module"
            ) from None


def _here(work: Sequence[Work]) -> Iterator[Any]:
    for function, arguments in work:
        yield function(*arguments)


def _there(work: Sequence[Work], pool: Any, call: Callable[..., Any]) -> Iterator[Any]:
    waiting: deque[Any] = deque()
    left = iter(work)
    try:
        for w in left:
            waiting.append(pool.submit(call, w.function, *w.arguments))
            if len(waiting) == WAITING:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenExecutor as error:
        raise RuntimeError(
            f"a worker process died ({error}); with folder= what is done is kept, and the same call goes on from there"
        ) from error
    finally:
        for future in waiting:
            future.cancel()


def _plainly(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _with_one_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return function(*arguments)
    finally:
        torch.set_num_threads(threads)


def _bar(total: int, progress: bool | None) -> Any:
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return nullcontext()
    return tqdm(total=total, leave=False, disable=None if progress is None else not progress, delay=0.5)
