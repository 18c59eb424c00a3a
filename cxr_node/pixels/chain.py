"""Chooses the grayscale chain of a film: from its header, or from its pixels if the header has no usable VOI."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from cxr_node.domain.radiograph import WHITE
from cxr_node.domain.reasons import Note
from cxr_node.pixels import elements
from cxr_node.pixels.decoding import Cells
from cxr_node.pixels.description import Description
from cxr_node.pixels.grayscale import (
    TABLE_BITS,
    Chain,
    Rescale,
    Window,
    between,
    modality_range,
    p_values,
    stored_values,
)
from cxr_node.pixels.lut import Lut
from cxr_node.pixels.voi import read_modality, read_voi

_PERCENTILES = (0.5, 99.5)
_DISPLAY_BITS = 8
_MAX_CLIPPED = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenChain:
    """A chain, the notes about it, and `sentence`, its provenance in one line."""

    chain: Chain
    notes: tuple[Note, ...]
    sentence: str


def choose_chain(dataset: Dataset, description: Description, sample: Cells) -> ChosenChain:
    """Return the film's chain; `sample` is a sample of its cells without padding and shuttered ones.

    Without a usable VOI transform, films of 8 bits stored are shown unchanged (they were made for display: PS3.4
    section N.2.1.2, identity). Deeper films are shown from the 0.5th to the 99.5th percentile of their pixels, with a
    note, since their range of bits is usually far wider than their values. A window that clips 95 % of the pixels
    counts as unusable. Polarity follows Photometric Interpretation (0028,0004) only; a contradicting Presentation LUT
    Shape (2050,0020) is noted.

    Raises
    ------
    GiveUp
        DECODE, as `read_modality`.
    """
    modality = read_modality(dataset, description)
    voi = read_voi(dataset, description, modality)
    inverted = description.photometric_interpretation == "MONOCHROME1"
    notes = [Note.POLARITY_CONTRADICTORY] if _shape_contradicts(dataset, inverted=inverted) else []
    if voi is not None and _clips(sample, description, Chain(modality=modality, voi=voi, is_inverted=False)):
        voi = None
    voi_text = _description_of(voi)
    if voi is None and description.bits_stored <= _DISPLAY_BITS and not isinstance(modality, Lut):
        voi = between(*modality_range(description, modality))
        voi_text = "no VOI, shown as stored"
    elif voi is None:
        stored = stored_values(sample, description)
        low, high = np.percentile(modality(stored.astype(np.float64)), _PERCENTILES)
        voi = between(float(low), float(high))
        voi_text = f"no VOI, shown from {low:g} to {high:g}"
        notes.append(Note.NO_VOI)
    chain = Chain(modality=modality, voi=voi, is_inverted=inverted)
    sentence = "; ".join((_description_of(modality), voi_text, description.photometric_interpretation))
    return ChosenChain(chain=chain, notes=tuple(notes), sentence=sentence)


def color_chain(description: Description) -> ChosenChain:
    """Return the chain of the gray channel of a color or palette film: as stored.

    Window and VOI LUT have no meaning for such films (PS3.3 section C.11.2.1.2), nor have the modality transforms: a
    secondary capture may have kept those of the film that it was made of.
    """
    modality = Rescale()
    voi = between(*modality_range(description, modality))
    return ChosenChain(
        chain=Chain(modality=modality, voi=voi, is_inverted=False), notes=(), sentence="color, shown as stored"
    )


def _shape_contradicts(dataset: Dataset, *, inverted: bool) -> bool:
    """Whether MONOCHROME1 has IDENTITY or MONOCHROME2 has INVERSE, against PS3.3 section C.8.11.3.1.2."""
    shape = elements.text(dataset, "PresentationLUTShape").upper()
    return shape in ("IDENTITY", "INVERSE") and (shape == "INVERSE") != inverted


def _clips(sample: Cells, description: Description, chain: Chain) -> bool:
    """Whether the transform sets nearly all pixels to one end although they differ."""
    values, counts = _different(sample, description)
    shown = p_values(values, chain)
    clipped = max(int(counts[shown == end].sum()) for end in (0, WHITE)) / int(counts.sum())
    return clipped > _MAX_CLIPPED and int(np.ptp(values)) > 1


def _different(sample: Cells, description: Description) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """Return the different stored values of a sample, in no order, and how often each occurs."""
    if description.bits_allocated > TABLE_BITS:
        stored, counts = np.unique(stored_values(sample, description), return_counts=True)
        return stored, counts
    counts = np.bincount(sample)
    patterns = np.flatnonzero(counts)
    return stored_values(patterns, description), counts[patterns]


def _description_of(step: Rescale | Lut | Window | None) -> str:
    match step:
        case Rescale(slope=1.0, intercept=0.0) | None:
            return "no rescale"
        case Rescale():
            return f"rescale {step.slope:g}, {step.intercept:g}"
        case Lut():
            return f"LUT of {len(step.entries)} entries of {step.bits} bits"
        case Window():
            return f"window {step.center:g}, {step.width:g} {step.function}"
