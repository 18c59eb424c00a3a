"""HTTP responses of `http.client` with a total time-out: a server that sends a byte at a time cannot exceed it."""

import io
import socket
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any


def response_until(remaining_s: Callable[[], float]) -> type[HTTPResponse]:
    """Return a class of responses whose every read is limited by the remaining time.

    `remaining_s` raises TimeoutError when none is left. The class is set as `response_class` of a connection.
    """

    class TimedResponse(HTTPResponse):
        def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
            super().__init__(sock, *arguments, **options)
            self.fp = io.BufferedReader(_TimedReader(sock, self.fp.detach(), remaining_s))

    return TimedResponse


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, raw: io.RawIOBase, remaining_s: Callable[[], float]) -> None:
        self._sock, self._raw, self._remaining_s = sock, raw, remaining_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._remaining_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
