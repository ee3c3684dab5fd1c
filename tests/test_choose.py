"""What each engine refuses, and what "auto" takes: decided from the job alone, without the device."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import adaptfilt as af
from adaptfilt.engines.algorithm import Algorithm, Job
from adaptfilt.engines.choose import choose
from adaptfilt.engines.gpu.triton_kernel import unknown_word
from adaptfilt.engines.words import abs2, dot, sign, where

LIMIT = 0.5


def clipped(e: Tensor, energy: Tensor, mu: Tensor) -> Tensor:
    return mu * _clip(e)


def _clip(e: Tensor) -> Tensor:
    return where(abs(e) > LIMIT, LIMIT * sign(e), e)


def with_dot(e: Tensor, energy: Tensor, mu: Tensor) -> Tensor:
    return mu * _through(e)


def _through(e: Tensor) -> Tensor:
    return dot(e, e) * abs2(e)


def with_torch(e: Tensor, energy: Tensor, mu: Tensor) -> Tensor:
    return mu * torch.tanh(e)


def with_max(e: Tensor, energy: Tensor, mu: Tensor) -> Tensor:
    return mu * max(e, LIMIT)


class Placed:
    """A tensor that says it is on a GPU."""

    def __init__(self, w: Tensor) -> None:
        self.device, self.is_cpu, self.is_complex = torch.device("cuda"), False, w.is_complex


def job(on: str = "cpu", taps: int = 4, dtype: torch.dtype = torch.float32, algorithm: Any = None, **more: Any) -> Job:
    w = torch.zeros(taps, dtype=dtype)
    known: Any = w if on == "cpu" else Placed(w)
    params = {"mu": 0.1, "eps": 0.1, "leak": 0.0}
    return replace(Job(algorithm or af.NLMS.algorithm, None, None, known, w, {}, params), **more)


def test_auto_takes_the_fastest_that_can() -> None:
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    rls = af.RLS.algorithm
    assert choose("auto", job()) == "compiled"
    assert choose("auto", job(features=torch.nn.Identity(), every=3, rows=True)) == "compiled"
    assert choose("auto", job(gradient=True)) == "block"
    assert choose("auto", job(gradient=True, algorithm=rls)) == "reference"
    assert choose("auto", job("cuda")) == "triton"
    assert choose("auto", job("cuda", 1024)) == "triton"
    assert choose("auto", job("cuda", algorithm=rls)) == "reference"
    assert choose("auto", job("cuda", algorithm=Algorithm(gain=clipped))) == "triton"
    for cannot in ({"taps": 1025}, {"every": 2}, {"rows": True}, {"gradient": True}, {"dtype": torch.complex64}):
        assert choose("auto", job("cuda", **cannot)) == "block"
    for gain in (with_dot, with_torch, with_max):
        assert choose("auto", job("cuda", algorithm=Algorithm(gain=gain))) == "block"


@pytest.mark.parametrize(
    ("engine", "wrong", "named"),
    [
        ("compiled", {"gradient": True}, "with gradients"),
        ("compiled", {"on": "cuda"}, "on cuda, only on the CPU"),
        ("block", {"algorithm": af.RLS.algorithm}, "algorithms with an update function"),
        ("triton", {}, "on cpu, only on CUDA"),
        ("triton", {"on": "cuda", "gradient": True}, "with gradients"),
        ("triton", {"on": "cuda", "features": torch.nn.Identity()}, "with features="),
        ("triton", {"on": "cuda", "every": 3}, "with record_every="),
        ("triton", {"on": "cuda", "rows": True}, "on ready regressors"),
        ("triton", {"on": "cuda", "dtype": torch.complex128}, "on complex signals"),
        ("triton", {"on": "cuda", "taps": 1025}, "1025 taps, 1,024 at most"),
        ("triton", {"on": "cuda", "algorithm": Algorithm(gain=with_dot)}, "a gain that uses dot"),
    ],
)
def test_an_engine_by_name_refuses_what_it_cannot_run(engine: str, wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f'^engine="{engine}" does not run {named}'):
        choose(engine, job(**wrong))


def test_the_words_of_a_gain() -> None:
    for cls in (af.LMS, af.NLMS, af.LMF, af.SignError):
        assert unknown_word(cls.algorithm.function) is None
    assert unknown_word(clipped) is None
    assert unknown_word(with_dot) == "dot"
    assert unknown_word(with_torch) in ("tanh", "torch")
    assert unknown_word(with_max) == "max"
    assert unknown_word(lambda e, energy, mu: mu * e) == "a lambda"


def test_refused_through_a_filter_before_its_state_changes() -> None:
    x = torch.randn(20)
    f = af.NLMS(4, engine="triton")
    with pytest.raises(ValueError, match=r'^engine="triton" does not run on cpu'):
        f(x, x)
    assert not f.w.any()
    assert not f.line.samples.any()
