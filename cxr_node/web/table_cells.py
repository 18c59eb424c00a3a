"""Cells of tables: values as text, with their link and their tone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from cxr_node.domain.reasons import reason_meaning
from cxr_node.queries.tables.columns import PERCENT
from cxr_node.queries.tables.table import Table, TableColumn
from cxr_node.queries.views.view import ColumnType
from cxr_node.web.result_words import kind_words
from cxr_node.web.table_address import of_row

_WORDS = {
    "ratio_above_normal": "ratio above normal",
    "no_targets": "nothing looked for",
    "not_analysed": "not analysed",
    "not_routed": "no destination",
    "in_progress": "in progress",
}
_TONES = {
    "abnormal": "warn",
    "undetermined": "warn",
    "ratio_above_normal": "warn",
    "not_analysed": "warn",
    "present": "warn",
    "delivered": "ok",
    "completed": "ok",
    "canceled": "warn",
    "lost": "warn",
    "in_progress": "busy",
    "failed": "bad",
    "unreachable": "bad",
    "running": "busy",
    "waiting": "open",
}
"""Tone of a state; others are quiet. A film that was read is no reason for green: its report may not have arrived."""
_DONE = {"films": "read", "deliveries": "delivered"}
"""What is done of the rows of a table."""
_STATES = frozenset({"state", "result_state", "delivery_state", "presence"})
_PAGES = {"film_id": "/films/{}", "study_id": "/studies/{}", "result_id": "/results/{}"}
"""Pages of films, studies and results, for people who may see films."""
_OPEN_PAGES = {"step_id": "/steps/{}"}
"""Pages for everybody."""
_ROWS = {"job_id": "jobs", "delivery_id": "deliveries"}
"""Tables with the row of a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell: its text, the address of its link, its class, and the tone of a state; empty for none."""

    text: str
    link: str = ""
    style: str = ""
    tone: str = ""


def cell(table: Table, column: TableColumn, value: Any, *, sees_films: bool) -> Cell:
    """Return a value of a row as people see it."""
    if value is None:
        return Cell(text="", style=_style(column))
    if column.name in _STATES:
        words, tone = state_words(table.name, str(value))
        return Cell(text=words, tone=tone)
    return Cell(text=_text(column, value), link=_link(table, column, value, sees_films), style=_style(column))


def state_words(table: str, state: str) -> tuple[str, str]:
    """Return a state of a row of a table in words, and its tone."""
    words = _DONE.get(table, "done") if state == "done" else _WORDS.get(state, state)
    return words, _TONES.get(words if words in _TONES else state, "quiet")


def choice_words(column: TableColumn, value: str) -> str:
    """Return a value that is offered as a choice, in words."""
    if column.name == "reason":
        return reason_meaning(value).replace("_", " ")
    if column.name == "kind":
        return kind_words(value)
    return _WORDS.get(value, value)


def local(at: datetime) -> str:
    """Return a time in the zone of this host."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def _text(column: TableColumn, value: Any) -> str:
    match column.kind:
        case ColumnType.TIME:
            return local(value)
        case ColumnType.YES_NO:
            return "yes" if value else "no"
        case ColumnType.NUMBER:
            is_percent = column.factor == PERCENT or column.name.endswith("_percent")
            return f"{value:.1f}" if is_percent else f"{value:.6g}"
        case _:
            return choice_words(column, str(value)) if column.name in ("reason", "kind") else str(value)


def _link(table: Table, column: TableColumn, value: Any, sees_films: bool) -> str:
    if sees_films and column.name in _PAGES:
        return _PAGES[column.name].format(quote(str(value)))
    if column.name in _OPEN_PAGES:
        return _OPEN_PAGES[column.name].format(quote(str(value)))
    if column.name in _ROWS and _ROWS[column.name] != table.name:
        return of_row(_ROWS[column.name], column.name, value)
    return ""


def _style(column: TableColumn) -> str:
    if column.is_number:
        return "n"
    if column.kind is ColumnType.TIME:
        return "when"
    return {"detail": "why", "reason": "why"}.get(column.name, "uid" if column.is_uid else "")
