"""Command sets of C-STORE as bytes (PS3.7 section 9.3.1, annex E), for the streaming path.

Decodes only the plain form of a request, as modalities send it; pynetdicom decodes all others.
"""

import re
import struct
from dataclasses import dataclass

from cxr_node.domain.identifiers import Uid

_GROUP_LENGTH = 0x00000000
_AFFECTED_SOP_CLASS_UID = 0x00000002
_COMMAND_FIELD = 0x00000100
_MESSAGE_ID = 0x00000110
_MESSAGE_ID_BEING_RESPONDED_TO = 0x00000120
_PRIORITY = 0x00000700
_COMMAND_DATA_SET_TYPE = 0x00000800
_STATUS = 0x00000900
_ERROR_COMMENT = 0x00000902
_AFFECTED_SOP_INSTANCE_UID = 0x00001000
_MOVE_ORIGINATOR_AE_TITLE = 0x00001030
_MOVE_ORIGINATOR_MESSAGE_ID = 0x00001031

_C_STORE_RQ = 0x0001
_C_STORE_RSP = 0x8001
_NO_DATA_SET = 0x0101

_US_TAGS = (_COMMAND_FIELD, _MESSAGE_ID, _COMMAND_DATA_SET_TYPE)
_UI_TAGS = (_AFFECTED_SOP_CLASS_UID, _AFFECTED_SOP_INSTANCE_UID)
# Optional; Priority and Move Originator are not used.
_OPTIONAL = {_GROUP_LENGTH, _PRIORITY, _MOVE_ORIGINATOR_AE_TITLE, _MOVE_ORIGINATOR_MESSAGE_ID}
_KNOWN = {*_US_TAGS, *_UI_TAGS, *_OPTIONAL}

_ELEMENT = struct.Struct("<HHL")
_NUMBER = struct.Struct("<H")
_NUMBER_ELEMENT = struct.Struct("<HHLH")
_PDU_HEADER = struct.Struct(">BxLLBB")
"""Headers of a P-DATA-TF PDU and of its single PDV item (PS3.8 tables 9-22 and 9-23)."""

_LAST_COMMAND_FRAGMENT = 0x03
_PDU_HEADER_BYTES = 6
PDV_OFFSET_BYTES = 11
"""Offset of the PDV in a PDU of one item, after item length and context ID."""

_UID_PATTERN = re.compile(rb"[0-9]+(\.[0-9]+)*")
_UID_BYTES = 64
_INVALID_UID = Uid("0.0")
"""Stands for a UID that is none: no data set has it, so the request gets a failure status instead of an abort."""

_UID_ELEMENTS = (0x0002, 0x0003, 0x1000, 0x1001)
"""Affected and Requested SOP Class and Instance UID."""
_PRIORITIES = (0, 1, 2)
_PADDING = b"\0 "


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """The parameters of a C-STORE request."""

    message_id: int
    sop_class_uid: Uid
    sop_instance_uid: Uid


def store_request(command: bytes) -> StoreRequest | None:
    """Return the C-STORE request of an encoded command set in plain form; None if it is anything else."""
    values = _values(command)
    if values is None or not values.keys() >= {*_US_TAGS, *_UI_TAGS}:
        return None
    numbers = {tag: _number(values[tag]) for tag in _US_TAGS}
    sop_class_uid = _uid(values[_AFFECTED_SOP_CLASS_UID])
    sop_instance_uid = _instance_uid(values[_AFFECTED_SOP_INSTANCE_UID])
    message_id = numbers[_MESSAGE_ID]
    if numbers[_COMMAND_FIELD] != _C_STORE_RQ or numbers[_COMMAND_DATA_SET_TYPE] in (None, _NO_DATA_SET):
        return None
    if message_id is None or sop_class_uid is None or sop_instance_uid is None:
        return None
    return StoreRequest(message_id=message_id, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid)


