"""Reports on films with a prior film: words, time points, references, evidence, and what is read from them."""

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from cxr_node.deliver.report_content import parse_report
from cxr_node.domain import concepts
from cxr_node.domain.comparison import Change, ComparedValue
from cxr_node.domain.reading import Laterality, Measurement
from cxr_node.report import codes
from cxr_node.report.impression import compared_line, impression_of
from cxr_node.report.kinds import tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.tree import children_of, items, name_of
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import compared, composed, everything, parsed

_AREA = ComparedValue(
    key="lung_area/right",
    code=concepts.AREA_OF_LUNG,
    unit=concepts.SQUARE_CENTIMETER,
    value=230.0,
    prior_value=281.4,
    change=Change.WITHIN,
    limit=60.0,
    site=concepts.LUNG,
    laterality=Laterality.RIGHT,
)
_FORMS = (tid1500.REPORT, tid1500.REPORT_COMPREHENSIVE, tid1500.REPORT_ENHANCED, tid1500.REPORT_MEASUREMENTS)


def _film(header: Dataset | None = None) -> ReportedFilm:
    film = everything(films.dx() if header is None else header)
    area = Measurement(
        key=_AREA.key,
        code=_AREA.code,
        value=_AREA.value,
        unit=_AREA.unit,
        line=(),
        provenance="",
        site=_AREA.site,
        laterality=_AREA.laterality,
    )
    reading = replace(film.reading, measurements=(*film.reading.measurements, area))
    return compared(replace(film, reading=reading), 0.53, 0.471, values=(_AREA,))


def _evidence(document: Dataset, keyword: str) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in document.get(keyword, ())
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def _groups_on(document: Dataset, sop_instance_uid: str) -> list[Dataset]:
    groups = [item for _, item in items(document) if name_of(item) == codes.MEASUREMENT_GROUP.value]
    return [
        group
        for group in groups
        for row in children_of(group)
        if name_of(row) == codes.SOURCE_OF_MEASUREMENT.value
        and str(row.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) == sop_instance_uid
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change.BEYOND, "CTR 0.53, was 0.47 on 2025-03-02 (change beyond repeatability)."),
        (Change.WITHIN, "CTR 0.53, was 0.47 on 2025-03-02 (no change beyond repeatability)."),
        (Change.NOT_JUDGED, "CTR 0.53, was 0.47 on 2025-03-02."),
    ],
)
def test_the_line_says_whether_the_change_is_beyond_repeatability(change: Change, words: str) -> None:
    assert compared_line(compared(everything(films.cr()), 0.53, 0.47, change=change)) == words


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_both_ratios_and_the_date(language: str) -> None:
    line = compared_line(compared(everything(films.cr()), 0.53, 0.471), LANGUAGES[language])

    for part in (LANGUAGES[language].number(0.53, ".2f"), LANGUAGES[language].number(0.47, ".2f"), "2025-03-02"):
        assert part in line


def test_the_line_follows_the_ratio() -> None:
    (lines,) = (film.lines for film in impression_of(collate([_film()])).films)

    ratio = next(number for number, line in enumerate(lines) if line.startswith("CTR 0.53,"))
    assert lines[ratio + 1].startswith("CTR 0.53, was 0.47 on 2025-03-02")


def test_a_prior_ratio_below_the_limit_is_not_rounded_to_it() -> None:
    assert "was 0.498 on" in compared_line(compared(everything(films.cr()), 0.53, 0.498))


@pytest.mark.parametrize("kind", _FORMS, ids=lambda kind: str(kind.name))
def test_the_prior_film_is_other_evidence_and_has_a_group(kind: ResultKind) -> None:
    film = _film()
    assert film.comparison is not None
    assert film.comparison.prior_report is not None

    document = parsed(composed(kind, [film]))

    prior, report = film.comparison.prior.sop_instance_uid, film.comparison.prior_report.sop_instance_uid
    assert _evidence(document, "PertinentOtherEvidenceSequence") == {prior, report}
    assert _evidence(document, "CurrentRequestedProcedureEvidenceSequence") == {film.reading.film.sop_instance_uid}
    groups = _groups_on(document, prior)
    assert groups
    for group in groups:
        rows = {name_of(row): row for row in children_of(group)}
        assert rows[codes.TIME_POINT.value].TextValue == "2025-03-02"
        (earlier,) = rows[codes.PREVIOUS_FINDING.value].ReferencedSOPSequence
        assert (rows[codes.PREVIOUS_FINDING.value].ValueType, str(earlier.ReferencedSOPInstanceUID)) == (
            "COMPOSITE",
            report,
        )


def test_the_group_of_the_film_has_its_time_point_and_the_coded_change() -> None:
    film = _film()
    document = parsed(composed(tid1500.REPORT, [film]))

    of_film = _groups_on(document, film.reading.film.sop_instance_uid)[-1]
    rows = {name_of(row): row for row in children_of(of_film)}
    date = str(film.header.AcquisitionDate)
    assert rows[codes.TIME_POINT.value].TextValue == f"{date[:4]}-{date[4:6]}-{date[6:8]}"
    assert str(rows[codes.CHANGE.value].ConceptCodeSequence[0].CodeValue) == "CHANGEBEYOND"


def test_the_measurements_of_the_prior_film_are_grouped_by_their_place() -> None:
    film = _film()
    assert film.comparison is not None
    document = parsed(composed(tid1500.REPORT_MEASUREMENTS, [film]))

    numbers = [
        float(row.MeasuredValueSequence[0].NumericValue)
        for group in _groups_on(document, film.comparison.prior.sop_instance_uid)
        for row in children_of(group)
        if row.ValueType == "NUM"
    ]
    assert numbers == [0.47, 281.4]


def test_films_with_one_prior_name_it_once() -> None:
    first = compared(everything(films.dx()), 0.53, 0.47)
    second = compared(everything(films.cr()), 0.52, 0.47)
    assert first.comparison is not None

    document = parsed(composed(tid1500.REPORT, [first, second]))

    assert len(_groups_on(document, first.comparison.prior.sop_instance_uid)) == 1


def test_a_film_without_a_ratio_takes_no_number_of_the_prior() -> None:
    """Both films have the same prior; the ratio, and the area, were measured on the second alone."""
    second = _film(films.cr())
    comparison = second.comparison
    assert comparison is not None
    first = replace(everything(films.dx()), comparison=replace(comparison, values=()))

    for kind, expected in ((tid1500.REPORT, [0.47]), (tid1500.REPORT_MEASUREMENTS, [0.47, 281.4])):
        document = parsed(composed(kind, [first, second]))
        numbers = [
            float(row.MeasuredValueSequence[0].NumericValue)
            for group in _groups_on(document, comparison.prior.sop_instance_uid)
            for row in children_of(group)
            if row.ValueType == "NUM"
        ]
        assert numbers == expected


def test_numbers_of_the_prior_film_are_not_read_as_those_of_the_study() -> None:
    content = parse_report(composed(tid1500.REPORT, [_film()]).content)

    assert [one.value for one in content.measurements if one.name.value == "CTR"] == ["0.53"]


def test_a_report_without_a_prior_has_no_time_point_and_no_other_evidence() -> None:
    document = parsed(composed(tid1500.REPORT, [everything(films.dx())]))

    assert "PertinentOtherEvidenceSequence" not in document
    assert codes.TIME_POINT.value not in {name_of(item) for _, item in items(document)}
