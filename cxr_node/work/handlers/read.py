"""What each stage does with a claimed job: the main path on one side, the record of how it ended on the other."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cxr_node import pipeline
from cxr_node.archive.store import Archive
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.queue import queue
from cxr_node.queue.queue import Claim
from cxr_node.reading.preprocess import ReadContext, not_analysed
from cxr_node.reading.preprocess_pool import WorkerDied
from cxr_node.records import destination_capabilities, films, readings, results
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.source import Observer

_log = logging.getLogger(__name__)

Completion = Callable[[Transaction, datetime], None]
"""Records how a job ended, in the transaction it is given."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyWindow:
    """When a study is composed: `quiet_s` after its last film came, if all its films are read by then;
    at the latest `max_wait_s` after its first.
    """

    quiet_s: float
    max_wait_s: float


Watch = Callable[[float], AbstractContextManager[None]]
"""Ends the process if the block takes longer than so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """How long reading may take, of one film or of several in one go."""

    timeout_s: float
    watch: Watch

    def watched(self) -> AbstractContextManager[None]:
        """Return what ends the process if the block takes longer."""
        return self.watch(self.timeout_s)


class ReadsFilms(Protocol):
    """What reads films that are kept, in turn or overlapped."""

    def read(self, films: Sequence[films.Film]) -> Sequence[Reading]:
        """Return a reading of each, in order; raise GiveUp if several cannot be read together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InTurn:
    """Reads films in this process and thread: each is looked at, then the network has them, then each is measured."""

    desk: ReadContext
    reader: pipeline.Reads
    deadline: Deadline | None = None

    def read(self, films: Sequence[films.Film]) -> Sequence[Reading]:
        """Read films as `pipeline.read` does."""
        with nullcontext() if self.deadline is None else self.deadline.watched():
            return pipeline.read(films, desk=self.desk, reader=self.reader)


class ReadHandler:
    """Reads films. One that killed its reader `crash_limit` times is set aside, and the others go on.

    A reader that takes longer than its deadline ends its process, which counts as a death.
    """

    stage = Stage.READ

    def __init__(self, *, database: Database, reads: ReadsFilms, quiet: StudyWindow, crash_limit: int) -> None:
        self._database = database
        self._reads = reads
        self._quiet = quiet
        self._crash_limit = crash_limit

    def run(self, claim: Claim) -> Completion:
        """Read the claimed film."""
        film = self._film(claim)
        if claim.crashes >= self._crash_limit:
            detail = f"the reader stopped {claim.crashes} times while it read this film: it died, or took too long"
            return self._ending(claim, film, not_analysed(film, Reason.MODEL_ERROR, detail))
        try:
            (reading,) = self._reads.read([film])
        except WorkerDied as error:
            if claim.attempts < self._crash_limit:
                raise
            reading = not_analysed(film, Reason.MODEL_ERROR, f"{error}, and so before: {claim.attempts} attempts")
        return self._ending(claim, film, reading)

    def run_together(self, claims: Sequence[Claim]) -> list[Completion]:
        """Read the claimed films in one go, none of which has killed its reader; may raise what `run` would not."""
        films = [self._film(claim) for claim in claims]
        return [self._ending(*each) for each in zip(claims, films, self._reads.read(films), strict=True)]

    def give_up(self, claim: Claim, detail: str) -> Completion:
        """Set the claimed film aside: a study is not to wait for ever for a film that cannot be read."""
        film = self._film(claim)
        return self._ending(claim, film, not_analysed(film, Reason.MODEL_ERROR, detail))

    def _film(self, claim: Claim) -> films.Film:
        with self._database.read() as connection:
            return films.get(connection, claim.subject_id)

    def _ending(self, claim: Claim, film: films.Film, reading: Reading) -> Completion:
        def record(transaction: Transaction, now: datetime) -> None:
            readings.write(transaction, film.film_id, reading, now=now)
            last = films.last_received_at(transaction.connection, film.study_id)
            due_at = max(now, last + timedelta(seconds=self._quiet.quiet_s))
            # The study before the job, as who makes a study urgent takes them.
            queue.add_compose(transaction, film.study_id, due_at=due_at, now=now)
            if reading.not_analysed is None:
                queue.finish(transaction, claim, now=now)
            else:
                queue.set_aside(transaction, claim, reason=reading.not_analysed, detail=reading.detail, now=now)

        return record


