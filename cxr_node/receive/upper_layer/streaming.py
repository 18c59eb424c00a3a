"""Streaming path: data sets go from the socket to the archive without a pynetdicom object for each fragment.

Replaces parts of pynetdicom's DUL service provider for P-DATA-TF PDUs received in Sta6. All other PDUs, and messages
other than C-STORE requests in plain form, go through pynetdicom.
"""

import time
from collections.abc import Mapping

from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from cxr_node.receive.upper_layer.association import AcceptorAssociation, AcceptorDul, AcceptorRequestHandler
from cxr_node.receive.upper_layer.dimse import EncodedResponse, StreamingDimse
from cxr_node.receive.upper_layer.incoming import pdv_items
from cxr_node.receive.upper_layer.socket import BufferedSocket

_DATA_TRANSFER = "Sta6"
"""Association established and ready for data transfer (PS3.8 section 9.2.1)."""

_AWAITING_RELEASE_RESPONSE = "Sta8"
"""Awaiting local A-RELEASE response primitive."""

_BACKPRESSURE_S = 0.005

_INVALID_PDU, _CONNECTION_CLOSED = "Evt19", "Evt17"


class StreamingDul(AcceptorDul):
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
                self._receive_pdu(pdu, dimse, connection.own_ids)
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

    def _receive_pdu(self, pdu: memoryview, dimse: StreamingDimse, own_ids: Mapping[int, int]) -> None:
        try:
            items = pdv_items(pdu)
        except ValueError:
            self.event_queue.put(_INVALID_PDU)
            return
        for context_id, value in items:
            with value:
                if not dimse.receive_pdv(own_ids.get(context_id, context_id), value):
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


class StreamingAssociation(AcceptorAssociation):
    """An acceptor association with a `StreamingDul`."""

    dul_class = StreamingDul

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


class StreamingRequestHandler(AcceptorRequestHandler):
    """Creates a `StreamingAssociation` for each connection."""

    association_class = StreamingAssociation
