"""The page docs/adding_a_filter.md, run as it stands: new filters from its text, compiled and against the reference."""

import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

import adaptfilt as af

PAGE = Path(__file__).resolve().parents[1] / "docs" / "adding_a_filter.md"


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


@pytest.mark.parametrize("name", ["RobustNLMS", "MomentumLMS"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_filter_from_the_page_runs_compiled_and_equals_the_reference(
    page: Any, name: str, dtype: torch.dtype
) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(300)
    x = x + 1j * rng.standard_normal(300) if dtype.is_complex else x
    d = lfilter([0.5, -0.3, 0.1, 0.7], 1, x)
    d[100] += 50
    make = getattr(page, name)
    outputs = [make(4, 0.05, dtype=dtype, engine=engine)(x, d) for engine in ("auto", "compiled", "reference")]
    for got in outputs[:2]:
        np.testing.assert_allclose(got.y, outputs[2].y, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(got.w, outputs[2].w, rtol=1e-11, atol=1e-11)
    f = make(4, 0.05, dtype=dtype)
    steps = [f.step(a, b)[0] for a, b in zip(x.tolist(), d.tolist(), strict=True)]
    np.testing.assert_allclose(steps, outputs[2].y, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["RobustNLMS", "MomentumLMS"])
def test_a_filter_from_the_page_keeps_the_contract(page: Any, name: str) -> None:
    af.testing.check(getattr(page, name))


def test_the_robust_filter_is_robust(page: Any) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal(5000)
    h = [0.5, -0.3, 0.1, 0.7]
    d = lfilter(h, 1, x) + np.where(rng.random(5000) < 0.02, 100.0, 0.0)
    w = page.RobustNLMS(4, 0.02, clip=0.5)(x, d).w
    assert np.abs(w - h).max() < 0.1
