"""Events of reception, for the audit trail and the counters of rejections."""

from dataclasses import dataclass
from enum import Enum

from cxr_node.receive.rejection import Rejection, WebRejection
from cxr_node.receive.status import StoreStatus


class ConnectionFailure(Enum):
    """Causes of a connection that ends without an association being accepted or rejected."""

    CLOSED_BY_PEER = "closed_by_peer"
    NO_REQUEST_IN_TIME = "no_request_in_time"
    NOT_A_REQUEST = "not_a_request"
    INVALID_REQUEST = "invalid_request"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    NODE_STOPPED = "node_stopped"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationAccepted:
    """An association was accepted; `user` is authenticated, empty where no user identity is required."""

    calling_ae_title: str
    address: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRejected:
    """An association was rejected. Title and user are as the peer sent them, unchecked."""

    calling_ae_title: str
    address: str
    user: str
    rejection: Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFailed:
    """The TLS handshake with `address` failed; the connection is closed."""

    address: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFailed:
    """A connection from `address` ended without an association; `detail` says why, without a value of the peer."""

    address: str
    failure: ConnectionFailure
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRejected:
    """The response to an object, by C-STORE or STOW-RS, had this status."""

    calling_ae_title: str
    address: str
    status: StoreStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRequestRejected:
    """A request of DICOMweb was rejected; `user` is the name of its API token, empty where that is not valid."""

    user: str
    address: str
    rejection: WebRejection
    detail: str


ReceiveEvent = (
    AssociationAccepted | AssociationRejected | ConnectionFailed | TlsFailed | StoreRejected | WebRequestRejected
)
