"""Table: what it lists, where its rows come from, and how its columns are shown, filtered and sorted."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause

from cxr_node.queries.view_rows import Condition
from cxr_node.queries.views.view import ColumnType, View

DEFAULT_SINCE = "7d"
"""Period of a table unless another is chosen: filters and sorts without an index visit its rows only."""
EVER = "all"
"""Text of a period without a beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From `since` on and before `until`; None is no bound."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column of a table.

    Parameters
    ----------
    name
        Name in addresses, CSV and JSON.
    label
        Heading of the column.
    source
        Name of the column in the source of the table.
    factor
        The value is that of the source times this: scores are 0 to 100 everywhere.
    choices
        All values, if there are few.
    offers_values
        Whether the values of the newest rows are offered as a choice.
    is_uid
        Whether the value leads to a patient in the PACS, so that it is for people who may see films.
    """

    name: str
    label: str
    kind: ColumnType
    meaning: str
    source: str
    factor: float = 1.0
    choices: tuple[str, ...] = ()
    offers_values: bool = False
    is_uid: bool = False

    @property
    def is_number(self) -> bool:
        """Whether the column has numbers."""
        return self.kind in (ColumnType.NUMBER, ColumnType.WHOLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """FROM clause of a table, and its columns by name."""

    clause: FromClause
    columns: Mapping[str, ColumnElement[Any]]


SourceOf = Callable[[Period, AbstractSet[str]], Source]
"""Returns the source of a period with at least these columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A selection of a table with a name, in the words of an address."""

    label: str
    where: tuple[str, ...] = ()
    since: str = DEFAULT_SINCE
    order: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Parameters
    ----------
    name
        Name in addresses and of files.
    row
        What a row is, in the plural, as in "no films".
    key
        Column that is different in each row, and never empty.
    time
        Column that the period applies to, never empty; the newest rows come first.
    shown
        Columns that are shown unless others are chosen.
    fixed
        Conditions that always hold.
    selective
        Columns whose index finds few rows, with the values for which it does; without values, for any. For all other
        conditions SQLite, which keeps no statistics, visits the rows of the period.
    lookup
        Column by which an index finds the rows of a page again; by default the key.
    needs_film_access
        Whether only people who may see films see the table.
    """

    name: str
    title: str
    row: str
    source_of: SourceOf
    columns: Mapping[str, TableColumn]
    key: str
    time: str
    shown: tuple[str, ...]
    order: str = ""
    presets: tuple[Preset, ...] = ()
    fixed: tuple[Condition, ...] = ()
    selective: Mapping[str, frozenset[object]] = field(default_factory=dict)
    lookup: str = ""
    needs_film_access: bool = True

    @property
    def default_order(self) -> str:
        """Name of the column that the table is sorted by, with a minus for the last value first."""
        return self.order or f"-{self.time}"

    def visible_columns(self, *, sees_films: bool) -> dict[str, TableColumn]:
        """Return the columns that a person may see, filter and sort by."""
        return {name: column for name, column in self.columns.items() if sees_films or not column.is_uid}


def source_of_view(view: View) -> SourceOf:
    """Return the source of a table whose rows are those of a view."""

    def source_of(_period: Period, _names: AbstractSet[str]) -> Source:
        selectable = view.selectable
        return Source(clause=selectable, columns=dict(selectable.c.items()))

    return source_of


def source_of_joined_views(view: View, other: View, *, on: str) -> SourceOf:
    """Return the source of a table whose rows are those of a view, with the columns of another that it lacks."""

    def source_of(_period: Period, names: AbstractSet[str]) -> Source:
        left, right = view.selectable, other.selectable
        added = {name: column for name, column in right.c.items() if name not in left.c}
        clause = left.join(right, left.c[on] == right.c[on]) if names & added.keys() else left
        return Source(clause=clause, columns={**added, **dict(left.c.items())})

    return source_of
