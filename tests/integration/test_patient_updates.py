"""HL7 messages that update or merge patients: films and results state the patient, and no kept byte changes."""

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select

from cxr_node import config
from cxr_node.audit import events
from cxr_node.audit.events import Application
from cxr_node.audit.message import AuditMessage
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.correction_tables import patient_message
from cxr_node.db.database import Database
from cxr_node.db.errors import DatabaseUnavailable
from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.ops.checks.adt import hl7_entrance
from cxr_node.ops.checks.node import Status
from cxr_node.queries import ledger, metrics
from cxr_node.queries.ledger import Fate
from cxr_node.queries.study_status import study_status
from cxr_node.queue import queue
from cxr_node.records import patient_updates
from cxr_node.settings.root import Settings
from cxr_node.simulators.his import ISSUER, adt
from cxr_node.wiring import roles
from cxr_node.wiring.adt import answering, listening
from cxr_node.wiring.audit import Audit
from cxr_node.wiring.live_settings import LiveSettings
from cxr_node.wiring.process import Process
from tests.integration import test_corrections
from tests.integration.test_corrections import KilledDatabase, stored_bytes
from tests.support import films, peers
from tests.support.films import PATIENT_ID, PATIENT_NAME
from tests.support.running_node import settings_file

hl7_client = pytest.importorskip("hl7.client")

ADDRESS = "127.0.0.1"
NEW_NAME = ("Müller", "Jörg", "K", "jun", "Dr", "", "L")
NEW_NAME_IN_DICOM = "Müller^Jörg^K^Dr^jun"


class Site(test_corrections.Site):
    """A node with an HL7 entrance, and an archive that applies rejection notes."""

    def __init__(self, database: Database, folder: Path, *, follows: str = "node", more: str = "") -> None:
        self.settings = settings_of(folder, follows=follows, more=more)
        super().__init__(database, self.settings.node.data_folder, issues_anew=follows == "node")
        self.recorded: list[AuditMessage] = []
        application = Application(ae_title="CXRNODE", process_id=1, host="node-1")
        self.process = Process(
            live=LiveSettings(self.settings, None),
            audit=Audit(application=application, record=self.recorded.append, clock=self.node.clock),
            clock=self.node.clock,
            make_database=lambda _process: database,
        )

    def receive(self, message: bytes) -> list[str]:
        """Receive a message; return the fields of the MSA."""
        acknowledgment = answering(self.process)(message, ADDRESS).decode("ascii")
        return next(line.split("|") for line in acknowledgment.split("\r") if line.startswith("MSA"))

    def files(self) -> list[Dataset]:
        """Return every film in the order of reception."""
        return [dcmread(BytesIO(content)) for content in stored_bytes(self)]


def settings_of(folder: Path, *, follows: str = "node", more: str = "") -> Settings:
    sections = (
        f'[corrections]\nresults_follow = "{follows}"\n[adt]\nenabled = true\nport = 0\naddresses = ["127.0.0.1"]\n'
    )
    return load(settings_file(folder / "node", more=sections + more))


def of_issuer(**changes: object) -> dict[str, object]:
    return {"IssuerOfPatientID": ISSUER, **changes}


@pytest.mark.ci_on_postgresql
@pytest.mark.parametrize("is_away", [False, True], ids=["reachable", "away"])
@pytest.mark.parametrize("event", ["A08", "A31"])
def test_an_update_corrects_films_and_results_of_the_patient(
    event: str, is_away: bool, database: Database, tmp_path: Path
) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer())
    site.send(of_issuer(), seed=1)
    site.send(of_issuer(PatientID="ANOTHER"), seed=2)
    before = stored_bytes(site)
    site.is_away = is_away
    message = adt(event, PATIENT_ID, name=NEW_NAME, birth_date="19610203", sex="M")

    assert site.receive(message)[:3] == ["MSA", "AA", "M1"]
    assert site.receive(message)[1] == "AA"  # sent again, as its acknowledgment was lost
    site.work()
    site.is_away = False
    site.work()

    shown = site.visible()
    assert sorted(one.Modality for one in shown) == ["OT"] * 3 + ["SR"] * 3
    patients = {(str(one.PatientID), str(one.PatientName), one.PatientBirthDate, one.PatientSex) for one in shown}
    other = films.dx(seed=2)
    assert patients == {
        (PATIENT_ID, NEW_NAME_IN_DICOM, "19610203", "M"),
        ("ANOTHER", PATIENT_NAME, other.PatientBirthDate, other.PatientSex),
    }
    assert {site.archive.title(one.SOPInstanceUID) for one in site.sent() if one not in shown} <= {
        RejectionTitle.WORKLIST
    }
    assert stored_bytes(site)[:3] == before
    assert len(stored_bytes(site)) == 5
    with database.read() as connection:
        assert {entry.fate for entry in ledger.entries(connection)} == {Fate.DELIVERED}
        assert len(connection.execute(select(patient_message.c.id)).all()) == 1


