"""Frequency-domain filters: against block LMS and LMS, published results, splits, silence, bursts, gradients."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt.engines.bins import Bins
from adaptfilt.engines.cpu import fft, transforms
from adaptfilt.engines.cpu.compile import compiled
from adaptfilt.filters.frequency.fdaf import fdaf_step

G168 = Path(__file__).parents[2] / "shared" / "data" / "g168_echo_paths.json"
DOUBLE: dict[str, Any] = {"dtype": torch.float64}


def signals(samples: int, h: Any, noise: float = 0.0, complex_: bool = False, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(samples) + (1j * rng.standard_normal(samples) if complex_ else 0)
    v = rng.standard_normal(samples) + (1j * rng.standard_normal(samples) if complex_ else 0)
    return x, lfilter(h, 1, x) + noise * v


@pytest.mark.parametrize("complex_", [False, True])
def test_with_a_constant_step_it_is_block_lms(complex_: bool) -> None:
    M, B, mu = 20, 8, 0.01
    x, d = signals(400, np.exp(-np.arange(M) / 5) * ((1 + 0.3j) if complex_ else 1), 0.1, complex_)
    w, past, outputs = np.zeros(M, x.dtype), np.concatenate([np.zeros(M - 1), x]), []
    for first in range(0, 400, B):
        u = np.stack([past[n : n + M][::-1] for n in range(first, first + B)])
        y = u @ w
        outputs.append(y)
        w = w + mu * (d[first : first + B] - y) @ u.conj()
    f = af.FDAF(M, mu, block=B, normalized=False, dtype=torch.complex128 if complex_ else torch.float64)
    out = f(x, d)
    np.testing.assert_allclose(out.y, np.concatenate(outputs), atol=1e-13)
    np.testing.assert_allclose(out.w, w, atol=1e-13)


def test_blocks_of_one_sample_are_lms() -> None:
    x, d = signals(500, [1.0, -0.5, 0.2], 0.1)
    f, g = af.FDAF(5, 0.01, block=1, normalized=False, constraint="full", **DOUBLE), af.LMS(5, 0.01, **DOUBLE)
    for a, b in zip(f(x, d), g(x, d), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13)


@pytest.mark.parametrize("delay", [0, 64, 150, 200, 301])
@pytest.mark.parametrize("make", [lambda: af.FDAF(576, 1.0, block=64), lambda: af.FDKF(576, block=64)])
def test_a_delay_is_learned_to_30_db(make: Any, delay: int) -> None:
    """WebRTC, aec3/adaptive_fir_filter_unittest.cc, FilterAndAdapt: 500 blocks of 64, 30 dB in the last one."""
    rng = np.random.default_rng(delay)
    x = rng.uniform(-32767, 32767, 500 * 64) / 32768
    d = np.concatenate([np.zeros(delay), x[: len(x) - delay]]) + rng.uniform(-0.01, 0.01, len(x))
    e = make()(x, d).e
    assert 1000 * np.sum(e[-64:] ** 2) < np.sum(d[-64:] ** 2)


def matlab_level(total: Any, S: Any, lam: Any) -> Any:
    S = lam * S + (1 - lam) * total
    return S, S


class Matlab(af.FDAF):
    """The rule of MATLAB's filter: a power that starts at 1, far too low, and no look at the present one."""

    algorithm = Bins(level=matlab_level, step=fdaf_step, state={"S": "bin"})

    def start(self) -> dict[str, Any]:
        return {"S": 1.0}


class Unguarded(af.FDAF):
    """The rule of `FDAF` without its look at the present power."""

    algorithm = Bins(
        level=lambda total, S, share, lam: ((v := (lam * S + (1 - lam) * total)) / (n := lam * share + 1 - lam), v, n),
        step=fdaf_step,
        state={"S": "bin", "share": "bin"},
    )


