"""Places for associations and connections: strangers who hold as many as there are keep no known peer out."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from cxr_node.domain.identifiers import AeTitle
from cxr_node.receive import scp
from cxr_node.receive.admission import PeerRule
from cxr_node.receive.events import ConnectionFailed, ConnectionFailure, ReceiveEvent
from cxr_node.receive.upper_layer.association import AcceptorAssociation
from tests.support.peers import LOOPBACK, VERIFICATION, until
from tests.support.raw_upper_layer import associate_rq, requesting
from tests.support.receiver import association, receiving

KNOWN = tuple(PeerRule(ae_title=AeTitle(title)) for title in ("DX1", "DX2", "DX3"))


def connected(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), 20)


def is_closed(connection: socket.socket) -> bool:
    """Whether the node closes a connection on which it sends nothing."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@contextmanager
def silent_connections(port: int, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(connected(port)) for _ in range(number)]


def test_silent_connections_do_not_keep_a_peer_out() -> None:
    """As many as there are places for associations, and some more."""
    with receiving(maximum_associations=16) as running, silent_connections(running.port, 20):
        for _ in range(3):
            with association(running.port) as opened:
                assert opened.is_established
                opened.release()


def test_requests_that_are_examined_keep_no_peer_out() -> None:
    """Peers that guess passwords wait for each other before they are rejected: they have no association yet."""
    examined, released = threading.Semaphore(0), threading.Event()

    def has_space(_size_bytes: int) -> bool:
        examined.release()
        return released.wait(60)

    with receiving(maximum_associations=1, has_space=has_space) as running, silent_connections(running.port, 3) as slow:
        for connection in slow:
            connection.sendall(associate_rq())
            assert examined.acquire(timeout=20)
        with association(running.port, sop_class_uid=VERIFICATION) as opened:
            assert opened.is_established, "a C-ECHO needs no space"
        released.set()


def test_silent_connections_beside_all_places_keep_no_peer_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as may be open beside the associations: a further connection takes the place of the oldest."""
    monkeypatch.setattr(scp, "SPARE_CONNECTIONS", 2)
    events: list[ReceiveEvent] = []
    with (
        receiving(maximum_associations=4, on_event=events.append) as running,
        silent_connections(running.port, 6) as silent,
    ):
        for _ in range(3):
            with association(running.port) as opened:
                assert opened.is_established
                opened.release()
        assert is_closed(silent[0])
        until(lambda: bool(events_without_place(events)), what="a closed connection")

    assert {event.failure for event in events_without_place(events)} == {ConnectionFailure.NO_REQUEST_IN_TIME}


def events_without_place(events: list[ReceiveEvent]) -> list[ConnectionFailed]:
    return [event for event in events if isinstance(event, ConnectionFailed) and "place" in event.detail]


def test_rejected_peers_who_stay_keep_no_known_peer_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their connections end a moment after the A-ASSOCIATE-RJ, here as late as those of a busy machine."""
    monkeypatch.setattr(scp, "SPARE_CONNECTIONS", 0)
    released, kill = threading.Event(), AcceptorAssociation.kill

    def kill_late(association: AcceptorAssociation) -> None:
        released.wait(60)
        kill(association)

    with receiving(maximum_associations=4, peers=KNOWN) as running, ExitStack() as stack:
        monkeypatch.setattr(AcceptorAssociation, "kill", kill_late)
        for _ in range(4):
            stranger = stack.enter_context(requesting(running.port, associate_rq(calling=b"STRANGER        ")))
            assert stranger.answer.verdict == "rejected 1 1 3"
        with association(running.port, calling="DX1") as opened:
            assert opened.is_established
            released.set()


def test_an_accepted_association_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest connection of all, where each further one takes the place of another."""
    monkeypatch.setattr(scp, "SPARE_CONNECTIONS", 2)
    events: list[ReceiveEvent] = []
    with (
        receiving(maximum_associations=4, on_event=events.append) as running,
        association(running.port) as first,
        silent_connections(running.port, 20),
    ):
        assert first.is_established
        # 21 connections, of which 6 have a place: a connection that is prepared later takes that of `second`.
        until(lambda: len(events_without_place(events)) == 15, what="the closed connections")
        with association(running.port) as second:
            assert second.is_established

        assert first.is_established
        first.release()
        assert first.is_released


def test_a_connection_whose_request_is_examined_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each connection has a request that is not answered yet, a further one is closed at once."""
    monkeypatch.setattr(scp, "SPARE_CONNECTIONS", 2)
    events: list[ReceiveEvent] = []
    examined, released = threading.Semaphore(0), threading.Event()

    def has_space(_size_bytes: int) -> bool:
        examined.release()
        return released.wait(60)

    with (
        receiving(maximum_associations=1, has_space=has_space, on_event=events.append) as running,
        silent_connections(running.port, 3) as connections,
    ):
        for connection in connections:
            connection.sendall(associate_rq())
            assert examined.acquire(timeout=20)
        with connected(running.port) as excess:
            assert is_closed(excess)
        released.set()
        answers = sorted(connection.recv(1) for connection in connections)

    assert answers == [b"\2", b"\3", b"\3"], "one is accepted"
    failures = [event.failure for event in events if isinstance(event, ConnectionFailed)]
    assert failures.count(ConnectionFailure.TOO_MANY_CONNECTIONS) == 1


def test_a_place_is_kept_for_each_known_peer() -> None:
    """A peer that leaves associations open, or anybody under its AE title, keeps no other known peer out."""
    with receiving(maximum_associations=4, peers=KNOWN) as running, ExitStack() as stack:
        associations = [stack.enter_context(association(running.port, calling="DX1")) for _ in range(3)]
        assert [opened.is_established for opened in associations] == [True, True, False]
        others = [stack.enter_context(association(running.port, calling=title)) for title in ("DX2", "DX3")]
        assert all(opened.is_established for opened in others)
        with association(running.port, calling="DX2") as further:
            assert further.is_rejected
