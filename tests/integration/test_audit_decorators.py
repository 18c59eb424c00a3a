"""The audit trail records each action with its outcome."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cxr_node.audit.events import USE_OF_RESTRICTED_FUNCTION, Application
from cxr_node.audit.message import AuditMessage, EventOutcome
from cxr_node.deliver.destination import ApplicationEntity, DeliveryRejected, Receipt, VerificationRule, WebServer
from cxr_node.domain.clock import utc_now
from cxr_node.domain.commitment import CommitmentResult, Reference
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Digest, Uid, digest_of
from cxr_node.domain.instance import Identity, Instance, Received, Sender
from cxr_node.receive.events import (
    AssociationAccepted,
    AssociationRejected,
    ConnectionFailed,
    ConnectionFailure,
    TlsFailed,
)
from cxr_node.receive.rejection import Rejection
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_decorators
from cxr_node.wiring.audit import Audit, administration, note_settings, recording
from tests.support import films

FILM = films.dx()
IDENTITY = Identity(
    sop_class_uid=Uid(FILM.SOPClassUID),
    sop_instance_uid=Uid(FILM.SOPInstanceUID),
    series_instance_uid=Uid(FILM.SeriesInstanceUID),
    study_instance_uid=Uid(FILM.StudyInstanceUID),
    patient_key=Digest("0" * 64),
)
SENDER = Sender(calling_ae_title=AeTitle("DX1"), called_ae_title=AeTitle("CXRNODE"), address="10.0.7.4")
SETTINGS = Settings.model_validate(
    {
        "deliver": {
            "destinations": [
                {"kind": "cstore", "name": "pacs", "host": "pacs", "port": 104, "ae_title": "PACS", "confirm": "find"},
                {"kind": "folder", "name": "folder", "folder": "/results"},
            ]
        }
    }
)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return films.written(FILM, tmp_path).read_bytes()


@pytest.fixture
def recorded() -> list[AuditMessage]:
    return []


@pytest.fixture
def audit(recorded: list[AuditMessage]) -> Audit:
    node = Application(ae_title="CXRNODE", process_id=1, host="node-1")
    return Audit(application=node, record=recorded.append, clock=lambda: datetime(2026, 1, 31, tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class StubDestination:
    """A destination with a given answer."""

    name: str
    answer: Callable[[], Receipt]

    def send(self, content: bytes) -> Receipt:  # noqa: ARG002  # its signature
        """Answer."""
        return self.answer()


@dataclass(frozen=True, slots=True)
class StubVerifier:
    """A verifier that confirms every instance, or is unreachable."""

    is_away: bool

    def verify(self, transaction_uid: Uid, identity: Identity, *, digest: Digest) -> CommitmentResult | None:  # noqa: ARG002  # its signature
        """Answer."""
        if self.is_away:
            raise RetryLater("away")
        reference = Reference(sop_class_uid=identity.sop_class_uid, sop_instance_uid=identity.sop_instance_uid)
        return CommitmentResult(transaction_uid=transaction_uid, committed=(reference,))


def raises(error: Exception) -> Callable[[], Receipt]:
    def answer() -> Receipt:
        raise error

    return answer


def outcomes(recorded: list[AuditMessage]) -> list[tuple[str, EventOutcome, str]]:
    """Return event, outcome and description of each message."""
    return [(message.event.meaning, message.outcome, message.description) for message in recorded]


def instance(content: bytes) -> Instance:
    return Instance(
        identity=IDENTITY,
        transfer_syntax_uid=Uid("1.2.840.10008.1.2.1"),
        digest=Digest("0" * 64),
        content=content,
    )


@pytest.mark.parametrize(("is_new", "action"), [(True, "C"), (False, "U")])
def test_a_film_is_recorded_before_its_response(
    is_new: bool, action: str, audit: Audit, recorded: list[AuditMessage], content: bytes
) -> None:
    audit_decorators.audited_accept(audit, lambda _instance, _sender: is_new)(instance(content), SENDER)

    assert outcomes(recorded) == [("DICOM Instances Transferred", EventOutcome.SUCCESS, "")]
    assert recorded[0].action.value == action
    assert [participant.object_id for participant in recorded[0].objects] == [FILM.StudyInstanceUID, films.PATIENT_ID]


def test_a_film_that_was_not_stored_is_recorded_as_failure(
    audit: Audit, recorded: list[AuditMessage], content: bytes
) -> None:
    def keep(_received: Received, _sender: Sender) -> bool:
        raise RetryLater("no room")

    with pytest.raises(RetryLater):
        audit_decorators.audited_accept(audit, keep)(instance(content), SENDER)

    assert outcomes(recorded) == [("DICOM Instances Transferred", EventOutcome.MINOR_FAILURE, "no room")]


def test_a_film_with_an_unreadable_head_has_no_patient(audit: Audit, recorded: list[AuditMessage]) -> None:
    audit_decorators.audited_accept(audit, lambda _instance, _sender: True)(instance(b"\0" * 200), SENDER)

    assert [participant.object_id for participant in recorded[0].objects] == [FILM.StudyInstanceUID, "<none>"]


@pytest.mark.parametrize(
    ("answer", "outcome", "why"),
    [
        (lambda: Receipt(status=0), EventOutcome.SUCCESS, ""),
        (raises(RetryLater("away")), EventOutcome.MINOR_FAILURE, "away"),
        (raises(DeliveryRejected("status 0xC000")), EventOutcome.MINOR_FAILURE, "status 0xC000"),
        (raises(KeyError("Doe^John")), EventOutcome.MINOR_FAILURE, f"fault in the node, at {__name__}"),
    ],
)
def test_each_attempt_to_send_is_recorded_with_its_outcome(
    answer: Callable[[], Receipt],
    outcome: EventOutcome,
    why: str,
    audit: Audit,
    recorded: list[AuditMessage],
    content: bytes,
) -> None:
    to = {name: StubDestination(name=name, answer=answer) for name in ("pacs", "folder")}
    for destination in audit_decorators.destinations(audit, SETTINGS.deliver.destinations, to).values():
        try:
            destination.send(content)
        except (RetryLater, DeliveryRejected, KeyError):
            assert outcome is EventOutcome.MINOR_FAILURE

    assert [(*event, re.sub(r":\d+$", "", text)) for *event, text in outcomes(recorded)] == [
        ("Begin Transferring DICOM Instances", EventOutcome.SUCCESS, ""),
        ("DICOM Instances Transferred", outcome, why),
        ("Export", outcome, why),
    ]


@pytest.mark.parametrize("is_away", [False, True])
@pytest.mark.parametrize(
    ("queried", "user_id"),
    [
        (ApplicationEntity(ae_title="PACS", host="pacs"), "PACS"),
        (WebServer(uri="https://pacs/dicom-web", host="pacs"), "https://pacs/dicom-web"),
    ],
)
def test_a_query_is_recorded_with_its_identifier(
    queried: ApplicationEntity | WebServer,
    user_id: str,
    is_away: bool,
    audit: Audit,
    recorded: list[AuditMessage],
) -> None:
    rules = {"pacs": VerificationRule(verifier=StubVerifier(is_away), retry_after_s=60.0, queried=queried)}
    verifier = audit_decorators.verification(audit, rules)["pacs"].verifier
    try:
        verifier.verify(Uid("1.2"), IDENTITY, digest=digest_of(b""))
    except RetryLater:
        assert is_away

    assert outcomes(recorded) == [("Query", EventOutcome(4 if is_away else 0), "away" if is_away else "")]
    assert FILM.SOPInstanceUID.encode() in (recorded[0].objects[0].query or b"")
    assert [(one.user_id, one.host) for one in recorded[0].participants][1] == (user_id, "pacs")


def test_associations_are_recorded(audit: Audit, recorded: list[AuditMessage]) -> None:
    on_event = audit_decorators.on_event(audit)
    on_event(AssociationAccepted(calling_ae_title="DX1", address="10.0.7.4", user=""))
    on_event(AssociationAccepted(calling_ae_title="DX1", address="10.0.7.4", user="dx1"))
    on_event(
        AssociationRejected(calling_ae_title="X", address="10.9.9.9", user="", rejection=Rejection.LOCAL_LIMIT_EXCEEDED)
    )
    on_event(
        AssociationRejected(
            calling_ae_title="X", address="10.9.9.9", user="a", rejection=Rejection.USER_NOT_AUTHENTICATED
        )
    )
    on_event(TlsFailed(address="10.9.9.9", reason="timed out"))
    on_event(ConnectionFailed(address="10.9.9.9", failure=ConnectionFailure.CLOSED_BY_PEER, detail="no request"))

    assert outcomes(recorded) == [
        ("Security Alert", EventOutcome.SUCCESS, ""),
        ("User Authentication", EventOutcome.SUCCESS, ""),
        ("Security Alert", EventOutcome.SUCCESS, ""),
        ("Security Alert", EventOutcome.MINOR_FAILURE, "association rejected: local limit exceeded"),
        ("User Authentication", EventOutcome.MINOR_FAILURE, "association rejected: user not authenticated"),
        ("Security Alert", EventOutcome.MINOR_FAILURE, "no TLS: timed out"),
        ("Security Alert", EventOutcome.MINOR_FAILURE, "no association: no request"),
    ]
    assert "10.9.9.9" in [participant.address for participant in recorded[-1].participants]


def test_the_removal_of_a_study_names_its_instances(
    audit: Audit, recorded: list[AuditMessage], content: bytes, tmp_path: Path
) -> None:
    other = films.written(films.dx(seed=7), tmp_path).read_bytes()
    audit_decorators.before_removal(audit)(iter([content, other]))

    assert outcomes(recorded) == [("DICOM Study Deleted", EventOutcome.SUCCESS, "")]
    instances = [uid for _, uids in recorded[0].objects[0].instances for uid in uids]
    assert instances == [FILM.SOPInstanceUID, films.dx(seed=7).SOPInstanceUID]


def test_changed_settings_are_recorded_but_not_quoted(tmp_path: Path) -> None:
    def started(name: str) -> str:
        settings = Settings.model_validate({"node": {"data_folder": tmp_path, "name": name}})
        note_settings(settings, utc_now)
        return "".join(path.read_text("utf-8") for path in (tmp_path / "audit").glob("audit-*.xml"))

    assert started("one") == started("one") == ""
    trail = started("two")
    assert trail.count('csd-code="110129"') == 1
    assert started("two") == trail


def test_a_disabled_trail_records_nothing(tmp_path: Path) -> None:
    settings = Settings.model_validate({"node": {"data_folder": tmp_path}, "audit": {"enabled": False}})
    note_settings(settings, utc_now)
    administration(settings, utc_now, USE_OF_RESTRICTED_FUNCTION, "retry", by="anna", subject="jobs/1")
    with recording(settings, utc_now) as audit:
        audit_decorators.on_event(audit)(TlsFailed(address="10.9.9.9", reason="timed out"))

    assert list(tmp_path.iterdir()) == []
