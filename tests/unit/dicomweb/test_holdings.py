"""Headers that searches show: remembered once they were read, whatever fails or goes on meanwhile."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from pydicom.dataset import Dataset

from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.store import ArchiveAway
from cxr_node.dicomweb.holdings import HeaderCache
from cxr_node.dicomweb.json_model import Json, JsonContext
from cxr_node.domain.errors import ProcessDied
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.pixels.limits import Limits
from cxr_node.process_pool.executor import InProcess
from cxr_node.queries.held_instances import HeldInstance
from tests.support import films
from tests.support.dicomweb import file_of

PATIENT_ID = 0x00100020
Item = TypeVar("Item")
Result = TypeVar("Result")


@pytest.fixture
def archive(tmp_path: Path) -> FolderArchive:
    return FolderArchive(tmp_path / "archive")


def held(film: Dataset, *, digit: int = 0) -> HeldInstance:
    digest = Digest(f"{digit:064x}")
    return HeldInstance(
        study_id=1,
        study_instance_uid=Uid(film.StudyInstanceUID),
        series_instance_uid=Uid(film.SeriesInstanceUID),
        sop_instance_uid=Uid(film.SOPInstanceUID),
        sop_class_uid=Uid(film.SOPClassUID),
        transfer_syntax_uid=Uid("1.2.840.10008.1.2.1"),
        archive_key=f"films/00/{digest}.dcm",
        digest=digest,
    )


def patient_ids(headers: Sequence[Json]) -> list[object]:
    return [header["00100020"]["Value"][0] if header else None for header in headers]


class Executor:
    """Calls in this thread, after `before`."""

    def __init__(self, archive: FolderArchive) -> None:
        self._executor = InProcess(JsonContext(archive=archive, limits=Limits()))
        self.before: Callable[[], None] = lambda: None
        self.calls = 0

    def map(self, call: Callable[[JsonContext, Item], Result], items: Sequence[Item]) -> list[Result]:
        self.calls += 1
        self.before()
        return self._executor.map(call, items)


def test_a_header_is_read_once(archive: FolderArchive) -> None:
    executor, film = Executor(archive), films.dx(seed=1, changes={"PatientID": "A"})
    archive.put(held(film).archive_key, file_of(film))
    cache = HeaderCache(executor)

    assert [patient_ids(cache.attributes([held(film)] * 2, [PATIENT_ID])) for _ in range(2)] == [["A", "A"]] * 2
    assert executor.calls == 1


@pytest.mark.parametrize("content", [b"", b"no film", None])
def test_a_header_that_could_not_be_read_is_read_again(archive: FolderArchive, content: bytes | None) -> None:
    film = films.dx(seed=1, changes={"PatientID": "A"})
    key = held(film).archive_key
    archive.put(key, content or b"")
    if content is None:
        archive.discard(key)
    cache = HeaderCache(Executor(archive))
    assert patient_ids(cache.attributes([held(film)], [PATIENT_ID])) == [None]

    archive.put(key, file_of(film))

    assert patient_ids(cache.attributes([held(film)], [PATIENT_ID])) == ["A"]


def test_a_process_that_dies_leaves_no_trace(archive: FolderArchive) -> None:
    def die() -> None:
        raise ProcessDied("the worker process ended")

    executor, film = Executor(archive), films.dx(seed=1, changes={"PatientID": "A"})
    archive.put(held(film).archive_key, file_of(film))
    cache = HeaderCache(executor)
    executor.before = die
    assert patient_ids(cache.attributes([held(film)], [PATIENT_ID])) == [None]

    executor.before = lambda: None

    assert patient_ids(cache.attributes([held(film)], [PATIENT_ID])) == ["A"]


def test_an_archive_that_is_away_is_an_error_to_try_again(archive: FolderArchive) -> None:
    with pytest.raises(ArchiveAway):
        HeaderCache(Executor(archive)).attributes([held(films.dx(seed=1))], [PATIENT_ID])


def test_known_headers_are_given_while_others_are_read(archive: FolderArchive) -> None:
    executor = Executor(archive)
    known, other = (films.dx(seed=seed, changes={"PatientID": f"P{seed}"}) for seed in (1, 2))
    instances = [held(known, digit=1), held(other, digit=2)]
    for instance, film in zip(instances, (known, other), strict=True):
        archive.put(instance.archive_key, file_of(film))
    cache = HeaderCache(executor)
    cache.attributes(instances[:1], [PATIENT_ID])
    meanwhile: list[object] = []

    def look() -> None:
        thread = threading.Thread(
            target=lambda: meanwhile.extend(patient_ids(cache.attributes(instances[:1], [PATIENT_ID]))), daemon=True
        )
        thread.start()
        thread.join(timeout=20)
        assert meanwhile == ["P1"]

    executor.before = look

    assert patient_ids(cache.attributes(instances, [PATIENT_ID])) == ["P1", "P2"]
