"""Whole-film statistics: numbers that must not predict a label of films that teach or judge a model.

A collection whose labels follow from file size, mean gray or sharpness teaches exposure instead of disease
(Zech et al., PLoS Medicine 2018: confounding by acquisition).
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.metrics import Bools, Estimate, Floats, auc, with_interval

LARGEST_AUC = 0.60
"""A set whose label a statistic predicts better than this must neither teach nor judge that label."""
LARGEST_CORRELATION = 0.25
"""Largest Spearman correlation of a model's score with a statistic, among films without finding."""
FEWEST_FILMS = 20
"""Films with, and without, a label below which its AUC says nothing."""

_BORDER = 20
"""The border is this fraction of a side: a twentieth."""
_BLACK = 10
"""Gray values of 255 below which a pixel of the border counts as background."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmStatistics:
    """Numbers of one 8-bit film. Gray values 0 to 255.

    Attributes
    ----------
    file_bytes
        Size of the PNG file: a measure of how smooth the film is.
    mean, spread
        Mean and standard deviation of gray values.
    sharpness, noise
        Mean and median of the absolute Laplacian.
    background
        Fraction of black pixels in the border.
    """

    file_bytes: float
    mean: float
    spread: float
    sharpness: float
    noise: float
    background: float


def statistics_of(path: Path) -> FilmStatistics:
    """Compute the statistics of a gray-scale picture file."""
    with Image.open(path) as picture:
        gray = np.asarray(picture.convert("L"), dtype=np.float32)
    neighbours = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    laplacian = np.abs(4 * gray[1:-1, 1:-1] - neighbours)
    rows, columns = (max(1, side // _BORDER) for side in gray.shape)
    is_border = np.ones(gray.shape, dtype=bool)
    is_border[rows:-rows, columns:-columns] = False
    return FilmStatistics(
        file_bytes=float(path.stat().st_size),
        mean=float(gray.mean()),
        spread=float(gray.std()),
        sharpness=float(laplacian.mean()),
        noise=float(np.median(laplacian)),
        background=float((gray[is_border] < _BLACK).mean()),
    )


def columns_of(statistics: list[FilmStatistics]) -> dict[str, Floats]:
    """Return each statistic of many films, shape (films,)."""
    rows = [asdict(one) for one in statistics]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def separation(values: Floats, has_label: Bools, patients: list[str]) -> Estimate:
    """Return the AUC with which a statistic separates films, in its better direction, with its interval."""

    def either_way(films: np.ndarray) -> float:
        value = auc(has_label[films], values[films])
        return max(value, 1 - value)

    return with_interval(either_way, patients, resamples=500)


def rank_correlation(first: Floats, second: Floats) -> float:
    """Return Spearman's rank correlation; ties get their mean rank."""
    ranks = [_ranks(values) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
