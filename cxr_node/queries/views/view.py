"""View: its name, its columns with their meanings, and its SQL."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, Float, Integer, String, TableClause, column, table
from sqlalchemy.types import TypeEngine

from cxr_node.db.tables import UtcDateTime
from cxr_node.queries.views.dialects import DIALECTS, Dialect


class ColumnType(StrEnum):
    """Type of a column. Times are UTC, in SQLite as text such as 2026-01-31 12:00:00.000000."""

    NUMBER = "number"
    WHOLE = "whole number"
    TEXT = "text"
    TIME = "time"
    YES_NO = "yes or no"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view: the meaning of a row, its columns with type and meaning, and its SQL.

    `time` is the column that `since` and `until` filter; `newest` is indexed and gives the newest rows.
    """

    name: str
    row: str
    time: str
    newest: str
    columns: Mapping[str, tuple[ColumnType, str]]
    sql: Callable[[Dialect], str]

    @property
    def selectable(self) -> TableClause:
        """The view for SQLAlchemy."""
        return table(self.name, *(column(name, _TYPES[kind]()) for name, (kind, _) in self.columns.items()))

    def query(self, dialect_name: str) -> str:
        """Return the SELECT that defines the view on SQLite or PostgreSQL."""
        return self.sql(DIALECTS[dialect_name]).strip()


_TYPES: Mapping[ColumnType, type[TypeEngine[Any]]] = {
    ColumnType.NUMBER: Float,
    ColumnType.WHOLE: Integer,
    ColumnType.TEXT: String,
    ColumnType.TIME: UtcDateTime,
    ColumnType.YES_NO: Boolean,
}
