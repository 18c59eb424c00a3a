"""Overview of the node: queues, destinations, senders and turnaround, from the database alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, case, func, literal, select

from cxr_node.db.claim_order import WithoutIndex
from cxr_node.db.priority import NO_PRIORITY_BOOST
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import delivery, destination_trouble, film, job
from cxr_node.queries import quantiles
from cxr_node.queries.prior_searches import PriorSourceStatus, prior_sources
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queries.worklists import WorklistStatus, worklists
from cxr_node.queue.claimable import is_paused
from cxr_node.records import destination_troubles, pauses

_RECENT = timedelta(hours=24)
_HOUR = timedelta(hours=1)
_OPEN = (State.WAITING, State.RUNNING, State.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """Jobs of a stage: ready (due), scheduled, paused, running and failed; and since when the oldest is ready.

    Paused jobs are neither ready nor scheduled. Of deliveries only those to a paused destination are paused.
    """

    stage: Stage
    ready: int
    scheduled: int
    running: int
    failed: int
    oldest_ready_at: datetime | None
    paused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """Deliveries to a destination: waiting and failed; times of the oldest waiting and of the last delivered.

    `unreachable_since` is None where the destination was reachable when last tried; `trouble` says why it was not.
    `paused_at` is None where no person has paused it.
    """

    destination: str
    waiting: int
    failed: int
    oldest_at: datetime | None
    last_delivered_at: datetime | None
    unreachable_since: datetime | None = None
    trouble: str = ""
    paused_at: datetime | None = None
    paused_by: str = ""
    delivered_last_hour: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedJobs:
    """Failed jobs of a stage, of deliveries by destination, and the detail of the newest."""

    stage: Stage
    destination: str
    jobs: int
    newest_detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderStatus:
    """Films of a sender in the last 24 hours: all, not analysed, and time of the last."""

    calling_ae_title: str
    films: int
    not_analysed: int
    last_received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnaroundTimes:
    """Quantiles of the seconds from film to report, over films with a delivered report."""

    films: int
    p50_s: float | None
    p90_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicJobStatus:
    """Last run of a periodic job of a host and role; a frequent job is recorded once a minute."""

    name: str
    host: str
    role: str
    started_at: datetime
    duration_s: float
    outcome: str
    detail: str
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """State of the node; `recent` means the last 24 hours."""

    at: datetime
    queues: tuple[StageStatus, ...]
    destinations: tuple[DestinationStatus, ...]
    senders: tuple[SenderStatus, ...]
    reasons: Mapping[str, int]
    films_last_hour: int
    films_recent: int
    last_received_at: datetime | None
    turnaround: TurnaroundTimes
    periodic_jobs: tuple[PeriodicJobStatus, ...]
    failed: tuple[FailedJobs, ...]
    is_reading_paused: bool
    worklists: tuple[WorklistStatus, ...] = ()
    prior_sources: tuple[PriorSourceStatus, ...] = ()


def overview(connection: Connection, *, now: datetime) -> Overview:
    """Return the overview. Its cost depends on the last day and on open jobs, not on the size of the database."""
    since = now - _RECENT
    return Overview(
        at=now,
        queues=queues(connection, now=now),
        destinations=destinations(connection, recent=now - _HOUR),
        senders=senders(connection, since=since),
        reasons=reasons(connection, since=since),
        films_last_hour=received(connection, since=now - _HOUR),
        films_recent=received(connection, since=since),
        last_received_at=connection.execute(select(func.max(film.c.received_at))).scalar(),
        turnaround=turnaround(connection, since=since),
        periodic_jobs=periodic_jobs(connection),
        failed=failed_jobs(connection),
        is_reading_paused=any(pause.stage is Stage.READ for pause in pauses.present(connection)),
        worklists=worklists(connection, since=since),
        prior_sources=prior_sources(connection, since=since),
    )


def failed_jobs(connection: Connection) -> tuple[FailedJobs, ...]:
    """Return the failed jobs by stage and destination."""
    destination = func.coalesce(delivery.c.destination, "")
    groups = connection.execute(
        select(job.c.stage, destination, func.count(), func.max(job.c.id))
        .select_from(job)
        .outerjoin(delivery, delivery.c.id == job.c.delivery_id)
        .where(job.c.state == State.FAILED)
        .group_by(WithoutIndex(job.c.stage), destination)
        .order_by(WithoutIndex(job.c.stage), destination)
    ).all()
    newest = select(job.c.id, job.c.detail).where(job.c.id.in_([row[3] for row in groups]))
    details = {row.id: row.detail for row in connection.execute(newest)}
    return tuple(
        FailedJobs(stage=Stage(stage), destination=name, jobs=jobs, newest_detail=details[job_id])
        for stage, name, jobs, job_id in groups
    )


def periodic_jobs(connection: Connection) -> tuple[PeriodicJobStatus, ...]:
    """Return the last runs of all periodic jobs."""
    runs = VIEWS["v1_periodic_jobs"].selectable
    rows = connection.execute(select(runs).order_by(runs.c.name, runs.c.host, runs.c.role)).mappings()
    return tuple(PeriodicJobStatus(**row) for row in rows)


def queues(connection: Connection, *, now: datetime) -> tuple[StageStatus, ...]:
    """Return the jobs of each stage."""
    paused = case(
        *((and_(job.c.stage == stage, is_paused(stage)), True) for stage in (Stage.READ, Stage.DELIVER)), else_=False
    ).label("is_paused")
    open_jobs = (
        select(job.c.stage, job.c.state, job.c.due_at, job.c.priority, paused)
        .where(job.c.stage.in_(list(Stage)), job.c.state.in_(_OPEN))
        .subquery()
    )
    groups = (open_jobs.c.stage, open_jobs.c.state, open_jobs.c.is_paused)
    ready = func.count().filter(open_jobs.c.due_at <= now)
    oldest_ready = func.min(open_jobs.c.due_at).filter(open_jobs.c.priority >= NO_PRIORITY_BOOST)
    pending = {
        (Stage(stage), State(state), bool(is_paused)): (jobs, ready, oldest)
        for stage, state, is_paused, jobs, ready, oldest in connection.execute(
            select(*groups, func.count(), ready, oldest_ready).group_by(*groups)
        )
    }

    def jobs_of(stage: Stage, state: State) -> int:
        return sum(pending.get((stage, state, is_paused), (0,))[0] for is_paused in (False, True))

    statuses = []
    for stage in Stage:
        waiting, ready, oldest = pending.get((stage, State.WAITING, False), (0, 0, None))
        statuses.append(
            StageStatus(
                stage=stage,
                ready=ready,
                scheduled=waiting - ready,
                running=jobs_of(stage, State.RUNNING),
                failed=jobs_of(stage, State.FAILED),
                oldest_ready_at=oldest if ready else None,
                paused=pending.get((stage, State.WAITING, True), (0,))[0],
            )
        )
    return tuple(statuses)


def destinations(connection: Connection, *, recent: datetime | None = None) -> tuple[DestinationStatus, ...]:
    """Return the deliveries of each destination that has any or is paused; of the last hour, those since `recent`."""
    open_jobs = {
        (name, State(state)): (jobs, oldest)
        for name, state, jobs, oldest in connection.execute(
            select(delivery.c.destination, job.c.state, func.count(), func.min(delivery.c.created_at))
            .join(delivery, job.c.delivery_id == delivery.c.id)
            .where(job.c.stage == Stage.DELIVER, job.c.state.in_(_OPEN))
            .group_by(delivery.c.destination, job.c.state)
        )
    }
    troubles = {
        name: (since, detail)
        for name, since, detail in connection.execute(
            select(destination_trouble.c.destination, destination_trouble.c.since, destination_trouble.c.detail).where(
                destination_troubles.HOLDS
            )
        )
    }
    paused = {pause.destination: pause for pause in pauses.present(connection) if pause.destination}
    nothing = (0, None)
    statuses = []
    for name in dict.fromkeys([*destination_names(connection), *paused]):
        since, trouble = troubles.get(name, (None, ""))
        waiting, oldest = open_jobs.get((name, State.WAITING), nothing)
        running, older = open_jobs.get((name, State.RUNNING), nothing)
        last = select(func.max(delivery.c.delivered_at)).where(delivery.c.destination == name)
        statuses.append(
            DestinationStatus(
                destination=name,
                waiting=waiting + running,
                failed=open_jobs.get((name, State.FAILED), nothing)[0],
                oldest_at=min((at for at in (oldest, older) if at is not None), default=None),
                last_delivered_at=connection.execute(last).scalar(),
                unreachable_since=since,
                trouble=trouble,
                paused_at=paused[name].paused_at if name in paused else None,
                paused_by=paused[name].paused_by if name in paused else "",
                delivered_last_hour=0 if recent is None else _delivered(connection, name, recent),
            )
        )
    return tuple(statuses)


def _delivered(connection: Connection, destination: str, since: datetime) -> int:
    to_destination = delivery.c.destination == destination, delivery.c.delivered_at >= since
    return connection.execute(select(func.count()).where(*to_destination)).scalar_one()


def destination_names(connection: Connection) -> list[str]:
    """Return the names of destinations with deliveries, at the cost of one index lookup each."""
    names: list[str] = []
    while True:
        query = select(func.min(delivery.c.destination))
        name = connection.execute(query.where(delivery.c.destination > names[-1]) if names else query).scalar()
        if name is None:
            return names
        names.append(name)


def senders(connection: Connection, *, since: datetime) -> tuple[SenderStatus, ...]:
    """Return the senders of films since then, most films first."""
    not_analysed = func.count().filter(job.c.state == literal(State.NOT_ANALYSED.value, literal_execute=True))
    rows = connection.execute(
        select(film.c.calling_ae_title, func.count().label("films"), not_analysed, func.max(film.c.received_at))
        .outerjoin(job, job.c.film_id == film.c.id)
        .where(film.c.received_at >= since)
        .group_by(film.c.calling_ae_title)
        .order_by(func.count().desc(), film.c.calling_ae_title)
    )
    return tuple(
        SenderStatus(calling_ae_title=title, films=films, not_analysed=count, last_received_at=last)
        for title, films, count, last in rows
    )


def reasons(connection: Connection, *, since: datetime) -> dict[str, int]:
    """Return the number of films not analysed by reason, of those received since then."""
    rows = connection.execute(
        select(job.c.reason, func.count())
        .join(film, job.c.film_id == film.c.id)
        .where(film.c.received_at >= since, job.c.reason.is_not(None))
        .group_by(job.c.reason)
        .order_by(func.count().desc())
    )
    return {str(reason): films for reason, films in rows}


def received(connection: Connection, *, since: datetime) -> int:
    """Return the number of films received since then."""
    return connection.execute(select(func.count()).where(film.c.received_at >= since)).scalar_one()


def turnaround(connection: Connection, *, since: datetime, calling_ae_title: str = "") -> TurnaroundTimes:
    """Return the turnaround of films received since then."""
    view = VIEWS["v1_turnaround"].selectable
    query = select(view.c.total_s).where(view.c.received_at >= since, view.c.total_s.is_not(None))
    if calling_ae_title:
        query = query.where(view.c.calling_ae_title == calling_ae_title)
    seconds = sorted(connection.execute(query).scalars())
    return TurnaroundTimes(films=len(seconds), **quantiles.seconds(seconds))
