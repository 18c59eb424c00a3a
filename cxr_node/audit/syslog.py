"""Syslog messages (RFC 5424), framed by octet counts over TLS (RFC 5425) or TCP (RFC 6587)."""

import fcntl
import re
import select
import socket
import ssl
import struct
import termios
import time
from dataclasses import dataclass

from cxr_node.net.tls_peer import TlsPeer

_SECURITY = 10
_WARNING, _NOTICE = 4, 5
_APP_NAME = "cxr-node"
_MSG_ID = "DICOM+RFC3881"
"""PS3.15 section A.6."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""First bytes of a message in UTF-8 (RFC 5424 section 6.4)."""

_EVENT_TIME = re.compile(r'EventDateTime="([^"\s]+)"')
_SUCCESS = 'EventOutcomeIndicator="0"'
_POLL_S = 0.01


def is_message(line: str) -> bool:
    """Whether a line of the trail is a complete message, not one truncated on a full disk."""
    return line.startswith("<AuditMessage>") and line.endswith("</AuditMessage>")


def framed(line: str, *, host: str) -> bytes:
    """Return a message of the trail as a syslog message of `host`, preceded by its length."""
    severity = _NOTICE if _SUCCESS in line else _WARNING
    match = _EVENT_TIME.search(line)
    timestamp = match.group(1) if match else "-"
    head = f"<{_SECURITY * 8 + severity}>1 {timestamp} {_printable(host)} {_APP_NAME} - {_MSG_ID} - "
    message = head.encode("ascii") + _BYTE_ORDER_MARK + line.encode()
    return b"%d %b" % (len(message), message)


def _printable(host: str) -> str:
    return re.sub(r"[^\x21-\x7e]", "-", host)[:255] or "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogReceiver:
    """Address of a syslog receiver; plain TCP if `tls` is None."""

    host: str
    port: int
    tls: TlsPeer | None = None
    timeout_s: float = 10.0

    def __str__(self) -> str:
        """Return its name in messages."""
        return f"{self.host} port {self.port}"

    def connect(self) -> "SyslogConnection":
        """Return a connection to it.

        Raises
        ------
        OSError
            If the connection or the TLS handshake fails.
        """
        plain = socket.create_connection((self.host, self.port), timeout=self.timeout_s)
        if self.tls is None:
            return SyslogConnection(plain, timeout_s=self.timeout_s)
        try:
            return SyslogConnection(
                self.tls.context().wrap_socket(plain, server_hostname=self.host), timeout_s=self.timeout_s
            )
        except OSError:
            plain.close()
            raise


class SyslogConnection:
    """A connection to a receiver. Syslog has no responses: delivery means that its host has acknowledged the bytes."""

    def __init__(self, connection: socket.socket, *, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s

    def send(self, frames: bytes) -> None:
        """Send `frames` and wait until the receiver's host has acknowledged them.

        Raises
        ------
        OSError
            If it does not, or the receiver has closed the connection.
        """
        self._connection.settimeout(self._timeout_s)
        self._connection.sendall(frames)
        deadline = time.monotonic() + self._timeout_s
        while self._unacknowledged():
            if time.monotonic() > deadline:
                raise TimeoutError("messages are not acknowledged")
            select.select([], [], [], _POLL_S)
        self._check_open()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _unacknowledged(self) -> int:
        (count,) = struct.unpack("i", fcntl.ioctl(self._connection, termios.TIOCOUTQ, b"\0" * 4))
        return int(count)

    def _check_open(self) -> None:
        self._connection.settimeout(0.0)
        try:
            if not self._connection.recv(1):
                raise ConnectionResetError("the receiver has closed the connection")
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
