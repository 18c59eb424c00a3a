"""Databases that are lost while films are kept: noticed by a running node, refused at its start, mended by adoption."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete
from typer.testing import CliRunner

from cxr_node import pipeline
from cxr_node.archive.store import film_key
from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.database import DatabaseDamaged, WrongDatabase
from cxr_node.db.tables import film, job, job_event
from cxr_node.domain.clock import utc_now
from cxr_node.domain.instance import Instance
from cxr_node.ops import adoption
from cxr_node.ops.checks import node as checks
from cxr_node.ops.checks.node import Status
from cxr_node.queries import ledger
from cxr_node.receive import part10
from cxr_node.records import dump
from cxr_node.settings.node import DatabaseUrl
from cxr_node.settings.root import Settings
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.wiring import startup
from cxr_node.wiring.database_guard import DatabaseGuard, read_stamp, save_open_database
from cxr_node.wiring.live_settings import LiveSettings
from cxr_node.wiring.process import Process
from tests.support import films
from tests.support.node import InProcessNode, received
from tests.support.queue import NOON, SENDER
from tests.support.running_node import running, settings_file

PAGE_BYTES = 4096


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a node on SQLite."""
    return load(settings_file(tmp_path / "node"))


@contextmanager
def opened(settings: Settings) -> Iterator[Process]:
    """Open a process whose database has the present schema."""
    with Process.open(settings, clock=SimulatedClock(NOON)) as process:
        migrate.upgrade(process.database)
        yield process


def accept(process: Process, seed: int = 0) -> str:
    """Accept a film, and return its archive key."""
    new = as_archived(seed)
    assert pipeline.accept(new, SENDER, archive=process.archive, database=process.database, clock=process.clock)
    return film_key(new.digest)


def as_archived(seed: int) -> Instance:
    """Return a film with the File Meta Information that the receiver writes."""
    sent = received(films.dx(seed=seed))
    return part10.instance_of(
        sent.identity,
        part10.data_set_of(sent.content),
        transfer_syntax_uid=sent.transfer_syntax_uid,
        sender=SENDER,
    )


def file_of(settings: Settings) -> Path:
    """Return the database file."""
    return settings.node.data_folder / "node.db"


def remove_database(settings: Settings) -> None:
    """Remove the database of a node that does not run."""
    for path in settings.node.data_folder.glob("node.db*"):
        path.unlink()


def replace_by_empty(path: Path) -> None:
    """Put an empty database in the place of the file."""
    other = path.with_name("other.db")
    sqlite3.connect(other).close()
    other.touch()
    other.rename(path)


