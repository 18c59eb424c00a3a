"""References of the report to the other results of its run."""

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.instance import Instance
from cxr_node.report.check import faults_of
from cxr_node.report.kinds import basic_text, key_objects, presentation_state, secondary_capture, segmentation, tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.kinds.registry import REPORT_FORMS, RESULT_KINDS
from cxr_node.report.run import Run
from cxr_node.report.source import ReferredResult, ReportedFilm
from cxr_node.report.sr.tree import children_of, items, name_of
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import everything, parsed, previous, request

_ROOTS = (tid1500.REPORT, tid1500.REPORT_COMPREHENSIVE, tid1500.REPORT_ENHANCED, tid1500.REPORT_OHIF)
_OTHERS = tuple(sorted((kind for kind in RESULT_KINDS if kind not in _ROOTS), key=lambda kind: kind.order))


def _film() -> ReportedFilm:
    return everything(films.dx())


def _results(film: ReportedFilm, kinds: tuple[ResultKind, ...] = _OTHERS) -> list[ReferredResult]:
    referred: list[ReferredResult] = []
    for kind in kinds:
        referred += kind.referred(kind.compose(replace(request([film]), results=referred)))
    return referred


def _root(kind: ResultKind, film: ReportedFilm, results: list[ReferredResult]) -> Instance:
    (report,) = kind.compose(replace(request([film]), results=results))
    return report


def _evidence(document: Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", _ROOTS, ids=lambda kind: str(kind.name))
def test_the_report_refers_to_each_other_result_of_its_run(kind: ResultKind) -> None:
    film = _film()
    results = _results(film)

    report = parsed(_root(kind, film, results))

    uids = {result.instance.identity.sop_instance_uid for result in results}
    references = {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID): item
        for item in children_of(report)
        if "ReferencedSOPSequence" in item
    }
    assert set(references) == uids
    assert _evidence(report) == {film.reading.film.sop_instance_uid, *uids}
    for result in results:
        item = references[result.instance.identity.sop_instance_uid]
        assert item.ReferencedSOPSequence[0].ReferencedSOPClassUID == result.instance.identity.sop_class_uid
        assert (item.ValueType, name_of(item)) == ("IMAGE" if result.is_image else "COMPOSITE", result.name.value)
    assert len(results) == len(RESULT_KINDS) - len(_ROOTS) - 1  # all but the Basic Text SR


def test_every_kind_is_a_form_of_the_report_or_is_referred_to_by_it() -> None:
    """A kind that is composed together with the report or after it could not be referred to."""
    forms = {*REPORT_FORMS, tid1500.REPORT_OHIF}
    for kind in RESULT_KINDS:
        assert (kind.result_type.referred_as is None) == (kind in forms), kind.name
        assert kind in forms or all(kind.order < root.order for root in _ROOTS), kind.name
    assert _results(_film(), (basic_text.TEXT,)) == []


@pytest.mark.slow
def test_the_order_of_results_does_not_change_the_report() -> None:
    film = _film()
    results = _results(film)
    assert (
        _root(tid1500.REPORT, film, results).identity == _root(tid1500.REPORT, film, list(reversed(results))).identity
    )


@pytest.mark.slow
def test_another_result_makes_another_report() -> None:
    film = _film()
    results = _results(film)
    assert _root(tid1500.REPORT, film, results).identity != _root(tid1500.REPORT, film, results[1:]).identity


def test_a_result_of_an_earlier_run_is_referred_to_again() -> None:
    """A film that is read again with the same result leaves the report as it was."""
    film = _film()
    (first,) = segmentation.SEGMENTATION.compose(request([film]))
    again = request([film], earlier=[previous(first)])

    assert segmentation.SEGMENTATION.compose(again) == []
    (unchanged,) = segmentation.SEGMENTATION.compose_all(again)

    assert unchanged.identity == first.identity


@pytest.mark.slow
def test_a_picture_is_referred_to_before_objects_without_pixels() -> None:
    film = _film()
    kinds = (key_objects.KEY_IMAGES, presentation_state.PRESENTATION_STATE, secondary_capture.PICTURE)
    report = parsed(_root(tid1500.REPORT, film, _results(film, kinds)))
    names = [name_of(item) for item in children_of(report)]
    assert names[1:5] == ["121111", "121080", "KO", "PR"]


def test_a_result_that_is_not_of_the_run_is_not_in_the_evidence() -> None:
    film = _film()
    results = _results(film, (segmentation.SEGMENTATION,))
    report = parsed(_root(tid1500.REPORT, film, results))
    referred = [result.instance.identity for result in results]
    assert faults_of(report, collate([film]), tid1500.REPORT.result_type, referred) == ()
    assert "the references do not name the sources" in faults_of(
        report, collate([film]), tid1500.REPORT.result_type, []
    )


def test_a_reference_without_evidence_is_a_fault() -> None:
    film = _film()
    results = _results(film, (presentation_state.PRESENTATION_STATE,))
    report = parsed(_root(tid1500.REPORT, film, results))
    (item,) = (item for _, item in items(report) if item.ValueType == "COMPOSITE")
    item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    referred = [result.instance.identity for result in results]
    faults = faults_of(report, collate([film]), tid1500.REPORT.result_type, referred)
    assert faults == ("Presentation State refers to an object that is not in the evidence",)


def test_a_report_that_fails_its_check_is_not_sent() -> None:
    film = _film()
    with pytest.raises(GiveUp):
        tid1500.REPORT.compose(request([film, everything(films.cr(changes={"PatientID": "OTHER"}))]))


def test_a_report_refers_to_what_one_of_its_destinations_receives() -> None:
    """Destinations of the report and of the segmentation overlap in the first case only."""
    run = Run()
    segments = _results(_film(), (segmentation.SEGMENTATION,))
    run.add(segments, ["pacs", "research"])
    assert run.sent_to(["pacs", "folder"]) == segments
    assert run.sent_to(["folder"]) == []
    assert run.sent_to([]) == []
