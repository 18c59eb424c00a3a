"""Acceptor side of an association: replaces pynetdicom's socket and DIMSE provider, and rejects requests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler

from cxr_node.domain.instance import StagedObject
from cxr_node.receive.upper_layer.association import AcceptorRequestHandler
from cxr_node.receive.upper_layer.bounded_dimse import BoundedDimse
from cxr_node.receive.upper_layer.dimse import Respond, StreamingDimse
from cxr_node.receive.upper_layer.socket import BufferedSocket
from cxr_node.receive.upper_layer.streaming import StreamingRequestHandler
from cxr_node.receive.upper_layer.transport import BoundedSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of an association; see `ReceiverOptions`."""

    maximum_pdu_bytes: int
    maximum_object_bytes: int
    dimse_timeout_s: float
    message_timeout_s: float
    association_timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptor:
    """Prepares associations for one of the two paths: streaming with `stage`, pynetdicom's own without."""

    limits: Limits
    stage: Callable[[], StagedObject] | None
    respond: Respond
    has_space: Callable[[], bool]

    @property
    def request_handler(self) -> type[RequestHandler]:
        """The class that creates associations."""
        return AcceptorRequestHandler if self.stage is None else StreamingRequestHandler

    def prepare(self, association: Association, *, name: str) -> None:
        """Replace socket and DIMSE provider of a new connection."""
        limits = self.limits
        accepted = association.dul.socket
        if accepted is not None:
            socket_class = BoundedSocket if self.stage is None else BufferedSocket
            association.dul.socket = socket_class(
                accepted,
                maximum_pdu_bytes=limits.maximum_pdu_bytes,
                timeout_s=limits.dimse_timeout_s,
                association_timeout_s=limits.association_timeout_s,
            )
        options: dict[str, Any] = {
            "maximum_object_bytes": limits.maximum_object_bytes,
            "timeout_s": limits.message_timeout_s,
            "has_space": self.has_space,
            "name": name,
        }
        if self.stage is None:
            association.dimse = BoundedDimse(association, **options)
        else:
            association.dimse = StreamingDimse(association, stage=self.stage, respond=self.respond, **options)


def reject(association: Association, *, result: int, source: int, reason: int) -> None:
    """Send an A-ASSOCIATE-RJ and end the association's thread; return when the PDU is sent."""
    association.acse.send_reject(result, source, reason)
    association.kill()
