"""Response models of the JSON API: rows of the views, and summaries of them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from cxr_node.ops.retries import MOST
from cxr_node.queries.grouping import GroupBy
from cxr_node.queries.search import Kind, Match
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
    """Return a model of a view's rows; every column is optional."""
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
CascadeStep: Any = row_of("CascadeStep", "v1_cascade")
SecondOpinion: Any = row_of("SecondOpinion", "v1_second_opinions")
WorklistStep: Any = row_of("WorklistStep", "v1_worklist_steps")


class ShownIdentifiers(BaseModel):
    """Different values of the identifiers of a study or film; a Patient ID is followed by its issuer in brackets."""

    accession_numbers: list[str]
    patient_ids: list[str]
    patient_names: list[str]
    study_dates: list[str]
    study_descriptions: list[str]


_IDENTIFIERS = Field(None, description="Only for logins that may see them, if there are any.")


class Explanation(BaseModel):
    """A reason or note in words of the department: what is so, what it means, what to do."""

    group: str
    name: str
    code: str
    title: str
    fact: str
    effect: str
    remedy: str


class StudyStatus(BaseModel):
    """Films, jobs and deliveries of a study; `summary` has sentences on what is open or failed."""

    study_instance_uid: str
    summary: list[str]
    explanations: list[Explanation]
    films: list[Film]
    jobs: list[Job]
    deliveries: list[Delivery]
    identifiers: ShownIdentifiers | None = _IDENTIFIERS


class StepEvent(BaseModel):
    """What happened to a step of a worklist, or to its study."""

    at: datetime
    event: str


class StepDetail(BaseModel):
    """A step of a worklist, the films and results of its study, and what happened when.

    Logins without film access see neither UIDs nor films; the Transaction UID is for operators.
    """

    step: WorklistStep
    study_id: int | None
    films: list[Film]
    results: list[dict[str, Any]]
    events: list[StepEvent]
    transaction_uid: str


class HeatMap(BaseModel):
    """A finding with a heat map, and the corners of the film area that it covers."""

    finding_id: int
    key: str
    code_meaning: str
    presence: str
    area: list[tuple[float, float]]


class FilmDetail(BaseModel):
    """A film with findings, the bundles of a cascade, measurements, notes and timeline."""

    film: Film
    explanations: list[Explanation]
    findings: list[Finding]
    measurements: list[Measurement]
    cascade: list[CascadeStep]
    second_opinions: list[SecondOpinion]
    heat_maps: list[HeatMap]
    notes: list[str]
    turnaround: Turnaround
    identifiers: ShownIdentifiers | None = _IDENTIFIERS


class SearchHit(BaseModel):
    """A study, film or job that was found, and by what; `at` is when it was received or created."""

    kind: Kind
    number: int
    matches: list[Match]
    at: datetime
    study_id: int | None
    study_instance_uid: str | None
    stage: str | None
    state: str | None
    reason: str | None
    identifiers: ShownIdentifiers | None = _IDENTIFIERS


class Day(BaseModel):
    """Films of a group on one day, and quantiles of the seconds from film to report."""

    day: str
    group: str
    films: int
    not_analysed: int
    p50_s: float | None
    p90_s: float | None
    p95_s: float | None
    p99_s: float | None


class Group(BaseModel):
    """Films of a group: all, reported, not analysed and failed, films by reason, and seconds from film to report."""

    group: str
    films: int
    reported: int
    not_analysed: int
    failed: int
    reasons: dict[str, int]
    p50_s: float | None
    p90_s: float | None
    p95_s: float | None
    p99_s: float | None
    longest_s: float | None


class Scores(BaseModel):
    """A finding on the films of a group: on how many it is present, and quantiles of its scores, 0 to 1."""

    group: str
    key: str
    code_meaning: str
    films: int
    present: int
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class Trends(BaseModel):
    """Films, films not analysed, turnaround and scores by group, and by day and group."""

    since: datetime
    by: GroupBy
    per_group: list[Group]
    per_day: list[Day]
    scores: list[Scores]


class Line(BaseModel):
    """A content item of a report, and its depth in the tree."""

    depth: int
    text: str


class ResultContent(BaseModel):
    """A result: the films that it is of, and the content items of a document; its header is left out."""

    study_id: int
    kind: str
    version: int
    composed_at: datetime
    shown_as: str
    films: list[int]
    lines: list[Line]
    problem: str


class Jobs(BaseModel):
    """Numbers of jobs."""

    jobs: list[Annotated[int, Field(ge=1, le=2**63 - 1)]] = Field(max_length=MOST)


class Retried(BaseModel):
    """Jobs that were queued again."""

    requeued: list[int]


class Health(BaseModel):
    """Whether the node is ready, and what prevents it."""

    ok: bool
    problems: list[str]


class Problem(BaseModel):
    """Why a request failed."""

    detail: str
