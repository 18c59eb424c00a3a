"""Limits of reception: admission, message size and time, disk space."""

import socket
import threading
import time
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dsutils import encode

from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.receive.admission import PeerRule
from cxr_node.receive.tls import TlsFiles
from cxr_node.receive.upper_layer import acceptor
from cxr_node.receive.upper_layer.bounded_dimse import BoundedDataSet
from tests.support import certificates, films, peers
from tests.support.peers import VERIFICATION
from tests.support.receiver import DX, association, receiving, store

LOCAL_NETWORK, OTHER_NETWORK = ip_network("127.0.0.0/8"), ip_network("192.0.2.0/24")
USERS = {"dx1": PasswordHash.from_password("correct horse", salt=bytes(16), cost=16)}


def encoded(film: Dataset, *, implicit: bool = False) -> bytes:
    data_set = encode(film, implicit, True)
    assert data_set is not None
    return data_set


def rejection(opened: Association) -> tuple[int | None, int | None, int | None]:
    """Return result, source and reason of the rejection (PS3.8 table 9-21)."""
    assert opened.is_rejected
    answer = opened.acceptor.primitive
    assert answer is not None
    return answer.result, answer.result_source, answer.diagnostic


def connection_of(opened: Association) -> socket.socket:
    wrapped = opened.dul.socket
    assert wrapped is not None
    assert wrapped.socket is not None
    return wrapped.socket


def fragment(message_control_header: int, content: bytes) -> bytes:
    """Return a P-DATA-TF PDU of one value on the context 1 (PS3.8 section 9.3.5)."""
    item = (len(content) + 2).to_bytes(4, "big") + bytes([1, message_control_header]) + content
    return b"\x04\x00" + len(item).to_bytes(4, "big") + item


def c_store_request() -> bytes:
    command = Dataset()
    command.AffectedSOPClassUID = DX
    command.CommandField = 0x0001
    command.MessageID = 1
    command.Priority = 2
    command.CommandDataSetType = 1
    command.AffectedSOPInstanceUID = "1.2.3"
    return fragment(0x03, encoded(command, implicit=True))


def gone(opened: Association, *, timeout_s: float = 20.0) -> bool:
    """Whether the node ended the association."""
    opened.join(timeout_s)
    return opened.is_aborted


def test_a_peer_is_served_from_its_address_only(tmp_path: Path) -> None:
    film = films.written(films.dx(), tmp_path)
    rules = (
        PeerRule(ae_title=AeTitle("DX1"), networks=(LOCAL_NETWORK,)),
        PeerRule(ae_title=AeTitle("DX2"), networks=(OTHER_NETWORK,)),
    )
    with receiving(peers=rules) as node:
        assert peers.storescu(node.port, film, calling="DX1").returncode == 0
        refused = peers.storescu(node.port, film, calling="DX2")
        assert refused.returncode != 0
        assert "Calling AE Title Not Recognized" in refused.stderr
        assert [sender.calling_ae_title for sender in node.senders] == ["DX1"]


def test_associations_of_a_peer_are_limited_by_its_rule() -> None:
    rules = (PeerRule(ae_title=AeTitle("DX1"), maximum_associations=2), PeerRule(ae_title=AeTitle("DX2")))
    with receiving(peers=rules) as node, ExitStack() as stack:
        first, second, third = (stack.enter_context(association(node.port, calling="DX1")) for _ in range(3))
        assert (first.is_established, second.is_established) == (True, True)
        assert rejection(third) == (2, 3, 2)
        assert stack.enter_context(association(node.port, calling="DX2")).is_established
        first.release()
        peers.until(
            lambda: stack.enter_context(association(node.port, calling="DX1")).is_established, what="a place for DX1"
        )


def test_an_object_above_the_limit_is_rejected_within_its_association() -> None:
    large, small = films.dx(rows=256, columns=256, seed=1), films.dx(rows=32, columns=32, seed=2)
    with receiving(maximum_object_bytes=20_000) as node, association(node.port) as opened:
        status, comment = store(opened, encoded(large), sop_instance_uid=large.SOPInstanceUID)
        assert status == 0xC000
        assert "larger than the limit" in comment
        assert store(opened, encoded(small), sop_instance_uid=small.SOPInstanceUID)[0] == 0
        assert node.sop_instance_uids == [small.SOPInstanceUID]


def test_an_object_of_exactly_the_limit_is_stored() -> None:
    film = films.dx()
    with receiving(maximum_object_bytes=len(encoded(film))) as node, association(node.port) as opened:
        assert store(opened, encoded(film), sop_instance_uid=film.SOPInstanceUID)[0] == 0
    assert node.sop_instance_uids == [film.SOPInstanceUID]


def test_a_slow_message_ends_at_its_deadline() -> None:
    stop = threading.Event()
    with receiving(message_timeout_s=1.0) as node, association(node.port) as opened:
        connection = connection_of(opened)
        connection.sendall(c_store_request())

        def trickle() -> None:
            try:
                while not stop.wait(0.05):
                    connection.sendall(fragment(0x00, b"\0\0"))
            except OSError:
                return

        trickling = threading.Thread(target=trickle)
        trickling.start()
        assert gone(opened)
        stop.set()
        trickling.join()
    assert node.instances == []


def test_a_message_that_stops_between_fragments_is_aborted() -> None:
    with receiving(message_timeout_s=0.5, network_timeout_s=600.0) as node, association(node.port) as opened:
        connection_of(opened).sendall(c_store_request())
        assert gone(opened)


