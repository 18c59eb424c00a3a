"""Comparison of a film with the first one of its SOP Instance UID: the same again, a correction, or another film."""

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from cxr_node.archive.integrity import read_intact
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film import Film
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.decoding import decode_first_frame
from cxr_node.pixels.description import describe
from cxr_node.pixels.grayscale import stored_values
from cxr_node.pixels.parsing import parse
from cxr_node.reading.context import ReadContext
from cxr_node.report.corrections import corrected_attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """How a film relates to the first one of its SOP Instance UID; without a `reason` it is the same."""

    reason: Reason | None
    detail: str


def conflict(cause: str) -> Repeat:
    """Return the outcome for another film under a known SOP Instance UID."""
    return Repeat(
        reason=Reason.DUPLICATE,
        detail=f"{cause}; compare the two films, and send the right one again under a SOP Instance UID of its own",
    )


def compare_with_first(context: ReadContext, film: Film) -> Repeat:
    """Compare a film with the first one of its SOP Instance UID, by decoded pixels and by patient, study and order."""
    if film.is_replaced:
        return Repeat(reason=None, detail="a corrected copy has taken the place of this film")
    if film.first is None:
        return conflict("the first film of this SOP Instance UID is no longer in the archive")
    try:
        contents = (read_intact(context.archive, one) for one in (film.first, film))
        first, second = (parse(content, limits=context.rules.limits) for content in contents)
        is_same_image = _is_same_image(context, first, second)
    except GiveUp as gave_up:
        return conflict(f"its pixels cannot be compared with those of the first film: {gave_up.detail}")
    if not is_same_image:
        return conflict("its pixels are not those of the first film of this SOP Instance UID")
    corrected = corrected_attributes(first, second)
    if not corrected:
        return Repeat(reason=None, detail="the same film as the first of its SOP Instance UID, in another encoding")
    return Repeat(
        reason=Reason.CORRECTION,
        detail=f"{', '.join(corrected)} corrected",
    )


def _is_same_image(context: ReadContext, first: Dataset, second: Dataset) -> bool:
    one, other = _payload(first), _payload(second)
    if one == other and _syntax(first) == _syntax(second):
        return True
    (values, photometric), (other_values, other_photometric) = (_decoded(context, film) for film in (first, second))
    return photometric == other_photometric and np.array_equal(values, other_values)


def _decoded(context: ReadContext, film: Dataset) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], str]:
    limits = context.rules.limits
    frame = decode_first_frame(film, describe(film, limits=limits), limits=limits, sandbox=context.sandbox)
    return stored_values(frame.cells, frame.description), frame.description.photometric_interpretation


def _payload(film: Dataset) -> object:
    return film.get_item("PixelData", keep_deferred=True).value if "PixelData" in film else None


def _syntax(film: Dataset) -> str:
    return str(film.file_meta.get("TransferSyntaxUID", ""))
