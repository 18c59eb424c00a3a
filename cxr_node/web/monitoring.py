"""Monitoring page and its JSON: drift by device, the newest constancy check, shadow agreement."""

import json
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from cxr_node.db.database import Connection
from cxr_node.domain.daily_stats import Statistic
from cxr_node.monitoring.agreement import Agreement
from cxr_node.ops.shadow_agreement import shadow_agreement, shadow_findings
from cxr_node.queries import drift, view_rows
from cxr_node.queries.view_rows import Comparison, Condition, equal
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import constancy
from cxr_node.web.access import LoggedIn
from cxr_node.web.api import REFUSALS
from cxr_node.web.context import InContext
from cxr_node.web.models import row_of
from cxr_node.web.pages import render_page

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", responses=REFUSALS)
_DAYS = 92
_DAY_S = 86_400
_SHADOW_PERIOD = timedelta(days=31)
_MAX_SHADOW_FINDINGS = 5000
"""Findings of the newest films that the page compares; `cxr-node compare` uses all."""
_MAX_LINES = 8
"""Devices drawn in one chart; the table has all."""

Row = dict[str, Any]
Name = Annotated[str, Query(max_length=64, pattern=r"^[^\x00-\x1f]*$")]
DriftRow: Any = row_of("DriftRow", "v1_drift")
DayRow: Any = row_of("DayRow", "v1_daily_statistics")
CheckRow: Any = row_of("CheckRow", "v1_constancy")


class ConstancyCheck(BaseModel):
    """The newest constancy check."""

    run_id: int
    started_at: datetime
    state: str
    detail: str
    model_name: str | None
    model_version: str | None
    engine: str
    values: list[CheckRow]


class ShadowAgreement(BaseModel):
    """The newest shadow bundle against the reading bundle over the last month, without the films that differ."""

    shadow: str
    first: str
    films: int
    not_analysed_by_shadow_alone: int
    not_analysed_by_first_alone: int
    findings: dict[str, Agreement]


class Monitoring(BaseModel):
    """Drift on the newest evaluated day, one statistic by day and device, constancy and shadow agreement."""

    evaluated_day: str | None
    drifted: int
    statistics: list[DriftRow]
    statistic: str
    days: list[DayRow]
    check: ConstancyCheck | None
    shadow: ShadowAgreement | None


@api.get("/monitoring", response_model=Monitoring)
def get_monitoring(context: InContext, _: LoggedIn, statistic: Name = "") -> Any:
    """Return drift, constancy and shadow agreement, and the days of a statistic such as "score lung_opacity"."""
    with context.connection() as connection:
        return _monitoring(connection, statistic, now=context.process.clock())


@pages.get("/monitoring")
def monitoring_page(request: Request, context: InContext, person: LoggedIn, statistic: Name = "") -> Response:
    """Show drift, constancy and shadow agreement."""
    now = context.process.clock()
    with context.connection() as connection:
        state = _monitoring(connection, statistic, now=now)
        choices = drift.statistic_names(connection, since=_first_day(now))
    drawn = json.dumps(_plot(state)).replace("<", "\\u003c")  # an AE title may contain "<"
    return render_page(request, person, "monitoring.html", active="monitoring", choices=choices, drawn=drawn, **state)


def _first_day(now: datetime) -> date:
    return (now - timedelta(days=_DAYS)).date()


def _monitoring(connection: Connection, statistic: str, *, now: datetime) -> Row:
    day, _ = drift.newest(connection)
    statistics: list[Row] = []
    if day is not None:
        conditions = [equal("day", day.isoformat())]
        statistics = view_rows.rows(connection, VIEWS["v1_drift"], conditions=conditions, order="adjusted_p")
    drifted = [row for row in statistics if row["is_drift"]]
    chosen = statistic or _name(
        drifted[0] if drifted else statistics[0] if statistics else {"kind": Statistic.REJECTED, "key": ""}
    )
    return {
        "evaluated_day": day.isoformat() if day else None,
        "drifted": len(drifted),
        "statistics": statistics,
        "statistic": chosen,
        "days": _days(connection, chosen, now),
        "check": _check(connection),
        "shadow": _shadow(connection, now),
    }


def _shadow(connection: Connection, now: datetime) -> Row | None:
    rows = shadow_findings(connection, since=now - _SHADOW_PERIOD, limit=_MAX_SHADOW_FINDINGS)
    return {name: value for name, value in shadow_agreement(rows).items() if name != "differing"} if rows else None


def _check(connection: Connection) -> Row | None:
    newest = constancy.newest(connection)
    if newest is None:
        return None
    run, _ = newest
    values = view_rows.rows(connection, VIEWS["v1_constancy"], conditions=[equal("run_id", run["id"])], order="seed")
    columns = ("started_at", "state", "detail", "model_name", "model_version", "engine")
    shown = [row for row in values if row["seed"] is not None]
    return {"run_id": run["id"], **{name: run[name] for name in columns}, "values": shown}


def _days(connection: Connection, statistic: str, now: datetime) -> list[Row]:
    kind, _, key = statistic.partition(" ")
    stored = Statistic.SCORE if kind == Statistic.POSITIVE else kind
    conditions = [
        equal("kind", str(stored)),
        equal("key", key),
        Condition(column="day", comparison=Comparison.LEAST, value=_first_day(now).isoformat()),
    ]
    rows = view_rows.rows(connection, VIEWS["v1_daily_statistics"], conditions=conditions, order="day")
    if kind == Statistic.POSITIVE:
        return [{**row, "kind": kind, "mean": row["hits"] / row["films"]} for row in rows]
    return rows


def _name(row: Row) -> str:
    return f"{row['kind']} {row['key']}".rstrip()


def _plot(state: Row) -> Row:
    """Return the chart of the busiest devices, each with its reference, as `static/charts.js` draws it."""
    films: dict[str, int] = {}
    for row in state["days"]:
        films[row["calling_ae_title"]] = films.get(row["calling_ae_title"], 0) + row["films"]
    devices = sorted(sorted(films, key=lambda device: -films[device])[:_MAX_LINES])
    days = sorted({row["day"] for row in state["days"]})
    value = {(row["day"], row["calling_ae_title"]): row["mean"] for row in state["days"]}
    references = {
        row["calling_ae_title"]: row["reference_value"]
        for row in state["statistics"]
        if _name(row) == state["statistic"]
    }
    at = [int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()) for day in days]
    lines = []
    for number, device in enumerate(devices):
        values = [value.get((day, device)) for day in days]
        lines.append({"label": device, "values": values, "color": number})
        # The test compares medians of times, the chart shows means: the reference line would mislead.
        if device in references and state["statistic"] != Statistic.TURNAROUND:
            label, constant = f"{device} reference", [references[device]] * len(days)
            lines.append({"label": label, "values": constant, "color": number, "dash": [3, 5]})
    y_title = "seconds, mean" if state["statistic"] == Statistic.TURNAROUND else "mean, 0 to 1"
    axes = {"time": "UTC", "step": _DAY_S, "x_title": "day of reception", "y_title": y_title, "least": 0.01}
    return {"statistic": {"x": at, "lines": lines, **axes}}
