"""Socket of the streaming path: reads all available bytes into one buffer and hands out whole PDUs without a copy."""

import struct
import time
from typing import Any

from cxr_node.net.associate_pdu import P_DATA_TF
from cxr_node.receive.upper_layer.transport import BoundedSocket

_HEAD = struct.Struct(">BxL")
"""PDU-type and PDU-length (PS3.8 section 9.3.1)."""

_BUFFER_BYTES = 1 << 18
"""Two PDUs of the maximum length offered by default, or a dozen of 16 KiB as many modalities send."""

_CLOSED_WAIT_S = 0.001


class BufferedSocket(BoundedSocket):
    """Reads into one large buffer and returns whole P-DATA-TF PDUs as views of it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._start = self._end = 0

    @property
    def buffered_bytes(self) -> int:
        """Bytes read from the connection and not yet consumed."""
        return self._end - self._start

    @property
    def ready(self) -> bool:
        """Whether bytes are buffered or can be read; waits as `BoundedSocket.ready` does."""
        if self.socket is None:
            # The connection is closed; its thread ends soon.
            time.sleep(_CLOSED_WAIT_S)
            return False
        if self.buffered_bytes:
            return not self._abort_if_overdue()
        return super().ready

    def p_data_tf(self) -> memoryview | None:
        """Return the next PDU if it is a P-DATA-TF; release it before the next call.

        Return None, and consume nothing, for any other PDU, one above the maximum length, or end of file.

        Raises
        ------
        OSError
            If the time-out expires.
        """
        if not self._fill(_HEAD.size):
            return None
        pdu_type, length = _HEAD.unpack_from(self._buffer, self._start)
        if pdu_type != P_DATA_TF or length > self._maximum_pdu_bytes:
            return None
        length += _HEAD.size
        if not self._fill(length):
            return None
        pdu = memoryview(self._buffer)[self._start : self._start + length]
        self._start += length
        return pdu

    def recv(self, nr_bytes: int) -> bytearray:
        """Return the next `nr_bytes`; see `BoundedSocket.recv`."""
        count = min(nr_bytes, self.buffered_bytes)
        if nr_bytes > self._maximum_pdu_bytes or not count:
            return super().recv(nr_bytes)
        received = self._buffer[self._start : self._start + count]
        self._start += count
        return received + super().recv(nr_bytes - count) if count < nr_bytes else received

    def discard(self) -> None:
        """Drop the buffered bytes and what can be read."""
        self._start = self._end = 0
        super().discard()

    def _fill(self, nr_bytes: int) -> bool:
        """Read until so many bytes are buffered; return False if the peer closed the connection."""
        missing = nr_bytes - self.buffered_bytes
        if missing <= 0:
            return True
        if self._start + nr_bytes > len(self._buffer) or self._start == self._end:
            self._make_space(nr_bytes)
        with memoryview(self._buffer) as buffer:
            count = self._read_into(buffer[self._end :], missing)
        self._end += count
        return count >= missing

    def _make_space(self, nr_bytes: int) -> None:
        unread = self._buffer[self._start : self._end]
        if nr_bytes > len(self._buffer):
            # Untouched pages take no memory: a peer that claims a long PDU does not get it by that.
            self._buffer = bytearray(nr_bytes)
        self._buffer[: len(unread)] = unread
        self._start, self._end = 0, len(unread)
