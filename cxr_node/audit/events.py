"""Audit messages of the node's events, one function each (PS3.15 section A.5.3)."""

from dataclasses import dataclass, replace
from datetime import datetime

from cxr_node.audit.message import (
    ActiveParticipant,
    AuditMessage,
    EventAction,
    ObjectKind,
    ObjectRole,
    ParticipantObject,
)
from cxr_node.audit.subject import StudySubject
from cxr_node.domain.codes import Code, dcm
from cxr_node.domain.identifiers import Uid


def _rfc_3881(value: str, meaning: str) -> Code:
    return Code(value=value, scheme_designator="RFC-3881", meaning=meaning)


APPLICATION_ACTIVITY = dcm("110100", "Application Activity")
BEGIN_TRANSFERRING = dcm("110102", "Begin Transferring DICOM Instances")
INSTANCES_ACCESSED = dcm("110103", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED = dcm("110104", "DICOM Instances Transferred")
STUDY_DELETED = dcm("110105", "DICOM Study Deleted")
EXPORT = dcm("110106", "Export")
PATIENT_RECORD = dcm("110110", "Patient Record")
PROCEDURE_RECORD = dcm("110111", "Procedure Record")
QUERY = dcm("110112", "Query")
SECURITY_ALERT = dcm("110113", "Security Alert")
USER_AUTHENTICATION = dcm("110114", "User Authentication")

APPLICATION_START = dcm("110120", "Application Start")
APPLICATION_STOP = dcm("110121", "Application Stop")
LOGIN = dcm("110122", "Login")
NODE_AUTHENTICATION = dcm("110126", "Node Authentication")
SECURITY_CONFIGURATION = dcm("110129", "Security Configuration")
SOFTWARE_CONFIGURATION = dcm("110131", "Software Configuration")
USE_OF_RESTRICTED_FUNCTION = dcm("110132", "Use of Restricted Function")
SECURITY_ROLES_CHANGED = dcm("110136", "Security Roles Changed")
USER_SECURITY_ATTRIBUTES_CHANGED = dcm("110137", "User Security Attributes Changed")

_APPLICATION = dcm("110150", "Application")
_APPLICATION_LAUNCHER = dcm("110151", "Application Launcher")
_DESTINATION_ROLE = dcm("110152", "Destination Role ID")
_SOURCE_ROLE = dcm("110153", "Source Role ID")
_DESTINATION_MEDIA = dcm("110154", "Destination Media")
_URI_MEDIA = dcm("110037", "URI")

_STUDY_INSTANCE_UID = dcm("110180", "Study Instance UID")
_SOP_CLASS_UID = dcm("110181", "SOP Class UID")
_NODE_ID = dcm("110182", "Node ID")
_PATIENT_NUMBER = _rfc_3881("2", "Patient Number")
_URI = _rfc_3881("12", "URI")

_NONE = "<none>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A process of this node."""

    ae_title: str
    process_id: int
    host: str

    def participant(self, *, is_requestor: bool, role: Code | None = None) -> ActiveParticipant:
        """Return the process as an Active Participant."""
        return ActiveParticipant(
            user_id=str(self.process_id), is_requestor=is_requestor, ae_title=self.ae_title, host=self.host, role=role
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPeer:
    """Another Application Entity: AE title, and IP address, or host name where the node connects to it.

    A DICOMweb server has a URI in place of an AE title.
    """

    ae_title: str
    uri: str = ""
    address: str = ""
    host: str = ""

    def participant(self, *, is_requestor: bool, role: Code | None = None) -> ActiveParticipant:
        """Return the peer as an Active Participant, identified by its AE title or URI."""
        return ActiveParticipant(
            user_id=self.ae_title or self.uri or self.address or self.host,
            is_requestor=is_requestor,
            ae_title=self.ae_title,
            address=self.address,
            host="" if self.address else self.host,
            role=role,
        )


def application_activity(application: Application, *, by: str, is_start: bool, at: datetime) -> AuditMessage:
    """A process started or stopped, launched by `by` (section A.5.3.1)."""
    launcher = ActiveParticipant(user_id=by, is_requestor=True, host=application.host, role=_APPLICATION_LAUNCHER)
    return AuditMessage(
        event=APPLICATION_ACTIVITY,
        event_type=APPLICATION_START if is_start else APPLICATION_STOP,
        action=EventAction.EXECUTE,
        at=at,
        participants=(application.participant(is_requestor=False, role=_APPLICATION), launcher),
    )


def received(
    subject: StudySubject, *, by: Application, sent_by: AuditPeer, is_new: bool, failure: str = "", at: datetime
) -> AuditMessage:
    """An instance from a peer was stored, or not (section A.5.3.7)."""
    action = EventAction.CREATE if is_new else EventAction.UPDATE
    source = sent_by.participant(is_requestor=True, role=_SOURCE_ROLE)
    destination = by.participant(is_requestor=False, role=_DESTINATION_ROLE)
    return _on_study(subject, INSTANCES_TRANSFERRED, action, source, destination, failure=failure, at=at)


def retrieved(subject: StudySubject, *, by: Application, sent_by: AuditPeer, at: datetime) -> AuditMessage:
    """An instance was retrieved from a peer, at the request of this node (section A.5.3.7)."""
    source = sent_by.participant(is_requestor=False, role=_SOURCE_ROLE)
    destination = by.participant(is_requestor=True, role=_DESTINATION_ROLE)
    return _on_study(subject, INSTANCES_TRANSFERRED, EventAction.CREATE, source, destination, at=at)


def sending(subject: StudySubject, *, by: Application, to: AuditPeer, at: datetime) -> AuditMessage:
    """Sending of an instance begins (section A.5.3.3)."""
    return _on_study(subject, BEGIN_TRANSFERRING, EventAction.EXECUTE, *_from_us(by, to), at=at)


def sent(subject: StudySubject, *, by: Application, to: AuditPeer, failure: str = "", at: datetime) -> AuditMessage:
    """An instance was sent, or not (section A.5.3.7). Action Read, as it is unknown whether the peer had it."""
    return _on_study(subject, INSTANCES_TRANSFERRED, EventAction.READ, *_from_us(by, to), failure=failure, at=at)


def exported(subject: StudySubject, *, by: Application, uri: str, failure: str = "", at: datetime) -> AuditMessage:
    """An instance was exported to a URI, or not (section A.5.3.4)."""
    source = by.participant(is_requestor=True, role=_SOURCE_ROLE)
    media = ActiveParticipant(user_id=uri, is_requestor=False, role=_DESTINATION_MEDIA, media_type=_URI_MEDIA)
    return _on_study(subject, EXPORT, EventAction.READ, source, media, failure=failure, at=at)


def accessed(subject: StudySubject, *, by: str, address: str, on: Application, at: datetime) -> AuditMessage:
    """A person viewed instances, or identifiers of them (section A.5.3.6); `address` is empty for a command."""
    person = ActiveParticipant(user_id=by, is_requestor=True, address=address, host="" if address else on.host)
    return _on_study(subject, INSTANCES_ACCESSED, EventAction.READ, person, on.participant(is_requestor=False), at=at)


def corrected(subject: StudySubject, *, detail: str, by: Application, at: datetime) -> AuditMessage:
    """What is kept of an instance was corrected, or it was withdrawn (section A.5.3.6); `detail` names no patient."""
    process = by.participant(is_requestor=True)
    return _on_study(subject, INSTANCES_ACCESSED, EventAction.UPDATE, process, detail=detail, at=at)


def patient_record(
    patient_id: str, *, message: str, by: Application, sent_by: AuditPeer, failure: str = "", at: datetime
) -> AuditMessage:
    """A peer's message updated a patient, or failed to (in the form of IHE ITI-8): `message` is its event and ID."""
    patient = ParticipantObject(
        object_id=patient_id or _NONE,
        id_type=_PATIENT_NUMBER,
        kind=ObjectKind.PERSON,
        role=ObjectRole.PATIENT,
        details=(("MSH-10", message.encode()),),
    )
    return AuditMessage(
        event=PATIENT_RECORD,
        action=EventAction.UPDATE,
        at=at,
        description=failure,
        participants=(
            sent_by.participant(is_requestor=True, role=_SOURCE_ROLE),
            by.participant(is_requestor=False, role=_DESTINATION_ROLE),
        ),
        objects=(patient,),
    )


def procedure_record(
    step: Uid, *, state: str, by: Application, peer: AuditPeer, failure: str = "", at: datetime
) -> AuditMessage:
    """The state of a Unified Procedure Step was changed at its manager, or not (PS3.16 CID 400, Procedure Record)."""
    procedure = ParticipantObject(
        object_id=step,
        id_type=_SOP_CLASS_UID,
        kind=ObjectKind.SYSTEM_OBJECT,
        role=ObjectRole.REPORT,
        details=(("Procedure Step State", state.encode("ascii")),),
    )
    return AuditMessage(
        event=PROCEDURE_RECORD,
        action=EventAction.UPDATE,
        at=at,
        description=failure,
        participants=_from_us(by, peer),
        objects=(procedure,),
    )


def study_deleted(subject: StudySubject, *, by: Application, at: datetime) -> AuditMessage:
    """The files of a study's instances were removed (section A.5.3.8)."""
    return _on_study(subject, STUDY_DELETED, EventAction.DELETE, by.participant(is_requestor=True), at=at)


def queried(
    sop_class_uid: Uid,
    identifier: bytes,
    transfer_syntax_uid: Uid,
    *,
    by: Application,
    peer: AuditPeer,
    failure: str = "",
    at: datetime,
) -> AuditMessage:
    """A C-FIND was sent to a peer; `identifier` is the encoded data set (section A.5.3.10)."""
    return AuditMessage(
        event=QUERY,
        action=EventAction.EXECUTE,
        at=at,
        description=failure,
        participants=_from_us(by, peer),
        objects=(_query(sop_class_uid, identifier, transfer_syntax_uid),),
    )


def searched(
    sop_class_uid: Uid,
    identifier: bytes,
    transfer_syntax_uid: Uid,
    *,
    by: str,
    address: str,
    on: Application,
    at: datetime,
) -> AuditMessage:
    """A person searched films of this node by identifiers of study or patient (section A.5.3.10).

    The search is stated as the C-FIND with the same attributes would be; `address` is empty for a command.
    """
    person = ActiveParticipant(user_id=by, is_requestor=True, address=address, host="" if address else on.host)
    return AuditMessage(
        event=QUERY,
        action=EventAction.EXECUTE,
        at=at,
        participants=(person, on.participant(is_requestor=False)),
        objects=(_query(sop_class_uid, identifier, transfer_syntax_uid),),
    )


def association(peer: AuditPeer, *, by: Application, failure: str = "", at: datetime) -> AuditMessage:
    """An association was accepted, or not (section A.5.3.11, Node Authentication).

    A rejection is a minor failure: admission control has worked.
    """
    node = peer.address or peer.host
    return AuditMessage(
        event=SECURITY_ALERT,
        event_type=NODE_AUTHENTICATION,
        action=EventAction.EXECUTE,
        at=at,
        description=failure,
        participants=(by.participant(is_requestor=False), peer.participant(is_requestor=False)),
        objects=(_alert(node, _NODE_ID, failure or "association accepted"),),
    )


def user_authentication(
    user: str, peer: AuditPeer, *, by: Application, failure: str = "", at: datetime
) -> AuditMessage:
    """A user authenticated, or failed to (section A.5.3.12)."""
    person = replace(peer.participant(is_requestor=True), user_id=user or _NONE)
    return AuditMessage(
        event=USER_AUTHENTICATION,
        event_type=LOGIN,
        action=EventAction.EXECUTE,
        at=at,
        description=failure,
        participants=(person, by.participant(is_requestor=False)),
    )


def administration(
    kind: Code, description: str, *, by: str, on: Application, subject: str, at: datetime
) -> AuditMessage:
    """A person changed the node or its work (section A.5.3.11); `subject` is a URI of the changed item."""
    person = ActiveParticipant(user_id=by, is_requestor=True, host=on.host)
    return AuditMessage(
        event=SECURITY_ALERT,
        event_type=kind,
        action=EventAction.EXECUTE,
        at=at,
        participants=(person, on.participant(is_requestor=False)),
        objects=(_alert(subject, _URI, description),),
    )


def _query(sop_class_uid: Uid, identifier: bytes, transfer_syntax_uid: Uid) -> ParticipantObject:
    return ParticipantObject(
        object_id=sop_class_uid,
        id_type=_SOP_CLASS_UID,
        kind=ObjectKind.SYSTEM_OBJECT,
        role=ObjectRole.REPORT,
        query=identifier,
        details=(("TransferSyntax", transfer_syntax_uid.encode("ascii")),),
    )


def _from_us(by: Application, to: AuditPeer) -> tuple[ActiveParticipant, ActiveParticipant]:
    return (
        by.participant(is_requestor=True, role=_SOURCE_ROLE),
        to.participant(is_requestor=False, role=_DESTINATION_ROLE),
    )


def _on_study(
    subject: StudySubject,
    event: Code,
    action: EventAction,
    *participants: ActiveParticipant,
    failure: str = "",
    detail: str = "",
    at: datetime,
) -> AuditMessage:
    """Return the message of an event with instances of a study, which names study and patient."""
    study = ParticipantObject(
        object_id=subject.study_instance_uid,
        id_type=_STUDY_INSTANCE_UID,
        kind=ObjectKind.SYSTEM_OBJECT,
        role=ObjectRole.REPORT,
        accession_number=subject.accession_number,
        instances=subject.instances,
        details=(("Correction", detail.encode()),) if detail else (),
    )
    patient = ParticipantObject(
        object_id=subject.patient_id or _NONE, id_type=_PATIENT_NUMBER, kind=ObjectKind.PERSON, role=ObjectRole.PATIENT
    )
    return AuditMessage(
        event=event, action=action, at=at, description=failure, participants=participants, objects=(study, patient)
    )


def _alert(subject: str, id_type: Code, description: str) -> ParticipantObject:
    return ParticipantObject(
        object_id=subject,
        id_type=id_type,
        kind=ObjectKind.SYSTEM_OBJECT,
        role=ObjectRole.SECURITY_RESOURCE,
        details=(("Alert Description", description.encode()),),
    )
