"""One turn of work: claim a job, run its leg of the main path, record how it ended."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cxr_node import pipeline
from cxr_node.archive.store import Archive
from cxr_node.deliver.destination import Destination, Refused
from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.jobs import films, queue, readings, results
from cxr_node.jobs.bell import Listener
from cxr_node.jobs.database import Database, Transaction
from cxr_node.jobs.queue import Claim
from cxr_node.jobs.retry import RULES, due_again
from cxr_node.jobs.states import ForbiddenTransition, Leg
from cxr_node.report.source import Node

_log = logging.getLogger(__name__)

Ending = Callable[[Transaction, datetime], None]
"""Records how a job ended, in the transaction it is given."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """When a study is composed: `calm_s` after its last film came, if all its films are read by then;
    at the latest `ceiling_s` after its first.
    """

    calm_s: float
    ceiling_s: float


class ReadLeg:
    """Reads films. One that killed its reader `crash_limit` times is set aside, and the others go on."""

    leg = Leg.READ

    def __init__(
        self,
        *,
        database: Database,
        archive: Archive,
        reader: pipeline.Reads,
        rules: pipeline.ReadRules,
        quiet: Quiet,
        crash_limit: int,
    ) -> None:
        self._database = database
        self._archive = archive
        self._reader = reader
        self._rules = rules
        self._quiet = quiet
        self._crash_limit = crash_limit

    def run(self, claim: Claim) -> Ending:
        """Read the claimed film."""
        with self._database.read() as connection:
            film = films.get(connection, claim.subject_id)
        if claim.crashes >= self._crash_limit:
            detail = f"the reader stopped {claim.crashes} times while it read this film"
            return self._ending(claim, film, pipeline.not_analysed(film, Reason.MODEL_ERROR, detail))
        return self._ending(
            claim, film, pipeline.read(film, archive=self._archive, reader=self._reader, rules=self._rules)
        )

    def give_up(self, claim: Claim, detail: str) -> Ending:
        """Set the claimed film aside: a study is not to wait for ever for a film that cannot be read."""
        with self._database.read() as connection:
            film = films.get(connection, claim.subject_id)
        return self._ending(claim, film, pipeline.not_analysed(film, Reason.MODEL_ERROR, detail))

    def _ending(self, claim: Claim, film: films.Film, reading: Reading) -> Ending:
        def record(transaction: Transaction, now: datetime) -> None:
            readings.write(transaction, film.film_id, reading, now=now)
            if reading.not_analysed is None:
                queue.finish(transaction, claim, now=now)
            else:
                queue.set_aside(transaction, claim, reason=reading.not_analysed, detail=reading.detail, now=now)
            last = films.last_received_at(transaction.connection, film.study_id)
            due_at = max(now, last + timedelta(seconds=self._quiet.calm_s))
            queue.add_compose(transaction, film.study_id, due_at=due_at, now=now)

        return record


class ComposeLeg:
    """Composes the results of studies that are quiet."""

    leg = Leg.COMPOSE

    def __init__(
        self,
        *,
        database: Database,
        archive: Archive,
        node: Node,
        quiet: Quiet,
        destinations: Sequence[str],
        clock: Clock,
    ) -> None:
        self._database = database
        self._archive = archive
        self._node = node
        self._quiet = quiet
        self._destinations = destinations
        self._clock = clock

    def run(self, claim: Claim) -> Ending:
        """Compose the claimed study, or wait for its films that are still to be read."""
        study_id = claim.subject_id
        with self._database.read() as connection:
            received = films.of_study(connection, study_id)
            read = [(film, readings.latest(connection, film.film_id, film.identity)) for film in received]
            earlier = results.of_study(connection, study_id)
        ready = [(film, reading) for film, reading in read if reading is not None]
        ceiling = min(film.received_at for film in received) + timedelta(seconds=self._quiet.ceiling_s)
        now = self._clock()
        if len(ready) < len(received) and now < ceiling:
            return _wait(claim, ceiling)
        composed = pipeline.compose(ready, earlier, archive=self._archive, node=self._node, now=now)
        return self._ending(claim, composed)

    def give_up(self, claim: Claim, detail: str) -> Ending:
        """Leave the claimed study for a person."""
        return _give_up(claim, None, detail)

    def _ending(self, claim: Claim, composed: Sequence[pipeline.Composed]) -> Ending:
        def record(transaction: Transaction, now: datetime) -> None:
            for each in composed:
                results.add(
                    transaction,
                    claim.subject_id,
                    each.instance,
                    kind=each.kind,
                    version=each.version,
                    archive_key=each.archive_key,
                    destinations=self._destinations,
                    now=now,
                )
            queue.finish(transaction, claim, now=now, detail="" if composed else "nothing new to say")

        return record


class DeliverLeg:
    """Delivers results."""

    leg = Leg.DELIVER

    def __init__(self, *, database: Database, archive: Archive, destinations: Mapping[str, Destination]) -> None:
        self._database = database
        self._archive = archive
        self._destinations = destinations

    def run(self, claim: Claim) -> Ending:
        """Send the claimed delivery's result."""
        with self._database.read() as connection:
            delivery = results.get_delivery(connection, claim.subject_id)
        if delivery.destination not in self._destinations:
            return self.give_up(claim, f"destination {delivery.destination!r} is not configured: add it, then retry")
        try:
            receipt = pipeline.deliver(delivery, archive=self._archive, destinations=self._destinations)
        except Refused as error:
            return self.give_up(claim, str(error))

        def record(transaction: Transaction, now: datetime) -> None:
            results.delivered(transaction, delivery.delivery_id, status=receipt.status, now=now)
            queue.finish(transaction, claim, now=now, detail=receipt.comment)

        return record

    def give_up(self, claim: Claim, detail: str) -> Ending:
        """Leave the claimed delivery for a person."""
        return _give_up(claim, None, detail)


