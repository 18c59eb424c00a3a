"""Access to tables: which a person may see, wrong selections, and queries that take too long."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import HTTPException, Query, status

from cxr_node.db.database import StatementTimeout
from cxr_node.queries.tables.registry import TABLES
from cxr_node.queries.tables.selection import InvalidSelection, Selection, SelectionText, parse_selection
from cxr_node.queries.tables.table import Table
from cxr_node.web.access import Person
from cxr_node.web.context import STATEMENT_TIMEOUT_S, WebContext, or_404

Place = Annotated[str, Query(max_length=500, description="Place of a page, as another page names it.")]


def table_of(name: str, person: Person) -> Table:
    """Return a table; respond 404 if there is none, and 403 if the person may not see it."""
    table = or_404(TABLES.get(name), "table")
    if table.needs_film_access and not person.sees_films:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "your login does not show films")
    return table


def selection_of(context: WebContext, table: Table, text: SelectionText, person: Person) -> Selection:
    """Return a selection; respond 400 with what is wrong with it."""
    with _refusing_wrong_selections():
        return parse_selection(table, text, now=context.process.clock(), sees_films=person.sees_films)


@contextmanager
def answering(selection: Selection | None) -> Iterator[None]:
    """Respond 503 with what to do if a query of the block takes too long, and 400 to a wrong place of a page.

    Without a selection, for chosen rows, there is nothing to narrow.
    """
    try:
        with _refusing_wrong_selections():
            yield
    except StatementTimeout:
        if selection is None:
            raise
        table, order = selection.table, selection.order
        sort = "" if order.name == table.time else f", or sort by {table.columns[table.time].label}"
        sentence = f"there was no answer within {STATEMENT_TIMEOUT_S:g} s: narrow the date range{sort}, and try again"
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, sentence) from None


@contextmanager
def _refusing_wrong_selections() -> Iterator[None]:
    try:
        yield
    except InvalidSelection as error:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, str(error)) from None
