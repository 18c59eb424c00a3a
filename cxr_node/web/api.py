"""The JSON twin of every page, with its description at /api/v1/openapi.json."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, status

from cxr_node.db.states import Stage, State
from cxr_node.queries import overview
from cxr_node.queries.overview import Overview
from cxr_node.queries.study_status import study_status
from cxr_node.web import models, queries, reports
from cxr_node.web.access import Anyone, Operates, SeesFilms
from cxr_node.web.access_audit import Viewing
from cxr_node.web.context import InContext, or_404
from cxr_node.wiring import process

_LARGEST = 2**63 - 1
Number = Annotated[int, Path(ge=1, le=_LARGEST)]
Before = Annotated[int | None, Query(ge=1, le=_LARGEST, description="Only what is older than this number.")]
Limit = Annotated[int, Query(ge=1, le=200, description="At most this many, the newest.")]
Days = Annotated[int, Query(ge=1, le=31, description="How many days back.")]
Destination = Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00-\x1f]*$")]

REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": models.Problem, "description": "Not logged in."},
    403: {"model": models.Problem, "description": "Logged in, and not allowed to."},
    503: {"model": models.Problem, "description": "The database is away, or took too long."},
}
_ABSENT: dict[int | str, dict[str, Any]] = {404: {"model": models.Problem, "description": "There is none."}}
router = APIRouter(prefix="/api/v1", responses=REFUSALS)


@router.get("/overview")
def get_overview(desk: InContext, _: Anyone) -> Overview:
    """Return queues, destinations, senders and times."""
    with desk.asked() as connection:
        return overview.overview(connection, now=process.now())


@router.get("/studies", response_model=list[models.Study])
def get_studies(desk: InContext, _: SeesFilms, before: Before = None, limit: Limit = 24) -> Any:
    """Return studies with their films, the newest first."""
    with desk.asked() as connection:
        return queries.studies(connection, before=before, limit=limit)


@router.get("/studies/{study_id}", response_model=models.StudyStatus, responses=_ABSENT)
def get_study(desk: InContext, _: SeesFilms, study_id: Number) -> Any:
    """Return a study's way through the node, and why it has no report."""
    with desk.asked() as connection:
        return study_status(connection, or_404(queries.study_uid(connection, study_id), "study"))


@router.get("/films/{film_id}", response_model=models.FilmTold, responses=_ABSENT)
def get_film(desk: InContext, _: SeesFilms, film_id: Number) -> Any:
    """Return a film, what was found, measured and noted, and the times of its way."""
    with desk.asked() as connection:
        return or_404(queries.film_told(connection, film_id), "film")


@router.get("/reports/{result_id}", response_model=list[models.Line], responses=_ABSENT)
def get_report(desk: InContext, viewer: Viewing, result_id: Number) -> Any:
    """Return a Structured Report's content items; its header, and so the patient, is left out."""
    lines = or_404(reports.lines(desk, result_id, viewer=viewer), "report")
    return [{"depth": depth, "text": text} for depth, text in lines]


@router.get("/jobs", response_model=list[models.Job])
def get_jobs(
    desk: InContext,
    person: Anyone,
    state: State | None = None,
    stage: Stage | None = None,
    before: Before = None,
    limit: Limit = 50,
) -> Any:
    """Return jobs, the newest first. Who does not see films is shown no UIDs."""
    with desk.asked() as connection:
        rows = queries.jobs(connection, state=state, stage=stage, before=before, limit=limit)
    return rows if person.sees_films else [without_uids(row) for row in rows]


@router.get("/deliveries", response_model=list[models.Delivery])
def get_deliveries(
    desk: InContext,
    person: Anyone,
    state: State | None = None,
    destination: Destination = None,
    before: Before = None,
    limit: Limit = 50,
) -> Any:
    """Return deliveries, the newest first. Who does not see films is shown no UIDs."""
    with desk.asked() as connection:
        rows = queries.deliveries(connection, state=state, destination=destination, before=before, limit=limit)
    return rows if person.sees_films else [without_uids(row) for row in rows]


@router.post(
    "/jobs/{job_id}/retry",
    response_model=models.Retried,
    responses={409: {"model": models.Problem, "description": "There is no such job, or it has not ended."}},
)
def post_retry(desk: InContext, person: Operates, job_id: Number) -> Any:
    """Let a job that has ended run again. The header X-Token carries the session's token."""
    moved = desk.retry(job_id, by=person.name)
    if not moved:
        raise HTTPException(status.HTTP_409_CONFLICT, "there is no such job, or it has not ended")
    return {"requeued": moved}


@router.get("/trends", response_model=models.Trends)
def get_trends(desk: InContext, _: Anyone, days: Days = 7) -> Any:
    """Return films by hour, and films, those not analysed and times by day and sender."""
    return desk.trends.of(days)


@router.get("/settings")
def get_settings(desk: InContext, _: Anyone) -> dict[str, Any]:
    """Return every setting, without secrets."""
    return desk.settings.without_secrets().model_dump(mode="json")


def without_uids(row: queries.Row) -> queries.Row:
    """Return a row without what leads to a patient."""
    return {name: None if name.endswith("_instance_uid") else value for name, value in row.items()}
