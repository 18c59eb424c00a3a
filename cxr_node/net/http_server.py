"""HTTP/1.1 server of threads, one for each connection; the protocol is h11's.

Each wait has a deadline, and the number of connections is bounded: at the bound a new connection replaces the oldest
one that waits for a request, or is refused.
"""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import h11

from cxr_node.domain.errors import type_and_place
from cxr_node.domain.identifiers import digest_of
from cxr_node.net.http_exchange import (
    Client,
    Disconnected,
    Exchange,
    HttpConnection,
    HttpLimits,
    RequestRejected,
    close_gently,
)

_log = logging.getLogger(__name__)

_BACKLOG = 128
_END_TIMEOUT_S = 2.0
"""Longest wait of a stop for threads whose connections it has closed."""
_DISCARD_S = 2.0
_PAUSE_S = 0.05
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Address and limits of a server; `port` 0 binds any free port. With `shares_port` several processes listen.

    A stop waits `stop_timeout_s` for all requests at work together; then their connections are closed.
    """

    host: str
    port: int
    shares_port: bool = False
    maximum_connections: int = 64
    limits: HttpLimits = field(default_factory=HttpLimits)
    stop_timeout_s: float = 10.0


@dataclass(slots=True, eq=False)
class _Place:
    """A connection that is open."""

    connection: socket.socket
    is_waiting: bool = True
    """Whether it has no request at work."""


class HttpServer:
    """Serves each request by `handle`, which responds, in the thread of its connection.

    Parameters
    ----------
    handshake
        Returns the TLS socket of a connection, or closes it and raises OSError; None for plain connections.
    on_refused
        Called with the address of a connection that is refused because too many are open.
    """

    def __init__(
        self,
        options: HttpOptions,
        handle: Callable[[Exchange], None],
        *,
        handshake: Callable[[socket.socket], ssl.SSLSocket] | None = None,
        on_tls_failed: Callable[[str, OSError], None] = lambda _address, _error: None,
        on_refused: Callable[[str], None] = lambda _address: None,
    ) -> None:
        self._options = options
        self._handle = handle
        self._handshake = handshake
        self._on_tls_failed = on_tls_failed
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._places: dict[_Place, threading.Thread] = {}
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Bind the port and serve; raise OSError if the address cannot be bound."""
        host, port = self._options.host, self._options.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, reuse_port=self._options.shares_port
        )
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), name="dicomweb", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting; end connections, and wait for requests at work. A body that still comes is cut off."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self._stopping.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        listener.close()
        with self._lock:
            places = dict(self._places)
        for place in places:
            _shut_down(place.connection, socket.SHUT_RDWR if place.is_waiting else socket.SHUT_RD)
        threads = [thread for thread in (self._thread, *places.values()) if thread is not None]
        _join(threads, timeout_s=self._options.stop_timeout_s)
        for place, thread in places.items():
            if thread.is_alive():
                _shut_down(place.connection, socket.SHUT_RDWR)
        _join(threads, timeout_s=_END_TIMEOUT_S)

    def is_accepting(self) -> bool:
        """Whether connections are accepted."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on: the port in use where the options have 0."""
        if self._listener is None:
            raise RuntimeError("the server is not started")
        host, port = self._listener.getsockname()[:2]
        return str(host), port

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, address = listener.accept()
            except OSError:
                self._stopping.wait(_PAUSE_S)  # the peer has gone, or no descriptor is left
                continue
            self._begin(connection, str(address[0]))

    def _begin(self, connection: socket.socket, address: str) -> None:
        place = _Place(connection)
        thread = threading.Thread(target=self._serve, args=(place, address), name="dicomweb connection", daemon=True)
        with self._lock:
            is_taken = self._has_place()
            if is_taken:
                self._places[place] = thread
        if is_taken and self._is_started(place, thread):
            return
        self._on_refused(address)
        if self._handshake is None:
            with suppress(OSError):
                connection.setblocking(False)
                connection.send(_BUSY)
        connection.close()

    def _is_started(self, place: _Place, thread: threading.Thread) -> bool:
        try:
            thread.start()
        except RuntimeError:  # the process may have no more threads
            with self._lock:
                self._places.pop(place, None)
            return False
        return True

    def _has_place(self) -> bool:
        """Whether there is a place for another connection; the oldest one without a request gives up its own."""
        if len(self._places) < self._options.maximum_connections:
            return True
        waiting = next((place for place in self._places if place.is_waiting), None)
        if waiting is None:
            return False
        del self._places[waiting]
        _shut_down(waiting.connection, socket.SHUT_RDWR)
        return True

    def _serve(self, place: _Place, address: str) -> None:
        try:
            place.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = self._secured(place, address)
            if client is not None:
                self._serve_requests(place, client)
        except (OSError, Disconnected):
            pass  # the client has gone
        except Exception as error:  # noqa: BLE001  # one connection must not end the process's others
            _log.error("connection of %s: %s", address, type_and_place(error))
        finally:
            close_gently(place.connection, seconds=0.0 if self._stopping.is_set() else _DISCARD_S)
            with self._lock:
                self._places.pop(place, None)

    def _secured(self, place: _Place, address: str) -> Client | None:
        if self._handshake is None:
            return Client(address=address)
        try:
            secured = self._handshake(place.connection)
        except OSError as error:
            self._on_tls_failed(address, error)
            return None
        with self._lock:
            place.connection = secured
            if place not in self._places:  # it was replaced during the handshake, which its socket cannot end
                return None
        certificate = secured.getpeercert(binary_form=True)
        return Client(
            address=address, certificate=None if certificate is None else digest_of(certificate), is_secure=True
        )

    def _serve_requests(self, place: _Place, client: Client) -> None:
        limits = self._options.limits
        connection = HttpConnection(place.connection, limits=limits)
        wait_s = limits.header_timeout_s
        while not self._stopping.is_set():
            place.is_waiting = True
            connection.wait_at_most(wait_s)
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                _respond_to_garbage(connection, error.error_status_hint)
                return
            if not isinstance(event, h11.Request):
                return
            place.is_waiting = False
            connection.wait_at_most(limits.request_timeout_s)
            try:
                exchange = Exchange(connection, event, client=client)
            except ValueError:
                _respond_to_garbage(connection, 400)
                return
            self._respond(exchange)
            if not _is_reusable(connection):
                return
            connection.protocol.start_next_cycle()
            wait_s = limits.idle_timeout_s

    def _respond(self, exchange: Exchange) -> None:
        try:
            self._handle(exchange)
        except RequestRejected as rejected:
            if not exchange.has_responded:
                exchange.reject(rejected)
        except Disconnected:
            raise
        except Exception as error:  # an OSError too: one of the client is Disconnected
            _log.error("%s of %s: %s", exchange.method, exchange.client.address, type_and_place(error))
            if exchange.has_responded:
                raise Disconnected from error
            exchange.reject(RequestRejected(500, "an error of the node, which its log has"))


def _is_reusable(connection: HttpConnection) -> bool:
    """Whether another request may follow, once one without a body, or whose body was read, has its end."""
    protocol = connection.protocol
    return protocol.our_state is h11.DONE and protocol.their_state is h11.DONE


def _respond_to_garbage(connection: HttpConnection, status: int) -> None:
    headers = [("Content-Length", "0"), ("Connection", "close")]
    with suppress(OSError, h11.LocalProtocolError):
        for event in (h11.Response(status_code=status, headers=headers), h11.EndOfMessage()):
            connection.send(event)


def _join(threads: Sequence[threading.Thread], *, timeout_s: float) -> None:
    """Wait for the end of threads, for all of them together."""
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _shut_down(connection: socket.socket, how: int) -> None:
    with suppress(OSError):
        # SSLSocket.shutdown would drop the session that the connection's thread still uses.
        socket.socket.shutdown(connection, how)
