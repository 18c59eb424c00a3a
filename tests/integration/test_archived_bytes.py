"""Archived bytes are compared with their digest at each use: nothing that a disk changed is read, stated or sent."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset

from cxr_node import pipeline
from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.limits import Limits
from cxr_node.queue import queue
from cxr_node.receive import part10
from cxr_node.receive.identify import identify
from cxr_node.records import films as film_rows
from cxr_node.wiring.pictures import PictureContext, render
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.odd_encodings import DEFLATED, EXPLICIT, data_set_of, deflated, explicit, inserted
from tests.support.queue import SENDER
from tests.support.stub_prediction import RULES

pytestmark = pytest.mark.ci_on_postgresql


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path)


def kept_files(node: InProcessNode, kind: str) -> list[Path]:
    """Return the archived files of a kind, films or results."""
    return sorted(Path(node.archive._root).glob(f"{kind}/*/*.dcm"))


def rewrite(path: Path, **values: str) -> None:
    """Change attributes of a kept file, as nothing but a disk or an intruder does."""
    film: FileDataset = dcmread(path)
    for keyword, value in values.items():
        setattr(film, keyword, value)
    content = BytesIO()
    film.save_as(content, enforce_file_format=True)
    path.write_bytes(content.getvalue())


def flip(path: Path, *, at: int = -100) -> None:
    """Flip a byte of a kept file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def of_one_study() -> tuple[Dataset, Dataset]:
    """Return two films of one patient and study."""
    first, second = films.dx(seed=1), films.dx(seed=2)
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate"):
        setattr(second, keyword, first[keyword].value)
    return first, second


def test_a_patient_changed_on_disk_is_in_no_report(node: InProcessNode) -> None:
    film, other = of_one_study()
    node.accept(film)
    (path,) = kept_files(node, "films")
    rewrite(path, PatientID="ANOTHER", PatientName="Another^Patient")
    node.accept(other)

    node.work()

    (report,) = node.pacs.reports()
    assert report.PatientID == other.PatientID
    assert "ANOTHER" not in report.to_json()
    assert Reason.DAMAGED.meaning in report.to_json()
    assert [(job.state, job.reason) for job in node.jobs(Stage.READ)] == [
        (State.NOT_ANALYSED, Reason.DAMAGED),
        (State.DONE, None),
    ]


def test_pixels_changed_on_disk_are_reported_and_not_read(node: InProcessNode) -> None:
    film = films.dx()
    node.accept(film)
    flip(kept_files(node, "films")[0])

    node.work()

    assert node.reader.calls == 0
    (report,) = node.pacs.reports()
    assert (report.PatientID, report.PatientName) == (film.PatientID, film.PatientName)
    assert Reason.DAMAGED.meaning in report.to_json()


def test_a_film_damaged_after_it_was_read_has_no_findings_in_a_new_report(node: InProcessNode) -> None:
    film, other = of_one_study()
    node.accept(film)
    node.turn(Stage.READ)
    flip(kept_files(node, "films")[0])
    node.accept(other)

    node.work()

    (report,) = node.pacs.reports()
    assert Reason.DAMAGED.meaning in report.to_json()
    assert node.reader.calls == 2


def test_a_missing_film_is_named_and_the_others_are_reported(node: InProcessNode) -> None:
    film, other = of_one_study()
    node.accept(film)
    kept_files(node, "films")[0].unlink()
    node.accept(other)

    node.work()

    (report,) = node.pacs.reports()
    assert Reason.DAMAGED.meaning in report.to_json()
    assert str(film.SOPInstanceUID) in report.to_json()
    assert [job.state for job in node.jobs(Stage.COMPOSE)] == [State.DONE]


def deflated_bomb(data_set: bytes) -> tuple[bytes, str]:
    """Return a deflated film with an element behind its UIDs that inflates beyond every bound of this test."""
    return deflated(inserted(data_set, 0x00210000, explicit(0x00211001, b"OB", bytes(10 << 20)))), DEFLATED


