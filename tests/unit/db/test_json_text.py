"""JSON of columns: what is read back is what was written, number by number."""

import json
import math
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.db.json_text import dumps, loads

NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**70), 2**70)


class Side(StrEnum):
    """A value that is a string."""

    LEFT = "left"


@given(st.lists(NUMBERS))
def test_numbers_are_read_back_to_the_last_bit(numbers: list[float]) -> None:
    again = loads(dumps(numbers))
    assert [(type(one), repr(one)) for one in again] == [(type(one), repr(one)) for one in numbers]


@given(st.lists(NUMBERS | st.text(st.characters(codec="utf-8"))))
def test_texts_of_earlier_versions_are_read_as_before(values: list[Any]) -> None:
    assert loads(json.dumps(values)) == values
    assert json.loads(dumps(values)) == values


def test_points_and_named_values_are_lists_and_strings() -> None:
    assert loads(dumps({"line": ((1, 2.5), (3.0, 4.0)), "side": Side.LEFT, "model": None, "is_kept": True})) == {
        "line": [[1, 2.5], [3.0, 4.0]],
        "side": "left",
        "model": None,
        "is_kept": True,
    }


def test_half_a_surrogate_pair_is_written_and_read() -> None:
    assert loads(dumps(["\ud800"])) == ["\ud800"]


def test_a_value_that_is_no_number_stays_one() -> None:
    assert math.isnan(loads(dumps(math.nan)))


def test_a_value_that_json_cannot_express_is_refused() -> None:
    with pytest.raises(TypeError):
        dumps([object()])


def test_a_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        loads("{")
