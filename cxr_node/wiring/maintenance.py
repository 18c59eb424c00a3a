"""Maintenance of queue and archive: expired leases, backfill, attributes of films, retention, scrub."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from cxr_node.queue import queue
from cxr_node.queue.retry import RULES
from cxr_node.records import backfill, rejection_notes
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_decorators, constancy, drift
from cxr_node.wiring.deliver import verification
from cxr_node.wiring.film_attributes import attribute_rules
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import study_window
from cxr_node.work.periodic import film_attributes, retention
from cxr_node.work.periodic.clock_jump_guard import ClockJumpGuard
from cxr_node.work.periodic.scrub import Scrubber

_CLOCK_SKEW_S = 60.0
"""Largest difference between the clocks of hosts."""


def functions(process: Process) -> dict[str, Callable[[], object]]:
    """Return the periodic jobs of the deliver role by name."""
    section = process.settings.archive
    guard = ClockJumpGuard(process.clock)
    scrubber = Scrubber(process.database, process.archive)
    size_bytes = int(section.scrub_bytes_per_second * process.settings.schedule.scrub_s)
    return {
        "leases": partial(tick, process),
        "film_attributes": partial(
            film_attributes.update, process.database, process.archive, attribute_rules(process.settings)
        ),
        "retention": partial(guard.run, partial(_remove_expired, process, timedelta(days=section.keep_days))),
        "scrub": partial(scrubber.turn, size_bytes),
        "drift": partial(drift.judge_days, process),
        "constancy": partial(constancy.run_if_due, process),
    }


def tick(process: Process) -> None:
    """Release jobs whose lease has expired, and bring jobs forward that a clock set back would delay; backfill.

    The supervisor releases the jobs of processes of this host that crashed; this releases those of crashed hosts.
    Reduced films that no composing has used are removed.
    """
    now, settings = process.clock(), process.settings
    with process.database.write() as transaction:
        queue.expire_leases(transaction, now=now)
        leased_within = 2 * timedelta(seconds=max(settings.read.lease_s, settings.deliver.lease_s))
        queue.clamp_future_dates(transaction, now=now, due_within=_longest_wait(settings), leased_within=leased_within)
    process.reduced_films.remove_old()
    rejection_notes.apply_pending(process.database)
    backfill.fill(process.database)


def _remove_expired(process: Process, keep: timedelta) -> None:
    """Remove old studies. One host runs it at a time."""
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
