"""Studies of two films: every pair of spellings of one patient, real contradictions, several orders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path

import pytest
from pydicom import Dataset

from cxr_node.domain.identifiers import derive_uid
from cxr_node.domain.reasons import Reason
from cxr_node.report.grouping import by_patient
from cxr_node.report.kinds import segmentation, tid1500
from cxr_node.report.patient import normalized, person_name
from cxr_node.report.study import collate
from tests.support import films
from tests.support.field import field_node
from tests.support.odd_encodings import EXPLICIT, IMPLICIT, data_set_of
from tests.unit.report.studies import composed, everything, parsed, request

Changes = Mapping[str, object]

ONE_PATIENT: Mapping[str, Changes] = {
    "as the modality writes it": {},
    "trailing delimiters": {"PatientName": "MÜLLER^EVA^^^"},
    "padded": {"PatientName": " MÜLLER ^EVA  ", "PatientID": " P1  "},
    "lower case": {"PatientName": "Müller^Eva", "PatientID": "p1"},
    "UTF-8": {"SpecificCharacterSet": "ISO_IR 192"},
    "decomposed accents": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "MU\u0308LLER^EVA"},
    "full width": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "ＭÜＬＬＥＲ^ＥＶＡ"},
    "a further component group": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "MÜLLER^EVA=穆勒^伊娃"},
    "family name only": {"PatientName": "MÜLLER"},
    "no name": {"PatientName": None},
    "with issuer": {"IssuerOfPatientID": "HOSPITAL"},
    "no birth date": {"PatientBirthDate": ""},
    "no Patient ID": {"PatientID": ""},
}
OTHER_PATIENTS: Mapping[str, Changes] = {
    "another Patient ID": {"PatientID": "P2"},
    "another given name": {"PatientName": "MÜLLER^ANNA"},
    "another birth date": {"PatientBirthDate": "19990102"},
    "another issuer": {"PatientID": "P1", "IssuerOfPatientID": "ELSEWHERE"},
}
WITH_ISSUER: Changes = {"IssuerOfPatientID": "HOSPITAL"}
PAIRS = list(combinations(ONE_PATIENT, 2))
BASE: Changes = {
    "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": "MÜLLER^EVA",
    "PatientID": "P1",
    "PatientBirthDate": "19600102",
}


@dataclass(frozen=True)
class Answers:
    """The reports of each study."""

    by_study: Mapping[str, Sequence[Dataset]]

    def of(self, *name: str) -> Sequence[Dataset]:
        return self.by_study.get(_study(*name), ())


def _study(*name: str) -> str:
    return derive_uid("test study", *name)


def _film(study: str, number: int, changes: Changes) -> Dataset:
    uids = {"StudyInstanceUID": study, "SOPInstanceUID": derive_uid("test film", study, str(number))}
    return films.dx(rows=24, columns=16, changes={**BASE, **changes, **uids})


def _answers(folder: Path, studies: Mapping[str, Sequence[Changes]]) -> Answers:
    by_study: dict[str, list[Dataset]] = {}
    with field_node(folder) as node:
        for study, members in studies.items():
            for number, changes in enumerate(members):
                film = _film(study, number, changes)
                syntax = (EXPLICIT, IMPLICIT)[number]
                assert node.send(data_set_of(film, syntax), syntax) == ""
        node.outcomes()
        for report in node.sent:
            by_study.setdefault(str(report.StudyInstanceUID), []).append(report)
    return Answers(by_study)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """The reports of all pairs of spellings, and of each other patient beside the first spelling in both orders."""
    pairs = {_study(*pair): [ONE_PATIENT[name] for name in pair] for pair in PAIRS}
    for name, changes in OTHER_PATIENTS.items():
        both = permutations([WITH_ISSUER, changes])
        pairs |= {_study(name, str(order)): list(members) for order, members in enumerate(both)}
    return _answers(tmp_path_factory.mktemp("studies"), pairs)


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_two_spellings_of_one_patient_make_one_report(pair: tuple[str, str], answers: Answers) -> None:
    (report,) = answers.of(*pair)

    assert len(_references(report)) == 2
    assert _reasons(report) == []
    assert normalized(report.PatientID) == "p1"
    assert person_name(str(report.PatientName))[0][0] == "müller"
    assert report.PatientBirthDate == "19600102"


def test_neither_order_nor_spelling_changes_the_patient_of_a_report() -> None:
    for one, other in PAIRS:
        headers = [_film(_study(one, other), number, ONE_PATIENT[name]) for number, name in enumerate((one, other))]
        patients = set()
        for arrived in (headers, headers[::-1]):
            (group,) = by_patient([everything(header) for header in arrived])
            assert {film.reading.not_analysed for film in group} == {None}
            patients.add(_patient(collate(group)[0].header))
        assert len(patients) == 1, (one, other)


@pytest.mark.parametrize("order", ["0", "1"])
@pytest.mark.parametrize("name", OTHER_PATIENTS)
def test_a_contradiction_is_answered_under_each_films_patient(name: str, order: str, answers: Answers) -> None:
    reports = answers.of(name, order)

    expected = {_patient({**BASE, **changes}) for changes in (WITH_ISSUER, OTHER_PATIENTS[name])}
    assert {_patient(report) for report in reports} == expected
    for report in reports:
        assert len(_references(report)) == 1
        assert _reasons(report) == [Reason.IDENTITY]


@pytest.mark.parametrize("known", [0, 1])
def test_an_accession_number_known_once_is_in_every_result(known: int) -> None:
    """Neither the order of arrival nor that of the UIDs decides."""
    study = _study("accession", str(known))
    headers = [_film(study, number, {"AccessionNumber": "A1" if number == known else ""}) for number in (0, 1)]
    for arrived in (headers, headers[::-1]):
        (group,) = by_patient([everything(header) for header in arrived])
        results = [parsed(composed(tid1500.REPORT, group))]
        results += [parsed(one) for one in segmentation.SEGMENTATION.compose(request(group))]
        assert [result.AccessionNumber for result in results] == ["A1"] * 3


def test_two_orders_make_one_report_that_requests_both() -> None:
    study = _study("orders")
    headers = [_film(study, number, {"AccessionNumber": accession}) for number, accession in enumerate(("A1", "A2"))]

    (group,) = by_patient([everything(header) for header in headers])
    report = parsed(composed(tid1500.REPORT, group))

    assert report.AccessionNumber == ""
    assert {item.AccessionNumber for item in report.ReferencedRequestSequence} == {"A1", "A2"}


def test_a_film_of_less_known_joins_the_only_patient_it_may_be_of() -> None:
    changes: Sequence[Changes] = ({}, {"PatientBirthDate": ""}, {"PatientID": "P2", "PatientBirthDate": "20010101"})
    headers = [_film(_study("three"), number, change) for number, change in enumerate(changes)]

    groups = by_patient([everything(header) for header in headers])

    assert sorted(len(group) for group in groups) == [1, 2]
    assert {film.reading.not_analysed for group in groups for film in group} == {Reason.IDENTITY}


def _references(report: Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def _reasons(item: Dataset) -> list[Reason]:
    """Return the coded reasons for not analysing a film, in a content tree."""
    code = item.get("ConceptCodeSequence", [Dataset()])[0].get("CodeValue", "")
    below = [reason for child in item.get("ContentSequence", ()) for reason in _reasons(child)]
    return [*([Reason(code)] if code in set(Reason) else []), *below]


def _patient(values: Mapping[str, object] | Dataset) -> tuple[str, ...]:
    return tuple(str(values.get(keyword) or "") for keyword in _PATIENT)


_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "IssuerOfPatientID")
