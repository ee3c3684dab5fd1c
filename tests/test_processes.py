"""Filters that go to other processes and come back, and processes forked while a filter works."""

import copy
import faulthandler
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from apart import apart
from torch import nn

import adaptfilt as af

CASES: dict[str, Callable[[], Any]] = {
    "NLMS": lambda: af.NLMS(16, 0.5),
    "LMS, complex": lambda: af.LMS(8, 0.01, dtype=torch.complex128),
    "RLS": lambda: af.RLS(8, 0.99, dtype=torch.float64),
    "AffineProjection": lambda: af.AffineProjection(8, 0.5, order=3, dtype=torch.float64),
    "SignData": lambda: af.SignData(8, 0.01, batch=2),
    "FxLMS": lambda: af.FxLMS(8, 0.01, np.array([0.5, 0.3, -0.2]), dtype=torch.float64),
    "LatticeRLS": lambda: af.LatticeRLS(8, 0.99, dtype=torch.float64),
    "DFE": lambda: af.DFE(4, 2, 0.01, af.Constellation.psk(2), dtype=torch.float64),
    "GradientFilter": lambda: af.GradientFilter.example(dtype=torch.float64),
    "Adam": lambda: af.GradientFilter(_layer(), 4, optimizer=torch.optim.Adam, block_size=3),
}


def _layer() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 1).double()


def pair(f: Any, seed: int, T: int = 500) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x, d = rng.standard_normal((2, *f.batch, T))
    return (x + 1j * d, d + 1j * x) if f.dtype.is_complex else (x, d)


def same_course(f: Any, twin: Any, seed: int) -> None:
    """Blocks and single samples give the same bits, and leave the same state."""
    for T in (500, 7):
        x, d = pair(f, seed, T)
        for a, b in zip(f(x, d), twin(x, d), strict=True):
            np.testing.assert_array_equal(a, b)
    x, d = (v[..., 0] if f.batch else v[..., 0].item() for v in pair(f, seed, 1))
    np.testing.assert_array_equal(f.step(x, d), twin.step(x, d))
    if not isinstance(f, af.RecursiveFilter):
        f.adapt(d), twin.adapt(d)
    np.testing.assert_array_equal(f.w.detach(), twin.w.detach())
    np.testing.assert_array_equal(f.history, twin.history)


def work(f: Any, seed: int) -> Any:
    """What a process of the pool does: use the filter and send it back."""
    f(*pair(f, seed))
    return f


def pool(method: str) -> None:
    context = multiprocessing.get_context(method)
    filters = {k: make() for k, make in CASES.items()}
    for f in filters.values():
        f(*pair(f, 0))
        f.step(*(v[..., 0] if f.batch else v[..., 0].item() for v in pair(f, 1, 1)))
    twins = copy.deepcopy(filters)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        for turn in range(3):
            back = {k: executor.submit(work, f, turn + 5) for k, f in filters.items()}
            for k, f in filters.items():
                got = back[k].result()
                same_course(f, twins[k], turn + 10)  # sending changes nothing
                if turn == 0:
                    want = CASES[k]()
                    want(*pair(want, 0))
                    want.step(*(v[..., 0] if want.batch else v[..., 0].item() for v in pair(want, 1, 1)))
                    want(*pair(want, 5))
                    same_course(got, want, 20)
                assert got is not f


def through_a_queue(method: str) -> None:
    """torch moves the memory of what goes through its queues; the filter has to notice."""
    context = torch.multiprocessing.get_context(method)
    for make in CASES.values():
        f = make()
        f(*pair(f, 0))
        twin, queue = copy.deepcopy(f), context.SimpleQueue()
        queue.put(f)
        same_course(f, twin, 1)
        got = queue.get()
        assert torch.isfinite(got.w).all()
        same_course(f, twin, 2)


def shared() -> None:
    """A child adapts a shared filter; the parent goes on from there."""
    for make in CASES.values():
        f = make()
        f(*pair(f, 0))
        twin = copy.deepcopy(f)
        f.share_memory()
        same_course(f, twin, 1)
        if isinstance(f, af.GradientFilter):
            continue  # its optimiser's state is not shared
        process = multiprocessing.get_context("fork").Process(target=work, args=(f, 2))
        process.start()
        process.join(30)
        assert process.exitcode == 0
        work(twin, 2)
        same_course(f, twin, 3)


def forked(runs: int) -> None:
    """Fork while a thread adapts: parent and child both go on."""
    for make in CASES.values():
        f, stop = make(), threading.Event()
        x, d = pair(f, 0, 2000)
        f(x, d), f.step(*(v[..., 0] if f.batch else v[..., 0].item() for v in (x, d)))

        def adapt(f: Any = f, x: Any = x, d: Any = d, stop: Any = stop) -> None:
            while not stop.is_set():
                f(x, d)
                f.step(*(v[..., 0] if f.batch else v[..., 0].item() for v in (x, d)))

        thread = threading.Thread(target=adapt)
        thread.start()
        try:
            for _ in range(runs):
                time.sleep(np.random.default_rng().uniform(0, 0.003))
                child = os.fork()
                if child == 0:
                    faulthandler.dump_traceback_later(15, exit=True)
                    good = False
                    try:
                        f(x, d)
                        f.step(*(v[..., 0] if f.batch else v[..., 0].item() for v in (x, d)))
                        f.reset()
                        fresh = make()
                        good = bool(np.array_equal(f(x, d).y, fresh(x, d).y))
                    finally:
                        os._exit(0 if good else 1)
                deadline = time.time() + 20
                while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
                    if time.time() > deadline:
                        os.kill(child, 9)
                        os.waitpid(child, 0)
                        raise AssertionError(f"the child of {type(f).__name__} hangs")
                    time.sleep(0.001)
                assert done[1] == 0, f"the child of {type(f).__name__} ended with {done[1]}"
        finally:
            stop.set()
            thread.join()


def forked_while_loading() -> None:
    """Fork while a thread loads or compiles machine code: the child can do so too."""

    def load() -> None:
        real = [(cls, torch.float64) for cls in (af.LMS, af.NLMS, af.SignError, af.RLS, af.AffineProjection)]
        for cls, dtype in real + [(cls, torch.complex64) for cls in (af.NLMS, af.RLS, af.AffineProjection)]:
            f = cls.example(dtype=dtype)
            f(*pair(f, 0)), f.step(0.5, 0.5)

    thread = threading.Thread(target=load)
    thread.start()
    while thread.is_alive():
        child = os.fork()
        if child == 0:
            faulthandler.dump_traceback_later(15, exit=True)
            good = False
            try:
                f = af.SignSign.example(dtype=torch.float64)
                f(*pair(f, 0)), f.step(0.5, 0.5)
                good = True
            finally:
                os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0, "the child hangs"
    thread.join()


def pickled() -> None:
    for make in CASES.values():
        f = make()
        f(*pair(f, 0))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            same_course(pickle.loads(pickle.dumps(f, protocol)), copy.deepcopy(f), 1)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_gets_used_filters_and_gives_them_back(method: str) -> None:
    apart(__file__, "pool", method)


def test_a_filter_goes_on_after_a_queue_moved_its_memory() -> None:
    apart(__file__, "through_a_queue", "fork")


def test_a_shared_filter_is_adapted_by_two_processes() -> None:
    apart(__file__, "shared")


def test_a_fork_while_a_thread_adapts() -> None:
    apart(__file__, "forked", 8)


def test_a_fork_while_a_thread_loads_code() -> None:
    apart(__file__, "forked_while_loading")


def test_pickles_of_used_filters() -> None:
    apart(__file__, "pickled")
