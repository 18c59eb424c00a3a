"""Proxy between two peers: counts PDUs and cuts the association at a chosen one."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from cxr_node.faults import wire

_ABORT = wire.pdu(wire.ABORT, bytes((0, 0, 0x02, 0)))
"""A-ABORT by the service provider, no reason given (PS3.8 section 9.3.8)."""
_HOST = "127.0.0.1"
_TIMEOUT_S = 30.0


class CutMode(StrEnum):
    """How the association ends at the chosen PDU."""

    ABORT = "aborted instead"
    RESET = "connection reset"
    ABORT_AFTER = "aborted after"
    RESET_AFTER = "connection reset after"

    @property
    def is_after(self) -> bool:
        """Whether the PDU is still forwarded."""
        return self in (CutMode.ABORT_AFTER, CutMode.RESET_AFTER)

    @property
    def is_abort(self) -> bool:
        """Whether the peers get an A-ABORT."""
        return self in (CutMode.ABORT, CutMode.ABORT_AFTER)


@dataclass(slots=True, kw_only=True)
class Proxy:
    """Proxy to a port on this machine that cuts once, at PDU `cut_at`, counted from 1 in both directions."""

    target_port: int
    port: int = 0
    cut_at: int = 0
    mode: CutMode = CutMode.RESET
    pdu_count: int = 0
    has_cut: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, cut_at: int, mode: CutMode) -> None:
        """Reset the count and choose the next cut."""
        with self.lock:
            self.cut_at, self.mode, self.pdu_count, self.has_cut = cut_at, mode, 0, False

    def count_pdu(self) -> bool:
        """Count a PDU; return whether the association is cut at it."""
        with self.lock:
            self.pdu_count += 1
            if self.has_cut or self.pdu_count != self.cut_at:
                return False
            self.has_cut = True
            return True

    def serve(self, client: socket.socket) -> None:
        """Connect to the target and forward PDUs until one end closes or the association is cut."""
        try:
            server = socket.create_connection((_HOST, self.target_port), _TIMEOUT_S)
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        responses = threading.Thread(target=self._forward, args=(server, client), daemon=True)
        responses.start()
        self._forward(client, server)
        responses.join(_TIMEOUT_S)
        client.close()
        server.close()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while pdu := wire.receive_pdu(source):
                if not self.count_pdu():
                    sink.sendall(pdu)
                    continue
                if self.mode.is_after:
                    sink.sendall(pdu)
                self._cut(source, sink)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _cut(self, *ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                if self.mode.is_abort:
                    end.sendall(_ABORT)
                else:
                    # With SO_LINGER 0, close() resets the connection.
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def cutting_proxy(target_port: int) -> Iterator[Proxy]:
    """Run a proxy to a port while the block lasts."""
    with socket.create_server((_HOST, 0)) as listener:
        proxy = Proxy(target_port=target_port, port=int(listener.getsockname()[1]))

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield proxy
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
