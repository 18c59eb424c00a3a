"""Every promise of a result broken once: the check reports each fault."""

from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.codes import Code
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reading import Finding, Presence
from cxr_node.domain.reasons import Reason
from cxr_node.report.check import faults_of, require_sound
from cxr_node.report.kinds import tid1500
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.rules import code_faults
from cxr_node.report.sr.tree import children_of, items, name_of
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import composed, everything, parsed, read


def _row(report: Dataset, name: str) -> Dataset:
    return next(item for _, item in items(report) if name_of(item) == name)


def _without(report: Dataset, parent: str, name: str) -> None:
    container = report if not parent else _row(report, parent)
    container.ContentSequence = [row for row in children_of(container) if name_of(row) != name]


def _refer_elsewhere(report: Dataset) -> None:
    _row(report, "121112").ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def _move_region(report: Dataset) -> None:
    _row(report, "111030").GraphicData = [0, 0, 5000, 0, 5000, 9, 0, 0]


def _open_region(report: Dataset) -> None:
    _row(report, "111030").GraphicData = [0, 0, 5, 0, 5, 9]


def _repeat_a_tracker(report: Dataset) -> None:
    trackers = [item for _, item in items(report) if name_of(item) == "112040"]
    trackers[1].UID = trackers[0].UID


def _remove_sources(report: Dataset) -> None:
    for _, group in items(report):
        if name_of(group) == "125007":
            group.ContentSequence = [row for row in group.ContentSequence if row.ValueType not in ("IMAGE", "SCOORD")]


def _wrong_code(report: Dataset) -> None:
    _row(report, "121071").ConceptCodeSequence[0].CodeValue = "287272002"
    _row(report, "121071").ConceptCodeSequence[0].CodingSchemeDesignator = "SCT"


def _set(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda report: setattr(report, keyword, value)


def _delete(keyword: str) -> Callable[[Dataset], None]:
    return lambda report: delattr(report, keyword)


_FAULTS: dict[str, tuple[Callable[[Dataset], None], str]] = {
    "no time": (_set("ContentTime", ""), "ContentTime has no value"),
    "no study id": (_delete("StudyID"), "StudyID is absent"),
    "verified": (_set("VerificationFlag", "VERIFIED"), "VerificationFlag is not UNVERIFIED"),
    "product": (_set("ContentQualification", "PRODUCT"), "ContentQualification is not RESEARCH"),
    "other patient": (_set("PatientID", "OTHER"), "PatientID is not that of the source"),
    "other name": (_set("PatientName", "Other^Name"), "PatientName is not that of the source"),
    "other study": (_set("StudyInstanceUID", "1.2.3"), "StudyInstanceUID is not that of the source"),
    "no evidence": (
        _set("CurrentRequestedProcedureEvidenceSequence", []),
        "CurrentRequestedProcedureEvidenceSequence has no value",
    ),
    "reference elsewhere": (_refer_elsewhere, "Source of Measurement refers to an object that is not in the evidence"),
    "region outside": (_move_region, "Image Region lies outside its film"),
    "region open": (_open_region, "Image Region is not closed"),
    "two groups of one tracker": (_repeat_a_tracker, "tracking unique identifiers are not one per group"),
    "group without source": (_remove_sources, "a group does not refer to its film"),
    "score without threshold": (lambda report: _without(report, "125007", "THRESHOLD"), "Threshold from which"),
    "code on the deny list": (_wrong_code, "code 287272002 means Enlarged septal foramen of heart"),
    "no summary": (lambda report: _without(report, "", "121111"), "Summary is absent"),
    "no caution": (lambda report: _without(report, "C0034375", "121106"), "Comment is absent"),
    "no library": (lambda report: _without(report, "", "111028"), "Image Library is absent"),
    "no observer": (lambda report: _without(report, "", "121005"), "Observer Type is absent"),
    "no presence": (lambda report: _without(report, "125007", "121052"), "Presence of property is absent"),
    "no group": (lambda report: _without(report, "126010", "125007"), "a film has no measurement group"),
    "film not in library": (
        lambda report: _without(report, "126200", "260753009"),
        "the image library does not list every film once",
    ),
}


@pytest.mark.parametrize(("plant", "sentence"), _FAULTS.values(), ids=_FAULTS)
def test_a_broken_promise_is_reported(plant: Callable[[Dataset], None], sentence: str) -> None:
    study = collate([everything(films.dx())])
    report = parsed(composed(tid1500.REPORT, study))
    assert faults_of(report, study, tid1500.REPORT.result_type) == ()
    plant(report)
    assert [fault for fault in faults_of(report, study, tid1500.REPORT.result_type) if fault.startswith(sentence)]


@pytest.mark.parametrize("value_types", [("SCOORD",), ("SCOORD", "NUM")])
def test_the_form_for_ohif_has_coordinates_in_each_group(value_types: tuple[str, ...]) -> None:
    study = collate([everything(films.dx())])
    report = parsed(composed(tid1500.REPORT_OHIF, study))
    assert faults_of(report, study, tid1500.REPORT_OHIF.result_type) == ()
    for _, item in items(report):
        if "ContentSequence" in item:
            item.ContentSequence = [row for row in item.ContentSequence if row.ValueType not in value_types]
    faults = faults_of(report, study, tid1500.REPORT_OHIF.result_type)
    assert "a group has no coordinates, so OHIF cannot open the report" in faults


def test_a_faulty_report_is_given_up_without_naming_the_patient() -> None:
    study = collate([everything(films.dx())])
    report = parsed(composed(tid1500.REPORT, study))
    report.PatientName = "Other^Name"
    with pytest.raises(GiveUp) as given_up:
        require_sound(report, study, tid1500.REPORT.result_type)
    assert given_up.value.reason is Reason.RESULT
    assert "Other" not in str(given_up.value)
    assert films.PATIENT_NAME not in str(given_up.value)


@pytest.mark.parametrize("value", ["36118009", "95436003", "287272002", ""])
def test_a_card_cannot_bring_a_wrong_code_into_a_report(value: str) -> None:
    wrong = Finding(
        key="wrong",
        code=Code(value=value, scheme_designator="SCT", meaning="Pneumothorax"),
        site=None,
        score=0.5,
        operating_point=0.5,
        presence=Presence.PRESENT,
    )
    with pytest.raises(GiveUp) as given_up:
        composed(tid1500.REPORT, [read(films.dx(), wrong)])
    assert given_up.value.reason is Reason.RESULT


@pytest.mark.parametrize(
    ("value", "scheme", "meaning"),
    [
        ("X" * 17, "99CXRNODE", "too long"),
        ("X", "S" * 17, "too long"),
        ("X", "99CXRNODE", "m" * 65),
        ("X", "", "no scheme"),
    ],
)
def test_a_code_that_does_not_fit_its_attributes_is_a_fault(value: str, scheme: str, meaning: str) -> None:
    assert list(code_faults(value, scheme, meaning))


def test_the_check_requires_references_to_all_films() -> None:
    one: ReportedFilm = everything(films.dx())
    both = collate([one, everything(films.cr())])
    report = parsed(composed(tid1500.REPORT, [one]))
    assert "the references do not name the sources" in faults_of(report, both, tid1500.REPORT.result_type)
