"""Measurement Groups of one film: one per finding or region, and one on the film itself (TID 1501, 1410).

A group refers to its film as Source of Measurement (121112). Coordinates are those of a region or a caliper, and no
other: a rectangle around the whole film would be drawn as the place of a finding.

What has a segment in `segments`, by Tracking UID, has it as a second Source of Measurement. TID 1411 would say that the
group is of that segment, but PixelMed (2022) takes every group of a document for TID 1411 if one is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cxr_node.domain import concepts
from cxr_node.domain.film_geometry import ViewSource
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import Finding, Point, Prediction
from cxr_node.domain.reasons import Reason
from cxr_node.domain.stated_numbers import stated_score
from cxr_node.report import codes
from cxr_node.report.header.uids import tracking_identifier, tracking_uid
from cxr_node.report.impression import failure
from cxr_node.report.segments import tracked_regions
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.algorithm import identification, measuring
from cxr_node.report.sr.content import (
    ContentItem,
    Relationship,
    code,
    container,
    image,
    number,
    polyline,
    text,
    uid_reference,
)
from cxr_node.report.sr.measurement_groups import measured
from cxr_node.report.sr.points import point_groups
from cxr_node.report.sr.prior_groups import change_of_ratio, own_time_point

_CONTEXT = Relationship.HAS_OBS_CONTEXT
_MODIFIER = Relationship.HAS_CONCEPT_MOD
_UNUSABLE = frozenset({Reason.QUALITY, Reason.DECODE, Reason.NO_PIXELS})
_DERIVED_VIEWS = frozenset({ViewSource.TEXT, ViewSource.NETWORK})
WHOLE_IMAGE = "1501"
PLANAR_REGION = "1410"

SegmentReference = tuple[Identity, int]
"""A segmentation of the same run, and the number of a segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmGroups:
    """Makes the groups of a film; see the module on `segments`."""

    film: ReportedFilm
    observer: Observer
    segments: Mapping[str, SegmentReference] = field(default_factory=dict)

    def all(self) -> list[ContentItem]:
        """Return the groups of findings and points, and one on the film itself."""
        prediction = self.film.reading.prediction
        findings = () if prediction is None else prediction.findings
        groups = [group for one in findings if prediction for group in self._finding(prediction, one)]
        return [*groups, *self.points(), self.film_itself()]

    def points(self) -> list[ContentItem]:
        """Return the groups of named points."""
        return list(point_groups(self.film, lambda label, key, rows: self._whole([*self.tracking(label, key), *rows])))

    def film_itself(self) -> ContentItem:
        """Return the group on the film: ratio, quality, notes, or why it was not analysed.

        Quality of a film that was not analysed is asserted only where it prevented the analysis.
        """
        reading = self.film.reading
        # Another film under the same SOP Instance UID is a second group of that UID.
        key = "quality" if reading.not_analysed is not Reason.DUPLICATE else f"quality/{self.film.number}"
        items = [*self.tracking("Film", key), *own_time_point(self.film)]
        items.extend(measuring(self.film, self.observer, _MODIFIER))
        geometry = reading.geometry
        is_derived = geometry is not None and geometry.view_source in _DERIVED_VIEWS
        comments = [f"View from {geometry.view_source.value}"] if geometry is not None and is_derived else []
        comments = comments if self.observer.language.is_english else []
        if reading.not_analysed is not None:
            items.append(code(codes.NOT_PROCESSED, codes.not_processed(reading.not_analysed)))
            comments.append(reading.detail)
        if reading.prediction is not None:
            comments.extend(failure(step) for step in reading.prediction.failed_steps)
        if reading.not_analysed in _UNUSABLE:
            items.append(code(codes.QUALITY_ASSESSMENT, codes.UNUSABLE))
        judged = [one.value for one in reading.observations if one.code == concepts.QUALITY_ASSESSMENT]
        items.extend(code(codes.QUALITY_ASSESSMENT, value) for value in judged[:1])
        items.extend(code(codes.PROCESSING_NOTE, codes.processing_note(note)) for note in reading.notes)
        ratios = [one for one in reading.measurements if one.code == concepts.CARDIOTHORACIC_RATIO]
        items.extend(measured(self.film, one) for one in ratios)
        items.extend(change_of_ratio(self.film))
        comment = ". ".join(part for part in comments if part)
        if comment:
            items.append(text(codes.COMMENT, comment))
        return self._whole(items)

    def group(self, label: str, key: str, rows: Sequence[ContentItem]) -> ContentItem:
        """Return a group of measurements of the node, with its tracking and algorithm."""
        film = self.film.reading.film
        items = [*self.tracking(label, key), *measuring(self.film, self.observer, _MODIFIER), *rows]
        segment = self.segments.get(tracking_uid(film.sop_instance_uid, key))
        if segment is not None:
            items.append(image(codes.SOURCE_OF_MEASUREMENT, segment[0], segment=segment[1]))
        return self._whole(items)

    def tracking(self, label: str, key: str) -> list[ContentItem]:
        """Return the tracking of what `label` names (TID 4108)."""
        uid = tracking_uid(self.film.reading.film.sop_instance_uid, key)
        return [
            text(codes.TRACKING_IDENTIFIER, tracking_identifier(self.observer, label), _CONTEXT),
            uid_reference(codes.TRACKING_UNIQUE_IDENTIFIER, uid, _CONTEXT),
        ]

    def region(self, outline: Sequence[Point]) -> ContentItem:
        """Return the region of a group: a closed polygon in pixels of the film."""
        return polyline(codes.IMAGE_REGION, outline, self.film.reading.film, Relationship.CONTAINS)

    def _whole(self, items: Sequence[ContentItem]) -> ContentItem:
        """Return a group on the film as a whole."""
        return measurement_group(WHOLE_IMAGE, [*items, image(codes.SOURCE_OF_MEASUREMENT, self.film.reading.film)])

    def _finding(self, prediction: Prediction, finding: Finding) -> list[ContentItem]:
        regions = tracked_regions(finding, self.film)
        presence = code(codes.PRESENCE_OF_PROPERTY, codes.PRESENCES[finding.presence])
        head = [*_finding_and_site(finding), *identification(prediction, finding, _MODIFIER)]
        tracked = self.tracking(finding.code.meaning, finding.key)
        if len(regions) == 1:
            rows = [*tracked, *head, *_score(finding), presence, self.region(regions[0][-1])]
            return [measurement_group(PLANAR_REGION, rows)]
        groups = [self._whole([*tracked, *head, *_score(finding), presence])]
        for label, key, outline in regions:
            rows = [*self.tracking(label, key), *head, presence, self.region(outline)]
            groups.append(measurement_group(PLANAR_REGION, rows))
        return groups


def measurement_group(template: str, items: Sequence[ContentItem]) -> ContentItem:
    """Return a Measurement Group."""
    return container(codes.MEASUREMENT_GROUP, *items, template=template)


def _score(finding: Finding) -> list[ContentItem]:
    """Return score and threshold of a finding, each a NUM."""
    name, unit = codes.SCORE, codes.SCORE_UNITS
    if finding.key == concepts.CARDIOMEGALY_BY_RATIO:
        name, unit = concepts.CARDIOTHORACIC_RATIO, concepts.RATIO
    stated = stated_score(finding)
    return [number(name, stated.score, unit), number(codes.THRESHOLD, stated.threshold, unit)]


def _finding_and_site(finding: Finding) -> list[ContentItem]:
    items = [code(codes.FINDING, finding.code)]
    if finding.site is not None:
        side = codes.side_of(finding.site, finding.laterality)
        sides = [] if side is None else [code(codes.LATERALITY, codes.LATERALITIES[side], _MODIFIER)]
        items.append(code(codes.FINDING_SITE, finding.site, _MODIFIER, *sides))
    return items
