"""Measurement Groups with coordinates of their own, in the form that OHIF 3.13 draws.

OHIF cannot open a report in which a group has no SCOORD. It draws every SCOORD and writes beside it the names and
values of the group's NUM items, but no Finding. So a region is measured under the name of its finding ("Opacity: 50
{score}"), a finding without a region has no group here, and the film itself has its caliper or, without one, its
outline without words. Finding Site is left out: OHIF writes its code instead of its name.
"""

from collections.abc import Iterator

from cxr_node.domain.reading import Finding, Prediction, Presence
from cxr_node.domain.stated_numbers import stated_score
from cxr_node.report import codes
from cxr_node.report.pictures.outlines import bounds
from cxr_node.report.segments import tracked_regions
from cxr_node.report.sr.algorithm import identification
from cxr_node.report.sr.content import ContentItem, Relationship, code, number, polyline
from cxr_node.report.sr.groups import PLANAR_REGION, FilmGroups, measurement_group
from cxr_node.report.sr.tree import children_of, name_of


def drawn_groups(groups: FilmGroups) -> list[ContentItem]:
    """Return the groups of regions, points and the film itself."""
    prediction = groups.film.reading.prediction
    findings = () if prediction is None else prediction.findings
    regions = [group for one in findings if prediction for group in _regions(groups, prediction, one)]
    return [*regions, *groups.points(), _film_itself(groups)]


def _regions(groups: FilmGroups, prediction: Prediction, finding: Finding) -> Iterator[ContentItem]:
    if finding.presence is Presence.ABSENT:
        return
    algorithm = identification(prediction, finding, Relationship.HAS_CONCEPT_MOD)
    for label, key, outline in tracked_regions(finding, groups.film):
        rows = [
            *groups.tracking(label, key),
            code(codes.FINDING, finding.code),
            *algorithm,
            number(finding.code, stated_score(finding).score, codes.SCORE_UNITS),
            code(codes.PRESENCE_OF_PROPERTY, codes.PRESENCES[finding.presence]),
            groups.region(outline),
        ]
        yield measurement_group(PLANAR_REGION, rows)


def _film_itself(groups: FilmGroups) -> ContentItem:
    group = groups.film_itself()
    if any(row.ValueType == "NUM" and children_of(row) for row in children_of(group)):
        # A comment would be written beside the caliper.
        group.ContentSequence = [row for row in children_of(group) if name_of(row) != codes.COMMENT.value]
    else:
        columns, rows = bounds(groups.film)
        corners = ((0.0, 0.0), (columns, 0.0), (columns, rows), (0.0, rows), (0.0, 0.0))
        group.ContentSequence.append(polyline(codes.SOURCE, corners, groups.film.reading.film, Relationship.CONTAINS))
    return group
