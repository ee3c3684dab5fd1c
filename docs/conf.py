"""The site: `make docs` builds it into build/site, offline, and stops at the first warning."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

os.environ.pop("MPLBACKEND", None)  # the notebooks' figures come by the kernel's own

import gallery  # noqa: E402  (beside this file)

project = "adaptfilt"
author = "the adaptfilt authors"
project_copyright = "2026, the adaptfilt authors"
extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = "adaptfilt"
html_css_files = ["site.css"]
html_static_path = ["static"]
html_show_sphinx = False
templates_path: list[str] = []
exclude_patterns = ["gallery/*.md5", "gallery/*.ipynb", "gallery/*.py", "gallery/*.codeobj.json"]
default_role = "py:obj"
myst_heading_anchors = 3
numpydoc_show_class_members = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
copybutton_exclude = ".linenos, .gp, .go"
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": gallery.EXECUTED,
    "image_scrapers": ("gallery.picture",),
    "reset_argv": "gallery.arguments",
    "reset_modules": (),
    "first_notebook_cell": gallery.FIRST_CELL,
    "last_notebook_cell": gallery.LAST_CELL,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "within_subsection_order": "FileNameSortKey",
}


def plain_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Show what docstrings write as plain text: no markup by accident, equations as they stand."""
    lines[:] = gallery.as_rst(lines, equations=what == "module")


def own_names(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Show the attributes that numpydoc has linked as names: many classes have one of the name."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            named = re.sub(r":obj:`(\w+) <\.?(?:\w+\.)*\1>`", r"**\1**", line)
            lines[i] = re.sub(r"(?<!\\)\(\*(?=\w)", r"(\\*", named)


def gallery_page(app: Any, docname: str, source: list[str]) -> None:
    """Give the page of an example its title and picture."""
    stem = docname.removeprefix("gallery/")
    if docname != stem and stem != "index":
        source[0] = gallery.page(stem, source[0])


def notebook_link(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Offer the page of a tutorial as a notebook, with its output."""
    if pagename.startswith("tutorials/") and app.builder.format == "html":
        file = pagename.removeprefix("tutorials/") + ".ipynb"
        context["body"] += f'<p><a class="reference download" href="{file}" download>This page as a notebook</a></p>'


def notebooks(app: Any, error: Exception | None) -> None:
    """Put the notebooks that were run for the tutorials beside their pages, and the data that they read."""
    if error or app.builder.format != "html":
        return
    for page in (name for name in app.env.found_docs if name.startswith("tutorials/")):
        shutil.copy(Path(app.env.mystnb_config.output_folder, f"{page}.ipynb"), Path(app.outdir, f"{page}.ipynb"))
    for data in (DOCS / "tutorials").glob("*.npz"):
        shutil.copy(data, Path(app.outdir, "tutorials"))


def setup(app: Any) -> None:
    """Connect the functions above and the thumbnails."""
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # before numpydoc, at 500
    app.connect("autodoc-process-docstring", own_names, priority=600)
    app.connect("source-read", gallery_page)
    app.connect("html-page-context", notebook_link)
    app.connect("build-finished", notebooks)
    app.connect("builder-inited", gallery.thumbnails, priority=900)  # after the gallery, at 500
