"""The pages. Each shows what its JSON twin says; forms are the only thing that changes anything."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Path, Request, Response, status
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Connection, select

from cxr_node.db.states import State
from cxr_node.db.tables import film as film_table
from cxr_node.domain.reasons import note_meaning, reason_meaning
from cxr_node.ops.formatting import age
from cxr_node.queries import overview
from cxr_node.queries.study_status import study_status
from cxr_node.settings.operations import WebSection
from cxr_node.web import heat, pictures, queries, reports
from cxr_node.web.access import COOKIE, Anyone, Guard, Operates, Person, SeesFilms, TooManyTries
from cxr_node.web.access_audit import AccessAudit, Viewing, address_of
from cxr_node.web.api import Before, Days, Destination, Number, without_uids
from cxr_node.web.context import InContext, WebContext, or_404
from cxr_node.web.pictures import SIDES
from cxr_node.wiring import process

router = APIRouter(include_in_schema=False)
_NEWEST = 8
_STUDIES = 24
_ROWS = 50
_SR = "1.2.840.10008.5.1.4.1.1.88."
"""What the SOP Class UIDs of Structured Reports begin with (PS3.6 table A-1)."""


@router.get("/login")
def login_page(request: Request) -> Response:
    """Ask who it is."""
    return login_form(request, wrong="")


@router.post("/login")
def login(
    request: Request,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=1024)],
) -> Response:
    """Let in who shows the right password."""
    guard: Guard = request.app.state.guard
    try:
        session = guard.log_in(name, password)
        wrong, code = "Name or password is wrong.", status.HTTP_401_UNAUTHORIZED
    except TooManyTries:
        session = None
        wrong, code = "Too many wrong passwords: wait a minute.", status.HTTP_429_TOO_MANY_REQUESTS
    witness: AccessAudit = request.app.state.desk.access_audit
    if session is None:
        witness.tried_to_log_in(name, address_of(request), failure=wrong)
        return login_form(request, wrong=wrong, code=code)
    witness.tried_to_log_in(name, address_of(request), failure="")
    answer = RedirectResponse("/", status.HTTP_303_SEE_OTHER)
    keep_session(answer, session, request.app.state.desk.settings.web)
    return answer


def keep_session(answer: Response, session: str, section: WebSection) -> None:
    """Give a session to the browser, which shows it to this page alone."""
    answer.set_cookie(
        COOKIE, session, max_age=int(section.session_s), httponly=True, samesite="strict", secure=section.secure_cookie
    )


def login_form(request: Request, *, wrong: str, code: int = status.HTTP_200_OK) -> Response:
    """Return the page that asks who it is, and says what went wrong."""
    guard: Guard = request.app.state.guard
    section = request.app.state.desk.settings.oidc
    elsewhere = section.label if section.issuer else ""
    shown = shown_page(request, None, "login.html", nobody=guard.is_open_to_nobody, wrong=wrong, elsewhere=elsewhere)
    shown.status_code = code
    return shown


@router.post("/logout")
def logout(person: Anyone, token: Annotated[str, Form()]) -> Response:
    """End the session in this browser."""
    if token != person.token:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "the request does not carry this session's token")
    answer = RedirectResponse("/login", status.HTTP_303_SEE_OTHER)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/")
def queue_page(request: Request, desk: InContext, person: Anyone) -> Response:
    """Show what the node is doing."""
    return shown_page(request, person, "queue.html", here="queue", **_queue(desk))


@router.get("/parts/queue")
def queue_part(request: Request, desk: InContext, person: Anyone) -> Response:
    """Return the part of it that is shown anew every two seconds."""
    return shown_page(request, person, "parts/queue.html", **_queue(desk))


@router.get("/studies")
def studies_page(request: Request, desk: InContext, person: SeesFilms, before: Before = None) -> Response:
    """Show studies with thumbnails."""
    with desk.asked() as connection:
        found = queries.studies(connection, before=before, limit=_STUDIES)
    last = found[-1]["study_id"] if len(found) == _STUDIES else None
    return shown_page(request, person, "studies.html", here="studies", studies=found, last=last)


@router.get("/studies/{study_id}")
def study_page(request: Request, desk: InContext, person: SeesFilms, study_id: Number) -> Response:
    """Show a study's way through the node, and why it has no report."""
    with desk.asked() as connection:
        said = study_status(connection, or_404(queries.study_uid(connection, study_id), "study"))
        results = queries.results_of(connection, study_id)
    return shown_page(request, person, "study.html", here="studies", study_id=study_id, results=results, **said)


@router.get("/films/{film_id}")
def film_page(request: Request, desk: InContext, person: SeesFilms, film_id: Number) -> Response:
    """Show a film with what is drawn over it, its findings, and its path."""
    with desk.asked() as connection:
        said = or_404(queries.film_told(connection, film_id), "film")
        reading = queries.reading_of(connection, film_id)
        results = queries.results_of(connection, said["film"]["study_id"])
    shown = {"drawing": pictures.drawing(reading) if reading is not None else None, "results": results}
    report = next((each for each in reversed(results) if each["sop_class_uid"].startswith(_SR)), None)
    return shown_page(request, person, "film.html", here="studies", report=report, **shown, **said)


