"""View: its name, its columns with their meanings, and a template of its SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any

from sqlalchemy import Boolean, Float, Integer, String, TableClause, column, table
from sqlalchemy.types import TypeEngine

from cxr_node.db.tables import UtcDateTime


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
    `brief` are the columns of a table for people. One that `holds_identifiers` names patients: it is granted and shown
    only to those who may see them, and looks are audited.
    """

    name: str
    row: str
    time: str
    newest: str
    brief: Sequence[str]
    columns: Mapping[str, tuple[ColumnType, str]]
    sql: str
    holds_identifiers: bool = False

    @property
    def selectable(self) -> TableClause:
        """The view for SQLAlchemy."""
        return table(self.name, *(column(name, _TYPES[kind]()) for name, (kind, _) in self.columns.items()))

    def query(self, dialect_name: str) -> str:
        """Return the SELECT that defines the view on SQLite or PostgreSQL."""
        # Only tests and new migrations need the SQL: no process of the node loads the template engine for it.
        from jinja2 import StrictUndefined, Template

        macros = [
            files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
            for name in (dialect_name, "fragments")
        ]
        source = "\n".join([*macros, self.sql])
        query: str = Template(source, undefined=StrictUndefined).render(dialect=dialect_name)
        return query.strip()


_TYPES: Mapping[ColumnType, type[TypeEngine[Any]]] = {
    ColumnType.NUMBER: Float,
    ColumnType.WHOLE: Integer,
    ColumnType.TEXT: String,
    ColumnType.TIME: UtcDateTime,
    ColumnType.YES_NO: Boolean,
}
