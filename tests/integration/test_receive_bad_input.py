"""What must not get Success, must not stay, and must not stop anyone else."""

import errno
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dsutils import encode

from cxr_node.domain.errors import GiveUp, RejectObject, RetryLater
from cxr_node.domain.instance import Instance, Sender
from cxr_node.domain.reasons import Reason
from tests.support import films, peers
from tests.support.peers import LOOPBACK
from tests.support.receiver import DX, association, receiving, store

pytestmark = pytest.mark.usefixtures("receive_path")

# pynetdicom decodes and encodes the UIDs of messages by pydicom, which warns about those that are none.
a_uid_that_is_none = pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")


def encoded(film: Dataset) -> bytes:
    data_set = encode(film, False, True)
    assert data_set is not None
    return data_set


def raising(error: Exception) -> Callable[[Instance, Sender], None]:
    def accept(_instance: Instance, _sender: Sender) -> None:
        raise error

    return accept


def receiver_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("AcceptorThread")]


def send_half(opened: Association, data_set: bytes) -> None:
    """Send a C-STORE request, a whole fragment of its data set, and the first half of another fragment's PDU."""
    command = Dataset()
    command.AffectedSOPClassUID = DX
    command.CommandField = 0x0001
    command.MessageID = 1
    command.Priority = 2
    command.CommandDataSetType = 1
    command.AffectedSOPInstanceUID = "1.2.3"
    encoded_command = encode(command, True, True)
    assert encoded_command is not None
    connection = opened.dul.socket
    assert connection is not None
    assert connection.socket is not None
    last = pdu(0x02, data_set[1000:])
    connection.socket.sendall(pdu(0x03, encoded_command) + pdu(0x00, data_set[:1000]) + last[: len(last) // 2])


def pdu(message_control_header: int, fragment: bytes) -> bytes:
    """Return a P-DATA-TF PDU of one value on the context 1 (PS3.8 section 9.3.5)."""
    item = struct.pack(">LBB", len(fragment) + 2, 1, message_control_header) + fragment
    return struct.pack(">BBL", 0x04, 0, len(item)) + item


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RetryLater("database is locked"), 0xA700),
        (OSError(errno.ENOSPC, "No space left on device"), 0xA700),
        (RejectObject("not wanted here"), 0xC000),
        (GiveUp(Reason.DECODE, "cannot be"), 0x0110),
        (RuntimeError("a fault"), 0x0110),
    ],
)
def test_a_film_that_is_not_stored_gets_no_success(error: Exception, status: int) -> None:
    film = films.dx()
    with receiving(accept=raising(error)) as node, association(node.port) as opened:
        answers = [store(opened, encoded(film), sop_instance_uid=film.SOPInstanceUID) for _ in range(2)]
        assert [answer for answer, _ in answers] == [status, status]
        assert node.instances == []


def test_a_request_for_another_instance_does_not_match() -> None:
    film = films.dx()
    with receiving() as node, association(node.port) as opened:
        status, comment = store(opened, encoded(film), sop_instance_uid="1.2.3.4")
        assert status == 0xA900
        assert "SOP Instance UID" in comment
        assert node.instances == []
        assert store(opened, encoded(film), sop_instance_uid=film.SOPInstanceUID)[0] == 0


def test_a_request_on_the_context_of_another_class_is_rejected() -> None:
    film = films.cr()
    with receiving() as node, association(node.port, sop_class_uid=DX) as opened:
        status, _ = store(opened, encoded(film), sop_class_uid=film.SOPClassUID, sop_instance_uid=film.SOPInstanceUID)
        assert status == 0x0122
        assert node.instances == []


def test_a_data_set_of_another_sop_class_does_not_match() -> None:
    film = films.cr()
    with receiving() as node, association(node.port, sop_class_uid=DX) as opened:
        status, _ = store(opened, encoded(film), sop_class_uid=DX, sop_instance_uid=film.SOPInstanceUID)
        assert status == 0xA900
        assert node.instances == []


@pytest.mark.parametrize("data_set", [b"\0", b"no data set at all", b"\xff" * 100_000])
def test_bytes_that_are_no_data_set_are_not_understood(data_set: bytes) -> None:
    with receiving() as node, association(node.port) as opened:
        assert store(opened, data_set, sop_instance_uid="1.2.3")[0] == 0xC000
        assert node.instances == []


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_film_without_study_or_series_is_not_understood(keyword: str) -> None:
    film = films.dx(changes={keyword: None})
    with receiving() as node, association(node.port) as opened:
        assert store(opened, encoded(film), sop_instance_uid=film.SOPInstanceUID)[0] == 0xC000
        assert node.instances == []


