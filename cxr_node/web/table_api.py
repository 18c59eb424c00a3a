"""JSON API of tables: their columns, pages by key, and whole selections as CSV and JSON."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from cxr_node.domain.errors import RetryLater
from cxr_node.ops import operator_log
from cxr_node.queries.tables import paging
from cxr_node.queries.tables.paging import Row
from cxr_node.queries.tables.registry import TABLES
from cxr_node.queries.tables.selection import SelectionText
from cxr_node.queries.tables.table import Table
from cxr_node.web.access import LoggedIn, Person
from cxr_node.web.api import REFUSALS
from cxr_node.web.context import InContext, WebContext
from cxr_node.web.models import Problem
from cxr_node.web.table_access import Place, answering, selection_of, table_of
from cxr_node.web.table_address import ApiSelection
from cxr_node.web.table_files import csv_lines, json_lines

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_log = logging.getLogger(__name__)

_RESPONSES: dict[int | str, dict[str, Any]] = {
    **REFUSALS,
    400: {"model": Problem, "description": "There is no such column, value or place; the sentence says what there is."},
    404: {"model": Problem, "description": "There is no such table."},
}
router = APIRouter(prefix="/api/v1", responses=REFUSALS)
Name = Annotated[str, Path(pattern="^[a-z]+$", max_length=32, json_schema_extra={"enum": list(TABLES)})]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most this many rows.")]
Value = datetime | bool | int | float | str | None


class RowsResponse(StreamingResponse):
    """Rows in pieces. If one cannot be read, the connection is closed, so that nobody takes the file for whole."""

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Send the rows."""
        try:
            await super().__call__(scope, receive, send)
        except RetryLater as error:
            _log.warning("a file of a table was cut short: %s", error)


class TableColumn(BaseModel):
    """A column of a table; `choices` are all its values, if there are few."""

    name: str
    label: str
    type: str
    meaning: str
    choices: list[str]


class TableDescription(BaseModel):
    """A table: its columns, those that are shown by default, and the column that the period applies to."""

    name: str
    title: str
    key: str
    time: str
    shown: list[str]
    columns: list[TableColumn]


class TablePage(BaseModel):
    """Rows of a table; `before` and `after` are the places of the pages beside it, empty if there is none."""

    rows: list[dict[str, Value]]
    before: str = Field(description="Value of the parameter `before` for the rows before these.")
    after: str = Field(description="Value of the parameter `after` for the rows after these.")


@router.get("/tables", response_model=list[TableDescription])
def get_tables(person: LoggedIn) -> Any:
    """Return the tables that the login may see, with their columns."""
    tables = [table for table in TABLES.values() if person.sees_films or not table.needs_film_access]
    return [_description(table, person) for table in tables]


def _file_of(
    media_type: str, name_of: str, lines_of: Callable[[Iterable[list[Row]], Sequence[str]], Iterator[str]]
) -> Callable[..., Response]:
    def get_file(context: InContext, person: LoggedIn, table: Name, text: ApiSelection) -> Response:
        selected = table_of(table, person)
        chunks, names = _chunks(context, selected, text, person)
        at = f"{context.process.clock().astimezone():%Y%m%d-%H%M%S}"
        disposition = f'attachment; filename="{table}-{at}.{name_of}"'
        headers = {"Content-Disposition": disposition}
        return RowsResponse(lines_of(chunks, names), media_type=media_type, headers=headers)

    return get_file


for _ending, _media_type, _lines_of in (("csv", "text/csv", csv_lines), ("json", "application/json", json_lines)):
    router.add_api_route(
        f"/tables/{{table}}.{_ending}",
        _file_of(_media_type, _ending, _lines_of),
        methods=["GET"],
        name=f"get_table_{_ending}",
        description=f"Return all rows of a selection as {_ending.upper()}, with the columns of the selection.",
        responses={**_RESPONSES, 200: {"content": {_media_type: {}}, "description": "The rows."}},
        response_class=Response,
    )


@router.get("/tables/{table}", response_model=TablePage, responses=_RESPONSES)
def get_table(
    context: InContext,
    person: LoggedIn,
    table: Name,
    text: ApiSelection,
    after: Place = "",
    before: Place = "",
    limit: Limit = 50,
) -> Any:
    """Return rows of a table after or before a place, by default the first ones, and the places beside them."""
    selection = selection_of(context, table_of(table, person), text, person)
    with answering(selection), context.connection() as connection:
        return paging.page(connection, selection, limit=limit, after=after, before=before)


def _chunks(
    context: WebContext, table: Table, text: SelectionText, person: Person
) -> tuple[Iterator[list[Row]], list[str]]:
    """Return the rows of a selection in pieces, the first of which is there already, and the names of its columns."""
    selection = selection_of(context, table, text, person)
    chunks = paging.chunks(context.connection, selection)
    with answering(selection):
        first = next(chunks)
    if table.needs_film_access:
        operator_log.record(context.process, f"table of {table.name} exported", subject=table.name, by=person.actor)
    return chain([first], chunks), [column.name for column in selection.columns]


def _description(table: Table, person: Person) -> TableDescription:
    visible = table.visible_columns(sees_films=person.sees_films)
    return TableDescription(
        name=table.name,
        title=table.title,
        key=table.key,
        time=table.time,
        shown=[name for name in table.shown if name in visible],
        columns=[
            TableColumn(
                name=name,
                label=column.label,
                type=column.kind.value,
                meaning=column.meaning,
                choices=list(column.choices),
            )
            for name, column in visible.items()
        ],
    )
