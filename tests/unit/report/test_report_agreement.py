"""All kinds of one study against each other: findings, sides, scores, ratio, caveats, numbers, patient, summary."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.concepts import CARDIOMEGALY_BY_RATIO
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Reason
from cxr_node.domain.stated_numbers import stated_score
from cxr_node.report import codes
from cxr_node.report.impression import Impression, compared_line, evidence_of, impression_of, ratio_line
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.kinds.registry import KIND_BY_NAME, RESULT_KINDS
from cxr_node.report.labels import finding_label
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.tree import children_of, items, name_of
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import compared, everything, finding, not_read, parsed, read, request, square
from tests.unit.report.words import group_values, joined, results_with_words

_OF_FILM = ("picture", "picture-anatomy", "key-images")
_OF_STUDY = (
    "report",
    "report-comprehensive",
    "report-enhanced",
    "report-ohif",
    "report-measurements",
    "text",
    "pdf",
)
_LABELS = ("presentation-state", "segmentation")
_CODED = ("chest-cad",)
"""Kinds by what they state of the impression: lines of their film, of the study, labels, codes only."""
_REPORTS = ("report", "report-comprehensive", "report-enhanced", "report-ohif")


def _study() -> list[ReportedFilm]:
    """Return a PA film with findings, an AP film with a ratio and a finding on the other side, and a lateral film.

    The heart of the PA film is close to the threshold: 0.528 must not be read as 0.53. That film has a prior film.
    """
    first = everything(films.dx(changes={"AccessionNumber": "A1"}))
    opacity = finding(
        "Lung Opacity", 0.86, Presence.PRESENT, laterality=Laterality.RIGHT, regions=(square(2, 2, 9), square(20, 2, 9))
    )
    portable = films.cr(changes={"AccessionNumber": "A1", "AcquisitionTime": "181500"})
    of_second = (replace(opacity, operating_point=0.46), finding("Effusion", 0.041, Presence.ABSENT))
    wide = replace(first.reading.measurements[0], value=0.61)
    second = read(portable, *of_second, measurements=(wide,), view=View.AP)
    near = replace(first.reading.measurements[0], value=0.528)
    by_ratio = replace(finding("Cardiomegaly", 0.528, Presence.UNDETERMINED), key=CARDIOMEGALY_BY_RATIO)
    assert first.reading.prediction is not None
    findings = tuple(one for one in first.reading.prediction.findings if one.code != by_ratio.code)
    prediction = replace(first.reading.prediction, findings=(*findings, replace(by_ratio, operating_point=0.53)))
    first = replace(first, reading=replace(first.reading, prediction=prediction, measurements=(near,)))
    first = compared(first, 0.528, 0.471)
    lateral = not_read(films.sc(changes={"AccessionNumber": "A1"}), Reason.VIEW, "LATERAL")
    return [lateral, second, first]


@cache
def _results(kind: ResultKind, language: str) -> list[tuple[Dataset, str]]:
    """Return each result of a kind with its words, without any space."""
    observer = Observer(name="TESTNODE", serial_number="7", language=LANGUAGES[language])
    composed = results_with_words(kind, request(_study(), observer=observer))
    return [(dataset, joined("".join(words))) for dataset, words in composed]


def _impression(language: str) -> tuple[Sequence[ReportedFilm], Impression]:
    collated = collate(_study())
    return collated, impression_of(collated, LANGUAGES[language])


def _analysed(language: str) -> Iterator[tuple[ReportedFilm, tuple[str, ...]]]:
    """Yield the films that were analysed, in the order of their numbers, with their lines."""
    collated, impression = _impression(language)
    for film, words in zip(collated, impression.films, strict=True):
        if film.reading.prediction is not None:
            yield film, words.lines


def _near() -> str:
    """Return the film whose ratio is close to the threshold."""
    return str(next(film for film, _ in _analysed("en")).reading.film.sop_instance_uid)


def _states_another_ratio(text: str, language: str) -> bool:
    """Whether words of the PA film have its ratio with other digits, or another word beside it."""
    ((film, by_ratio),) = [
        (film, one)
        for film, _ in _analysed(language)
        for one in (film.reading.prediction.findings if film.reading.prediction else ())
        if one.key == CARDIOMEGALY_BY_RATIO
    ]
    rest = text.replace(joined(evidence_of(film, by_ratio, LANGUAGES[language])), "")
    phrases = LANGUAGES[language].phrases
    others = (LANGUAGES[language].number(0.53, ".2f"), phrases.ratio_enlarged, phrases.ratio_above_normal)
    assert LANGUAGES[language].number(0.528, ".3f") in rest
    return any(joined(other) in rest for other in others)


def test_every_kind_is_held_against_the_others() -> None:
    assert sorted((*_OF_FILM, *_OF_STUDY, *_LABELS, *_CODED)) == sorted(KIND_BY_NAME)


def test_the_study_has_a_number_side_caveat_and_reason_to_agree_about() -> None:
    text = "\n".join(_impression("en")[1].lines)
    for words in (
        "Film 3 (AP, 18:15):",
        "Suspected opacity, left lung (score 87, threshold 50).",
        "Suspected opacity, right lung (score 86, threshold 46).",
        "Undetermined: cardiomegaly (CTR 0.528, threshold 0.53).",
        "CTR 0.528, borderline (normal < 0.50).",
        "CTR 0.528, was 0.47 on 2025-03-02 (change beyond repeatability).",
        "AP film: the heart is magnified",
        "Not analysed: Not a frontal view",
    ):
        assert words in text


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", _OF_STUDY)
def test_a_result_of_the_study_has_every_line_and_number(name: str, language: str) -> None:
    ((_, text),) = _results(KIND_BY_NAME[name], language)
    _, impression = _impression(language)

    assert [line for line in impression.lines if joined(line.rstrip(" :：")) not in text] == []
    assert not _states_another_ratio(text, language)
    assert text.count(joined(impression.notice)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", _OF_FILM)
def test_a_result_of_a_film_has_every_line_of_its_film(name: str, language: str) -> None:
    results = _results(KIND_BY_NAME[name], language)
    by_film = {str(film.reading.film.sop_instance_uid): lines for film, lines in _analysed(language)}

    assert len(results) == len(by_film)
    for dataset, text in results:
        lines = by_film[_source(dataset)]
        assert [line for line in lines if joined(line) not in text] == []
        assert _source(dataset) != _near() or not _states_another_ratio(text, language)
        assert text.count(joined(_impression(language)[1].notice)) == 1


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", _LABELS)
def test_labels_have_the_names_and_scores_of_the_findings(name: str, language: str) -> None:
    by_film = {str(film.reading.film.sop_instance_uid): film for film, _ in _analysed(language)}
    results = _results(KIND_BY_NAME[name], language)

    assert {_source(dataset) for dataset, _ in results} == set(by_film)
    for dataset, text in results:
        film = by_film[_source(dataset)]
        prediction = film.reading.prediction
        assert prediction is not None
        for one in prediction.findings:
            assert (joined(finding_label(one, LANGUAGES[language])) in text) == bool(one.regions)
        ratio = joined(ratio_line(film.reading, LANGUAGES[language]).rstrip(".。"))
        assert (ratio in text) == (name == "presentation-state")
        change = joined(compared_line(film, LANGUAGES[language]).rstrip(".。"))
        assert (change in text) == (name == "presentation-state" or not change)
        is_near = name == "presentation-state" and _source(dataset) == _near()
        assert not is_near or not _states_another_ratio(text, language)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in _REPORTS if name != "report-ohif"])  # only what OHIF draws
def test_codes_and_numbers_of_a_report_are_those_of_its_words(name: str) -> None:
    ((report, _),) = _results(KIND_BY_NAME[name], "ja")
    groups = [item for _, item in items(report) if name_of(item) == codes.MEASUREMENT_GROUP.value]

    stated = {_coded(group) for group in groups if codes.SCORE.value in group_values(group)}
    assert stated == {
        (
            one.code.value,
            codes.PRESENCES[one.presence].value,
            stated_score(one).score,
            stated_score(one).threshold,
            "" if one.laterality is None else codes.LATERALITIES[one.laterality].value,
        )
        for film, _ in _analysed("ja")
        for one in (film.reading.prediction.findings if film.reading.prediction else ())
        if one.key != CARDIOMEGALY_BY_RATIO  # whose numbers are ratios
    }
    ratios = [values["CTR"] for group in groups if "CTR" in (values := group_values(group))]
    assert ratios == [0.528, 0.528, 0.61, 0.47]  # of the finding, of its film, of the other film, of the prior film


def _coded(group: Dataset) -> tuple[object, ...]:
    """Return finding, presence, score, threshold and side of a group."""
    values = group_values(group)
    sides = [
        str(side.ConceptCodeSequence[0].CodeValue)
        for row in children_of(group)
        for side in children_of(row)
        if name_of(side) == codes.LATERALITY.value
    ]
    names = (codes.FINDING, codes.PRESENCE_OF_PROPERTY, codes.SCORE, codes.THRESHOLD)
    return (*(values[name.value] for name in names), "".join(sides))


@pytest.mark.slow
def test_chest_cad_has_the_scores_of_the_findings_that_it_can_mark() -> None:
    ((document, _),) = _results(KIND_BY_NAME["chest-cad"], "de")
    scores = {
        float(item.MeasuredValueSequence[0].NumericValue)
        for _, item in items(document)
        if name_of(item) == codes.CERTAINTY_OF_FINDING.value
    }
    assert scores == {
        stated_score(one).score
        for film, _ in _analysed("de")
        for one in (film.reading.prediction.findings if film.reading.prediction else ())
        if one.code in codes.MARKED_BY_CAD and one.presence is not Presence.ABSENT
    }


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_result_has_the_same_patient_order_and_coded_summary(language: str) -> None:
    datasets = [
        parsed(result)
        for kind in RESULT_KINDS
        for result in kind.compose(request(_study(), observer=Observer(language=LANGUAGES[language])))
    ]
    summaries = [
        str(item.ConceptCodeSequence[0].CodeValue)
        for dataset in datasets
        for _, item in items(dataset)
        if "ContentSequence" in dataset and name_of(item) == codes.FINDINGS_SUMMARY.value
    ]
    assert set(summaries) == {codes.ALL_WITH_FINDINGS.value}
    assert len(summaries) == 6  # the four reports, their measurements, and Chest CAD
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "AccessionNumber", "StudyInstanceUID"):
        assert len({str(dataset[keyword].value) for dataset in datasets}) == 1
    assert datasets[0].AccessionNumber == "A1"


def test_series_of_all_kinds_have_numbers_of_their_own() -> None:
    offsets = [kind.result_type.series_offset for kind in RESULT_KINDS]
    assert len(set(offsets)) == len(offsets)


def _source(dataset: Dataset) -> str:
    """Return the film of a result on one film."""
    for keyword in ("SourceImageSequence", "ReferencedSeriesSequence", "CurrentRequestedProcedureEvidenceSequence"):
        if keyword in dataset:
            (item,) = dataset[keyword].value
            break
    while "ReferencedSOPInstanceUID" not in item:
        item = next(item[keyword][0] for keyword in _BELOW if keyword in item)
    return str(item.ReferencedSOPInstanceUID)


_BELOW = ("ReferencedSeriesSequence", "ReferencedImageSequence", "ReferencedInstanceSequence", "ReferencedSOPSequence")