AnyLeg = ReadLeg | ComposeLeg | DeliverLeg


class Worker:
    """Runs the turns of one leg. `jitter` returns a number between 0 and 1."""

    def __init__(
        self,
        leg: AnyLeg,
        *,
        database: Database,
        owner: str,
        lease: timedelta,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self.leg = leg.leg
        self._leg = leg
        self._database = database
        self._owner = owner
        self._lease = lease
        self._clock = clock
        self._jitter = jitter

    def turn(self) -> bool:
        """Run one due job of the leg, if there is one, and return whether there was."""
        with self._database.write() as transaction:
            claims = queue.claim(transaction, self.leg, owner=self._owner, lease=self._lease, now=self._clock())
        for claim in claims:
            ending = self._run(claim)
            try:
                with self._database.write() as transaction:
                    ending(transaction, self._clock())
            except ForbiddenTransition as error:
                # The lease ran out and another worker has the job; what it records is the same.
                _log.warning("job %d: %s", claim.job_id, error)
        return bool(claims)

    def seconds_to_next(self) -> float | None:
        """Return how long until a job of the leg is due: 0 or less for now, None when none waits."""
        with self._database.read() as connection:
            due_at = queue.next_due(connection, self.leg)
        return None if due_at is None else (due_at - self._clock()).total_seconds()

    def run(self, bell: Listener, *, tick_s: float, stopping: Callable[[], bool]) -> None:
        """Take turns until `stopping`; between them wait for the bell, the next due job, or `tick_s`."""
        while not stopping():
            try:
                wait_s = self.seconds_to_next()
                if wait_s is not None and wait_s <= 0 and self.turn():
                    continue
            except RetryLater as error:
                _log.warning("%s waits: %s", self.leg, error)
                wait_s = None
            # A due job that could not be claimed is held back by another: look again soon.
            bell.wait(tick_s if wait_s is None else min(tick_s, max(wait_s, _HELD_BACK_S)))

    def _run(self, claim: Claim) -> Ending:
        started = self._clock()
        try:
            ending = self._leg.run(claim)
        except RetryLater as error:
            return self._again(claim, str(error))
        except GiveUp as error:
            return _give_up(claim, error.reason, error.detail)
        except Exception as error:  # noqa: BLE001  # the edge: a fault of ours must not stop the other jobs
            # The message may quote the film; its type and place do not.
            _log.error("%s job %d: %s", self.leg, claim.job_id, _place(error))
            return self._again(claim, f"fault in the node: {_place(error)}")
        _log.info("%s job %d took %.3f s", self.leg, claim.job_id, (self._clock() - started).total_seconds())
        return ending

    def _again(self, claim: Claim, detail: str) -> Ending:
        now = self._clock()
        due_at = due_again(
            RULES[self.leg], attempts=claim.attempts, queued_at=claim.queued_at, now=now, jitter=self._jitter()
        )
        if due_at is None:
            return self._leg.give_up(claim, detail)
        _log.warning("%s job %d again at %s: %s", self.leg, claim.job_id, due_at.isoformat(), detail)

        def record(transaction: Transaction, now: datetime) -> None:
            queue.retry(transaction, claim, due_at=due_at, detail=detail, now=now)

        return record


_HELD_BACK_S = 0.05


def _wait(claim: Claim, until: datetime) -> Ending:
    def record(transaction: Transaction, now: datetime) -> None:
        detail = "other films of the study are still to be read"
        queue.retry(transaction, claim, due_at=until, detail=detail, now=now)

    return record


def _give_up(claim: Claim, reason: Reason | None, detail: str) -> Ending:
    _log.error("%s job %d is left for a person: %s", claim.leg, claim.job_id, detail)

    def record(transaction: Transaction, now: datetime) -> None:
        queue.give_up(transaction, claim, reason=reason, detail=detail, now=now)

    return record


def _place(error: BaseException) -> str:
    """Return an error's type and where it was raised, without its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} in {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
