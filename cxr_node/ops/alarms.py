"""Alarms by webhook and e-mail: one message when a problem begins, and one when it is resolved."""

import json
import logging
import smtplib
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage

from cxr_node.archive import space
from cxr_node.db.database import Database
from cxr_node.domain.errors import RetryLater
from cxr_node.monitoring.constancy import CheckState
from cxr_node.ops.certificates import certificates
from cxr_node.queries import drift, overview
from cxr_node.queries.overview import DestinationStatus, PeriodicJobStatus
from cxr_node.records import bundles, constancy, corrections
from cxr_node.settings.operations import AlertSection
from cxr_node.settings.root import Settings
from cxr_node.wiring.remote_state import read_state, trouble_sentence
from cxr_node.wiring.reserve import reserve_of
from cxr_node.work.scheduler import Outcome

_log = logging.getLogger(__name__)

_RECENT = timedelta(days=1)
"""A host that is gone leaves its last failure; it is an alarm for a day."""
_OVERDUE = timedelta(minutes=15)
_CERTIFICATE_NOTICE = timedelta(days=14)
_CONSTANCY_INTERVAL = timedelta(hours=26)
_TIMEOUT_S = 10.0
_CORRECTIONS_SHOWN = timedelta(days=30)

Notify = Callable[[str, Mapping[str, str]], None]
"""Sends a message: its subject, and a sentence for each alarm by name."""


def active_alarms(
    settings: Settings, database: Database, *, now: datetime, unreachable_s: float | None = None
) -> dict[str, str]:
    """Return the active alarms: a sentence by a stable name. None leads to a patient.

    A destination is an alarm once it is unreachable for `unreachable_s`, by default that of the settings.
    """
    after = timedelta(seconds=settings.alert.destination_unreachable_s if unreachable_s is None else unreachable_s)
    return dict(
        [
            *_host_alarms(settings, now),
            *_job_alarms(database, now, after),
            *_model_alarms(settings, database, now),
        ]
    )


def _host_alarms(settings: Settings, now: datetime) -> Iterator[tuple[str, str]]:
    free, reserve = space.free_space(settings.node.data_folder), reserve_of(settings)
    if free.size_bytes < 2 * reserve.size_bytes:
        yield (
            "disk",
            f"{free.size_bytes / 1e9:.1f} GB are free; below {reserve.size_bytes / 1e9:.1f} GB films are rejected",
        )
    if free.inodes is not None and free.inodes < 2 * reserve.inodes:
        yield "inodes", f"{free.inodes:,} inodes are free; below {reserve.inodes:,} films are rejected"
    for certificate in certificates(settings):
        if certificate.not_after is None:
            yield f"certificate {certificate.setting}", f"cannot be read: {certificate.fault}"
        elif certificate.not_after - now < _CERTIFICATE_NOTICE:
            yield f"certificate {certificate.setting}", f"expires on {certificate.not_after:%Y-%m-%d}"
    remote = read_state(settings)
    if remote is not None and remote.trouble is not None:
        yield "inference server", trouble_sentence(remote.trouble, settings.remote.fallback)


def _job_alarms(database: Database, now: datetime, unreachable: timedelta) -> Iterator[tuple[str, str]]:
    try:
        with database.read() as connection:
            queues, uses = overview.queues(connection, now=now), bundles.uses(connection)
            periodic_jobs, destinations = overview.periodic_jobs(connection), overview.destinations(connection)
            corrected = corrections.count_waiting(connection, since=now - _CORRECTIONS_SHOWN)
    except RetryLater as error:
        yield "database", str(error)
        return
    for use in uses:
        if use.is_rejected:
            yield (f"bundle on {use.host}", f"rejects the activated bundle, reads with the previous one: {use.detail}")
    yield from _periodic_job_alarms(periodic_jobs, now)
    yield from _destination_alarms(destinations, now, unreachable)
    if corrected:
        wanted = "see `cxr-node jobs list --state not_analysed`, then `cxr-node reissue STUDY`"
        yield "corrections", f"{corrected} films came again with another patient, study or order: {wanted}"
    for queue in queues:
        if queue.failed:
            yield f"failed {queue.stage}", "jobs failed: see `cxr-node jobs list --state failed`"
        if queue.oldest_due_at is not None and now - queue.oldest_due_at > _OVERDUE:
            yield f"stuck {queue.stage}", "a job has been due for more than 15 minutes, and no worker claims it"


