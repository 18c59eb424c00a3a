"""Folder destination: files are written atomically."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cxr_node.deliver.folder import FolderDestination
from cxr_node.domain.errors import RetryLater
from tests.support import films


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Let every write beyond `size_bytes` of a file fail, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_failed_write_keeps_the_earlier_file_only(tmp_path: Path) -> None:
    first = films.written(films.dx(changes={"StudyID": "first"}), tmp_path).read_bytes()
    second = films.written(films.dx(changes={"StudyID": "second"}), tmp_path).read_bytes()
    destination = FolderDestination(name="share", folder=tmp_path / "share")
    destination.send(first)

    with files_of_at_most(4096), pytest.raises(RetryLater, match="share"):
        destination.send(second)

    (file,) = destination.folder.iterdir()
    assert file.read_bytes() == first


def test_the_file_is_written_unchanged(tmp_path: Path) -> None:
    film = films.written(films.dx(), tmp_path)
    destination = FolderDestination(name="share", folder=tmp_path / "not" / "yet" / "there")
    destination.send(film.read_bytes())
    assert (destination.folder / film.name).read_bytes() == film.read_bytes()
