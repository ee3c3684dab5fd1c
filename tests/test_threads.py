"""Several threads in one filter: calls may come in any order, but each is whole and gets its own arguments."""

import copy
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from apart import apart

import adaptfilt as af

CASES: dict[str, Callable[[], Any]] = {
    "NLMS": lambda: af.NLMS(16, 0.5, dtype=torch.float64),
    "LMS, complex": lambda: af.LMS(8, 1e-4, dtype=torch.complex128),
    "SignSign": lambda: af.SignSign(8, 1e-3, dtype=torch.float64),
    "RLS": lambda: af.RLS(8, 0.99, dtype=torch.float64),
    "AffineProjection": lambda: af.AffineProjection(8, 0.5, order=3, dtype=torch.float64),
    "NLMS, skip": lambda: af.NLMS(16, 0.5, dtype=torch.float64, nonfinite="skip"),
    "NLMS, batch": lambda: af.NLMS(8, 0.5, dtype=torch.float64, batch=3),
    "RLS, batch": lambda: af.RLS(4, 0.99, dtype=torch.float64, batch=3),
    "NLMS, features": lambda: af.NLMS(3, 0.5, dtype=torch.float64, features=af.Volterra(3)),
    "FxLMS": lambda: af.FxLMS(8, 1e-5, np.array([0.5, 0.3, -0.2]), dtype=torch.float64),
    "LatticeRLS": lambda: af.LatticeRLS(8, 0.99, dtype=torch.float64),
    "DFE": lambda: af.DFE(4, 2, 1e-5, af.Constellation.psk(2), delay=0, dtype=torch.float64),
    "GradientFilter": lambda: af.GradientFilter(  # its step is small enough for all four levels
        torch.nn.Linear(4, 1, bias=False, dtype=torch.float64), 4, optimizer=lambda p: torch.optim.SGD(p, lr=1e-5)
    ),
    "GradientFilter, perceptron": lambda: af.GradientFilter(_perceptron(), 4, block_size=16),
}
THREADS = 4


def _perceptron() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).double()


def together(work: Callable[[int], None]) -> None:
    """Run work(0) ... work(THREADS - 1) at once, with frequent switches, and raise what one of them raises."""
    errors: list[BaseException] = []
    start = threading.Barrier(THREADS)

    def guarded(k: int) -> None:
        start.wait()
        try:
            work(k)
        except BaseException as error:
            errors.append(error)

    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=guarded, args=(k,)) for k in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def signal(rng: np.random.Generator, f: Any, T: int) -> Any:
    x = rng.standard_normal((*f.batch, T))
    return x + 1j * rng.standard_normal(x.shape) if f.dtype.is_complex else x


def usable(f: Any) -> None:
    """The state is finite, and the filter goes on as its copy does."""
    assert all(torch.isfinite(t).all() for t in f.state_dict().values() if isinstance(t, torch.Tensor))
    x = signal(np.random.default_rng(1), f, 50)
    np.testing.assert_array_equal(copy.deepcopy(f)(x, x).y, f(x, x).y)


def blocks(case: str, runs: int, longest: int) -> None:
    for run in range(runs):
        f = CASES[case]()
        turn = (
            signal(np.random.default_rng(run), f, longest + 20),
            signal(np.random.default_rng(run + 99), f, longest + 20),
        )

        def work(k: int, f: Any = f, turn: Any = turn, run: int = run) -> None:
            rng = np.random.default_rng([run, k])
            for _ in range(12):
                T = int(rng.choice([7, 8, 100, 1000, longest]))
                x, d = (np.ascontiguousarray(v[..., k : k + T]) + 10.0 * k for v in turn)
                given = (x, d) if rng.integers(2) else (torch.from_numpy(x), torch.from_numpy(d))
                y, e, w = f(*given, **({"record_every": 7} if rng.integers(4) == 0 else {}))
                y, e, w = np.asarray(y), np.asarray(e), np.asarray(w)
                assert y.shape == e.shape == d.shape
                assert np.isfinite(y).all()
                assert np.isfinite(w).all()
                if case != "FxLMS":  # which hears y through the past of its outputs
                    np.testing.assert_array_equal(e, d - y)

        together(work)
        usable(f)


