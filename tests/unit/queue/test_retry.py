"""Retry rules: exponential backoff with jitter, and giving up."""

from datetime import timedelta

import pytest

from cxr_node.db.states import Stage
from cxr_node.queue.retry import RULES, RetryRule, due_again
from tests.support.queue import NOON

RULE = RetryRule(first_s=5, longest_s=60, give_up_s=3600)


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (1000, 60)])
def test_the_delay_doubles_up_to_its_maximum(attempts: int, seconds: float) -> None:
    due = due_again(RULE, attempts=attempts, queued_at=NOON, now=NOON, jitter=1.0)

    assert due == NOON + timedelta(seconds=seconds)


def test_jitter_spreads_over_the_second_half_of_the_delay() -> None:
    due = due_again(RULE, attempts=1, queued_at=NOON, now=NOON, jitter=0.0)

    assert due == NOON + timedelta(seconds=2.5)


def test_a_job_is_given_up_after_its_time() -> None:
    end = NOON + timedelta(seconds=RULE.give_up_s)

    assert due_again(RULE, attempts=9, queued_at=NOON, now=end - timedelta(seconds=1), jitter=0.5) is not None
    assert due_again(RULE, attempts=9, queued_at=NOON, now=end, jitter=0.5) is None


def test_every_stage_has_a_rule_and_deliveries_have_three_days() -> None:
    assert set(RULES) == set(Stage)
    assert RULES[Stage.DELIVER].give_up_s == 72 * 3600
