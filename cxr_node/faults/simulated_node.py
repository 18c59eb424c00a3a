"""A whole node in one thread, wired as always, whose clock goes when it is told: days pass in seconds."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

from cxr_node.db.states import Stage, State
from cxr_node.faults.scratch import Place
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.queue import queue, search
from cxr_node.reading.context import ReadContext
from cxr_node.reading.executor import InProcess
from cxr_node.wiring import maintenance, preprocessing, startup
from cxr_node.wiring.compose import compose_handler
from cxr_node.wiring.deliver import commitment_handler, delivery_handler, open_destinations
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import read_handler
from cxr_node.wiring.receive import receiver
from cxr_node.wiring.roles import Role, lease_owner
from cxr_node.work.handler import Handler
from cxr_node.work.periodic import retention
from cxr_node.work.worker import Worker

BEGIN = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
_HOUR, _SEEN = timedelta(hours=1), timedelta(minutes=3)
_A_MOMENT = timedelta(milliseconds=1)
_TICK = timedelta(minutes=5)
"""A tick of the schedule, further apart than in a node, for days pass."""


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: datetime = BEGIN) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the time it shows; a moment later at each look, for no two things happen at once."""
        self.now += _A_MOMENT
        return self.now

    def go(self, **delta: float) -> None:
        """Let time pass, or go back; the arguments are those of `timedelta`."""
        self.now += timedelta(**delta)


class SimulatedNode:
    """The node. Films come in over the network, at `port`; all else moves by `work` and `pass_time`."""

    def __init__(self, process: Process, clock: Clock, port: int, context: ReadContext) -> None:
        self.process = process
        self.settings, self.database, self.archive = process.settings, process.database, process.archive
        self.clock = clock
        self.port = port
        self.turns = 0
        stages: list[tuple[Role, Handler]] = [
            (Role.READ, read_handler(process, InProcess(context), ScratchNetwork)),
            (Role.DELIVER, compose_handler(process, context.sandbox)),
            (Role.DELIVER, delivery_handler(process, open_destinations(process.settings))),
            (Role.DELIVER, commitment_handler(process)),
        ]
        self.workers = {stage.stage: self._worker(role, stage) for role, stage in stages}

    def _worker(self, role: Role, stage: Handler) -> Worker:
        lease_s = self.settings.read.lease_s if role is Role.READ else self.settings.deliver.lease_s
        return Worker(
            stage,
            database=self.database,
            owner=lease_owner(self.settings, role, 1),
            lease=timedelta(seconds=lease_s),
            clock=self.clock,
            jitter=lambda: 1.0,
        )

    def work(self) -> None:
        """Run everything that is due."""
        while sum(worker.turn() for worker in self.workers.values() if _has_work(worker)):
            self.turns += 1

    def pass_time(self, span: timedelta) -> None:
        """Let time pass, from one thing that is due to the next, with the tick of the schedule at each."""
        end = self.clock.now + span
        ticked = None
        while self.clock.now < end:
            if ticked is None or self.clock.now - ticked >= _TICK:
                self.tick()
                ticked = self.clock.now
            self.work()
            waits = [wait for worker in self.workers.values() if (wait := worker.seconds_to_next()) is not None]
            step_s = max(0.05, min([*waits, _TICK.total_seconds()]))
            self.clock.now = min(end, self.clock.now + timedelta(seconds=step_s))
        self.work()

    def pass_days(self, span: timedelta) -> None:
        """Let a long time pass: of each hour three minutes as `pass_time` does, the rest at a stride."""
        end = self.clock.now + span
        while self.clock.now + _HOUR < end:
            self.pass_time(_SEEN)
            self.clock.now += _HOUR - _SEEN
        self.pass_time(end - self.clock.now)

    def tick(self) -> None:
        """Do what the schedule does at each tick."""
        maintenance.tick(self.process)

    def remove_old(self, keep: timedelta) -> int:
        """Remove what is delivered and old; return how many studies that were."""
        return retention.remove_expired(self.database, self.archive, keep=keep, clock=self.clock)

    def failed(self) -> list[int]:
        """Return the jobs that a person must look at."""
        with self.database.read() as connection:
            return [job.job_id for job in search.jobs(connection, state=State.FAILED, limit=10**9)]

    def retry_failed(self) -> int:
        """Do what a person would: let the failed jobs run again; return how many."""
        failed = self.failed()
        with self.database.write() as transaction:
            return len(queue.requeue(transaction, failed, actor="person", now=self.clock()))

    def jobs(self, stage: Stage) -> list[search.JobRow]:
        """Return the jobs of a stage, newest first."""
        with self.database.read() as connection:
            return search.jobs(connection, stage=stage, limit=10**9)


def _has_work(worker: Worker) -> bool:
    wait_s = worker.seconds_to_next()
    return wait_s is not None and wait_s <= 0


@contextmanager
def simulated_node(place: Place, *, clock: Clock | None = None, listens: bool = True) -> Iterator[SimulatedNode]:
    """Open a node for the block; it listens from its start, and tells time by `clock`."""
    clock = clock or Clock()
    with ExitStack() as stack:
        process = stack.enter_context(Process.open(place.settings, clock=clock, is_audited=listens))
        startup.prepare(process)
        port = stack.enter_context(receiver(process)).port if listens else 0
        context = stack.enter_context(preprocessing.read_context(process))
        yield SimulatedNode(process, clock, port, context)
