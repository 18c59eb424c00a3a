"""From a film to what a network sees: one recipe, for training and for reading."""

import numpy as np
import torch

from cxr_node.domain.radiograph import WHITE, Float32, Radiograph
from cxr_node.domain.reading import Region

RECIPE = "squash-area"
"""The name of this recipe in a card. Another recipe is another name: a network is bound to what it was trained with."""

DESCRIPTION = (
    "The whole film is reduced to a square by averaging whole pixels over a grid of equal bins, sides not kept in "
    "proportion; P-values 0 (black) to 65535 (white) become 0.0 to 1.0."
)


def prepare(film: Radiograph, *, side: int) -> Float32:
    """Return `film` as a network sees it.

    The sums are exact in integers, so the result does not depend on the machine. Bins are whole pixels: a bin of a
    3056 x 2544 film at side 256 is 11 or 12 pixels high, 9 or 10 wide. A film smaller than `side` repeats pixels.

    Parameters
    ----------
    film
        Any size of at least one pixel.
    side
        Rows and columns of the result, in pixels.

    Returns
    -------
    Float32
        Shape (side, side), 0.0 black to 1.0 white.
    """
    rows, columns = film.p_values.shape
    row_edges, bin_heights = _bins(rows, side)
    column_edges, bin_widths = _bins(columns, side)
    sums = np.add.reduceat(film.p_values, row_edges, axis=0, dtype=np.uint32)
    sums = np.add.reduceat(sums, column_edges, axis=1, dtype=np.uint64)
    areas = bin_heights[:, None] * bin_widths[None, :]
    shares: Float32 = (sums / (areas * float(WHITE))).astype(np.float32)
    return shares


def batch(films: list[Float32]) -> torch.Tensor:
    """Return prepared films as one tensor, shape (films, 1, side, side)."""
    return torch.from_numpy(np.stack(films)[:, None])


def analysed_area(film: Radiograph) -> Region:
    """Return the outline of what the recipe takes in: the whole film, corners clockwise from the upper left."""
    right, bottom = float(film.geometry.columns), float(film.geometry.rows)
    return Region(outline=((0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)))


def _bins(pixels: int, side: int) -> tuple[np.typing.NDArray[np.intp], np.typing.NDArray[np.intp]]:
    """Return the first pixel of each of `side` bins over `pixels`, and how many pixels each holds."""
    edges = np.arange(side + 1, dtype=np.intp) * pixels // side
    return edges[:-1], np.maximum(np.diff(edges), 1)
