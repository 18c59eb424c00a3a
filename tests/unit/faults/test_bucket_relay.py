"""Relay in front of the fault suite's object store: it forwards, and ends every connection while it is cut."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cxr_node.faults.bucket import _relaying
from tests.support.peers import LOOPBACK, connected


@contextmanager
def echoing() -> Iterator[int]:
    """Serve connections one after the other, and send back what they send."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        while content := connection.recv(100):
                            connection.sendall(content)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_a_relay_forwards_until_it_is_cut() -> None:
    with echoing() as port, _relaying(port) as relay:
        with connected(relay.port) as before:
            before.sendall(b"before")
            assert before.recv(6) == b"before"
            relay.cut(is_cut=True)
            assert before.recv(1) == b""
        with connected(relay.port) as meanwhile:
            assert meanwhile.recv(1) == b""
        relay.cut(is_cut=False)
        with connected(relay.port) as after:
            after.sendall(b"after")
            assert after.recv(5) == b"after"
