"""C-STORE to peers that behave, and to peers that do not."""

import socket
import threading
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, JPEGBaseline8Bit
from pynetdicom import build_context

from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.deliver.peer import Peer
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle
from cxr_node.report.kinds.secondary_capture import PICTURE
from cxr_node.simulators.pacs import SimulatedPacs, StoredObject, StoreRequest
from tests.support import films, peers
from tests.support.receiver import DX, association
from tests.unit.report.studies import everything, request

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
CR = "1.2.840.10008.5.1.4.1.1.1"


def destination(port: int, *, called: str = "PACS", timeout_s: float = 30.0) -> CStoreDestination:
    return CStoreDestination(
        name="pacs",
        peer=Peer(
            host=peers.LOOPBACK,
            port=port,
            called_ae_title=AeTitle(called),
            calling_ae_title=AeTitle("CXRNODE"),
            connection_timeout_s=timeout_s,
            acse_timeout_s=timeout_s,
            dimse_timeout_s=timeout_s,
            network_timeout_s=timeout_s,
        ),
    )


@pytest.fixture
def film(tmp_path: Path) -> bytes:
    return films.written(films.dx(), tmp_path).read_bytes()


def data_set_of(content: bytes) -> bytes:
    return content[films.data_set_offset(content) :]


def test_dcmtk_receives_the_data_set_unchanged(film: bytes, tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "arrived") as scp:
        destination(scp.port, called=scp.ae_title).echo()
        destination(scp.port, called=scp.ae_title).send(film)

        (arrived,) = scp.files()
    assert films.data_set_bytes(arrived) == data_set_of(film)


def test_orthanc_receives_the_data_set_unchanged_and_once(film: bytes, tmp_path: Path) -> None:
    uid = films.dx().SOPInstanceUID
    with peers.orthanc(tmp_path / "orthanc") as archive:
        to_orthanc = destination(archive.port, called=archive.ae_title)
        to_orthanc.echo()
        assert to_orthanc.send(film).status == 0
        assert to_orthanc.send(film).status == 0

        assert data_set_of(archive.file(uid)) == data_set_of(film)
        assert len(archive.find(uid)) == 1


@pytest.mark.parametrize("name", ["RG1_J2KI", "siim_SC_JPEG", "pseudo_phi_RLE"])
def test_a_compressed_object_is_sent_unchanged(name: str) -> None:
    content = films.real(name).read_bytes()
    stored: list[StoredObject] = []
    with SimulatedPacs(on_stored=stored.append) as pacs:
        assert destination(pacs.port).send(content).comment == ""
    assert [arrived.data_set for arrived in stored] == [data_set_of(content)]


def test_an_object_is_converted_for_a_peer_with_implicit_vr_only(film: bytes) -> None:
    stored: list[StoredObject] = []
    with SimulatedPacs(transfer_syntaxes=[IMPLICIT], on_stored=stored.append) as pacs:
        receipt = destination(pacs.port).send(film)

    (arrived,) = stored
    assert IMPLICIT in receipt.comment
    again = dcmread(BytesIO(arrived.data_set), force=True)
    assert again == dcmread(BytesIO(film))


def test_a_peer_that_accepts_both_syntaxes_gets_the_object_unchanged(film: bytes) -> None:
    stored: list[StoredObject] = []
    with SimulatedPacs(transfer_syntaxes=[IMPLICIT, EXPLICIT], on_stored=stored.append) as pacs:
        destination(pacs.port).send(film)
    assert [arrived.transfer_syntax_uid for arrived in stored] == [EXPLICIT]
    assert [arrived.data_set for arrived in stored] == [data_set_of(film)]


@pytest.fixture
def picture() -> bytes:
    (result,) = PICTURE.compose(request([everything(films.dx())]))
    return result.content


def test_a_picture_is_sent_as_jpeg_unchanged(picture: bytes) -> None:
    stored: list[StoredObject] = []
    with SimulatedPacs(on_stored=stored.append) as pacs:
        assert destination(pacs.port).send(picture).comment == ""
    assert [(one.transfer_syntax_uid, one.data_set) for one in stored] == [(JPEGBaseline8Bit, data_set_of(picture))]


