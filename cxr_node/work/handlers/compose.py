"""Compose handler: composes the results of a study whose study window has closed."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from functools import partial

from cxr_node import pipeline
from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.archive.store import Archive
from cxr_node.composing.context import ComposeContext
from cxr_node.composing.route import Route
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.deliver.notification_rules import NotificationRule, notified_findings
from cxr_node.domain.clock import Clock
from cxr_node.domain.film import Film
from cxr_node.domain.instance import Instance
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.domain.rejection_titles import NOTE_KIND
from cxr_node.process_pool.executor import Executor
from cxr_node.queue import queue
from cxr_node.queue.claiming import Claim
from cxr_node.queue.retry import RULES
from cxr_node.records import destination_capabilities, films, notifications, readings, results, retention, withdrawals
from cxr_node.records.results import Result
from cxr_node.records.withdrawals import Withdrawn
from cxr_node.work import completion
from cxr_node.work.completion import Completion
from cxr_node.work.handlers.comparisons import NO_COMPARISONS, StudyComparisons, compare_study
from cxr_node.work.handlers.one_job import OneJobHandler
from cxr_node.work.periodic.retention import BeforeRemoval, remove_files
from cxr_node.work.study_window import StudyWindow

_log = logging.getLogger(__name__)

_GUARDED_AFTER = 2
"""Crashes of a job after which its films are told apart by what ends the process, and no picture is painted."""


class ComposeHandler(OneJobHandler):
    """Composes results in `executor`. `routes` maps each destination to the kinds it receives.

    With the results it stores which `notification_rules` the study meets, for the job that notifies. Films are compared
    with prior films of at most `maximum_prior_age_days`; 0 compares none.
    `before_removal` gets the files of a study whose retention has expired elsewhere.
    """

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
        before_removal: BeforeRemoval = lambda _files: None,
        notification_rules: Sequence[NotificationRule] = (),
        maximum_prior_age_days: int = 0,
    ) -> None:
        self._database = database
        self._notification_rules = notification_rules
        self._maximum_prior_age_days = maximum_prior_age_days
        self._archive = archive
        self._executor = executor
        self._window = window
        self._routes = routes
        self._clock = clock
        self._before_removal = before_removal

    def run_one(self, claim: Claim) -> Completion:
        """Compose the claimed study, or wait for its unread films; notes on what is withdrawn come first."""
        study_id = claim.subject_id
        now = self._clock()  # before the films are read: one received after it is not in the results
        with self._database.read() as connection:
            # First: if the study is corrected after it, the completion composes it again.
            issue = withdrawals.issue_of(connection, study_id)
            received = films.of_study(connection, study_id)
            with_readings = [(film, readings.latest(connection, film.film_id, film.identity)) for film in received]
            earlier = results.of_study(connection, study_id)
            undelivered = results.undelivered(connection, study_id) if earlier else frozenset()
            replaced = results.of_moved_films(connection, study_id)
            capabilities = destination_capabilities.latest(connection)
            withdrawn = withdrawals.without_note(connection, earlier)
        self._repair_notes(earlier, undelivered)
        if withdrawn:
            return self._compose_notes(claim, withdrawn, earlier)
        if issue.number:
            self._remove_expired(study_id, now)
        if not received:
            if not issue.number:
                return completion.finish(claim, "its films were removed")
            detail = "its films were removed, moved or rejected"
            return self._completion(claim, [], [], [], issue=issue.number, composed_at=now, detail=detail)
        ready = [(film, reading) for film, reading in with_readings if reading is not None]
        begun = [min(film.received_at for film in received), issue.withdrawn_at]
        deadline = self._window.deadline(max(at for at in begun if at is not None))
        if len(ready) < len(received) and now < deadline:
            return _wait_for_films(claim, deadline)
        reported = _reported(ready)
        if ready and not reported:
            detail = "a person dismissed its films"
            return self._completion(claim, [], [], [], issue=issue.number, composed_at=now, detail=detail)
        compared = self._compared(claim, reported)
        accepted = {name: route.with_accepted_form(capabilities.get(name)) for name, route in self._routes.items()}
        composing = partial(
            pipeline.compose_again,
            executor=self._executor,
            routes=accepted,
            archive=self._archive,
            replaced=replaced,
            comparisons=compared.by_film,
            awaiting=compared.awaiting,
            issue=issue.number,
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
            comparisons=compared.by_film,
            awaiting=compared.awaiting,
            issue=issue.number,
            now=now,
        )
        return self._completion(claim, reported, composed, again, compared, issue=issue.number, composed_at=now)

    def _compared(self, claim: Claim, reported: Sequence[tuple[Film, Reading]]) -> StudyComparisons:
        if claim.crashes >= _GUARDED_AFTER or not self._maximum_prior_age_days:
            return NO_COMPARISONS
        return compare_study(
            reported,
            database=self._database,
            executor=self._executor,
            maximum_age_days=self._maximum_prior_age_days,
        )

    def _compose_notes(self, claim: Claim, withdrawn: Sequence[Withdrawn], earlier: Sequence[Result]) -> Completion:
        """Compose the rejection notes on withdrawn results; the study itself is composed next, by the same job."""
        number = sum(result.kind == NOTE_KIND for result in earlier)
        notes = [
            pipeline.compose_note(
                self._addressed(claim.subject_id, one),
                number=number + place,
                executor=self._executor,
                archive=self._archive,
            )
            for place, one in enumerate(withdrawn, start=1)
        ]

        def record(transaction: Transaction, now: datetime) -> None:
            for one, note in zip(withdrawn, notes, strict=True):
                (note_id,) = _add(transaction, claim.subject_id, [note], composed_at=one.withdrawn_at, now=now)
                withdrawals.set_note(transaction, one.result_ids, note_id)
            last_received = films.last_received_at(transaction.connection, claim.subject_id)
            due_at = max(now, self._window.due_at(last_received))
            queue.release_unattempted(
                transaction, claim, due_at=due_at, detail=f"{len(notes)} rejection notes", now=now
            )

        return record

    def _addressed(self, study_id: int, withdrawn: Withdrawn) -> Withdrawn:
        """Return what a note withdraws with the destinations that take notes; a person has to tell the others."""
        takers = [name for name in withdrawn.destinations if name not in self._routes or self._routes[name].takes_notes]
        for name in set(withdrawn.destinations).difference(takers):
            _log.warning("%s takes no rejection notes: remove the withdrawn results of study %d there", name, study_id)
        return replace(withdrawn, destinations=tuple(takers))

    def _repair_notes(self, earlier: Sequence[Result], undelivered: AbstractSet[int]) -> None:
        """Compose and archive damaged rejection notes again, of which no film of the study need be left."""
        for damaged in self._damaged([one for one in earlier if one.kind == NOTE_KIND], undelivered):
            with self._database.read() as connection:
                withdrawn = withdrawals.of_note(connection, damaged)
            if withdrawn is not None:
                pipeline.compose_note(withdrawn, number=damaged.version, executor=self._executor, archive=self._archive)

    def _remove_expired(self, study_id: int, now: datetime) -> None:
        """Remove the files of films and results whose retention has expired elsewhere, once the notes are composed."""
        with self._database.write() as transaction:
            retention.mark_results_removed(transaction, study_id, now=now)
        with self._database.read() as connection:
            expired = retention.removed_of_study(connection, study_id)
        remove_files(self._database, self._archive, expired, before_removal=self._before_removal)

    def _damaged(self, composed: Sequence[Result], undelivered: AbstractSet[int]) -> Iterator[Result]:
        """Yield the results that are still to be delivered, and whose bytes are not those composed."""
        for result in composed:
            if result.result_id in undelivered:
                try:
                    read_intact(self._archive, result)
                except Damaged as damaged:
                    _log.error("result %d is composed again: %s", result.result_id, damaged.detail)
                    yield result

    def _completion(
        self,
        claim: Claim,
        reported: Sequence[tuple[Film, Reading]],
        composed: Sequence[pipeline.Composed],
        again: Sequence[tuple[Result, Instance | None]],
        compared: StudyComparisons = NO_COMPARISONS,
        *,
        issue: int,
        composed_at: datetime,
        detail: str = "",
    ) -> Completion:
        detail = detail or ("" if composed else "nothing new to report")

        def record(transaction: Transaction, now: datetime) -> None:
            if withdrawals.locked_issue(transaction, claim.subject_id).number != issue:
                cause = "composed while the study was corrected: to be composed again"
                queue.release_unattempted(transaction, claim, due_at=now, detail=cause, now=now)
                return
            for damaged, instance in again:
                if instance is not None and instance.digest != damaged.digest:
                    results.replace_content(transaction, damaged.result_id, instance)
            _add(transaction, claim.subject_id, composed, composed_at=composed_at, now=now)
            compared.write(transaction, [film for film, _ in reported])
            for rule in self._notification_rules:
                stated = [one.as_json() for one in notified_findings(rule, (reading for _, reading in reported))]
                notifications.settle(transaction, claim.subject_id, rule.name, stated, now=now)
            queue.finish(transaction, claim, now=now, detail=detail)

        return record


def _wait_for_films(claim: Claim, deadline: datetime) -> Completion:
    """Return to the queue until the deadline; end the job if a film was read meanwhile, which added another."""

    def record(transaction: Transaction, now: datetime) -> None:
        if queue.has_waiting(transaction, Stage.COMPOSE, claim.subject_id):
            queue.finish(
                transaction, claim, now=now, detail="a film was read meanwhile: a later job composes the study"
            )
            return
        detail = "other films of the study are still to be read"
        queue.retry(transaction, claim, due_at=deadline, detail=detail, now=now)

    return record


def _add(
    transaction: Transaction,
    study_id: int,
    composed: Sequence[pipeline.Composed],
    *,
    composed_at: datetime,
    now: datetime,
) -> list[int]:
    new = [
        results.NewResult(
            instance=one.instance,
            kind=one.kind,
            version=one.version,
            archive_key=one.archive_key,
            destinations=one.destinations,
            superseded=one.superseded,
        )
        for one in composed
    ]
    return results.add(transaction, study_id, new, composed_at=composed_at, now=now)


def _reported(ready: Sequence[tuple[Film, Reading]]) -> list[tuple[Film, Reading]]:
    """Return the films that results name: a dismissed one only beside another film of the same patient.

    Its own header is not read, so that nothing else shows whose film it is.
    """
    keys = {film.identity.patient_key for film, reading in ready if reading.not_analysed is not Reason.DISMISSED}
    return [(film, reading) for film, reading in ready if film.identity.patient_key in keys]
