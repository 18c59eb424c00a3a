"""Kinds of image that are no plain film, and what the gate does with each."""

from collections.abc import Mapping
from enum import StrEnum


class ImageKind(StrEnum):
    """A kind of image; the value is its setting under `[gate]`."""

    QUALITY_CONTROL = "quality_control"
    CAPTURE = "capture"
    TOMOSYNTHESIS = "tomosynthesis"
    BONE_SUPPRESSED = "bone_suppressed"
    DUAL_ENERGY = "dual_energy"
    STITCHED = "stitched"
    DECUBITUS = "decubitus"
    LORDOTIC = "lordotic"
    VIEW_CONFLICT = "view_conflict"
    PROJECTION_CONFLICT = "projection_conflict"


class Action(StrEnum):
    """What the gate does with an image of a kind: refuse it with the reason, or read it with the note."""

    REFUSE = "refuse"
    NOTE = "note"


_NOTED = frozenset({ImageKind.LORDOTIC, ImageKind.PROJECTION_CONFLICT})

DEFAULT_ACTIONS: Mapping[ImageKind, Action] = {
    kind: Action.NOTE if kind in _NOTED else Action.REFUSE for kind in ImageKind
}
