"""How it stands with the node, in numbers: from the database alone, so that whoever asks sees every process."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, literal, select

from cxr_node.db.states import Stage, State
from cxr_node.db.tables import delivery, film, job
from cxr_node.queries.views.registry import VIEWS

_RECENT = timedelta(hours=24)
_OPEN = (State.WAITING, State.RUNNING, State.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """One stage: jobs that are due, wait for a later time, run and have failed; since when the oldest is due."""

    stage: Stage
    due: int
    later: int
    running: int
    failed: int
    oldest_due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """One destination: how many results wait or failed, since when the oldest waits, when the last one arrived."""

    destination: str
    waiting: int
    failed: int
    oldest_at: datetime | None
    last_delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderStatus:
    """One sender in the last 24 hours: films, those not analysed, and when the last one came."""

    calling_ae_title: str
    films: int
    not_analysed: int
    last_received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnaroundTimes:
    """Seconds from film to report of those delivered: half took at most `p50_s`, 99 of 100 at most `p99_s`."""

    films: int
    p50_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything on one screen. What is `recent` is of the last 24 hours."""

    at: datetime
    queues: tuple[StageStatus, ...]
    outlets: tuple[DestinationStatus, ...]
    senders: tuple[SenderStatus, ...]
    reasons: Mapping[str, int]
    films_last_hour: int
    films_recent: int
    last_received_at: datetime | None
    turnaround: TurnaroundTimes


def overview(connection: Connection, *, now: datetime) -> Overview:
    """Return how it stands. What it costs follows the last day and what is pending, not the size of the database."""
    since = now - _RECENT
    return Overview(
        at=now,
        queues=queues(connection, now=now),
        outlets=outlets(connection),
        senders=senders(connection, since=since),
        reasons=reasons(connection, since=since),
        films_last_hour=received(connection, since=now - timedelta(hours=1)),
        films_recent=received(connection, since=since),
        last_received_at=connection.execute(select(func.max(film.c.received_at))).scalar(),
        turnaround=turnaround(connection, since=since),
    )


def queues(connection: Connection, *, now: datetime) -> tuple[StageStatus, ...]:
    """Return how it stands with each stage."""
    pending = {
        (Stage(stage), State(state)): (jobs, due, oldest)
        for stage, state, jobs, due, oldest in connection.execute(
            select(
                job.c.stage,
                job.c.state,
                func.count(),
                func.count().filter(job.c.due_at <= now),
                func.min(job.c.due_at),
            )
            .where(job.c.stage.in_(list(Stage)), job.c.state.in_(_OPEN))
            .group_by(job.c.stage, job.c.state)
        )
    }
    nothing = (0, 0, None)
    found = []
    for stage in Stage:
        waiting, due, oldest = pending.get((stage, State.WAITING), nothing)
        found.append(
            StageStatus(
                stage=stage,
                due=due,
                later=waiting - due,
                running=pending.get((stage, State.RUNNING), nothing)[0],
                failed=pending.get((stage, State.FAILED), nothing)[0],
                oldest_due_at=oldest if due else None,
            )
        )
    return tuple(found)


def outlets(connection: Connection) -> tuple[DestinationStatus, ...]:
    """Return how it stands with each destination that was ever sent anything, or is to be."""
    open_jobs = {
        (name, State(state)): (jobs, oldest)
        for name, state, jobs, oldest in connection.execute(
            select(delivery.c.destination, job.c.state, func.count(), func.min(delivery.c.created_at))
            .join(delivery, job.c.delivery_id == delivery.c.id)
            .where(job.c.stage == Stage.DELIVER, job.c.state.in_(_OPEN))
            .group_by(delivery.c.destination, job.c.state)
        )
    }
    nothing = (0, None)
    found = []
    for name in destinations(connection):
        waiting, oldest = open_jobs.get((name, State.WAITING), nothing)
        running, older = open_jobs.get((name, State.RUNNING), nothing)
        last = select(func.max(delivery.c.delivered_at)).where(delivery.c.destination == name)
        found.append(
            DestinationStatus(
                destination=name,
                waiting=waiting + running,
                failed=open_jobs.get((name, State.FAILED), nothing)[0],
                oldest_at=min((at for at in (oldest, older) if at is not None), default=None),
                last_delivered_at=connection.execute(last).scalar(),
            )
        )
    return tuple(found)


def destinations(connection: Connection) -> list[str]:
    """Return the name of every destination that has rows; each costs one look at the index."""
    found: list[str] = []
    while True:
        more = select(func.min(delivery.c.destination))
        name = connection.execute(more.where(delivery.c.destination > found[-1]) if found else more).scalar()
        if name is None:
            return found
        found.append(name)


def senders(connection: Connection, *, since: datetime) -> tuple[SenderStatus, ...]:
    """Return who has sent films since then, the busiest first."""
    refused = func.count().filter(job.c.state == _is(State.NOT_ANALYSED))
    rows = connection.execute(
        select(film.c.calling_ae_title, func.count().label("films"), refused, func.max(film.c.received_at))
        .outerjoin(job, job.c.film_id == film.c.id)
        .where(film.c.received_at >= since)
        .group_by(film.c.calling_ae_title)
        .order_by(func.count().desc(), film.c.calling_ae_title)
    )
    return tuple(
        SenderStatus(calling_ae_title=title, films=films, not_analysed=refused, last_received_at=last)
        for title, films, refused, last in rows
    )


def reasons(connection: Connection, *, since: datetime) -> dict[str, int]:
    """Return for which coded reasons how many of the films received since then are not analysed."""
    rows = connection.execute(
        select(job.c.reason, func.count())
        .join(film, job.c.film_id == film.c.id)
        .where(film.c.received_at >= since, job.c.reason.is_not(None))
        .group_by(job.c.reason)
        .order_by(func.count().desc())
    )
    return {str(reason): films for reason, films in rows}


def received(connection: Connection, *, since: datetime) -> int:
    """Return how many films have been received since then."""
    return connection.execute(select(func.count()).where(film.c.received_at >= since)).scalar_one()


def turnaround(connection: Connection, *, since: datetime, calling_ae_title: str = "") -> TurnaroundTimes:
    """Return how long the films received since then took until their report was delivered."""
    of = VIEWS["v1_turnaround"].selectable
    query = select(of.c.total_s).where(of.c.received_at >= since, of.c.total_s.is_not(None))
    if calling_ae_title:
        query = query.where(of.c.calling_ae_title == calling_ae_title)
    seconds = sorted(connection.execute(query).scalars())
    return TurnaroundTimes(films=len(seconds), p50_s=quantile(seconds, 0.50), p99_s=quantile(seconds, 0.99))


def quantile(values: list[float], share: float) -> float | None:
    """Return the least of sorted `values` that at least `share` of them do not exceed; None of none."""
    if not values:
        return None
    return values[max(0, -(-len(values) * round(share * 1000) // 1000) - 1)]


def _is(state: State) -> ColumnElement[str]:
    return literal(state.value, literal_execute=True)