class ComposeHandler:
    """Composes the results of studies that are quiet. `routes` has what goes to each destination."""

    stage = Stage.COMPOSE

    def __init__(
        self,
        *,
        database: Database,
        archive: Archive,
        observer: Observer,
        kinds: Sequence[ResultKind],
        routes: Mapping[str, pipeline.Route],
        limits: Limits,
        sandbox: Sandbox | None = None,
        character_sets: pipeline.CharacterSets | None = None,
        quiet: StudyWindow,
        clock: Clock,
    ) -> None:
        self._database = database
        self._archive = archive
        self._observer = observer
        self._character_sets = character_sets or {}
        self._kinds = kinds
        self._limits = limits
        self._sandbox = sandbox
        self._quiet = quiet
        self._routes = routes
        self._clock = clock

    def run(self, claim: Claim) -> Completion:
        """Compose the claimed study, or wait for its films that are still to be read."""
        study_id = claim.subject_id
        with self._database.read() as connection:
            received = films.of_study(connection, study_id)
            read = [(film, readings.latest(connection, film.film_id, film.identity)) for film in received]
            earlier = results.of_study(connection, study_id)
            taken = destination_capabilities.latest(connection)
        if not received:
            return _nothing_left(claim)
        ready = [(film, reading) for film, reading in read if reading is not None]
        ceiling = min(film.received_at for film in received) + timedelta(seconds=self._quiet.max_wait_s)
        now = self._clock()
        if len(ready) < len(received) and now < ceiling:
            return _wait(claim, ceiling)
        composed = pipeline.compose(
            ready,
            earlier,
            kinds=self._kinds,
            routes={name: route.decided(taken.get(name)) for name, route in self._routes.items()},
            archive=self._archive,
            observer=self._observer,
            limits=self._limits,
            sandbox=self._sandbox,
            character_sets=self._character_sets,
            now=now,
        )
        return self._ending(claim, composed)

    def give_up(self, claim: Claim, detail: str) -> Completion:
        """Leave the claimed study for a person."""
        return fail_permanently(claim, None, detail)

    def _ending(self, claim: Claim, composed: Sequence[pipeline.Composed]) -> Completion:
        def record(transaction: Transaction, now: datetime) -> None:
            for each in composed:
                results.add(
                    transaction,
                    claim.subject_id,
                    each.instance,
                    kind=each.kind,
                    version=each.version,
                    archive_key=each.archive_key,
                    destinations=each.destinations,
                    now=now,
                )
            queue.finish(transaction, claim, now=now, detail="" if composed else "nothing new to say")

        return record


def _nothing_left(claim: Claim) -> Completion:
    def record(transaction: Transaction, now: datetime) -> None:
        queue.finish(transaction, claim, now=now, detail="its films were removed")

    return record


def _wait(claim: Claim, until: datetime) -> Completion:
    def record(transaction: Transaction, now: datetime) -> None:
        detail = "other films of the study are still to be read"
        queue.retry(transaction, claim, due_at=until, detail=detail, now=now)

    return record


def fail_permanently(claim: Claim, reason: Reason | None, detail: str) -> Completion:
    """Return the ending of a job that trying again cannot help."""
    _log.error("%s job %d is left for a person: %s", claim.stage, claim.job_id, detail)

    def record(transaction: Transaction, now: datetime) -> None:
        queue.give_up(transaction, claim, reason=reason, detail=detail, now=now)

    return record
