"""Reduced films that reading leaves: whole or not there, bounded in number and age."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from cxr_node.archive import reduced_films
from cxr_node.archive.reduced_films import ReducedFilms
from cxr_node.domain import reduced_film
from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.domain.reduced_film import ReducedFilm


def film(seed: int = 1, *, orientation: tuple[str, str] | None = ("L", "F")) -> ReducedFilm:
    gray = np.random.default_rng(seed).integers(0, 256, (96, 80), np.uint8)
    return ReducedFilm(gray=gray, rows=960, columns=800, patient_orientation=orientation)


def name(number: int = 1) -> Digest:
    return digest_of(bytes([number]))


@pytest.fixture
def stored(tmp_path: Path) -> ReducedFilms:
    return ReducedFilms(tmp_path / "reduced")


@pytest.mark.parametrize("orientation", [("L", "F"), None])
def test_a_film_is_returned_as_it_was_put(stored: ReducedFilms, orientation: tuple[str, str] | None) -> None:
    put = film(orientation=orientation)
    stored.put(name(), put)
    read = stored.get(name())

    assert read is not None
    assert np.array_equal(read.gray, put.gray)
    assert (read.rows, read.columns, read.patient_orientation) == (960, 800, orientation)


def test_a_film_that_was_not_put_or_is_discarded_is_none(stored: ReducedFilms, tmp_path: Path) -> None:
    assert stored.get(name()) is None
    stored.discard(name())
    stored.put(name(), film())
    stored.discard(name())

    assert stored.get(name()) is None
    assert list((tmp_path / "reduced").iterdir()) == []


@pytest.mark.parametrize("at", [0, 34, 60, -1])
def test_altered_bytes_are_no_film(stored: ReducedFilms, tmp_path: Path, at: int) -> None:
    stored.put(name(), film())
    path = tmp_path / "reduced" / name()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)

    assert stored.get(name()) is None


@pytest.mark.parametrize("size", [0, 10, 36, 500])
def test_a_part_of_a_film_is_none(stored: ReducedFilms, tmp_path: Path, size: int) -> None:
    stored.put(name(), film())
    path = tmp_path / "reduced" / name()
    path.write_bytes(path.read_bytes()[:size])

    assert stored.get(name()) is None


def test_a_film_of_another_version_is_decoded_anew(stored: ReducedFilms, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.put(name(), film())
    assert stored.get(name()) is not None
    monkeypatch.setattr(reduced_film, "_versions", lambda: ["0", "0", "0"])

    assert stored.get(name()) is None


def test_no_more_films_than_the_maximum_are_there(stored: ReducedFilms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduced_films, "MAXIMUM_FILMS", 2)
    for number in range(3):
        stored.put(name(number), film(number))

    assert [stored.get(name(number)) is not None for number in range(3)] == [True, True, False]
    stored.discard(name(0))
    stored.put(name(2), film(2))
    assert stored.get(name(2)) is not None


def test_old_films_are_removed(stored: ReducedFilms, tmp_path: Path) -> None:
    assert stored.remove_old() == 0
    for number in range(2):
        stored.put(name(number), film())
    long_ago = time.time() - reduced_films.MAXIMUM_AGE_S - 60
    os.utime(tmp_path / "reduced" / name(0), (long_ago, long_ago))

    assert stored.remove_old() == 1
    assert [stored.get(name(number)) is not None for number in range(2)] == [False, True]
    assert stored.remove_old(older_than_s=-60) == 1


def test_a_folder_that_cannot_be_written_to_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "reduced").write_bytes(b"")
    stored = ReducedFilms(tmp_path / "reduced")
    stored.put(name(), film())

    assert stored.get(name()) is None


def test_only_the_owner_can_read_a_film(stored: ReducedFilms, tmp_path: Path) -> None:
    stored.put(name(), film())

    assert (tmp_path / "reduced").stat().st_mode & 0o077 == 0
    assert (tmp_path / "reduced" / name()).stat().st_mode & 0o077 == 0
