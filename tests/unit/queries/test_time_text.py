"""Times that people name, on the command line and in the addresses of pages."""

from datetime import UTC, datetime, timedelta

import pytest

from cxr_node.queries.time_text import InvalidTime, parse_time

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(("text", "ago"), [("24h", timedelta(hours=24)), ("7d", timedelta(days=7))])
def test_a_time_ago_is_before_now(text: str, ago: timedelta) -> None:
    assert parse_time(text, now=NOON) == NOON - ago


def test_today_and_yesterday_begin_at_local_midnight() -> None:
    today, yesterday = parse_time("today", now=NOON), parse_time("yesterday", now=NOON)

    assert today is not None
    assert yesterday is not None
    assert today.astimezone().time() == yesterday.astimezone().time() == datetime.min.time()
    assert today <= NOON < today + timedelta(days=1)
    assert (today.astimezone().date() - yesterday.astimezone().date()).days == 1


def test_a_word_that_is_no_time_is_an_error_with_examples() -> None:
    with pytest.raises(
        InvalidTime, match=r"'tomorrow' is not a time; expected 2026-01-31, .* today, yesterday, 24h or 7d"
    ):
        parse_time("tomorrow", now=NOON)
