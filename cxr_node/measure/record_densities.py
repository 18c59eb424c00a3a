"""Records the densities of a film: shares and density of each lung zone, asymmetry, metal."""

from collections.abc import Mapping, Sequence

import numpy as np

from cxr_node.domain import concepts
from cxr_node.domain.borders import Density, Zone
from cxr_node.domain.codes import Code
from cxr_node.domain.reading import Laterality, Observation, Region, Topic
from cxr_node.measure import densities, metal
from cxr_node.measure.context import LUNGS, MeasurementContext, center_of
from cxr_node.measure.grid import Mask, Points
from cxr_node.measure.recorder import Quantity


def record(context: MeasurementContext) -> None:
    """Record the shares and the density of each zone, their asymmetry, and metal."""
    obstacle = context.brightness_obstacle()
    quantity = _quantity("densities", concepts.SHARES[Density.LUNG], unit=concepts.PERCENT)
    if obstacle or context.anchors is None:
        context.recorder.not_measurable(quantity, obstacle)
        return
    metal_mask, objects = metal.find_metal(context.grid, context.anchors)
    classes = densities.classify(context.grid, context.anchors, metal_mask)
    thirds = {side: densities.zones(context.lung(side)) for side in LUNGS}
    for side, parts in thirds.items():
        for zone, mask in parts.items():
            density = densities.zone_density(context.grid, context.anchors, mask)
            _record_zone(context, side, zone, mask, densities.shares(classes, mask), density)
    for zone in Zone:
        quantity = _quantity(f"asymmetry/{zone}", concepts.ASYMMETRY, zone)
        line = np.stack([center_of(thirds[side][zone]) for side in LUNGS])
        right, left = (thirds[side][zone] for side in (Laterality.RIGHT, Laterality.LEFT))
        difference = densities.asymmetry(context.grid, context.anchors, left, right)
        context.recorder.write(
            quantity, difference, line, "upper quartile of brightness, left zone less right, over open air to heart"
        )
    _record_metal(context, objects)


def _record_zone(
    context: MeasurementContext,
    side: Laterality,
    zone: Zone,
    mask: Mask,
    shares: Mapping[Density, float],
    zone_density: float,
) -> None:
    line = _box(mask)
    for density, share in shares.items():
        key = f"share_{density}/{side}_{zone}"
        quantity = _quantity(key, concepts.SHARES[density], zone, side, unit=concepts.PERCENT)
        context.recorder.write(quantity, share, line, "pixels of the zone by the film's own air, lung, heart and spine")
    quantity = _quantity(f"density/{side}_{zone}", concepts.ZONE_DENSITY, zone, side)
    context.recorder.write(
        quantity, zone_density, line, "median brightness of the zone between the film's clear lung and heart"
    )


def _quantity(
    key: str, code: Code, zone: Zone | None = None, side: Laterality | None = None, *, unit: Code = concepts.NO_UNITS
) -> Quantity:
    site = None if zone is None else concepts.ZONES[zone]
    return Quantity(key=key, topic=Topic.DENSITIES, code=code, unit=unit, site=site, laterality=side)


def _record_metal(context: MeasurementContext, objects: Sequence[metal.MetalObject]) -> None:
    for number, metal_object in enumerate(objects, start=1):
        context.recorder.observations.append(
            Observation(
                key=f"metal/{number}",
                topic=Topic.DENSITIES,
                code=concepts.METAL,
                value=concepts.MARKER if metal_object.is_marker else concepts.DEVICE,
                regions=(Region(outline=context.grid.transform.to_film(metal_object.outline)),),
                provenance="brighter than its surroundings, with edges no organ has"
                + ("; beside the chest" if metal_object.is_marker else "; over lungs or mediastinum"),
            )
        )


def _box(mask: Mask) -> Points:
    """Return the closed box around a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], np.float64)
