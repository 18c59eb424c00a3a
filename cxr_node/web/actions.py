"""Actions of operators on rows of a table: a page that shows what would happen, and the request that does it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, HTTPException, Query, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.db.database import Connection
from cxr_node.ops import retries
from cxr_node.ops.retries import MOST
from cxr_node.queries.tables import paging
from cxr_node.queries.tables.job_numbers import job_ids_of
from cxr_node.queries.tables.selection import SelectionText
from cxr_node.queries.tables.table import Table
from cxr_node.web.access import HasOperatorRole, LoggedIn, Operator, Person
from cxr_node.web.context import InContext, WebContext
from cxr_node.web.pages import render_page
from cxr_node.web.table_access import answering, selection_of, table_of
from cxr_node.web.table_address import ApiSelection, Word, address

router = APIRouter(include_in_schema=False)
Numbers = Annotated[list[Annotated[int, Query(ge=1, le=2**63 - 1)]] | None, Query(max_length=MOST)]


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
def retry_page(
    request: Request,
    context: InContext,
    person: HasOperatorRole,
    table: Word,
    text: ApiSelection,
    number: Numbers = None,
    chosen: Word = "",
) -> Response:
    """Show which jobs would be queued again: the chosen rows of a table, or else all of a selection."""
    rows = table_with(table, person, among=TABLES_WITH_JOBS, rows="jobs")
    with context.connection() as connection:
        keys = keys_of(connection, context, rows, text, person, numbers=number, is_chosen=bool(chosen))
        job_ids = job_ids_of(connection, rows, keys[:MOST])
        plan = retries.plan(connection, job_ids)
    back = address(f"/{rows.name}", text)
    values = {"plan": plan, "job_ids": job_ids, "more": len(keys) > MOST, "most": MOST, "back": back}
    return render_page(request, person, "retry.html", active=rows.name, **values)


@router.post("/actions/retry")
def retry(
    context: InContext, person: Operator, jobs: Annotated[str, Form(pattern=r"^\d{1,18}(,\d{1,18})*$")]
) -> Response:
    """Queue the jobs again that the page has shown."""
    job_ids = [int(job_id) for job_id in jobs.split(",")][:MOST]
    requeued = context.retry(job_ids, by=person.actor)
    counts = urlencode({"jobs": len(requeued), "left": len(job_ids) - len(requeued)})
    return RedirectResponse(f"/actions/retry/done?{counts}", status.HTTP_303_SEE_OTHER)


@router.get("/actions/retry/done")
def retried_page(
    request: Request,
    person: LoggedIn,
    jobs: Annotated[int, Query(ge=0, le=MOST)],
    left: Annotated[int, Query(ge=0, le=MOST)],
) -> Response:
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


def table_with(name: str, person: Person, *, among: Collection[str], rows: str) -> Table:
    """Return a table of `among`; respond 404 to another, whose rows are no `rows`."""
    table = table_of(name, person)
    if table.name not in among:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"the rows of this table are no {rows}")
    return table


def keys_of(
    connection: Connection,
    context: WebContext,
    table: Table,
    text: SelectionText,
    person: Person,
    *,
    numbers: list[int] | None,
    is_chosen: bool,
) -> list[int]:
    """Return the chosen keys, or else those of a selection, at most one more than an action may have."""
    if is_chosen:
        return numbers or []
    selection = selection_of(context, table, text, person)
    with answering(selection):
        return paging.keys(connection, selection, table.key, limit=MOST + 1)
