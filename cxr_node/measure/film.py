"""All measurements of one film, from its pixels and outlined structures. Pure: the same input gives the same numbers.

The main path calls `measure_film` only. Each part records its values with their lines, or why there is no value.
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
from cxr_node.measure.context import BOTH_LUNGS, LUNGS, MeasurementContext
from cxr_node.measure.grid import MeasurementImage, build_grid, reduce_for_measurement
from cxr_node.measure.interfaces import find_corner, find_interfaces
from cxr_node.measure.recorder import Recorder
from cxr_node.measure.structures import DerivedLines, outlined_structures


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmMeasurements:
    """Numbers and coded observations of one film."""

    measurements: tuple[Measurement, ...]
    observations: tuple[Observation, ...]


def measure_film(
    film: Radiograph | MeasurementImage,
    structures: Sequence[Structure],
    appearance: Appearance | None = None,
    *,
    is_adult: bool = False,
) -> FilmMeasurements:
    """Measure a frontal film, with the `structures` that a model outlined in film coordinates.

    `is_adult`: the header states an adult's age. A thorax of a child's width then means a wrong pixel spacing, and only
    lengths and areas are omitted. Unusable outlines give only "not seen" and "not measurable"; no outline raises.
    """
    grid = build_grid(reduce_for_measurement(film) if isinstance(film, Radiograph) else film, structures)
    checked = preconditions.check(grid, structures, is_adult=is_adult)
    usable = not checked.obstacle(Anatomy.HEART, *BOTH_LUNGS)
    anchors = densities.find_anchors(grid) if usable else None
    if anchors is not None and not anchors.is_usable:
        anchors = None
    width = proportions.width(preconditions.both_lungs(grid))[0] if usable else 0.0
    borders = find_interfaces(grid.masks, width) if usable else {}
    context = MeasurementContext(
        grid=grid,
        view=film.geometry.view,
        preconditions=checked,
        anchors=anchors,
        interfaces=borders,
        corners={side: find_corner(grid.mask(lung), side, width) if width else None for side, lung in LUNGS.items()},
        cut_sides=preconditions.cut_sides(grid),
        recorder=Recorder(transform=grid.transform),
    )
    _record_structures(context, structures)
    record_densities.record(context)
    record_borders.record(context)
    record_proportions.record(context)
    record_quality.record(context, appearance)
    recorder = context.recorder
    return FilmMeasurements(measurements=tuple(recorder.measurements), observations=tuple(recorder.observations))


def _record_structures(context: MeasurementContext, structures: Sequence[Structure]) -> None:
    derived = DerivedLines(context.grid, structures)
    context.recorder.observations.extend(outlined_structures(structures))
    context.recorder.observations.extend(derived.borders(context.interfaces))
    context.recorder.observations.extend(derived.corners(context.corners))
    context.recorder.observations.extend(derived.airways())
