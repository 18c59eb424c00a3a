"""Counts and durations for Prometheus metrics."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, literal_column, select

from cxr_node.db.claim_order import WithoutIndex
from cxr_node.db.correction_tables import patient_message
from cxr_node.db.states import Event
from cxr_node.db.tables import delivery, film, job, job_event
from cxr_node.queries.views.registry import VIEWS

DURATIONS = ("wait_s", "read_s", "compose_s", "deliver_s", "total_s")
"""Columns of `v1_turnaround` with seconds of a stage."""


class SenderFilms(NamedTuple):
    """Films of one sender, and the number of the newest."""

    calling_ae_title: str
    films: int
    last_film_id: int


def films_by_sender(connection: Connection, *, after_film_id: int) -> list[SenderFilms]:
    """Return how many films each sender has sent after a film; senders in the order of their first."""
    columns = (film.c.calling_ae_title, func.count(), func.max(film.c.id))
    query = select(*columns).where(film.c.id > after_film_id).group_by(film.c.calling_ae_title)
    query = query.order_by(func.min(film.c.id))
    return [SenderFilms(*row) for row in connection.execute(query)]


def films_not_analysed(connection: Connection) -> dict[str, int]:
    """Return how many films are not analysed, by the reason of their read jobs, as the overview counts them.

    It reads an index of these jobs alone (decision 0263), so the cost is that of films not analysed.
    """
    is_not_analysed = job.c.film_id.is_not(None) & job.c.reason.is_not(None)
    rows = connection.execute(select(job.c.reason, func.count()).where(is_not_analysed).group_by(job.c.reason))
    return {str(reason): count for reason, count in rows}


def delivery_statuses(connection: Connection, *, since: datetime) -> dict[tuple[str, int], int]:
    """Return how many deliveries created since then succeeded, by destination and DIMSE status."""
    rows = connection.execute(
        select(func.max(delivery.c.destination), delivery.c.status, func.count())
        .where(delivery.c.created_at >= since, delivery.c.delivered_at.is_not(None))
        .group_by(WithoutIndex(delivery.c.destination), delivery.c.status)
    )
    return {(destination, status or 0): count for destination, status, count in rows}


def durations(connection: Connection, *, since: datetime) -> Mapping[str, list[float]]:
    """Return the sorted seconds of each stage for films received since then, by column of `DURATIONS`."""
    view = VIEWS["v1_turnaround"].selectable
    columns = [view.c[name] for name in DURATIONS]
    rows = connection.execute(select(*columns).where(view.c.received_at >= since)).mappings().all()
    return {name: sorted(row[name] for row in rows if row[name] is not None) for name in DURATIONS}


def mean_batch_films(connection: Connection, *, since: datetime) -> float | None:
    """Return the mean batch size of readers since then; jobs claimed at one time by one reader are a batch."""
    # With a join SQLite would scan all events.
    ended = select(job.c.id).where(job.c.ended_at >= since, job.c.film_id.is_not(None))
    claims = (
        select(job_event.c.actor, job_event.c.at, func.count().label("films"))
        .where(job_event.c.job_id.in_(ended), job_event.c.event == Event.CLAIMED.value)
        .group_by(job_event.c.actor, job_event.c.at)
        .subquery()
    )
    mean = connection.execute(select(func.avg(claims.c.films))).scalar()
    return None if mean is None else float(mean)


def patient_messages(connection: Connection, *, since: datetime) -> dict[tuple[str, str], int]:
    """Return how many HL7 messages since then concerned kept films, by event and whether they corrected one."""
    is_correction = patient_message.c.films > literal_column("0")
    rows = connection.execute(
        select(patient_message.c.event, is_correction, func.count())
        .where(patient_message.c.received_at >= since)
        .group_by(patient_message.c.event, is_correction)
    )
    return {(event, "corrected" if corrected else "unchanged"): count for event, corrected, count in rows}


def ping(connection: Connection) -> None:
    """Look up the newest film, which raises if the database does not respond or has no tables."""
    connection.execute(select(func.max(film.c.id)))
