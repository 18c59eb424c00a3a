"""Audit message, and its XML (PS3.15 section A.5.1)."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum
from xml.etree.ElementTree import Element, SubElement, tostring

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import Uid


class EventAction(Enum):
    """EventActionCode."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class EventOutcome(IntEnum):
    """EventOutcomeIndicator."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


class ObjectKind(IntEnum):
    """ParticipantObjectTypeCode."""

    PERSON = 1
    SYSTEM_OBJECT = 2


class ObjectRole(IntEnum):
    """ParticipantObjectTypeCodeRole."""

    PATIENT = 1
    REPORT = 3
    SECURITY_RESOURCE = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveParticipant:
    """Active Participant: a person or process, with IP `address` or `host` name, not both."""

    user_id: str
    is_requestor: bool
    ae_title: str = ""
    address: str = ""
    host: str = ""
    role: Code | None = None
    media_type: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantObject:
    """Participant Object: a study, a patient, a node.

    `query` replaces the name. `instances` are SOP Instance UIDs by SOP Class.
    """

    object_id: str
    id_type: Code
    kind: ObjectKind
    role: ObjectRole | None = None
    query: bytes | None = None
    details: Sequence[tuple[str, bytes]] = ()
    accession_number: str = ""
    instances: Sequence[tuple[Uid, Sequence[Uid]]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSource:
    """Audit Source: this node and its site."""

    source_id: str
    enterprise_site_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditMessage:
    """One event with its participants and objects; a failure has a `description`."""

    event: Code
    action: EventAction
    at: datetime
    participants: Sequence[ActiveParticipant]
    event_type: Code | None = None
    description: str = ""
    objects: Sequence[ParticipantObject] = ()

    @property
    def outcome(self) -> EventOutcome:
        """Success, or a minor failure if there is a description of it."""
        return EventOutcome.MINOR_FAILURE if self.description else EventOutcome.SUCCESS


_UNWRITABLE = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 forbids, and line ends: a message is one line.

Listed by themselves: the set of all others takes ten times as long to compile.
"""

_APPLICATION_SERVER = "4"


def xml(message: AuditMessage, source: AuditSource) -> str:
    """Return the message as XML in one line, without a declaration."""
    root = Element("AuditMessage")
    event = SubElement(root, "EventIdentification")
    event.set("EventActionCode", message.action.value)
    event.set("EventDateTime", message.at.isoformat())
    event.set("EventOutcomeIndicator", str(int(message.outcome)))
    _code(event, "EventID", message.event)
    if message.event_type is not None:
        _code(event, "EventTypeCode", message.event_type)
    if message.description:
        SubElement(event, "EventOutcomeDescription").text = _clean(message.description)
    for participant in message.participants:
        _participant(root, participant)
    identification = SubElement(root, "AuditSourceIdentification")
    if source.enterprise_site_id:
        identification.set("AuditEnterpriseSiteID", _clean(source.enterprise_site_id))
    identification.set("AuditSourceID", _clean(source.source_id))
    SubElement(identification, "AuditSourceTypeCode").set("csd-code", _APPLICATION_SERVER)
    for participant_object in message.objects:
        _object(root, participant_object)
    return tostring(root, encoding="unicode")


def _participant(root: Element, participant: ActiveParticipant) -> None:
    element = SubElement(root, "ActiveParticipant")
    element.set("UserID", _clean(participant.user_id))
    if participant.ae_title:
        element.set("AlternativeUserID", _clean(f"AETITLES={participant.ae_title}"))
    element.set("UserIsRequestor", "true" if participant.is_requestor else "false")
    if participant.address or participant.host:
        element.set("NetworkAccessPointID", _clean(participant.address or participant.host))
        element.set("NetworkAccessPointTypeCode", "2" if participant.address else "1")
    if participant.role is not None:
        _code(element, "RoleIDCode", participant.role)
    if participant.media_type is not None:
        _code(SubElement(element, "MediaIdentifier"), "MediaType", participant.media_type)


def _object(root: Element, participant_object: ParticipantObject) -> None:
    element = SubElement(root, "ParticipantObjectIdentification")
    element.set("ParticipantObjectID", _clean(participant_object.object_id))
    element.set("ParticipantObjectTypeCode", str(int(participant_object.kind)))
    if participant_object.role is not None:
        element.set("ParticipantObjectTypeCodeRole", str(int(participant_object.role)))
    _code(element, "ParticipantObjectIDTypeCode", participant_object.id_type)
    if participant_object.query is None:
        # A name or a query is mandatory; a patient's name here is the Patient ID.
        SubElement(element, "ParticipantObjectName").text = _clean(participant_object.object_id)
    else:
        SubElement(element, "ParticipantObjectQuery").text = _base64(participant_object.query)
    for kind, value in participant_object.details:
        detail = SubElement(element, "ParticipantObjectDetail")
        detail.set("type", kind)
        detail.set("value", _base64(value))
    if participant_object.accession_number or participant_object.instances:
        _description(SubElement(element, "ParticipantObjectDescription"), participant_object)


def _description(element: Element, participant_object: ParticipantObject) -> None:
    if participant_object.accession_number:
        SubElement(element, "Accession").set("Number", _clean(participant_object.accession_number))
    for sop_class_uid, sop_instance_uids in participant_object.instances:
        sop_class = SubElement(element, "SOPClass")
        sop_class.set("UID", sop_class_uid)
        sop_class.set("NumberOfInstances", str(len(sop_instance_uids)))
        for uid in sop_instance_uids:
            SubElement(sop_class, "Instance").set("UID", uid)


def _code(parent: Element, name: str, code: Code) -> None:
    element = SubElement(parent, name)
    element.set("csd-code", code.value)
    element.set("codeSystemName", code.scheme_designator)
    element.set("displayName", code.meaning)
    element.set("originalText", code.meaning)


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
