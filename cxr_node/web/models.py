"""What the JSON holds: the views' rows as they are documented, and what is made of them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field, create_model

from cxr_node.queries.views.registry import VIEWS
from cxr_node.queries.views.view import ColumnType

_TYPES: dict[ColumnType, Any] = {
    ColumnType.NUMBER: float | None,
    ColumnType.WHOLE: int | None,
    ColumnType.TEXT: str | None,
    ColumnType.TIME: datetime | None,
    ColumnType.YES_NO: bool | None,
}


def row_of(name: str, view: str) -> Any:
    """Return a model of a view's rows; a list may leave columns out."""
    fields: dict[str, Any] = {
        column: (_TYPES[kind], Field(None, description=meaning))
        for column, (kind, meaning) in VIEWS[view].columns.items()
    }
    return create_model(name, **fields)


Film: Any = row_of("Film", "v1_films")
Job: Any = row_of("Job", "v1_jobs")
Finding: Any = row_of("Finding", "v1_findings")
Measurement: Any = row_of("Measurement", "v1_measurements")
Delivery: Any = row_of("Delivery", "v1_deliveries")
Turnaround: Any = row_of("Turnaround", "v1_turnaround")


class Study(BaseModel):
    """A study and its films."""

    study_id: int
    study_instance_uid: str
    first_received_at: datetime
    films: list[Film]


class StudyStatus(BaseModel):
    """Films, jobs and deliveries of a study; `summary` has sentences on what is open or failed."""

    study_instance_uid: str
    summary: list[str]
    films: list[Film]
    jobs: list[Job]
    deliveries: list[Delivery]


class HeatMap(BaseModel):
    """A finding whose heat map can be had as a picture, and the corners of what of the film it covers."""

    finding_id: int
    key: str
    code_meaning: str
    presence: str
    area: list[tuple[float, float]]


class FilmTold(BaseModel):
    """A film: its row, what was found, measured and noted, and the times of its way."""

    film: Film
    findings: list[Finding]
    measurements: list[Measurement]
    heat_maps: list[HeatMap]
    notes: list[str]
    turnaround: Turnaround


class Hour(BaseModel):
    """Films received in an hour."""

    at: datetime
    films: int


class Day(BaseModel):
    """One sender's films of one day."""

    day: str
    calling_ae_title: str
    films: int
    not_analysed: int
    p50_s: float | None
    p99_s: float | None


class Trends(BaseModel):
    """Films by hour; films, those not analysed and seconds from film to report by day and sender."""

    since: datetime
    per_hour: list[Hour]
    per_day: list[Day]


class Line(BaseModel):
    """A content item of a report, and how deep it lies."""

    depth: int
    text: str


class Retried(BaseModel):
    """The jobs that were queued again."""

    requeued: list[int]


class Health(BaseModel):
    """Whether the node is well, and what is not."""

    ok: bool
    problems: list[str]


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str
