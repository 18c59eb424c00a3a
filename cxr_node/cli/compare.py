"""`cxr-node compare`: a second bundle that reads in the shadow, held against the one that reads."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy import Connection

from cxr_node.cli.database import reading
from cxr_node.cli.query import moment
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, explained, out
from cxr_node.monitoring.agreement import Pair, agreement
from cxr_node.queries import views
from cxr_node.queries.views import VIEWS, Comparison, Condition

_COLUMNS = (
    "film_id", "study_instance_uid", "sop_instance_uid", "received_at", "model_name", "model_version",
    "first_model_name", "first_model_version", "not_analysed", "first_not_analysed", "key", "score", "operating_point",
    "first_score", "first_operating_point", "differs",
)  # fmt: skip
_NOTHING = "no film has been read in the shadow in this time: set read.shadow, and wait for films"


def compare(
    path: ConfigOption = DEFAULT_CONFIG,
    bundle: Annotated[str, typer.Option(help="NAME or NAME@VERSION of the shadow; the newest one without.")] = "",
    since: Annotated[str, typer.Option(help="Films received from this time on: 2026-01-31, or 7d ago.")] = "31d",
    until: Annotated[str, typer.Option(help="Films received before this time.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="At most this many of the films that differ are listed.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Say how a shadow agrees with the bundle that reads: kappa, agreement, shift of scores, and the films that differ.

    Neither is held to be right.
    """
    with explained():
        with reading(path) as connection:
            rows = shadowed(connection, bundle=bundle, since=since, until=until)
        if not rows:
            raise CommandError(_NOTHING)
        said = compared(rows)
    if as_json:
        typer.echo(json.dumps({**said, "differing": said["differing"][:limit]}, indent=2, default=str))
        return
    _print(said, limit)


def shadowed(
    connection: Connection, *, bundle: str, since: str, until: str, limit: int | None = None
) -> list[dict[str, Any]]:
    """Return what a shadow made of films received in a time; of the newest shadow, if none is named."""
    name, _, version = bundle.partition("@")
    asked = {"model_name": name, "model_version": version}
    if not name:
        newest = views.rows(connection, VIEWS["v1_shadow"], columns=("model_name", "model_version"), limit=1)
        asked = newest[0] if newest else asked
    conditions = [
        Condition(column=column, comparison=Comparison.EQUAL, value=value) for column, value in asked.items() if value
    ]
    return views.rows(
        connection,
        VIEWS["v1_shadow"],
        columns=_COLUMNS,
        conditions=conditions,
        since=moment(since),
        until=moment(until),
        limit=limit,
    )


def compared(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the agreement of each finding that both look for, and the films that differ, the farthest apart first."""
    paired = [row for row in rows if row["score"] is not None and row["first_score"] is not None]
    findings: dict[str, list[Pair]] = {}
    for row in paired:
        pair = Pair(
            first=row["first_score"], first_point=row["first_operating_point"],
            second=row["score"], second_point=row["operating_point"],
        )  # fmt: skip
        findings.setdefault(row["key"], []).append(pair)
    differing = [row for row in paired if row["differs"]]
    differing.sort(key=lambda row: -abs(row["score"] - row["first_score"]))
    refused = {row["film_id"] for row in rows if row["not_analysed"] and not row["first_not_analysed"]}
    taken = {row["film_id"] for row in rows if row["first_not_analysed"] and not row["not_analysed"]}
    last, spoken = rows[0], next((row for row in rows if row["first_model_name"]), None)
    return {
        "shadow": f"{last['model_name']} {last['model_version']}",
        "first": f"{spoken['first_model_name']} {spoken['first_model_version']}" if spoken else "the bundle that reads",
        "films": len({row["film_id"] for row in rows}),
        "not_analysed_by_shadow_alone": len(refused),
        "not_analysed_by_first_alone": len(taken),
        "findings": {key: asdict(agreement(pairs)) for key, pairs in sorted(findings.items())},
        "differing": differing,
    }


def _print(said: dict[str, Any], limit: int) -> None:
    out.print(f"{said['shadow']} in the shadow of {said['first']}, {said['films']} films", markup=False)
    alone = said["not_analysed_by_shadow_alone"], said["not_analysed_by_first_alone"]
    out.print(f"not analysed by the shadow alone {alone[0]}, by the first alone {alone[1]}")
    table = Table(
        "finding", "films", "both / first / shadow / neither", "kappa", "positive", "negative", "shift (limits)"
    )
    for key, each in said["findings"].items():
        counts = " / ".join(str(each[name]) for name in ("both", "first_only", "second_only", "neither"))
        limits = "" if each["limits"] is None else " ({:+.3f} to {:+.3f})".format(*each["limits"])
        intervals = (_interval(each[name]) for name in ("kappa", "positive", "negative"))
        table.add_row(key, str(each["films"]), counts, *intervals, f"{each['shift']:+.3f}{limits}")
    out.print(table)
    differing = said["differing"]
    out.print(f"{len(differing)} findings differ at the operating points{', the farthest apart:' if differing else ''}")
    if differing and limit:
        table = Table("film", "SOP Instance UID", "finding", "first", "shadow")
        for row in differing[:limit]:
            first, second = f"{row['first_score']:.3f}", f"{row['score']:.3f}"
            table.add_row(str(row["film_id"]), row["sop_instance_uid"], row["key"], first, second)
        out.print(table)


def _interval(each: dict[str, float] | None) -> str:
    return "" if each is None else f"{each['value']:.2f} ({each['low']:.2f} to {each['high']:.2f})"
