"""Plants opacities in films: the same film with and without one differs in nothing else."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.metrics import Bools, Floats

DIAMETERS_MM = (20.0, 60.0)
CONTRASTS = (0.12, 0.35)
"""Of planted opacities that teach, in shares of the film's range of gray values."""

TEST_DIAMETER_MM = 30.0
TEST_CONTRAST = 0.20
"""Of planted opacities that judge."""

_SAFE = 0.5
"""A center lies at least this share of the radius within the lungs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlantedFilm:
    """A film with an opacity, (rows, columns), and where it is: its share of each pixel, 0.0 to 1.0."""

    film: Floats
    opacity: Floats


def plant(
    film: Floats,
    lungs: Bools,
    *,
    pixel_mm: float,
    generator: np.random.Generator,
    diameter_mm: float | None = None,
    contrast: float | None = None,
) -> PlantedFilm | None:
    """Add an opacity with soft, irregular borders at a random place within the lungs.

    Attenuation adds along a ray, and gray is close to linear in it: the opacity's gray is added to what is there, so
    ribs and vessels show through.

    Parameters
    ----------
    film, lungs
        Shape (rows, columns); gray 0.0 black to 1.0 white.
    diameter_mm, contrast
        By default drawn from `DIAMETERS_MM` and `CONTRASTS`. The contrast is a share of the range of gray values.

    Returns
    -------
    PlantedFilm | None
        None if the lungs are too small for an opacity of this size.
    """
    diameter = generator.uniform(*DIAMETERS_MM) if diameter_mm is None else diameter_mm
    amount = generator.uniform(*CONTRASTS) if contrast is None else contrast
    radius = diameter / 2 / pixel_mm
    inside = ndimage.distance_transform_edt(lungs) > _SAFE * radius
    places = np.argwhere(inside)
    if not len(places):
        return None
    row, column = places[generator.integers(len(places))]
    rows, columns = np.ogrid[: film.shape[0], : film.shape[1]]
    angle = np.arctan2(rows - row, columns - column)
    waves = sum(
        generator.uniform(0, 0.12) * np.cos(number * angle + generator.uniform(0, 2 * np.pi)) for number in (2, 3, 5)
    )
    distance = np.hypot(rows - row, columns - column) / (radius * (1 + waves))
    shape = np.clip((1.15 - distance) / 0.3, 0, 1) * np.sqrt(np.clip(1 - (distance / 1.15) ** 2, 0, 1)).clip(min=0.4)
    shape = np.where(distance < 1.15, shape, 0.0)
    low, high = np.quantile(film, (0.01, 0.99))
    planted: npt.NDArray[np.float32] = np.clip(film + amount * (high - low) * shape, 0, 1).astype(np.float32)
    return PlantedFilm(film=planted, opacity=shape)
