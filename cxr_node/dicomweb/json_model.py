"""Data sets in the DICOM JSON Model (PS3.18 annex F), and frames and bulk data, out of archived files.

These functions parse films, so they run in a process of their own, with limits of memory and time. Values above
`INLINE_BYTES` are left out of the JSON: bulk data is fetched by its URI, pixels as frames.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from cxr_node.archive.integrity import read_beginning, read_intact
from cxr_node.archive.store import Archive
from cxr_node.domain.deflated import DEFLATED
from cxr_node.domain.encoded_data_set import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, PIXEL_DATA
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film_attributes import SPECIFIC_CHARACTER_SET as _SPECIFIC_CHARACTER_SET
from cxr_node.domain.identifiers import Digest
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse, parse_header

Json = Mapping[str, Any]

INLINE_BYTES = 4096
_BEGINNING_BYTES = 1 << 18
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_UTF_8 = "ISO_IR 192"
_BITS_PER_BYTE = 8
_FRAME_TYPES = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
"""Media types of compressed frames by transfer syntax (PS3.18 table 8.7.3-5)."""
OCTET_STREAM = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonContext:
    """Archive, and limits of what is parsed."""

    archive: Archive
    limits: Limits


class Archived(NamedTuple):
    """An archived object, as `integrity.ArchivedObject`."""

    archive_key: str
    digest: Digest


class Wanted(NamedTuple):
    """An archived object, with the numbers of frames from 1, or the tag of an element, that are wanted of it."""

    archived: Archived
    frames: tuple[int, ...] = ()
    tag: int = 0


class Frames(NamedTuple):
    """Frames as they are encoded, with media type and transfer syntax."""

    media_type: str
    transfer_syntax_uid: str
    contents: Sequence[bytes]


class NoSuchPart(NamedTuple):
    """The object has no such frame or element, or none that can be given: a sentence."""

    detail: str


def attributes(context: JsonContext, wanted: tuple[str, tuple[int, ...]]) -> Json | None:
    """Return some attributes of an object, by archive key and tags; None if its header cannot be read.

    Raises
    ------
    RetryLater
        If the archive is unreachable.
    """
    key, tags = wanted
    try:
        header = parse_header(read_beginning(context.archive, key, _BEGINNING_BYTES))
    except GiveUp:
        return None
    return _json(header, [tag for tag in tags if tag in header])


def metadata(context: JsonContext, archived: Archived) -> Json:
    """Return the data set of an object without its bulk data, whose place has a relative BulkDataURI.

    Raises
    ------
    GiveUp
        If it is damaged, or cannot be parsed.
    """
    return _json(parse(read_intact(context.archive, archived), limits=context.limits))


def frames(context: JsonContext, wanted: Wanted) -> Frames | NoSuchPart:
    """Return frames of an image, if it has them all; raises as `metadata`."""
    dataset = parse(read_intact(context.archive, wanted.archived), limits=context.limits)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    number_of_frames = int(dataset.get("NumberOfFrames", 1) or 1)
    if "PixelData" not in dataset or not all(1 <= number <= number_of_frames for number in wanted.frames):
        return _absent("frame")
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        encoded = list(generate_frames(dataset.PixelData, number_of_frames=number_of_frames))
        if max(wanted.frames) > len(encoded):
            return _absent("frame")
        return Frames(_FRAME_TYPES.get(syntax, OCTET_STREAM), syntax, [encoded[n - 1] for n in wanted.frames])
    if syntax == EXPLICIT_VR_BIG_ENDIAN:
        return _absent("frame in little endian")
    bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
    if bits % _BITS_PER_BYTE and number_of_frames > 1:
        return _absent("frame that begins at a byte")
    size, pixels = -(-bits // _BITS_PER_BYTE), bytes(dataset.PixelData)
    contents = [pixels[(n - 1) * size : n * size] for n in wanted.frames]
    if any(len(content) != size for content in contents):
        return _absent("frame of its size")
    return Frames(OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN if syntax in DEFLATED else syntax, contents)


def bulk_data(context: JsonContext, wanted: Wanted) -> bytes | NoSuchPart:
    """Return the value of a top level element with a binary VR, if it has that; raises as `metadata`."""
    dataset = parse(read_intact(context.archive, wanted.archived), limits=context.limits)
    if wanted.tag not in dataset:
        return _absent("element")
    element = dataset[wanted.tag]
    if element.VR not in _BINARY or not isinstance(element.value, bytes):
        return _absent("element with bulk data")
    return bytes(element.value)


def _absent(what: str) -> NoSuchPart:
    return NoSuchPart(f"the object has no such {what}")


def _json(dataset: Dataset, tags: Iterable[int] | None = None) -> Json:
    """Return a data set as JSON, in UTF-8; what cannot be converted is left out."""
    converted = {f"{tag:08X}": _element(dataset, tag) for tag in (dataset.keys() if tags is None else tags)}
    known = {name: element for name, element in converted.items() if element is not None}
    return {"00080005": {"vr": "CS", "Value": [_UTF_8]}, **dict(sorted(known.items()))} if known else {}


def _element(dataset: Dataset, tag: int) -> Json | None:
    if tag in (PIXEL_DATA, _SPECIFIC_CHARACTER_SET):
        return None
    try:
        element = dataset[tag]
        if element.VR in _BINARY and len(element.value or b"") > INLINE_BYTES:
            return {"vr": element.VR, "BulkDataURI": f"bulkdata/{tag:08X}"}
        converted: Json = element.to_json_dict(None, INLINE_BYTES)
        json.dumps(converted, allow_nan=False)
    except Exception:  # noqa: BLE001  # a value that is none of its VR: the rest is shown
        return None
    return converted
