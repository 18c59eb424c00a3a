"""The borders of a film written down: how clear each is, and what a lost one points to."""

from dataclasses import replace

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.reading import Observation, Topic
from cxr_node.measure import borders
from cxr_node.measure.context import BOTH, HIDDEN, MeasurementContext
from cxr_node.measure.recorder import What

_AT_THE_BASE = (Border.RIGHT_HEMIDIAPHRAGM, Border.LEFT_HEMIDIAPHRAGM)
_NEEDED = {
    Border.RIGHT_HEART_BORDER: (Anatomy.HEART, *BOTH),
    Border.LEFT_HEART_BORDER: (Anatomy.HEART, *BOTH),
    Border.RIGHT_HEMIDIAPHRAGM: (Anatomy.RIGHT_HEMIDIAPHRAGM, *BOTH, Anatomy.HEART),
    Border.LEFT_HEMIDIAPHRAGM: (Anatomy.LEFT_HEMIDIAPHRAGM, *BOTH, Anatomy.HEART),
    Border.AORTIC_KNOB: (Anatomy.AORTA, *BOTH, Anatomy.HEART),
}


def write(sheet: MeasurementContext) -> None:
    """Write down the clarity of each border, and whether it is obscured."""
    for name, lowest in borders.lowest(sheet.view).items():
        site, lobe = concepts.BORDERS[name]
        side = name.side
        what = What(
            key=f"clarity/{name}",
            topic=Topic.BORDERS,
            code=concepts.BORDER_CLARITY,
            unit=concepts.NO_UNITS,
            site=site,
            laterality=side,
        )
        base = sheet.against_base if name in _AT_THE_BASE else ""
        against = sheet.against_brightness(*_NEEDED[name]) or base
        interface = sheet.found.get(name)
        if against or interface is None or sheet.scale is None:
            sheet.book.cannot(what, against or HIDDEN)
            continue
        scale = borders.Scale(lung=sheet.scale.lung, heart=sheet.scale.heart)
        across = borders.profiles(sheet.canvas.brightness, interface)
        value = borders.clarity(across, scale)
        how = "share of the dense side's brightness over clear lung that is gone beyond the border, its middle along it"
        sheet.book.write(what, value, interface.points, f"{how}; normal from {lowest:g} up")
        what = replace(what, key=f"edge/{name}", code=concepts.BORDER_EDGE)
        sheet.book.write(what, borders.edge(across), interface.points, "contrast at the border over that around it")
        obscured = value < lowest
        sheet.book.observations.append(
            Observation(
                key=f"border/{name}",
                topic=Topic.BORDERS,
                code=concepts.OBSCURED if obscured else concepts.CLEAR,
                value=site,
                site=lobe if obscured else None,
                laterality=side,
                line=sheet.canvas.place.on_film(interface.points),
                detail=f"clarity {value:.2f}, normal from {lowest:g} up",
                provenance="an obscured border points to the lobe beside it (silhouette sign)",
            )
        )
