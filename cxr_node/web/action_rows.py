"""Rows that an action of an operator is on: chosen ones, or all of a list, however many."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Form, HTTPException, Query, status

from cxr_node.db.row_ids import RowIds
from cxr_node.ops.retries import MOST
from cxr_node.queries.tables.job_numbers import jobs_of_rows, jobs_of_selection
from cxr_node.queries.tables.paging import all_keys
from cxr_node.queries.tables.selection import Selection, SelectionText
from cxr_node.queries.tables.table import Table
from cxr_node.web.access import Person
from cxr_node.web.context import WebContext
from cxr_node.web.table_access import selection_of, table_of
from cxr_node.web.table_address import ApiSelection, Word, address


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsRequest:
    """Rows as a request names them: table, keys of chosen rows, or None for all rows of a selection."""

    table: str
    numbers: list[int] | None
    text: SelectionText


def _shown(
    table: Word,
    text: ApiSelection,
    number: Annotated[list[Annotated[int, Query(ge=1, le=2**63 - 1)]] | None, Query(max_length=MOST)] = None,
    chosen: Word = "",
) -> RowsRequest:
    return RowsRequest(table=table, numbers=(number or []) if chosen else None, text=text)


def _posted(
    table: Word,
    text: ApiSelection,
    rows: Annotated[Literal["chosen", "all"], Form()],
    numbers: Annotated[str, Form(pattern=r"^(\d{1,18}(,\d{1,18})*)?$")] = "",
) -> RowsRequest:
    keys = [int(number) for number in numbers.split(",") if number][:MOST]
    return RowsRequest(table=table, numbers=keys if rows == "chosen" else None, text=text)


ShownRows = Annotated[RowsRequest, Depends(_shown)]
"""Rows of a request for the page that shows what an action would do."""
PostedRows = Annotated[RowsRequest, Depends(_posted)]
"""Rows of the form of that page: the action itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRows:
    """Rows of a table: chosen ones by their `numbers`, or all of a `selection`, which a query finds when it is used."""

    table: Table
    text: SelectionText
    numbers: list[int] | None
    selection: Selection | None

    @property
    def keys(self) -> RowIds:
        """Keys of the rows."""
        return self.numbers or [] if self.selection is None else all_keys(self.selection, self.table.key)

    @property
    def jobs(self) -> RowIds:
        """Numbers of the rows' jobs."""
        return (
            jobs_of_rows(self.table, self.numbers or [])
            if self.selection is None
            else jobs_of_selection(self.selection)
        )

    @property
    def words(self) -> str:
        """The rows in words without patient data, for log and audit trail."""
        return (
            f"of {len(self.numbers or [])} {self.table.row}"
            if self.selection is None
            else f"of a list of {self.table.row}"
        )

    @property
    def back(self) -> str:
        """Address of the list."""
        return address(f"/{self.table.name}", self.text)

    def address(self, path: str) -> str:
        """Return the address of an action on the rows, without the keys of chosen ones."""
        text = SelectionText() if self.selection is None else self.text
        return address(path, text, table=self.table.name)


def rows_of(
    context: WebContext, request: RowsRequest, person: Person, *, among: Collection[str], what: str
) -> ActionRows:
    """Return the rows of a request; respond 404 to a table that is not `among` those whose rows have `what`."""
    table = table_of(request.table, person)
    if table.name not in among:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"the rows of this table are no {what}")
    selection = selection_of(context, table, request.text, person) if request.numbers is None else None
    return ActionRows(table=table, text=request.text, numbers=request.numbers, selection=selection)
