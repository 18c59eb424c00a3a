"""Prior films from another archive: from the query to the revised report."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import event
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain import concepts
from cxr_node.domain.prior_search import Candidate, PriorQuery, SearchFailed, SearchState
from cxr_node.domain.reading import Measurement
from cxr_node.ops.checks import priors as checks
from cxr_node.ops.checks.node import Status
from cxr_node.queries import ledger, prior_searches, view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import answer_states, fetched_films, readings
from cxr_node.records import films as film_rows
from cxr_node.report import codes
from cxr_node.report.sr.tree import items, name_of
from tests.support import peers, prior_archives
from tests.support.prior_archives import CURRENT, OTHERS, RIGHT, PriorArchive, SearchingNode, dicom_source, film
from tests.support.running_node import settings_file
from tests.support.web import PEOPLE, served_page

pytestmark = pytest.mark.ci_on_postgresql


AWAITS = "Not compared with prior films of the archive: they had not come when this was composed."


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PriorArchive]:
    with prior_archives.orthanc(tmp_path_factory.mktemp("archive"), (*OTHERS, RIGHT)) as running:
        yield running


def _summary(report: Dataset) -> str:
    (text,) = [str(item.TextValue) for _, item in items(report) if name_of(item) == codes.SUMMARY.value]
    return text


def _evidence(report: Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in report.get("PertinentOtherEvidenceSequence", ())
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def _state(node: SearchingNode) -> str:
    with node.database.read() as connection:
        (state,) = prior_searches.count_by_state(connection, since=node.node.clock.now - timedelta(days=2))
    return state


def _plant_ratios(node: SearchingNode, current: float, prior: float) -> None:
    """Store a cardiothoracic ratio with the readings of the film and of its fetched prior film."""

    def measured(value: float) -> tuple[Measurement, ...]:
        code, unit = concepts.CARDIOTHORACIC_RATIO, concepts.RATIO
        return (Measurement(key="CTR", code=code, value=value, unit=unit, line=(), provenance=""),)

    with node.database.write() as transaction:
        film = film_rows.get(transaction.connection, 1)
        reading = readings.latest(transaction.connection, 1, film.identity)
        fetched = fetched_films.prior_of(transaction.connection, 1)
        assert reading is not None
        assert fetched is not None
        now = node.node.clock.now
        readings.write(transaction, 1, replace(reading, measurements=measured(current)), now=now)
        prior_reading = replace(fetched[1], measurements=measured(prior))
        fetched_films.write_reading(transaction, fetched[0].fetched_film_id, prior_reading, now=now)


def test_of_five_candidates_the_right_film_is_fetched(
    archive: PriorArchive, database: Database, tmp_path: Path
) -> None:
    node = SearchingNode(database, tmp_path / "node", [dicom_source(archive)])
    node.read(CURRENT)
    node.search()
    _plant_ratios(node, 0.52, 0.47)
    node.node.work()

    (report,) = node.node.pacs.reports()
    assert "CTR 0.52, was 0.47 on 2023-03-02." in _summary(report)
    assert _evidence(report) == {str(RIGHT.SOPInstanceUID)}
    with database.read() as connection:
        compared = view_rows.rows(connection, VIEWS["v1_fetched_comparisons"])
    assert {row["prior_sop_instance_uid"] for row in compared} == {str(RIGHT.SOPInstanceUID)}
    assert {row["source"] for row in compared} == {"archive"}


def test_dcmqrscp_sends_the_rightfilm(migrated_file: Path, tmp_path: Path) -> None:
    """It matches no modality, and states neither view nor class of an instance: the headers of films decide."""
    shutil.copyfile(migrated_file, tmp_path / "node.db")
    with (
        closing(Database(f"sqlite:///{tmp_path / 'node.db'}")) as database,
        prior_archives.dcmqrscp(tmp_path / "archive", (*OTHERS, RIGHT)) as archive,
    ):
        node = SearchingNode(database, tmp_path / "node", [dicom_source(archive)])
        node.read(CURRENT)
        node.search()
        with database.read() as connection:
            fetched = fetched_films.prior_of(connection, 1)

    assert fetched is not None
    assert fetched[0].film.identity.sop_instance_uid == str(RIGHT.SOPInstanceUID)


def test_a_fetched_film_is_in_no_list_and_starts_no_report(
    archive: PriorArchive, database: Database, tmp_path: Path
) -> None:
    node = SearchingNode(database, tmp_path / "node", [dicom_source(archive)])
    node.read(CURRENT)
    node.search()
    node.node.work()

    with database.read() as connection:
        for name in ("v1_films", "v1_studies", "v1_turnaround"):
            assert len(view_rows.rows(connection, VIEWS[name])) == 1, name
        assert [entry.sop_instance_uid for entry in ledger.entries(connection)] == [str(CURRENT.SOPInstanceUID)]
        keys = ledger.archive_keys(connection)
    assert [str(report.StudyInstanceUID) for report in node.node.pacs.reports()] == [str(CURRENT.StudyInstanceUID)]
    assert {key.split("/")[0] for key in keys} == {"films", "results", "priors"}
    assert set(node.node.archive.stored_keys()) == keys


def test_without_the_archive_the_report_is_in_time_and_says_so(database: Database, tmp_path: Path) -> None:
    node = SearchingNode(database, tmp_path / "node", [dicom_source(PriorArchive(ae_title="AWAY", port=9))])
    node.read(CURRENT)
    node.searches.run()
    node.node.work()

    (report,) = node.node.pacs.reports()
    assert AWAITS in _summary(report)
    assert _state(node) == SearchState.WAITING

    node.node.clock.advance(seconds=prior_archives.SEARCHES_FOR.total_seconds())
    node.searches.run()
    node.node.work()
    assert _state(node) == SearchState.EXPIRED
    assert len(node.node.pacs.reports()) == 1


def test_a_film_that_comes_late_gives_a_revised_report(
    archive: PriorArchive, database: Database, tmp_path: Path
) -> None:
    node = SearchingNode(database, tmp_path / "node", [dicom_source(PriorArchive(ae_title="AWAY", port=9))])
    node.read(CURRENT)
    node.searches.run()
    node.node.work()
    node.sources = [dicom_source(archive)]
    node.node.clock.advance(seconds=10)
    node.search()
    _plant_ratios(node, 0.52, 0.47)
    node.node.work()

    first, revised = node.node.pacs.reports()
    assert AWAITS in _summary(first)
    assert "CTR 0.52, was 0.47 on 2023-03-02." in _summary(revised)
    assert AWAITS not in _summary(revised)
    assert _evidence(revised) == {str(RIGHT.SOPInstanceUID)}
    (earlier,) = revised.PredecessorDocumentsSequence
    predecessor = earlier.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert predecessor == first.SOPInstanceUID


def test_an_archive_without_a_prior_changes_no_report(
    archive: PriorArchive, database: Database, tmp_path: Path
) -> None:
    node = SearchingNode(database, tmp_path / "node", [dicom_source(archive)])
    node.read(film(9, "20230301"))  # before the right one
    node.search()
    node.node.work()

    (report,) = node.node.pacs.reports()
    assert AWAITS not in _summary(report)
    assert _evidence(report) == set()
    assert _state(node) == SearchState.NONE


class _SlowSource:
    """Source that has no answer until it is told to."""

    name = "slow"

    def __init__(self) -> None:
        self.asked: list[PriorQuery] = []

    def candidates(self, query: PriorQuery, *, until: float) -> list[Candidate]:  # noqa: ARG002  # of every source
        self.asked.append(query)
        raise SearchFailed("no answer in time")

    def fetch(self, candidate: Candidate, *, until: float) -> None:  # noqa: ARG002  # of every source
        raise AssertionError


def test_no_statement_of_an_idle_search_scans_a_table(database: Database, tmp_path: Path) -> None:
    """It runs each second, and a node that has searched for years has a row for each film."""
    node = SearchingNode(database, tmp_path / "node", [])
    executed: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        executed.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    node.searches.run()
    node.reading.turn()
    event.remove(database.engine, "before_cursor_execute", note)

    assert len(executed) >= 5
    with database.read() as connection:
        if connection.dialect.name == "sqlite":  # PostgreSQL scans whatever is empty
            plans = {
                text: [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]
                for text, values in executed
                if text.startswith(("SELECT", "UPDATE", "DELETE"))
            }
            scanned = {text for text, rows in plans.items() for row in rows if row.startswith("SCAN prior_search")}
            assert scanned == set()


def test_a_prior_of_the_own_archive_is_asked_of_nobody(database: Database, tmp_path: Path) -> None:
    source = _SlowSource()
    node = SearchingNode(database, tmp_path / "node", [source])  # type: ignore[list-item]  # it fetches nothing
    node.read(RIGHT)
    node.searches.run()
    node.node.work()
    asked_before = len(source.asked)
    node.read(CURRENT)
    node.searches.run()

    assert len(source.asked) == asked_before
    node.node.work()
    assert AWAITS not in _summary(node.node.pacs.reports()[-1])


def test_a_source_that_fails_is_asked_once_a_run(database: Database, tmp_path: Path) -> None:
    source = _SlowSource()
    node = SearchingNode(database, tmp_path / "node", [source])  # type: ignore[list-item]  # it fetches nothing
    for seed in range(6):
        node.read(film(seed, "20260301", PatientID=f"P{seed}"))
    node.searches.run()

    assert 1 <= len(source.asked) <= 4  # searches run side by side


def test_status_page_and_alarms_state_since_when_a_source_gives_no_answer(
    archive: PriorArchive, tmp_path: Path
) -> None:
    row = f'host = "127.0.0.1"\nport = {archive.port}\nae_title = "{archive.ae_title}"\n'
    names = ("archive", "spare")
    more = "".join(f'[[priors.sources]]\nkind = "dicom"\nname = "{name}"\n{row}' for name in names)
    with served_page(tmp_path / "page", more=f"{PEOPLE}\n[priors]\ncompare = true\n{more}") as page:
        database = page.node.database
        node = SearchingNode(database, tmp_path / "node", [dicom_source(archive)])
        node.read(CURRENT)
        node.search()
        answering = CliRunner().invoke(app, ["status", "--config", str(page.config)]).output
        with database.read() as connection:
            (answering_source,) = prior_searches.prior_sources(
                connection, since=node.node.clock.now - timedelta(days=1)
            )
        node.sources = [dicom_source(PriorArchive(ae_title="AWAY", port=9))]
        node.read(film(9, "20260301", PatientID="P9"))
        node.node.clock.advance(seconds=60)
        away_at = node.node.clock.now
        node.searches.run()
        node.node.clock.advance(seconds=60)
        node.searches.run()
        with page.visited_by("op") as client:
            operations = client.get("/").text.partition('id="prior-sources"')[2].partition("</section>")[0]
            (source,) = client.get("/api/v1/overview").json()["prior_sources"]
        status = " ".join(CliRunner().invoke(app, ["status", "--config", str(page.config)]).output.split())
        answer_states.forget_others(database, "source", ["spare"])
        with database.read() as connection:
            left = prior_searches.prior_sources(connection, since=away_at)

    assert (answering_source.source, answering_source.fetched, answering_source.trouble) == ("archive", 1, "")
    assert "answers for" in answering
    assert "no answer" in operations
    assert "no association with AWAY" in operations
    assert "not asked yet" in operations  # the other source
    assert (source["source"], datetime.fromisoformat(source["since"])) == ("archive", away_at)
    assert "amber: prior source archive: no answer since" in status
    assert "reports go out without its prior films" in status
    assert "prior films: none could be fetched" not in status
    assert left == ()


def test_a_fetched_film_is_removed_when_its_time_is_over(
    archive: PriorArchive, database: Database, tmp_path: Path
) -> None:
    node = SearchingNode(database, tmp_path / "node", [dicom_source(archive)])
    node.read(CURRENT)
    node.search()
    assert any(key.startswith("priors/") for key in node.node.archive.stored_keys())
    node.node.clock.advance(seconds=30 * 86400)
    node.searches.run()

    assert not any(key.startswith("priors/") for key in node.node.archive.stored_keys())
    with database.read() as connection:
        assert fetched_films.prior_of(connection, 1) is None


def test_films_that_wait_are_read_before_a_fetched_one(
    archive: PriorArchive, database: Database, tmp_path: Path
) -> None:
    node = SearchingNode(database, tmp_path / "node", [dicom_source(archive)])
    node.read(CURRENT)
    node.searches.run()
    node.node.accept(film(12, "20260302", PatientID="OTHER"))

    assert not node.reading.turn()
    while node.node.turn(Stage.READ):
        pass
    assert node.reading.turn()


def _settings(folder: Path, port: int, ae_title: str) -> Path:
    source = f'[[priors.sources]]\nkind = "dicom"\nname = "archive"\nhost = "127.0.0.1"\nport = {port}\n'
    more = f'[priors]\ncompare = true\n{source}ae_title = "{ae_title}"\n'
    return settings_file(folder, more=more)


def test_the_doctor_says_whether_a_source_sends_films(archive: PriorArchive, tmp_path: Path) -> None:
    (accepting,) = checks.sources(load(_settings(tmp_path / "accepting", archive.port, archive.ae_title)))
    assert (accepting.status, accepting.message) == (
        Status.OK,
        f"ORTHANC at 127.0.0.1 port {archive.port} accepts C-FIND and C-GET, C-MOVE",
    )

    with peers.storescp(tmp_path / "stored") as peer:
        (lacking,) = checks.sources(load(_settings(tmp_path / "lacking", peer.port, peer.ae_title)))
    assert lacking.status is Status.PROBLEM