@pytest.mark.ci_on_postgresql
def test_a_copy_differs_from_its_film_in_the_patient_alone(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer(SpecificCharacterSet=None))
    site.receive(adt("A08", PATIENT_ID, name=NEW_NAME, sex="O"))

    film, copy = site.files()
    (item,) = copy.OriginalAttributesSequence
    assert (copy.PatientName, copy.PatientSex, copy.SpecificCharacterSet) == (NEW_NAME_IN_DICOM, "O", "ISO_IR 192")
    assert item.ModifiedAttributesSequence[0].PatientName == film.PatientName
    assert (item.ReasonForTheAttributeModification, item.ModifyingSystem) == ("CORRECT", site.settings.node.name)
    for one in (film, copy):
        for keyword in ("PatientName", "PatientSex", "SpecificCharacterSet", "OriginalAttributesSequence"):
            one.pop(keyword, None)
    assert copy == film


@pytest.mark.ci_on_postgresql
@pytest.mark.parametrize("is_away", [False, True], ids=["reachable", "away"])
def test_a_merge_moves_the_films_of_the_patient_who_ceases_to_exist(
    is_away: bool, database: Database, tmp_path: Path
) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer(PatientID="OLD"))
    site.send(of_issuer(PatientID="RIGHT"), seed=1)
    site.send({"PatientID": "OLD", "IssuerOfPatientID": "SOUTH"}, seed=2)

    before = stored_bytes(site)
    site.is_away = is_away

    assert site.receive(adt("A40", "RIGHT", prior_id="OLD"))[1] == "AA"
    assert site.receive(adt("A40", "RIGHT", prior_id="OLD"))[1] == "AA"  # sent again
    site.work()
    site.is_away = False
    site.work()
    assert stored_bytes(site)[:3] == before

    shown = {str(one.StudyInstanceUID): (one.PatientID, one.IssuerOfPatientID) for one in site.visible()}
    of_seed = [shown[str(films.dx(seed=seed).StudyInstanceUID)] for seed in range(3)]
    assert of_seed == [("RIGHT", ISSUER), ("RIGHT", ISSUER), ("OLD", "SOUTH")]
    assert len(site.visible()) == 6
    with database.read() as connection:
        summary = study_status(connection, films.dx().StudyInstanceUID)["summary"]
        counts = metrics.patient_messages(connection, since=site.node.clock() - timedelta(hours=1))
    assert any("by ADT^A40 M1 of HIS|NORTH, corrected film 1" in sentence for sentence in summary)
    assert any("Patient ID corrected by ADT^A40" in sentence for sentence in summary)
    assert not any("OLD" in sentence or "RIGHT" in sentence for sentence in summary)
    assert counts == {("A40", "corrected"): 1}

    site.receive(adt("A08", "RIGHT", control_id="M2", name=NEW_NAME))
    site.receive(adt("A40", "THIRD", control_id="M3", prior_id="RIGHT", name=NEW_NAME))
    site.work()
    assert sorted({(one.PatientID, str(one.PatientName)) for one in site.visible()}) == [
        ("OLD", PATIENT_NAME),
        ("THIRD", NEW_NAME_IN_DICOM),
    ]


@pytest.mark.ci_on_postgresql
def test_an_update_back_to_the_first_name_corrects_again(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer())
    for number, name in enumerate((NEW_NAME, ("Filmer", "Testa"), NEW_NAME, ("Filmer", "Testa"))):
        assert site.receive(adt("A08", PATIENT_ID, control_id=f"M{number}", name=name))[1] == "AA"
        site.work()

    assert {str(one.PatientName) for one in site.visible()} == {PATIENT_NAME}
    assert len(site.visible()) == 2
    *_, last = site.files()
    assert len(last.OriginalAttributesSequence) == 4


@pytest.mark.ci_on_postgresql
def test_what_the_films_state_already_changes_nothing(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer(PatientName="Filmer^Testa=山田^太郎", SpecificCharacterSet="ISO_IR 192"))
    sent = len(site.node.pacs.received)

    assert site.receive(adt("A08", PATIENT_ID))[1] == "AA"
    assert site.receive(adt("A08", "NOBODY", control_id="M2"))[1] == "AA"
    site.work()

    assert len(site.node.pacs.received) == sent
    assert len(site.files()) == 1
    patient_updates_of_record = [one for one in site.recorded if one.event == events.PATIENT_RECORD]
    assert [one.objects[0].object_id for one in patient_updates_of_record] == [PATIENT_ID, "NOBODY"]
    with database.write() as transaction:
        patient_updates.forget(transaction, before=site.node.clock() + timedelta(days=1))
        assert transaction.connection.execute(select(patient_message.c.id)).all() == []


