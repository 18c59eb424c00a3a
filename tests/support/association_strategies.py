"""Hypothesis strategies of association PDUs: plausible items with odd values, in any order, and changed bytes."""

import struct

from hypothesis import strategies as st

from tests.support.raw_upper_layer import APPLICATION_CONTEXT, IMPLICIT_VR_LITTLE_ENDIAN, associate_rq, item
from tests.support.receiver import DX, EXPLICIT_VR_LITTLE_ENDIAN

PADDINGS = st.sampled_from([b"", b" ", b"\0", b"\0\0", b"\r\n", b"\0 \0"])

TITLES = st.one_of(
    st.sampled_from([b"CXRNODE", b"MODALITY", b"", b" " * 16, b"R\xd6NTGEN", "放射科".encode(), b"A\\B", b"\x1b$B"]),
    st.binary(max_size=16),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=16).map(str.encode),
)
"""AE titles, to be padded to 16 bytes."""

UIDS = st.builds(
    lambda uid, padding: uid + padding,
    st.one_of(
        st.sampled_from([DX.encode(), EXPLICIT_VR_LITTLE_ENDIAN.encode(), IMPLICIT_VR_LITTLE_ENDIAN.encode()]),
        st.sampled_from([b"", b"1.2.840.10008.1.1", b"1.02.3", b"1..2", b"TEXT", b"1." + b"9" * 80, b"\xff\xfe"]),
        st.binary(max_size=70),
    ),
    PADDINGS,
)


def _contexts(kind: int) -> st.SearchStrategy[bytes]:
    """Presentation context items of a request (0x20) or an acceptance (0x21)."""
    sub_items = st.lists(st.builds(item, st.sampled_from([0x30, 0x30, 0x40, 0x40, 0x41, 0xFF]), UIDS), max_size=4).map(
        b"".join
    )
    result = st.sampled_from([0, 0, 0, 1, 3, 4, 9, 255])
    whole = st.builds(
        lambda number, result, value: item(kind, bytes([number, 0, result, 0]) + value),
        st.sampled_from([0, 1, 1, 1, 2, 3, 5, 254, 255]),
        result,
        sub_items,
    )
    good = item(0x30, DX.encode()) * (kind == 0x20) + item(0x40, EXPLICIT_VR_LITTLE_ENDIAN.encode())
    return st.one_of(
        st.just(item(kind, b"\1\0\0\0" + good)), whole, st.builds(item, st.just(kind), st.binary(max_size=9))
    )


SUB_ITEMS = st.one_of(
    st.integers(0, 0xFFFFFFFF).map(lambda length: item(0x51, struct.pack(">L", length))),
    UIDS.map(lambda uid: item(0x52, uid)),
    st.binary(max_size=40).map(lambda name: item(0x55, name)),
    st.builds(lambda uid, roles: item(0x54, struct.pack(">H", len(uid)) + uid + roles), UIDS, st.binary(max_size=3)),
    st.builds(
        lambda kind, positive, name, more: item(
            0x58, bytes([kind, positive]) + struct.pack(">H", len(name)) + name + more
        ),
        st.integers(0, 255),
        st.integers(0, 3),
        st.binary(max_size=8),
        st.sampled_from([b"", b"\0\0", b"\0\2ab", b"\0\x09ab"]),
    ),
    st.builds(
        item, st.sampled_from([0x50, 0x51, 0x53, 0x54, 0x56, 0x57, 0x58, 0x59, 0x5F, 0x91]), st.binary(max_size=12)
    ),
)


def _variable_items(kind: int) -> st.SearchStrategy[bytes]:
    user_information = st.lists(SUB_ITEMS, max_size=5).map(lambda values: item(0x50, b"".join(values)))
    one = st.one_of(
        st.just(item(0x10, APPLICATION_CONTEXT)),
        UIDS.map(lambda uid: item(0x10, uid)),
        _contexts(kind),
        _contexts(kind),
        user_information,
        st.builds(item, st.integers(0, 255), st.binary(max_size=12)),
    )
    whole = st.builds(
        lambda contexts, user: (item(0x10, APPLICATION_CONTEXT), *contexts, user),
        st.lists(_contexts(kind), max_size=4),
        user_information,
    )
    return st.one_of(whole, st.lists(one, max_size=6).map(tuple)).map(b"".join)


def associate_pdus(pdu_type: int) -> st.SearchStrategy[bytes]:
    """A-ASSOCIATE-RQ (1) or A-ASSOCIATE-AC (2) PDUs."""
    whole = st.builds(
        lambda protocol, called, calling, items: _pdu(
            pdu_type, struct.pack(">HH16s16s32x", protocol, 0, called, calling) + items
        ),
        st.sampled_from([1, 1, 1, 1, 0, 2, 3, 0xFFFF]),
        st.one_of(st.just(b"CXRNODE".ljust(16)), TITLES),
        TITLES,
        _variable_items(0x20 if pdu_type == 1 else 0x21),
    )
    changed = st.builds(
        lambda pdu, where, value: (
            pdu[: 6 + int(where * (len(pdu) - 6))] + value + pdu[6 + int(where * (len(pdu) - 6)) + 1 :]
        ),
        whole,
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=1),
    )
    return st.one_of(whole, whole, changed)


def _pdu(pdu_type: int, body: bytes) -> bytes:
    return struct.pack(">BxL", pdu_type, len(body)) + body


FIRST_PDUS = st.one_of(
    associate_pdus(1),
    associate_pdus(1),
    associate_pdus(1),
    st.builds(lambda pdu, where: pdu[: int(where * len(pdu))], associate_pdus(1), st.floats(0, 1)),
    st.builds(_pdu, st.integers(0, 9), st.binary(max_size=80)),
    st.binary(max_size=200),
    st.just(associate_rq()),
)
"""What a peer sends first: requests, parts of them, other PDUs, or no PDU at all."""
