"""Accepting: bytes first, row second, and Success only after both."""

import errno
import os
import sqlite3
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import pytest
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage
from sqlalchemy import event

from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.store import OutOfSpace
from cxr_node.db import migrate
from cxr_node.db.database import Database, DatabaseUnavailable
from cxr_node.db.states import Stage, State
from cxr_node.report.kinds import secondary_capture, tid1500
from tests.support import films
from tests.support.node import InProcessNode, received


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path)


def archived_files(node: InProcessNode) -> list[Path]:
    return [path for path in node.archive._root.rglob("*") if path.is_file()]


def test_the_bytes_are_stored_before_the_row(node: InProcessNode) -> None:
    def cut(*_: object) -> NoReturn:
        raise DatabaseUnavailable("power cut")

    event.listen(node.database.engine, "before_cursor_execute", cut)
    with pytest.raises(DatabaseUnavailable):
        node.accept(films.dx())
    event.remove(node.database.engine, "before_cursor_execute", cut)
    assert len(archived_files(node)) == 1
    assert node.jobs() == []

    assert node.accept(films.dx())
    assert len(archived_files(node)) == 1
    assert [job.state for job in node.jobs()] == [State.WAITING]


def test_without_space_there_are_neither_bytes_nor_row(node: InProcessNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as context:
        context.setattr(os, "fsync", full)
        with pytest.raises(OutOfSpace):
            node.accept(films.dx())

    assert archived_files(node) == []
    assert node.jobs() == []


def test_other_bytes_under_a_known_uid_are_stored_too(node: InProcessNode) -> None:
    film, other = films.dx(), films.dx(changes={"PatientComments": "another"})

    assert [node.accept(sent) for sent in (film, film, other, other)] == [True, False, True, False]

    assert len(archived_files(node)) == 2
    assert [job.state for job in node.jobs()] == [State.WAITING, State.WAITING]
    node.work()
    assert [job.state for job in node.jobs(Stage.READ)] == [State.DONE, State.DONE]
    assert node.reader.calls == 1  # the other has the same pixels
    (report,) = node.pacs.reports()
    assert report.StudyInstanceUID == film.StudyInstanceUID


def test_the_stored_bytes_are_the_received_bytes(node: InProcessNode) -> None:
    film = films.dx()
    node.accept(film)

    (path,) = archived_files(node)

    assert path.read_bytes() == received(film).content
    assert dcmread(BytesIO(path.read_bytes())).SOPInstanceUID == film.SOPInstanceUID


def test_with_a_locked_database_nothing_is_accepted(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}", busy_timeout_s=0.05)
    migrate.upgrade(database)
    other = sqlite3.connect(tmp_path / "node.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    node = InProcessNode(database, tmp_path)
    try:
        with pytest.raises(DatabaseUnavailable):
            node.accept(films.dx())
        other.execute("ROLLBACK")
        assert node.accept(films.dx())
    finally:
        other.close()
        database.close()


def test_sqlite_flushes_each_commit_and_allows_readers(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}")
    try:
        with database.read() as connection:
            pragmas = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
        assert pragmas == ["wal", 2, 1]
    finally:
        database.close()


def test_a_permission_error_is_not_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = FolderArchive(tmp_path)

    def denied(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(PermissionError):
        archive.put("films/00/0.dcm", b"film")


def test_an_own_result_sent_back_is_no_new_film(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, kinds=(tid1500.REPORT, secondary_capture.PICTURE))
    node.accept(films.dx(rows=300, columns=280))
    node.work()
    (picture,) = [report for report in node.pacs.reports() if report.SOPClassUID == SecondaryCaptureImageStorage]
    jobs, files = len(node.jobs()), len(archived_files(node))

    assert not node.accept(picture)

    node.work()
    assert (len(node.jobs()), len(archived_files(node))) == (jobs, files)
