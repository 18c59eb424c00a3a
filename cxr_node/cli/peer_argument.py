"""Application Entity as an argument: AETITLE@HOST:PORT."""

from cxr_node.domain.identifiers import AeTitle, parse_ae_title


def parse_peer(text: str) -> tuple[AeTitle, str, int]:
    """Return AE title, host and port; raise ValueError if the text names no Application Entity."""
    title, at, address = text.rpartition("@")
    host, colon, port = address.rpartition(":")
    if not (at and colon and host and port.isdecimal() and 0 < int(port) <= 65535):
        raise ValueError(f"{text!r} is not a peer; expected AETITLE@HOST:PORT, such as CXRNODE@127.0.0.1:11112")
    return parse_ae_title(title), host, int(port)
