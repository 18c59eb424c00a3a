"""Grid for measurements: film and structures reduced to square pixels of one size. Pure.

The longer side has 512 pixels, whatever the film's, and the patient's right side is on the left.
`GridTransform.to_film` converts points back to film coordinates.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.film_geometry import Geometry, PixelSpacing
from cxr_node.domain.geometry import toggle_with_border
from cxr_node.domain.radiograph import WHITE, Float32, Radiograph
from cxr_node.domain.reading import Point, Structure
from cxr_node.measure import parts

SIDE = 512
"""Pixels on the grid's longer side: about 0.8 mm each on an adult's film."""

_UNUSED = (Anatomy.RIGHT_SCAPULA, Anatomy.LEFT_SCAPULA, Anatomy.ANTERIOR_RIBS)
_KEYS = frozenset(part for part in Anatomy if part not in _UNUSED)

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
"""Shape (n, 2): (column, row) on the grid, by the convention of `domain.geometry`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridTransform:
    """From grid to film: film pixels per grid pixel `across` and `down`, and whether left and right are swapped."""

    across: float
    down: float
    width: int
    mirrored: bool = False

    def to_film(self, points: Points) -> tuple[Point, ...]:
        """Return points of the grid in film coordinates."""
        columns = self.width - points[:, 0] if self.mirrored else points[:, 0]
        return tuple(zip((columns * self.across).tolist(), (points[:, 1] * self.down).tolist(), strict=True))

    def mm(self, spacing: PixelSpacing | None) -> float | None:
        """Return the size of a grid pixel in mm; None without a pixel spacing."""
        return None if spacing is None else (self.across * spacing.column_mm + self.down * spacing.row_mm) / 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """`brightness` (rows, columns), 0 black to 1 white, and a mask of that shape for each outlined structure."""

    brightness: Float32
    masks: Mapping[Anatomy, Mask]
    transform: GridTransform
    spacing: PixelSpacing | None

    @property
    def mm(self) -> float | None:
        """Size of a pixel in mm; None without a pixel spacing."""
        return self.transform.mm(self.spacing)

    def mask(self, structure: Anatomy) -> Mask:
        """Return a structure's mask; empty where it has no outline."""
        mask = self.masks.get(structure)
        return np.zeros(self.brightness.shape, np.bool_) if mask is None else mask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasurementImage:
    """A film reduced to the grid: `brightness` from 0 black to 1 white; `rows` and `columns` of the film itself."""

    brightness: Float32
    rows: int
    columns: int
    geometry: Geometry


def reduce_for_measurement(film: Radiograph) -> MeasurementImage:
    """Reduce a film to the grid."""
    rows, columns = film.p_values.shape
    width, height = _size(film.geometry, rows, columns)
    return MeasurementImage(
        brightness=_reduced(film, width, height), rows=rows, columns=columns, geometry=film.geometry
    )


def build_grid(film: MeasurementImage, structures: Iterable[Structure]) -> Grid:
    """Return the grid of a film and its structures, mirrored if the right lung is right of the left one."""
    brightness = film.brightness
    height, width = brightness.shape
    place = GridTransform(across=film.columns / width, down=film.rows / height, width=width)
    masks = {}
    for structure in structures:
        if structure.regions and structure.key in _KEYS:
            masks[Anatomy(structure.key)] = fill_outlines(parts.main_part(structure), place, (height, width))
    if _is_mirrored(masks):
        place = GridTransform(across=place.across, down=place.down, width=width, mirrored=True)
        brightness = np.ascontiguousarray(brightness[:, ::-1])
        masks = {key: np.ascontiguousarray(mask[:, ::-1]) for key, mask in masks.items()}
    return Grid(brightness=brightness, masks=masks, transform=place, spacing=film.geometry.spacing)


def fill_outlines(outlines: Sequence[Sequence[Point]], transform: GridTransform, shape: tuple[int, int]) -> Mask:
    """Return the mask of outlines in film coordinates, by the even-odd rule, on a grid of `shape` (rows, columns)."""
    mask = np.zeros(shape, np.bool_)
    for outline in outlines:
        if len(outline) < 3:
            continue
        corners = np.asarray(outline, np.float64) / (transform.across, transform.down)
        toggle_with_border(mask, corners)
    return mask


def _size(geometry: Geometry, rows: int, columns: int) -> tuple[int, int]:
    height = rows * geometry.aspect_ratio
    factor = SIDE / max(height, columns)
    return max(1, round(columns * factor)), max(1, round(height * factor))


def _reduced(film: Radiograph, width: int, height: int) -> Float32:
    """Return mean brightness: of whole pixels of a larger film, interpolated between pixels of a smaller one."""
    rows, columns = film.p_values.shape
    # Every other pixel of a large film is enough for a mean over many of them.
    step = max(1, min(rows // height, columns // width) // 3)
    thinned = film.p_values[::step, ::step]
    size = (min(rows / step, float(thinned.shape[0])), min(columns / step, float(thinned.shape[1])))
    if thinned.shape[0] < height or thinned.shape[1] < width:
        image = Image.fromarray(thinned.astype(np.float32) / np.float32(WHITE))
        filter_ = Image.Resampling.BOX if image.width >= width else Image.Resampling.BILINEAR
        box = (0.0, 0.0, size[1], size[0])
        return np.asarray(image.resize((width, height), filter_, box=box), dtype=np.float32)
    top, heights = _bins(size[0], thinned.shape[0], height)
    left, widths = _bins(size[1], thinned.shape[1], width)
    bands = np.empty((height, thinned.shape[1]), np.uint32)
    for band, (first, count) in enumerate(zip(top, heights, strict=True)):
        np.add.reduce(thinned[first : first + count], axis=0, dtype=np.uint32, out=bands[band])
    sums = np.add.reduceat(bands[:, : left[-1] + widths[-1]], left, axis=1)
    means: Float32 = (sums / (heights[:, None] * widths * float(WHITE))).astype(np.float32)
    return means


def _bins(size: float, pixels: int, count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the first pixel of each of `count` equal parts of `size`, and how many pixels' centers lie in it."""
    edges = np.clip(np.floor(np.arange(count + 1) * (size / count) - 0.5) + 1, 0, pixels).astype(np.intp)
    return edges[:-1], np.diff(edges)


def _is_mirrored(masks: Mapping[Anatomy, Mask]) -> bool:
    right, left = masks.get(Anatomy.RIGHT_LUNG), masks.get(Anatomy.LEFT_LUNG)
    if right is None or left is None or not right.any() or not left.any():
        return False
    return _mean_column(right) > _mean_column(left)


def _mean_column(mask: Mask) -> float:
    """Return the mean column of a mask that is not empty; the sums are exact in integers."""
    counts = np.count_nonzero(mask, axis=0)
    return int(np.arange(len(counts)) @ counts) / int(counts.sum())
