"""Reduction of a film to the size of pictures. Pure.

A module of its own: preprocessing processes reduce films while they have them decoded, and draw nothing.
"""

import numpy as np
from PIL import Image

from cxr_node.domain.hanging import hang
from cxr_node.domain.radiograph import Radiograph, UInt16
from cxr_node.domain.reduced_film import ReducedFilm, UInt8

LONGEST = 960
"""Longer side of each of the two films of a picture in pixels: both fit a screen of 1920."""


def reduce_film(film: Radiograph) -> ReducedFilm:
    """Return a film, turned as it hangs, with `LONGEST` pixels on its longer side, which are square."""
    hung = hang(film)
    rows, columns = hung.p_values.shape
    height = rows * hung.geometry.aspect_ratio
    factor = LONGEST / max(height, columns)
    size = max(1, round(columns * factor)), max(1, round(height * factor))
    gray = Image.fromarray(most_significant(hung.p_values))
    reduced = gray.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return ReducedFilm(
        gray=np.asarray(reduced, np.uint8),
        rows=rows,
        columns=columns,
        patient_orientation=hung.geometry.patient_orientation,
    )


def most_significant(p_values: UInt16) -> UInt8:
    """Return P-values in 8 bits: their upper bytes, in one pass."""
    upper = np.ascontiguousarray(p_values, "<u2").view(np.uint8).reshape(*p_values.shape, 2)[..., 1]
    return np.ascontiguousarray(upper)
