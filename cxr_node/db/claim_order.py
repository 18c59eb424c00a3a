"""Claim order of waiting jobs: due time minus priority boost, as Python and as SQL of each database."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Compiled, DateTime
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


def claim_key(due_at: datetime, priority_boost_s: int) -> float:
    """Return the sort key of a job in seconds; the lowest is claimed first.

    Only jobs that fall due within their boost after a job can pass it, so no job starves.
    """
    return due_at.timestamp() - priority_boost_s


class ClaimOrder(FunctionElement[datetime]):
    """`claim_key` of the columns `due_at` and `priority`, as in the index of waiting jobs of each database."""

    type = DateTime()
    inherit_cache = True
    name = "claim_order"

    def __init__(self, due_at: ColumnElement[datetime], priority: ColumnElement[int]) -> None:
        super().__init__(due_at, priority)


@compiles(ClaimOrder, "sqlite")
def _claim_order_in_sqlite(element: ClaimOrder, compiler: Compiled, **options: object) -> str:
    due_at, priority = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(julianday({due_at}) - {priority} / 86400.0)"


@compiles(ClaimOrder, "postgresql")
def _claim_order_in_postgresql(element: ClaimOrder, compiler: Compiled, **options: object) -> str:
    # An index takes only immutable expressions; a time with time zone minus an interval is not one.
    due_at, priority = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(({due_at} AT TIME ZONE 'UTC') - {priority} * '00:00:01'::interval)"


class WithoutIndex(FunctionElement[Any]):
    """A column that SQLite must not use an index for.

    By the index on the due time it would find all due jobs and sort them at each claim. By an index for grouping it
    would scan the whole table. By an index on a state it would visit all films that are done, to list those of a day.
    """

    inherit_cache = True
    name = "without_index"

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(WithoutIndex, "sqlite")
def _without_index_in_sqlite(element: WithoutIndex, compiler: Compiled, **options: object) -> str:
    (column,) = element.clauses
    return f"+{compiler.process(column, **options)}"


@compiles(WithoutIndex, "postgresql")
def _without_index_in_postgresql(element: WithoutIndex, compiler: Compiled, **options: object) -> str:
    (column,) = element.clauses
    return compiler.process(column, **options)
