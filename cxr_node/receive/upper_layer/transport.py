"""The receiving end of a connection: reads whole PDUs, acknowledges at once, waits no longer than it was told.

A sender with Nagle's algorithm on, as many modalities and DCMTK's `storescu` have it, holds the last
small segment of each message back until the receiver's kernel acknowledges the one before, and the
kernel likes to wait about 40 ms with that. TCP_QUICKACK asks it not to; Linux clears the option by
itself, so it is set again at each read. TCP_NODELAY does the same for our answers.
"""

import errno
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from socketserver import BaseServer
from typing import Any, cast

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

from cxr_node.net.tls import spoken
from cxr_node.receive.events import TlsFailed
from cxr_node.receive.tls import Handshakes
from cxr_node.receive.upper_layer import wakeup

_log = logging.getLogger(__name__)

_LARGEST_ASSOCIATE_PDU_BYTES = 1 << 20
"""Room for an A-ASSOCIATE-RQ with 128 presentation contexts of every transfer syntax."""

_INVALID_PDU = "Evt19"
"""The event for which the state machine aborts the association, whatever it waits for (PS3.8 table 9-10)."""

_CLOSING = "Sta13"
"""The state in which the end of the connection is awaited (PS3.8 section 9.2.1)."""

_ABORTED_BY_SERVICE_USER = 0x00
_ABORT_TIMEOUT_S = 0.5
_ANSWERED_WITHIN_S = 60.0
"""How long the answer to the last message is waited for when an association has had its time."""
_END_TIMEOUT_S = 10.0


class PromptServer(ThreadedAssociationServer):
    """Accepts connections, each served in threads of its own."""

    request_queue_size = 128
    """Connections the kernel keeps while the accept loop is busy; pynetdicom's 5 turns a burst away."""

    shares_port = False
    """Whether other processes may listen on the same port."""

    handshakes: Handshakes | None = None
    """What secures connections. Not pynetdicom's `ssl_context`, which does so in the loop that accepts."""

    tell: Callable[[TlsFailed], None] = staticmethod(lambda _incident: None)
    """What is told of connections that did not become secure."""

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """Serve a connection, in the thread that is its own; called for each by the accept loop."""
        if self.handshakes is not None:
            try:
                request = self.handshakes.shake(cast("socket.socket", request))
            except OSError as error:
                _log.warning("no TLS with %s: %s", client_address[0], spoken(error))
                self.tell(TlsFailed(address=client_address[0], why=spoken(error)))
                return
        super().finish_request(request, client_address)

    def server_bind(self) -> None:
        """Bind the port, next to other processes where that is wanted."""
        if self.shares_port:
            cast("socket.socket", self.socket).setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def shutdown(self) -> None:
        """Stop accepting and close the listening socket."""
        # Not pynetdicom's own, which counts on a list that only AE.start_server fills.
        BaseServer.shutdown(self)
        if self.handshakes is not None:
            self.handshakes.close()
        self.server_close()


class SharingServer(PromptServer):
    """One of several that listen on a port."""

    shares_port = True


