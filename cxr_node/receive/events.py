"""What happens at the door, for those who keep account of it."""

from dataclasses import dataclass

from cxr_node.receive.admission import Rejection
from cxr_node.receive.status import StoreStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationAccepted:
    """An association was accepted; `user` has shown the right password, empty where none is asked for."""

    calling_ae_title: str
    address: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRejected:
    """An association was rejected. Title and user are as the peer sent them, whatever they are."""

    calling_ae_title: str
    address: str
    user: str
    rejection: Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFailed:
    """A connection from `address` did not become secure, and was closed."""

    address: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRejected:
    """An object on an accepted association was refused with this status."""

    calling_ae_title: str
    address: str
    status: StoreStatus


ReceiveEvent = AssociationAccepted | AssociationRejected | TlsFailed | StoreRejected
