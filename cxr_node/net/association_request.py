"""Parameters of an association request; without pynetdicom, as every process loads the settings of destinations."""

from dataclasses import dataclass

from cxr_node.domain.identifiers import AeTitle


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRequest:
    """Address and AE titles of an association request, and its time-outs."""

    host: str
    port: int
    called_ae_title: AeTitle
    calling_ae_title: AeTitle
    connection_timeout_s: float = 10.0
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 60.0
