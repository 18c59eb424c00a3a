"""Active alarms: conditions of this host, its jobs and its model that need attention."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cxr_node.archive import space
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.clock import local_time
from cxr_node.domain.errors import RetryLater
from cxr_node.monitoring.constancy import CheckState
from cxr_node.ops.certificates import certificates
from cxr_node.ops.formatting import counted
from cxr_node.queries import drift, overview, prior_searches
from cxr_node.queries.overview import DestinationStatus, PeriodicJobStatus, StageStatus
from cxr_node.queries.prior_searches import PriorSourceStatus
from cxr_node.queries.worklists import WorklistStatus, worklists
from cxr_node.records import bundles, constancy, notifications, pauses, procedure_steps
from cxr_node.records.pauses import Pause
from cxr_node.settings.root import Settings
from cxr_node.wiring.remote_state import read_state, trouble_sentence
from cxr_node.wiring.reserve import reserve_of
from cxr_node.work.periodic_job import Outcome

_RECENT = timedelta(days=1)
"""A host that is gone leaves its last failure; it is an alarm for a day."""
_OVERDUE = timedelta(minutes=15)
_STALE = timedelta(days=1)
_CERTIFICATE_NOTICE = timedelta(days=14)
_CONSTANCY_INTERVAL = timedelta(hours=26)


@dataclass(frozen=True, slots=True, kw_only=True)
class _StageWords:
    """Words for the jobs of a stage: their name, one subject, how it failed, and the command that says why."""

    name: str
    subject: str
    failure: str
    command: str


_STAGES = {
    Stage.READ: _StageWords(
        name="readings",
        subject="film",
        failure="could not be read",
        command="`cxr-node jobs list --stage read --state failed`",
    ),
    Stage.COMPOSE: _StageWords(
        name="reports",
        subject="study",
        failure="could not be reported",
        command="`cxr-node jobs list --stage compose --state failed`",
    ),
    Stage.DELIVER: _StageWords(
        name="deliveries",
        subject="result",
        failure="could not be delivered",
        command="`cxr-node deliveries --state failed`",
    ),
    Stage.COMMIT: _StageWords(
        name="commitments",
        subject="storage commitment request",
        failure="could not be answered",
        command="`cxr-node jobs list --stage commit --state failed`",
    ),
}


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
            paused = pauses.present(connection)
            unsent = notifications.waiting_since(connection)
            unanswered = prior_searches.failing_since(connection)
            sources = prior_searches.prior_sources(connection, since=now - _RECENT)
            managers = worklists(connection, since=now - _RECENT)
            stale = procedure_steps.open_worklists(connection, claimed_before=now - _STALE)
    except RetryLater as error:
        yield "database", str(error)
        return
    for use in uses:
        if use.is_rejected:
            yield (f"bundle on {use.host}", f"rejects the activated bundle, reads with the previous one: {use.detail}")
    yield from _periodic_job_alarms(periodic_jobs, now)
    yield from _destination_alarms(destinations, now, unreachable)
    yield from _pauses(paused, queues, destinations)
    yield from _unsent(unsent)
    yield from _prior_alarms(sources, unanswered, now, unreachable)
    yield from _unanswered(managers, now, unreachable)
    yield from _stale(stale)
    for queue in queues:
        words = _STAGES[queue.stage]
        if queue.failed:
            failed = f"{counted(queue.failed, words.subject)} {words.failure}"
            yield f"failed {words.name}", f"{failed}; {words.command} says why"
        if queue.oldest_ready_at is not None and now - queue.oldest_ready_at > _OVERDUE:
            waits = f"a {words.subject} has waited for more than 15 minutes, and no process takes it"
            yield f"overdue {words.name}", f"{waits}; `cxr-node doctor` looks for the cause"


def _prior_alarms(
    sources: Sequence[PriorSourceStatus], unanswered: tuple[datetime, str] | None, now: datetime, unreachable: timedelta
) -> Iterator[tuple[str, str]]:
    """Yield each source without an answer; where all answer, searches that end with no film all the same."""
    without = "reports go out without its prior films, and say so; `cxr-node doctor` tries it now"
    silent = [source for source in sources if source.trouble]
    for source in silent:
        if now - source.since >= unreachable:
            waits = f"no answer since {local_time(source.since)}: {source.trouble}"
            yield f"prior source {source.source}", f"{waits}; {without}"
    if unanswered is not None and not silent and now - unanswered[0] >= unreachable:
        since, detail = unanswered
        yield "prior films", f"none could be fetched since {local_time(since)}: {detail}; reports go out without them"


def _unanswered(managers: Sequence[WorklistStatus], now: datetime, unreachable: timedelta) -> Iterator[tuple[str, str]]:
    for worklist in managers:
        if worklist.trouble and now - worklist.since >= unreachable:
            claimed = f"{counted(worklist.claimed, 'claimed step')} cannot be updated"
            waits = f"no answer since {local_time(worklist.since)}: {worklist.trouble}"
            yield f"worklist manager {worklist.worklist}", f"{waits}; {claimed}; `cxr-node doctor` tries it now"


def _stale(steps: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for worklist, count in steps.items():
        claimed = f"{counted(count, 'procedure step')} claimed more than a day ago"
        yield f"worklist {worklist}", f"{claimed}; `cxr-node query v1_worklist_steps` says what they wait for"


def _unsent(notifications: Mapping[str, tuple[datetime, str]]) -> Iterator[tuple[str, str]]:
    for rule, (since, detail) in notifications.items():
        yield f"notification {rule}", f"not sent since {local_time(since)}, and tried again: {detail}"


def _pauses(
    paused: Sequence[Pause], queues: Sequence[StageStatus], destinations: Sequence[DestinationStatus]
) -> Iterator[tuple[str, str]]:
    waiting = {row.destination: row.waiting for row in destinations}
    films = sum(queue.paused for queue in queues if queue.stage is Stage.READ)
    for pause in paused:
        since = f"since {local_time(pause.paused_at)} by {pause.paused_by}{f' ({pause.note})' if pause.note else ''}"
        if pause.destination:
            name, results = pause.destination, waiting.get(pause.destination, 0)
            yield f"paused {name}", f"{since}: {results} results wait; `cxr-node destination resume {name}` sends them"
        else:
            yield "paused reading", f"{since}: {films} films wait; `cxr-node reading resume` reads them"


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
        f"unreachable since {local_time(since)}: {destination.trouble}; {what}, and will be sent "
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
