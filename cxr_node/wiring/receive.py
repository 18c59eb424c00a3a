"""Storage SCP and storage commitment SCP, wired from settings."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from pydicom.datadict import tag_for_keyword

from cxr_node import pipeline
from cxr_node.archive import space
from cxr_node.db.states import Stage
from cxr_node.deliver.destination import ApplicationEntity
from cxr_node.domain.commitment import CommitmentResult, Reference
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import Digest, Uid, parse_ae_title
from cxr_node.domain.instance import Received, Sender
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.domain.rejection_titles import NoteScope, RejectionTitle
from cxr_node.queue import queue
from cxr_node.receive.admission import PeerRule
from cxr_node.receive.application_entity import ReceiverOptions
from cxr_node.receive.commitment import CommitmentProvider
from cxr_node.receive.events import ReceiveEvent
from cxr_node.receive.priority import PriorityRule, priority_boost_s
from cxr_node.receive.scp import Receiver
from cxr_node.records import commitment_requests, commitments
from cxr_node.settings.receive import SENDER_SOP_CLASSES, PeerSection, ReceiveSection
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_decorators, heartbeat
from cxr_node.wiring.commitment_limits import commitment_limits
from cxr_node.wiring.film_attributes import attribute_rules
from cxr_node.wiring.listener_tls import tls_files
from cxr_node.wiring.moved_films import Accept, diverting
from cxr_node.wiring.process import Process
from cxr_node.wiring.rejection_counters import each_of
from cxr_node.wiring.reserve import reserve_of

_ANSWERED_WITHIN = timedelta(seconds=30)
"""How long a storage commitment request may be answered on its own association."""


def receiver(process: Process, *, on_event: Callable[[ReceiveEvent], None] = lambda _: None) -> Receiver:
    """Return the Storage SCP, not yet listening. `on_event` gets each event after the audit trail has recorded it."""
    settings, audit = process.settings, process.audit
    return Receiver(
        replace(_options(settings.receive), own_echo_title=heartbeat.echo_title(settings)),
        accept=audit_decorators.audited_accept(audit, diverting(process, accept_of(process))),
        stage=process.archive.stage if settings.receive.path == "streaming" else None,
        has_space=partial(has_space, settings),
        commitment=_commitment_provider(process),
        on_event=each_of(audit_decorators.on_event(audit), on_event),
    )


def accept_of(process: Process) -> Accept:
    """Return the function that stores received films and rejection notes by the settings, without audit."""
    return partial(
        pipeline.accept,
        archive=process.archive,
        database=process.database,
        priority=_priority(process),
        attributes=attribute_rules(process.settings).attributes,
        note_scope=partial(_scope_in_force, process),
        clock=process.clock,
    )


def note_scope(settings: Settings, sender: Sender, title: RejectionTitle) -> NoteScope:
    """Return the films that rejection notes of a sender concern.

    Without senders in the settings, destinations may reject every film, and others what they sent; nobody may then
    remove films.
    """
    senders = settings.corrections.notes_from
    if senders or title is RejectionTitle.RETENTION:
        return NoteScope.EVERY_FILM if sender.calling_ae_title in senders else NoteScope.NO_FILM
    is_destination = sender.calling_ae_title in _destination_titles(settings)
    return NoteScope.EVERY_FILM if is_destination else NoteScope.OWN_FILMS


def _scope_in_force(process: Process, sender: Sender, title: RejectionTitle) -> NoteScope:
    return note_scope(process.settings, sender, title)


def _destination_titles(settings: Settings) -> frozenset[str]:
    targets = (row.audit_target for row in settings.deliver.destinations)
    return frozenset(target.ae_title for target in targets if isinstance(target, ApplicationEntity))


def _options(section: ReceiveSection) -> ReceiverOptions:
    return ReceiverOptions(
        ae_title=parse_ae_title(section.ae_title),
        host=section.host,
        port=section.port,
        shares_port=section.processes > 1,
        calling_ae_titles=frozenset(parse_ae_title(title) for title in section.calling_ae_titles),
        require_called_ae_title=section.require_called_ae_title,
        maximum_associations=section.maximum_associations,
        maximum_pdu_bytes=section.maximum_pdu_bytes,
        acse_timeout_s=section.acse_timeout_s,
        dimse_timeout_s=section.dimse_timeout_s,
        network_timeout_s=section.network_timeout_s,
        message_timeout_s=section.message_timeout_s,
        association_timeout_s=section.association_timeout_s,
        maximum_object_bytes=section.maximum_object_bytes,
        peers=tuple(_peer(peer) for peer in section.peers),
        users={user.name: PasswordHash.parse(user.password_hash.get_secret_value()) for user in section.users},
        tls=tls_files(section),
        tls_handshake_timeout_s=section.tls_handshake_timeout_s,
    )


def _peer(section: PeerSection) -> PeerRule:
    return PeerRule(
        ae_title=parse_ae_title(section.ae_title),
        networks=section.addresses,
        maximum_associations=section.maximum_associations,
        certificates=frozenset(Digest(digest) for digest in section.certificates),
        sop_classes=frozenset(_sop_class_uid(text) for text in section.sop_classes),
        films_per_minute=section.films_per_minute,
    )


def priority_rules(settings: Settings) -> tuple[PriorityRule, ...]:
    """Return the rules by which films get a priority boost."""
    return tuple(
        PriorityRule(
            priority_boost_s=section.priority_boost_s,
            calling_ae_titles=frozenset(section.calling_ae_titles),
            called_ae_titles=frozenset(section.called_ae_titles),
            station_names=frozenset(section.station_names),
            header=tuple(_element(text) for text in section.header),
        )
        for section in settings.receive.urgent
    )


def _priority(process: Process) -> Callable[[Received, Sender], int]:
    """Return the priority boost of a film by the rules in force."""
    rules = process.live.derived(priority_rules)
    return lambda received, sender: priority_boost_s(received, sender, rules())


def _element(text: str) -> tuple[int, str]:
    keyword, _, value = text.partition("=")
    return tag_for_keyword(keyword) or 0, value


def _sop_class_uid(text: str) -> Uid:
    """Return the UID of a SOP Class that settings name by keyword or UID."""
    return SENDER_SOP_CLASSES.get(text, Uid(text))


def _commitment_provider(process: Process) -> CommitmentProvider:
    database = process.database
    called = {section.ae_title for section in process.settings.receive.commitment_peers}

    def store_request(transaction_uid: Uid, instances: tuple[Reference, ...], sender: Sender) -> int:
        # A peer without an address gets the result on its own association; the job waits for that.
        wait = timedelta() if sender.calling_ae_title in called else _ANSWERED_WITHIN
        at = process.clock()
        try:
            return commitments.store(database, transaction_uid, instances, sender, due_at=at + wait, now=at)
        except commitments.OtherRequest as error:
            raise RejectObject("the Transaction UID is in use") from error

    def store_result(report: CommitmentResult) -> bool:
        with database.write() as transaction:
            return commitment_requests.settle(transaction, report, now=process.clock())

    def result(number: int, is_over: Callable[[], bool]) -> CommitmentResult | None:
        with database.read() as connection:
            request = commitments.get(connection, number)
        if request.calling_ae_title in called:
            return None
        return pipeline.commit(
            request.transaction_uid,
            request.instances,
            archive=process.archive,
            database=database,
            limits=commitment_limits(process.settings.receive, request.calling_ae_title, request.address, is_over),
        )

    def result_delivered(number: int) -> None:
        with database.write() as transaction:
            commitments.mark_reported(transaction, number, now=process.clock())
            queue.make_due(transaction, Stage.COMMIT, number, now=process.clock())

    return CommitmentProvider(
        store_request=store_request, store_result=store_result, result=result, result_delivered=result_delivered
    )


def has_space(settings: Settings, size_bytes: int) -> bool:
    """Whether the disk has space for a film of that many bytes above the reserve."""
    free = space.free_space(settings.node.data_folder)
    return not reserve_of(settings).shortage(free, size_bytes=size_bytes)