class PromptSocket(AssociationSocket):
    """Takes the place of an accepted association's socket.

    Replaces pynetdicom's reads of 4,096 bytes without a time limit, in which a peer that stalls within a
    PDU holds two threads for ever, and which believe any PDU length up to 4 GiB.
    """

    def __init__(
        self,
        accepted: AssociationSocket,
        *,
        largest_pdu_bytes: int,
        timeout_s: float,
        association_timeout_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Not through the constructor, which would announce the connection to the state machine again.
        vars(self).update(vars(accepted))
        self._largest_pdu_bytes = max(largest_pdu_bytes, _LARGEST_ASSOCIATE_PDU_BYTES)
        self._timeout_s = timeout_s
        self._clock = clock
        self._deadline: float | None = None
        self._arrived_at = self._sent_at = clock()
        self._ends_at = self._arrived_at + association_timeout_s if association_timeout_s else None
        self._wakeup = wakeup.Wakeup()
        for queue in (self.provider_queue, self.event_queue):
            wakeup.on_put(queue, self._wakeup.ring)
        connection = self._connection()
        connection.settimeout(timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def expect_within(self, seconds: float | None) -> None:
        """Abort the association unless this is called again within `seconds`; None takes the deadline away."""
        # Called by the thread that waits for the connection, so that nobody has to be woken.
        self._deadline = None if seconds is None else self._clock() + seconds

    @property
    def has_lasted(self) -> bool:
        """Whether the association has had all its time: no further message is taken."""
        return self._ends_at is not None and self._clock() > self._ends_at

    @property
    def ready(self) -> bool:
        """Whether something can be read; asked by the thread of the connection all the time, which waits here."""
        self._wait()
        return not self._is_ended_for_lateness() and super().ready

    def _is_ended_for_lateness(self) -> bool:
        if self.socket is None or not self.is_late:
            return False
        self._deadline = self._ends_at = None
        _log.warning("association with %s aborted: it takes too long", self.assoc.requestor.address)
        self.event_queue.put(_INVALID_PDU)
        return True

    @property
    def is_late(self) -> bool:
        """Whether what was expected has not come in its time."""
        if self._deadline is not None:
            return self._clock() > self._deadline
        # What has arrived whole is answered first.
        is_answered = self._sent_at >= self._arrived_at or self._clock() > self._arrived_at + _ANSWERED_WITHIN_S
        return self.has_lasted and is_answered

    def send(self, bytestream: bytes) -> None:
        """Send encoded PDUs."""
        super().send(bytestream)
        self._sent_at = self._clock()

    def _wait(self) -> None:
        """Wait until something can be read, or is there to be sent; the end of a connection is not waited for."""
        connection = self.socket
        dul = self.assoc.dul
        if connection is None or dul.state_machine.current_state == _CLOSING:
            return
        if not (self.event_queue.empty() and self.provider_queue.empty()):
            return
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return
        left_s = wakeup.LONGEST_S if self._deadline is None else self._deadline - self._clock()
        with suppress(OSError, ValueError):  # closed meanwhile: what comes next finds out
            self._wakeup.wait(connection.fileno(), max(0.0, min(wakeup.LONGEST_S, left_s)))

    def recv(self, nr_bytes: int) -> bytearray:
        """Return the next `nr_bytes`, or fewer if the peer closed the connection.

        Raises
        ------
        OSError
            If they did not all come within the time-out, or `nr_bytes` exceeds what any PDU may have: the
            association ends with both.
        """
        if nr_bytes > self._largest_pdu_bytes:
            raise OSError(errno.EMSGSIZE, f"PDU of {nr_bytes} bytes, more than was agreed to")
        received = bytearray(nr_bytes)
        with memoryview(received) as view:
            count = self._read_into(view, nr_bytes)
        del received[count:]
        return received

    def _read_into(self, view: memoryview, at_least: int) -> int:
        """Read until `view` has so many bytes, or more if they are there; return how many it has at the end.

        Raises
        ------
        OSError
            If they did not all come within the time-out.
        """
        connection = self._connection()
        deadline = self._clock() + self._timeout_s
        if self._deadline is not None:
            deadline = min(deadline, self._deadline)
        count = 0
        while count < at_least:
            if self._clock() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "the bytes trickle")
            arrived = _received(connection, view[count:])
            if arrived == 0:
                break
            count += arrived
            self._arrived_at = self._clock()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return count

    def _shutdown_socket(self) -> None:
        # pynetdicom forgets to close a socket that cannot be shut down, as after the peer's reset.
        connection = self.socket
        super()._shutdown_socket()
        if connection is not None:
            connection.close()
        self._wakeup.close()

    def _connection(self) -> socket.socket:
        return cast("socket.socket", self.socket)


def _received(connection: socket.socket, view: memoryview) -> int:
    """Read what is there, at least a byte, and return how much it was."""
    if not isinstance(connection, ssl.SSLSocket):
        # The socket would ask first whether something is there, and let other threads go before each of the two calls.
        with suppress(BlockingIOError):
            return os.readv(connection.fileno(), [view])
    return connection.recv_into(view)


def end(associations: Sequence[Association]) -> None:
    """Abort associations, hang up on those that do not follow at once, and wait for what they are in.

    pynetdicom's own abort waits for as long as a peer stalls, one association after the other.
    """
    for association in associations:
        if association.is_established:
            association.acse.send_abort(_ABORTED_BY_SERVICE_USER)
        else:
            _hang_up(association)
    deadline = time.monotonic() + _ABORT_TIMEOUT_S
    for association in associations:
        association.dul.join(max(0.0, deadline - time.monotonic()))
        _hang_up(association)
    for association in associations:
        association.kill()
        association.join(_END_TIMEOUT_S)


def _hang_up(association: Association) -> None:
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        with suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RDWR)
