"""Incoming data set of a C-STORE request: written to a staged object and hashed while it is received."""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping

from cxr_node.domain.deflated import DEFLATED
from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Identity, Sender, StagedInstance, StagedObject
from cxr_node.receive.identify import check_request, identify_with_values
from cxr_node.receive.part10 import file_head
from cxr_node.receive.status import out_of_resources, too_large
from cxr_node.receive.upper_layer.command_set import StoreRequest

_BEGINNING_BYTES = 1 << 17
"""Bytes of a data set held in memory: nearly every one has its UIDs in the first few kilobytes."""

_CHUNK_BYTES = 1 << 18
"""Bytes written and hashed at a time. Both release the GIL: with single fragments, sixteen associations spend more time
on switching threads than on work."""

_SPACE_CHECK_BYTES = 4 << 20
"""Bytes received between two checks of disk space."""

_ITEM_HEADER = struct.Struct(">LB")


def pdv_items(pdu: memoryview) -> list[tuple[int, memoryview]]:
    """Return presentation context ID and PDV of each item of a P-DATA-TF PDU (PS3.8 section 9.3.5.1).

    Raises
    ------
    ValueError
        If the items do not fill the PDU exactly, or one is too short for its context ID.
    """
    items = []
    offset, end = 6, len(pdu)
    while offset < end:
        if offset + _ITEM_HEADER.size > end:
            raise ValueError("the PDU ends within an item header")
        length, context_id = _ITEM_HEADER.unpack_from(pdu, offset)
        item_end = offset + 4 + length
        if length < 1 or item_end > end:
            raise ValueError("an item is longer than its PDU, or has no context ID")
        items.append((context_id, pdu[offset + 5 : item_end]))
        offset = item_end
    return items


class IncomingDataSet:
    """The data set of one C-STORE request. Written by the connection's thread, finished by the association's thread.

    A data set above the limit, or without disk space, is discarded and counted to its end, so that its sender gets a
    response. Errors of the archive are raised by `finish`.
    """

    def __init__(
        self,
        request: StoreRequest,
        *,
        context_id: int,
        transfer_syntax_uid: Uid,
        sender: Sender,
        stage: Callable[[], StagedObject],
        maximum_object_bytes: int,
        has_space: Callable[[], bool],
    ) -> None:
        self.request = request
        self.context_id = context_id
        self._transfer_syntax_uid = transfer_syntax_uid
        self._maximum_object_bytes = maximum_object_bytes
        self._has_space = has_space
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._beginning = b""
        self._buffer = bytearray()
        self._buffered_bytes = 0
        self._checked_at_bytes = 0
        self._has_written = False
        self._head = file_head(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            sender=sender,
        )
        self._error: Exception | None = None if has_space() else out_of_resources()
        self._staged: StagedObject | None = stage() if self._error is None else None

    def write(self, fragment: memoryview) -> None:
        """Append the next fragment of the data set."""
        self._size_bytes += len(fragment)
        if self._staged is None:
            return
        if self._size_bytes > self._maximum_object_bytes:
            self.close()
            return
        end = self._buffered_bytes + len(fragment)
        self._buffer[self._buffered_bytes : end] = fragment  # overwrites what is already staged
        self._buffered_bytes = end
        if end >= _CHUNK_BYTES:
            self._write_buffer(self._staged)

    def _write_buffer(self, staged: StagedObject) -> None:
        chunk = memoryview(self._buffer)[: self._buffered_bytes]
        self._buffered_bytes = 0
        try:
            if not self._has_written:
                self._beginning = bytes(chunk[:_BEGINNING_BYTES])
                staged.write(b"".join((self._head, chunk)))
                self._has_written = True
            else:
                staged.write(chunk)
            self._digest.update(chunk)
            self._check_space()
        except Exception as error:  # noqa: BLE001  # raised by `finish`
            self._error = error
            self.close()
        finally:
            chunk.release()

    def finish(self) -> StagedInstance:
        """Return the staged film after its last fragment.

        Raises
        ------
        RejectObject
            If it is above the size limit, is no data set, or not that of the request.
        RetryLater
            If there is no disk space for it.
        OSError
            If it could not be written.
        """
        if self._staged is not None and (self._buffered_bytes or not self._has_written):
            self._write_buffer(self._staged)
        if self._error is not None:
            raise self._error
        if self._size_bytes > self._maximum_object_bytes:
            raise too_large(self._size_bytes)
        if self._staged is None:
            raise RetryLater("the association has ended")
        identity, header_values, beginning = self._identified(self._staged)
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
            staged=self._staged,
            header_values=header_values,
        )

    def close(self) -> None:
        """Discard buffers and the staged object."""
        staged, self._staged = self._staged, None
        self._beginning, self._buffer = b"", bytearray()
        if staged is not None:
            staged.close()

    def _check_space(self) -> None:
        if self._size_bytes - self._checked_at_bytes >= _SPACE_CHECK_BYTES:
            self._checked_at_bytes = self._size_bytes
            if not self._has_space():
                raise out_of_resources()

    def _identified(self, staged: StagedObject) -> tuple[Identity, Mapping[int, bytes], bytes]:
        """Return the identity, values of the header, and the beginning of the file at least as far as they reach."""
        for data_set in self._prefixes(staged):
            is_whole = len(data_set) == self._size_bytes
            try:
                with memoryview(data_set) as view:
                    identified = identify_with_values(view, transfer_syntax_uid=self._transfer_syntax_uid)
            except RejectObject:
                if is_whole:
                    raise
            else:
                return *identified, b"".join((self._head, data_set))
        raise AssertionError("the last prefix is the whole data set")

    def _prefixes(self, staged: StagedObject) -> Iterator[bytes]:
        # A prefix of a deflated data set cannot be inflated.
        if len(self._beginning) < self._size_bytes and self._transfer_syntax_uid not in DEFLATED:
            yield self._beginning
        if len(self._beginning) == self._size_bytes:
            yield self._beginning
        else:
            yield staged.read()[len(self._head) :]
