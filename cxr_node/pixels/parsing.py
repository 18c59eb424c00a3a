"""Parses a DICOM file to a data set, by the same walk over its elements as reception.

pydicom's own reader takes bytes that end early for an empty data set, and a transfer syntax left in the data set for
the file's.
"""

from dataclasses import dataclass

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag

from cxr_node.domain.deflated import DEFLATED, HEADER_BYTES, inflate
from cxr_node.domain.encoded_data_set import (
    EXPLICIT_VR_BIG_ENDIAN,
    PIXEL_DATA,
    UNDEFINED,
    DamagedDataSet,
    Element,
    ElementCount,
    count_within,
    walk,
    walk_file_meta,
)
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import elements
from cxr_node.pixels.limits import Limits

_PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_TRANSFER_SYNTAX_UID = BaseTag(0x00020010)
_HEADER_VALUE_BYTES = 1 << 20
_GROUP_LENGTH = b"\x02\0\0\0UL\x04\0"


def parse(content: bytes, *, limits: Limits | None = None) -> Dataset:
    """Return the data set of a DICOM file, with `file_meta`; values are converted only at access.

    Missing delimiters, VRs that the standard does not have and elements out of order are accepted: see
    `encoded_data_set.walk`.

    Raises
    ------
    GiveUp
        DECODE if it cannot be parsed to the end of Pixel Data, or has more elements or nested sequences than
        `encoded_data_set` bounds; TOO_LARGE if a deflated data set inflates beyond
        `limits`.
    """
    limits = limits or Limits()
    limit = limits.maximum_inflated_bytes
    opened = _open(content, maximum_inflated_bytes=limit)
    if not opened.is_whole:
        raise GiveUp(Reason.TOO_LARGE, f"the deflated data set inflates beyond {limit} bytes")
    dataset, damage = _read(opened)
    if damage is not None:
        raise GiveUp(Reason.DECODE, f"the data set cannot be parsed: {damage}") from damage
    return dataset


def parse_header(content: bytes) -> Dataset:
    """Return a DICOM file's elements up to the first that cannot be parsed, without pixels.

    Left out are values longer than a mebibyte, none of which a result repeats, and sequences beyond the bounds. A
    deflated data set is inflated as far as reception inflates it.

    Raises
    ------
    GiveUp
        DECODE if not one element can be parsed.
    """
    return _read(_open(content, maximum_inflated_bytes=HEADER_BYTES), is_header=True)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenFile:
    """File Meta Information, and the data set, inflated; `is_whole` is False if it was cut at the limit."""

    meta: Dataset
    transfer_syntax_uid: str
    data_set: memoryview
    is_whole: bool = True


def _read(opened: _OpenFile, *, is_header: bool = False) -> tuple[Dataset, DamagedDataSet | None]:
    is_little_endian = opened.transfer_syntax_uid != EXPLICIT_VR_BIG_ENDIAN
    parsed: dict[BaseTag, DataElement | RawDataElement] = {}
    damage: DamagedDataSet | None = None
    is_implicit = False
    within = ElementCount()
    try:
        for element in walk(opened.data_set, transfer_syntax_uid=opened.transfer_syntax_uid):
            is_implicit = is_implicit or not element.vr
            tag = BaseTag(element.tag)
            if tag in parsed:  # as in reception: the first of two
                continue
            if is_header and (element.tag == PIXEL_DATA or element.end - element.start > _HEADER_VALUE_BYTES):
                continue
            excess = _excess_within(element, opened.data_set, is_little_endian=is_little_endian, count=within)
            damage = damage or excess
            if excess is None:
                parsed[tag] = _raw(element, opened.data_set, is_little_endian=is_little_endian)
    except DamagedDataSet as error:
        damage = damage or error
    dataset = Dataset(parsed)
    dataset.set_original_encoding(is_implicit, is_little_endian)
    dataset.file_meta = FileMetaDataset(opened.meta)
    return dataset, damage


def _excess_within(
    element: Element, data_set: memoryview, *, is_little_endian: bool, count: ElementCount
) -> DamagedDataSet | None:
    """Return the bound that the inside of a sequence exceeds.

    Reception skips a sequence of a defined length, so the elements behind it are the received ones all the same.
    """
    try:
        count_within(data_set, element, is_little_endian=is_little_endian, count=count)
    except DamagedDataSet as error:
        return error
    return None


def _raw(element: Element, data_set: memoryview, *, is_little_endian: bool) -> RawDataElement:
    is_sequence = element.length == UNDEFINED and element.tag != PIXEL_DATA
    value = bytes(data_set[element.start : element.end])
    return RawDataElement(
        BaseTag(element.tag),
        "SQ" if is_sequence else element.vr or None,
        len(value) if is_sequence else element.length,
        value,
        element.start,
        element.is_implicit_inside if is_sequence else not element.vr,
        is_little_endian,
        is_raw=True,
    )


def split_file(content: bytes) -> tuple[Dataset, memoryview]:
    """Return the File Meta Information of a DICOM file, and its data set as encoded.

    Raises
    ------
    GiveUp
        DECODE if the prefix is missing, or the File Meta Information ends early.
    """
    if content[_PREAMBLE_BYTES : _PREAMBLE_BYTES + len(_PREFIX)] != _PREFIX:
        raise GiveUp(Reason.DECODE, "not a DICOM file: the prefix DICM is missing")
    try:
        return _file_meta(memoryview(content)[_PREAMBLE_BYTES + len(_PREFIX) :])
    except DamagedDataSet as error:
        raise GiveUp(Reason.DECODE, f"the data set cannot be parsed: {error}") from error


def _open(content: bytes, *, maximum_inflated_bytes: int) -> _OpenFile:
    meta, data_set = split_file(content)
    syntax = elements.text(meta, "TransferSyntaxUID")
    if syntax not in DEFLATED:
        return _OpenFile(meta=meta, transfer_syntax_uid=syntax, data_set=data_set)
    try:
        inflated, is_whole = inflate(data_set, maximum_bytes=maximum_inflated_bytes)
    except DamagedDataSet as error:
        raise GiveUp(Reason.DECODE, f"the data set cannot be parsed: {error}") from error
    return _OpenFile(meta=meta, transfer_syntax_uid=syntax, data_set=memoryview(inflated), is_whole=is_whole)


def _file_meta(after_prefix: memoryview) -> tuple[Dataset, memoryview]:
    """Return File Meta Information, and the data set behind it.

    It ends by its group length: what follows of group 0002 is part of the data set, and of no account.
    """
    meta: dict[BaseTag, DataElement | RawDataElement] = {}
    end = len(after_prefix)
    if bytes(after_prefix[: len(_GROUP_LENGTH)]) == _GROUP_LENGTH:
        end = len(_GROUP_LENGTH) + 4 + int.from_bytes(after_prefix[len(_GROUP_LENGTH) :][:4], "little")
    offset = 0
    for element in walk_file_meta(after_prefix):
        if element.start > end and _TRANSFER_SYNTAX_UID in meta:
            break
        meta[BaseTag(element.tag)] = _raw(element, after_prefix, is_little_endian=True)
        offset = element.end
    return Dataset(meta), after_prefix[offset:]
