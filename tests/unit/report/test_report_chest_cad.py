"""The marks of a Chest CAD Report: what it has a place for, and nothing else."""

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
from cxr_node.report.source import Film
from cxr_node.report.sr.tree import children_of, items, name_of
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import composed, everything, finding, not_read, parsed, read, square


def report(*together: Film) -> Dataset:
    return parsed(composed(chest_cad.CHEST_CAD, together))


def of(dataset: Dataset, concept: Code) -> list[Dataset]:
    return [item for _, item in items(dataset) if name_of(item) == concept.value]


def value(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def context_groups(code: Code) -> set[int]:
    keywords = cast("Mapping[str, Mapping[str, tuple[str, list[int]]]]", concepts[code.scheme_designator])
    return {group for entries in keywords.values() if code.value in entries for group in entries[code.value][1]}


@pytest.mark.parametrize("modifier", codes.MARKED_BY_CAD, ids=lambda each: each.meaning)
def test_what_is_marked_is_of_the_context_groups_of_the_template(modifier: Code) -> None:
    allowed = {codes.ABNORMAL_OPACITY: 6104, codes.ABNORMAL_LUCENCY: 6105}[codes.MARKED_BY_CAD[modifier]]

    assert 6101 in context_groups(codes.MARKED_BY_CAD[modifier])
    assert {6102, allowed} <= context_groups(modifier)


def test_each_region_is_a_finding_with_its_center_its_outline_and_who_said_so() -> None:
    film = everything(films.dx())
    rows, columns = int(film.header.Rows), int(film.header.Columns)
    side = min(rows, columns) / 8

    found = of(report(film), codes.SINGLE_IMAGE_FINDING)

    assert [value(item) for item in found] == ["112033", "112062", "112062"]
    opacity = {name_of(row): row for row in children_of(found[0])}
    assert value(opacity[codes.SINGLE_IMAGE_FINDING_MODIFIER.value]) == "112001"
    assert value(opacity[codes.RENDERING_INTENT.value]) == codes.PRESENTATION_REQUIRED.value
    assert float(opacity[codes.CERTAINTY_OF_FINDING.value].MeasuredValueSequence[0].NumericValue) == 87.3
    center = opacity[codes.CENTER.value]
    assert center.GraphicType == "POINT"
    assert list(center.GraphicData) == pytest.approx([side / 2, 3.5 * side], abs=0.1)
    outline = list(opacity[codes.OUTLINE.value].GraphicData)
    assert outline[:2] == outline[-2:]
    image = children_of(center)[0]
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == film.header.SOPInstanceUID
    assert "RESEARCH USE ONLY" in "".join(str(row.get("TextValue")) for row in children_of(found[0]))


def test_a_region_has_the_tracking_that_it_has_in_the_report() -> None:
    film = everything(films.dx())

    def tracked(dataset: Dataset) -> set[str]:
        return {str(item.UID) for item in of(dataset, codes.TRACKING_UNIQUE_IDENTIFIER)}

    assert tracked(report(film)) < tracked(parsed(composed(tid1500.REPORT, [film])))


def test_what_is_undetermined_may_be_shown_and_what_is_absent_is_only_said_to_have_been_looked_for() -> None:
    film = read(
        films.dx(),
        finding("Nodule", 0.5, Presence.UNDETERMINED, regions=(square(2, 2, 9),)),
        finding("Mass", 0.1, Presence.ABSENT, regions=(square(2, 2, 9),)),
        finding("Effusion", 0.9, Presence.PRESENT, regions=(square(2, 2, 9),)),
    )

    said = report(film)

    (mark,) = of(said, codes.SINGLE_IMAGE_FINDING)
    (intent,) = of(mark, codes.RENDERING_INTENT)
    assert value(intent) == codes.PRESENTATION_OPTIONAL.value
    assert [value(item) for item in of(said, codes.DETECTION_PERFORMED)] == ["27925004", "4147007"]
    assert value(of(said, codes.FINDINGS_SUMMARY)[0]) == codes.ALL_WITH_FINDINGS.value


def test_a_study_that_was_not_analysed_has_no_marks_and_says_that_nothing_was_attempted() -> None:
    said = report(not_read(films.dx(), Reason.VIEW))

    assert not of(said, codes.SINGLE_IMAGE_FINDING)
    assert value(of(said, codes.FINDINGS_SUMMARY)[0]) == codes.NONE_SUCCEEDED.value
    assert value(of(said, codes.SUMMARY_OF_DETECTIONS)[0]) == codes.NOT_ATTEMPTED.value
    assert said.ContentQualification == "RESEARCH"


@pytest.mark.parametrize("concept", [codes.CENTER, codes.RENDERING_INTENT, codes.ALGORITHM_NAME])
def test_a_mark_without_what_the_template_demands_does_not_leave(concept: Code) -> None:
    film = everything(films.dx())
    instance = composed(chest_cad.CHEST_CAD, [film])
    said = dcmread(BytesIO(instance.content))
    mark = of(said, codes.SINGLE_IMAGE_FINDING)[0]
    mark.ContentSequence = [row for row in children_of(mark) if name_of(row) != concept.value]

    assert f"{concept.meaning} is absent" in faults_of(said, collate([film]), chest_cad.CHEST_CAD.result_type)
