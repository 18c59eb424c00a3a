"""Options of the Application Entity, and its supported presentation contexts."""

import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import from a table

from cxr_node.domain.commitment import PUSH_MODEL
from cxr_node.domain.encoded_data_set import (
    ENCAPSULATED_UNCOMPRESSED,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.domain.sop_classes import KEY_OBJECT_SELECTION, STORAGE_SOP_CLASSES
from cxr_node.receive.admission import AccessControl, PeerRule
from cxr_node.receive.tls import TlsFiles

_MINIMUM_PDU_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    """Address, limits and admission rules of a receiver. An empty collection or 0 s sets no rule.

    `port` 0 binds any free port. `network_timeout_s` bounds silence between messages, `dimse_timeout_s` within one,
    `message_timeout_s` a whole message, `association_timeout_s` an association. `maximum_pdu_bytes` is the Maximum
    Length offered (PS3.8 section D.1); 0, no limit, is an error. With `shares_port` several processes listen on the
    port (SO_REUSEPORT) and the kernel distributes connections. With `tls` plain connections are refused. Under the
    calling AE title `own_echo_title` the node asks itself: C-ECHO alone, without rules, log and events.
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
    peers: tuple[PeerRule, ...] = ()
    own_echo_title: AeTitle | None = None
    users: Mapping[str, PasswordHash] = field(default_factory=dict)
    tls: TlsFiles | None = None
    tls_handshake_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if self.maximum_pdu_bytes < _MINIMUM_PDU_BYTES:
            raise ValueError(f"maximum_pdu_bytes must be at least {_MINIMUM_PDU_BYTES}, not {self.maximum_pdu_bytes}")

    @property
    def access_control(self) -> AccessControl:
        """Rules on AE titles and addresses."""
        return AccessControl(
            ae_title=self.ae_title,
            require_called_ae_title=self.require_called_ae_title,
            calling_ae_titles=self.calling_ae_titles,
            peers=self.peers,
        )


TRANSFER_SYNTAXES: tuple[str, ...] = (*ALL_TRANSFER_SYNTAXES, ENCAPSULATED_UNCOMPRESSED)
"""Accepted transfer syntaxes of films: those that pynetdicom lists, and one that it does not."""


NOTE_TRANSFER_SYNTAXES = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
"""Accepted transfer syntaxes of rejection notes."""


def application_entity(options: ReceiverOptions, *, offers_commitment: bool = False) -> AE:
    """Return the Application Entity with its supported presentation contexts."""
    entity = AE(ae_title=options.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_associations = sys.maxsize  # `Receiver` itself counts them
    entity.maximum_pdu_size = options.maximum_pdu_bytes
    entity.acse_timeout = options.acse_timeout_s
    entity.dimse_timeout = options.dimse_timeout_s
    entity.network_timeout = options.network_timeout_s
    entity.add_supported_context(Verification)
    for sop_class_uid in STORAGE_SOP_CLASSES:
        entity.add_supported_context(sop_class_uid, list(TRANSFER_SYNTAXES))
    entity.add_supported_context(KEY_OBJECT_SELECTION, list(NOTE_TRANSFER_SYNTAXES))
    if offers_commitment:
        # SCP towards modalities; SCU towards archives, which send N-EVENT-REPORT on their own associations.
        entity.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
    return entity
