"""Streaming path: data sets go from the socket to the archive without a pynetdicom object for each fragment.

Replaces parts of pynetdicom's DUL service provider for P-DATA-TF PDUs received in Sta6. All other PDUs, and messages
other than C-STORE requests in plain form, go through pynetdicom.
"""

import socket
import time
from typing import Any, cast

from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationServer, AssociationSocket, RequestHandler

from cxr_node.receive.upper_layer.dimse import EncodedResponse, StreamingDimse
from cxr_node.receive.upper_layer.incoming import pdv_items
from cxr_node.receive.upper_layer.socket import BufferedSocket

_DATA_TRANSFER = "Sta6"
"""Association established and ready for data transfer (PS3.8 section 9.2.1)."""

_AWAITING_RELEASE_RESPONSE = "Sta8"
"""Awaiting local A-RELEASE response primitive."""

_BACKPRESSURE_S = 0.005

_INVALID_PDU, _CONNECTION_CLOSED = "Evt19", "Evt17"

_LOGGING_HANDLERS = (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)


class StreamingDul(DULServiceProvider):
    """Passes PDVs received in Sta6 directly to `StreamingDimse`, without DT-2."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        # `BoundedSocket.ready` waits, so the reactor needs no sleep.
        self._run_loop_delay = 0.0

    def run_reactor(self) -> None:
        """Serve the connection until it ends; then discard the incomplete film."""
        try:
            super().run_reactor()
        finally:
            dimse = self.assoc.dimse
            if isinstance(dimse, StreamingDimse):
                dimse.discard_incoming()

    def _read_pdu_data(self) -> None:
        connection, dimse = self.socket, self.assoc.dimse
        if not isinstance(connection, BufferedSocket) or not isinstance(dimse, StreamingDimse):
            super()._read_pdu_data()
            return
        while self._may_stream(connection, dimse):
            try:
                pdu = connection.p_data_tf()
            except OSError:
                self.event_queue.put(_CONNECTION_CLOSED)
                return
            if pdu is None:
                break
            with pdu:
                self._receive_pdu(pdu, dimse)
            self._idle_timer.restart()
            if not connection.buffered_bytes or not self._may_stream(connection, dimse):
                return
        super()._read_pdu_data()

    def _is_transport_event(self) -> bool:
        dimse = self.assoc.dimse
        if isinstance(dimse, StreamingDimse) and dimse.is_full and self._is_transferring():
            # Backpressure: the peer pipelines requests, and TCP flow control stops it.
            time.sleep(_BACKPRESSURE_S)
            return False
        return super()._is_transport_event()

    def _may_stream(self, connection: BufferedSocket, dimse: StreamingDimse) -> bool:
        is_blocked = dimse.is_full or connection.is_overdue or not self.to_provider_queue.empty()
        return self._is_transferring() and not is_blocked

    def _is_transferring(self) -> bool:
        return self.state_machine.current_state == _DATA_TRANSFER and self.event_queue.empty()

    def _receive_pdu(self, pdu: memoryview, dimse: StreamingDimse) -> None:
        try:
            items = pdv_items(pdu)
        except ValueError:
            self.event_queue.put(_INVALID_PDU)
            return
        for context_id, value in items:
            with value:
                if not dimse.receive_pdv(context_id, value):
                    return

    def _process_recv_primitive(self) -> bool:
        """Send an encoded response as DT-1 does; all other primitives go through pynetdicom."""
        queue = self.to_provider_queue.queue
        first = queue[0] if queue else None
        if not isinstance(first, EncodedResponse) or self.state_machine.current_state == _AWAITING_RELEASE_RESPONSE:
            return super()._process_recv_primitive()
        self.to_provider_queue.get(block=False)
        # Dropped where the association has ended meanwhile.
        if self.socket is not None and self.state_machine.current_state == _DATA_TRANSFER:
            self.socket.send(first.pdu)
        return True


class StreamingAssociation(Association):
    """An acceptor association with a `StreamingDul`."""

    def __init__(self, entity: ApplicationEntity, server: AssociationServer) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        self._server = server
        self.dul = StreamingDul(self)
        # The setters pass them to the timers of the new provider.
        self.acse_timeout, self.network_timeout = self._acse_timeout, self._network_timeout

    @property
    def is_pausing(self) -> bool:
        """Whether the association's thread is to end, or to pause for a request to the peer."""
        return self._kill or not self._reactor_checkpoint.is_set()

    def accepted_context(self, context_id: int) -> PresentationContext | None:
        """Return the accepted presentation context with this ID, if any."""
        return self._accepted_cx.get(context_id)

    def run_reactor(self) -> None:
        """Serve the association until it ends; then discard films without a response."""
        try:
            super().run_reactor()
        finally:
            if isinstance(self.dimse, StreamingDimse):
                self.dimse.discard_pending()


class StreamingRequestHandler(RequestHandler):
    """Creates a `StreamingAssociation` for each connection."""

    def _create_association(self) -> Association:
        server = self.server
        association = StreamingAssociation(self.ae, server)
        association.name = f"AcceptorThread@{self.client_address[1]}"  # AE.active_associations selects by this prefix
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
