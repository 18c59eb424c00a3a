"""Daily statistics: scores, films not analysed and turnaround of each device, day and model.

They are small enough to be kept for years, when films and readings are gone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Integer, case, cast, delete, func, insert, select, update

from cxr_node.db.cascade_tables import cascade_step
from cxr_node.db.database import Transaction
from cxr_node.db.monitoring_tables import daily_statistic, daily_statistic_progress, is_not_constancy_film
from cxr_node.db.tables import film, finding, reading
from cxr_node.domain.daily_stats import SCORE_BINS, DailyStatistic, Statistic, seconds_bin
from cxr_node.domain.reading import Presence, StepState
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records.models import (
    FINDING_COLUMNS,
    READING_COLUMNS,
    STEP_COLUMNS,
    ModelKey,
    first_read,
    model_id,
)

_BATCH_READINGS = 50_000
"""Readings whose days `changed_days` returns at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatistic:
    """A daily statistic of one model."""

    model: ModelKey
    statistic: DailyStatistic


class ChangedDays(NamedTuple):
    """Days of films read since the last update, and the progress to store after these days; None if there are none."""

    days: set[date]
    progress: int | None


def changed_days(connection: Connection) -> ChangedDays:
    """Return the days of the next films that were read since the stored progress."""
    progress = connection.execute(select(func.max(daily_statistic_progress.c.reading_id))).scalar() or 0
    end = progress + _BATCH_READINGS
    in_batch = reading.c.id > progress, reading.c.id <= end
    times = connection.execute(
        select(film.c.received_at).join(reading, reading.c.film_id == film.c.id).where(*in_batch)
    ).scalars()
    last = connection.execute(select(func.max(reading.c.id))).scalar() or 0
    return ChangedDays({time.date() for time in times}, None if last <= progress else min(end, last))


def store_progress(transaction: Transaction, reading_id: int) -> None:
    """Store the last reading whose day is up to date."""
    table = daily_statistic_progress
    if not transaction.connection.execute(update(table).values(reading_id=reading_id)).rowcount:
        transaction.connection.execute(insert(table).values(reading_id=reading_id))


def compute(connection: Connection, day: date) -> list[ModelStatistic]:
    """Return the statistics of a day.

    A film read twice counts for each model with its last reading. A film that was not analysed counts for the model
    that read the film before it. Each finding counts for its own model; a bundle of a cascade that failed on a film
    counts it as not analysed.
    """
    films = _films(connection, day)
    statistics = [
        *_scores(connection, day),
        *_rejected([*films, *_later_models(connection, day)], day),
        *_turnaround(connection, day, films),
    ]
    started = first_read(connection, {item.model for item in statistics})
    return [item for item in statistics if started[item.model].date() <= day]


def store(transaction: Transaction, day: date, statistics: Iterable[ModelStatistic], *, now: datetime) -> None:
    """Replace the statistics of a day."""
    connection = transaction.connection
    connection.execute(delete(daily_statistic).where(daily_statistic.c.day == day.isoformat()))
    rows = [
        {
            "model_id": model_id(connection, item.model, now=now),
            "day": day.isoformat(),
            "calling_ae_title": item.statistic.device,
            "kind": item.statistic.kind.value,
            "key": item.statistic.key,
            "films": item.statistic.films,
            "hits": item.statistic.hits,
            "total": item.statistic.total,
            "histogram": {str(number): count for number, count in item.statistic.histogram.items()},
        }
        for item in statistics
    ]
    if rows:
        connection.execute(insert(daily_statistic), rows)


class _Film(NamedTuple):
    film_id: int
    device: str
    model: ModelKey
    is_analysed: bool


class _Group(NamedTuple):
    """The films that one statistic is of."""

    model: ModelKey
    device: str
    key: str = ""


def _of_day(day: date) -> tuple[ColumnElement[bool], ...]:
    start = datetime.combine(day, time(), UTC)
    return (
        film.c.received_at >= start,
        film.c.received_at < start + timedelta(days=1),
        film.c.is_original.is_(True),
        is_not_constancy_film(),
    )


def _films(connection: Connection, day: date) -> list[_Film]:
    """Return the films of a day that have been read, each with the model that read it or the film before it."""
    other = reading.alias("other")
    newest = select(func.max(other.c.id)).where(other.c.film_id == film.c.id).scalar_subquery()
    columns = (film.c.id, film.c.calling_ae_title, reading.c.not_analysed, reading.c.id.label("reading_id"))
    query = select(*columns, *READING_COLUMNS).select_from(film).join(reading, reading.c.id == newest)
    rows = connection.execute(query.where(*_of_day(day)).order_by(reading.c.id)).all()
    if not rows:
        return []
    models = [_model(row[len(columns) :]) for row in rows]
    model = _model_before(connection, rows[0].reading_id) or next(filter(None, models), None)
    films = []
    for row, own_model in zip(rows, models, strict=True):
        model = own_model or model
        if model is not None:
            films.append(_Film(row.id, row.calling_ae_title, model, row.not_analysed is None))
    return films


