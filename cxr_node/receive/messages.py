"""DIMSE messages of peers that say too much, too slowly, or nothing that can be read."""

import logging
import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any, cast

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA

from cxr_node.receive import waiting
from cxr_node.receive.sockets import PromptSocket

_log = logging.getLogger(__name__)

_LARGEST_COMMAND_BYTES = 1 << 16
"""A command set is a few hundred bytes (PS3.7 annex E); nothing else bounds one that comes in fragments."""

_WITHOUT_ROOM_BYTES = 4 << 20
"""What is held of a data set where no film may be kept; other messages, as of storage commitment, are smaller."""

_INVALID_PDU = "Evt19"
"""The event for which the state machine aborts the association (PS3.8 table 9-10)."""


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


class BoundedMessages(DIMSEServiceProvider):
    """Takes messages in place of pynetdicom's own provider, which takes any length in any time.

    A data set that is too large is read to its end and not held, so that its sender gets an answer.
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
        for queue in (self.msg_queue, association.dul.to_user_queue):
            waiting.on_put(queue, self._stirred.set)

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message; the association's thread, which asks all the time, waits here."""
        if not block and self.msg_queue.empty() and self.dul.to_user_queue.empty():
            self._stirred.wait(waiting.LONGEST_S)
            self._stirred.clear()
        return super().get_msg(block)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the next fragments of a message."""
        connection = self.dul.socket
        if self.message is None and isinstance(connection, PromptSocket) and connection.has_lasted:
            self._abort("the association has had all its time")
            return
        try:
            if self.message is None:
                self.message = DIMSEMessage()
                self.message.data_set = BoundedDataSet(self._maximum_object_bytes, had_room=self._has_room())
                self._expect_end_within(self._timeout_s)
            super().receive_primitive(primitive)
        except Exception as error:  # noqa: BLE001  # whatever a peer's bytes made of the decoder
            self._abort(type(error).__name__)
            return
        under_way = cast("DIMSEMessage | None", self.message)
        if under_way is None:
            self._expect_end_within(None)
        elif under_way.encoded_command_set.tell() > _LARGEST_COMMAND_BYTES:
            self._abort("a command set without end")

    def _abort(self, why: str) -> None:
        _log.warning("message from %s is not read: %s", self.assoc.requestor.address, why)
        self.dul.event_queue.put(_INVALID_PDU)

    def _expect_end_within(self, seconds: float | None) -> None:
        connection = self.dul.socket
        if isinstance(connection, PromptSocket):
            connection.expect_within(seconds)
