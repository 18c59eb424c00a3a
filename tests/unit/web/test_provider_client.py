"""Requests to an OpenID Provider: a total time-out, and a pause after a failure."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from cxr_node.settings.operations import OidcSection
from cxr_node.web import oidc
from cxr_node.web.oidc import Provider
from cxr_node.web.provider_client import LoginError
from tests.support.peers import LOOPBACK

ISSUER = "https://id.example"


class Trickle:
    """A provider that sends a byte of its response whenever the client looks at its clock, without end.

    With an empty `start` it closes each connection instead.
    """

    def __init__(self, listener: socket.socket, start: bytes) -> None:
        self._listener, self._start = listener, start
        self._looks = threading.Semaphore(0)
        self.address = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        self.connections = 0
        self.now = 0.0

    def clock(self) -> float:
        """Return a time that is half a second later at each call."""
        self.now += 0.5
        self._looks.release()
        return self.now

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                with connection, suppress(OSError):
                    connection.recv(1 << 16)
                    connection.sendall(self._start)
                    while self._start and self._looks.acquire(timeout=1):
                        connection.sendall(b"x")


@contextmanager
def trickling(start: bytes) -> Iterator[Trickle]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        provider = Trickle(listener, start)
        thread = threading.Thread(target=provider.serve, daemon=True)
        thread.start()
        yield provider
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("start", [b"H", b"HTTP/1.1 200 OK\r\nX-Header: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_trickled_response_ends_at_the_total_time_out(start: bytes) -> None:
    with trickling(start) as provider:
        client = Provider(OidcSection(issuer=provider.address), timer=provider.clock)
        with pytest.raises(LoginError, match="unreachable: timed out"):
            client.start_login()
        assert provider.now < 15


def test_an_unreachable_provider_is_not_asked_again_at_once() -> None:
    now = 0.0
    with trickling(b"") as provider:
        client = Provider(OidcSection(issuer=provider.address), timer=lambda: now)
        for _ in range(3):
            with pytest.raises(LoginError):
                client.start_login()
        assert provider.connections == 1
        now = 11.0
        with pytest.raises(LoginError):
            client.start_login()
        assert provider.connections == 2


def test_the_metadata_of_a_provider_are_fetched_again_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that moves its endpoints is followed without a restart of the node."""
    now, fetched = 0.0, list[str]()

    def fetch(address: str, **_options: object) -> dict[str, str]:
        fetched.append(address)
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        return {"issuer": ISSUER, **{name: f"{ISSUER}/{len(fetched)}" for name in names}}

    monkeypatch.setattr(oidc, "fetch", fetch)
    client = Provider(OidcSection(issuer=ISSUER), timer=lambda: now)

    assert client.start_login()[0].startswith(f"{ISSUER}/1?")
    now = 3599.0
    assert client.start_login()[0].startswith(f"{ISSUER}/1?")
    now = 3600.0
    assert client.start_login()[0].startswith(f"{ISSUER}/2?")
