"""From a film to what a network sees: the recipe that its card names, the same for training and for reading."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import WHITE, Float32, Geometry, Radiograph
from cxr_node.domain.reading import Region
from cxr_node.infer import center_crop

RECIPE = "squash-area"
"""The node's own recipe, by its name in a card. A network is bound to the one that it was trained with."""

VALUE_RANGES = {RECIPE: (0.0, 1.0), center_crop.RECIPE: center_crop.VALUE_RANGE}
"""What each recipe makes of black and of white."""

DESCRIPTION = (
    "The window of the film, given in shares of its width and height, is reduced to a fixed size by averaging whole "
    "pixels over a grid of equal bins, sides not kept in proportion; P-values 0 (black) to 65535 (white) become 0.0 "
    "to 1.0."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What of a film is taken, and how large it becomes.

    `left`, `top`, `right` and `bottom` are shares of the film's width and height, 0 to 1. The recipe
    "center-crop-gaussian" takes the square in the middle whatever they say; rows and columns are its one size.
    """

    rows: int
    columns: int
    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    recipe: str = RECIPE


def prepare(film: Radiograph, frame: Frame) -> Float32:
    """Return `film` as a network sees it.

    Returns
    -------
    Float32
        Shape (frame.rows, frame.columns), in the recipe's value range.
    """
    if frame.recipe == center_crop.RECIPE:
        return center_crop.prepare(film.p_values, frame.rows)
    return _squashed(film, frame)


def _squashed(film: Radiograph, frame: Frame) -> Float32:
    """Return means over bins.

    The sums are exact in integers, so the result does not depend on the machine. Bins are whole pixels: of a
    3056 x 2544 film at 256 x 256 they are 11 or 12 pixels high, 9 or 10 wide. A smaller film repeats pixels.
    """
    rows, columns = film.p_values.shape
    top, bottom = _edges(frame.top, frame.bottom, rows)
    left, right = _edges(frame.left, frame.right, columns)
    window = film.p_values[top:bottom, left:right]
    row_edges, heights = _bins(bottom - top, frame.rows)
    column_edges, widths = _bins(right - left, frame.columns)
    # A bin of rows at a time: `reduceat` along rows takes several times as long. 32 bits hold 65,536 rows.
    bands = np.empty((frame.rows, right - left), np.uint32)
    for band, (first, height) in enumerate(zip(row_edges, heights, strict=True)):
        np.add.reduce(window[first : first + height], axis=0, dtype=np.uint32, out=bands[band])
    sums = np.add.reduceat(bands, column_edges, axis=1, dtype=np.uint64)
    areas = heights[:, None] * widths[None, :]
    shares: Float32 = (sums / (areas * float(WHITE))).astype(np.float32)
    return shares


def analysed_area(film: Geometry, frame: Frame) -> Region:
    """Return the outline of what the recipe takes in, corners clockwise from the upper left."""
    if frame.recipe == center_crop.RECIPE:
        taken = center_crop.square(film.rows, film.columns)
        top, bottom = taken.row, taken.row + taken.side
        left, right = taken.column, taken.column + taken.side
    else:
        top, bottom = _edges(frame.top, frame.bottom, film.rows)
        left, right = _edges(frame.left, frame.right, film.columns)
    return Region(
        outline=(
            (float(left), float(top)),
            (float(right), float(top)),
            (float(right), float(bottom)),
            (float(left), float(bottom)),
        )
    )


def _edges(first: float, last: float, pixels: int) -> tuple[int, int]:
    """Return the first pixel of a window and the one after its last; there is always at least one."""
    start = min(round(first * pixels), pixels - 1)
    return start, max(round(last * pixels), start + 1)


def _bins(pixels: int, count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the first pixel of each of `count` bins over `pixels`, and how many pixels each holds."""
    edges = np.arange(count + 1, dtype=np.intp) * pixels // count
    return edges[:-1], np.maximum(np.diff(edges), 1)
