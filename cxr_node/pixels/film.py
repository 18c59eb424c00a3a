"""Computes the P-values of a film: all steps of PS3.4 section N.2, in order.

Order of use: `parsing.parse` the bytes, judge the header (`suitability`), then `radiograph`. The arithmetic is in
`grayscale`.
"""

from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from cxr_node.domain.film_geometry import Geometry, ViewSource
from cxr_node.domain.hanging import orientation_of, states_sides
from cxr_node.domain.radiograph import WHITE, Radiograph, UInt16
from cxr_node.domain.reasons import Note
from cxr_node.pixels import background, image_statistics, lookup
from cxr_node.pixels.age import age_in_years
from cxr_node.pixels.background import Mask
from cxr_node.pixels.body_part import BodyPart, find_body_part
from cxr_node.pixels.chain import choose_chain, color_chain
from cxr_node.pixels.color import gray_cells
from cxr_node.pixels.decoding import Frame, decode_first_frame
from cxr_node.pixels.description import MONOCHROME, Description, describe
from cxr_node.pixels.geometry import geometry
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.pixels.veterinary import is_animal


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
    shuttered = background.shutter(dataset, description)
    if frame.description.photometric_interpretation in MONOCHROME:
        padded = background.padding(dataset, cells, description)
        chosen = choose_chain(dataset, description, lookup.sample(cells, hidden=(padded, shuttered)))
    else:
        padded, chosen = None, color_chain(description)
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
