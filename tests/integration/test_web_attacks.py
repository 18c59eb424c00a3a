"""Attacks on the web server without a login: each is bounded, and health is answered within a second meanwhile."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from cxr_node.domain.password_hash import PasswordHash
from cxr_node.web import http_protocol, metrics, request_guard
from tests.support.oidc_provider import settings_of
from tests.support.peers import LOOPBACK
from tests.support.web import PEOPLE, Page, served_page

pytestmark = pytest.mark.slow

LOGIN_HEADERS = "Host: node\r\nContent-Type: application/x-www-form-urlencoded\r\n"
WRONG = b"name=op&password=wrong"
HEALTH_S = 1.0


@pytest.fixture(scope="module")
def mute_provider() -> Iterator[socket.socket]:
    """An OpenID Provider whose port takes connections and never responds."""
    with socket.create_server((LOOPBACK, 0), backlog=128) as listener:
        yield listener


@pytest.fixture(scope="module")
def page(mute_provider: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    issuer = f"http://{LOOPBACK}:{mute_provider.getsockname()[1]}"
    more = f"{PEOPLE}\n{settings_of(issuer, 'http://127.0.0.1:1/login/oidc/callback')}"
    with served_page(tmp_path_factory.mktemp("page") / "node", more=more) as running:
        yield running


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Passwords that are checked without end, until the event is set."""
    released = threading.Event()
    monkeypatch.setattr(PasswordHash, "matches", lambda *_: released.wait(60) and False)
    yield released
    released.set()


@contextmanager
def requested(page: Page, request: bytes, *, times: int = 1) -> Iterator[list[socket.socket]]:
    """Connect so many times, and send these bytes on each connection."""
    host, _, port = page.address.partition(":")
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(times)]
        for connection in connections:
            connection.sendall(request)
        yield connections


def status(connection: socket.socket) -> int:
    """Return the status of a response; 0 if the connection is closed without one."""
    try:
        line = connection.makefile("rb").readline()
    except ConnectionError:
        return 0
    return int(line.split()[1]) if line else 0


def live(page: Page) -> int:
    """Return the status of `/health/live` within a second, after which an orchestrator restarts the node; else 0.

    The fastest of ten requests counts: other processes of the machine may hold one up.
    """
    for _ in range(10):
        began = time.monotonic()
        with requested(page, b"GET /health/live HTTP/1.1\r\nHost: node\r\n\r\n") as (connection,):
            connection.settimeout(HEALTH_S)
            with suppress(TimeoutError):
                code = status(connection)
                if time.monotonic() - began < HEALTH_S:
                    return code
    return 0


def wrong_login() -> bytes:
    return f"POST /login HTTP/1.1\r\n{LOGIN_HEADERS}Content-Length: {len(WRONG)}\r\n\r\n".encode() + WRONG


def test_many_wrong_passwords_leave_health_and_pages_free(page: Page, blocked: threading.Event) -> None:
    with requested(page, wrong_login(), times=60) as connections:
        assert live(page) == 200
        assert httpx.get(f"http://{page.address}/login", timeout=10).status_code == 200
        assert httpx.get(f"http://{page.address}/health/ready", timeout=10).status_code == 200
        blocked.set()
        statuses = [status(connection) for connection in connections]

    assert statuses.count(429) >= 50
    assert statuses.count(401) >= 1


def test_a_provider_that_never_responds_leaves_others_free(page: Page, mute_provider: socket.socket) -> None:
    with requested(page, b"GET /login/oidc HTTP/1.1\r\nHost: node\r\n\r\n", times=60) as connections:
        assert live(page) == 200
        with page.visited_by("op") as client:
            assert client.get("/").status_code == 200
        mute_provider.close()  # resets its connections
        statuses = [status(connection) for connection in connections]

    assert statuses.count(429) >= 50
    assert statuses.count(401) >= 1


def test_half_requests_are_replaced_by_new_connections(page: Page) -> None:
    excess = 20
    times = http_protocol.MAXIMUM_CONNECTIONS + excess
    with requested(page, b"GET /health/live HTTP/1.1\r\nHost:", times=times) as connections:
        assert live(page) == 200
        assert [status(connection) for connection in connections[:excess]] == [0] * excess
        connections[-1].sendall(b" node\r\n\r\n")
        assert status(connections[-1]) == 200


@pytest.mark.parametrize(
    "request_start",
    [
        b"",
        b"GET /login HTTP/1.1\r\nHost: node\r\n",
        f"POST /login HTTP/1.1\r\n{LOGIN_HEADERS}Content-Length: 9\r\n\r\nname".encode(),
    ],
    ids=["nothing", "half a header", "half a body"],
)
def test_a_request_that_never_ends_is_dropped(
    page: Page, request_start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "REQUEST_TIMEOUT_S", 0.1)
    with requested(page, request_start) as (connection,):
        assert status(connection) == 0


def test_a_response_that_is_not_taken_is_dropped(
    page: Page, blocked: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "RESPONSE_TIMEOUT_S", 0.1)
    with requested(page, wrong_login()) as (connection,):
        assert status(connection) == 0


@pytest.mark.parametrize("path", ["/login", "/logout", "/jobs/1/retry", "/api/v1/jobs/1/retry"])
@pytest.mark.parametrize("length", ["Content-Length: 314572800", "Transfer-Encoding: chunked"])
def test_a_large_body_is_refused_before_it_is_read(page: Page, path: str, length: str) -> None:
    body = b"" if length.startswith("Content") else b"%x\r\n" % (1 << 17) + bytes(request_guard.MAXIMUM_BODY_BYTES + 1)
    with requested(page, f"POST {path} HTTP/1.1\r\n{LOGIN_HEADERS}{length}\r\n\r\n".encode() + body) as (connection,):
        assert live(page) == 200
        assert status(connection) == 413


def test_more_requests_than_allowed_are_refused_but_health_is_not(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    released, entered = threading.Event(), threading.Event()

    def collect(*_: object) -> Iterator[object]:
        entered.set()
        released.wait(60)
        yield from ()

    monkeypatch.setattr(metrics._Node, "collect", collect)
    monkeypatch.setattr(request_guard, "MAXIMUM_REQUESTS", 3)
    with requested(page, b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n", times=3) as connections:
        assert entered.wait(10)
        with requested(page, b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n", times=8) as others:
            refused = [status(connection) for connection in others]
        assert live(page) == 200
        released.set()
        assert [status(connection) for connection in connections] == [200] * 3

    assert refused.count(503) == 8
