"""Pages of tables: a list of rows with filters, an order, a period, columns to choose, and files of what is shown."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.domain.film_attributes import cleaned
from cxr_node.queries.identifiers import Identifiers
from cxr_node.queries.tables.paging import Page, page
from cxr_node.queries.tables.registry import TABLES
from cxr_node.queries.tables.selection import Selection, SelectionText, parse_selection
from cxr_node.queries.tables.table import EVER
from cxr_node.web import identifiers
from cxr_node.web.access import LoggedIn, Person
from cxr_node.web.actions import actions_of
from cxr_node.web.context import InContext, WebContext
from cxr_node.web.pages import render_page
from cxr_node.web.table_access import Place, answering, selection_of, table_of
from cxr_node.web.table_address import COMPARISONS, ApiSelection, FormSelection, Word, address
from cxr_node.web.table_view import TableView, table_view

router = APIRouter(include_in_schema=False)
_ROWS = 50
_FILTERED_ROWS = 200
"""Rows of a list that is filtered by an identifier, which has no further pages: its filter is in no address."""
_REJECTIONS = 20
IDENTIFIED = ("studies", "films")
"""Tables that show identifiers, and are filtered by them, for those who may see them."""
FilterText = Annotated[str, Form(max_length=64)]


def _page_of(name: str) -> Callable[..., Response]:
    def show_table(
        request: Request,
        context: InContext,
        person: LoggedIn,
        text: FormSelection,
        after: Place = "",
        before: Place = "",
        form: Word = "",
    ) -> Response:
        """Show a page of a table; the form's parameters become an address that can be kept."""
        table = table_of(name, person)
        if form:
            return RedirectResponse(address(f"/{name}", text), status.HTTP_303_SEE_OTHER)
        selection = selection_of(context, table, text, person)
        with answering(selection), context.connection() as connection:
            rows = page(connection, selection, limit=_ROWS, after=after, before=before)
        return _page(request, context, person, selection, text, rows, filtered={})

    return show_table


def _filtered_page_of(name: str) -> Callable[..., Response]:
    def show_filtered(
        request: Request,
        context: InContext,
        person: LoggedIn,
        text: ApiSelection,
        accession_number: FilterText = "",
        patient_id: FilterText = "",
    ) -> Response:
        """Show the rows with an identifier, of all times unless a period is chosen; it changes nothing.

        A POST, so that the identifier is in no address and no log. The audit trail has it as a search.
        """
        table = table_of(name, person)
        if not person.sees_identifiers:
            raise HTTPException(status.HTTP_403_FORBIDDEN, "your login does not show identifiers")
        stated = {"accession_number": cleaned(accession_number), "patient_id": cleaned(patient_id)}
        filtered = {column: value for column, value in stated.items() if value}
        if not filtered:
            return RedirectResponse(address(f"/{name}", text), status.HTTP_303_SEE_OTHER)
        text = replace(text, since=text.since or EVER)
        selection = selection_of(context, table, text, person)
        condition = identifiers.condition_of(request, person, table, filtered)
        narrowed = replace(selection, table=replace(table, fixed=(*table.fixed, condition)))
        with answering(narrowed), context.connection() as connection:
            rows = page(connection, narrowed, limit=_FILTERED_ROWS).rows
        return _page(request, context, person, selection, text, Page(rows=rows), filtered=filtered)

    return show_filtered


def _page(
    request: Request,
    context: WebContext,
    person: Person,
    selection: Selection,
    text: SelectionText,
    rows: Page,
    *,
    filtered: Mapping[str, str],
) -> Response:
    table = selection.table
    with context.connection() as connection:
        offered = context.offered.of_table(connection, table)
    view = table_view(selection, text, rows, offered=offered, sees_films=person.sees_films)
    return render_page(
        request,
        person,
        "table.html",
        active=table.name,
        table=table,
        view=view,
        comparisons=COMPARISONS,
        actions=actions_of(table, text, person),
        zone=_zone(context),
        shown=_identifiers(request, person, view),
        identified=table.name in IDENTIFIED and person.sees_identifiers,
        filters=identifiers.FILTERS,
        filtered=filtered,
        rejections=_rejections(context, person) if table.name == "refusals" else None,
    )


def _identifiers(request: Request, person: Person, view: TableView) -> Mapping[int, Identifiers]:
    keys = [key for key in view.keys if isinstance(key, int)]
    match view.selection.table.name:
        case "studies":
            return identifiers.of_studies(request, person, keys)
        case "films":
            return identifiers.of_films(request, person, keys)
        case _:
            return {}


def _rejections(context: WebContext, person: Person) -> Any:
    """Return the newest rejections, which are no films and so in a table of their own."""
    text = SelectionText(since=EVER)
    selection = parse_selection(TABLES["rejections"], text, now=context.process.clock(), sees_films=person.sees_films)
    with answering(selection), context.connection() as connection:
        rows = page(connection, selection, limit=_REJECTIONS)
    return table_view(selection, text, Page(rows=rows.rows), offered={}, sees_films=person.sees_films)


def _zone(context: WebContext) -> str:
    """Return the zone of times on the page, such as UTC+01:00."""
    now: datetime = context.process.clock().astimezone()
    offset = f"{now:%z}"
    return f"UTC{offset[:3]}:{offset[3:5]}"


for _name in TABLES:
    router.add_api_route(f"/{_name}", _page_of(_name), methods=["GET"])
for _name in IDENTIFIED:
    router.add_api_route(f"/{_name}", _filtered_page_of(_name), methods=["POST"])
