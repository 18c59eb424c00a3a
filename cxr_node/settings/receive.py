"""Settings of the door: who may send what, and how much at a time."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import AfterValidator, Field
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import UID

from cxr_node.db.claim_order import LARGEST_PRIORITY_BOOST_S
from cxr_node.deliver.peer import ApplicationEntitySection
from cxr_node.domain.commitment import PUSH_MODEL
from cxr_node.domain.identifiers import Digest, parse_digest
from cxr_node.domain.section import OptionalPath, Port, Seconds, Section, Title
from cxr_node.domain.sop_classes import STORAGE_SOP_CLASSES
from cxr_node.net.tls_settings import TlsIdentity

Network = IPv4Network | IPv6Network


def _fingerprint(text: str) -> Digest:
    return parse_digest(text.replace(":", "").lower())


def _sop_class(text: str) -> str:
    taken = [UID(uid) for uid in (*STORAGE_SOP_CLASSES, PUSH_MODEL)]
    if text not in taken and text not in [uid.keyword for uid in taken]:
        raise ValueError(f"{text!r} is none of {', '.join(uid.keyword for uid in taken)}")
    return text


class PeerSection(Section):
    """A sender that is let in; with one of these, no other is."""

    ae_title: Title = Field(description="Its AE title.")
    addresses: tuple[Network, ...] = Field(
        (), description="Networks it may come from, as 10.0.7.0/24 or one address; empty for any."
    )
    maximum_associations: int = Field(0, ge=0, description="Its associations at the same time; 0 for no own bound.")
    certificates: tuple[Annotated[str, AfterValidator(_fingerprint)], ...] = Field(
        (), description="SHA-256 fingerprints of the certificates it may show; empty for any that is vouched for."
    )
    sop_classes: tuple[Annotated[str, AfterValidator(_sop_class)], ...] = Field(
        (), description="SOP Classes it may use, by keyword or UID; empty for all. C-ECHO is always answered."
    )
    films_per_minute: int = Field(
        0, ge=0, description="Films it may send in a minute, the rest is refused with 0xA700; 0 for no own bound."
    )


class UserSection(Section):
    """A user name that senders show with its password; with one of these, no association is opened without."""

    name: str = Field(min_length=1, max_length=64, description="User name.")
    password_hash: str = Field(
        pattern=r"^scrypt:\d{1,7}:\d{1,2}:\d{1,2}:[0-9a-f]{32}:[0-9a-f]{64}$",
        description="What `cxr-node config password` prints.",
    )


def _element(text: str) -> str:
    keyword, equals, value = text.partition("=")
    tag = tag_for_keyword(keyword)
    if not equals or not value or tag is None or dictionary_VR(tag) not in _TEXT_VRS:
        raise ValueError(f"{text!r} is no KEYWORD=VALUE of a text element, such as RequestedProcedurePriority=STAT")
    return text


_TEXT_VRS = frozenset({"AE", "CS", "LO", "SH", "UI"})


class UrgentSection(Section):
    """A kind of film that goes first, with its whole study. A film must meet every part that asks for something."""

    priority_boost_s: int = Field(
        ge=1,
        le=LARGEST_PRIORITY_BOOST_S,
        description="It goes before what came up to so many seconds earlier, and after what has waited longer.",
    )
    calling_ae_titles: tuple[Title, ...] = Field((), description="AE titles of which one must have sent it.")
    called_ae_titles: tuple[Title, ...] = Field((), description="AE titles of which one must have been called for it.")
    station_names: tuple[str, ...] = Field((), description="Station Names (0008,1010) of which one must be its.")
    header: tuple[Annotated[str, AfterValidator(_element)], ...] = Field(
        (), description="Elements of which one must be in its header, as RequestedProcedurePriority=STAT."
    )


class CommitmentPeerSection(ApplicationEntitySection):
    """A Storage Commitment SCU, and the address that N-EVENT-REPORT is sent to."""


class ReceiveSection(TlsIdentity):
    """The Application Entity that modalities send to."""

    ae_title: Title = Field("CXRNODE", description="AE title of the node, 1 to 16 characters.")
    host: str = Field("127.0.0.1", description='Address to listen on; "0.0.0.0" for every interface.')
    port: Port = Field(11112, description="TCP port to listen on; 0 takes a free one.")
    require_called_ae_title: bool = Field(
        False, description="Refuse associations that call another AE title than ours."
    )
    calling_ae_titles: tuple[Title, ...] = Field((), description="AE titles that may send; empty for any.")
    maximum_associations: int = Field(64, ge=1, description="Associations open at the same time.")
    maximum_pdu_bytes: int = Field(
        131072, ge=4096, le=2**31, description="Largest PDU that peers may send us, in bytes."
    )
    acse_timeout_s: Seconds = Field(30.0, description="How long association set-up and release may take, in seconds.")
    dimse_timeout_s: Seconds = Field(60.0, description="How long a PDU may take to come, in seconds.")
    message_timeout_s: Seconds = Field(
        300.0, description="How long a message may take from its first fragment to its last, in seconds."
    )
    maximum_object_bytes: int = Field(
        2**28, ge=1, description="Largest data set that is taken, in bytes; a larger one is refused with 0xC000."
    )
    network_timeout_s: Seconds = Field(600.0, description="How long an association may be silent, in seconds.")
    association_timeout_s: float = Field(
        86400.0, ge=0, description="How long an association may last altogether, in seconds; 0 for as long as it likes."
    )
    tls_certificate: OptionalPath = Field(
        None,
        description="PEM file of this node's certificate and chain. If set, the port accepts TLS 1.2 and 1.3 only.",
    )
    tls_peers_ca: OptionalPath = Field(
        None,
        description="PEM file of the certificate authorities trusted for senders. If set, a certificate is required.",
    )
    tls_handshake_timeout_s: Seconds = Field(10.0, description="How long a TLS handshake may take, in seconds.")
    peers: tuple[PeerSection, ...] = Field((), description="Who may send, and from where; empty for anyone.")
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that receive, on one port; associations, and films in a minute, are counted in each.",
    )
    path: str = Field(
        "streaming",
        pattern=r"^(streaming|pynetdicom)$",
        description='How data sets are received: "streaming" to the archive, or "pynetdicom", in memory.',
    )
    users: tuple[UserSection, ...] = Field((), description="Who may send by password; empty: nobody is asked for one.")
    commitment_peers: tuple[CommitmentPeerSection, ...] = Field(
        (), description="Where those are told who ask what is kept; others only on the association on which they ask."
    )
    urgent: tuple[UrgentSection, ...] = Field(
        (), description="Films that go first, by who sends them or what their header says; empty for none."
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield which settings are set without another that they need."""
        yield from super().contradictions(key)
        if self.tls_peers_ca and not self.tls_certificate:
            yield f"{key}.tls_peers_ca: needs {key}.tls_certificate"
        if self.users and not self.tls_certificate:
            yield f"{key}.users: needs {key}.tls_certificate, or passwords would cross the network in the open"
        if any(peer.certificates for peer in self.peers) and not self.tls_peers_ca:
            yield f"{key}.peers.certificates: needs {key}.tls_peers_ca, or nobody is asked for a certificate"
        if self.processes > 1 and not self.port:
            yield f"{key}.port: must be named where {key}.processes share it"
