"""MLLP listener (HL7 Minimal Lower Layer Protocol, release 1): one thread a connection, each message answered in turn.

Bounded in connections, and for each in the size and duration of a message and the time without one.
"""

import logging
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Self

from cxr_node.domain.errors import type_and_place
from cxr_node.net.mllp import END, START
from cxr_node.net.tls import failure_reason
from cxr_node.receive.limited_log import LimitedLog
from cxr_node.receive.tls import CertificateFiles, Handshakes, TlsFiles

_log = logging.getLogger(__name__)

_PART = 1 << 14
_SEND_TIMEOUT_S = 10.0
_KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}
"""A connection whose peer has vanished ends after two minutes: seconds before a probe, between them, and probes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MllpOptions:
    """Address and limits of a listener.

    `networks` may connect, `maximum_connections` at a time. `message_timeout_s` bounds a message from its first byte,
    `idle_timeout_s` the time without one. With `shares_port` several processes listen on the port.
    """

    host: str
    port: int
    networks: Sequence[IPv4Network | IPv6Network]
    maximum_connections: int = 8
    maximum_message_bytes: int = 1 << 16
    message_timeout_s: float = 10.0
    idle_timeout_s: float = 86400.0
    shares_port: bool = False
    tls: TlsFiles | None = None
    tls_handshake_timeout_s: float = 10.0


class MllpListener:
    """Listens during a `with` block.

    Parameters
    ----------
    answer
        Called with each message and the address of its sender; returns the acknowledgment. It does not raise.
    clock
        For the bound on repeated lines in the log.
    on_refused
        Called with the address of a connection that is refused, and why.

    Raises
    ------
    OSError
        If the address cannot be bound, or the files for TLS cannot be used.
    """

    def __init__(
        self,
        options: MllpOptions,
        *,
        answer: Callable[[bytes, str], bytes],
        clock: Callable[[], datetime],
        on_refused: Callable[[str, str], None] = lambda _address, _reason: None,
    ) -> None:
        self.options = options
        self.answer = answer
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_closing = False
        self._limited_log = LimitedLog(_log, clock=clock)
        self.handshakes = None
        if options.tls is not None:
            self.handshakes = Handshakes(CertificateFiles(options.tls), timeout_s=options.tls_handshake_timeout_s)
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="mllp", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def is_accepting(self) -> bool:
        """Whether the thread that accepts connections runs."""
        return self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the port and all connections; a message that is being answered is answered first."""
        self._server.shutdown()
        if self.handshakes is not None:
            self.handshakes.close()
        with self._lock:
            self._is_closing = True
            for connection in self._open:
                _end_reading(connection)
        self._server.server_close()
        self._thread.join()
        self._limited_log.close()

    def admits(self, address: str) -> bool:
        """Whether a connection from this address is served: it is permitted, and there are not too many."""
        reason = ""
        if not any(ip_address(address) in network for network in self.options.networks):
            reason = "its address is not permitted"
        elif self._server.connections >= self.options.maximum_connections:
            reason = "too many connections"
        if reason:
            self.refused(address, reason)
        return not reason

    def refused(self, address: str, reason: str) -> None:
        """Report a connection that was closed without a message."""
        self.warn(address, reason)
        self._on_refused(address, reason)

    def warn(self, address: str, reason: str) -> None:
        """Log why a connection was closed, unless there are too many such lines of the address."""
        self._limited_log.warn((address, reason), f"HL7 connection from {address} closed: {reason}")

    def opened(self, connection: socket.socket) -> None:
        """Note an open connection, to be closed with the listener; at once if that is closing."""
        with self._lock:
            self._open.add(connection)
            if self._is_closing:
                _end_reading(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._lock:
            self._open.discard(connection)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    block_on_close = False  # server_close waits for threads here

    def __init__(self, owner: MllpListener) -> None:
        self.owner = owner
        self.connections = 0
        self._running: list[threading.Thread] = []
        self._lock = threading.Lock()
        options = owner.options
        self.address_family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        self.allow_reuse_port = options.shares_port
        super().__init__((options.host, options.port), _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002  # its signature
        """Whether a connection is served; it counts as one from here on."""
        is_admitted = self.owner.admits(str(client_address[0]))
        if is_admitted:
            self.count(1)
        return is_admitted

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread; its place is free again if that cannot be started."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name="mllp connection", daemon=False
        )
        try:
            _keep_alive(request)
            thread.start()
        except Exception:
            self.count(-1)
            raise
        self._running = [*(one for one in self._running if one.is_alive()), thread]

    def server_close(self) -> None:
        """Close the port, and wait for the connections to end."""
        super().server_close()
        for thread in self._running:
            thread.join()

    def count(self, number: int) -> None:
        """Add a number to the connections that are served."""
        with self._lock:
            self.connections += number

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # its signature
        """Log a fault of a connection, without its message, which may quote."""
        error = sys.exception()
        self.owner.warn(str(client_address[0]), f"fault {type_and_place(error) if error is not None else ''}")


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Answer messages until the peer or the node ends the connection."""
        owner, address = self.server.owner, str(self.client_address[0])
        try:
            connection = self.request if owner.handshakes is None else owner.handshakes.handshake(self.request)
        except OSError as error:
            owner.refused(address, f"no TLS: {failure_reason(error)}")
            return
        self.request = connection  # closed with the handler
        owner.opened(connection)
        try:
            for message in _messages(connection, owner.options):
                acknowledgment = owner.answer(message, address)
                connection.settimeout(_SEND_TIMEOUT_S)
                connection.sendall(START + acknowledgment + END)
        except (TimeoutError, _Overrun) as error:
            text = str(error) if isinstance(error, _Overrun) else "it was silent for too long"
            owner.warn(address, text)
        except (ssl.SSLError, OSError):
            pass  # the peer has gone
        finally:
            owner.closed(connection)
            connection.close()

    def finish(self) -> None:
        """Free the place of the connection."""
        self.server.count(-1)


def _keep_alive(connection: socket.socket) -> None:
    """Have the kernel probe a silent peer: one that has vanished holds its place for two minutes, not the idle time."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _end_reading(connection: socket.socket) -> None:
    """End a connection after the message that is being answered."""
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RD)


class _Overrun(Exception):
    """A message is too long or too slow, or the bytes are no message."""


def _messages(connection: socket.socket, options: MllpOptions) -> Iterator[bytes]:
    """Yield each message without its frame, until the peer closes the connection."""
    received = b""
    while True:
        received = _received_with_end(connection, received.lstrip(b"\r\n"), options)
        block, end, received = received.partition(END)
        if not end:
            return
        if not block.startswith(START) or len(block) > options.maximum_message_bytes:
            raise _Overrun("what it sends is not framed as MLLP, or too long")
        yield block[len(START) :]


def _received_with_end(connection: socket.socket, received: bytes, options: MllpOptions) -> bytes:
    """Return what was received, up to the end of a message at least; less if the peer closes the connection."""
    deadline = time.monotonic() + options.message_timeout_s
    while END not in received:
        if received and not received.startswith(START):
            raise _Overrun("what it sends is not framed as MLLP")
        if len(received) > options.maximum_message_bytes:
            raise _Overrun(f"a message is longer than {options.maximum_message_bytes} bytes")
        wait_s = deadline - time.monotonic() if received else options.idle_timeout_s
        if wait_s <= 0:
            raise _Overrun(f"a message takes longer than {options.message_timeout_s:g} s")
        connection.settimeout(wait_s)
        part = connection.recv(_PART)
        if not received:
            deadline = time.monotonic() + options.message_timeout_s
        received += part
        if not part:
            return received
    return received
