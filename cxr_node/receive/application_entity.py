"""Where and how the Application Entity listens, and what it offers."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import from a table

from cxr_node.domain.commitment import PUSH_MODEL
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.receive.admission import STORAGE_SOP_CLASSES, AccessControl, Peer
from cxr_node.receive.tls import TlsFiles
from cxr_node.receive.users import PasswordHash

_SMALLEST_PDU_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where and how the Application Entity listens.

    `port` 0 takes any free one. An association may be silent between messages for `network_timeout_s`,
    within one for `dimse_timeout_s`. No `calling_ae_titles` admits every sender. `maximum_pdu_bytes` is what
    senders are offered (PS3.8 section D.1); without a bound a peer could claim any length, so 0 is refused.
    A whole message may take `message_timeout_s`, an association `association_timeout_s` (0: as long as it likes), a
    data set have `maximum_object_bytes`. No `peers` makes no rule about addresses; no `users` asks nobody for a
    password.
    With `shares_port` other processes that say so may listen there too, and the kernel spreads connections over them.
    With `tls` no other connections than such are taken, and a peer has `tls_handshake_timeout_s` to set one up.
    """

    ae_title: AeTitle
    host: str
    port: int
    calling_ae_titles: AbstractSet[AeTitle] = field(default=frozenset())
    require_called_ae_title: bool = True
    shares_port: bool = False
    maximum_associations: int = 100
    maximum_pdu_bytes: int = 131072
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 60.0
    message_timeout_s: float = 300.0
    association_timeout_s: float = 0.0
    maximum_object_bytes: int = 1 << 28
    peers: tuple[Peer, ...] = ()
    users: Mapping[str, PasswordHash] = field(default_factory=dict)
    tls: TlsFiles | None = None
    tls_handshake_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if self.maximum_pdu_bytes < _SMALLEST_PDU_BYTES:
            raise ValueError(f"maximum_pdu_bytes must be at least {_SMALLEST_PDU_BYTES}, not {self.maximum_pdu_bytes}")

    @property
    def admission(self) -> AccessControl:
        """Who may open an association."""
        return AccessControl(
            ae_title=self.ae_title,
            require_called_ae_title=self.require_called_ae_title,
            calling_ae_titles=self.calling_ae_titles,
            peers=self.peers,
        )


def application_entity(listening: Listening, *, speaks_commitment: bool = False) -> AE:
    """Return the Application Entity that offers what is listened for."""
    entity = AE(ae_title=listening.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_associations = listening.maximum_associations
    entity.maximum_pdu_size = listening.maximum_pdu_bytes
    entity.acse_timeout = listening.acse_timeout_s
    entity.dimse_timeout = listening.dimse_timeout_s
    entity.network_timeout = listening.network_timeout_s
    entity.add_supported_context(Verification)
    for sop_class_uid in STORAGE_SOP_CLASSES:
        entity.add_supported_context(sop_class_uid, ALL_TRANSFER_SYNTAXES)
    if speaks_commitment:
        # In both roles: a modality asks us, an archive reports to us.
        entity.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
    return entity
