"""Actions of operators on rows of a table: a page that shows what would happen, and the request that does it."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.ops import retries
from cxr_node.queries.tables.selection import SelectionText
from cxr_node.queries.tables.table import Table
from cxr_node.web.access import HasOperatorRole, LoggedIn, Operator, Person
from cxr_node.web.action_rows import PostedRows, ShownRows, rows_of
from cxr_node.web.context import InContext
from cxr_node.web.pages import render_page
from cxr_node.web.table_access import answering
from cxr_node.web.table_address import address

router = APIRouter(include_in_schema=False)
Count = Annotated[int, Query(ge=0, le=2**53)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """An action on rows: its page for chosen rows, and its address for all rows of a selection."""

    words: str
    path: str
    all_rows: str


TABLES_WITH_JOBS = ("jobs", "deliveries")
TABLES_WITH_RESULTS = ("deliveries", "studies")
TABLES_WITH_FILMS = ("films", "studies")


@router.get("/actions/retry")
def retry_page(request: Request, context: InContext, person: HasOperatorRole, rows_request: ShownRows) -> Response:
    """Show which jobs would be queued again: the chosen rows of a table, or else all of a selection."""
    rows = rows_of(context, rows_request, person, among=TABLES_WITH_JOBS, what="jobs")
    with answering(rows.selection), context.connection() as connection:
        plan = retries.plan(connection, rows.jobs)
    return render_page(request, person, "retry.html", active=rows.table.name, plan=plan, rows=rows)


@router.post("/actions/retry")
def retry(context: InContext, person: Operator, rows_request: PostedRows) -> Response:
    """Queue the jobs again that the page has shown; of a list those that match it now."""
    rows = rows_of(context, rows_request, person, among=TABLES_WITH_JOBS, what="jobs")
    with answering(rows.selection), context.connection() as connection:
        job_ids = retries.job_ids(connection, rows.jobs)
    requeued = context.retry(job_ids, by=person.actor)
    counts = urlencode({"jobs": len(requeued), "left": len(job_ids) - len(requeued)})
    return RedirectResponse(f"/actions/retry/done?{counts}", status.HTTP_303_SEE_OTHER)


@router.get("/actions/retry/done")
def retried_page(request: Request, person: LoggedIn, jobs: Count, left: Count) -> Response:
    """Show how many jobs were queued again."""
    return render_page(request, person, "retried.html", active="jobs", jobs=jobs, left=left)


def actions_of(table: Table, text: SelectionText, person: Person) -> tuple[Action, ...]:
    """Return what a person may do with rows of a table."""
    if not person.is_operator:
        return ()
    actions = (
        ("Retry", "/actions/retry", TABLES_WITH_JOBS),
        ("Resend", "/actions/resend", TABLES_WITH_RESULTS),
        ("Re-read", "/actions/reread", TABLES_WITH_FILMS),
    )
    return tuple(
        Action(words=words, path=path, all_rows=address(path, text, table=table.name))
        for words, path, tables in actions
        if table.name in tables
    )
