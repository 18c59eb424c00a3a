"""Association requests as the field sends them: taken, refused, and reported; DCMTK and Orthanc beside the node."""

import logging
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from socket import SHUT_WR

import pytest
from pynetdicom.dsutils import encode

from cxr_node.receive.events import AssociationRejected, ConnectionFailed, ReceiveEvent
from cxr_node.receive.rejection import Rejection
from tests.support import films, peers
from tests.support.peers import until
from tests.support.raw_upper_layer import (
    IMPLICIT_VR_LITTLE_ENDIAN,
    associate_rq,
    context,
    item,
    p_data,
    received_pdu,
    requesting,
    store_rq,
    user_information,
)
from tests.support.receiver import DX, EXPLICIT_VR_LITTLE_ENDIAN, PATHS, ReceivePath, Running, receiving

FILM = films.dx(rows=16, columns=16)
DATA_SET = encode(FILM, False, True) or b""
STORE = store_rq(FILM.SOPInstanceUID)
CR = b"1.2.840.10008.5.1.4.1.1.1"
DX_UID, EXPLICIT = DX.encode(), EXPLICIT_VR_LITTLE_ENDIAN.encode()


def role(uid: bytes, *roles: int) -> bytes:
    """Return an SCP/SCU Role Selection sub-item."""
    return item(0x54, struct.pack(">H", len(uid)) + uid + bytes(roles))


def identity(kind: int) -> bytes:
    """Return a User Identity sub-item."""
    return item(0x58, bytes([kind, 0]) + b"\0\3joe\0\0")


TAKEN = {
    "plain": associate_rq(),
    "titles padded with NUL": associate_rq(called=b"CXRNODE", calling=b"MODALITY"),
    "called title ends in NUL, then spaces": associate_rq(called=b"CXRNODE\0        "),
    "called title ends in CR and LF": associate_rq(called=b"CXRNODE\r\n       "),
    "rubbish behind the NUL of the called title": associate_rq(called=b"CXRNODE\0\xff\x01rub  "),
    "calling title is blank": associate_rq(calling=b" " * 16),
    "calling title is only NUL": associate_rq(calling=bytes(16)),
    "calling title in Latin-1": associate_rq(calling=b"R\xd6NTGEN1        "),
    "calling title in UTF-8": associate_rq(calling="DR放射        ".encode()),
    "calling title of control characters": associate_rq(calling=b"\xc0\xb3\x60\x49\xfc\x7f          "),
    "calling title with a backslash": associate_rq(calling=b"DX\\1            "),
    "version name of 30 characters": associate_rq(user=user_information(version=b"AN_IMPLEMENTATION_OF_LONG_NAME")),
    "version name in Latin-1": associate_rq(user=user_information(version=b"R\xf6ntgen")),
    "blank version name": associate_rq(user=user_information(version=b"    ")),
    "unknown sub-item 5F": associate_rq(user=user_information(item(0x5F, b"abcd"))),
    "unknown sub-item 91": associate_rq(user=user_information(item(0x91, b"abcd"))),
    "unknown item 60": associate_rq(item(0x60, b"abc"), context()),
    "user identity of type 1": associate_rq(user=user_information(identity(1))),
    "user identity of type 6": associate_rq(user=user_information(identity(6))),
    "role selection of 0 and 0": associate_rq(user=user_information(role(DX_UID, 0, 0))),
    "role selection of 2 and 7": associate_rq(user=user_information(role(DX_UID, 2, 7))),
    "asynchronous operations of 0 and 0": associate_rq(user=user_information(item(0x53, bytes(4)))),
    "implementation class UID padded with NUL": associate_rq(user=user_information(implementation=b"1.2.3\0")),
    "implementation class UID of text": associate_rq(user=user_information(implementation=b"MYMODALITY")),
    "implementation class UID with a leading zero": associate_rq(user=user_information(implementation=b"1.02.3")),
    "no implementation class UID": associate_rq(user=item(0x50, item(0x51, b"\0\0\x40\0"))),
    "no maximum length": associate_rq(user=item(0x50, item(0x52, b"1.2.3"))),
    "no user information": associate_rq(user=b""),
    "maximum length of 1": associate_rq(user=user_information(maximum_length=1)),
    "maximum length of 16384": associate_rq(user=user_information(maximum_length=16384)),
    "zeros behind the last item": associate_rq(user=user_information() + bytes(6)),
    "application context padded with NUL": associate_rq(application_context=b"1.2.840.10008.3.1.1.1\0"),
    "protocol version with other bits": associate_rq(protocol=0x8003),
    "context without a transfer syntax beside": associate_rq(context(3, CR, ()), context()),
    "context without an abstract syntax beside": associate_rq(item(0x20, b"\3\0\0\0" + item(0x40, b"1.2")), context()),
    "UIDs of a context padded with NUL": associate_rq(context(1, DX_UID + b"\0", [EXPLICIT + b"\0"])),
    "transfer syntax padded with a space": associate_rq(context(1, DX_UID, [EXPLICIT + b" "])),
    "two abstract syntaxes in a context": associate_rq(
        item(0x20, b"\1\0\0\0" + item(0x30, DX_UID) + item(0x30, CR) + item(0x40, EXPLICIT))
    ),
    "one ID for two transfer syntaxes": associate_rq(
        context(), context(1, DX_UID, [IMPLICIT_VR_LITTLE_ENDIAN.encode()])
    ),
    "one ID for two SOP Classes": associate_rq(context(1, CR), context()),
    "abstract syntax of 80 characters beside": associate_rq(context(3, b"1." + b"2" * 78), context()),
    "128 contexts": associate_rq(*(context(number) for number in range(1, 256, 2))),
}
"""Requests that get an association on which a film is stored."""

