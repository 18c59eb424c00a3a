"""Conditions as people write them: COLUMN=VALUE, or with !=, <, <=, >, >=, or ~ for LIKE."""

import math
import re
from collections.abc import Mapping
from datetime import datetime

from cxr_node.queries.time_text import InvalidTime, parse_time
from cxr_node.queries.view_rows import Comparison, Condition
from cxr_node.queries.views.view import ColumnType

_CONDITION = re.compile(r"(?P<column>\w+)(?P<comparison>!=|>=|<=|=|>|<|~)(?P<value>.*)", re.DOTALL)
_NULL = "none"
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EQUALITY = frozenset({Comparison.EQUAL, Comparison.UNEQUAL})
LARGEST_WHOLE = 2**63 - 1


class InvalidCondition(ValueError):
    """The text is no condition on these columns; the sentence says what is expected."""


def parse_condition(text: str, columns: Mapping[str, ColumnType], *, owner: str, now: datetime) -> Condition:
    """Return a condition on one of `columns`, which are those of a view or table named `owner`.

    The value `none` is that of an empty column.

    Raises
    ------
    InvalidCondition
        If there is no such column, its type has no such comparison, or the value is not of its type.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InvalidCondition(f"{text!r}: expected COLUMN=VALUE, such as state=failed")
    kind = kind_of(match["column"], columns, owner=owner)
    comparison = Comparison(match["comparison"])
    value = parse_value(kind, match["value"], now=now)
    if not _applies(comparison, kind, value):
        raise InvalidCondition(f"{text!r}: {comparison} does not apply to {'none' if value is None else f'a {kind}'}")
    return Condition(column=match["column"], comparison=comparison, value=value)


def kind_of(column: str, columns: Mapping[str, ColumnType], *, owner: str) -> ColumnType:
    """Return the type of a column; raise InvalidCondition if there is none."""
    try:
        return columns[column]
    except KeyError:
        raise InvalidCondition(f"{owner} has no column {column!r}; it has {', '.join(columns)}") from None


def parse_value(kind: ColumnType, text: str, *, now: datetime) -> object:
    """Return a text as a value of a column's type; raise InvalidCondition if it is none."""
    if text == _NULL:
        return None
    try:
        return _parsed(kind, text, now)
    except InvalidTime as error:
        raise InvalidCondition(str(error)) from None
    except (ValueError, KeyError):
        raise InvalidCondition(f"{text!r} is not valid; expected a {kind}") from None


def _parsed(kind: ColumnType, text: str, now: datetime) -> object:
    match kind:
        case ColumnType.WHOLE:
            return _within(int(text))
        case ColumnType.NUMBER:
            return _finite(float(text))
        case ColumnType.YES_NO:
            return _YES_NO[text.lower()]
        case ColumnType.TIME:
            return parse_time(text, now=now)
        case ColumnType.TEXT:
            return _printable(text)


def _within(whole: int) -> int:
    if abs(whole) > LARGEST_WHOLE:
        raise ValueError
    return whole


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError
    return number


def _printable(text: str) -> str:
    if CONTROL.search(text):  # PostgreSQL takes no NUL
        raise ValueError
    return text


def _applies(comparison: Comparison, kind: ColumnType, value: object) -> bool:
    """Whether both databases can compare so."""
    if comparison in _EQUALITY:
        return True
    if value is None or kind is ColumnType.YES_NO:
        return False
    return comparison is not Comparison.LIKE or kind is ColumnType.TEXT
