"""What every kind of archive promises."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.objects import Bucket, ObjectArchive
from cxr_node.archive.store import Archive, OutOfSpace, film_key
from cxr_node.domain.identifiers import digest_of

CONTENT = b"a film" * 1000
KEY = film_key(digest_of(CONTENT))


@pytest.fixture(params=["folder", "objects", "objects under a prefix"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    if request.param == "folder":
        return FolderArchive(tmp_path / "archive")
    bucket: Bucket = request.getfixturevalue("bucket")
    return ObjectArchive(replace(bucket, prefix="hospital/north") if "prefix" in request.param else bucket)


def test_what_is_put_can_be_got(archive: Archive) -> None:
    assert KEY not in archive
    archive.put(KEY, CONTENT)
    assert KEY in archive
    assert list(archive.stored_keys()) == [KEY]
    assert archive.get(KEY) == CONTENT


def test_what_is_put_twice_is_there_once(archive: Archive) -> None:
    archive.put(KEY, CONTENT)
    archive.put(KEY, CONTENT)
    assert archive.get(KEY) == CONTENT
    archive.discard(KEY)
    assert KEY not in archive


def test_what_is_not_there_cannot_be_got_and_can_be_discarded(archive: Archive) -> None:
    archive.discard(KEY)
    with pytest.raises(KeyError):
        archive.get(KEY)


def test_a_key_that_leads_elsewhere_is_refused(archive: Archive) -> None:
    with pytest.raises(ValueError, match="not an archive key"):
        archive.put("films/00/../../../x.dcm", CONTENT)


def test_what_is_written_aside_is_kept_whole_under_its_key_and_again_where_that_went(archive: Archive) -> None:
    aside = archive.stage()
    for start in range(0, len(CONTENT), 1000):
        aside.write(memoryview(CONTENT)[start : start + 1000])
    assert KEY not in archive
    assert aside.read() == CONTENT

    aside.commit(KEY)
    assert archive.get(KEY) == CONTENT
    archive.discard(KEY)
    aside.commit(KEY)
    aside.close()
    aside.close()

    assert archive.get(KEY) == CONTENT
    assert archive.clear_staging() == 0


def test_what_is_let_go_of_leaves_nothing(archive: Archive) -> None:
    for content in (CONTENT, b""):
        aside = archive.stage()
        aside.write(content)
        aside.close()
    assert list(archive.stored_keys()) == []
    assert archive.clear_staging() == 0


def test_a_key_that_leads_elsewhere_is_refused_to_what_is_aside(archive: Archive) -> None:
    aside = archive.stage()
    aside.write(CONTENT)
    with pytest.raises(ValueError, match="not an archive key"):
        aside.commit("films/00/../../../x.dcm")
    aside.close()


def test_nothing_is_half_written_when_nothing_has_gone_wrong(archive: Archive) -> None:
    archive.put(KEY, CONTENT)
    assert archive.clear_staging() == 0
    assert KEY in archive


def test_a_folder_without_room_says_so_and_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = FolderArchive(tmp_path)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutOfSpace):
        archive.put(KEY, CONTENT)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_large_and_written_aside_is_the_same_on_the_disk(tmp_path: Path) -> None:
    archive, content = FolderArchive(tmp_path), os.urandom(5 << 20)
    aside = archive.stage()
    for start in range(0, len(content), 123_457):
        aside.write(memoryview(content)[start : start + 123_457])
    aside.commit(KEY)
    aside.close()
    assert archive.get(KEY) == content


def test_a_folder_flushes_the_file_before_its_name_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = FolderArchive(tmp_path)
    steps: list[str] = []
    flush, rename = os.fsync, Path.rename

    def record_flush(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append(f"flush {'folder' if path.is_dir() else 'file'} {path.relative_to(tmp_path).parts[:1]}")
        flush(descriptor)

    def record_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", record_flush)
    monkeypatch.setattr(Path, "rename", record_rename)
    archive.put(KEY, CONTENT)

    assert steps[0] == "flush file ('staging',)"
    assert steps[-2:] == ["rename", "flush folder ('films',)"]


def test_a_folder_forgets_what_was_half_written(tmp_path: Path) -> None:
    archive = FolderArchive(tmp_path)
    (tmp_path / "staging" / "half").write_bytes(b"ha")
    archive.put(KEY, CONTENT)

    assert archive.clear_staging() == 1
    assert archive.get(KEY) == CONTENT
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_folder_lets_only_its_owner_in(tmp_path: Path) -> None:
    archive = FolderArchive(tmp_path)
    archive.put(KEY, CONTENT)

    kept = tmp_path / KEY
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
