"""ORU^R01 over MLLP to an independent receiver, checked by an independent validator, and to one that fails."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import KeyObjectSelectionDocumentStorage

from cxr_node import config
from cxr_node.db.database import Database
from cxr_node.db.states import State
from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable
from cxr_node.deliver.hl7 import Hl7, Hl7Destination
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.reasons import Reason
from cxr_node.report.kinds import basic_text, tid1500
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.source import Observer
from cxr_node.simulators.ris import Mode, SimulatedRis
from tests.support import certificates, films, peers
from tests.support.node import InProcessNode
from tests.unit.report.studies import everything, not_read, request

pytestmark = pytest.mark.ci_on_postgresql


hl7 = pytest.importorskip("hl7")
hl7_mllp = pytest.importorskip("hl7.mllp")
hl7apy = pytest.importorskip("hl7apy.parser")

TITLE = AeTitle("CXRNODE")
STRICT = 1
"""hl7apy's strict validation level."""
OUTCOMES: dict[Mode, type[Exception] | None] = {
    Mode.RIGHT: None,
    Mode.ENHANCED: None,
    Mode.OTHER_ID_FIRST: None,
    Mode.IN_PIECES: None,
    Mode.SILENT: DestinationUnreachable,
    Mode.CLOSES: DestinationUnreachable,
    Mode.GARBAGE: DestinationUnreachable,
    Mode.HUGE: DestinationUnreachable,
    Mode.ERROR: DeliveryRejected,
    Mode.REJECTS: DeliveryRejected,
}


def report(header: Dataset, *, language: str = "en") -> bytes:
    """Return the report on a film with everything that a film can have."""
    (result,) = tid1500.REPORT.compose(
        request([everything(header)], observer=Observer(name="TESTNODE", language=LANGUAGES[language]))
    )
    return result.content


def film(**elements: Any) -> Dataset:
    header = films.dx()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.PatientName = "Müller^Jörg^K^Dr^jun"
    header.AccessionNumber = "A&1"
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return header


def destination(port: int, **settings: Any) -> Hl7Destination:
    opened = Hl7(name="ris", host=peers.LOOPBACK, port=port, **settings).open(calling_ae_title=TITLE)
    assert isinstance(opened, Hl7Destination)
    return opened


