"""Lines of a row of a repeated table in a TOML document, with the comments that belong to it."""

import re
from dataclasses import dataclass

from cxr_node.settings.places import Location, statements

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLines:
    """Lines `start` up to `end` of a document, counted from 0: comments above the header, header, and body.

    Comments belong to a row if no blank line separates them from its header, or from the last line of its body.
    """

    start: int
    end: int


def split_lines(text: str) -> list[str]:
    """Return the lines of a text with their ends; only line feeds end lines, as in TOML."""
    return _LINE.findall(text)


def header_rows(text: str, table: Location) -> int:
    """Return the number of rows of a table that have a header, such as [[deliver.destinations]]."""
    return sum(
        statement.is_header and statement.location[:-1] == table and isinstance(statement.location[-1], int)
        for statement in statements(text)
    )


def lines_of_row(text: str, row: Location) -> RowLines:
    """Return the lines of a row that has a header.

    Raises
    ------
    ValueError
        If there is no such header, or other tables stand between the tables of the row.
    """
    lines = split_lines(text)
    headers = [(one.first_line - 1, one.location) for one in statements(text) if one.is_header]
    at = next((index for index, (_, location) in enumerate(headers) if location == row), None)
    if at is None:
        raise ValueError(f"no header of {row}")
    following = [index for index, (_, location) in enumerate(headers) if index > at and location[: len(row)] != row]
    next_index = following[0] if following else len(headers)
    if any(location[: len(row)] == row for _, location in headers[next_index:]):
        raise ValueError(f"the tables of {row} are apart")
    limit = _comments_above(lines, headers[next_index][0]) if following else len(lines)
    end = max(index for index in range(headers[at][0], limit) if _has_content(lines[index])) + 1
    while end < limit and _is_comment(lines[end]):
        end += 1
    return RowLines(start=_comments_above(lines, headers[at][0]), end=end)


def _comments_above(lines: list[str], index: int) -> int:
    while index and _is_comment(lines[index - 1]):
        index -= 1
    return index


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _has_content(line: str) -> bool:
    return bool(line.strip()) and not _is_comment(line)
