"""Records the quality of a film: each criterion with its number, and the overall verdict."""

import numpy as np

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.codes import Code
from cxr_node.domain.reading import Appearance, Observation, Topic
from cxr_node.measure import densities, preconditions, quality
from cxr_node.measure.context import BOTH_LUNGS, MeasurementContext, center_of
from cxr_node.measure.recorder import Quantity

TOO_FEW_RIBS = "ribs outlined too few to count on: the upper ones are missed too often"


def record(context: MeasurementContext, appearance: Appearance | None) -> None:
    """Record each criterion of quality and the overall verdict."""
    grid = context.grid
    verdicts = {concepts.PROJECTION: quality.projection(context.view, appearance)}
    obstacle = context.preconditions.obstacle(Anatomy.RIGHT_CLAVICLE, Anatomy.LEFT_CLAVICLE, Anatomy.SPINE)
    quantity = _quantity("rotation", concepts.ROTATION)
    if obstacle:
        context.recorder.not_measurable(quantity, obstacle)
    else:
        masks = (grid.mask(part) for part in (Anatomy.RIGHT_CLAVICLE, Anatomy.LEFT_CLAVICLE, Anatomy.SPINE))
        value, line = quality.rotation(*masks)
        context.recorder.write(
            quantity, value, line, "difference of the distances from the spine's middle over their sum"
        )
        if np.isfinite(value):
            verdicts[concepts.QUALITY_ROTATION] = quality.judge_rotation(value)
    _record_inspiration(context, verdicts)
    _record_brightness(context, verdicts)
    for code, verdict in [*verdicts.items(), (concepts.QUALITY_ASSESSMENT, quality.overall(list(verdicts.values())))]:
        context.recorder.observations.append(
            Observation(
                key=f"quality/{code.value.lower()}",
                topic=Topic.QUALITY,
                code=code,
                value=verdict.code,
                detail=verdict.detail,
            )
        )


def _record_inspiration(context: MeasurementContext, verdicts: dict[Code, quality.Verdict]) -> None:
    quantity = _quantity("ribs_above_diaphragm", concepts.RIBS_ABOVE_DIAPHRAGM)
    obstacle = context.preconditions.obstacle(Anatomy.RIGHT_LUNG, Anatomy.POSTERIOR_RIBS)
    if obstacle:
        context.recorder.not_measurable(quantity, obstacle)
        return
    grid = context.grid
    count, line = quality.ribs_above(grid.mask(Anatomy.RIGHT_LUNG), grid.mask(Anatomy.POSTERIOR_RIBS))
    verdict = quality.judge_inspiration(count) if np.isfinite(count) else None
    if verdict is None:
        context.recorder.not_measurable(quantity, TOO_FEW_RIBS)
        return
    context.recorder.write(
        quantity, count, line, "crossed in the right lung on one level column; the first may lie above it"
    )
    verdicts[concepts.INSPIRATION] = verdict


def _record_brightness(context: MeasurementContext, verdicts: dict[Code, quality.Verdict]) -> None:
    """Record the criteria that depend on brightness and on the edge of the film."""
    grid, obstacle = context.grid, context.preconditions.obstacle(Anatomy.HEART, *BOTH_LUNGS)
    contrast = _quantity("contrast", concepts.CONTRAST)
    if obstacle:
        context.recorder.not_measurable(contrast, obstacle)
        return
    anchors = context.anchors or densities.find_anchors(grid)
    line = np.stack([center_of(preconditions.both_lungs(grid)), center_of(grid.mask(Anatomy.HEART))])
    context.recorder.write(
        contrast, anchors.heart - anchors.lung, line, "median of the heart less lower quartile of the lungs"
    )
    verdicts[concepts.EXPOSURE] = quality.judge_exposure(anchors)
    verdicts[concepts.FIELD] = quality.judge_field(context.cut_sides)
    domes = [
        context.interfaces[name]
        for name in (Border.RIGHT_HEMIDIAPHRAGM, Border.LEFT_HEMIDIAPHRAGM)
        if name in context.interfaces
    ]
    measured = [(quality.sharpness(grid.brightness, dome), dome) for dome in domes]
    sharpness = [(value, dome) for value, dome in measured if np.isfinite(value)]
    quantity = _quantity("sharpness", concepts.SHARPNESS)
    if not sharpness:
        context.recorder.not_measurable(quantity, "no diaphragm to judge it on")
        return
    value, dome = max(sharpness, key=lambda pair: pair[0])
    context.recorder.write(quantity, value, dome.points, "the sharper of both domes")
    verdicts[concepts.MOTION] = quality.judge_motion(value)


def _quantity(key: str, code: Code) -> Quantity:
    return Quantity(key=key, topic=Topic.QUALITY, code=code, unit=concepts.NO_UNITS)
