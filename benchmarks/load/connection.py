"""Non-blocking connection of the load sender: its steps yield the event that they wait for."""

import os
import selectors
import socket
import struct
from collections.abc import Generator

from cxr_node.faults import wire

LARGEST_PDU = 131_072
_SMALLEST_PDU = 4_096

Step = Generator[int | float, None, None]
"""Yields the next event: of its socket (int), or a time of the monotonic clock (float)."""


class Gone(Exception):
    """The receiver rejected or closed the association."""


class Line:
    """One non-blocking connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()

    def send(self, content: bytes) -> Step:
        """Send all of `content`."""
        left = memoryview(content)
        while left:
            try:
                left = left[self._connection.send(left) :]
            except BlockingIOError:
                yield selectors.EVENT_WRITE

    def send_file(self, file: int, size: int) -> Step:
        """Send the first `size` bytes of a file."""
        at = 0
        while at < size:
            try:
                at += os.sendfile(self._connection.fileno(), file, at, size - at)
            except BlockingIOError:
                yield selectors.EVENT_WRITE

    def pdu(self) -> Generator[int, None, tuple[int, bytes]]:
        """Return the type and body of the next PDU."""
        received = self._received
        while (size := _whole(received)) == 0:
            yield selectors.EVENT_READ
            content = self._connection.recv(65_536)
            if not content:
                raise Gone
            received += content
        kind, body = received[0], bytes(received[wire.HEADER.size : size])
        del received[:size]
        return kind, body

    def response(self) -> Generator[int, None, int]:
        """Return the status of the next HTTP response, which has a Content-Length."""
        received = self._received
        while (size := _whole_response(received)) == 0:
            yield selectors.EVENT_READ
            content = self._connection.recv(65_536)
            if not content:
                raise Gone
            received += content
        status = int(received.split(b" ", 2)[1])
        del received[:size]
        return status


def _whole_response(received: bytearray) -> int:
    """Return the length of the first HTTP response, 0 if it is incomplete."""
    head, end, _ = received.partition(b"\r\n\r\n")
    if not end:
        return 0
    (length,) = (
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    size = len(head) + len(end) + length
    return size if len(received) >= size else 0


def _whole(received: bytearray) -> int:
    """Return the length of the first PDU, 0 if it is incomplete."""
    if len(received) < wire.HEADER.size:
        return 0
    size = wire.HEADER.size + int(wire.HEADER.unpack_from(received)[2])
    return size if len(received) >= size else 0


def largest_pdu(body: bytes) -> int:
    """Return the largest variable field of a P-DATA-TF that an A-ASSOCIATE-AC allows (PS3.8 annex D.1)."""
    at = 68
    while at + 4 <= len(body):
        kind, _, length = struct.unpack_from(">BBH", body, at)
        if kind == 0x50:
            at += 4
            continue
        if kind == 0x51:
            allowed = int(struct.unpack_from(">L", body, at + 4)[0])
            return max(_SMALLEST_PDU, allowed) if allowed else LARGEST_PDU
        at += 4 + length
    return _SMALLEST_PDU
