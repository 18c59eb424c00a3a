"""Failed attempts: when a job is due again, and when it is given up."""

import logging
from dataclasses import replace
from datetime import datetime

from cxr_node.queue.claiming import Claim
from cxr_node.queue.retry import FAULT_S, due_again
from cxr_node.work import completion
from cxr_node.work.completion import Completion
from cxr_node.work.handler import Handler

_log = logging.getLogger(__name__)


def has_crashed_too_often(handler: Handler, claim: Claim) -> bool:
    """Whether the process that ran a job died so often that the job is not run again."""
    return claim.crashes >= handler.crash_limit


def given_up(handler: Handler, claim: Claim, *, crashes: int, detail: str = "") -> Completion:
    """Return the completion of a job whose process died `crashes` times."""
    last = f"; the last time, {detail}" if detail else ""
    return handler.give_up(claim, f"the process that ran this job died or took too long, {crashes} times{last}")


def after_failure(
    handler: Handler,
    claim: Claim,
    detail: str,
    *,
    has_crashed: bool = False,
    is_fault: bool = False,
    now: datetime,
    jitter: float,
) -> Completion:
    """Return the completion of a job after a failed attempt: due again, or given up, sooner for a fault of the node."""
    crashes = claim.crashes + has_crashed
    if has_crashed and crashes >= handler.crash_limit:
        return given_up(handler, claim, crashes=crashes, detail=detail)
    rule = handler.retry
    if is_fault:
        rule = replace(rule, give_up_s=min(rule.give_up_s, FAULT_S))
    due_at = due_again(rule, attempts=claim.attempts, queued_at=claim.queued_at, now=now, jitter=jitter)
    if due_at is None:
        return handler.give_up(claim, detail)
    _log.warning("%s job %d again at %s: %s", claim.stage, claim.job_id, due_at.isoformat(), detail)
    return completion.retry(claim, due_at=due_at, detail=detail, has_crashed=has_crashed)
