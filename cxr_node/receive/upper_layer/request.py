"""First PDU of a connection: an A-ASSOCIATE-RQ, or why there is none."""

import struct

from cxr_node.net.associate_pdu import A_ABORT, A_ASSOCIATE_RQ, InvalidPduError, NormalizedRequest, normalized_request
from cxr_node.net.tls import failure_reason
from cxr_node.receive.events import ConnectionFailure
from cxr_node.receive.upper_layer.transport import MAXIMUM_ASSOCIATE_PDU_BYTES, BoundedSocket

_HEAD = struct.Struct(">BxL")
_ABORT_BYTES = 4

_ABORTED, _CONNECTION_CLOSED, _INVALID_PDU = "Evt16", "Evt17", "Evt19"
"""Events of PS3.8 table 9-10."""

_OTHER_PROTOCOLS = {
    b"\x16\x03": "a TLS handshake, and this port is without TLS",
    b"GET ": "an HTTP request",
    b"POST": "an HTTP request",
    b"HEAD": "an HTTP request",
    b"OPTI": "an HTTP request",
    b"SSH-": "an SSH client's greeting",
}


class NoRequestError(Exception):
    """The connection has no association request; `event` is that of the state machine."""

    def __init__(self, failure: ConnectionFailure, detail: str, *, event: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.event = event


def receive_request(connection: BoundedSocket) -> NormalizedRequest:
    """Read the A-ASSOCIATE-RQ of a connection.

    Raises
    ------
    NoRequestError
        If the first PDU is another, cannot be taken apart, or is incomplete.
    """
    try:
        head = bytes(connection.recv(_HEAD.size))
        _check_head(head, connection)
        length = _HEAD.unpack(head)[1]
        content = connection.recv(length)
    except TimeoutError as error:
        detail = "no whole association request in time"
        raise NoRequestError(ConnectionFailure.NO_REQUEST_IN_TIME, detail, event=_CONNECTION_CLOSED) from error
    except OSError as error:
        detail = f"the connection failed before a request: {failure_reason(error)}"
        raise NoRequestError(ConnectionFailure.CLOSED_BY_PEER, detail, event=_CONNECTION_CLOSED) from error
    if len(content) < length:
        detail = "the peer closed the connection within its request"
        raise NoRequestError(ConnectionFailure.CLOSED_BY_PEER, detail, event=_CONNECTION_CLOSED)
    try:
        return normalized_request(head + content)
    except InvalidPduError as error:
        raise NoRequestError(ConnectionFailure.INVALID_REQUEST, str(error), event=_INVALID_PDU) from error


def _check_head(head: bytes, connection: BoundedSocket) -> None:
    if not head:
        detail = "the peer closed the connection without a request"
        raise NoRequestError(ConnectionFailure.CLOSED_BY_PEER, detail, event=_CONNECTION_CLOSED)
    if head[0] == A_ABORT:
        connection.recv(_ABORT_BYTES)  # closed with unread bytes, the connection would be reset
        detail = "the peer sent A-ABORT instead of a request"
        raise NoRequestError(ConnectionFailure.CLOSED_BY_PEER, detail, event=_ABORTED)
    if head[0] != A_ASSOCIATE_RQ:
        protocol = next((name for start, name in _OTHER_PROTOCOLS.items() if head.startswith(start)), "")
        detail = f"the first PDU is {protocol or f'of type 0x{head[0]:02X}, not an association request'}"
        raise NoRequestError(ConnectionFailure.NOT_A_REQUEST, detail, event=_INVALID_PDU)
    if len(head) < _HEAD.size:
        detail = "the peer closed the connection within its request"
        raise NoRequestError(ConnectionFailure.CLOSED_BY_PEER, detail, event=_CONNECTION_CLOSED)
    if _HEAD.unpack(head)[1] > MAXIMUM_ASSOCIATE_PDU_BYTES:
        detail = f"the association request is larger than {MAXIMUM_ASSOCIATE_PDU_BYTES} bytes"
        raise NoRequestError(ConnectionFailure.INVALID_REQUEST, detail, event=_INVALID_PDU)
