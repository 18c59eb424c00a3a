"""Bytes of a film are read from the archive once for its header and its picture."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from cxr_node.archive.integrity import Damaged
from cxr_node.archive.store import Archive
from cxr_node.composing.film_bytes import FilmBytes
from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.pixels.parsing import split_file
from tests.support import films
from tests.support.pixel_films import written


@dataclass(frozen=True)
class Row:
    archive_key: str
    digest: Digest


@dataclass
class CountingArchive:
    contents: dict[str, bytes]
    read: list[str] = field(default_factory=list)

    def get(self, key: str) -> bytes:
        self.read.append(key)
        return self.contents[key]


@pytest.fixture
def archive() -> CountingArchive:
    return CountingArchive({str(seed): written(films.dx(seed=seed)) for seed in (1, 2)})


def row(archive: CountingArchive, key: str) -> Row:
    return Row(key, digest_of(split_file(archive.contents[key])[1]))


def test_the_bytes_of_the_last_film_are_read_once_and_then_let_go(archive: CountingArchive) -> None:
    film_bytes, film = FilmBytes(), row(archive, "1")
    store = cast("Archive", archive)
    content = film_bytes.read(store, film)

    assert film_bytes.read_again(store, film) == content == archive.contents["1"]
    assert archive.read == ["1"]
    assert film_bytes.read_again(store, film) == content
    assert archive.read == ["1", "1"]


def test_another_film_is_read_from_the_archive(archive: CountingArchive) -> None:
    film_bytes, store = FilmBytes(), cast("Archive", archive)
    film_bytes.read(store, row(archive, "1"))

    assert film_bytes.read_again(store, row(archive, "2")) == archive.contents["2"]
    assert archive.read == ["1", "2"]


def test_damaged_bytes_are_never_held(archive: CountingArchive) -> None:
    film_bytes, store, film = FilmBytes(), cast("Archive", archive), row(archive, "1")
    archive.contents["1"] = archive.contents["2"]

    for read in (film_bytes.read, film_bytes.read_again):
        with pytest.raises(Damaged):
            read(store, film)
