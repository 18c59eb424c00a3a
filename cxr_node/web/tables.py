"""Pages of tables: a list of rows with filters, an order, a period, columns to choose, and files of what is shown."""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.queries.tables.paging import page
from cxr_node.queries.tables.registry import TABLES
from cxr_node.web import identifiers
from cxr_node.web.access import LoggedIn
from cxr_node.web.actions import actions_of
from cxr_node.web.context import InContext, WebContext
from cxr_node.web.pages import render_page
from cxr_node.web.table_access import Place, answering, selection_of, table_of
from cxr_node.web.table_address import COMPARISONS, FormSelection, Word, address
from cxr_node.web.table_view import table_view

router = APIRouter(include_in_schema=False)
_ROWS = 50


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
            offered = context.offered.of_table(connection, table)
        view = table_view(selection, text, rows, offered=offered, sees_films=person.sees_films)
        studies = [key for key in view.keys if isinstance(key, int)] if name == "studies" else []
        return render_page(
            request,
            person,
            "table.html",
            active=name,
            table=table,
            view=view,
            comparisons=COMPARISONS,
            actions=actions_of(table, text, person),
            zone=_zone(context),
            shown=identifiers.of_studies(request, person, studies),
        )

    return show_table


def _zone(context: WebContext) -> str:
    """Return the zone of times on the page, such as UTC+01:00."""
    now: datetime = context.process.clock().astimezone()
    offset = f"{now:%z}"
    return f"UTC{offset[:3]}:{offset[3:5]}"


for _name in TABLES:
    router.add_api_route(f"/{_name}", _page_of(_name), methods=["GET"])
