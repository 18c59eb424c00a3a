"""Segments of a film: outlined structures, and regions of findings that are not absent.

A segment and the measurement group of the same structure or region have one Tracking Identifier and one Tracking Unique
Identifier (PS3.3 section C.8.20.4), which `structure_key` and `tracked_regions` give both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy, key_without_side
from cxr_node.domain.codes import Code
from cxr_node.domain.hanging import states_sides
from cxr_node.domain.reading import Finding, Laterality, ModelIdentity, Point, Prediction, Region
from cxr_node.report import codes
from cxr_node.report.impression import named
from cxr_node.report.labels import finding_label
from cxr_node.report.languages.language import Language
from cxr_node.report.pictures.graphics import cielab
from cxr_node.report.pictures.outlines import bounds, closed
from cxr_node.report.pictures.overlay import numbered_findings
from cxr_node.report.source import ReportedFilm

SEGMENTS: Mapping[Anatomy, tuple[Code, Laterality | None, tuple[int, int, int]]] = {
    Anatomy.RIGHT_LUNG: (concepts.LUNG, Laterality.RIGHT, (46532, 29177, 23878)),
    Anatomy.LEFT_LUNG: (concepts.LUNG, Laterality.LEFT, (46532, 29177, 23878)),
    Anatomy.HEART: (concepts.HEART, None, (39895, 41393, 28012)),
    Anatomy.AORTA: (concepts.AORTA, None, (37041, 46851, 45714)),
    Anatomy.TRACHEA: (concepts.TRACHEA, None, (37862, 21919, 37057)),
    Anatomy.RIGHT_CLAVICLE: (concepts.CLAVICLE, Laterality.RIGHT, (58993, 31607, 51046)),
    Anatomy.LEFT_CLAVICLE: (concepts.CLAVICLE, Laterality.LEFT, (58993, 31607, 51046)),
    Anatomy.RIGHT_SCAPULA: (concepts.SCAPULA, Laterality.RIGHT, (46532, 39000, 52000)),
    Anatomy.LEFT_SCAPULA: (concepts.SCAPULA, Laterality.LEFT, (46532, 39000, 52000)),
    Anatomy.SPINE: (concepts.THORACIC_SPINE, None, (52428, 33000, 40000)),
}
"""Structure to its code, its side and a color as PCS-values (PS3.3 section C.10.7.1.1).

Structures without a standard code (ribs, main bronchi) are left out, and so are the hemidiaphragms: their outline has
all that lies below the dome, which the name diaphragm would not say.
"""

_KEYS = {(code.value, side): str(anatomy) for anatomy, (code, side, _) in SEGMENTS.items()}

TrackedRegion = tuple[str, str, tuple[Point, ...]]
"""Label and key of a region for its tracking, and its closed outline in pixels of the film."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment: what it is, how it is tracked, and its outlines, filled by the even-odd rule.

    `label` is that of its tracking, the same in every language. `side` is that of the segment, `site` and `site_side`
    are where a `finding` lies. `color` has PCS-values. `ordinal` tells apart several regions, or two sides that the
    header does not name.
    """

    label: str
    key: str
    category: Code
    code: Code
    color: tuple[int, int, int]
    model: ModelIdentity
    outlines: tuple[tuple[Point, ...], ...]
    side: Laterality | None = None
    site: Code | None = None
    site_side: Laterality | None = None
    finding: Finding | None = None
    ordinal: int = 0

    def name(self, language: Language) -> str:
        """Return the name of the structure or the finding with its side."""
        if language.is_english:
            return self.label
        side = "" if self.side is None else language.phrases.places.format(places=language.terms.sides[self.side])
        return f"{language.meaning(self.code)}{side}{f' {self.ordinal}' if self.ordinal else ''}"

    def description(self, language: Language) -> str:
        """Return the name, of a finding with score and presence, and the model."""
        name = self.name(language)
        if self.finding is not None:
            presence = language.phrases.places.format(places=language.terms.presences[self.finding.presence])
            name = f"{finding_label(self.finding, language)}{presence}"
        return f"{name}{language.phrases.list_separator}{named(self.model)}"


def segments_of(film: ReportedFilm) -> Iterator[Segment]:
    """Yield the structures of a film and the regions of its findings; without pixels, if they lie outside the film."""
    prediction = film.reading.prediction
    if prediction is not None:
        yield from _structures(film, prediction)
        yield from _regions(film, prediction)


def structure_key(site: Code | None, side: Laterality | None) -> str | None:
    """Return the key of the structure with a segment that is at a site; None if there is none."""
    return None if site is None else _KEYS.get((site.value, side))


def structure_label(key: str) -> str:
    """Return the name of a structure with a segment and its side, such as "Right Lung"."""
    code, side, _ = SEGMENTS[Anatomy(key)]
    return code.meaning if side is None else f"{codes.LATERALITIES[side].meaning} {code.meaning}"


def tracked_regions(finding: Finding, film: ReportedFilm) -> list[TrackedRegion]:
    """Return the regions of a finding that enclose something on the film. A single one is tracked as the finding."""
    outlines = [outline for region in finding.regions if (outline := closed(region.outline, bounds(film)))]
    name, key = finding.code.meaning, finding.key
    if len(outlines) == 1:
        return [(name, key, outlines[0])]
    return [(f"{name}, region {n}", f"{key}/{n}", outline) for n, outline in enumerate(outlines, start=1)]


def _structures(film: ReportedFilm, prediction: Prediction) -> Iterator[Segment]:
    """Yield the structures, without their side if the film's header does not say which side is which."""
    model = prediction.anatomy_model
    names_sides = film.reading.geometry is not None and states_sides(film.reading.geometry)
    for structure in prediction.structures:
        if structure.key not in SEGMENTS or not structure.regions:
            continue
        code, side, color = SEGMENTS[Anatomy(structure.key)]
        key, label, ordinal = structure.key, structure_label(structure.key), 0
        if side is not None and not names_sides:
            key, side = key_without_side(key), None
            ordinal = 1 if "side_1" in key else 2
            label = f"{code.meaning}, side {ordinal}"
        yield Segment(
            label=label,
            key=key,
            category=codes.ANATOMICAL_STRUCTURE,
            code=code,
            color=color,
            model=model,
            outlines=_outlines(structure.regions),
            side=side,
            ordinal=ordinal,
        )


def _regions(film: ReportedFilm, prediction: Prediction) -> Iterator[Segment]:
    for _, finding, color in numbered_findings(film.reading):
        model = prediction.model_of(finding)
        regions = tracked_regions(finding, film)
        for ordinal, (label, key, outline) in enumerate(regions, start=1):
            lightness, a, b = cielab(color)
            yield Segment(
                label=label,
                key=key,
                category=codes.MORPHOLOGICALLY_ABNORMAL,
                code=finding.code,
                color=(lightness, a, b),
                model=model,
                outlines=(outline,),
                site=finding.site,
                site_side=codes.side_of(finding.site, finding.laterality),
                finding=finding,
                ordinal=ordinal if len(regions) > 1 else 0,
            )


def _outlines(regions: tuple[Region, ...]) -> tuple[tuple[Point, ...], ...]:
    return tuple(region.outline for region in regions)
