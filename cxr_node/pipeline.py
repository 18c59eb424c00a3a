"""THE MAIN PATH: accept, read, compose, deliver, commit.

Every stage is idempotent: run again after a crash at any point, it leaves the same result. Nothing here depends on
queue, threads or settings: `work.worker` decides when a stage runs and records how it ended.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import assert_never

from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.archive.store import Archive, film_key, result_key
from cxr_node.composing import rejection_note
from cxr_node.composing.context import ComposeContext
from cxr_node.composing.prepare import prepare_study
from cxr_node.composing.rejection_note import NoteRequest
from cxr_node.composing.route import Route
from cxr_node.composing.study import ComposedInstance, compose_study
from cxr_node.db.database import Database
from cxr_node.deliver.destination import Destination, Receipt
from cxr_node.domain.commitment import (
    ANY_REQUESTER,
    CommitmentLimits,
    CommitmentResult,
    FailureReason,
    Reference,
)
from cxr_node.domain.comparison import Comparison
from cxr_node.domain.errors import GiveUp, RejectObject, RetryLater
from cxr_node.domain.film import Film
from cxr_node.domain.film_attributes import FilmAttributes
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.instance import Instance, Received, Sender, StagedInstance
from cxr_node.domain.reading import Reading
from cxr_node.domain.rejection_titles import NOTE_KIND, NoteScope, RejectionTitle
from cxr_node.domain.sop_classes import KEY_OBJECT_SELECTION
from cxr_node.process_pool.executor import Executor
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import Network
from cxr_node.reading.postprocess import failed_reading, postprocess
from cxr_node.reading.preprocess import preprocess
from cxr_node.reading.turned import find_turned
from cxr_node.receive.rejection_note import MAXIMUM_BYTES, parse_rejection_note
from cxr_node.receive.status import too_large
from cxr_node.records import commitments, ingest, rejection_notes, results
from cxr_node.records.rejection_notes import InstanceRejected
from cxr_node.records.results import Delivery, Result
from cxr_node.records.withdrawals import Withdrawn


def accept(
    received: Received,
    sender: Sender,
    *,
    archive: Archive,
    database: Database,
    priority: Callable[[Received, Sender], int] = lambda _received, _sender: 0,
    attributes: Callable[[Mapping[int, bytes], AeTitle], FilmAttributes | None] = lambda _values, _title: None,
    note_scope: Callable[[Sender, RejectionTitle], NoteScope] = lambda _sender, _title: NoteScope.EVERY_FILM,
    clock: Callable[[], datetime],
) -> bool:
    """Store a received film; on return its bytes and its row are durable, and Success may be returned.

    Bytes first, row second: a crash in between leaves a file without a row, never a row without its file. Returns
    False for a duplicate, or for a result of this node that a PACS sends back. `priority` returns the priority boost
    of a film, in seconds; `attributes` returns what is stored of its header, by its encoded values and its sender.

    A rejection note is stored in the database and applied, in one transaction, to the films of its `note_scope`, which
    follows from sender and title.

    Raises
    ------
    RejectObject
        If a rejection note has withdrawn the film, or a Key Object Selection is no rejection note, or one on films that
        its sender may not reject.
    """
    if _may_be_own_result(received):
        with database.read() as connection:
            if results.is_own_result(connection, received.identity.sop_instance_uid):
                return False
    if received.identity.sop_class_uid == KEY_OBJECT_SELECTION:
        return _accept_note(received, sender, database=database, note_scope=note_scope, now=clock())
    key = film_key(received.digest)
    # Stored even if the key exists: another receiver may have renamed the file without flushing the folder yet.
    _store(archive, key, received)
    try:
        is_new = ingest.store(
            database,
            received,
            sender,
            archive_key=key,
            priority_boost_s=priority(received, sender),
            attributes=attributes(received.header_values, sender.calling_ae_title) if received.header_values else None,
            now=clock(),
        )
    except InstanceRejected:
        if not ingest.is_kept(database, received.identity.sop_instance_uid, received.digest):
            archive.discard(key)
        raise
    if not is_new and key not in archive:
        # Retention removed the file just now. The row is current again, so no later removal is pending.
        _store(archive, key, received)
    return is_new


def _accept_note(
    received: Received,
    sender: Sender,
    *,
    database: Database,
    note_scope: Callable[[Sender, RejectionTitle], NoteScope],
    now: datetime,
) -> bool:
    if received.size_bytes > MAXIMUM_BYTES:
        raise too_large(received.size_bytes)
    content = received.content if isinstance(received, Instance) else received.staged.read()
    note = parse_rejection_note(content)
    scope = note_scope(sender, note.title)
    if scope is NoteScope.NO_FILM:
        raise RejectObject("rejection notes of this title are not accepted from this sender")
    return rejection_notes.store(database, note, received, sender, content=content, scope=scope, now=now)


def _may_be_own_result(received: Received) -> bool:
    return received.identity.sop_class_uid not in _RADIOGRAPHS


_RADIOGRAPHS = frozenset(f"1.2.840.10008.5.1.4.1.1.1{kind}" for kind in ("", ".1", ".1.1"))
"""Computed Radiography and Digital X-Ray Image Storage: SOP classes of no result."""


def _store(archive: Archive, key: str, received: Received) -> None:
    match received:
        case Instance():
            archive.put(key, received.content)
        case StagedInstance():
            received.staged.commit(key)
        case _:
            assert_never(received)


def read(films: Sequence[Film], *, executor: Executor[ReadContext], network: Network) -> list[Reading]:
    """Read films as one batch of the network: return a reading for each, in order.

    A film's reading does not depend on the others of its batch. Pre- and postprocessing run in `executor`.

    Raises
    ------
    GiveUp
        If the films cannot be read as one batch. Each may still be read alone.
    RetryLater
        If the cause is not in the films.
    """
    adapter = network.adapter
    preprocessed = executor.map(partial(preprocess, adapter=adapter), films)
    passed = [item for item in preprocessed if not isinstance(item, Reading)]
    try:
        outputs = network.forward([array for _, array in passed]) if passed else ()
        turns = find_turned(network, [array for _, array in passed], outputs)
        films_and_outputs = [
            (replace(film, upright_after=turn), output)
            for (film, _), output, turn in zip(passed, outputs, turns, strict=True)
        ]
        readings = iter(executor.map(partial(postprocess, adapter=adapter), films_and_outputs))
    except GiveUp as gave_up:
        if len(films) > 1:
            raise
        return [failed_reading(passed[0][0], gave_up)]
    return [item if isinstance(item, Reading) else next(readings) for item in preprocessed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A result in the archive. `version` counts the results of its kind in the study.

    `superseded` are the ids of the earlier results whose place it takes.
    """

    kind: str
    version: int
    archive_key: str
    instance: Instance
    destinations: tuple[str, ...]
    superseded: tuple[int, ...] = ()


