"""One turn of work: claim a job, run its stage, record how it ended."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import ForbiddenTransition
from cxr_node.domain.errors import GiveUp, RetryLater, place_of
from cxr_node.queue import claimable, queue
from cxr_node.queue.notify import FifoListener, FifoNotifier
from cxr_node.queue.queue import Claim
from cxr_node.queue.retry import RULES, due_again
from cxr_node.work.handlers.deliver import AnyHandler, DeliverHandler
from cxr_node.work.handlers.read import Clock, Completion, ReadHandler, fail_permanently
from cxr_node.work.shared_lock import SharedLock

_log = logging.getLogger(__name__)

_HELD_BACK_S = 0.05
"""How soon to look again for a due job that another holds back."""
_PATIENCE_S = 0.1
"""How often to ring for a worker that is to stop: a bell wakes one of those that listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How many jobs of a stage are run in one go, and how long the first may wait for the others."""

    size: int = 1
    wait_s: float = 0.0


_ALONE = Batching()


class Worker:
    """Runs the turns of one stage. `jitter` returns a number between 0 and 1.

    Only films are read `together`. What cannot be read so is read again one at a time, and the others go on. Workers of
    one `company` run beside each other, but for jobs during which a worker died: those run alone. `between` is called
    before each turn, and when a worker is woken.
    """

    def __init__(
        self,
        handler: AnyHandler,
        *,
        database: Database,
        owner: str,
        lease: timedelta,
        clock: Clock,
        jitter: Callable[[], float],
        batching: Batching = _ALONE,
        lock: SharedLock | None = None,
        before_claim: Callable[[], None] = lambda: None,
    ) -> None:
        self.stage = handler.stage
        self._handler = handler
        self._rule = handler.rule if isinstance(handler, DeliverHandler) else RULES[handler.stage]
        self._database = database
        self._owner = owner
        self._lease = lease
        self._clock = clock
        self._jitter = jitter
        self._together = batching
        self._company = lock
        self._between = before_claim
        self._unrecorded: list[tuple[Claim, Completion]] = []

    def turn(self) -> bool:
        """Run a due job of the stage, or several in one go, if there is one, and return whether there was.

        What could not be recorded while the database was away is recorded first: its work is done, and would otherwise
        wait for the end of its lease and count as a death.
        """
        if self._company is None:
            ran = self._turn()
            self._record()
            return ran
        self._record()
        with self._company.shared():
            claims = self._claim()
            if not any(claim.crashes for claim in claims):
                self._run_claimed(claims)
                self._record()
                return bool(claims)
            self._put_back(claims)
        # A worker died during it: what dies with it next time is not to be blamed on those beside it.
        with self._company.exclusive():
            self._run_claimed(self._claim())
            self._record()
        return True

    def _turn(self) -> bool:
        """Take a turn, and leave how it ended to be recorded in the transaction that claims the next job."""
        claims = self._record_and_claim()
        self._run_claimed(claims)
        return bool(claims)

    def _record_and_claim(self) -> list[Claim]:
        """Record and claim in one transaction: a commit waits for the disk, and one is enough for both."""
        try:
            with self._database.write() as transaction:
                for _, ending in self._unrecorded:
                    ending(transaction, self._clock())
                claims = self._claimed(transaction)
        except ForbiddenTransition:
            self._record()
            return self._claim()
        self._unrecorded.clear()
        return claims

    def _claim(self) -> list[Claim]:
        with self._database.write() as transaction:
            return self._claimed(transaction)

    def _claimed(self, transaction: Transaction) -> list[Claim]:
        held, _ = self._held()
        return queue.claim(
            transaction,
            self.stage,
            owner=self._owner,
            lease=self._lease,
            now=self._clock(),
            limit=self._together.size,
            blocked_destinations=held,
        )

    def _put_back(self, claims: Sequence[Claim]) -> None:
        now = self._clock()
        with self._database.write() as transaction:
            for claim in claims:
                # As old as it is, so that it is the next again.
                queue.release_unattempted(transaction, claim, due_at=claim.queued_at, detail="to be run alone", now=now)

    def _run_claimed(self, claims: Sequence[Claim]) -> None:
        """Run jobs; how the last one ended, or all that were run in one go, is left to be recorded."""
        endings = self._run_together(claims) if len(claims) > 1 else None
        if endings:
            self._unrecorded += zip(claims, endings, strict=True)
            return
        for claim in claims:
            with suppress(RetryLater):  # the one before; the others are in our hands all the same
                self._record()
            self._unrecorded.append((claim, self._run(claim)))

    def seconds_to_next(self) -> float | None:
        """Return how long until there is work: 0 or less for now, None when none waits.

        That is when a job of the stage is due, or when it has waited long enough for others to run with.
        """
        if self._unrecorded:
            return 0.0
        now = self._clock()
        held, probed_at = self._held()
        with self._database.read() as connection:
            due_at = _earlier(claimable.next_due(connection, self.stage, held=held), probed_at)
            if due_at is None:
                return None
            seconds = (due_at - now).total_seconds()
            if self._together.wait_s and claimable.count_due(connection, self.stage, now=now) < self._together.size:
                seconds += self._together.wait_s
        return seconds

    def run(self, bell: FifoListener, *, tick_s: float, stopping: Callable[[], bool]) -> None:
        """Take turns until `stopping`; between them wait for the bell, the next due job, or `tick_s`."""
        while not stopping():
            self._between()
            try:
                wait_s = self.seconds_to_next()
                # A film that was read is recorded before anything else: what comes between may take long.
                turn = self.turn if isinstance(self._handler, ReadHandler) else self._turn
                if wait_s is not None and wait_s <= 0 and turn():
                    continue
            except RetryLater as error:
                _log.warning("%s waits: %s", self.stage, error)
                wait_s = None
            if wait_s is not None and wait_s <= 0:
                wait_s = _HELD_BACK_S  # a due job that could not be claimed is held back by another: look again soon
            bell.wait(tick_s if wait_s is None else min(tick_s, wait_s))
        with suppress(RetryLater):  # the lease runs out, and another does it again
            self._record()

    def _held(self) -> tuple[frozenset[str], datetime | None]:
        return self._handler.held() if isinstance(self._handler, DeliverHandler) else (frozenset(), None)

    def _record(self) -> None:
        """Record how jobs ended; those that the database is away for stay to be recorded."""
        if len(self._unrecorded) > 1 and self._record_at_once():
            return
        while self._unrecorded:
            claim, ending = self._unrecorded[0]
            try:
                with self._database.write() as transaction:
                    ending(transaction, self._clock())
            except ForbiddenTransition as error:
                # The lease ran out and another worker has the job; what it records is the same.
                _log.warning("job %d: %s", claim.job_id, error)
            del self._unrecorded[0]

    def _record_at_once(self) -> bool:
        """Record how several jobs ended in one transaction, unless one of them is no longer ours."""
        try:
            with self._database.write() as transaction:
                for _, ending in self._unrecorded:
                    ending(transaction, self._clock())
        except ForbiddenTransition:
            return False
        self._unrecorded.clear()
        return True

    def _run_together(self, claims: Sequence[Claim]) -> list[Completion] | None:
        """Return how each of several jobs ended, or None where they must be run one at a time."""
        if not isinstance(self._handler, ReadHandler):
            return None
        started = self._clock()
        try:
            endings = self._handler.run_together(claims)
        except Exception as error:  # noqa: BLE001  # whatever it is, each alone shows whose it is
            _log.warning("%d jobs of %s are run one at a time: %s", len(claims), self.stage, place_of(error))
            return None
        _log.info("%d jobs of %s took %.3f s", len(claims), self.stage, (self._clock() - started).total_seconds())
        return endings

    def _run(self, claim: Claim) -> Completion:
        started = self._clock()
        try:
            ending = self._handler.run(claim)
        except RetryLater as error:
            return self._again(claim, str(error))
        except GiveUp as error:
            return fail_permanently(claim, error.reason, error.detail)
        except Exception as error:  # noqa: BLE001  # the edge: a fault of ours must not stop the other jobs
            # The message may quote the film; its type and place do not.
            _log.error("%s job %d: %s", self.stage, claim.job_id, place_of(error))
            return self._again(claim, f"fault in the node: {place_of(error)}")
        _log.info("%s job %d took %.3f s", self.stage, claim.job_id, (self._clock() - started).total_seconds())
        return ending

    def _again(self, claim: Claim, detail: str) -> Completion:
        now = self._clock()
        due_at = due_again(
            self._rule, attempts=claim.attempts, queued_at=claim.queued_at, now=now, jitter=self._jitter()
        )
        if due_at is None:
            return self._handler.give_up(claim, detail)
        _log.warning("%s job %d again at %s: %s", self.stage, claim.job_id, due_at.isoformat(), detail)

        def record(transaction: Transaction, now: datetime) -> None:
            queue.retry(transaction, claim, due_at=due_at, detail=detail, now=now)

        return record


@contextmanager
def run_workers(
    workers: Sequence[Worker], bells: FifoNotifier, *, tick_s: float, stopping: threading.Event
) -> Iterator[None]:
    """Run each worker in a thread while the block lasts; at its end each finishes the job in its hands.

    A thread that dies sets `stopping`: a process with a dead thread is half dead and better started anew.
    """

    def work(worker: Worker) -> None:
        try:
            with bells.listen(worker.stage) as bell:
                worker.run(bell, tick_s=tick_s, stopping=stopping.is_set)
        finally:
            stopping.set()

    threads = [threading.Thread(target=work, args=(worker,), name=worker.stage, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for worker, thread in zip(workers, threads, strict=True):
            while thread.is_alive():
                bells.notify(worker.stage)
                thread.join(_PATIENCE_S)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)
