"""THE MAIN PATH: accept, read, compose, deliver.

Each stage may run twice, at any point, after any crash, and leaves the same result. Nothing here knows
a queue, a thread or a setting: `worker` decides when a stage runs and records how it ended.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import assert_never

from pydicom import Dataset

from cxr_node.archive.integrity import is_intact
from cxr_node.archive.store import Archive, film_key, result_key
from cxr_node.db.database import Database
from cxr_node.deliver.destination import Destination, Receipt
from cxr_node.deliver.routing import Condition, Facts, study_answer
from cxr_node.domain.commitment import CommitmentResult, FailureReason, Reference
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance, Received, Sender, StagedInstance
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Presence, Reading
from cxr_node.pixels import elements
from cxr_node.pixels import film as pixels
from cxr_node.pixels.geometry import geometry as read_geometry
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.reading.executor import Executor
from cxr_node.reading.network import Network
from cxr_node.reading.postprocess import failed_reading, postprocess
from cxr_node.reading.preprocess import preprocess
from cxr_node.records import commitments, ingest, results
from cxr_node.records.destination_capabilities import DestinationCapabilities
from cxr_node.records.films import Film
from cxr_node.records.results import Delivery, Result
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, Observer, PreviousReport
from cxr_node.report.source import Film as ReportedFilm


def accept(
    received: Received,
    sender: Sender,
    *,
    archive: Archive,
    database: Database,
    urgency: Callable[[Received, Sender], int] = lambda _received, _sender: 0,
    clock: Callable[[], datetime],
) -> bool:
    """Keep a received film; when this returns, its bytes and its row are on disk and Success may be said.

    Bytes first, row second: a crash in between leaves a file that nobody was promised, never a row
    without its film. Returns False if the film was known already, or is a result of our own that a PACS sends back.
    `urgency` returns by how many seconds a film goes before others.
    """
    if _may_be_ours(received):
        with database.read() as connection:
            if results.is_own_result(connection, received.identity.sop_instance_uid):
                return False
    key = film_key(received.digest)
    # Kept even where the key is there: another receiver may have renamed it and not yet flushed the folder.
    _keep(archive, key, received)
    priority_boost_s = urgency(received, sender)
    is_new = ingest.store(database, received, sender, archive_key=key, priority_boost_s=priority_boost_s, now=clock())
    if not is_new and key not in archive:
        # It was just being removed as old; now that its row says that it is kept, nobody else will.
        _keep(archive, key, received)
    return is_new


def _may_be_ours(received: Received) -> bool:
    return received.identity.sop_class_uid not in _RADIOGRAPHS


_RADIOGRAPHS = frozenset(f"1.2.840.10008.5.1.4.1.1.1{kind}" for kind in ("", ".1", ".1.1"))
"""Computed Radiography and Digital X-Ray Images, as which no result is composed."""


def _keep(archive: Archive, key: str, received: Received) -> None:
    match received:
        case Instance():
            archive.put(key, received.content)
        case StagedInstance():
            received.staged.keep(key)
        case _:
            assert_never(received)


def read(films: Sequence[Film], *, executor: Executor, network: Network) -> list[Reading]:
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
        films_and_outputs = [(film, output) for (film, _), output in zip(passed, outputs, strict=True)]
        readings = iter(executor.map(partial(postprocess, adapter=adapter), films_and_outputs))
    except GiveUp as gave_up:
        if len(films) > 1:
            raise
        return [failed_reading(passed[0][0], gave_up)]
    return [item if isinstance(item, Reading) else next(readings) for item in preprocessed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A result object, and which kind and version of the study's results it is."""

    kind: str
    version: int
    archive_key: str
    instance: Instance
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What goes to a destination, by the names of `kinds`, and when.

    Of `forms` of the report, best first, it gets the first that `peer`, which stands behind it, is known to take.
    """

    kinds: frozenset[str]
    condition: Condition = field(default_factory=Condition)
    forms: tuple[ResultType, ...] = ()
    peer: str = ""

    def decided(self, said: DestinationCapabilities | None) -> "Route":
        """Return the route with one form, by what the destination said that it takes.

        One that was not asked since another peer stands behind it, or takes none, gets the best: its refusal is seen.
        """
        if not self.forms:
            return self
        taken = said.accepted_sop_classes if said is not None and said.peer == self.peer else frozenset()
        form = next((form for form in self.forms if form.sop_class_uid in taken), self.forms[0])
        return replace(self, kinds=self.kinds | {form.name}, forms=())


CharacterSets = Mapping[str, tuple[str, ...]]
"""Calling AE title, or nothing for all others, to the Specific Character Set that its films are really in."""
_AS_DECLARED: CharacterSets = {}


def compose(
    readings: Sequence[tuple[Film, Reading]],
    composed_earlier: Sequence[Result],
    *,
    kinds: Sequence[ResultKind],
    routes: Mapping[str, Route],
    archive: Archive,
    observer: Observer,
    limits: Limits,
    sandbox: Sandbox | None = None,
    character_sets: CharacterSets = _AS_DECLARED,
    now: datetime,
) -> list[Composed]:
    """Compose what is to be said of a study, and keep it; return only what has not been said before.

    `readings` are the study's films, each with its reading; `composed_earlier` what was said of it before.
    A result's UID follows from its content: one that is already there says nothing new.
    Of `kinds` only those are composed that a route wants; the first if none does, so that every
    study's report is kept and can be looked at.

    Raises
    ------
    GiveUp
        If the films are not of one patient, or a result breaks a promise that is checked before it leaves.
    """
    reported = [
        ReportedFilm(
            header=pixels.parse_to_damage(archive.get(film.archive_key), limits=limits),
            reading=reading,
            character_sets=character_sets.get(film.sender.calling_ae_title, character_sets.get("")),
        )
        for film, reading in readings
    ]

    def load_radiograph(film: ReportedFilm) -> Radiograph:
        return pixels.radiograph(film.header, limits=limits, sandbox=sandbox)

    facts = [facts_of(film, each.reading, each.header) for (film, _), each in zip(readings, reported, strict=True)]
    open_to = {name: route for name, route in routes.items() if study_answer(route.condition, facts).met}
    wanted = [kind for kind in kinds if any(kind.result_type.name in route.kinds for route in open_to.values())]
    composed: list[Composed] = []
    for kind in wanted or kinds[:1]:
        type_name = kind.result_type.name
        destinations = tuple(name for name, route in open_to.items() if type_name in route.kinds)
        request = ComposeRequest(
            films=reported,
            load_radiograph=load_radiograph,
            observer=observer,
            now=now,
            earlier=[_previous(result) for result in composed_earlier if result.kind == type_name],
        )
        for version, instance in enumerate(kind.compose(request), start=len(request.earlier) + 1):
            key = result_key(instance.identity.sop_instance_uid)
            archive.put(key, instance.content)
            composed.append(
                Composed(kind=type_name, version=version, archive_key=key, instance=instance, destinations=destinations)
            )
    return composed


def facts_of(film: Film, reading: Reading | None, header: Dataset) -> Facts:
    """Return what routes are decided by; `reading` is None for a film that has not been read."""
    geometry = reading.geometry if reading and reading.geometry else read_geometry(header)
    said = reading.prediction.findings if reading and reading.prediction else ()
    return Facts(
        calling_ae_title=film.sender.calling_ae_title,
        station_name=elements.text(header, "StationName"),
        view=geometry.view,
        findings=None if reading is None else frozenset(each.key for each in said if each.presence != Presence.ABSENT),
    )


def _previous(result: Result) -> PreviousReport:
    return PreviousReport(
        sop_class_uid=result.identity.sop_class_uid,
        sop_instance_uid=result.identity.sop_instance_uid,
        series_instance_uid=result.identity.series_instance_uid,
        study_instance_uid=result.identity.study_instance_uid,
    )


def deliver(delivery: Delivery, *, archive: Archive, destinations: Mapping[str, Destination]) -> Receipt:
    """Send a result's stored bytes to its destination.

    Raises
    ------
    RetryLater
        If the destination is away or asks for patience.
    Refused
        If the destination will never take it.
    KeyError
        If no destination of that name is configured.
    """
    return destinations[delivery.destination].send(archive.get(delivery.result.archive_key))


def commit(
    transaction_uid: Uid, instances: Sequence[Reference], *, archive: Archive, database: Database
) -> CommitmentResult:
    """Say which instances are kept: those whose rows are there and whose bytes, read now, are what was received."""
    kept: list[Reference] = []
    failed: list[tuple[Reference, int]] = []
    for each in instances:
        with database.read() as connection:
            held = commitments.held(connection, each.sop_instance_uid)
        reason = _why_not_kept(each, held, archive)
        if reason is None:
            kept.append(each)
        else:
            failed.append((each, reason))
    return CommitmentResult(transaction_uid=transaction_uid, kept=tuple(kept), failed=tuple(failed))


def _why_not_kept(
    reference: Reference, held: Sequence[commitments.HeldInstance], archive: Archive
) -> FailureReason | None:
    """Return why an instance is not vouched for. Of several contents under one UID all must be there."""
    if not held:
        return FailureReason.NO_SUCH_OBJECT_INSTANCE
    if any(each.sop_class_uid != reference.sop_class_uid for each in held):
        return FailureReason.CLASS_INSTANCE_CONFLICT
    for each in held:
        try:
            if not is_intact(archive.get(each.archive_key), each.digest):
                return FailureReason.PROCESSING_FAILURE
        except KeyError:
            return FailureReason.NO_SUCH_OBJECT_INSTANCE
    return None