def compose(
    readings: Sequence[tuple[Film, Reading]],
    composed_earlier: Sequence[Result],
    *,
    executor: Executor[ComposeContext],
    routes: Mapping[str, Route],
    archive: Archive,
    is_guarded: bool = False,
    replaced: Sequence[Result] = (),
    comparisons: Mapping[int, Comparison] = MappingProxyType({}),
    awaiting: AbstractSet[int] = frozenset(),
    issue: int = 0,
    now: datetime,
) -> list[Composed]:
    """Compose and archive the results of a study; return those that differ from `composed_earlier`.

    `readings` are the study's films with their readings. A result's UID follows from its content, so an unchanged
    result has the UID of the earlier one. Of the executor's kinds, those of at least one matching route are composed;
    the first if there is none, so that every study has an archived report. The report is composed last and refers to
    the other results of its run, of which at least one destination receives both. Films that contradict each other
    about the patient are answered by a report for each patient, without findings. `replaced` are results of other
    studies on films that were moved to this one. `comparisons` are with prior films, by the id of the film; films that
    are `awaiting` one have none yet. `issue` counts how often the study's results were withdrawn.

    Films are parsed and results composed in `executor`, which may end at a limit. With `is_guarded`, after such ends, a
    film that ends it is named without its header, and no picture is painted.

    Raises
    ------
    GiveUp
        If no header is a received one, or a result fails its validation.
    ProcessDied
        If the process that composed died, or was ended at a limit.
    """
    study = prepare_study(
        readings,
        composed_earlier,
        executor=executor,
        routes=routes,
        is_guarded=is_guarded,
        replaced=replaced,
        comparisons=comparisons,
        awaiting=awaiting,
        issue=issue,
        now=now,
    )
    (composed,) = executor.map(compose_study, [study])
    return [_archived(result, archive) for result in composed]


