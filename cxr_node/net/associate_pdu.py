"""A-ASSOCIATE PDUs as the field encodes them (PS3.8 section 9.3), re-encoded in the form that pynetdicom decodes.

pynetdicom raises on what other implementations take: NUL-padded titles, long version names, unknown items. Items that
the node does not use are left out: unknown ones (PS3.8 section D.2 forbids rejecting them), asynchronous operations,
and extended negotiation. Pure functions on bytes.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_HEAD = struct.Struct(">BxL")
_FIXED = struct.Struct(">HH16s16s32s")
"""Protocol-version, reserved, called and calling AE title, reserved (PS3.8 table 9-11)."""
ITEMS_OFFSET = _HEAD.size + _FIXED.size
TITLES = slice(10, ITEMS_OFFSET)
"""Titles and reserved bytes: an A-ASSOCIATE-AC repeats those of the request (PS3.8 table 9-17)."""

A_ASSOCIATE_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, P_DATA_TF, A_ABORT = 1, 2, 3, 4, 7

_APPLICATION_CONTEXT, _CONTEXT_RQ, CONTEXT_AC, _USER_INFORMATION = 0x10, 0x20, 0x21, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_MAXIMUM_LENGTH, _IMPLEMENTATION_UID, _ROLE, _VERSION_NAME, _USER_IDENTITY = 0x51, 0x52, 0x54, 0x55, 0x58

_DICOM_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
NO_UID = b"0.0"
"""Stands for a missing or invalid UID. No peer supports it, so its presentation context is rejected."""
_IMPLICIT_VR_LITTLE_ENDIAN = b"1.2.840.10008.1.2"

_PADDING = bytes(range(0x21)) + b"\x7f"
_NOT_IN_TITLES = re.compile(rb"[^\x20-\x5b\x5d-\x7e]")
"""Bytes outside the repertoire of AE (PS3.5 table 6.2-1), with the backslash."""
_UID = re.compile(rb"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
_UID_BYTES = 64
_TITLE_BYTES = 16
_MAXIMUM_ITEM_BYTES = 0xFFFF

_SMALLEST_MAXIMUM_LENGTH = 8
"""A PDU of fewer bytes holds no fragment: 6 of header, and 2, as fragments have an even length."""

_REASONS = {1: (1, 2, 3, 7), 2: (1, 2), 3: (1, 2)}
"""Reasons of an A-ASSOCIATE-RJ by source (PS3.8 table 9-21)."""
_ABORT_REASONS = (0, 1, 2, 4, 5, 6)
"""Reasons of a service provider's A-ABORT (PS3.8 table 9-26)."""


