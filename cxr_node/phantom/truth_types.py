"""Types of a phantom film and its truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import Float32, UInt16
from cxr_node.phantom.pathology import Pathology
from cxr_node.phantom.thorax import PatientAnatomy

Mask = npt.NDArray[np.bool_]
Box = tuple[float, float, float, float]
Line = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """A pathology as it lies on the film: `mask` names its mask, `box` is left, top, right, bottom in pixels."""

    pathology: Pathology
    mask: str
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Truth of a film. Coordinates are (column, row) as in `Geometry`."""

    seed: int
    view: View
    anatomy: PatientAnatomy
    imager_pixel_spacing_mm: float
    """At the detector, both ways (0018,1164)."""
    distance_source_to_detector_mm: float
    magnification: float
    """Of the middle of the chest (0018,1114)."""
    cardiothoracic_ratio: float | None
    """Greatest heart width over greatest inner width of the rib cage on the film; None on a lateral."""
    heart_line: Line | None
    thorax_line: Line | None
    lesions: tuple[Lesion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhantomFilm:
    """A film and its truth: `p_values` (rows, columns), 0 black to 65535 white; a mask for every structure.

    `attenuation` (rows, columns) is the line integral of the attenuation at 60 keV, 0 in the open field: the negative
    natural logarithm of the transmitted share, before scatter, noise and processing.
    """

    p_values: UInt16
    attenuation: Float32
    masks: Mapping[str, Mask]
    truth: Truth


def freeze(masks: dict[str, Mask]) -> Mapping[str, Mask]:
    """Return `masks` as a mapping that cannot be changed."""
    return MappingProxyType(masks)