def _destination_alarms(
    destinations: Sequence[DestinationStatus], now: datetime, unreachable: timedelta
) -> Iterator[tuple[str, str]]:
    for destination in destinations:
        since = destination.unreachable_since
        if since is not None and (not unreachable or now - since >= unreachable):
            yield f"destination {destination.destination}", _unreachable(destination, since)


def _unreachable(destination: DestinationStatus, since: datetime) -> str:
    what = "1 result waits" if destination.waiting == 1 else f"{destination.waiting} results wait"
    return (
        f"unreachable since {since.astimezone():%Y-%m-%d %H:%M:%S %z}: {destination.trouble}; {what}, and will be sent "
        "once it is back; `cxr-node doctor` tries it now"
    )


def _periodic_job_alarms(jobs: Sequence[PeriodicJobStatus], now: datetime) -> Iterator[tuple[str, str]]:
    for job in jobs:
        if job.outcome == Outcome.FAILED and now - job.started_at < _RECENT:
            yield f"periodic job {job.name} on {job.host}", f"failed, and runs again: {job.detail}"


def _model_alarms(settings: Settings, database: Database, now: datetime) -> Iterator[tuple[str, str]]:
    try:
        with database.read() as connection:
            drifted = drift.drifted(connection)
            check, started_at = constancy.newest(connection), constancy.last_started_at(connection)
    except RetryLater:
        return  # reported as alarm "database"
    if check is not None and check[0]["state"] != CheckState.PASSED:
        yield (
            "constancy",
            f"the constancy check {check[0]['state']}: {check[0]['detail']}; see `cxr-node constancy show`",
        )
    if settings.constancy.at and (started_at is None or now - started_at > _CONSTANCY_INTERVAL):
        yield "constancy overdue", "no constancy check for more than a day"
    for device, statistics in drifted.items():
        yield f"drift {device}", f"differs from the reference: {', '.join(statistics)}; see `cxr-node drift`"


class Alarms:
    """Sends one message per change of the active alarms; a failed message is sent again at the next update."""

    def __init__(self, find: Callable[[], dict[str, str]], notify: Notify, *, name: str) -> None:
        self._find = find
        self._notify = notify
        self._name = name
        self._active: dict[str, str] = {}

    def update(self) -> None:
        """Find the active alarms, and send what changed since the last message."""
        current = self._find()
        begun = {name: sentence for name, sentence in current.items() if name not in self._active}
        resolved = [name for name in self._active if name not in current]
        if not begun and not resolved:
            return
        changes = {**begun, **dict.fromkeys(resolved, "resolved")}
        try:
            self._notify(f"{self._name}: {', '.join(changes)}", changes)
        except (OSError, smtplib.SMTPException) as error:
            _log.warning("an alarm could not be sent: %s", type(error).__name__)
            return
        self._active = {name: self._active.get(name, sentence) for name, sentence in current.items()}


def notifier(section: AlertSection) -> Notify:
    """Return the sender of messages for the webhook and mail recipients of the settings."""

    def send(subject: str, alarms: Mapping[str, str]) -> None:
        if section.webhook:
            _post(section.webhook.get_secret_value(), subject, alarms)
        if section.mail_to:
            _mail(section, subject, alarms)

    return send


def _post(url: str, subject: str, alarms: Mapping[str, str]) -> None:
    body = json.dumps({"text": subject, "alarms": dict(alarms)}).encode()
    request = urllib.request.Request(  # noqa: S310  # the settings allow only http and https
        url, data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310  # as above
        pass


def _mail(section: AlertSection, subject: str, alarms: Mapping[str, str]) -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = subject, section.mail_from
    message["To"] = ", ".join(section.mail_to)
    message.set_content("\n".join(f"{name}: {sentence}" for name, sentence in alarms.items()))
    with smtplib.SMTP(section.mail_host, section.mail_port, timeout=_TIMEOUT_S) as server:
        if section.mail_tls:
            server.starttls()
        if section.mail_user:
            server.login(section.mail_user, section.mail_password.get_secret_value())
        server.send_message(message)
