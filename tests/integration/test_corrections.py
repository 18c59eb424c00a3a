"""Films that come again with the same pixels and another patient, study or order: results are withdrawn and anew.

What a person sees is what an archive shows that applies rejection notes, whatever was away meanwhile.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.integrity import read_intact
from cxr_node.composing.context import ComposeContext
from cxr_node.config import load
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import film
from cxr_node.deliver.destination import DestinationUnreachable
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import derive_uid
from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.process_pool.executor import InProcess
from cxr_node.queries import archived, ledger
from cxr_node.queries.ledger import Fate
from cxr_node.queries.study_status import study_status
from cxr_node.queue import queue
from cxr_node.records import corrections as correction_rows
from cxr_node.records import films as film_rows
from cxr_node.records import withdrawals
from cxr_node.report.kinds import basic_text, secondary_capture
from cxr_node.report.source import Observer
from cxr_node.simulators.rejections import HidingArchive, rejected_by, title_of
from cxr_node.wiring.compose import routes
from tests.support import films, marks, validators
from tests.support.films import PATIENT_ID, PATIENT_NAME
from tests.support.node import InProcessNode, StubNetwork
from tests.support.running_node import settings_file, to_pacs

OTHER_STUDY = derive_uid("test study", "right")
RIGHT = {"PatientID": "RIGHT", "PatientName": "Right^Patient"}
KINDS = (basic_text.TEXT, secondary_capture.PICTURE)
"""A document and a picture; the cheapest of each."""

Changes = Mapping[str, object]
STORIES: dict[str, Sequence[Changes]] = {
    "another patient": ({}, RIGHT),
    "another order": ({}, {"AccessionNumber": "ACC-2"}),
    "another study": ({}, {**RIGHT, "StudyInstanceUID": OTHER_STUDY}),
    "another patient, twice": ({}, RIGHT, {"PatientID": "THIRD", "PatientName": "Third^Patient"}),
    "another study, and back": ({}, {"StudyInstanceUID": OTHER_STUDY}, RIGHT),
}
OUTAGES = ("none", "from the first film on", "at the correction")


class Site:
    """A node, and an archive that applies rejection notes as its only destination."""

    def __init__(self, database: Database, folder: Path, **options: Any) -> None:
        self.archive = HidingArchive()
        self.is_away = False
        self.node = InProcessNode(database, folder, kinds=KINDS, **options)
        self.node.pacs.before_send = self._check

    def _check(self) -> None:
        if self.is_away:
            raise DestinationUnreachable("connection refused")

    def send(self, changes: Changes, *, seed: int = 0) -> None:
        """Receive a film, and run what is due."""
        self.node.accept(films.dx(seed=seed, changes=changes))
        self.work()

    def work(self) -> None:
        """Run what is due, also what waits for an archive that is back."""
        self.node.work()
        self.node.pass_time(timedelta(minutes=10))
        for content in self.node.pacs.received:
            self.archive.store(content)

    def visible(self) -> list[Dataset]:
        return self.archive.visible()

    def sent(self) -> list[Dataset]:
        """Return what was sent, without rejection notes."""
        objects = [dcmread(BytesIO(content)) for content in self.node.pacs.received]
        return [one for one in objects if title_of(one) is None]


def stored_bytes(site: Site) -> list[bytes]:
    """Return the bytes of every film; their digests are checked."""
    with site.node.database.read() as connection:
        ids = [row.id for row in connection.execute(film.select().order_by(film.c.id))]
        rows = [film_rows.get(connection, film_id) for film_id in ids]
    return [read_intact(site.node.archive, row) for row in rows]


def predecessor(report: Dataset) -> str:
    (study,) = report.PredecessorDocumentsSequence
    return str(study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


@pytest.mark.ci_on_postgresql
@pytest.mark.parametrize(
    ("story", "outage"),
    marks.each_once(
        "test_the_archive_shows_the_film_under_its_last_patient_alone",
        {story: story for story in STORIES},
        {outage: outage for outage in OUTAGES},
    ),
)
def test_the_archive_shows_the_film_under_its_last_patient_alone(
    story: str, outage: str, database: Database, tmp_path: Path
) -> None:
    site = Site(database, tmp_path)
    site.is_away = outage == "from the first film on"
    first, *corrections = STORIES[story]
    site.send(first)
    bytes_before = stored_bytes(site)
    site.is_away = outage != "none"
    for changes in corrections:
        site.send(changes)
    site.is_away = False
    site.work()

    expected = films.dx(changes=corrections[-1])
    shown = site.visible()
    assert sorted(one.Modality for one in shown) == ["OT", "SR"]
    for one in shown:
        assert (one.PatientID, one.PatientName) == (expected.PatientID, expected.PatientName)
        assert (one.StudyInstanceUID, one.AccessionNumber) == (expected.StudyInstanceUID, expected.AccessionNumber)
    sent = site.sent()
    assert len({one.SOPInstanceUID for one in sent}) == len(sent)  # nothing is sent twice
    withdrawn = [one for one in sent if one not in shown]
    assert {site.archive.title(one.SOPInstanceUID) for one in withdrawn} <= {RejectionTitle.WORKLIST}
    if outage != "from the first film on":
        (report,) = (one for one in shown if one.Modality == "SR")
        assert predecessor(report)
    assert stored_bytes(site)[: len(bytes_before)] == bytes_before
    assert {job.state for job in site.node.jobs()} <= {State.DONE, State.DISMISSED}
    with database.read() as connection:
        assert {entry.fate for entry in ledger.entries(connection)} == {Fate.DELIVERED}


@pytest.mark.ci_on_postgresql
def test_a_rejection_note_is_filed_where_the_results_are_and_is_valid(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    site.send({})
    first = site.sent()
    site.send({**RIGHT, "StudyInstanceUID": OTHER_STUDY})

    (note,) = site.archive.notes
    assert title_of(note) is RejectionTitle.WORKLIST
    assert sorted(rejected_by(note)) == sorted(one.SOPInstanceUID for one in first)
    assert (note.PatientID, note.PatientName) == (PATIENT_ID, PATIENT_NAME)
    assert note.StudyInstanceUID == films.dx().StudyInstanceUID
    path = tmp_path / "note.dcm"
    note.save_as(path)
    assert validators.iod_errors(path) == []
    assert validators.sr_errors(path) == []


@pytest.mark.ci_on_postgresql
def test_the_study_says_what_was_corrected_and_withdrawn(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    site.send({})
    site.is_away = True
    site.send(RIGHT)
    with database.read() as connection:
        away = study_status(connection, films.dx().StudyInstanceUID)["summary"]
    site.is_away = False
    site.work()
    with database.read() as connection:
        back = study_status(connection, films.dx().StudyInstanceUID)["summary"]

    assert any("corrected film 1" in sentence for sentence in back)
    assert any("pacs to be told" in sentence for sentence in away)
    (withdrawn,) = (sentence for sentence in back if "withdrawn" in sentence)
    assert "2 results withdrawn" in withdrawn
    assert "Incorrect Modality Worklist Entry: Patient ID, Patient's Name corrected" in withdrawn
    assert "pacs told on" in withdrawn
    assert not any("RIGHT" in sentence or PATIENT_ID in sentence for sentence in [*away, *back])


@pytest.mark.ci_on_postgresql
def test_a_destination_without_notes_gets_none_and_the_study_says_so(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path, takes_notes=False)
    site.send({})
    site.send(RIGHT)

    assert site.archive.notes == []
    assert len(site.sent()) == 4
    assert {job.state for job in site.node.jobs()} == {State.DONE}
    with database.read() as connection:
        summary = study_status(connection, films.dx().StudyInstanceUID)["summary"]
    assert any("pacs takes no rejection notes" in sentence for sentence in summary)
    ris = {"kind": "hl7", "name": "ris", "host": "127.0.0.1", "port": 2575, "withdrawals": False}
    settings = load(settings_file(tmp_path, destinations=(ris, to_pacs(104, "PACS"))))
    assert {name: route.takes_notes for name, route in routes(settings).items()} == {"ris": False, "pacs": True}


@pytest.mark.ci_on_postgresql
def test_the_first_study_is_reported_without_the_moved_film(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    study = films.dx().StudyInstanceUID
    site.node.accept(films.dx(seed=1, changes={"StudyInstanceUID": study}))
    site.send({})
    site.send({**RIGHT, "StudyInstanceUID": OTHER_STUDY})

    by_study = {
        uid: [one for one in site.visible() if one.StudyInstanceUID == uid and one.Modality == "SR"]
        for uid in (study, OTHER_STUDY)
    }
    moved, other = films.dx().SOPInstanceUID, films.dx(seed=1).SOPInstanceUID
    ((of_first,), (of_other,)) = by_study.values()
    assert moved not in str(of_first)
    assert other in str(of_first)
    assert moved in str(of_other)
    assert (of_first.PatientID, of_other.PatientID) == (PATIENT_ID, "RIGHT")
    assert not any(moved in str(one) for one in site.visible() if one.StudyInstanceUID == study)


@pytest.mark.ci_on_postgresql
def test_results_that_follow_the_archive_stay(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path, issues_anew=False)
    site.send({})
    site.send(RIGHT)
    assert (len(site.sent()), site.archive.notes, site.node.reader.calls) == (2, [], 1)

    study = films.dx().StudyInstanceUID
    site.send({**RIGHT, "StudyInstanceUID": study}, seed=1)

    *_, report = (one for one in site.sent() if one.Modality == "SR")
    assert report.PatientID == "RIGHT"
    assert "IDENTITY" not in str(report)
    assert site.archive.notes == []


@pytest.mark.ci_on_postgresql
def test_a_film_whose_results_follow_the_archive_is_not_open(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path, issues_anew=False)
    site.send({})
    site.send({**RIGHT, "StudyInstanceUID": OTHER_STUDY})

    with database.read() as connection:
        assert [entry.fate for entry in ledger.entries(connection)] == [Fate.DELIVERED, Fate.DELIVERED]


@pytest.mark.ci_on_postgresql
@pytest.mark.parametrize("is_read", [False, True], ids=["not read", "not reported"])
def test_a_copy_is_reported_if_the_archive_has_no_results_to_correct(
    is_read: bool, database: Database, tmp_path: Path
) -> None:
    reader = StubNetwork()
    is_busy = not is_read

    def network() -> StubNetwork:
        if is_busy:
            raise RetryLater("no memory")
        return reader

    site = Site(database, tmp_path, issues_anew=False, reader=reader, network=network)
    site.node.accept(films.dx())
    site.node.turn(Stage.READ)
    is_busy = False
    site.node.accept(films.dx(changes={**RIGHT, "StudyInstanceUID": OTHER_STUDY}))
    site.node.turn(Stage.READ)
    site.work()

    assert sorted(one.Modality for one in site.visible()) == ["OT", "SR"]
    assert {(one.PatientID, one.StudyInstanceUID) for one in site.sent()} == {("RIGHT", OTHER_STUDY)}


@pytest.mark.ci_on_postgresql
def test_a_copy_does_not_take_the_place_of_one_received_after_it(database: Database, tmp_path: Path) -> None:
    """Another process has compared the second copy sooner than this one the first."""
    site = Site(database, tmp_path)
    for changes in ({}, RIGHT, {"PatientID": "THIRD"}):
        site.node.accept(films.dx(changes=changes))
    for film_id in (3, 2):
        with database.write() as transaction:
            now = site.node.clock.now
            correction_rows.issue_anew(transaction, film_id, detail="Patient ID corrected", actor="test", now=now)
    site.work()

    with database.read() as connection:
        assert [film_rows.get(connection, film_id).is_original for film_id in (1, 2, 3)] == [False, False, True]
        exported = archived.original_film(connection, str(films.dx().SOPInstanceUID))
        assert exported is not None
        assert exported.digest == film_rows.get(connection, 3).digest
    assert {one.PatientID for one in site.sent()} == {"THIRD"}


def test_of_two_copies_at_one_moment_the_last_received_counts(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction of the second copy is open while another process begins that of the first."""
    site = Site(database, tmp_path)
    for changes in ({}, RIGHT, {"PatientID": "THIRD"}):
        site.node.accept(films.dx(changes=changes))
    now = site.node.clock.now
    waits = threading.Event()
    lock = withdrawals.lock

    def signalling(transaction: Transaction, study_ids: Iterable[int]) -> None:
        waits.set()
        lock(transaction, study_ids)

    def correct(film_id: int) -> None:
        with database.write() as transaction:
            correction_rows.issue_anew(transaction, film_id, detail="Patient ID corrected", actor="test", now=now)

    with ThreadPoolExecutor() as pool:
        with database.write() as transaction:
            correction_rows.issue_anew(transaction, 3, detail="Patient ID corrected", actor="test", now=now)
            monkeypatch.setattr(withdrawals, "lock", signalling)
            earlier = pool.submit(correct, 2)
            waits.wait(0.5)  # on SQLite it waits for the whole transaction
        earlier.result()

    with database.read() as connection:
        assert [film_rows.get(connection, film_id).is_original for film_id in (1, 2, 3)] == [False, False, True]