ACCEPTED, SILENT = "accepted", "none"
STRICTER_THAN_THE_NODE = {
    "calling title is blank": (SILENT, SILENT),
    "calling title is only NUL": (SILENT, SILENT),
    "context without a transfer syntax beside": (SILENT, SILENT),
    "abstract syntax of 80 characters beside": (SILENT, SILENT),
    "zeros behind the last item": (SILENT, SILENT),
    "transfer syntax padded with a space": ("context refused 4", "context refused 3"),
    "one ID for two transfer syntaxes": ("stored", ACCEPTED),
    "maximum length of 1": (ACCEPTED, ACCEPTED),
}
"""Requests that DCMTK, Orthanc or both do not take, and how far each gets: no answer, or an association alone."""

REFUSED = {
    "another application context": (associate_rq(application_context=b"1.2.3.4"), "rejected 1 1 2"),
    "no application context name": (associate_rq(application_context=b""), "rejected 1 1 2"),
    "protocol version 2": (associate_rq(protocol=2), "rejected 1 2 2"),
    "protocol version 0": (associate_rq(protocol=0), "rejected 1 2 2"),
}
"""Requests that the node, DCMTK and Orthanc reject alike."""

REJECTED_TITLES = {
    "another called title": (associate_rq(called=b"ANOTHER         "), Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED),
    "called title is blank": (associate_rq(called=b" " * 16), Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED),
}

NO_REQUEST = {
    "an item longer than the request": associate_rq()[:-10] + b"\x7f" * 10,
    "a request that ends in its fixed fields": b"\1\0\0\0\0\x20" + bytes(32),
    "a request of 2 GiB": b"\1\0\x7f\xff\xff\xff" + bytes(64),
    "a TLS handshake": b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3",
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a line feed": b"\n",
    "100,000 bytes of 0xFF": b"\xff" * 100_000,
    "a release instead of a request": b"\5\0\0\0\0\4\0\0\0\0",
    "an abort instead of a request": b"\7\0\0\0\0\4\0\0\0\0",
    "data instead of a request": b"\4\0\0\0\0\6\0\0\0\2\1\3",
    "half a request": associate_rq()[:99],
    "nothing": b"",
}
"""Bytes before the end of a connection that gets no association."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A receiver, and the events that it reported."""

    running: Running
    events: list[ReceiveEvent] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.running.port


