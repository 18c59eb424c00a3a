"""Maintenance of queue and archive: expired leases, backfill, retention, scrub."""

from contextlib import ExitStack
from datetime import timedelta
from functools import partial

from cxr_node.queue import queue
from cxr_node.queue.retry import RULES
from cxr_node.records import backfill
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_decorators
from cxr_node.wiring.deliver import verification
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import study_window
from cxr_node.work.periodic import retention
from cxr_node.work.periodic.clock_jump_guard import ClockJumpGuard
from cxr_node.work.periodic.scrub import Scrubber
from cxr_node.work.scheduler import Schedule

_RETENTION_S = 600.0
_SCRUB_S = 10.0
_CLOCK_SKEW_S = 60.0
"""Largest difference between the clocks of hosts."""


def schedule(process: Process, stack: ExitStack) -> None:
    """Run retention and scrub, as far as the settings enable them, until `stack` is closed."""
    section = process.settings.archive
    if section.keep_days:
        guard = ClockJumpGuard(process.clock)
        remove = partial(_remove_expired, process, timedelta(days=section.keep_days))
        stack.enter_context(Schedule(partial(guard.run, remove), tick_s=_RETENTION_S))
    if section.scrub_bytes_per_second:
        scrubber = Scrubber(process.database, process.archive)
        size_bytes = int(section.scrub_bytes_per_second * _SCRUB_S)
        stack.enter_context(Schedule(partial(scrubber.turn, size_bytes), tick_s=_SCRUB_S))


def tick(process: Process) -> None:
    """Release jobs whose lease has expired, and bring jobs forward that a clock set back would delay; backfill.

    The supervisor releases the jobs of processes of this host that crashed; this releases those of crashed hosts.
    """
    now, settings = process.clock(), process.settings
    with process.database.write() as transaction:
        queue.expire_leases(transaction, now=now)
        queue.clamp_future_dates(
            transaction, now=now, due_within=_longest_wait(settings), leased_within=2 * _longest_lease(settings)
        )
    backfill.fill(process.database)


def _remove_expired(process: Process, keep: timedelta) -> None:
    """Remove old studies unless another host does."""
    with process.database.exclusive("remove") as is_ours:
        if is_ours:
            retention.remove_expired(
                process.database,
                process.archive,
                keep=keep,
                clock=process.clock,
                before_removal=audit_decorators.before_removal(process.audit),
            )


def _longest_wait(settings: Settings) -> timedelta:
    """Return how far ahead a job can be due."""
    verified = [rule.retry_after_s for rule in verification(settings).values()]
    retried = [rule.longest_s for rule in RULES.values()]
    return timedelta(seconds=max(*retried, *verified, study_window(settings).longest_s) + _CLOCK_SKEW_S)


def _longest_lease(settings: Settings) -> timedelta:
    return timedelta(seconds=max(settings.read.lease_s, settings.deliver.lease_s))
