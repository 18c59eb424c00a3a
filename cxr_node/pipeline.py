"""THE MAIN PATH: accept, read, compose, deliver, commit.

Every stage is idempotent: run again after a crash at any point, it leaves the same result. Nothing here depends on
queue, threads or settings: `work.worker` decides when a stage runs and records how it ended.
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
from cxr_node.deliver.routing import Condition, FilmFacts, study_decision
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
from cxr_node.pixels.parsing import parse_to_damage
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.reading.executor import Executor
from cxr_node.reading.network import Network
from cxr_node.reading.postprocess import failed_reading, postprocess
from cxr_node.reading.preprocess import preprocess
from cxr_node.reading.turned import find_turned
from cxr_node.receive.identify import patient_key
from cxr_node.records import commitments, ingest, results
from cxr_node.records.destination_capabilities import DestinationCapabilities
from cxr_node.records.films import Film
from cxr_node.records.results import Delivery, Result
from cxr_node.report.grouping import by_patient
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.result_type import ResultType
from cxr_node.report.run import Run
from cxr_node.report.source import ComposeRequest, Observer, PreviousReport, ReportedFilm, header_of


def accept(
    received: Received,
    sender: Sender,
    *,
    archive: Archive,
    database: Database,
    priority: Callable[[Received, Sender], int] = lambda _received, _sender: 0,
    clock: Callable[[], datetime],
) -> bool:
    """Store a received film; on return its bytes and its row are durable, and Success may be returned.

    Bytes first, row second: a crash in between leaves a file without a row, never a row without its file. Returns
    False for a duplicate, or for a result of this node that a PACS sends back. `priority` returns the priority boost
    of a film, in seconds.
    """
    if _may_be_own_result(received):
        with database.read() as connection:
            if results.is_own_result(connection, received.identity.sop_instance_uid):
                return False
    key = film_key(received.digest)
    # Stored even if the key exists: another receiver may have renamed the file without flushing the folder yet.
    _store(archive, key, received)
    priority_boost_s = priority(received, sender)
    is_new = ingest.store(database, received, sender, archive_key=key, priority_boost_s=priority_boost_s, now=clock())
    if not is_new and key not in archive:
        # Retention removed the file just now. The row is current again, so no later removal is pending.
        _store(archive, key, received)
    return is_new


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
    """A composed result object. `version` counts the results of its kind in the study."""

    kind: str
    version: int
    archive_key: str
    instance: Instance
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Result kinds that a destination receives, by name, and the condition.

    Of `forms` of the report, best first, it receives the first whose SOP class `peer` is known to accept.
    """

    kinds: frozenset[str]
    condition: Condition = field(default_factory=Condition)
    forms: tuple[ResultType, ...] = ()
    peer: str = ""

    def with_accepted_form(self, capabilities: DestinationCapabilities | None) -> "Route":
        """Return the route with one form of the report.

        A destination whose peer changed since its last negotiation, or that accepts no form, receives the best one,
        so that its rejection is seen.
        """
        if not self.forms:
            return self
        is_current = capabilities is not None and capabilities.peer == self.peer
        accepted = capabilities.accepted_sop_classes if capabilities is not None and is_current else frozenset()
        form = next((form for form in self.forms if form.sop_class_uid in accepted), self.forms[0])
        return replace(self, kinds=self.kinds | {form.name}, forms=())


CharacterSets = Mapping[str, tuple[str, ...]]
"""Actual Specific Character Set of films by calling AE title; "" for all others."""
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
    replaced: Sequence[Result] = (),
    now: datetime,
) -> list[Composed]:
    """Compose and archive the results of a study; return those that differ from `composed_earlier`.

    `readings` are the study's films with their readings. A result's UID follows from its content, so an unchanged
    result has the UID of the earlier one. Of `kinds`, those of at least one matching route are composed; the first
    if there is none, so that every study has an archived report. The report is composed last and refers to the other
    results of its run, of which at least one destination receives both. Films that contradict each other about the
    patient are answered by a report for each patient, without findings. `replaced` are results of other studies on
    films that a person moved to this one.

    Raises
    ------
    GiveUp
        If no header is a received one, or a result fails its validation.
    """
    reported = [
        _reported(film, reading, composed_earlier, archive=archive, limits=limits, character_sets=character_sets)
        for film, reading in readings
    ]
    facts = [
        routing_facts(film, source.reading, source.header) for (film, _), source in zip(readings, reported, strict=True)
    ]
    matching = {name: route for name, route in routes.items() if study_decision(route.condition, facts).met}
    composed: list[Composed] = []
    groups = [(films, Run()) for films in by_patient(reported)]
    for kind in _in_order(kinds, list(matching.values())):
        type_name = kind.result_type.name
        destinations = tuple(name for name, route in matching.items() if type_name in route.kinds)
        earlier = [result for result in composed_earlier if result.kind == type_name]
        version = len(earlier)
        for films, run in groups:
            request = ComposeRequest(
                films=films,
                load_radiograph=partial(_load_radiograph, limits=limits, sandbox=sandbox),
                observer=observer,
                now=now,
                earlier=_earlier_of(films, earlier, is_only_patient=len(groups) == 1),
                replaced=[_previous(result) for result in replaced if result.kind == type_name],
                results=run.sent_to(destinations),
            )
            results = kind.compose_all(request)
            run.add(kind.referred(results), destinations)
            for instance in filter(request.is_new, results):
                version += 1
                composed.append(_archived(instance, type_name, version, destinations, archive))
    return composed


