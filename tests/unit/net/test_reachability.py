"""Causes of an unreachable peer, told apart."""

import socket
from collections.abc import Callable

import pytest

from cxr_node.net.reachability import why_unreachable

LOOPBACK = "127.0.0.1"


def test_a_port_where_nothing_listens_is_refused() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]

    assert why_unreachable(LOOPBACK, port, timeout_s=5.0) == "the connection is refused: no program listens there"


def test_a_program_that_does_not_answer_accepts_connections() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        cause = why_unreachable(LOOPBACK, listener.getsockname()[1], timeout_s=5.0)

    assert cause == "it accepts connections, but aborted, closed or did not answer the association request"


def _raising(error: OSError) -> Callable[..., socket.socket]:
    def connect(*_arguments: object, **_named: object) -> socket.socket:
        raise error

    return connect


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the host pacs.example is not known"),
        (TimeoutError(), "no response to the connection request within 3 s"),
        (OSError(113, "No route to host"), "no route to host"),
    ],
    ids=["unknown", "silent", "no route"],
)
def test_other_causes_have_a_sentence_each(error: OSError, cause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", _raising(error))

    assert why_unreachable("pacs.example", 104, timeout_s=3.0) == cause
