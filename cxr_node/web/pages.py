"""HTML pages: each shows the content of one JSON resource; only forms change anything."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response, status
from fastapi.responses import HTMLResponse, RedirectResponse

from cxr_node.domain.clock import local_time
from cxr_node.domain.reasons import note_meaning, reason_meaning
from cxr_node.ops.formatting import age, statistic_words
from cxr_node.queries import browse
from cxr_node.queries.corrections import rejected_films
from cxr_node.queries.study_status import study_status
from cxr_node.settings.operations import WebSection
from cxr_node.web import identifiers
from cxr_node.web.access import (
    COOKIE,
    Authenticator,
    LoggedIn,
    Operator,
    Person,
    SeesFilms,
    TooManyAttempts,
    require_token,
)
from cxr_node.web.access_audit import AccessAudit, address_of
from cxr_node.web.api import Number
from cxr_node.web.bounded_work import BoundedPool
from cxr_node.web.context import InContext, WebContext, or_404
from cxr_node.web.result_words import kind_words, report_of
from cxr_node.web.table_cells import state_words

router = APIRouter(include_in_schema=False)


@router.get("/login")
def login_page(request: Request) -> Response:
    """Show the login form."""
    return login_form(request, failure="")


@router.post("/login")
async def login(
    request: Request, name: Annotated[str, Form(max_length=64)], password: Annotated[str, Form(max_length=1024)]
) -> Response:
    """Start a session if name and password are right."""
    pool: BoundedPool = request.app.state.login_pool
    return await pool.run(partial(_log_in, request, name, password), address=address_of(request))


def _log_in(request: Request, name: str, password: str) -> Response:
    authenticator: Authenticator = request.app.state.authenticator
    try:
        session = authenticator.log_in(name, password, address=address_of(request))
        failure, code = "Name or password is wrong.", status.HTTP_401_UNAUTHORIZED
    except TooManyAttempts:
        session = None
        failure, code = "Too many wrong passwords: wait a minute.", status.HTTP_429_TOO_MANY_REQUESTS
    access_audit: AccessAudit = request.app.state.context.access_audit
    access_audit.record_login(name, address_of(request), failure="" if session else failure)
    if session is None:
        return login_form(request, failure=failure, code=code)
    response = RedirectResponse("/", status.HTTP_303_SEE_OTHER)
    set_session_cookie(response, session, request.app.state.context.settings.web)
    return response


def set_session_cookie(response: Response, session: str, section: WebSection) -> None:
    """Set the session cookie; the browser returns it only to this site (SameSite=Strict)."""
    response.set_cookie(
        COOKIE, session, max_age=int(section.session_s), httponly=True, samesite="strict", secure=section.secure_cookie
    )


def login_form(request: Request, *, failure: str, code: int = status.HTTP_200_OK) -> Response:
    """Return the login page, with the reason of the last failure."""
    authenticator: Authenticator = request.app.state.authenticator
    section = request.app.state.context.settings.oidc
    provider = section.label if section.issuer else ""
    page = render_page(
        request, None, "login.html", no_users=not authenticator.has_users(), failure=failure, provider=provider
    )
    page.status_code = code
    return page


@router.post("/logout")
def logout(request: Request, person: LoggedIn, token: Annotated[str, Form()]) -> Response:
    """End the session."""
    require_token(person, token)
    authenticator: Authenticator = request.app.state.authenticator
    authenticator.log_out(person)
    response = RedirectResponse("/login", status.HTTP_303_SEE_OTHER)
    response.delete_cookie(COOKIE)
    return response


@router.get("/parts/health")
def health_part(request: Request, person: LoggedIn) -> Response:
    """Return the line on the state of the node, which every page reloads."""
    return render_page(request, person, "parts/health.html")


@router.get("/studies/{study_id}")
def study_page(request: Request, context: InContext, person: SeesFilms, study_id: Number) -> Response:
    """Show films, jobs and results of a study, and why it has no report."""
    with context.connection() as connection:
        state = study_status(connection, or_404(browse.study_uid(connection, study_id), "study"))
        results = browse.results_of(connection, study_id)
        states = browse.study_states(connection, study_id)
        rejected = rejected_films(connection, study_id)
    values = {
        "states": states,
        "rejected": rejected,
        "study_id": study_id,
        "results": results,
        "report": report_of(results),
        **state,
    }
    shown = identifiers.of_studies(request, person, [study_id]).get(study_id)
    return render_page(request, person, "study.html", active="studies", shown=shown, **values)


@router.post("/jobs/{job_id}/retry")
def retry(request: Request, context: InContext, person: Operator, job_id: Number) -> Response:
    """Queue an ended job again."""
    requeued = context.retry([job_id], by=person.actor)
    if request.headers.get("HX-Request"):
        return HTMLResponse('<span class="ok" role="status">queued again</span>' if requeued else "has not ended")
    return RedirectResponse("/jobs?where=state=failed&since=all", status.HTTP_303_SEE_OTHER)


def render_page(request: Request, person: Person | None, template: str, **values: Any) -> Response:
    """Return a page from a template."""
    context: WebContext = request.app.state.context
    section = context.settings.web
    values = {
        "person": person,
        "node": context.settings.node.name,
        "has_learn_page": section.learn,
        "has_worklists": bool(context.settings.ups.worklists),
        "active": "",
        **values,
    }
    if person is not None:
        values["health"] = context.health.latest()
    return HTMLResponse(request.app.state.templates.get_template(template).render(**values))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


FILTERS = {
    "meaning": reason_meaning,
    "note": note_meaning,
    "local": local_time,
    "seconds": _seconds,
    "age": age,
    "kind": kind_words,
    "statistic": statistic_words,
    "state_words": lambda state, table: state_words(table, state or ""),
}
"""Filters of the templates: meanings of codes, local times, seconds, ages, result kinds."""
