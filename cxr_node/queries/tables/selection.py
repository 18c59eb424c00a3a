"""Selection of a table: filters, period, order and columns, parsed from the text of an address."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cxr_node.queries.condition_text import InvalidCondition, parse_condition
from cxr_node.queries.tables.table import DEFAULT_SINCE, EVER, Period, Preset, Table, TableColumn
from cxr_node.queries.time_text import InvalidTime, parse_time
from cxr_node.queries.view_rows import Condition
from cxr_node.queries.views.view import ColumnType


class InvalidSelection(ValueError):
    """The text selects nothing of the table; the sentence says what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionText:
    """A selection as it is written in an address; empty parts have their default.

    Parameters
    ----------
    where
        Conditions, such as `score>80`. All of them hold.
    since, until
        Period, as `parse_time` takes it; `all` for `since` is no beginning.
    order
        Column to sort by; with a minus before it, the last value first.
    columns
        Columns to show.
    """

    where: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    order: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A valid selection of a table."""

    table: Table
    conditions: tuple[Condition, ...]
    period: Period
    order: TableColumn
    descending: bool
    columns: tuple[TableColumn, ...]

    @property
    def all_conditions(self) -> tuple[Condition, ...]:
        """The conditions of the selection and those of its table."""
        return (*self.table.fixed, *self.conditions)


def text_of(preset: Preset) -> SelectionText:
    """Return the selection of a preset."""
    return SelectionText(where=preset.where, since=preset.since, order=preset.order)


def parse_selection(table: Table, text: SelectionText, *, now: datetime, sees_films: bool) -> Selection:
    """Return the selection that a text names.

    Raises
    ------
    InvalidSelection
        If it names a column that there is not or that the person may not see, or a value is not of its type.
    """
    visible = table.visible_columns(sees_films=sees_films)
    kinds = {name: column.kind for name, column in visible.items()}
    name_of_table = f"the table of {table.row}"
    try:
        conditions = tuple(parse_condition(condition, kinds, owner=name_of_table, now=now) for condition in text.where)
        since = None if text.since == EVER else parse_time(text.since or DEFAULT_SINCE, now=now)
        period = Period(since=since, until=parse_time(text.until, now=now))
    except (InvalidCondition, InvalidTime) as error:
        raise InvalidSelection(str(error)) from None
    order = text.order or table.default_order
    shown = [name for name in table.shown if name in visible]
    return Selection(
        table=table,
        conditions=conditions,
        period=period,
        order=_column(visible, order.removeprefix("-"), name_of_table),
        descending=order.startswith("-"),
        columns=tuple(_column(visible, name, name_of_table) for name in text.columns or shown),
    )


def _column(visible: Mapping[str, TableColumn], name: str, name_of_table: str) -> TableColumn:
    try:
        return visible[name]
    except KeyError:
        raise InvalidSelection(f"{name_of_table} has no column {name!r}; it has {', '.join(visible)}") from None


def source_value(column: TableColumn, value: object) -> object:
    """Return a value of a column as its source has it."""
    if column.factor != 1.0 and isinstance(value, int | float):
        return value / column.factor
    return value


def shown_value(column: TableColumn, value: object) -> object:
    """Return a value of the source of a column as people see it."""
    if column.factor != 1.0 and isinstance(value, int | float):
        return round(value * column.factor, 4)
    if column.kind is ColumnType.YES_NO and value is not None:
        return bool(value)
    return value
