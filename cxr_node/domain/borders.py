"""Borders, zones and densities of a chest film."""

from enum import StrEnum

from cxr_node.domain.reading import Laterality


class Border(StrEnum):
    """An interface between lung and what is denser than lung. Right and left are the patient's."""

    RIGHT_HEART_BORDER = "right_heart_border"
    """The right atrium's."""
    LEFT_HEART_BORDER = "left_heart_border"
    """The left ventricle's, and above it the left atrium's appendage."""
    RIGHT_HEMIDIAPHRAGM = "right_hemidiaphragm"
    LEFT_HEMIDIAPHRAGM = "left_hemidiaphragm"
    AORTIC_KNOB = "aortic_knob"
    RIGHT_COSTOPHRENIC_ANGLE = "right_costophrenic_angle"
    LEFT_COSTOPHRENIC_ANGLE = "left_costophrenic_angle"

    @property
    def side(self) -> Laterality:
        """The patient's side on which it lies."""
        return Laterality.RIGHT if self.value.startswith("right") else Laterality.LEFT


class Zone(StrEnum):
    """A third of a lung's height."""

    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"


class Density(StrEnum):
    """The densities a film is taught to show, darkest first. Fat lies between lung and soft tissue, and with it."""

    AIR = "air"
    LUNG = "lung"
    SOFT = "soft"
    BONE = "bone"
    METAL = "metal"
