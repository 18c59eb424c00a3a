"""Agreement of a shadow bundle with the reading bundle, by finding, from the view v1_shadow."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from cxr_node.db.database import Connection
from cxr_node.monitoring.agreement import ScorePair, agreement
from cxr_node.queries import view_rows
from cxr_node.queries.view_rows import equal
from cxr_node.queries.views.registry import VIEWS

Row = dict[str, Any]
_COLUMNS = (
    "film_id", "study_instance_uid", "sop_instance_uid", "received_at", "model_name", "model_version",
    "primary_model_name", "primary_model_version", "not_analysed", "primary_not_analysed", "key", "score",
    "operating_point", "primary_score", "primary_operating_point", "differs",
)  # fmt: skip


def shadow_findings(
    connection: Connection,
    *,
    bundle: str = "",
    since: datetime | None,
    until: datetime | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Return rows of v1_shadow for films received in a time; of the newest shadow bundle if none is named."""
    name, _, version = bundle.partition("@")
    model = {"model_name": name, "model_version": version}
    if not name:
        newest = view_rows.rows(connection, VIEWS["v1_shadow"], columns=("model_name", "model_version"), limit=1)
        model = newest[0] if newest else model
    conditions = [equal(column, value) for column, value in model.items() if value]
    return view_rows.rows(
        connection, VIEWS["v1_shadow"], columns=_COLUMNS, conditions=conditions, since=since, until=until, limit=limit
    )


def shadow_agreement(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the agreement for each finding that both bundles look for, and the differing films, farthest first."""
    paired = [row for row in rows if row["score"] is not None and row["primary_score"] is not None]
    findings: dict[str, list[ScorePair]] = {}
    for row in paired:
        pair = ScorePair(
            first=row["primary_score"], first_operating_point=row["primary_operating_point"],
            second=row["score"], second_operating_point=row["operating_point"],
        )  # fmt: skip
        findings.setdefault(row["key"], []).append(pair)
    differing = [row for row in paired if row["differs"]]
    differing.sort(key=lambda row: -abs(row["score"] - row["primary_score"]))
    shadow_alone = {row["film_id"] for row in rows if row["not_analysed"] and not row["primary_not_analysed"]}
    first_alone = {row["film_id"] for row in rows if row["primary_not_analysed"] and not row["not_analysed"]}
    newest, first = rows[0], next((row for row in rows if row["primary_model_name"]), None)
    return {
        "shadow": f"{newest['model_name']} {newest['model_version']}",
        "first": f"{first['primary_model_name']} {first['primary_model_version']}" if first else "the reading bundle",
        "films": len({row["film_id"] for row in rows}),
        "not_analysed_by_shadow_alone": len(shadow_alone),
        "not_analysed_by_first_alone": len(first_alone),
        "findings": {key: asdict(agreement(pairs)) for key, pairs in sorted(findings.items())},
        "differing": differing,
    }