@pytest.mark.ci_on_postgresql
def test_results_that_follow_the_archive_stay_as_they_are(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path, follows="archive")
    site.send(of_issuer())
    site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))
    site.work()
    assert (len(site.sent()), site.archive.notes, site.node.reader.calls) == (2, [], 1)

    study = films.dx().StudyInstanceUID
    site.send(
        of_issuer(PatientName=NEW_NAME_IN_DICOM, SpecificCharacterSet="ISO_IR 192", StudyInstanceUID=study), seed=1
    )

    *_, report = (one for one in site.sent() if one.Modality == "SR")
    assert str(report.PatientName) == NEW_NAME_IN_DICOM
    assert "IDENTITY" not in str(report)


@pytest.mark.ci_on_postgresql
def test_a_film_that_comes_while_a_message_is_applied_is_corrected_too(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer())
    store = patient_updates.store
    arrivals = iter([lambda: site.node.accept(films.dx(seed=1, changes=of_issuer()))])

    def after_an_arrival(*arguments: Any, **options: Any) -> None:
        next(arrivals, lambda: None)()
        store(*arguments, **options)

    monkeypatch.setattr(patient_updates, "store", after_an_arrival)
    assert site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))[1] == "AA"
    site.work()

    assert {str(one.PatientName) for one in site.visible()} == {NEW_NAME_IN_DICOM}
    assert len(site.visible()) == 4
    with database.read() as connection:
        assert ledger.archive_keys(connection) == set(site.node.archive.stored_keys())


@pytest.mark.ci_on_postgresql
@pytest.mark.parametrize("error", [DatabaseUnavailable("database unavailable"), RuntimeError("a fault")], ids=type)
def test_a_message_that_was_not_committed_is_not_accepted(
    error: Exception, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer())

    def unavailable(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(patient_updates, "store", unavailable)
        assert site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))[1] == "AE"
    site.work()
    assert {str(one.PatientName) for one in site.visible()} == {PATIENT_NAME}
    with database.read() as connection:
        assert ledger.archive_keys(connection) == set(site.node.archive.stored_keys())

    assert site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))[1] == "AA"
    site.work()
    assert {str(one.PatientName) for one in site.visible()} == {NEW_NAME_IN_DICOM}


@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=pytest.mark.ci(short="test_a_message_survives_a_kill_at_every_commit[3]")), 3]
)
def test_a_message_survives_a_kill_at_every_commit(step: int, tmp_path: Path, migrated_file: Path) -> None:
    """A node that dies before its n-th commit after the message came, for every `step`-th n; a HIS sends it again."""
    number, was_killed = 1 - step, True
    while was_killed:
        number += step
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "node.db").write_bytes(migrated_file.read_bytes())
        was_killed = _killed_at(folder, number)
    assert number > 5


def _killed_at(folder: Path, number: int) -> bool:
    database = KilledDatabase(f"sqlite:///{folder / 'node.db'}")
    site = Site(database, folder)
    site.send(of_issuer())
    database.commits_left = number - 1
    was_killed = False
    try:
        site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))
        site.work()
    except KeyboardInterrupt:
        was_killed = True
    database.commits_left = None
    again = Site(database, folder)
    again.archive, again.node.pacs.received = site.archive, site.node.pacs.received
    again.node.clock.now = site.node.clock.now + timedelta(hours=1)
    with database.write() as transaction:
        queue.release(transaction, owner_prefix="node", now=again.node.clock.now)
    assert again.receive(adt("A08", PATIENT_ID, name=NEW_NAME))[1] == "AA"
    again.work()
    assert sorted(one.Modality for one in again.visible()) == ["OT", "SR"], number
    assert {str(one.PatientName) for one in again.visible()} == {NEW_NAME_IN_DICOM}, number
    assert (len(again.files()), len(again.archive.notes)) == (2, 1), number
    database.close()
    return was_killed


