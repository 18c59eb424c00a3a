"""Transport of the acceptor: TCP server and socket with time-outs, bounded PDU lengths and immediate TCP ACKs.

A sender with Nagle's algorithm on, as many modalities and DCMTK's `storescu` have it, delays the last
small segment of each message until the segment before is acknowledged. The receiving kernel delays that ACK by
about 40 ms. TCP_QUICKACK disables the delay; Linux clears the option, so it is set again at each read.
TCP_NODELAY does the same for our responses.
"""

import errno
import os
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from socketserver import BaseServer
from typing import Any, cast

from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

from cxr_node.net.associate_pdu import A_ABORT, A_ASSOCIATE_AC, P_DATA_TF, TITLES, NormalizedRequest, with_context_ids
from cxr_node.net.tls import failure_reason
from cxr_node.receive.events import ConnectionFailure, TlsFailed
from cxr_node.receive.tls import Handshakes
from cxr_node.receive.upper_layer import wakeup

MAXIMUM_ASSOCIATE_PDU_BYTES = 1 << 20
"""Enough for an A-ASSOCIATE-RQ with 128 presentation contexts of every transfer syntax."""

_INVALID_PDU = "Evt19"
"""Unrecognized or invalid PDU: aborts the association in every state (PS3.8 table 9-10)."""

_CONNECTION_CLOSED = "Evt17"
"""Transport connection closed indication."""

_AWAITING_CLOSE = "Sta13"
"""Awaiting transport connection close (PS3.8 section 9.2.1)."""

_RESPONSE_TIMEOUT_S = 60.0
"""Time for the response to the last message of an association whose time-out has expired."""
_MAXIMUM_CLOSING = 64
"""Connections that may be closing, beside `maximum_connections`: each has threads and descriptors for a moment."""
_PREPARATION_S, _PREPARATION_WAIT_S = 1.0, 0.01
"""Time for the threads of connections that have a place, and between two looks at them."""
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
_NO_DESCRIPTOR_WAIT_S = 0.1
_DISCARD_BYTES = 1 << 16
_DISCARD_TIMEOUT_S = 0.5


class ReceiveServer(ThreadedAssociationServer):
    """Accepts connections; each association has its own threads."""

    request_queue_size = 128
    """Backlog of `listen`. With pynetdicom's 5 a burst of connections is refused."""

    shares_port = False
    """Whether other processes may listen on the same port (SO_REUSEPORT)."""

    handshakes: Handshakes | None = None
    """TLS handshakes; None for plain TCP. pynetdicom's `ssl_context` would run them in the accept loop."""

    turned_at = 0.0
    """When the accept loop has last turned, by the monotonic clock."""

    on_tls_failed: Callable[[TlsFailed], None] = staticmethod(lambda _event: None)
    """Called with each failed TLS handshake."""

    prepare: Callable[[Any], None] = staticmethod(lambda _association: None)
    """Called with each association before it starts; after an error the connection is closed."""

    maximum_connections = 0
    """Most connections that are or may become associations; 0: no limit."""

    make_place: Callable[[], bool] = staticmethod(lambda: False)
    """Called where all places are taken; returns whether a connection without an association gave up its place."""

    on_refused: Callable[[str, ConnectionFailure, str], None] = staticmethod(lambda *_: None)
    """Called with address, cause and detail of each connection that is closed at once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._connections_lock, self._place_lock = threading.Lock(), threading.Lock()
        self._connections = self._closing = 0
        super().__init__(*arguments, **options)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; wait a moment where no descriptor is left, or the accept loop would spin."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                time.sleep(_NO_DESCRIPTOR_WAIT_S)
            raise

    def connection_closes(self, association: Any) -> None:
        """Note that a connection gives up its place; it ends a moment later."""
        with self._connections_lock:
            if association.has_place:
                association.has_place = False
                self._connections, self._closing = self._connections - 1, self._closing + 1

    def connection_ended(self, association: Any) -> None:
        """Note the end of a connection."""
        with self._connections_lock:
            if association.has_place:
                association.has_place = False
                self._connections -= 1
            else:
                self._closing -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # of socketserver
        """Report a connection that could not be served; it is closed."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError) and error.errno in _NO_DESCRIPTOR:
            self.on_refused(
                client_address[0], ConnectionFailure.TOO_MANY_CONNECTIONS, "the process has no file descriptor left"
            )
        else:
            self.on_refused(client_address[0], ConnectionFailure.INTERNAL_ERROR, "it could not be prepared")

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """Serve a connection; called in the thread of that connection."""
        if self.handshakes is not None:
            try:
                request = self.handshakes.handshake(cast("socket.socket", request))
            except OSError as error:
                self.on_tls_failed(TlsFailed(address=client_address[0], reason=failure_reason(error)))
                return
        if not self._gets_place():
            detail = f"{self.maximum_connections} are open, as many as may be beside receive.maximum_associations"
            self.on_refused(client_address[0], ConnectionFailure.TOO_MANY_CONNECTIONS, detail)
            self.shutdown_request(request)
            return
        try:
            super().finish_request(request, client_address)
        except BaseException:
            with self._connections_lock:
                self._connections -= 1
            self.shutdown_request(request)
            raise

    def _gets_place(self) -> bool:
        """Take a place, if need be that of another connection; False if there is none, or too many are being closed.

        One connection at a time, or another would take the place that was made for it. One that has a place and no
        thread yet cannot be closed for another, so that the thread is awaited.
        """
        until = time.monotonic() + _PREPARATION_S
        while True:
            with self._place_lock:
                if self._takes_place():
                    return True
                if self._closing >= _MAXIMUM_CLOSING:
                    return False
                if self.make_place():
                    return self._takes_place()
                is_prepared = len(self.active_associations) >= self._connections
            if is_prepared or time.monotonic() > until:
                return False
            time.sleep(_PREPARATION_WAIT_S)

    def _takes_place(self) -> bool:
        """Count a connection, unless as many are open as may be, or too many of them are being closed."""
        with self._connections_lock:
            if 0 < self.maximum_connections <= self._connections or self._closing >= _MAXIMUM_CLOSING:
                return False
            self._connections += 1
            return True

    def service_actions(self) -> None:
        """Note the time of this turn of the accept loop, which has one at least every half second."""
        super().service_actions()
        self.turned_at = time.monotonic()

    def server_bind(self) -> None:
        """Bind the port; with `shares_port` other processes may bind it too."""
        if self.shares_port:
            cast("socket.socket", self.socket).setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def shutdown(self) -> None:
        """Stop accepting and close the listening socket."""
        # pynetdicom's own relies on a list that only AE.start_server fills.
        BaseServer.shutdown(self)
        if self.handshakes is not None:
            self.handshakes.close()
        self.server_close()