def qpsk_curve(cls: Any, mu: float) -> Any:
    """Return mean |e|^2 in blocks of 32 samples over 50 runs of the example on the page of MATLAB's filter."""
    rng = np.random.default_rng(0)
    s = np.sqrt(2) * np.exp(0.25j * np.pi) * 1j ** rng.integers(0, 4, (50, 1040))
    noise = 0.1 * (rng.standard_normal(s.shape) + 1j * rng.standard_normal(s.shape))
    x = lfilter(np.exp(0.25j * np.pi) * np.array([-0.7, 1]), [1, -0.7], s) + noise
    f = cls(32, mu, block=32, eps=0.0, batch=50, dtype=torch.complex128, engine="reference")
    return np.mean(np.abs(f(x[:, 16:], s[:, :1024]).e) ** 2, 0).reshape(32, 32).mean(-1)


def test_the_qpsk_equaliser_of_matlabs_fdaf_learns_as_its_equations_do() -> None:
    """MATLAB, dsp.FrequencyDomainAdaptiveFilter, the page's example; figures: its equations' means over 50 seeds."""
    curve = qpsk_curve(Matlab, 0.1)
    np.testing.assert_allclose(curve[[0, 1, 3, 7, 15, 31]], [2.00, 1.58, 0.42, 0.142, 0.055, 0.027], rtol=0.15)


def test_the_look_at_the_present_power_costs_a_third_of_the_step() -> None:
    """The mean of |X|^2 over the larger of both powers, against that over the average alone, where X is Gaussian."""
    x2, S, share, guarded, plain = np.random.default_rng(0).exponential(size=(300, 2000)), 0.0, 0.0, [], []
    for now in x2:
        S, share = 0.9 * S + 0.1 * now, 0.9 * share + 0.1
        guarded.append(np.mean(now / np.maximum(S / share, now)))
        plain.append(np.mean(now * share / S))
    kept = np.mean(guarded[50:]) / np.mean(plain[50:])
    assert 0.64 < np.mean(guarded[50:]) < 0.66
    assert 0.66 < kept < 0.69
    np.testing.assert_allclose(qpsk_curve(af.FDAF, 0.1 / kept), qpsk_curve(Unguarded, 0.1), rtol=0.06)


def test_eight_taps_are_found_to_seven_decimals() -> None:
    """adafilt 0.1.0, tests of its FastBlockLMSFilter: 8 taps, a block of 8, mu = 1, no noise."""
    rng = np.random.default_rng(42)
    h, x = rng.normal(size=8), rng.normal(size=8 * 500)
    f = af.FDAF(8, 1.0, **DOUBLE)
    np.testing.assert_array_almost_equal(f(x, lfilter(h, 1, x)).w, h, decimal=7)


def test_unconstrained_spectra_reach_the_error_but_not_the_response() -> None:
    """Yang, Enzner and Yang, "On the convergence behavior of PBFDAF", IEEE Trans. Signal Processing, 2021."""
    h = np.random.default_rng(1).standard_normal(256) / 16
    x, d = signals(60_000, h, 0.01)
    full, none = (af.FDAF(256, 0.2, block=64, constraint=c)(x, d) for c in ("full", "none"))
    missed = np.sum((none.w - h) ** 2)  # what white input would leave of the echo, were w the response
    assert np.mean(none.e[-8000:] ** 2) < 0.1 * missed
    assert af.metrics.misalignment_db(none.w, h) > af.metrics.misalignment_db(full.w, h) + 10


@pytest.mark.parametrize("hop", [32, 8])
def test_the_kalman_step_settles_where_its_recursion_does(hop: int) -> None:
    """P of one bin with |X|^2 at its mean, R at the noise's: the fixed point of the scalar recursion."""
    A, noise, M = 0.99, 0.1, 32
    h = np.exp(-np.arange(M) / 8)
    x, d = signals(40_000, h, noise)
    f = af.FDKF(M, block=M, hop=hop, A=A, beta=0.9, decay=0.0, **DOUBLE)
    f(x, d)
    x2, W2 = 2 * M, np.abs(np.fft.rfft(h, 2 * M)) ** 2
    P, R = np.ones(M + 1), M * noise**2
    for _ in range(2000):
        m = P / (P * x2 + 2 * R)
        left = (1 - hop / M * m * x2 / 2) * P
        P = left + (1 - A**2) * np.maximum(W2 - left, 0)
    got = f.P.numpy()[0]
    assert 0.4 < np.median(got / P) < 2.5  # X and E fluctuate, the recursion has their means


