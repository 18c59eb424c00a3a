"""The film's quality written down: each limit with the number it rests on, and the judgement of the whole."""

import numpy as np

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.codes import Code
from cxr_node.domain.reading import Appearance, Observation, Topic
from cxr_node.measure import densities, preconditions, quality
from cxr_node.measure.context import BOTH, MeasurementContext, middle
from cxr_node.measure.recorder import What

UNSURE = "ribs outlined too few to count on: the upper ones are missed too often"


def write(sheet: MeasurementContext, appearance: Appearance | None) -> None:
    """Write down what limits the film."""
    grid, sound = sheet.canvas, sheet.sound
    verdicts = {concepts.PROJECTION: quality.projection(sheet.view, appearance)}
    against = sound.against(Anatomy.RIGHT_CLAVICLE, Anatomy.LEFT_CLAVICLE, Anatomy.SPINE)
    what = _quality_of("rotation", concepts.ROTATION)
    if against:
        sheet.book.cannot(what, against)
    else:
        masks = (grid.mask(each) for each in (Anatomy.RIGHT_CLAVICLE, Anatomy.LEFT_CLAVICLE, Anatomy.SPINE))
        value, line = quality.rotation(*masks)
        sheet.book.write(what, value, line, "difference of the distances from the spine's middle over their sum")
        if np.isfinite(value):
            verdicts[concepts.QUALITY_ROTATION] = quality.judge_rotation(value)
    _breath(sheet, verdicts)
    _picture(sheet, verdicts)
    for code, verdict in [*verdicts.items(), (concepts.QUALITY_ASSESSMENT, quality.worst(list(verdicts.values())))]:
        sheet.book.observations.append(
            Observation(
                key=f"quality/{code.value.lower()}",
                topic=Topic.QUALITY,
                code=code,
                value=verdict.code,
                detail=verdict.detail,
            )
        )


def _breath(sheet: MeasurementContext, verdicts: dict[Code, quality.Verdict]) -> None:
    what = _quality_of("ribs_above_diaphragm", concepts.RIBS_ABOVE_DIAPHRAGM)
    against = sheet.sound.against(Anatomy.RIGHT_LUNG, Anatomy.POSTERIOR_RIBS)
    if against:
        sheet.book.cannot(what, against)
        return
    grid = sheet.canvas
    count, line = quality.ribs_above(grid.mask(Anatomy.RIGHT_LUNG), grid.mask(Anatomy.POSTERIOR_RIBS))
    verdict = quality.judge_inspiration(count) if np.isfinite(count) else None
    if verdict is None:
        sheet.book.cannot(what, UNSURE)
        return
    sheet.book.write(what, count, line, "crossed in the right lung on one level column; the first may lie above it")
    verdicts[concepts.INSPIRATION] = verdict


def _picture(sheet: MeasurementContext, verdicts: dict[Code, quality.Verdict]) -> None:
    """Judge what rests on brightness and on the film's edge."""
    grid, against = sheet.canvas, sheet.sound.against(Anatomy.HEART, *BOTH)
    contrast = _quality_of("contrast", concepts.CONTRAST)
    if against:
        sheet.book.cannot(contrast, against)
        return
    scale = sheet.scale or densities.anchors(grid)
    line = np.stack([middle(preconditions.lungs(grid)), middle(grid.mask(Anatomy.HEART))])
    sheet.book.write(contrast, scale.heart - scale.lung, line, "median of the heart less lower quartile of the lungs")
    verdicts[concepts.EXPOSURE] = quality.judge_exposure(scale)
    verdicts[concepts.FIELD] = quality.judge_field(sheet.cut)
    domes = [
        sheet.found[name] for name in (Border.RIGHT_HEMIDIAPHRAGM, Border.LEFT_HEMIDIAPHRAGM) if name in sheet.found
    ]
    sharp = [(quality.sharpness(grid.brightness, dome), dome) for dome in domes]
    sharp = [each for each in sharp if np.isfinite(each[0])]
    what = _quality_of("sharpness", concepts.SHARPNESS)
    if not sharp:
        sheet.book.cannot(what, "no diaphragm to judge it on")
        return
    value, dome = max(sharp, key=lambda each: each[0])
    sheet.book.write(what, value, dome.points, "the sharper of both domes")
    verdicts[concepts.MOTION] = quality.judge_motion(value)


def _quality_of(key: str, code: Code) -> What:
    return What(key=key, topic=Topic.QUALITY, code=code, unit=concepts.NO_UNITS)
