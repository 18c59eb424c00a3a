"""Days held against their reference: what is read for it, and what is kept of it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, or_, select

from cxr_node.db.database import Transaction
from cxr_node.db.monitoring_tables import daily_statistic, drift, drift_evaluation, model
from cxr_node.domain.daily_stats import DailyStatistic, DateRange, DriftResult, Statistic


def days_to_evaluate(connection: Connection, *, now: datetime, at_most: int) -> list[date]:
    """Return the whole UTC days that have films and were not judged, of the last `at_most`, the oldest first."""
    first = (now - timedelta(days=at_most)).date().isoformat()
    counted = select(daily_statistic.c.day).where(
        daily_statistic.c.day >= first, daily_statistic.c.day < now.date().isoformat()
    )
    judged = select(drift_evaluation.c.day).where(drift_evaluation.c.day >= first)
    days = connection.execute(
        counted.where(daily_statistic.c.day.not_in(judged)).distinct().order_by(daily_statistic.c.day)
    )
    return [date.fromisoformat(day) for day in days.scalars()]


def models_of(connection: Connection, day: date) -> list[int]:
    """Return the models that read films of a day."""
    return list(
        connection.execute(
            select(daily_statistic.c.model_id).where(daily_statistic.c.day == day.isoformat()).distinct()
        ).scalars()
    )


def films_of(connection: Connection, model_id: int, *, until: date) -> dict[str, list[tuple[date, int]]]:
    """Return how many films of each device a model read on each day up to `until`, in order."""
    columns = (daily_statistic.c.calling_ae_title, daily_statistic.c.day, daily_statistic.c.films)
    of_model = (daily_statistic.c.model_id == model_id, daily_statistic.c.kind == Statistic.REJECTED.value)
    query = (
        select(*columns).where(*of_model, daily_statistic.c.day <= until.isoformat()).order_by(daily_statistic.c.day)
    )
    found: dict[str, list[tuple[date, int]]] = {}
    for device, at, many in connection.execute(query):
        found.setdefault(device, []).append((date.fromisoformat(at), many))
    return found


def statistics_in(
    connection: Connection, model_id: int, within: Mapping[str, Iterable[DateRange]]
) -> list[DailyStatistic]:
    """Return the figures of each device's days that lie in one of its spans."""
    asked = [
        and_(
            daily_statistic.c.calling_ae_title == device,
            daily_statistic.c.day >= span.first.isoformat(),
            daily_statistic.c.day <= span.last.isoformat(),
        )
        for device, several in within.items()
        for span in several
    ]
    if not asked:
        return []
    rows = connection.execute(select(daily_statistic).where(daily_statistic.c.model_id == model_id, or_(*asked)))
    return [_day(row) for row in rows.mappings()]


def store(transaction: Transaction, model_id: int, found: Iterable[DriftResult], *, now: datetime) -> None:
    """Write what a day came to."""
    rows = [
        {
            "model_id": model_id,
            "day": each.day.isoformat(),
            "calling_ae_title": each.device,
            "kind": each.kind.value,
            "key": each.key,
            "reference_from": each.reference.first.isoformat(),
            "reference_until": each.reference.last.isoformat(),
            "window_from": each.window.first.isoformat(),
            "reference_films": each.reference_films,
            "films": each.films,
            "reference_value": each.reference_value,
            "value": each.value,
            "effect": each.effect,
            "p_value": each.p_value,
            "adjusted_p": each.adjusted_p,
            "is_drift": each.is_drift,
            "evaluated_at": now,
        }
        for each in found
    ]
    if rows:
        transaction.connection.execute(insert(drift), rows)


def mark_evaluated(transaction: Transaction, day: date, *, now: datetime) -> None:
    """Write that a day is judged, and forget what was said of it before."""
    connection = transaction.connection
    connection.execute(delete(drift).where(drift.c.day == day.isoformat()))
    connection.execute(delete(drift_evaluation).where(drift_evaluation.c.day == day.isoformat()))
    connection.execute(insert(drift_evaluation).values(day=day.isoformat(), evaluated_at=now))


def evaluated_days(connection: Connection, *, limit: int) -> list[str]:
    """Return the days that were judged, the newest first."""
    days = select(drift_evaluation.c.day).order_by(drift_evaluation.c.day.desc()).limit(limit)
    return list(connection.execute(days).scalars())


def newest(connection: Connection) -> tuple[date | None, list[RowMapping]]:
    """Return the newest day that was judged, and what it came to, drift first."""
    day = connection.execute(select(func.max(drift_evaluation.c.day))).scalar()
    if day is None:
        return None, []
    columns = (drift, model.c.name.label("model_name"), model.c.version.label("model_version"))
    query = select(*columns).join(model, model.c.id == drift.c.model_id).where(drift.c.day == day)
    order = (drift.c.is_drift.desc(), drift.c.adjusted_p, drift.c.calling_ae_title, drift.c.kind, drift.c.key)
    return date.fromisoformat(day), list(connection.execute(query.order_by(*order)).mappings())


def drifted(connection: Connection) -> dict[str, list[str]]:
    """Return the figures that have drifted on the newest day that was judged, by device."""
    found: dict[str, list[str]] = {}
    for row in newest(connection)[1]:
        if row["is_drift"]:
            found.setdefault(row["calling_ae_title"], []).append(f"{row['kind']} {row['key']}".rstrip())
    return found


def statistic_names(connection: Connection, *, since: date) -> list[str]:
    """Return the figures that there are, such as "score lung_opacity"; of each score also "positive"."""
    columns = (daily_statistic.c.kind, daily_statistic.c.key)
    rows = connection.execute(select(*columns).where(daily_statistic.c.day >= since.isoformat()).distinct()).all()
    positive = [(Statistic.POSITIVE.value, key) for kind, key in rows if kind == Statistic.SCORE]
    return sorted(f"{kind} {key}".rstrip() for kind, key in [*rows, *positive])


def unix_time(day: date) -> float:
    """Return when a day begins, in UTC."""
    return datetime.combine(day, time(), UTC).timestamp()


def _day(row: RowMapping) -> DailyStatistic:
    return DailyStatistic(
        day=date.fromisoformat(row["day"]),
        device=row["calling_ae_title"],
        kind=Statistic(row["kind"]),
        key=row["key"],
        films=row["films"],
        hits=row["hits"],
        total=row["total"],
        histogram={int(number): many for number, many in row["histogram"].items()},
    )
