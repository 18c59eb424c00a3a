"""Room for new films."""

import os
from pathlib import Path

import pytest

from cxr_node.archive.space import FreeSpace, Reserve, free_space, full_disk


@pytest.mark.parametrize(
    ("free", "reserve", "size", "shortage"),
    [(100, 100, 0, ""), (99, 100, 0, "space"), (150, 100, 50, ""), (150, 100, 51, "space"), (0, 0, 0, "")],
)
def test_a_film_has_space_if_the_reserve_remains(free: int, reserve: int, size: int, shortage: str) -> None:
    rule = Reserve(size_bytes=reserve, inodes=0)

    assert rule.shortage(FreeSpace(size_bytes=free, inodes=None), size_bytes=size) == shortage


@pytest.mark.parametrize(("free", "shortage"), [(10, ""), (9, "inodes"), (0, "inodes"), (None, "")])
def test_a_film_has_space_if_the_reserved_inodes_remain(free: int | None, shortage: str) -> None:
    rule = Reserve(size_bytes=0, inodes=10)

    assert rule.shortage(FreeSpace(size_bytes=1 << 40, inodes=free)) == shortage


def test_the_free_space_is_that_of_the_folder(tmp_path: Path) -> None:
    free = free_space(tmp_path)

    assert 0 < free.size_bytes < 1 << 60
    assert free_space(tmp_path / "not" / "there") == free_space(tmp_path)


def test_a_file_system_without_a_number_of_inodes_has_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(os.statvfs(tmp_path))
    values[5:8] = 0, 0, 0  # f_files, f_ffree, f_favail, as of Btrfs
    monkeypatch.setattr(os, "statvfs", lambda _folder: os.statvfs_result(values))

    assert free_space(tmp_path).inodes is None
    assert full_disk(tmp_path) == ""


@pytest.mark.parametrize("field", [4, 7], ids=["bytes", "inodes"])
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: int) -> None:
    values = list(os.statvfs(tmp_path))
    values[5] = 1000
    values[field] = 0
    monkeypatch.setattr(os, "statvfs", lambda _folder: os.statvfs_result(values))

    assert full_disk(tmp_path).startswith(f"the disk of {tmp_path} is full: ")
