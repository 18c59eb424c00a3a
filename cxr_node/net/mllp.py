"""MLLP client (HL7 Minimal Lower Layer Protocol, release 1): one message a connection, with a total time-out."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from cxr_node.net.tls import failure_reason
from cxr_node.net.tls_peer import TlsPeer

START, END = b"\x0b", b"\x1c\r"
_MAX_RESPONSE_BYTES = 1 << 16
_PART = 4096


class MllpError(Exception):
    """No acknowledgment. `is_connected` if a connection was made, so that the message may have arrived."""

    def __init__(self, message: str, *, is_connected: bool) -> None:
        super().__init__(message)
        self.is_connected = is_connected


@dataclass(frozen=True, slots=True, kw_only=True)
class MllpServer:
    """Address of a receiver of HL7 messages, by TLS if `tls` is set."""

    host: str
    port: int
    tls: TlsPeer | None = None
    connect_timeout_s: float = 5.0
    timeout_s: float = 30.0
    clock: Callable[[], float] = field(default=time.monotonic)

    def __str__(self) -> str:
        """Return its name in messages."""
        return f"{self.host} port {self.port}"

    def connect(self) -> socket.socket:
        """Return a connection.

        Raises
        ------
        MllpError
            If there is none.
        """
        try:
            connection = socket.create_connection((self.host, self.port), min(self.connect_timeout_s, self.timeout_s))
        except OSError as error:
            raise MllpError(f"no connection to {self}: {failure_reason(error)}", is_connected=False) from error
        if self.tls is None:
            return connection
        try:
            return self.tls.context().wrap_socket(connection, server_hostname=self.host)
        except OSError as error:
            connection.close()
            raise MllpError(f"no TLS with {self}: {failure_reason(error)}", is_connected=False) from error

    def send(self, message: bytes, *, is_answer: Callable[[bytes], bool]) -> bytes:
        """Send a message and return the first response that `is_answer`; others, of earlier messages, are skipped.

        Raises
        ------
        MllpError
            If there is no such response in time.
        """
        deadline = self.clock() + self.timeout_s
        with closing(self.connect()) as connection:
            try:
                connection.settimeout(self._remaining_s(deadline))
                connection.sendall(START + message + END)
                for response in self._responses(connection, deadline):
                    if is_answer(response):
                        return response
            except TimeoutError:
                raise MllpError(
                    f"{self} sent no acknowledgment within {self.timeout_s:g} s", is_connected=True
                ) from None
            except OSError as error:
                raise MllpError(f"{self} ended the connection: {failure_reason(error)}", is_connected=True) from error
        raise MllpError(f"{self} ended the connection without an acknowledgment", is_connected=True)

    def _responses(self, connection: socket.socket, deadline: float) -> Iterator[bytes]:
        received = b""
        while True:
            connection.settimeout(self._remaining_s(deadline))
            part = connection.recv(_PART)
            received += part
            while END in received:
                block, _, received = received.partition(END)
                yield block.rpartition(START)[2]
            if not part or len(received) > _MAX_RESPONSE_BYTES:
                return

    def _remaining_s(self, deadline: float) -> float:
        remaining_s = deadline - self.clock()
        if remaining_s <= 0:
            raise TimeoutError
        return remaining_s
