"""Room for new films."""

from pathlib import Path

import pytest

from cxr_node.archive.space import free_bytes, has_space


@pytest.mark.parametrize(
    ("free", "reserve", "size", "answer"),
    [(100, 100, 0, True), (99, 100, 0, False), (150, 100, 50, True), (150, 100, 51, False), (0, 0, 0, True)],
)
def test_a_film_has_space_if_the_reserve_remains(free: int, reserve: int, size: int, answer: bool) -> None:
    assert has_space(free_bytes=free, reserve_bytes=reserve, size_bytes=size) is answer


def test_the_free_space_is_that_of_the_folder(tmp_path: Path) -> None:
    assert 0 < free_bytes(tmp_path) < 1 << 60
