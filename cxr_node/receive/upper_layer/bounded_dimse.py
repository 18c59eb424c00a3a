"""DIMSE service provider with limits on size and time of a message; undecodable messages abort the association."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from queue import Empty, Queue
from typing import Any, cast

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA

from cxr_node.receive.upper_layer import wakeup
from cxr_node.receive.upper_layer.association import AcceptorAssociation
from cxr_node.receive.upper_layer.command_set import normalized_command
from cxr_node.receive.upper_layer.transport import BoundedSocket

_MAXIMUM_COMMAND_BYTES = 1 << 16
"""A command set is a few hundred bytes (PS3.7 annex E); the standard sets no limit."""

_WITHOUT_SPACE_BYTES = 4 << 20
"""Data set limit without disk space: no film, but any other message, as of storage commitment."""

_PAUSE_POLL_S = 0.001

_INVALID_PDU = "Evt19"
"""Unrecognized or invalid PDU: aborts the association in every state (PS3.8 table 9-10)."""

IS_COMMAND, IS_LAST = 1, 2
"""Bits of the message control header (PS3.8 section E.2)."""


class UnexpectedFragment(Exception):
    """A fragment out of sequence, or a command that cannot be served; the message quotes nothing of it."""


class BoundedDataSet(BytesIO):
    """Encoded data set of at most `maximum_bytes`; of a larger one only the length is counted.

    Without disk space at its start the limit is lower, so that no film is read into memory only to be rejected.
    """

    def __init__(self, maximum_bytes: int, *, had_space: bool = True) -> None:
        super().__init__()
        self._maximum_bytes = maximum_bytes if had_space else min(maximum_bytes, _WITHOUT_SPACE_BYTES)
        self.had_space = had_space
        self.size_bytes = 0

    @property
    def is_too_large(self) -> bool:
        """Whether the data set exceeds the limit."""
        return self.size_bytes > self._maximum_bytes

    def write(self, fragment: bytes, /) -> int:  # type: ignore[override]  # fragments are bytes
        """Append the next fragment."""
        self.size_bytes += len(fragment)
        if not self.is_too_large:
            return super().write(fragment)
        self.seek(0)
        self.truncate()
        return len(fragment)


class _MessageQueue(Queue[Any]):
    """Received requests. Responses go to `responses`, or are dropped where none is awaited."""

    def __init__(self, is_awaited: Callable[[], bool]) -> None:
        super().__init__()
        self.responses: Queue[Any] = Queue()
        self._is_awaited = is_awaited

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put a message into the queue for its kind; None, the end of the association, into both."""
        _, message = item
        is_response = getattr(message, "MessageIDBeingRespondedTo", None) is not None
        if is_response and not self._is_awaited():
            return
        if not is_response and not getattr(message, "is_valid_request", True):
            # pynetdicom would drop it, and its sender wait for a response.
            raise UnexpectedFragment("a required element of the command set is missing")
        if is_response or message is None:
            self.responses.put(item)
        if not is_response:
            super().put(item, block, timeout)


