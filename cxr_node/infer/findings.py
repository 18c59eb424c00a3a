"""Decodes finding logits and maps of one film into findings. Pure."""

import math
from collections.abc import Iterable

import numpy as np

from cxr_node.domain import concepts
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import Finding, Laterality, Measurement, Presence, Region
from cxr_node.infer import outline
from cxr_node.infer.card import Card, Label, RatioTable, ScoreLimits
from cxr_node.infer.heat import heat_map

MIDLINE = (0.45, 0.55)
"""A region whose center lies within this part of the film's width is on neither side."""


def findings(
    card: Card, logits: Float32, maps: Float32 | None, geometry: Geometry, area: Region
) -> tuple[Finding, ...]:
    """Return one finding per label of the card, in its order.

    Parameters
    ----------
    logits
        Shape (labels,).
    maps
        Shape (labels, map rows, map columns), or None for a network without maps.
    area
        The part of the film that the maps cover.

    Raises
    ------
    ValueError
        If an output is not finite.
    """
    if not np.isfinite(logits).all() or (maps is not None and not np.isfinite(maps).all()):
        raise ValueError("the network gave values that are not finite")
    return tuple(
        _finding(card, label, float(logits[number]), None if maps is None else maps[number], geometry, area)
        for number, label in enumerate(card.labels)
    )


def _finding(
    card: Card, label: Label, logit: float, activation: Float32 | None, geometry: Geometry, area: Region
) -> Finding:
    point = card.point_of(label)
    score = sigmoid(logit)
    present = presence(score, point)
    regions: tuple[Region, ...] = ()
    if present is Presence.PRESENT and activation is not None and label.outlined:
        regions = outline.regions(activation, area)
    return Finding(
        key=label.key,
        code=label.code.code,
        site=label.site.code if label.site else None,
        score=score,
        operating_point=point.score,
        presence=present,
        calibrated=label.calibrated,
        laterality=laterality(regions, geometry),
        regions=regions,
        heat=None if activation is None or present is Presence.ABSENT else heat_map(activation, area),
    )


def cardiomegaly(table: RatioTable, measurements: Iterable[Measurement], view: View) -> tuple[Finding, ...]:
    """Return the finding cardiomegaly with the cardiothoracic ratio as its score; nothing without a ratio."""
    point = table.pa if view is View.PA else table.ap
    ratios = [min(value.value, 1.0) for value in measurements if value.code == concepts.CARDIOTHORACIC_RATIO]
    return tuple(
        Finding(
            key=concepts.CARDIOMEGALY_BY_RATIO,
            code=concepts.CARDIOMEGALY,
            site=concepts.HEART,
            score=ratio,
            operating_point=point.score,
            presence=presence(ratio, point),
        )
        for ratio in ratios
    )


def sigmoid(logit: float) -> float:
    """Return 1 / (1 + exp(-logit)) for any finite logit."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))


def presence(score: float, point: ScoreLimits) -> Presence:
    """Return the presence of a finding: undetermined in the band around the operating point."""
    if score >= point.undetermined_to:
        return Presence.PRESENT
    if score < point.undetermined_from:
        return Presence.ABSENT
    return Presence.UNDETERMINED


def laterality(regions: tuple[Region, ...], geometry: Geometry) -> Laterality | None:
    """Return the patient's side on which the regions lie, or None if it is unknown.

    Known only if Patient Orientation (0020,0020) is L and F: rows run to the patient's left and columns to the feet, so
    the patient's right is on the left of the picture. The middle of the film stands for the middle of the patient.
    """
    if not regions or geometry.patient_orientation != ("L", "F"):
        return None
    sides = {_side(outline.center(region)[0] / geometry.columns) for region in regions}
    if None in sides:
        return None
    return Laterality.BILATERAL if len(sides) == 2 else sides.pop()


def _side(share: float) -> Laterality | None:
    """Return the side of a point at this share of the film's width."""
    if MIDLINE[0] <= share <= MIDLINE[1]:
        return None
    return Laterality.RIGHT if share < MIDLINE[0] else Laterality.LEFT
