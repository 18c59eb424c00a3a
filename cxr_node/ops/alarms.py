"""Alarms: what is wrong is told once when it begins and once when it is over, by webhook and by e-mail."""

import json
import logging
import smtplib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from email.message import EmailMessage

from cxr_node.archive import space
from cxr_node.db.database import Database
from cxr_node.domain.errors import RetryLater
from cxr_node.monitoring.constancy import CheckState
from cxr_node.ops.certificates import certificates
from cxr_node.queries import drift, overview
from cxr_node.records import bundles, constancy
from cxr_node.settings.operations import AlertSection
from cxr_node.settings.root import Settings

_log = logging.getLogger(__name__)

_STUCK = timedelta(minutes=15)
_CERTIFICATE = timedelta(days=14)
_CHECKED_WITHIN = timedelta(hours=26)
_TIMEOUT_S = 10.0

Send = Callable[[str, Mapping[str, str]], None]
"""Tells people: a subject, and each thing that is wrong with its sentence."""


def wrong(settings: Settings, database: Database, *, now: datetime) -> dict[str, str]:
    """Return what is wrong now, each thing by a name that stays the same, with a sentence that leads to no patient."""
    return dict([*_of_machine(settings, now), *_of_work(database, now), *_of_model(settings, database, now)])


def _of_machine(settings: Settings, now: datetime) -> Iterator[tuple[str, str]]:
    free, reserve = space.free_bytes(settings.node.data_folder), settings.archive.reserve_bytes
    if free < 2 * reserve:
        yield "disk", f"{free / 1e9:.1f} GB are free; below {reserve / 1e9:.1f} GB films are refused"
    for each in certificates(settings):
        if each.not_after is None:
            yield f"certificate {each.setting}", f"cannot be read: {each.fault}"
        elif each.not_after - now < _CERTIFICATE:
            yield f"certificate {each.setting}", f"ends on {each.not_after:%Y-%m-%d}"


def _of_work(database: Database, now: datetime) -> Iterator[tuple[str, str]]:
    try:
        with database.read() as connection:
            queues, uses = overview.queues(connection, now=now), bundles.uses(connection)
    except RetryLater as error:
        yield "database", str(error)
        return
    for use in uses:
        if use.is_refused:
            yield f"bundle on {use.host}", f"the activated bundle is refused, what was there reads on: {use.detail}"
    for queue in queues:
        if queue.failed:
            yield f"failed {queue.stage}", "jobs failed and need a person: `cxr-node jobs list --state failed`"
        if queue.oldest_due_at is not None and now - queue.oldest_due_at > _STUCK:
            yield f"stuck {queue.stage}", "a job has been due for more than 15 minutes and nobody takes it"


def _of_model(settings: Settings, database: Database, now: datetime) -> Iterator[tuple[str, str]]:
    try:
        with database.read() as connection:
            drifted = drift.drifted(connection)
            check, began = constancy.newest(connection), constancy.last_started_at(connection)
    except RetryLater:
        return  # the database is said to be wrong already
    if check is not None and check[0]["state"] != CheckState.PASSED:
        yield "constancy", f"the constancy check {check[0]['state']}: {check[0]['detail']}; `cxr-node constancy show`"
    if settings.constancy.at and (began is None or now - began > _CHECKED_WITHIN):
        yield "constancy overdue", "there was no constancy check for more than a day"
    for device, figures in drifted.items():
        yield f"drift {device}", f"not as in the reference: {', '.join(figures)}; `cxr-node drift` has the numbers"


class Alarms:
    """Tells what has begun to be wrong and what is over, once; what could not be told is told at the next look."""

    def __init__(self, look: Callable[[], dict[str, str]], send: Send, *, name: str) -> None:
        self._look = look
        self._send = send
        self._name = name
        self._told: dict[str, str] = {}

    def turn(self) -> None:
        """Look, and tell what has changed since it was told last."""
        found = self._look()
        begun = {name: said for name, said in found.items() if name not in self._told}
        over = [name for name in self._told if name not in found]
        if not begun and not over:
            return
        news = {**begun, **dict.fromkeys(over, "is over")}
        try:
            self._send(f"{self._name}: {', '.join(news)}", news)
        except (OSError, smtplib.SMTPException) as error:
            _log.warning("an alarm could not be told: %s", type(error).__name__)
            return
        self._told = {name: self._told.get(name, said) for name, said in found.items()}


def sender(section: AlertSection) -> Send:
    """Return what tells people as the settings say."""

    def send(subject: str, news: Mapping[str, str]) -> None:
        if section.webhook:
            _post(section.webhook, subject, news)
        if section.mail_to:
            _mail(section, subject, news)

    return send


def _post(url: str, subject: str, news: Mapping[str, str]) -> None:
    body = json.dumps({"text": subject, "alarms": dict(news)}).encode()
    request = urllib.request.Request(  # noqa: S310  # the settings allow http and https alone
        url, data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310  # as above
        pass


def _mail(section: AlertSection, subject: str, news: Mapping[str, str]) -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = subject, section.mail_from
    message["To"] = ", ".join(section.mail_to)
    message.set_content("\n".join(f"{name}: {said}" for name, said in news.items()))
    with smtplib.SMTP(section.mail_host, section.mail_port, timeout=_TIMEOUT_S) as server:
        if section.mail_tls:
            server.starttls()
        server.send_message(message)
