"""Rejection notes that peers send: films are hidden, results withdrawn, instances refused, before or after the film."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import Connection, event, select

from cxr_node import pipeline, records
from cxr_node.archive.store import film_key
from cxr_node.config import load
from cxr_node.db.correction_tables import rejected_instance
from cxr_node.db.correction_tables import rejection_note as note_table
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.film import Film
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.instance import Sender
from cxr_node.domain.rejection_titles import NoteScope, RejectionTitle
from cxr_node.queries import ledger
from cxr_node.queries.study_status import study_status
from cxr_node.records import rejection_notes, retention
from cxr_node.records.rejection_notes import InstanceRejected
from cxr_node.simulators.rejection_notes import rejection_note
from cxr_node.wiring.receive import note_scope
from cxr_node.work.periodic.retention import remove_expired
from tests.integration.test_corrections import Site, stored_bytes
from tests.support import films, marks
from tests.support.node import received
from tests.support.queue import SENDER
from tests.support.running_node import settings_file, to_pacs

pytestmark = pytest.mark.ci_on_postgresql

STUDY = films.dx().StudyInstanceUID
OTHER = films.dx(seed=1, changes={"StudyInstanceUID": STUDY})
MAY_COME_AGAIN = (RejectionTitle.QUALITY, RejectionTitle.RETENTION)


def send(site: Site, *objects: Dataset) -> None:
    for one in objects:
        site.node.accept(one)
    site.work()


def names(site: Site, film: Dataset) -> list[str]:
    """Return the visible objects that name a film."""
    return [str(one.Modality) for one in site.visible() if str(film.SOPInstanceUID) in str(one)]


@pytest.mark.parametrize(
    ("title", "order"),
    marks.each_once(
        "test_no_visible_object_names_the_rejected_film",
        {title.name: title for title in RejectionTitle},
        {
            "after, reachable": (False, False),
            "after, away": (False, True),
            "before, reachable": (True, False),
            "before, away": (True, True),
        },
    ),
)
def test_no_visible_object_names_the_rejected_film(
    title: RejectionTitle, order: tuple[bool, bool], database: Database, tmp_path: Path
) -> None:
    """Of a study of two films one is rejected; then the other, so that none is left."""
    is_first, is_away = order
    site = Site(database, tmp_path)
    note = rejection_note(title, films.dx())
    if is_first:
        send(site, note)
        site.is_away = is_away
        send(site, films.dx(), OTHER)
    else:
        send(site, films.dx(), OTHER)
        site.is_away = is_away
        send(site, note)
    send(site, note)  # the same note again
    site.is_away = False
    site.work()

    assert names(site, films.dx()) == []
    assert sorted(names(site, OTHER)) == ["OT", "SR"]
    if not is_first:
        assert {site.archive.title(one.SOPInstanceUID) for one in site.sent()} == {None, title}
    if title is not RejectionTitle.RETENTION:
        assert len(stored_bytes(site)) == 2
    assert sorted(job.state for job in site.node.jobs(Stage.READ)) == [State.DISMISSED, State.DONE]

    send(site, rejection_note(title, OTHER))

    assert site.visible() == []
    with database.read() as connection:
        assert {entry.reason for entry in ledger.entries(connection)} == {"rejected"}
        summary = study_status(connection, STUDY)["summary"]
    assert sum("rejected on" in sentence and title.meaning in sentence for sentence in summary) == 2
    assert {job.state for job in site.node.jobs()} <= {State.DONE, State.DISMISSED}


def test_a_note_that_comes_while_composing_reads_its_rows_counts(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are read one statement after the other: a note may hide the film after its row was read."""
    site = Site(database, tmp_path)
    site.node.accept(films.dx())
    site.node.turn(Stage.READ)
    of_study = records.films.of_study

    def of_study_before_the_note(connection: Connection, study_id: int) -> list[Film]:
        shown = of_study(connection, study_id)
        monkeypatch.undo()
        site.node.accept(rejection_note(RejectionTitle.QUALITY, films.dx()))
        return shown

    monkeypatch.setattr(records.films, "of_study", of_study_before_the_note)
    site.work()

    assert site.visible() == []
    assert {job.state for job in site.node.jobs()} <= {State.DONE, State.DISMISSED}


