"""Days counted out of the database and judged, on both databases; what is said of it by command, alarm and metrics."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from benchmarks.drift import seeded
from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.monitoring_tables import daily_statistic
from cxr_node.domain.clock import utc_now
from cxr_node.monitoring.drift import DriftRules
from cxr_node.ops.alarms import active_alarms
from cxr_node.queries import daily_stats as days
from cxr_node.queries import drift, view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.work.periodic import drift as drift_job
from tests.support import films
from tests.support.monitored_films import ScoredFilm, read_films
from tests.support.node import InProcessNode
from tests.support.running_node import opened, settings_file
from tests.support.web import Page, served_page

pytestmark = pytest.mark.ci_on_postgresql


START = datetime(2026, 3, 1, 9, 0, tzinfo=utc_now().tzinfo)
RULES = DriftRules(reference_films=50, minimum_films=30)
A_DAY = 8


def stream(
    *, days: int, first: int = 0, shift: float = 0.0, device: str = "DX1", version: str = "1"
) -> Iterator[ScoredFilm]:
    chance = seeded(first * 100 + sum(device.encode()))
    for day in range(first, first + days):
        for number in range(A_DAY):
            yield ScoredFilm(
                name=f"{device}-{version}-{day}-{number}",
                at=START + timedelta(days=day, minutes=number),
                device=device,
                score=min(1.0, chance.betavariate(2, 5) + shift),
                version=version,
            )


def rows(database: Database, view: str) -> list[dict[str, object]]:
    with database.read() as connection:
        return view_rows.rows(connection, VIEWS[view])


def turn(database: Database, *, day: int) -> None:
    drift_job.turn(database, rules=RULES, clock=SimulatedClock(START + timedelta(days=day)))


def test_statistics_are_by_device_and_model(database: Database) -> None:
    read_films(database, [
        ScoredFilm(name="a", at=START, score=0.2), ScoredFilm(name="b", at=START, score=0.7),
        ScoredFilm(name="c", at=START, score=None), ScoredFilm(name="d", at=START, device="DX2", score=1.0),
        ScoredFilm(name="e", at=START, score=0.9, version="2"),
    ])  # fmt: skip

    turn(database, day=0)

    statistics = {
        (row["calling_ae_title"], row["model_version"], row["kind"]): row
        for row in rows(database, "v1_daily_statistics")
    }
    assert {key: (row["films"], row["hits"]) for key, row in statistics.items()} == {
        ("DX1", "1", "score"): (2, 1), ("DX2", "1", "score"): (1, 1), ("DX1", "2", "score"): (1, 1),
        ("DX1", "1", "rejected"): (3, 1), ("DX2", "1", "rejected"): (1, 0), ("DX1", "2", "rejected"): (1, 0),
    }  # fmt: skip
    assert statistics["DX1", "1", "score"]["mean"] == pytest.approx(0.45)
    assert statistics["DX1", "1", "score"]["day"] == "2026-03-01"
    with database.read() as connection:
        query = select(daily_statistic.c.histogram).where(daily_statistic.c.kind == "score")
        histograms = connection.execute(query).scalars().all()
    assert {"40": 1, "140": 1} in histograms
    assert {"199": 1} in histograms


def test_a_film_read_again_counts_once_on_its_day(database: Database) -> None:
    read_films(database, [ScoredFilm(name="a", at=START, score=0.2), ScoredFilm(name="b", at=START, score=0.2)])
    turn(database, day=0)
    read_films(database, [ScoredFilm(name="a", at=START, score=0.8)])

    turn(database, day=20)

    (score,) = (row for row in rows(database, "v1_daily_statistics") if row["kind"] == "score")
    assert (score["films"], score["hits"], score["mean"]) == (2, 1, pytest.approx(0.5))


def test_films_received_before_a_model_are_left_out(database: Database) -> None:
    read_films(database, [ScoredFilm(name="old", at=START)])
    read_films(database, [ScoredFilm(name="new", at=START + timedelta(days=5), version="2")])
    turn(database, day=5)
    read_films(database, [ScoredFilm(name="old", at=START, score=0.9, version="2")])

    turn(database, day=6)

    assert {(row["day"], row["model_version"]) for row in rows(database, "v1_daily_statistics")} == {
        ("2026-03-01", "1"), ("2026-03-06", "2"),
    }  # fmt: skip


def test_turnaround_counts_delivered_results(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    node.accept(films.dx())
    node.work()

    drift_job.update_daily_statistics(database, now=node.clock.now)

    (row,) = (row for row in rows(database, "v1_daily_statistics") if row["kind"] == "turnaround")
    assert row["films"] == 1
    assert row["mean"] == pytest.approx(2.0)


def test_drift_of_one_device_does_not_affect_another(database: Database) -> None:
    read_films(database, stream(days=14))
    read_films(database, stream(days=14, device="DX2"))
    read_films(database, stream(days=7, first=14, shift=0.3))
    read_films(database, stream(days=7, first=14, device="DX2"))

    turn(database, day=21)

    with database.read() as connection:
        day, _ = drift.newest(connection)
        drifted = drift.drifted(connection)
    assert day == date(2026, 3, 21)
    assert set(drifted) == {"DX1"}
    assert "score lung_opacity" in drifted["DX1"]
    (row,) = (
        row for row in rows(database, "v1_drift")
        if (row["day"], row["calling_ae_title"], row["kind"]) == ("2026-03-21", "DX1", "score")
    )  # fmt: skip
    assert (row["reference_from"], row["reference_until"]) == ("2026-03-01", "2026-03-07")
    assert (row["window_from"], row["films"], row["reference_films"]) == ("2026-03-15", 56, 56)
    assert row["is_drift"] is True or row["is_drift"] == 1


def test_a_day_is_evaluated_once_an_hour_after_its_end(database: Database) -> None:
    read_films(database, stream(days=9))
    midnight = datetime.combine((START + timedelta(days=9)).date(), datetime.min.time(), START.tzinfo)
    clock = SimulatedClock(midnight + timedelta(minutes=59))
    drift_job.turn(database, rules=RULES, clock=clock)
    with database.read() as connection:
        assert drift.newest(connection)[0] == date(2026, 3, 8)

    clock.advance(minutes=2)
    drift_job.turn(database, rules=RULES, clock=clock)
    before = rows(database, "v1_drift")
    clock.advance(minutes=10)
    drift_job.turn(database, rules=RULES, clock=clock)

    with database.read() as connection:
        assert drift.newest(connection)[0] == date(2026, 3, 9)
    assert rows(database, "v1_drift") == before


def test_a_new_model_version_has_its_own_reference(database: Database) -> None:
    read_films(database, stream(days=14))
    read_films(database, stream(days=8, first=14, shift=0.3, version="2"))

    turn(database, day=22)

    with database.read() as connection:
        assert drift.drifted(connection) == {}
        assert drift.newest(connection)[0] == date(2026, 3, 22)
    assert {row["model_version"] for row in rows(database, "v1_drift")} == {"1"}


def test_new_readings_are_processed_in_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(days, "_BATCH_READINGS", 10)
    read_films(database, stream(days=4))

    turn(database, day=40)

    assert len(rows(database, "v1_daily_statistics")) == 8
    with database.read() as connection:
        assert days.changed_days(connection) == (set(), None)


@pytest.fixture
def drifting(tmp_path: Path) -> Iterator[tuple[Path, Database]]:
    """The settings and the database of a node of which one device has drifted, as of yesterday."""
    config = settings_file(tmp_path / "node", more="[drift]\nreference_films = 50\nminimum_films = 30")
    settings = load(config)
    settings.node.data_folder.mkdir(parents=True)
    with opened(settings) as database:
        migrate.upgrade(database)
        ago = utc_now() - timedelta(days=21) - START
        recorded = [*stream(days=14), *stream(days=7, first=14, shift=0.3)]
        read_films(
            database,
            [replace(film, at=film.at + ago) for film in recorded],
        )
        yield config, database


def test_the_command_evaluates_and_prints_table_csv_and_json(drifting: tuple[Path, Database]) -> None:
    config, _ = drifting

    def output(*arguments: str) -> str:
        ended = CliRunner().invoke(app, ["drift", *arguments, "--config", str(config)], env={"COLUMNS": "200"})
        assert ended.exit_code == 0, ended.output
        return ended.output

    assert "no day has been evaluated" in output()
    table = output("--now")
    assert "DRIFT" in table
    assert "score lung_opacity" in table
    plain = json.loads(output("--json", "--only-drift", "--days", "3"))
    assert plain["statistics"]
    assert {row["calling_ae_title"] for row in plain["statistics"] if row["is_drift"]} == {"DX1"}
    assert next(csv.DictReader(io.StringIO(output("--csv"))))["calling_ae_title"] == "DX1"
    assert "nothing to compare" in output("--device", "DX9")


def test_an_alarm_names_a_drifted_device_once(drifting: tuple[Path, Database]) -> None:
    config, database = drifting
    settings = load(config)
    CliRunner().invoke(app, ["drift", "--now", "--config", str(config)])

    alarms = active_alarms(settings, database, now=utc_now())

    (name,) = (name for name in alarms if name.startswith("drift"))
    assert name == "drift DX1"
    assert "score lung_opacity" in alarms[name]


def test_page_api_and_metrics_show_drift(tmp_path: Path) -> None:
    with served_page(tmp_path / "node") as page:
        with page.visited_by("admin") as client:
            untouched = client.get("/monitoring").text
            _plant(page)
            shown = client.get("/monitoring").text
            chosen = client.get("/monitoring", params={"statistic": "positive lung_opacity"})
            twin = client.get("/api/v1/monitoring").json()
            none = client.get("/api/v1/monitoring", params={"statistic": "score </script>"}).json()
        metrics = client_metrics(page)

    assert "No day has been evaluated yet" in untouched
    assert "statistics have drifted" in shown
    assert 'data-chart="statistic"' in shown
    assert chosen.status_code == 200
    assert twin["drifted"] >= 1
    assert twin["statistic"] == "score lung_opacity"
    assert len([row for row in twin["days"] if row["calling_ae_title"] == "DX7"]) == 21
    assert none["days"] == []
    assert 'cxr_node_drift{finding="lung_opacity",kind="score",sender="DX7"} 1.0' in metrics


def _plant(page: Page) -> None:
    ago = utc_now() - timedelta(days=21) - START
    recorded = [*stream(days=14, device="DX7"), *stream(days=7, first=14, shift=0.3, device="DX7")]
    read_films(page.node.database, [replace(film, at=film.at + ago) for film in recorded])
    drift_job.turn(page.node.database, rules=RULES, clock=utc_now)


def client_metrics(page: Page) -> str:
    with page.visited_by() as client:
        return client.get("/metrics").text