@pytest.fixture(autouse=True)
def _warnings_are_captured(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


@pytest.fixture(scope="module", params=PATHS)
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A receiver on each path."""
    before, ReceivePath.chosen = ReceivePath.chosen, request.param
    events: list[ReceiveEvent] = []
    with receiving(on_event=events.append) as running:
        ReceivePath.chosen = before
        yield Node(running=running, events=events)


@pytest.mark.parametrize("name", TAKEN)
def test_an_odd_request_gets_an_association_and_its_film_is_stored(node: Node, name: str) -> None:
    with requesting(node.port, TAKEN[name]) as peer:
        assert peer.answer.contexts[1] == (0, EXPLICIT_VR_LITTLE_ENDIAN)
        assert peer.store(STORE, DATA_SET) == 0
        assert peer.release()


@pytest.mark.parametrize("maximum_length", [8, 9, 13, 64, 127])
def test_answers_keep_the_maximum_length_in_even_fragments(node: Node, maximum_length: int) -> None:
    """PS3.8 section D.1, and section E.1: each fragment but the last of a message has an even length."""
    request = associate_rq(user=user_information(maximum_length=maximum_length))
    with requesting(node.port, request) as peer:
        peer.connection.sendall(p_data((1, 3, STORE)) + p_data((1, 2, DATA_SET)))
        pdus = [received_pdu(peer.connection)]
        while not pdus[-1][11] & 2:
            pdus.append(received_pdu(peer.connection))
    assert len(pdus) > 1
    assert all(len(pdu) - 6 <= maximum_length and len(pdu) % 2 == 0 for pdu in pdus)
    assert b"\0\0\0\x09\2\0\0\0\0\0" in b"".join(pdu[12:] for pdu in pdus)


@pytest.mark.parametrize("context_id", [0, 2, 254])
def test_an_even_context_id_is_used_in_every_answer(node: Node, context_id: int) -> None:
    request = associate_rq(context(1, CR), context(context_id), context(255, CR))
    with requesting(node.port, request) as peer:
        assert {number: result for number, (result, _) in peer.answer.contexts.items()} == {1: 0, context_id: 0, 255: 0}
        assert peer.store(STORE, DATA_SET, context_id=context_id) == 0
        assert peer.release()


@pytest.mark.parametrize(
    ("calling", "title"),
    [
        (b"MODALITY", "MODALITY"),
        (b"  DX 1\0\0rubbish", "DX 1"),
        (b"R\xd6NTGEN1", "R?NTGEN1"),
        (b"DX\\1", "DX?1"),
        (b"", "?"),
    ],
)
def test_a_sender_has_a_title_that_dicom_can_hold(node: Node, calling: bytes, title: str) -> None:
    with requesting(node.port, associate_rq(calling=calling.ljust(16, b"\0"))) as peer:
        assert peer.store(STORE, DATA_SET) == 0
    assert node.running.senders[-1].calling_ae_title == title


def test_the_answer_repeats_the_titles_as_they_were_sent(node: Node) -> None:
    """PS3.8 table 9-17: sent with a value identical to the request's."""
    request = associate_rq(called=b"CXRNODE\0", calling=b"R\xd6NTGEN1\0")
    with requesting(node.port, request) as peer:
        assert peer.answer.pdu[10:74] == request[10:74]


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_of_another_protocol_is_rejected_at_once(node: Node, name: str) -> None:
    request, verdict = REFUSED[name]
    before = len(node.events)
    with requesting(node.port, request) as peer:
        assert peer.answer.verdict == verdict
        assert peer.connection.recv(1) == b""
    assert [type(event) for event in node.events[before:]] == [AssociationRejected]


@pytest.mark.parametrize("name", REJECTED_TITLES)
def test_a_title_that_is_not_the_nodes_is_rejected(node: Node, name: str) -> None:
    request, rejection = REJECTED_TITLES[name]
    with requesting(node.port, request) as peer:
        assert peer.answer.verdict == "rejected {} {} {}".format(*rejection.value)


@pytest.mark.parametrize("name", NO_REQUEST)
def test_a_connection_without_a_request_has_one_event_and_one_line(
    node: Node, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    content, before = NO_REQUEST[name], len(node.events)
    with peers.connected(node.port) as connection, suppress(ConnectionError):
        connection.sendall(content)
        with suppress(OSError):  # not connected, where the node has closed already
            connection.shutdown(SHUT_WR)
        assert connection.recv(1000) in (b"", b"\7\0\0\0\0\4\0\0\0\0")
    until(lambda: len(node.events) > before, what="the event")
    (event,) = node.events[before:]
    assert isinstance(event, ConnectionFailed)
    assert event.address == peers.LOOPBACK
    (line,) = [line for line in caplog.messages if "without an association" in line]
    assert peers.LOOPBACK in line
    assert event.detail in line


@pytest.mark.parametrize("path", PATHS)
def test_a_flood_of_connections_is_counted_and_not_logged(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ReceivePath, "chosen", path)
    events: list[ReceiveEvent] = []
    with receiving(on_event=events.append) as running:
        for _ in range(40):
            peers.connected(running.port).close()
        until(lambda: len(events) == 40, what="the event of every connection")
    lines = [line for line in caplog.messages if "without an association" in line]
    assert len(lines) == 11
    assert lines[-1].endswith("and 30 more like it")


def test_silence_ends_with_the_time_out_and_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    events: list[ReceiveEvent] = []
    with receiving(on_event=events.append, acse_timeout_s=0.5) as running, peers.connected(running.port) as connection:
        assert connection.recv(1) == b""
        until(lambda: len(events) == 1, what="the event")
    assert "no whole association request within 0.5 s" in caplog.text


def test_an_open_connection_is_reported_where_the_node_stops(caplog: pytest.LogCaptureFixture) -> None:
    events: list[ReceiveEvent] = []
    with ExitStack() as stack:
        with receiving(on_event=events.append) as running:
            stack.enter_context(peers.connected(running.port))
            with requesting(running.port, associate_rq()) as peer:  # accepted after the connection before it
                assert peer.release()
        assert [event.detail for event in events if isinstance(event, ConnectionFailed)] == ["the node stops"]
    assert "the node stops" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TAKEN if name not in STRICTER_THAN_THE_NODE])
