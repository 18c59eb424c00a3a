"""The receiving end of a connection on the fast path: it reads what is there, not what is asked for."""

import struct
import time
from typing import Any

from cxr_node.receive.upper_layer.transport import PromptSocket

P_DATA_TF = 0x04
_HEAD = struct.Struct(">BxL")
"""Type and length, with which every PDU begins (PS3.8 section 9.3.1)."""

_BUFFER_BYTES = 1 << 18
"""Two PDUs of the length that is offered, or dozens of those of 16 KiB that many modalities send."""

_WITHOUT_CONNECTION_S = 0.001


class BufferedSocket(PromptSocket):
    """Reads into one large buffer, out of which whole P-DATA-TF PDUs are taken without being copied."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._start = self._end = 0

    @property
    def held_bytes(self) -> int:
        """How much has been read and not been taken."""
        return self._end - self._start

    @property
    def ready(self) -> bool:
        """Whether something can be taken, or is there to be read; waits for it as `PromptSocket` does."""
        if self.socket is None:
            # Until its thread is told to end there is nothing to wait for.
            time.sleep(_WITHOUT_CONNECTION_S)
            return False
        if self.held_bytes:
            return not self._is_ended_for_lateness()
        return super().ready

    def data_pdu(self) -> memoryview | None:
        """Return the next PDU if it is a P-DATA-TF, and whole; it is to be released before anything else is asked for.

        None is for any other, and for one that is not what was agreed to or ends with the connection: nothing of it is
        taken then.

        Raises
        ------
        OSError
            If it did not all come within the time-out.
        """
        if not self._has(_HEAD.size):
            return None
        pdu_type, length = _HEAD.unpack_from(self._buffer, self._start)
        if pdu_type != P_DATA_TF or length > self._largest_pdu_bytes:
            return None
        length += _HEAD.size
        if not self._has(length):
            return None
        pdu = memoryview(self._buffer)[self._start : self._start + length]
        self._start += length
        return pdu

    def recv(self, nr_bytes: int) -> bytearray:
        """Return the next `nr_bytes`; see `PromptSocket.recv`."""
        held = min(nr_bytes, self.held_bytes)
        if nr_bytes > self._largest_pdu_bytes or not held:
            return super().recv(nr_bytes)
        taken = self._buffer[self._start : self._start + held]
        self._start += held
        return taken + super().recv(nr_bytes - held) if held < nr_bytes else taken

    def _has(self, nr_bytes: int) -> bool:
        """Whether so many bytes are held, after reading until they are; False if the peer closed the connection."""
        missing = nr_bytes - self.held_bytes
        if missing <= 0:
            return True
        if self._start + nr_bytes > len(self._buffer) or self._start == self._end:
            self._make_room(nr_bytes)
        with memoryview(self._buffer) as buffer:
            arrived = self._read_into(buffer[self._end :], missing)
        self._end += arrived
        return arrived >= missing

    def _make_room(self, nr_bytes: int) -> None:
        held = self._buffer[self._start : self._end]
        if nr_bytes > len(self._buffer):
            # Memory that nothing was written to is not there yet: a peer that claims much has not been given it.
            self._buffer = bytearray(nr_bytes)
        self._buffer[: len(held)] = held
        self._start, self._end = 0, len(held)
