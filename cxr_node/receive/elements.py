"""Values of selected top level elements of an encoded data set, without a full parser.

A full parser decodes character sets and private sequences, and stops at the first element that it cannot decode.
"""

from collections.abc import Set as AbstractSet

from cxr_node.domain.deflated import DEFLATED, inflate
from cxr_node.domain.encoded_data_set import UNDEFINED, DamagedDataSet, walk
from cxr_node.domain.identifiers import Uid

_INFLATED_BYTES = 8 << 20
"""Limit of inflation: headers are kilobytes, a decompression bomb is gigabytes."""
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
        data_set = memoryview(inflate(data_set, maximum_bytes=_INFLATED_BYTES)[0])
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
