"""Parses a film and computes its P-values: all steps of PS3.4 section N.2, in order.

Order of use: `parse` the bytes, judge the header (`suitability`), then `radiograph`. The arithmetic is in `grayscale`.
"""

import contextlib
import io
import zlib
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from pydicom import uid
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import data_element_generator, read_dataset
from pydicom.tag import BaseTag

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.hanging import orientation_of, states_sides
from cxr_node.domain.radiograph import WHITE, Geometry, Radiograph, UInt16, ViewSource
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels import background, elements, image_statistics, lookup
from cxr_node.pixels.age import age_in_years
from cxr_node.pixels.background import Mask
from cxr_node.pixels.body_part import BodyPart, find_body_part
from cxr_node.pixels.chain import choose_chain
from cxr_node.pixels.color import gray_cells
from cxr_node.pixels.decoding import Frame, decode_first_frame
from cxr_node.pixels.description import Description, describe
from cxr_node.pixels.geometry import geometry
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.pixels.veterinary import is_animal

_PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_FILE_META_GROUP = 2


def parse(content: bytes, *, limits: Limits | None = None) -> Dataset:
    """Return the data set of a DICOM file, with `file_meta`; values are converted only at access.

    Raises
    ------
    GiveUp
        DECODE if it cannot be parsed; TOO_LARGE if a deflated data set inflates beyond `limits`.
    """
    try:
        return _parse(content, limits or Limits())
    except GiveUp:
        raise
    except Exception as error:
        raise GiveUp(Reason.DECODE, f"the data set cannot be parsed ({type(error).__name__})") from error


def parse_to_damage(content: bytes, *, limits: Limits | None = None) -> Dataset:
    """Return a DICOM file's elements up to the first that cannot be parsed.

    For a film that its study's report must name although it cannot be read.

    Raises
    ------
    GiveUp
        As `parse`, if the File Meta Information cannot be parsed.
    """
    try:
        return parse(content, limits=limits)
    except GiveUp as gave_up:
        try:
            opened = _open(content, limits or Limits())
        except Exception:  # noqa: BLE001 - pydicom raises any type
            raise gave_up from None
    parsed: dict[BaseTag, DataElement | RawDataElement] = {}
    with contextlib.suppress(Exception):
        for element in data_element_generator(opened.stream, opened.is_implicit, opened.is_little_endian):
            parsed[BaseTag(element.tag)] = element
    return opened.with_encoding(Dataset(parsed))


@dataclass(frozen=True, slots=True)
class _OpenFile:
    """A file positioned at its data set, and the encoding of the data set."""

    stream: BinaryIO
    is_implicit: bool
    is_little_endian: bool
    meta: Dataset

    def with_encoding(self, dataset: Dataset) -> Dataset:
        dataset.set_original_encoding(self.is_implicit, self.is_little_endian)
        dataset.file_meta = FileMetaDataset(self.meta)
        return dataset


def _parse(content: bytes, limits: Limits) -> Dataset:
    opened = _open(content, limits)
    return opened.with_encoding(read_dataset(opened.stream, opened.is_implicit, opened.is_little_endian))


def _open(content: bytes, limits: Limits) -> _OpenFile:
    if content[_PREAMBLE_BYTES : _PREAMBLE_BYTES + len(_PREFIX)] != _PREFIX:
        raise GiveUp(Reason.DECODE, "not a DICOM file: the prefix DICM is missing")
    stream = io.BytesIO(content)
    stream.seek(_PREAMBLE_BYTES + len(_PREFIX))
    meta = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=_after_file_meta)
    syntax = elements.text(meta, "TransferSyntaxUID")
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        stream = io.BytesIO(_inflate(memoryview(content)[stream.tell() :], limits.maximum_inflated_bytes))
    return _OpenFile(stream, syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian, meta)


def _after_file_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != _FILE_META_GROUP


def _inflate(content: memoryview, maximum_bytes: int) -> bytes:
    """Return the deflated data set (PS3.5 section A.5), which may be a decompression bomb."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(content, maximum_bytes)
    if inflater.unconsumed_tail:
        raise GiveUp(Reason.TOO_LARGE, f"the deflated data set inflates beyond {maximum_bytes} bytes")
    return inflated


def radiograph(dataset: Dataset, *, limits: Limits, sandbox: Sandbox | None = None) -> Radiograph:
    """Return the first frame of a film as P-values, with its geometry.

    Compressed films are decoded in the `sandbox`; without one, one is started for this film alone (about 0.1 s).

    Raises
    ------
    GiveUp
        NO_PIXELS, TOO_LARGE, COLOR, DECODE or TIMEOUT, with a detail that quotes no text typed by a person.
    """
    described = describe(dataset, limits=limits)
    return apply_grayscale(dataset, decode_first_frame(dataset, described, limits=limits, sandbox=sandbox))


def apply_grayscale(dataset: Dataset, frame: Frame) -> Radiograph:
    """Return decoded cells as P-values, with the film's geometry: all of `radiograph` except decoding."""
    cells = gray_cells(dataset, frame)
    description = as_gray(frame.description)
    padded = background.padding(dataset, cells, description)
    shuttered = background.shutter(dataset, description)
    chosen = choose_chain(dataset, description, lookup.sample(cells, hidden=(padded, shuttered)))
    p_values = lookup.look_up(cells, description, chosen.chain)
    _blank(p_values, padded, shuttered)
    notes = chosen.notes if shuttered is None else (*chosen.notes, Note.SHUTTER)
    film_geometry = geometry(dataset)
    upright = orientation_of(film_geometry).of_pixels(p_values)
    if may_check_polarity(dataset, film_geometry) and image_statistics.polarity(upright).is_reversed:
        np.subtract(WHITE, p_values, out=p_values)
        _blank(p_values, padded, shuttered)
        notes = (*notes, Note.POLARITY_CORRECTED)
    p_values.setflags(write=False)
    return Radiograph(
        p_values=p_values,
        geometry=film_geometry,
        grayscale=chosen.sentence,
        notes=notes,
        age_years=age_in_years(dataset),
    )


def may_check_polarity(dataset: Dataset, place: Geometry) -> bool:
    """Whether the film may be a frontal human chest, the only kind whose polarity can be checked, as it hangs."""
    chest = find_body_part(dataset).part is not BodyPart.OTHER and not is_animal(dataset)
    frontal = place.view.is_frontal or place.view_source is ViewSource.NONE
    return chest and frontal and (place.patient_orientation is None or states_sides(place))


def _blank(p_values: UInt16, *masks: Mask | None) -> None:
    for mask in masks:
        if mask is not None:
            p_values[mask] = 0


def as_gray(description: Description) -> Description:
    """Return the description of the gray channel that `gray_cells` made of a color or palette frame."""
    match description.photometric_interpretation:
        case "MONOCHROME1" | "MONOCHROME2":
            return description
        case "PALETTE COLOR":
            sixteen = replace(description, bits_allocated=16, bits_stored=16, high_bit=15, is_signed=False)
            return replace(sixteen, photometric_interpretation="MONOCHROME2")
        case _:
            return replace(description, photometric_interpretation="MONOCHROME2", samples_per_pixel=1)
