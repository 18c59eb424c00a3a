"""Rows of a view: selected columns, conditions, a period, order and limit."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from cxr_node.queries.views.view import View


class Comparison(StrEnum):
    """Comparison of a column with a value; `LIKE` patterns use %. The value of `IN` is a tuple; no text states it."""

    EQUAL = "="
    UNEQUAL = "!="
    LEAST = ">="
    MOST = "<="
    MORE = ">"
    LESS = "<"
    LIKE = "~"
    IN = "in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition on a row. With = or !=, a value of None tests for an empty column."""

    column: str
    comparison: Comparison
    value: object


def equal(column: str, value: object) -> Condition:
    """Return the condition that a column equals a value."""
    return Condition(column=column, comparison=Comparison.EQUAL, value=value)


def among(column: str, values: Iterable[object]) -> Condition:
    """Return the condition that a column equals one of some values."""
    return Condition(column=column, comparison=Comparison.IN, value=tuple(values))


def rows(
    connection: Connection,
    view: View,
    *,
    columns: Sequence[str] = (),
    conditions: Iterable[Condition] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    order: str = "",
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Return rows of a view, the newest first unless `order` names a column; a minus before it sorts descending.

    With `since` or `until` the newest are the latest by the time of the view.

    Raises
    ------
    KeyError
        If the view has no such column.
    """
    source = view.selectable
    query: Select[Any] = select(*(source.c[name] for name in columns or view.columns))
    query = query.where(*(expression(source.c[condition.column], condition) for condition in conditions))
    if since is not None:
        query = query.where(source.c[view.time] >= since)
    if until is not None:
        query = query.where(source.c[view.time] < until)
    sort = order or f"-{view.time if since or until else view.newest}"
    column = source.c[sort.removeprefix("-")]
    query = query.order_by(column.desc() if sort.startswith("-") else column.asc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def expression(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    """Return a condition as SQL on a column."""
    value: Any = condition.value
    match condition.comparison:
        case Comparison.EQUAL:
            return column.is_not_distinct_from(value) if value is None else column == value
        case Comparison.UNEQUAL:
            return column.is_distinct_from(value)
        case Comparison.LIKE:
            return column.like(value)
        case Comparison.IN:
            return column.in_(value)
        case ordered:
            compared: ColumnElement[bool] = _ORDERED[ordered](column, value)
            return compared


_ORDERED: Mapping[Comparison, Callable[[Any, Any], Any]] = {
    Comparison.LEAST: operator.ge,
    Comparison.MOST: operator.le,
    Comparison.MORE: operator.gt,
    Comparison.LESS: operator.lt,
}
