"""Cursor: the place of a row in a selection, as text of an address."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime

from cxr_node.queries.condition_text import CONTROL, LARGEST_WHOLE
from cxr_node.queries.tables.selection import InvalidSelection, Selection
from cxr_node.queries.tables.table import TableColumn
from cxr_node.queries.views.view import ColumnType


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The value that rows are sorted by, as the source of the table has it, and the key of the row."""

    value: object
    key: object

    @property
    def text(self) -> str:
        """The place as text, which `parse_cursor` reads."""
        return json.dumps([_plain(self.value), _plain(self.key)])


def parse_cursor(selection: Selection, text: str) -> Cursor:
    """Return the place that a text names; raise InvalidSelection if it names none."""
    table = selection.table
    try:
        value, key = json.loads(text)
        cursor = Cursor(value=_value(selection.order, value), key=_value(table.columns[table.key], key))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise _no_place(text) from None
    never_empty = (cursor.key, cursor.value if selection.order.name in (table.time, table.key) else cursor.key)
    if None in never_empty:
        raise _no_place(text)
    return cursor


def _no_place(text: str) -> InvalidSelection:
    return InvalidSelection(f"{text[:80]!r} is no place in this table: begin with its first page")


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _value(column: TableColumn, value: object) -> object:
    """Return a value of a place if it is of the type of its column."""
    match column.kind, value:
        case _, None:
            return None
        case ColumnType.YES_NO, bool():
            return value
        case ColumnType.WHOLE, int() if not isinstance(value, bool) and abs(value) <= LARGEST_WHOLE:
            return value
        case ColumnType.NUMBER, int() | float() if not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        case ColumnType.TEXT, str() if not CONTROL.search(value):
            return value
        case ColumnType.TIME, str() if (at := datetime.fromisoformat(value)).tzinfo is not None:
            return at.astimezone(UTC)
        case _:
            raise TypeError(value)
