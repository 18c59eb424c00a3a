"""Pages of a table by key (keyset pagination): each begins after, or ends before, the row of another.

A page costs the same wherever it is: no row before it is counted. Rows are unique by the value that they are sorted by
and the key. Empty values come last in both directions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, literal, or_, select

from cxr_node.db.claim_order import WithoutIndex
from cxr_node.queries.tables.cursor import Cursor, parse_cursor
from cxr_node.queries.tables.selection import Selection, shown_value, source_value
from cxr_node.queries.tables.table import Period, Source, TableColumn
from cxr_node.queries.view_rows import Comparison, Condition, expression

Row = dict[str, Any]
Term = tuple[ColumnElement[Any], bool]
"""A value that rows are sorted by, and whether it ascends."""
_CHUNK = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows of a selection, and the places before and after which there are further ones; empty if there are none."""

    rows: list[Row]
    before: str = ""
    after: str = ""


def page(connection: Connection, selection: Selection, *, limit: int, after: str = "", before: str = "") -> Page:
    """Return the rows after or before a place, by default the first ones.

    Rows have the columns of the selection, and the key of its table.

    Raises
    ------
    InvalidSelection
        If `after` or `before` is no place.
    """
    if before:
        rows = _rows(connection, selection, limit=limit + 1, start=parse_cursor(selection, before), backward=True)
        has_more, rows = len(rows) > limit, rows[:limit][::-1]
        return _page(selection, rows, has_previous=has_more, has_next=True)
    start = parse_cursor(selection, after) if after else None
    rows = _rows(connection, selection, limit=limit + 1, start=start)
    return _page(selection, rows[:limit], has_previous=bool(after), has_next=len(rows) > limit)


def chunks(
    connect: Callable[[], AbstractContextManager[Connection]], selection: Selection, *, size: int | None = None
) -> Iterator[list[Row]]:
    """Yield all rows of a selection, at least one list; each is a query of its own, with its own time-out.

    No transaction stays open while a reader takes the rows.
    """
    after = ""
    while True:
        with connect() as connection:
            rows = page(connection, selection, limit=size or _CHUNK, after=after)
        yield rows.rows
        after = rows.after
        if not after:
            return


def count(connection: Connection, selection: Selection, *, limit: int) -> int:
    """Return the number of rows of a selection, at most `limit`."""
    return len(keys(connection, selection, selection.table.key, limit=limit))


def keys(connection: Connection, selection: Selection, column: str, *, limit: int) -> list[Any]:
    """Return the values of a column in the rows of a selection, at most `limit`, in its order."""
    names = {column, selection.table.key, selection.order.name}
    return [row[column] for row in _rows(connection, selection, limit=limit, names=names)]


def all_keys(selection: Selection, column: str) -> Select[Any]:
    """Return the query of the values of a column in all rows of a selection, however many, for use in another query."""
    filtered = {condition.column for condition in selection.all_conditions}
    source = _source(selection, filtered | {column, selection.table.time})
    return _select(source, selection, {column}).where(*_where(source, selection))


def _page(selection: Selection, raw: list[Row], *, has_previous: bool, has_next: bool) -> Page:
    table = selection.table
    shown = {column.name: column for column in (*selection.columns, table.columns[table.key])}
    rows = [{name: shown_value(column, row[name]) for name, column in shown.items()} for row in raw]
    if not raw:
        return Page(rows=rows)
    first, last = (Cursor(value=row[selection.order.name], key=row[table.key]).text for row in (raw[0], raw[-1]))
    return Page(rows=rows, before=first if has_previous else "", after=last if has_next else "")


def _rows(
    connection: Connection,
    selection: Selection,
    *,
    limit: int,
    start: Cursor | None = None,
    backward: bool = False,
    names: AbstractSet[str] = frozenset(),
) -> list[Row]:
    """Return rows as the source has them; backward from the place before `start`, with the nearest first."""
    ordering = frozenset({selection.table.key, selection.table.lookup or selection.table.key, selection.order.name})
    names = (names or {column.name for column in selection.columns}) | ordering
    along_index = _is_along_index(selection)
    read_first = names if along_index else ordering
    filtered = {condition.column for condition in selection.all_conditions}
    source = _source(selection, read_first | filtered | {selection.table.time})
    query = _select(source, selection, read_first).where(*_where(source, selection))
    columns = {name: _column(source, selection.table.columns[name]) for name in ordering}
    if not along_index:
        # A sort computes its columns for each row of the period, and the conditions on them once more: the value is
        # computed once, and the other columns are read for the rows of the page only.
        sorted_rows = query.cte("sorted_rows").prefix_with("MATERIALIZED")
        query, columns = select(sorted_rows), dict(sorted_rows.c.items())
    terms = _order_terms(columns, selection)
    if start is not None:
        query = query.where(_beyond(terms, start, backward=backward))
    directions = [ascending is not backward for _, ascending in terms]
    ordered = [term.asc() if up else term.desc() for (term, _), up in zip(terms, directions, strict=True)]
    rows = [dict(row) for row in connection.execute(query.order_by(*ordered).limit(limit)).mappings()]
    return rows if read_first == names else _with_columns(connection, selection, rows, names)


