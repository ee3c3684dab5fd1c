"""The shape of the code: which way imports run, what loads when, and what an algorithm's file must come with."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import adaptfilt as af

ROOT = Path(af.__file__).parent
REPO = ROOT.parent
MODULES = {".".join(p.relative_to(REPO).with_suffix("").parts): p for p in sorted(ROOT.rglob("*.py"))}
FILTERS = [
    c for c in vars(af).values() if isinstance(c, type) and issubclass(c, af.AdaptiveFilter) and hasattr(c, "example")
]
ALLOWED = {  # what each part may import of the library
    "checks": set(),
    "taps": {"checks"},
    "constellation": {"checks"},
    "metrics": {"checks", "constellation"},
    "theory": {"signals", "metrics", "checks", "constellation", "filters"},
    "signals": {"checks", "constellation"},
    "plants": {"signals", "checks"},
    "features": {"checks", "taps", "signals"},
    "plots": {"metrics"},
    "engines": {"engines", "taps", "checks"},
    "base": {"base", "engines", "taps", "checks", "export"},  # export within a method
    "filters": {"base", "engines", "taps", "checks", "constellation"},
    "gradient": {"gradient", "base", "engines", "filters", "taps", "checks"},
    "echo": {"echo", "base", "filters", "engines", "checks"},
    "export": {"base"},
    "once": {"base", "filters", "checks"},
    "testing": {"base", "engines", "filters", "checks"},
    "experiments": {"metrics", "checks", "outputs"},
    "outputs": set(),
    "cli": {
        "base",
        "filters",
        "engines",
        "checks",
        "taps",
        "signals",
        "plants",
        "metrics",
        "theory",
        "plots",
        "echo",
        "experiments",
        "outputs",
        "",
    },
    "__main__": {"cli"},
}


def imported(path: Path) -> dict[str, bool]:
    """Return the modules a file imports and whether it does so at its top."""
    tree = ast.parse(path.read_text())
    top = {id(n) for n in tree.body}
    found: dict[str, bool] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        else:
            continue
        for name in names:
            found[name] = found.get(name, False) or id(node) in top
    return found


def part(module: str) -> str:
    return [*module.split("."), ""][1]


@pytest.mark.parametrize("module", [m for m in MODULES if m != "adaptfilt.__init__"])
def test_imports_run_one_way(module: str) -> None:
    for name in imported(MODULES[module]):
        if name.split(".")[0] == "adaptfilt" and (name in MODULES or f"{name}.__init__" in MODULES):
            target = part(name)
            assert target in ALLOWED[part(module)] or (part(module) == target), f"{module} imports {name}"


def test_no_import_goes_round_in_a_circle() -> None:
    graph = {m: [n for n, top in imported(p).items() if top and n in MODULES] for m, p in MODULES.items()}

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join([*above, module])
        for name in graph[module]:
            visit(name, (*above, module))

    for module in graph:
        visit(module, ())


def test_numba_triton_and_matplotlib_load_on_first_use() -> None:
    code = """
import sys, threading
import adaptfilt as af
loaded = [m for m in ("numba", "triton", "matplotlib", "soundfile", "scipy.signal") if m in sys.modules]
assert not loaded, loaded
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("cls", FILTERS, ids=lambda c: c.__name__)
def test_an_algorithm_comes_with_its_line_its_doctest_and_its_source(cls: type) -> None:
    assert f"`{cls.__name__}`" in (REPO / "docs" / "filters.md").read_text()
    assert cls.__name__ in af.__all__
    doc, file_doc = inspect.getdoc(cls) or "", sys.modules[cls.__module__].__doc__ or ""
    assert ">>> " in doc
    assert "Parameters\n----------" in doc
    assert "Raises\n------" in doc
    assert "Source:" in file_doc or cls.__name__ == "GradientFilter"
    tests = "".join(p.read_text() for p in (REPO / "tests").glob("test_*.py"))
    assert f"af.{cls.__name__}(" in tests or f"{cls.__name__}(" in tests


def test_everything_public_is_documented() -> None:
    for name in af.__all__:
        value = getattr(af, name)
        assert inspect.getdoc(value), name
        for key, member in vars(value).items() if isinstance(value, type) else ():
            if inspect.isfunction(member) and not key.startswith("_"):
                assert inspect.getdoc(getattr(value, key)), f"{name}.{key}"
