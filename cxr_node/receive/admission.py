"""Who may send what: pure decisions on AE titles, addresses and SOP classes."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from cxr_node.domain.identifiers import AeTitle, Digest, Uid, parse_ae_title

STORAGE_SOP_CLASSES = (
    Uid("1.2.840.10008.5.1.4.1.1.1"),  # Computed Radiography Image
    Uid("1.2.840.10008.5.1.4.1.1.1.1"),  # Digital X-Ray Image, For Presentation
    Uid("1.2.840.10008.5.1.4.1.1.1.1.1"),  # Digital X-Ray Image, For Processing
    Uid("1.2.840.10008.5.1.4.1.1.7"),  # Secondary Capture Image
    Uid("1.2.840.10008.5.1.4.1.1.7.2"),  # Multi-frame Grayscale Byte Secondary Capture Image
    Uid("1.2.840.10008.5.1.4.1.1.7.3"),  # Multi-frame Grayscale Word Secondary Capture Image
)
"""What a chest film can come as. Every class offered is copied once per association: only these are."""

VERIFICATION = Uid("1.2.840.10008.1.1")


class Rejection(Enum):
    """An A-ASSOCIATE-RJ: result, source and reason (PS3.8 table 9-21)."""

    CALLING_AE_TITLE_NOT_RECOGNIZED = (1, 1, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED = (1, 1, 7)
    USER_NOT_AUTHENTICATED = (1, 2, 1)  # permanent, ACSE, no reason given (PS3.7 section D.3.3.7)
    TEMPORARY_CONGESTION = (2, 3, 1)
    LOCAL_LIMIT_EXCEEDED = (2, 3, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A sender that may come: from these networks (none: from anywhere), so often at once (0: no bound of its own).

    It shows one of the certificates with these digests (none: any that is vouched for). It may use `sop_classes` alone,
    and Verification; none named: all that there are. It may send so many films in a minute (0: no bound of its own).
    """

    ae_title: AeTitle
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    maximum_associations: int = 0
    certificates: frozenset[Digest] = frozenset()
    sop_classes: frozenset[Uid] = frozenset()
    films_per_minute: int = 0

    def may_show(self, certificate: Digest | None) -> bool:
        """Whether a certificate with this digest is one of its own; None where it shows none."""
        return not self.certificates or certificate in self.certificates

    def may_use(self, sop_class_uid: str) -> bool:
        """Whether presentation contexts of this SOP Class are accepted."""
        return not self.sop_classes or sop_class_uid == VERIFICATION or sop_class_uid in self.sop_classes

    def is_at(self, address: str) -> bool:
        """Whether this peer may come from the IP address `address`."""
        at = ip_address(address)
        if isinstance(at, IPv6Address) and at.ipv4_mapped is not None:
            at = at.ipv4_mapped
        return not self.networks or any(at in network for network in self.networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessControl:
    """Who may open an association. Without `calling_ae_titles` and `peers` every sender with a valid title."""

    ae_title: AeTitle
    require_called_ae_title: bool = True
    calling_ae_titles: AbstractSet[AeTitle] = field(default=frozenset())
    peers: tuple[Peer, ...] = ()

    def rejection(self, *, calling_ae_title: str, called_ae_title: str, address: str) -> Rejection | None:
        """Return why a peer with these titles, as it sent them, is turned away; None if it is not."""
        calling = _parsed(calling_ae_title)
        if calling is None or (self.calling_ae_titles and calling not in self.calling_ae_titles):
            return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
        # A known title from elsewhere is told no more than an unknown one.
        if self.peers and self.peer(calling_ae_title=calling_ae_title, address=address) is None:
            return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
        called = _parsed(called_ae_title)
        if called is None or (self.require_called_ae_title and called != self.ae_title):
            return Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED
        return None

    def peer(self, *, calling_ae_title: str, address: str) -> Peer | None:
        """Return the first of `peers` that this is, if any."""
        calling = _parsed(calling_ae_title)
        return next((peer for peer in self.peers if peer.ae_title == calling and peer.is_at(address)), None)


def _parsed(title: str) -> AeTitle | None:
    try:
        return parse_ae_title(title)
    except ValueError:
        return None
