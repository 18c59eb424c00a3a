"""Compose handler: composes the results of a study whose study window has closed."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import partial

from cxr_node import pipeline
from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.archive.store import Archive
from cxr_node.composing.context import ComposeContext
from cxr_node.composing.route import Route
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.domain.clock import Clock
from cxr_node.domain.instance import Instance
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.process_pool.executor import Executor
from cxr_node.queue import queue
from cxr_node.queue.claiming import Claim
from cxr_node.queue.retry import RULES
from cxr_node.records import destination_capabilities, films, readings, results
from cxr_node.records.results import Result
from cxr_node.work import completion
from cxr_node.work.completion import Completion
from cxr_node.work.handlers.one_job import OneJobHandler
from cxr_node.work.study_window import StudyWindow

_log = logging.getLogger(__name__)

_GUARDED_AFTER = 2
"""Crashes of a job after which its films are told apart by what ends the process, and no picture is painted."""


class ComposeHandler(OneJobHandler):
    """Composes results in `executor`. `routes` maps each destination to the kinds it receives."""

    stage = Stage.COMPOSE
    retry = RULES[Stage.COMPOSE]

    def __init__(
        self,
        *,
        database: Database,
        archive: Archive,
        executor: Executor[ComposeContext],
        routes: Mapping[str, Route],
        window: StudyWindow,
        clock: Clock,
    ) -> None:
        self._database = database
        self._archive = archive
        self._executor = executor
        self._window = window
        self._routes = routes
        self._clock = clock

    def run_one(self, claim: Claim) -> Completion:
        """Compose the claimed study, or wait for its unread films."""
        study_id = claim.subject_id
        now = self._clock()  # before the films are read: one received after it is not in the results
        with self._database.read() as connection:
            received = films.of_study(connection, study_id)
            with_readings = [(film, readings.latest(connection, film.film_id, film.identity)) for film in received]
            earlier = results.of_study(connection, study_id)
            undelivered = results.undelivered(connection, study_id)
            replaced = results.of_moved_films(connection, study_id)
            capabilities = destination_capabilities.latest(connection)
        if not received:
            return completion.finish(claim, "its films were removed")
        ready = [(film, reading) for film, reading in with_readings if reading is not None]
        deadline = self._window.deadline(min(film.received_at for film in received))
        if len(ready) < len(received) and now < deadline:
            return completion.retry(claim, due_at=deadline, detail="other films of the study are still to be read")
        reported = _reported(ready)
        if ready and not reported:
            return completion.finish(claim, "a person dismissed its films")
        accepted = {name: route.with_accepted_form(capabilities.get(name)) for name, route in self._routes.items()}
        composing = partial(
            pipeline.compose_again, executor=self._executor, routes=accepted, archive=self._archive, replaced=replaced
        )
        again = [(damaged, composing(damaged, reported, earlier)) for damaged in self._damaged(earlier, undelivered)]
        composed = pipeline.compose(
            reported,
            earlier,
            executor=self._executor,
            routes=accepted,
            archive=self._archive,
            is_guarded=claim.crashes >= _GUARDED_AFTER,
            replaced=replaced,
            now=now,
        )
        return self._completion(claim, composed, again, composed_at=now)

    def _damaged(self, composed: Sequence[Result], undelivered: AbstractSet[int]) -> Iterator[Result]:
        """Yield the results that are still to be delivered, and whose bytes are not those composed."""
        for result in composed:
            if result.result_id in undelivered:
                try:
                    read_intact(self._archive, result)
                except Damaged as damaged:
                    _log.error("result %d is composed again: %s", result.result_id, damaged.detail)
                    yield result

    @staticmethod
    def _completion(
        claim: Claim,
        composed: Sequence[pipeline.Composed],
        again: Sequence[tuple[Result, Instance | None]],
        *,
        composed_at: datetime,
    ) -> Completion:
        def record(transaction: Transaction, now: datetime) -> None:
            for damaged, instance in again:
                if instance is not None and instance.digest != damaged.digest:
                    results.replace_content(transaction, damaged.result_id, instance)
            for result in composed:
                results.add(
                    transaction,
                    claim.subject_id,
                    result.instance,
                    kind=result.kind,
                    version=result.version,
                    archive_key=result.archive_key,
                    destinations=result.destinations,
                    superseded=result.superseded,
                    composed_at=composed_at,
                    now=now,
                )
            queue.finish(transaction, claim, now=now, detail="" if composed else "nothing new to report")

        return record


def _reported(ready: Sequence[tuple[films.Film, Reading]]) -> list[tuple[films.Film, Reading]]:
    """Return the films that results name: a dismissed one only beside another film of the same patient.

    Its own header is not read, so that nothing else shows whose film it is.
    """
    keys = {film.identity.patient_key for film, reading in ready if reading.not_analysed is not Reason.DISMISSED}
    return [(film, reading) for film, reading in ready if film.identity.patient_key in keys]
