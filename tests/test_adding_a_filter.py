"""The page docs/adding_a_filter.md, run as it stands: new filters from its text, compiled and against the reference."""

import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

import adaptfilt as af
from adaptfilt.checks import DTYPES
from adaptfilt.engines import words
from adaptfilt.engines.algorithm import SUPPLIED
from conftest import on_the_reference

PAGE = Path(__file__).resolve().parents[1] / "docs" / "adding_a_filter.md"
POINTS = np.array([1.0, -1.0])
MAKE: dict[str, Callable[..., Any]] = {
    "RobustNLMS": lambda cls, **k: cls(4, 0.05, **k),
    "MomentumLMS": lambda cls, **k: cls(4, 0.05, **k),
    "ClippedMomentumLMS": lambda cls, **k: cls(4, 0.02, **k),
    "VariableStepNLMS": lambda cls, **k: cls(4, **k),
    "ConstantModulus": lambda cls, **k: cls(4, 0.002, **k),
    "Decided": lambda cls, **k: cls(4, 0.01, POINTS, **k),
    "DecisionFeedback": lambda cls, **k: cls(4, 2, 0.01, POINTS, **k),
    "OnePole": lambda cls, **k: cls(4, **k),
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A module made of the page's code blocks, written to a file, as a user's would be."""
    code = "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S))
    path = tmp_path_factory.mktemp("page") / "page.py"
    path.write_text(code)
    module = types.ModuleType("page")
    module.__file__ = str(path)
    sys.modules["page"] = module
    exec(compile(code, path, "exec"), module.__dict__)
    yield module
    del sys.modules["page"]


def signals(dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(200)
    x = x + 1j * rng.standard_normal(200) if dtype.is_complex else x
    d = lfilter([0.5, -0.3, 0.1, 0.7], 1, x)
    d[100] += 50
    return x, d


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_filter_from_the_page_runs_compiled_and_equals_the_reference(
    page: Any, name: str, dtype: torch.dtype
) -> None:
    x, d = signals(dtype)
    cls = getattr(page, name)
    block = (x,) if cls.algorithm.blind else (x, d)
    reference = MAKE[name](cls, dtype=dtype, engine="reference")(*block)
    parts = MAKE[name](cls, dtype=dtype)
    got = [parts(*(v[a:b] for v in block)) for a, b in ((0, 3), (3, 120), (120, 200))]
    np.testing.assert_allclose(np.concatenate([o.y for o in got]), reference.y, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(got[-1].w, reference.w, rtol=1e-11, atol=1e-11)
    if not cls.algorithm.blind:
        f = MAKE[name](cls, dtype=dtype)
        steps = [f.step(a, b)[0] for a, b in zip(x.tolist(), d.tolist(), strict=True)]
        np.testing.assert_allclose(steps, reference.y, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", MAKE)
def test_a_filter_from_the_page_freezes(page: Any, name: str) -> None:
    x, d = signals(torch.float64)
    cls = getattr(page, name)
    block = (x,) if cls.algorithm.blind else (x, d)
    f = MAKE[name](cls, dtype=torch.float64)
    f(*block)
    kept = {"last"}  # the past of the one-pole filter's signal
    before = {
        k: v.clone() for k, v in f.state_dict().items() if k == "w" or (k in f.algorithm.states and k not in kept)
    }
    f(*block, mu=0.0)
    f.eval()(*block)
    for key, value in before.items():
        torch.testing.assert_close(f.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "dtypes"),
    [
        ("RobustNLMS", [torch.float64]),
        pytest.param("RobustNLMS", DTYPES, marks=pytest.mark.slow),
        pytest.param("MomentumLMS", DTYPES, marks=pytest.mark.slow),
        pytest.param("ClippedMomentumLMS", DTYPES, marks=pytest.mark.slow),
    ],
)
def test_a_filter_from_the_page_keeps_the_contract(page: Any, name: str, dtypes: list[torch.dtype]) -> None:
    af.testing.check(getattr(page, name), dtypes)


@pytest.mark.parametrize("name", ["RobustNLMS", "MomentumLMS", "ClippedMomentumLMS"])
def test_a_filter_from_the_page_keeps_the_contract_on_the_reference(
    page: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_reference(monkeypatch)
    af.testing.check(getattr(page, name), [torch.complex128])


def test_the_robust_filter_is_robust(page: Any) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal(5000)
    h = [0.5, -0.3, 0.1, 0.7]
    d = lfilter(h, 1, x) + np.where(rng.random(5000) < 0.02, 100.0, 0.0)
    w = page.RobustNLMS(4, 0.02, clip=0.5)(x, d).w
    assert np.abs(w - h).max() < 0.1


def test_the_variable_step_grows_with_the_error_and_shrinks_again(page: Any) -> None:
    x, d = signals(torch.float64)
    f = page.VariableStepNLMS(4, mu_min=0.001)
    f(x[:100], d[:100])
    settled = float(f.size)
    f(x[100:101], d[100:101])
    assert float(f.size) > 10 * settled
    f.reset()
    assert float(f.size) == 0.5


def test_the_cheat_sheet_has_every_word_and_every_argument() -> None:
    text = PAGE.read_text()
    sheet = text[text.index("## 7.") : text.index("## 8.")]
    listed = {*re.findall(r"[\w]+", " ".join(re.findall(r"`([^`]*)`", sheet)))}
    assert {*words.__all__} <= listed
    assert {name for names in SUPPLIED.values() for name in names} <= listed


def g(e, energy, mu):  # the functions of the page's table of refusals
    return mu * e


def f(w, u, e, mu):
    return w + mu * e * u


def recursion(x, d):
    return x, d


def error(y, d):
    return d - y


def of(source: str) -> Any:
    """A function named g."""
    names: dict[str, Any] = {}
    exec(f"def g{source}", names)
    return names["g"]


def made(algorithm: af.Algorithm) -> type:
    return type("F", (af.LinearFilter,), {"algorithm": algorithm, "ranges": {"mu": {}}})


def forgets(e, mu, s):
    return mu * e


forgets.__name__ = "g"
REFUSED: list[Callable[[], Any]] = [
    lambda: af.Algorithm(gain=g, update=f),
    lambda: af.Algorithm(gain=of("(energy, mu): return mu")),
    lambda: af.Algorithm(gain=of("(e, u, mu): return mu")),
    lambda: af.Algorithm(gain=of("(e, mu=0.1): return mu")),
    lambda: af.Algorithm(gain=of("(e, mu, s=None): return mu")),
    lambda: af.Algorithm(gain=of("(e, mu, leak): return mu")),
    lambda: af.Algorithm(gain=of("(e, mu): return mu"), state={"mu": "real"}),
    lambda: af.Algorithm(gain=forgets, state={"s": "real"}),
    lambda: af.Algorithm(gain=of("(e, mu, s): return mu"), state=("s",)),  # type: ignore[arg-type]
    lambda: af.Algorithm(gain=of("(e, mu, s): return mu"), state={"s": "power"}),
    lambda: af.Algorithm(update=of("(w, S, u, e): return w, S"), state={"S": (2,) * 17}),
    lambda: af.Algorithm(gain=of("(e, mu): return mu"), state=dict.fromkeys(map(str, range(25)), "real")),
    lambda: af.Algorithm(gain=of("(e, mu): return mu * e"), error=of("(y): return -y"), unknown=True),
    lambda: af.Algorithm(gain=of("(e, points): return e"), vectors={"points": "complex"}),
    lambda: af.Algorithm(update=f, scratch={"q": ("taps",)}),
    lambda: af.Algorithm(recursion=recursion),
    lambda: af.Algorithm(recursion=recursion, weights=lambda out=None: out, error=error),
    lambda: made(af.Algorithm(gain=of("(e, mu, rate): return mu"))),
    lambda: made(af.Algorithm(update=of("(w, S, u, e): return w, S"), state={"S": ("taps", "rows")})),
    lambda: made(af.Algorithm(gain=of("(e, mu, step): return mu, step"), state={"step": "real"})),
]


@pytest.mark.parametrize("make", REFUSED)
def test_each_refusal_reads_as_on_the_page(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        make()
    assert f"| `{refused.value}` |" in PAGE.read_text()


def test_the_page_lists_no_other_refusal() -> None:
    text = PAGE.read_text()
    table = text[text.index("| message (a ValueError)") :].split("\n\n")[0]
    assert len(table.splitlines()) - 2 == len(REFUSED)
