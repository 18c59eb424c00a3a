"""A film on its way: its data set goes aside as it comes, and its digest grows with it."""

import hashlib
import struct
from collections.abc import Callable, Iterator

from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Identity, Sender, StagedInstance, StagedObject
from cxr_node.receive.elements import DEFLATED
from cxr_node.receive.identify import check_request, identify
from cxr_node.receive.part10 import file_head
from cxr_node.receive.store_scp import out_of_resources, too_large
from cxr_node.receive.upper_layer.command_set import StoreRequest

_BEGINNING_BYTES = 1 << 17
"""What is held of a data set: who it is stands in the first few kilobytes of nearly every one."""

_GATHERED_BYTES = 1 << 18
"""What is written and digested at a time. Both let other threads go first: by single fragments, sixteen associations
spend more time taking turns than working."""

_ASKED_FOR_ROOM_BYTES = 4 << 20
"""How often it is asked whether there is still room for what comes."""

_VALUE_HEAD = struct.Struct(">LB")


def values_of_pdu(pdu: memoryview) -> list[tuple[int, memoryview]]:
    """Return the presentation context and value of each item of a P-DATA-TF PDU (PS3.8 section 9.3.5).

    Raises
    ------
    ValueError
        If the items do not fill the PDU to its end, or one is too short for its context.
    """
    values = []
    offset, end = 6, len(pdu)
    while offset < end:
        if offset + _VALUE_HEAD.size > end:
            raise ValueError("the PDU ends within the head of an item")
        length, context_id = _VALUE_HEAD.unpack_from(pdu, offset)
        item_end = offset + 4 + length
        if length < 1 or item_end > end:
            raise ValueError("an item is longer than its PDU, or has no context")
        values.append((context_id, pdu[offset + 5 : item_end]))
        offset = item_end
    return values


class IncomingDataSet:
    """The data set of one C-STORE request. Written by the thread of the connection, then read by that which answers.

    What is too large, or has no room, is let go of and counted to its end, so that its sender gets an answer. What the
    archive raises when it is given bytes is raised when the film is asked for.
    """

    def __init__(
        self,
        request: StoreRequest,
        *,
        context_id: int,
        transfer_syntax_uid: Uid,
        sender: Sender,
        aside: Callable[[], StagedObject],
        maximum_object_bytes: int,
        has_room: Callable[[], bool],
    ) -> None:
        self.request = request
        self.context_id = context_id
        self._transfer_syntax_uid = transfer_syntax_uid
        self._maximum_object_bytes = maximum_object_bytes
        self._has_room = has_room
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._beginning = b""
        self._gathered = bytearray()
        self._gathered_bytes = 0
        self._asked_at_bytes = 0
        self._has_begun = False
        self._head = file_head(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            sender=sender,
        )
        self._refused: Exception | None = None if has_room() else out_of_resources()
        self._aside: StagedObject | None = aside() if self._refused is None else None

    def write(self, fragment: memoryview) -> None:
        """Take the next fragment of the data set."""
        self._size_bytes += len(fragment)
        if self._aside is None:
            return
        if self._size_bytes > self._maximum_object_bytes:
            self.close()
            return
        end = self._gathered_bytes + len(fragment)
        self._gathered[self._gathered_bytes : end] = fragment  # what was written is written over
        self._gathered_bytes = end
        if end >= _GATHERED_BYTES:
            self._write_gathered(self._aside)

    def _write_gathered(self, aside: StagedObject) -> None:
        gathered = memoryview(self._gathered)[: self._gathered_bytes]
        self._gathered_bytes = 0
        try:
            if not self._has_begun:
                self._beginning = bytes(gathered[:_BEGINNING_BYTES])
                aside.write(b"".join((self._head, gathered)))
                self._has_begun = True
            else:
                aside.write(gathered)
            self._digest.update(gathered)
            self._ask_for_room()
        except Exception as error:  # noqa: BLE001  # kept for the answer
            self._refused = error
            self.close()
        finally:
            gathered.release()

    def arrival(self) -> StagedInstance:
        """Return the film, now that its last fragment has come.

        Raises
        ------
        Refuse
            If it is larger than is taken, is no data set, or not that of the request.
        RetryLater
            If there is no room for it.
        OSError
            If it could not be written.
        """
        if self._aside is not None and (self._gathered_bytes or not self._has_begun):
            self._write_gathered(self._aside)
        if self._refused is not None:
            raise self._refused
        if self._size_bytes > self._maximum_object_bytes:
            raise too_large(self._size_bytes)
        if self._aside is None:
            raise RetryLater("the association has ended")
        identity, beginning = self._identified(self._aside)
        check_request(
            identity,
            affected_sop_class_uid=self.request.sop_class_uid,
            affected_sop_instance_uid=self.request.sop_instance_uid,
        )
        return StagedInstance(
            identity=identity,
            transfer_syntax_uid=self._transfer_syntax_uid,
            digest=Digest(self._digest.hexdigest()),
            size_bytes=len(self._head) + self._size_bytes,
            beginning=beginning,
            staged=self._aside,
        )

    def close(self) -> None:
        """Let go of what is not kept."""
        aside, self._aside = self._aside, None
        self._beginning, self._gathered = b"", bytearray()
        if aside is not None:
            aside.close()

    def _ask_for_room(self) -> None:
        if self._size_bytes - self._asked_at_bytes >= _ASKED_FOR_ROOM_BYTES:
            self._asked_at_bytes = self._size_bytes
            if not self._has_room():
                raise out_of_resources()

    def _identified(self, aside: StagedObject) -> tuple[Identity, bytes]:
        """Return who it is, and the file at least as far as it says so."""
        for data_set in self._more_and_more(aside):
            is_all = len(data_set) == self._size_bytes
            try:
                with memoryview(data_set) as view:
                    identity = identify(view, transfer_syntax_uid=self._transfer_syntax_uid)
            except RejectObject:
                if is_all:
                    raise
            else:
                return identity, b"".join((self._head, data_set))
        raise AssertionError("the last of them is all there is")

    def _more_and_more(self, aside: StagedObject) -> Iterator[bytes]:
        # What is deflated cannot be inflated by halves.
        if len(self._beginning) < self._size_bytes and self._transfer_syntax_uid not in DEFLATED:
            yield self._beginning
        if len(self._beginning) == self._size_bytes:
            yield self._beginning
        else:
            yield aside.read()[len(self._head) :]
