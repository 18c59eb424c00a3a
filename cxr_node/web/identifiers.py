"""Identifiers of films on pages and in the JSON API: for logins that may see them, and recorded in the audit trail."""

from collections.abc import Collection, Mapping

from fastapi import Request

from cxr_node.queries import identifiers
from cxr_node.queries.identifiers import IdentifiedFilm, Identifiers
from cxr_node.web.access import Person
from cxr_node.web.access_audit import viewer_of
from cxr_node.web.context import WebContext


def of_studies(request: Request, person: Person, study_ids: Collection[int]) -> Mapping[int, Identifiers]:
    """Return the identifiers of studies by number; none for a login that may not see them."""
    return identifiers.by_study(_films(request, person, study_ids))


def of_film(request: Request, person: Person, *, study_id: int, film_id: int) -> Identifiers | None:
    """Return the identifiers of a film; None if it has none, or for a login that may not see them."""
    films = [film for film in _films(request, person, [study_id]) if film.film_id == film_id]
    return identifiers.summary(films) if films else None


def _films(request: Request, person: Person, study_ids: Collection[int]) -> list[IdentifiedFilm]:
    if not person.sees_identifiers or not study_ids:
        return []
    context: WebContext = request.app.state.context
    with context.connection() as connection:
        films = identifiers.of_studies(connection, study_ids)
    context.access_audit.record_identifiers(viewer_of(person, request), films)
    return films
