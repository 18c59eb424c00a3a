"""The fast path: films stream from the connection to the archive without an object for each of their fragments.

What stands here replaces parts of pynetdicom's Upper Layer and DIMSE providers, and only where an established
association receives P-DATA: everything else, and every fragment that is not the plain form of a C-STORE request, goes
through pynetdicom as it does on the stock path.
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

from cxr_node.receive.upper_layer.dimse import EncodedAnswer, StreamingDimse
from cxr_node.receive.upper_layer.incoming import values_of_pdu
from cxr_node.receive.upper_layer.socket import BufferedSocket

_DATA_TRANSFER = "Sta6"
"""The state in which P-DATA may come and go (PS3.8 section 9.2.1)."""

_RELEASE_REQUESTED = "Sta8"

_FULL_S = 0.005

_INVALID_PDU, _CONNECTION_CLOSED = "Evt19", "Evt17"

_LOGGING = (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)


class FastProvider(DULServiceProvider):
    """Takes P-DATA straight to the messages it belongs to."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        # It waits where it asks whether something can be read, so that it need not sleep as well.
        self._run_loop_delay = 0.0

    def run_reactor(self) -> None:
        """Serve the connection until it ends; then let go of the film that was on its way."""
        try:
            super().run_reactor()
        finally:
            messages = self.assoc.dimse
            if isinstance(messages, StreamingDimse):
                messages.let_go()

    def _read_pdu_data(self) -> None:
        connection, messages = self.socket, self.assoc.dimse
        if not isinstance(connection, BufferedSocket) or not isinstance(messages, StreamingDimse):
            super()._read_pdu_data()
            return
        while self._may_stream(connection, messages):
            try:
                pdu = connection.data_pdu()
            except OSError:
                self.event_queue.put(_CONNECTION_CLOSED)
                return
            if pdu is None:
                break
            with pdu:
                self._take(pdu, messages)
            self._idle_timer.restart()
            if not connection.held_bytes or not self._may_stream(connection, messages):
                return
        super()._read_pdu_data()

    def _is_transport_event(self) -> bool:
        messages = self.assoc.dimse
        if isinstance(messages, StreamingDimse) and messages.is_full and self._is_transferring():
            # Its peer does not wait for answers: what it sends next waits in its own kernel.
            time.sleep(_FULL_S)
            return False
        return super()._is_transport_event()

    def _may_stream(self, connection: BufferedSocket, messages: StreamingDimse) -> bool:
        is_held_up = messages.is_full or connection.is_late or not self.to_provider_queue.empty()
        return self._is_transferring() and not is_held_up

    def _is_transferring(self) -> bool:
        return self.state_machine.current_state == _DATA_TRANSFER and self.event_queue.empty()

    def _take(self, pdu: memoryview, messages: StreamingDimse) -> None:
        try:
            values = values_of_pdu(pdu)
        except ValueError:
            self.event_queue.put(_INVALID_PDU)
            return
        for context_id, value in values:
            with value:
                if not messages.take(context_id, value):
                    return

    def _process_recv_primitive(self) -> bool:
        """Send an answer that is encoded already; everything else as pynetdicom does."""
        queue = self.to_provider_queue.queue
        first = queue[0] if queue else None
        if not isinstance(first, EncodedAnswer) or self.state_machine.current_state == _RELEASE_REQUESTED:
            return super()._process_recv_primitive()
        self.to_provider_queue.get(block=False)
        # Where the association has ended meanwhile the answer comes too late.
        if self.socket is not None and self.state_machine.current_state == _DATA_TRANSFER:
            self.socket.send(first.pdu)
        return True


class FastAssociation(Association):
    """An association whose connection is served by a `FastProvider`."""

    def __init__(self, entity: ApplicationEntity, server: AssociationServer) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        self._server = server
        self.dul = FastProvider(self)
        # Told to the timers of the provider that this one replaces.
        self.acse_timeout, self.network_timeout = self._acse_timeout, self._network_timeout

    @property
    def is_to_pause(self) -> bool:
        """Whether its thread is to end, or someone else wants to send and hear messages meanwhile."""
        return self._kill or not self._reactor_checkpoint.is_set()

    def accepted(self, context_id: int) -> PresentationContext | None:
        """Return the presentation context with this ID that was accepted."""
        return self._accepted_cx.get(context_id)

    def run_reactor(self) -> None:
        """Serve the association until it ends; then let go of the films that nobody will answer."""
        try:
            super().run_reactor()
        finally:
            if isinstance(self.dimse, StreamingDimse):
                self.dimse.end()


class FastRequests(RequestHandler):
    """Makes a `FastAssociation` for each connection."""

    def _create_association(self) -> Association:
        server = self.server
        association = FastAssociation(self.ae, server)
        association.name = f"AcceptorThread@{self.client_address[1]}"  # by its beginning the server knows its own
        association.set_socket(AssociationSocket(association, client_socket=cast("socket.socket", self.request)))
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        # Not copied for each association, at 50 ms where much is offered: negotiation only reads them.
        acceptor.supported_contexts = list(server.contexts)
        association.requestor.address_info = self.remote
        for event in server.get_events():
            _bind(association, event, server.get_handlers(event))
        return association


def _bind(association: Association, event: Any, handlers: Any) -> None:
    for handler, arguments in handlers if isinstance(handlers, list) else [handlers]:
        if handler in _LOGGING:
            # They put every message into words, for a log that is held back.
            association.unbind(event, handler)
        else:
            association.bind(event, handler, arguments)