@pytest.mark.ci_on_postgresql
def test_what_is_composed_while_a_study_is_corrected_is_discarded(database: Database, tmp_path: Path) -> None:
    """A correction between reading the rows of a study and writing its results."""

    class Racing(InProcess[ComposeContext]):
        before: Callable[[], None] = staticmethod(lambda: None)

        def map(self, function: Any, items: Any) -> Any:
            composed = super().map(function, items)
            before, self.before = self.before, lambda: None
            before()
            return composed

    context = ComposeContext(archive=FolderArchive(tmp_path / "archive"), kinds=KINDS, observer=Observer())
    executor = Racing(context)
    site = Site(database, tmp_path, compose_executor=executor)

    def correct() -> None:
        with database.write() as transaction:
            title = RejectionTitle.WORKLIST
            now = site.node.clock.now
            withdrawals.withdraw(transaction, 1, title, detail="issued anew", actor="test", now=now)

    executor.before = correct
    site.send({})

    assert sorted(one.Modality for one in site.visible()) == ["OT", "SR"]
    assert len(site.sent()) == 2
    assert site.archive.notes == []


@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=pytest.mark.ci(short="test_a_correction_survives_a_kill_at_every_commit[3]")), 3]
)
def test_a_correction_survives_a_kill_at_every_commit(step: int, tmp_path: Path, migrated_file: Path) -> None:
    """A node dies before its n-th commit after the corrected film came, for every `step`-th n until it is through."""
    number, was_killed = 1 - step, True
    while was_killed:
        number += step
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "node.db").write_bytes(migrated_file.read_bytes())
        was_killed = _killed_at(folder, number)
    assert number > 8


