"""Geometry by the header: pixel spacing with its provenance, orientation and view."""

import math
import re

from pydicom.dataset import Dataset

from cxr_node.domain.film_geometry import Geometry, PixelSpacing, SpacingSource
from cxr_node.pixels import elements
from cxr_node.pixels.view import find_view

_PLAUSIBLE_MM = (0.005, 10.0)
_MAGNIFICATIONS = (1.0, 3.0)
_AXES = ("LR", "AP", "FH")
_DIRECTION = re.compile(r"(?!.*(L.*R|R.*L|A.*P|P.*A|F.*H|H.*F))[LRAPFH]{1,3}")


def geometry(dataset: Dataset) -> Geometry:
    """Return the film's geometry as its header states it; the picture is not used.

    Never raises: an element that cannot be parsed is left out. Rows and columns are 0 where absent.
    """
    spacing = read_spacing(dataset)
    view, view_source = find_view(dataset)
    return Geometry(
        rows=max(elements.integer(dataset, "Rows") or 0, 0),
        columns=max(elements.integer(dataset, "Columns") or 0, 0),
        spacing=spacing,
        aspect_ratio=spacing.row_mm / spacing.column_mm if spacing is not None else _aspect_ratio(dataset),
        view=view,
        view_source=view_source,
        patient_orientation=patient_orientation(dataset),
    )


def read_spacing(dataset: Dataset) -> PixelSpacing | None:
    """Return the distance between pixel centers by PS3.3 section 10.7.1.3, the most reliable first.

    Calibrated (Pixel Spacing with a Calibration Type); at the detector, corrected for the stated magnification; at
    the detector. Pixel Spacing without a Calibration Type counts as at the detector if it equals Imager Pixel
    Spacing, and as of unstated calibration if it differs or is the only one.
    """
    pixel, imager = _pair(dataset, "PixelSpacing"), _pair(dataset, "ImagerPixelSpacing")
    scanned = _pair(dataset, "NominalScannedPixelSpacing")
    magnification = elements.number(dataset, "EstimatedRadiographicMagnificationFactor") or 0.0
    calibrated = elements.text(dataset, "PixelSpacingCalibrationType").upper() in ("GEOMETRY", "FIDUCIAL")
    if pixel is not None and calibrated:
        return _spacing(pixel, SpacingSource.CALIBRATED)
    if imager is not None and _MAGNIFICATIONS[0] <= magnification <= _MAGNIFICATIONS[1]:
        return _spacing((imager[0] / magnification, imager[1] / magnification), SpacingSource.MAGNIFICATION)
    if pixel is not None and not _same(pixel, imager) and not _same(pixel, scanned):
        return _spacing(pixel, SpacingSource.UNSPECIFIED)
    at_detector = imager or scanned
    return None if at_detector is None else _spacing(at_detector, SpacingSource.DETECTOR)


def _spacing(pair: tuple[float, float], source: SpacingSource) -> PixelSpacing:
    return PixelSpacing(row_mm=pair[0], column_mm=pair[1], source=source)


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    values = elements.numbers(dataset, keyword)
    low, high = _PLAUSIBLE_MM
    if len(values) != 2 or not all(low <= value <= high for value in values):
        return None
    return values[0], values[1]


def _same(one: tuple[float, float], other: tuple[float, float] | None) -> bool:
    return other is not None and all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(one, other, strict=True))


def _aspect_ratio(dataset: Dataset) -> float:
    """Return Pixel Aspect Ratio (0028,0034), vertical over horizontal; 1.0 if it is absent or malformed."""
    values = elements.numbers(dataset, "PixelAspectRatio")
    if len(values) != 2 or not all(0 < value < 1e6 for value in values):
        return 1.0
    ratio = values[0] / values[1]
    return ratio if 1e-1 < ratio < 1e1 else 1.0


def patient_orientation(dataset: Dataset) -> tuple[str, str] | None:
    """Return Patient Orientation (0020,0020): directions of rows and columns, PS3.3 section C.7.6.1.1.1.

    None if it is absent or contradicts itself: rows and columns cannot both run between left and right.
    """
    values = tuple(value.upper() for value in elements.texts(dataset, "PatientOrientation"))
    if len(values) != 2 or not all(_DIRECTION.fullmatch(value) for value in values):
        return None
    axes = [next(axis for axis in _AXES if value[0] in axis) for value in values]
    return None if axes[0] == axes[1] else (values[0], values[1])