@router.get("/films/{film_id}/{kind}.png")
def picture(
    desk: InContext, viewer: Viewing, film_id: Number, kind: Annotated[str, Path(pattern="^[a-z]+$")]
) -> Response:
    """Return a film as a picture."""
    with desk.asked() as connection:
        kept = select(film_table.c.archive_key, film_table.c.digest).where(
            film_table.c.id == film_id, film_table.c.removed_at.is_(None)
        )
        row = connection.execute(kept).first()
    found = desk.pictures.get(row.archive_key, row.digest, kind) if row is not None and kind in SIDES else None
    content = or_404(found, "picture")
    if row is not None:
        desk.access_audit.showed(viewer, row.archive_key)
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/films/{film_id}/heat/{finding_id}.png")
def heat_picture(desk: InContext, viewer: Viewing, film_id: Number, finding_id: Number) -> Response:
    """Return where a finding's score comes from, as a picture to lay over the film."""
    with desk.asked() as connection:
        found = or_404(queries.heat_map_of(connection, film_id, finding_id), "heat map")
        key = connection.execute(select(film_table.c.archive_key).where(film_table.c.id == film_id)).scalar_one()
    desk.access_audit.showed(viewer, key)
    return Response(heat.png(found), media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/reports/{result_id}")
def report_page(request: Request, desk: InContext, person: SeesFilms, viewer: Viewing, result_id: Number) -> Response:
    """Show a report's content."""
    lines = or_404(reports.lines(desk, result_id, viewer=viewer), "report")
    return shown_page(request, person, "report.html", here="studies", lines=lines, result_id=result_id)


@router.get("/deliveries")
def deliveries_page(
    request: Request,
    desk: InContext,
    person: Anyone,
    state: State | None = None,
    destination: Destination = None,
    before: Before = None,
) -> Response:
    """Show deliveries; with state=failed the dead letters."""
    with desk.asked() as connection:
        rows = queries.deliveries(connection, state=state, destination=destination, before=before, limit=_ROWS)
        failed = queries.jobs(connection, state=State.FAILED, stage=None, before=None, limit=_ROWS)
    if not person.sees_films:
        rows, failed = [without_uids(row) for row in rows], [without_uids(row) for row in failed]
    last = rows[-1]["delivery_id"] if len(rows) == _ROWS else None
    shown = {"rows": rows, "failed": failed, "state": state, "last": last, "states": list(State)}
    return shown_page(request, person, "deliveries.html", here="deliveries", **shown)


@router.post("/jobs/{job_id}/retry")
def retry(request: Request, desk: InContext, person: Operates, job_id: Number) -> Response:
    """Let a job that has ended run again."""
    moved = desk.retry(job_id, by=person.name)
    if request.headers.get("HX-Request"):
        return HTMLResponse('<span class="ok" role="status">queued again</span>' if moved else "has not ended")
    return RedirectResponse("/deliveries", status.HTTP_303_SEE_OTHER)


@router.get("/trends")
def trends_page(request: Request, desk: InContext, person: Anyone, days: Days = 7) -> Response:
    """Show films per hour and times per day."""
    said = desk.trends.of(days)
    plots = {
        "hours": [
            [int(each["at"].timestamp()) for each in said["per_hour"]],
            [each["films"] for each in said["per_hour"]],
        ],
        "days": _daily(said["per_day"]),
    }
    return shown_page(request, person, "trends.html", here="trends", days=days, plots=json.dumps(plots), **said)


@router.get("/settings")
def settings_page(request: Request, desk: InContext, person: Anyone) -> Response:
    """Show every setting, and change none."""
    settings = desk.settings.without_secrets()
    return shown_page(request, person, "settings.html", here="settings", settings=settings)


def _queue(desk: WebContext) -> dict[str, Any]:
    with desk.asked() as connection:
        return {
            "found": overview.overview(connection, now=process.now()),
            "newest": queries.newest_films(connection, limit=_NEWEST),
            "running": _running(connection),
        }


def _running(connection: Connection) -> list[queries.Row]:
    return queries.jobs(connection, state=State.RUNNING, stage=None, before=None, limit=_NEWEST)


def _daily(per_day: list[queries.Row]) -> list[list[float | None]]:
    """Return days, and the median and slowest times of the busiest sender of each."""
    busiest: dict[str, queries.Row] = {}
    for row in per_day:
        if row["films"] > busiest.get(row["day"], {"films": -1})["films"]:
            busiest[row["day"]] = row
    at = [datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp() for day in busiest]
    return [list(at), [row["p50_s"] for row in busiest.values()], [row["p99_s"] for row in busiest.values()]]


def shown_page(request: Request, person: Person | None, template: str, **shown: Any) -> Response:
    """Return a page made of a template."""
    desk: WebContext = request.app.state.desk
    shown = {"person": person, "node": desk.settings.node.name, "now": process.now(), "here": "", **shown}
    rendered = request.app.state.templates.get_template(template).render(**shown)
    return HTMLResponse(rendered)


def _local(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


FILTERS = {"meaning": reason_meaning, "note": note_meaning, "local": _local, "seconds": _seconds, "age": age}
"""What templates may say: words for codes, local times, seconds and ages."""
