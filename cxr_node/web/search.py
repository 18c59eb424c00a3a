"""Search: one box on every page. Its text is in no URL and no log, as it may be a Patient ID."""

from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response, status
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from cxr_node.queries.search import ALL, IDENTIFIERS, LONGEST_TEXT, Hit, Kind, Match, search
from cxr_node.web import identifiers, models
from cxr_node.web.access import LoggedIn, Person
from cxr_node.web.access_audit import viewer_of
from cxr_node.web.api import NO_JSON, REFUSALS
from cxr_node.web.context import WebContext
from cxr_node.web.pages import render_page

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", responses=REFUSALS)


class Query(BaseModel):
    """A searched text."""

    text: str = Field(
        max_length=LONGEST_TEXT,
        description='UID, accession number, Patient ID, or number of a study, film or job; "job 5" for one kind.',
    )


@pages.get("/search")
def empty_search_page(request: Request, person: LoggedIn) -> Response:
    """Show the search box."""
    return _page(request, person, text="", hits=())


@pages.post("/search")
def search_page(request: Request, person: LoggedIn, text: Annotated[str, Form()] = "") -> Response:
    """Redirect to the page of the only hit, or list several; the text comes in the body of the request."""
    hits = _search(request, person, text)
    path = _path(hits[0], person) if len(hits) == 1 else None
    return (
        _page(request, person, text=text, hits=hits)
        if path is None
        else RedirectResponse(path, status.HTTP_303_SEE_OTHER)
    )


@api.post("/search", response_model=list[models.SearchHit], responses=NO_JSON)
def post_search(request: Request, person: LoggedIn, query: Query) -> Any:
    """Return studies, films and jobs that a text finds, the newest first; it changes nothing.

    A POST, so that the text is in no URL. By accession number and Patient ID only for logins that may see identifiers,
    of studies and films only for logins that may see films. The audit trail records searches by identifiers.
    """
    hits = _search(request, person, query.text)
    shown = identifiers.of_studies(request, person, _studies(hits))
    return [{**asdict(hit), "identifiers": shown.get(hit.study_id or 0)} for hit in hits]


def _permitted(person: Person) -> Collection[Match]:
    if not person.sees_films:
        return {Match.JOB_NUMBER}
    return ALL if person.sees_identifiers else ALL - IDENTIFIERS


def _search(request: Request, person: Person, text: str) -> tuple[Hit, ...]:
    """Return what a person may find, after the audit trail has recorded a search by identifiers."""
    context: WebContext = request.app.state.context
    with context.connection() as connection:
        outcome = search(connection, text, by=_permitted(person))
    context.access_audit.record_search(viewer_of(person, request), outcome.identifiers)
    if person.sees_films:
        return outcome.hits
    return tuple(replace(hit, study_instance_uid=None) for hit in outcome.hits)


def _studies(hits: Collection[Hit]) -> set[int]:
    return {hit.study_id for hit in hits if hit.study_id is not None}


def _page(request: Request, person: Person, *, text: str, hits: Collection[Hit]) -> Response:
    shown = identifiers.of_studies(request, person, _studies(hits))
    rows = [(hit, _path(hit, person), shown.get(hit.study_id or 0)) for hit in hits]
    return render_page(request, person, "search.html", text=text, rows=rows)


def _path(hit: Hit, person: Person) -> str | None:
    """Return the page of a hit; None if it has none that this person may see."""
    if not person.sees_films or hit.study_id is None:
        return None
    match hit.kind:
        case Kind.FILM:
            return f"/films/{hit.number}"
        case Kind.STUDY:
            return f"/studies/{hit.number}"
        case Kind.JOB:
            return f"/studies/{hit.study_id}#job-{hit.number}"
