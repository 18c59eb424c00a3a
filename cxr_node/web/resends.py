"""Resend of delivered results from the tables of studies and deliveries: a page that shows what would be sent."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.ops import resends
from cxr_node.records.resends import Selection
from cxr_node.web.access import HasOperatorRole, LoggedIn, Operator
from cxr_node.web.action_rows import ActionRows, PostedRows, ShownRows, rows_of
from cxr_node.web.actions import TABLES_WITH_RESULTS, Count
from cxr_node.web.context import InContext
from cxr_node.web.pages import render_page
from cxr_node.web.table_access import answering
from cxr_node.web.table_address import Word

router = APIRouter(include_in_schema=False)


@router.get("/actions/resend")
def resend_page(request: Request, context: InContext, person: HasOperatorRole, rows_request: ShownRows) -> Response:
    """Show how many results would go to each destination: of the chosen rows, or else of all of a selection."""
    rows = rows_of(context, rows_request, person, among=TABLES_WITH_RESULTS, what="results")
    with answering(rows.selection), context.connection() as connection:
        plans = resends.plans(connection, _selection(rows))
    return render_page(request, person, "resend.html", active=rows.table.name, plans=plans, rows=rows)


@router.post("/actions/resend")
def resend(
    context: InContext,
    person: Operator,
    rows_request: PostedRows,
    destination: Annotated[str, Form(min_length=1, max_length=64)],
) -> Response:
    """Send the results again that the page has shown for a destination; of a list those that match it now."""
    rows = rows_of(context, rows_request, person, among=TABLES_WITH_RESULTS, what="results")
    selection = _selection(rows, destination=destination)
    with answering(rows.selection):
        queued = resends.resend(context.process, selection, what=rows.words, by=person.actor, reads=context.connection)
    query = urlencode({"results": queued, "destination": destination})
    return RedirectResponse(f"/actions/resend/done?{query}", status.HTTP_303_SEE_OTHER)


@router.get("/actions/resend/done")
def resent_page(request: Request, person: LoggedIn, results: Count, destination: Word) -> Response:
    """Show how many results were queued again."""
    values = {"results": results, "destination": destination}
    return render_page(request, person, "resent.html", active="deliveries", **values)


def _selection(rows: ActionRows, *, destination: str = "") -> Selection:
    if rows.table.name == "studies":
        return Selection(destination=destination, study_ids=rows.keys)
    return Selection(destination=destination, delivery_ids=rows.keys)
