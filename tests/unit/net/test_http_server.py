"""The HTTP server over loopback: bodies in blocks, limits, deadlines, places, and clients that misbehave."""

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from cxr_node.net.http_exchange import Exchange, HttpLimits, RequestRejected
from cxr_node.net.http_server import HttpOptions, HttpServer
from cxr_node.receive.tls import CertificateFiles, Handshakes, TlsFiles
from tests.support import certificates
from tests.support.peers import LOOPBACK, connected

QUICK = HttpLimits(header_timeout_s=0.3, idle_timeout_s=0.3, request_timeout_s=5.0)
MAXIMUM_BYTES = 100_000


def echo(exchange: Exchange) -> None:
    """Respond with method, path, query and the body."""
    body = b"".join(exchange.body(maximum_bytes=MAXIMUM_BYTES))
    exchange.respond(200, f"{exchange.method} {exchange.path} {exchange.query()} ".encode() + body)


@contextmanager
def serving(
    handle: Callable[[Exchange], None] = echo, *, limits: HttpLimits | None = None, maximum_connections: int = 64
) -> Iterator[tuple[HttpServer, list[str]]]:
    """Run a server; the value is the server and the addresses of refused connections."""
    refused: list[str] = []
    chosen = HttpOptions(host=LOOPBACK, port=0, limits=limits or HttpLimits(), maximum_connections=maximum_connections)
    server = HttpServer(chosen, handle, on_refused=refused.append)
    server.start()
    try:
        yield server, refused
    finally:
        server.stop()


def url(server: HttpServer, path: str = "/") -> str:
    return f"http://{LOOPBACK}:{server.address[1]}{path}"


def received(connection: socket.socket) -> bytes:
    """Return everything that the server sends until it closes the connection."""
    connection.settimeout(20)
    content = b""
    while block := connection.recv(65536):
        content += block
    return content


def received_until(connection: socket.socket, end: bytes) -> bytes:
    """Return what the server sends, up to an end."""
    content = b""
    while end not in content and (block := connection.recv(65536)):
        content += block
    return content


def received_at_all(connection: socket.socket) -> int:
    """Return how many bytes the server sends until it ends the connection."""
    size = 0
    with suppress(ConnectionResetError):
        while block := connection.recv(1 << 20):
            size += len(block)
    return size


