"""Texts of settings files that a page may show: values that are or may be secrets are hidden."""

import difflib
import re
from collections.abc import Iterator
from functools import cache

from cxr_node.domain.secret import HIDDEN, is_secret
from cxr_node.domain.section import Section, table_types
from cxr_node.ops.settings_edit.row_lines import split_lines
from cxr_node.settings.places import Statement, statements
from cxr_node.settings.root import Settings
from cxr_node.settings.sentences import fields_at

_ASSIGNED = re.compile(r"^(?P<start>[^=\n]*?)=")
_COMMENTED = re.compile(r"""^\s*#[\s#]*(?:[\w."'-]*[."'])?(?P<name>[\w-]+)["']?\s*=""")
_USER_INFORMATION = re.compile(r"://[^\s\"'@]*@")


def masked(text: str) -> str:
    """Return a settings file without its secrets, in assignments and in comments.

    A setting that is not known, and a table in one line that may have a secret, are hidden as well.
    """
    lines = [_masked_comment(line) for line in split_lines(text)]
    for statement in statements(text):
        if not statement.is_header and _may_be_secret(statement):
            first, end = statement.first_line - 1, _end_of(lines[statement.last_line - 1])
            match = _ASSIGNED.match(lines[first])
            lines[first] = f'{match["start"] if match else ""}= "{HIDDEN}"{end}'
            lines[statement.first_line : statement.last_line] = [""] * (statement.last_line - statement.first_line)
    return "".join(lines)


def difference(before: str, after: str, name: str) -> str:
    """Return the unified diff of two texts of the file `name`, without secrets; empty if they are the same."""
    lines = difflib.unified_diff(
        masked(before).splitlines(), masked(after).splitlines(), fromfile=name, tofile=f"{name} (new)", lineterm=""
    )
    return "\n".join(lines)


def _end_of(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _may_be_secret(statement: Statement) -> bool:
    fields = fields_at(Settings, statement.location)
    return not fields or any(_contains_secret(field.annotation) for field in fields)


def _contains_secret(annotation: object) -> bool:
    tables = table_types(annotation)
    return is_secret(annotation) or any(
        _contains_secret(field.annotation) for table in tables for field in table.model_fields.values()
    )


def _masked_comment(line: str) -> str:
    match = _COMMENTED.match(line)
    if match is not None and match["name"] in _secret_names():
        return f'{line[: match.end() - 1]}= "{HIDDEN}"{_end_of(line)}'
    return _USER_INFORMATION.sub(f"://{HIDDEN}@", line)


@cache
def _secret_names() -> frozenset[str]:
    return frozenset(_names_in(Settings))


def _names_in(table: type[Section]) -> Iterator[str]:
    for name, field in table.model_fields.items():
        if is_secret(field.annotation):
            yield name
        for nested in table_types(field.annotation):
            yield from _names_in(nested)