@pytest.mark.parametrize("accepted", [[EXPLICIT], [IMPLICIT], [JPEGBaseline8Bit, EXPLICIT]], ids=str)
def test_a_picture_is_decompressed_for_a_peer_without_jpeg(picture: bytes, accepted: list[str]) -> None:
    """The last one takes JPEG, and its settings say that it is not to be sent."""
    stored: list[StoredObject] = []
    with SimulatedPacs(transfer_syntaxes=accepted, on_stored=stored.append) as pacs:
        receipt = replace(destination(pacs.port), compress_pictures=JPEGBaseline8Bit not in accepted).send(picture)

    (arrived,) = stored
    assert arrived.transfer_syntax_uid == accepted[-1]
    assert str(arrived.transfer_syntax_uid) in receipt.comment
    sent, received = dcmread(BytesIO(picture)), dcmread(BytesIO(arrived.data_set), force=True)
    received.file_meta = FileMetaDataset()
    received.file_meta.TransferSyntaxUID = UID(accepted[-1])
    assert (received.SOPInstanceUID, received.PhotometricInterpretation) == (sent.SOPInstanceUID, "RGB")
    assert (received.LossyImageCompression, received.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert np.array_equal(received.pixel_array, sent.pixel_array)


def test_nothing_is_converted_to_big_endian(film: bytes) -> None:
    with SimulatedPacs(transfer_syntaxes=[BIG_ENDIAN]) as pacs:
        with pytest.raises(DeliveryRejected, match="does not accept this SOP Class"):
            destination(pacs.port).send(film)
        assert pacs.by_study == {}


def test_a_peer_without_the_sop_class_rejects_permanently(film: bytes) -> None:
    with (
        SimulatedPacs(sop_classes=[CR]) as pacs,
        pytest.raises(DeliveryRejected, match="does not accept this SOP Class"),
    ):
        destination(pacs.port).send(film)


@pytest.mark.parametrize("status", [0xA700, 0x0110, 0x0213])
def test_a_transient_failure_is_retried(status: int, film: bytes) -> None:
    with SimulatedPacs(status=status) as pacs, pytest.raises(RetryLater, match=f"0x{status:04X}"):
        destination(pacs.port).send(film)


@pytest.mark.parametrize("status", [0xA900, 0xC123, 0x0124])
def test_a_permanent_failure_is_not_retried(status: int, film: bytes) -> None:
    with SimulatedPacs(status=status) as pacs, pytest.raises(DeliveryRejected) as refused:
        destination(pacs.port).send(film)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("status", "warning"),
    [(0xB000, "coerced"), (0xB006, "discarded"), (0xB007, "does not match the SOP Class")],
)
def test_a_warning_is_delivered_and_shown(
    status: int, warning: str, film: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning the object is stored (PS3.4 section B.2.3)."""
    with SimulatedPacs(status=status) as pacs:
        receipt = destination(pacs.port).send(film)
    assert len(pacs.by_study) == 1
    assert receipt.status == status
    assert f"0x{status:04X}" in receipt.comment
    assert warning in receipt.comment
    assert warning in caplog.text


def test_an_unknown_calling_title_is_a_permanent_rejection(film: bytes) -> None:
    with SimulatedPacs(calling_ae_titles=["OTHER"]) as pacs, pytest.raises(DeliveryRejected, match="Calling AE title"):
        destination(pacs.port).send(film)


def test_an_unknown_called_title_is_a_permanent_rejection(film: bytes) -> None:
    with SimulatedPacs() as pacs, pytest.raises(DeliveryRejected, match="Called AE title"):
        destination(pacs.port, called="ELSE").send(film)


def test_a_peer_at_its_association_limit_is_retried(film: bytes) -> None:
    with (
        SimulatedPacs(maximum_associations=1) as pacs,
        association(pacs.port, called=pacs.ae_title),
        pytest.raises(RetryLater, match="rejected"),
    ):
        destination(pacs.port).send(film)


def test_an_abort_instead_of_a_response_is_retried(film: bytes) -> None:
    def abort(request: StoreRequest) -> int:
        request.association.abort()
        return 0

    with SimulatedPacs(status=abort) as pacs, pytest.raises(RetryLater, match="did not answer"):
        destination(pacs.port).send(film)


def test_a_response_after_the_time_out_is_retried(film: bytes) -> None:
    answer = threading.Event()

    def wait(_request: StoreRequest) -> int:
        answer.wait(30)
        return 0

    with SimulatedPacs(status=wait) as pacs:
        with pytest.raises(RetryLater, match="did not answer"):
            destination(pacs.port, timeout_s=0.5).send(film)
        answer.set()


@pytest.mark.parametrize(
    "response", [b"", b"\0", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x02\x00\x00\x00\x00\x04\0\0\0\0"]
)
def test_a_peer_without_dicom_is_retried(response: bytes, film: bytes) -> None:
    def send_response(connection: socket.socket) -> None:
        connection.sendall(response)

    with peers.line(send_response) as port, pytest.raises(RetryLater):
        destination(port, timeout_s=1).send(film)


def test_a_silent_peer_is_retried_after_the_time_out(film: bytes) -> None:
    stop = threading.Event()

    def wait(_connection: socket.socket) -> None:
        stop.wait(30)

    with peers.line(wait) as port:
        with pytest.raises(RetryLater, match="no association"):
            destination(port, timeout_s=0.3).send(film)
        stop.set()


def test_an_unknown_host_is_retried(film: bytes) -> None:
    nowhere = replace(destination(104), peer=replace(destination(104).peer, host="pacs.invalid"))
    with pytest.raises(RetryLater, match=r"pacs\.invalid"):
        nowhere.send(film)


def test_echo_distinguishes_rejection_from_failed_connection() -> None:
    with SimulatedPacs() as pacs:
        destination(pacs.port).echo()
        with pytest.raises(DeliveryRejected):
            destination(pacs.port, called="ELSE").echo()
    with pytest.raises(RetryLater):
        destination(peers.free_port()).echo()


class PausesShortly(threading.Event):
    """Keeps the thread of an association running while it is paused, as one that has just been resumed."""

    def wait(self, timeout: float | None = 0.01) -> bool:
        """Wait for a moment."""
        return super().wait(timeout)


def test_a_response_is_not_consumed_by_the_associations_thread(film: bytes) -> None:
    with (
        SimulatedPacs() as pacs,
        destination(pacs.port, timeout_s=3.0).peer.association([build_context(DX)]) as opened,
    ):
        send = opened.dimse.send_msg

        def send_and_dawdle(primitive: Any, context_id: int) -> None:
            send(primitive, context_id)
            # Long enough for the response to arrive, and for a polling thread to consume it.
            threading.Event().wait(0.5)

        opened.dimse.send_msg = send_and_dawdle  # type: ignore[method-assign]
        opened._reactor_checkpoint = PausesShortly()
        status = opened.send_c_store(dcmread(BytesIO(film))).get("Status")
    assert status == 0
