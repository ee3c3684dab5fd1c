"""Doctests run on the reference engine: by default a filter compiles in one real and one complex precision, which its
contract tests do, and not in a third one.
"""

import pytest

from adaptfilt.base.parameters import ParametricFilter


@pytest.fixture(autouse=True)
def reference_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the reference engine the default one in a doctest."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.setitem(ParametricFilter.__init__.__kwdefaults__, "engine", "reference")  # type: ignore[arg-type]