class PortSharingServer(ReceiveServer):
    """One of several processes that listen on a port."""

    shares_port = True


class BoundedSocket(AssociationSocket):
    """Replaces the socket of an accepted association.

    pynetdicom reads 4,096 bytes at a time without time-out, so a peer that stalls within a PDU blocks two threads
    for ever. It also accepts any PDU length up to 4 GiB.
    """

    def __init__(
        self,
        accepted: AssociationSocket,
        *,
        maximum_pdu_bytes: int,
        timeout_s: float,
        association_timeout_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Without the constructor, which would issue Evt5 (transport connection indication) a second time.
        vars(self).update(vars(accepted))
        self._maximum_pdu_bytes = max(maximum_pdu_bytes, MAXIMUM_ASSOCIATE_PDU_BYTES)
        self._timeout_s = timeout_s
        self._clock = clock
        self._deadline: float | None = None
        self._received_at = self._sent_at = clock()
        self._expires_at = self._received_at + association_timeout_s if association_timeout_s else None
        self._request: NormalizedRequest | None = None
        self._discarded_bytes = 0
        self.has_sent_abort = False
        self.abort_reason = ""
        self.own_ids: Mapping[int, int] = {}
        """Own presentation context ID to each ID as sent that differs from it."""
        self._wakeup = wakeup.Wakeup()
        for queue in (self.provider_queue, self.event_queue):
            wakeup.on_put(queue, self._wakeup.wake)
        connection = self._connection()
        connection.settimeout(timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def set_deadline(self, timeout_s: float | None) -> None:
        """Abort the association unless this is called again within `timeout_s`; None clears the deadline."""
        # Called by the thread that waits in `ready`, so no wake-up is needed.
        self._deadline = None if timeout_s is None else self._clock() + timeout_s

    @property
    def has_expired(self) -> bool:
        """Whether the association's time-out has expired: no further message is received."""
        return self._expires_at is not None and self._clock() > self._expires_at

    @property
    def ready(self) -> bool:
        """Whether something can be read. The DUL reactor polls this; it waits here instead."""
        self._wait()
        return not self._abort_if_overdue() and self._has_input()

    def _has_input(self) -> bool:
        """Whether something can be read now. pynetdicom's own uses `select`, which fails from descriptor 1,024 on."""
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        poll = select.poll()
        try:
            poll.register(connection, select.POLLIN)
            is_readable = bool(poll.poll(0))
        except (OSError, ValueError):
            self.event_queue.put(_CONNECTION_CLOSED)
            return False
        return is_readable or (isinstance(connection, ssl.SSLSocket) and bool(connection.pending()))

    def _abort_if_overdue(self) -> bool:
        if self.socket is None or not self.is_overdue:
            return False
        self._deadline = self._expires_at = None
        self.abort_reason = "a time-out expired"
        self.event_queue.put(_INVALID_PDU)
        return True

    @property
    def is_overdue(self) -> bool:
        """Whether the deadline has passed, or the association has expired and its last message has its response."""
        if self._deadline is not None:
            return self._clock() > self._deadline
        has_responded = self._sent_at >= self._received_at or self._clock() > self._received_at + _RESPONSE_TIMEOUT_S
        return self.has_expired and has_responded

    def send(self, bytestream: bytes) -> None:
        """Send encoded PDUs."""
        request = self._request
        if request is not None and bytestream[0] == A_ASSOCIATE_AC:
            bytestream = bytestream[: TITLES.start] + request.titles + bytestream[TITLES.stop :]
        if request is not None and request.wire_ids and bytestream[0] in (A_ASSOCIATE_AC, P_DATA_TF):
            bytestream = with_context_ids(bytestream, request.wire_ids)
        self.has_sent_abort = self.has_sent_abort or bytestream[0] == A_ABORT
        super().send(bytestream)
        self._sent_at = self._clock()

    def set_request(self, request: NormalizedRequest) -> None:
        """Send titles and context IDs as in `request` from now on."""
        self._request = request
        self.own_ids = {wire: own for own, wire in request.wire_ids.items()}

    def discard(self) -> None:
        """Drop what can be read; close the connection at its end, or after a mebibyte.

        Closed with unread bytes, a connection is reset, and the peer may lose the A-ABORT or A-ASSOCIATE-RJ.
        """
        connection = self._connection()
        connection.settimeout(_DISCARD_TIMEOUT_S)
        try:
            count = _read_available(connection, memoryview(bytearray(_DISCARD_BYTES)))
        except OSError:
            count = 0
        self._discarded_bytes += count
        if not count or self._discarded_bytes > MAXIMUM_ASSOCIATE_PDU_BYTES:
            self.close()

    def _wait(self) -> None:
        """Wait until something can be read or sent; not in Sta13."""
        connection = self.socket
        dul = self.assoc.dul
        if connection is None or dul.state_machine.current_state == _AWAITING_CLOSE:
            return
        if not (self.event_queue.empty() and self.provider_queue.empty()):
            return
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return
        remaining_s = wakeup.POLL_INTERVAL_S if self._deadline is None else self._deadline - self._clock()
        with suppress(OSError, ValueError):  # closed meanwhile: the next read fails
            self._wakeup.wait(connection.fileno(), max(0.0, min(wakeup.POLL_INTERVAL_S, remaining_s)))

    def recv(self, nr_bytes: int) -> bytearray:
        """Return the next `nr_bytes`, or fewer if the peer closed the connection.

        Raises
        ------
        OSError
            If the time-out expires, or `nr_bytes` exceeds the largest PDU. Either ends the association.
        """
        if nr_bytes > self._maximum_pdu_bytes:
            raise OSError(errno.EMSGSIZE, f"PDU of {nr_bytes} bytes exceeds the maximum length")
        received = bytearray(nr_bytes)
        with memoryview(received) as view:
            count = self._read_into(view, nr_bytes)
        del received[count:]
        return received

    def _read_into(self, view: memoryview, minimum_bytes: int) -> int:
        """Read at least `minimum_bytes` into `view`, and what else is available; return the count, less at end of file.

        Raises
        ------
        OSError
            If the time-out expires.
        """
        connection = self._connection()
        deadline = self._clock() + self._timeout_s
        if self._deadline is not None:
            deadline = min(deadline, self._deadline)
        count = 0
        while count < minimum_bytes:
            if self._clock() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "the PDU is incomplete")
            received_bytes = _read_available(connection, view[count:])
            if received_bytes == 0:
                break
            count += received_bytes
            self._received_at = self._clock()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return count

    def _shutdown_socket(self) -> None:
        # pynetdicom leaks a socket whose shutdown fails, as after the peer's reset.
        connection = self.socket
        super()._shutdown_socket()
        if connection is not None:
            connection.close()
        self._wakeup.close()

    def _connection(self) -> socket.socket:
        return cast("socket.socket", self.socket)


def _read_available(connection: socket.socket, view: memoryview) -> int:
    """Read the available bytes, at least one, and return their number; 0 at end of file."""
    if not isinstance(connection, ssl.SSLSocket):
        # A socket with a time-out polls before it reads, and releases the GIL for each of the two calls.
        with suppress(BlockingIOError):
            return os.readv(connection.fileno(), [view])
    return connection.recv_into(view)
