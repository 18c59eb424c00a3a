"""Geometry of a film: size, pixel spacing, view, orientation. Without NumPy, as every command loads the settings."""

from dataclasses import dataclass
from enum import StrEnum


class View(StrEnum):
    """Projection, by the side that the beam enters."""

    PA = "PA"
    AP = "AP"
    LATERAL = "LATERAL"
    UNKNOWN = "UNKNOWN"

    @property
    def is_frontal(self) -> bool:
        """Whether it is a frontal view, which the node reads."""
        return self in (View.PA, View.AP)


class ViewSource(StrEnum):
    """Source of the view."""

    VIEW_POSITION = "View Position (0018,5101)"
    VIEW_CODE = "View Code Sequence (0054,0220)"
    TEXT = "descriptive text"
    NETWORK = "network"
    NONE = "nowhere"


class SpacingSource(StrEnum):
    """Reference of the pixel spacing, best first (PS3.3 section 10.7.1.3)."""

    CALIBRATED = "calibrated at the patient"
    MAGNIFICATION = "detector spacing over radiographic magnification"
    DETECTOR = "at the detector, not corrected for magnification"
    UNSPECIFIED = "Pixel Spacing of unstated calibration"


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelSpacing:
    """Distance between pixel centers: `row_mm` down the film, `column_mm` across it."""

    row_mm: float
    column_mm: float
    source: SpacingSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Geometry of a film's pixels.

    Coordinates are always (column, row) in pixels of the film as sent, (0, 0) the upper left
    corner of the upper left pixel, as in SCOORD (PS3.3 section C.18.6.1.1). `patient_orientation` is
    the direction of rows and of columns, such as ("L", "F"), or None where it is absent.
    """

    rows: int
    columns: int
    spacing: PixelSpacing | None = None
    aspect_ratio: float = 1.0
    """Vertical over horizontal pixel size; 1.0 for square pixels (0028,0034)."""
    view: View = View.UNKNOWN
    view_source: ViewSource = ViewSource.NONE
    patient_orientation: tuple[str, str] | None = None
