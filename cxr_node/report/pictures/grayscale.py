"""Grayscale transformations of a film, as its presentation state repeats them (PS3.4 section N.2).

A presentation state replaces the film's own transformations, and one left out is an identity: a film whose
transformations are not repeated is shown in the wrong grays.
"""

from collections.abc import Sequence

from pydicom.dataset import Dataset

_LUT = ("LUTDescriptor", "LUTData")


def modality_lut(header: Dataset) -> Dataset:
    """Return the Modality LUT module (PS3.3 section C.11.1): a table or a line, never both."""
    module = Dataset()
    if _tables(header, "ModalityLUTSequence"):
        module.add(header["ModalityLUTSequence"])
    elif not _is_empty(header, "RescaleSlope") and not _is_empty(header, "RescaleIntercept"):
        module.add(header["RescaleIntercept"])
        module.add(header["RescaleSlope"])
        module.RescaleType = header.get("RescaleType") or "US"
    return module


def softcopy_voi_lut(header: Dataset) -> Dataset:
    """Return the Softcopy VOI LUT module (PS3.3 section C.11.8): the first table or window that can be used."""
    item = Dataset()
    if _tables(header, "VOILUTSequence"):
        item.VOILUTSequence = [header.VOILUTSequence[0]]
    else:
        center, width = _first(header, "WindowCenter"), _first(header, "WindowWidth")
        if center is not None and width is not None and width >= 1:  # C.11.2.1.2.1 forbids less
            item.WindowCenter, item.WindowWidth = center, width
            if header.get("VOILUTFunction"):
                item.VOILUTFunction = header.VOILUTFunction
    module = Dataset()
    if len(item):
        module.SoftcopyVOILUTSequence = [item]
    return module


def presentation_lut_shape(header: Dataset) -> str:
    """Return INVERSE for MONOCHROME1: highdicom 0.28.2 writes IDENTITY there, and the film shows inverted."""
    return "INVERSE" if header.get("PhotometricInterpretation") == "MONOCHROME1" else "IDENTITY"


def pixel_aspect_ratio(header: Dataset) -> list[int]:
    """Return Pixel Aspect Ratio (0028,0034), 1:1 where the film has none that can be used."""
    ratio = header.get("PixelAspectRatio")
    if isinstance(ratio, Sequence) and not isinstance(ratio, str) and len(ratio) == 2 and min(ratio) > 0:
        return [int(part) for part in ratio]
    return [1, 1]


def _tables(header: Dataset, keyword: str) -> bool:
    tables = header.get(keyword)
    return bool(tables) and all(part in tables[0] for part in _LUT)


def _is_empty(header: Dataset, keyword: str) -> bool:
    return keyword not in header or header[keyword].is_empty


def _first(header: Dataset, keyword: str) -> float | None:
    if _is_empty(header, keyword):
        return None
    value = header[keyword].value
    return float(value if isinstance(value, int | float) else value[0])