def test_dcmtk_and_orthanc_take_the_same_request(other_nodes: dict[str, int], name: str) -> None:
    statuses = {}
    for peer_name, port in other_nodes.items():
        with requesting(port, TAKEN[name], timeout_s=10.0) as peer:
            statuses[peer_name] = peer.store(STORE, DATA_SET) if peer.answer.is_accepted else peer.answer.verdict
    assert statuses == {"DCMTK": 0, "Orthanc": 0}


def progress(port: int, request: bytes, *, expected: str) -> str:
    """Return how far a request and a film after it get; an answer that is not expected is not waited for long."""
    with requesting(port, request, timeout_s=1.0 if expected == SILENT else 10.0) as peer:
        if not peer.answer.is_accepted:
            return peer.answer.verdict
        peer.connection.settimeout(1.0 if expected == ACCEPTED else 10.0)
        result, _ = peer.answer.contexts[1]
        if result:
            return f"context refused {result}"
        with suppress(TimeoutError):
            return ACCEPTED if peer.store(STORE, DATA_SET) is None else "stored"
        return ACCEPTED


@pytest.mark.slow
@pytest.mark.parametrize("name", STRICTER_THAN_THE_NODE)
def test_the_node_takes_what_dcmtk_or_orthanc_does_not(other_nodes: dict[str, int], name: str) -> None:
    expected = dict(zip(("DCMTK", "Orthanc"), STRICTER_THAN_THE_NODE[name], strict=True))

    outcomes = {
        peer_name: progress(port, TAKEN[name], expected=expected[peer_name]) for peer_name, port in other_nodes.items()
    }

    assert outcomes == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_dcmtk_and_orthanc_reject_the_same_request(other_nodes: dict[str, int], name: str) -> None:
    request, verdict = REFUSED[name]
    verdicts = {}
    for peer_name, port in other_nodes.items():
        with requesting(port, request, timeout_s=10.0) as peer:
            verdicts[peer_name] = peer.answer.verdict
    assert verdicts == {"DCMTK": verdict, "Orthanc": verdict}
