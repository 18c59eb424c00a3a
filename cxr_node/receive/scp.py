"""Application Entity: C-ECHO, C-STORE and storage commitment as SCP. Success means that bytes and row are durable."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Self, cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE

from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import parse_uid
from cxr_node.domain.instance import Instance, Received, Sender, StagedObject
from cxr_node.domain.sop_classes import VERIFICATION
from cxr_node.receive.admission import AdmissionPolicy, Users, requested_user
from cxr_node.receive.application_entity import ReceiverOptions, application_entity
from cxr_node.receive.commitment import CommitmentProvider, CommitmentScp
from cxr_node.receive.connections import ConnectionReporter
from cxr_node.receive.events import ReceiveEvent
from cxr_node.receive.identify import check_request, identify_with_values
from cxr_node.receive.part10 import instance_of
from cxr_node.receive.rejection import Rejection
from cxr_node.receive.sender import association_name, sender_of
from cxr_node.receive.status import SopClassNotSupported, StoreStatus, out_of_resources, too_large
from cxr_node.receive.store_scp import StoreScp
from cxr_node.receive.tls import CertificateFiles, Handshakes
from cxr_node.receive.upper_layer.acceptor import Acceptor, Limits, reject
from cxr_node.receive.upper_layer.association import AcceptorAssociation, end_associations
from cxr_node.receive.upper_layer.bounded_dimse import BoundedDataSet
from cxr_node.receive.upper_layer.negotiation import restrict_contexts
from cxr_node.receive.upper_layer.places import closable
from cxr_node.receive.upper_layer.transport import PortSharingServer, ReceiveServer

_log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 10.0
_HUNG_S = 10.0
"""An accept loop without a turn for so long hangs."""
SPARE_CONNECTIONS = 64
"""Connections beside `maximum_associations`: they are rejected with a reason. A further one takes the place of one
without an association, or is closed at once."""


class Receiver:
    """A running Application Entity. All callables are called from the threads of associations, several at once.

    Parameters
    ----------
    accept
        Makes a film durable before it returns; then the response is Success. An exception becomes another status
        (`cxr_node.receive.status`).
    stage
        Creates staged objects that films stream into (`cxr_node.receive.upper_layer.streaming`); `accept` then gets
        a `StagedInstance`. Without it, and for requests in another form, `accept` gets an `Instance`.
    has_space
        Whether the disk has space for a film of that many bytes; for any film, with 0.
    commitment
        Provider of storage commitment; None offers none.
    on_event
        Called with each association accepted or rejected, TLS failure and rejected object.
    """

    def __init__(
        self,
        options: ReceiverOptions,
        *,
        accept: Callable[[Received, Sender], None],
        stage: Callable[[], StagedObject] | None = None,
        has_space: Callable[[int], bool] = lambda _size_bytes: True,
        commitment: CommitmentProvider | None = None,
        on_event: Callable[[ReceiveEvent], None] = lambda _event: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options = options
        self._commitment_scp = None if commitment is None else CommitmentScp(commitment)
        users = Users(options.users) if options.users else None
        self.admission = AdmissionPolicy(
            options.access_control, users=users, has_space=has_space, places=options.maximum_associations
        )
        self.store_scp = StoreScp(admission=self.admission, has_space=has_space, accept=accept, on_event=on_event)
        self._acceptor = Acceptor(
            limits=Limits(
                maximum_pdu_bytes=options.maximum_pdu_bytes,
                maximum_object_bytes=options.maximum_object_bytes,
                dimse_timeout_s=options.dimse_timeout_s,
                message_timeout_s=options.message_timeout_s,
                association_timeout_s=options.association_timeout_s,
            ),
            stage=stage,
            respond=self.store_scp.respond,
            has_space=partial(has_space, 0),
        )
        self._reporter = ConnectionReporter(on_event=on_event, clock=clock)
        self._clock = clock
        self._places = threading.Lock()
        self._server: ReceiveServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind the port and serve.

        Raises
        ------
        OSError
            If the address cannot be bound, or the files for TLS cannot be used.
        """
        silence_library_logs()
        options = self._options
        handshakes = None
        if options.tls is not None:
            handshakes = Handshakes(CertificateFiles(options.tls), timeout_s=options.tls_handshake_timeout_s)
        entity = application_entity(options, offers_commitment=self._commitment_scp is not None)
        server = entity.make_server(
            (options.host, options.port),
            server_class=PortSharingServer if options.shares_port else ReceiveServer,
            request_handler=self._acceptor.request_handler,
            evt_handlers=[
                *(self._commitment_scp.handlers if self._commitment_scp is not None else ()),
                (evt.EVT_CONN_CLOSE, _on_connection_close),
                (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_ACCEPTED, self._on_accepted),
                (evt.EVT_C_ECHO, self._on_c_echo),
                (evt.EVT_C_STORE, self._on_c_store),
            ],
        )
        self._server = cast("ReceiveServer", server)
        self._server.handshakes = handshakes
        self._server.on_tls_failed = self._reporter.tls_failed
        self._server.turned_at = time.monotonic()
        self._server.on_refused = self._reporter.refused
        self._server.prepare = self._prepare
        self._server.make_place = self._make_place
        self._server.maximum_connections = options.maximum_associations + SPARE_CONNECTIONS
        self._thread = threading.Thread(target=server.serve_forever, name="receive", daemon=True)
        self._thread.start()
        _log.info("%s listens on %s port %d", options.ae_title, *self.address)

    def stop(self) -> None:
        """Stop accepting, end open associations, and wait until no call of `accept` runs."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        end_associations(server.active_associations)
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)
        self._reporter.close()
        _log.info("%s no longer listens", self._options.ae_title)

    def is_accepting(self) -> bool:
        """Whether connections are accepted."""
        return self._server is not None and time.monotonic() - self._server.turned_at < _HUNG_S

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on: the port in use where the options have 0."""
        if self._server is None:
            raise RuntimeError("the receiver is not started")
        host, port = self._server.server_address[:2]
        return str(host), port

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.address[1]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _prepare(self, association: AcceptorAssociation) -> None:
        association.on_end, association.on_abort = self._reporter.ended, self._reporter.aborted
        self._acceptor.prepare(association, name=association_name(self._clock()))

    def _admit(self, association: AcceptorAssociation) -> bool:
        """Count an association whose request passes the rules; return whether it is within the limit."""
        server = self._server
        if server is None:
            return False
        with self._places:
            others = cast("list[AcceptorAssociation]", server.active_associations)
            opened = sum(other.has_association for other in others)
            association.is_admitted = opened < self._options.maximum_associations
        return association.is_admitted

    def _make_place(self) -> bool:
        """Close a connection without an association for another; return whether there was one.

        Otherwise as many silent connections as may be open would keep every peer out.
        """
        server = self._server
        if server is None:
            return False
        with self._places:
            replaced = closable(cast("list[AcceptorAssociation]", server.active_associations))
            if replaced is not None:
                replaced.give_up_place()
        return replaced is not None

    def _on_requested(self, event: evt.Event) -> None:
        association = cast("AcceptorAssociation", event.assoc)
        if association.refusal is None and self._is_own_echo(association):
            association.is_reported = True
            restrict_contexts(association, VERIFICATION.__eq__)
            return
        try:
            rejection = association.refusal or self.admission.rejection(association)
        except Exception as error:  # noqa: BLE001  # pynetdicom would log it and accept the association
            _log.error("admission of an association request failed, request rejected: %s", type(error).__name__)
            rejection = Rejection.TEMPORARY_CONGESTION
        if rejection is None and not self._admit(association):
            rejection = Rejection.LOCAL_LIMIT_EXCEEDED
        if rejection is not None:
            self._reporter.rejected(association, rejection)
            result, source, reason = rejection.value
            reject(association, result=result, source=source, reason=reason)

    def _is_own_echo(self, association: Association) -> bool:
        request = cast("A_ASSOCIATE", association.requestor.primitive)
        return request.calling_ae_title.strip() == self._options.own_echo_title

    def _on_accepted(self, event: evt.Event) -> None:
        if self._is_own_echo(event.assoc):
            return
        user = requested_user(event.assoc) if self._options.users else ""
        self._reporter.accepted(cast("AcceptorAssociation", event.assoc), user=user)

    def _on_c_echo(self, event: evt.Event) -> int:
        if not self._is_own_echo(event.assoc):
            _log.info("C-ECHO from %s", sender_of(event.assoc).calling_ae_title)
        return StoreStatus.SUCCESS

    def _on_c_store(self, event: evt.Event) -> Dataset:
        response = Dataset()
        response.Status, comment = self.store_scp.respond(event.assoc, partial(_instance, event))
        if comment:
            response.ErrorComment = comment
        return response


