"""Notifications of findings, sent to a real web server and a real mail server: once a study, and retracted."""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from cxr_node import config
from cxr_node.audit import events
from cxr_node.audit.events import Application
from cxr_node.audit.message import AuditMessage
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.db.tables import study
from cxr_node.deliver.notification_rules import NotificationRule
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction, Presence
from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.net.http_client import HttpServer
from cxr_node.ops.alarms import active_alarms
from cxr_node.ops.checks.node import Status
from cxr_node.ops.checks.notifications import receivers
from cxr_node.ops.notifications import Notifications, sender
from cxr_node.queue import queue
from cxr_node.records import notifications as records
from cxr_node.records import withdrawals
from cxr_node.settings.root import Settings
from cxr_node.wiring.audit import Audit
from tests.integration.test_alarms import mail_server, web_server
from tests.support import films
from tests.support.node import InProcessNode, StubNetwork
from tests.support.stub_prediction import prediction

pytestmark = pytest.mark.ci_on_postgresql


OPACITY = NotificationRule(name="opacity", findings=frozenset({"lung_opacity"}), minimum_score=60)


def network(presence: Presence, score: float = 0.75) -> StubNetwork:
    def answer(read: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        return tuple(
            replace(one, findings=tuple(replace(finding, presence=presence, score=score) for finding in one.findings))
            for one in prediction(read)
        )

    return StubNetwork(answer=answer)


def settings_of(alert: dict[str, object] | None = None, **rule: object) -> Settings:
    table = {"name": "opacity", "findings": ["lung_opacity"], "minimum_score": 60, **rule}
    return config.parse({"notify": {"rules": [table]}, "alert": alert or {}})


def notifications(settings: Settings, node: InProcessNode, recorded: list[AuditMessage]) -> Notifications:
    application = Application(ae_title="CXRNODE", process_id=1, host="node-1")
    audit = Audit(application=application, record=recorded.append, clock=node.clock)
    return Notifications(settings, node.database, audit=audit, clock=node.clock, send=sender(settings))


def read_again(node: InProcessNode, network: StubNetwork) -> None:
    """Read every film again, with another network, and compose its study."""
    node.reader.answer = network.answer
    reads = [job.job_id for job in node.jobs(Stage.READ)]
    with node.database.write() as transaction:
        queue.requeue(transaction, reads, actor="person", now=node.clock())
    node.work()


def test_a_study_is_notified_once_and_retracted_when_it_is_lost(database: Database, tmp_path: Path) -> None:
    recorded: list[AuditMessage] = []
    with web_server([200]) as (url, messages):
        settings = settings_of(webhook=f"{url}?token=sesame")
        node = InProcessNode(database, tmp_path, reader=network(Presence.PRESENT), notification_rules=[OPACITY])
        film = films.dx()
        node.accept(film)
        node.work()
        notifications(settings, node, recorded).update()
        node.accept(films.dx(seed=2, changes={"StudyInstanceUID": film.StudyInstanceUID}))
        node.work()
        notifications(settings, node, recorded).update()  # of another process: what was sent is in the database
        assert [message["event"] for message in messages] == ["finding"]

        read_again(node, network(Presence.ABSENT, 0.2))
        for _ in range(2):
            notifications(settings, node, recorded).update()
        assert [message["event"] for message in messages] == ["finding", "retracted"]

        read_again(node, network(Presence.PRESENT, 0.9))
        notifications(settings, node, recorded).update()

    first, second, third = messages
    assert third["event"] == "finding"
    assert third["findings"] == [{"key": "lung_opacity", "name": "Opacity", "score": 90, "threshold": 50}]
    assert first["id"] == second["id"] == third["id"]
    assert first["findings"] == [{"key": "lung_opacity", "name": "Opacity", "score": 75, "threshold": 50}]
    assert not {"study_instance_uid", "accession_number"} & first.keys()
    assert str(film.StudyInstanceUID) not in str(first)
    assert [message.event for message in recorded] == [events.EXPORT] * 3
    assert "sesame" not in str(recorded)


def withdraw(node: InProcessNode) -> None:
    with node.database.write() as transaction:
        study_id = transaction.connection.execute(select(study.c.id)).scalar_one()
        withdrawals.withdraw(transaction, study_id, RejectionTitle.SAFETY, detail="", actor="person", now=node.clock())


def test_what_is_withdrawn_is_retracted_at_once_or_not_sent(database: Database, tmp_path: Path) -> None:
    with web_server([503, 503, 200]) as (url, messages):
        node = InProcessNode(database, tmp_path, reader=network(Presence.PRESENT), notification_rules=[OPACITY])
        sending = notifications(settings_of(webhook=url), node, [])
        node.accept(films.dx())
        node.work()
        sending.update()
        withdraw(node)
        node.clock.advance(seconds=6)
        sending.update()
        with database.read() as connection:
            assert records.due(connection, now=node.clock() + timedelta(days=1), limit=9) == []

        node.pass_time(timedelta(minutes=1))  # the results are issued anew
        sending.update()
        read_again(node, network(Presence.PRESENT, 0.9))
        node.clock.advance(seconds=6)
        sending.update()
        withdraw(node)
        sending.update()

    assert [(message["event"], message["findings"][0]["score"]) for message in messages] == [  # type: ignore[index]
        ("finding", 90),
        ("retracted", 90),
    ]


@pytest.mark.parametrize(
    ("presence", "score", "findings"),
    [
        (Presence.ABSENT, 0.2, {"lung_opacity"}),
        (Presence.UNDETERMINED, 0.61, {"lung_opacity"}),
        (Presence.PRESENT, 0.59, {"lung_opacity"}),
        (Presence.PRESENT, 0.9, {"pneumothorax"}),
    ],
)
def test_a_study_that_does_not_meet_the_rule_has_no_row(
    presence: Presence, score: float, findings: set[str], database: Database, tmp_path: Path
) -> None:
    rule = replace(OPACITY, findings=frozenset(findings))
    node = InProcessNode(database, tmp_path, reader=network(presence, score), notification_rules=[rule])
    node.accept(films.dx())
    node.work()

    with database.read() as connection:
        assert records.due(connection, now=node.clock() + timedelta(days=1), limit=9) == []


def test_a_receiver_that_is_away_is_tried_again_and_is_an_alarm(database: Database, tmp_path: Path) -> None:
    recorded: list[AuditMessage] = []
    node = InProcessNode(database, tmp_path, reader=network(Presence.PRESENT), notification_rules=[OPACITY])
    node.accept(films.dx(changes={"AccessionNumber": "A123"}))
    node.work()
    with web_server([503, 503, 200]) as (url, messages):
        settings = settings_of(webhook=url, identifiers=["study", "accession"])
        sending = notifications(settings, node, recorded)
        for _ in range(3):
            sending.update()
        assert len(recorded) == 1  # not due again before its delay
        alarms = active_alarms(settings_with_folder(settings, tmp_path), database, now=node.clock())
        assert "HTTP status 503" in alarms["notification opacity"]
        for seconds in (6, 12):
            node.clock.advance(seconds=seconds)
            sending.update()

    (message,) = messages
    assert message["study_instance_uid"] == films.dx().StudyInstanceUID
    assert message["accession_number"] == "A123"
    assert [one.description != "" for one in recorded] == [True, True, False]
    assert "notification opacity" not in active_alarms(
        settings_with_folder(settings, tmp_path), database, now=node.clock()
    )


def settings_with_folder(settings: Settings, folder: Path) -> Settings:
    return settings.model_copy(update={"node": settings.node.model_copy(update={"data_folder": folder})})


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_person_is_notified_by_mail(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, reader=network(Presence.PRESENT), notification_rules=[OPACITY])
    node.accept(films.dx())
    node.work()
    with mail_server() as (port, messages, _):
        settings = settings_of(mail_to=["duty@hospital.example"], alert={"mail_host": "127.0.0.1", "mail_port": port})
        assert [check.status for check in receivers(settings)] == [Status.OK]
        notifications(settings, node, []).update()

    (message,) = messages
    assert "Subject: cxr-node: opacity, finding" in message
    assert "Opacity (75, threshold 50)" in message
    assert "Research use only" in message
    (check,) = receivers(settings)
    assert check.status is Status.PROBLEM


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_receiver_that_is_away_neither_holds_up_nor_repeats_the_other(database: Database, tmp_path: Path) -> None:
    recorded: list[AuditMessage] = []
    node = InProcessNode(database, tmp_path, reader=network(Presence.PRESENT), notification_rules=[OPACITY])
    node.accept(films.dx())
    node.work()
    with web_server([503, 503, 200]) as (url, messages), mail_server() as (port, mails, _):
        alert: dict[str, object] = {"mail_host": "127.0.0.1", "mail_port": port}
        settings = settings_of(alert, webhook=url, mail_to=["duty@hospital.example"])
        sending = notifications(settings, node, recorded)
        for seconds in (6, 11, 21):
            sending.update()
            assert len(mails) == 1
            node.clock.advance(seconds=seconds)

    assert len(messages) == 1
    outcomes = [(_media_of(message), message.description != "") for message in recorded]
    webhook, mail = "http://127.0.0.1", "mailto:duty@hospital.example"
    assert outcomes == [(webhook, True), (mail, False), (webhook, True), (webhook, False)]


def _media_of(message: AuditMessage) -> str:
    """Return the receiver of an Export."""
    return message.participants[1].user_id


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("body", [gzip.compress(b"ok"), b"x" * (1 << 21)], ids=["compressed", "large"])
def test_a_webhook_gets_a_message_once_whatever_its_response_has(
    body: bytes, database: Database, tmp_path: Path
) -> None:
    node = InProcessNode(database, tmp_path, reader=network(Presence.PRESENT), notification_rules=[OPACITY])
    node.accept(films.dx())
    node.work()
    headers = {"Content-Encoding": "gzip"} if body.startswith(b"\x1f\x8b") else {}
    with web_server([200], headers=headers, body=body) as (url, messages):
        sending = notifications(settings_of(webhook=url), node, [])
        for _ in range(2):
            sending.update()
            node.clock.advance(seconds=600)

    assert len(messages) == 1


def test_what_changed_while_a_message_failed_is_due_at_once(database: Database, tmp_path: Path) -> None:
    """The finding comes and goes while an attempt to retract it is without an answer."""
    node = InProcessNode(database, tmp_path, reader=network(Presence.PRESENT), notification_rules=[OPACITY])
    node.accept(films.dx())
    node.work()
    with web_server([200]) as (url, _):
        notifications(settings_of(webhook=url), node, []).update()
    read_again(node, network(Presence.ABSENT, 0.2))
    with database.read() as connection:
        (failing,) = records.due(connection, now=node.clock(), limit=9)
    read_again(node, network(Presence.PRESENT, 0.9))
    read_again(node, network(Presence.ABSENT, 0.2))
    with database.write() as transaction:
        records.mark_failed(transaction, failing, "no answer", due_at=node.clock() + timedelta(minutes=5))

    with database.read() as connection:
        (retraction,) = records.due(connection, now=node.clock(), limit=9)
    assert retraction.is_active is False
    assert retraction.attempts == 0


def test_rules_without_receivers_are_named() -> None:
    with pytest.raises(config.ConfigurationError) as raised:
        settings_of()
    assert "set webhook or mail_to" in raised.value.problems[0]


@pytest.mark.parametrize("url", ["https://node:sesame@alerts/x", "https://alerts:sesame/x", "https://[alerts/sesame"])
def test_a_webhook_that_cannot_work_is_named_without_its_secrets(url: str) -> None:
    with pytest.raises(config.ConfigurationError) as raised:
        settings_of(webhook=url)

    assert "webhook: the value is not right" in raised.value.problems[0]
    assert "sesame" not in str(raised.value)
    assert "sesame" not in str(HttpServer(url="https://node:sesame@alerts/x"))
