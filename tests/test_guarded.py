"""What is made of filters is as safe as they are: copies, processes, threads, sizes, and input that is refused."""

import copy
import io
import multiprocessing.reduction
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af

QPSK = af.Constellation.psk(4)
PATH = np.array([0.5, 0.3, -0.2])
PLAIN: dict[str, Any] = {"engine": "reference"}  # what stands around a filter is the same on every engine
F64: dict[str, Any] = {"dtype": torch.float64, **PLAIN}


def noise(rng: np.random.Generator, T: int) -> np.ndarray:
    return 0.1 * rng.standard_normal(T)


def pair(rng: np.random.Generator, T: int) -> tuple[np.ndarray, ...]:
    return noise(rng, T), noise(rng, T)


def received(rng: np.random.Generator, T: int) -> tuple[np.ndarray, ...]:
    return ((noise(rng, 2 * T) + 1j * noise(rng, 2 * T)).astype(np.complex64),)


CASES: dict[str, tuple[Callable[[], Any], Callable[..., Any], tuple[str, ...]]] = {
    "EchoCanceller": (lambda: af.EchoCanceller(8000, 256, delay=5), pair, ("fs", "delay", "hop", "filter")),
    "TwoPath": (lambda: af.TwoPath(af.NLMS(4, **F64)), pair, ("hop", "background")),
    "Equalizer": (
        lambda: af.Equalizer(5, QPSK, sps=2, stages=(("cma", 0.01, 500), ("dd", 0.001)), **PLAIN),
        received,
        ("taps", "sps", "constellation", "stages"),
    ),
    "FeedbackControl": (
        lambda: af.FeedbackControl(af.FxLMS(4, 0.01, PATH, **F64)), lambda r, T: (noise(r, T),), ("inner",),
    ),
    "ModifiedFxLMS": (
        lambda: af.ModifiedFxLMS(af.NLMS(4, **F64), PATH), pair, ("inner", "path_taps"),
    ),
    "FxFDAF": (lambda: af.FxFDAF(16, 0.01, PATH), pair, ("path_taps",)),
}  # fmt: skip
every = pytest.mark.parametrize("case", CASES)


def used(case: str) -> tuple[Any, Callable[[int], tuple[np.ndarray, ...]]]:
    """Return what has run, and a source of signals for it."""
    make, signal, _ = CASES[case]
    rng, f = np.random.default_rng(1), make()
    f(*signal(rng, 777))
    return f, lambda T: signal(rng, T)


def outputs(out: Any) -> list[np.ndarray]:
    return [np.asarray(v) for v in out] if isinstance(out, tuple) else [out]


def state(f: Any) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in f.state_dict().items() if isinstance(v, torch.Tensor)}


def saved_and_loaded(f: Any, case: str) -> Any:
    file, twin = io.BytesIO(), CASES[case][0]()
    torch.save(f.state_dict(), file)
    file.seek(0)
    twin.load_state_dict(torch.load(file, weights_only=True))
    return twin


@every
def test_a_copy_a_pickle_and_a_checkpoint_go_on_as_the_original(case: str) -> None:
    f, signals = used(case)
    twins = [copy.deepcopy(f), pickle.loads(pickle.dumps(f)), saved_and_loaded(f, case)]
    given = signals(500)
    want = outputs(f(*given))
    for twin in twins:
        for a, b in zip(outputs(twin(*given)), want, strict=True):
            np.testing.assert_array_equal(a, b)


@every
def test_sent_to_another_process_it_keeps_its_memory(case: str) -> None:
    f, signals = used(case)
    twin = pickle.loads(multiprocessing.reduction.ForkingPickler.dumps(f))
    assert not any(t.is_shared() for g in (f, twin) for t in state(g).values())
    given = signals(500)
    for a, b in zip(outputs(f(*given)), outputs(twin(*given)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_two_parts_share_stays_one_in_another_process() -> None:
    f = af.EchoCanceller(8000, 256)
    twin = pickle.loads(multiprocessing.reduction.ForkingPickler.dumps(f))
    assert twin.filter is twin.paths.background


@every
def test_calls_from_four_threads_come_one_after_the_other(case: str) -> None:
    f, signals = used(case)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for given in blocks:
                f(*given)
                copy.deepcopy(f)
        except BaseException as error:
            errors.append(error)

    blocks = [signals(T) for T in (160, 7, 100) * 5]
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert all(torch.isfinite(v).all() for v in state(f).values())


@every
def test_what_sizes_memory_is_read_only(case: str) -> None:
    make, _, names = CASES[case]
    f = make()
    for name in names:
        with pytest.raises(TypeError, match=f"{name} is read-only: make a new {case}"):
            setattr(f, name, 3)


WRONG: dict[str, Callable[[np.ndarray], Any]] = {
    "a list": lambda x: x.tolist(),
    "masked": lambda x: np.ma.masked_array(x, x.real > 0),
    "an axis more": lambda x: x[None],
    "words": lambda x: x.astype(str),
    "on no device": lambda x: torch.empty(len(x), device="meta"),
    "NaN": lambda x: x * np.nan,
}


@every
def test_what_is_no_signal_changes_nothing(case: str) -> None:
    f, signals = used(case)
    before, (x, *rest) = state(f), signals(100)
    for name, wrong in WRONG.items():
        with pytest.raises((ValueError, TypeError), match=r"^(x|d) "):
            f(wrong(x), *rest)
        for k, v in state(f).items():
            torch.testing.assert_close(v, before[k], rtol=0, atol=0, msg=name)
