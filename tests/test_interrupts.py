"""Ctrl-C at any time leaves the state before the call or the state after it."""

import copy
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from apart import apart

import adaptfilt as af
from conftest import slow

FILTERS: dict[str, Callable[[], Any]] = {
    "NLMS": lambda: af.NLMS(8, 0.5, dtype=torch.float64),
    "RLS": lambda: af.RLS(8, 0.99, dtype=torch.float64),
    "RLS, batch": lambda: af.RLS(4, 0.99, dtype=torch.float64, batch=2),
    "AffineProjection": lambda: af.AffineProjection(8, 0.5, order=3, dtype=torch.float64),
    "FxLMS": lambda: af.FxLMS(8, 0.01, np.array([0.5, 0.3, -0.2]), dtype=torch.float64),
    "LatticeRLS": lambda: af.LatticeRLS(8, 0.99, dtype=torch.float64),
    "DFE": lambda: af.DFE(4, 2, 0.01, af.Constellation.psk(2), dtype=torch.float64),
    "GradientFilter": lambda: af.GradientFilter(_layer(), 4, optimizer=_momentum, block_size=8),
}


def _layer() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(4, 1).double()


def _momentum(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.5)


def operations(f: Any) -> dict[str, list[Callable[[Any], Any]]]:
    """What is interrupted, a few calls in a row each; all of it is determined by the state before."""
    rng = np.random.default_rng(1)
    x, d = rng.standard_normal((2, *f.batch, 64))
    ones = [tuple(v[..., n] if f.batch else v[..., n].item() for v in (x, d)) for n in range(64)]
    new, line = torch.from_numpy(rng.standard_normal(tuple(f.w.shape))), rng.standard_normal((*f.batch, 8))
    half = {k: v * 0.5 if isinstance(v, torch.Tensor) else v for k, v in f.state_dict().items()}
    start = copy.deepcopy(f.state_dict())
    chosen: dict[str, list[Callable[[Any], Any]]] = {
        "block": [lambda f: f(x, d)],
        "record": [lambda f: f(x, d, record_every=5)],
        "step": [lambda f, one=one: f.step(*one) for one in ones],
        "filter": [lambda f: f.filter(line)] * 3,
        "reset": [lambda f: f.reset(), lambda f: f(x, d)],
        "load": [lambda f: f.load_state_dict(half), lambda f: f.load_state_dict(start)],
        "w": [lambda f: setattr(f, "w", new), lambda f: setattr(f, "w", 2 * new)] * 40,
    }
    if isinstance(f, af.RecursiveFilter):
        del chosen["w"]
    if "mu" in getattr(f, "ranges", ()):
        values = (0.25, torch.tensor(0.125, dtype=torch.float64), 0.5)
        chosen["mu"] = [lambda f, v=v: setattr(f, "mu", v) for v in values] * 30
    return chosen


def memory(f: Any) -> list[torch.Tensor]:
    _ = f.w  # a recursion writes its weights when they are read
    kept = [t for _, t in (*f.named_buffers(), *f.named_parameters())]
    if isinstance(f, af.GradientFilter):
        kept += [v for p in f.model.parameters() for v in f.optimizer.state.get(p, {}).values() if v is not None]
    return kept


def state(f: Any) -> list[bytes]:
    own = [t.detach().numpy().tobytes() for t in memory(f)]
    return [*own, repr(getattr(f, "mu", None)).encode()]


class Alarm:
    """Raise KeyboardInterrupt after a delay, unless the call is over."""

    def __init__(self) -> None:
        self.armed = False
        signal.signal(signal.SIGALRM, self._ring)

    def _ring(self, *_: Any) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def interrupts(self, call: Callable[[], Any], delay: float) -> bool:
        """Run the call and say whether it was interrupted."""
        self.armed = True
        try:
            signal.setitimer(signal.ITIMER_REAL, delay)
            call()
            self.armed = False
        except KeyboardInterrupt:
            return True
        finally:
            self.armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        return False


def interrupted(case: str, seconds: float) -> None:
    """Interrupt each operation for so long; print how often it was hit, and fail where the state was torn."""
    alarm, rng, torn = Alarm(), np.random.default_rng(), {}
    rest = np.random.default_rng(2).standard_normal((2, *FILTERS[case]().batch, 20))

    def make() -> Any:
        f = FILTERS[case]()
        f(*rest)
        return f

    names = list(operations(make()))
    for name in names:
        hits = bad = 0
        f = make()
        start, acts = copy.deepcopy(f.state_dict()), operations(f)[name]
        mu = getattr(f, "mu", None)
        whole, allowed = copy.deepcopy(f), [state(f)]
        for act in acts:
            act(whole)
            allowed.append(state(whole))
        lasts = 1.0
        for _ in range(3):
            again, started = copy.deepcopy(f), time.perf_counter()
            for act in acts:
                act(again)
            lasts = min(lasts, time.perf_counter() - started)
        want = whole(*rest).y
        until = time.perf_counter() + seconds / len(names)
        while time.perf_counter() < until:
            hit = alarm.interrupts(
                lambda f=f, acts=acts: [act(f) for act in acts], max(2e-6, rng.uniform(0, 1.2 * lasts))
            )
            hits += hit
            if state(f) not in (allowed if hit else allowed[-1:]):
                bad += 1
                f = make()
            f.load_state_dict(start)
            if mu is not None:
                f.mu = mu
            assert state(f) == allowed[0], "the state before cannot be restored"
            if hits % 20 == 0:  # an interrupted filter goes on like one that never was
                for act in acts:
                    act(f)
                np.testing.assert_array_equal(f(*rest).y, want)
                f.load_state_dict(start)
                if mu is not None:
                    f.mu = mu
        print(f"{case} {name}: {hits} interrupts, {bad} torn")
        if bad:
            torn[name] = f"{bad} of {hits}"
    assert not torn, f"torn states of {case}: {torn}"


def all_interrupted(seconds: float) -> None:
    for case in FILTERS:
        interrupted(case, seconds)


@pytest.mark.parametrize("seconds", [1.0, slow(20.0)])
def test_an_interrupt_leaves_the_state_before_or_after(seconds: float) -> None:
    apart(__file__, "all_interrupted", seconds, timeout=600.0)
