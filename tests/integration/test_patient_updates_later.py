"""HL7 messages that are to be sent again: films are not known yet, earlier copies wait, or the disk is full."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from cxr_node.archive import space
from cxr_node.archive.folder import StagedFile
from cxr_node.archive.space import FreeSpace
from cxr_node.archive.store import OutOfSpace
from cxr_node.db.database import Database
from cxr_node.db.identifier_tables import film_identifiers
from cxr_node.db.tables import film
from cxr_node.queries import ledger
from cxr_node.records import patient_updates
from cxr_node.simulators.his import adt
from cxr_node.work.periodic import film_attributes
from tests.integration.test_patient_updates import NEW_NAME, NEW_NAME_IN_DICOM, Site, of_issuer
from tests.support.films import PATIENT_ID, PATIENT_NAME
from tests.support.node import ATTRIBUTE_RULES

pytestmark = pytest.mark.ci_on_postgresql


def test_messages_wait_for_copies_of_an_earlier_one(database: Database, tmp_path: Path) -> None:
    """Until the copies are compared, the films that count do not state what the earlier message says."""
    site = Site(database, tmp_path, follows="archive")
    site.send(of_issuer())
    first = adt("A40", "RIGHT", prior_id=PATIENT_ID, name=NEW_NAME)
    later = (
        adt("A08", PATIENT_ID, control_id="M2", name=("Filmer", "Testa")),
        adt("A08", "RIGHT", control_id="M3", name=("Filmer", "Testa")),
    )
    assert site.receive(first)[1] == "AA"

    assert [site.receive(one)[1] for one in later] == ["AE", "AE"]
    assert site.receive(first)[1] == "AA"
    assert site.receive(adt("A08", "ANOTHER", control_id="M4"))[1] == "AA"
    site.work()
    assert [site.receive(one)[1] for one in later] == ["AA", "AA"]
    site.work()

    *_, last = site.files()
    assert (last.PatientID, last.PatientName, len(site.files())) == ("RIGHT", PATIENT_NAME, 3)


def test_of_two_messages_at_once_the_second_waits_for_the_first(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(database, tmp_path, follows="archive")
    site.send(of_issuer())
    store = patient_updates.store
    others = iter([adt("A08", PATIENT_ID, name=NEW_NAME)])

    def after_another(*arguments: Any, **options: Any) -> None:
        for other in others:
            assert site.receive(other)[1] == "AA"
        store(*arguments, **options)

    monkeypatch.setattr(patient_updates, "store", after_another)
    assert site.receive(adt("A08", PATIENT_ID, control_id="M2", sex="O"))[1] == "AE"
    assert len(site.files()) == 2
    with database.read() as connection:
        assert ledger.archive_keys(connection) == set(site.node.archive.stored_keys())


def test_a_message_waits_until_all_films_are_read_for_their_identifiers(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer())
    with database.write() as transaction:  # as after an update from an older version
        transaction.connection.execute(update(film).values(modality=None))
        transaction.connection.execute(delete(film_identifiers))

    assert site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))[1] == "AE"
    film_attributes.update(database, site.node.archive, ATTRIBUTE_RULES)
    assert site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))[1] == "AA"
    site.work()
    assert {str(one.PatientName) for one in site.visible()} == {NEW_NAME_IN_DICOM}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_copies_leave_no_open_and_no_staging_file(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer())
    archive = site.settings.node.data_folder / "archive"

    def full(*_: object) -> None:
        raise OutOfSpace("disk full")

    def open_files() -> list[Path]:
        opened = (one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink())
        return [one for one in opened if one.is_relative_to(archive)]

    with monkeypatch.context() as patched:
        patched.setattr(StagedFile, "commit", full)
        assert site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))[1] == "AE"
    assert (list((archive / "staging").iterdir()), open_files()) == ([], [])

    with monkeypatch.context() as patched:
        patched.setattr(space, "free_space", lambda _: FreeSpace(size_bytes=0, inodes=None))
        assert site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))[1] == "AE"
    assert len(site.files()) == 1

    assert site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))[1] == "AA"
    assert (len(site.files()), open_files()) == (2, [])
