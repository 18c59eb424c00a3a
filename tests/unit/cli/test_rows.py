"""Rows of listing commands: tables, CSV and JSON of the same rows, and one way to ask for each."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import typer

from cxr_node.cli.app import COMMANDS, app
from cxr_node.cli.rows import csv_text, print_rows
from cxr_node.cli.terminal import CommandError
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queries.views.view import View

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {"film_id": 1, "calling_ae_title": "=SUM(A1)", "received_at": NOON, "score": 0.123456789},
    {"film_id": 2, "calling_ae_title": None, "received_at": None, "score": None},
]
COLUMNS = ("film_id", "calling_ae_title", "received_at", "score")
LISTS = ("query", "drift", "deliveries", "jobs list", "jobs count", "turnaround", "senders")
"""Commands that print rows."""


def options() -> dict[str, set[str]]:
    """Return the options of each command, by its name and that of its group."""
    commands = {}
    for name in COMMANDS:
        command = typer.main.get_command(app).get_command(None, name)  # type: ignore[attr-defined]
        members = getattr(command, "commands", {"": command})
        for member, inner in members.items():
            commands[f"{name} {member}".strip()] = {option for one in inner.params for option in one.opts}
    return commands


def test_rows_are_printed_whole_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, COLUMNS, shown=("film_id",), none="no films", as_json=True, as_csv=False)

    assert json.loads(capsys.readouterr().out) == [
        {**ROWS[0], "received_at": "2026-01-31T12:00:00+00:00"},
        ROWS[1],
    ]


def test_no_text_of_a_film_becomes_a_formula_in_csv() -> None:
    first, second = csv.DictReader(io.StringIO(csv_text(ROWS, COLUMNS)))

    assert first["calling_ae_title"] == "'=SUM(A1)"
    assert first["score"] == "0.123456789"
    assert second["calling_ae_title"] == ""


def test_negative_numbers_stay_numbers_in_csv() -> None:
    assert csv_text([{"effect": -0.5}], ["effect"]) == "effect\n-0.5\n"


def test_the_table_has_the_columns_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, COLUMNS, shown=("film_id", "score"), none="no films", as_json=False, as_csv=False)

    table = capsys.readouterr().out
    assert "0.123457" in table
    assert "SUM" not in table


def test_json_and_csv_at_once_are_an_error() -> None:
    with pytest.raises(CommandError, match="exclude each other"):
        print_rows([], COLUMNS, none="", as_json=True, as_csv=True)


def test_every_command_asks_for_json_and_csv_in_one_way() -> None:
    for command, names in options().items():
        assert "--format" not in names, command
        if "--csv" in names:
            assert "--json" in names, command
    assert {command for command, names in options().items() if "--csv" in names} >= set(LISTS)


@pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: str(view.name))
def test_the_brief_columns_of_a_view_exist_and_fit_a_terminal(view: View) -> None:
    """Names are not wrapped; values are."""
    assert set(view.brief) <= set(view.columns)
    assert sum(map(len, view.brief)) + 3 * len(view.brief) + 1 <= 100
