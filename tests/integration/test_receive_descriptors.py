"""Reception when descriptors or places run out: what cannot be guarded is closed, and others are served."""

import errno
import fcntl
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom.transport import AssociationServer

from cxr_node.receive import scp
from cxr_node.receive.events import ConnectionFailed, ConnectionFailure, ReceiveEvent
from cxr_node.receive.upper_layer.transport import ReceiveServer
from cxr_node.service.descriptors import raise_descriptor_limit
from tests.support.peers import LOOPBACK, VERIFICATION, until
from tests.support.receiver import association, receiving

_SELECT_LIMIT = 1024


def connected(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), 10)


def is_closed(connection: socket.socket) -> bool:
    """Whether the node closes the connection; it has sent nothing."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.fixture
def descriptor_limit() -> Iterator[int]:
    """The limit of descriptors, raised; restored afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield raise_descriptor_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_connection_that_cannot_be_guarded_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an eventfd pynetdicom's own socket went on, without any bound on PDU, object and time."""
    events: list[ReceiveEvent] = []

    def no_descriptor(*_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with receiving(on_event=events.append) as node:
        with monkeypatch.context() as patch:
            patch.setattr(os, "eventfd", no_descriptor)
            with connected(node.port) as connection:
                assert is_closed(connection)
            until(lambda: len(events) == 1, what="the event of the closed connection")
        with association(node.port, sop_class_uid=VERIFICATION) as opened:
            assert opened.is_established
            assert opened.send_c_echo().Status == 0
    assert isinstance(events[0], ConnectionFailed)
    assert events[0].failure is ConnectionFailure.TOO_MANY_CONNECTIONS


def test_places_of_ended_connections_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scp, "SPARE_CONNECTIONS", 2)
    ended = threading.Semaphore(0)
    events: list[ReceiveEvent] = []

    def on_event(event: ReceiveEvent) -> None:
        events.append(event)
        ended.release()

    with receiving(maximum_associations=1, on_event=on_event) as node:
        for _ in range(5):
            connected(node.port).close()
            assert ended.acquire(timeout=30)
        with association(node.port, sop_class_uid=VERIFICATION) as opened:
            assert opened.is_established

    failures = [event.failure for event in events if isinstance(event, ConnectionFailed)]
    assert failures == [ConnectionFailure.CLOSED_BY_PEER] * 5


def test_the_accept_loop_waits_where_no_descriptor_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def no_descriptor(_server: AssociationServer) -> tuple[socket.socket, tuple[str, int]]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(AssociationServer, "get_request", no_descriptor)
    monkeypatch.setattr(time, "sleep", waits.append)
    server = ReceiveServer.__new__(ReceiveServer)

    with pytest.raises(OSError, match="Too many open files"):
        server.get_request()
    assert waits == [0.1]


def test_a_connection_above_descriptor_1024_is_served(descriptor_limit: int) -> None:
    if descriptor_limit <= _SELECT_LIMIT * 2:
        pytest.skip("the system allows too few descriptors")
    with Path(os.devnull).open("rb") as device, receiving() as node:
        descriptors = [fcntl.fcntl(device, fcntl.F_DUPFD, 3)]
        while descriptors[-1] < _SELECT_LIMIT:
            descriptors.append(fcntl.fcntl(device, fcntl.F_DUPFD, 3))
        try:
            with connected(node.port) as connection:
                assert connection.fileno() > _SELECT_LIMIT
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert connection.recv(1) == b"\x07", "an A-ABORT: the request was read"
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def test_a_role_raises_the_limit_of_descriptors(descriptor_limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    assert raise_descriptor_limit() == descriptor_limit
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (descriptor_limit, hard)
