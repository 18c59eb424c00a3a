"""TOML files of views: shared columns, and the errors of an incomplete file."""

from typing import Any

import pytest
from jinja2 import UndefinedError

from cxr_node.queries.views.registry import parse_view
from cxr_node.queries.views.view import ColumnType

SHARED = {
    "columns": {"film_id": ["whole number", "Number of the film."], "key": ["text", "A key."]},
    "groups": {"both": ["film_id", "key"], "nested": ["both"]},
}


def document(*columns: object, **changes: object) -> dict[str, Any]:
    values = {
        "row": "a film",
        "time": "at",
        "newest": "film_id",
        "brief": ["key"],
        "sql": "SELECT 1",
        "columns": columns,
    }
    return values | changes


def test_columns_are_in_the_order_of_the_file() -> None:
    view = parse_view("v1_films", document(["at", "time", "When."], "nested"), SHARED)

    assert list(view.columns.items()) == [
        ("at", (ColumnType.TIME, "When.")),
        ("film_id", (ColumnType.WHOLE, "Number of the film.")),
        ("key", (ColumnType.TEXT, "A key.")),
    ]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (document("film"), "'film'"),
        (document(["at", "date", "When."]), "'date' is not a valid ColumnType"),
        (document("key", oldest="film_id"), "'oldest'"),
        ({name: value for name, value in document("key").items() if name != "row"}, "'row'"),
    ],
)
def test_a_wrong_name_in_a_view_file_is_an_error(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"v1_films\.toml: .*{message}"):
        parse_view("v1_films", document, SHARED)


def test_the_sql_of_a_view_is_that_of_the_database() -> None:
    view = parse_view("v1_films", document("key", sql='SELECT {{ day("at") }}'), SHARED)

    assert view.query("sqlite") == "SELECT strftime('%Y-%m-%d', at)"
    assert view.query("postgresql") == "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"


def test_an_unknown_name_in_the_sql_of_a_view_is_an_error() -> None:
    view = parse_view("v1_films", document("key", sql='SELECT {{ century("at") }}'), SHARED)

    with pytest.raises(UndefinedError, match="century"):
        view.query("sqlite")
