"""Acceptor association: every end of its threads closes the connection and is reported, errors of pynetdicom too."""

import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, cast

from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AssociationServer, AssociationSocket, RequestHandler

from cxr_node.net.associate_pdu import P_DATA_TF, with_context_ids
from cxr_node.net.lenient_dul import LenientDul
from cxr_node.receive.events import ConnectionFailure
from cxr_node.receive.rejection import Rejection
from cxr_node.receive.upper_layer.request import NoRequestError, receive_request
from cxr_node.receive.upper_layer.transport import BoundedSocket, ReceiveServer

_log = logging.getLogger(__name__)

_BEFORE_REQUEST, _AWAITING_CLOSE = ("Sta1", "Sta2"), "Sta13"
_ENDED = ("Sta1", "Sta13")
"""Idle, as before the connection, or awaiting its end."""
_REQUEST_RECEIVED = "Evt6"
"""States and event of PS3.8 tables 9-1 to 9-10."""

_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00"
"""A-ABORT by the service provider, reason not specified (PS3.8 table 9-26)."""

_THREAD_NAME = "AcceptorThread"
"""The server's active associations are the threads with this in their name."""

_ABORTED_BY_SERVICE_USER = 0x00
_ABORT_TIMEOUT_S = 0.5
_END_TIMEOUT_S = 10.0

_LOGGING_HANDLERS = (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)


class AcceptorDul(LenientDul):
    """Reads the association request itself, and ends the association where pynetdicom's thread would die."""

    _has_read_first_pdu = False

    def run_reactor(self) -> None:
        """Serve the connection until it ends."""
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001  # the association's thread would wait for its time-out
            cast("AcceptorAssociation", self.assoc).end_after(error)

    def _read_pdu_data(self) -> None:
        connection, state = self.socket, self.state_machine.current_state
        if isinstance(connection, BoundedSocket) and state in _BEFORE_REQUEST:
            # Once: what follows is read in the state that the event of this PDU leads to.
            if not self._has_read_first_pdu:
                self._has_read_first_pdu = True
                self._read_request(connection)
        elif isinstance(connection, BoundedSocket) and state == _AWAITING_CLOSE:
            connection.discard()
        else:
            super()._read_pdu_data()

    def _read_request(self, connection: BoundedSocket) -> None:
        association = cast("AcceptorAssociation", self.assoc)
        try:
            request = receive_request(connection)
        except NoRequestError as error:
            association.fail(error.failure, str(error))
            self.event_queue.put(error.event)
            return
        if not request.is_protocol_supported:
            association.refusal = Rejection.PROTOCOL_VERSION_NOT_SUPPORTED
        elif not request.is_application_context_supported:
            association.refusal = Rejection.APPLICATION_CONTEXT_NOT_SUPPORTED
        connection.set_request(request)
        pdu, _ = super()._decode_pdu(bytearray(request.pdu))
        self._recv_pdu.put(pdu)
        self.event_queue.put(_REQUEST_RECEIVED)

    def _decode_pdu(self, bytestream: bytearray) -> Any:
        connection = self.socket
        if bytestream[0] == P_DATA_TF and isinstance(connection, BoundedSocket) and connection.own_ids:
            return super()._decode_pdu(bytearray(with_context_ids(bytes(bytestream), connection.own_ids)))
        return super()._decode_pdu(bytestream)


