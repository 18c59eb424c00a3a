"""Settings of Sphinx for the documentation: `make docs` writes it to build/docs, where index.html needs no server."""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

from docs import notebook

project = "cxr-node"
author = "The cxr-node developers"
project_copyright = author
extensions = ["myst_parser"]
exclude_patterns = ["pictures"]
nitpicky = True
myst_heading_anchors = 4
highlight_language = "none"

html_theme = "furo"
html_title = "cxr-node"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False

_log = logging.getLogger(__name__)
_BESIDE = re.compile(r"\]\(((?:\.\./)+[A-Z]+\.md)\)")
_FROM_ELSEWHERE = re.compile(r"""<(script|link|img|iframe|source|audio|video)[^>]+(src|href)="(https?:)?//[^>]*""")


def show_cells(app: Sphinx, docname: str, source: list[str]) -> None:
    """Run the cells of a notebook, and add to its page what they show."""
    if notebook.is_notebook(source[0]):
        path = Path(app.env.doc2path(docname))
        pictures = Path(app.outdir) / "notebooks"
        source[0] = notebook.page(path, pictures, link=os.path.relpath(pictures, path.parent))


def link_files_beside(_app: Sphinx, _docname: str, source: list[str]) -> None:
    """Let links to documents beside `docs`, such as the changelog, lead to a copy of the file: they are no pages."""
    source[0] = _BESIDE.sub(r"](path:\1)", source[0])


def require_no_other_host(app: Sphinx, error: Exception | None) -> None:
    """Warn of pages that load something from another host: the site works where there is no network."""
    for page in Path(app.outdir).rglob("*.html") if error is None else ():
        if loaded := _FROM_ELSEWHERE.search(page.read_text(encoding="utf-8")):
            _log.warning("%s loads from another host: %s", page, loaded[0])


def setup(app: Sphinx) -> None:
    """Register what this documentation adds to Sphinx."""
    app.connect("source-read", show_cells)
    app.connect("source-read", link_files_beside)
    app.connect("build-finished", require_no_other_host)
