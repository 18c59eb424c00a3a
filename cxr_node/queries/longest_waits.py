"""Longest waits for reading and for delivery by day of reception, as PostgreSQL aggregates them in one pass.

The view of turnaround looks up events, results and deliveries for each film, which is right for few films. For those
of a month, films that are joined with each of the three cost a third less.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Double, Select, cast, func, literal, null, select, union_all

from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.states import Event
from cxr_node.db.tables import delivery, film, job, job_event, result

Waits = Sequence[float | None]
"""Seconds of the longest wait for reading, and for delivery; None without any."""


def longest_by_day(connection: Connection, *, since: datetime) -> dict[datetime, Waits]:
    """Return the longest waits of each day (UTC) with films, as `wait_s` and `deliver_s` of v1_turnaround have them."""
    films = _films(since)
    of_films = select(films.c.day, literal(0).label("stage"), cast(null(), Double).label("seconds")).distinct()
    waits = (_longest(_waits_for_reading(films), stage=0), _longest(_waits_for_delivery(films), stage=1))
    longest: dict[datetime, list[float | None]] = {}
    for day, stage, seconds in connection.execute(union_all(of_films, *waits)):
        of_day = longest.setdefault(day.replace(tzinfo=UTC), [None, None])
        if seconds is not None:
            of_day[stage] = seconds
    return dict(longest)


def _films(since: datetime) -> CTE:
    """Return films with day of reception and read job; as it is named more than once, it is computed once."""
    columns = (
        film.c.id,
        film.c.study_id,
        film.c.received_at,
        func.date_trunc("day", func.timezone("UTC", film.c.received_at)).label("day"),
        job.c.id.label("job_id"),
        func.coalesce(job.c.first_ended_at, job.c.ended_at).label("read_at"),
    )
    joined = select(*columns).join_from(film, job, job.c.film_id == film.c.id, isouter=True)
    return joined.where(film.c.received_at >= since, is_not_constancy_film()).cte("films")


def _waits_for_reading(films: CTE) -> Select[Any]:
    claimed = (job_event.c.job_id == films.c.job_id) & (job_event.c.event == Event.CLAIMED)
    wait = _seconds(films.c.received_at, func.min(job_event.c.at))
    query = select(films.c.day, wait.label("seconds")).join_from(films, job_event, claimed)
    return query.group_by(films.c.id, films.c.day, films.c.received_at)


def _waits_for_delivery(films: CTE) -> Select[Any]:
    """Return seconds from the first result after the reading to the first delivery of one of these results."""
    later = (result.c.study_id == films.c.study_id) & (result.c.composed_at >= films.c.read_at)
    first_delivery = func.min(func.coalesce(delivery.c.first_delivered_at, delivery.c.delivered_at))
    wait = _seconds(func.min(result.c.composed_at), first_delivery)
    query = select(films.c.day, wait.label("seconds")).join_from(films, result, later)
    return query.outerjoin(delivery, delivery.c.result_id == result.c.id).group_by(films.c.id, films.c.day)


def _longest(waits: Select[Any], *, stage: int) -> Select[Any]:
    of_films = waits.subquery()
    seconds = cast(func.round(func.max(of_films.c.seconds), 3), Double)
    return select(of_films.c.day, literal(stage), seconds).group_by(of_films.c.day)


def _seconds(begin: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.extract("epoch", end - begin)
