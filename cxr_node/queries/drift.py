"""Drift: daily statistics to evaluate, and the results of evaluated days."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, or_, select

from cxr_node.db.database import Transaction
from cxr_node.db.monitoring_tables import daily_statistic, drift, drift_evaluation, model
from cxr_node.domain.daily_stats import DailyStatistic, DateRange, DriftResult, Statistic


class EvaluatedDay(NamedTuple):
    """The newest evaluated day with its results, drift first; no day if none was evaluated."""

    day: date | None
    results: list[RowMapping]


def days_to_evaluate(connection: Connection, *, now: datetime, at_most: int) -> list[date]:
    """Return the complete UTC days of the last `at_most` that have films and no evaluation, the oldest first."""
    first = (now - timedelta(days=at_most)).date().isoformat()
    evaluated = select(drift_evaluation.c.day).where(drift_evaluation.c.day >= first)
    days = connection.execute(
        select(daily_statistic.c.day)
        .where(
            daily_statistic.c.day >= first,
            daily_statistic.c.day < now.date().isoformat(),
            daily_statistic.c.day.not_in(evaluated),
        )
        .distinct()
        .order_by(daily_statistic.c.day)
    )
    return [date.fromisoformat(day) for day in days.scalars()]


def models_of(connection: Connection, day: date) -> list[int]:
    """Return the numbers of the models that read films of a day."""
    query = select(daily_statistic.c.model_id).where(daily_statistic.c.day == day.isoformat()).distinct()
    return list(connection.execute(query).scalars())


def films_of(connection: Connection, model_id: int, *, until: date) -> dict[str, list[tuple[date, int]]]:
    """Return for each device the days up to `until`, in order, with the number of films that a model read."""
    columns = (daily_statistic.c.calling_ae_title, daily_statistic.c.day, daily_statistic.c.films)
    # Every day with films has a row of this kind, also if none was rejected.
    of_model = (daily_statistic.c.model_id == model_id, daily_statistic.c.kind == Statistic.REJECTED.value)
    query = select(*columns).where(*of_model, daily_statistic.c.day <= until.isoformat())
    films: dict[str, list[tuple[date, int]]] = {}
    for device, day, count in connection.execute(query.order_by(daily_statistic.c.day)):
        films.setdefault(device, []).append((date.fromisoformat(day), count))
    return films


def statistics_in(
    connection: Connection, model_id: int, ranges: Mapping[str, Iterable[DateRange]]
) -> list[DailyStatistic]:
    """Return the statistics of each device that lie in one of its date ranges."""
    within = [
        and_(
            daily_statistic.c.calling_ae_title == device,
            daily_statistic.c.day >= dates.first.isoformat(),
            daily_statistic.c.day <= dates.last.isoformat(),
        )
        for device, device_ranges in ranges.items()
        for dates in device_ranges
    ]
    if not within:
        return []
    rows = connection.execute(select(daily_statistic).where(daily_statistic.c.model_id == model_id, or_(*within)))
    return [_statistic(row) for row in rows.mappings()]


def store(transaction: Transaction, model_id: int, results: Iterable[DriftResult], *, now: datetime) -> None:
    """Write the results of a day and model."""
    rows = [
        {
            "model_id": model_id,
            "day": result.day.isoformat(),
            "calling_ae_title": result.device,
            "kind": result.kind.value,
            "key": result.key,
            "reference_from": result.reference.first.isoformat(),
            "reference_until": result.reference.last.isoformat(),
            "window_from": result.window.first.isoformat(),
            "reference_films": result.reference_films,
            "films": result.films,
            "reference_value": result.reference_value,
            "value": result.value,
            "effect": result.effect,
            "p_value": result.p_value,
            "adjusted_p": result.adjusted_p,
            "is_drift": result.is_drift,
            "evaluated_at": now,
        }
        for result in results
    ]
    if rows:
        transaction.connection.execute(insert(drift), rows)


def mark_evaluated(transaction: Transaction, day: date, *, now: datetime) -> None:
    """Record that a day is evaluated, and delete the results of earlier evaluations."""
    connection = transaction.connection
    connection.execute(delete(drift).where(drift.c.day == day.isoformat()))
    connection.execute(delete(drift_evaluation).where(drift_evaluation.c.day == day.isoformat()))
    connection.execute(insert(drift_evaluation).values(day=day.isoformat(), evaluated_at=now))


def evaluated_days(connection: Connection, *, limit: int) -> list[str]:
    """Return the evaluated days, the newest first."""
    days = select(drift_evaluation.c.day).order_by(drift_evaluation.c.day.desc()).limit(limit)
    return list(connection.execute(days).scalars())


def newest(connection: Connection) -> EvaluatedDay:
    """Return the newest evaluated day and its results."""
    day = connection.execute(select(func.max(drift_evaluation.c.day))).scalar()
    if day is None:
        return EvaluatedDay(None, [])
    columns = (drift, model.c.name.label("model_name"), model.c.version.label("model_version"))
    query = select(*columns).join(model, model.c.id == drift.c.model_id).where(drift.c.day == day)
    order = (drift.c.is_drift.desc(), drift.c.adjusted_p, drift.c.calling_ae_title, drift.c.kind, drift.c.key)
    results = connection.execute(query.order_by(*order)).mappings()
    return EvaluatedDay(date.fromisoformat(day), list(results))


def drifted(connection: Connection) -> dict[str, list[str]]:
    """Return the statistics with drift on the newest evaluated day, by device."""
    names: dict[str, list[str]] = {}
    for row in newest(connection).results:
        if row["is_drift"]:
            names.setdefault(row["calling_ae_title"], []).append(f"{row['kind']} {row['key']}".rstrip())
    return names


def statistic_names(connection: Connection, *, since: date) -> list[str]:
    """Return the statistics that have values, such as "score lung_opacity"; for each score also "positive"."""
    columns = (daily_statistic.c.kind, daily_statistic.c.key)
    rows = connection.execute(select(*columns).where(daily_statistic.c.day >= since.isoformat()).distinct()).all()
    positive = [(Statistic.POSITIVE.value, key) for kind, key in rows if kind == Statistic.SCORE]
    return sorted(f"{kind} {key}".rstrip() for kind, key in [*rows, *positive])


def unix_time(day: date) -> float:
    """Return the start of a day (UTC)."""
    return datetime.combine(day, time(), UTC).timestamp()


def _statistic(row: RowMapping) -> DailyStatistic:
    return DailyStatistic(
        day=date.fromisoformat(row["day"]),
        device=row["calling_ae_title"],
        kind=Statistic(row["kind"]),
        key=row["key"],
        films=row["films"],
        hits=row["hits"],
        total=row["total"],
        histogram={int(number): count for number, count in row["histogram"].items()},
    )
