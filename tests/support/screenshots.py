"""What results look like in viewers, in `docs/pictures/results`, with a record of the code that made the results.

Tests that look at results in viewers write it, if that is asked for. The record has a digest of `cxr_node/report`, so
that `tests/house/test_result_pictures.py` finds pictures that are older than the code, in a clone too. Comments,
docstrings and import statements do not count: no result shows them.
"""

import ast
import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from cxr_node.domain.identifiers import Digest, digest_of
from tests.support import films

FOLDER = films.ROOT / "docs" / "pictures" / "results"
RECORD = FOLDER / "record.json"
ASKED = "CXR_NODE_KEEP_PICTURES"
WIDTH = 1280
_SOURCES = films.ROOT / "cxr_node" / "report"
_SUFFIXES = (".py", ".toml")


def digest_of_report() -> Digest:
    """Return a digest of names and lines of all sources of results."""
    paths = sorted(path for path in _SOURCES.rglob("*") if path.suffix in _SUFFIXES)
    lines = [f"{path.relative_to(_SOURCES).as_posix()} {_digest_of_source(path)}\n" for path in paths]
    return digest_of("".join(lines).encode())


def recorded() -> dict[str, dict[str, str]]:
    """Return what the record has of each file: its own digest and that of the code whose results it shows."""
    entries: dict[str, dict[str, str]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return entries


def entry(path: Path) -> dict[str, str]:
    """Return what the record of a file must have."""
    return {"file": _digest(path), "report": digest_of_report()}


def keep(name: str, make: Callable[[Path], object]) -> None:
    """Write a picture, which `make` writes as PNG, to the folder as JPEG of at most 1280 columns, if that is asked for.

    The folder has what results.md shows; a name that is not there is not written.
    """
    target = FOLDER / f"{name}.jpg"
    if not _is_asked(target):
        return
    with TemporaryDirectory() as folder:
        original = Path(folder) / f"{name}.png"
        make(original)
        picture = Image.open(original).convert("RGB")
        if picture.width > WIDTH:
            height = round(picture.height * WIDTH / picture.width)
            picture = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
        picture.save(target, quality=85, subsampling=0, optimize=True)
    _record(target)


def keep_text(name: str, text: str) -> None:
    """Write what a program prints to the folder, if that is asked for and results.md refers to it."""
    target = FOLDER / f"{name}.txt"
    if _is_asked(target):
        target.write_text(text, encoding="utf-8")
        _record(target)


def _is_asked(target: Path) -> bool:
    page = (films.ROOT / "docs" / "reference" / "results.md").read_text(encoding="utf-8")
    FOLDER.mkdir(parents=True, exist_ok=True)
    return bool(os.environ.get(ASKED)) and f"pictures/results/{target.name}" in page


def _record(target: Path) -> None:
    entries = {**(recorded() if RECORD.exists() else {}), target.name: entry(target)}
    RECORD.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _digest_of_source(path: Path) -> str:
    if path.suffix != ".py":
        return _digest(path)
    module = ast.parse(path.read_text(encoding="utf-8"))
    module.body = [statement for statement in module.body if not isinstance(statement, ast.Import | ast.ImportFrom)]
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_docstring(statement)] or [ast.Pass()]
    return digest_of(ast.unparse(module).encode())


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _digest(path: Path) -> str:
    """Return the digest of a file; of a text with the line ends of this project, whatever the checkout has."""
    content = path.read_bytes()
    return digest_of(content if path.suffix == ".jpg" else content.replace(b"\r\n", b"\n"))
