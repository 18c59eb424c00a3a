"""Audit decorators: record received films, associations, deliveries, queries and removed studies."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol, assert_never

from pynetdicom.dsutils import encode

from cxr_node.archive.store import Archive
from cxr_node.audit import events
from cxr_node.audit.events import AuditPeer
from cxr_node.audit.message import AuditMessage
from cxr_node.audit.subject import StudySubject, parse_subject
from cxr_node.deliver.commitment import identifier_of
from cxr_node.deliver.destination import (
    ApplicationEntity,
    DeliveryRejected,
    DeliveryVerifier,
    Destination,
    DestinationKind,
    ExportUri,
    Receipt,
    VerificationRule,
    WebServer,
)
from cxr_node.domain.commitment import CommitmentResult
from cxr_node.domain.element_values import values_of
from cxr_node.domain.errors import RejectObject, RetryLater, place_of
from cxr_node.domain.film import Film
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Identity, Received, Sender
from cxr_node.domain.sop_classes import KEY_OBJECT_SELECTION, STUDY_ROOT_FIND
from cxr_node.receive.events import (
    AssociationAccepted,
    AssociationRejected,
    ConnectionFailed,
    ReceiveEvent,
    StoreRejected,
    TlsFailed,
    WebRequestRejected,
)
from cxr_node.receive.part10 import data_set_of
from cxr_node.receive.rejection import Rejection, WebRejection
from cxr_node.wiring.audit import Audit

_log = logging.getLogger(__name__)

_EXPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2.1")

_SUBJECT_TAGS = (0x00100020, 0x00080050)
"""Patient ID and Accession Number."""

Accept = Callable[[Received, Sender], bool]


def audited_accept(audit: Audit, accept: Accept) -> Callable[[Received, Sender], None]:
    """Return a function that accepts a film and records it, before the C-STORE response is sent."""

    def accept_and_record(instance: Received, sender: Sender) -> None:
        received = partial(
            events.received,
            subject(instance),
            by=audit.application,
            sent_by=AuditPeer(ae_title=sender.calling_ae_title, address=sender.address),
        )
        with _failure_recorded(audit, partial(received, is_new=True)):
            is_new = accept(instance, sender)
        audit.record(received(is_new=is_new, at=audit.clock()))
        if is_new and instance.identity.sop_class_uid == KEY_OBJECT_SELECTION:
            detail = "rejection note: what it names is withdrawn"
            audit.record(events.corrected(subject(instance), detail=detail, by=audit.application, at=audit.clock()))

    return accept_and_record


def on_event(audit: Audit) -> Callable[[ReceiveEvent], None]:
    """Return a handler that records accepted and rejected associations, and connections that end without one."""

    def record(event: ReceiveEvent) -> None:
        for message in _messages(audit, event):
            audit.record(message)

    return record


def _messages(audit: Audit, event: ReceiveEvent) -> list[AuditMessage]:
    at, by = audit.clock(), audit.application
    match event:
        case AssociationAccepted():
            return _accepted(audit, event, at)
        case AssociationRejected():
            peer = AuditPeer(ae_title=event.calling_ae_title, address=event.address)
            failure = f"association rejected: {event.rejection.name.lower().replace('_', ' ')}"
            if event.rejection is Rejection.USER_NOT_AUTHENTICATED:
                return [events.user_authentication(event.user, peer, by=by, failure=failure, at=at)]
            return [events.association(peer, by=by, failure=failure, at=at)]
        case ConnectionFailed():
            peer = AuditPeer(ae_title="", address=event.address)
            return [events.association(peer, by=by, failure=f"no association: {event.detail}", at=at)]
        case StoreRejected() | WebRequestRejected(rejection=WebRejection.TOO_LARGE | WebRejection.INVALID_REQUEST):
            return []  # before an object's identity is known; `audited_accept` records the others
        case TlsFailed():
            peer = AuditPeer(ae_title="", address=event.address)
            return [events.association(peer, by=by, failure=f"no TLS: {event.reason}", at=at)]
        case WebRequestRejected():
            peer = AuditPeer(ae_title="", address=event.address)
            user = f"token/{event.user}"
            return [events.user_authentication(user, peer, by=by, failure=event.detail, at=at)]
        case _:
            assert_never(event)


def _accepted(audit: Audit, event: AssociationAccepted, at: datetime) -> list[AuditMessage]:
    peer, by = AuditPeer(ae_title=event.calling_ae_title, address=event.address), audit.application
    messages = [events.user_authentication(event.user, peer, by=by, at=at)] if event.user else []
    return [*messages, events.association(peer, by=by, at=at)] if audit.records_associations else messages


def destinations(
    audit: Audit, rows: Sequence[DestinationKind], to: Mapping[str, Destination]
) -> dict[str, Destination]:
    """Return the destinations `to` of rows of the settings; each records what is sent to it."""
    return {row.name: _audited(row.audit_target, audit, to[row.name]) for row in rows if row.name in to}


def _audited(target: ApplicationEntity | WebServer | ExportUri, audit: Audit, destination: Destination) -> Destination:
    audited, by = partial(_AuditedDestination, destination=destination, audit=audit), audit.application
    match target:
        case ApplicationEntity() | WebServer():
            to = peer_of(target)
            return audited(begun=partial(events.sending, by=by, to=to), sent=partial(events.sent, by=by, to=to))
        case ExportUri():
            return audited(sent=partial(events.exported, by=by, uri=target.uri))
        case _:
            assert_never(target)


def verification(audit: Audit, rules: Mapping[str, VerificationRule]) -> dict[str, VerificationRule]:
    """Return the verification rules, with each C-FIND, and each request of DICOMweb, recorded as a Query."""
    return {
        name: replace(rule, verifier=_AuditedQuery(verifier=rule.verifier, audit=audit, peer=peer_of(rule.queried)))
        if rule.queried is not None
        else rule
        for name, rule in rules.items()
    }


def before_removal(audit: Audit) -> Callable[[Iterable[bytes]], None]:
    """Return a function that records the removal of a study, of which it gets the files."""

    def record(files: Iterable[bytes]) -> None:
        subjects = [subject for content in files if (subject := _parse(content)) is not None]
        if subjects:
            instances = [instance for subject in subjects for instance in subject.instances]
            study = replace(subjects[0], instances=instances)
            audit.record(events.study_deleted(study, by=audit.application, at=audit.clock()))

    return record


def on_correction(audit: Audit, archive: Archive) -> Callable[[Film, str], None]:
    """Return a function that records the correction of a film, of which it gets the corrected copy and what differs."""

    def record(film: Film, detail: str) -> None:
        subject = _parse(archive.get(film.archive_key)) if film.archive_key in archive else None
        if subject is not None:
            audit.record(events.corrected(subject, detail=detail, by=audit.application, at=audit.clock()))

    return record


def peer_of(target: ApplicationEntity | WebServer) -> AuditPeer:
    """Return a peer as audit messages name it."""
    if isinstance(target, WebServer):
        return AuditPeer(ae_title="", uri=target.uri, host=target.host)
    return AuditPeer(ae_title=target.ae_title, host=target.host)


def subject(instance: Received) -> StudySubject:
    """Return study, patient and instance of a received film."""
    identity = instance.identity
    ascii_values = _ascii_values(instance)
    parsed = _parse(instance.beginning) if ascii_values is None else None
    patient_id, accession_number = ascii_values or ("", "")
    return parsed or StudySubject(
        study_instance_uid=identity.study_instance_uid,
        patient_id=patient_id,
        accession_number=accession_number,
        instances=((identity.sop_class_uid, (identity.sop_instance_uid,)),),
    )


def _ascii_values(instance: Received) -> tuple[str, str] | None:
    """Return Patient ID and Accession Number; None if they are not plain ASCII.

    Nearly all are. Decoding the whole header instead takes a sixth of the time of receiving a film.
    """
    try:
        values = instance.header_values or values_of(
            data_set_of(instance.beginning),
            frozenset(_SUBJECT_TAGS),
            transfer_syntax_uid=instance.transfer_syntax_uid,
        )
        patient_id, accession_number = (values.get(tag, b"").decode("ascii").rstrip(" \0") for tag in _SUBJECT_TAGS)
    except ValueError:
        return None
    is_multiple_or_escaped = any(sign in text for sign in "\\\x1b" for text in (patient_id, accession_number))
    return None if is_multiple_or_escaped else (patient_id, accession_number)


def _parse(content: bytes) -> StudySubject | None:
    try:
        return parse_subject(content)
    except ValueError as error:
        _log.warning("audit message without a patient: %s", error)
        return None


class _PendingEvent(Protocol):
    """An audit event without outcome and time."""

    def __call__(self, *, failure: str, at: datetime) -> AuditMessage:
        """Return its message."""
        ...


@contextmanager
def _failure_recorded(audit: Audit, event: _PendingEvent) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # The text of other errors may quote element values.
        is_own = isinstance(error, RejectObject | RetryLater | DeliveryRejected)
        audit.record(
            event(failure=str(error) if is_own else f"fault in the node, at {place_of(error)}", at=audit.clock())
        )
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _AuditedDestination:
    """Records each object that is sent: the event `sent` with its outcome, after the event `begun` of a transfer."""

    destination: Destination
    audit: Audit
    begun: Callable[..., AuditMessage] | None = None
    sent: Callable[..., AuditMessage]

    @property
    def name(self) -> str:
        """Name of the destination."""
        return self.destination.name

    def send(self, content: bytes) -> Receipt:
        """Send, and record it."""
        audit, subject = self.audit, _parse(content)
        if subject is None:  # the destination rejects it
            return self.destination.send(content)
        if self.begun is not None:
            audit.record(self.begun(subject, at=audit.clock()))
        sent = partial(self.sent, subject)
        with _failure_recorded(audit, sent):
            receipt = self.destination.send(content)
        audit.record(sent(at=audit.clock()))
        return receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class _AuditedQuery:
    """Records each query of a PACS; one by DICOMweb as the C-FIND for the same instance."""

    verifier: DeliveryVerifier
    audit: Audit
    peer: AuditPeer

    def verify(self, transaction_uid: Uid, identity: Identity, *, digest: Digest) -> CommitmentResult | None:
        """Query, and record it."""
        audit = self.audit
        queried = partial(
            events.queried,
            STUDY_ROOT_FIND,
            encode(identifier_of(identity), is_implicit_vr=False, is_little_endian=True) or b"",
            _EXPLICIT_VR_LITTLE_ENDIAN,
            by=audit.application,
            peer=self.peer,
        )
        with _failure_recorded(audit, queried):
            result = self.verifier.verify(transaction_uid, identity, digest=digest)
        audit.record(queried(at=audit.clock()))
        return result
