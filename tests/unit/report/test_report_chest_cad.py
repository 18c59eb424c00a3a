"""Chest CAD Report: marks, targets, and required rows."""

from collections.abc import Mapping
from io import BytesIO
from typing import cast

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts

from cxr_node.domain.codes import Code
from cxr_node.domain.reading import Presence
from cxr_node.domain.reasons import Reason
from cxr_node.report import codes
from cxr_node.report.check import faults_of
from cxr_node.report.kinds import chest_cad, tid1500
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.tree import children_of, items, name_of
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import composed, everything, finding, not_read, parsed, read, square


def report(*study: ReportedFilm) -> Dataset:
    return parsed(composed(chest_cad.CHEST_CAD, study))


def rows_of(dataset: Dataset, concept: Code) -> list[Dataset]:
    return [item for _, item in items(dataset) if name_of(item) == concept.value]


def value(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def context_groups(code: Code) -> set[int]:
    keywords = cast("Mapping[str, Mapping[str, tuple[str, list[int]]]]", concepts[code.scheme_designator])
    return {group for entries in keywords.values() if code.value in entries for group in entries[code.value][1]}


@pytest.mark.parametrize("modifier", codes.MARKED_BY_CAD, ids=lambda modifier: modifier.meaning)
def test_marked_findings_are_in_the_template_context_groups(modifier: Code) -> None:
    allowed = {codes.ABNORMAL_OPACITY: 6104, codes.ABNORMAL_LUCENCY: 6105}[codes.MARKED_BY_CAD[modifier]]

    assert 6101 in context_groups(codes.MARKED_BY_CAD[modifier])
    assert {6102, allowed} <= context_groups(modifier)


def test_each_region_is_a_finding_with_center_outline_and_algorithm() -> None:
    film = everything(films.dx())
    rows, columns = int(film.header.Rows), int(film.header.Columns)
    side = min(rows, columns) / 8

    marks = rows_of(report(film), codes.SINGLE_IMAGE_FINDING)

    assert [value(item) for item in marks] == ["112033", "112062", "112062"]
    opacity = {name_of(row): row for row in children_of(marks[0])}
    assert value(opacity[codes.SINGLE_IMAGE_FINDING_MODIFIER.value]) == "112001"
    assert value(opacity[codes.RENDERING_INTENT.value]) == codes.PRESENTATION_REQUIRED.value
    assert float(opacity[codes.CERTAINTY_OF_FINDING.value].MeasuredValueSequence[0].NumericValue) == 87
    center = opacity[codes.CENTER.value]
    assert center.GraphicType == "POINT"
    assert list(center.GraphicData) == pytest.approx([side / 2, 3.5 * side], abs=0.1)
    outline = list(opacity[codes.OUTLINE.value].GraphicData)
    assert outline[:2] == outline[-2:]
    image = children_of(center)[0]
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == film.header.SOPInstanceUID
    assert "RESEARCH USE ONLY" in "".join(str(row.get("TextValue")) for row in children_of(marks[0]))


@pytest.mark.slow
def test_a_region_has_the_same_tracking_uid_as_in_the_report() -> None:
    film = everything(films.dx())

    def tracked(dataset: Dataset) -> set[str]:
        return {str(item.UID) for item in rows_of(dataset, codes.TRACKING_UNIQUE_IDENTIFIER)}

    assert tracked(report(film)) < tracked(parsed(composed(tid1500.REPORT, [film])))


def test_undetermined_is_optional_and_absent_only_a_target() -> None:
    film = read(
        films.dx(),
        finding("Nodule", 0.5, Presence.UNDETERMINED, regions=(square(2, 2, 9),)),
        finding("Mass", 0.1, Presence.ABSENT, regions=(square(2, 2, 9),)),
        finding("Effusion", 0.9, Presence.PRESENT, regions=(square(2, 2, 9),)),
    )

    dataset = report(film)

    (mark,) = rows_of(dataset, codes.SINGLE_IMAGE_FINDING)
    (intent,) = rows_of(mark, codes.RENDERING_INTENT)
    assert value(intent) == codes.PRESENTATION_OPTIONAL.value
    assert [value(item) for item in rows_of(dataset, codes.DETECTION_PERFORMED)] == ["27925004", "4147007"]
    assert value(rows_of(dataset, codes.FINDINGS_SUMMARY)[0]) == codes.ALL_WITH_FINDINGS.value


def test_a_study_not_analysed_has_no_marks_and_no_attempt() -> None:
    dataset = report(not_read(films.dx(), Reason.VIEW))

    assert not rows_of(dataset, codes.SINGLE_IMAGE_FINDING)
    assert value(rows_of(dataset, codes.FINDINGS_SUMMARY)[0]) == codes.NONE_SUCCEEDED.value
    assert value(rows_of(dataset, codes.SUMMARY_OF_DETECTIONS)[0]) == codes.NOT_ATTEMPTED.value
    assert dataset.ContentQualification == "RESEARCH"


@pytest.mark.parametrize("concept", [codes.CENTER, codes.RENDERING_INTENT, codes.ALGORITHM_NAME])
def test_a_mark_without_a_required_row_is_a_fault(concept: Code) -> None:
    film = everything(films.dx())
    instance = composed(chest_cad.CHEST_CAD, [film])
    dataset = dcmread(BytesIO(instance.content))
    mark = rows_of(dataset, codes.SINGLE_IMAGE_FINDING)[0]
    mark.ContentSequence = [row for row in children_of(mark) if name_of(row) != concept.value]

    assert f"{concept.meaning} is absent" in faults_of(dataset, collate([film]), chest_cad.CHEST_CAD.result_type)
