"""Kinds of one study against each other: the same impression, numbers of films, patient and coded summary."""

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.radiograph import View
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Reason
from cxr_node.report import codes
from cxr_node.report.impression import impression_of
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.tree import items, name_of
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import everything, finding, not_read, parsed, read, request, square


def _study() -> list[ReportedFilm]:
    """Return a PA film with findings, an AP film with a ratio and none, and a lateral film."""
    first = everything(films.dx(changes={"AccessionNumber": "A1"}))
    absent = finding("Lung Opacity", 0.041, Presence.ABSENT)
    portable = films.cr(changes={"AccessionNumber": "A1", "AcquisitionTime": "181500"})
    second = read(portable, absent, measurements=first.reading.measurements, view=View.AP)
    lateral = not_read(films.sc(changes={"AccessionNumber": "A1"}), Reason.VIEW, "LATERAL")
    return [lateral, second, first]


def _documents(language: str) -> dict[str, Dataset]:
    observer = Observer(name="TESTNODE", serial_number="7", language=LANGUAGES[language])
    kinds = [kind for kind in RESULT_KINDS if kind.result_type.modality in ("SR", "KO")]
    return {kind.name: parsed(kind.compose(request(_study(), observer=observer))[0]) for kind in kinds}


def _texts(document: Dataset) -> str:
    return "\n".join(str(item.TextValue) for _, item in items(document) if item.ValueType == "TEXT")


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_document_states_the_same_impression(name: str) -> None:
    impression = impression_of(collate(_study()), LANGUAGES[name])
    documents = _documents(name)
    for kind in set(documents) - {"chest-cad", "key-images"}:
        text = _texts(documents[kind])
        assert [line for line in impression.lines if line not in text] == [], kind
        assert text.count(impression.notice) == 1, kind
    assert any(LANGUAGES[name].phrases.caveat_ap in line for line in impression.lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", LANGUAGES)
def test_every_document_has_the_same_coded_summary_and_patient(name: str) -> None:
    documents = _documents(name)
    for document in documents.values():
        summaries = {
            str(item.ConceptCodeSequence[0].CodeValue)
            for _, item in items(document)
            if name_of(item) == codes.FINDINGS_SUMMARY.value
        }
        assert summaries <= {codes.ALL_WITH_FINDINGS.value}
    for keyword in ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID"):
        assert len({str(document[keyword].value) for document in documents.values()}) == 1


def test_scores_and_sides_of_the_report_are_those_of_its_words() -> None:
    opacity = finding(
        "Lung Opacity", 0.86, Presence.PRESENT, laterality=Laterality.LEFT, regions=(square(2, 2, 9), square(20, 2, 9))
    )
    film = read(films.dx(), replace(opacity, operating_point=0.46))
    report = next(kind for kind in RESULT_KINDS if kind.name == "report").compose(request([film]))[0]
    values = {
        name_of(item): float(item.MeasuredValueSequence[0].NumericValue)
        for _, item in items(parsed(report))
        if item.ValueType == "NUM"
    }
    sides = {
        str(item.ConceptCodeSequence[0].CodeMeaning)
        for _, item in items(parsed(report))
        if name_of(item) == codes.LATERALITY.value
    }
    assert values == {"SCORE": 86.0, "THRESHOLD": 46.0}
    assert sides == {"Left"}
    assert "Suspected opacity, left lung (score 86, threshold 46)." in _texts(parsed(report))


def test_series_of_all_kinds_have_numbers_of_their_own() -> None:
    offsets = [kind.result_type.series_offset for kind in RESULT_KINDS]
    assert len(set(offsets)) == len(offsets)