class KilledDatabase(Database):
    """Database whose process dies before a commit."""

    commits_left: int | None = None

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        with super().write() as transaction:
            driver: Any = transaction.connection.connection.driver_connection
            before = driver.total_changes
            yield transaction
            if self.commits_left is not None and driver.total_changes > before:
                self.commits_left -= 1
                if self.commits_left < 0:
                    raise KeyboardInterrupt


def _killed_at(folder: Path, number: int) -> bool:
    database = KilledDatabase(f"sqlite:///{folder / 'node.db'}")
    site = Site(database, folder)
    site.send({})
    site.node.accept(films.dx(changes={**RIGHT, "StudyInstanceUID": OTHER_STUDY}))
    database.commits_left = number - 1
    was_killed = False
    try:
        site.work()
    except KeyboardInterrupt:
        was_killed = True
    database.commits_left = None
    again = Site(database, folder)
    again.archive, again.node.pacs.received = site.archive, site.node.pacs.received
    again.node.clock.now = site.node.clock.now + timedelta(hours=1)
    with database.write() as transaction:
        queue.release(transaction, owner_prefix="node", now=again.node.clock.now)
    again.work()
    shown = again.visible()
    assert sorted(one.Modality for one in shown) == ["OT", "SR"], number
    assert {(one.PatientID, one.StudyInstanceUID) for one in shown} == {("RIGHT", OTHER_STUDY)}, number
    assert len(again.archive.notes) == 1
    database.close()
    return was_killed