class BoundedDimse(DIMSEServiceProvider):
    """Replaces pynetdicom's provider, which accepts messages of any length in any time.

    A data set above the limit is read to its end and discarded, so that its sender gets a response. Sending is
    serialised. A message may take `timeout_s` from its first fragment to its last. An undecodable message aborts the
    association; in pynetdicom it ends the thread that notices the peer's disconnection. `name` identifies the
    association in rows and logs.
    """

    def __init__(
        self,
        association: Association,
        *,
        maximum_object_bytes: int,
        timeout_s: float,
        has_space: Callable[[], bool] = lambda: True,
        name: str = "",
    ) -> None:
        super().__init__(association)
        self.name = name
        self._has_space = has_space
        self._maximum_object_bytes = maximum_object_bytes
        self._timeout_s = timeout_s
        self._wake = threading.Event()
        self._request_lock = threading.Lock()
        # Reentrant: handlers of EVT_DIMSE_SENT may send.
        self._send_lock = threading.RLock()
        self._is_requesting = False
        self._messages = _MessageQueue(lambda: self._is_requesting)
        self.msg_queue = self._messages
        for queue in (self.msg_queue, association.dul.to_user_queue):
            wakeup.on_put(queue, self._wake.set)

    def get_msg(self, block: bool = False) -> Any:
        """Return the next request; the association's thread, which polls in pynetdicom, waits here.

        With `block`, return the next response, or (None, None) after the time-out.
        """
        if block:
            try:
                return self._messages.responses.get(timeout=self.dimse_timeout)
            except Empty:
                return None, None
        if self.msg_queue.empty() and self.dul.to_user_queue.empty():
            self._wake.wait(wakeup.POLL_INTERVAL_S)
            self._wake.clear()
        return super().get_msg(block)

    @contextmanager
    def requesting(self) -> Iterator[None]:
        """Pause the association's thread for a request to the peer in the block; requests are serialised.

        pynetdicom's own pause waits for ever for a thread that has ended.

        Raises
        ------
        RuntimeError
            If the association has ended.
        """
        association = self.assoc
        checkpoint = association._reactor_checkpoint  # noqa: SLF001  # paused as Association.send_* do
        with self._request_lock:
            self._is_requesting = True
            checkpoint.clear()
            self._wake.set()
            try:
                while not association._is_paused:  # noqa: SLF001
                    if not association.is_alive():
                        raise RuntimeError("the association has ended")
                    time.sleep(_PAUSE_POLL_S)
                yield
            finally:
                checkpoint.set()
                self._is_requesting = False

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; its PDUs are not interleaved with others."""
        with self._send_lock:
            super().send_msg(primitive, context_id)

    def send_pdu(self, primitive: P_DATA) -> None:
        """Send a message of a single PDU."""
        with self._send_lock:
            self.dul.send_pdu(primitive)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Receive the PDVs of one P-DATA-TF PDU. pynetdicom drops those behind the last fragment of a message."""
        for context_id, value in primitive.presentation_data_value_list:
            if not self.receive_pdv(context_id, value):
                return

    def receive_pdv(self, context_id: int, value: bytes | memoryview) -> bool:
        """Receive a message control header and its fragment; return False if that aborts the association."""
        if self._is_between_messages:
            connection = self.dul.socket
            if isinstance(connection, BoundedSocket) and connection.has_expired:
                return self._abort("the association's time-out has expired")
            self._set_deadline(self._timeout_s)
        try:
            self._append(context_id, value)
        except Exception as error:  # noqa: BLE001  # the decoder may raise anything
            return self._abort(
                str(error) if isinstance(error, UnexpectedFragment) else "a message that cannot be decoded"
            )
        if self._is_between_messages:
            self._set_deadline(None)
        return True

    @property
    def _is_between_messages(self) -> bool:
        return self.message is None

    def _append(self, context_id: int, value: bytes | memoryview) -> None:
        if not value:
            raise UnexpectedFragment("a presentation data value without a message control header")
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.data_set = BoundedDataSet(self._maximum_object_bytes, had_space=self._has_space())
        elif self.message.context_id is not None and value[0] & IS_COMMAND:
            raise UnexpectedFragment("a command fragment within a data set")
        if value[0] & IS_COMMAND and value[0] & IS_LAST:
            value = _with_whole_command(self.message, value)
        fragment = P_DATA()
        fragment.presentation_data_value_list.append((context_id, bytes(value)))
        super().receive_primitive(fragment)
        message = cast("DIMSEMessage | None", self.message)
        if message is not None and message.encoded_command_set.tell() > _MAXIMUM_COMMAND_BYTES:
            raise UnexpectedFragment("the command set exceeds the limit")

    def _abort(self, reason: str) -> bool:
        if isinstance(self.assoc, AcceptorAssociation):
            self.assoc.log_abort(reason)
        self.dul.event_queue.put(_INVALID_PDU)
        return False

    def _set_deadline(self, timeout_s: float | None) -> None:
        connection = self.dul.socket
        if isinstance(connection, BoundedSocket):
            connection.set_deadline(timeout_s)


def _with_whole_command(message: DIMSEMessage, last: bytes | memoryview) -> bytes:
    """Return the last fragment of a command set with the normalized whole of it, which leaves the message empty."""
    command = message.encoded_command_set.getvalue() + last[1:]
    message.encoded_command_set = BytesIO()
    return bytes(last[:1]) + normalized_command(bytes(command))
