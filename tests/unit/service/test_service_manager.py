"""Messages of sd_notify(3), received by a socket as the service manager has one."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxr_node.service.service_manager import ServiceManager


@pytest.fixture(params=["file", "abstract"])
def received(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """NOTIFY_SOCKET, and a function that returns the next message, empty if there is none."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@cxr-node-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if name.startswith("@") else name)
        manager.setblocking(False)

        def next_message() -> str:
            try:
                return manager.recv(1000).decode()
            except BlockingIOError:
                return ""

        yield name, next_message


def test_ready_is_sent_once_and_the_watchdog_each_second(received: tuple[str, Callable[[], str]]) -> None:
    name, next_message = received
    manager = ServiceManager({"NOTIFY_SOCKET": name})

    manager.working(now=10.0)
    manager.working(now=10.9)
    manager.ready()
    manager.ready()
    manager.working(now=11.0)
    manager.stopping()

    starting, *messages = [next_message() for _ in range(5)]
    assert starting == "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000"
    assert [message.split("\n")[0] for message in messages] == ["READY=1", "WATCHDOG=1", "STOPPING=1", ""]
    assert "EXTEND" not in messages[1]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/no/such/socket"}])
def test_without_a_service_manager_nothing_is_sent(environment: dict[str, str]) -> None:
    manager = ServiceManager(environment)

    manager.working(now=0.0)
    manager.ready()
    manager.stopping()
