"""Places of settings in a TOML file: the line of each key, for sentences on what is wrong."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Location = tuple[int | str, ...]
"""Keys and indices that lead from the root of the settings to a value."""

_LEXEMES = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[{]|[\]}]|\n|[^\n"\'#\[\]{}]+',
    re.DOTALL,
)
_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")


def named_key(tables: object, location: Location) -> str:
    """Return the key of a setting; a row of a repeated table has its name or AE title in it, if it has one."""
    parts: list[str] = []
    for part in location:
        try:
            tables = tables[part]  # type: ignore[index]  # a dictionary or a list, unless the settings are wrong
        except (TypeError, KeyError, IndexError):
            tables = None
        name = row_name(tables) if isinstance(part, int) and isinstance(tables, dict) else ""
        parts.append(name or str(part))
    return ".".join(parts)


def row_name(row: Mapping[str, Any]) -> str:
    """Return the name of a row of a repeated table, as `Section.row_name` does."""
    return str(row.get("name") or row.get("ae_title") or "")


def lines_of(text: str) -> dict[Location, int]:
    """Return the line of each table and key of a TOML document, counted from 1."""
    return {statement.location: statement.first_line for statement in statements(text)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A header or an assignment of a TOML document, with the lines that it is on, counted from 1."""

    location: Location
    is_header: bool
    first_line: int
    last_line: int


def statements(text: str) -> Iterator[Statement]:
    """Yield the headers and assignments of a TOML document, in their order."""
    rows: dict[Location, int] = {}
    table: Location = ()
    for number, statement in _statements(text):
        last = number + statement.count("\n")
        if header := _HEADER.match(statement):
            table = _table(header[1] == "[[", _parts(header[2]), rows)
            yield Statement(location=table, is_header=True, first_line=number, last_line=last)
        elif assignment := _ASSIGNMENT.match(statement):
            location = (*table, *_parts(assignment[1]))
            yield Statement(location=location, is_header=False, first_line=number, last_line=last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the settings of a file are: lines by named key, and where secrets are from that are not in the file."""

    file: str
    lines: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, file: str, text: str, tables: Mapping[str, Any], sources: Mapping[Location, str]) -> "Places":
        """Return the places of a document and its tables."""
        return cls(
            file=file,
            lines={named_key(tables, location): line for location, line in lines_of(text).items()},
            sources={named_key(tables, location): source for location, source in sources.items()},
        )

    def add(self, sentence: str) -> str:
        """Return a sentence that begins with a key with the place of the key behind it."""
        subject, separator, rest = sentence.partition(": ")
        place = self.place(subject.partition(" and ")[0])
        return f"{subject} ({place}){separator}{rest}" if place and separator else sentence

    def place(self, key: str) -> str:
        """Return where a setting is, or its first row, or the nearest table that it is in; empty if it is in none."""
        while key:
            if key in self.sources:
                return f"from {self.sources[key]}"
            rows = (line for known, line in self.lines.items() if known.startswith(f"{key}."))
            if line := self.lines.get(key) or next(rows, 0):
                return f"line {line} of {self.file}"
            key = key.rpartition(".")[0]
        return ""


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each header and assignment with its first line; a value may go on over several lines."""
    number, first, depth, statement = 1, 1, 0, ""
    for match in _LEXEMES.finditer(text):
        lexeme = match[0]
        if lexeme == "\n" and depth == 0:
            yield first, statement
            statement, first, depth = "", number + 1, 0
        elif not lexeme.startswith("#"):
            statement += lexeme
            depth += (lexeme in "[{") - (lexeme in "]}")
        number += lexeme.count("\n")
    yield first, statement


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, dotted))


def _table(is_repeated: bool, parts: tuple[str, ...], rows: dict[Location, int]) -> Location:
    """Return the location of a table; within a repeated table that is the newest row."""
    location: Location = ()
    for part in parts[:-1]:
        location = (*location, part)
        if location in rows:
            location = (*location, rows[location])
    location = (*location, parts[-1])
    if is_repeated:
        rows[location] = rows.get(location, -1) + 1
        return (*location, rows[location])
    return location
