"""Records the borders of a film: clarity of each, and the lobe that an obscured one points to."""

from dataclasses import replace

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.reading import Observation, Topic
from cxr_node.measure import borders
from cxr_node.measure.context import BOTH_LUNGS, NO_LUNG_BESIDE, MeasurementContext
from cxr_node.measure.recorder import Quantity

_AT_THE_BASE = (Border.RIGHT_HEMIDIAPHRAGM, Border.LEFT_HEMIDIAPHRAGM)
_NEEDED = {
    Border.RIGHT_HEART_BORDER: (Anatomy.HEART, *BOTH_LUNGS),
    Border.LEFT_HEART_BORDER: (Anatomy.HEART, *BOTH_LUNGS),
    Border.RIGHT_HEMIDIAPHRAGM: (Anatomy.RIGHT_HEMIDIAPHRAGM, *BOTH_LUNGS, Anatomy.HEART),
    Border.LEFT_HEMIDIAPHRAGM: (Anatomy.LEFT_HEMIDIAPHRAGM, *BOTH_LUNGS, Anatomy.HEART),
    Border.AORTIC_KNOB: (Anatomy.AORTA, *BOTH_LUNGS, Anatomy.HEART),
}


def record(context: MeasurementContext) -> None:
    """Record the clarity of each border, and whether it is obscured."""
    for name, lowest in borders.lowest_clarity(context.view).items():
        site, lobe = concepts.BORDERS[name]
        side = name.side
        quantity = Quantity(
            key=f"clarity/{name}",
            topic=Topic.BORDERS,
            code=concepts.BORDER_CLARITY,
            unit=concepts.NO_UNITS,
            site=site,
            laterality=side,
        )
        base = context.base_obstacle if name in _AT_THE_BASE else ""
        obstacle = context.brightness_obstacle(*_NEEDED[name]) or base
        interface = context.interfaces.get(name)
        if obstacle or interface is None or context.anchors is None:
            context.recorder.not_measurable(quantity, obstacle or NO_LUNG_BESIDE)
            continue
        scale = borders.Scale(lung=context.anchors.lung, heart=context.anchors.heart)
        across = borders.profiles(context.grid.brightness, interface)
        value = borders.clarity(across, scale)
        how = "share of the dense side's brightness over clear lung that is gone beyond the border, its middle along it"
        context.recorder.write(quantity, value, interface.points, f"{how}; normal from {lowest:g} up")
        quantity = replace(quantity, key=f"edge/{name}", code=concepts.BORDER_EDGE)
        context.recorder.write(
            quantity, borders.edge(across), interface.points, "contrast at the border over that around it"
        )
        obscured = value < lowest
        context.recorder.observations.append(
            Observation(
                key=f"border/{name}",
                topic=Topic.BORDERS,
                code=concepts.OBSCURED if obscured else concepts.CLEAR,
                value=site,
                site=lobe if obscured else None,
                laterality=side,
                line=context.grid.transform.to_film(interface.points),
                detail=f"clarity {value:.2f}, normal from {lowest:g} up",
                provenance="an obscured border points to the lobe beside it (silhouette sign)",
            )
        )
