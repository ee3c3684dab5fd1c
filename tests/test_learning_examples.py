"""The examples that learn through a filter, in a small form, and the page docs/differentiating.md as it stands."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def example(name: str) -> Any:
    """The module of an example, its main function ready to call."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the examples run: beside other processes, threads on small matrices wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def picture(tmp_path: Path) -> Iterator[Path]:
    """Where an example draws; checked afterwards."""
    path = tmp_path / "picture.png"
    yield path
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_learned_step_size_beats_its_start_and_comes_close_to_the_best(picture: Path) -> None:
    found = example("learned_step_size").main(picture, steps=40, count=4, samples=500)
    assert (found["learned"] < found["start"] - 3).all()
    assert (found["learned"] < found["best"] + 0.2).all()


def test_a_learned_controller_beats_the_best_fixed_step_size(picture: Path) -> None:
    found = example("learned_controller").main(picture, steps=50, count=8, samples=2000)
    for snr_db in (10, 20):
        learned, best_fixed = found[snr_db]
        assert learned < best_fixed - 0.3


@pytest.mark.slow
def test_a_learned_controller_beats_the_best_fixed_step_size_at_every_noise_level(picture: Path) -> None:
    found = example("learned_controller").main(picture)
    for snr_db, margin in {0: 0.7, 10: 2, 20: 0.8, 30: -0.1}.items():
        learned, best_fixed = found[snr_db]
        assert learned < best_fixed - margin


def test_a_learned_step_control_beats_every_fixed_step(picture: Path) -> None:
    found = example("learned_step_control").main(picture, steps=30)
    assert found["learned"] < min(value for name, value in found.items() if "mu" in name) - 0.5


def test_the_controller_knows_only_the_past() -> None:
    features = example("learned_controller").features
    x, d = torch.randn(2, 3, 200, generator=torch.Generator().manual_seed(0))
    before = features(x, d)
    x[:, 100:], d[:, 100:] = 5.0, -5.0
    after = features(x, d)
    assert torch.equal(before[:, :101], after[:, :101])
    assert not torch.equal(before[:, 101], after[:, 101])


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # of torch's own forward mode
def test_the_page_runs() -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "differentiating.md").read_text(), re.DOTALL)
    assert len(blocks) == 9
    for block in blocks:
        exec(compile(block, "differentiating.md", "exec"), names)
