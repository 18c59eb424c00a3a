"""The Application Entity: answers C-ECHO, takes C-STORE, and says Success only for what is kept."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import RequestHandler

from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import digest_of, parse_uid
from cxr_node.domain.instance import Instance, Received, Sender, StagedObject
from cxr_node.receive.access_control import AssociationPolicy, shown_user
from cxr_node.receive.admission import Rejection
from cxr_node.receive.application_entity import Listening, application_entity
from cxr_node.receive.commitment import CommitmentProvider, Commitments
from cxr_node.receive.events import AssociationAccepted, AssociationRejected, ReceiveEvent
from cxr_node.receive.identify import check_request, identify
from cxr_node.receive.part10 import file_head
from cxr_node.receive.sender import association_name, sender_of
from cxr_node.receive.status import SopClassNotSupported, StoreStatus
from cxr_node.receive.store_scp import StoreScp, out_of_resources, too_large
from cxr_node.receive.tls import Certificates, Handshakes
from cxr_node.receive.upper_layer.dimse import StreamingDimse
from cxr_node.receive.upper_layer.messages import BoundedDataSet, BoundedMessages
from cxr_node.receive.upper_layer.socket import BufferedSocket
from cxr_node.receive.upper_layer.streaming import FastRequests
from cxr_node.receive.upper_layer.transport import PromptServer, PromptSocket, SharingServer, end
from cxr_node.receive.users import Users

_log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 10.0


class Receiver:
    """A running Application Entity.

    `accept` is called from the thread of each association, several at once. It returns only when bytes
    and row are durable: its return is what Success means. What it raises becomes the status
    (`cxr_node.receive.status`); nothing it raises becomes Success. With `aside` films stream into what it makes
    (`cxr_node.receive.upper_layer.streaming`), and `accept` gets arrivals; without, and for the few of another form,
    instances. `has_room` says whether a film of so
    many bytes may be kept; with 0 whether any may. With `vouching` storage commitment is spoken. `tell` is
    called with each association that is accepted or not, in its thread.
    """

    def __init__(
        self,
        listening: Listening,
        *,
        accept: Callable[[Received, Sender], None],
        aside: Callable[[], StagedObject] | None = None,
        has_room: Callable[[int], bool] = lambda _size_bytes: True,
        vouching: CommitmentProvider | None = None,
        tell: Callable[[ReceiveEvent], None] = lambda _incident: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._listening = listening
        self._commitments = None if vouching is None else Commitments(vouching)
        users = Users(listening.users) if listening.users else None
        self._door = AssociationPolicy(listening.admission, users=users, has_room=has_room)
        self._storing = StoreScp(door=self._door, has_room=has_room, accept=accept, tell=tell)
        self._aside = aside
        self._has_room = has_room
        self._tell = tell
        self._clock = clock
        self._server: PromptServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind the port and answer from now on.

        Raises
        ------
        OSError
            If the address cannot be bound, or the files for TLS cannot be used.
        """
        hold_library_messages_back()
        listening = self._listening
        handshakes = None
        if listening.tls is not None:
            handshakes = Handshakes(Certificates(listening.tls), timeout_s=listening.tls_handshake_timeout_s)
        entity = application_entity(listening, speaks_commitment=self._commitments is not None)
        server = entity.make_server(
            (listening.host, listening.port),
            server_class=SharingServer if listening.shares_port else PromptServer,
            request_handler=RequestHandler if self._aside is None else FastRequests,
            evt_handlers=[
                *(self._commitments.handlers if self._commitments is not None else ()),
                (evt.EVT_CONN_OPEN, self._on_connection),
                (evt.EVT_CONN_CLOSE, _on_connection_closed),
                (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_ACCEPTED, self._on_accepted),
                (evt.EVT_REJECTED, self._on_too_many),
                (evt.EVT_C_ECHO, self._on_c_echo),
                (evt.EVT_C_STORE, self._on_c_store),
            ],
        )
        self._server = cast("PromptServer", server)
        self._server.handshakes = handshakes
        self._server.tell = self._tell
        self._thread = threading.Thread(target=server.serve_forever, name="receive", daemon=True)
        self._thread.start()
        _log.info("%s listens on %s port %d", listening.ae_title, *self.address)

    def stop(self) -> None:
        """Stop accepting, end open associations, and wait until no film is in `accept` any more."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        end(server.active_associations)
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)
        _log.info("%s no longer listens", self._listening.ae_title)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port it listens on; the port in use where 0 was asked for."""
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _on_connection(self, event: evt.Event) -> None:
        association, listening = event.assoc, self._listening
        accepted = association.dul.socket
        if accepted is not None:
            socket_class = PromptSocket if self._aside is None else BufferedSocket
            association.dul.socket = socket_class(
                accepted,
                largest_pdu_bytes=listening.maximum_pdu_bytes,
                timeout_s=listening.dimse_timeout_s,
                association_timeout_s=listening.association_timeout_s,
            )
        options: dict[str, Any] = {
            "maximum_object_bytes": listening.maximum_object_bytes,
            "timeout_s": listening.message_timeout_s,
            "has_room": partial(self._has_room, 0),
            "name": association_name(self._clock()),
        }
        if self._aside is None:
            association.dimse = BoundedMessages(association, **options)
        else:
            association.dimse = StreamingDimse(association, aside=self._aside, answer=self._storing.answer, **options)

    def _on_requested(self, event: evt.Event) -> None:
        association = event.assoc
        try:
            rejection = self._door.rejection(association)
        except Exception as error:  # noqa: BLE001  # pynetdicom would log it and let the peer in
            _log.error("an association request could not be judged: %s", type(error).__name__)
            rejection = Rejection.TEMPORARY_CONGESTION
        if rejection is not None:
            _log.warning("association from %s rejected: %s", association.requestor.address, rejection.name)
            self._tell(_turned_away(association, rejection))
            association.acse.send_reject(*rejection.value)
            association.kill()  # waits until the rejection is on the wire

    def _on_accepted(self, event: evt.Event) -> None:
        request = cast("A_ASSOCIATE", event.assoc.requestor.primitive)
        user = shown_user(event.assoc) if self._listening.users else ""
        self._tell(
            AssociationAccepted(
                calling_ae_title=request.calling_ae_title, address=event.assoc.requestor.address, user=user
            )
        )

    def _on_too_many(self, event: evt.Event) -> None:
        # The one rejection that is pynetdicom's own: more associations than there may be altogether.
        _log.warning("association from %s rejected: too many are open", event.assoc.requestor.address)
        self._tell(_turned_away(event.assoc, Rejection.LOCAL_LIMIT_EXCEEDED))

    def _on_c_echo(self, event: evt.Event) -> int:
        _log.info("C-ECHO from %s", sender_of(event.assoc).calling_ae_title)
        return StoreStatus.SUCCESS

    def _on_c_store(self, event: evt.Event) -> Dataset:
        answer = Dataset()
        answer.Status, comment = self._storing.answer(event.assoc, partial(_instance, event))
        if comment:
            answer.ErrorComment = comment
        return answer