def _on_connection_close(event: evt.Event) -> None:
    cast("AcceptorAssociation", event.assoc).end_request_wait()


def silence_library_logs() -> None:
    """Silence pynetdicom, which logs every message, and pydicom, which quotes invalid values.

    Called when a process begins to receive, not on import.
    """
    for library in ("pynetdicom", "pydicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


def _instance(event: evt.Event, sender: Sender) -> Instance:
    """Return the object of a C-STORE request, its data set as sent, or raise RejectObject."""
    request = cast("C_STORE", event.request)
    if request.AffectedSOPClassUID != event.context.abstract_syntax:
        raise SopClassNotSupported("SOP Class differs from the presentation context's")
    if request.DataSet is None:
        raise RejectObject("the request has no data set")
    if isinstance(request.DataSet, BoundedDataSet) and request.DataSet.is_too_large:
        if not request.DataSet.had_space:
            raise out_of_resources()
        raise too_large(request.DataSet.size_bytes)
    transfer_syntax_uid = parse_uid(event.context.transfer_syntax)
    with request.DataSet.getbuffer() as data_set:
        identity, header_values = identify_with_values(data_set, transfer_syntax_uid=transfer_syntax_uid)
        check_request(
            identity,
            affected_sop_class_uid=str(request.AffectedSOPClassUID),
            affected_sop_instance_uid=str(request.AffectedSOPInstanceUID),
        )
        return instance_of(
            identity,
            data_set,
            transfer_syntax_uid=transfer_syntax_uid,
            sender=sender,
            header_values=header_values,
        )
