"""DIMSE messages of peers that say too much, too slowly, or nothing that can be read."""

import logging
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
from cxr_node.receive.upper_layer.transport import PromptSocket

_log = logging.getLogger(__name__)

_LARGEST_COMMAND_BYTES = 1 << 16
"""A command set is a few hundred bytes (PS3.7 annex E); nothing else bounds one that comes in fragments."""

_WITHOUT_ROOM_BYTES = 4 << 20
"""What is held of a data set where no film may be kept; other messages, as of storage commitment, are smaller."""

_PAUSE_S = 0.001

_INVALID_PDU = "Evt19"
"""The event for which the state machine aborts the association (PS3.8 table 9-10)."""


IS_COMMAND, IS_LAST = 1, 2
"""Bits of the message control header (PS3.8 section E.2)."""


class OutOfPlace(Exception):
    """A fragment where none of its kind belongs; the sentence quotes nothing of it."""


class BoundedDataSet(BytesIO):
    """What came of a data set, up to `maximum_bytes`; of a longer one nothing is held, only its length counted.

    Where there was no room when it began, so little is held that a film is not taken into memory only to be refused.
    """

    def __init__(self, maximum_bytes: int, *, had_room: bool = True) -> None:
        super().__init__()
        self._maximum_bytes = maximum_bytes if had_room else min(maximum_bytes, _WITHOUT_ROOM_BYTES)
        self.had_room = had_room
        self.size_bytes = 0

    @property
    def is_too_large(self) -> bool:
        """Whether more came than is held."""
        return self.size_bytes > self._maximum_bytes

    def write(self, fragment: bytes, /) -> int:  # type: ignore[override]  # fragments are bytes
        """Take the next fragment."""
        self.size_bytes += len(fragment)
        if not self.is_too_large:
            return super().write(fragment)
        self.seek(0)
        self.truncate()
        return len(fragment)


class _Arrived(Queue[Any]):
    """Messages that have come. Answers are kept apart for who asked, and dropped where nobody did."""

    def __init__(self, is_awaited: Callable[[], bool]) -> None:
        super().__init__()
        self.answers: Queue[Any] = Queue()
        self._is_awaited = is_awaited

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put a message where it belongs; the end of the association, which is none, is for everyone."""
        _, message = item
        is_answer = getattr(message, "MessageIDBeingRespondedTo", None) is not None
        if is_answer and not self._is_awaited():
            return
        if is_answer or message is None:
            self.answers.put(item)
        if not is_answer:
            super().put(item, block, timeout)


class BoundedMessages(DIMSEServiceProvider):
    """Takes messages in place of pynetdicom's own provider, which takes any length in any time.

    A data set that is too large is read to its end and not held, so that its sender gets an answer. Messages go out
    one after the other, whichever threads send them.
    A message has `timeout_s` from its first fragment to its last. What cannot be decoded ends the
    association: in pynetdicom it ends the thread that would notice that the peer has gone. `name` is the
    association's, for it has none of its own.
    """

    def __init__(
        self,
        association: Association,
        *,
        maximum_object_bytes: int,
        timeout_s: float,
        has_room: Callable[[], bool] = lambda: True,
        name: str = "",
    ) -> None:
        super().__init__(association)
        self.name = name
        self._has_room = has_room
        self._maximum_object_bytes = maximum_object_bytes
        self._timeout_s = timeout_s
        self._stirred = threading.Event()
        self._asking = threading.Lock()
        # Sending tells handlers, which may send in their turn.
        self._sending = threading.RLock()
        self._is_asking = False
        self._arrived = _Arrived(lambda: self._is_asking)
        self.msg_queue = self._arrived
        for queue in (self.msg_queue, association.dul.to_user_queue):
            wakeup.on_put(queue, self._stirred.set)

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message; the association's thread, which looks all the time, waits here.

        With `block`, the next answer to what was asked, or nothing after the time-out.
        """
        if block:
            try:
                return self._arrived.answers.get(timeout=self.dimse_timeout)
            except Empty:
                return None, None
        if self.msg_queue.empty() and self.dul.to_user_queue.empty():
            self._stirred.wait(wakeup.LONGEST_S)
            self._stirred.clear()
        return super().get_msg(block)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Pause the association's thread while something is asked of the peer in the block; one after the other.

        pynetdicom's own pause waits for that thread for ever where it has ended.

        Raises
        ------
        RuntimeError
            If the association has ended.
        """
        association = self.assoc
        goes_on = association._reactor_checkpoint  # noqa: SLF001  # no other way to pause it than what send_* do
        with self._asking:
            self._is_asking = True
            goes_on.clear()
            self._stirred.set()
            try:
                while not association._is_paused:  # noqa: SLF001
                    if not association.is_alive():
                        raise RuntimeError("the association has ended")
                    time.sleep(_PAUSE_S)
                yield
            finally:
                goes_on.set()
                self._is_asking = False

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message whole, before or after any other."""
        with self._sending:
            super().send_msg(primitive, context_id)

    def send_pdu(self, primitive: P_DATA) -> None:
        """Send a message that is a single PDU."""
        with self._sending:
            self.dul.send_pdu(primitive)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the next fragments of messages, of which pynetdicom would forget those behind the end of one."""
        for context_id, value in primitive.presentation_data_value_list:
            if not self.take(context_id, value):
                return

    def take(self, context_id: int, value: bytes | memoryview) -> bool:
        """Take a fragment behind its message control header; return False if the association ends with it."""
        if self._is_between_messages:
            connection = self.dul.socket
            if isinstance(connection, PromptSocket) and connection.has_lasted:
                return self._abort("the association has had all its time")
            self._expect_end_within(self._timeout_s)
        try:
            self._receive(context_id, value)
        except Exception as error:  # noqa: BLE001  # whatever a peer's bytes made of the decoder
            return self._abort(str(error) if isinstance(error, OutOfPlace) else type(error).__name__)
        if self._is_between_messages:
            self._expect_end_within(None)
        return True

    @property
    def _is_between_messages(self) -> bool:
        return self.message is None

    def _receive(self, context_id: int, value: bytes | memoryview) -> None:
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.data_set = BoundedDataSet(self._maximum_object_bytes, had_room=self._has_room())
        elif self.message.context_id is not None and value[0] & IS_COMMAND:
            raise OutOfPlace("a command within a data set")
        fragment = P_DATA()
        fragment.presentation_data_value_list.append((context_id, bytes(value)))
        super().receive_primitive(fragment)
        under_way = cast("DIMSEMessage | None", self.message)
        if under_way is not None and under_way.encoded_command_set.tell() > _LARGEST_COMMAND_BYTES:
            raise OutOfPlace("a command set without end")

    def _abort(self, why: str) -> bool:
        _log.warning("message from %s is not read: %s", self.assoc.requestor.address, why)
        self.dul.event_queue.put(_INVALID_PDU)
        return False

    def _expect_end_within(self, seconds: float | None) -> None:
        connection = self.dul.socket
        if isinstance(connection, PromptSocket):
            connection.expect_within(seconds)
