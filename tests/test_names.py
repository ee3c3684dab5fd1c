"""What a newcomer sees at the prompt: the names of `dir(af)` and the signatures of `help`."""

import inspect
import pydoc
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import adaptfilt as af


def functions(owner: Any, name: str) -> Iterator[Any]:
    """Every function with a signature of ours in a class or a module of the library."""
    for key, member in vars(owner).items():
        if inspect.isfunction(member) and member.__module__.startswith("adaptfilt"):
            yield pytest.param(member, id=f"{name}.{key}")
        elif isinstance(owner, ModuleType) and inspect.isclass(member) and member.__module__ == owner.__name__:
            yield from functions(member, f"{name}.{key}")


FUNCTIONS = [p for name in af.__all__ for p in functions(getattr(af, name), name)]


def test_dir_shows_what_is_public() -> None:
    assert dir(af) == sorted(af.__all__)
    assert all(hasattr(af, name) for name in dir(af))
    assert "NLMS" in pydoc.render_doc(af)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'testting'"):
        _ = af.testting


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_annotation_is_a_name_one_can_read(function: Any) -> None:
    signature = inspect.signature(function)
    for annotation in (signature.return_annotation, *(p.annotation for p in signature.parameters.values())):
        assert len(inspect.formatannotation(annotation)) <= 100


def test_help_of_forward_is_readable() -> None:
    line = pydoc.plain(pydoc.render_doc(af.NLMS.forward)).splitlines()[2]
    assert line.startswith(
        "forward(self, x: numpy.ndarray | torch.Tensor, d: numpy.ndarray | torch.Tensor | None = None, "
    )
    assert len(line) <= 240
