"""JSON API: one resource for each page, beside those of tables; described at /api/v1/openapi.json."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request, status

from cxr_node.queries import browse, overview
from cxr_node.queries.grouping import GroupBy
from cxr_node.queries.overview import Overview
from cxr_node.queries.study_status import study_status
from cxr_node.web import identifiers, models
from cxr_node.web.access import LoggedIn, Operator, SeesFilms
from cxr_node.web.context import InContext, or_404

_LARGEST = 2**63 - 1
Number = Annotated[int, Path(ge=1, le=_LARGEST)]
LONGEST_DAYS = 31
Days = Annotated[int, Query(ge=1, le=LONGEST_DAYS, description="How many days back.")]
By = Annotated[GroupBy, Query(description="What films are grouped by.")]

REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": models.Problem, "description": "Not logged in."},
    403: {"model": models.Problem, "description": "Not allowed for this login."},
    503: {"model": models.Problem, "description": "The database is unreachable, or the query timed out."},
}
ABSENT: dict[int | str, dict[str, Any]] = {404: {"model": models.Problem, "description": "Not found."}}
NO_JSON: dict[int | str, dict[str, Any]] = {400: {"model": models.Problem, "description": "The body is no JSON."}}
router = APIRouter(prefix="/api/v1", responses=REFUSALS)


@router.get("/overview")
def get_overview(context: InContext, _: LoggedIn) -> Overview:
    """Return queues, destinations, senders and turnaround."""
    with context.connection() as connection:
        return overview.overview(connection, now=context.process.clock())


@router.get("/studies/{study_id}", response_model=models.StudyStatus, responses=ABSENT)
def get_study(request: Request, context: InContext, person: SeesFilms, study_id: Number) -> Any:
    """Return the films, jobs and deliveries of a study, and why it has no report."""
    with context.connection() as connection:
        study = study_status(connection, or_404(browse.study_uid(connection, study_id), "study"))
    return {**study, "identifiers": identifiers.of_studies(request, person, [study_id]).get(study_id)}


@router.get("/films/{film_id}", response_model=models.FilmDetail, responses=ABSENT)
def get_film(request: Request, context: InContext, person: SeesFilms, film_id: Number) -> Any:
    """Return a film with findings, measurements, notes and timeline."""
    with context.connection() as connection:
        detail = or_404(browse.film_detail(connection, film_id), "film")
    shown = identifiers.of_film(request, person, study_id=detail["film"]["study_id"], film_id=film_id)
    return {**detail, "identifiers": shown}


@router.post(
    "/jobs/{job_id}/retry",
    response_model=models.Retried,
    responses={409: {"model": models.Problem, "description": "No such job, or it has not ended."}},
)
def post_retry(context: InContext, person: Operator, job_id: Number) -> Any:
    """Queue an ended job again. The header X-Token must carry the session's token."""
    requeued = context.retry([job_id], by=person.actor)
    if not requeued:
        raise HTTPException(status.HTTP_409_CONFLICT, "there is no such job, or it has not ended")
    return {"requeued": requeued}


@router.post("/jobs/retry", response_model=models.Retried, responses=NO_JSON)
def post_retries(context: InContext, person: Operator, jobs: models.Jobs) -> Any:
    """Queue ended jobs again in one action; those that have not ended stay as they are. X-Token as for one job."""
    return {"requeued": context.retry(jobs.jobs, by=person.actor)}


@router.get("/trends", response_model=models.Trends)
def get_trends(context: InContext, _: LoggedIn, days: Days = 7, by: By = GroupBy.SENDER) -> Any:
    """Return films, films not analysed, turnaround and scores by group, and by day and group."""
    return context.trends.for_days(days, by)


@router.get("/settings")
def get_settings(context: InContext, _: LoggedIn) -> dict[str, Any]:
    """Return every setting, without secrets."""
    return context.settings.model_dump(mode="json")
