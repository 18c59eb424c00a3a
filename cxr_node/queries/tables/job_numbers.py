"""Jobs of the rows of a table."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from cxr_node.queries.tables.table import Period, Table


def job_ids_of(connection: Connection, table: Table, keys: Sequence[int]) -> list[int]:
    """Return the numbers of the jobs of rows with these keys, in ascending order."""
    names = {table.key, "job_id"}
    source = table.source_of(Period(), names)
    job_id, key = source.columns["job_id"], source.columns[table.key]
    query = select(job_id).select_from(source.clause).where(key.in_(keys), job_id.is_not(None))
    return sorted(set(connection.execute(query).scalars()))