def test_overlap_is_no_news() -> None:
    """The same signal in hops of a quarter block: P falls as fast in time as with whole blocks."""
    x, d = signals(640, np.exp(-np.arange(32) / 8), 1.0)
    left = []
    for hop in (32, 8):
        f = af.FDKF(32, block=32, hop=hop, A=1.0, decay=0.0, **DOUBLE)
        f(x, d)
        left.append(float(f.P.median()))
    assert 0.6 < left[0] / left[1] < 1.6


def test_a_far_end_that_repeats_itself_does_not_drive_the_kalman_filter_up() -> None:
    """A period that is none of the block's, for 25 s: where nothing bounds what wanders, W and P raise each other.

    The errors then stand 80 dB above the echo; with a bound they never are louder than it is.
    """
    pytest.importorskip("rocket_fft")
    rng = np.random.default_rng(1)
    x = np.tile(rng.standard_normal(160), 2500)
    e = af.FDKF(512)(x, x + 1e-3 * rng.standard_normal(x.size)).e
    assert af.metrics.mse_db(e[-50_000:]) < 0


@pytest.mark.parametrize("make", [
    lambda **k: af.FDAF(100, 0.5, block=32, **k), lambda **k: af.FDKF(100, block=32, hop=8, **k),
])  # fmt: skip
@pytest.mark.parametrize("constraint", ["full", "alternate", "none"])
def test_no_output_waits_and_any_split_is_one_block(make: Any, constraint: str) -> None:
    x, d = signals(1000, np.exp(-np.arange(100) / 20), 0.1)
    whole, parts = make(constraint=constraint, **DOUBLE), make(constraint=constraint, **DOUBLE)
    want, rng, got, first = whole(x, d), np.random.default_rng(3), [], 0
    while first < 1000:
        last = first + int(rng.integers(1, 70))
        got.append(parts(x[first:last], d[first:last]).y)
        first = last
    np.testing.assert_allclose(np.concatenate(got), want.y, atol=1e-12)
    np.testing.assert_allclose(parts.w, whole.w, atol=1e-12)


