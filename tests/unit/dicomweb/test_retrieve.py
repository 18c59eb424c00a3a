"""Places of responses that hold an object in memory."""

import socket
import threading
from collections.abc import Callable
from typing import cast

import h11
import pytest

from cxr_node.dicomweb.holdings import Holdings
from cxr_node.dicomweb.retrieve import Retrieval
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.net.http_exchange import Client, Exchange, HttpConnection, HttpLimits, RequestRejected
from cxr_node.queries.held_instances import HeldInstance
from tests.support.peers import LOOPBACK


@pytest.fixture
def held() -> HeldInstance:
    digest = Digest("0" * 64)
    return HeldInstance(
        study_id=1,
        study_instance_uid=Uid("1.2.1"),
        series_instance_uid=Uid("1.2.2"),
        sop_instance_uid=Uid("1.2.3"),
        sop_class_uid=Uid("1.2.4"),
        transfer_syntax_uid=Uid("1.2.840.10008.1.2.1"),
        archive_key=f"films/00/{digest}.dcm",
        digest=digest,
    )


def exchange() -> Exchange:
    """Return a request whose response is not sent."""
    connection = HttpConnection(cast("socket.socket", None), limits=HttpLimits())
    connection.protocol.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return Exchange(connection, cast("h11.Request", connection.next_event()), client=Client(address=LOOPBACK))


@pytest.mark.parametrize(
    "respond",
    [
        lambda retrieval, held: retrieval.objects(exchange(), [held]),
        lambda retrieval, held: retrieval.frames(exchange(), held, "1"),
        lambda retrieval, held: retrieval.bulk_data(exchange(), held, "00282000"),
    ],
    ids=["objects", "frames", "bulk data"],
)
def test_a_request_that_gets_no_place_in_time_is_503(
    respond: Callable[[Retrieval, HeldInstance], None], held: HeldInstance
) -> None:
    places = threading.BoundedSemaphore(1)
    retrieval = Retrieval(holdings=cast("Holdings", None), places=places, wait_s=0.0)
    with places, pytest.raises(RequestRejected) as rejected:
        respond(retrieval, held)

    assert rejected.value.status == 503
    assert rejected.value.headers["Retry-After"]
