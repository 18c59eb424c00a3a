"""Radiograph: P-values of a film, with its geometry."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.reasons import Note

UInt16 = npt.NDArray[np.uint16]
Float32 = npt.NDArray[np.float32]

WHITE = 65535
"""The largest P-value: white."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Radiograph:
    """A decoded film.

    `p_values` has shape (rows, columns) and dtype uint16, 0 black (air) to 65535 white (metal),
    after the modality, VOI and presentation steps (PS3.4 section N.2); read-only.
    `grayscale` describes the transformation from stored values in one line, for the report's provenance.
    `age_years` is the patient's age at the date of the film, as the header states it.
    """

    p_values: UInt16
    geometry: Geometry
    grayscale: str
    notes: tuple[Note, ...] = field(default=())
    age_years: float | None = None
