"""Admission of associations and films: AE titles, addresses, certificates, users, limits per peer, free space."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import cast

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from cxr_node.domain.failed_logins import FailedLogins, KnownPasswords, Turns
from cxr_node.domain.identifiers import AeTitle, Digest, Uid, parse_ae_title
from cxr_node.domain.instance import Sender
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.domain.sop_classes import STORAGE_SOP_CLASSES, VERIFICATION
from cxr_node.receive.rejection import Rejection
from cxr_node.receive.upper_layer.negotiation import client_certificate, confirm_user_identity, restrict_contexts

_USERNAME_AND_PASSCODE = 2
"""User-Identity-Type (PS3.7 table D.3-14)."""

_MINUTE_S = 60.0

_MAX_FAILURES = 10
"""Wrong passwords of an address within a minute, before it is rejected for a minute."""
_CHECKS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRule:
    """Rules for one sender. An empty collection or 0 sets no rule.

    `certificates` are digests of the client certificates that it may present. Verification is allowed besides
    `sop_classes`.
    """

    ae_title: AeTitle
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    maximum_associations: int = 0
    certificates: frozenset[Digest] = frozenset()
    sop_classes: frozenset[Uid] = frozenset()
    films_per_minute: int = 0

    def allows_certificate(self, certificate: Digest | None) -> bool:
        """Whether the peer may present the certificate with this digest; None stands for no certificate."""
        return not self.certificates or certificate in self.certificates

    def allows_sop_class(self, sop_class_uid: str) -> bool:
        """Whether presentation contexts of this SOP Class are accepted."""
        return not self.sop_classes or sop_class_uid == VERIFICATION or sop_class_uid in self.sop_classes

    def allows_address(self, address: str) -> bool:
        """Whether the peer may connect from this IP address."""
        ip = ip_address(address)
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return not self.networks or any(ip in network for network in self.networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessControl:
    """Rules on AE titles and addresses. Without `calling_ae_titles` and `peers` any valid title may call."""

    ae_title: AeTitle
    require_called_ae_title: bool = True
    calling_ae_titles: AbstractSet[AeTitle] = field(default=frozenset())
    peers: tuple[PeerRule, ...] = ()

    def rejection(self, *, calling_ae_title: str, called_ae_title: str, address: str) -> Rejection | None:
        """Return the rejection of a request with these titles, as the peer sent them; None if it is allowed."""
        calling = _parsed(calling_ae_title)
        if calling is None or (self.calling_ae_titles and calling not in self.calling_ae_titles):
            return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
        # The same reason as for an unknown title: the answer does not disclose which titles are known.
        if self.peers and self.peer(calling_ae_title=calling_ae_title, address=address) is None:
            return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
        called = _parsed(called_ae_title)
        if called is None or (self.require_called_ae_title and called != self.ae_title):
            return Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED
        return None

    def peer(self, *, calling_ae_title: str, address: str) -> PeerRule | None:
        """Return the first of `peers` with this title and address, if any."""
        calling = _parsed(calling_ae_title)
        return next((peer for peer in self.peers if peer.ae_title == calling and peer.allows_address(address)), None)


def _parsed(title: str) -> AeTitle | None:
    try:
        return parse_ae_title(title)
    except ValueError:
        return None


class AssociationLimiter:
    """Open associations of known peers. Thread-safe.

    A peer may have as many as its rule says. Of `places`, one is kept for each peer of `peers` that has no association,
    for half of `places` at most: no peer, and nobody under its AE title, keeps all others out.
    """

    def __init__(self, peers: Collection[PeerRule], *, places: int) -> None:
        self._lock = threading.Lock()
        self._places = places
        self._open: dict[PeerRule, list[Association]] = {peer: [] for peer in peers}

    def admits(self, peer: PeerRule, association: Association) -> bool:
        """Whether `peer` may have this association too; if so it counts until it ends."""
        with self._lock:
            for associations in self._open.values():
                associations[:] = filter(_is_open, associations)
            own = self._open[peer]
            if 0 < peer.maximum_associations <= len(own) or (own and not self._leaves_places()):
                return False
            own.append(association)
        return True

    def _leaves_places(self) -> bool:
        """Whether a further association leaves a place for each peer without one."""
        absent = sum(not associations for associations in self._open.values())
        opened = sum(map(len, self._open.values()))
        return opened < self._places - min(absent, self._places // 2)


def _is_open(association: Association) -> bool:
    # The thread ends after the association: once the peer has closed the connection.
    has_ended = association.is_released or association.is_aborted or association.is_rejected
    return association.is_alive() and not has_ended


class TokenBucket:
    """Token bucket: holds one minute's films and refills steadily, so a burst passes and then no more than the rate."""

    def __init__(self, films_per_minute: int, *, now: float) -> None:
        self._capacity = float(films_per_minute)
        self._tokens = self._capacity
        self._refilled_at = now

    def admits(self, *, now: float) -> bool:
        """Whether another film is admitted at `now`, in seconds of a monotonic clock; if so it takes a token."""
        tokens = self._tokens + (now - self._refilled_at) * self._capacity / _MINUTE_S
        self._tokens, self._refilled_at = min(self._capacity, tokens), now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class RateLimiter:
    """Films per minute and peer, for peers with a limit. Thread-safe."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[PeerRule, TokenBucket] = {}

    def admits(self, peer: PeerRule) -> bool:
        """Whether `peer` may send another film now; if so it counts."""
        if not peer.films_per_minute:
            return True
        with self._lock:
            now = self._clock()
            return self._buckets.setdefault(peer, TokenBucket(peer.films_per_minute, now=now)).admits(now=now)


class Users:
    """User identity negotiation (PS3.7 section D.3.3.7).

    A right pair is admitted for a minute without its password hash. Otherwise an address has one check at a time, and
    all have two, to bound cores and memory. An address with ten wrong passwords within a minute is rejected for a
    minute, without a check; no name is locked.
    """

    def __init__(self, hashes: Mapping[str, PasswordHash], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._hashes = {name.encode(): password_hash for name, password_hash in hashes.items()}
        self._decoy = next(iter(hashes.values()))
        self._known = KnownPasswords(clock=clock)
        self._failed = FailedLogins(_MAX_FAILURES, clock=clock)
        self._turns = Turns()
        self._checks = threading.BoundedSemaphore(_CHECKS)

    def admit(
        self, *, address: str, user_identity_type: int | None, primary_field: bytes, secondary_field: bytes
    ) -> bool:
        """Whether the identity is a user's. An unknown name takes as long as a known one."""
        if user_identity_type != _USERNAME_AND_PASSCODE:
            return False
        if self._known.holds(primary_field, secondary_field):
            return True
        with self._turns.of(address):
            if not self._failed.begin(address):
                return False
            password_hash = self._hashes.get(primary_field)
            with self._checks:
                matches = (password_hash or self._decoy).matches(secondary_field)
            if not matches or password_hash is None:
                return False
            self._failed.succeeded(address)
            self._known.remember(primary_field, secondary_field)
            return True


