"""DICOM upper layer over a plain socket: PDUs may be malformed, and an idle peer needs no thread."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from cxr_node.faults.scratch import MODALITY_TITLE, NODE_TITLE

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
"""PDU types (PS3.8 section 9.3)."""
HEADER = struct.Struct(">BBL")
"""PDU type, reserved, length of what follows."""
_PDV = struct.Struct(">LBB")
COMMAND, LAST = 0x01, 0x02
"""Bits of the message control header (PS3.8 annex E.2)."""
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_EXPLICIT = "1.2.840.10008.1.2.1"
_STATUS = (0x0000, 0x0900)
_FRAGMENT_BYTES = 16_000
CONTEXT_ID = 1
User = tuple[bytes, bytes]
"""Name and passcode."""
_USER_AND_PASSCODE = b"\2\0"
"""User-Identity-Type, and no positive response requested (PS3.7 section D.3.3.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A film as sent."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    data_set: bytes = field(repr=False)


def message(film: Dataset) -> Message:
    """Return a film encoded in Explicit VR Little Endian."""
    return Message(
        sop_class_uid=str(film.SOPClassUID),
        sop_instance_uid=str(film.SOPInstanceUID),
        study_instance_uid=str(film.StudyInstanceUID),
        data_set=encode(film, False, True) or b"",
    )


def pdu(kind: int, body: bytes) -> bytes:
    """Return a PDU."""
    return HEADER.pack(kind, 0, len(body)) + body


def associate_rq(
    sop_class_uid: str,
    transfer_syntaxes: Sequence[str] = (_EXPLICIT,),
    *,
    calling_ae_title: str = MODALITY_TITLE,
    user: User | None = None,
) -> bytes:
    """Return an A-ASSOCIATE-RQ with one presentation context (PS3.8 section 9.3.2)."""
    syntaxes = b"".join(_item(0x40, uid.encode()) for uid in transfer_syntaxes)
    context = bytes((CONTEXT_ID, 0, 0, 0)) + _item(0x30, sop_class_uid.encode()) + syntaxes
    information = _item(0x51, struct.pack(">L", 1 << 16)) + _item(0x52, b"1.2.3.4")
    if user is not None:
        information += _item(0x58, _USER_AND_PASSCODE + b"".join(struct.pack(">H", len(part)) + part for part in user))
    titles = NODE_TITLE.ljust(16).encode() + calling_ae_title.ljust(16).encode()
    items = _item(0x10, _APPLICATION_CONTEXT.encode()) + _item(0x20, context) + _item(0x50, information)
    return pdu(ASSOCIATE_RQ, struct.pack(">HH", 1, 0) + titles + bytes(32) + items)


def store_rq(sent: Message, *, message_id: int = 1) -> bytes:
    """Return the command set of a C-STORE-RQ (PS3.7 section 9.3.1)."""
    elements = (
        _element(0x0002, _text(sent.sop_class_uid)),
        _element(0x0100, struct.pack("<H", 0x0001)),
        _element(0x0110, struct.pack("<H", message_id)),
        _element(0x0700, struct.pack("<H", 0)),
        _element(0x0800, struct.pack("<H", 0x0001)),
        _element(0x1000, _text(sent.sop_instance_uid)),
    )
    rest = b"".join(elements)
    return _element(0x0000, struct.pack("<L", len(rest))) + rest


def p_datas(content: bytes, control: int) -> list[bytes]:
    """Return the P-DATA-TF PDUs of a command set (COMMAND) or a data set (0), each with one fragment."""
    starts = range(0, max(1, len(content)), _FRAGMENT_BYTES)
    fragments = [content[start : start + _FRAGMENT_BYTES] for start in starts]
    return [
        p_data(fragment, control | (LAST if number == len(fragments) - 1 else 0))
        for number, fragment in enumerate(fragments)
    ]


def p_data(fragment: bytes, control: int, *, context_id: int = CONTEXT_ID) -> bytes:
    """Return a P-DATA-TF PDU with one presentation data value."""
    return pdu(P_DATA, _PDV.pack(len(fragment) + 2, context_id, control) + fragment)


def store_pdus(sent: Message) -> list[bytes]:
    """Return all PDUs of a C-STORE request."""
    return [*p_datas(store_rq(sent), COMMAND), *p_datas(sent.data_set, 0)]


class Wire:
    """A connection to a node on this machine."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, *pdus: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(b"".join(pdus))

    def receive(self) -> tuple[int, bytes]:
        """Return the type and body of the next PDU; type 0 if the peer closed the connection."""
        received = receive_pdu(self._connection)
        return (received[0], received[HEADER.size :]) if received else (0, b"")

    def associate(self, sop_class_uid: str, *, user: User | None = None) -> bool:
        """Request an association; return whether it was accepted."""
        self.send(associate_rq(sop_class_uid, user=user))
        return self.receive()[0] == ASSOCIATE_AC

    def store(self, sent: Message) -> int | None:
        """Send a film; return the status, None without a response."""
        self.send(*store_pdus(sent))
        return self.status()

    def status(self) -> int | None:
        """Return the status of the next response, None without one."""
        kind, body = self.receive()
        return status_of(body) if kind == P_DATA else None

    def release(self) -> None:
        """Release the association."""
        self.send(pdu(RELEASE_RQ, bytes(4)))
        self.receive()


def receive_pdu(connection: socket.socket) -> bytes:
    """Return the next PDU; empty if the peer closed the connection."""
    head = _exactly(connection, HEADER.size)
    return head + _exactly(connection, HEADER.unpack(head)[2]) if len(head) == HEADER.size else b""


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size and (part := connection.recv(min(size, 1 << 16))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def status_of(body: bytes) -> int | None:
    """Return the status in the command set of a P-DATA-TF PDU's body, None if there is none."""
    command, at = body[_PDV.size :], 0
    while at + 8 <= len(command):
        group, element, length = struct.unpack_from("<HHL", command, at)
        if (group, element) == _STATUS:
            return int.from_bytes(command[at + 8 : at + 8 + length], "little")
        at += 8 + length
    return None


@contextlib.contextmanager
def connected(
    port: int, *, tls: ssl.SSLContext | None = None, timeout_s: float = 30.0, source: str = "127.0.0.1"
) -> Iterator[Wire]:
    """Connect to a port of this machine for the block; `source` is another loopback address to connect from."""
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", port)
        connection = stack.enter_context(socket.create_connection(address, timeout_s, source_address=(source, 0)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            connection = stack.enter_context(tls.wrap_socket(connection, server_hostname="127.0.0.1"))
        yield Wire(connection)


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0x0000, element, len(value)) + value


def _text(uid: str) -> bytes:
    return uid.encode() + (b"\0" if len(uid) % 2 else b"")
