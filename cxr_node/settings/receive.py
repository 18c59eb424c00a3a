"""Settings of the Storage SCP: listener, admission rules, limits, TLS, storage commitment."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cxr_node.db.priority import LARGEST_PRIORITY_BOOST_S
from cxr_node.deliver.peer import ApplicationEntitySection
from cxr_node.domain.commitment import PUSH_MODEL
from cxr_node.domain.identifiers import Digest, parse_digest
from cxr_node.domain.section import PasswordHashText, Port, Seconds, Section, Title
from cxr_node.domain.sop_classes import KEY_OBJECT_SELECTION, STORAGE_KEYWORDS
from cxr_node.net.tls_settings import TlsListener

Network = IPv4Network | IPv6Network


def _fingerprint(text: str) -> Digest:
    return parse_digest(text.replace(":", "").lower())


SENDER_SOP_CLASSES = {
    **STORAGE_KEYWORDS,
    "KeyObjectSelectionDocumentStorage": KEY_OBJECT_SELECTION,
    "StorageCommitmentPushModel": PUSH_MODEL,
}
"""SOP Classes that a sender may be restricted to, by keyword."""


def _sop_class(text: str) -> str:
    if text not in SENDER_SOP_CLASSES and text not in SENDER_SOP_CLASSES.values():
        raise ValueError(f"{text!r} is none of {', '.join(SENDER_SOP_CLASSES)}")
    return text


class PeerSection(Section):
    """Permitted sender. With one such table, others are rejected."""

    ae_title: Title = Field(description="Calling AE title.")
    addresses: tuple[Network, ...] = Field(
        (), description="Permitted networks, as 10.0.7.0/24 or one address; empty: any."
    )
    maximum_associations: int = Field(0, ge=0, description="Maximum associations at a time; 0: no separate limit.")
    certificates: tuple[Annotated[str, AfterValidator(_fingerprint)], ...] = Field(
        (), description="SHA-256 fingerprints of its certificates; empty: any trusted certificate."
    )
    sop_classes: tuple[Annotated[str, AfterValidator(_sop_class)], ...] = Field(
        (), description="Permitted SOP Classes, by keyword or UID; empty: all. C-ECHO is always permitted."
    )
    films_per_minute: int = Field(
        0, ge=0, description="Maximum films in a minute; more are rejected with 0xA700. 0: no limit."
    )


class UserSection(Section):
    """User Identity of senders (PS3.7 annex D.3.3.7). With one such table, associations without one are rejected."""

    name: str = Field(min_length=1, max_length=64, description="User name.")
    password_hash: PasswordHashText = Field(description="Hash that `cxr-node config password` prints.")


def _element(text: str) -> str:
    # pydicom takes a quarter of a second to import, and few nodes have such rules.

    # pydicom takes a quarter of a second to import, and few nodes have such rules.
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    keyword, equals, value = text.partition("=")
    tag = tag_for_keyword(keyword)
    if not equals or not value or tag is None or dictionary_VR(tag) not in _TEXT_VRS:
        raise ValueError(f"{text!r} is not KEYWORD=VALUE of a text element, such as RequestedProcedurePriority=STAT")
    return text


_TEXT_VRS = frozenset({"AE", "CS", "LO", "SH", "UI"})


class UrgentSection(Section):
    """Priority rule: films that match every list that is not empty, and their studies, get a priority boost."""

    priority_boost_s: int = Field(
        ge=1,
        le=LARGEST_PRIORITY_BOOST_S,
        description="Claim before jobs that became due up to this many seconds earlier.",
    )
    calling_ae_titles: tuple[Title, ...] = Field((), description="Calling AE titles.")
    called_ae_titles: tuple[Title, ...] = Field((), description="Called AE titles.")
    station_names: tuple[str, ...] = Field((), description="Station Names (0008,1010).")
    header: tuple[Annotated[str, AfterValidator(_element)], ...] = Field(
        (), description="Elements, as RequestedProcedurePriority=STAT; one of them must match."
    )


class CommitmentPeerSection(ApplicationEntitySection):
    """A Storage Commitment SCU, and the address that N-EVENT-REPORT is sent to."""


class ReceiveSection(TlsListener):
    """Storage SCP: the Application Entity that modalities send to."""

    ae_title: Title = Field("CXRNODE", description="AE title of the node, 1 to 16 characters.")
    host: str = Field("127.0.0.1", description='Address to listen on; "0.0.0.0" for every interface.')
    port: Port = Field(11112, description="TCP port to listen on; 0: any free port.")
    require_called_ae_title: bool = Field(False, description="Reject associations with another called AE title.")
    calling_ae_titles: tuple[Title, ...] = Field((), description="Permitted calling AE titles; empty: any.")
    maximum_associations: int = Field(
        64,
        ge=1,
        description="Maximum associations at a time; more are rejected (local limit exceeded). One is kept for each of "
        "[[receive.peers]] that has none, for half of them at most.",
    )
    maximum_pdu_bytes: int = Field(131072, ge=4096, le=2**31, description="Maximum Length of received PDUs, in bytes.")
    acse_timeout_s: Seconds = Field(
        30.0, description="Timeout of association negotiation and release (ARTIM), in seconds."
    )
    dimse_timeout_s: Seconds = Field(60.0, description="Timeout of a PDU within a message, in seconds.")
    message_timeout_s: Seconds = Field(
        300.0, description="Timeout of a message from its first fragment to its last, in seconds."
    )
    maximum_object_bytes: int = Field(
        2**28, ge=1, description="Maximum data set size, in bytes; larger ones are rejected with 0xC000."
    )
    network_timeout_s: Seconds = Field(600.0, description="Idle timeout of an association, in seconds.")
    association_timeout_s: float = Field(
        86400.0, ge=0, description="Maximum duration of an association, in seconds; 0: unlimited."
    )
    peers: tuple[PeerSection, ...] = Field((), description="Permitted senders; empty: any.")
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Receiving processes on one port. Limits of associations and films apply to each process.",
    )
    path: Literal["streaming", "pynetdicom"] = Field(
        "streaming",
        description='How data sets are received: "streaming" to the archive, or "pynetdicom", in memory.',
    )
    users: tuple[UserSection, ...] = Field((), description="User Identities of senders; empty: not required.")
    commitment_peers: tuple[CommitmentPeerSection, ...] = Field(
        (), description="Storage Commitment SCUs with an address; others get results on the requesting association."
    )
    commitment_for: Literal["sender", "any"] = Field(
        "sender",
        description="Whose requests are answered with what is stored: of the film's sender, by AE title or network "
        'address ("sender"), or of anybody ("any"). Others learn of no film: Failure Reason 0112.',
    )
    commitment_bytes: int = Field(
        2**34,
        ge=1,
        description="Bytes that one storage commitment request may have read; more get Failure Reason 0213.",
    )
    urgent: tuple[UrgentSection, ...] = Field((), description="Priority rules; empty: none.")

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for each setting without another that it needs."""
        yield from super().contradictions(key)
        if self.users and not self.tls_certificate:
            yield f"{key}.users: needs {key}.tls_certificate, or passwords would be sent unencrypted"
        if any(peer.certificates for peer in self.peers) and not self.tls_peers_ca:
            yield f"{key}.peers.certificates: needs {key}.tls_peers_ca, or no certificate is requested"
        if self.processes > 1 and not self.port:
            yield f"{key}.port: must not be 0 if {key}.processes is more than 1"
