"""Rows of a view: selected columns, conditions, a period, order and limit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from cxr_node.queries.views.view import View


class Comparison(StrEnum):
    """How a column is held against a value. `LIKE` takes % for anything."""

    EQUAL = "="
    UNEQUAL = "!="
    LEAST = ">="
    MOST = "<="
    MORE = ">"
    LESS = "<"
    LIKE = "~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a row must meet; a value of None, with = or !=, asks whether there is one."""

    column: str
    comparison: Comparison
    value: object


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
    """Return a view's rows, the newest first unless `order` names a column, with a minus before it to turn it round.

    Where a time is asked for, the newest are the latest.

    Raises
    ------
    KeyError
        If the view has no column of a name.
    """
    of = view.selectable
    query: Select[Any] = select(*(of.c[name] for name in columns or view.columns))
    query = query.where(*(_met(of.c[each.column], each) for each in conditions))
    if since is not None:
        query = query.where(of.c[view.time] >= since)
    if until is not None:
        query = query.where(of.c[view.time] < until)
    by = order or f"-{view.time if since or until else view.newest}"
    direction = of.c[by.removeprefix("-")]
    query = query.order_by(direction.desc() if by.startswith("-") else direction.asc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def _met(of: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    value = condition.value
    match condition.comparison:
        case Comparison.EQUAL:
            return of.is_not_distinct_from(value) if value is None else of == value
        case Comparison.UNEQUAL:
            return of.is_distinct_from(value)
        case Comparison.LEAST:
            return of >= value
        case Comparison.MOST:
            return of <= value
        case Comparison.MORE:
            return of > value
        case Comparison.LESS:
            return of < value
        case Comparison.LIKE:
            return of.like(value)
