"""Both paths of reception give the same responses and end associations alike, for any bytes of a peer."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

from cxr_node.domain.instance import Instance
from tests.support import films
from tests.support.peers import LOOPBACK, VERIFICATION
from tests.support.receiver import DX, EXPLICIT_VR_LITTLE_ENDIAN, PATHS, ReceivePath, Running, receiving

STORAGE_CONTEXT, ECHO_CONTEXT, NO_CONTEXT = 1, 3, 9
CLIENT_TIMEOUT_S = 180.0
"""Longer than any time-out of the receiver, so that a peer without a response fails the test."""


def encoded(data_set: Dataset, *, implicit: bool = False) -> bytes:
    content = encode(data_set, implicit, True)
    assert content is not None
    return content


FILM = films.dx(rows=30, columns=40)
DATA_SET = encoded(FILM)


def command(field: int, *, message_id: int = 1, data_set: bool = True, uid: str = FILM.SOPInstanceUID) -> bytes:
    elements = Dataset()
    elements.CommandField = field
    elements.CommandDataSetType = 1 if data_set else 0x0101
    if field == 0x0FFF:
        elements.MessageIDBeingRespondedTo = message_id
        return encoded(elements, implicit=True)
    elements.MessageID = message_id
    elements.AffectedSOPClassUID = DX if field == 1 else VERIFICATION
    if field == 1:
        elements.Priority = 2
        elements.AffectedSOPInstanceUID = uid
    return encoded(elements, implicit=True)


STORE, OTHER_STORE, ECHO, CANCEL = (
    command(1),
    command(1, uid="1.2.3"),
    command(0x30, data_set=False),
    command(0xFFF, data_set=False),
)


def item(header: int, content: bytes, context_id: int = STORAGE_CONTEXT) -> bytes:
    return (len(content) + 2).to_bytes(4, "big") + bytes([context_id, header]) + content


def pdu(*items: bytes) -> bytes:
    content = b"".join(items)
    return b"\x04\x00" + len(content).to_bytes(4, "big") + content


FRAGMENTS = [
    item(0x03, STORE),
    item(0x03, STORE, NO_CONTEXT),
    item(0x03, OTHER_STORE),
    item(0x01, STORE[:30]),
    item(0x03, STORE[30:]),
    item(0x00, DATA_SET[:300]),
    item(0x00, b""),
    item(0x02, DATA_SET),
    item(0x02, DATA_SET[300:]),
    item(0x02, b""),
    item(0x02, DATA_SET, ECHO_CONTEXT),
    item(0x03, ECHO, ECHO_CONTEXT),
    item(0x03, CANCEL),
    item(0x03, b"no command"),
    b"\0\0\0\1\1",
    b"\0\0\0\0",
]
WHOLE = [
    pdu(item(0x03, STORE), item(0x02, DATA_SET)),
    pdu(item(0x03, STORE)) + pdu(item(0x00, DATA_SET[:99])) + pdu(item(0x00, b""), item(0x02, DATA_SET[99:])),
    pdu(item(0x03, ECHO, ECHO_CONTEXT)),
    pdu(item(0x03, STORE), item(0x02, DATA_SET), item(0x03, ECHO, ECHO_CONTEXT)),
]
OTHER_PDUS = [
    b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # A-RELEASE-RQ
    b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # A-ABORT
    b"\x02\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # a cut A-ASSOCIATE-AC
    b"\x08\x00\x00\x00\x00\x00",
    b"\x04\x00\x7f\xff\xff\xff",
    pdu(),
]
STEPS = st.one_of(
    st.sampled_from(WHOLE),
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=3).map(lambda items: pdu(*items)),
    st.sampled_from(OTHER_PDUS),
)


def association_request() -> bytes:
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = "DX1", "CXRNODE"
    storage, verification = build_context(DX, EXPLICIT_VR_LITTLE_ENDIAN), build_context(VERIFICATION)
    storage.context_id, verification.context_id = STORAGE_CONTEXT, ECHO_CONTEXT
    request.presentation_context_definition_list = [storage, verification]
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received = 16_384
    implementation.implementation_class_uid = AE().implementation_class_uid
    request.user_information = [longest, implementation]
    return A_ASSOCIATE_RQ(request).encode()


REQUEST = association_request()


def received_pdu(connection: socket.socket) -> bytes:
    head = connection.recv(6, socket.MSG_WAITALL)
    return head + connection.recv(int.from_bytes(head[2:6], "big"), socket.MSG_WAITALL) if len(head) == 6 else b""


SYNCHRONISE = pdu(item(0x03, command(0x30, message_id=999, data_set=False), ECHO_CONTEXT))
SYNCHRONISED = b"\x20\x01\x02\0\0\0\xe7\x03"  # Message ID Being Responded To (0000,0120)


def ends_within_pdu(content: bytes) -> bool:
    """Return whether the last PDU of `content` is longer than what is left: a receiver waits for the rest."""
    offset = 0
    while offset < len(content):
        offset += 6 + int.from_bytes(content[offset + 2 : offset + 6], "big")
    return offset > len(content)


def exchange(port: int, steps: list[bytes], cut: float) -> list[bytes]:
    """Send each step in two pieces, each followed by a C-ECHO request; return the received PDUs.

    Nothing is sent after a PDU that is not complete, so that no time-out of a receiver decides.
    """
    answers: list[bytes] = []
    with (
        socket.create_connection((LOOPBACK, port), timeout=CLIENT_TIMEOUT_S) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(REQUEST)
        assert received_pdu(connection)[:1] == b"\x02"
        for step in steps:
            with suppress(OSError):  # the connection may be closed early; its responses are kept
                connection.sendall(step[: int(cut * len(step))])
                connection.sendall(step[int(cut * len(step)) :] + SYNCHRONISE)
                if ends_within_pdu(step + SYNCHRONISE):
                    connection.shutdown(socket.SHUT_WR)
            while not answers or SYNCHRONISED not in answers[-1]:
                answer = received_pdu(connection)
                if not answer:
                    return answers
                answers.append(answer)
            answers[-1] = b"synchronised"
    return answers


class Both:
    """A receiver on each path."""

    def __init__(self, running: list[Running]) -> None:
        self.running = running

    def exchange_with_both(self, steps: list[bytes], cut: float) -> list[tuple[list[bytes], list[Instance]]]:
        """Return responses and stored instances of each."""
        before = [len(node.instances) for node in self.running]
        with ThreadPoolExecutor(len(self.running)) as pool:
            answers = list(pool.map(lambda node: exchange(node.port, steps, cut), self.running))
        stored = [node.instances[count:] for node, count in zip(self.running, before, strict=True)]
        return list(zip(answers, stored, strict=True))


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """Receivers on both paths."""
    with ExitStack() as stack:
        running = []
        before = ReceivePath.chosen
        for path in PATHS:
            ReceivePath.chosen = path
            running.append(stack.enter_context(receiving()))
        ReceivePath.chosen = before
        yield Both(running)


def answer_alike(both: Both, steps: list[bytes], change: tuple[int, float, int] | None, cut: float) -> None:
    if change is not None and steps:
        which, where, value = change
        step = steps[which % len(steps)]
        position = int(where * len(step))
        steps[which % len(steps)] = step[:position] + bytes([value]) + step[position + 1 :]
    (streaming, stored_streaming), (pynetdicom, stored_pynetdicom) = both.exchange_with_both(steps, cut)
    streaming, pynetdicom = until_end(streaming), until_end(pynetdicom)
    if streaming and streaming[-1] == b"synchronised":
        assert (streaming, stored_streaming) == (pynetdicom, stored_pynetdicom)
        return
    # Where the association ends directly after a film, its response may or may not precede the end.
    assert streaming[-1:] == pynetdicom[-1:] or not (is_end(streaming) or is_end(pynetdicom))
    for one, other in ((without_end(streaming), without_end(pynetdicom)), (stored_streaming, stored_pynetdicom)):
        shorter = min(len(one), len(other))
        assert one[:shorter] == other[:shorter]


ENDS = (b"\x06", b"\x07")


def is_end(answers: list[bytes]) -> bool:
    return bool(answers) and answers[-1][:1] in ENDS


def without_end(answers: list[bytes]) -> list[bytes]:
    return answers[:-1] if is_end(answers) else answers


def until_end(answers: list[bytes]) -> list[bytes]:
    """Return the responses up to the first release or abort."""
    return next((answers[: n + 1] for n, answer in enumerate(answers) if answer[:1] in ENDS), answers)


CHANGES = st.none() | st.tuples(st.integers(0, 9), st.floats(0, 1, exclude_max=True), st.integers(0, 255))
QUIETLY = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)


@pytest.mark.slow
@given(st.lists(STEPS, max_size=4), CHANGES, st.floats(0, 1))
@settings(max_examples=20, deadline=None, suppress_health_check=QUIETLY)
def test_both_paths_respond_alike(
    both: Both, steps: list[bytes], change: tuple[int, float, int] | None, cut: float
) -> None:
    answer_alike(both, steps, change, cut)


@pytest.mark.long
@given(st.lists(STEPS, max_size=6), CHANGES, st.floats(0, 1))
@settings(max_examples=1000, deadline=None, suppress_health_check=QUIETLY)
def test_both_paths_respond_alike_a_thousand_times(
    both: Both, steps: list[bytes], change: tuple[int, float, int] | None, cut: float
) -> None:
    answer_alike(both, steps, change, cut)


@pytest.mark.parametrize(
    "step", [*WHOLE, WHOLE[0] * 12], ids=["at once", "in fragments", "an echo", "two in one PDU", "a dozen ahead"]
)
def test_both_paths_respond_to_complete_messages(both: Both, step: bytes) -> None:
    streaming, pynetdicom = both.exchange_with_both([step, step], 0.5)
    assert streaming == pynetdicom
    assert streaming[0].count(b"synchronised") == 2
    assert len(streaming[0]) >= 4
