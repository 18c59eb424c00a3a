"""Answers of a PACS as the field sends them: odd A-ASSOCIATE-AC PDUs, warnings, and answers that are none."""

import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.presentation import build_context

from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import DeliveryRejected, Receipt
from cxr_node.deliver.peer import Peer
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle
from tests.support import films, peers
from tests.support.raw_upper_layer import (
    APPLICATION_CONTEXT,
    element,
    item,
    p_data,
    received_pdu,
    uid_value,
    user_information,
)
from tests.support.receiver import DX, EXPLICIT_VR_LITTLE_ENDIAN

JPEG_BASELINE = b"1.2.840.10008.1.2.4.50"
RELEASE_RESPONSE = b"\x06\0\0\0\0\x04\0\0\0\0"


def result(context_id: int, outcome: int = 0, syntax: bytes = EXPLICIT_VR_LITTLE_ENDIAN.encode()) -> bytes:
    """Return a presentation context item of an A-ASSOCIATE-AC."""
    return item(0x21, bytes([context_id, 0, outcome, 0]) + item(0x40, syntax))


def associate_ac(
    *items: bytes, called: bytes = b"PACS", calling: bytes = b"CXRNODE", user: bytes | None = None
) -> bytes:
    """Return an A-ASSOCIATE-AC that accepts context 1 in Explicit VR Little Endian, and has `items`."""
    variable = item(0x10, APPLICATION_CONTEXT) + b"".join(items or (result(1),))
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16), calling.ljust(16)) + variable
    body += user_information() if user is None else user
    return struct.pack(">BxL", 2, len(body)) + body


def store_rsp(*, status: int = 0, message_id: int = 1) -> bytes:
    """Return the PDU of a C-STORE response."""
    elements = b"".join(
        (
            element(0x0002, uid_value(DX)),
            element(0x0100, b"\x01\x80"),
            element(0x0120, struct.pack("<H", message_id)),
            element(0x0800, b"\x01\x01"),
            element(0x0900, struct.pack("<H", status)),
        )
    )
    return p_data((1, 3, element(0, struct.pack("<L", len(elements))) + elements))


