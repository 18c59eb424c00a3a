"""Films that are read again from the tables of studies and films: a page that shows what would be read and sent."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.ops import rereads
from cxr_node.ops.retries import MOST
from cxr_node.records.rereads import Selection
from cxr_node.web.access import HasOperatorRole, LoggedIn, Operator
from cxr_node.web.actions import TABLES_WITH_FILMS, Numbers, keys_of, table_with
from cxr_node.web.context import InContext
from cxr_node.web.pages import render_page
from cxr_node.web.table_address import ApiSelection, Word, address

router = APIRouter(include_in_schema=False)
_MOST_FILMS = 1_000_000


@router.get("/actions/reread")
def reread_page(
    request: Request,
    context: InContext,
    person: HasOperatorRole,
    table: Word,
    text: ApiSelection,
    number: Numbers = None,
    chosen: Word = "",
) -> Response:
    """Show which films would be read again: of the chosen rows, or else of all of a selection."""
    rows = table_with(table, person, among=TABLES_WITH_FILMS, rows="films")
    with context.connection() as connection:
        keys = keys_of(connection, context, rows, text, person, numbers=number, is_chosen=bool(chosen))
        plan = rereads.plan(context.process, connection, _selection(rows.name, keys[:MOST])) if keys else None
    values = {"plan": plan, "keys": keys[:MOST], "table": rows, "more": len(keys) > MOST, "most": MOST}
    return render_page(request, person, "reread.html", active=rows.name, back=address(f"/{rows.name}", text), **values)


@router.post("/actions/reread")
def reread(
    context: InContext,
    person: Operator,
    table: Annotated[str, Form(max_length=64)],
    numbers: Annotated[str, Form(pattern=r"^\d{1,18}(,\d{1,18})*$")],
) -> Response:
    """Queue the films that the page has shown."""
    rows = table_with(table, person, among=TABLES_WITH_FILMS, rows="films")
    keys = [int(number) for number in numbers.split(",")][:MOST]
    selection = _selection(rows.name, keys)
    queued = rereads.reread(context.process, selection, what=f"of {len(keys)} {rows.row}", by=person.actor)
    return RedirectResponse(f"/actions/reread/done?{urlencode({'films': queued})}", status.HTTP_303_SEE_OTHER)


@router.get("/actions/reread/done")
def reread_done_page(
    request: Request, person: LoggedIn, films: Annotated[int, Query(ge=0, le=_MOST_FILMS)]
) -> Response:
    """Show how many films were queued."""
    return render_page(request, person, "reread_done.html", active="films", films=films)


def _selection(table: str, keys: list[int]) -> Selection:
    return Selection(study_ids=keys) if table == "studies" else Selection(film_ids=keys)
