"""Roles of a node: what each process runs. Each function imports what its role alone needs, to start quickly."""

import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from cxr_node.db.url import is_postgresql
from cxr_node.settings.root import Settings
from cxr_node.wiring.periodic import run_jobs
from cxr_node.wiring.process import Process
from cxr_node.wiring.role_names import Role, lease_owner
from cxr_node.work.handler import Handler
from cxr_node.work.shared_lock import SharedLock
from cxr_node.work.worker import Worker
from cxr_node.work.worker_threads import run_workers

if TYPE_CHECKING:
    from cxr_node.deliver.destination import Destination
    from cxr_node.receive.scp import Receiver
    from cxr_node.wiring.cascade import OpenReader
    from cxr_node.wiring.rejection_counters import RejectionCounters
    from cxr_node.work.handlers.deliver import DeliverHandler


@contextmanager
def receive(process: Process) -> Iterator[str]:
    """Receive films during the block; the value is the address, `host:port`."""
    from cxr_node.wiring import rejection_counters
    from cxr_node.wiring.receive import receiver

    with (
        rejection_counters.counting(process.settings) as counters,
        receiver(process, on_event=counters.note) as scp,
        _hl7_entrance(process),
    ):
        process.liveness.append(scp.is_accepting)
        host, port = scp.address
        rows = rejection_counters.RejectionRows(process, counters)
        with _web_entrance(process, scp, counters), run_jobs(process, Role.RECEIVE, {"rejection_counters": rows.write}):
            yield f"{host}:{port}"


def _hl7_entrance(process: Process) -> AbstractContextManager[object]:
    if not process.settings.adt.enabled:
        return nullcontext()
    from cxr_node.wiring.adt import listening

    return listening(process)


def _web_entrance(process: Process, scp: "Receiver", counters: "RejectionCounters") -> AbstractContextManager[object]:
    if not process.settings.dicomweb.enabled:
        return nullcontext()
    from cxr_node.wiring.dicomweb import dicomweb

    return dicomweb(process, scp, on_event=counters.note)


@contextmanager
def read(process: Process, *, stopping: threading.Event, opens: "OpenReader | None" = None) -> Iterator[str]:
    """Read films during the block. `opens` returns the reader of a bundle, in place of this process's own."""
    from cxr_node.wiring import maintenance
    from cxr_node.wiring.read import prior_reading, read_workers

    with read_workers(process, opens) as workers:
        handlers: list[Handler] = [workers.handler] * workers.count
        has_sources = bool(process.settings.priors.sources)
        lock = SharedLock() if workers.count > 1 or has_sources else None
        jobs: dict[str, Callable[[], object]] = {"leases": partial(maintenance.tick, process)}
        jobs["remote_state"] = process.remote_state.write
        if lock is not None and has_sources:
            jobs["prior_readings"] = prior_reading(process, workers, lock).run
        with _run(process, Role.READ, handlers, stopping, jobs, lock=lock, before_claim=workers.before_claim):
            yield ""


@contextmanager
def deliver(
    process: Process, *, stopping: threading.Event, destinations: "Mapping[str, Destination] | None" = None
) -> Iterator[str]:
    """Compose and deliver results, and run periodic jobs, during the block.

    `destinations` replaces those of the settings, by name.
    """
    from cxr_node.deliver.slots import PER_PEER
    from cxr_node.wiring import compose, maintenance, priors, ups
    from cxr_node.wiring.deliver import commitment_handler, commitment_peers, delivery_handler

    settings = process.settings
    with ExitStack() as stack:
        executor = stack.enter_context(compose.compose_executor(process))
        # Senders for each destination, so that one that does not answer does not block the others.
        sender = delivery_handler(process, destinations)
        senders: list[Handler] = [sender] * (PER_PEER * len(settings.deliver.destinations))
        results: list[Handler] = [commitment_handler(process)] * max(1, PER_PEER * len(commitment_peers(settings)))
        handlers: list[Handler] = [compose.compose_handler(process, executor), *results, *senders]
        jobs = maintenance.functions(process)
        if settings.priors.sources:
            jobs["prior_searches"] = priors.prior_searches(process, executor).run
        if settings.ups.worklists:
            jobs["procedure_steps"] = ups.procedure_steps(process).run
        start = stack.enter_context(_run(process, Role.DELIVER, handlers, stopping, jobs))
        process.live.on_change(_Senders(sender, len(senders), start).adapt)
        yield ""


class _Senders:
    """Senders of a role, `number` of them: more are started for further destinations, and changed ones are tried."""

    def __init__(self, handler: "DeliverHandler", number: int, start: Callable[[Sequence[Handler]], None]) -> None:
        self._handler = handler
        self._number = number
        self._start = start

    def adapt(self, before: Settings, after: Settings) -> None:
        """Adapt the senders to changed settings. Senders of a removed destination stay for the others."""
        from cxr_node.deliver.slots import PER_PEER

        missing = PER_PEER * len(after.deliver.destinations) - self._number
        if missing > 0:
            self._start([self._handler] * missing)
            self._number += missing
        rows = {row.name: row for row in before.deliver.destinations}
        for row in after.deliver.destinations:
            if rows.get(row.name) != row:
                self._handler.note_changed(row.name)


@contextmanager
def shadow(process: Process, *, stopping: threading.Event) -> Iterator[str]:
    """Read with the shadow bundle during the block."""
    from cxr_node.wiring.shadow import run_shadow

    with run_shadow(process, stopping=stopping):
        yield ""


@contextmanager
def _run(
    process: Process,
    role: Role,
    handlers: Sequence[Handler],
    stopping: threading.Event,
    jobs: Mapping[str, Callable[[], object]],
    *,
    lock: SharedLock | None = None,
    before_claim: Callable[[], None] = lambda: None,
) -> Iterator[Callable[[Sequence[Handler]], None]]:
    """Run a worker for each handler, and periodic jobs, during the block; workers poll for lost notifications.

    The value is a function that starts workers for further handlers.
    """
    settings = process.settings
    lease_s = settings.read.lease_s if role is Role.READ else settings.deliver.lease_s

    def workers_of(handlers: Sequence[Handler]) -> list[Worker]:
        return [
            Worker(
                handler,
                database=process.database,
                owner=lease_owner(settings, role, os.getpid()),
                lease=timedelta(seconds=lease_s),
                clock=process.clock,
                jitter=random.random,
                lock=lock,
                before_claim=before_claim,
            )
            for handler in handlers
        ]

    tick_s = settings.schedule.tick_s
    with (
        _listener(process),
        run_workers(workers_of(handlers), process.notifier, tick_s=tick_s, stopping=stopping) as start,
        run_jobs(process, role, jobs),
    ):
        yield lambda further: start(workers_of(further))


def _listener(process: Process) -> AbstractContextManager[object]:
    """Return a listener that wakes this host's workers for commits of other hosts; SQLite has no other hosts."""
    url = process.settings.database_url
    if not is_postgresql(url):
        return nullcontext()
    # The driver takes memory in every process that imports it.
    from cxr_node.queue.postgres_listen import PostgresListener

    return PostgresListener(url, process.notifier.notify)
