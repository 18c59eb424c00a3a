"""Rows of a table as CSV and JSON, in pieces."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cxr_node.ops.formatting import csv_value, plain_value
from cxr_node.queries.tables.paging import Row


def csv_lines(chunks: Iterable[list[Row]], names: Sequence[str]) -> Iterator[str]:
    """Yield rows as CSV (RFC 4180) with a header; times are UTC, and no text is a formula for a spreadsheet."""
    yield _csv([list(names)])
    for rows in chunks:
        yield _csv([[csv_value(row[name]) for name in names] for row in rows])


def json_lines(chunks: Iterable[list[Row]], names: Sequence[str]) -> Iterator[str]:
    """Yield rows as a JSON array of objects, a line for each; times are UTC."""
    separator = "[\n"
    for rows in chunks:
        lines = [json.dumps({name: plain_value(row[name]) for name in names}) for row in rows]
        if lines:
            yield separator + ",\n".join(lines)
            separator = ",\n"
    yield "\n]\n" if separator != "[\n" else "[]\n"


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
