"""Worker: claims due jobs of one stage, runs its handler, records how the jobs ended."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import ForbiddenTransition
from cxr_node.domain.clock import Clock
from cxr_node.domain.errors import GiveUp, ProcessDied, RetryLater, place_of, type_and_place
from cxr_node.queue import claimable, claiming, queue
from cxr_node.queue.claiming import Claim
from cxr_node.queue.notify import FifoListener
from cxr_node.work import completion, failure
from cxr_node.work.completion import Completion, CompletionBuffer
from cxr_node.work.handler import Handler
from cxr_node.work.shared_lock import SharedLock

_log = logging.getLogger(__name__)

_BLOCKED_S = 0.05  # wait before the next claim when a due job is blocked by another


class Worker:
    """Runs the jobs of one stage.

    A batch that cannot be run as one is run one job at a time, so that one job cannot block the others. Jobs whose
    earlier attempt crashed a worker hold `lock` exclusively, all others share it.

    Parameters
    ----------
    jitter
        Returns a random number, 0 to 1, that spreads retries.
    before_claim
        Called before each claim, and whenever the worker wakes up.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        database: Database,
        owner: str,
        lease: timedelta,
        clock: Clock,
        jitter: Callable[[], float],
        lock: SharedLock | None = None,
        before_claim: Callable[[], None] = lambda: None,
    ) -> None:
        self.stage = handler.stage
        self._handler = handler
        self.rest = handler.before_wait
        self._database = database
        self._owner = owner
        self._lease = lease
        self._clock = clock
        self._jitter = jitter
        self._lock = lock
        self._before_claim = before_claim
        self._unrecorded = CompletionBuffer(database, clock)

    def turn(self) -> bool:
        """Run and record a due job or batch, and return whether there was one.

        Completions that the database was unavailable for are recorded first. Otherwise their leases would expire and
        count as crashes.
        """
        if self._lock is None:
            has_run = self._run_next()
            self._unrecorded.record()
            return has_run
        self._unrecorded.record()
        with self._lock.shared():
            claims = self._claim()
            if not any(claim.crashes for claim in claims):
                self._run_claimed(claims)
                self._unrecorded.record()
                return bool(claims)
            self._release(claims)
        # An earlier attempt of this job crashed a worker. Run it alone, so that another crash is attributed to it.
        with self._lock.exclusive():
            self._run_claimed(self._claim())
            self._unrecorded.record()
        return True

    def seconds_to_next(self) -> float | None:
        """Return how long until a job is due or a batch has waited long enough: 0 or less for now, None for no job."""
        if self._unrecorded:
            return 0.0
        now = self._clock()
        excluded, batching = self._handler.excluded(), self._handler.batching
        with self._database.read() as connection:
            next_due = claimable.next_due(connection, self.stage, blocked_destinations=excluded.destinations)
            dates = [date for date in (next_due, excluded.probe_at) if date is not None]
            if not dates:
                return None
            seconds = (max(min(dates), excluded.until or min(dates)) - now).total_seconds()
            if batching.wait_s and claimable.count_due(connection, self.stage, now=now) < batching.size:
                seconds += batching.wait_s
        return seconds

    def run(self, listener: FifoListener, *, tick_s: float, stopping: Callable[[], bool]) -> None:
        """Run jobs until `stopping`; in between wait for a notification, the next due job, or `tick_s`."""
        run_next = self._run_next if self._handler.batching.group_commit else self.turn
        while not stopping():
            self._before_claim()
            try:
                wait_s = self.seconds_to_next()
                if wait_s is not None and wait_s <= 0 and run_next():
                    continue
            except RetryLater as error:
                _log.warning("%s waits: %s", self.stage, error)
                wait_s = None
            self.rest()
            listener.wait(tick_s if wait_s is None else min(tick_s, wait_s if wait_s > 0 else _BLOCKED_S))
        with suppress(RetryLater):  # the lease expires, and another worker runs the job again
            self._unrecorded.record()

    def _run_next(self) -> bool:
        """Run a due job or batch. Its completion is recorded in the transaction that claims the next."""
        claims = self._record_and_claim()
        self._run_claimed(claims)
        return bool(claims)

    def _record_and_claim(self) -> list[Claim]:
        try:
            with self._database.write() as transaction:
                self._unrecorded.record_in(transaction)
                claims = self._claim_in(transaction)
        except ForbiddenTransition:
            self._unrecorded.record()
            return self._claim()
        self._unrecorded.clear()
        return claims

    def _claim(self) -> list[Claim]:
        with self._database.write() as transaction:
            return self._claim_in(transaction)

    def _claim_in(self, transaction: Transaction) -> list[Claim]:
        excluded, limit, now = self._handler.excluded(), self._handler.batching.size, self._clock()
        if excluded.until is not None and now < excluded.until:
            return []
        owner, lease, blocked = self._owner, self._lease, excluded.destinations
        return claiming.claim(
            transaction, self.stage, owner=owner, lease=lease, now=now, limit=limit, blocked_destinations=blocked
        )

    def _release(self, claims: Sequence[Claim]) -> None:
        now = self._clock()
        with self._database.write() as transaction:
            for claim in claims:
                # Due since it was queued, so that it is claimed next.
                queue.release_unattempted(transaction, claim, due_at=claim.queued_at, detail="to be run alone", now=now)

    def _run_claimed(self, claims: Sequence[Claim]) -> None:
        """Run jobs. The completions of a batch, or of its last job if run one at a time, stay unrecorded."""
        completions = self._run_batch(claims) if len(claims) > 1 else None
        if completions is not None:
            self._unrecorded.add(claims, completions)
            return
        for claim in claims:
            with suppress(RetryLater):  # the other jobs are claimed and are run all the same
                self._unrecorded.record()
            self._unrecorded.add([claim], [self._run(claim)])

    def _run_batch(self, claims: Sequence[Claim]) -> list[Completion] | None:
        """Return the completion of each job, or None if the jobs must be run one at a time."""
        started = self._clock()
        try:
            completions = self._handler.run(claims)
        except Exception as error:  # noqa: BLE001  # each job run alone shows the one at fault
            _log.warning("%d jobs of %s are run one at a time: %s", len(claims), self.stage, type_and_place(error))
            return None
        _log.info("%d jobs of %s took %.3f s", len(claims), self.stage, (self._clock() - started).total_seconds())
        return completions

    def _run(self, claim: Claim) -> Completion:
        if failure.has_crashed_too_often(self._handler, claim):
            return failure.given_up(self._handler, claim, crashes=claim.crashes)
        started = self._clock()
        try:
            (completed,) = self._handler.run([claim])
        except ProcessDied as error:
            return self._failed(claim, str(error), has_crashed=True)
        except RetryLater as error:
            return self._failed(claim, str(error))
        except GiveUp as error:
            return completion.fail_permanently(claim, error.reason, error.detail)
        except Exception as error:  # noqa: BLE001  # the edge: a fault of the node must not stop the other jobs
            # The message may quote the film. Its type is for the log alone: people read the row.
            _log.error("%s job %d: %s", self.stage, claim.job_id, type_and_place(error))
            return self._failed(claim, f"fault in the node, at {place_of(error)}", is_fault=True)
        _log.info("%s job %d took %.3f s", self.stage, claim.job_id, (self._clock() - started).total_seconds())
        return completed

    def _failed(self, claim: Claim, detail: str, **how: bool) -> Completion:
        return failure.after_failure(self._handler, claim, detail, **how, now=self._clock(), jitter=self._jitter())
