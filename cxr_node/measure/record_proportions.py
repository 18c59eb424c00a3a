"""Records the proportions of a film: diameters, areas and angles, in mm if the film states its pixel spacing."""

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.codes import Code
from cxr_node.domain.film_geometry import SpacingSource, View
from cxr_node.domain.reading import Laterality, Observation, Topic
from cxr_node.measure import preconditions, proportions
from cxr_node.measure.context import BOTH_LUNGS, LUNGS, NO_LUNG_BESIDE, MeasurementContext
from cxr_node.measure.grid import Grid
from cxr_node.measure.interfaces import Corner
from cxr_node.measure.recorder import Quantity

WIDEST_ANGLE = 90.0
"""Above it a costophrenic angle is blunted: below it lie 95 % of films without finding (AP, left; elsewhere more)."""


def record(context: MeasurementContext) -> None:
    """Record the proportions of heart, chest, trachea, mediastinum and costophrenic angles."""
    recorder, grid = context.recorder, context.grid
    heart, both = grid.mask(Anatomy.HEART), preconditions.both_lungs(grid)
    obstacle = context.preconditions.obstacle(Anatomy.HEART, *BOTH_LUNGS)
    magnified = "; AP: the heart is magnified" if context.view is View.AP else ""
    how = f"level width of the heart, mean of its widest rows, over that of both lungs, by their outlines{magnified}"

    def ratio() -> proportions.Measured:
        (heart_width, line), (thorax_width, _) = proportions.heart_width(heart), proportions.width(both)
        return heart_width / thorax_width, line

    recorder.measure(_quantity("CTR", concepts.CARDIOTHORACIC_RATIO, concepts.RATIO), obstacle, ratio, how)
    lengths = [
        (_quantity("MTCD", concepts.CARDIAC_DIAMETER), obstacle, lambda: proportions.heart_width(heart)),
        (_quantity("MITD", concepts.THORACIC_DIAMETER), obstacle, lambda: proportions.width(both)),
        (
            _quantity("tracheal_deviation", concepts.TRACHEAL_DEVIATION, site=concepts.TRACHEA),
            context.preconditions.obstacle(Anatomy.TRACHEA, Anatomy.SPINE),
            lambda: proportions.tracheal_deviation(grid.mask(Anatomy.TRACHEA), grid.mask(Anatomy.SPINE)),
        ),
        (
            _quantity("mediastinal_width", concepts.MEDIASTINAL_WIDTH, site=concepts.MEDIASTINUM),
            context.preconditions.obstacle(Anatomy.AORTA, *BOTH_LUNGS)
            or ("" if Border.AORTIC_KNOB in context.interfaces else NO_LUNG_BESIDE),
            lambda: proportions.mediastinal_width(
                context.lung(Laterality.RIGHT),
                context.lung(Laterality.LEFT),
                context.interfaces[Border.AORTIC_KNOB].points,
            ),
        ),
    ]
    for quantity, length_obstacle, compute in lengths:
        mm = grid.mm
        recorder.measure(
            quantity,
            length_obstacle or context.preconditions.spacing,
            lambda compute=compute, mm=mm or 0.0: _scaled(compute(), mm),  # type: ignore[misc]  # bound for this turn
            _spacing(grid) + magnified,
        )
    _record_areas(context, obstacle)
    for side, corner in context.corners.items():
        _record_angle(context, side, corner)


def _record_areas(context: MeasurementContext, heart_obstacle: str) -> None:
    grid = context.grid
    square_cm = (grid.mm or 0.0) ** 2 / 100
    heart = _quantity("heart_area", concepts.AREA_OF_HEART, concepts.SQUARE_CENTIMETER)
    parts = [(heart, grid.mask(Anatomy.HEART), heart_obstacle)]
    for side, lung in LUNGS.items():
        key, unit = f"lung_area/{side}", concepts.SQUARE_CENTIMETER
        quantity = _quantity(key, concepts.AREA_OF_LUNG, unit, concepts.LUNG, side)
        parts.append((quantity, grid.mask(lung), context.preconditions.obstacle(lung)))
    for quantity, mask, part_obstacle in parts:
        obstacle = part_obstacle or context.preconditions.spacing
        if obstacle:
            context.recorder.not_measurable(quantity, obstacle)
        else:
            context.recorder.write(
                quantity, *_scaled(proportions.area(mask), square_cm), f"within the outline; {_spacing(grid)}"
            )


def _record_angle(context: MeasurementContext, side: Laterality, corner: Corner | None) -> None:
    key, angle = f"costophrenic_angle/{side}", concepts.COSTOPHRENIC_ANGLE
    quantity = _quantity(key, angle, concepts.DEGREE, angle, side)
    obstacle = (
        context.preconditions.obstacle(*BOTH_LUNGS)
        or context.base_obstacle
        or ("" if corner is not None else "no corner in the lung's outline")
    )
    if obstacle or corner is None:
        context.recorder.not_measurable(quantity, obstacle)
        return
    value, line = proportions.costophrenic_angle(corner)
    context.recorder.write(
        quantity, value, line, f"chest wall to dome at the lung's corner; normal up to {WIDEST_ANGLE:g}"
    )
    context.recorder.observations.append(
        Observation(
            key=f"border/{side}_costophrenic_angle",
            topic=Topic.BORDERS,
            code=concepts.OBSCURED if value > WIDEST_ANGLE else concepts.CLEAR,
            value=concepts.COSTOPHRENIC_ANGLE,
            laterality=side,
            line=context.grid.transform.to_film(line),
            detail=f"{value:.0f} degrees, normal up to {WIDEST_ANGLE:g}",
            provenance="by its angle: a blunted one is filled",
        )
    )


def _quantity(
    key: str,
    code: Code,
    unit: Code = concepts.MILLIMETER,
    site: Code | None = concepts.HEART,
    side: Laterality | None = None,
) -> Quantity:
    return Quantity(key=key, topic=Topic.PROPORTIONS, code=code, unit=unit, site=site, laterality=side)


def _scaled(measured: proportions.Measured, factor: float) -> proportions.Measured:
    return measured[0] * factor, measured[1]


def _spacing(grid: Grid) -> str:
    source = SpacingSource.UNSPECIFIED if grid.spacing is None else grid.spacing.source
    return f"pixel spacing {source.value}"
