"""Audit messages follow PS3.15 section A.5."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from cxr_node.audit import events
from cxr_node.audit.events import Application, AuditPeer
from cxr_node.audit.message import AuditMessage, AuditSource, xml
from cxr_node.audit.subject import StudySubject, parse_subject
from cxr_node.domain.identifiers import Uid
from tests.support import films
from tests.support.audit_rules import faults, read

AT = datetime(2026, 1, 31, 12, 30, 5, 250_000, tzinfo=UTC)
NODE = Application(ae_title="CXRNODE", process_id=4711, host="node-1")
MODALITY = AuditPeer(ae_title="DX1", address="10.0.7.4")
PACS = AuditPeer(ae_title="PACS", host="pacs.example.org")
SUBJECT = StudySubject(
    study_instance_uid=Uid("1.2.3"),
    patient_id="P-17",
    accession_number="A-4",
    instances=((Uid("1.2.840.10008.5.1.4.1.1.1"), (Uid("1.2.3.4"), Uid("1.2.3.5"))),),
)
SOURCE = AuditSource(source_id="cxr-node", enterprise_site_id="Hospital")
FIND = Uid("1.2.840.10008.5.1.4.1.2.2.1")

EVERY = {
    "start": events.application_activity(NODE, by="4700", is_start=True, at=AT),
    "stop": events.application_activity(NODE, by="4700", is_start=False, at=AT),
    "received": events.received(SUBJECT, by=NODE, sent_by=MODALITY, is_new=True, at=AT),
    "not received": events.received(SUBJECT, by=NODE, sent_by=MODALITY, is_new=True, failure="no room", at=AT),
    "sending": events.sending(SUBJECT, by=NODE, to=PACS, at=AT),
    "sent": events.sent(SUBJECT, by=NODE, to=PACS, at=AT),
    "not sent": events.sent(SUBJECT, by=NODE, to=PACS, failure="away", at=AT),
    "exported": events.exported(SUBJECT, by=NODE, uri="file:///results/1.dcm", at=AT),
    "accessed": events.accessed(SUBJECT, by="kim", address="10.0.7.20", on=NODE, at=AT),
    "deleted": events.study_deleted(SUBJECT, by=NODE, at=AT),
    "queried": events.queried(FIND, b"\x08\x00", Uid("1.2.840.10008.1.2"), by=NODE, peer=PACS, at=AT),
    "let in": events.association(MODALITY, by=NODE, at=AT),
    "turned away": events.association(MODALITY, by=NODE, failure="calling AE title not recognized", at=AT),
    "no name at all": events.association(AuditPeer(ae_title="", address="10.0.7.4"), by=NODE, failure="no TLS", at=AT),
    "login": events.user_authentication("dx1", MODALITY, by=NODE, at=AT),
    "wrong password": events.user_authentication("", MODALITY, by=NODE, failure="wrong password", at=AT),
    "retry": events.administration(
        events.USE_OF_RESTRICTED_FUNCTION, "jobs 17 queued again", by="anna", on=NODE, subject="job:17", at=AT
    ),
}


def written(message: AuditMessage) -> Element:
    return read(xml(message, SOURCE))


def code(root: Element, path: str) -> str | None:
    element = root.find(path)
    return None if element is None else element.get("csd-code")


@pytest.mark.parametrize("name", EVERY)
def test_every_event_is_a_message_of_one_line(name: str) -> None:
    line = xml(EVERY[name], SOURCE)

    read(line)
    assert "\n" not in line
    assert len(line) < 4096


@pytest.mark.parametrize("fault", ["EventID", "UserID", "ParticipantObjectName", "EventOutcomeIndicator"])
def test_the_audit_rules_detect_planted_faults(fault: str) -> None:
    root = written(EVERY["received"])
    for element in root.iter():
        element.attrib.pop(fault, None)
        for child in [child for child in element if child.tag == fault]:
            element.remove(child)

    assert faults(root)


@pytest.mark.parametrize(
    ("name", "event", "event_type", "action", "outcome", "roles"),
    [
        ("start", "110100", "110120", "E", "0", ["110150", "110151"]),
        ("stop", "110100", "110121", "E", "0", ["110150", "110151"]),
        ("received", "110104", None, "C", "0", ["110153", "110152"]),
        ("not received", "110104", None, "C", "4", ["110153", "110152"]),
        ("sending", "110102", None, "E", "0", ["110153", "110152"]),
        ("sent", "110104", None, "R", "0", ["110153", "110152"]),
        ("not sent", "110104", None, "R", "4", ["110153", "110152"]),
        ("exported", "110106", None, "R", "0", ["110153", "110154"]),
        ("accessed", "110103", None, "R", "0", [None, None]),
        ("deleted", "110105", None, "D", "0", [None]),
        ("queried", "110112", None, "E", "0", ["110153", "110152"]),
        ("turned away", "110113", "110126", "E", "4", [None, None]),
        ("wrong password", "110114", "110122", "E", "4", [None, None]),
        ("retry", "110113", "110132", "E", "0", [None, None]),
    ],
)
def test_an_event_has_the_codes_of_its_table(
    name: str, event: str, event_type: str | None, action: str, outcome: str, roles: list[str | None]
) -> None:
    root = written(EVERY[name])
    identification = root.find("EventIdentification")

    assert identification is not None
    assert code(root, "EventIdentification/EventID") == event
    assert code(root, "EventIdentification/EventTypeCode") == event_type
    assert identification.get("EventActionCode") == action
    assert identification.get("EventOutcomeIndicator") == outcome
    assert [code(participant, "RoleIDCode") for participant in root.findall("ActiveParticipant")] == roles


@pytest.mark.parametrize(
    "name", ["received", "not received", "sending", "sent", "not sent", "exported", "accessed", "deleted"]
)
def test_film_events_have_study_instances_and_patient_id(name: str) -> None:
    study, patient = written(EVERY[name]).findall("ParticipantObjectIdentification")

    assert (study.get("ParticipantObjectTypeCode"), study.get("ParticipantObjectTypeCodeRole")) == ("2", "3")
    assert study.get("ParticipantObjectID") == "1.2.3"
    assert code(study, "ParticipantObjectIDTypeCode") == "110180"
    assert [instance.get("UID") for instance in study.iter("Instance")] == ["1.2.3.4", "1.2.3.5"]
    assert [accession.get("Number") for accession in study.iter("Accession")] == ["A-4"]
    assert (patient.get("ParticipantObjectTypeCode"), patient.get("ParticipantObjectTypeCodeRole")) == ("1", "1")
    assert patient.get("ParticipantObjectID") == "P-17"
    assert code(patient, "ParticipantObjectIDTypeCode") == "2"


def test_an_alert_has_its_subject_and_reason() -> None:
    (about,) = written(EVERY["turned away"]).findall("ParticipantObjectIdentification")
    (detail,) = about.findall("ParticipantObjectDetail")

    assert about.get("ParticipantObjectID") == "10.0.7.4"
    assert code(about, "ParticipantObjectIDTypeCode") == "110182"
    assert detail.get("type") == "Alert Description"
    assert base64.b64decode(detail.get("value", "")) == b"calling AE title not recognized"


def test_a_login_has_its_address() -> None:
    person = written(EVERY["login"]).findall("ActiveParticipant")[0]

    assert person.get("UserID") == "dx1"
    assert (person.get("NetworkAccessPointTypeCode"), person.get("NetworkAccessPointID")) == ("2", "10.0.7.4")


def test_a_query_is_recorded_as_sent() -> None:
    (query,) = written(EVERY["queried"]).findall("ParticipantObjectIdentification")

    assert query.get("ParticipantObjectID") == FIND
    assert base64.b64decode(query.findtext("ParticipantObjectQuery", "")) == b"\x08\x00"


@pytest.mark.parametrize("patient_id", ["A<B&\"'", "12\n34", "\x00\x1b[2J", "\ud800", "患者", "x" * 64])
def test_values_of_a_peer_cannot_break_a_message(patient_id: str) -> None:
    subject = StudySubject(study_instance_uid=Uid("1.2.3"), patient_id=patient_id)

    line = xml(events.study_deleted(subject, by=NODE, at=AT), SOURCE)

    line.encode()
    assert "\n" not in line
    _, patient = read(line).findall("ParticipantObjectIdentification")
    written_id = patient.get("ParticipantObjectID", "")
    assert len(written_id) == len(patient_id)
    assert all(mine == theirs or mine == "\ufffd" for mine, theirs in zip(written_id, patient_id, strict=True))


def test_a_film_without_a_patient_id_is_recorded_as_such() -> None:
    root = written(events.study_deleted(StudySubject(study_instance_uid=Uid("1.2.3"), patient_id=""), by=NODE, at=AT))

    assert root.findall("ParticipantObjectIdentification")[1].get("ParticipantObjectID") == "<none>"


def test_a_subject_is_parsed_from_the_head_of_a_film(tmp_path: Path) -> None:
    film = films.dx(changes={"AccessionNumber": "A-9"})

    subject = parse_subject(films.written(film, tmp_path).read_bytes())

    assert (subject.study_instance_uid, subject.patient_id) == (film.StudyInstanceUID, films.PATIENT_ID)
    assert subject.accession_number == "A-9"
    assert subject.instances == ((film.SOPClassUID, (film.SOPInstanceUID,)),)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\0" * 128 + b"DICM" + b"\xff" * 64])
def test_a_file_that_is_no_film_has_no_subject(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a DICOM file"):
        parse_subject(content)
