"""What is tried again, and when: a pure table."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cxr_node.db.states import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """How a stage is tried again: `first_s` seconds after the first failure, then twice as long each time up to
    `longest_s`, until `give_up_s` seconds after the job was queued.
    """

    first_s: float
    longest_s: float
    give_up_s: float


RULES = {
    # Passing troubles of reading and composing are the database's or the disk's: short, and for an hour.
    Stage.READ: RetryRule(first_s=1.0, longest_s=60.0, give_up_s=3600.0),
    Stage.COMPOSE: RetryRule(first_s=1.0, longest_s=60.0, give_up_s=3600.0),
    # A PACS may be away over a weekend.
    Stage.DELIVER: RetryRule(first_s=5.0, longest_s=3600.0, give_up_s=72 * 3600.0),
    Stage.COMMIT: RetryRule(first_s=5.0, longest_s=3600.0, give_up_s=72 * 3600.0),
}


def due_again(rule: RetryRule, *, attempts: int, queued_at: datetime, now: datetime, jitter: float) -> datetime | None:
    """Return when a job that failed for the `attempts`-th time is due again, or None when it is to be given up.

    `jitter`, between 0 and 1, spreads jobs that failed together over the second half of the delay.
    """
    if now - queued_at >= timedelta(seconds=rule.give_up_s):
        return None
    # 2**30 s is 34 years: enough, and no overflow.
    delay_s = min(rule.longest_s, rule.first_s * 2.0 ** min(attempts - 1, 30))
    return now + timedelta(seconds=delay_s * (0.5 + 0.5 * jitter))
