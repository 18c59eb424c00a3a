"""Whether a film that came is kept, and what its sender is told: the same on every path by which films come."""

import logging
import traceback
from collections.abc import Callable

from pynetdicom.association import Association

from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.domain.instance import Received, Sender
from cxr_node.receive.access_control import AssociationPolicy
from cxr_node.receive.events import ReceiveEvent, StoreRejected
from cxr_node.receive.sender import sender_of
from cxr_node.receive.status import StoreStatus, comment_of, status_of

_log = logging.getLogger(__name__)


class StoreScp:
    """Answers C-STORE requests. `accept` returns when bytes and row are durable; what it raises becomes the status."""

    def __init__(
        self,
        *,
        door: AssociationPolicy,
        has_room: Callable[[int], bool],
        accept: Callable[[Received, Sender], None],
        tell: Callable[[ReceiveEvent], None],
    ) -> None:
        self._tell = tell
        self._door = door
        self._has_room = has_room
        self._accept = accept

    def answer(self, association: Association, received_from: Callable[[Sender], Received]) -> tuple[StoreStatus, str]:
        """Return Status (0000,0900) and Error Comment (0000,0902) for what `received_from` makes of the request."""
        sender = sender_of(association)
        try:
            received = received_from(sender)
            if not self._door.may_send(association):
                raise RetryLater("more films in a minute than this peer may send")  # noqa: TRY301
            if not self._has_room(received.size_bytes):
                raise out_of_resources()  # noqa: TRY301
            self._accept(received, sender)
        except Exception as error:  # noqa: BLE001  # the sender must get an answer, and never Success
            status = status_of(error)
            _log_refusal(error, sender, status)
            self._tell(StoreRejected(calling_ae_title=sender.calling_ae_title, address=sender.address, status=status))
            return status, comment_of(error)
        uid = received.identity.sop_instance_uid
        _log.info("stored %s from %s on %s", uid, sender.calling_ae_title, sender.association)
        return StoreStatus.SUCCESS, ""


def out_of_resources() -> RetryLater:
    """Return the error for a film that there is no room for."""
    return RetryLater("no room for a film beside what the database and results need")


def too_large(size_bytes: int) -> RejectObject:
    """Return the error for a data set of more bytes than are taken."""
    return RejectObject(f"object of {size_bytes} bytes is larger than is taken here")


def _log_refusal(error: Exception, sender: Sender, status: int) -> None:
    # The text of another library's error may quote a value: only its kind and place are logged.
    said = str(error) if isinstance(error, RejectObject | RetryLater) else type(error).__name__
    _log.warning("refused an object from %s with status 0x%04X: %s", sender.calling_ae_title, status, said)
    if status == StoreStatus.PROCESSING_FAILURE:
        _log.error("%s raised at\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
