"""A line between two peers that counts PDUs, and cuts, delays or garbles the one that it was told to."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

_HEADER = struct.Struct(">BBL")
"""PDU type, reserved, length of what follows (PS3.8 section 9.3)."""
_ABORT = bytes((0x07, 0, 0, 0, 0, 4, 0, 0, 0x02, 0))
"""A-ABORT by the service provider, no reason given (PS3.8 section 9.3.8)."""
_HOST = "127.0.0.1"
_TIMEOUT_S = 30.0


class How(StrEnum):
    """What befalls a PDU."""

    ABORT = "aborted instead"
    RESET = "connection reset"
    ABORT_AFTER = "aborted after"
    RESET_AFTER = "connection reset after"

    @property
    def is_after(self) -> bool:
        """Whether the PDU still passes."""
        return self in (How.ABORT_AFTER, How.RESET_AFTER)

    @property
    def is_abort(self) -> bool:
        """Whether the peers are told."""
        return self in (How.ABORT, How.ABORT_AFTER)


@dataclass(slots=True, kw_only=True)
class Proxy:
    """A line to a port on this machine. The `cut`-th PDU, counted from 1 in both directions, meets `how`, once."""

    to: int
    port: int = 0
    cut: int = 0
    how: How = How.RESET
    passed: int = 0
    has_cut: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, cut: int, how: How) -> None:
        """Begin to count anew, towards another cut."""
        with self.lock:
            self.cut, self.how, self.passed, self.has_cut = cut, how, 0, False

    def is_cut_at_next(self) -> bool:
        """Count a PDU, and return whether it is the one."""
        with self.lock:
            self.passed += 1
            if self.has_cut or self.passed != self.cut:
                return False
            self.has_cut = True
            return True

    def serve(self, near: socket.socket) -> None:
        """Connect both ends, and pass PDUs until one end closes or the line is cut."""
        try:
            far = socket.create_connection((_HOST, self.to), _TIMEOUT_S)
        except OSError:
            near.close()
            return
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._pass, args=(far, near), daemon=True)
        back.start()
        self._pass(near, far)
        back.join(_TIMEOUT_S)
        near.close()
        far.close()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while pdu := _read(source):
                if not self.is_cut_at_next():
                    sink.sendall(pdu)
                    continue
                if self.how.is_after:
                    sink.sendall(pdu)
                self._end(source, sink)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _end(self, *ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                if self.how.is_abort:
                    end.sendall(_ABORT)
                else:
                    # Without lingering a close is a reset.
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _read(source: socket.socket) -> bytes:
    head = _exactly(source, _HEADER.size)
    if len(head) < _HEADER.size:
        return b""
    _, _, length = _HEADER.unpack(head)
    return head + _exactly(source, length)


def _exactly(source: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size and (part := source.recv(min(size, 1 << 16))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


@contextlib.contextmanager
def line(to: int) -> Iterator[Proxy]:
    """Lay a line to a port while the block lasts."""
    with socket.create_server((_HOST, 0)) as listener:
        laid = Proxy(to=to, port=int(listener.getsockname()[1]))

        def accept() -> None:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=laid.serve, args=(near,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield laid
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
