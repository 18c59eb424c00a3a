"""Sides by the header: structures named by where they lie, and results without sides where it states none. Pure.

On a film as it hangs the patient's right side is on the left. Where Patient Orientation does not say so, "side 1" is
the left half of the picture and "side 2" the right half, and nothing is called right or left of the patient.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy, key_without_side
from cxr_node.domain.codes import Code
from cxr_node.domain.reading import Measurement, Observation, Structure

SIDE_UNKNOWN = "Patient Orientation (0020,0020) does not state the sides"

_PAIRS = (
    (Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG),
    (Anatomy.RIGHT_CLAVICLE, Anatomy.LEFT_CLAVICLE),
    (Anatomy.RIGHT_SCAPULA, Anatomy.LEFT_SCAPULA),
    (Anatomy.RIGHT_HEMIDIAPHRAGM, Anatomy.LEFT_HEMIDIAPHRAGM),
)
_SIGNED = (concepts.TRACHEAL_DEVIATION, concepts.ASYMMETRY)
"""Measurements whose sign is a side."""
_WITHOUT_SIDE: Mapping[Code, Code] = {
    concepts.RIGHT_HEART_BORDER: concepts.HEART,
    concepts.LEFT_HEART_BORDER: concepts.HEART,
    concepts.RIGHT_MAIN_BRONCHUS: concepts.BRONCHI,
    concepts.LEFT_MAIN_BRONCHUS: concepts.BRONCHI,
    concepts.MIDDLE_LOBE: concepts.LUNG,
    concepts.LINGULA: concepts.LUNG,
}
"""Codes that name a side, and the code of the same without it."""
_WORD = re.compile(r"\b(right|left) ")


def named_by_position(structures: Sequence[Structure]) -> tuple[Structure, ...]:
    """Return structures of a film that hangs by its header: of each pair the one on the left is the patient's right."""
    by_key = {structure.key: structure for structure in structures}
    names: dict[str, str] = {}
    for right, left in _PAIRS:
        one, other = by_key.get(right), by_key.get(left)
        if one is not None and other is not None and one.regions and other.regions and _middle(one) > _middle(other):
            names |= {right: left, left: right}
    if not names:
        return tuple(structures)
    renamed = {key: replace(structure, key=names.get(key, key)) for key, structure in by_key.items()}
    in_order = {structure.key: structure for structure in renamed.values()}
    return tuple(in_order[structure.key] for structure in structures)


def _middle(structure: Structure) -> float:
    return float(np.mean([column for region in structure.regions for column, _ in region.outline]))


def without_sides(
    measurements: Sequence[Measurement], observations: Sequence[Observation]
) -> tuple[tuple[Measurement, ...], tuple[Observation, ...]]:
    """Return results that name no side: keys with "side_1" and "side_2", no laterality, and codes without a side.

    A measurement whose sign is a side is not measurable.
    """
    unsided = tuple(_unsided_measurement(one) for one in measurements if one.code not in _SIGNED)
    signed = (_not_measurable(one) for one in measurements if one.code in _SIGNED)
    return unsided, (*(_unsided_observation(one) for one in observations), *signed)


def _unsided_measurement(measurement: Measurement) -> Measurement:
    return replace(
        measurement,
        key=key_without_side(measurement.key),
        site=_unsided(measurement.site),
        laterality=None,
        provenance=_WORD.sub("", measurement.provenance),
    )


def _unsided_observation(observation: Observation) -> Observation:
    return replace(
        observation,
        key=key_without_side(observation.key),
        value=_WITHOUT_SIDE.get(observation.value, observation.value),
        site=_unsided(observation.site),
        laterality=None,
        detail=_WORD.sub("", observation.detail),
        provenance=_WORD.sub("", observation.provenance),
    )


def _not_measurable(measurement: Measurement) -> Observation:
    return Observation(
        key=f"{measurement.key}/not_measurable",
        topic=measurement.topic,
        code=concepts.NOT_MEASURABLE,
        value=measurement.code,
        detail=SIDE_UNKNOWN,
        site=_unsided(measurement.site),
    )


def _unsided(site: Code | None) -> Code | None:
    return None if site is None else _WITHOUT_SIDE.get(site, site)
