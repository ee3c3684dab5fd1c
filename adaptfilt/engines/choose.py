"""The choice of an engine: what each one cannot run, asked in the same words for "auto" and for one given by name."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual

from adaptfilt.checks import check_plain
from adaptfilt.engines.algorithm import Job, names
from adaptfilt.engines.gpu import triton_kernel

Reasons = Iterator[str | bool | None]


def choose(engine: str, job: Job) -> str:
    """Return the engine that runs a block.

    Parameters
    ----------
    engine : str
        A name, or "auto" for the fastest that can.
    job : Job

    Raises
    ------
    ValueError
        If the engine asked for cannot run the block.
    TypeError
        If a tensor is one of torch.func's transforms.
    """
    learned = dict(job.features.named_parameters()) if isinstance(job.features, nn.Module) else {}
    for name, value in (*job.params.items(), *learned.items()):  # torch.func.functional_call puts them in unseen
        if isinstance(value, Tensor):
            check_plain(name, value)
    if engine == "auto":
        if job.w.is_cpu and not job.gradient:
            return "compiled"
        able = next((name for name in _CANNOT if _why_not(name, job) is None), None)
        if able is not None:
            return able
        raise ValueError(f"no engine runs {_why_not('reference', job)}")
    reason = _why_not(engine, job)
    if reason is not None:
        raise ValueError(f'engine="{engine}" does not run {reason}: use "auto"')
    return engine


def tracked(*values: Any) -> bool:
    """Say whether torch follows what is computed from any of the values, in reverse or forward mode."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    if not tensors:
        return False
    reverse = torch.is_grad_enabled() and any(v.requires_grad for v in tensors)
    return reverse or any(unpack_dual(v).tangent is not None for v in tensors)


def _why_not(engine: str, job: Job) -> str | None:
    """Return what of a job an engine does not run."""
    return next((str(reason) for reason in _CANNOT[engine](job) if reason), None)


def _compiled(job: Job) -> Reasons:
    yield job.w.device.type != "cpu" and f"on {job.w.device.type}, only on the CPU"
    yield job.gradient and "with gradients"


def _stateless(job: Job) -> Reasons:
    algorithm = job.algorithm
    yield algorithm.gain is None and f"algorithms with {_an(algorithm.structure)} function, only those with a gain"
    yield bool(algorithm.states) and "a gain with states"
    yield algorithm.lagged and "a gain that takes the lag"
    yield algorithm.error is not None and "an error function"
    yield algorithm.feed is not None and "an algorithm that feeds back"
    yield bool(algorithm.vectors) and "a gain that takes vectors"
    yield "mu" not in algorithm.params and "a gain without mu"
    yield job.path is not None and "with a path between output and error"
    yield job.secondary is not None and job.secondary.shape[:2] != (1, 1) and "several loudspeakers or microphones"


def _block(job: Job) -> Reasons:
    yield from _stateless(job)


def _triton(job: Job) -> Reasons:
    yield from _stateless(job)
    yield job.w.device.type != "cuda" and f"on {job.w.device.type}, only on CUDA"
    yield job.gradient and "with gradients"
    yield job.features is not None and "with features="
    yield bool(job.every) and "with record_every="
    yield job.rows and "on ready regressors"
    yield job.inputs > 1 and "several inputs"
    yield job.sps > 1 and "several samples an output"
    yield job.secondary is not None and "filtered-x"
    yield job.w.is_complex() and "on complex signals"
    taps = job.line.shape[-1]
    yield taps > triton_kernel.MAX_TAPS and f"{taps} taps, {triton_kernel.MAX_TAPS:,} at most"
    given = names(job.algorithm.function)
    yield given[:2] != ("e", "energy") and "a gain whose arguments do not begin with e, energy"
    yield bool({"y", "d"} & {*given}) and "a gain that takes y or d"
    word = triton_kernel.unknown_word(job.algorithm.function)
    yield word and f"a gain that uses {word}"
    yield find_spec("triton") is None and "where Triton is not installed"


def _reference(job: Job) -> Reasons:
    recursion = job.algorithm.recursion is not None
    yield recursion and job.gradient and "recursions with gradients"
    yield recursion and job.w.device.type != "cpu" and f"recursions on {job.w.device.type}, only on the CPU"


def _an(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


_CANNOT: dict[str, Callable[[Job], Reasons]] = {  # the fastest first
    "compiled": _compiled,
    "triton": _triton,
    "block": _block,
    "reference": _reference,
}
ENGINES = ("auto", *_CANNOT)