def ending_in_pixels(data_set: bytes) -> tuple[bytes, str]:
    return data_set[: -len(data_set) // 4], EXPLICIT


@pytest.mark.parametrize(
    ("make", "reason"), [(deflated_bomb, Reason.TOO_LARGE), (ending_in_pixels, Reason.DECODE)], ids=["bomb", "cut"]
)
def test_a_film_that_cannot_be_parsed_is_named_and_the_others_reported(
    database: Database, tmp_path: Path, make: Callable[[bytes], tuple[bytes, str]], reason: Reason
) -> None:
    film, other = of_one_study()
    rules = replace(RULES, limits=Limits(maximum_inflated_bytes=1 << 20))
    node = InProcessNode(database, tmp_path, rules=rules)
    data_set, syntax = make(data_set_of(film))
    instance = part10.instance_of(
        identify(memoryview(data_set), transfer_syntax_uid=Uid(syntax)),
        memoryview(data_set),
        transfer_syntax_uid=Uid(syntax),
        sender=SENDER,
    )
    pipeline.accept(instance, SENDER, archive=node.archive, database=database, clock=node.clock)
    node.accept(other)

    node.work()

    (report,) = node.pacs.reports()
    assert reason.meaning in report.to_json()
    assert all(str(item.SOPInstanceUID) in report.to_json() for item in (film, other))
    assert [job.state for job in node.jobs(Stage.COMPOSE)] == [State.DONE]


def test_a_damaged_film_sent_again_is_whole_and_can_be_read(node: InProcessNode) -> None:
    film = films.dx()
    node.accept(film)
    flip(kept_files(node, "films")[0])
    node.work()
    assert not node.accept(film)
    with node.database.write() as transaction:
        queue.requeue(transaction, [1], actor="person/ann", now=node.clock.now)

    node.work()

    damaged, read = node.pacs.reports()
    assert Reason.DAMAGED.meaning in damaged.to_json()
    assert Reason.DAMAGED.meaning not in read.to_json()


@pytest.mark.parametrize("is_missing", [False, True])
def test_a_damaged_result_is_composed_again_bit_by_bit(node: InProcessNode, *, is_missing: bool) -> None:
    node.accept(films.dx())

    def away() -> None:
        raise RetryLater("PACS at 127.0.0.1 refused the connection")

    node.pacs.before_send = away
    node.work()
    (path,) = kept_files(node, "results")
    composed = path.read_bytes()
    if is_missing:
        path.unlink()
    else:
        flip(path)
    node.pacs.before_send = lambda: None
    for _ in range(3):
        node.clock.advance(minutes=5)
        node.work()

    assert node.pacs.received == [composed]
    assert path.read_bytes() == composed


def test_a_damaged_result_that_cannot_be_composed_again_needs_a_person(node: InProcessNode) -> None:
    node.accept(films.dx())

    def away() -> None:
        raise RetryLater("PACS at 127.0.0.1 refused the connection")

    node.pacs.before_send = away
    node.work()
    flip(kept_files(node, "results")[0])
    flip(kept_files(node, "films")[0])
    node.pacs.before_send = lambda: None
    for _ in range(6):
        node.clock.advance(minutes=5)
        node.work()

    first, second = node.jobs(Stage.DELIVER)
    assert (first.state, first.reason) == (State.FAILED, Reason.DAMAGED)
    assert second.state in (State.DONE, State.WAITING)
    assert all(Reason.DAMAGED.meaning in report.to_json() for report in node.pacs.reports())


@pytest.mark.parametrize("stage", [Stage.READ, Stage.COMPOSE])
def test_an_archive_that_is_away_for_two_days_loses_nothing(node: InProcessNode, stage: Stage) -> None:
    node.accept(films.dx())
    if stage is Stage.COMPOSE:
        node.turn(Stage.READ)
    folder = Path(node.archive._root) / "films"
    folder.rename(folder.with_name("away"))
    for _ in range(48):
        node.work()
        node.clock.advance(hours=1)
    assert [job.state for job in node.jobs(stage)] == [State.WAITING]
    assert "the archive is away" in node.jobs(stage)[0].detail

    folder.with_name("away").rename(folder)
    node.work()

    (report,) = node.pacs.reports()
    assert not any(reason.meaning in report.to_json() for reason in (Reason.DAMAGED, Reason.MODEL_ERROR))


def test_the_page_paints_no_damaged_film(node: InProcessNode) -> None:
    node.accept(films.dx())
    with node.database.read() as connection:
        film = film_rows.get(connection, 1)
    context = PictureContext(archive=node.archive, limits=Limits())
    assert set(render(context, film)) == {"film", "thumbnail"}
    flip(kept_files(node, "films")[0])

    with pytest.raises(Damaged):
        render(context, film)


def test_intact_bytes_are_returned_and_others_never(node: InProcessNode) -> None:
    node.accept(films.dx())
    with node.database.read() as connection:
        film = film_rows.get(connection, 1)
    (path,) = kept_files(node, "films")
    content = path.read_bytes()

    assert read_intact(node.archive, film) == content
    path.write_bytes(content[:-2])
    with pytest.raises(Damaged, match="altered"):
        read_intact(node.archive, film)
    path.unlink()
    with pytest.raises(Damaged, match="missing"):
        read_intact(node.archive, film)
