"""The MLLP listener: bounds of connections and messages, TLS, and several messages on a connection."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from cxr_node.domain.clock import utc_now
from cxr_node.net.mllp import END, START, MllpError, MllpServer
from cxr_node.net.tls_peer import TlsPeer
from cxr_node.receive.mllp import MllpListener, MllpOptions
from cxr_node.receive.tls import TlsFiles
from tests.support import certificates
from tests.support.peers import LOOPBACK, until


@contextmanager
def listener(refused: list[tuple[str, str]] | None = None, **options: Any) -> Iterator[MllpListener]:
    """Listen on loopback; each message is answered by itself in capitals."""
    values: dict[str, Any] = {"host": LOOPBACK, "port": 0, "networks": (ip_network("127.0.0.0/8"),), **options}

    def note(address: str, reason: str) -> None:
        if refused is not None:
            refused.append((address, reason))

    with MllpListener(
        MllpOptions(**values), answer=lambda message, _address: message.upper(), clock=utc_now, on_refused=note
    ) as listening:
        yield listening


@contextmanager
def connected(to: MllpListener) -> Iterator[socket.socket]:
    with socket.create_connection((LOOPBACK, to.port), 10) as connection:
        yield connection


def answers(connection: socket.socket, number: int) -> list[bytes]:
    received = b""
    while received.count(END) < number:
        part = connection.recv(4096)
        assert part, "the connection was closed"
        received += part
    return [block.removeprefix(START) for block in received.split(END)[:number]]


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def is_served(to: MllpListener) -> bool:
    with connected(to) as connection, suppress(ConnectionError):
        connection.sendall(START + b"c" + END)
        return not is_closed(connection)
    return False


def test_messages_on_one_connection_are_answered_in_turn() -> None:
    with listener() as to, connected(to) as connection:
        connection.sendall(START + b"one" + END + b"\r\n" + START + b"two" + END)
        assert answers(connection, 2) == [b"ONE", b"TWO"]
        for byte in START + b"three" + END:
            connection.sendall(bytes([byte]))
        assert answers(connection, 1) == [b"THREE"]


@pytest.mark.parametrize(
    ("sent", "options"),
    [
        (b"GET / HTTP/1.1\r\n", {}),
        (START + b"x" * 5000, {"maximum_message_bytes": 1024}),
        (START + b"x" * 5000 + END, {"maximum_message_bytes": 1024}),
        (START + b"slow", {"message_timeout_s": 0.1}),
        (b"", {"idle_timeout_s": 0.1}),
    ],
    ids=["not framed", "too long", "too long and whole", "too slow", "silent"],
)
def test_a_connection_beyond_its_bounds_is_closed(sent: bytes, options: dict[str, Any]) -> None:
    with listener(**options) as to, connected(to) as connection:
        connection.sendall(sent)
        assert is_closed(connection)
        with connected(to) as other:
            other.sendall(START + b"next" + END)
            assert answers(other, 1) == [b"NEXT"]


def test_an_address_that_is_not_permitted_is_refused() -> None:
    refused: list[tuple[str, str]] = []
    with listener(refused, networks=(ip_network("10.0.7.0/24"),)) as to, connected(to) as connection:
        assert is_closed(connection)
    assert refused == [(LOOPBACK, "its address is not permitted")]


def test_connections_beyond_the_maximum_are_refused_until_one_ends() -> None:
    refused: list[tuple[str, str]] = []
    with listener(refused, maximum_connections=1) as to:
        with connected(to) as first:
            first.sendall(START + b"a" + END)
            assert answers(first, 1) == [b"A"]
            with connected(to) as second:
                assert is_closed(second)

        until(partial(is_served, to), what="a free place")
    assert (LOOPBACK, "too many connections") in refused


def test_open_connections_end_with_the_listener() -> None:
    with listener() as to:
        connection = socket.create_connection((LOOPBACK, to.port), 10)
        connection.sendall(START + b"a" + END)
        assert answers(connection, 1) == [b"A"]
    with connection:
        assert is_closed(connection)


def test_a_connection_whose_thread_comes_late_ends_with_the_listener() -> None:
    with listener() as to:
        pass
    own, peer = socket.socketpair()
    with own, peer:
        own.setblocking(False)
        to.opened(own)
        assert own.recv(1) == b""


def test_a_peer_that_vanishes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[int] = []
    with listener() as to, monkeypatch.context() as patched:

        def note(connection: socket.socket) -> None:
            options.append(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            options.extend(
                connection.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )

        patched.setattr(to, "opened", note)
        assert is_served(to)
    is_on, idle_s, interval_s, probes = options
    assert is_on
    assert idle_s + interval_s * probes <= 120


def test_a_thread_that_cannot_be_started_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    faults = iter([RuntimeError("can't start new thread")])

    def fails_once(thread: threading.Thread) -> None:
        for fault in faults:
            raise fault
        start(thread)

    with listener(maximum_connections=1) as to, monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fails_once)
        with connected(to) as connection:
            assert is_closed(connection)
        assert is_served(to)


def test_refused_connections_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    refused: list[tuple[str, str]] = []
    with caplog.at_level(logging.WARNING), listener(refused, networks=(ip_network("10.0.7.0/24"),)) as to:
        for _ in range(30):
            with connected(to) as connection:
                assert is_closed(connection)
    assert len(refused) == 30
    assert 0 < len([one for one in caplog.messages if "not permitted" in one]) < len(refused)


def test_a_message_travels_by_mutual_tls_only(tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    own, peer = (certificates.issued(tmp_path, authority, name) for name in ("node", "his"))
    files = TlsFiles(certificate=own.certificate, key=own.key, peers_ca=authority.certificate)
    refused: list[tuple[str, str]] = []
    with listener(refused, tls=files, tls_handshake_timeout_s=2.0) as to:

        def send(tls: TlsPeer | None) -> bytes:
            server = MllpServer(host=LOOPBACK, port=to.port, tls=tls, timeout_s=5.0)
            return server.send(b"hello", is_answer=lambda _: True)

        assert send(TlsPeer(ca=authority.certificate, certificate=peer.certificate, key=peer.key)) == b"HELLO"
        for tls in (None, TlsPeer(ca=authority.certificate)):
            with pytest.raises(MllpError):
                send(tls)
    assert [address for address, _ in refused] == [LOOPBACK] * 2
