"""Charts of a period: turnaround by device, films by hour and weekday, time in the queue, scores against reference.

Up to a month, films themselves are counted; beyond, the daily statistics, which are small and kept for years.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from sqlalchemy import Connection, func, select

from cxr_node.db.monitoring_tables import daily_statistic, drift
from cxr_node.domain.daily_stats import SCORE_BINS, Statistic, seconds_of
from cxr_node.queries import longest_waits
from cxr_node.queries.views.registry import VIEWS

Row = dict[str, Any]

DEVICES = 8
"""Devices of a chart, the busiest; tables have all."""
SCORE_STEPS = 20
"""Bars of a distribution of scores, each of 5 points of 100."""
BY_HOUR_DAYS, _BY_FILM_DAYS, _BY_DAY_DAYS = 2, 31, 92
_WEEKDAYS = 7
_HOURS = 24
_SHARES = {"p50": 0.50, "p95": 0.95}


def turnaround(connection: Connection, *, days: int, now: datetime) -> Row:
    """Return p50 and p95 of seconds from reception to delivery, of the busiest devices, by hour, day or week.

    `at` are the Unix times at which intervals begin. Up to two days intervals are hours of reception, then days, and
    weeks beyond a quarter; these come from daily statistics, whose bins are 12 % wide.
    """
    since = now - timedelta(days=days)
    if days <= BY_HOUR_DAYS:
        unit, groups = "hour", _by_hour(connection, since)
    else:
        unit = "day" if days <= _BY_DAY_DAYS else "week"
        groups = _by_day(connection, since.date(), is_weekly=unit == "week")
    films: Counter[str] = Counter()
    for (_, device), histogram in groups.items():
        films[device] += histogram.total()
    devices = sorted(device for device, _ in films.most_common(DEVICES))
    starts = sorted({start for start, _ in groups})
    lines = [
        {
            "device": device,
            **{
                name: [quantile_of(groups.get((start, device), Counter()), share) for start in starts]
                for name, share in _SHARES.items()
            },
        }
        for device in devices
    ]
    return {"unit": unit, "at": [int(start.timestamp()) for start in starts], "lines": lines}


def quantile_of(histogram: Mapping[float, int], share: float) -> float | None:
    """Return the least value that at least a `share` of the counted values do not exceed; None without values."""
    wanted = math.ceil(share * sum(histogram.values()) - 1e-9)
    below = 0
    for value in sorted(histogram):
        below += histogram[value]
        if below >= wanted:
            return value
    return None


def films_by_hour(connection: Connection, *, days: int, now: datetime, zone: tzinfo | None = None) -> Row:
    """Return the mean number of films by weekday and hour, Monday first, in the zone of this host or `zone`.

    The period is at most a month. `films` has shape (7, 24); `occurrences` says how often each hour lies in it.
    """
    since = _hour(now - timedelta(days=min(days, _BY_FILM_DAYS)))
    view = VIEWS["v1_films"].selectable
    counts = connection.execute(
        select(view.c.received_day, view.c.received_hour, func.count())
        .where(view.c.received_at >= since)
        .group_by(view.c.received_day, view.c.received_hour)
    ).all()
    films = [[0] * _HOURS for _ in range(_WEEKDAYS)]
    occurrences = [[0] * _HOURS for _ in range(_WEEKDAYS)]
    for day, hour, count in counts:
        local = datetime.combine(date.fromisoformat(day), time(int(hour)), UTC).astimezone(zone)
        films[local.weekday()][local.hour] += count
    at = since
    while at <= now:
        local = at.astimezone(zone)
        occurrences[local.weekday()][local.hour] += 1
        at += timedelta(hours=1)
    means = [
        [count / times if times else 0.0 for count, times in zip(of_films, of_times, strict=True)]
        for of_films, of_times in zip(films, occurrences, strict=True)
    ]
    return {"zone": now.astimezone(zone).tzname() or "", "films": means, "occurrences": occurrences}


def time_in_queue(connection: Connection, *, days: int, now: datetime) -> Row:
    """Return the longest wait for reading and for delivery, in seconds, of the films received in each hour or day.

    The period is at most a month.
    """
    since = now - timedelta(days=min(days, _BY_FILM_DAYS))
    longest = _longest_by_hour(connection, since) if days <= BY_HOUR_DAYS else _longest_by_day(connection, since)
    starts = sorted(longest)
    return {
        "at": [int(at.timestamp()) for at in starts],
        "read_s": [longest[at][0] for at in starts],
        "deliver_s": [longest[at][1] for at in starts],
    }


def _longest_by_hour(connection: Connection, since: datetime) -> dict[datetime, Sequence[float | None]]:
    view = VIEWS["v1_turnaround"].selectable
    rows = connection.execute(
        select(view.c.received_at, view.c.wait_s, view.c.deliver_s).where(view.c.received_at >= since)
    )
    longest: dict[datetime, list[float | None]] = {}
    for received_at, *waits in rows.all():
        group = longest.setdefault(_hour(received_at), [None, None])
        for stage, seconds in enumerate(waits):
            if seconds is not None:
                group[stage] = max(seconds, group[stage] or 0.0)
    return dict(longest)


def _longest_by_day(connection: Connection, since: datetime) -> dict[datetime, Sequence[float | None]]:
    if connection.dialect.name == "postgresql":
        return longest_waits.longest_by_day(connection, since=since)
    view = VIEWS["v1_turnaround"].selectable
    rows = connection.execute(
        select(view.c.received_day, func.max(view.c.wait_s), func.max(view.c.deliver_s))
        .where(view.c.received_at >= since)
        .group_by(view.c.received_day)
    )
    return {datetime.combine(date.fromisoformat(day), time(), UTC): (wait, deliver) for day, wait, deliver in rows}


def scores(connection: Connection, *, days: int, now: datetime) -> list[Row]:
    """Return for each finding the distribution of its scores in the period and in the reference, by 5 points of 100.

    Distributions are shares of films, of the model of the newest statistics. The reference is that of the newest drift
    evaluation, all devices together; None where there is none.
    """
    newest = select(daily_statistic.c.model_id).where(daily_statistic.c.kind == Statistic.SCORE.value)
    model_id = connection.execute(newest.order_by(daily_statistic.c.day.desc(), daily_statistic.c.id.desc())).scalar()
    if model_id is None:
        return []
    since = (now - timedelta(days=days)).date()
    present = _score_histograms(connection, model_id, [(None, since, now.date())])
    references = _score_histograms(connection, model_id, _reference_ranges(connection, model_id))
    return [
        {
            "key": key,
            "films": histogram.total(),
            "shares": _shares(histogram),
            "reference_films": references[key].total() if key in references else 0,
            "reference": _shares(references[key]) if key in references else None,
        }
        for key, histogram in sorted(present.items())
    ]


def _by_hour(connection: Connection, since: datetime) -> dict[tuple[datetime, str], Counter[float]]:
    view = VIEWS["v1_turnaround"].selectable
    rows = connection.execute(
        select(view.c.received_at, view.c.calling_ae_title, view.c.total_s).where(
            view.c.received_at >= since, view.c.total_s.is_not(None)
        )
    )
    groups: defaultdict[tuple[datetime, str], Counter[float]] = defaultdict(Counter)
    for received_at, device, total_s in rows:
        groups[_hour(received_at), device][total_s] += 1
    return groups


def _by_day(connection: Connection, since: date, *, is_weekly: bool) -> dict[tuple[datetime, str], Counter[float]]:
    columns = (daily_statistic.c.day, daily_statistic.c.calling_ae_title, daily_statistic.c.histogram)
    rows = connection.execute(
        select(*columns).where(
            daily_statistic.c.kind == Statistic.TURNAROUND.value, daily_statistic.c.day >= since.isoformat()
        )
    )
    groups: defaultdict[tuple[datetime, str], Counter[float]] = defaultdict(Counter)
    for text, device, histogram in rows:
        day = date.fromisoformat(text)
        start = day - timedelta(days=day.weekday()) if is_weekly else day
        group = groups[datetime.combine(start, time(), UTC), device]
        for number, count in histogram.items():
            group[seconds_of(int(number))] += count
    return groups


_Range = tuple[str | None, date, date]
"""Calling AE title, or None for every device; first and last day."""


def _reference_ranges(connection: Connection, model_id: int) -> list[_Range]:
    of_model = (drift.c.model_id == model_id, drift.c.kind == Statistic.SCORE.value)
    day = connection.execute(select(func.max(drift.c.day)).where(*of_model)).scalar()
    columns = (drift.c.calling_ae_title, drift.c.reference_from, drift.c.reference_until)
    rows = connection.execute(select(*columns).where(*of_model, drift.c.day == day).distinct())
    return [(device, date.fromisoformat(first), date.fromisoformat(last)) for device, first, last in rows]


def _score_histograms(connection: Connection, model_id: int, ranges: Iterable[_Range]) -> dict[str, Counter[int]]:
    histograms: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for device, first, last in ranges:
        query = select(daily_statistic.c.key, daily_statistic.c.histogram).where(
            daily_statistic.c.model_id == model_id,
            daily_statistic.c.kind == Statistic.SCORE.value,
            daily_statistic.c.day >= first.isoformat(),
            daily_statistic.c.day <= last.isoformat(),
        )
        if device is not None:
            query = query.where(daily_statistic.c.calling_ae_title == device)
        for key, histogram in connection.execute(query):
            for number, count in histogram.items():
                histograms[key][int(number) * SCORE_STEPS // SCORE_BINS] += count
    return histograms


def _shares(histogram: Counter[int]) -> Sequence[float]:
    films = histogram.total()
    return [histogram[step] / films for step in range(SCORE_STEPS)]


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