def _later_models(connection: Connection, day: date) -> Iterator[_Film]:
    """Yield the films of a day for each bundle of a cascade that read them beside the model of the reading."""
    other = reading.alias("other")
    newest = select(func.max(other.c.id)).where(other.c.film_id == film.c.id).scalar_subquery()
    query = (
        select(film.c.id, film.c.calling_ae_title, cascade_step.c.state, *STEP_COLUMNS, *READING_COLUMNS)
        .select_from(film)
        .join(reading, reading.c.id == newest)
        .join(cascade_step, cascade_step.c.reading_id == reading.c.id)
        .where(*_of_day(day), cascade_step.c.state != StepState.NOT_READ)
    )
    for film_id, device, state, *columns in connection.execute(query):
        own, of_reading = ModelKey(*columns[: len(STEP_COLUMNS)]), ModelKey(*columns[len(STEP_COLUMNS) :])
        if own != of_reading:
            yield _Film(film_id, device, own, state == StepState.ANSWERED)


def _model(columns: Iterable[str | None]) -> ModelKey | None:
    """Return the model of the columns of a reading; None for a film that was not analysed."""
    name, *others = columns
    return None if name is None else ModelKey(name, *(str(other) for other in others))


def _model_before(connection: Connection, reading_id: int) -> ModelKey | None:
    """Return the model of the last reading by any model before another reading."""
    is_before = reading.c.id < reading_id, reading.c.model_name.is_not(None)
    query = select(*READING_COLUMNS).where(*is_before).order_by(reading.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _model(row)


def _scores(connection: Connection, day: date) -> Iterator[ModelStatistic]:
    """Yield the scores of each finding, device and model; the database counts the bins."""
    bin_number = finding.c.score * SCORE_BINS
    if connection.dialect.name == "postgresql":  # its casts round; those of SQLite truncate, and it may lack floor()
        bin_number = func.floor(bin_number)
    groups = (*FINDING_COLUMNS, film.c.calling_ae_title, finding.c.key, cast(bin_number, Integer).label("bin"))
    present = func.sum(case((finding.c.presence == Presence.PRESENT.value, 1), else_=0))
    query = (
        select(*groups, func.count(), present, func.sum(finding.c.score))
        .select_from(film)
        .join(reading, reading.c.film_id == film.c.id)
        .join(finding, finding.c.reading_id == reading.c.id)
        .where(*_of_day(day))
        .group_by(*groups)
    )
    sums: dict[_Group, _Sum] = defaultdict(_Sum)
    for *model, device, key, number, films, hits, total in connection.execute(query):
        sums[_Group(ModelKey(*model), device, key)].add(min(int(number), SCORE_BINS - 1), films, hits, total)
    for group, scores in sums.items():
        yield ModelStatistic(model=group.model, statistic=DailyStatistic(
            day=day, device=group.device, kind=Statistic.SCORE, key=group.key,
            films=scores.films, hits=scores.hits, total=scores.total, histogram=scores.histogram,
        ))  # fmt: skip


@dataclass(slots=True)
class _Sum:
    films: int = 0
    hits: int = 0
    total: float = 0.0
    histogram: dict[int, int] = field(default_factory=dict)

    def add(self, number: int, films: int, hits: int, total: float) -> None:
        self.films += films
        self.hits += hits
        self.total += total
        self.histogram[number] = self.histogram.get(number, 0) + films


def _rejected(films: Iterable[_Film], day: date) -> Iterator[ModelStatistic]:
    groups: dict[_Group, list[bool]] = defaultdict(list)
    for film_read in films:
        groups[_Group(film_read.model, film_read.device)].append(film_read.is_analysed)
    for group, analysed in groups.items():
        rejected = analysed.count(False)
        yield ModelStatistic(model=group.model, statistic=DailyStatistic(
            day=day, device=group.device, kind=Statistic.REJECTED, key=group.key,
            films=len(analysed), hits=rejected, total=float(rejected),
        ))  # fmt: skip


def _turnaround(connection: Connection, day: date, films: Iterable[_Film]) -> Iterator[ModelStatistic]:
    view = VIEWS["v1_turnaround"].selectable
    start = datetime.combine(day, time(), UTC)
    within = (view.c.received_at >= start, view.c.received_at < start + timedelta(days=1), view.c.total_s.is_not(None))
    rows = connection.execute(select(view.c.film_id, view.c.total_s).where(*within))
    total_s = {row.film_id: row.total_s for row in rows}
    groups: dict[_Group, list[float]] = defaultdict(list)
    for film_read in films:
        if film_read.film_id in total_s:
            groups[_Group(film_read.model, film_read.device)].append(total_s[film_read.film_id])
    for group, seconds in groups.items():
        yield ModelStatistic(model=group.model, statistic=DailyStatistic(
            day=day, device=group.device, kind=Statistic.TURNAROUND, key=group.key,
            films=len(seconds), hits=0, total=sum(seconds), histogram=Counter(map(seconds_bin, seconds)),
        ))  # fmt: skip
