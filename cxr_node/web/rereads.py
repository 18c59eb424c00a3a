"""Films that are read again from the tables of studies and films: a page that shows what would be read and sent."""

from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.ops import rereads
from cxr_node.records.rereads import Selection
from cxr_node.web.access import HasOperatorRole, LoggedIn, Operator
from cxr_node.web.action_rows import ActionRows, PostedRows, ShownRows, rows_of
from cxr_node.web.actions import TABLES_WITH_FILMS, Count
from cxr_node.web.context import InContext
from cxr_node.web.pages import render_page
from cxr_node.web.table_access import answering

router = APIRouter(include_in_schema=False)


@router.get("/actions/reread")
def reread_page(request: Request, context: InContext, person: HasOperatorRole, rows_request: ShownRows) -> Response:
    """Show which films would be read again: of the chosen rows, or else of all of a selection."""
    rows = rows_of(context, rows_request, person, among=TABLES_WITH_FILMS, what="films")
    with answering(rows.selection), context.connection() as connection:
        plan = rereads.plan(context.process, connection, _selection(rows))
    return render_page(request, person, "reread.html", active=rows.table.name, plan=plan, rows=rows)


@router.post("/actions/reread")
def reread(context: InContext, person: Operator, rows_request: PostedRows) -> Response:
    """Queue the films that the page has shown; of a list those that match it now."""
    rows = rows_of(context, rows_request, person, among=TABLES_WITH_FILMS, what="films")
    with answering(rows.selection):
        queued = rereads.reread(
            context.process, _selection(rows), what=rows.words, by=person.actor, reads=context.connection
        )
    return RedirectResponse(f"/actions/reread/done?{urlencode({'films': queued})}", status.HTTP_303_SEE_OTHER)


@router.get("/actions/reread/done")
def reread_done_page(request: Request, person: LoggedIn, films: Count) -> Response:
    """Show how many films were queued."""
    return render_page(request, person, "reread_done.html", active="films", films=films)


def _selection(rows: ActionRows) -> Selection:
    return Selection(study_ids=rows.keys) if rows.table.name == "studies" else Selection(film_ids=rows.keys)
