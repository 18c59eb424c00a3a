"""DUL service provider that decodes association PDUs as the field encodes them (`cxr_node.net.associate_pdu`)."""

from typing import Any

from pynetdicom.dul import DULServiceProvider

from cxr_node.net.associate_pdu import normalized


class LenientDul(DULServiceProvider):
    """Normalizes received PDUs before pynetdicom decodes them."""

    def _decode_pdu(self, bytestream: bytearray) -> Any:
        return super()._decode_pdu(bytearray(normalized(bytes(bytestream))))
