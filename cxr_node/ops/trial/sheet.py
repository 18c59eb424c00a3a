"""HTML sheet of a trial: a summary, and each file with its picture. Only its owner can read it.

The pictures of a small trial are within the page, those of a large one in a folder beside it.
"""

import base64
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from cxr_node.domain.explanations import explanations_of
from cxr_node.ops.formatting import finding_words, score_words
from cxr_node.ops.trial.rows import Row
from cxr_node.ops.trial.summary import Summary

_EMBEDDED = 400
"""Most pictures within a page: some ten megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetFacts:
    """What stands above the rows: where the files were, by which settings, when, and whether all were tried."""

    places: str
    settings: str
    at: datetime
    remark: str = ""


def write(path: Path, rows: Sequence[Row], summary: Summary, facts: SheetFacts) -> Path | None:
    """Write the sheet and return the folder of its pictures; None if they are within it.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    pictures = sum(row.picture is not None for row in rows)
    folder = path.with_name(f"{path.stem}-pictures") if pictures > _EMBEDDED else None
    if folder is not None:
        folder.mkdir(mode=0o700, exist_ok=True)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath("sheet.html.jinja").read_text("utf-8"))
    pieces = template.generate(
        rows=rows,
        summary=summary,
        facts=facts,
        explained=explanations_of(reasons=(row.reason for row in rows)),
        version=version("cxr-node"),
        address_of=_embedded if folder is None else _beside(folder),
        finding_words=finding_words,
        score_words=score_words,
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(pieces)
    return folder


def _embedded(picture: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(picture.read_bytes()).decode('ascii')}"


def _beside(folder: Path) -> Callable[[Path], str]:
    def move(picture: Path) -> str:
        shutil.copyfile(picture, folder / picture.name)
        (folder / picture.name).chmod(0o600)
        return f"{folder.name}/{picture.name}"

    return move
