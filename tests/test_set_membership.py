"""Filters that adapt only where the error is beyond a bound: their theorem, the problem they solve, and their count."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

import adaptfilt as af

REAL: dict[str, Any] = {"dtype": torch.float64}


def bounded(samples: int, largest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return complex, coloured input, the output of a plant in noise of at most this magnitude, and the plant."""
    rng = np.random.default_rng(0)
    x, v = (rng.standard_normal((2, samples)) * [[1], [1j]]).sum(0), rng.standard_normal((2, samples))
    x = x + 0.9 * np.roll(x, 1)
    h = np.array([0.5, -0.3j, 0.2 + 0.1j, -0.1])
    noise = largest * np.sqrt(rng.random(samples)) * np.exp(1j * v[0])
    return x, np.convolve(x, h)[:samples] + noise, h


@pytest.mark.parametrize("make", [
    lambda **k: af.SetMembershipNLMS(4, 0.1, eps=1e-30, **k),
    lambda **k: af.PassiveAggressive(4, 0.1, aggressiveness=1e30, **k),
])  # fmt: skip
def test_no_update_leads_away_from_the_plant_and_updates_come_to_an_end(make: Any) -> None:
    x, d, h = bounded(20000, 0.1)
    f = make(dtype=torch.complex128)
    out = f(x, d, record_every=1)
    distance = np.linalg.norm(np.vstack([np.zeros(4), out.w]) - h, axis=1)
    assert (np.diff(distance) <= 1e-15).all()
    assert distance[-1] < 0.05
    adapted = np.abs(out.e) > 0.1
    assert adapted[:20].sum() > 15
    assert adapted[10000:].mean() < 0.003
    u = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.zeros(3), x]), 4)[:, ::-1]
    after = np.abs(d - (out.w * u).sum(-1))
    np.testing.assert_allclose(after[adapted], 0.1, rtol=1e-11)  # an update leads to the bound
    counted = np.abs(out.e) > 0.1001
    assert counted.sum() > 0.8 * adapted.sum()
    assert float(f.share) == counted.mean()
    assert (float(f.updates), float(f.samples)) == (counted.sum(), 20000)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("e", [0.05, 0.3, 2.0])
def test_passive_aggressive_solves_its_problem(squared: bool, e: float) -> None:
    u, C, bound = np.array([0.7, -1.2, 0.4]), 0.3, 0.1

    def price(t: float) -> float:
        left = max(0, abs(e - t * (u @ u)) - bound)
        return t**2 * (u @ u) / 2 + C * (left**2 if squared else left)

    best = minimize_scalar(price, bounds=(-1, 2), method="bounded", options={"xatol": 1e-10}).x
    f = af.PassiveAggressive(3, bound, aggressiveness=C, squared=squared, engine="reference", **REAL)
    w = f(u[None], np.array([e]), regressors=True).w
    np.testing.assert_allclose(w, best * u, atol=1e-7)


def test_affine_projection_counts_where_it_adapts() -> None:
    x, d, _ = bounded(300, 0.1)
    f = af.SetMembershipAP(4, 0.1, 2, dtype=torch.complex128, engine="reference")
    out = f(x, d, record_every=1)
    moved = (np.diff(np.vstack([np.zeros(4), out.w]), axis=0) != 0).any(1)
    assert moved.sum() - 3 <= float(f.updates) <= moved.sum() < 100  # a few end within 1.001 of the bound
    assert float(f.updates) == (np.abs(out.e) > 0.1001).sum()
    assert float(f.share) == pytest.approx(float(f.updates) / 300)


def test_what_does_not_adapt_is_not_counted() -> None:
    x, d, _ = bounded(100, 0.1)
    f = af.SetMembershipNLMS(4, 0.01, nonfinite="skip", dtype=torch.complex128, engine="reference")
    assert float(f.share) == 0
    x[50] = np.nan
    f(x, d, mu=1.0 * (np.arange(100) >= 20))
    assert float(f.samples) == 80 - 1  # the frozen ones, and the one passed over
    f.reset()
    assert float(f.samples) == float(f.updates) == 0


def test_counts_last_in_single_precision() -> None:
    f = af.SetMembershipNLMS(2, 1.0, engine="reference")
    f.samples, f.updates = torch.tensor(2.0**23), torch.tensor(2.0**22)
    f.step(1.0, 0.0)
    assert (float(f.samples), float(f.updates)) == ((2**23 + 1) / 2, 2**21)
    f.step(1.0, 5.0)
    assert float(f.updates) == 2**21 + 1
    assert float(f.share) == pytest.approx(0.5, abs=1e-6)


def test_a_bound_of_zero_is_nlms_of_full_step() -> None:
    x, d, _ = bounded(200, 0.1)
    a = af.SetMembershipNLMS(4, 0.0, eps=0.1, dtype=torch.complex128, engine="reference")(x, d)
    b = af.NLMS(4, 1.0, eps=0.1, dtype=torch.complex128, engine="reference")(x, d)
    np.testing.assert_allclose(a.w, b.w, rtol=1e-12)


def test_the_kind_of_price_is_fixed() -> None:
    with pytest.raises(TypeError, match="squared is read-only"):
        af.PassiveAggressive(4, 0.1).squared = True