@pytest.mark.parametrize("constraint", ["full", "alternate", "none"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64])
def test_the_compiled_engine_equals_the_reference(constraint: str, dtype: torch.dtype) -> None:
    """Whole hops, parts of hops, a weight for every sample, a record, several inputs and outputs, a batch."""
    pytest.importorskip("rocket_fft")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 700)) + (1j * rng.standard_normal((2, 3, 700)) if dtype.is_complex else 0)
    d = np.stack([x[:, 0], 0.5 * x[:, 1] - np.roll(x[:, 2], 3, -1)], 1)
    tolerance = 1e-11 if dtype == torch.float64 else 2e-4
    for cls, own in ((af.FDAF, {"mu": 0.5, "leak": 0.01, "block": 16}), (af.FDKF, {"block": 16, "hop": 4})):
        common = {"constraint": constraint, "dtype": dtype, "inputs": 3, "outputs": 2, "batch": 2, **own}
        f, g = (cls(40, engine=engine, **common) for engine in ("compiled", "reference"))
        for first, last in ((0, 16), (16, 19), (19, 20), (20, 300), (300, 700)):
            weights = np.where(rng.random(last - first) > 0.2, own.get("mu", 1.0), 0.0)
            for options in ({}, {"record_every": 7, "mu": weights}):
                for a, b in zip(f(x[..., first:last], d[..., first:last], **options),
                                g(x[..., first:last], d[..., first:last], **options), strict=True):  # fmt: skip
                    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        for a, b in zip(f.buffers(), g.buffers(), strict=True):
            torch.testing.assert_close(a, b, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.filterwarnings("ignore:mu = .*does not converge")
@pytest.mark.parametrize("engine", ["reference", "auto"])
@pytest.mark.parametrize("mu", [0.5, 0.0, torch.tensor([0.5, 0.0, 0.2])], ids=["number", "none", "tensor"])
def test_step_sizes_that_change_in_the_middle_of_a_hop_hold_from_there(mu: Any, engine: str) -> None:
    batch = tuple(getattr(mu, "shape", ()))
    x, d = (np.tile(v, (*batch, 1)) for v in signals(64, np.exp(-np.arange(12) / 4)))
    f, g = (af.FDAF(16, mu, block=8, leak=0.1, engine=engine, batch=batch, **DOUBLE) for _ in "12")
    steps = np.empty((*batch, 64))
    steps[:] = np.asarray(mu)[..., None]
    steps[..., 20:33], steps[..., 37:45], steps[..., 45:] = 0.1, 0.3, 0.4
    f(x[..., :20], d[..., :20])
    f(x[..., 20:33], d[..., 20:33], mu=0.1)
    f(x[..., 33:37], d[..., 33:37])
    f.mu = 0.3
    f(x[..., 37:45], d[..., 37:45])
    f.mu = torch.full(batch, 0.4)
    f(x[..., 45:], d[..., 45:])
    g(x, d, mu=steps)
    np.testing.assert_allclose(f.w, g.w, rtol=1e-6)  # 0.4 comes in single precision


def test_short_frames_go_a_shorter_way_to_the_same_numbers() -> None:
    """Arrays, tensors and another precision, in rows; what is refused changes nothing; weights set between frames."""
    pytest.importorskip("rocket_fft")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 512))
    d = 0.5 * np.roll(x, 3, -1)
    whole, *others = (af.FDAF(24, 0.5, block=16, batch=2, **DOUBLE) for _ in range(4))
    want = whole(np.tile(x, 4), np.tile(d, 4))  # too long for a frame
    kinds = [lambda v: v, torch.from_numpy, lambda v: v.astype(">f8")]
    for f, kind in zip(others, kinds, strict=True):
        frames = [f(kind(x[:, n : n + 5]), kind(d[:, n : n + 5])) for n in range(0, 512, 5)]
        assert all(isinstance(v, torch.Tensor) == (kind is torch.from_numpy) for v in frames[0])
        for name in ("y", "e"):
            got = np.concatenate([np.asarray(getattr(out, name)) for out in frames], -1)
            np.testing.assert_allclose(got, getattr(want, name)[:, :512], atol=1e-12)
        np.testing.assert_allclose(frames[-1].w, f.w, atol=1e-12)
    for part in ({"mu": 0.0}, {}):  # frozen by a step and by eval, as on the other way
        f, g = (o.train(bool(part)) for o in others[:2])
        v, u = (np.ascontiguousarray(s[:, :20]) for s in (x, d))
        for a, b in zip(f(v, u, **part), g(v, u, mu=np.zeros((2, 1))), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)
    f, before = others[0].train(), copy.deepcopy(others[0].state_dict())
    for wrong, error in ((np.nan, ValueError), (1e200, af.DivergenceError)):
        with pytest.raises(error):
            f(np.full((2, 16), wrong), np.full((2, 16), wrong))
        for a, b in zip(before.values(), f.state_dict().values(), strict=True):
            assert torch.equal(a, b)
    f.w = np.ones((2, 24))
    np.testing.assert_allclose(f(x[:, :1], d[:, :1]).w, 1, atol=1e-12)


