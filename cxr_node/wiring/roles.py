"""What each process of the node runs."""

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import assert_never

from cxr_node.db.database import Database
from cxr_node.db.url import is_postgresql
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.queue import queue
from cxr_node.queue.retry import RULES
from cxr_node.records import backfill
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit as auditing
from cxr_node.wiring import (
    audit_decorators,
    compose,
    constancy,
    drift,
    preprocessing,
    process,
    read,
    receive,
    rejection_counters,
    shadow,
)
from cxr_node.wiring import deliver as delivering
from cxr_node.wiring.audit import Audit
from cxr_node.work.handler import Handler
from cxr_node.work.handlers.commitment import CommitmentHandler
from cxr_node.work.handlers.deliver import DeliverHandler
from cxr_node.work.periodic import retention
from cxr_node.work.periodic.clock_jump_guard import ClockJumpGuard
from cxr_node.work.periodic.scrub import Scrubber
from cxr_node.work.scheduler import Schedule
from cxr_node.work.shared_lock import SharedLock
from cxr_node.work.worker import Worker
from cxr_node.work.worker_threads import run_workers

_REMOVAL_S = 600.0
_SCRUB_S = 10.0
_SLACK_S = 60.0
"""What clocks of several hosts may differ by."""


class Role(StrEnum):
    """What a process of the node does."""

    RECEIVE = "receive"
    READ = "read"
    DELIVER = "deliver"
    ADMIN = "admin"
    SHADOW = "shadow"


def lease_owner(settings: Settings, role: Role, process_id: int) -> str:
    """Return the name under which a process holds jobs; it begins with `lease_owner_prefix`."""
    return f"{lease_owner_prefix(settings)}{role}/{process_id}"


def lease_owner_prefix(settings: Settings) -> str:
    """Return what the names of all workers of this node on this host begin with."""
    return f"{settings.node.name}@{process.host(settings)}/"


@contextmanager
def serve(settings: Settings, role: Role, *, stopping: threading.Event) -> Iterator[str]:
    """Run one role in this process while the block lasts; the value says where it can be reached, if anywhere."""
    with ExitStack() as stack:
        opened = process.database(settings)
        stack.callback(opened.close)
        audit = stack.enter_context(auditing.audit(settings))
        match role:
            case Role.RECEIVE:
                counted = stack.enter_context(rejection_counters.counting(settings))
                receiver = stack.enter_context(receive.receiver(settings, opened, audit, refused=counted.note))
                host, port = receiver.address
                yield f"{host}:{port}"
            case Role.READ:
                readers = stack.enter_context(read.read_workers(settings, opened))
                handlers: list[Handler] = [readers.handler] * readers.count
                with _working(settings, role, opened, handlers, stopping, before_claim=readers.before_claim):
                    yield ""
            case Role.DELIVER:
                to = delivering.destinations(settings)
                deliver = DeliverHandler(
                    database=opened,
                    archive=process.archive(settings),
                    destinations=audit_decorators.destinations(settings, audit, to),
                    verification=audit_decorators.verification(audit, delivering.verification(settings)),
                    clock=process.now,
                    retry=delivering.rule(settings),
                )
                answer = CommitmentHandler(
                    database=opened, archive=process.archive(settings), peers=delivering.commitment_peers(settings)
                )
                # One sender more than there are destinations, so that a dead one does not hold up the others.
                senders: list[Handler] = [deliver] * (len(to) + 1)
                sandbox = stack.enter_context(Sandbox(preprocessing.film_limits(settings)))
                handlers = [compose.compose_handler(settings, opened, sandbox), answer, *senders]
                _keep_up(settings, opened, stack, audit)
                drift.watch(settings, opened, stack)
                constancy.watch(settings, opened, stack)
                with _working(settings, role, opened, handlers, stopping):
                    yield ""
            case Role.SHADOW:
                with shadow.run_shadow(settings, opened, stopping=stopping):
                    yield ""
            case Role.ADMIN:
                raise ValueError("the page is served by the room of people, which lies above this one")
            case _:
                assert_never(role)


@contextmanager
def _working(
    settings: Settings,
    role: Role,
    opened: Database,
    handlers: Sequence[Handler],
    stopping: threading.Event,
    before_claim: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Run a worker for each handler while the block lasts, with the tick as safety net."""
    lease_s = settings.read.lease_s if role is Role.READ else settings.deliver.lease_s
    lock = SharedLock() if role is Role.READ and len(handlers) > 1 else None
    workers = [
        Worker(
            handler,
            database=opened,
            owner=lease_owner(settings, role, os.getpid()),
            lease=timedelta(seconds=lease_s),
            clock=process.now,
            jitter=random.random,
            lock=lock,
            before_claim=before_claim,
        )
        for handler in handlers
    ]
    tick_s = settings.schedule.tick_s
    with (
        _relay(settings),
        run_workers(workers, process.bells(settings), tick_s=tick_s, stopping=stopping),
        Schedule(partial(tick, settings, opened), tick_s=tick_s),
    ):
        yield


def _relay(settings: Settings) -> AbstractContextManager[object]:
    """Return what wakes this host's workers for what other hosts commit; a database of one host needs none."""
    if not is_postgresql(settings.database_url):
        return nullcontext()
    from cxr_node.queue.postgres_listen import (
        PostgresListener,  # whose driver takes memory in every process that has no use for it
    )

    return PostgresListener(settings.database_url, process.bells(settings).notify)


def _keep_up(settings: Settings, opened: Database, stack: ExitStack, audit: Audit) -> None:
    """Remove what is old and read again what is kept, as far as the settings say, until `stack` is left."""
    section, kept = settings.archive, process.archive(settings)
    if section.keep_days:
        keep = timedelta(days=section.keep_days)
        remove = partial(
            retention.remove_expired,
            opened,
            kept,
            keep=keep,
            clock=process.now,
            before_removal=audit_decorators.removing(audit),
        )
        guard = ClockJumpGuard(process.now)
        alone = partial(_alone, opened, "remove", remove)
        stack.enter_context(Schedule(partial(guard.run, alone), tick_s=_REMOVAL_S))
    if section.scrub_bytes_per_second:
        scrub = Scrubber(opened, kept)
        stack.enter_context(
            Schedule(partial(scrub.turn, int(section.scrub_bytes_per_second * _SCRUB_S)), tick_s=_SCRUB_S)
        )


def _alone(opened: Database, what: str, do: Callable[[], object]) -> None:
    """Do it unless another host is at it."""
    with opened.exclusive(what) as is_ours:
        if is_ours:
            do()


def tick(settings: Settings, opened: Database) -> None:
    """Return the jobs of workers that died with their host, and those that a clock gone back would keep waiting.

    Those of this host that died the supervisor returns at once. And fill in what an earlier version leaves out.
    """
    now = process.now()
    with opened.write() as transaction:
        queue.expire_leases(transaction, now=now)
        queue.clamp_future_dates(
            transaction, now=now, due_within=_longest_wait(settings), leased_within=2 * _longest_lease(settings)
        )
    backfill.fill(opened)


def _longest_wait(settings: Settings) -> timedelta:
    """Return how far ahead a job can be due."""
    again = [rule.retry_after_s for rule in delivering.verification(settings).values()]
    longest = [rule.longest_s for rule in RULES.values()]
    return timedelta(seconds=max(*longest, *again, read.study_window(settings).longest_s) + _SLACK_S)


def _longest_lease(settings: Settings) -> timedelta:
    return timedelta(seconds=max(settings.read.lease_s, settings.deliver.lease_s))
