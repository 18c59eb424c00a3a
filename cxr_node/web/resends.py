"""Resend of delivered results from the tables of studies and deliveries: a page that shows what would be sent."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.ops import resends
from cxr_node.ops.retries import MOST
from cxr_node.records.resends import Selection
from cxr_node.web.access import HasOperatorRole, LoggedIn, Operator
from cxr_node.web.actions import TABLES_WITH_RESULTS, Numbers, keys_of, table_with
from cxr_node.web.context import InContext
from cxr_node.web.pages import render_page
from cxr_node.web.table_address import ApiSelection, Word, address

router = APIRouter(include_in_schema=False)
_MOST_RESULTS = 1_000_000


@router.get("/actions/resend")
def resend_page(
    request: Request,
    context: InContext,
    person: HasOperatorRole,
    table: Word,
    text: ApiSelection,
    number: Numbers = None,
    chosen: Word = "",
) -> Response:
    """Show how many results would go to each destination: of the chosen rows, or else of all of a selection."""
    rows = table_with(table, person, among=TABLES_WITH_RESULTS, rows="results")
    with context.connection() as connection:
        keys = keys_of(connection, context, rows, text, person, numbers=number, is_chosen=bool(chosen))
        plans = resends.plans(connection, _selection(rows.name, keys[:MOST])) if keys else []
    values = {"plans": plans, "keys": keys[:MOST], "table": rows, "more": len(keys) > MOST, "most": MOST}
    return render_page(request, person, "resend.html", active=rows.name, back=address(f"/{rows.name}", text), **values)


@router.post("/actions/resend")
def resend(
    context: InContext,
    person: Operator,
    table: Annotated[str, Form(max_length=64)],
    destination: Annotated[str, Form(min_length=1, max_length=64)],
    numbers: Annotated[str, Form(pattern=r"^\d{1,18}(,\d{1,18})*$")],
) -> Response:
    """Send the results again that the page has shown for a destination."""
    rows = table_with(table, person, among=TABLES_WITH_RESULTS, rows="results")
    keys = [int(number) for number in numbers.split(",")][:MOST]
    selection = _selection(rows.name, keys, destination=destination)
    queued = resends.resend(context.process, selection, what=f"of {len(keys)} {rows.row}", by=person.actor)
    query = urlencode({"results": queued, "destination": destination})
    return RedirectResponse(f"/actions/resend/done?{query}", status.HTTP_303_SEE_OTHER)


@router.get("/actions/resend/done")
def resent_page(
    request: Request,
    person: LoggedIn,
    results: Annotated[int, Query(ge=0, le=_MOST_RESULTS)],
    destination: Word,
) -> Response:
    """Show how many results were queued again."""
    values = {"results": results, "destination": destination}
    return render_page(request, person, "resent.html", active="deliveries", **values)


def _selection(table: str, keys: list[int], *, destination: str = "") -> Selection:
    if table == "studies":
        return Selection(destination=destination, study_ids=keys)
    return Selection(destination=destination, delivery_ids=keys)
