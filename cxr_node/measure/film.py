"""Everything that is measured on one film: pure, the same film and structures give the same numbers.

`measured` is all that the main path calls. Each part writes into a notebook what it found with where, or why it could
not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Appearance, Measurement, Observation, Structure
from cxr_node.measure import (
    densities,
    preconditions,
    proportions,
    record_borders,
    record_densities,
    record_proportions,
    record_quality,
)
from cxr_node.measure.context import BOTH, LUNGS, MeasurementContext
from cxr_node.measure.grid import MeasurementImage, build_grid, reduce_for_measurement
from cxr_node.measure.interfaces import corner, interfaces
from cxr_node.measure.recorder import Recorder
from cxr_node.measure.structures import Derived, outlined


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured on a film, and what was said of it."""

    measurements: tuple[Measurement, ...]
    observations: tuple[Observation, ...]


def measured(
    film: Radiograph | MeasurementImage,
    structures: Sequence[Structure],
    appearance: Appearance | None = None,
    *,
    is_adult: bool = False,
) -> Measured:
    """Measure a frontal film whose `structures` a model outlined, in coordinates of the film.

    `is_adult` says that the header gives the patient an adult's age: then a thorax of a child's width tells of a wrong
    pixel spacing, and only lengths and areas are lost by it. Returns nothing but "not seen" and "not measurable" where
    the outlines are of no use; never raises for what a model may outline.
    """
    grid = build_grid(reduce_for_measurement(film) if isinstance(film, Radiograph) else film, structures)
    sound = preconditions.judge(grid, structures, is_adult=is_adult)
    usable = not sound.against(Anatomy.HEART, *BOTH)
    scale = densities.anchors(grid) if usable else None
    if scale is not None and not scale.is_usable:
        scale = None
    width = proportions.across(preconditions.lungs(grid))[0] if usable else 0.0
    found = interfaces(grid.masks, width) if usable else {}
    sheet = MeasurementContext(
        canvas=grid,
        view=film.geometry.view,
        sound=sound,
        scale=scale,
        found=found,
        corners={side: corner(grid.mask(lung), side, width) if width else None for side, lung in LUNGS.items()},
        cut=preconditions.cut_sides(grid),
        book=Recorder(place=grid.place),
    )
    _structures(sheet, structures)
    record_densities.write(sheet)
    record_borders.write(sheet)
    record_proportions.write(sheet)
    record_quality.write(sheet, appearance)
    return Measured(measurements=tuple(sheet.book.measurements), observations=tuple(sheet.book.observations))


def _structures(sheet: MeasurementContext, structures: Sequence[Structure]) -> None:
    derived = Derived(sheet.canvas, structures)
    sheet.book.observations.extend(outlined(structures))
    sheet.book.observations.extend(derived.borders(sheet.found))
    sheet.book.observations.extend(derived.corners(sheet.corners))
    sheet.book.observations.extend(derived.airways())