def _load_radiograph(film: ReportedFilm, *, limits: Limits, sandbox: Sandbox | None) -> Radiograph:
    return pixels.radiograph(film.header, limits=limits, sandbox=sandbox)


def _in_order(kinds: Sequence[ResultKind], routes: Sequence[Route]) -> list[ResultKind]:
    """Return the kinds of at least one route, or else the first, in the order of composing."""
    wanted = [kind for kind in kinds if any(kind.result_type.name in route.kinds for route in routes)]
    return sorted(wanted or kinds[:1], key=lambda kind: kind.order)


def _reported(
    film: Film,
    reading: Reading,
    composed_earlier: Sequence[Result],
    *,
    archive: Archive,
    limits: Limits,
    character_sets: CharacterSets,
) -> ReportedFilm:
    return reported_film(
        archive.get(film.archive_key),
        reading,
        limits=limits,
        character_sets=character_sets.get(film.sender.calling_ae_title, character_sets.get("")),
        added_after=sum(result.composed_at < film.received_at for result in composed_earlier),
        correction=film.digest if film.is_corrected else "",
    )


def _archived(instance: Instance, kind: str, version: int, destinations: tuple[str, ...], archive: Archive) -> Composed:
    key = result_key(instance.identity.sop_instance_uid)
    archive.put(key, instance.content)
    return Composed(kind=kind, version=version, archive_key=key, instance=instance, destinations=destinations)


def reported_film(
    content: bytes,
    reading: Reading,
    *,
    limits: Limits,
    character_sets: tuple[str, ...] | None = None,
    added_after: int = 0,
    correction: str = "",
) -> ReportedFilm:
    """Return a film with the header in its archived bytes, or by its row alone if that is not what was received.

    A header that cannot be parsed, or not as far as reception read it, must not hold back the results of the study's
    other films, and nothing of it is copied.
    """
    try:
        header = parse_to_damage(content, limits=limits)
    except GiveUp:
        header = Dataset()
    if _is_as_received(header, reading):
        known = ReportedFilm(header=header, reading=reading, character_sets=character_sets)
    else:
        known = ReportedFilm(header=header_of(reading.film), reading=reading, is_named_by_row=True)
    return replace(known, added_after=added_after, correction=correction)


def _is_as_received(header: Dataset, reading: Reading) -> bool:
    film = reading.film
    uids = tuple(elements.text(header, keyword) for keyword in ("SOPInstanceUID", "StudyInstanceUID"))
    patient = (elements.encoded(header, keyword) for keyword in _PATIENT)
    return uids == (film.sop_instance_uid, film.study_instance_uid) and patient_key(*patient) == film.patient_key


_PATIENT = ("IssuerOfPatientID", "PatientID", "PatientName", "PatientBirthDate")


def routing_facts(film: Film, reading: Reading | None, header: Dataset) -> FilmFacts:
    """Return the facts that route conditions test; `reading` is None for a film not read yet."""
    geometry = reading.geometry if reading and reading.geometry else read_geometry(header)
    findings = reading.prediction.findings if reading and reading.prediction else ()
    keys = frozenset(finding.key for finding in findings if finding.presence != Presence.ABSENT)
    return FilmFacts(
        calling_ae_title=film.sender.calling_ae_title,
        station_name=elements.text(header, "StationName"),
        view=geometry.view,
        findings=None if reading is None else keys,
    )


def _earlier_of(
    films: Sequence[ReportedFilm], earlier: Sequence[Result], *, is_only_patient: bool
) -> list[PreviousReport]:
    """Return the earlier results of the study; of one of its several patients, those of that patient."""
    keys = {film.reading.film.patient_key for film in films}
    return [_previous(result) for result in earlier if is_only_patient or result.identity.patient_key in keys]


def _previous(result: Result) -> PreviousReport:
    return PreviousReport(
        sop_class_uid=result.identity.sop_class_uid,
        sop_instance_uid=result.identity.sop_instance_uid,
        series_instance_uid=result.identity.series_instance_uid,
        study_instance_uid=result.identity.study_instance_uid,
    )


def deliver(delivery: Delivery, *, archive: Archive, destinations: Mapping[str, Destination]) -> Receipt:
    """Send a result's archived bytes to its destination.

    Raises
    ------
    RetryLater
        If the destination is unreachable or out of resources.
    DeliveryRejected
        If the destination will never accept it.
    KeyError
        If no destination of that name is configured.
    """
    return destinations[delivery.destination].send(archive.get(delivery.result.archive_key))


def commit(
    transaction_uid: Uid, instances: Sequence[Reference], *, archive: Archive, database: Database
) -> CommitmentResult:
    """Commit storage of the instances that have a row and whose archived bytes, read now, match their digest."""
    committed: list[Reference] = []
    failed: list[tuple[Reference, int]] = []
    for instance in instances:
        with database.read() as connection:
            held = commitments.held(connection, instance.sop_instance_uid)
        reason = _failure_reason(instance, held, archive)
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
            if not is_intact(archive.get(instance.archive_key), instance.digest):
                return FailureReason.PROCESSING_FAILURE
        except KeyError:
            return FailureReason.NO_SUCH_OBJECT_INSTANCE
    return None