class AcceptorAssociation(Association):
    """An acceptor association.

    `refusal` is the rejection that follows from the request's encoding. `is_reported` is set with the event that the
    association is accepted or rejected; without it, `failure` and `failure_detail` say why there is none. `on_end` is
    called when its thread ends, `on_abort` with the reason why the node aborts it.
    """

    dul_class: ClassVar[type[AcceptorDul]] = AcceptorDul

    def __init__(self, entity: ApplicationEntity, server: AssociationServer) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        self._server = server
        self.dul = self.dul_class(self)
        # The setters pass them to the timers of the new provider.
        self.acse_timeout, self.network_timeout = self._acse_timeout, self._network_timeout
        self.refusal: Rejection | None = None
        self.is_reported = False
        self.failure: ConnectionFailure | None = None
        self.failure_detail = ""
        self._is_abort_logged = False
        self.has_place = True
        self.is_admitted = False
        self.opened_at = time.monotonic()
        self.on_abort: Callable[[AcceptorAssociation, str], None] = lambda _association, _reason: None
        self.on_end: Callable[[AcceptorAssociation], None] = lambda _association: None

    def fail(self, failure: ConnectionFailure, detail: str) -> None:
        """Note why the connection ends; the first reason stays."""
        if self.failure is None:
            self.failure, self.failure_detail = failure, detail

    @property
    def has_ended(self) -> bool:
        """Whether the association was rejected, released or aborted: its thread ends a moment later."""
        return self.requestor.primitive is not None and self.dul.state_machine.current_state in _ENDED

    @property
    def has_association(self) -> bool:
        """Whether its request was admitted, and the association has not ended."""
        return self.is_admitted and not (self.is_released or self.is_aborted or self.is_rejected)

    def give_up_place(self) -> None:
        """Close a connection without an association, whose place others need."""
        self.name = "closing association"  # counts as active no longer
        cast("ReceiveServer", self._server).connection_closes(self)
        self.fail(ConnectionFailure.NO_REQUEST_IN_TIME, "it had sent no request when its place was needed")
        _shut_down(self)

    def log_abort(self, reason: str) -> None:
        """Log why the association is aborted; once."""
        if not self._is_abort_logged:
            self._is_abort_logged = True
            self.on_abort(self, reason)

    def run(self) -> None:
        """Serve the association in its thread, and give its place back."""
        try:
            super().run()
        finally:
            cast("ReceiveServer", self._server).connection_ended(self)

    def run_reactor(self) -> None:
        """Serve the association until it ends."""
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001  # pynetdicom would leave the connection open
            self.end_after(error)
        finally:
            if self._accepted_cx and self.is_aborted:
                self._log_end()
            self.on_end(self)

    def _log_end(self) -> None:
        connection = self.dul.socket
        if isinstance(connection, BoundedSocket) and connection.has_sent_abort:
            self.log_abort(connection.abort_reason or "a message out of place or not served, or silence")
        else:
            _log.info("association with %s ended by the peer without a release", self.requestor.address)

    def end_after(self, error: Exception) -> None:
        """Close the connection after an error in one of the two threads; the other then ends too."""
        if isinstance(error, InvalidEventError):
            # As where a response is sent when the peer has closed the connection.
            self.fail(ConnectionFailure.CLOSED_BY_PEER, "the connection ended during negotiation")
        else:
            self.fail(ConnectionFailure.INTERNAL_ERROR, "internal error")
            trace = "".join(traceback.format_tb(error.__traceback__))
            _log.error("association with %s: %s raised at\n%s", self.requestor.address, type(error).__name__, trace)
        connection = self.dul.socket
        if connection is not None and connection.socket is not None:
            with suppress(OSError):
                connection.send(_ABORT)
            connection.close()
        self._kill = True
        self.dul.kill_dul()
        self.end_request_wait()

    def end_request_wait(self) -> None:
        """Wake the thread that waits for the A-ASSOCIATE-RQ of a closed connection, or it waits for its time-out."""
        if self.requestor.primitive is None:
            self.dul.to_user_queue.put(cast("A_ASSOCIATE", None))


class AcceptorRequestHandler(RequestHandler):
    """Creates an association for each connection."""

    association_class: ClassVar[type[AcceptorAssociation]] = AcceptorAssociation

    def handle(self) -> None:
        """Create the association, prepare it, and start its thread.

        pynetdicom notifies a handler of the connection, swallows its errors, and goes on: without the node's own socket
        and messages there would be no bound on PDU, object and time.
        """
        association = cast("AcceptorAssociation", self._create_association())
        cast("ReceiveServer", self.server).prepare(association)
        association.start()

    def _create_association(self) -> Association:
        server = self.server
        association = self.association_class(self.ae, server)
        association.name = f"{_THREAD_NAME}@{self.client_address[1]}"
        association.set_socket(AssociationSocket(association, client_socket=cast("socket.socket", self.request)))
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        # Not copied for each association (50 ms with many contexts): negotiation only reads them.
        acceptor.supported_contexts = list(server.contexts)
        association.requestor.address_info = self.remote
        for event in server.get_events():
            _bind(association, event, server.get_handlers(event))
        return association


def _bind(association: Association, event: Any, handlers: Any) -> None:
    for handler, arguments in handlers if isinstance(handlers, list) else [handlers]:
        if handler in _LOGGING_HANDLERS:
            # They format every message for a log that is silenced.
            association.unbind(event, handler)
        else:
            association.bind(event, handler, arguments)


def end_associations(associations: Sequence[Association]) -> None:
    """Abort associations, close connections that do not end at once, and join the threads.

    pynetdicom's own abort waits for as long as a peer stalls, one association after the other.
    """
    for association in associations:
        if isinstance(association, AcceptorAssociation):
            association.fail(ConnectionFailure.NODE_STOPPED, "the node stops")
        if association.is_established:
            association.acse.send_abort(_ABORTED_BY_SERVICE_USER)
        else:
            _shut_down(association)
    deadline = time.monotonic() + _ABORT_TIMEOUT_S
    for association in associations:
        _join(association.dul, max(0.0, deadline - time.monotonic()))
        _shut_down(association)
    for association in associations:
        association.kill()
        _join(association, _END_TIMEOUT_S)


def _join(thread: threading.Thread, timeout_s: float) -> None:
    """Wait for a thread; one of a connection that was accepted just now may not have started yet."""
    if thread.ident is not None:
        thread.join(timeout_s)


def _shut_down(association: Association) -> None:
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        with suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RDWR)