def test_the_loops_run_uncompiled() -> None:
    """They are plain Python, to be stepped through; `fft` and `memory` have their words in NumPy and torch."""
    V, v = np.zeros((2, 5), complex), np.random.default_rng(0).standard_normal((2, 8))
    fft.forward(v, V)
    np.testing.assert_allclose(V, np.fft.rfft(v))
    back = np.zeros((2, 8))
    fft.backward(V, back)
    np.testing.assert_allclose(back, v)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_transforms_of_vectors_are_numpys(dtype: str) -> None:
    """As they stand, compiled, and by rocket-fft where the length is no power of two or short; rows side by side."""
    pytest.importorskip("rocket_fft")
    there, back = (compiled(f) for f in (lambda v, V, p: fft.forward(v, V, p), lambda V, v, p: fft.backward(V, v, p)))
    for N in (2, 24, 64, 128, 256, 512, 1024, 4096):
        v, plan = np.random.default_rng(N).standard_normal((3, N)).astype(dtype), transforms.plan(N).astype(dtype)
        want, V, again = np.fft.rfft(v.astype(float)), np.zeros((3, N // 2 + 1), np.result_type(dtype, "c8")), 0 * v
        tolerance = 4 * np.finfo(dtype).eps * np.log2(N)
        there(v, V, plan)
        np.testing.assert_allclose(V, want, rtol=0, atol=tolerance * np.abs(want).max())
        back(V, again, plan)
        np.testing.assert_allclose(again, v, rtol=0, atol=tolerance * np.abs(v).max())
        assert transforms.fits(N) == (N >= 128) == bool(plan[0])
        if transforms.fits(N):
            row, plan = np.zeros(N + 2), transforms.plan(N)
            transforms.forward_row(v[0].astype(float), row, plan, N)
            np.testing.assert_allclose(row.view(complex), want[0], rtol=0, atol=1e-14 * N)
            transforms.backward_row(row, v64 := np.zeros(N), plan, N)
            np.testing.assert_allclose(v64, v[0], rtol=0, atol=1e-13)


def test_a_second_process_links_the_object_file(tmp_path: Any) -> None:
    pytest.importorskip("rocket_fft")
    code = "import numpy as np, adaptfilt as af, sys; f = af.FDAF(8, 0.5, block=4, engine='compiled');" \
        "y = f(np.ones(20), np.ones(20)).y; print(y.sum(), 'numba' in sys.modules)"  # fmt: skip
    runs = [
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "ADAPTFILT_CACHE": str(tmp_path)},
                       capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]  # fmt: skip
    assert runs[0][0] == runs[1][0]
    assert (runs[0][1], runs[1][1]) == ("True", "False")


@pytest.mark.parametrize("make", [lambda **k: af.FDAF(64, 0.5, block=16, **k), lambda **k: af.FDKF(64, block=16, **k)])
def test_a_burst_and_long_silence_do_no_harm(make: Any) -> None:
    h = np.exp(-np.arange(64) / 10)
    x, d = signals(8000, h)
    x[2000:2010] *= 1e6
    d = lfilter(h, 1, x)
    f = make(**DOUBLE)
    f(x, d)
    silent = np.zeros(16 * 2000)
    before = f.w.clone()
    f(silent[:64], silent[:64])
    out = f(silent, silent)
    assert torch.equal(f.w, before) or np.isfinite(out.w).all()
    assert all(torch.isfinite(v).all() for v in f.state_dict().values())
    f(x[3000:], lfilter(h, 1, x[3000:]))
    assert af.metrics.misalignment_db(f.w, h) < -20


def test_gradients_of_everything() -> None:
    x, d = (torch.as_tensor(v) for v in signals(24, [1.0, 0.5, -0.3], 0.1))
    w0 = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    mu, A, beta = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.4, 0.9, 0.5))
    leaves = [v.clone().requires_grad_() for v in (x, d)]

    def fdaf(x: Any, d: Any, mu: Any, w0: Any) -> Any:
        return af.FDAF(8, mu, block=4, w0=w0, **DOUBLE)(x, d).e

    def fdkf(x: Any, d: Any, A: Any, beta: Any) -> Any:
        return af.FDKF(8, block=4, hop=2, A=A, beta=beta, **DOUBLE)(x, d).e

    assert torch.autograd.gradcheck(fdaf, (*leaves, mu, w0))
    assert torch.autograd.gradcheck(fdkf, (*leaves, A, beta))


class Step(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.1))

    def forward(self, level: Any, x2: Any) -> Any:
        return self.gain / (level + 0 * x2)


