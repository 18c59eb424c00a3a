"""Operations page: failed jobs, destinations, stages, newest studies, senders, periodic jobs."""

from typing import Any

from fastapi import APIRouter, Request, Response

from cxr_node.ops import pauses
from cxr_node.queries import overview
from cxr_node.queries.identifiers import Identifiers
from cxr_node.queries.tables.paging import page
from cxr_node.queries.tables.registry import TABLES
from cxr_node.queries.tables.selection import SelectionText, parse_selection
from cxr_node.web import identifiers
from cxr_node.web.access import LoggedIn, Person
from cxr_node.web.context import InContext, WebContext
from cxr_node.web.pages import render_page
from cxr_node.web.table_cells import Cell, cell

router = APIRouter(include_in_schema=False)
_NEWEST = 10
_OF_STUDIES = ("study_id", "result_state", "delivery_state", "first_received_at", "calling_ae_title", "films")
_OF_FILMS = frozenset({"result_state"})
"""Columns that say what a film shows."""


@router.get("/")
def operations_page(request: Request, context: InContext, person: LoggedIn) -> Response:
    """Show the state of the node."""
    return render_page(request, person, "operations.html", active="operations", **_values(request, context, person))


@router.get("/parts/operations")
def operations_part(request: Request, context: InContext, person: LoggedIn) -> Response:
    """Return the part of the operations page that is loaded again when something changes."""
    return render_page(request, person, "parts/operations.html", **_values(request, context, person))


def _values(request: Request, context: WebContext, person: Person) -> dict[str, Any]:
    table, now = TABLES["studies"], context.process.clock()
    columns = tuple(name for name in _OF_STUDIES if person.sees_films or name not in _OF_FILMS)
    selection = parse_selection(table, SelectionText(since="all", columns=columns), now=now, sees_films=True)
    with context.connection() as connection:
        current = overview.overview(connection, now=now)
        newest = page(connection, selection, limit=_NEWEST).rows
        names = pauses.destination_names(context.settings, connection)
    shown = identifiers.of_studies(request, person, [row["study_id"] for row in newest])
    queried = {row.source for row in current.prior_sources}
    sent_to = {row.destination for row in current.destinations}
    return {
        "overview": current,
        "unused": [name for name in names if name not in sent_to],
        "unasked": [row.name for row in context.settings.priors.sources if row.name not in queried],
        "headings": [column.label for column in selection.columns],
        "has_identifiers": person.sees_identifiers,
        "newest": [
            (_cells(row, columns, person), shown.get(row["study_id"], Identifiers()).accession_numbers)
            for row in newest
        ],
    }


def _cells(row: dict[str, Any], columns: tuple[str, ...], person: Person) -> list[Cell]:
    table = TABLES["studies"]
    return [cell(table, table.columns[name], row[name], sees_films=person.sees_films) for name in columns]
