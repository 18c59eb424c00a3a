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


def test_content_that_is_put_can_be_read(archive: Archive) -> None:
    assert KEY not in archive
    archive.put(KEY, CONTENT)
    assert KEY in archive
    assert list(archive.stored_keys()) == [KEY]
    assert archive.get(KEY) == CONTENT
    assert archive.get_beginning(KEY, 10) == CONTENT[:10]
    assert archive.get_beginning(KEY, len(CONTENT) + 10) == CONTENT


def test_content_that_is_put_twice_exists_once(archive: Archive) -> None:
    archive.put(KEY, CONTENT)
    archive.put(KEY, CONTENT)
    assert archive.get(KEY) == CONTENT
    archive.discard(KEY)
    assert KEY not in archive


def test_a_missing_key_cannot_be_read_but_discarded(archive: Archive) -> None:
    archive.discard(KEY)
    with pytest.raises(KeyError):
        archive.get(KEY)
    with pytest.raises(KeyError):
        archive.get_beginning(KEY, 10)


def test_an_invalid_key_is_an_error(archive: Archive) -> None:
    with pytest.raises(ValueError, match="not an archive key"):
        archive.put("films/00/../../../x.dcm", CONTENT)


def test_a_staged_object_is_committed_and_can_be_committed_again(archive: Archive) -> None:
    staged = archive.stage()
    for start in range(0, len(CONTENT), 1000):
        staged.write(memoryview(CONTENT)[start : start + 1000])
    assert KEY not in archive
    assert staged.read() == CONTENT

    staged.commit(KEY)
    assert archive.get(KEY) == CONTENT
    archive.discard(KEY)
    staged.commit(KEY)
    staged.close()
    staged.close()

    assert archive.get(KEY) == CONTENT
    assert archive.clear_staging() == 0


def test_a_discarded_staged_object_leaves_nothing(archive: Archive) -> None:
    for content in (CONTENT, b""):
        staged = archive.stage()
        staged.write(content)
        staged.close()
    assert list(archive.stored_keys()) == []
    assert archive.clear_staging() == 0


def test_a_staged_object_cannot_be_committed_to_an_invalid_key(archive: Archive) -> None:
    staged = archive.stage()
    staged.write(CONTENT)
    with pytest.raises(ValueError, match="not an archive key"):
        staged.commit("films/00/../../../x.dcm")
    staged.close()


def test_a_put_leaves_no_staged_object(archive: Archive) -> None:
    archive.put(KEY, CONTENT)
    assert archive.clear_staging() == 0
    assert KEY in archive


def test_a_full_disk_is_out_of_space_and_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = FolderArchive(tmp_path)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutOfSpace):
        archive.put(KEY, CONTENT)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_large_staged_file_is_stored_unchanged(tmp_path: Path) -> None:
    archive, content = FolderArchive(tmp_path), os.urandom(5 << 20)
    staged = archive.stage()
    for start in range(0, len(content), 123_457):
        staged.write(memoryview(content)[start : start + 123_457])
    staged.commit(KEY)
    staged.close()
    assert archive.get(KEY) == content


def test_the_file_is_flushed_before_the_rename_and_the_folder_after(
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


def test_clear_staging_removes_staging_files(tmp_path: Path) -> None:
    archive = FolderArchive(tmp_path)
    (tmp_path / "staging" / "half").write_bytes(b"ha")
    archive.put(KEY, CONTENT)

    assert archive.clear_staging() == 1
    assert archive.get(KEY) == CONTENT
    assert list((tmp_path / "staging").iterdir()) == []


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    archive = FolderArchive(tmp_path)
    archive.put(KEY, CONTENT)

    path = tmp_path / KEY
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
