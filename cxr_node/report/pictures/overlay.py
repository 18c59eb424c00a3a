"""Overlays of a film: findings with the cardiothoracic ratio, or anatomy with borders, densities and calipers. Pure.

Colors are those of Okabe and Ito (Color Universal Design, 2008), distinct for every kind of color vision. Nothing is
shown by color alone: a finding has a number and a name, an undetermined one a dashed outline, an obscured border is
thick and named, a caliper has ticks and its number.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.reading import Finding, Measurement, Observation, Presence, Reading
from cxr_node.report.impression import ratio_line
from cxr_node.report.labels import caliper_label, finding_label, observation_label
from cxr_node.report.languages.language import Language
from cxr_node.report.pictures.drawing import Drawing
from cxr_node.report.pictures.typeface import Color
from cxr_node.report.source import ReportedFilm

ORANGE, SKY, GREEN, YELLOW = (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)
VERMILION, PURPLE = (213, 94, 0), (204, 121, 167)
FINDING_COLORS = (ORANGE, SKY, YELLOW, PURPLE, GREEN, VERMILION)
"""In the order of the findings, from the first again after the last."""
CALIPER = (235, 235, 235)
OUTLINES: Mapping[str, Color] = {
    Anatomy.RIGHT_LUNG: SKY,
    Anatomy.LEFT_LUNG: SKY,
    Anatomy.HEART: PURPLE,
    Anatomy.AORTA: PURPLE,
    Anatomy.TRACHEA: GREEN,
    Anatomy.BRONCHI: GREEN,
    Anatomy.RIGHT_CLAVICLE: YELLOW,
    Anatomy.LEFT_CLAVICLE: YELLOW,
}
"""Ribs, scapulae and the spine are measured on but not drawn: they would cover the lungs."""

CALIPERS = {"MTCD": "heart", "MITD": "thorax", "mediastinal_width": "mediastinum", "tracheal_deviation": "trachea"}
"""Key of a measurement drawn as a caliper to its label on the page of the node."""
ANGLES = ("costophrenic_angle/right", "costophrenic_angle/left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """What is drawn on the right film of a picture, and its caption."""

    draw: Callable[[Drawing, ReportedFilm, Language], None]
    caption: Callable[[Language], str]


def numbered_findings(reading: Reading) -> Iterator[tuple[int, Finding, Color]]:
    """Yield number, finding and color of each finding that is not absent, in the order of the prediction."""
    findings = () if reading.prediction is None else reading.prediction.findings
    shown = [finding for finding in findings if finding.presence is not Presence.ABSENT]
    for index, finding in enumerate(shown):
        yield index + 1, finding, FINDING_COLORS[index % len(FINDING_COLORS)]


def draw_findings(drawing: Drawing, film: ReportedFilm, language: Language) -> None:
    """Draw the regions of findings that are not absent, and the calipers of the cardiothoracic ratio."""
    for number, finding, color in numbered_findings(film.reading):
        for region in finding.regions:
            drawing.outline(region.outline, color, dashed=finding.presence is Presence.UNDETERMINED)
            drawing.label(f"{number} {finding_label(finding, language)}", min(region.outline), color)
    measurements = {measurement.key: measurement for measurement in film.reading.measurements}
    if "CTR" in measurements:
        lines = [measurements[key].line for key in ("CTR", "MITD") if key in measurements]
        for line in lines:
            drawing.caliper(line, CALIPER)
        anchor = max((point for line in lines for point in line), default=None)
        if anchor is not None:
            drawing.label(ratio_line(film.reading, language).rstrip(".。"), anchor, CALIPER)


def draw_anatomy(drawing: Drawing, film: ReportedFilm, language: Language) -> None:
    """Draw structures, points, borders, calipers and the share of soft tissue of each zone."""
    reading = film.reading
    for structure in () if reading.prediction is None else reading.prediction.structures:
        for region in structure.regions if structure.key in OUTLINES else ():
            drawing.outline(region.outline, OUTLINES[structure.key], width=1, avoided=False)
    for point in () if reading.prediction is None else reading.prediction.visible_points:
        drawing.cross(point.at, GREEN)
        drawing.label(language.meaning(point.code), point.at, GREEN)
    for observation in reading.observations:
        _observation(drawing, observation, language)
    _measurements(drawing, reading, language)


def _measurements(drawing: Drawing, reading: Reading, language: Language) -> None:
    measurements = {measurement.key: measurement for measurement in reading.measurements}
    for key in CALIPERS if "MTCD" in measurements else ("CTR", *CALIPERS):
        if key in measurements:
            drawing.caliper(measurements[key].line, ORANGE)
            _label(drawing, measurements[key], reading, language)
    for key in ANGLES:
        if key in measurements:
            drawing.polyline(measurements[key].line, ORANGE, width=1)
            _label(drawing, measurements[key], reading, language)
    for measurement in reading.measurements:
        if measurement.code == concepts.ZONE_DENSITY:
            _zone(drawing, measurement, measurements, language)


def _observation(drawing: Drawing, observation: Observation, language: Language) -> None:
    if observation.code == concepts.OBSCURED and observation.line:
        drawing.polyline(observation.line, VERMILION, width=4)
        anchor = observation.line[len(observation.line) // 4]
        drawing.label(observation_label(observation, language), anchor, VERMILION)
    elif observation.code == concepts.CLEAR and observation.line and not observation.key.endswith("angle"):
        drawing.polyline(observation.line, SKY, width=3)
    elif observation.code == concepts.METAL and observation.value == concepts.DEVICE:  # letters of lead are clutter
        for region in observation.regions:
            drawing.outline(region.outline, YELLOW, width=1)
        drawing.label(language.meaning(observation.value), observation.regions[0].outline[0], YELLOW)


def _label(drawing: Drawing, measurement: Measurement, reading: Reading, language: Language) -> None:
    if measurement.line:
        anchor = measurement.line[len(measurement.line) // 2]
        drawing.label(caliper_label(measurement, reading, language), anchor, ORANGE)


def _zone(
    drawing: Drawing, measurement: Measurement, measurements: Mapping[str, Measurement], language: Language
) -> None:
    """Write a zone's share of soft tissue at its center."""
    share = measurements.get(measurement.key.replace("density/", "share_soft/"))
    if share is None:
        return
    columns, rows = zip(*measurement.line, strict=True)
    center = (min(columns) + max(columns)) / 2, (min(rows) + max(rows)) / 2
    text = language.phrases.soft_tissue.format(share=language.number(share.value, ".0f"))
    drawing.label(text, center, SKY)


FINDINGS = Overlay(draw=draw_findings, caption=lambda language: language.phrases.picture_findings)
ANATOMY = Overlay(draw=draw_anatomy, caption=lambda language: language.phrases.picture_anatomy)
