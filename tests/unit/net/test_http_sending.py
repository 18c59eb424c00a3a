"""Deadlines of a response: one for each part that the client takes, and one for all of it."""

import socket
from typing import cast

import h11
import pytest

from cxr_node.net.http_exchange import HttpConnection, HttpLimits

LIMITS = HttpLimits(idle_timeout_s=30.0, request_timeout_s=600.0)
FILM = bytes(30_000_000)


class SlowClient:
    """A socket whose client takes so many bytes a second, and the clock of both.

    Time-outs are those of socket.socket: `send` returns once some bytes are taken, `sendall` once all are.
    """

    def __init__(self, rate: float, *, at_once: int) -> None:
        self.now = 0.0
        self.taken = 0
        self._rate = rate
        self._at_once = at_once
        self._timeout_s = 0.0

    def clock(self) -> float:
        return self.now

    def settimeout(self, seconds: float) -> None:
        self._timeout_s = seconds

    def send(self, content: memoryview) -> int:
        return self._take(min(len(content), self._at_once))

    def sendall(self, content: bytes) -> None:
        self._take(len(content))

    def _take(self, size: int) -> int:
        needed_s = size / self._rate
        self.now += min(needed_s, self._timeout_s)
        if needed_s > self._timeout_s:
            raise TimeoutError
        self.taken += size
        return size


def send_film(client: SlowClient) -> None:
    """Send a film as the response to a request."""
    connection = HttpConnection(cast("socket.socket", client), limits=LIMITS, clock=client.clock)
    connection.protocol.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert isinstance(connection.next_event(), h11.Request)
    connection.wait_at_most(LIMITS.request_timeout_s)
    head = h11.Response(status_code=200, headers=[("Content-Length", str(len(FILM)))])
    connection.send(head, h11.Data(data=FILM), h11.EndOfMessage())


def test_a_client_that_reads_slowly_but_on_gets_the_whole_film() -> None:
    client = SlowClient(rate=100_000, at_once=16_384)
    send_film(client)

    assert client.taken > len(FILM)
    assert client.now > LIMITS.idle_timeout_s


def test_a_client_that_reads_too_slowly_is_cut_off_at_the_deadline() -> None:
    client = SlowClient(rate=1_000, at_once=16_384)
    with pytest.raises(TimeoutError):
        send_film(client)

    assert client.taken > 0
    assert client.now == pytest.approx(LIMITS.request_timeout_s)


def test_a_client_that_reads_nothing_is_cut_off_after_the_time_out() -> None:
    client = SlowClient(rate=1, at_once=16_384)
    with pytest.raises(TimeoutError):
        send_film(client)

    assert (client.taken, client.now) == (0, LIMITS.idle_timeout_s)
