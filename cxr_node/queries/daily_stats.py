"""Days counted: what each device's films of a day were read as, small enough to be kept for years."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, Connection, Integer, case, cast, delete, func, insert, select, update

from cxr_node.db.constancy_tables import is_not_constancy_film
from cxr_node.db.database import Transaction
from cxr_node.db.monitoring_tables import daily_statistic, daily_statistic_progress
from cxr_node.db.tables import film, finding, reading
from cxr_node.domain.daily_stats import SCORE_BINS, DailyStatistic, Statistic, seconds_bin
from cxr_node.domain.reading import Presence
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records.models import IDENTITY, Model, first_read, model_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatistic:
    """A figure of a day, and of which model it is."""

    of: Model
    day: DailyStatistic


_AT_ONCE = 50_000
"""Readings that are looked through at once for the days of their films."""


def changed_days(connection: Connection) -> tuple[set[date], int | None]:
    """Return the days of the next films that were read since days were last counted, and the mark after them.

    Without a mark, nothing was read since.
    """
    marked = connection.execute(select(func.max(daily_statistic_progress.c.reading_id))).scalar() or 0
    upto = marked + _AT_ONCE
    read = reading.c.id > marked, reading.c.id <= upto
    rows = connection.execute(select(film.c.received_at).join(reading, reading.c.film_id == film.c.id).where(*read))
    days = {at.date() for (at,) in rows}
    last = connection.execute(select(func.max(reading.c.id))).scalar() or 0
    return days, None if last <= marked else min(upto, last)


def store_progress(transaction: Transaction, reading_id: int) -> None:
    """Remember up to which reading days have been counted."""
    if not transaction.connection.execute(update(daily_statistic_progress).values(reading_id=reading_id)).rowcount:
        transaction.connection.execute(insert(daily_statistic_progress).values(reading_id=reading_id))


def compute(connection: Connection, day: date) -> list[ModelStatistic]:
    """Count a day's films. A film read twice counts as each model last read it; one not analysed, as of the model
    that read the film before it.
    """
    films = _films(connection, day)
    said = [*_scores(connection, day), *_rejected(films, day), *_turnaround(connection, day, films)]
    started = first_read(connection, {each.of for each in said})
    return [each for each in said if started[each.of].date() <= day]


def store(transaction: Transaction, day: date, said: Iterable[ModelStatistic], *, now: datetime) -> None:
    """Write what a day's count says in place of what it said before."""
    connection = transaction.connection
    connection.execute(delete(daily_statistic).where(daily_statistic.c.day == day.isoformat()))
    rows = [
        {
            "model_id": model_id(connection, each.of, now=now),
            "day": day.isoformat(),
            "calling_ae_title": each.day.device,
            "kind": each.day.kind.value,
            "key": each.day.key,
            "films": each.day.films,
            "hits": each.day.hits,
            "total": each.day.total,
            "histogram": {str(number): many for number, many in each.day.histogram.items()},
        }
        for each in said
    ]
    if rows:
        connection.execute(insert(daily_statistic), rows)


@dataclass(frozen=True, slots=True)
class _Film:
    film_id: int
    device: str
    of: Model
    is_analysed: bool


def _of_day(day: date) -> tuple[ColumnElement[bool], ...]:
    start = datetime.combine(day, time(), UTC)
    return (
        film.c.received_at >= start,
        film.c.received_at < start + timedelta(days=1),
        film.c.is_original.is_(True),
        is_not_constancy_film(),
    )


