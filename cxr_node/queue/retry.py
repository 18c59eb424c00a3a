"""Retry rules: exponential backoff of each stage, and when a job is given up."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cxr_node.db.states import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """Backoff in seconds: `first_s` after the first failure, then doubled up to `longest_s`.

    A job is given up `give_up_s` after it was queued.
    """

    first_s: float
    longest_s: float
    give_up_s: float


FAULT_S = 3600.0
"""How long a job is tried again after faults of the node itself, which no waiting mends."""

RULES = {
    # Passing failures of reading and composing are those of database and archive: short delays, for a weekend.
    Stage.READ: RetryRule(first_s=1.0, longest_s=60.0, give_up_s=72 * 3600.0),
    Stage.COMPOSE: RetryRule(first_s=1.0, longest_s=60.0, give_up_s=72 * 3600.0),
    # A PACS may be unreachable over a weekend.
    Stage.DELIVER: RetryRule(first_s=5.0, longest_s=3600.0, give_up_s=72 * 3600.0),
    Stage.COMMIT: RetryRule(first_s=5.0, longest_s=3600.0, give_up_s=72 * 3600.0),
}


def due_again(rule: RetryRule, *, attempts: int, queued_at: datetime, now: datetime, jitter: float) -> datetime | None:
    """Return when a job is due again after its failed attempt number `attempts`; None if it is given up.

    `jitter`, 0 to 1, spreads jobs that failed together over the second half of the delay.
    """
    if now - queued_at >= timedelta(seconds=rule.give_up_s):
        return None
    # The exponent is limited so that the power cannot overflow.
    delay_s = min(rule.longest_s, rule.first_s * 2.0 ** min(attempts - 1, 30))
    return now + timedelta(seconds=delay_s * (0.5 + 0.5 * jitter))
