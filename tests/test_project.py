"""What a release compares: the version is one, and the lower bounds are those that are tested."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / file).read_text(), re.MULTILINE))


def test_the_version_is_the_same_everywhere() -> None:
    version = PROJECT["version"]
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert re.search(rf"^## .*{re.escape(version)}", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_lower_bounds_are_the_lowest_versions_tested() -> None:
    lowest = pinned("constraints-lowest.txt")
    for needed in PROJECT["dependencies"]:
        name, version = re.match(r"([\w-]+)>=([\d.]+)", needed).groups()  # type: ignore[union-attr]
        assert re.fullmatch(rf"{re.escape(version)}(\.0)*", lowest[name]), needed


def test_every_extra_is_pinned() -> None:
    versions = pinned("constraints.txt")
    for extra, needed in PROJECT["optional-dependencies"].items():
        for one in needed:
            name = re.match(r"[\w-]+", one)[0]  # type: ignore[index]
            assert name == PROJECT["name"] or name in versions, f"{extra}: {name}"
