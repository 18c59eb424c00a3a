"""Proportions written down: diameters, areas, angles, in mm where the film states its spacing."""

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.codes import Code
from cxr_node.domain.radiograph import SpacingSource, View
from cxr_node.domain.reading import Laterality, Observation, Topic
from cxr_node.measure import preconditions, proportions
from cxr_node.measure.context import BOTH, HIDDEN, LUNGS, MeasurementContext
from cxr_node.measure.grid import Grid, Points
from cxr_node.measure.interfaces import Corner
from cxr_node.measure.recorder import What

WIDEST_ANGLE = 90.0
"""Above it a costophrenic angle is blunted: below it lie 95 % of films without finding (AP, left; elsewhere more)."""


def write(sheet: MeasurementContext) -> None:
    """Write down the proportions of heart, chest, trachea, mediastinum and costophrenic angles."""
    book, grid = sheet.book, sheet.canvas
    heart, both = grid.mask(Anatomy.HEART), preconditions.lungs(grid)
    against = sheet.sound.against(Anatomy.HEART, *BOTH)
    magnified = "; AP: the heart is magnified" if sheet.view is View.AP else ""
    how = f"greatest level width of the heart over that of both lungs, by their outlines{magnified}"

    def ratio() -> tuple[float, Points]:
        (wide, line), (inner, _) = proportions.across(heart), proportions.across(both)
        return wide / inner, line

    book.measure(_heart("CTR", concepts.CARDIOTHORACIC_RATIO, concepts.RATIO), against, ratio, how)
    lengths = [
        (_heart("MTCD", concepts.CARDIAC_DIAMETER), against, lambda: proportions.across(heart)),
        (_heart("MITD", concepts.THORACIC_DIAMETER), against, lambda: proportions.across(both)),
        (
            _heart("tracheal_deviation", concepts.TRACHEAL_DEVIATION, site=concepts.TRACHEA),
            sheet.sound.against(Anatomy.TRACHEA, Anatomy.SPINE),
            lambda: proportions.tracheal_deviation(grid.mask(Anatomy.TRACHEA), grid.mask(Anatomy.SPINE)),
        ),
        (
            _heart("mediastinal_width", concepts.MEDIASTINAL_WIDTH, site=concepts.MEDIASTINUM),
            sheet.sound.against(Anatomy.AORTA, *BOTH) or ("" if Border.AORTIC_KNOB in sheet.found else HIDDEN),
            lambda: proportions.mediastinal_width(
                sheet.lung(Laterality.RIGHT), sheet.lung(Laterality.LEFT), sheet.found[Border.AORTIC_KNOB].points
            ),
        ),
    ]
    for what, reason, taken in lengths:
        mm = grid.mm
        book.measure(
            what,
            reason or sheet.sound.spacing,
            lambda taken=taken, mm=mm or 0.0: _times(taken(), mm),  # type: ignore[misc]  # bound for this turn
            _spacing(grid) + magnified,
        )
    _areas(sheet, against)
    for side, found in sheet.corners.items():
        _angle(sheet, side, found)


def _areas(sheet: MeasurementContext, against: str) -> None:
    grid = sheet.canvas
    square_cm = (grid.mm or 0.0) ** 2 / 100
    heart = _heart("heart_area", concepts.AREA_OF_HEART, concepts.SQUARE_CENTIMETER)
    parts = [(heart, grid.mask(Anatomy.HEART), against)]
    for side, lung in LUNGS.items():
        what = What(
            key=f"lung_area/{side}",
            topic=Topic.PROPORTIONS,
            code=concepts.AREA_OF_LUNG,
            unit=concepts.SQUARE_CENTIMETER,
            site=concepts.LUNG,
            laterality=side,
        )
        parts.append((what, grid.mask(lung), sheet.sound.against(lung)))
    for what, mask, reason in parts:
        against = reason or sheet.sound.spacing
        if against:
            sheet.book.cannot(what, against)
        else:
            sheet.book.write(what, *_times(proportions.area(mask), square_cm), f"within the outline; {_spacing(grid)}")


def _angle(sheet: MeasurementContext, side: Laterality, found: Corner | None) -> None:
    what = What(
        key=f"costophrenic_angle/{side}",
        topic=Topic.PROPORTIONS,
        code=concepts.COSTOPHRENIC_ANGLE,
        unit=concepts.DEGREE,
        site=concepts.COSTOPHRENIC_ANGLE,
        laterality=side,
    )
    against = (
        sheet.sound.against(*BOTH)
        or sheet.against_base
        or ("" if found is not None else "no corner in the lung's outline")
    )
    if against or found is None:
        sheet.book.cannot(what, against)
        return
    value, line = proportions.costophrenic_angle(found)
    sheet.book.write(what, value, line, f"chest wall to dome at the lung's corner; normal up to {WIDEST_ANGLE:g}")
    sheet.book.observations.append(
        Observation(
            key=f"border/{side}_costophrenic_angle",
            topic=Topic.BORDERS,
            code=concepts.OBSCURED if value > WIDEST_ANGLE else concepts.CLEAR,
            value=concepts.COSTOPHRENIC_ANGLE,
            laterality=side,
            line=sheet.canvas.place.on_film(line),
            detail=f"{value:.0f} degrees, normal up to {WIDEST_ANGLE:g}",
            provenance="by its angle: a blunted one is filled",
        )
    )


def _heart(
    key: str,
    code: Code,
    unit: Code = concepts.MILLIMETER,
    site: Code | None = concepts.HEART,
) -> What:
    return What(key=key, topic=Topic.PROPORTIONS, code=code, unit=unit, site=site)


def _times(taken: tuple[float, Points], factor: float) -> tuple[float, Points]:
    return taken[0] * factor, taken[1]


def _spacing(grid: Grid) -> str:
    source = SpacingSource.UNSPECIFIED if grid.spacing is None else grid.spacing.source
    return f"pixel spacing {source.value}"
