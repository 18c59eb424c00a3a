"""Values to choose from: those that the newest rows of a table have in columns of few values."""

from datetime import datetime

from sqlalchemy import Connection

from cxr_node.queries.tables.paging import page
from cxr_node.queries.tables.selection import SelectionText, parse_selection
from cxr_node.queries.tables.table import EVER, Table

_NEWEST = 1000
_MOST_VALUES = 40
"""A column with more values is filtered by what a person types."""


def offered_values(connection: Connection, table: Table, *, now: datetime) -> dict[str, list[str]]:
    """Return the values of the newest rows in each column that offers its values, in alphabetical order."""
    names = tuple(name for name, column in table.columns.items() if column.offers_values)
    if not names:
        return {}
    # Rows that are counted over films are of the usual period: to find the newest ever, all films would be counted.
    since = "" if table.order else EVER
    text = SelectionText(since=since, order=f"-{table.time}", columns=names)
    rows = page(connection, parse_selection(table, text, now=now, sees_films=True), limit=_NEWEST).rows
    values = {name: sorted({str(row[name]) for row in rows if row[name]}) for name in names}
    return {name: of_column for name, of_column in values.items() if len(of_column) <= _MOST_VALUES}
