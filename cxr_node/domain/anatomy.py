"""Anatomical structures of a frontal chest film. Right and left are the patient's."""

import re
from enum import StrEnum

_SIDE = re.compile(r"(?<![a-z])(right|left)(?![a-z])")


class Anatomy(StrEnum):
    """A structure that can be outlined. The value is its key in readings, cards and masks."""

    RIGHT_LUNG = "right_lung"
    """The visible field: outside heart, mediastinum and great vessels, above the diaphragm and any fluid."""
    LEFT_LUNG = "left_lung"
    HEART = "heart"
    """From where it becomes as wide as 45 % of its greatest width down to below the dome."""
    RIGHT_CLAVICLE = "right_clavicle"
    LEFT_CLAVICLE = "left_clavicle"
    TRACHEA = "trachea"
    """The column of air."""
    BRONCHI = "bronchi"
    """The air of the main bronchi."""
    AORTA = "aorta"
    """Arch, ascending and descending part."""
    SPINE = "spine"
    POSTERIOR_RIBS = "posterior_ribs"
    """Up to where they turn forward."""
    ANTERIOR_RIBS = "anterior_ribs"
    RIGHT_SCAPULA = "right_scapula"
    LEFT_SCAPULA = "left_scapula"
    RIGHT_HEMIDIAPHRAGM = "right_hemidiaphragm"
    """What lies below the dome; its upper edge is the line that is seen."""
    LEFT_HEMIDIAPHRAGM = "left_hemidiaphragm"


def key_without_side(key: str) -> str:
    """Return a key with "side_1" for right and "side_2" for left: "lung_area/right" becomes "lung_area/side_1".

    For films whose header does not say which side is which: side 1 is the left half of the picture.
    """
    return _SIDE.sub(lambda side: "side_1" if side[0] == "right" else "side_2", key)
