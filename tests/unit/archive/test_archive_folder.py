"""Folder archive: names of new folders are flushed by whoever needs them."""

import os
from pathlib import Path

import pytest

from cxr_node.archive import folder
from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.store import film_key
from cxr_node.domain.identifiers import digest_of

KEY = film_key(digest_of(b"film"))


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that are flushed from now on."""
    paths: list[Path] = []
    monkeypatch.setattr(folder, "flush", lambda path, _flags=0: paths.append(path))
    return paths


def test_a_folder_that_another_thread_has_just_created_is_flushed(tmp_path: Path, flushed: list[Path]) -> None:
    archive = FolderArchive(tmp_path)
    place = (tmp_path / KEY).parent
    place.mkdir(parents=True)  # as another thread does, before it flushes

    archive.put(KEY, b"film")

    assert flushed == [tmp_path, place.parent, place]


def test_a_folder_of_long_ago_is_not_flushed_again(tmp_path: Path, flushed: list[Path]) -> None:
    archive = FolderArchive(tmp_path)
    place = (tmp_path / KEY).parent
    place.mkdir(parents=True)
    for path in (tmp_path, place.parent):
        os.utime(path, (0, 0))

    archive.put(KEY, b"film")

    assert flushed == [place]