@a_uid_that_is_none
@pytest.mark.parametrize("uid", ["../../../etc/passwd", "1.2/../../3", "1.2.3;rm -rf", "1.2.3\\1.2.4"])
def test_a_uid_with_a_path_is_not_understood(uid: str) -> None:
    film = films.dx()
    data_set = encoded(film).replace(film.SOPInstanceUID.encode(), uid.encode().ljust(len(film.SOPInstanceUID), b"\0"))
    with receiving() as node, association(node.port) as opened:
        status, comment = store(opened, data_set, sop_instance_uid=uid)
        assert status == 0xC000
        assert "etc" not in comment
        assert node.instances == []


def test_no_log_line_quotes_the_film(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    film = films.dx()
    error = RuntimeError(f"cannot keep {films.PATIENT_NAME}")
    with receiving(accept=raising(error)) as node, association(node.port) as opened:
        store(opened, encoded(film), sop_instance_uid=film.SOPInstanceUID)
        store(opened, encoded(film)[:400], sop_instance_uid=film.SOPInstanceUID)
    assert "RuntimeError" in caplog.text
    assert "Filmer" not in caplog.text
    assert films.PATIENT_ID not in caplog.text


@pytest.mark.parametrize(
    "words",
    [
        b"",  # as a load balancer checks the port
        b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # a TLS handshake
        b"\x00" * 64,
        b"\x01\x00\x00\x00\x00\x04\xff\xff\xff\xff",  # an A-ASSOCIATE-RQ of four bytes
        b"\x01\x00\xff\xff\xff\xff",  # one of 4 GiB
        b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",  # P-DATA before any association
        b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # A-RELEASE-RQ before any association
        b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # A-ABORT before any association
    ],
)
def test_a_connection_without_dicom_is_closed(words: bytes) -> None:
    with receiving() as node:
        with socket.create_connection((LOOPBACK, node.port), timeout=30) as connection:
            connection.sendall(words)
            assert peers.echoscu(node.port).returncode == 0
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):  # at most an A-ABORT, then the end
                pass
        # Long before the time-out for an association request, which is 30 s.
        peers.until(lambda: receiver_threads() == [], what="the end of the connection's threads", timeout_s=10)
        assert node.instances == []


def test_a_silent_connection_is_closed() -> None:
    with (
        receiving(acse_timeout_s=0.3) as node,
        socket.create_connection((LOOPBACK, node.port), timeout=30) as silent,
    ):
        assert silent.recv(1) == b""


def test_a_stalled_message_ends_only_its_association() -> None:
    film = films.dx()
    with receiving(dimse_timeout_s=0.5) as node:
        with association(node.port) as opened:
            send_half(opened, encoded(film))
            assert peers.echoscu(node.port).returncode == 0
            peers.until(lambda: receiver_threads() == [], what="the end of the stalled association")
        assert node.instances == []


def test_an_abort_within_a_message_leaves_nothing_behind() -> None:
    film = films.dx()
    with receiving() as node:
        with association(node.port) as opened:
            send_half(opened, encoded(film))
            opened.abort()
        with association(node.port) as cut:
            send_half(cut, encoded(film))
            connection = cut.dul.socket
            assert connection is not None
            connection.close()
        peers.until(lambda: receiver_threads() == [], what="the end of both associations")
        assert node.instances == []

        with association(node.port) as opened:
            assert store(opened, encoded(film), sop_instance_uid=film.SOPInstanceUID)[0] == 0
        assert node.sop_instance_uids == [film.SOPInstanceUID]


def test_stopping_does_not_wait_for_silent_stalled_or_idle_peers() -> None:
    film = films.dx()
    with ExitStack() as stack:
        node = stack.enter_context(receiving())
        stack.enter_context(socket.create_connection((LOOPBACK, node.port), timeout=30))
        stalled = stack.enter_context(association(node.port))
        send_half(stalled, encoded(film))
        idle = stack.enter_context(association(node.port))
        peers.until(lambda: len(receiver_threads()) == 3, what="three connections")

        started = time.perf_counter()
        node.receiver.stop()
        seconds = time.perf_counter() - started

        assert receiver_threads() == []
        assert seconds < 20  # the time-outs are 30 s and more
        peers.until(lambda: idle.is_aborted, what="the abort at the idle peer")


def test_idle_associations_do_not_block_others() -> None:
    with receiving() as node, ExitStack() as stack:
        idle = [stack.enter_context(association(node.port, calling=f"IDLE{number}")) for number in range(8)]
        assert all(one.is_established for one in idle)
        assert peers.echoscu(node.port).returncode == 0
