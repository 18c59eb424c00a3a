"""Charts of the trends page: data of `queries.charts` in the form that `static/charts.js` draws."""

from datetime import datetime
from typing import Any

from cxr_node.db.database import Connection
from cxr_node.queries import charts

Row = dict[str, Any]

PERIODS = {1: "1 day", 7: "7 days", 31: "31 days", 92: "3 months", 366: "1 year"}
"""Periods of the page, by days."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOUR_S, _DAY_S = 3600, 86400
_STEPS = {"hour": _HOUR_S, "day": _DAY_S, "week": 7 * _DAY_S}
_LEVELS = 10
"""Shades of the table of hours."""


def charts_of(connection: Connection, *, days: int, now: datetime) -> Row:
    """Return `drawn`, the charts by name, and `hours`, the table of films by weekday and hour."""
    turnaround = charts.turnaround(connection, days=days, now=now)
    scores = charts.scores(connection, days=days, now=now)
    return {
        "drawn": {
            "turnaround": _turnaround(turnaround),
            "queue": _queue(charts.time_in_queue(connection, days=days, now=now), days=days),
            **{f"score {row['key']}": _score(row) for row in scores},
        },
        "unit": turnaround["unit"],
        "scores": scores,
        "hours": _hours(charts.films_by_hour(connection, days=days, now=now)),
    }


def _turnaround(turnaround: Row) -> Row:
    unit = turnaround["unit"]
    lines = [
        {"label": f"{line['device']} {name}", "values": line[name], "color": number, "dash": dash}
        for number, line in enumerate(turnaround["lines"])
        for name, dash in (("p50", []), ("p95", [6, 4]))
    ]
    return {
        "x": turnaround["at"],
        "time": "local" if unit == "hour" else "UTC",
        "step": _STEPS[unit],
        "x_title": f"{unit} of reception",
        "y_title": "film to report, s",
        "lines": lines,
    }


def _queue(queue: Row, *, days: int) -> Row:
    unit = "hour" if days <= charts.BY_HOUR_DAYS else "day"
    return {
        "x": queue["at"],
        "time": "local" if unit == "hour" else "UTC",
        "step": _STEPS[unit],
        "x_title": f"{unit} of reception",
        "y_title": "longest wait, s",
        "lines": [
            {"label": "until reading", "values": queue["read_s"]},
            {"label": "until delivery", "values": queue["deliver_s"]},
        ],
    }


def _score(row: Row) -> Row:
    width = 100 / charts.SCORE_STEPS
    present = {"label": "this period, %", "values": _percents(row["shares"]), "bars": True}
    reference = {"label": "reference, %", "values": _percents(row["reference"] or ()), "color": 1}
    return {
        "x": [width * (step + 0.5) for step in range(charts.SCORE_STEPS)],
        "step": width / 2,
        "x_title": "score, 0 to 100",
        "y_title": "share of films, %",
        "lines": [present, reference] if row["reference"] is not None else [present],
    }


def _percents(shares: Any) -> list[float]:
    return [round(100 * share, 2) for share in shares]


def _hours(by_hour: Row) -> Row:
    most = max(map(max, by_hour["films"]))
    rows = [
        {
            "weekday": weekday,
            "cells": [{"films": films, "level": round(_LEVELS * films / most) if most else 0} for films in of_weekday],
        }
        for weekday, of_weekday in zip(WEEKDAYS, by_hour["films"], strict=True)
    ]
    return {"zone": by_hour["zone"], "has_films": most > 0, "rows": rows}
