"""Data sets in the deflated transfer syntaxes (PS3.5 section A.5), inflated up to a limit."""

import zlib

from cxr_node.domain.encoded_data_set import DamagedDataSet

DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
HEADER_BYTES = 8 << 20
"""How far a data set is inflated for its header: headers are kilobytes, a decompression bomb is gigabytes."""
_INFLATE_STEP_BYTES = 1 << 20


def inflate(content: memoryview, *, maximum_bytes: int) -> tuple[bytes, bool]:
    """Return a deflated data set as far as it can be inflated, and whether `maximum_bytes` sufficed.

    Raw (PS3.5 section A.5), or with the header of zlib that some senders write.

    Raises
    ------
    DamagedDataSet
        If not one byte can be inflated.
    """
    inflated, is_whole = _inflate(content, -zlib.MAX_WBITS, maximum_bytes)
    if not inflated:
        inflated, is_whole = _inflate(content, zlib.MAX_WBITS, maximum_bytes)
    if not inflated:
        raise DamagedDataSet("the deflated data set cannot be inflated")
    return inflated, is_whole


def _inflate(content: memoryview, window_bits: int, maximum_bytes: int) -> tuple[bytes, bool]:
    inflater = zlib.decompressobj(window_bits)
    parts: list[bytes] = []
    rest: bytes | memoryview = content
    size = 0
    try:
        while rest and size < maximum_bytes and not inflater.eof:
            parts.append(inflater.decompress(rest, min(_INFLATE_STEP_BYTES, maximum_bytes - size)))
            size += len(parts[-1])
            rest = inflater.unconsumed_tail
    except zlib.error:
        return b"".join(parts), True
    return b"".join(parts), not rest or inflater.eof