def _is_along_index(selection: Selection) -> bool:
    """Whether rows come in the order of an index: that of the time, or of the key if there is no period."""
    table, order = selection.table, selection.order.name
    return order == table.time or (order == table.key and selection.period == Period())


def _with_columns(connection: Connection, selection: Selection, rows: list[Row], names: AbstractSet[str]) -> list[Row]:
    """Return rows with further columns; one that was removed meanwhile is left out."""
    key, lookup = selection.table.key, selection.table.lookup or selection.table.key
    source = _source(selection, names)
    query = _select(source, selection, names)
    for name in dict.fromkeys((lookup, key)):
        column = _column(source, selection.table.columns[name])
        query = query.where(column.in_(sorted({row[name] for row in rows})))
    by_key = {row[key]: dict(row) for row in connection.execute(query).mappings()}
    return [{**by_key[row[key]], **row} for row in rows if row[key] in by_key]


def _source(selection: Selection, names: AbstractSet[str]) -> Source:
    table = selection.table
    return table.source_of(selection.period, {table.columns[name].source for name in names})


def _select(source: Source, selection: Selection, names: AbstractSet[str]) -> Select[Any]:
    columns = selection.table.columns
    labelled = [_column(source, columns[name]).label(name) for name in sorted(names)]
    return select(*labelled).select_from(source.clause)


def _where(source: Source, selection: Selection) -> Iterator[ColumnElement[bool]]:
    table, period = selection.table, selection.period
    time = _column(source, table.columns[table.time])
    if period.since is not None:
        yield time >= period.since
    if period.until is not None:
        yield time < period.until
    for condition in selection.all_conditions:
        table_column = table.columns[condition.column]
        column = _column(source, table_column)
        by_source = Condition(
            column=table_column.source,
            comparison=condition.comparison,
            value=source_value(table_column, condition.value),
        )
        yield expression(column if _is_selective(selection, condition) else WithoutIndex(column), by_source)


def _is_selective(selection: Selection, condition: Condition) -> bool:
    """Whether an index finds the few rows of a condition."""
    values = selection.table.selective.get(condition.column)
    if values is None:
        return False
    if condition.comparison is Comparison.IN:
        return not values
    return condition.comparison is Comparison.EQUAL and (not values or condition.value in values)


def _order_terms(columns: Mapping[str, ColumnElement[Any]], selection: Selection) -> list[Term]:
    """Return what rows are sorted by, each with whether it ascends: whether the value is empty, the value, the key."""
    table, ascends = selection.table, not selection.descending
    value, key = columns[selection.order.name], columns[table.key]
    if selection.order.name == table.key:
        return [(key, ascends)]
    if selection.order.name == table.time:
        return [(value, ascends), (key, ascends)]
    return [(value.is_(None), True), (value, ascends), (key, ascends)]


def _beyond(terms: Sequence[Term], start: Cursor, *, backward: bool) -> ColumnElement[bool]:
    """Return the condition of the rows after `start`, or before it."""
    key, key_ascends = terms[-1]
    key_beyond = _compare(key, start.key, up=key_ascends is not backward)
    if len(terms) == 1:
        return key_beyond
    value, ascends = terms[-2]
    up = ascends is not backward
    if len(terms) == 2:  # never empty: the bound on the value alone is one that an index can use
        bound = literal(start.value, value.type)
        return and_(value >= bound if up else value <= bound, or_(_compare(value, start.value, up=up), key_beyond))
    is_empty, _ = terms[0]
    if start.value is None:
        same = and_(is_empty, key_beyond)
        return or_(~is_empty, same) if backward else same
    further = or_(_compare(value, start.value, up=up), and_(value == literal(start.value, value.type), key_beyond))
    return and_(~is_empty, further) if backward else or_(is_empty, further)


def _compare(column: ColumnElement[Any], value: object, *, up: bool) -> ColumnElement[bool]:
    bound = literal(value, column.type)
    return column > bound if up else column < bound


def _column(source: Source, column: TableColumn) -> ColumnElement[Any]:
    return source.columns[column.source]
