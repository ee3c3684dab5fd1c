"""Mutation testing: change one token of base, engines or filters, run a fast part of the tests, list what survives.

`make mutate` tries a random sample; generated lines of `adapters` are mutated too, docstrings and comments are not.
"""

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = "base", "engines", "filters"
TESTS = "test_filters.py", "test_structures.py", "test_equalisers.py", "test_batch.py", "test_block.py"
SWAPS = ((" + ", " - "), (" * ", " / "), (" < ", " <= "), (" > ", " >= "), (" == ", " != "), (" and ", " or "))
RULES = [
    *((re.escape(a), b) for pair in SWAPS for a, b in (pair, pair[::-1])),
    (r"\bnp\.conj\((\w+(?:\[[^]]*\])?)\)", r"\1"),
    (r"\.conj\(\)", ""),
    (r"\bnot ", ""),
    (r"\bTrue\b", "False"),
    (r"\bFalse\b", "True"),
    (r"(?<![\w.\"'])\d+(?![\w.\"'])", lambda m: str(int(m[0]) + 1)),
    (r"\((\w+), (\w+)([,)])", r"(\2, \1\3"),
]


def prose(tree: ast.AST) -> set[int]:
    """The lines of docstrings and imports, where nothing is mutated."""
    texts = [n for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    texts += [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom | ast.Raise)]
    return {line for n in texts for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)}


def mutants(path: Path) -> list[tuple[Path, int, str]]:
    """All mutants of a file: its path, the line's number, the new line."""
    source, found = path.read_text(), []
    skip = prose(ast.parse(source))
    for number, line in enumerate(source.splitlines(), 1):
        if number in skip or re.search(r"def |class |warn\(|^\s*#|triton", line):
            continue
        for pattern, new in RULES:
            for match in re.finditer(pattern, line.partition("  #")[0]):
                changed = (
                    line[: match.start()] + match.expand(new) + line[match.end() :]
                    if isinstance(new, str)
                    else (line[: match.start()] + new(match) + line[match.end() :])
                )
                if changed != line:
                    found.append((path.relative_to(ROOT), number, changed))
    return found


def fate(mutant: tuple[Path, int, str], folder: Path, tests: list[str], words: str, limit: float) -> str:
    """Run the tests on a copy with the mutant in it; one that takes too long is not known to be killed."""
    path, number, line = mutant
    shutil.rmtree(folder / "adaptfilt", ignore_errors=True)
    shutil.copytree(ROOT / "adaptfilt", folder / "adaptfilt", ignore=shutil.ignore_patterns("__pycache__"))
    lines = (folder / path).read_text().splitlines()
    lines[number - 1] = line
    text = "\n".join(lines) + "\n"
    try:
        compile(text, str(path), "exec")
    except SyntaxError:
        return "killed"
    (folder / path).write_text(text)
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
    command += ["-k", words, *(f"tests/{t}" for t in tests)]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return "timeout"
    return "killed" if done.returncode else "SURVIVED"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the path of the files to mutate")
    parser.add_argument("--tests", nargs="*", default=TESTS, help="files that are run, in this order")
    parser.add_argument("-k", default="", dest="words", help="which tests of these files, as for pytest")
    parser.add_argument("--limit", type=float, default=400.0, help="seconds a mutant")
    options = parser.parse_args()
    files = [p for part in PARTS for p in sorted((ROOT / "adaptfilt" / part).rglob("*.py"))]
    found = [m for p in files if options.only in str(p) and "triton" not in p.name for m in mutants(p)]
    chosen = random.Random(options.seed).sample(found, min(options.count, len(found)))
    print(f"{len(found)} mutants, {len(chosen)} tried, seed {options.seed}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "tests", folder / "tests")
        shutil.copy(ROOT / "pyproject.toml", folder)
        own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adaptfilt"
        if own.is_dir():
            shutil.copytree(own, folder / "cache" / "adaptfilt")
        counts: Counter[str] = Counter()
        for n, mutant in enumerate(chosen, 1):
            what = fate(mutant, folder, options.tests, options.words, options.limit)
            counts[what] += 1
            path, number, line = mutant
            print(f"{n:3d} {what:8s} {path}:{number}: {line.strip()}", flush=True)
    print(dict(counts))


if __name__ == "__main__":
    main()
