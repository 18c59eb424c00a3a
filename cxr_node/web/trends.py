"""Trends page and its JSON: charts of a period, and tables of films, turnaround and scores by group."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from cxr_node.queries.grouping import GroupBy
from cxr_node.web.access import LoggedIn
from cxr_node.web.api import LONGEST_DAYS, REFUSALS, By
from cxr_node.web.charts import PERIODS
from cxr_node.web.context import InContext
from cxr_node.web.pages import render_page

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", responses=REFUSALS)
GROUPS = [by for by in GroupBy if by is not GroupBy.DAY]
Period = Annotated[int, Query(ge=1, le=max(PERIODS), description="How many days back.")]


class Drawn(BaseModel):
    """A chart: times or numbers `x`, axis titles, and lines whose values belong to `x`."""

    x: list[float]
    x_title: str
    y_title: str
    step: float
    time: str | None = None
    lines: list[dict[str, Any]]


class Charts(BaseModel):
    """Charts by name: turnaround, time in the queue, scores; films by weekday and hour."""

    drawn: dict[str, Drawn]
    unit: str
    hours: dict[str, Any]
    scores: list[dict[str, Any]]


@api.get("/charts", response_model=Charts)
def get_charts(context: InContext, _: LoggedIn, days: Period = 7) -> Any:
    """Return turnaround by sender, time in the queue, scores against their reference, and films by weekday and hour."""
    return context.trends.charts(days)


@pages.get("/trends")
def trends_page(
    request: Request, context: InContext, person: LoggedIn, days: Period = 7, by: By = GroupBy.SENDER
) -> Response:
    """Show charts of the period, and films, turnaround and scores by group."""
    trends = context.trends.for_days(min(days, LONGEST_DAYS), by)
    charts = context.trends.charts(days)
    # An AE title may contain "<".
    drawn = json.dumps(charts["drawn"]).replace("<", "\\u003c")
    values = {"periods": PERIODS, "groups": GROUPS, "table_days": LONGEST_DAYS, "days": days, "drawn": drawn}
    charted = {"score_charts": charts["scores"], "unit": charts["unit"], "hours": charts["hours"]}
    return render_page(request, person, "trends.html", active="trends", **values, **charted, **trends)
