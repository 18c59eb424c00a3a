"""Phantoms as a network would see them: their masks reduced to 256 pixels and outlined, in film coordinates."""

import contourpy
import numpy as np
import numpy.typing as npt

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.film_geometry import Geometry, PixelSpacing, SpacingSource, View, ViewSource
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Region, Structure
from cxr_node.phantom.truth_types import PhantomFilm

SIDE = 256
_LEAST_CORNERS = 6


def outlines(mask: npt.NDArray[np.bool_], side: int = SIDE) -> tuple[Region, ...]:
    """Return the outlines of a square mask, reduced to `side` pixels if it is larger."""
    size = len(mask)
    step = max(1, size // side)
    cells = mask.reshape(size // step, step, size // step, step).mean((1, 3))
    centers = (np.arange(len(cells) + 2) - 0.5) * step
    lines = contourpy.contour_generator(centers, centers, np.pad(cells, 1)).lines(0.5)
    clipped = (np.clip(np.asarray(line, np.float64)[:-1], 0, size) for line in lines)
    return tuple(
        Region(outline=tuple((float(column), float(row)) for column, row in line))
        for line in clipped
        if len(line) >= _LEAST_CORNERS
    )


def structures(film: PhantomFilm) -> tuple[Structure, ...]:
    """Return the true structures of a phantom, with a confidence as a network might state."""
    outlined = []
    for part in Anatomy:
        regions = outlines(film.masks[part.value])
        outlined.append(Structure(key=part.value, confidence=0.9 if regions else 0.0, regions=regions))
    return tuple(outlined)


def radiograph(film: PhantomFilm, *, spacing: bool = True) -> Radiograph:
    """Return a phantom as the pixel stage hands it on; without `spacing` it states none."""
    rows, columns = film.p_values.shape
    pitch = film.truth.imager_pixel_spacing_mm
    stated = PixelSpacing(row_mm=pitch, column_mm=pitch, source=SpacingSource.DETECTOR)
    geometry = Geometry(
        rows=rows,
        columns=columns,
        spacing=stated if spacing else None,
        view=film.truth.view,
        view_source=ViewSource.VIEW_POSITION if film.truth.view is not View.UNKNOWN else ViewSource.NONE,
    )
    return Radiograph(p_values=film.p_values, geometry=geometry, grayscale="as made")