def pacs(answer: bytes, response: bytes = b"") -> Callable[[socket.socket], None]:
    """Return a PACS that answers the request with `answer`, the object with `response`, and confirms the release."""

    def serve(connection: socket.socket) -> None:
        connection.settimeout(20)
        request = received_pdu(connection)
        if not request:  # the node tries whether the peer takes connections at all
            return
        assert request[:1] == b"\1"
        connection.sendall(answer)
        while (pdu := received_pdu(connection))[:1] == b"\4":
            if pdu[11] == 2:  # the last fragment of the data set
                connection.sendall(response)
        if pdu[:1] == b"\5":
            connection.sendall(RELEASE_RESPONSE)
            received_pdu(connection)

    return serve


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A film as a file."""
    folder: Path = tmp_path_factory.mktemp("film")
    return films.written(films.dx(rows=16, columns=16), folder).read_bytes()


def peer(port: int) -> Peer:
    """Return the PACS on a port."""
    return Peer(
        host=peers.LOOPBACK,
        port=port,
        called_ae_title=AeTitle("PACS"),
        calling_ae_title=AeTitle("CXRNODE"),
        acse_timeout_s=10.0,
        dimse_timeout_s=10.0,
    )


def send(film: bytes, answer: bytes, response: bytes = b"") -> Receipt:
    """Send a film to a PACS with these answers."""
    with peers.line(pacs(answer, response)) as port:
        return CStoreDestination(name="pacs", peer=peer(port)).send(film)


ODD_ANSWERS = {
    "titles padded with NUL": associate_ac(called=b"PACS\0\0\0\0", calling=bytes(16)),
    "titles in Latin-1": associate_ac(called=b"B\xc4RENPACS"),
    "blank titles": associate_ac(called=b"", calling=b""),
    "version name of 30 characters": associate_ac(user=user_information(version=b"AN_IMPLEMENTATION_OF_LONG_NAME")),
    "version name in Latin-1": associate_ac(user=user_information(version=b"R\xf6ntgen")),
    "unknown item 60": associate_ac(item(0x60, b"abc"), result(1)),
    "unknown sub-item 5F": associate_ac(user=user_information(item(0x5F, b"abcd"))),
    "no user information": associate_ac(user=b""),
    "implementation class UID of text": associate_ac(user=user_information(implementation=b"MYPACS")),
    "a context that was not proposed": associate_ac(result(1), result(7), result(2)),
    "a result that there is not": associate_ac(result(1), result(3, 9)),
    "transfer syntax padded with NUL": associate_ac(result(1, 0, EXPLICIT_VR_LITTLE_ENDIAN.encode() + b"\0")),
    "no transfer syntax for a rejected context": associate_ac(result(1), item(0x21, b"\3\0\4\0")),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_a_result_is_delivered_to_a_pacs_with_an_odd_answer(film: bytes, name: str) -> None:
    assert send(film, ODD_ANSWERS[name], store_rsp()).status == 0


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0107])
def test_a_result_with_a_warning_is_delivered(film: bytes, status: int) -> None:
    receipt = send(film, associate_ac(), store_rsp(status=status))
    assert receipt.status == status
    assert f"warning 0x{status:04X}" in receipt.comment


def test_a_transfer_syntax_that_was_not_proposed_is_not_used(film: bytes) -> None:
    with pytest.raises(DeliveryRejected, match=rf"{JPEG_BASELINE.decode()}, which was not proposed"):
        send(film, associate_ac(result(1, 0, JPEG_BASELINE)), store_rsp())


def test_an_accepted_context_without_a_transfer_syntax_is_not_used(film: bytes) -> None:
    with pytest.raises(DeliveryRejected, match="which was not proposed"):
        send(film, associate_ac(item(0x21, b"\1\0\0\0")), store_rsp())


def test_a_proposed_transfer_syntax_beside_is_used(film: bytes) -> None:
    answer = associate_ac(result(1), result(3, 0, JPEG_BASELINE))
    assert send(film, answer, store_rsp()).status == 0


def test_a_response_to_another_message_is_none(film: bytes) -> None:
    with pytest.raises(RetryLater, match="its response is to message 7, not 1"):
        send(film, associate_ac(), store_rsp(message_id=7))


@pytest.mark.parametrize("rejection", [b"\1\1\x0a", b"\2\3\1", b"\0\0\0", b"\x09\x09\x09"])
def test_a_rejection_with_values_that_there_are_not_is_one(film: bytes, rejection: bytes) -> None:
    with pytest.raises(RetryLater, match="rejected the association"):
        send(film, b"\3\0\0\0\0\4\0" + rejection)


def test_a_rejection_is_one_where_the_connection_is_closed_first() -> None:
    """The requestor's thread resumes only after the rejection was decoded and its connection closed."""
    closed = threading.Event()

    def wait_for_close(_: Event) -> None:
        assert closed.wait(20)

    def note_close(_: Event) -> None:
        closed.set()

    handlers = [(evt.EVT_REQUESTED, wait_for_close), (evt.EVT_CONN_CLOSE, note_close)]
    contexts = [build_context(DX, EXPLICIT_VR_LITTLE_ENDIAN)]
    with (
        peers.line(pacs(b"\3\0\0\0\0\4\0\1\1\1")) as port,
        pytest.raises(RetryLater, match="rejected the association"),
        peer(port).association(contexts, handlers=handlers),
    ):
        pass


@pytest.mark.parametrize("abort", [b"\0\0", b"\2\x63", b"\x09\x09"])
def test_an_abort_with_values_that_there_are_not_is_one(film: bytes, abort: bytes) -> None:
    with pytest.raises(RetryLater, match="no association"):
        send(film, b"\7\0\0\0\0\4\0\0" + abort)