@contextmanager
def python_hl7() -> Iterator[tuple[int, list[Any]]]:
    """Run the server of python-hl7, which accepts every message; yield its port and what it received."""
    received: list[Any] = []
    loop = asyncio.new_event_loop()

    async def answer(reader: Any, writer: Any) -> None:
        try:
            while not writer.is_closing():
                message = await reader.readmessage()
                received.append(message)
                writer.writemessage(message.create_ack())
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = loop.run_until_complete(hl7_mllp.start_hl7_server(answer, peers.LOOPBACK, 0, encoding="utf-8"))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1], received
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_python_hl7_receives_what_was_sent_with_every_character() -> None:
    header = film(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう", IssuerOfPatientID="Klinik|Süd")
    with python_hl7() as (port, received):
        to = destination(port, sending_facility="NORTH")
        receipt = to.send(report(header, language="ja"))
        to.send(report(header, language="ja"))

    first, again = received
    assert str(first) == str(again)
    assert str(first["MSH.F10"]) in receipt.comment
    assert first["MSH.F18.R1"] == "UNICODE UTF-8"
    assert [str(first[f"PID.F5.R{number}.C1"]) for number in (1, 2, 3)] == ["Yamada", "山田", "やまだ"]
    assert hl7.parse(str(first)).unescape(str(first["PID.F3.R1.C4"])) == "Klinik|Süd"
    assert str(first["OBR.F25"]) == "P"
    assert {str(segment[11]) for segment in first.segments("OBX")} == {"P"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_strict_validator_accepts_messages_in_every_language(language: str) -> None:
    with SimulatedRis() as receiver:
        to = destination(receiver.port, acknowledgment="enhanced", accession_field="OBR-20")
        content = report(film(), language=language)
        to.send(content)
        ((_, message),) = receiver.messages.items()

    text = message.decode("utf-8")
    parsed = hl7apy.parse_message(text, validation_level=STRICT, find_groups=True)
    assert parsed.validate()
    assert "\n" not in text
    assert text.endswith("\r")
    rows = [line.split("|") for line in text.split("\r") if line.startswith("OBX")]
    summary = next(row[5] for row in rows if row[3].startswith("55112-7^"))
    written = next(item.TextValue for item in dcmread(BytesIO(content)).ContentSequence if _code(item) == "121111")
    assert summary.split("~") == [_escaped(line) for line in written.splitlines()]
    assert next(line.split("|")[20] for line in text.split("\r") if line.startswith("OBR")) == "A\\T\\1"


def _code(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def _escaped(line: str) -> str:
    return (
        line.replace("\\", "\\E\\")
        .replace("&", "\\T\\")
        .replace("^", "\\S\\")
        .replace("~", "\\R\\")
        .replace("|", "\\F\\")
    )


def test_findings_scores_and_ratio_are_coded_and_flagged() -> None:
    with SimulatedRis() as receiver:
        destination(receiver.port).send(report(film()))
        ((_, message),) = receiver.messages.items()

    rows = [line.split("|") for line in message.decode("utf-8").split("\r") if line.startswith("OBX")]
    presences = [
        row for row in rows if row[2] == "CWE" and row[5].endswith("^SCT") and row[5].split("^")[0] in _PRESENCES
    ]
    assert [row[1] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert presences
    assert {row[5].split("^")[1]: row[8] for row in presences}["Present"] == "A"
    assert {row[8] for row in presences if "^Present^" not in row[5]} <= {""}
    scores = [row for row in rows if row[3].startswith("SCORE^")]
    assert len(scores) + sum(row[4] != "" and row[3].startswith("CTR^") for row in rows) == len(presences)
    assert all(row[7].startswith("<") for row in scores)
    assert [row[6] for row in rows if row[3].startswith("CTR^") and not row[4]] == ["{ratio}^ratio^UCUM"]
    assert any(row[3].startswith("110180^") and row[5] == str(films.dx().StudyInstanceUID) for row in rows)


_PRESENCES = {"52101004", "272519000", "373068000"}


@pytest.mark.parametrize("mode", OUTCOMES)
def test_each_acknowledgment_has_its_outcome(mode: Mode) -> None:
    content, expected = report(film()), OUTCOMES[mode]
    with SimulatedRis() as receiver:
        receiver.mode = mode
        to = destination(receiver.port, timeout_s=0.5)
        if expected is None:
            assert to.send(content).status == 0
        else:
            with pytest.raises(expected) as failed:
                to.send(content)
            assert "Doe" not in str(failed.value)  # texts of a receiver may quote the message
        receiver.mode = Mode.RIGHT
        to.send(content)

        assert len(receiver.messages) == 1
        assert receiver.changed == []


def test_a_message_travels_by_mutual_tls_only(tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    own, node = (certificates.issued(tmp_path, authority, name) for name in ("ris", "node"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    context.load_cert_chain(own.certificate, own.key)
    context.verify_mode = ssl.CERT_REQUIRED
    with SimulatedRis(tls=context) as receiver:
        files = {"tls_ca": authority.certificate, "tls_certificate": node.certificate, "tls_key": node.key}
        destination(receiver.port, **files).send(report(film()))
        with pytest.raises(RetryLater):
            destination(receiver.port, tls_ca=authority.certificate, timeout_s=2).send(report(film()))
        assert len(receiver.messages) == 1


def test_a_report_that_no_receiver_could_file_is_not_sent() -> None:
    stream = BytesIO()
    without_id = dcmread(BytesIO(report(film())))
    without_id.PatientID = ""
    dcmwrite(stream, without_id, enforce_file_format=True)
    note = dcmread(BytesIO(report(film())))
    note.SOPClassUID = note.file_meta.MediaStorageSOPClassUID = KeyObjectSelectionDocumentStorage
    no_note = BytesIO()
    dcmwrite(no_note, note, enforce_file_format=True)
    (text,) = basic_text.TEXT.compose(request([everything(films.dx())]))
    with SimulatedRis() as receiver:
        for content in (stream.getvalue(), text.content, no_note.getvalue(), b"no DICOM"):
            with pytest.raises(DeliveryRejected):
                destination(receiver.port).send(content)
        with pytest.raises(DeliveryRejected, match="8859/1 lacks"):
            destination(receiver.port, character_set="8859/1").send(report(film(PatientName="山田^太郎")))
        destination(receiver.port, character_set="8859/1").send(report(film()))
        assert ["Müller".encode("latin-1") in message for message in receiver.messages.values()] == [True]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_withdrawn_report_is_withdrawn_by_a_message_of_the_same_order(database: Database, tmp_path: Path) -> None:
    order = Dataset()
    order.PlacerOrderNumberImagingServiceRequest, order.FillerOrderNumberImagingServiceRequest = "P-1", "F-1"
    orders = {"RequestAttributesSequence": Sequence([order])}
    with SimulatedRis() as receiver:
        node = InProcessNode(database, tmp_path, pacs=destination(receiver.port))
        for patient in ({}, {"PatientID": "RIGHT", "PatientName": "Right^Patient"}):
            node.accept(film(**orders, **patient))
            node.work()
            node.pass_time(timedelta(minutes=1))
        first, withdrawal, again = (message.decode("utf-8") for message in receiver.messages.values())

    assert hl7apy.parse_message(withdrawal, validation_level=STRICT, find_groups=True).validate()
    assert [_fields(message, "OBR")[25] for message in (first, withdrawal, again)] == ["P", "X", "P"]
    assert [_fields(message, "ORC")[2:4] for message in (first, withdrawal, again)] == [["P-1", "F-1"]] * 3
    assert _fields(first, "PID")[3] == _fields(withdrawal, "PID")[3] != _fields(again, "PID")[3]
    assert _fields(first, "OBR")[4] == _fields(withdrawal, "OBR")[4]
    rows = [line.split("|") for line in withdrawal.split("\r") if line.startswith("OBX")]
    assert {row[11] for row in rows} == {"D"}
    assert "Withdrawn: Incorrect Modality Worklist Entry" in [row[5] for row in rows]
    assert _report_uids(withdrawal) == _report_uids(first) != _report_uids(again)
    assert {job.state for job in node.jobs()} == {State.DONE}


def _fields(message: str, name: str) -> list[str]:
    return next(line.split("|") for line in message.split("\r") if line.startswith(name))


def _report_uids(message: str) -> list[str]:
    rows = [line.split("|") for line in message.split("\r") if line.startswith("OBX")]
    return [row[5] for row in rows if row[3].startswith("REPORTUID^")]


def test_a_film_that_was_not_analysed_has_a_message_without_findings() -> None:
    (refused,) = tid1500.REPORT.compose(request([not_read(film(StudyDate="", StudyTime="103000"), Reason.VIEW)]))
    with SimulatedRis() as receiver:
        destination(receiver.port).send(refused.content)
        ((_, message),) = receiver.messages.items()

    rows = [line.split("|") for line in message.decode("utf-8").split("\r") if line.startswith("OBX")]
    (order,) = [line.split("|") for line in message.decode("utf-8").split("\r") if line.startswith("OBR")]
    assert order[7] == ""
    assert [row[2] for row in rows] == ["TX", "TX", "ST", "ST"]
    assert "not analysed" in rows[1][5]


def test_settings_that_cannot_work_are_named() -> None:
    table = {"kind": "hl7", "name": "ris", "host": "ris", "port": 2575, "results": ["picture"]}
    with pytest.raises(config.ConfigurationError) as raised:
        config.parse({"deliver": {"destinations": [table]}})
    assert "a message is made of one of report" in raised.value.problems[0]


def test_a_probe_connects_and_sends_nothing() -> None:
    def probed(port: int) -> bool:
        return Hl7(name="ris", host=peers.LOOPBACK, port=port).probe((), calling_ae_title=TITLE).is_usable

    with SimulatedRis() as receiver:
        assert probed(receiver.port)
        assert receiver.sent == {}
    assert not probed(peers.free_port())
