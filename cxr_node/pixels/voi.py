"""Reads the modality and VOI transforms of a header (PS3.3 sections C.11.1 and C.11.2)."""

import math

from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import elements
from cxr_node.pixels.description import Description
from cxr_node.pixels.grayscale import Rescale, Window, WindowFunction, modality_range
from cxr_node.pixels.lut import Lut, read_lut

_LARGEST = 1e9
"""Limit of modality values, centers and widths: none of a radiograph is near it, and larger ones lose precision."""


def read_modality(dataset: Dataset, description: Description) -> Rescale | Lut:
    """Return the modality transform: the LUT if there is one, even beside a slope (C.11.1 forbids both).

    Raises
    ------
    GiveUp
        DECODE if the LUT cannot be used or the slope is 0 or no number: any picture would be wrong.
    """
    tables = elements.items(dataset, "ModalityLUTSequence")
    if tables:
        lut = read_lut(tables[0], signed_input=description.is_signed)
        if lut is None:
            raise GiveUp(Reason.DECODE, "the table in Modality LUT Sequence (0028,3000) cannot be used")
        return lut
    slope, intercept = _stated(dataset, "RescaleSlope", 1.0), _stated(dataset, "RescaleIntercept", 0.0)
    if slope == 0 or not (abs(slope) < _LARGEST and abs(intercept) < _LARGEST):
        raise GiveUp(Reason.DECODE, "Rescale Slope (0028,1053) or Intercept (0028,1052) is 0, too large or no number")
    return Rescale(slope=slope, intercept=intercept)


def _stated(dataset: Dataset, keyword: str, default: float) -> float:
    values = elements.numbers(dataset, keyword)
    return values[0] if values else default


def read_voi(dataset: Dataset, description: Description, modality: Rescale | Lut) -> Window | Lut | None:
    """Return the VOI transform to use: the LUT before the windows; None if none is usable.

    The first usable LUT; of several windows the one explained as NORMAL, else the first usable one.
    """
    signed_input = modality_range(description, modality)[0] < 0
    for item in elements.items(dataset, "VOILUTSequence"):
        lut = read_lut(item, signed_input=signed_input)
        if lut is not None:
            return lut
    usable = _windows(dataset)
    normal = [window for explanation, window in usable if explanation.upper() == "NORMAL"]
    return normal[0] if normal else usable[0][1] if usable else None


def _windows(dataset: Dataset) -> list[tuple[str, Window]]:
    stated = elements.text(dataset, "VOILUTFunction").upper()
    function = WindowFunction(stated) if stated in WindowFunction.__members__ else WindowFunction.LINEAR
    centers, widths = elements.numbers(dataset, "WindowCenter"), elements.numbers(dataset, "WindowWidth")
    explanations = elements.texts(dataset, "WindowCenterWidthExplanation")
    usable = []
    for at, (center, width) in enumerate(zip(centers, widths, strict=False)):
        if math.isnan(center) or math.isnan(width) or abs(center) > _LARGEST or width > _LARGEST:
            continue
        window = Window(center=center, width=width, function=function)
        if window.is_usable:
            usable.append((explanations[at] if at < len(explanations) else "", window))
    return usable