@pytest.mark.parametrize("title", RejectionTitle)
def test_a_rejected_film_is_refused_or_comes_again(title: RejectionTitle, database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    send(site, films.dx(), rejection_note(title, films.dx()))
    assert site.visible() == []
    retake = films.dx(changes={"PixelData": films.dx(seed=5).PixelData})

    for number, film in enumerate((films.dx(), retake), start=1):
        if title in MAY_COME_AGAIN:
            send(site, film)
            assert sorted(one.Modality for one in site.visible()) == ["OT", "SR"]
            send(site, rejection_note(title, film, number=number))
            assert site.visible() == []
        else:
            with pytest.raises(InstanceRejected):
                site.node.accept(film)
            site.work()
    assert site.visible() == []
    if title not in MAY_COME_AGAIN:
        assert film_key(received(films.dx()).digest) in site.node.archive
        assert film_key(received(retake).digest) not in site.node.archive


def test_expired_retention_removes_films_and_results(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    send(site, films.dx())
    assert len(list(site.node.archive.stored_keys())) == 3

    send(site, rejection_note(RejectionTitle.RETENTION, films.dx()))

    assert site.visible() == []
    assert len(site.archive.notes) == 1
    assert list(site.node.archive.stored_keys()) == []  # the note too, which names the patient
    with database.read() as connection:
        assert ledger.archive_keys(connection) == set(site.node.archive.stored_keys())


def test_the_note_on_expired_results_is_kept_until_it_is_delivered(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    send(site, films.dx())
    site.is_away = True
    send(site, rejection_note(RejectionTitle.RETENTION, films.dx()))
    (note,) = (dcmread(BytesIO(site.node.archive.get(key))) for key in site.node.archive.stored_keys())
    site.is_away = False
    site.work()

    assert [one.SOPInstanceUID for one in site.archive.notes] == [note.SOPInstanceUID]
    assert list(site.node.archive.stored_keys()) == []


def test_a_refused_film_that_was_removed_leaves_no_file(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    send(site, films.dx(), rejection_note(RejectionTitle.SAFETY, films.dx()))
    with database.write() as transaction:
        retention.mark_films_removed(transaction, [1], now=site.node.clock())
    site.node.archive.discard(film_key(received(films.dx()).digest))

    with pytest.raises(InstanceRejected):
        site.node.accept(films.dx())

    assert film_key(received(films.dx()).digest) not in site.node.archive


def test_the_sweep_finds_waiting_rejections_by_their_index(database: Database) -> None:
    statements: list[tuple[str, object]] = []

    def note(_c: object, _u: object, statement: str, parameters: object, *_: object) -> None:
        statements.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    rejection_notes.apply_pending(database)
    event.remove(database.engine, "before_cursor_execute", note)
    sweep = next(pair for pair in statements if "rejected_instance" in pair[0])
    is_sqlite = database.engine.dialect.name == "sqlite"
    with database.write() as transaction:
        connection = transaction.connection
        if not is_sqlite:  # which scans an empty table otherwise
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        lines = connection.exec_driver_sql(f"{explain} {sweep[0]}", sweep[1]).all()  # type: ignore[arg-type]  # theirs

    assert "ix_rejected_instance_pending" in str(lines)


def test_a_note_on_the_first_study_leaves_the_film_that_was_moved(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    moved = films.dx(changes={"StudyInstanceUID": "1.2.3", "PatientID": "RIGHT"})
    send(site, films.dx())
    send(site, moved)
    send(site, rejection_note(RejectionTitle.WORKLIST, films.dx()))

    assert {one.StudyInstanceUID for one in site.visible()} == {"1.2.3"}
    assert sorted(names(site, moved)) == ["OT", "SR"]


def test_a_second_note_on_a_hidden_film_hides_no_other_film(database: Database, tmp_path: Path) -> None:
    """Two senders reject the same instance, each by a note of its own; the second has nothing left to hide."""
    site = Site(database, tmp_path)
    moved = films.dx(changes={"StudyInstanceUID": "1.2.3", "PatientID": "RIGHT"})
    quality = RejectionTitle.QUALITY
    send(site, films.dx(), moved, OTHER)
    send(site, *(rejection_note(quality, one, number=number) for one in (films.dx(), OTHER) for number in (1, 2)))
    assert {one.StudyInstanceUID for one in site.visible()} == {"1.2.3"}

    send(site, OTHER)  # it comes again, as it may

    assert sorted(names(site, OTHER)) == ["OT", "SR"]
    send(site, rejection_note(quality, OTHER, number=3), rejection_note(RejectionTitle.SAFETY, OTHER))
    with pytest.raises(InstanceRejected):
        site.node.accept(OTHER)


def test_a_hidden_correction_that_comes_again_corrects_again(database: Database, tmp_path: Path) -> None:
    """Both are rejected for their quality; then a modality repeats the first, and a PACS the correction."""
    site = Site(database, tmp_path)
    right = films.dx(changes={"PatientID": "RIGHT"})
    send(site, films.dx(), right)
    send(site, rejection_note(RejectionTitle.QUALITY, films.dx()))
    assert site.visible() == []

    send(site, films.dx())
    send(site, right)

    assert {one.PatientID for one in site.visible()} == {"RIGHT"}


def test_a_film_received_beside_its_note_is_hidden_by_the_next_sweep(database: Database, tmp_path: Path) -> None:
    """Another process writes the film, which saw no note, while this one writes the note, which saw no film."""
    site = Site(database, tmp_path)
    send(site, rejection_note(RejectionTitle.SAFETY, films.dx()))
    with database.write() as transaction:
        transaction.connection.execute(rejected_instance.update().values(lifted_at=site.node.clock.now))
    send(site, films.dx())
    assert site.visible() != []
    with database.write() as transaction:
        transaction.connection.execute(rejected_instance.update().values(lifted_at=None))

    rejection_notes.apply_pending(database)
    site.work()

    assert site.visible() == []


def test_rejections_that_cannot_apply_keep_no_other_from_it(database: Database, tmp_path: Path) -> None:
    """Notes of other senders on a film of this one, as many as a sweep applies, before and after one that hides it."""
    site = Site(database, tmp_path)
    send(site, films.dx())
    row = {
        "sop_instance_uid": films.dx().SOPInstanceUID,
        "study_instance_uid": STUDY,
        "title": RejectionTitle.QUALITY,
        "detail": "",
        "rejected_by": "",
        "rejected_at": site.node.clock.now,
    }
    with database.write() as transaction:
        for sender in (*["ANOTHER"] * 100, SENDER.calling_ae_title, *["ANOTHER"] * 100):
            transaction.connection.execute(rejected_instance.insert().values(**row, only_from=sender))

    rejection_notes.apply_pending(database)
    site.work()

    assert site.visible() == []


def test_a_rejection_of_own_films_applies_beside_those_of_others(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    send(site, films.dx())
    another = replace(SENDER, calling_ae_title=AeTitle("ANOTHER"))
    site.node.accept(films.dx(changes={"StudyInstanceUID": "1.2.3"}), sender=another)
    columns = {"title": RejectionTitle.QUALITY, "detail": "", "rejected_by": "", "rejected_at": site.node.clock.now}
    with database.write() as transaction:
        for study in (STUDY, "1.2.9"):  # the second names no film's study, so films of both are meant
            row = {"sop_instance_uid": films.dx().SOPInstanceUID, "study_instance_uid": study, **columns}
            transaction.connection.execute(rejected_instance.insert().values(**row, only_from=SENDER.calling_ae_title))

    rejection_notes.apply_pending(database)

    with database.read() as connection:
        applied = connection.execute(
            select(rejected_instance.c.study_instance_uid).where(rejected_instance.c.applied_at.is_not(None))
        )
        assert applied.scalars().all() == [STUDY]


def _large() -> Dataset:
    note = rejection_note(RejectionTitle.SAFETY, films.dx())
    note.TextValue = "x" * (1 << 20)
    return note


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: rejection_note("113000", films.dx()), "is no rejection note"),
        (lambda: rejection_note("113037", films.dx(), scheme="99X"), "is no rejection note"),
        (lambda: rejection_note("113037"), "names no instance"),
        (_large, "larger than"),
    ],
    ids=["another title", "a private title", "without an instance", "too large"],
)
def test_what_is_no_rejection_note_is_rejected(
    build: Callable[[], Dataset], message: str, database: Database, tmp_path: Path
) -> None:
    site = Site(database, tmp_path)
    with pytest.raises(RejectObject, match=message):
        site.node.accept(build())
    with database.read() as connection:
        assert connection.execute(select(note_table)).first() is None


ARCHIVE = replace(SENDER, calling_ae_title=AeTitle("PACS"))
STRANGER = replace(SENDER, calling_ae_title=AeTitle("STRANGER"))


@pytest.mark.parametrize(
    ("senders", "sender", "scope", "of_retention"),
    [
        ("[]", SENDER, NoteScope.OWN_FILMS, NoteScope.NO_FILM),
        ("[]", ARCHIVE, NoteScope.EVERY_FILM, NoteScope.NO_FILM),
        (f'["{SENDER.calling_ae_title}"]', SENDER, NoteScope.EVERY_FILM, NoteScope.EVERY_FILM),
        ('["OTHER"]', ARCHIVE, NoteScope.NO_FILM, NoteScope.NO_FILM),
    ],
    ids=["no sender named", "a destination", "the sender named", "another named"],
)
def test_whose_films_a_sender_may_reject_follows_from_the_settings(
    senders: str, sender: Sender, scope: NoteScope, of_retention: NoteScope, tmp_path: Path
) -> None:
    more = f"[corrections]\nnotes_from = {senders}"
    settings = load(settings_file(tmp_path, more=more, destinations=(to_pacs(104, "PACS"),)))

    scopes = {title: note_scope(settings, sender, title) for title in RejectionTitle}
    assert scopes == {**dict.fromkeys(RejectionTitle, scope), RejectionTitle.RETENTION: of_retention}


def test_a_sender_hides_its_own_films_alone(database: Database, tmp_path: Path) -> None:
    """Neither those of another that are here, nor one that another sends later under the rejected UID."""
    site = Site(database, tmp_path)
    later = films.dx(seed=2)
    settings = load(settings_file(tmp_path / "settings"))

    def reject(film: Dataset, sender: Sender) -> bool:
        note = rejection_note(RejectionTitle.SAFETY, film)
        scope = partial(note_scope, settings)
        return pipeline.accept(
            received(note),
            sender,
            archive=site.node.archive,
            database=database,
            note_scope=scope,
            clock=site.node.clock,
        )

    send(site, films.dx())
    with pytest.raises(RejectObject, match="films of another sender"):
        reject(films.dx(), STRANGER)
    assert reject(later, STRANGER)
    send(site, later)
    assert len(site.visible()) == 4

    assert reject(films.dx(), SENDER)
    site.work()
    assert names(site, films.dx()) == []
    with database.read() as connection:
        assert {row.only_from for row in connection.execute(select(rejected_instance))} == {"STRANGER", "DX1"}


def test_a_note_is_kept_and_own_notes_sent_back_are_not(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    note = rejection_note(RejectionTitle.SAFETY, films.dx())
    send(site, films.dx())
    send(site, note)
    with database.read() as connection:
        (row,) = connection.execute(select(note_table)).all()
    assert (row.content, row.calling_ae_title) == (received(note).content, SENDER.calling_ae_title)

    own = site.archive.notes[0]
    assert site.node.accept(own) is False

    site.node.clock.advance(days=31)
    remove_expired(database, site.node.archive, keep=timedelta(days=30), clock=site.node.clock)

    with database.read() as connection:
        assert connection.execute(select(note_table.c.content)).scalars().all() == [b""]
    assert site.node.accept(note) is False