class InvalidPduError(ValueError):
    """The PDU cannot be taken apart; the message quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizedRequest:
    """An A-ASSOCIATE-RQ in the form that pynetdicom decodes.

    `titles` are the bytes `TITLES` as sent. `wire_ids` has the context ID as sent of each context whose ID is even,
    which the standard forbids; its own ID in `pdu` is an odd one. Other implementations take even IDs.
    """

    pdu: bytes
    titles: bytes
    is_protocol_supported: bool
    is_application_context_supported: bool
    wire_ids: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Context:
    context_id: int
    abstract_syntax: bytes
    transfer_syntaxes: list[bytes]


def normalized_request(pdu: bytes) -> NormalizedRequest:
    """Return an A-ASSOCIATE-RQ without what pynetdicom does not decode.

    Raises
    ------
    InvalidPduError
        If the fixed fields are incomplete, or an item is longer than what holds it.
    """
    version, called, calling, items = _parts(pdu)
    application_context = b""
    contexts: list[_Context] = []
    user_information = b""
    for kind, value in items:
        if kind == _APPLICATION_CONTEXT:
            application_context = value.strip(_PADDING)
        elif kind == _CONTEXT_RQ:
            contexts.append(_context(value))
        elif kind == _USER_INFORMATION:
            user_information += value
    contexts = _without_repeated_ids(contexts)
    own_ids = _own_ids([context.context_id for context in contexts])
    encoded_contexts = b"".join(
        _encoded_context(context, own_ids[context.context_id]) for context in contexts if context.context_id in own_ids
    )
    return NormalizedRequest(
        pdu=_encoded(
            A_ASSOCIATE_RQ,
            _title(called),
            _title(calling),
            encoded_contexts + _item(_USER_INFORMATION, _user_items(user_information, is_request=True)),
        ),
        titles=pdu[TITLES],
        is_protocol_supported=bool(version & 1),
        is_application_context_supported=application_context == _DICOM_APPLICATION_CONTEXT,
        wire_ids={own: wire for wire, own in own_ids.items() if own != wire},
    )


def normalized(pdu: bytes) -> bytes:
    """Return an A-ASSOCIATE-AC, A-ASSOCIATE-RJ or A-ABORT in the form that pynetdicom decodes; any other as it is.

    Raises
    ------
    InvalidPduError
        As `normalized_request`.
    """
    match pdu[0]:
        case 1:
            return normalized_request(pdu).pdu
        case 2:
            return _normalized_accept(pdu)
        case 3:
            return _normalized_reject(pdu)
        case 7:
            return _normalized_abort(pdu)
        case _:
            return pdu


def with_context_ids(pdu: bytes, ids: Mapping[int, int]) -> bytes:
    """Return an A-ASSOCIATE-AC or P-DATA-TF PDU with other presentation context IDs; those not in `ids` stay."""
    changed = bytearray(pdu)
    is_data = pdu[0] == P_DATA_TF
    offset = _HEAD.size if is_data else ITEMS_OFFSET
    while offset + 5 <= len(pdu):
        length = int.from_bytes(pdu[offset : offset + 4] if is_data else pdu[offset + 2 : offset + 4])
        if is_data or pdu[offset] == CONTEXT_AC:
            changed[offset + 4] = ids.get(pdu[offset + 4], pdu[offset + 4])
        offset += 4 + length
    return bytes(changed)


def _normalized_accept(pdu: bytes) -> bytes:
    _, called, calling, items = _parts(pdu)
    contexts: dict[int, bytes] = {}
    user_information = b""
    for kind, value in items:
        if kind == CONTEXT_AC and len(value) >= 4 and value[0] % 2:
            contexts.setdefault(value[0], _encoded_result(value))
        elif kind == _USER_INFORMATION:
            user_information += value
    user_items = _user_items(user_information, is_request=False)
    content = b"".join(contexts.values()) + _item(_USER_INFORMATION, user_items)
    return _encoded(A_ASSOCIATE_AC, _title(called), _title(calling), content)


def _encoded_result(value: bytes) -> bytes:
    result = value[2] if value[2] <= 4 else 2
    syntaxes = [syntax for kind, syntax in _items(value[4:]) if kind == _TRANSFER_SYNTAX]
    # Not significant for a rejected context (PS3.8 table 9-18).
    syntax = _IMPLICIT_VR_LITTLE_ENDIAN if result else _uid(syntaxes[0] if syntaxes else b"")
    return _item(CONTEXT_AC, bytes([value[0], 0, result, 0]) + _item(_TRANSFER_SYNTAX, syntax))


def _normalized_reject(pdu: bytes) -> bytes:
    _, result, source, reason = pdu[6:10].ljust(4, b"\0")
    result, source = (result if result in (1, 2) else 1), (source if source in _REASONS else 1)
    return _HEAD.pack(A_ASSOCIATE_RJ, 4) + bytes([0, result, source, reason if reason in _REASONS[source] else 1])


def _normalized_abort(pdu: bytes) -> bytes:
    source, reason = pdu[8:10].ljust(2, b"\0")
    if source == 0:
        return _HEAD.pack(A_ABORT, 4) + bytes(4)
    return _HEAD.pack(A_ABORT, 4) + bytes([0, 0, 2, reason if reason in _ABORT_REASONS else 0])


def _parts(pdu: bytes) -> tuple[int, bytes, bytes, Iterator[tuple[int, bytes]]]:
    if len(pdu) < ITEMS_OFFSET:
        raise InvalidPduError("the PDU ends within its fixed fields")
    version, _, called, calling, _ = _FIXED.unpack_from(pdu, _HEAD.size)
    return version, called, calling, _items(pdu[ITEMS_OFFSET:])


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each item or sub-item; zeros at the end are padding."""
    offset, content_end = 0, len(content.rstrip(b"\0"))
    while offset < content_end:
        end = offset + 4 + int.from_bytes(content[offset + 2 : offset + 4])
        if offset + 4 > len(content) or end > len(content):
            raise InvalidPduError("an item is longer than what holds it")
        yield content[offset], content[offset + 4 : end]
        offset = end


def _context(value: bytes) -> _Context:
    if len(value) < 4:
        raise InvalidPduError("a presentation context item ends within its fixed fields")
    sub_items = list(_items(value[4:]))
    abstract = [name for kind, name in sub_items if kind == _ABSTRACT_SYNTAX]
    return _Context(
        context_id=value[0],
        abstract_syntax=_uid(abstract[0] if abstract else b""),
        transfer_syntaxes=[_uid(name) for kind, name in sub_items if kind == _TRANSFER_SYNTAX] or [NO_UID],
    )


