"""Identifiers of films on pages and in the JSON API: for logins that may see them, and recorded in the audit trail."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

from fastapi import Request

from cxr_node.db.database import Connection
from cxr_node.queries import identifiers
from cxr_node.queries.identifiers import IdentifiedFilm, Identifiers
from cxr_node.queries.tables.table import Table
from cxr_node.queries.view_rows import Condition, among
from cxr_node.web.access import Person
from cxr_node.web.access_audit import viewer_of
from cxr_node.web.context import WebContext

FILTERS = {"accession_number": "accession number", "patient_id": "Patient ID"}
"""Identifiers that tables are filtered by, in words."""
_MOST_FILMS = 1000
"""Films with one value, the newest: a Patient ID such as "UNKNOWN" may be that of very many."""


def of_studies(request: Request, person: Person, study_ids: Collection[int]) -> Mapping[int, Identifiers]:
    """Return the identifiers of studies by number; none for a login that may not see them."""
    films = _shown(request, person, partial(identifiers.of_studies, study_ids=study_ids)) if study_ids else []
    return identifiers.by_study(films)


def of_films(request: Request, person: Person, film_ids: Collection[int]) -> Mapping[int, Identifiers]:
    """Return the identifiers of films by number; none for a login that may not see them."""
    films = _shown(request, person, partial(identifiers.of_films, film_ids=film_ids)) if film_ids else []
    return {film.film_id: identifiers.summary([film]) for film in films}


def of_film(request: Request, person: Person, *, study_id: int, film_id: int) -> Identifiers | None:
    """Return the identifiers of a film; None if it has none, or for a login that may not see them."""
    films = _shown(request, person, partial(identifiers.of_studies, study_ids=[study_id]))
    of_this = [film for film in films if film.film_id == film_id]
    return identifiers.summary(of_this) if of_this else None


def condition_of(request: Request, person: Person, table: Table, values: Mapping[str, str]) -> Condition:
    """Return the condition that rows of studies or films have these identifiers; the audit trail records the search.

    `values` are exact, by column, without the empty ones.
    """
    context: WebContext = request.app.state.context
    with context.connection() as connection:
        films = identifiers.films_with(connection, values, limit=_MOST_FILMS)
    context.access_audit.record_search(viewer_of(person, request), values)
    return among(table.key, {study_id if table.key == "study_id" else film_id for film_id, study_id in films})


def _shown(
    request: Request, person: Person, films_of: Callable[[Connection], list[IdentifiedFilm]]
) -> list[IdentifiedFilm]:
    if not person.sees_identifiers:
        return []
    context: WebContext = request.app.state.context
    with context.connection() as connection:
        films = films_of(connection)
    context.access_audit.record_identifiers(viewer_of(person, request), films)
    return films
