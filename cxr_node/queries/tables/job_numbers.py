"""Jobs of the rows of a table."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select

from cxr_node.queries.tables.paging import all_keys
from cxr_node.queries.tables.selection import Selection
from cxr_node.queries.tables.table import Period, Table


def jobs_of_rows(table: Table, keys: Sequence[int]) -> Select[Any]:
    """Return the query of the numbers of the jobs of rows with these keys."""
    source = table.source_of(Period(), {table.key, "job_id"})
    job_id, key = source.columns["job_id"], source.columns[table.key]
    return select(job_id).select_from(source.clause).where(key.in_(keys), job_id.is_not(None))


def jobs_of_selection(selection: Selection) -> Select[Any]:
    """Return the query of the numbers of the jobs of all rows of a selection."""
    return all_keys(selection, "job_id")
