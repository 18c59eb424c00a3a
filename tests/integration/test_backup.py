"""Backup while the node works, restore into either kind of database, rejection of damaged backups."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.tables import metadata
from cxr_node.domain.identifiers import Uid
from cxr_node.ops.single_instance import data_folder_lock
from cxr_node.queries import ledger
from cxr_node.queries.ledger import Fate
from cxr_node.records import dismissals, dump
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.queue import NOON
from tests.support.running_node import opened, settings_file


def run(*command: str, exit_code: int = 0) -> str:
    ended = CliRunner().invoke(app, list(command))
    assert ended.exit_code == exit_code, ended.output
    return ended.output


def contents(database: Database) -> dict[str, list[dict[str, object]]]:
    """Return every row of every table."""
    with database.read() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in metadata.sorted_tables
        }


@pytest.fixture
def source(tmp_path: Path, database_url: str) -> Iterator[tuple[Path, InProcessNode]]:
    """A node with a delivered study, a film that waits and one that was not reported."""
    config = settings_file(tmp_path / "source", database_url=database_url)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        node.accept(films.dx())
        node.work()
        node.accept(films.dx(seed=9))
        with database.write() as transaction:
            uid = Uid(films.dx(seed=9).SOPInstanceUID)
            dismissals.dismiss_film(transaction, uid, detail="", actor="test", now=node.clock.now)
        node.work()
        with database.read() as connection:
            fates = [entry.fate for entry in ledger.entries(connection)]
        assert fates == [Fate.DELIVERED, Fate.NOT_REPORTED]
        node.accept(films.dx(seed=1))
        yield config, node


@pytest.mark.parametrize("into", ["sqlite", "the same kind"])
def test_restored_node_equals_the_backup_and_continues(
    into: str, source: tuple[Path, InProcessNode], tmp_path: Path, request: pytest.FixtureRequest, database_kind: str
) -> None:
    config, node = source
    output = json.loads(run("backup", str(tmp_path / "backup"), "--config", str(config), "--json"))
    assert output["files"] == 4
    before = contents(node.database)
    url = "" if into == "sqlite" or database_kind == "sqlite" else request.getfixturevalue("new_postgresql_url")()
    new = settings_file(tmp_path / "new", database_url=url)

    run("restore", str(tmp_path / "backup"), "--config", str(new))

    settings = load(new)
    with opened(settings) as database:
        assert contents(database) == before
        restored = InProcessNode(database, settings.node.data_folder)
        assert set(restored.archive.stored_keys()) == set(node.archive.stored_keys())
        restored.clock.now = node.clock.now
        restored.accept(films.dx(seed=2))
        restored.work()
        with database.read() as connection:
            fates = [entry.fate for entry in ledger.entries(connection)]
        assert fates == [Fate.DELIVERED, Fate.NOT_REPORTED, Fate.DELIVERED, Fate.DELIVERED]


@pytest.mark.ci_on_postgresql
def test_result_delivered_after_the_backup_is_resent_as_same_instance(
    source: tuple[Path, InProcessNode], tmp_path: Path
) -> None:
    config, node = source
    run("backup", str(tmp_path / "backup"), "--config", str(config))
    node.work()
    sent = {report.SOPInstanceUID for report in node.pacs.reports()}
    new = settings_file(tmp_path / "new")
    run("restore", str(tmp_path / "backup"), "--config", str(new))

    settings = load(new)
    with opened(settings) as database:
        restored = InProcessNode(database, settings.node.data_folder)
        restored.clock.now = node.clock.now
        restored.work()

    again = [report.SOPInstanceUID for report in restored.pacs.reports()]
    assert len(again) == 1
    assert set(again) <= sent


@pytest.mark.ci_on_postgresql
def test_backup_into_the_same_folder_replaces_the_earlier_one(
    source: tuple[Path, InProcessNode], tmp_path: Path
) -> None:
    config, node = source
    backup = tmp_path / "backup"
    run("backup", str(backup), "--config", str(config))
    node.work()
    run("purge", "--older-than", "0", "--yes", "--config", str(config))

    output = json.loads(run("backup", str(backup), "--config", str(config), "--json"))

    assert output["files"] == len(list(node.archive.stored_keys())) == len(list(backup.glob("archive/*/*/*.dcm")))
    assert len(list(backup.glob("database-*.db"))) == 1


@pytest.mark.ci_on_postgresql
def test_film_removed_during_the_backup_is_marked_as_removed(
    source: tuple[Path, InProcessNode], tmp_path: Path
) -> None:
    _, node = source
    written = tmp_path / "copy.db"
    dump.write(node.database, written)
    (key, *others) = [key for key, _, _ in dump.kept_files(written)]

    dump.mark_removed(written, [key], at=NOON)

    assert [backup for backup, _, _ in dump.kept_files(written)] == others


@pytest.mark.ci_on_postgresql
def test_backup_fails_if_a_film_is_missing(source: tuple[Path, InProcessNode], tmp_path: Path) -> None:
    config, node = source
    node.archive.discard(next(iter(node.archive.stored_keys())))

    output = run("backup", str(tmp_path / "backup"), "--config", str(config), exit_code=1)

    assert "missing from the archive" in output
    assert not (tmp_path / "backup" / "backup.json").exists()


@pytest.mark.ci_on_postgresql
def test_damaged_or_incomplete_backup_is_rejected(source: tuple[Path, InProcessNode], tmp_path: Path) -> None:
    config, _ = source
    backup, new = tmp_path / "backup", settings_file(tmp_path / "new")
    run("backup", str(backup), "--config", str(config))
    shutil.copytree(backup, tmp_path / "sound")
    film = next(backup.glob("archive/*/*/*.dcm"))
    film.write_bytes(film.read_bytes()[:-1] + b"?")
    assert "is damaged in the backup" in run("restore", str(backup), "--config", str(new), exit_code=1)
    film.unlink()
    assert "is missing from the backup" in run("restore", str(backup), "--config", str(new), exit_code=1)
    (database,) = backup.glob("database-*.db")
    database.write_bytes(database.read_bytes() + b"?")
    assert "is missing or damaged" in run("restore", str(backup), "--config", str(new), exit_code=1)
    (backup / "backup.json").unlink()
    assert "is not a complete backup" in run("restore", str(backup), "--config", str(new), exit_code=1)

    run("restore", str(tmp_path / "sound"), "--config", str(new))
    again = run("restore", str(tmp_path / "sound"), "--config", str(new), exit_code=1)

    assert "has films: restore into an empty" in again


@pytest.mark.ci_on_postgresql
def test_restore_into_a_running_node_is_rejected(source: tuple[Path, InProcessNode], tmp_path: Path) -> None:
    config, _ = source
    new = settings_file(tmp_path / "new")
    run("backup", str(tmp_path / "backup"), "--config", str(config))

    with data_folder_lock(load(new).node.data_folder):
        output = run("restore", str(tmp_path / "backup"), "--config", str(new), exit_code=1)

    assert "stop it first" in output