def normalized_command(command: bytes) -> bytes:
    """Return a command set with values that pynetdicom's primitives take.

    An unknown Priority (0000,0700) becomes MEDIUM, and a UID that is none `0.0`. A command set that cannot be taken
    apart is returned as it is.
    """
    normalized = []
    offset = 0
    while offset < len(command):
        if offset + _ELEMENT.size > len(command):
            return command
        group, element, length = _ELEMENT.unpack_from(command, offset)
        end = offset + _ELEMENT.size + length
        if end > len(command):
            return command
        value = command[end - length : end]
        if group == 0:
            value = _normalized_value(element, value)
        normalized.append(_ELEMENT.pack(group, element, len(value)) + value)
        offset = end
    return b"".join(normalized)


def _normalized_value(element: int, value: bytes) -> bytes:
    if element == _PRIORITY and value and _number(value) not in _PRIORITIES:
        return _NUMBER.pack(0)
    if element in _UID_ELEMENTS and _uid(value.rstrip(_PADDING)) is None:
        return _INVALID_UID.encode() + b"\0"
    return value


def store_response(request: StoreRequest, *, context_id: int, status: int, error_comment: str = "") -> bytes:
    """Return the P-DATA-TF PDU of the C-STORE response to `request`; the comment is ASCII, of at most 64 characters."""
    elements = b"".join(
        (
            _element(_AFFECTED_SOP_CLASS_UID, request.sop_class_uid.encode(), b"\0"),
            _number_element(_COMMAND_FIELD, _C_STORE_RSP),
            _number_element(_MESSAGE_ID_BEING_RESPONDED_TO, request.message_id),
            _number_element(_COMMAND_DATA_SET_TYPE, _NO_DATA_SET),
            _number_element(_STATUS, status),
            _element(_ERROR_COMMENT, error_comment.encode(), b" ") if error_comment else b"",
            _element(_AFFECTED_SOP_INSTANCE_UID, request.sop_instance_uid.encode(), b"\0"),
        )
    )
    command = _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(elements)) + elements
    return _PDU_HEADER.pack(0x04, len(command) + 6, len(command) + 2, context_id, _LAST_COMMAND_FRAGMENT) + command


def pdu_length(pdu: bytes) -> int:
    """Return the PDU-length field, which a peer's Maximum Length bounds (PS3.8 section D.1)."""
    return len(pdu) - _PDU_HEADER_BYTES


def _values(command: bytes) -> dict[int, bytes] | None:
    """Return the values by tag; None unless all elements are of group 0000, known, complete and in order."""
    values: dict[int, bytes] = {}
    offset, last = 0, -1
    while offset < len(command):
        if offset + _ELEMENT.size > len(command):
            return None
        group, element, length = _ELEMENT.unpack_from(command, offset)
        offset += _ELEMENT.size + length
        if group or element <= last or element not in _KNOWN or offset > len(command):
            return None
        values[element] = command[offset - length : offset]
        last = element
    return values


def _number(value: bytes) -> int | None:
    return int(_NUMBER.unpack(value)[0]) if len(value) == _NUMBER.size else None


def _uid(value: bytes) -> Uid | None:
    uid = value.removesuffix(b"\0")
    return Uid(uid.decode("ascii")) if len(uid) <= _UID_BYTES and _UID_PATTERN.fullmatch(uid) else None


def _instance_uid(value: bytes) -> Uid | None:
    """Return the UID, `_INVALID_UID` for one that is none, or None for one that is padded in another form."""
    uid = _uid(value)
    return _INVALID_UID if uid is None and _uid(value.rstrip(_PADDING)) is None else uid


def _element(tag: int, value: bytes, padding: bytes) -> bytes:
    value += padding * (len(value) % 2)
    return _ELEMENT.pack(0, tag, len(value)) + value


def _number_element(tag: int, number: int) -> bytes:
    return _NUMBER_ELEMENT.pack(0, tag, _NUMBER.size, number)
