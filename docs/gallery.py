"""What the gallery needs: which examples run while the site is built, where they draw, and docstrings as reST."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst
from sphinx_gallery.utils import scale_image

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "build" / "pictures"
FAST = [  # those that run in seconds and need no recording; the others show the picture that is kept
    "learned_step_size",
    "line_enhancer",
    "loudspeaker",
    "qam_receiver",
    "saturating_plant",
    "system_identification",
]
EXECUTED = rf"\b({'|'.join(FAST)})\.py"

FIRST_CELL = """\
# What the script reads where it is a file; it draws into this folder.
import sys

__file__ = "examples/notebook.py"
sys.argv = ["notebook", "--out", "picture.png"]"""
LAST_CELL = """\
from IPython.display import Image

Image("picture.png")"""


def arguments(gallery_conf: dict[str, Any], script_vars: dict[str, Any]) -> list[str]:
    """Return the arguments of an example: its picture goes to build/, not over the one that is kept.

    The gallery runs scripts without ``__file__`` and ``__doc__``, which ours read.
    """
    file = script_vars["src_file"]
    script_vars["example_globals"].update(__file__=file, __doc__=ast.get_docstring(ast.parse(Path(file).read_text())))
    PICTURES.mkdir(parents=True, exist_ok=True)
    return ["--out", f"../build/pictures/{Path(script_vars['src_file']).stem}.png"]


def picture(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Return the reST of the picture that an example has drawn, once."""
    drawn = PICTURES / f"{Path(block_vars['src_file']).stem}.png"
    if not drawn.is_file():
        return ""
    to = next(block_vars["image_path_iterator"])
    shutil.move(drawn, to)
    return figure_rst([to], gallery_conf["src_dir"])


def page(stem: str, source: str) -> str:
    """Return the page of an example with its first line as the title, and the kept picture of one that was not run."""
    first = ast.get_docstring(ast.parse((ROOT / "examples" / f"{stem}.py").read_text())).splitlines()[0]
    source = source.replace(first, f"{first}\n{'=' * len(first)}", 1)
    source = source.replace("\n    python examples/", "\n.. code-block:: sh\n\n    python examples/", 1)
    if not re.search(EXECUTED, f"{stem}.py"):
        at = source.index(".. GENERATED FROM", source.index(first))
        kind = "gif" if (ROOT / "docs" / "pictures" / f"{stem}.gif").is_file() else "png"
        source = f"{source[:at]}.. image:: /pictures/{stem}.{kind}\n\n{source[at:]}"
    return source


def thumbnails(app: Any) -> None:
    """Make thumbnails from the kept pictures of the examples that are not run."""
    for example in (ROOT / "examples").glob("*.py"):
        if not re.search(EXECUTED, example.name):
            small = ROOT / "docs" / "gallery" / "images" / "thumb" / f"sphx_glr_{example.stem}_thumb.png"
            scale_image(ROOT / "docs" / "pictures" / f"{example.stem}.png", small, 400, 280)


def as_rst(lines: list[str], equations: bool) -> list[str]:
    """Return the lines of a docstring with the characters that reST takes for markup escaped.

    With `equations` an indented paragraph is shown as it stands.
    """
    text = "\n".join(lines)
    if equations or ".. [1]" not in text:  # a list of sources that other docstrings share: numbers, not links
        text = re.sub(r"^\.\. (\[\d\])", r"\n\1", re.sub(r"(\[\d\])_", r"\1", text), flags=re.MULTILINE)
    lines = re.sub(r"(^\[\d\].*)\n +", r"\1\n", text, flags=re.MULTILINE).split("\n")
    out: list[str] = []
    within = False
    for i, line in enumerate(lines):
        indented = line.startswith("    ")
        after_blank = i > 0 and not lines[i - 1].strip()
        if (
            equations
            and indented
            and after_blank
            and not within
            and not (out and out[-2:-1] and out[-2].endswith("::"))
        ):
            out += [".. code-block:: text", ""]
            within = True
        elif line.strip() and not indented:
            within = False
        out.append(line if within or line.lstrip().startswith((">>>", "...", "..", ":")) else _escaped(line))
    return out


def _escaped(line: str) -> str:
    """Return a line with stars, bars and final underscores escaped where they stand outside of literals."""
    pieces = re.split(r"(``.+?``|:\w+:`[^`]+`|`[^`]+`|\*\*?\w[^*]*?\w\*\*?(?!\w))", line)
    return "".join(_name(p) if i % 2 else re.sub(r"([*|]|_(?!\w))", r"\\\1", p) for i, p in enumerate(pieces))


def _name(piece: str) -> str:
    """Return a name in backticks as a literal, unless it can be a link to a class or function of the library."""
    name = re.fullmatch(r"`([^`]+)`", piece)
    return f"``{name[1]}``" if name and not re.match(r"adaptfilt\.|[A-Z]\w+$", name[1]) else piece