def without(message: bytes, name: bytes) -> bytes:
    return b"\r".join(line for line in message.split(b"\r") if not line.startswith(name))


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no message": (lambda: b"PID|1", "AR"),
    "another type": (lambda: adt("R01", PATIENT_ID, kind="ORU"), "AR"),
    "another event": (lambda: adt("A01", PATIENT_ID), "AR"),
    "training": (lambda: adt("A08", PATIENT_ID, processing_id="T"), "AR"),
    "an unknown character set": (lambda: adt("A08", PATIENT_ID, character_set="BIG-5"), "AR"),
    "text of another character set": (
        lambda: adt("A08", PATIENT_ID, name="Müller").replace("ü".encode(), b"\xfc"),
        "AR",
    ),
    "no patient": (lambda: without(adt("A08", PATIENT_ID), b"PID"), "AE"),
    "no Patient ID": (lambda: adt("A08", ""), "AE"),
    "a merge of nobody": (lambda: adt("A40", PATIENT_ID), "AE"),
    "a name that DICOM has not": (lambda: adt("A08", PATIENT_ID, name="x" * 65), "AE"),
    "no date": (lambda: adt("A08", PATIENT_ID, birth_date="20261399"), "AE"),
    "an issuer that is open": (lambda: adt("A08", "TWICE", issuer="", name=NEW_NAME), "AE"),
    "a name that the film cannot have": (lambda: adt("A08", "LATIN", name=("山田", "太郎")), "AE"),
}


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_message_that_cannot_be_applied_changes_nothing(case: str, database: Database, tmp_path: Path) -> None:
    build, code = REFUSED[case]
    site = Site(database, tmp_path)
    every: tuple[dict[str, object], ...] = (
        of_issuer(),
        of_issuer(PatientID="TWICE"),
        {"PatientID": "TWICE", "IssuerOfPatientID": "SOUTH"},
        of_issuer(PatientID="LATIN", SpecificCharacterSet="ISO_IR 100"),
    )
    for number, changes in enumerate(every):
        site.node.accept(films.dx(seed=number, changes=changes))

    assert site.receive(build())[1] == code
    assert len(site.files()) == 4
    assert PATIENT_NAME.split("^", maxsplit=1)[0] not in str([one.description for one in site.recorded])


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_another_message_of_a_known_control_id_is_refused(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer())

    assert site.receive(adt("A08", PATIENT_ID, name=NEW_NAME))[1] == "AA"
    assert site.receive(adt("A08", PATIENT_ID, name=("Other", "Name")))[1] == "AE"
    site.work()
    assert {str(one.PatientName) for one in site.visible()} == {NEW_NAME_IN_DICOM}


@pytest.mark.ci_on_postgresql
def test_the_client_of_python_hl7_updates_a_patient(database: Database, tmp_path: Path) -> None:
    site = Site(database, tmp_path)
    site.send(of_issuer())
    with (
        listening(site.process) as listener,
        hl7_client.MLLPClient(peers.LOOPBACK, listener.port, encoding="utf-8") as client,
    ):
        for number in range(3):
            name = NEW_NAME if number == 2 else ("Filmer", "Testa")
            message = adt("A08", PATIENT_ID, control_id=f"M{number}", name=name).decode("utf-8")
            answer = client.send_message(message).decode("ascii")
            assert f"MSA|AA|M{number}" in answer
        assert "MSA|AR" in client.send_message("nothing").decode("ascii")
    site.work()

    assert {str(one.PatientName) for one in site.visible()} == {NEW_NAME_IN_DICOM}


def test_the_receiving_role_answers_messages(tmp_path: Path) -> None:
    port = peers.free_port()
    settings = load(
        settings_file(
            tmp_path / "node", more=f'[adt]\nenabled = true\nport = {port}\naddresses = ["::/0", "0.0.0.0/0"]\n'
        )
    )
    with Process.open(settings) as process:
        migrate.upgrade(process.database)
        with roles.receive(process), hl7_client.MLLPClient(peers.LOOPBACK, port, encoding="utf-8") as client:
            assert "MSA|AA|M1" in client.send_message(adt("A08", PATIENT_ID).decode("utf-8")).decode("ascii")
            assert process.is_alive()


@pytest.mark.parametrize("table", [{"enabled": True}, {"tls_peers_ca": "ca.pem"}])
def test_settings_that_cannot_work_are_named(table: dict[str, object]) -> None:
    with pytest.raises(config.ConfigurationError) as raised:
        config.parse({"adt": table})
    assert raised.value.problems[0].startswith("adt.")


def test_the_doctor_names_what_is_open() -> None:
    table = {"enabled": True, "host": "0.0.0.0", "addresses": ["10.0.7.0/24"]}  # noqa: S104  # not bound
    checks = {check.name: check.status for check in hl7_entrance(config.parse({"adt": table}))}

    assert checks == {"HL7 entrance": Status.OK, "HL7 encryption": Status.NOTE, "HL7 issuer": Status.NOTE}
    assert list(hl7_entrance(Settings())) == []
