"""Settings of the HL7 entrance: messages that update or merge patients."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import Field

from cxr_node.domain.section import Port, Seconds, text_form
from cxr_node.net.tls_settings import TlsListener
from cxr_node.settings.receive import Network


class AdtSection(TlsListener):
    """HL7 messages ADT^A08, A31, A40 and A47 by MLLP: they correct the patient of kept films and of their results."""

    enabled: bool = Field(False, description="Listen for messages, in the receiving role.")
    host: str = Field("127.0.0.1", description='Address to listen on; "0.0.0.0" for every interface.')
    port: Port = Field(2576, description="TCP port to listen on; 0: any free port.")
    addresses: tuple[Network, ...] = Field(
        (), description="Networks that may connect, as 10.0.7.0/24 or one address; without one nobody may."
    )
    issuer: Annotated[str, text_form(r"[^\\\x00-\x1f]{0,64}", "at most 64 characters")] = Field(
        "",
        description="Issuer of Patient IDs without one, of films (0010,0021) and of messages (assigning authority); "
        "empty: an issuer that is not stated contradicts none.",
    )
    processing_id: Literal["P", "T", "D"] = Field("P", description="Processing ID (MSH-11) of accepted messages.")
    maximum_connections: int = Field(
        8, ge=1, le=256, description="Maximum connections of a receiving process at a time."
    )
    maximum_message_bytes: int = Field(65536, ge=1024, le=2**24, description="Maximum message size, in bytes.")
    message_timeout_s: Seconds = Field(10.0, description="Timeout of a message from its first byte, in seconds.")
    idle_timeout_s: Seconds = Field(86400.0, description="Timeout of a connection without a message, in seconds.")
    maximum_films: int = Field(
        1000, ge=1, description="Most films that one message may correct; one that concerns more gets AE."
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for each setting without another that it needs."""
        yield from super().contradictions(key)
        if self.enabled and not self.addresses:
            yield f"{key}.addresses: name the hosts that may send, or nobody may"

    @property
    def is_loopback(self) -> bool:
        """Whether only this host can connect."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
