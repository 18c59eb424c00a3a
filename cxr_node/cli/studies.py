"""`cxr-node study` and `cxr-node report show`: the way of one study through the node, and what was said of it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from rich.table import Table
from rich.tree import Tree
from sqlalchemy import Connection, select

from cxr_node import config
from cxr_node.cli.database import reading
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, explained, out
from cxr_node.db.tables import result as result_table
from cxr_node.db.tables import study as study_table
from cxr_node.domain.identifiers import parse_uid
from cxr_node.domain.reasons import Reason
from cxr_node.queries import views
from cxr_node.queries.views import VIEWS, Comparison, Condition
from cxr_node.report.sr import tree
from cxr_node.wiring import process

_SR = "1.2.840.10008.5.1.4.1.1.88."
"""What the SOP Class UIDs of Structured Reports begin with (PS3.6 table A-1)."""

report_app = typer.Typer(help="Reports.", no_args_is_help=True)


def study(
    uid: Annotated[str, typer.Argument(metavar="UID", help="Study Instance UID, or the SOP Instance UID of a film.")],
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Tell the way of a study: its films, jobs and deliveries, and, where it has no report yet, why."""
    with explained(), reading(path) as connection:
        said = told(connection, _study_uid(connection, uid))
    if as_json:
        typer.echo(json.dumps(said, indent=2, default=str))
        return
    out.print(f"study {said['study_instance_uid']}", markup=False)
    for sentence in said["answer"]:
        out.print(f"  {sentence}", markup=False)
    for name, columns in (
        ("films", ("film_id", "view", "state", "reason", "received_at", "read_at", "calling_ae_title")),
        ("jobs", ("job_id", "stage", "state", "reason", "detail", "priority", "attempts", "destination", "ended_at")),
        ("deliveries", ("destination", "kind", "version", "state", "delivered_at", "confirmed_at", "detail")),
    ):
        table = Table(*columns, title=name, title_justify="left")
        for row in said[name]:
            table.add_row(*(_shown(row[column]) for column in columns))
        out.print(table)


@report_app.command("show")
def report_show(
    which: Annotated[
        str, typer.Argument(help="A file, the SOP Instance UID of a report, or a Study Instance UID (its newest one).")
    ],
    path: ConfigOption = DEFAULT_CONFIG,
    brief: Annotated[bool, typer.Option("--brief", help="Only what a reader looks for.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a Structured Report as a tree. Its header, and so the patient, is not shown."""
    with explained():
        try:
            dataset = dcmread(DicomBytesIO(_content(which, path)))
        except InvalidDicomError:
            raise CommandError(f"{which} is not a DICOM file") from None
        if "ContentSequence" not in dataset:
            raise CommandError(f"{which} is no Structured Report")
        lines = tree.lines(dataset, brief=brief)
    if as_json:
        typer.echo(json.dumps([{"depth": depth, "text": text} for depth, text in lines], indent=2))
        return
    out.print(_tree(lines))


def told(connection: Connection, study_instance_uid: str) -> dict[str, Any]:
    """Return everything that is known of a study, and sentences that answer why it has no report, or that it has."""
    of_study = [Condition(column="study_instance_uid", comparison=Comparison.EQUAL, value=study_instance_uid)]
    films, jobs, deliveries = (
        views.rows(connection, VIEWS[name], conditions=of_study, order=order)
        for name, order in (("v1_films", "film_id"), ("v1_jobs", "job_id"), ("v1_deliveries", "delivery_id"))
    )
    answer = [*_of_films(films), *_of_jobs(jobs), *_of_deliveries(deliveries, jobs)]
    return {
        "study_instance_uid": study_instance_uid,
        "answer": answer,
        "films": films,
        "jobs": jobs,
        "deliveries": deliveries,
    }


def _of_films(films: list[dict[str, Any]]) -> list[str]:
    """Say which films are not analysed, and why."""
    return [
        f"film {film['film_id']} is not analysed: {_meaning(film['reason'])}"
        + (f" ({film['detail']})" if film["detail"] else "")
        for film in films
        if film["state"] == "not_analysed"
    ]


def _of_jobs(jobs: list[dict[str, Any]]) -> list[str]:
    """Say what has not ended, and what failed."""
    said = []
    for job in jobs:
        what = {"read": "reading", "compose": "composing", "deliver": f"delivery to {job['destination']}"}[job["stage"]]
        detail = f": {job['detail']}" if job["detail"] else ""
        if job["state"] == "failed":
            said.append(f"{what} failed{detail}; mend that, then `cxr-node retry {job['job_id']}`")
        elif job["state"] == "running":
            said.append(f"{what} is at work")
        elif job["state"] == "waiting":
            said.append(f"{what} waits, due {_shown(job['due_at'])} UTC, tried {job['attempts']} times{detail}")
    return said


def _of_deliveries(deliveries: list[dict[str, Any]], jobs: list[dict[str, Any]]) -> list[str]:
    arrived = [each for each in deliveries if each["delivered_at"] is not None]
    if arrived:
        last = arrived[-1]
        return [
            f"its newest result ({last['kind']}) arrived at {last['destination']} on {_shown(last['delivered_at'])} UTC"
        ]
    composed = any(job["stage"] == "compose" and job["state"] == "done" for job in jobs)
    if composed and not deliveries:
        return ["a report was composed and goes nowhere: no destination takes it; see `cxr-node route test`"]
    return [] if composed else ["no report has been composed yet"]


def _meaning(reason: str | None) -> str:
    try:
        return Reason(reason or "").meaning
    except ValueError:
        return reason or "no reason is given"


def _study_uid(connection: Connection, text: str) -> str:
    """Return the Study Instance UID of a study or of a film in it."""
    try:
        uid = parse_uid(text)
    except ValueError:
        raise CommandError(f"{text!r} is not a UID") from None
    if connection.execute(select(study_table.c.id).where(study_table.c.study_instance_uid == uid)).first():
        return uid
    named = [Condition(column="sop_instance_uid", comparison=Comparison.EQUAL, value=uid)]
    for view in ("v1_films", "v1_deliveries"):
        rows = views.rows(connection, VIEWS[view], columns=["study_instance_uid"], conditions=named, limit=1)
        if rows:
            return str(rows[0]["study_instance_uid"])
    raise CommandError(
        f"nothing of {uid} has come here: it was not sent, or was refused, which `cxr-node status` counts"
    )


def _content(which: str, path: Path) -> bytes:
    """Return the bytes of a file, of a report that the node keeps, or of the newest report of a study."""
    if Path(which).is_file():
        return Path(which).read_bytes()
    try:
        uid = parse_uid(which)
    except ValueError:
        raise CommandError(f"there is no file {which!r}, and it is not a UID either") from None
    found = (
        select(result_table.c.archive_key, result_table.c.removed_at)
        .join(study_table, result_table.c.study_id == study_table.c.id)
        .where((result_table.c.sop_instance_uid == uid) | (study_table.c.study_instance_uid == uid))
        .order_by(result_table.c.sop_class_uid.like(f"{_SR}%").desc(), result_table.c.id.desc())
    )
    with reading(path) as connection:
        row = connection.execute(found).first()
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


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "strftime") else str(value)
