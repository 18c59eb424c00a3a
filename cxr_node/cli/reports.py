"""`cxr-node report show`: a Structured Report as a tree."""

import json
from pathlib import Path
from typing import Annotated

import typer
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from rich.tree import Tree
from sqlalchemy import select

from cxr_node import config
from cxr_node.cli.database import reading
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, explained, out
from cxr_node.db.tables import result as result_table
from cxr_node.db.tables import study as study_table
from cxr_node.domain.identifiers import parse_uid
from cxr_node.report.sr import tree
from cxr_node.wiring import process

_SR = "1.2.840.10008.5.1.4.1.1.88."
"""Prefix of the SOP Class UIDs of Structured Reports (PS3.6 table A-1)."""

app = typer.Typer(help="Reports.", no_args_is_help=True)


@app.command("show")
def show(
    which: Annotated[
        str,
        typer.Argument(help="A file, the SOP Instance UID of a report, or a Study Instance UID (its newest report)."),
    ],
    path: ConfigOption = DEFAULT_CONFIG,
    brief: Annotated[bool, typer.Option("--brief", help="Only findings, measurements and conclusions.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a Structured Report as a tree. Its header, which names the patient, is not shown."""
    with explained():
        try:
            dataset = dcmread(DicomBytesIO(_content(which, path)))
        except InvalidDicomError:
            raise CommandError(f"{which} is not a DICOM file") from None
        if "ContentSequence" not in dataset:
            raise CommandError(f"{which} is not a Structured Report")
        lines = tree.lines(dataset, brief=brief)
    if as_json:
        typer.echo(json.dumps([{"depth": depth, "text": text} for depth, text in lines], indent=2))
        return
    out.print(_tree(lines))


def _content(which: str, path: Path) -> bytes:
    """Return the bytes of a file, of a report in the archive, or of the newest report of a study."""
    if Path(which).is_file():
        return Path(which).read_bytes()
    try:
        uid = parse_uid(which)
    except ValueError:
        raise CommandError(f"{which!r} is neither a file nor a UID") from None
    query = (
        select(result_table.c.archive_key, result_table.c.removed_at)
        .join(study_table, result_table.c.study_id == study_table.c.id)
        .where((result_table.c.sop_instance_uid == uid) | (study_table.c.study_instance_uid == uid))
        .order_by(result_table.c.sop_class_uid.like(f"{_SR}%").desc(), result_table.c.id.desc())
    )
    with reading(path) as connection:
        row = connection.execute(query).first()
    if row is None:
        raise CommandError(f"there is no report of {uid}; `cxr-node study {uid}` says why")
    if row.removed_at is not None:
        raise CommandError(f"the report was removed from the archive on {row.removed_at:%Y-%m-%d}")
    return process.archive(config.load(path)).get(row.archive_key)


def _tree(lines: list[tuple[int, str]]) -> Tree:
    root = Tree(_escaped(lines[0][1]))
    branches = [root]
    for depth, text in lines[1:]:
        del branches[depth:]
        branches.append(branches[-1].add(_escaped(text)))
    return root


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