def _without_repeated_ids(contexts: list[_Context]) -> list[_Context]:
    """Return one context per ID: the first of those for a SOP Class; for two SOP Classes, the later one."""
    by_id: dict[int, _Context] = {}
    for context in contexts:
        first = by_id.get(context.context_id)
        if first is None or first.abstract_syntax != context.abstract_syntax:
            by_id[context.context_id] = context
    return list(by_id.values())


def _own_ids(wire_ids: list[int]) -> dict[int, int]:
    """Return an odd ID for each ID as sent; of more than 128 contexts the last are left out."""
    free = (odd for odd in range(255, 0, -2) if odd not in wire_ids)
    own = {wire: wire if wire % 2 else next(free, 0) for wire in wire_ids}
    return {wire: odd for wire, odd in own.items() if odd}


def _encoded_context(context: _Context, own_id: int) -> bytes:
    syntaxes = b"".join(_item(_TRANSFER_SYNTAX, name) for name in context.transfer_syntaxes)
    return _item(_CONTEXT_RQ, bytes([own_id, 0, 0, 0]) + _item(_ABSTRACT_SYNTAX, context.abstract_syntax) + syntaxes)


def _user_items(content: bytes, *, is_request: bool) -> bytes:
    """Return the sub-items of User Information (PS3.7 annex D) that the node uses, and those that are required."""
    sub_items = list(_items(content))
    first = dict(reversed(sub_items))
    maximum_length = int.from_bytes(first.get(_MAXIMUM_LENGTH, b"")[:4])
    version_name = _NOT_IN_TITLES.sub(b"?", first.get(_VERSION_NAME, b"").strip(_PADDING))[:_TITLE_BYTES].strip()
    return b"".join(
        (
            _item(_MAXIMUM_LENGTH, _even_or_unlimited(maximum_length).to_bytes(4)),
            _item(_IMPLEMENTATION_UID, _uid(first.get(_IMPLEMENTATION_UID, b""))),
            _item(_VERSION_NAME, version_name) if version_name else b"",
            *(_role(value) for kind, value in sub_items if kind == _ROLE),
            _user_identity(first.get(_USER_IDENTITY, b"")) if is_request else b"",
        )
    )


def _even_or_unlimited(maximum_length: int) -> int:
    """Return a Maximum Length whose fragments are even; 0, no limit, for one that holds no fragment."""
    return 0 if maximum_length < _SMALLEST_MAXIMUM_LENGTH else maximum_length & ~1


def _role(value: bytes) -> bytes:
    """Return an SCP/SCU Role Selection sub-item; empty for one that cannot be decoded."""
    length = int.from_bytes(value[:2])
    uid, roles = _uid(value[2 : 2 + length]), value[2 + length : 4 + length]
    if uid == NO_UID or len(roles) < 2:
        return b""
    content = len(uid).to_bytes(2) + uid + bytes(int(role == 1) for role in roles)
    return _item(_ROLE, content)


def _user_identity(value: bytes) -> bytes:
    """Return a User Identity sub-item; empty for an unknown type, or one that cannot be decoded."""
    primary_end = 4 + int.from_bytes(value[2:4])
    secondary_end = primary_end + 2 + int.from_bytes(value[primary_end : primary_end + 2])
    if len(value) < primary_end + 2 or len(value) < secondary_end or not 1 <= value[0] <= 5:
        return b""
    return _item(_USER_IDENTITY, bytes([value[0], int(value[1] == 1)]) + value[2:secondary_end])


def _title(value: bytes) -> bytes:
    """Return an AE title as 16 bytes: to the first NUL, with ? for each byte that no title holds, and for a blank."""
    title = value.strip(_PADDING).partition(b"\0")[0].strip(_PADDING)
    return (_NOT_IN_TITLES.sub(b"?", title) or b"?").ljust(_TITLE_BYTES)


def _uid(value: bytes) -> bytes:
    uid = value.strip(_PADDING)
    return uid if len(uid) <= _UID_BYTES and _UID.fullmatch(uid) else NO_UID


def _encoded(kind: int, called: bytes, calling: bytes, items: bytes) -> bytes:
    content = _FIXED.pack(1, 0, called, calling, bytes(32)) + _item(_APPLICATION_CONTEXT, _DICOM_APPLICATION_CONTEXT)
    return _HEAD.pack(kind, len(content + items)) + content + items


def _item(kind: int, value: bytes) -> bytes:
    if len(value) > _MAXIMUM_ITEM_BYTES:
        raise InvalidPduError("an item is longer than its length field can say")
    return struct.pack(">BxH", kind, len(value)) + value