def test_a_slow_pdu_ends_at_the_time_out() -> None:
    stop = threading.Event()
    with receiving(dimse_timeout_s=1.0) as node, association(node.port) as opened:
        connection = connection_of(opened)

        def trickle() -> None:
            try:
                for byte in fragment(0x03, bytes(10_000)):
                    connection.sendall(bytes([byte]))
                    if stop.wait(0.05):
                        return
            except OSError:
                return

        trickling = threading.Thread(target=trickle)
        trickling.start()
        assert gone(opened)
        stop.set()
        trickling.join()
    assert node.instances == []


def test_the_message_time_out_does_not_bound_the_association(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are 45 s apart on a simulated clock, and each may take 60 s."""
    film, ahead_s = films.dx(), 0.0

    def clock() -> float:
        return time.monotonic() + ahead_s

    for name in ("BoundedSocket", "BufferedSocket"):
        monkeypatch.setattr(acceptor, name, partial(getattr(acceptor, name), clock=clock))
    with receiving(message_timeout_s=60.0) as node, association(node.port) as opened:
        for _ in range(4):
            assert store(opened, encoded(film), sop_instance_uid=film.SOPInstanceUID)[0] == 0
            ahead_s += 45.0


@pytest.mark.parametrize(
    "pdu",
    [
        pytest.param(fragment(0x03, b"\xff" * 64), id="no command set"),
        pytest.param(fragment(0x03, b""), id="an empty command set"),
        pytest.param(fragment(0x02, b"data before any command"), id="data without a command"),
        pytest.param(b"\x04\x00\x00\x00\x00\x05\x00\x00\x00\x01\x01", id="a value without its header"),
        pytest.param(fragment(0x01, bytes(30_000)) * 3, id="a command set without end"),
    ],
)
def test_an_undecodable_message_ends_only_its_association(pdu: bytes) -> None:
    film = films.dx()
    with receiving() as node, association(node.port) as other, association(node.port) as opened:
        connection_of(opened).sendall(pdu)
        assert gone(opened)
        assert store(other, encoded(film), sop_instance_uid=film.SOPInstanceUID)[0] == 0


def test_without_space_storage_associations_are_rejected_transiently() -> None:
    has_free_space = threading.Event()
    with receiving(has_space=lambda _size_bytes: has_free_space.is_set()) as node:
        with association(node.port) as opened:
            assert rejection(opened) == (2, 3, 1)
        with association(node.port, sop_class_uid=VERIFICATION) as opened:
            assert opened.is_established
        has_free_space.set()
        with association(node.port) as opened:
            assert opened.is_established


def test_a_film_without_space_is_rejected_before_it_is_stored() -> None:
    film = films.dx()
    sizes: list[int] = []
    has_free_space = threading.Event()

    def has_space(size_bytes: int) -> bool:
        sizes.append(size_bytes)
        return size_bytes == 0 or has_free_space.is_set()

    with receiving(has_space=has_space) as node, association(node.port) as opened:
        assert store(opened, encoded(film), sop_instance_uid=film.SOPInstanceUID)[0] == 0xA700
        assert node.instances == []
        assert sizes[-1] > len(encoded(film))
        has_free_space.set()
        assert store(opened, encoded(film), sop_instance_uid=film.SOPInstanceUID)[0] == 0
        assert node.sop_instance_uids == [film.SOPInstanceUID]


def test_without_space_a_film_gets_out_of_resources() -> None:
    film, has_free_space = films.dx(), threading.Event()
    has_free_space.set()
    large = encoded(film) + bytes(8 << 20)
    with receiving(has_space=lambda _size_bytes: has_free_space.is_set()) as node, association(node.port) as opened:
        has_free_space.clear()
        assert store(opened, large, sop_instance_uid=film.SOPInstanceUID)[0] == 0xA700
        assert node.instances == []
        has_free_space.set()
        assert store(opened, encoded(film), sop_instance_uid=film.SOPInstanceUID)[0] == 0


@pytest.mark.parametrize(("had_space", "held"), [(True, 6 << 20), (False, 0)])
def test_without_space_a_large_data_set_is_not_buffered(had_space: bool, held: int) -> None:
    data_set = BoundedDataSet(1 << 28, had_space=had_space)
    for _ in range(6):
        data_set.write(bytes(1 << 20))
    assert data_set.is_too_large is not had_space
    assert len(data_set.getvalue()) == held
    assert data_set.size_bytes == 6 << 20


def test_dcmtk_needs_the_right_password_over_tls(tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    shown = certificates.issued(tmp_path, authority, "node")
    secured = ["+tla", "+cf", str(authority.certificate)]
    film = films.written(films.dx(), tmp_path)
    with receiving(users=USERS, tls=TlsFiles(certificate=shown.certificate, key=shown.key)) as node:

        def send(*identity: str) -> int:
            return peers.storescu(node.port, film, options=[*secured, *identity]).returncode

        assert send() != 0
        assert send("-usr", "dx1") != 0
        assert send("-usr", "dx1", "-pwd", "wrong") != 0
        assert send("-usr", "dx9", "-pwd", "correct horse") != 0
        assert node.instances == []
        assert send("-usr", "dx1", "-pwd", "correct horse") == 0
        assert send("-usr", "dx1", "-pwd", "correct horse", "-rsp") == 0
        assert node.sop_instance_uids == [film.stem] * 2


def test_a_peer_without_password_is_rejected_permanently() -> None:
    with receiving(users=USERS) as node, association(node.port) as opened:
        assert rejection(opened) == (1, 2, 1)
