"""Any association request ends in one reported outcome, and no PDU that is normalized makes pynetdicom raise."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.presentation import build_context, negotiate_as_requestor

from cxr_node.domain.identifiers import parse_ae_title
from cxr_node.net.associate_pdu import InvalidPduError, normalized, normalized_request
from cxr_node.receive.events import (
    AssociationAccepted,
    AssociationRejected,
    ConnectionFailed,
    ConnectionFailure,
    ReceiveEvent,
)
from tests.support import peers
from tests.support.association_strategies import FIRST_PDUS, PADDINGS, TITLES, associate_pdus
from tests.support.example_counts import counts
from tests.support.peers import until
from tests.support.raw_upper_layer import associate_rq
from tests.support.receiver import DX, EXPLICIT_VR_LITTLE_ENDIAN, PATHS, ReceivePath, receiving

OUTCOMES = (AssociationAccepted, AssociationRejected, ConnectionFailed)
QUIETLY = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A receiver, and the events that it reported."""

    port: int
    events: list[ReceiveEvent]


@pytest.fixture(scope="module", params=PATHS)
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A receiver on each path."""
    before, ReceivePath.chosen = ReceivePath.chosen, request.param
    events: list[ReceiveEvent] = []
    with receiving(on_event=events.append) as running:
        ReceivePath.chosen = before
        yield Node(port=running.port, events=events)


def decode_request(pdu: bytes) -> None:
    """Decode a request as pynetdicom's state machine does."""
    with suppress(InvalidPduError):
        request = A_ASSOCIATE_RQ()
        request.decode(normalized_request(pdu).pdu)
        primitive = request.to_primitive()
        assert primitive.calling_ae_title.strip()
        assert all(context.transfer_syntax for context in primitive.presentation_context_definition_list)


def decode_acceptance(pdu: bytes) -> None:
    """Decode an acceptance as pynetdicom's requestor does."""
    with suppress(InvalidPduError):
        answer = A_ASSOCIATE_AC()
        answer.decode(normalized(pdu))
        contexts = [build_context(DX, EXPLICIT_VR_LITTLE_ENDIAN), build_context(DX)]
        for number, context in enumerate(contexts):
            context.context_id = 2 * number + 1
        results = answer.to_primitive().presentation_context_definition_results_list
        assert len(negotiate_as_requestor(contexts, results)) == 2


def one_outcome(node: Node, first: bytes) -> None:
    """Send `first` and close: the node answers or closes, and reports one outcome, which is no error of its own."""
    node.events.clear()
    with peers.connected(node.port) as connection, suppress(ConnectionError):
        connection.sendall(first)
        with suppress(OSError):  # not connected, where the node has closed already
            connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    until(lambda: bool(node.events), what="the outcome")
    (event,) = node.events
    assert isinstance(event, OUTCOMES)
    assert getattr(event, "failure", None) is not ConnectionFailure.INTERNAL_ERROR


@pytest.mark.slow
@given(associate_pdus(1))
@settings(max_examples=300, deadline=None, suppress_health_check=QUIETLY)
def test_a_normalized_request_is_decoded(pdu: bytes) -> None:
    decode_request(pdu)


@pytest.mark.slow
@given(associate_pdus(2))
@settings(max_examples=300, deadline=None, suppress_health_check=QUIETLY)
def test_a_normalized_acceptance_is_decoded(pdu: bytes) -> None:
    decode_acceptance(pdu)


@given(st.binary(max_size=8))
def test_a_normalized_rejection_or_abort_is_decoded(content: bytes) -> None:
    rejection, abort = A_ASSOCIATE_RJ(), A_ABORT_RQ()
    rejection.decode(normalized(b"\3\0" + len(content).to_bytes(4) + content))
    assert rejection.to_primitive().reason_str
    abort.decode(normalized(b"\7\0" + len(content).to_bytes(4) + content))
    assert abort.to_primitive() is not None


@pytest.mark.slow
@counts(200, 20_000)
def test_any_ae_title_becomes_a_valid_one_and_a_valid_one_stays(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(TITLES, PADDINGS, st.sampled_from([b" ", b"\0"]))
    def check(title: bytes, padding: bytes, fill: bytes) -> None:
        sent = (title + padding).ljust(16, fill)[:16]
        request = A_ASSOCIATE_RQ()
        request.decode(normalized_request(associate_rq(calling=sent, called=sent)).pdu)
        primitive = request.to_primitive()
        stored = parse_ae_title(primitive.calling_ae_title)
        assert parse_ae_title(primitive.called_ae_title) == stored
        with suppress(ValueError):
            assert stored == parse_ae_title(sent.strip(b" \0\r\n").decode("ascii", "replace"))

    check()


@pytest.mark.slow
@given(FIRST_PDUS)
@settings(max_examples=200, deadline=None, suppress_health_check=QUIETLY)
def test_a_connection_has_one_outcome(node: Node, first: bytes) -> None:
    one_outcome(node, first)


@pytest.mark.long
@pytest.mark.timeout(3600)
@given(FIRST_PDUS, associate_pdus(1), associate_pdus(2))
@settings(max_examples=20_000, deadline=None, suppress_health_check=QUIETLY)
def test_twenty_thousand_connections_have_one_outcome_each(
    node: Node, first: bytes, request_pdu: bytes, acceptance: bytes
) -> None:
    decode_request(request_pdu)
    decode_acceptance(acceptance)
    one_outcome(node, first)
