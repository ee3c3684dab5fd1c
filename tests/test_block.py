"""The block engine against the recursion written out sample by sample, and against autograd through it."""

import pytest
import torch
from scipy.signal import lfilter
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from adaptfilt.engines.tensors.block import run

REAL, COMPLEX = torch.float64, torch.complex128
SHAPES = [((), 130, 5), ((2, 5), 70, 33), ((70,), 40, 5), ((130,), 20, 64), ((), 420, 200)]  # all paths and block sizes


def nlms(e, energy, mu, eps):
    return mu / (eps + energy) * e


def fourth(e, energy, mu, eps):
    """A gain that is not linear in the error: least mean fourth, normalised twice to stay stable."""
    return mu / (eps + energy) * e * (e * e.conj()).real / (1 + (e * e.conj()).real)


def literal(gain, x, d, w, params, *, leak=0.0, rows=False, record_every=None):
    """The recursion as docs/notation.md states it, a sample at a time."""
    taps, ys, record = w.shape[-1], [], []
    params = params | {"leak": leak if torch.is_tensor(leak) else torch.tensor([leak], dtype=w.real.dtype)}
    for n in range(d.shape[-1]):
        u = x[..., n, :] if rows else x[..., n : n + taps].flip(-1)
        now = {name: v[..., n if v.shape[-1] > 1 else 0] for name, v in params.items()}
        decay = 1 - now["mu"] * now.pop("leak")
        active = ~d[..., n].isnan()
        y = (u * w).sum(-1)
        g = gain(torch.where(active, d[..., n], 0) - y, (u * u.conj()).real.sum(-1), **now)
        w = torch.where(active[..., None], decay[..., None] * w + g[..., None] * u.conj(), w)
        ys.append(y)
        record += [w] if record_every and (n + 1) % record_every == 0 else []
    y = torch.stack(ys, -1)
    empty = w[..., None, :][..., :0, :]
    return y, d - y, w, (torch.stack(record, -2) if record else empty) if record_every else None


def problem(batch=(), samples=130, taps=5, dtype=REAL, rows=False):
    """Return random x, d, w and constant mu, eps."""
    torch.manual_seed(samples + taps)
    x = torch.randn(*batch, *((samples, taps) if rows else (samples + taps - 1,)), dtype=dtype)
    d, w = torch.randn(*batch, samples, dtype=dtype), torch.randn(*batch, taps, dtype=dtype)
    return x, d, w, {"mu": torch.tensor([0.4], dtype=REAL), "eps": torch.tensor([0.1], dtype=REAL)}


