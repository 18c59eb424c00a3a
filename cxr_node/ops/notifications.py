"""Notifications of findings by webhook and e-mail: once a study and rule, and a retraction when it is lost.

What is due is a row of the database, so a notification survives a restart. It is sent before it is recorded: after a
crash between both the same message is sent again, with the same ID.
"""

import json
import logging
import smtplib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from cxr_node.audit import events
from cxr_node.audit.subject import StudySubject
from cxr_node.db.database import Database
from cxr_node.domain.errors import cause_of
from cxr_node.domain.identifiers import derive_uid
from cxr_node.net.http_client import HttpError, HttpServer
from cxr_node.ops.alarm_messages import send_mail
from cxr_node.queries import identifiers
from cxr_node.records import notifications
from cxr_node.records.notifications import Notification
from cxr_node.settings.notify import NotifyRuleSection
from cxr_node.settings.operations import AlertSection
from cxr_node.settings.root import Settings
from cxr_node.wiring.audit import Audit

_log = logging.getLogger(__name__)

_BATCH = 100
_FIRST_S, _LONGEST_S = 5.0, 300.0
_NOTICE = "Research use only. Result of a computer program, not verified by a physician."

Message = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to send a message by webhook or mail to `uris`; `failure` says why it failed, empty on success."""

    uris: tuple[str, ...]
    failure: str = ""


Send = Callable[[NotifyRuleSection, Message], Sequence[Attempt]]
"""Sends a message to the receivers of a rule that have not accepted it yet."""


class NotSent(Exception):
    """A receiver did not accept a message; the sentence says why, without values of it."""


class Notifications:
    """Sends what is due, the oldest first."""

    def __init__(
        self, settings: Settings, database: Database, *, audit: Audit, clock: Callable[[], datetime], send: Send
    ) -> None:
        self._settings = settings
        self._database = database
        self._audit = audit
        self._clock = clock
        self._send = send
        self._rules = {row.name: row for row in settings.notify.rules}

    def update(self) -> None:
        """Send the notifications that are due; one that fails is due again after a delay that grows to five minutes."""
        with self._database.read() as connection:
            rows = notifications.due(connection, now=self._clock(), limit=_BATCH)
        for row in rows:
            self._send_one(row)

    def _send_one(self, row: Notification) -> None:
        rule = self._rules.get(row.rule)
        if rule is None:  # removed from the settings
            with self._database.write() as transaction:
                notifications.mark_notified(transaction, row, now=self._clock())
            return
        accession = self._accession_number(row) if "accession" in rule.identifiers else ""
        message = message_of(row, rule, node=self._settings.node.name, accession_number=accession)
        attempts = self._send(rule, message)
        self._record(row, attempts, accession)
        if failure := "; ".join(attempt.failure for attempt in attempts if attempt.failure):
            _log.warning("notification %d was not sent: %s", row.notification_id, failure)
            due_at = self._clock() + timedelta(seconds=min(_LONGEST_S, _FIRST_S * 2.0 ** min(row.attempts, 10)))
            with self._database.write() as transaction:
                notifications.mark_failed(transaction, row, failure, due_at=due_at)
            return
        with self._database.write() as transaction:
            notifications.mark_notified(transaction, row, now=self._clock())
        _log.info("notification %d of study %d was sent by rule %s", row.notification_id, row.study_id, row.rule)

    def _accession_number(self, row: Notification) -> str:
        with self._database.read() as connection:
            films = identifiers.of_studies(connection, [row.study_id])
        return next((film.accession_number for film in films if film.accession_number), "")

    def _record(self, row: Notification, attempts: Sequence[Attempt], accession_number: str) -> None:
        """Record each receiver that was tried, with its own outcome."""
        subject = StudySubject(
            study_instance_uid=row.study_instance_uid, patient_id="", accession_number=accession_number
        )
        now = self._clock()
        for attempt in attempts:
            for uri in attempt.uris:
                by, failure = self._audit.application, attempt.failure
                self._audit.record(events.exported(subject, by=by, uri=uri, failure=failure, at=now))


def message_of(row: Notification, rule: NotifyRuleSection, *, node: str, accession_number: str = "") -> Message:
    """Return the message of a notification: identifiers of study and order only where the rule permits them.

    `id` is the same for a finding and its retraction, and at each retry.
    """
    message: dict[str, object] = {
        "event": "finding" if row.is_active else "retracted",
        "id": derive_uid("notification", row.study_instance_uid, row.rule),
        "rule": row.rule,
        "node": node,
        "study": row.study_id,
        "at": row.changed_at.isoformat(),
        "findings": list(row.findings),
        "text": _sentence(row),
        "notice": _NOTICE,
    }
    if "study" in rule.identifiers:
        message["study_instance_uid"] = row.study_instance_uid
    if "accession" in rule.identifiers and accession_number:
        message["accession_number"] = accession_number
    return message


def sender(settings: Settings) -> Send:
    """Return the sender of messages to the webhook and mail recipients of a rule; SMTP is that of [alert].

    A receiver that does not accept a message holds up no other, and one that has it does not get it at each retry.
    """
    accepted: set[tuple[str, str]] = set()

    def send(rule: NotifyRuleSection, message: Message) -> list[Attempt]:
        text, attempts = json.dumps(message, sort_keys=True), []
        ways = (("webhook", _webhook_uris(rule), _post), ("mail", _mail_uris(rule), partial(_mail, settings.alert)))
        for kind, uris, send_by in ways:
            if not uris or (kind, text) in accepted:
                continue
            try:
                send_by(rule, message)
            except NotSent as error:
                attempts.append(Attempt(uris=uris, failure=str(error)))
            else:
                attempts.append(Attempt(uris=uris))
                accepted.add((kind, text))
        if not any(attempt.failure for attempt in attempts):
            accepted.difference_update([("webhook", text), ("mail", text)])
        return attempts

    return send


def _mail(section: AlertSection, rule: NotifyRuleSection, message: Message) -> None:
    lines = [f"{key}: {value}" for key, value in message.items() if key not in ("findings", "text")]
    body = "\n".join([str(message["text"]), "", *lines])
    try:
        send_mail(section, f"{message['node']}: {rule.name}, {message['event']}", body, to=rule.mail_to)
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"e-mail: {cause_of(error)}") from error


def _post(rule: NotifyRuleSection, message: Message) -> None:
    address = urlsplit(rule.webhook.get_secret_value())
    server = HttpServer(url=f"{address.scheme}://{address.netloc}", timeout_s=10.0)
    path = f"{address.path}{f'?{address.query}' if address.query else ''}"
    try:
        body = [json.dumps(message).encode()]
        # The status is the answer: a body of whatever size and encoding says nothing to the node.
        response = server.send("POST", path, {"Content-Type": "application/json"}, body, reads_body=False)
    except HttpError as error:
        raise NotSent(f"webhook: {error}") from error
    if not response.is_success:
        raise NotSent(f"webhook: {server} answered HTTP status {response.status}")


def _sentence(row: Notification) -> str:
    names = ", ".join(f"{one['name']} ({one['score']:g}, threshold {one['threshold']:g})" for one in row.findings)
    if row.is_active:
        return f"Study {row.study_id}: {names}"
    return f"Study {row.study_id}: retracted, its results were withdrawn or have no longer {names}"


def _webhook_uris(rule: NotifyRuleSection) -> tuple[str, ...]:
    """Return the URI of the webhook, without what may be a secret; none if there is no webhook."""
    address = urlsplit(rule.webhook.get_secret_value())
    return (f"{address.scheme}://{address.hostname}",) if rule.webhook else ()


def _mail_uris(rule: NotifyRuleSection) -> tuple[str, ...]:
    return tuple(f"mailto:{to}" for to in rule.mail_to)