def compose_again(
    damaged: Result,
    readings: Sequence[tuple[Film, Reading]],
    composed_earlier: Sequence[Result],
    *,
    executor: Executor[ComposeContext],
    routes: Mapping[str, Route],
    archive: Archive,
    replaced: Sequence[Result] = (),
    comparisons: Mapping[int, Comparison] = MappingProxyType({}),
    awaiting: AbstractSet[int] = frozenset(),
    issue: int = 0,
) -> Instance | None:
    """Compose and archive a result whose bytes were damaged, at its own time; return it.

    Bytes are those of then, if films, readings and software are. None if the result of this UID cannot be composed any
    more; then the study's present results differ from it, and are composed as any others.
    """
    films = [(film, reading) for film, reading in readings if film.received_at <= damaged.composed_at]
    earlier = [result for result in composed_earlier if result.composed_at < damaged.composed_at]
    study = prepare_study(
        films,
        earlier,
        executor=executor,
        routes=routes,
        replaced=replaced,
        comparisons=comparisons,
        awaiting=awaiting,
        issue=issue,
        now=damaged.composed_at,
    )
    uid = damaged.identity.sop_instance_uid
    composed = executor.map(compose_study, [study])[0] if films else []
    again = next((result for result in composed if result.instance.identity.sop_instance_uid == uid), None)
    return None if again is None else _archived(again, archive).instance


def compose_note(
    withdrawn: Withdrawn, *, number: int, executor: Executor[ComposeContext], archive: Archive
) -> Composed:
    """Compose and archive the rejection note of withdrawn results: again, it is the same instance.

    `number` counts the notes of the study.
    """
    request = NoteRequest(
        results=withdrawn.results,
        title=withdrawn.title,
        detail=withdrawn.detail,
        at=withdrawn.withdrawn_at,
        number=number,
    )
    (instance,) = executor.map(rejection_note.compose_note, [request])
    return _archived(
        ComposedInstance(kind=NOTE_KIND, version=number, instance=instance, destinations=withdrawn.destinations),
        archive,
    )


def _archived(composed: ComposedInstance, archive: Archive) -> Composed:
    instance = composed.instance
    key = result_key(instance.identity.sop_instance_uid)
    archive.put(key, instance.content)
    return Composed(
        kind=composed.kind,
        version=composed.version,
        archive_key=key,
        instance=instance,
        destinations=composed.destinations,
        superseded=composed.superseded,
    )


def deliver(delivery: Delivery, *, archive: Archive, destinations: Mapping[str, Destination]) -> Receipt:
    """Send a result's archived bytes to its destination.

    Raises
    ------
    RetryLater
        If the destination is unreachable or out of resources.
    DeliveryRejected
        If the destination will never accept it.
    Damaged
        If the archived bytes are not the composed ones.
    KeyError
        If no destination of that name is configured.
    """
    return destinations[delivery.destination].send(read_intact(archive, delivery.result))


def commit(
    transaction_uid: Uid,
    instances: Sequence[Reference],
    *,
    archive: Archive,
    database: Database,
    limits: CommitmentLimits = ANY_REQUESTER,
) -> CommitmentResult:
    """Commit storage of the instances that have a row and whose archived bytes, read now, match their digest.

    Raises
    ------
    RetryLater
        If nobody waits for the result any more, or the archive is unreachable.
    """
    committed: list[Reference] = []
    failed: list[tuple[Reference, int]] = []
    left_bytes = limits.budget_bytes
    for instance in instances:
        if limits.is_over():
            raise RetryLater("the requester has ended its association")
        with database.read() as connection:
            rows = commitments.held(connection, instance.sop_instance_uid)
        held = [row for row in rows if limits.concern(row.sender)]
        left_bytes -= sum(row.size_bytes for row in held)
        reason = FailureReason.RESOURCE_LIMITATION if left_bytes < 0 else _failure_reason(instance, held, archive)
        if reason is None:
            committed.append(instance)
        else:
            failed.append((instance, reason))
    return CommitmentResult(transaction_uid=transaction_uid, committed=tuple(committed), failed=tuple(failed))


def _failure_reason(
    reference: Reference, held: Sequence[commitments.HeldInstance], archive: Archive
) -> FailureReason | None:
    """Return why an instance is not committed. Of several contents under one UID, all must be archived."""
    if not held:
        return FailureReason.NO_SUCH_OBJECT_INSTANCE
    if any(instance.sop_class_uid != reference.sop_class_uid for instance in held):
        return FailureReason.CLASS_INSTANCE_CONFLICT
    for instance in held:
        try:
            read_intact(archive, instance)
        except Damaged as damaged:
            is_missing = damaged.content is None
            return FailureReason.NO_SUCH_OBJECT_INSTANCE if is_missing else FailureReason.PROCESSING_FAILURE
    return None