def test_a_module_stands_in_place_of_the_step() -> None:
    x, d = signals(400, [1.0, 0.5, -0.3])
    step = Step()
    f, g = af.FDAF(8, 1.0, block=4, step=step), af.FDAF(8, 0.1, block=4)
    e = f(torch.as_tensor(x).float(), torch.as_tensor(d).float()).e
    np.testing.assert_allclose(e.detach(), g(x, d).e, atol=1e-4)
    e.square().mean().backward()
    assert float(step.gain.grad) < 0  # type: ignore[arg-type]  # a larger step is better
    assert any(p is step.gain for p in f.parameters())


class OfErrors(torch.nn.Module):
    """The step of FDKF with A = 1 and beta = 0, from the power of the errors itself."""

    def forward(self, x2: Any, e2: Any, P: Any, hop: Any, block: Any) -> Any:
        m = P / ((P * x2).sum((-3, -2), keepdim=True) + 2 * (e2 + 1e-9))
        return m, (1 - hop / block * m * x2 / 2) * P


def test_a_module_is_given_the_power_of_the_errors_and_refused_what_there_is_not() -> None:
    x, d = signals(600, np.exp(-np.arange(16) / 5), 0.1)
    f, g = (af.FDKF(16, block=8, hop=4, A=1.0, beta=0.0, engine="reference", **more, **DOUBLE)
            for more in ({"step": OfErrors()}, {}))  # fmt: skip
    np.testing.assert_allclose(f(x, d).w, g(x, d).w, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="step takes P, which there is not: there are level, x2, w2, e2, lam, eps"):
        af.FDAF(16, 0.5, step=OfErrors())


def test_several_inputs_and_outputs() -> None:
    rng = np.random.default_rng(0)
    h = rng.standard_normal((2, 3, 12)) * np.exp(-np.arange(12) / 4)
    x = rng.standard_normal((3, 6000))
    d = sum(np.stack([lfilter(h[q, c], 1, x[c]) for q in range(2)]) for c in range(3))
    for f in (af.FDAF(12, 0.5, block=4, inputs=3, outputs=2), af.FDKF(12, block=4, inputs=3, outputs=2)):
        w = f(x, d).w
        assert w.shape == (2, 3, 12)
        assert np.abs(w - h).max() < 0.02


def test_axes_of_one_are_none() -> None:
    """adafilt 0.1.0, tests of its multichannel filter: of one channel it is the plain one, to 7 decimals."""
    x, d = signals(1000, np.exp(-np.arange(8) / 2), 0.1)
    plain, wide = af.FDAF(8, 0.5, block=4, **DOUBLE), af.FDAF(8, 0.5, block=4, inputs=1, outputs=1, **DOUBLE)
    np.testing.assert_array_almost_equal(wide(x[None], d[None]).w[0, 0], plain(x, d).w, decimal=7)
    both = af.FDAF(8, 0.5, block=4, inputs=2, outputs=2, **DOUBLE)  # a second input of zeros, a second output like it
    w = both(np.stack([x, 0 * x]), np.stack([d, 2 * d])).w
    np.testing.assert_array_almost_equal(w[:, 0], np.stack([plain.w, 2 * plain.w]), decimal=7)
    assert not w[:, 1].any()


def test_a_filter_in_every_band_is_found() -> None:
    """pyroomacoustics 0.10.1, test of its SubbandLMS: 6 taps a band, frames of 128, hops of 64, mu = 0.5, no noise."""
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.standard_normal(20_000))
    X = torch.stft(x, 128, 64, window=torch.hann_window(128, dtype=x.dtype), return_complex=True, center=False)
    h = rng.standard_normal((65, 6)) + 1j * rng.standard_normal((65, 6))
    d = np.stack([lfilter(taps, 1, row) for taps, row in zip(h, X.numpy(), strict=True)])
    f = af.NLMS(6, 0.5, batch=65, dtype=torch.complex128, engine="reference")
    assert np.abs(f(X.numpy(), d).w - h).max() < 1e-5


def test_what_is_adapted_from_outside_is_what_a_block_adapts() -> None:
    x, d = signals(100, [1.0, 0.5, -0.3], 0.1)
    f, g = (af.FDAF(8, 0.5, block=4, **DOUBLE) for _ in range(2))
    for x_n, d_n in zip(x, d, strict=True):
        f.adapt(d_n - f.predict(x_n))
    np.testing.assert_allclose(f.w, g(x, d).w, atol=1e-13)


