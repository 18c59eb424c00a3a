"""The densities of a film written down: zones, left against right, metal."""

from collections.abc import Mapping, Sequence

import numpy as np

from cxr_node.domain import concepts
from cxr_node.domain.borders import Density, Zone
from cxr_node.domain.reading import Laterality, Observation, Region, Topic
from cxr_node.measure import densities, metal
from cxr_node.measure.context import LUNGS, MeasurementContext, middle
from cxr_node.measure.grid import Mask, Points
from cxr_node.measure.recorder import What


def write(sheet: MeasurementContext) -> None:
    """Write down the shares and the density of each zone, their asymmetry, and the metal."""
    against = sheet.against_brightness()
    what = What(key="densities", topic=Topic.DENSITIES, code=concepts.SHARES[Density.LUNG], unit=concepts.PERCENT)
    if against or sheet.scale is None:
        sheet.book.cannot(what, against)
        return
    bright, objects = metal.find(sheet.canvas, sheet.scale)
    found = densities.classes(sheet.canvas, sheet.scale, bright)
    thirds = {side: densities.zones(sheet.lung(side)) for side in LUNGS}
    for side, parts in thirds.items():
        for zone, mask in parts.items():
            dense = densities.density(sheet.canvas, sheet.scale, mask)
            _zone(sheet, side, zone, mask, densities.shares(found, mask), dense)
    for zone in Zone:
        what = What(
            key=f"asymmetry/{zone}",
            topic=Topic.DENSITIES,
            code=concepts.ASYMMETRY,
            unit=concepts.NO_UNITS,
            site=concepts.ZONES[zone],
        )
        line = np.stack([middle(thirds[side][zone]) for side in LUNGS])
        right, left = (thirds[side][zone] for side in (Laterality.RIGHT, Laterality.LEFT))
        difference = densities.asymmetry(sheet.canvas, sheet.scale, left, right)
        sheet.book.write(
            what, difference, line, "upper quartile of brightness, left zone less right, over open air to heart"
        )
    _metal(sheet, objects)


def _zone(
    sheet: MeasurementContext, side: Laterality, zone: Zone, mask: Mask, shares: Mapping[Density, float], dense: float
) -> None:
    line = _box(mask)
    for density, share in shares.items():
        what = What(
            key=f"share_{density}/{side}_{zone}",
            topic=Topic.DENSITIES,
            code=concepts.SHARES[density],
            unit=concepts.PERCENT,
            site=concepts.ZONES[zone],
            laterality=side,
        )
        sheet.book.write(what, share, line, "pixels of the zone by the film's own air, lung, heart and spine")
    what = What(
        key=f"density/{side}_{zone}",
        topic=Topic.DENSITIES,
        code=concepts.ZONE_DENSITY,
        unit=concepts.NO_UNITS,
        site=concepts.ZONES[zone],
        laterality=side,
    )
    sheet.book.write(what, dense, line, "median brightness of the zone between the film's clear lung and heart")


def _metal(sheet: MeasurementContext, objects: Sequence[metal.Object]) -> None:
    for number, each in enumerate(objects, start=1):
        sheet.book.observations.append(
            Observation(
                key=f"metal/{number}",
                topic=Topic.DENSITIES,
                code=concepts.METAL,
                value=concepts.MARKER if each.is_marker else concepts.DEVICE,
                regions=(Region(outline=sheet.canvas.place.on_film(each.outline)),),
                provenance="brighter than its surroundings, with edges no organ has"
                + ("; beside the chest" if each.is_marker else "; over lungs or mediastinum"),
            )
        )


def _box(mask: Mask) -> Points:
    """Return the closed box around a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], np.float64)