def assert_same(actual, expected, tolerance=1e-12):
    for a, b in zip(actual, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def compare(gain, x, d, w, params, **options):
    """Compare what comes out, and the gradients of a random linear form of it in all that goes in."""
    options["rows"] = x.ndim > d.ndim
    leaves = [x, d, w, *params.values(), *([options["leak"]] if "leak" in options else [])]
    for v in leaves:
        v.requires_grad_()
    actual = run(gain, x, d, w, params, linear=gain is nlms, **options)
    expected = literal(gain, x, d, w, params, **options)
    assert_same(actual, expected)
    seeds = [torch.randn_like(v) for v in actual if v is not None]
    seeds[1] = torch.where(d.isnan(), 0, seeds[1])
    both = [torch.autograd.grad([v for v in o if v is not None], leaves, seeds) for o in (actual, expected)]
    for a, b in zip(*both, strict=True):
        assert a.isfinite().all()
        assert (a - b).abs().max() <= 1e-11 * max(1, b.abs().max())


@pytest.mark.parametrize("taps", [1, 2, 5, 33, 64])
def test_equals_the_recursion_at_every_length(taps):
    for samples in (1, 3, 64, 65, 200):
        compare(nlms, *problem((), samples, taps))


@pytest.mark.parametrize(("batch", "samples", "taps"), SHAPES)
@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
@pytest.mark.parametrize("gain", [nlms, fourth])
def test_equals_the_recursion_with_every_option(batch, samples, taps, dtype, gain):
    x, d, w, params = problem(batch, samples, taps, dtype)
    d[..., samples // 2] = torch.nan
    params["mu"] = torch.rand(*batch, samples, dtype=REAL) * (torch.rand(*batch, samples) > 0.3)
    params["eps"] = torch.rand(*batch, 1, dtype=REAL) + 0.1
    leak = torch.rand(*batch, samples, dtype=REAL) * 0.1
    compare(gain, x, d, w, params, leak=leak)


@pytest.mark.parametrize("every", [1, 7, 100, 131])
@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
@pytest.mark.parametrize("rows", [False, True])
def test_records_are_the_weights_after_every_so_many_samples(every, dtype, rows):
    compare(nlms, *problem((2,), 130, 6, dtype, rows), record_every=every)
    compare(fourth, *problem((2,), 15, 6, dtype, rows), record_every=every)


@pytest.mark.parametrize(("batch", "samples", "taps"), SHAPES[:4])
def test_takes_ready_regressors(batch, samples, taps):
    compare(nlms, *problem(batch, samples, taps, rows=True), leak=torch.tensor([0.05], dtype=REAL))


def test_a_long_block_is_taken_in_chunks():
    x, d, w, params = problem((), 9000, 64)  # two chunks and a part
    assert_same(run(nlms, x, d, w, params, linear=True), literal(nlms, x, d, w, params))
    compare(nlms, *problem((100,), 70, 64))  # of blocks
    compare(nlms, *problem((200,), 40, 64))  # of samples


def test_without_a_step_is_the_fixed_filter():
    x, d, w, params = problem((), 300, 33)
    y, _, after, _ = run(nlms, x, d, w, params | {"mu": torch.zeros(1, dtype=REAL)}, linear=True)
    expected = torch.from_numpy(lfilter(w.numpy(), 1, x.numpy()))[32:]
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(after, w)


def test_a_sample_with_unknown_d_changes_nothing():
    x, d, w, params = problem((), 100, 8)
    d[60:] = torch.nan
    y, e, after, _ = run(nlms, x, d, w, params, leak=0.1, linear=True)
    assert torch.equal(e.isnan(), d.isnan())
    assert y.isfinite().all()
    _, _, before, _ = run(nlms, x[:67], d[:60], w, params, leak=0.1, linear=True)
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("batch", [(), (130,)])
def test_a_burst_leaves_no_trace(rows, batch):
    """Not one bit of a burst is left once it is out of the window, with adaptation held until then."""
    taps = 64
    x, d, w, params = (v.float() if torch.is_tensor(v) else v for v in problem(batch, 500, taps))
    params = {"mu": torch.full((500,), 0.5), "eps": torch.tensor([1e-6])}
    params["mu"][100 : 130 + taps] = 0
    burst = x.clone()
    burst[..., taps - 1 + 100 : taps - 1 + 130] *= 1e6
    outputs = []
    for stream in (x, burst):
        stream = stream.unfold(-1, taps, 1).flip(-1) if rows else stream
        outputs.append(run(nlms, stream, d, w, params, linear=True, rows=rows))
    (y, _, after, _), (burst_y, _, burst_after, _) = outputs
    assert not torch.equal(y, burst_y)
    assert torch.equal(y[..., 130 + taps :], burst_y[..., 130 + taps :])
    assert torch.equal(after, burst_after)


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
@pytest.mark.parametrize("gain", [nlms, fourth])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # of torch's own forward mode
def test_gradcheck(dtype, gain, per_sample):
    """In x, d, w0, mu, eps and leak, of y, e, w and the record; blocks of three samples, two, and one."""
    x, d, w, _ = problem((2,), 5, 2, dtype)
    mu, eps, leak = (torch.rand(2, 5 if per_sample else 1, dtype=REAL) + 0.1 for _ in range(3))

    def outputs(x, d, w, mu, eps, leak):
        return run(gain, x, d, w, {"mu": mu, "eps": eps}, leak=leak, linear=gain is nlms, record_every=3)

    inputs = [v.requires_grad_() for v in (x, d, w, mu, eps, leak)]
    assert gradcheck(outputs, inputs, check_forward_ad=True)
    assert gradgradcheck(outputs, inputs)


@pytest.mark.parametrize("gain", [nlms, fourth])
def test_a_gradient_of_a_gradient_over_many_chunks(gain):
    """Of sums, whose own second derivative is zero, too; with y's first gradient kept apart from that of w."""
    x, d, w, params = problem((30,), 130, 70)
    leaves = [x, d, w, *params.values()]
    for v in leaves:
        v.requires_grad_()
    for form in (torch.sum, lambda v: v.square().mean()):
        found = []
        for outputs in (run(gain, x, d, w, params, linear=gain is nlms), literal(gain, x, d, w, params)):
            first = torch.autograd.grad(sum(form(v) for v in outputs[:3]), leaves, create_graph=True)
            found.append(torch.autograd.grad(sum(v.square().mean() for v in first), leaves))
        for a, b in zip(*found, strict=True):
            assert b.abs().max() > 0
            assert (a - b).abs().max() <= 1e-11 * max(1, b.abs().max())


def test_many_gradients_at_once():
    x, d, w, params = problem((), 70, 4)
    x.requires_grad_()
    after = run(nlms, x, d, w, params, linear=True)[2]
    rows = torch.stack([torch.autograd.grad(v, x, retain_graph=True)[0] for v in after])
    at_once = torch.autograd.grad(after, x, torch.eye(4, dtype=REAL), is_grads_batched=True)[0]
    torch.testing.assert_close(at_once, rows, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("which", range(4))
def test_gradients_of_some_inputs_only(which):
    x, d, w, params = problem((), 70, 4)
    leaf = (x, d, w, params["mu"])[which].requires_grad_()
    outputs = run(nlms, x, d, w, params, leak=0.1, linear=True), literal(nlms, x, d, w, params, leak=0.1)
    a, b = (torch.autograd.grad(y.square().sum() + v.sum(), leaf)[0] for y, _, v, _ in outputs)
    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_nothing_hangs_on_a_graph_when_no_gradient_is_wanted():
    assert not any(v.requires_grad for v in run(nlms, *problem(), linear=True)[:3])


def test_the_graph_keeps_a_few_numbers_a_sample():
    def numbers(samples):
        kept = []
        x, d, w, params = problem((), samples, 64)
        with saved_tensors_hooks(lambda v: kept.append(v) or v, lambda v: v):
            run(nlms, x.requires_grad_(), d, w, params, linear=True)
        return sum({v.untyped_storage().data_ptr(): v.untyped_storage().nbytes() for v in kept}.values()) / 8

    assert numbers(20_000) - numbers(10_000) <= 8 * 10_000  # the 64 weights of every sample would be eight times that


def test_the_largest_temporary_does_not_grow_with_the_block():
    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for v in out if isinstance(out, tuple | list) else [out]:
                self.size = max(self.size, v.untyped_storage().nbytes() if torch.is_tensor(v) else 0)
            return out

    def largest(samples):
        x, d, w, params = problem((), samples, 64)
        params["mu"].requires_grad_()
        with Largest() as mode:
            _, e, _, _ = run(nlms, x.requires_grad_(), d, w, params, linear=True)
            e.square().sum().backward()
        return mode.size

    assert largest(5_000) == largest(10_000)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # read by torch.compile itself where the graph breaks
def test_runs_in_a_compiled_module():
    class Canceller(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mu = torch.nn.Parameter(torch.tensor([0.4], dtype=REAL))

        def forward(self, x, d, w, eps):
            return run(nlms, 2 * x, d, w, {"mu": self.mu, "eps": eps}, linear=True)[1].square().mean()

    x, d, w, params = problem((), 100, 4)
    module = Canceller()
    losses = [m(x, d, w, params["eps"]) for m in (module, torch.compile(module, backend="eager"))]
    gradients = [torch.autograd.grad(loss, module.mu)[0] for loss in losses]
    assert torch.equal(*losses)
    assert torch.equal(*gradients)


def test_keeps_its_precision_under_autocast():
    x, d, w, params = problem((), 200, 8)
    x, d, w, params = x.float().requires_grad_(), d.float(), w.float(), {k: v.float() for k, v in params.items()}
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            y, *_ = run(nlms, x, d, w, params, linear=True)
            results.append((y, torch.autograd.grad(y.square().sum(), x)[0]))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
