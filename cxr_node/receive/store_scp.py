"""Storage SCP: status of each object, the same for both paths of C-STORE and for STOW-RS (PS3.4 annex B)."""

import logging
import traceback
from collections.abc import Callable

from pynetdicom.association import Association

from cxr_node.domain.errors import RejectObject, RetryLater, type_and_place
from cxr_node.domain.instance import Received, Sender
from cxr_node.receive.admission import AdmissionPolicy
from cxr_node.receive.events import ReceiveEvent, StoreRejected
from cxr_node.receive.sender import sender_of
from cxr_node.receive.status import StoreStatus, comment_of, out_of_resources, status_of

_log = logging.getLogger(__name__)


class StoreScp:
    """Stores received objects. `accept` returns when bytes and row are durable; its errors become the status."""

    def __init__(
        self,
        *,
        admission: AdmissionPolicy,
        has_space: Callable[[int], bool],
        accept: Callable[[Received, Sender], None],
        on_event: Callable[[ReceiveEvent], None],
    ) -> None:
        self._on_event = on_event
        self._admission = admission
        self._has_space = has_space
        self._accept = accept

    def respond(self, association: Association, build: Callable[[Sender], Received]) -> tuple[StoreStatus, str]:
        """Return Status (0000,0900) and Error Comment (0000,0902); `build` returns the object of the request."""
        sender = sender_of(association)
        return self.store(sender, lambda: build(sender))

    def store(self, sender: Sender, build: Callable[[], Received]) -> tuple[StoreStatus, str]:
        """Store the object that `build` returns; return status and comment of the response."""
        try:
            received = build()
            if not self._admission.admits_film(sender):
                # PS3.4 has no status for it; Out of Resources makes the sender retry.
                raise RetryLater("more films in a minute than this peer may send")  # noqa: TRY301
            if not self._has_space(received.size_bytes):
                raise out_of_resources()  # noqa: TRY301
            self._accept(received, sender)
        except Exception as error:  # noqa: BLE001  # the sender must get a response, and never Success
            status = status_of(error)
            _log_rejection(error, sender, status)
            self._on_event(
                StoreRejected(calling_ae_title=sender.calling_ae_title, address=sender.address, status=status)
            )
            return status, comment_of(error)
        uid = received.identity.sop_instance_uid
        _log.info("stored %s from %s on %s", uid, sender.calling_ae_title, sender.association)
        return StoreStatus.SUCCESS, ""


def _log_rejection(error: Exception, sender: Sender, status: int) -> None:
    # Another library's message may quote an element value: only type and place of its exception are logged.
    reason = str(error) if isinstance(error, RejectObject | RetryLater) else type_and_place(error)
    _log.warning("rejected an object from %s with status 0x%04X: %s", sender.calling_ae_title, status, reason)
    if status == StoreStatus.PROCESSING_FAILURE:
        _log.error("%s raised at\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