def steps(case: str, count: int) -> None:
    f = CASES[case]()

    def work(k: int) -> None:
        rng = np.random.default_rng(k)
        xs, ds = signal(rng, f, count), signal(rng, f, count) + 100.0 * k
        wrong = 0
        for n in range(count):
            x, d = xs[..., n], ds[..., n]
            x, d = (x, d) if f.batch else (x.item(), d.item())
            y, e = f.step(x, d)
            wrong += bool(np.max(np.abs(d - y - e)) > 1e-9 * (1 + np.max(np.abs(y))))
        assert not wrong, f"{wrong} of {count} results are of other calls"

    together(work)
    usable(f)


def one_call(f: Any, rng: np.random.Generator, kind: int) -> None:
    """A block, a step, a reset, a copy, a checkpoint, an assignment or filtering."""
    x, d = signal(rng, f, 300), signal(rng, f, 300)
    match kind:
        case 0:
            f(x, d)
        case 1:
            f.filter(x)
        case 2:
            f.step(*(v[..., 0] if f.batch else v[..., 0].item() for v in (x, d)))
        case 3:
            copy.deepcopy(f)(x, d)
        case 4:
            f.load_state_dict(copy.deepcopy(f.state_dict()))
        case 5:
            f.reset()
        case 6 if not isinstance(f, af.RecursiveFilter):
            f.w = torch.zeros(f.w.shape, dtype=f.dtype)
        case 7 if hasattr(f, "mu"):
            f.mu = 0.01


def mixed(case: str, runs: int) -> None:
    for run in range(runs):
        f = CASES[case]()

        def work(k: int, f: Any = f, run: int = run) -> None:
            rng = np.random.default_rng([run, k])
            for n in range(60):
                one_call(f, rng, 3 if k == 0 and n % 2 else rng.integers(8))  # one thread copies most of its time

        together(work)
        usable(f)


def none_lost(cls: str, count: int) -> None:
    """Every sample adds mu to the weight, whichever thread brings it: none may get lost."""
    f = getattr(af, cls)(1, 2.0**-12, dtype=torch.float64)

    def work(k: int) -> None:
        for n in range(count):
            if n % 2:
                f.step(1.0, 1e6)
            else:
                f(np.ones(50), np.full(50, 1e6))

    together(work)
    assert f.w.item() == THREADS * 51 * (count // 2) * 2.0**-12


QUICK = ["NLMS", "LMS, complex", "RLS", "LatticeRLS"]
SLOW = ["NLMS, features", "GradientFilter", "GradientFilter, perceptron"]
MIXED = ["NLMS", "RLS", "AffineProjection", "NLMS, batch", "FxLMS", "LatticeRLS", "DFE", "GradientFilter"]


def all_blocks() -> None:
    for case in CASES:
        print(case, flush=True)
        blocks(case, *((3, 1000) if case in SLOW else (10, 30_000)))


def all_steps() -> None:
    for case in (*QUICK, "NLMS, batch", "DFE", "GradientFilter"):
        print(case, flush=True)
        steps(case, 20_000 if case in QUICK else 400)


def all_mixed() -> None:
    for case in MIXED:
        print(case, flush=True)
        mixed(case, 5)


def all_samples() -> None:
    for cls in ("SignError", "SignSign"):
        none_lost(cls, 2000)


@pytest.mark.parametrize("work", [all_blocks, all_steps, all_mixed, all_samples], ids=lambda work: work.__name__)
def test_calls_from_four_threads(work: Callable[[], None]) -> None:
    """One process a kind of call, as it takes seconds to start; what it printed last is what crashed."""
    apart(__file__, work.__name__, timeout=600.0)
