"""`cxr-node report show`: a Structured Report as a tree."""

import json
from pathlib import Path
from typing import Annotated

import typer
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from rich.tree import Tree

from cxr_node import config
from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.cli.database import STATEMENT_TIMEOUT_S, read_only
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.domain.identifiers import parse_uid
from cxr_node.queries import archived
from cxr_node.report.kinds.registry import REPORT_FORMS
from cxr_node.report.sr import tree

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
    with reporting_errors():
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
    with read_only(config.load(path), at_most_s=STATEMENT_TIMEOUT_S) as process:
        with process.database.read() as connection:
            report = archived.newest_report(connection, uid, [form.result_type.name for form in REPORT_FORMS])
        if report is None:
            raise CommandError(f"there is no report of {uid}; `cxr-node study {uid}` says why")
        if report.removed_at is not None:
            raise CommandError(f"the report was removed from the archive on {report.removed_at:%Y-%m-%d}")
        try:
            return read_intact(process.archive, report)
        except Damaged as damaged:
            raise CommandError(str(damaged)) from None


def _tree(lines: list[tuple[int, str]]) -> Tree:
    root = Tree(_escaped(lines[0][1]))
    branches = [root]
    for depth, text in lines[1:]:
        del branches[depth:]
        branches.append(branches[-1].add(_escaped(text)))
    return root


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