class PendingHandshake:
    """A TLS handshake of a client whose server waits for its last message."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=LOOPBACK)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                connection.sendall(self._outgoing.read())
                self._incoming.write(connection.recv(65536))
            else:
                return

    def last_message_and(self, content: bytes) -> bytes:
        """Return what ends the handshake, and content after it, encrypted."""
        self._tls.write(content)
        return self._outgoing.read()


def exchanged(server: HttpServer, request: bytes) -> bytes:
    with connected(server.address[1]) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return received(connection)


def test_requests_of_one_connection_follow_each_other() -> None:
    with serving() as (server, _), httpx.Client(trust_env=False) as client:
        first = client.get(url(server, "/a/b%20c?x=1&x=&y=%2F"))
        second = client.post(url(server), content=b"body")
        third = client.post(url(server), content=iter([b"in ", b"chunks"]))

    assert first.content == b"GET ('a', 'b c') [('x', '1'), ('x', ''), ('y', '/')] "
    assert second.content == b"POST ('',) [] body"
    assert third.content == b"POST ('',) [] in chunks"


def test_two_requests_in_one_packet_get_two_responses() -> None:
    with serving() as (server, _):
        answer = exchanged(server, b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.index(b"('1',)") < answer.index(b"('2',)")


def test_a_response_without_length_comes_in_chunks() -> None:
    with serving(lambda exchange: exchange.respond(200, iter([b"a", b"b"]))) as (server, _):
        response = httpx.get(url(server), trust_env=False)

    assert response.content == b"ab"
    assert response.headers["transfer-encoding"] == "chunked"


def test_a_client_that_waits_gets_100_continue_only_if_the_body_is_read() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"

    def reject(_: Exchange) -> None:
        raise RequestRejected(401, "no token")

    with serving() as (server, _), connected(server.address[1]) as connection:
        connection.sendall(head)
        connection.settimeout(20)
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(b"body")
        assert b"body" in received_until(connection, b"body")
    with serving(reject) as (server, _), connected(server.address[1]) as connection:
        connection.sendall(head)
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"onnection: close" in answer


def test_a_client_that_sends_on_can_read_why_it_was_rejected() -> None:
    def reject(_: Exchange) -> None:
        raise RequestRejected(403, "not here", headers={"X-Why": "test"})

    with serving(reject) as (server, _):
        response = httpx.post(url(server), content=bytes(3_000_000), trust_env=False)

    assert (response.status_code, response.json()) == (403, {"detail": "not here"})
    assert response.headers["x-why"] == "test"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_above_the_limit_is_413(is_chunked: bool) -> None:
    content = bytes(MAXIMUM_BYTES + 1)
    with serving() as (server, _):
        response = httpx.post(url(server), content=iter([content]) if is_chunked else content, trust_env=False)

    assert response.status_code == 413


def test_a_body_that_ends_early_is_400() -> None:
    with serving() as (server, _):
        answer = exchanged(server, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nbody")

    assert answer.startswith(b"HTTP/1.1 400")


def test_a_body_that_stops_is_400_after_the_idle_timeout() -> None:
    with serving(limits=QUICK) as (server, _), connected(server.address[1]) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nbody")
        answer = received(connection)

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"did not come in time" in answer


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_request_that_does_not_come_whole_ends_its_connection(sent: bytes) -> None:
    with serving(limits=QUICK) as (server, _), connected(server.address[1]) as connection:
        connection.sendall(sent)
        assert received(connection) == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 a TLS hello",
        b"HELLO\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["tls", "no line of a request", "long header", "no URI"],
)
def test_what_is_no_request_gets_a_status_and_the_end(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with serving() as (server, _):
        answer = exchanged(server, sent)
        assert httpx.get(url(server), trust_env=False).status_code == 200

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    assert caplog.records == []


@pytest.mark.parametrize("fault", [ValueError("Filmer^Testa"), OSError(errno.EMFILE, "Filmer^Testa")])
def test_a_fault_of_the_handler_is_500_without_its_text(fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Exchange) -> None:
        raise fault

    with serving(fail) as (server, _):
        response = httpx.get(url(server), trust_env=False)

    assert response.status_code == 500
    assert "Filmer" not in response.text
    assert type(fault).__name__ in caplog.text


def test_a_fault_within_a_response_is_logged_and_cuts_it(caplog: pytest.LogCaptureFixture) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"first"
        raise OSError(errno.EMFILE, "too many open files")

    with serving(lambda exchange: exchange.respond(200, blocks())) as (server, _):
        answer = exchanged(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"first\r\n")
    assert "OSError" in caplog.text


def test_too_many_parameters_are_400() -> None:
    with serving() as (server, _):
        assert httpx.get(url(server, "/?" + "a=1&" * 100), trust_env=False).status_code == 400


def test_a_silent_connection_gives_its_place_to_a_new_one() -> None:
    with (
        serving(maximum_connections=2) as (server, refused),
        connected(server.address[1]) as first,
        connected(server.address[1]),
    ):
        assert httpx.get(url(server), trust_env=False).status_code == 200
        assert received(first) == b""
    assert refused == []


def test_connections_at_work_are_not_replaced_and_a_further_one_gets_503() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    with serving(maximum_connections=1) as (server, refused), connected(server.address[1]) as busy:
        busy.sendall(head)
        busy.settimeout(20)
        assert busy.recv(1000).startswith(b"HTTP/1.1 100")

        with connected(server.address[1]) as further:
            answer = received(further)

        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 5" in answer
        busy.sendall(b"body")
        assert b"body" in received_until(busy, b"body")
    assert refused == [LOOPBACK]


def test_a_stop_cuts_a_body_that_still_comes_and_the_client_gets_an_answer() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    with serving() as (server, _), connected(server.address[1]) as connection:
        connection.sendall(head)
        connection.settimeout(20)
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        server.stop()
        assert received(connection).startswith(b"HTTP/1.1 400")
        assert not server.is_accepting()


def test_a_stop_ends_responses_that_clients_do_not_read() -> None:
    total = 1 << 25
    options = HttpOptions(host=LOOPBACK, port=0, stop_timeout_s=0.0)
    server = HttpServer(options, lambda exchange: exchange.respond(200, bytes(total)))
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop)
        clients = [stack.enter_context(connected(server.address[1])) for _ in range(2)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(4) == b"HTTP"
        server.stop()
        for client in clients:
            assert received_at_all(client) < total


def test_a_connection_replaced_during_its_tls_handshake_is_not_served(tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    own = certificates.issued(tmp_path, authority, "node")
    handshakes = Handshakes(CertificateFiles(TlsFiles(certificate=own.certificate, key=own.key)), timeout_s=20)
    options = HttpOptions(host=LOOPBACK, port=0, maximum_connections=1)
    server = HttpServer(options, echo, handshake=handshakes.handshake)
    context = ssl.create_default_context(cafile=str(authority.certificate))
    server.start()
    try:
        with connected(server.address[1]) as replaced, httpx.Client(verify=context, trust_env=False) as client:
            handshake = PendingHandshake(replaced, context)
            assert client.get(f"https://{LOOPBACK}:{server.address[1]}/").status_code == 200

            replaced.sendall(handshake.last_message_and(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))

            assert replaced.recv(1) == b""
            assert client.get(f"https://{LOOPBACK}:{server.address[1]}/").status_code == 200
    finally:
        server.stop()


def test_tls_tells_the_certificate_of_the_client(tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    own, theirs = (certificates.issued(tmp_path, authority, name) for name in ("node", "client"))
    files = TlsFiles(certificate=own.certificate, key=own.key, peers_ca=authority.certificate)
    failures: list[str] = []

    def show(exchange: Exchange) -> None:
        exchange.respond(200, f"{exchange.client.is_secure} {exchange.client.certificate}".encode())

    server = HttpServer(
        HttpOptions(host=LOOPBACK, port=0),
        show,
        handshake=Handshakes(CertificateFiles(files), timeout_s=10).handshake,
        on_tls_failed=lambda address, _: failures.append(address),
    )
    server.start()
    try:
        context = ssl.create_default_context(cafile=str(authority.certificate))
        address = f"https://{LOOPBACK}:{server.address[1]}/"
        with pytest.raises(httpx.TransportError):
            httpx.get(address, verify=context, trust_env=False)
        context.load_cert_chain(theirs.certificate, theirs.key)
        with httpx.Client(verify=context, trust_env=False) as client:
            text = client.get(address).text
    finally:
        server.stop()

    assert text.startswith("True ")
    assert len(text) == len("True ") + 64
    assert failures == [LOOPBACK]
