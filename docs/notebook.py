"""Notebooks in Markdown (MyST, as jupytext writes it): runs their cells, and writes down what they show.

A cell is a fenced block that begins with three backticks and `{code-cell}`. As in Jupyter, the value of its last
expression is shown: a picture if it has `_repr_png_`, text otherwise. All cells of a notebook share their names.
"""

import ast
import contextlib
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a cell shows: printed text, and the value of its last expression as a picture with a caption, or as text."""

    printed: str = ""
    picture: bytes = b""
    caption: str = ""


def is_notebook(text: str) -> bool:
    """Whether a page has cells."""
    return CELL.search(text) is not None


def run(path: Path) -> Iterator[tuple[str, Shown]]:
    """Run the cells of a notebook in order; yield the source of each with what it shows.

    Modules beside the notebook can be imported while it runs. An exception of a cell names the notebook and the line.
    """
    text = path.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "__main__"}
    sys.path.insert(0, str(path.parent))
    try:
        for match in CELL.finditer(text):
            first_line = text.count("\n", 0, match.start(1))
            yield match[1], _shown(ast.parse("\n" * first_line + match[1], str(path)), path, names)
    finally:
        sys.path.remove(str(path.parent))


def _shown(tree: ast.Module, path: Path, names: dict[str, Any]) -> Shown:
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, str(path), "exec"), names)  # noqa: S102  # a notebook of the project
        value = None
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), str(path), "eval"), names)  # noqa: S307  # the same
    picture = getattr(value, "_repr_png_", None)
    if picture is not None:
        return Shown(printed=printed.getvalue(), picture=picture(), caption=getattr(value, "caption", ""))
    return Shown(printed=printed.getvalue() + ("" if value is None else f"{value!r}\n"))


def page(path: Path, pictures: Path, *, link: str) -> str:
    """Run a notebook, write its pictures into a folder, and return it as Markdown with what its cells show.

    Parameters
    ----------
    link
        Path of the folder from the page.
    """
    pictures.mkdir(parents=True, exist_ok=True)
    cells = iter(enumerate(run(path)))

    def written(_match: re.Match[str]) -> str:
        number, (source, shown) = next(cells)
        parts = [f"```python\n{source}```"]
        if shown.printed:
            parts.append(f"```text\n{shown.printed.rstrip()}\n```")
        if shown.picture:
            name = f"{path.stem}-{number}.png"
            (pictures / name).write_bytes(shown.picture)
            parts.append(f"![{shown.caption or 'What the cell shows'}]({link}/{name})")
            if shown.caption:
                parts.append(f"*{shown.caption}*")
        return "\n\n".join(parts)

    return CELL.sub(written, _FRONT_MATTER.sub("", path.read_text(encoding="utf-8")))