def test_bad_arguments() -> None:
    for arguments, text in (
        ({"block": 8, "hop": 3}, "hop must divide block, 8, got 3"),
        ({"constraint": "some"}, "constraint must be"),
        ({"step": 3}, "step must be a torch module"),
        ({"sps": 2}, "sps cannot be given"),
        ({"engine": "block"}, "engine must be one of"),
    ):
        with pytest.raises((ValueError, TypeError), match=text):
            af.FDAF(16, 0.5, **arguments)
    with pytest.warns(UserWarning, match=r"mu = 2.5 lies outside \(0, 2\)"):
        af.FDAF(16, 2.5)
    assert af.FDAF(16, 2.5, normalized=False).mu == 2.5  # 1 / (units of x)^2
    with pytest.raises(ValueError, match="p0 must not require a gradient"):
        af.FDKF(16, p0=torch.tensor(1.0, requires_grad=True))
    with pytest.raises(ValueError, match="bin state"):
        Bins(step=lambda level, S: level, level=lambda total, S: (total, S), state={"S": "bin"})
    f = af.FDAF(16, 0.5, block=8, batch=(2,))
    f(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="between hops"):
        f.reset([True, False])


@pytest.mark.skipif(not G168.exists(), reason="shared/data is absent")
def test_g168_2a_and_2b() -> None:
    """ITU-T G.168: after 1 s the residual stays at or under -65 dBm0 for 9 s; the same again on another path."""
    fs, zero = 8000, 10 ** (-3.14 / 20) / np.sqrt(2)  # the rms value of 0 dBm0
    names = ["D.2", "D.3", "D.4", "D.5"]
    h = [af.plants.g168(G168, name).b for name in names]
    x = 10 ** (-10 / 20) * zero * np.random.default_rng(0).standard_normal(20 * fs + 1600)
    x[:1600] = 0
    change = 10 * fs + 1600
    d = np.stack([
        np.append(lfilter(h[i], 1, x)[:change], lfilter(h[i - 1], 1, x)[change:]) for i in range(len(h))
    ])  # fmt: skip
    f = af.FDAF(128, 0.5, block=32, constraint="alternate", batch=len(h), engine="reference", **DOUBLE)
    e = f(np.tile(x, (len(h), 1)), d).e
    for start in (1600, change):
        settled = e[:, start + fs : start + 10 * fs - 40].reshape(len(h), -1, 280)  # of 35 ms
        assert 20 * np.log10(np.sqrt(np.mean(settled**2, -1)).max() / zero) < -65


@pytest.mark.parametrize("samples", [10**7, pytest.param(10**9, marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", [
    lambda: af.FDAF(1024, 0.5, constraint="alternate"), lambda: af.FDKF(1024, constraint="alternate"),
])  # fmt: skip
def test_single_precision_does_not_drift(make: Any, samples: int) -> None:
    """However long it runs: the misalignment is that of the first second, and all that is carried is finite."""
    pytest.importorskip("rocket_fft")
    rng = np.random.default_rng(0)
    x, h = rng.standard_normal(2**18).astype("f"), 0.1 * np.exp(-np.arange(1024) / 200) * rng.standard_normal(1024)
    spectrum = np.fft.rfft(x) * np.fft.rfft(h, x.size)
    d = (np.fft.irfft(spectrum) + 1e-3 * rng.standard_normal(x.size)).astype("f")  # x goes round
    f, missed = make(), []
    f(x, d)
    for _ in range(samples // x.size):
        missed.append(af.metrics.misalignment_db(f(x, d).w, h))
    assert max(missed[1:]) < missed[0] + 1
    assert all(torch.isfinite(v).all() for v in f.state_dict().values())


def test_a_conjugate_that_torch_has_not_written_out_is_taken_as_it_reads() -> None:
    x, d = torch.randn(2, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    got, want = (af.FDKF.example(dtype=torch.complex64, engine=engine)(x.conj(), d) for engine in ("auto", "reference"))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