class AdmissionPolicy:
    """All rules on association requests and on films, in order.

    No `users`: no user identity is required. `places` are the associations that may be open at a time.
    """

    def __init__(
        self,
        access_control: AccessControl,
        *,
        users: Users | None,
        has_space: Callable[[int], bool],
        places: int,
    ) -> None:
        self._access_control = access_control
        self._users = users
        self._has_space = has_space
        self._association_limiter = AssociationLimiter(access_control.peers, places=places)
        self._rate_limiter = RateLimiter()

    def rejection(self, association: Association) -> Rejection | None:
        """Return the rejection of the requested association; None if it is admitted, and then it counts."""
        request = cast("A_ASSOCIATE", association.requestor.primitive)
        address = association.requestor.address
        rejection = self._access_control.rejection(
            calling_ae_title=request.calling_ae_title, called_ae_title=request.called_ae_title, address=address
        )
        if rejection is not None:
            return rejection
        peer = self._peer(association)
        # The same reason as for an unknown title: the answer does not disclose which titles are known.
        if peer is not None and not peer.allows_certificate(client_certificate(association)):
            return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
        if self._users is not None and not _is_authenticated(association, self._users):
            return Rejection.USER_NOT_AUTHENTICATED
        if _proposes_storage(request) and not self._has_space(0):
            return Rejection.TEMPORARY_CONGESTION
        if peer is not None:
            if not self._association_limiter.admits(peer, association):
                return Rejection.LOCAL_LIMIT_EXCEEDED
            restrict_contexts(association, peer.allows_sop_class)
        return None

    def web_rejection(self, sender: Sender, certificate: Digest | None) -> Rejection | None:
        """Return the rejection of a sender by STOW-RS, whose token names its AE title; None if it is admitted."""
        titles = {"calling_ae_title": sender.calling_ae_title, "called_ae_title": sender.called_ae_title}
        rejection = self._access_control.rejection(**titles, address=sender.address)
        if rejection is not None:
            return rejection
        peer = self._peer_of(sender)
        if peer is not None and not peer.allows_certificate(certificate):
            return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
        return None

    def admits_film(self, sender: Sender) -> bool:
        """Whether a sender may send another film now; if so it counts."""
        peer = self._peer_of(sender)
        return peer is None or self._rate_limiter.admits(peer)

    def allows_sop_class(self, sender: Sender, sop_class_uid: str) -> bool:
        """Whether a sender may send objects of this SOP Class."""
        peer = self._peer_of(sender)
        return peer is None or peer.allows_sop_class(sop_class_uid)

    def _peer(self, association: Association) -> PeerRule | None:
        request = cast("A_ASSOCIATE", association.requestor.primitive)
        address = association.requestor.address
        return self._access_control.peer(calling_ae_title=request.calling_ae_title, address=address)

    def _peer_of(self, sender: Sender) -> PeerRule | None:
        return self._access_control.peer(calling_ae_title=sender.calling_ae_title, address=sender.address)


def requested_user(association: Association) -> str:
    """Return the user name of an association request as sent, at most 64 characters; empty where there is none."""
    identity = association.requestor.user_identity
    return "" if identity is None else (identity.primary_field or b"").decode("utf-8", "replace")[:64]


def _is_authenticated(association: Association, users: Users) -> bool:
    identity = association.requestor.user_identity
    if identity is None:
        return False
    admitted = users.admit(
        address=association.requestor.address,
        user_identity_type=identity.user_identity_type,
        primary_field=identity.primary_field or b"",
        secondary_field=identity.secondary_field or b"",
    )
    if admitted and identity.positive_response_requested:
        confirm_user_identity(association)
    return admitted


def _proposes_storage(request: A_ASSOCIATE) -> bool:
    # Without space a C-ECHO is still answered.
    proposed = {str(context.abstract_syntax) for context in request.presentation_context_definition_list}
    return not proposed.isdisjoint(STORAGE_SOP_CLASSES)
