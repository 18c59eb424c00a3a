"""In which order waiting jobs are claimed: by the time at which each was due, less its head start."""

from datetime import datetime

from sqlalchemy import ColumnElement, Compiled, DateTime
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

NO_PRIORITY_BOOST = 0
LARGEST_PRIORITY_BOOST_S = 86400


def claim_key(due_at: datetime, priority_boost_s: int) -> float:
    """Return what jobs are ordered by, as seconds: the lower, the sooner.

    A job is passed only by those that fall due within the others' head start after it: so long, and no longer, can one
    be kept waiting by more urgent ones.
    """
    return due_at.timestamp() - priority_boost_s


class ClaimOrder(FunctionElement[datetime]):
    """The same of a row's columns `due_at` and `priority`, as the index of waiting jobs has it in each database."""

    type = DateTime()
    inherit_cache = True
    name = "turn"

    def __init__(self, due_at: ColumnElement[datetime], priority: ColumnElement[int]) -> None:
        super().__init__(due_at, priority)


@compiles(ClaimOrder, "sqlite")
def _in_sqlite(turn: ClaimOrder, compiler: Compiled, **options: object) -> str:
    due_at, priority = (compiler.process(each, **options) for each in turn.clauses)
    return f"(julianday({due_at}) - {priority} / 86400.0)"


@compiles(ClaimOrder, "postgresql")
def _in_postgresql(turn: ClaimOrder, compiler: Compiled, **options: object) -> str:
    # An index takes only what is the same at all times and places, which a time with a zone less seconds is not.
    due_at, priority = (compiler.process(each, **options) for each in turn.clauses)
    return f"(({due_at} AT TIME ZONE 'UTC') - {priority} * '00:00:01'::interval)"


class WithoutIndex(FunctionElement[datetime]):
    """A column by which SQLite is not to look rows up: it would rather find all that is due, and sort it, each time.

    Nor is it to group by its index: it would go through the whole table for the sake of the order.
    """

    type = DateTime()
    inherit_cache = True
    name = "not_sought"

    def __init__(self, column: ColumnElement[datetime]) -> None:
        super().__init__(column)


@compiles(WithoutIndex, "sqlite")
def _not_by_index(column: WithoutIndex, compiler: Compiled, **options: object) -> str:
    (only,) = column.clauses
    return f"+{compiler.process(only, **options)}"


@compiles(WithoutIndex, "postgresql")
def _as_it_is(column: WithoutIndex, compiler: Compiled, **options: object) -> str:
    (only,) = column.clauses
    return compiler.process(only, **options)
