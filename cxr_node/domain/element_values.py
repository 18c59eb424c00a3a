"""Values of selected top level elements of an encoded data set, without a full parser.

A full parser decodes character sets and private sequences, and stops at the first element that it cannot decode.
"""

from collections.abc import Set as AbstractSet

from cxr_node.domain.deflated import DEFLATED, HEADER_BYTES, inflate
from cxr_node.domain.encoded_data_set import UNDEFINED, DamagedDataSet, walk, walk_file_meta
from cxr_node.domain.identifiers import Uid, parse_uid

_AFTER_PREFIX = 132
MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
MEDIA_STORAGE_SOP_INSTANCE_UID = 0x00020003
TRANSFER_SYNTAX_UID = 0x00020010
_NONE: frozenset[int] = frozenset()


def values_of(
    data_set: memoryview,
    wanted: AbstractSet[int],
    *,
    transfer_syntax_uid: Uid,
    required: AbstractSet[int] = _NONE,
    expected: AbstractSet[int] = _NONE,
) -> dict[int, bytes]:
    """Return the encoded values of the `wanted` top level elements that are present; of one given twice, the first.

    Parameters
    ----------
    data_set
        An encoded data set, without File Meta Information.
    wanted
        Tags as group times 65536 plus element, none of them a sequence.
    required, expected
        Tags that are looked for beyond the last wanted tag, where a sender may have put them out of order.

    Raises
    ------
    ValueError
        If the bytes up to the last wanted tag, or to the last of `required`, are not a data set, or have too many
        elements or nested sequences.
    """
    if transfer_syntax_uid in DEFLATED:
        data_set = memoryview(inflate(data_set, maximum_bytes=HEADER_BYTES)[0])
    last = max(wanted)
    values: dict[int, bytes] = {}
    is_behind_last = False
    try:
        for tag, _, length, start, end, _ in walk(data_set, transfer_syntax_uid=transfer_syntax_uid):
            if tag > last:
                is_behind_last = True
                if required <= values.keys() and expected <= values.keys():
                    break
            if tag in wanted and tag not in values and length != UNDEFINED:
                values[tag] = bytes(data_set[start:end])
    except DamagedDataSet:
        if not (is_behind_last and required <= values.keys()):
            raise
    return values


def transfer_syntax_and_data_set(content: bytes) -> tuple[Uid, memoryview]:
    """Return the transfer syntax and the encoded data set of a DICOM file (PS3.10 section 7.1).

    Raises
    ------
    ValueError
        If it has no valid Transfer Syntax UID.
    """
    values, data_set = file_meta_and_data_set(content)
    return parse_uid(values.get(TRANSFER_SYNTAX_UID, b"").decode("ascii")), data_set


def file_meta_and_data_set(content: bytes, *, offset: int = _AFTER_PREFIX) -> tuple[dict[int, bytes], memoryview]:
    """Return the encoded values of the File Meta Information of a DICOM file, and its encoded data set."""
    after_prefix = memoryview(content)[offset:]
    values, end = {}, 0
    for tag, _, _, start, end, _ in walk_file_meta(after_prefix):
        values[tag] = bytes(after_prefix[start:end])
    return values, after_prefix[end:]
