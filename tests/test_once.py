"""The functions of `adaptfilt.once` are their classes, called once on signals whose kind they follow."""

import inspect

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.signal import lfilter

import adaptfilt as af
from conftest import slow

PLANT = [0.5, -0.3, 0.1]
CASES = {  # the function, its class, what is given
    "lms": (af.lms, af.LMS, {"mu": 0.05, "leak": 1e-3}),
    "nlms": (af.nlms, af.NLMS, {"mu": 0.4, "eps": 1e-2, "leak": 1e-3}),
    "rls": (af.rls, af.RLS, {"lam": 0.99, "delta": 0.1}),
    "ap": (af.ap, af.AffineProjection, {"mu": 0.4, "order": 2, "eps": 1e-2}),
    "fdaf": (af.fdaf, af.FDAF, {"mu": 0.4, "lam": 0.8, "eps": 1e-2, "leak": 1e-3}),
}
each = pytest.mark.parametrize(("function", "cls", "given"), CASES.values(), ids=CASES)


def pair(dtype=np.float64, shape=(200,)):
    x = af.signals.white(shape, 0, dtype=dtype)
    return x, lfilter(np.asarray(PLANT, dtype), 1, x).astype(dtype)


@each
def test_is_the_class_called_once(function, cls, given):
    x, d = pair()
    once = function(x, d, 3, **given, record_every=50, w0=np.ones(3))
    stream = cls(3, **given, w0=np.ones(3), dtype=torch.float64)(x, d, record_every=50)
    for found, expected in zip(once, stream, strict=True):
        assert_array_equal(found, expected)
    assert once.w.shape == (4, 3)


@each
def test_has_the_parameters_and_the_defaults_of_the_class(function, cls, given):
    call = ("x", "d", "record_every", "regressors", "common")
    own = [p for p in inspect.signature(cls).parameters.values() if p.name != "common"]
    there = inspect.signature(function).parameters
    assert [(p.name, p.default, p.kind) for p in own] == [
        (p.name, p.default, p.kind) for p in there.values() if p.name not in call
    ]


@each
@pytest.mark.parametrize("dtype", [slow(np.float32), np.float64, np.complex64, slow(np.complex128)])
def test_precision_follows_the_input(function, cls, given, dtype):
    x, d = pair(dtype)
    assert {a.dtype for a in function(x, d, 3, **given)} == {np.dtype(dtype)}
    tensors = function(torch.from_numpy(x), torch.from_numpy(d), 3, **given)
    for found, expected in zip(tensors, function(x, d, 3, **given), strict=True):
        assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(
    ("x", "d", "out"),
    [
        ("f4", "f8", "f8"),
        ("f8", "c8", "c16"),
        ("f4", "c8", "c8"),
        ("f2", "f2", "f4"),
        (">f8", ">f8", "f8"),
        ("g", "g", "f8"),
    ],
)
def test_the_wider_precision_of_x_and_d_decides(x, d, out):
    signals = pair(np.float32)
    y = af.nlms(signals[0].astype(x), signals[1].astype(d), 3).y
    assert y.dtype == np.dtype(out)


def test_a_precision_given_replaces_that_of_the_signals():
    x, d = pair()
    assert af.nlms(x, d, 3, dtype=torch.float32).y.dtype == np.float32


@each
def test_leading_axes_are_independent_filters(function, cls, given):
    x, d = pair(shape=(2, 3, 100))
    y, e, w = function(x, d, 3, **given)
    assert y.shape == e.shape == (2, 3, 100)
    for i in np.ndindex(2, 3):
        np.testing.assert_allclose(w[i], function(x[i], d[i], 3, **given).w, rtol=0, atol=1e-13)


def test_a_parameter_may_be_a_tensor_over_the_batch():
    x, d = pair(shape=(2, 100))
    w = af.nlms(x, d, 3, torch.tensor([0.1, 0.5], dtype=torch.float64)).w
    for i, mu in enumerate((0.1, 0.5)):
        np.testing.assert_allclose(w[i], af.nlms(x[i], d[i], 3, mu).w, rtol=0, atol=1e-13)


def test_ready_regressors():
    x, d = pair()
    rows = np.stack([np.concatenate([np.zeros(k), x[: x.size - k]]) for k in range(3)], axis=-1)
    np.testing.assert_allclose(af.nlms(rows, d, 3, regressors=True).w, af.nlms(x, d, 3).w, rtol=0, atol=1e-13)


def test_gradients_pass_through():
    x, d = map(torch.from_numpy, pair())
    mu = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    af.lms(x[:20], d[:20], 3, mu).e.square().sum().backward()
    assert mu.grad < 0


@pytest.mark.parametrize(
    ("x", "d", "given", "error", "says"),
    [
        ([0.0, 1.0], [0.0, 1.0], {}, TypeError, "x must be a NumPy array"),
        ([0.0, 1.0], np.ones(2), {}, TypeError, "x must be a NumPy array"),
        (np.ones(4, int), np.ones(4), {}, TypeError, "x must hold floats"),
        (np.ones(4), np.ones(5), {}, ValueError, "x and d must have the same length"),
        (np.ones((2, 4)), np.ones(4), {}, ValueError, "x must have shape"),
        (np.ones((0, 4)), np.ones((0, 4)), {}, ValueError, "d must hold at least one signal"),
        (np.float64(1), np.float64(1), {}, TypeError, "x must be"),
        (torch.ones(4), np.ones(4), {}, TypeError, "both be arrays or both tensors"),
        (np.array([0.0, np.nan]), np.ones(2), {}, ValueError, "x must be finite"),
        (np.ones(4), np.ones(4), {"taps": 0}, ValueError, "taps"),
        (np.ones(4), np.ones(4), {"record_every": 0}, ValueError, "record_every"),
        (np.ones(4), np.ones(4), {"mu": -1.0}, ValueError, "mu must be"),
    ],
)
def test_wrong_input_is_named(x, d, given, error, says):
    with pytest.raises(error, match=says):
        af.nlms(x, d, **{"taps": 3, **given})
