"""Charts: their numbers against those of films and daily statistics, on both databases."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.daily_stats import DailyStatistic, DateRange, DriftResult, Statistic, seconds_bin
from cxr_node.queries import charts, daily_stats, drift, view_rows
from cxr_node.queries.daily_stats import ModelStatistic
from cxr_node.queries.grouping import GroupBy
from cxr_node.queries.quantiles import quantile
from cxr_node.queries.scores import finding_scores
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queue import claiming
from cxr_node.records.models import ModelKey, model_id
from tests.support import films
from tests.support.monitored_films import ScoredFilm, read_films
from tests.support.node import InProcessNode
from tests.support.queue import LEASE

pytestmark = pytest.mark.ci_on_postgresql


MONDAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MODEL = ModelKey("chest", "1", "0" * 64, "", "")


def statistic(day: date, kind: Statistic, histogram: dict[int, int], *, device: str = "DX1") -> ModelStatistic:
    films = sum(histogram.values())
    return ModelStatistic(model=MODEL, statistic=DailyStatistic(
        day=day, device=device, kind=kind, key="lung_opacity" if kind is Statistic.SCORE else "",
        films=films, hits=0, total=0.0, histogram=histogram,
    ))  # fmt: skip


def stored(database: Database, *statistics: ModelStatistic) -> None:
    by_day: dict[date, list[ModelStatistic]] = {}
    for row in statistics:
        by_day.setdefault(row.statistic.day, []).append(row)
    with database.write() as transaction:
        for day, rows in by_day.items():
            daily_stats.store(transaction, day, rows, now=MONDAY)


def test_a_quantile_is_the_least_value_that_enough_do_not_exceed() -> None:
    histogram = Counter({1.0: 90, 5.0: 9, 60.0: 1})

    assert charts.quantile_of(histogram, 0.50) == 1.0
    assert charts.quantile_of(histogram, 0.95) == 5.0
    assert charts.quantile_of(histogram, 0.99) == 5.0
    assert charts.quantile_of(histogram, 1.0) == 60.0
    assert charts.quantile_of({}, 0.5) is None


@pytest.mark.parametrize(("days", "unit", "starts"), [(31, "day", 2), (366, "week", 1)])
def test_turnaround_of_longer_periods_comes_from_daily_statistics(
    database: Database, days: int, unit: str, starts: int
) -> None:
    fast, slow = seconds_bin(2.0), seconds_bin(30.0)
    stored(
        database,
        statistic(date(2026, 3, 3), Statistic.TURNAROUND, {fast: 19, slow: 1}),
        statistic(date(2026, 3, 4), Statistic.TURNAROUND, {fast: 10, slow: 10}),
        statistic(date(2026, 3, 4), Statistic.TURNAROUND, {slow: 1}, device="DX2"),
    )

    with database.read() as connection:
        chart = charts.turnaround(connection, days=days, now=MONDAY + timedelta(days=4))

    first, second = chart["lines"]
    assert (chart["unit"], len(chart["at"])) == (unit, starts)
    assert (first["device"], second["device"]) == ("DX1", "DX2")
    assert first["p50"][0] == pytest.approx(2.0, rel=0.13)
    if unit == "day":
        assert first["p95"] == [pytest.approx(2.0, rel=0.13), pytest.approx(30.0, rel=0.13)]
        assert second["p50"] == [None, pytest.approx(30.0, rel=0.13)]
    else:
        assert datetime.fromtimestamp(chart["at"][0], UTC).weekday() == 0


def test_only_the_busiest_devices_are_drawn(database: Database) -> None:
    stored(database, *(
        statistic(date(2026, 3, 3), Statistic.TURNAROUND, {0: number + 1}, device=f"DX{number}") for number in range(12)
    ))  # fmt: skip

    with database.read() as connection:
        chart = charts.turnaround(connection, days=31, now=MONDAY + timedelta(days=2))

    assert sorted(line["device"] for line in chart["lines"]) == sorted(f"DX{number}" for number in range(4, 12))


def test_films_are_counted_by_weekday_and_hour_of_the_zone(database: Database) -> None:
    late = MONDAY.replace(hour=23)
    read_films(database, [
        ScoredFilm(name="a", at=MONDAY), ScoredFilm(name="b", at=MONDAY), ScoredFilm(name="c", at=late),
    ])  # fmt: skip
    now = MONDAY + timedelta(days=6, hours=20)

    with database.read() as connection:
        chart = charts.films_by_hour(connection, days=7, now=now, zone=timezone(timedelta(hours=2), "EET"))

    assert chart["zone"] == "EET"
    assert chart["films"][0][11] == 2.0
    assert chart["films"][1][1] == 1.0  # 23:30 of Monday in UTC is Tuesday there
    assert sum(map(sum, chart["films"])) == 3.0
    assert {times for row in chart["occurrences"] for times in row} <= {1, 2}


def test_a_month_has_the_mean_of_its_mondays(database: Database) -> None:
    read_films(database, [ScoredFilm(name=str(week), at=MONDAY + timedelta(weeks=week)) for week in (0, 2)])

    with database.read() as connection:
        chart = charts.films_by_hour(connection, days=366, now=MONDAY + timedelta(weeks=4), zone=UTC)

    assert chart["occurrences"][0][9] == 5
    assert chart["films"][0][9] == pytest.approx(2 / 5)


def test_scores_are_shares_beside_those_of_the_reference(database: Database) -> None:
    reference, today = date(2026, 2, 2), date(2026, 3, 3)
    stored(
        database,
        statistic(reference, Statistic.SCORE, {0: 3, 199: 1}),
        statistic(today, Statistic.SCORE, {0: 1, 100: 1}),
    )
    result = DriftResult(
        day=today,
        device="DX1",
        kind=Statistic.SCORE,
        key="lung_opacity",
        reference=DateRange(first=reference, last=reference),
        window=DateRange(first=today, last=today),
        reference_films=4,
        films=2,
        reference_value=0.2,
        value=0.3,
        effect=0.1,
        p_value=0.5,
    )
    with database.write() as transaction:
        number = model_id(transaction.connection, MODEL, now=MONDAY)
        drift.store(transaction, number, [result], now=MONDAY)

    with database.read() as connection:
        (chart,) = charts.scores(connection, days=7, now=MONDAY + timedelta(days=2))

    assert (chart["key"], chart["films"], chart["reference_films"]) == ("lung_opacity", 2, 4)
    assert chart["shares"][0] == chart["shares"][10] == 0.5
    assert chart["reference"][0] == 0.75
    assert chart["reference"][19] == 0.25


def test_the_longest_wait_of_each_day_or_hour_is_drawn(database: Database) -> None:
    hour = timedelta(hours=1)
    received = (MONDAY, MONDAY + hour, MONDAY + 24 * hour)
    read_films(database, [ScoredFilm(name=str(number), at=at) for number, at in enumerate(received)])
    with database.write() as transaction:
        for at, wait_s in ((MONDAY, 4), (MONDAY + hour, 9)):  # the third is not claimed
            now = at + timedelta(seconds=wait_s)
            assert len(claiming.claim(transaction, Stage.READ, owner="o", lease=LEASE, now=now)) == 1

    with database.read() as connection:
        by_day, by_hour = (charts.time_in_queue(connection, days=days, now=MONDAY + 25 * hour) for days in (7, 2))

    starts = [MONDAY.replace(minute=0) + hours * hour for hours in (0, 1, 24)]
    midnight = MONDAY.replace(hour=0, minute=0)
    assert by_day["at"] == [midnight.timestamp(), (midnight + 24 * hour).timestamp()]
    assert by_day["read_s"] == [9.0, None]
    assert by_hour["at"] == [start.timestamp() for start in starts]
    assert by_hour["read_s"] == [4.0, 9.0, None]
    assert by_day["deliver_s"] == [None, None]


def test_waits_and_scores_are_those_of_the_views(database: Database, tmp_path: Path) -> None:
    """PostgreSQL aggregates them itself: what it returns is what the rows of the views give."""
    node = InProcessNode(database, tmp_path)
    for number in range(6):
        node.accept(films.dx(seed=number))
        node.clock.advance(seconds=1.25 + number)
        node.turn(Stage.READ)
        node.clock.advance(seconds=400)  # beyond the study window
        node.turn(Stage.COMPOSE)
        node.clock.advance(seconds=0.5 * number)
        if number != 2:  # which is delivered with the next one
            node.work()
        node.clock.advance(seconds=90_000 if number in (1, 3) else 1)
    now = node.clock.now

    since = now - timedelta(days=7)
    with database.read() as connection:
        waits = charts.time_in_queue(connection, days=7, now=now)
        by_group = {by: finding_scores(connection, by, since=since, until=now) for by in GroupBy}
        turnaround = view_rows.rows(connection, VIEWS["v1_turnaround"])
        findings = view_rows.rows(connection, VIEWS["v1_findings"])

    days = sorted({row["received_day"] for row in turnaround})
    assert len(days) == len(waits["at"]) == 3
    for column in ("read_s", "deliver_s"):
        name = "wait_s" if column == "read_s" else column
        of_days = [[row[name] for row in turnaround if row["received_day"] == day] for day in days]
        assert waits[column] == [max(value for value in values if value is not None) for values in of_days]
    assert len(set(waits["deliver_s"])) > 1
    for by, scores in by_group.items():
        assert {row.group for row in scores} == {row[by.column] or "unknown" for row in findings}
        for row in scores:
            members = [one for one in findings if (one[by.column] or "unknown", one["key"]) == (row.group, row.key)]
            values = sorted(one["score"] for one in members)
            assert (row.films, row.p50, row.p95) == (len(members), quantile(values, 0.5), quantile(values, 0.95))
            assert row.present == sum(one["presence"] == "present" for one in members)


def test_charts_without_films_are_empty(database: Database) -> None:
    with database.read() as connection:
        assert charts.turnaround(connection, days=1, now=MONDAY) == {"unit": "hour", "at": [], "lines": []}
        assert charts.time_in_queue(connection, days=7, now=MONDAY) == {"at": [], "read_s": [], "deliver_s": []}
        assert charts.scores(connection, days=7, now=MONDAY) == []