LOSSES: dict[str, Callable[[Path], None]] = {
    "removed": Path.unlink,
    "replaced": replace_by_empty,
    "emptied": lambda path: os.truncate(path, 0),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_no_film_is_accepted_once_the_database_file_is_lost(settings: Settings, loss: str) -> None:
    with opened(settings) as process:
        accept(process)
        LOSSES[loss](file_of(settings))

        with pytest.raises(WrongDatabase, match=f"was {loss} while it was open"):
            accept(process, seed=1)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_guard_notices_a_lost_database_file(settings: Settings, loss: str) -> None:
    with opened(settings) as process:
        guard = DatabaseGuard(process)
        accept(process)
        guard.check()
        LOSSES[loss](file_of(settings))

        with pytest.raises(WrongDatabase, match=loss):
            guard.check()


def test_a_file_that_is_put_back_is_the_right_one_again(settings: Settings) -> None:
    with opened(settings) as process:
        accept(process)
        file_of(settings).rename(file_of(settings).with_name("aside.db"))
        with pytest.raises(WrongDatabase):
            process.database.check_file()
        file_of(settings).with_name("aside.db").rename(file_of(settings))

        accept(process, seed=1)


def test_the_rows_of_a_removed_file_are_saved(settings: Settings) -> None:
    with opened(settings) as process:
        key = accept(process)
        file_of(settings).unlink()
        with pytest.raises(WrongDatabase) as lost:
            process.database.check_file()

        error = save_open_database(process, lost.value)

    (saved,) = settings.node.data_folder.glob("saved-*.db")
    assert f"All its rows are in {saved}" in str(error)
    assert not list(settings.node.data_folder.glob("node.db*"))
    saved.rename(file_of(settings))
    with opened(settings) as process, process.database.read() as connection:
        assert ledger.archive_keys(connection) == {key}


def test_an_emptied_file_is_not_saved(settings: Settings) -> None:
    with opened(settings) as process:
        accept(process)
        os.truncate(file_of(settings), 0)

        error = save_open_database(process, WrongDatabase("emptied"))

    assert str(error) == "emptied"
    assert not list(settings.node.data_folder.glob("saved-*"))


def test_the_node_does_not_start_on_a_new_database_beside_films(settings: Settings) -> None:
    with opened(settings) as process:
        accept(process)
    remove_database(settings)

    with Process.open(settings) as process, pytest.raises(WrongDatabase, match=r"is empty, but films are kept.*adopt"):
        startup.prepare(process)


def test_the_node_does_not_start_on_an_older_database(
    settings: Settings, database_kind: str, database_url: str
) -> None:
    if database_kind == "postgresql":
        settings = settings.model_copy(
            update={"database": settings.database.model_copy(update={"url": DatabaseUrl(database_url)})}
        )
    older = settings.node.data_folder / "older.db"
    with opened(settings) as process:
        accept(process)
        dump.write(process.database, older)
        accept(process, seed=1)
        DatabaseGuard(process).check()
    put_back(settings, older)

    with (
        Process.open(settings) as process,
        pytest.raises(WrongDatabase, match="its newest film is number 1, and number 2 was received on 2026-01-02"),
    ):
        startup.prepare(process)


def put_back(settings: Settings, older: Path) -> None:
    """Put an older state in the place of a database."""
    if not settings.database.url:
        remove_database(settings)
        older.rename(file_of(settings))
        return
    with Process.open(settings) as process, process.database.write() as transaction:
        transaction.connection.exec_driver_sql("TRUNCATE study RESTART IDENTITY CASCADE")
    with Process.open(settings) as process:
        dump.read(older, process.database)


def test_a_film_without_a_row_after_a_kill_does_not_stop_the_start(settings: Settings) -> None:
    """The first film of a node was archived when it was killed: no sender has Success for it."""
    with opened(settings) as process:
        first = received(films.dx())
        process.archive.put(film_key(first.digest), first.content)

    with Process.open(settings) as process:
        startup.prepare(process)


def test_the_stamp_follows_the_newest_film_at_each_tick(settings: Settings) -> None:
    with opened(settings) as process:
        guard = DatabaseGuard(process)
        guard.check()
        assert read_stamp(settings) is None
        accept(process)
        guard.check()
        assert read_stamp(settings) is None, "the tick has not passed"

        assert isinstance(process.clock, SimulatedClock)
        process.clock.advance(seconds=settings.schedule.tick_s)
        guard.check()

    stamp = read_stamp(settings)
    assert stamp is not None
    assert (stamp.film_id, stamp.received_at) == (1, NOON)


def test_a_database_put_back_while_the_node_runs_is_noticed(settings: Settings) -> None:
    with opened(settings) as process:
        accept(process)
        guard = DatabaseGuard(process)
        guard.check()
        with process.database.write() as transaction:
            for table in (job_event, job, film):
                transaction.connection.execute(delete(table))
        assert isinstance(process.clock, SimulatedClock)
        process.clock.advance(seconds=settings.schedule.tick_s)

        with pytest.raises(WrongDatabase, match="its newest film is number 0, and number 1"):
            guard.check()


def damage(path: Path) -> None:
    """Overwrite pages of a closed database."""
    content = bytearray(path.read_bytes())
    content[PAGE_BYTES:] = content[PAGE_BYTES : len(content) // 2] * 2
    path.write_bytes(content[: len(content)])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "pages": damage,
    "header": lambda path: path.write_bytes(b"not a database" * 1000),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_database_ends_the_start_with_one_sentence(settings: Settings, kind: str, tmp_path: Path) -> None:
    with opened(settings) as process:
        accept(process)
    DAMAGES[kind](file_of(settings))

    result = CliRunner().invoke(app, ["run", "--config", str(tmp_path / "node" / "cxr-node.toml")])

    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    (sentence,) = result.output.strip().splitlines()
    assert sentence.startswith("the database is damaged: stop the node")


def test_a_damaged_page_that_no_statement_reads_stops_the_start(settings: Settings) -> None:
    with opened(settings) as process:
        accept(process)
    with closing(sqlite3.connect(file_of(settings))) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'commitment'").fetchone()
    content = bytearray(file_of(settings).read_bytes())
    cells = (page - 1) * PAGE_BYTES + 3
    content[cells : cells + 2] = b"\0\x09"  # number of cells on the page, which has none
    file_of(settings).write_bytes(content)

    with Process.open(settings) as process, pytest.raises(DatabaseDamaged):
        startup.prepare(process)


def test_a_database_damaged_while_it_is_open_is_unavailable(settings: Settings) -> None:
    with opened(settings) as process:
        accept(process)
    with opened(settings) as process:
        process.database.engine.dispose()
        file_of(settings).write_bytes(b"not a database" * 1000)

        with pytest.raises(DatabaseDamaged), process.database.write():
            pass


def test_adopted_films_are_read_and_reported_as_before(tmp_path: Path) -> None:
    config = settings_file(tmp_path / "node")
    settings = load(config)
    with opened(settings) as process:
        first = InProcessNode(process.database, settings.node.data_folder)
        first.accept(films.dx())
        first.accept(films.dx(seed=1), sender=replace(SENDER, calling_ae_title=SENDER.called_ae_title))
        first.work()
        DatabaseGuard(process).check()
    remove_database(settings)

    result = CliRunner().invoke(app, ["adopt", "--config", str(config), "--json"])

    assert json.loads(result.stdout) == {"adopted": 2, "not_adopted": []}
    with Process.open(settings) as process:
        startup.prepare(process)
        second = InProcessNode(process.database, settings.node.data_folder)
        second.clock.now = utc_now()
        second.work()
        with process.database.read() as connection:
            entries = ledger.entries(connection)
    uids = [{report.SOPInstanceUID for report in node.pacs.reports()} for node in (first, second)]
    assert len(uids[0]) == 2
    assert uids[0] == uids[1]
    assert {entry.sop_instance_uid for entry in entries} == {films.dx(seed=seed).SOPInstanceUID for seed in (0, 1)}


def test_adoption_leaves_known_films_alone(settings: Settings) -> None:
    with opened(settings) as process:
        accept(process)

        assert adoption.adopt(process) == (0, [])
        assert adoption.adopt(process) == (0, [])


def test_adoption_takes_sender_and_identity_from_the_file(settings: Settings) -> None:
    with opened(settings) as process:
        accept(process)
    remove_database(settings)
    with opened(settings) as process:
        assert adoption.adopt(process) == (1, [])

        with process.database.read() as connection:
            (entry,) = ledger.entries(connection)
    assert entry.calling_ae_title == SENDER.calling_ae_title
    assert entry.sop_instance_uid == films.dx().SOPInstanceUID
    assert entry.study_instance_uid == films.dx().StudyInstanceUID


def test_adoption_names_files_that_are_no_films_of_the_node(settings: Settings) -> None:
    with opened(settings) as process:
        altered = accept(process)
    remove_database(settings)
    path = settings.node.data_folder / "archive" / altered
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with opened(settings) as process:
        phantom_sender = SENDER.calling_ae_title
        constancy = settings.constancy.model_copy(update={"calling_ae_title": phantom_sender})
        third = as_archived(2)
        phantom = film_key(third.digest)
        process.archive.put(phantom, third.content)
        nothing = f"films/00/{'0' * 64}.dcm"
        process.archive.put(nothing, b"")
        is_phantom = replace(process, live=LiveSettings(settings.model_copy(update={"constancy": constancy})))

        adopted, refusals = adoption.adopt(is_phantom)

    assert adopted == 0
    reasons = {refusal.archive_key: refusal.reason for refusal in refusals}
    assert reasons.keys() == {altered, phantom, nothing}
    assert reasons[phantom] == "a phantom of the constancy check"
    assert all(reasons[key].startswith("its bytes are not those") for key in (altered, nothing))


def test_adoption_makes_the_node_start_again_on_an_older_database(settings: Settings) -> None:
    with opened(settings) as process:
        for seed in range(3):
            accept(process, seed=seed)
        DatabaseGuard(process).check()
    remove_database(settings)
    for path in list((settings.node.data_folder / "archive" / "films").glob("*/*.dcm"))[:1]:
        path.unlink()

    with opened(settings) as process:
        assert adoption.adopt(process)[0] == 2
    with Process.open(settings) as process:
        startup.prepare(process)


def test_reconcile_names_films_whose_rows_were_lost(tmp_path: Path) -> None:
    config = settings_file(tmp_path / "node")
    with opened(load(config)) as process:
        key = accept(process)
    remove_database(load(config))
    with opened(load(config)):
        pass

    result = CliRunner().invoke(app, ["reconcile", "--config", str(config)])
    as_json = CliRunner().invoke(app, ["reconcile", "--config", str(config), "--json"])

    assert result.exit_code == 1
    assert "1 films without a row" in result.output
    assert "cxr-node adopt" in result.output
    assert json.loads(as_json.output)["unnamed_films"] == [key]


def test_doctor_finds_a_database_without_the_kept_films(settings: Settings) -> None:
    with opened(settings) as process:
        accept(process)
    remove_database(settings)

    with Process.open(settings) as process:
        check = checks.database(process)

    assert check.status is Status.PROBLEM
    assert "films are kept" in check.message


@pytest.mark.slow
def test_the_program_ends_with_a_sentence_when_its_database_is_removed(tmp_path: Path) -> None:
    config = settings_file(tmp_path / "node")
    with running(config, roles=("receive",), wait_for=("receive",)) as node:
        file_of(load(config)).unlink()

        assert node.process.wait(60) == 1

    log = node.log.read_text()
    assert "was removed while it was open" in log
    assert "All its rows are in" in log
    assert "Traceback" not in log