def _films(connection: Connection, day: date) -> list[_Film]:
    """Return the day's films that have been read, each with the model that read it or the film before it."""
    again = reading.alias("again")
    newest = select(func.max(again.c.id)).where(again.c.film_id == film.c.id).scalar_subquery()
    columns = (film.c.id, film.c.calling_ae_title, reading.c.not_analysed, *IDENTITY.values())
    query = select(*columns, reading.c.id.label("reading_id")).select_from(film).join(reading, reading.c.id == newest)
    rows = connection.execute(query.where(*_of_day(day)).order_by(reading.c.id)).all()
    if not rows:
        return []
    before = select(*IDENTITY.values()).where(reading.c.id < rows[0].reading_id, reading.c.model_name.is_not(None))
    last = connection.execute(before.order_by(reading.c.id.desc()).limit(1)).first()
    models = [tuple(row[3:-1]) if row[3] is not None else None for row in rows]
    of: Model | None = tuple(last) if last else next((each for each in models if each is not None), None)
    found = []
    for row, named in zip(rows, models, strict=True):
        of = named or of
        if of is not None:
            found.append(_Film(row[0], row[1], of, row[2] is None))
    return found


def _scores(connection: Connection, day: date) -> Iterator[ModelStatistic]:
    """Yield each finding's scores by device and model; the database counts them into bins."""
    place = finding.c.score * SCORE_BINS
    if connection.dialect.name == "postgresql":  # whose casts round; SQLite's cut off, and it may have no floor()
        place = func.floor(place)
    groups = (*IDENTITY.values(), film.c.calling_ae_title, finding.c.key, cast(place, Integer).label("bin"))
    present = func.sum(case((finding.c.presence == Presence.PRESENT.value, 1), else_=0))
    query = (
        select(*groups, func.count(), present, func.sum(finding.c.score))
        .select_from(film)
        .join(reading, reading.c.film_id == film.c.id)
        .join(finding, finding.c.reading_id == reading.c.id)
        .where(*_of_day(day))
        .group_by(*groups)
    )
    found: dict[tuple[Model, str, str], _Sum] = defaultdict(_Sum)
    for *of, device, key, bin_, films, hits, total in connection.execute(query):
        found[tuple(of), device, key].add(min(int(bin_), SCORE_BINS - 1), films, hits, total)
    for (named, device, key), each in found.items():
        made = DailyStatistic(
            day=day, device=device, kind=Statistic.SCORE, key=key,
            films=each.films, hits=each.hits, total=each.total, histogram=each.counts,
        )  # fmt: skip
        yield ModelStatistic(of=named, day=made)


@dataclass(slots=True)
class _Sum:
    films: int = 0
    hits: int = 0
    total: float = 0.0
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, number: int, films: int, hits: int, total: float) -> None:
        self.films += films
        self.hits += hits
        self.total += total
        self.counts[number] = self.counts.get(number, 0) + films


def _rejected(films: Iterable[_Film], day: date) -> Iterator[ModelStatistic]:
    groups: dict[tuple[Model, str], list[bool]] = defaultdict(list)
    for each in films:
        groups[each.of, each.device].append(each.is_analysed)
    for (of, device), analysed in groups.items():
        rejected = analysed.count(False)
        made = DailyStatistic(
            day=day, device=device, kind=Statistic.REJECTED, key="",
            films=len(analysed), hits=rejected, total=float(rejected),
        )  # fmt: skip
        yield ModelStatistic(of=of, day=made)


def _turnaround(connection: Connection, day: date, films: Iterable[_Film]) -> Iterator[ModelStatistic]:
    view = VIEWS["v1_turnaround"].selectable
    start = datetime.combine(day, time(), UTC)
    within = (view.c.received_at >= start, view.c.received_at < start + timedelta(days=1), view.c.total_s.is_not(None))
    rows = connection.execute(select(view.c.film_id, view.c.total_s).where(*within))
    seconds = {row.film_id: row.total_s for row in rows}
    groups: dict[tuple[Model, str], list[float]] = defaultdict(list)
    for each in films:
        if each.film_id in seconds:
            groups[each.of, each.device].append(seconds[each.film_id])
    for (of, device), took in groups.items():
        made = DailyStatistic(
            day=day, device=device, kind=Statistic.TURNAROUND, key="",
            films=len(took), hits=0, total=sum(took), histogram=Counter(map(seconds_bin, took)),
        )  # fmt: skip
        yield ModelStatistic(of=of, day=made)
