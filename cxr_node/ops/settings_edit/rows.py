"""Edits of rows of repeated tables in a TOML document: comments, order and all other lines stay.

tomlkit changes values within a row. Rows are added and removed as lines, since tomlkit takes the comment above a header
as the end of the table before it. The result is parsed and compared with the wanted tables.
"""

import copy
import tomllib
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from cxr_node.ops.settings_edit.row_lines import header_rows, lines_of_row, split_lines
from cxr_node.settings.places import Location

Tables = dict[str, Any]


class CannotEdit(Exception):
    """The document cannot be edited; the sentence says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowEdit:
    """An edit of a row of the table `section`.`name`.

    `index` is the row's place, None to add a row at the end. `values` are TOML values by name, such as when.views; None
    removes a setting. Without `values` the row is removed.
    """

    section: str
    name: str
    index: int | None = None
    values: Mapping[str, Any] | None = None

    @property
    def table(self) -> str:
        """The key of the table."""
        return f"{self.section}.{self.name}"


def rows_of(text: str, section: str, name: str) -> list[Tables]:
    """Return the rows of a table of a TOML document."""
    rows = tomllib.loads(text).get(section, {}).get(name, [])
    return [row for row in rows if isinstance(row, dict)]


def edited(text: str, edit: RowEdit) -> str:
    """Return the document with an edit.

    Raises
    ------
    CannotEdit
        If there is no such row, or the document is written in a way that this edit would not keep.
    """
    rows = rows_of(text, edit.section, edit.name)
    if edit.index is not None and not 0 <= edit.index < len(rows):
        raise CannotEdit(f"[[{edit.table}]] has no row {edit.index + 1} any more: open the page of settings again")
    is_dos = "\r\n" in text
    unix_text = text.replace("\r\n", "\n")
    try:
        result = _by_lines(unix_text, edit) if _has_headers(unix_text, edit) else _as_whole(unix_text, edit)
        is_right = _comparable(tomllib.loads(result), edit) == _comparable(_expected(unix_text, edit), edit)
    except (TOMLKitError, ValueError, KeyError, TypeError):
        is_right = False
    if not is_right:
        raise CannotEdit(f"[[{edit.table}]] is written in a form that cannot be edited here: edit the file by hand")
    return result.replace("\n", "\r\n") if is_dos else result


def row_text(text: str, edit: RowEdit) -> str:
    """Return the lines of an edited row, to be pasted; of a row without a header, the row as one with a header."""
    rows = rows_of(text, edit.section, edit.name)
    index = len(rows) - 1 if edit.index is None else edit.index
    if header_rows(text, (edit.section, edit.name)):
        place = lines_of_row(text, (edit.section, edit.name, index))
        return "".join(split_lines(text)[place.start : place.end])
    return _new_row(edit, rows[index])


def _has_headers(text: str, edit: RowEdit) -> bool:
    """Whether the rows have headers, or there is none yet; else they are an array of inline tables."""
    is_set = edit.name in tomllib.loads(text).get(edit.section, {})
    return not is_set or header_rows(text, (edit.section, edit.name)) > 0


def _by_lines(text: str, edit: RowEdit) -> str:
    lines = split_lines(text)
    if edit.index is None:
        return "".join(_with_row(text, lines, edit))
    place = lines_of_row(text, (edit.section, edit.name, edit.index))
    before, row, after = lines[: place.start], lines[place.start : place.end], lines[place.end :]
    if edit.values is None:
        is_separated = not before or not before[-1].strip()
        while is_separated and after and not after[0].strip():
            after = after[1:]
        return "".join([*before, *after])
    document: Any = tomlkit.parse("".join(row))
    _assign(document[edit.section][edit.name][0], edit.values)
    changed = tomlkit.dumps(document)
    return "".join([*before, changed if changed.endswith("\n") else f"{changed}\n", *after])


def _with_row(text: str, lines: list[str], edit: RowEdit) -> list[str]:
    number = header_rows(text, (edit.section, edit.name))
    at = lines_of_row(text, (edit.section, edit.name, number - 1)).end if number else len(lines)
    before, after = lines[:at], lines[at:]
    if before and not before[-1].endswith("\n"):
        before[-1] += "\n"
    if before and before[-1].strip():
        before.append("\n")
    row = [_new_row(edit, _nested(edit.values or {}))]
    if after and after[0].strip():
        row.append("\n")
    return [*before, *row, *after]


def _new_row(edit: RowEdit, row: Tables) -> str:
    table = tomlkit.table()
    for name, value in row.items():
        table.add(name, _inline(value) if isinstance(value, dict) else value)
    return f"[[{edit.table}]]\n{tomlkit.dumps(table)}"


def _as_whole(text: str, edit: RowEdit) -> str:
    """Edit an array of inline tables, within the whole document."""
    document: Any = tomlkit.parse(text)
    array = document[edit.section][edit.name]
    if edit.index is None:
        array.append(_inline(_nested(edit.values or {})))
    elif edit.values is None:
        del array[edit.index]
    else:
        _assign(array[edit.index], edit.values)
    return tomlkit.dumps(document)


def _inline(value: Tables) -> Any:
    table = tomlkit.inline_table()
    for name, item in value.items():
        table.append(name, _inline(item) if isinstance(item, dict) else item)
    return table


def _assign(row: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
    """Set and remove settings of a row, also those of a table in it."""
    for dotted, value in values.items():
        outer, _, inner = dotted.partition(".")
        if not inner:
            _set(row, outer, value)
        elif outer in row:
            _set(row[outer], inner, value)
            if not row[outer]:
                del row[outer]
        elif value is not None:
            row[outer] = _inline({inner: value})


def _set(table: MutableMapping[str, Any], name: str, value: Any) -> None:
    if value is not None:
        table[name] = value
    elif name in table:
        del table[name]


def _nested(values: Mapping[str, Any]) -> Tables:
    row: Tables = {}
    _assign_plain(row, values)
    return row


def _assign_plain(row: Tables, values: Mapping[str, Any]) -> None:
    for dotted, value in values.items():
        outer, _, inner = dotted.partition(".")
        if not inner:
            _set(row, outer, value)
            continue
        table = row.setdefault(outer, {})
        _set(table, inner, value)
        if not table:
            del row[outer]


def _expected(text: str, edit: RowEdit) -> Tables:
    """Return the tables that the edited document must have."""
    tables = copy.deepcopy(tomllib.loads(text))
    rows = tables.setdefault(edit.section, {}).setdefault(edit.name, [])
    if edit.index is None:
        rows.append(_nested(edit.values or {}))
    elif edit.values is None:
        del rows[edit.index]
    else:
        _assign_plain(rows[edit.index], edit.values)
    return tables


def _comparable(tables: Tables, edit: RowEdit) -> Tables:
    """Return tables without an empty table of rows: it may be written or not."""
    section = tables.get(edit.section, {})
    if not section.get(edit.name, True):
        del section[edit.name]
    if not section:
        tables.pop(edit.section, None)
    return tables


def location_of(edit: RowEdit, number_of_rows: int) -> Location:
    """Return the location of an edited row; an added one is the last of `number_of_rows`."""
    return (edit.section, edit.name, number_of_rows - 1 if edit.index is None else edit.index)
