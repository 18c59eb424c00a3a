"""PDUs of a requestor as bytes, in forms that no library would send, and a peer that sends them (PS3.8 section 9.3)."""

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.peers import LOOPBACK
from tests.support.receiver import DX, EXPLICIT_VR_LITTLE_ENDIAN

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
RELEASE_REQUEST = b"\x05\0\0\0\0\x04\0\0\0\0"


def item(kind: int, value: bytes) -> bytes:
    """Return an item or sub-item."""
    return struct.pack(">BxH", kind, len(value)) + value


def context(
    context_id: int = 1,
    abstract_syntax: bytes = DX.encode(),
    transfer_syntaxes: Sequence[bytes] = (EXPLICIT_VR_LITTLE_ENDIAN.encode(),),
) -> bytes:
    """Return a presentation context item of a request."""
    syntaxes = b"".join(item(0x40, syntax) for syntax in transfer_syntaxes)
    return item(0x20, bytes([context_id, 0, 0, 0]) + item(0x30, abstract_syntax) + syntaxes)


def user_information(
    *more: bytes, maximum_length: int = 16384, implementation: bytes = b"1.2.3.4", version: bytes = b"RAW_1"
) -> bytes:
    """Return a user information item, with the sub-items `more`."""
    sub_items = (item(0x51, struct.pack(">L", maximum_length)), item(0x52, implementation), *more, item(0x55, version))
    return item(0x50, b"".join(sub_items))


def associate_rq(
    *items: bytes,
    called: bytes = b"CXRNODE         ",
    calling: bytes = b"MODALITY        ",
    protocol: int = 1,
    application_context: bytes = APPLICATION_CONTEXT,
    user: bytes | None = None,
) -> bytes:
    """Return an A-ASSOCIATE-RQ with the presentation contexts `items`; without any, with one of DX."""
    variable = item(0x10, application_context) + b"".join(items or (context(),))
    variable += user_information() if user is None else user
    body = struct.pack(">HH16s16s32x", protocol, 0, called, calling) + variable
    return struct.pack(">BxL", 1, len(body)) + body


def element(tag: int, value: bytes) -> bytes:
    """Return an element of a command set."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def uid_value(text: str) -> bytes:
    """Return an encoded UID of even length."""
    return text.encode() + b"\0" * (len(text) % 2)


def store_rq(
    sop_instance_uid: str,
    *,
    sop_class_uid: str = DX,
    priority: int | None = 0,
    changes: Mapping[int, bytes] | None = None,
) -> bytes:
    """Return the command set of a C-STORE request; `changes` are values by tag, in addition or instead."""
    values = {
        0x0002: uid_value(sop_class_uid),
        0x0100: b"\1\0",
        0x0110: b"\1\0",
        **({} if priority is None else {0x0700: struct.pack("<H", priority)}),
        0x0800: b"\0\0",
        0x1000: uid_value(sop_instance_uid),
        **(changes or {}),
    }
    return command_set(values)


def command_set(values: Mapping[int, bytes]) -> bytes:
    """Return a command set of these values by tag, with its group length."""
    elements = b"".join(element(tag, values[tag]) for tag in sorted(values))
    return element(0, struct.pack("<L", len(elements))) + elements


def p_data(*values: tuple[int, int, bytes]) -> bytes:
    """Return a P-DATA-TF PDU of presentation context ID, message control header and fragment of each value."""
    body = b"".join(struct.pack(">LBB", len(value) + 2, number, header) + value for number, header, value in values)
    return struct.pack(">BxL", 4, len(body)) + body


def received_pdu(connection: socket.socket) -> bytes:
    """Return the next PDU, as much of it as comes before the end of the connection."""
    head = _received(connection, 6)
    return head + _received(connection, int.from_bytes(head[2:])) if len(head) == 6 else head


def _received(connection: socket.socket, count: int) -> bytes:
    received = b""
    # A socket with a time-out may return less, MSG_WAITALL or not.
    with suppress(ConnectionError):
        while len(received) < count and (more := connection.recv(count - len(received))):
            received += more
    return received


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The PDU that answers a request; of an A-ASSOCIATE-AC, result and transfer syntax by presentation context ID."""

    pdu: bytes
    contexts: Mapping[int, tuple[int, str]] = field(default_factory=dict)

    @property
    def is_accepted(self) -> bool:
        """Whether it is an A-ASSOCIATE-AC."""
        return self.pdu[:1] == b"\2"

    @property
    def verdict(self) -> str:
        """The answer in words: accepted, rejected with result, source and reason, aborted with source, or none."""
        match self.pdu[:1]:
            case b"\2":
                return "accepted"
            case b"\3":
                return "rejected {} {} {}".format(*self.pdu[7:10])
            case b"\7":
                return f"aborted {self.pdu[8]}"
            case _:
                return "none"


def answer_of(pdu: bytes) -> Answer:
    """Return the answer in a received PDU."""
    return Answer(pdu=pdu, contexts=dict(_results(pdu[74:])) if pdu[:1] == b"\2" else {})


def _results(items: bytes) -> Iterator[tuple[int, tuple[int, str]]]:
    offset = 0
    while offset < len(items):
        end = offset + 4 + int.from_bytes(items[offset + 2 : offset + 4])
        if items[offset] == 0x21:
            value = items[offset + 4 : end]
            yield value[0], (value[2], value[8:].decode())
        offset = end


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRequestor:
    """A connection on which a request was sent, and its answer."""

    connection: socket.socket
    answer: Answer

    def store(self, command: bytes, data_set: bytes, *, context_id: int = 1) -> int | None:
        """Send a C-STORE request; return the status of the response, or None where there is none."""
        self.connection.sendall(p_data((context_id, 3, command)) + p_data((context_id, 2, data_set)))
        response = received_pdu(self.connection)
        if response[:1] != b"\4":
            return None
        assert response[10] == context_id
        return int.from_bytes(response[response.index(b"\0\0\0\x09\2\0\0\0") + 8 :][:2], "little")

    def release(self) -> bool:
        """Request the release; return whether it is confirmed."""
        self.connection.sendall(RELEASE_REQUEST)
        return received_pdu(self.connection)[:1] == b"\6"


@contextmanager
def requesting(port: int, request: bytes, *, timeout_s: float = 20.0) -> Iterator[RawRequestor]:
    """Connect, send `request`, and wait for the answer."""
    with socket.create_connection((LOOPBACK, port), timeout=timeout_s) as connection:
        connection.sendall(request)
        try:
            pdu = received_pdu(connection)
        except TimeoutError:
            pdu = b""
        yield RawRequestor(connection=connection, answer=answer_of(pdu))
