"""Junk on the port: few lines for each address and reason, none of them an error."""

import logging
import socket
from collections import Counter
from contextlib import suppress

import pytest

from tests.support.peers import LOOPBACK
from tests.support.queue import NOON
from tests.support.raw_upper_layer import RELEASE_REQUEST, associate_rq
from tests.support.receiver import association, receiving

JUNK = {
    "noise": b"\x93\x11" * 40,
    "HTTP": b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
    "P-DATA": b"\x04\0\0\0\0\6\0\0\0\2\1\3",
    "A-RELEASE": RELEASE_REQUEST,
    "A-ABORT": b"\7\0\0\0\0\4\0\0\0\0",
    "half a request": associate_rq()[:50],
    "a long request": b"\1\0\x7f\xff\xff\xff",
    "noise after a request": associate_rq() + b"\x93" * 60,
    "two requests": associate_rq() * 2,
    "an acceptance after a request": associate_rq() + b"\2" + associate_rq()[1:],
    "noise as a command set": associate_rq() + b"\x04\0\0\0\0\x0a\0\0\0\6\1\3abcd",
}
CONNECTIONS = 15
LINES_A_MINUTE = 10


@pytest.mark.slow
def test_junk_writes_few_lines_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Above ten a minute and reason, lines are counted, and their number is logged at the end."""
    caplog.set_level(logging.INFO, logger="cxr_node")
    with receiving(clock=lambda: NOON) as running:
        for junk in JUNK.values():
            for _ in range(CONNECTIONS):
                send_junk(running.port, junk)
        with association(running.port) as opened:
            assert opened.is_established
            opened.release()

    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not [record for record in lines if record.levelno >= logging.ERROR]
    counts = Counter(record.getMessage().partition(", and ")[0] for record in lines)
    assert max(counts.values()) == LINES_A_MINUTE + 1, counts
    assert any(" more like it" in record.getMessage() for record in lines)


def send_junk(port: int, junk: bytes) -> None:
    """Send bytes, take what comes at once, and close."""
    with socket.create_connection((LOOPBACK, port)) as connection, suppress(OSError):
        connection.sendall(junk)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(120.0)
        while connection.recv(1 << 12):
            pass
