"""A batch that follows the first block, and the reset of a part of it."""

from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af

X = np.random.default_rng(0).standard_normal((3, 2, 50))
FILTERS = [
    lambda **k: af.NLMS(4, **k),
    lambda **k: af.RLS(4, **k),
    lambda **k: af.LatticeRLS(4, **k),
    lambda **k: af.FDAF(4, 0.5, block=4, **k),
    lambda **k: af.FDKF(4, block=4, engine="reference", **k),
]


@pytest.mark.parametrize("make", FILTERS)
def test_the_batch_is_that_of_the_first_block_after_the_start(make: Any) -> None:
    f = make(batch="auto", dtype=torch.float64)
    for x in (X, X[0], X[0, 0], X):
        fixed = make(batch=x.shape[:-1], dtype=torch.float64)
        want = fixed(x, x)
        got = f.reset()(x, x)
        assert f.batch == x.shape[:-1]
        np.testing.assert_array_equal(got.y, want.y)
        np.testing.assert_array_equal(got.w, want.w)
    with pytest.raises(ValueError, match=r"x must have shape \(3, 2, T\)"):
        f(X[0], X[0])
    f.reset()
    np.testing.assert_array_equal(f.filter(X), make(batch=(3, 2), dtype=torch.float64).filter(X))


def test_a_trained_model_is_loaded_at_another_batch() -> None:
    class Canceller(torch.nn.Module):
        def __init__(self, batch: Any) -> None:
            super().__init__()
            self.f = af.NLMS(4, torch.nn.Parameter(torch.tensor(0.5)), batch=batch, adapt_in_eval=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.f.reset()
            return self.f(x, x).e

    model = Canceller("auto")
    x = torch.tensor(X[0], dtype=torch.float32)
    model(x).square().sum().backward()
    model.f.mu.data.fill_(0.7)
    model.f.reset()
    saved = model.state_dict()
    assert list(saved) == ["f.mu"]
    other = Canceller("auto").eval()
    other.load_state_dict(saved)
    y = torch.tensor(X, dtype=torch.float32)
    want = af.NLMS(4, 0.7, batch=(3, 2))(y, y).e
    torch.testing.assert_close(other(y).detach(), want)


def test_a_checkpoint_in_mid_stream_brings_its_batch() -> None:
    f, g = (af.RLS(4, batch="auto", dtype=torch.float64) for _ in range(2))
    f(X[..., :30], X[..., :30])
    g.load_state_dict(f.state_dict())
    assert g.batch == (3, 2)
    np.testing.assert_array_equal(g(X[..., 30:], X[..., 30:]).y, f(X[..., 30:], X[..., 30:]).y)


def test_axes_that_suggest_a_batch_name_it() -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(T,\).*batch=\(3, 2\)"):
        af.NLMS(4).filter(X)


def test_a_learned_start_follows_the_batch() -> None:
    w0 = torch.zeros(4, requires_grad=True)
    f = af.LMS(4, 0.01, w0=w0, batch="auto")
    x = torch.tensor(X[0], dtype=torch.float32)
    f(x, x).e.square().sum().backward()
    assert w0.grad is not None
    assert w0.grad.abs().sum() > 0


@pytest.mark.parametrize("make", FILTERS[:3])  # the others: between hops
def test_a_part_of_a_batch_returns_to_the_start(make: Any) -> None:
    f, fresh = make(batch=(2,), dtype=torch.float64), make(dtype=torch.float64)
    f(X[0], X[0])
    f.reset(np.array([True, False]))
    out, want = f(X[0], X[0]), fresh(X[0, 0], X[0, 0])
    np.testing.assert_allclose(out.y[0], want.y, rtol=1e-12, atol=1e-12)
    assert not np.allclose(out.y[1, :3], make(dtype=torch.float64)(X[0, 1], X[0, 1]).y[:3], rtol=1e-3)
    with pytest.raises(ValueError, match=r"mask must be bool of shape \(2,\)"):
        f.reset(np.array([True]))
