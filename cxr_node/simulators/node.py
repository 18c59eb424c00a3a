"""Node in one thread with a simulated clock: days pass in seconds."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial

from cxr_node.archive.store import Archive
from cxr_node.composing.context import ComposeContext
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import RetryLater
from cxr_node.process_pool.executor import Executor, InProcess
from cxr_node.queue import queue, search
from cxr_node.queue.search import JobRow
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import Network
from cxr_node.settings.root import Settings
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.wiring import maintenance, preprocessing, startup
from cxr_node.wiring.compose import compose_context, compose_handler
from cxr_node.wiring.deliver import commitment_handler, delivery_handler
from cxr_node.wiring.priors import prior_searches
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import read_handler
from cxr_node.wiring.receive import receiver
from cxr_node.wiring.role_names import Role, lease_owner
from cxr_node.wiring.ups import procedure_steps
from cxr_node.work.handler import Handler
from cxr_node.work.periodic.prior_reading import PriorReading
from cxr_node.work.worker import Worker

_HOUR, _RUN_EACH_HOUR = timedelta(hours=1), timedelta(minutes=3)
_STEP = timedelta(milliseconds=1)
_TICK = timedelta(minutes=5)
"""Interval of periodic jobs, longer than in a real node."""


class InProcessNode:
    """A worker per stage. Jobs run only in `turn`, `run_due`, `pass_time` and `pass_days`.

    `on_tick` runs the periodic jobs; `port` is where films are received, 0 if they are not.
    """

    def __init__(
        self,
        workers: Mapping[Stage, Worker],
        *,
        database: Database,
        archive: Archive,
        clock: SimulatedClock,
        on_tick: Callable[[], object] = lambda: None,
        port: int = 0,
    ) -> None:
        self.workers = workers
        self.database = database
        self.archive = archive
        self.clock = clock
        self.port = port
        self.turns = 0
        self.failures: list[str] = []
        """What periodic jobs could not do, which a role would retry."""
        self._on_tick = on_tick

    def seconds_to_next(self, stage: Stage) -> float | None:
        """Return the seconds until the next job of a stage is due, None without one."""
        return self.workers[stage].seconds_to_next()

    def turn(self, stage: Stage) -> bool:
        """Run one due job of a stage, or one batch; return whether there was one."""
        has_run = self.workers[stage].turn()
        if not has_run:
            self.workers[stage].rest()
        return has_run

    def run_due(self) -> None:
        """Run everything that is due."""
        while sum(worker.turn() for worker in self.workers.values() if _is_due(worker)):
            self.turns += 1
        for worker in self.workers.values():
            worker.rest()

    def pass_time(self, span: timedelta) -> None:
        """Let time pass from one due job to the next, with the periodic jobs in between."""
        end = self.clock.now + span
        last_tick = None
        while self.clock.now < end:
            if last_tick is None or self.clock.now - last_tick >= _TICK:
                self._tick()
                last_tick = self.clock.now
            self.run_due()
            waits = [wait for worker in self.workers.values() if (wait := worker.seconds_to_next()) is not None]
            step_s = max(0.05, min([*waits, _TICK.total_seconds()]))
            self.clock.now = min(end, self.clock.now + timedelta(seconds=step_s))
        self.run_due()

    def _tick(self) -> None:
        try:
            self._on_tick()
        except RetryLater as error:
            self.failures.append(str(error))

    def pass_days(self, span: timedelta) -> None:
        """Let a long time pass: three minutes of each hour as in `pass_time`, the rest in one step."""
        end = self.clock.now + span
        while self.clock.now + _HOUR < end:
            self.pass_time(_RUN_EACH_HOUR)
            self.clock.now += _HOUR - _RUN_EACH_HOUR
        self.pass_time(end - self.clock.now)

    def jobs(self, stage: Stage | None = None) -> list[JobRow]:
        """Return the jobs of a stage, or all, oldest first."""
        with self.database.read() as connection:
            return search.jobs(connection, stage=stage, limit=10**9)[::-1]

    def failed(self) -> list[int]:
        """Return the failed jobs."""
        return [job.job_id for job in self.jobs() if job.state is State.FAILED]

    def retry_failed(self) -> int:
        """Requeue the failed jobs, as an operator does; return their number."""
        failed = self.failed()
        with self.database.write() as transaction:
            return len(queue.requeue(transaction, failed, actor="person", now=self.clock()))


def _is_due(worker: Worker) -> bool:
    wait_s = worker.seconds_to_next()
    return wait_s is not None and wait_s <= 0


@contextmanager
def wired_node(
    settings: Settings,
    *,
    network: Callable[[], Network],
    held_until: Callable[[], datetime | None] = lambda: None,
    clock: SimulatedClock | None = None,
    listens: bool = True,
) -> Iterator[InProcessNode]:
    """Open a node, wired from settings as its roles are, with another network; if it `listens`, at its `port`."""
    clock = clock or SimulatedClock(step=_STEP)
    with ExitStack() as stack:
        process = stack.enter_context(Process.open(settings, clock=clock, is_audited=listens))
        startup.prepare(process)
        port = stack.enter_context(receiver(process)).port if listens else 0
        context = stack.enter_context(preprocessing.read_context(process))
        composing = stack.enter_context(compose_context(process))
        handlers: list[tuple[Role, Handler]] = [
            (Role.READ, read_handler(process, InProcess(context), network, held_until=held_until)),
            (Role.DELIVER, compose_handler(process, InProcess(composing))),
            (Role.DELIVER, delivery_handler(process)),
            (Role.DELIVER, commitment_handler(process)),
        ]
        yield InProcessNode(
            {handler.stage: _worker(process, role, handler) for role, handler in handlers},
            database=process.database,
            archive=process.archive,
            clock=clock,
            on_tick=_periodic_jobs(process, InProcess(context), InProcess(composing), network),
            port=port,
        )


def _periodic_jobs(
    process: Process,
    reading: Executor[ReadContext],
    composing: Executor[ComposeContext],
    network: Callable[[], Network],
) -> Callable[[], None]:
    """Return the periodic jobs of the settings: maintenance, procedure steps, and the search for prior films."""
    jobs: list[Callable[[], object]] = [partial(maintenance.tick, process)]
    if process.settings.priors.sources:
        prior_films = PriorReading(process.database, executor=reading, network=network, clock=process.clock)
        jobs += [prior_searches(process, composing).run, prior_films.run]
    if process.settings.ups.worklists:
        jobs.append(procedure_steps(process).run)

    def run() -> None:
        for job in jobs:
            job()

    return run


def _worker(process: Process, role: Role, handler: Handler) -> Worker:
    settings = process.settings
    lease_s = settings.read.lease_s if role is Role.READ else settings.deliver.lease_s
    return Worker(
        handler,
        database=process.database,
        owner=lease_owner(settings, role, 1),
        lease=timedelta(seconds=lease_s),
        clock=process.clock,
        jitter=lambda: 1.0,
    )