def _turned_away(association: Association, rejection: Rejection) -> AssociationRejected:
    request = cast("A_ASSOCIATE", association.requestor.primitive)
    return AssociationRejected(
        calling_ae_title=request.calling_ae_title,
        address=association.requestor.address,
        user=shown_user(association),
        rejection=rejection,
    )


def _on_connection_closed(event: evt.Event) -> None:
    """Wake the thread that waits for an association request: none will come, and it would wait for the time-out."""
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(cast("A_ASSOCIATE", None))


def hold_library_messages_back() -> None:
    """Silence pynetdicom, which reports every message, and pydicom, which quotes values that break a rule.

    Set when a process begins to receive, not on import.
    """
    for library in ("pynetdicom", "pydicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


def _instance(event: evt.Event, sender: Sender) -> Instance:
    """Return the object of a C-STORE request with its data set as it was sent, or raise Refuse."""
    request = cast("C_STORE", event.request)
    if request.AffectedSOPClassUID != event.context.abstract_syntax:
        raise SopClassNotSupported("SOP Class differs from the presentation context's")
    if request.DataSet is None:
        raise RejectObject("the request has no data set")
    if isinstance(request.DataSet, BoundedDataSet) and request.DataSet.is_too_large:
        if not request.DataSet.had_room:
            raise out_of_resources()
        raise too_large(request.DataSet.size_bytes)
    transfer_syntax_uid = parse_uid(event.context.transfer_syntax)
    with request.DataSet.getbuffer() as data_set:
        identity = identify(data_set, transfer_syntax_uid=transfer_syntax_uid)
        check_request(
            identity,
            affected_sop_class_uid=str(request.AffectedSOPClassUID),
            affected_sop_instance_uid=str(request.AffectedSOPInstanceUID),
        )
        head = file_head(
            sop_class_uid=identity.sop_class_uid,
            sop_instance_uid=identity.sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            sender=sender,
        )
        return Instance(
            identity=identity,
            transfer_syntax_uid=transfer_syntax_uid,
            digest=digest_of(data_set),
            content=b"".join((head, data_set)),
        )
